//! Who calls, and for which workspace.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use onefold_model::access::Access;
use sha2::{Digest, Sha256};

use crate::{ApiError, App};

/// Lets only the holder of the operator's token through.
pub async fn require_token(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or("");
    if app.is_token(given) { next.run(request).await } else { ApiError::unauthorised().into_response() }
}

impl App {
    /// Whether this is the operator's token. Hashes are compared, so that the time it takes says nothing about it.
    pub(crate) fn is_token(&self, given: &str) -> bool {
        Sha256::digest(given.trim().as_bytes()) == Sha256::digest(self.settings.token.as_bytes())
    }
}

/// The access that a request has: the workspace named in `Onefold-Workspace`, `default` where none is.
pub struct Caller(pub Access);

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let name = match parts.headers.get("onefold-workspace") {
            None => "default",
            Some(value) => value.to_str().map_err(|_| {
                ApiError::bad_request("bad_workspace", "Onefold-Workspace is not text", "send a workspace's name")
            })?,
        };
        let workspace = app
            .workspace(name)
            .ok_or_else(|| ApiError::not_found("workspace", name, "make it with `onefold workspace add`"))?;
        Ok(Caller(app.operator(workspace)))
    }
}
