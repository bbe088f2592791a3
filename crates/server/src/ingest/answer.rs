//! What requests are answered, in words that both dialects' SDKs understand.
//!
//! Segment's want `code` and `message` in an error's body (its Python SDK raises `KeyError` without them and sends the
//! batch again ten times); RudderStack's look for certain words, which stand in `message`. What may be tried again is
//! never answered 400 or 413, since SDKs drop those.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use onefold_model::event::Refusal;
use serde::Serialize;

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("request body is nil: send a JSON body")]
    BodyNil,
    #[error("invalid json: {0}")]
    InvalidJson(String),
    #[error("empty batch payload: `batch` must hold at least one event")]
    EmptyBatch,
    #[error("event is not a valid rudder event: a batch is a JSON object whose `batch` is an array")]
    NotABatch,
    /// The one event of a route that takes one.
    #[error("{0}")]
    Refused(Refusal),
    #[error(
        "failed to read writekey from header: send the write key as the user name of Basic authentication, or as `writeKey` in the body"
    )]
    NoKeyInHeader,
    #[error("failed to read writekey from query params: send the write key as `writeKey` in the query")]
    NoKeyInQuery,
    #[error("invalid write key: no source has it; `onefold source list` shows the sources")]
    InvalidKey,
    #[error("source is disabled: enable it, or send with another source's write key")]
    Disabled,
    #[error("source does not accept webhook events: use the write key of a source of kind webhook")]
    NotWebhook,
    #[error("request size exceeds max limit: {limit} bytes, unpacked; send smaller batches")]
    RequestTooLarge { limit: usize },
    #[error("request size exceeds max limit: {events} events in one batch, {limit} at most; send smaller batches")]
    TooManyEvents { events: usize, limit: usize },
    #[error("max requests limit reached: the log has as much waiting as it may hold; try again shortly")]
    Busy,
    #[error("max requests limit reached: this source may send {per_s_max} events a second; try again later")]
    RateLimited { per_s_max: u32, retry_after_s: u64 },
    #[error("the event could not be stored, and nothing of this request was; try again shortly")]
    Unavailable,
    #[error("the body did not arrive whole in time; send it again")]
    BodyIncomplete,
}

impl Error {
    /// Its stable code.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Error::BodyNil => "body_nil",
            Error::InvalidJson(_) => "invalid_json",
            Error::EmptyBatch => "empty_batch",
            Error::NotABatch => "not_a_batch",
            Error::Refused(_) => "refused",
            Error::NoKeyInHeader | Error::NoKeyInQuery => "no_write_key",
            Error::InvalidKey => "invalid_write_key",
            Error::Disabled => "source_disabled",
            Error::NotWebhook => "source_not_webhook",
            Error::RequestTooLarge { .. } | Error::TooManyEvents { .. } => "request_too_large",
            Error::Busy => "busy",
            Error::RateLimited { .. } => "rate_limited",
            Error::Unavailable => "unavailable",
            Error::BodyIncomplete => "body_incomplete",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Error::BodyNil | Error::InvalidJson(_) | Error::EmptyBatch | Error::NotABatch | Error::Refused(_) => {
                StatusCode::BAD_REQUEST
            }
            Error::NoKeyInHeader | Error::NoKeyInQuery | Error::InvalidKey => StatusCode::UNAUTHORIZED,
            Error::Disabled | Error::NotWebhook => StatusCode::NOT_FOUND,
            Error::RequestTooLarge { .. } | Error::TooManyEvents { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::Busy | Error::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Error::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Error::BodyIncomplete => StatusCode::REQUEST_TIMEOUT,
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Error::Busy => Some(1),
            Error::RateLimited { retry_after_s, .. } => Some(*retry_after_s),
            Error::Unavailable => Some(5),
            _ => None,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            code: &'static str,
            message: String,
        }
        // An event's own refusal has a code of its own, which says more.
        let code = if let Error::Refused(refusal) = &self { refusal.code() } else { self.code() };
        let mut response = (self.status(), Json(Body { code, message: self.to_string() })).into_response();
        if let Some(seconds) = self.retry_after_s() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Everything was taken.
pub(super) fn success() -> Response {
    json(r#"{"success":true}"#)
}

/// A document that is already JSON.
pub(super) fn json(text: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What became of each of a request's `events`; `refused` holds the places of those that were, in order.
pub(super) fn verbose(events: usize, refused: &[(usize, Refusal)]) -> Response {
    #[derive(Serialize)]
    struct Body<'a> {
        success: bool,
        results: Vec<Outcome<'a>>,
    }
    #[derive(Serialize)]
    struct Outcome<'a> {
        index: usize,
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    }
    let mut refused = refused.iter().peekable();
    let results = (0..events).map(|index| match refused.next_if(|(place, _)| *place == index) {
        None => Outcome { index, status: "accepted", code: None, message: None },
        Some((_, refusal)) => {
            Outcome { index, status: "refused", code: Some(refusal.code()), message: Some(refusal.to_string()) }
        }
    });
    Json(Body { success: true, results: results.collect() }).into_response()
}
