//! Profiles: found by any identifier, shown, listed, merged and unmerged.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use onefold_model::{
    ProfileId,
    access::Access,
    command::{Command, IdentifierRef},
    identity::normalise::normalise,
};
use onefold_pipeline::views::{self, Member, ProfileView, TimelineEvent};
use onefold_state::Reader;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Page;
use crate::{ApiError, App, caller::Caller};

/// Finds a profile or says how one is found.
pub(crate) fn find(reader: &mut dyn Reader, access: &Access, identifier: &str) -> Result<ProfileId, ApiError> {
    views::find(reader, access, identifier)?.ok_or_else(|| {
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
        Ok(Json(views::profiles(reader, &access, after, page.limit())?))
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
        view.map(Json)
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
        Ok(Json(views::timeline(reader, &*app.log, &access, id, before, limit)?))
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
fn identifier(reader: &mut dyn Reader, access: &Access, text: &str) -> Result<IdentifierRef, ApiError> {
    let mut tried: Vec<(String, String)> =
        text.split_once(':').map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect();
    for kind in views::kinds(reader, access)? {
        tried.push((kind, text.to_owned()));
    }
    for (kind, value) in tried {
        let Some(value) = normalise(&kind, &value).map(|value| value.into_owned()) else { continue };
        if views::find(reader, access, &format!("{kind}:{value}"))?.is_some() {
            return Ok(IdentifierRef { kind, value });
        }
    }
    Err(ApiError::not_found("identifier", text, "give it as `kind:value`, as `onefold profile show` lists it"))
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
