//! The hot path: batches and single calls of the SDKs.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, Uri},
    response::{IntoResponse, Response},
};
use onefold_model::{
    event::{Envelope, Fields, Kind, envelope::ReadError},
    json,
};
use serde_json::value::RawValue;

use super::{
    Entry, Ingest, Source,
    answer::{self, Error},
    auth, body,
    land::{self, Delivery, Events, Landed},
};

/// `POST /v1/batch`, `/v1/b`.
pub(super) async fn batch(State(ingest): State<Arc<Ingest>>, request: Request) -> Response {
    answer(&ingest, many(&ingest, request, Key::Anywhere, false).await)
}

/// `POST /v1/import`: Segment's Android and Java SDKs send live batches here, with `sentAt`; others send history.
pub(super) async fn import(State(ingest): State<Arc<Ingest>>, request: Request) -> Response {
    answer(&ingest, many(&ingest, request, Key::Anywhere, true).await)
}

/// `POST /beacon/v1/batch`: what a page sends as it closes; the key is in the query.
pub(super) async fn beacon(State(ingest): State<Arc<Ingest>>, request: Request) -> Response {
    answer(&ingest, many(&ingest, request, Key::Query, false).await)
}

/// A route that takes one event of one kind.
pub(super) async fn call(ingest: Arc<Ingest>, request: Request, kind: Kind) -> Response {
    answer(&ingest, one(&ingest, request, kind).await)
}

/// Counts a request's failure and makes its answer.
pub(super) fn answer(ingest: &Ingest, answer: Result<Response, Error>) -> Response {
    answer.unwrap_or_else(|error| {
        ingest.meters.failed.add(error.code());
        error.into_response()
    })
}

/// Where a route's write key may stand besides the query.
#[derive(Clone, Copy, PartialEq)]
enum Key {
    /// In the header and the body.
    Anywhere,
    /// Nowhere else.
    Query,
}

/// A request whose body is here, and whose source is known if the head names it.
pub(super) struct Received {
    pub source: Option<Arc<Source>>,
    pub body: Bytes,
    pub uri: Uri,
    /// Whether it said `Sec-GPC: 1`.
    pub gpc: bool,
}

/// Whether a browser asks not to sell or share (Global Privacy Control, the header of its section 3.3).
pub(super) fn gpc(headers: &HeaderMap) -> bool {
    headers.get("sec-gpc").is_some_and(|value| value.as_bytes().trim_ascii() == b"1")
}

/// Reads the request of an SDK. A write key in its head is checked before the body is looked at.
pub(super) async fn receive(ingest: &Ingest, request: Request) -> Result<Received, Error> {
    receive_with(ingest, request, Key::Anywhere).await
}

async fn receive_with(ingest: &Ingest, request: Request, key: Key) -> Result<Received, Error> {
    ingest.meters.requests.add(1);
    let (head, body) = request.into_parts();
    let source = match key {
        Key::Anywhere => {
            let key = auth::basic_key(&head.headers).or_else(|| auth::query_key(&head.uri));
            key.map(|key| auth::source(ingest, &key)).transpose()
        }
        Key::Query => {
            let key = auth::query_key(&head.uri).ok_or(Error::NoKeyInQuery);
            key.and_then(|key| auth::source(ingest, &key)).map(Some)
        }
    };
    let source = match source {
        Ok(source) => source,
        Err(error) => {
            body::drain(body, &ingest.settings).await;
            return Err(error);
        }
    };
    let body = body::read(&head.headers, body, ingest).await?;
    if body.trim_ascii().is_empty() {
        return Err(if source.is_some() { Error::BodyNil } else { Error::NoKeyInHeader });
    }
    Ok(Received { source, body, uri: head.uri, gpc: gpc(&head.headers) })
}

/// The body as text.
pub(super) fn text(body: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(body).map_err(|error| Error::InvalidJson(format!("the body is not UTF-8 ({error})")))
}

async fn many(ingest: &Ingest, request: Request, key: Key, import: bool) -> Result<Response, Error> {
    let Received { source, body, uri, gpc } = receive_with(ingest, request, key).await?;
    let Envelope { own, events } =
        Envelope::read(text(&body)?, ingest.settings.batch_events_max).map_err(|error| match error {
            ReadError::NotJson(error) => Error::InvalidJson(error.to_string()),
            ReadError::NotABatch => Error::NotABatch,
            ReadError::TooMany { events, limit } => Error::TooManyEvents { events, limit },
        })?;
    let mut key_of_events = None;
    let source = match source {
        Some(source) => source,
        None => {
            let own = own.write_key.and_then(json::text).filter(|key| !key.is_empty());
            let key = match own {
                Some(key) => key.into_owned(),
                None => {
                    let key = events.iter().find_map(|event| land::write_key(event)).ok_or(Error::NoKeyInHeader)?;
                    key_of_events.insert(key).clone()
                }
            };
            auth::source(ingest, &key)?
        }
    };
    if events.is_empty() {
        return Err(Error::EmptyBatch);
    }
    let entry = if import && own.sent_at.is_none() { Entry::Import } else { Entry::Batch };
    let (events, key_of_events) = (Events::AsCame(&events), key_of_events.as_deref());
    let landed = land::take(ingest, Delivery { source: &source, entry, own, events, key_of_events, gpc }).await?;
    Ok(accepted(&uri, &landed))
}

async fn one(ingest: &Ingest, request: Request, kind: Kind) -> Result<Response, Error> {
    let Received { source, body, uri, gpc } = receive(ingest, request).await?;
    let event = raw(text(&body)?)?;
    let source = match source {
        Some(source) => source,
        None => auth::source(ingest, &land::write_key(event).ok_or(Error::NoKeyInHeader)?)?,
    };
    let delivery = Delivery {
        source: &source,
        entry: Entry::Call(kind),
        own: Fields::default(),
        events: Events::AsCame(&[event]),
        key_of_events: None,
        gpc,
    };
    let mut landed = land::take(ingest, delivery).await?;
    match landed.refused.pop() {
        Some((_, refusal)) => Err(Error::Refused(refusal)),
        None => Ok(accepted(&uri, &landed)),
    }
}

/// The body as one JSON value.
pub(super) fn raw(text: &str) -> Result<&RawValue, Error> {
    serde_json::from_str(text).map_err(|error| Error::InvalidJson(error.to_string()))
}

/// The answer to a request whose events are durable.
pub(super) fn accepted(uri: &Uri, landed: &Landed) -> Response {
    if auth::query_flag(uri, "verbose") { answer::verbose(landed.events, &landed.refused) } else { answer::success() }
}
