//! What people ask for under privacy law, and how far that is.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    response::Response,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    ApiError, App,
    caller::Caller,
    requests::{self, Asked, CaseView, KindStatistics, zip_response},
};

/// Which requests.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Only those in this state; `open`: all that are not closed; `overdue`.
    pub status: Option<String>,
}

/// The requests, the newest first.
#[utoipa::path(get, path = "/api/v1/requests", params(Which), responses((status = 200, body = [CaseView])))]
pub async fn list(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(which): Query<Which>,
) -> Result<Json<Vec<CaseView>>, ApiError> {
    let cases = app.read(move |_, reader| requests::list(reader, access.workspace)).await?;
    let fits = |case: &requests::Case| match which.status.as_deref() {
        None => true,
        Some("open") => !case.status.is_final(),
        Some("overdue") => case.is_overdue(access.at),
        Some(status) => case.status.name() == status,
    };
    Ok(Json(cases.into_iter().filter(fits).map(|case| case.view(access.at)).collect()))
}

/// Enter a request. Nothing is carried out yet.
#[utoipa::path(post, path = "/api/v1/requests", request_body = Asked, responses((status = 200, body = CaseView), (status = 400, body = ApiError)))]
pub async fn enter(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(asked): Json<Asked>,
) -> Result<Json<CaseView>, ApiError> {
    let case = app.open_request(&access, asked, None, None).await?;
    Ok(Json(case.view(access.at)))
}

/// A request, and, while it is open, whether more than the one who asks may be meant.
#[utoipa::path(get, path = "/api/v1/requests/{id}", responses((status = 200, body = CaseView), (status = 404, body = ApiError)))]
pub async fn show(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(id): Path<String>,
) -> Result<Json<CaseView>, ApiError> {
    app.read(move |app, reader| {
        let case = requests::find(reader, access.workspace, &id)?;
        let warning = match case.status.is_final() {
            true => None,
            false => app.preview_erasure(reader, &access, &case.identifiers)?.warning(),
        };
        Ok(Json(CaseView { warning, ..case.view(access.at) }))
    })
    .await
}

/// How.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Reason)]
pub struct Why {
    /// In words: how the person was identified; why it takes longer; why it is not done.
    pub why: String,
}

/// Say how the person who asks was identified.
#[utoipa::path(post, path = "/api/v1/requests/{id}/verify", request_body = Why, responses((status = 200, body = CaseView), (status = 409, body = ApiError)))]
pub async fn verify(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Json(Why { why }): Json<Why>,
) -> Result<Json<CaseView>, ApiError> {
    Ok(Json(app.verify_request(&access, &id, why).await?.view(access.at)))
}

/// Extend the deadline, once, as the law allows.
#[utoipa::path(post, path = "/api/v1/requests/{id}/extend", request_body = Why, responses((status = 200, body = CaseView), (status = 409, body = ApiError)))]
pub async fn extend(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Json(Why { why }): Json<Why>,
) -> Result<Json<CaseView>, ApiError> {
    Ok(Json(app.extend_request(&access, &id, why).await?.view(access.at)))
}

/// End a request without carrying it out.
#[utoipa::path(post, path = "/api/v1/requests/{id}/cancel", request_body = Why, responses((status = 200, body = CaseView), (status = 409, body = ApiError)))]
pub async fn cancel(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Json(Why { why }): Json<Why>,
) -> Result<Json<CaseView>, ApiError> {
    Ok(Json(app.cancel_request(&access, &id, why).await?.view(access.at)))
}

/// Whether to go on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GoOn {
    /// Although more than one person may be meant.
    #[serde(default)]
    pub despite_warning: bool,
}

/// Carry a request out.
#[utoipa::path(post, path = "/api/v1/requests/{id}/carry-out", request_body = GoOn, responses((status = 200, body = CaseView), (status = 409, body = ApiError)))]
pub async fn carry_out(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Json(GoOn { despite_warning }): Json<GoOn>,
) -> Result<Json<CaseView>, ApiError> {
    let at = access.at;
    // It goes on where the caller does not wait.
    let carried = tokio::spawn(async move { app.carry_out_request(&access, &id, despite_warning).await });
    let case = carried.await.map_err(|error| ApiError::internal(error.to_string()))??;
    Ok(Json(case.view(at)))
}

/// The answer to a request for access or portability that was carried out: a ZIP of JSON and CSV.
#[utoipa::path(get, path = "/api/v1/requests/{id}/answer", responses((status = 200, body = Vec<u8>, content_type = "application/zip"), (status = 404, body = ApiError)))]
pub async fn answer(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (workspace, name) = (access.workspace, id.clone());
    let case = app.read(move |_, reader| requests::find(reader, workspace, &name)).await?;
    let cure = "only requests for access or portability have one, once they are carried out";
    let zip = app.request_answer(workspace, &case).await?;
    zip.map(zip_response).ok_or_else(|| ApiError::not_found("answer of the request", &id, cure))
}

/// How requests go: of each kind how many came, are open, late, done, and in how many days.
#[utoipa::path(get, path = "/api/v1/requests/statistics", responses((status = 200, body = [KindStatistics])))]
pub async fn statistics(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
) -> Result<Json<Vec<KindStatistics>>, ApiError> {
    let cases = app.read(move |_, reader| requests::list(reader, access.workspace)).await?;
    Ok(Json(requests::statistics(&cases, access.at)))
}
