//! Profiles: found by any identifier, shown, listed, merged and unmerged; why they are one person, and who they were.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State},
};
use onefold_model::{
    NodeId, ProfileId,
    access::Access,
    command::{Command, IdentifierRef},
    identity::{StatementRef, normalise::normalise},
};
use onefold_pipeline::{
    evidence::{self, Evidence, ThenView},
    seen::Seen as _,
    views::{self, IdentifierView, Member, ProfileView, TimelineEvent},
};
use onefold_state::Reader;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Page, instant};
use crate::{ApiError, App, caller::Caller};

/// Finds a profile or says how one is found.
pub(crate) fn find(reader: &mut dyn Reader, access: &Access, identifier: &str) -> Result<ProfileId, ApiError> {
    let found = views::find(reader, access, identifier)?;
    // Whoever is not seen is not there.
    let seen = found.map(|id| views::is_seen(reader, access, id)).transpose()? == Some(true);
    found.filter(|_| seen).ok_or_else(|| {
        let cure = "give an e-mail address, a phone number with +, a user id, `kind:value`, or a profile id";
        ApiError::not_found("profile with the identifier", identifier, cure)
    })
}

/// Profiles in the order of their ids.
#[utoipa::path(get, path = "/api/v1/profiles", params(Page), responses((status = 200, body = [Member])))]
pub async fn list(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(page): Query<Page>,
) -> Result<Json<Vec<Member>>, ApiError> {
    app.read(move |_, reader| {
        let after = page.after.as_deref().and_then(|after| after.parse().ok());
        Ok(Json(views::profiles(reader, &access, after, page.limit())?.seen(&access.sight)))
    })
    .await
}

/// A profile, by any identifier.
#[utoipa::path(get, path = "/api/v1/profiles/{identifier}", responses((status = 200, body = ProfileView), (status = 404, body = ApiError)))]
pub async fn show(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(identifier): Path<String>,
) -> Result<Json<ProfileView>, ApiError> {
    app.look(move |app, reader| {
        let id = find(reader, &access, &identifier)?;
        let definitions = app.definitions(reader, access.workspace)?;
        let partition = access.workspace.partition(app.log.partitions());
        let view = views::profile(reader, &access, &definitions, partition, id)?;
        view.map(|view| Json(view.seen(&access.sight)))
            .ok_or_else(|| ApiError::not_found("profile", &id.to_string(), "it may have been merged; ask again"))
    })
    .await
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TimelineQuery {
    /// Events before this log offset; absent: the newest.
    pub before: Option<u64>,
    /// At most so many, 50 if not said, 1,000 at the most.
    pub limit: Option<usize>,
}

/// A profile's events, the newest first.
#[utoipa::path(get, path = "/api/v1/profiles/{identifier}/timeline", params(TimelineQuery), responses((status = 200, body = [TimelineEvent])))]
pub async fn timeline(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(identifier): Path<String>,
    Query(query): Query<TimelineQuery>,
) -> Result<Json<Vec<TimelineEvent>>, ApiError> {
    app.read(move |app, reader| {
        let id = find(reader, &access, &identifier)?;
        let limit = query.limit.unwrap_or(50).clamp(1, 1000);
        let before = query.before.unwrap_or(i64::MAX as u64);
        let definitions = app.definitions(reader, access.workspace)?;
        let events = views::timeline(reader, &*app.log, &access, &definitions, id, before, limit)?;
        Ok(Json(events.seen(&access.sight)))
    })
    .await
}

/// Two identifiers, as `kind:value`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Pair {
    /// One.
    pub a: String,
    /// The other. For an unmerge it may be left out: `a` is then parted from everybody it is joined with.
    #[serde(default)]
    pub b: Option<String>,
}

/// What a merge or an unmerge did.
#[derive(Debug, Serialize, ToSchema)]
pub struct Resolved {
    /// The log offset of the command.
    pub offset: u64,
    /// The profile that `a` belongs to now.
    pub a: String,
    /// The profile that `b` belongs to now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<String>,
}

/// An identifier that there is, as `kind:value` or as a value alone.
pub(crate) fn identifier(reader: &mut dyn Reader, access: &Access, text: &str) -> Result<IdentifierRef, ApiError> {
    let mut tried: Vec<(String, String)> =
        text.split_once(':').map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect();
    for kind in views::kinds(reader, access)? {
        tried.push((kind, text.to_owned()));
    }
    for (kind, value) in tried {
        let Some(value) = normalise(&kind, &value).map(|value| value.into_owned()) else { continue };
        if let Some(id) = views::find(reader, access, &format!("{kind}:{value}"))?
            && views::is_seen(reader, access, id)?
        {
            return Ok(IdentifierRef { kind, value });
        }
    }
    Err(ApiError::not_found("identifier", text, "give it as `kind:value`, as `onefold profile show` lists it"))
}

/// An identifier that there is, and its node.
pub(crate) fn node(reader: &mut dyn Reader, access: &Access, text: &str) -> Result<(IdentifierRef, NodeId), ApiError> {
    let found = identifier(reader, access, text)?;
    let node = views::node(reader, access, &found.kind, &found.value)?;
    let node = node.ok_or_else(|| ApiError::not_found("identifier", text, "it has gone meanwhile; ask again"))?;
    Ok((found, node))
}

/// Say that two identifiers are one person.
#[utoipa::path(post, path = "/api/v1/profiles/merge", request_body = Pair, responses((status = 200, body = Resolved)))]
pub async fn merge(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(pair): Json<Pair>,
) -> Result<Json<Resolved>, ApiError> {
    let Some(other) = pair.b.clone() else {
        let cure = "give both `a` and `b`";
        return Err(ApiError::bad_request("missing_field", "a merge needs two identifiers", cure));
    };
    let theirs = access.clone();
    let (a, b) = app
        .read(move |_, reader| Ok((identifier(reader, &theirs, &pair.a)?, identifier(reader, &theirs, &other)?)))
        .await?;
    resolve(&app, access, Command::Merge { a: a.clone(), b: b.clone() }, a, Some(b)).await
}

/// Say that two identifiers are two people: what joined them is undone, and does not join them again.
#[utoipa::path(post, path = "/api/v1/profiles/unmerge", request_body = Pair, responses((status = 200, body = Resolved)))]
pub async fn unmerge(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(pair): Json<Pair>,
) -> Result<Json<Resolved>, ApiError> {
    let theirs = access.clone();
    let (a, b) = app
        .read(move |_, reader| {
            let a = identifier(reader, &theirs, &pair.a)?;
            let b = pair.b.as_deref().map(|b| identifier(reader, &theirs, b)).transpose()?;
            Ok((a, b))
        })
        .await?;
    resolve(&app, access, Command::Unmerge { a: a.clone(), b: b.clone() }, a, b).await
}

/// What was said of a profile's identifiers, in order: why they are one person.
#[utoipa::path(get, path = "/api/v1/profiles/{identifier}/evidence", responses((status = 200, body = [Evidence]), (status = 404, body = ApiError)))]
pub async fn evidence(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(identifier): Path<String>,
) -> Result<Json<Vec<Evidence>>, ApiError> {
    app.read(move |_, reader| {
        let id = find(reader, &access, &identifier)?;
        Ok(Json(evidence::of_profile(reader, &access, id)?.seen(&access.sight)))
    })
    .await
}

/// As of when.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ThenQuery {
    /// An instant: `2026-03-01T00:00:00Z`.
    pub at: String,
}

/// Who this was at a time: what had come until then counts, and what was withdrawn later counts too.
#[utoipa::path(get, path = "/api/v1/profiles/{identifier}/then", params(ThenQuery), responses((status = 200, body = ThenView), (status = 404, body = ApiError)))]
pub async fn then(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(text): Path<String>,
    Query(query): Query<ThenQuery>,
) -> Result<Json<ThenView>, ApiError> {
    let at = instant(&query.at)?;
    app.read(move |app, reader| {
        let node = match text.parse::<ProfileId>() {
            Ok(id) => id.0,
            Err(_) => node(reader, &access, &text)?.1,
        };
        let then = evidence::then(reader, &*app.log, &access, node, at)?;
        then.map(|then| Json(then.seen(&access.sight))).ok_or_else(|| {
            let cure = "ask for a later time; `onefold profile show` says when each identifier was first seen";
            ApiError::not_found("profile, at that time, with the identifier", &text, cure)
        })
    })
    .await
}

/// What counts no more.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Withdraw {
    /// Evidence by its ids, as `onefold profile evidence` lists it.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// All that joined the profile's identifiers since this instant.
    #[serde(default)]
    pub since: Option<String>,
    /// Only say who they would be.
    #[serde(default)]
    pub dry_run: bool,
}

/// Who they are without it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Withdrawn {
    /// The evidence that counts no more.
    pub evidence: Vec<String>,
    /// The identifiers of each profile that comes of it.
    pub profiles: Vec<Vec<IdentifierView>>,
}

/// Withdraw evidence: the profile is then what the rest gives. The same said again later counts again.
#[utoipa::path(post, path = "/api/v1/profiles/{identifier}/withdraw", request_body = Withdraw, responses((status = 200, body = Withdrawn), (status = 404, body = ApiError)))]
pub async fn withdraw(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(identifier): Path<String>,
    Json(asked): Json<Withdraw>,
) -> Result<Json<Withdrawn>, ApiError> {
    let mut wanted = BTreeSet::new();
    for id in &asked.evidence {
        let parsed: StatementRef = id.parse().map_err(|error: String| {
            ApiError::bad_request("bad_evidence", error, "`onefold profile evidence` lists the ids")
        })?;
        wanted.insert(parsed);
    }
    let since = asked.since.as_deref().map(instant).transpose()?;
    let theirs = access.clone();
    let (wanted, groups) = app
        .read(move |_, reader| {
            let id = find(reader, &theirs, &identifier)?;
            let own: BTreeSet<String> = evidence::of_profile(reader, &theirs, id)?
                .into_iter()
                .filter(|e| e.withdrawn.is_none())
                .map(|e| e.id)
                .collect();
            if let Some(other) = wanted.iter().find(|wanted| !own.contains(&wanted.to_string())) {
                let cure = "`onefold profile evidence` lists what counts for this profile";
                return Err(ApiError::not_found("evidence of this profile", &other.to_string(), cure));
            }
            if let Some(since) = since {
                wanted.extend(evidence::since(reader, &theirs, id, since)?);
            }
            if wanted.is_empty() {
                let cure = "name evidence by its id, or an instant since when something was said";
                return Err(ApiError::bad_request("nothing_to_withdraw", "there is nothing to withdraw", cure));
            }
            let groups = evidence::without(reader, &theirs, id, &wanted)?;
            let groups = groups.ok_or_else(|| {
                let cure = "look for a value that many people share, and block it in the identity rules";
                ApiError::bad_request("too_much", "more hangs together here than can be weighed again", cure)
            })?;
            Ok((wanted, groups))
        })
        .await?;
    if !asked.dry_run {
        app.command(&access, Command::Withdraw(wanted.iter().copied().collect()), false).await?;
    }
    let profiles = groups.seen(&access.sight);
    Ok(Json(Withdrawn { evidence: wanted.iter().map(StatementRef::to_string).collect(), profiles }))
}

async fn resolve(
    app: &Arc<App>,
    access: Access,
    command: Command,
    a: IdentifierRef,
    b: Option<IdentifierRef>,
) -> Result<Json<Resolved>, ApiError> {
    let offset = app.command(&access, command, false).await?;
    app.read(move |_, reader| {
        let mut profile = |id: &IdentifierRef| find(reader, &access, &format!("{}:{}", id.kind, id.value));
        let a = profile(&a)?.to_string();
        let b = b.as_ref().map(profile).transpose()?.map(|id| id.to_string());
        Ok(Json(Resolved { offset, a, b }))
    })
    .await
}
