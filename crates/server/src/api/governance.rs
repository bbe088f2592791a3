//! How the house governs what it holds: settings, approvals, the data directory, retention, reports.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    ApiError, App,
    caller::{Caller, Whoever},
    governance::{
        approvals::{self, Approval},
        catalog::Directory,
        reports::{Exposure, Record},
        retention::{Expired, Retained},
    },
};

/// A setting: `collection`, `approvals`, `catalog` or `retention`; see docs/governance.md.
#[utoipa::path(get, path = "/api/v1/governance/{name}", responses((status = 200, body = Object), (status = 404, body = ApiError)))]
pub async fn show(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
) -> Result<Json<serde_json::Value>, ApiError> {
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        app.show_governed(&definitions, &name).map(Json)
    })
    .await
}

/// Set it, from now on.
#[utoipa::path(put, path = "/api/v1/governance/{name}", request_body = Object, responses((status = 200, body = super::Done), (status = 400, body = ApiError)))]
pub async fn set(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
    Json(value): Json<serde_json::Value>,
) -> Result<Json<super::Done>, ApiError> {
    app.govern(&access, name, value).await?;
    Ok(super::done())
}

/// The approvals that were asked for, the newest first.
#[utoipa::path(get, path = "/api/v1/approvals", responses((status = 200, body = [Approval])))]
pub async fn approvals(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Vec<Approval>>, ApiError> {
    app.read(move |_, reader| approvals::list(reader, access.workspace, access.at).map(Json)).await
}

/// A decision about an approval.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Whether it may be done.
    pub approve: bool,
    /// Why.
    pub why: String,
}

/// Approve or reject what somebody else wants to do.
#[utoipa::path(post, path = "/api/v1/approvals/{id}", request_body = Decision, responses((status = 200, body = Approval), (status = 403, body = ApiError), (status = 409, body = ApiError)))]
pub async fn vote(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Whoever(identity): Whoever,
    Path(id): Path<String>,
    Json(Decision { approve, why }): Json<Decision>,
) -> Result<Json<Approval>, ApiError> {
    app.vote(&access, identity, id, approve, why).await.map(Json)
}

/// Which part of the directory.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// Only fields that go nowhere.
    #[serde(default)]
    pub unused: bool,
    /// Only fields of this name and its parts.
    pub field: Option<String>,
}

/// The data directory: every source and field, who answers for it, what it holds, what it is for, and where it goes.
#[utoipa::path(get, path = "/api/v1/catalog", params(Part), responses((status = 200, body = Directory)))]
pub async fn catalog(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(part): Query<Part>,
) -> Result<Json<Directory>, ApiError> {
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        let mut directory = app.directory(reader, &definitions)?;
        let is_part =
            |name: &str, of: &str| name == of || name.strip_prefix(of).is_some_and(|rest| rest.starts_with('.'));
        directory.fields.retain(|entry| {
            (!part.unused || entry.unused) && part.field.as_ref().is_none_or(|of| is_part(&entry.name, of))
        });
        Ok(Json(directory))
    })
    .await
}

/// What is kept too long, and would go.
#[utoipa::path(get, path = "/api/v1/retention", responses((status = 200, body = [Expired])))]
pub async fn retention(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Vec<Expired>>, ApiError> {
    app.preview_retention(&access).await.map(Json)
}

/// Take out what is kept too long, now. It is done once a day by itself.
#[utoipa::path(post, path = "/api/v1/retention", responses((status = 200, body = Retained)))]
pub async fn retain(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Retained>, ApiError> {
    // It goes on where the caller does not wait.
    let retaining = tokio::spawn(async move { app.retain(&access).await });
    retaining.await.map_err(|error| ApiError::internal(error.to_string()))?.map(Json)
}

/// The record of processing activities (GDPR, Article 30).
#[utoipa::path(get, path = "/api/v1/reports/processing", responses((status = 200, body = Record)))]
pub async fn processing(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Record>, ApiError> {
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        app.record_of_processing(reader, &definitions).map(Json)
    })
    .await
}

/// Which destination, and when.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct When {
    /// The destination.
    pub destination: String,
    /// From then on; ISO 8601.
    pub from: String,
    /// Until then; now, if not said.
    pub to: Option<String>,
}

/// Who was exposed to a destination in a time: what has to be known when it was breached (GDPR, Articles 33 and 34).
#[utoipa::path(get, path = "/api/v1/reports/exposure", params(When), responses((status = 200, body = Exposure)))]
pub async fn exposure(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(when): Query<When>,
) -> Result<Json<Exposure>, ApiError> {
    let from = super::instant(&when.from)?;
    let to = when.to.as_deref().map(super::instant).transpose()?.unwrap_or(access.at);
    app.read(move |app, reader| app.exposure(reader, &access, &when.destination, from, to).map(Json)).await
}
