//! Backups of the whole folder.

use std::sync::Arc;

use axum::{Json, extract::State};

use crate::{ApiError, App, backup::BackupView};

/// Make a backup now, at the place that the settings name. Answers when it is there.
#[utoipa::path(post, path = "/api/v1/backups", responses((status = 200, body = BackupView)))]
pub async fn make(State(app): State<Arc<App>>) -> Result<Json<BackupView>, ApiError> {
    // It goes on where the caller does not wait, so that nothing of it is left lying about.
    let making = tokio::spawn(async move { app.back_up().await });
    making.await.map_err(|error| ApiError::internal(error.to_string()))?.map(Json)
}

/// The backups that there are, the newest first.
#[utoipa::path(get, path = "/api/v1/backups", responses((status = 200, body = Vec<BackupView>)))]
pub async fn list(State(app): State<Arc<App>>) -> Result<Json<Vec<BackupView>>, ApiError> {
    app.list_backups().await.map(Json)
}
