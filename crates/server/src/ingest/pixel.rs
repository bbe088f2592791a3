//! RudderStack's pixel: an image whose query is the event, for e-mails and pages without scripts.
//!
//! A name with dots (`properties.path`, `context.page.url`) stands for nested objects. The answer is always the image:
//! what is wrong is counted, and a refused event is among the dead letters.

use std::sync::Arc;

use axum::{
    extract::Request,
    http::{HeaderValue, Uri, header},
    response::Response,
};
use onefold_model::{
    event::{Fields, Kind},
    rng::uuid,
};
use serde_json::{Map, Value, value::to_raw_value};

use super::{
    Entry, Ingest,
    answer::Error,
    auth,
    events::gpc,
    land::{self, Delivery, Events},
    mapping::in_order,
};

/// One transparent pixel (GIF89a).
const GIF: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x01D\0;";

/// How deep names with dots nest; the dots of what is left stay in the innermost name.
const DEPTH_MAX: usize = 8;

/// `GET /pixel/v1/track`, `/pixel/v1/page`.
pub(super) async fn pixel(ingest: Arc<Ingest>, request: Request, kind: Kind) -> Response {
    ingest.meters.requests.add(1);
    if let Err(error) = take(&ingest, request.uri(), gpc(request.headers()), kind).await {
        ingest.meters.failed.add(error.code());
        tracing::debug!(%error, "a pixel's event was not taken");
    }
    let mut response = Response::new(GIF.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("image/gif"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn take(ingest: &Ingest, uri: &Uri, gpc: bool, kind: Kind) -> Result<(), Error> {
    let key = auth::query_key(uri).ok_or(Error::NoKeyInQuery)?;
    let source = auth::source(ingest, &key)?;
    let mut event = Map::new();
    for (name, value) in auth::query(uri).filter(|(name, _)| name != "writeKey") {
        put(&mut event, &name, value.into());
    }
    if !event.contains_key("userId") && !event.contains_key("anonymousId") {
        event.insert("anonymousId".into(), uuid(&*ingest.rng).into());
    }
    let event = to_raw_value(&in_order(event)).map_err(|error| Error::InvalidJson(error.to_string()))?;
    let delivery = Delivery {
        source: &source,
        entry: Entry::Call(kind),
        own: Fields::default(),
        events: Events::AsCame(&[&event]),
        key_of_events: None,
        gpc,
    };
    land::take(ingest, delivery).await.map(|_| ())
}

/// Puts `value` where `name` says. What stands in the way of a nested name is replaced.
fn put(event: &mut Map<String, Value>, name: &str, value: Value) {
    let mut object = event;
    let mut names = name.splitn(DEPTH_MAX, '.').peekable();
    while let Some(name) = names.next() {
        if names.peek().is_none() {
            object.insert(name.to_owned(), value);
            return;
        }
        let inner = object.entry(name).or_insert(Value::Null);
        if !inner.is_object() {
            *inner = Map::new().into();
        }
        object = inner.as_object_mut().expect("it was made an object just above");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_dots_nest() {
        let mut event = Map::new();
        for name in ["event", "properties.a", "properties.b.c", "event.x", "a.b.c.d.e.f.g.h.i.j", "..", ""] {
            put(&mut event, name, "1".into());
        }
        expect_test::expect![[r#"{"":"1","a":{"b":{"c":{"d":{"e":{"f":{"g":{"h.i.j":"1"}}}}}}},"event":{"x":"1"},"properties":{"a":"1","b":{"c":"1"}}}"#]]
            .assert_eq(&in_order(event).to_string());
    }
}
