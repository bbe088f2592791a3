//! What connectors that speak HTTP share: further headers, what an answer means, failures in words.

pub mod answer;

use std::{collections::BTreeMap, fmt::Write};

use reqwest::{
    Response,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use crate::config::ConfigError;

/// How much of an answer is kept with a dead letter.
const ANSWER_CHARS_KEPT: usize = 200;

/// The further headers of a configuration, less those that are the connector's or the connection's own.
pub fn headers(texts: &BTreeMap<String, String>) -> Result<HeaderMap, ConfigError> {
    const OWN: &[&str] = &["host", "content-type", "content-length", "transfer-encoding", "connection"];
    let mut headers = HeaderMap::new();
    for (name, value) in texts {
        let wrong = |cause: &str, cure: &str| ConfigError::new(&format!("headers.{name}"), cause, cure);
        let lower = name.to_ascii_lowercase();
        if OWN.contains(&lower.as_str()) || lower.starts_with("webhook-") {
            return Err(wrong("this header is Onefold's own", "Leave it out"));
        }
        let key =
            HeaderName::try_from(&lower).map_err(|_| wrong("no name of a header", "Write letters, digits and -"))?;
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| wrong("its value cannot stand in a header", "Write visible ASCII characters on one line"))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// The time-out of a configuration, checked.
pub fn timeout(timeout_ms: u64) -> Result<std::time::Duration, ConfigError> {
    if !(100..=60_000).contains(&timeout_ms) {
        return Err(ConfigError::new("timeout_ms", "not from 100 to 60000", "Write milliseconds in that range"));
    }
    Ok(std::time::Duration::from_millis(timeout_ms))
}

/// An answer's body: to its end, where it is short, so that the connection can be used again, else its first
/// `bytes_max` or somewhat more. What breaks off ends there: the status has come.
pub async fn body(response: &mut Response, bytes_max: usize) -> Vec<u8> {
    let mut body = vec![];
    while body.len() <= bytes_max {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    body
}

/// The beginning of an answer, to be kept with a dead letter; `None` where it is empty.
pub fn kept(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * ANSWER_CHARS_KEPT)]);
    let kept: String = text.trim().chars().take(ANSWER_CHARS_KEPT).collect();
    (!kept.is_empty()).then_some(kept)
}

/// A failed request in words, with its sources, and without the URL, which may hold a token or name a person.
pub fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        // Writing to a string does not fail.
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}
