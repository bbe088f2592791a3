//! The console: a web app that is embedded and served under `/console/`.
//!
//! Files with a hash in their name never change, so browsers keep them for good; the page that names them is asked for
//! anew each time. Every path without a file is a page of the app, which finds its way by the address.

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use rust_embed::{Embed, EmbeddedFile};

/// What `build.rs` made.
#[derive(Embed)]
#[folder = "$OUT_DIR/app"]
struct App;

/// The page that every other begins with.
const PAGE: &str = "index.html";

/// Scripts come from here alone; styles may stand in elements, because editors and graphs place their parts so.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Files with a hash in their name, for a year.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

/// The console.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let page = async |headers: HeaderMap| serve(PAGE, &headers);
    Router::new()
        .route("/console", get(async || Redirect::permanent("/console/")))
        .route("/console/", get(page))
        .route("/console/{*path}", get(async |Path(path): Path<String>, headers: HeaderMap| serve(&path, &headers)))
}

fn serve(path: &str, headers: &HeaderMap) -> Response {
    // Addresses of pages may have dots: people are found by their e-mail addresses.
    let is_file = path.starts_with("assets/") || (App::get(path).is_some() && !path.ends_with(".gz"));
    let path = if is_file { path } else { PAGE };
    let packs = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let packed = packs.is_some_and(|packs| packs.contains("gzip")).then(|| App::get(&format!("{path}.gz"))).flatten();
    let is_packed = packed.is_some();
    match packed.or_else(|| App::get(path)) {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(EmbeddedFile { data, .. }) => {
            let mut response = Body::from(data).into_response();
            let kept = if path.starts_with("assets/") { FOR_GOOD } else { "no-cache" };
            let mut set = |name, value| drop(response.headers_mut().insert(name, HeaderValue::from_static(value)));
            set(header::CONTENT_TYPE, kind(path));
            set(header::CACHE_CONTROL, kept);
            set(header::VARY, "accept-encoding");
            set(header::CONTENT_SECURITY_POLICY, POLICY);
            set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
            set(header::REFERRER_POLICY, "same-origin");
            if is_packed {
                set(header::CONTENT_ENCODING, "gzip");
            }
            response
        }
    }
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(path: &str, packs: &str) -> Response {
        let request = Request::get(path).header(header::ACCEPT_ENCODING, packs).body(Body::empty()).unwrap();
        router::<()>().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn every_page_is_the_app_and_only_its_files_are_kept() {
        for path in ["/console/", "/console/people/ada@example.com", "/console/segments/new", "/console/index.html.gz"]
        {
            let page = ask(path, "gzip, br").await;
            let header = |name: header::HeaderName| page.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(page.status(), 200, "{path}");
            assert_eq!(header(header::CONTENT_TYPE), "text/html; charset=utf-8");
            assert_eq!(
                (header(header::CONTENT_ENCODING), header(header::CACHE_CONTROL)),
                ("gzip".into(), "no-cache".into())
            );
            assert!(header(header::CONTENT_SECURITY_POLICY).contains("script-src 'self';"));
        }
        for file in App::iter().filter(|name| name.starts_with("assets/") && !name.ends_with(".gz")) {
            let answer = ask(&format!("/console/{file}"), "").await;
            assert_eq!(
                (answer.status().as_u16(), answer.headers()[header::CACHE_CONTROL].to_str().unwrap()),
                (200, FOR_GOOD),
                "{file}"
            );
            assert!(!answer.headers().contains_key(header::CONTENT_ENCODING));
        }
        assert_eq!(ask("/console/assets/none.js", "").await.status(), 404);
        assert_eq!(ask("/console", "").await.headers()[header::LOCATION], "/console/");
    }
}
