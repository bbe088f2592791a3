//! The audit log: read, checked, its head taken along.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    ApiError, App,
    audit::{self, Checked, EntryView, Head},
    caller::Caller,
};

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Entries before this number; absent: the newest.
    pub before: Option<i64>,
    /// Of this caller: `operator`, `user:7`, `key:3`.
    pub caller: Option<String>,
    /// At most so many, 100 if not said, 10,000 at the most.
    pub limit: Option<usize>,
}

/// Who read people's data in bulk, changed something, or was refused: the newest first.
#[utoipa::path(get, path = "/api/v1/audit", params(AuditQuery), responses((status = 200, body = [EntryView])))]
pub async fn list(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Vec<EntryView>>, ApiError> {
    app.read(move |_, reader| {
        let limit = query.limit.unwrap_or(100).clamp(1, 10_000);
        audit::list(reader, access.workspace, query.before, query.caller.as_deref(), limit).map(Json)
    })
    .await
}

/// The head of the audit log's tree, signed now. Kept elsewhere, it shows later that no entry up to it was changed or cut off.
#[utoipa::path(get, path = "/api/v1/audit/head", responses((status = 200, body = Head)))]
pub async fn head(State(app): State<Arc<App>>) -> Result<Json<Head>, ApiError> {
    app.read(|app, reader| app.audit_head(reader).map(Json)).await
}

/// What to hold the audit log against.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// A head that was kept elsewhere, besides the last one.
    #[serde(default)]
    pub head: Option<Head>,
}

/// Check that the audit log is what was written: no entry changed, missing, swapped or cut off.
#[utoipa::path(post, path = "/api/v1/audit/check", request_body = Check, responses((status = 200, body = Checked)))]
pub async fn check(State(app): State<Arc<App>>, Json(Check { head }): Json<Check>) -> Result<Json<Checked>, ApiError> {
    app.read(move |app, reader| app.check_audit(reader, head.as_ref()).map(Json)).await
}
