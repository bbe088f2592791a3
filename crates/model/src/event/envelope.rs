//! A batch as it comes over HTTP: what it says once for all its events, and its events, each as its raw JSON.
//!
//! One pass over the body, borrowed from it, and no tree: the body is validated and cut into events here, and what an
//! event holds is read by [`accept`](super::accept()) alone.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

use super::Fields;
use crate::json;

/// A batch, cut into its events.
#[derive(Debug, Default)]
pub struct Envelope<'a> {
    /// What it says for all its events: `sentAt`, `context`, `integrations`, `writeKey`; nothing else is read.
    pub own: Fields<'a>,
    /// Its events in their order, of whatever JSON type; empty as well where there is no `batch`.
    pub events: Vec<&'a RawValue>,
}

/// Why a body is no batch. No retry helps.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not JSON.
    #[error("{0}")]
    NotJson(serde_json::Error),
    /// It is JSON, but not an object, or its `batch` is not an array.
    #[error("a batch is a JSON object whose `batch` is an array")]
    NotABatch,
    /// It has more events than one batch may have.
    #[error("a batch of {events} events is over the limit of {limit}")]
    TooMany {
        /// How many it has.
        events: usize,
        /// How many it may have.
        limit: usize,
    },
}

impl<'a> Envelope<'a> {
    /// Reads a batch of at most `events_max` events. A member that stands twice counts the last time.
    pub fn read(json: &'a str, events_max: usize) -> Result<Envelope<'a>, ReadError> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let mut found = Found { envelope: Envelope::default(), events_max, events: 0 };
        match (&mut found).deserialize(&mut deserializer).and_then(|()| deserializer.end()) {
            Ok(()) => {}
            // The first value of a wrong type ends the reading: whether the rest is JSON has to be seen.
            Err(error) if error.classify() == Category::Data => {
                return Err(match serde_json::from_str::<IgnoredAny>(json) {
                    Ok(_) => ReadError::NotABatch,
                    Err(error) => ReadError::NotJson(error),
                });
            }
            Err(error) => return Err(ReadError::NotJson(error)),
        }
        if found.events > events_max {
            return Err(ReadError::TooMany { events: found.events, limit: events_max });
        }
        Ok(found.envelope)
    }

    /// Bytes that each event gains when what the batch says is merged into it.
    pub fn shared_bytes(&self) -> usize {
        let bytes = |raw: Option<&RawValue>| raw.map_or(0, |raw| raw.get().len());
        bytes(self.own.context) + bytes(self.own.integrations)
    }
}

/// The reading so far. It is a seed so that the bound on events reaches the array: what is over it is counted, not kept.
struct Found<'a> {
    envelope: Envelope<'a>,
    events_max: usize,
    events: usize,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Member {
    Batch,
    SentAt,
    Context,
    Integrations,
    WriteKey,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for &mut Found<'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Found<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(member) = map.next_key::<Member>()? {
            let own = &mut self.envelope.own;
            let place = match member {
                Member::Batch => {
                    map.next_value_seed(Events(self))?;
                    continue;
                }
                Member::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                Member::SentAt => &mut own.sent_at,
                Member::Context => &mut own.context,
                Member::Integrations => &mut own.integrations,
                Member::WriteKey => &mut own.write_key,
            };
            *place = Some(map.next_value::<&RawValue>()?).filter(|value| !json::is_null(value));
        }
        Ok(())
    }
}

struct Events<'f, 'a>(&'f mut Found<'a>);

impl<'de> DeserializeSeed<'de> for Events<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Events<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Events(found) = self;
        found.envelope.events.clear();
        found.events = 0;
        while let Some(event) = seq.next_element::<&RawValue>()? {
            found.events += 1;
            if found.events <= found.events_max {
                found.envelope.events.push(event);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(json: &str, expect: Expect) {
        let said = match Envelope::read(json, 3) {
            Ok(envelope) => {
                let text = |raw: Option<&RawValue>| raw.map_or("-", RawValue::get).to_owned();
                let own = envelope.own;
                let own = [own.sent_at, own.context, own.integrations, own.write_key].map(text);
                let events: Vec<_> = envelope.events.iter().map(|event| event.get()).collect();
                format!("{} | {}", own.join(" "), events.join(" "))
            }
            Err(error) => error.to_string(),
        };
        expect.assert_eq(&said);
    }

    #[test]
    fn a_batch_is_cut_into_its_events() {
        check(
            r#"{"batch":[{"type":"track"}, 7],"sentAt":"now","context":{"ip":1},"integrations":{},"writeKey":"k","x":[1]}"#,
            expect![[r#""now" {"ip":1} {} "k" | {"type":"track"} 7"#]],
        );
        check(r#" {"w\u0072iteKey":"k","sentAt":null} "#, expect![[r#"- - - "k" | "#]]);
        check(r#"{"batch":[1,2],"batch":[3]}"#, expect!["- - - - | 3"]);
    }

    #[test]
    fn what_is_no_batch_says_so() {
        let not_a_batch = || expect!["a batch is a JSON object whose `batch` is an array"];
        check("[]", not_a_batch());
        check("7", not_a_batch());
        check("\"batch\"", not_a_batch());
        check(r#"{"batch":{}}"#, not_a_batch());
        check(r#"{"batch":null}"#, not_a_batch());
        check(r#"{"batch":1,}"#, expect!["key must be a string at line 1 column 12"]);
        check(r#"{"batch":[]"#, expect!["EOF while parsing an object at line 1 column 11"]);
        check(r#"{"batch":[]} x"#, expect!["trailing characters at line 1 column 14"]);
        check("", expect!["EOF while parsing a value at line 1 column 0"]);
        check(r#"{"batch":[1,2,3,4,5]}"#, expect!["a batch of 5 events is over the limit of 3"]);
    }

    #[test]
    fn deep_nesting_takes_no_stack() {
        let deep = format!(
            "{{\"batch\":[{}{}],\"x\":{}{}}}",
            "[".repeat(500_000),
            "]".repeat(500_000),
            "[".repeat(9),
            "]".repeat(9)
        );
        assert_eq!(Envelope::read(&deep, 3).unwrap().events.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn reads_every_batch_as_a_tree_does(events in proptest::collection::vec("[a-z0-9 \"\\\\{}\\[\\]:,é]{0,12}", 0..8)) {
            let json = serde_json::json!({ "writeKey": "k", "batch": events }).to_string();
            let envelope = Envelope::read(&json, 100).unwrap();
            let read: Vec<String> = envelope.events.iter().map(|e| serde_json::from_str(e.get()).unwrap()).collect();
            proptest::prop_assert_eq!(read, events);
        }

        #[test]
        fn never_panics(json: String) {
            let _ = Envelope::read(&json, 2);
        }
    }
}
