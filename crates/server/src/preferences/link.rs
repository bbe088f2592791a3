//! Signed links: they name a person by a number that leads to nobody outside, and are good for a while.
//!
//! Version 1: postcard of [`Link`], then 16 bytes of HMAC-SHA-256 over it under the workspace's secret for links; as base64url.

use onefold_model::{NodeId, Rng, Timestamp, WorkspaceId};
use onefold_state::{Reader, Txn, Value, schema};
use serde::{Deserialize, Serialize};

use super::code;
use crate::ApiError;

/// Name of the secret.
const SECRET: &str = "links";

/// What a link is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    version: u8,
    /// Whose workspace.
    pub workspace: WorkspaceId,
    /// The person, by one of their identifiers.
    pub node: NodeId,
    /// Until when it is good.
    pub expires: Timestamp,
    /// Of a link to unsubscribe, from which purpose and channel; `None`: all.
    pub of: Option<(String, Option<String>)>,
}

impl Link {
    /// A link of this version.
    pub fn new(workspace: WorkspaceId, node: NodeId, expires: Timestamp, of: Option<(String, Option<String>)>) -> Link {
        Link { version: 1, workspace, node, expires, of }
    }

    /// Its token.
    pub fn sign(&self, secret: &[u8]) -> Result<String, ApiError> {
        let body = postcard::to_allocvec(self).map_err(|error| ApiError::internal(error.to_string()))?;
        Ok(code::sign(secret, b"", body))
    }

    /// Reads a token that one of our secrets has signed and that is good at `now`. `secret` gives a workspace's.
    pub fn read(
        token: &str,
        now: Timestamp,
        secret: &mut dyn FnMut(WorkspaceId) -> Result<Option<Vec<u8>>, ApiError>,
    ) -> Result<Option<Link>, ApiError> {
        let Some((body, given)) = code::parts(token) else { return Ok(None) };
        let Ok(link) = postcard::from_bytes::<Link>(&body) else { return Ok(None) };
        let Some(secret) = secret(link.workspace)?.filter(|_| link.version == 1 && now < link.expires) else {
            return Ok(None);
        };
        Ok(code::is_right(&secret, b"", &body, &given).then_some(link))
    }
}

/// The workspace's secret for links; `None` where no link was ever made.
pub fn secret(reader: &mut dyn Reader, workspace: WorkspaceId) -> Result<Option<Vec<u8>>, ApiError> {
    let key = vec![Value::Int(workspace.0.into()), Value::Text(SECRET.to_owned())];
    let row = reader.get(&schema::SECRET, &[key])?.pop().flatten();
    Ok(row.map(|row| row[2].as_bytes().map(<[u8]>::to_vec)).transpose()?)
}

/// The same, made where there is none yet.
pub fn make_secret(txn: &mut dyn Txn, workspace: WorkspaceId, rng: &dyn Rng) -> Result<Vec<u8>, ApiError> {
    if let Some(known) = secret(txn, workspace)? {
        return Ok(known);
    }
    let mut bytes = vec![0; 32];
    rng.fill(&mut bytes);
    let row = vec![Value::Int(workspace.0.into()), Value::Text(SECRET.to_owned()), Value::Bytes(bytes.clone())];
    txn.put(&schema::SECRET, vec![row])?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_while_it_is_good_and_nothing_else_is() {
        let link = Link::new(WorkspaceId(1), NodeId(77), Timestamp(100), Some(("news".to_owned(), None)));
        let token = link.sign(b"secret").unwrap();
        let read = |token: &str, now: i64, secret: &[u8]| {
            Link::read(token, Timestamp(now), &mut |_| Ok(Some(secret.to_vec()))).unwrap()
        };
        assert_eq!(read(&token, 99, b"secret"), Some(link));
        assert_eq!(read(&token, 100, b"secret"), None);
        assert_eq!(read(&token, 99, b"another"), None);
        for place in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[place] = if other[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(read(std::str::from_utf8(&other).unwrap(), 99, b"secret"), None, "{place}");
        }
        for odd in ["", "A", "%", &token[..10]] {
            assert_eq!(read(odd, 99, b"secret"), None);
        }
    }
}
