//! What people may ask for under privacy law: to be erased, and not to be let in again.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, Uri, header},
    response::{IntoResponse as _, Response},
};
use onefold_model::{Timestamp, command::Command};
use onefold_pipeline::suppression;
use onefold_state::{Value, schema};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    ApiError, App,
    caller::Caller,
    erasure::{self, ErasurePreview, RequestView, Signed},
    governance::approvals::Matter,
    preferences,
};

/// Who is meant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subjects {
    /// Identifiers: e-mail addresses, phone numbers with `+`, user ids, `kind:value`, profile ids; at most 10,000.
    pub identifiers: Vec<String>,
}

/// People of one erasure at most.
const SUBJECTS_MAX: usize = 10_000;

impl Subjects {
    fn check(self) -> Result<Vec<String>, ApiError> {
        if self.identifiers.is_empty() || self.identifiers.len() > SUBJECTS_MAX {
            let cause = format!("there are {} identifiers, not from 1 to {SUBJECTS_MAX}", self.identifiers.len());
            return Err(ApiError::bad_request(
                "bad_subjects",
                cause,
                "name the people, in several requests if need be",
            ));
        }
        Ok(self.identifiers)
    }
}

/// Who would be erased: all identifiers of each person, their households, and the destinations that would be told.
#[utoipa::path(post, path = "/api/v1/privacy/erasures/preview", request_body = Subjects, responses((status = 200, body = ErasurePreview)))]
pub async fn preview(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(subjects): Json<Subjects>,
) -> Result<Json<ErasurePreview>, ApiError> {
    let texts = subjects.check()?;
    app.read(move |app, reader| app.preview_erasure(reader, &access, &texts)).await.map(Json)
}

/// Erase people, for good, and keep them out. Answers when it is done; one that is cut short goes on at the next start.
#[utoipa::path(post, path = "/api/v1/privacy/erasures", request_body = Subjects, responses((status = 200, body = RequestView)))]
pub async fn erase(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(subjects): Json<Subjects>,
) -> Result<Json<RequestView>, ApiError> {
    let texts = subjects.check()?;
    let summary = format!("to erase {} people", texts.len());
    app.approved(&access, Matter::Erasures, texts.len() as u64, summary, &texts).await?;
    // It goes on where the caller does not wait.
    let erasing = tokio::spawn(async move { app.erase(&access, texts).await });
    erasing.await.map_err(|error| ApiError::internal(error.to_string()))?.map(Json)
}

/// Who asks.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// An identifier.
    pub identifier: String,
}

/// Everything that is held of a person, for the person: a ZIP of JSON and CSV. Who is given it must have been identified before.
#[utoipa::path(post, path = "/api/v1/privacy/access", request_body = Subject, responses((status = 200, body = Vec<u8>, content_type = "application/zip"), (status = 404, body = ApiError)))]
pub async fn access(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(subject): Json<Subject>,
) -> Result<Response, ApiError> {
    let zip = app
        .read(move |app, reader| {
            let definitions = app.definitions(reader, access.workspace)?;
            app.subject_zip(reader, &access, &definitions, &subject.identifier)
        })
        .await?;
    Ok(([(header::CONTENT_TYPE, "application/zip")], zip).into_response())
}

/// Whose link, and what for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkFor {
    /// An identifier of the person.
    pub identifier: String,
    /// What the unsubscribe is about; absent: everything.
    #[serde(default)]
    pub purpose: Option<String>,
    /// By which channel.
    #[serde(default)]
    pub channel: Option<String>,
    /// For how many days it is good; 90 if not said.
    #[serde(default)]
    pub days: Option<u32>,
}

/// Links for a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinksMade {
    /// The person's preference centre.
    pub url: String,
    /// Where one click unsubscribes.
    pub unsubscribe_url: String,
    /// The headers of an e-mail that has it (RFC 2369, RFC 8058).
    pub headers: std::collections::BTreeMap<&'static str, String>,
    /// Until when they are good.
    pub expires: String,
}

/// A signed link to a person's preference centre, and one to unsubscribe. Whoever has it is taken for the person.
#[utoipa::path(post, path = "/api/v1/privacy/links", request_body = LinkFor, responses((status = 200, body = LinksMade), (status = 404, body = ApiError)))]
pub async fn link(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    uri: Uri,
    headers: HeaderMap,
    Json(asked): Json<LinkFor>,
) -> Result<Json<LinksMade>, ApiError> {
    let days = asked.days.unwrap_or(preferences::DAYS);
    if !(1..=preferences::DAYS_MAX).contains(&days) {
        let cause = format!("a link is good for 1 to {} days, not for {days}", preferences::DAYS_MAX);
        return Err(ApiError::bad_request("bad_days", cause, "give another number of days"));
    }
    let (scheme, host) = app.ingest.address(&uri, &headers);
    let of = asked.purpose.map(|purpose| (purpose, asked.channel));
    let paths = app.block(move |app| app.preference_link(&access, &asked.identifier, of, days)).await?;
    let url = |path: &str| format!("{scheme}://{host}{path}");
    let unsubscribe_url = url(&paths.unsubscribe);
    let headers = [
        ("List-Unsubscribe", format!("<{unsubscribe_url}>")),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()),
    ];
    let (url, expires) = (url(&paths.page), paths.expires.to_string());
    Ok(Json(LinksMade { url, unsubscribe_url, headers: headers.into(), expires }))
}

/// What was asked for, the newest first.
#[utoipa::path(get, path = "/api/v1/privacy/requests", responses((status = 200, body = [RequestView])))]
pub async fn requests(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Vec<RequestView>>, ApiError> {
    app.read(move |_, reader| erasure::list(reader, access.workspace)).await.map(Json)
}

/// A request, and how far it is.
#[utoipa::path(get, path = "/api/v1/privacy/requests/{id}", responses((status = 200, body = RequestView), (status = 404, body = ApiError)))]
pub async fn request(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(id): Path<String>,
) -> Result<Json<RequestView>, ApiError> {
    app.read(move |_, reader| erasure::show(reader, access.workspace, &id)).await.map(Json)
}

/// Whether a receipt is genuine.
#[derive(Debug, Serialize, ToSchema)]
pub struct Genuine {
    /// Whether the signature is right.
    pub signed: bool,
    /// Whether it was made by this workspace.
    pub ours: bool,
}

/// Check a receipt's signature, and that this workspace made it.
#[utoipa::path(post, path = "/api/v1/privacy/receipts/check", request_body = Signed, responses((status = 200, body = Genuine)))]
pub async fn check_receipt(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(signed): Json<Signed>,
) -> Result<Json<Genuine>, ApiError> {
    app.read(move |_, reader| {
        let is_signed = erasure::is_signed(&signed);
        let ours = erasure::public_key(reader, access.workspace)?;
        Ok(Json(Genuine { signed: is_signed, ours: is_signed && ours.as_ref() == Some(&signed.public_key) }))
    })
    .await
}

/// Whether an identifier is kept out.
#[derive(Debug, Serialize, ToSchema)]
pub struct SuppressionView {
    /// As `kind:value`, in its normal form.
    pub identifier: String,
    /// Whether events about it are not let in.
    pub suppressed: bool,
    /// Since when it is on the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// By which request it came on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// Which identifier.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// The identifier.
    pub identifier: String,
}

/// Whether somebody is kept out. The list itself cannot be read: it holds no identifiers.
#[utoipa::path(get, path = "/api/v1/privacy/suppressions", params(Asked), responses((status = 200, body = SuppressionView)))]
pub async fn suppression(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<SuppressionView>, ApiError> {
    app.read(move |app, reader| {
        let one = erasure::identifier(&asked.identifier)?;
        let list = app.definitions(reader, access.workspace)?.suppressed.clone();
        let hash = list.digest(&one.kind, &one.value);
        let key = |hash| vec![Value::Int(access.workspace.0.into()), Value::Text(suppression::written(&hash))];
        let row = hash.map(|hash| reader.get(&schema::SUPPRESSED, &[key(hash)])).transpose()?;
        let row = row.and_then(|mut rows| rows.pop().flatten());
        Ok(Json(SuppressionView {
            suppressed: list.holds(&one.kind, &one.value),
            identifier: format!("{}:{}", one.kind, one.value),
            since: row.as_ref().map(|row| row[3].as_int()).transpose()?.map(|at| Timestamp(at).to_string()),
            request: row.as_ref().map(|row| row[4].as_text()).transpose()?.map(str::to_owned),
        }))
    })
    .await
}

/// Keep somebody out from now on, without erasing what is there.
#[utoipa::path(post, path = "/api/v1/privacy/suppressions", request_body = Subjects, responses((status = 200, body = super::Done)))]
pub async fn suppress(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(subjects): Json<Subjects>,
) -> Result<Json<super::Done>, ApiError> {
    change(&app, &access, subjects.check()?, false).await
}

/// Let somebody in again who asked for it: events from now on count, what the log has from before does not.
#[utoipa::path(post, path = "/api/v1/privacy/suppressions/lift", request_body = Subjects, responses((status = 200, body = super::Done)))]
pub async fn lift(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(subjects): Json<Subjects>,
) -> Result<Json<super::Done>, ApiError> {
    change(&app, &access, subjects.check()?, true).await
}

async fn change(
    app: &Arc<App>,
    access: &onefold_model::access::Access,
    texts: Vec<String>,
    lift: bool,
) -> Result<Json<super::Done>, ApiError> {
    let theirs = access.clone();
    app.block(move |app| {
        let workspace = theirs.workspace;
        let mut txn = app.store.begin_shared()?;
        suppression::make_secret(&mut *txn, workspace, &*app.rng)?;
        let list = suppression::Suppressed::load(&mut *txn, workspace)?;
        let end = app.log.end(workspace.partition(app.log.partitions()))?;
        let mut rows = vec![];
        for text in &texts {
            let one = erasure::identifier(text)?;
            let Some(hash) = list.digest(&one.kind, &one.value) else { continue };
            if lift && !list.holds(&one.kind, &one.value) {
                let cure = "look with `onefold privacy suppressed`";
                return Err(ApiError::not_found("identifier on the suppression list", text, cure));
            }
            let why = if lift { "lifted" } else { "suppressed" };
            let mut row = suppression::row(workspace, &hash, app.clock.now(), why, end, lift);
            if lift {
                row[2] = Value::uint(end);
            }
            rows.push(row);
        }
        txn.put(&schema::SUPPRESSED, rows)?;
        Ok(txn.commit()?)
    })
    .await?;
    app.command(access, Command::Suppression, false).await?;
    app.open_doors(access.workspace).await?;
    Ok(super::done())
}
