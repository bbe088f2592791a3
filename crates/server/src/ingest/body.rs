//! Reading a body: bounded in bytes and in time, before and after gunzip.

use std::io::Read;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header::CONTENT_LENGTH},
};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;

use super::{Ingest, IngestSettings, answer::Error};

/// How many bytes of a body that will not be used are read nevertheless: a client that is still sending when the
/// connection closes does not see the answer.
const DRAIN_BYTES_MAX: usize = 32 << 20;

/// The body, without gzip. Whether it has gzip its first bytes say, which no JSON has: the header is wrong both ways
/// (a proxy unpacks and leaves it, a client packs and forgets it).
pub(super) async fn read(headers: &HeaderMap, body: Body, ingest: &Ingest) -> Result<Bytes, Error> {
    let limit = ingest.settings.body_bytes_max;
    let bytes = match tokio::time::timeout(ingest.settings.body_wait_max, collect(headers, body, limit)).await {
        Ok(bytes) => bytes?,
        Err(_) => return Err(Error::BodyIncomplete),
    };
    ingest.meters.bytes.add(bytes.len() as u64);
    if bytes.starts_with(&[0x1f, 0x8b]) { gunzip(&bytes, limit) } else { Ok(bytes) }
}

/// Reads a body that nobody wants.
pub(super) async fn drain(body: Body, settings: &IngestSettings) {
    let _ = tokio::time::timeout(settings.body_wait_max, discard(body)).await;
}

async fn collect(headers: &HeaderMap, mut body: Body, limit: usize) -> Result<Bytes, Error> {
    let said = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|bytes| bytes > limit) {
        discard(body).await;
        return Err(Error::RequestTooLarge { limit });
    }
    // A body that comes in one piece is not copied.
    let mut first = Bytes::new();
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Error::BodyIncomplete)?.into_data() else { continue };
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.reserve(said.unwrap_or(first.len() + data.len()));
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
        if all.len().max(first.len()) > limit {
            discard(body).await;
            return Err(Error::RequestTooLarge { limit });
        }
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

async fn discard(mut body: Body) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, |data| data.len());
        if bytes > DRAIN_BYTES_MAX {
            return;
        }
    }
}

fn gunzip(bytes: &[u8], limit: usize) -> Result<Bytes, Error> {
    let mut out = Vec::with_capacity((bytes.len() * 6).min(limit));
    let unpacked = MultiGzDecoder::new(bytes).take(limit as u64 + 1).read_to_end(&mut out);
    if out.len() > limit {
        return Err(Error::RequestTooLarge { limit });
    }
    match unpacked {
        Ok(_) => Ok(out.into()),
        Err(error) => Err(Error::InvalidJson(format!("the gzip stream is damaged ({error})"))),
    }
}
