//! Where the write key stands: both dialects' SDKs put it in four places.
//!
//! `Authorization: Basic base64(key:)`, with or without the colon, outranks the query's `writeKey`, and that the body's.
//! `Bearer` (Segment's OAuth) names no key; the body does.

use std::sync::Arc;

use axum::http::{HeaderMap, Uri, header::AUTHORIZATION};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{Ingest, Source, answer::Error};

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);

/// The write key of Basic authentication; `None` where the header is missing, of another scheme, or unreadable.
pub(super) fn basic_key(headers: &HeaderMap) -> Option<String> {
    let (scheme, credentials) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(credentials.trim()).ok()?).ok()?;
    let key = decoded.split_once(':').map_or(decoded.as_str(), |(key, _)| key);
    (!key.is_empty()).then(|| key.to_owned())
}

/// The pairs of the query.
pub(super) fn query(uri: &Uri) -> impl Iterator<Item = (String, String)> + '_ {
    url::form_urlencoded::parse(uri.query().unwrap_or("").as_bytes()).into_owned()
}

/// The write key of the query.
pub(super) fn query_key(uri: &Uri) -> Option<String> {
    query(uri).find(|(name, key)| name == "writeKey" && !key.is_empty()).map(|(_, key)| key)
}

/// Whether the query has `name` with a value that means yes.
pub(super) fn query_flag(uri: &Uri, name: &str) -> bool {
    uri.query().is_some() && query(uri).any(|(n, value)| n == name && matches!(value.as_str(), "1" | "true"))
}

/// The source with this key, if it takes events.
pub(super) fn source(ingest: &Ingest, key: &str) -> Result<Arc<Source>, Error> {
    let source = ingest.sources.get_by_key(key).ok_or(Error::InvalidKey)?;
    if source.enabled { Ok(source) } else { Err(Error::Disabled) }
}
