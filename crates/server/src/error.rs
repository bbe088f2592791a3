//! Errors of the API: a stable code, one sentence of cause, one of cure.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// What an API caller sees when something did not work.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ApiError {
    #[serde(skip)]
    status: u16,
    /// Stable; for programs.
    pub code: String,
    /// The cause, in a sentence.
    pub message: String,
    /// The cure, in a sentence.
    pub cure: String,
    /// Where in the request it is, if it is in one place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

impl ApiError {
    fn new(status: StatusCode, code: &str, message: impl Into<String>, cure: impl Into<String>) -> ApiError {
        ApiError {
            status: status.as_u16(),
            code: code.to_owned(),
            message: message.into(),
            cure: cure.into(),
            problems: vec![],
        }
    }

    /// Whether it may work in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE.as_u16()
    }

    /// 400: the request cannot be carried out as it is.
    pub fn bad_request(code: &str, message: impl Into<String>, cure: impl Into<String>) -> ApiError {
        Self::new(StatusCode::BAD_REQUEST, code, message, cure)
    }

    /// 404: what the request names is not there.
    pub fn not_found(what: &str, name: &str, cure: impl Into<String>) -> ApiError {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what} {name:?}"), cure)
    }

    /// 409: it is there already.
    pub fn conflict(message: impl Into<String>, cure: impl Into<String>) -> ApiError {
        Self::new(StatusCode::CONFLICT, "conflict", message, cure)
    }

    /// 401: no token, or a wrong one.
    pub fn unauthorised() -> ApiError {
        let cure = "sign in, or send `Authorization: Bearer` with a key, or with the token in the file `token` of the data folder";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorised", "the request has no valid token, key or session", cure)
    }

    /// 401: whoever asks is not signed in.
    pub fn signed_out(message: impl Into<String>, cure: impl Into<String>) -> ApiError {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorised", message, cure)
    }

    /// 403: whoever asks may not.
    pub fn forbidden(message: impl Into<String>, cure: impl Into<String>) -> ApiError {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message, cure)
    }

    /// 429: too often.
    pub fn too_many(message: impl Into<String>, cure: impl Into<String>) -> ApiError {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many", message, cure)
    }

    /// 503: try again.
    pub fn unavailable(message: impl Into<String>) -> ApiError {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message, "try again in a few seconds")
    }

    /// 500: a fault of the program or its files.
    pub fn internal(message: impl Into<String>) -> ApiError {
        let cure = "look into the server's log; if it comes again, report it with that log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message, cure)
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The same under another code.
    pub fn with_code(self, code: &str) -> ApiError {
        ApiError { code: code.to_owned(), ..self }
    }

    /// The same with another cure.
    pub fn with_cure(self, cure: &str) -> ApiError {
        ApiError { cure: cure.to_owned(), ..self }
    }

    /// The same with the places that are wrong.
    pub fn with_problems(self, problems: Vec<String>) -> ApiError {
        ApiError { problems, ..self }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, Json(self)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
        }
        response
    }
}

impl From<onefold_state::Error> for ApiError {
    fn from(error: onefold_state::Error) -> Self {
        if error.is_retryable() {
            ApiError::unavailable(error.to_string())
        } else {
            ApiError::internal(error.to_string())
        }
    }
}

impl From<onefold_pipeline::Error> for ApiError {
    fn from(error: onefold_pipeline::Error) -> Self {
        if error.is_retryable() {
            ApiError::unavailable(error.to_string())
        } else {
            ApiError::internal(error.to_string())
        }
    }
}

impl From<onefold_log::ReadError> for ApiError {
    fn from(error: onefold_log::ReadError) -> Self {
        ApiError::internal(error.to_string())
    }
}
