//! What is no event when it comes: webhooks, and RudderStack's audience lists.
//!
//! Off the hot path, so a source's mapping may build a tree. What came stays with the event it became: a dead letter
//! keeps the former, so that it can be tried again under a better mapping.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    http::{Method, header::CONTENT_TYPE},
    response::Response,
};
use onefold_model::{
    event::{Fields, Kind},
    json::Members,
    rng::uuid,
};
use serde_json::value::{RawValue, to_raw_value};

use super::{
    Entry, Ingest, Source,
    answer::Error,
    auth, body,
    events::{self, Received, accepted, answer, raw},
    land::{self, Delivery, Events},
    mapping::in_order,
};

/// `GET` or `POST` `/v1/webhook`, `/v1/hook`, `/v1/hook/{key}`.
pub(super) async fn webhook(
    State(ingest): State<Arc<Ingest>>,
    name: Option<Path<String>>,
    request: Request,
) -> Response {
    answer(&ingest, take_webhook(&ingest, name.map(|Path(name)| name), request).await)
}

async fn take_webhook(ingest: &Ingest, path_key: Option<String>, request: Request) -> Result<Response, Error> {
    ingest.meters.requests.add(1);
    let (head, body) = request.into_parts();
    let key = auth::basic_key(&head.headers).or_else(|| auth::query_key(&head.uri)).or(path_key);
    let source = key.ok_or(Error::NoKeyInQuery).and_then(|key| auth::source(ingest, &key));
    let source = match source.and_then(|s| if s.kind == Source::WEBHOOK { Ok(s) } else { Err(Error::NotWebhook) }) {
        Ok(source) => source,
        Err(error) => {
            body::drain(body, &ingest.settings).await;
            return Err(error);
        }
    };
    let came = if head.method == Method::GET {
        pairs(auth::query(&head.uri).filter(|(name, _)| name != "writeKey"))?
    } else {
        let body = body::read(&head.headers, body, ingest).await?;
        if body.trim_ascii().is_empty() {
            return Err(Error::BodyNil);
        }
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        match events::text(&body).and_then(raw) {
            Ok(came) => came.to_owned(),
            Err(_) if content_type.starts_with("application/x-www-form-urlencoded") => {
                pairs(url::form_urlencoded::parse(&body).into_owned())?
            }
            Err(error) => return Err(error),
        }
    };

    let items = items(&source, &came, ingest.settings.batch_events_max)?;
    let made: Vec<_> = items.iter().map(|item| (made(ingest, &source, item), &**item)).collect();
    let delivery = Delivery {
        source: &source,
        entry: Entry::Webhook,
        own: Fields::default(),
        events: Events::Made(&made),
        key_of_events: None,
        gpc: events::gpc(&head.headers),
    };
    let landed = land::take(ingest, delivery).await?;
    Ok(accepted(&head.uri, &landed))
}

/// Pairs as an object of texts. A name that stands twice counts the last time.
fn pairs(pairs: impl Iterator<Item = (String, String)>) -> Result<Box<RawValue>, Error> {
    let object: serde_json::Map<_, _> = pairs.map(|(name, value)| (name, value.into())).collect();
    to_raw_value(&in_order(object)).map_err(|error| Error::InvalidJson(error.to_string()))
}

/// What of a webhook's body is one event each: what the mapping's `each` finds, or the elements of an array, or all.
fn items(source: &Source, came: &RawValue, events_max: usize) -> Result<Vec<Box<RawValue>>, Error> {
    let invalid = |error: serde_json::Error| Error::InvalidJson(error.to_string());
    let items = match source.mapping.as_ref().and_then(|mapping| mapping.each()) {
        Some(each) => {
            let tree: serde_json::Value = serde_json::from_str(came.get()).map_err(invalid)?;
            each.query(&tree).iter().map(to_raw_value).collect::<Result<Vec<_>, _>>().map_err(invalid)?
        }
        None if came.get().starts_with('[') => serde_json::from_str(came.get()).map_err(invalid)?,
        None => vec![came.to_owned()],
    };
    if items.len() > events_max {
        return Err(Error::TooManyEvents { events: items.len(), limit: events_max });
    }
    Ok(items)
}

/// The event that one item becomes. One that the mapping cannot read becomes `null`, which is refused: its siblings
/// are not held up and it is kept.
fn made(ingest: &Ingest, source: &Source, item: &RawValue) -> Box<RawValue> {
    let event = match &source.mapping {
        Some(mapping) => mapping.apply(item).unwrap_or_default(),
        None => {
            let id = uuid(&*ingest.rng);
            let item = item.get();
            let properties = if item.starts_with('{') { item.to_owned() } else { format!(r#"{{"body":{item}}}"#) };
            format!(r#"{{"type":"track","event":"webhook","anonymousId":"{id}","properties":{properties}}}"#)
        }
    };
    RawValue::from_string(event).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// `POST /v1/audiencelist`: RudderStack's list of people to add to and remove from an audience elsewhere. It is kept as
/// a track call named `audiencelist`; one that names nobody gets an anonymous id of its own.
pub(super) async fn audience_list(State(ingest): State<Arc<Ingest>>, request: Request) -> Response {
    answer(&ingest, take_audience_list(&ingest, request).await)
}

async fn take_audience_list(ingest: &Ingest, request: Request) -> Result<Response, Error> {
    let Received { source, body, uri, gpc } = events::receive(ingest, request).await?;
    let came = raw(events::text(&body)?)?;
    let source = match source {
        Some(source) => source,
        None => auth::source(ingest, &land::write_key(came).ok_or(Error::NoKeyInHeader)?)?,
    };
    let event = match Members::of(came) {
        Some(members) => {
            let mut event = format!(r#"{{"type":"{}","event":"audiencelist""#, Kind::Track.name());
            if members.get("userId").or(members.get("anonymousId")).is_none() {
                event += &format!(r#","anonymousId":"{}""#, uuid(&*ingest.rng));
            }
            for (name, value) in members.0.iter().filter(|(name, _)| !matches!(name.as_ref(), "type" | "event")) {
                event += &format!(",{}:{}", serde_json::to_string(name).unwrap_or_default(), value.get());
            }
            RawValue::from_string(event + "}").unwrap_or_else(|_| RawValue::NULL.to_owned())
        }
        None => RawValue::NULL.to_owned(),
    };
    let made = [(event, came)];
    let delivery = Delivery {
        source: &source,
        entry: Entry::AudienceList,
        own: Fields::default(),
        events: Events::Made(&made),
        key_of_events: None,
        gpc,
    };
    let mut landed = land::take(ingest, delivery).await?;
    match landed.refused.pop() {
        Some((_, refusal)) => Err(Error::Refused(refusal)),
        None => Ok(accepted(&uri, &landed)),
    }
}
