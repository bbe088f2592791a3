//! CORS (Fetch standard, section 3.2): browsers send from other origins, with credentials in headers.
//!
//! Write keys are public and nothing here reads cookies, so every origin may send. What the browser asks for is echoed,
//! because `*` does not cover `Authorization`.

use axum::{
    extract::Request,
    http::{
        HeaderValue, Method, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
            ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
        },
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Answers preflight requests, and adds the headers to every other answer.
pub(super) async fn cors(request: Request, next: Next) -> Response {
    let preflight = request.method() == Method::OPTIONS;
    let asked = request.headers();
    let origin = asked.get(ORIGIN).cloned();
    let method = asked.get(ACCESS_CONTROL_REQUEST_METHOD).cloned().filter(|_| preflight);
    let headers = asked.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned().filter(|_| preflight);

    let mut response = if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let out = response.headers_mut();
    out.insert(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        out.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        out.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    }
    if preflight {
        out.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("900"));
        if let Some(method) = method {
            out.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
        }
        if let Some(headers) = headers {
            out.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers);
        }
    }
    response
}
