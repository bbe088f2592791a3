//! What SDKs ask for before they send: Segment's settings, RudderStack's source configuration, the browser SDK itself;
//! and the small routes around them.
//!
//! The documents say "send to this server, to no other destination, and measure nothing".

use std::{
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use axum::{
    Json,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use serde_json::{Value, json};

use super::{Ingest, answer, auth, body};

/// `GET /v1/projects/{write_key}/settings`. A browser SDK that gets no 2xx here sends nothing.
pub(super) async fn settings(
    State(ingest): State<Arc<Ingest>>,
    Path(write_key): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if let Err(error) = auth::source(&ingest, &write_key) {
        return error.into_response();
    }
    let (protocol, host) = address(ingest.settings.public_url.as_deref(), &uri, &headers);
    let on = json!({ "__default": { "enabled": true, "integrations": {} } });
    let document = json!({
        "integrations": {
            "Segment.io": {
                "apiKey": write_key,
                "apiHost": format!("{host}/v1"),
                "protocol": protocol,
                "addBundledMetadata": true,
                "unbundledIntegrations": [],
                "maybeBundledConfigIds": {},
            },
        },
        "plan": { "track": on, "identify": on, "group": on },
        "middlewareSettings": { "routingRules": [] },
        "enabledMiddleware": {},
        "metrics": { "sampleRate": 0 },
        "remotePlugins": [],
        "legacyVideoPluginsEnabled": false,
        "edgeFunction": {},
        // With no unmapped destination and no category, the consent wrapper would hold back every event.
        "consentSettings": { "allCategories": [], "hasUnmappedDestinations": true },
    });
    // It depends on the address that was asked, so no shared cache may keep it.
    ([(header::CACHE_CONTROL, "private, max-age=60")], Json(document)).into_response()
}

/// `GET /.well-known/gpc.json`: that Global Privacy Control is honoured here (its specification, section 4).
pub(super) async fn privacy_control() -> Json<Value> {
    Json(json!({ "gpc": true, "lastUpdate": "2026-11-23" }))
}

/// The scheme, and the host with its port, by which the sender reaches this server.
pub(super) fn address(public_url: Option<&str>, uri: &Uri, headers: &HeaderMap) -> (String, String) {
    if let Some((scheme, host)) = public_url.and_then(|url| url.trim_end_matches('/').split_once("://")) {
        return (scheme.to_owned(), host.to_owned());
    }
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let plain = |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b));
    let host = text("host").or(uri.authority().map(|a| a.as_str())).filter(plain).unwrap_or("localhost");
    let scheme = if text("x-forwarded-proto") == Some("https") { "https" } else { "http" };
    (scheme.to_owned(), host.to_owned())
}

/// `GET /sourceConfig`, and `HEAD /sourceConfig?view=ad`, by which RudderStack's SDK finds out about ad blockers.
pub(super) async fn source_config(State(ingest): State<Arc<Ingest>>, request: Request) -> Response {
    let ad_view = auth::query(request.uri()).any(|(name, value)| name == "view" && value == "ad");
    if request.method() == Method::HEAD && ad_view {
        return StatusCode::NO_CONTENT.into_response();
    }
    let message = |status, text| (status, Json(json!({ "message": text }))).into_response();
    let Some(write_key) = auth::basic_key(request.headers()) else {
        return message(StatusCode::UNAUTHORIZED, "Writekey not found in basic auth");
    };
    let Some(source) = ingest.sources.get_by_key(&write_key) else {
        return message(StatusCode::BAD_REQUEST, "Invalid write key");
    };
    let updated_at = source.updated_at.to_string();
    Json(json!({
        "source": {
            "id": source.id.to_string(),
            "name": source.name,
            "workspaceId": source.workspace.0.to_string(),
            "writeKey": write_key,
            "enabled": source.enabled,
            "dataplanes": {},
            "config": { "statsCollection": { "errors": { "enabled": false }, "metrics": { "enabled": false } } },
            "destinations": [],
            "updatedAt": updated_at,
        },
        "updatedAt": updated_at,
    }))
    .into_response()
}

/// `GET /analytics.js/v1/{write_key}/analytics.min.js`: the stock build, with the write key where Segment's CDN puts it.
pub(super) async fn analytics_js(State(ingest): State<Arc<Ingest>>, Path(write_key): Path<String>) -> Response {
    let Some(script) = script(&ingest, "standalone.js").await else { return not_installed() };
    // The key stands in a script: only what cannot end its string goes there.
    let safe = write_key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let script = if safe { script.replace("__WRITE_KEY__", &write_key) } else { script };
    javascript(script, "public, max-age=300")
}

/// `GET /analytics-next/bundles/{file}`: the parts that the stock build loads when it needs them. Their names hold a hash.
pub(super) async fn analytics_js_bundle(State(ingest): State<Arc<Ingest>>, Path(file): Path<String>) -> Response {
    let plain = file.ends_with(".js") && file.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
    match if plain { script(&ingest, &file).await } else { None } {
        Some(script) => javascript(script, "public, max-age=31536000, immutable"),
        None => not_installed(),
    }
}

async fn script(ingest: &Ingest, name: &str) -> Option<String> {
    let path: PathBuf = ingest.settings.sdk_folder.as_deref()?.join(FilePath::new(name));
    tokio::fs::read_to_string(path).await.ok()
}

fn javascript(script: String, cache: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/javascript; charset=utf-8"), (header::CACHE_CONTROL, cache)];
    (headers, script).into_response()
}

fn not_installed() -> Response {
    let message =
        "the stock build of @segment/analytics-next is not in the SDK folder: run `make sdk`, which puts it there";
    (StatusCode::NOT_FOUND, Json(json!({ "code": "sdk_not_installed", "message": message }))).into_response()
}

/// `POST /v1/m`, `POST /rsaMetrics`: what the SDKs measure about themselves, read and forgotten.
pub(super) async fn nothing_measured(State(ingest): State<Arc<Ingest>>, request: Request) -> Response {
    let segment = !request.uri().path().contains("rsaMetrics");
    body::drain(request.into_body(), &ingest.settings).await;
    if segment { answer::success() } else { answer::json("{}") }
}

/// `GET /health`, as RudderStack's SDKs and operators ask it: the server answers.
pub(super) async fn health() -> Json<Value> {
    Json(json!({ "appType": "ONEFOLD", "server": "UP" }))
}

/// `GET /version`.
pub(super) async fn version() -> Json<Value> {
    Json(json!({ "Version": env!("CARGO_PKG_VERSION") }))
}

/// `GET /`: a sentence; for a browser, the console.
pub(super) async fn root(headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accepts.is_some_and(|accepts| accepts.contains("text/html")) {
        return Redirect::temporary("/console/").into_response();
    }
    "Onefold is running. Send events to /v1/batch.\n".into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_configured_one_or_the_one_that_was_asked() {
        let check = |public_url, headers: &[(&'static str, &'static str)], expect| {
            let headers = headers.iter().map(|(n, v)| (n.parse().unwrap(), HeaderValue::from_static(v))).collect();
            let (scheme, host) = address(public_url, &Uri::from_static("/"), &headers);
            assert_eq!(format!("{scheme} {host}"), expect);
        };
        check(None, &[("host", "127.0.0.1:8080")], "http 127.0.0.1:8080");
        check(None, &[("host", "e.example.com"), ("x-forwarded-proto", "https")], "https e.example.com");
        check(None, &[("host", "[::1]:8080"), ("x-forwarded-proto", "javascript")], "http [::1]:8080");
        check(None, &[("host", "a\"b")], "http localhost");
        check(None, &[], "http localhost");
        check(Some("https://e.example.com/x/"), &[("host", "h")], "https e.example.com/x");
    }
}
