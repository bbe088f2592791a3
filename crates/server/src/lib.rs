//! HTTP: both ingest dialects, the API, its description, the console, metrics and health.
//!
//! [`App`] holds the parts of a running Onefold; [`router`] is all it answers. The CLI speaks to the same router, through
//! a socket where a server runs on the data folder and directly where none does, so both give the same answers.

pub mod api;
pub mod app;
mod audit;
pub mod backup;
pub mod caller;
pub mod commands;
pub mod deadletters;
mod erasure;
mod error;
pub mod forms;
mod governance;
pub mod ingest;
pub mod lake;
mod linkage;
pub mod metrics;
mod people;
pub mod permission;
pub mod preferences;
pub mod requests;
mod subject;
pub mod suppression;
mod uploads;

use std::sync::Arc;

use axum::{Json, Router, http::StatusCode, response::Html, routing::get};

pub use app::{App, AppSettings, Components};
pub use error::ApiError;
pub use lake::{LakeComponents, LakeSettings, SqlGate};

/// Everything the server answers.
pub fn router(app: &Arc<App>) -> Router {
    let (api, mut description) = api::router(app.clone());
    let (public, of_public) = api::public(app.clone());
    description.merge(of_public);
    api::docs::name_operations(&mut description);
    let page = api::docs::render(&description);
    let guarded = Router::new()
        .merge(api)
        .route("/api/openapi.json", get(move || async move { Json(description) }))
        .route("/api/docs", get(move || async move { Html(page) }))
        .merge(metrics::router(app.clone()))
        .layer(axum::middleware::from_fn_with_state(app.clone(), caller::require_role));
    let ready = app.clone();
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(move || async move { readiness(&ready) }))
        .merge(onefold_console::router())
        .merge(guarded)
        .merge(public)
        .merge(people::page::router(app.clone()))
        .merge(preferences::router(app.clone()))
        .merge(requests::router(app.clone()))
        .merge(forms::router(app.clone()))
        .merge(ingest::router(app.ingest.clone()))
}

/// Ready: the pipelines run and the log takes events.
fn readiness(app: &App) -> (StatusCode, String) {
    match app.fault() {
        None => (StatusCode::OK, "ready".to_owned()),
        Some(fault) => (StatusCode::SERVICE_UNAVAILABLE, fault),
    }
}
