//! Sources: where events come from, each with a write key.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use onefold_model::{access::Access, rng};
use onefold_pipeline::views;
use onefold_state::{Reader, Scan, Value, schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{ApiError, App, audit, caller::Caller, ingest::sources::KeyHash};

/// A source.
#[derive(Debug, Serialize, ToSchema)]
pub struct SourceView {
    /// Its name.
    pub name: String,
    /// `http`, `webhook`, `import`, …
    pub kind: String,
    /// Whether it takes events.
    pub enabled: bool,
    /// The last four characters of its write key.
    pub key_hint: String,
    /// When it was made.
    pub created_at: String,
    /// Its configuration.
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
}

/// A source to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewSource {
    /// Its name.
    pub name: String,
    /// `http` if not said.
    #[serde(default)]
    pub kind: Option<String>,
    /// Its configuration: for webhooks `mapping`; see docs/ingest.md.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub config: Option<serde_json::Value>,
}

/// A source that was made. The write key is shown this once; only its hash is kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeSource {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its write key.
    pub write_key: String,
}

/// A change of a source.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangeSource {
    /// Whether it takes events.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Its configuration.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub config: Option<serde_json::Value>,
}

/// The number of the source of this name.
pub(crate) fn number(reader: &mut dyn Reader, access: &Access, name: &str) -> Result<u32, ApiError> {
    let found = views::sources(reader, access)?.into_iter().find(|(_, known)| known == name);
    let number = found.map(|(number, _)| number);
    number.ok_or_else(|| ApiError::not_found("source", name, "list them with `onefold source list`"))
}

/// The workspace's sources.
#[utoipa::path(get, path = "/api/v1/sources", responses((status = 200, body = [SourceView])))]
pub async fn list(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Vec<SourceView>>, ApiError> {
    app.read(move |_, reader| {
        let own = vec![Value::Int(access.workspace.0.into())];
        let rows = reader.scan(&Scan::prefix(&schema::SOURCE, own, usize::MAX))?;
        let view = |row: Vec<Value>| {
            Ok(SourceView {
                name: row[2].as_text()?.to_owned(),
                kind: row[3].as_text()?.to_owned(),
                enabled: row[6].as_int()? != 0,
                key_hint: row[5].as_text()?.to_owned(),
                created_at: onefold_model::Timestamp(row[7].as_int()?).to_string(),
                config: serde_json::from_str(row[8].as_text()?).unwrap_or_default(),
            })
        };
        rows.into_iter().map(view).collect::<Result<Vec<_>, ApiError>>().map(Json)
    })
    .await
}

/// Make a source.
#[utoipa::path(post, path = "/api/v1/sources", request_body = NewSource, responses((status = 200, body = MadeSource)))]
pub async fn add(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(new): Json<NewSource>,
) -> Result<Json<MadeSource>, ApiError> {
    app.block(move |app| {
        let kind = new.kind.as_deref().unwrap_or("http");
        crate::app::check_name("kind of source", kind)?;
        let config = new.config.map_or_else(|| "{}".to_owned(), |config| config.to_string());
        let (source, write_key) = app.add_source(access.workspace, &new.name, kind, &config)?;
        audit::changed("source", &source.name, &(), &json!({ "kind": kind, "config": config }));
        Ok(Json(MadeSource { name: source.name, kind: source.kind, write_key }))
    })
    .await
}

/// Change a source: pause it, let it go on, configure it.
#[utoipa::path(patch, path = "/api/v1/sources/{name}", request_body = ChangeSource, responses((status = 200, body = super::Done)))]
pub async fn change(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
    Json(change): Json<ChangeSource>,
) -> Result<Json<super::Done>, ApiError> {
    app.block(move |app| {
        app.change_source(access.workspace, &name, &|row| {
            let view = |row: &[Value]| json!({ "enabled": row[6].as_int().ok(), "config": row[8].as_text().ok() });
            let before = view(row);
            if let Some(enabled) = change.enabled {
                row[6] = Value::Int(enabled.into());
            }
            if let Some(config) = &change.config {
                row[8] = Value::Text(config.to_string());
            }
            audit::changed("source", &name, &before, &view(row));
        })
    })
    .await?;
    Ok(super::done())
}

/// Revoke a source's write key and give it a new one.
#[utoipa::path(post, path = "/api/v1/sources/{name}/key", responses((status = 200, body = MadeSource)))]
pub async fn rotate(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
) -> Result<Json<MadeSource>, ApiError> {
    app.block(move |app| {
        let write_key = rng::hex(&*app.rng, 16);
        let source = app.change_source(access.workspace, &name, &|row| {
            row[4] = Value::Bytes(KeyHash::of(&write_key).0.to_vec());
            row[5] = Value::Text(write_key[write_key.len() - 4..].to_owned());
        })?;
        Ok(Json(MadeSource { name: source.name, kind: source.kind, write_key }))
    })
    .await
}
