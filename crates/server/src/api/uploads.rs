//! Files that are brought to the server to be imported.

use std::{io::Write as _, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
};
use futures_util::StreamExt as _;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    ApiError, App,
    caller::Caller,
    uploads::{Progress, Tried, View},
};

/// Bytes of a file, at the most: larger ones are read where they are, by `onefold import`.
const FILE_BYTES_MAX: u64 = 16 << 30;
/// Bytes that are written at a time.
const WRITTEN_AT_ONCE: usize = 4 << 20;

/// A file's name.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UploadQuery {
    /// Its name: its end tells the format, and rows that were refused are kept under it.
    pub file: String,
}

/// How a file's rows become events.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadImport {
    /// The source that they come from.
    pub source: String,
    /// The mapping, as docs/import.md describes it, in JSON.
    #[schema(value_type = Object)]
    pub mapping: serde_json::Value,
    /// Whether a row is known by its content, and not by its place in this file: for exports that grow.
    #[serde(default)]
    pub incremental: bool,
}

/// Bring a file to be imported: its bytes as they are, in any of the formats of docs/import.md. It is kept for a day.
#[utoipa::path(post, path = "/api/v1/uploads", params(UploadQuery), request_body(content = String, content_type = "application/octet-stream"), responses((status = 200, body = View), (status = 400, body = ApiError)))]
pub async fn add(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(UploadQuery { file: name }): Query<UploadQuery>,
    body: Body,
) -> Result<Json<View>, ApiError> {
    let full = |error: std::io::Error| ApiError::internal(format!("the file could not be kept: {error}"));
    let named = name.clone();
    let (mut file, path) = app.block(move |app| app.new_upload(&named).map_err(full)).await?;
    let mut pieces = body.into_data_stream();
    let (mut waiting, mut bytes) = (Vec::new(), 0_u64);
    loop {
        let piece = pieces.next().await;
        let is_last = piece.is_none();
        if let Some(piece) = piece {
            let cut = |error: axum::Error| ApiError::bad_request("cut_off", error.to_string(), "send the file again");
            let piece = piece.map_err(cut)?;
            bytes += piece.len() as u64;
            if bytes > FILE_BYTES_MAX {
                let cure = "import it with `onefold import`, which reads it where it is";
                return Err(ApiError::bad_request("too_large", "the file has more than 16 GiB", cure));
            }
            waiting.extend_from_slice(&piece);
        }
        if is_last || waiting.len() >= WRITTEN_AT_ONCE {
            let writing = std::mem::take(&mut waiting);
            file = app
                .block(move |_| {
                    file.write_all(&writing).map_err(full)?;
                    Ok(file)
                })
                .await?;
        }
        if is_last {
            break;
        }
    }
    let kept = app
        .block(move |app| {
            let kept = app.keep_upload(&access, name, path)?;
            let found = kept.look();
            if found.is_err() {
                app.drop_upload(&access, &kept.id)?;
            }
            found
        })
        .await?;
    app.drop_upload_in_time();
    Ok(Json(kept))
}

/// Try a mapping: the first events that it makes of the file. Nothing is imported.
#[utoipa::path(post, path = "/api/v1/uploads/{id}/try", request_body = UploadImport, responses((status = 200, body = Tried), (status = 400, body = ApiError), (status = 404, body = ApiError)))]
pub async fn attempt(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Json(asked): Json<UploadImport>,
) -> Result<Json<Tried>, ApiError> {
    let upload = app.upload(&access, &id)?;
    app.block(move |_| upload.attempt(&asked.source, &asked.mapping)).await.map(Json)
}

/// Begin to import the file. A row that was imported before counts once, also after an import that was cut short.
#[utoipa::path(post, path = "/api/v1/uploads/{id}/import", request_body = UploadImport, responses((status = 200, body = Progress), (status = 400, body = ApiError), (status = 404, body = ApiError)))]
pub async fn begin(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(id): Path<String>,
    Json(asked): Json<UploadImport>,
) -> Result<Json<Progress>, ApiError> {
    let upload = app.upload(&access, &id)?;
    app.begin_import(access, upload.clone(), asked.source, &asked.mapping, asked.incremental).await?;
    Ok(Json(upload.progress()))
}

/// How far the import of a file is.
#[utoipa::path(get, path = "/api/v1/uploads/{id}", responses((status = 200, body = Progress), (status = 404, body = ApiError)))]
pub async fn show(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(id): Path<String>,
) -> Result<Json<Progress>, ApiError> {
    Ok(Json(app.upload(&access, &id)?.progress()))
}

/// Drop the file. What was imported of it stays; an import that runs ends where it is.
#[utoipa::path(delete, path = "/api/v1/uploads/{id}", responses((status = 200, body = super::Done), (status = 404, body = ApiError)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(id): Path<String>,
) -> Result<Json<super::Done>, ApiError> {
    app.drop_upload(&access, &id)?;
    Ok(super::done())
}
