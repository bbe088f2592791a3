//! Links about a request: to say that one asked, and to fetch the answer.
//!
//! Version 1: postcard of [`Token`], then 16 bytes of HMAC-SHA-256 over `request` and it under the workspace's secret for links; as
//! base64url.

use onefold_model::{Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::{ApiError, preferences::code};

/// What the code is about: no link of another kind passes for one of these.
const CONTEXT: &[u8] = b"request\0";

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// To say that one asked.
    Confirm,
    /// To fetch the answer.
    Answer,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    version: u8,
    /// Whose workspace.
    pub workspace: WorkspaceId,
    /// Which request.
    pub request: String,
    /// What it is for.
    pub what: What,
    /// Until when it is good.
    pub expires: Timestamp,
}

impl Token {
    pub fn new(workspace: WorkspaceId, request: &str, what: What, expires: Timestamp) -> Token {
        Token { version: 1, workspace, request: request.to_owned(), what, expires }
    }

    /// As text.
    pub fn sign(&self, secret: &[u8]) -> Result<String, ApiError> {
        let body = postcard::to_allocvec(self).map_err(|error| ApiError::internal(error.to_string()))?;
        Ok(code::sign(secret, CONTEXT, body))
    }

    /// Reads a text that one of our secrets has signed for this use and that is good at `now`.
    pub fn read(
        text: &str,
        what: What,
        now: Timestamp,
        secret: &mut dyn FnMut(WorkspaceId) -> Result<Option<Vec<u8>>, ApiError>,
    ) -> Result<Option<Token>, ApiError> {
        let Some((body, given)) = code::parts(text) else { return Ok(None) };
        let Ok(token) = postcard::from_bytes::<Token>(&body) else { return Ok(None) };
        let is_good = token.version == 1 && token.what == what && now < token.expires;
        let Some(secret) = secret(token.workspace)?.filter(|_| is_good) else { return Ok(None) };
        Ok(code::is_right(&secret, CONTEXT, &body, &given).then_some(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_for_its_use_and_its_time() {
        let token = Token::new(WorkspaceId(1), "dsr_1", What::Confirm, Timestamp(100));
        let text = token.sign(b"secret").unwrap();
        let read = |text: &str, what, now, secret: &[u8]| {
            Token::read(text, what, Timestamp(now), &mut |_| Ok(Some(secret.to_vec()))).unwrap()
        };
        assert_eq!(read(&text, What::Confirm, 99, b"secret"), Some(token));
        assert_eq!(read(&text, What::Answer, 99, b"secret"), None);
        assert_eq!(read(&text, What::Confirm, 100, b"secret"), None);
        assert_eq!(read(&text, What::Confirm, 99, b"other"), None);
        assert_eq!(read("", What::Confirm, 99, b"secret"), None);
        // Nor does the same under another context.
        let body = code::parts(&text).unwrap().0;
        assert_eq!(read(&code::sign(b"secret", b"", body), What::Confirm, 99, b"secret"), None);
    }
}
