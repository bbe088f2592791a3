//! How what comes by webhook becomes events, said by the source's configuration and not by code.
//!
//! ```json
//! {
//!   "each": "$.events[*]",
//!   "type": "track", "event": "$.kind", "userId": "$.customer.id", "email": "$.customer.email",
//!   "timestamp": "$.created", "messageId": "$.id",
//!   "properties": {"amount": "$.data.amount", "provider": "stripe"}
//! }
//! ```
//!
//! A text that begins with `$` is a JSONPath (RFC 9535) into the item; other values stand for themselves. A path that
//! finds nothing leaves its member out. `"$"` as `properties` or `traits` is the whole item, byte for byte; elsewhere
//! numbers pass through a 64-bit float where they are no 64-bit integers.

use onefold_model::{Timestamp, event::Kind};
use serde_json::{Map, Value, value::RawValue};
use serde_json_path::JsonPath;

/// A mapping whose paths are all readable.
#[derive(Debug, Clone)]
pub struct Mapping {
    each: Option<JsonPath>,
    kind: Template,
    /// Members whose value is one text or number.
    scalars: Vec<(&'static str, Template)>,
    email: Option<Template>,
    phone: Option<Template>,
    /// `properties`, `traits`, `context`.
    objects: Vec<(&'static str, Template)>,
}

/// Why a mapping cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// It is not an object.
    #[error("a mapping is a JSON object")]
    NotAnObject,
    /// A member that no mapping has.
    #[error("{0} is none of the members of a mapping: each, type, email, phone, properties, traits, context, {scalars}", scalars = SCALARS.join(", "))]
    UnknownMember(String),
    /// A value that is neither a path, a literal, nor, where that is possible, an object of these.
    #[error("{0} is neither a path, nor a text, number or boolean")]
    BadValue(String),
    /// A path that is no JSONPath.
    #[error("{member}: {path} is not a JSONPath (RFC 9535): {problem}")]
    BadPath {
        /// Where it stands.
        member: String,
        /// What stands there.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A literal type that is no kind of event.
    #[error("type {0} is none of track, identify, page, screen, group, alias, merge, object")]
    UnknownType(String),
}

const SCALARS: [&str; 10] = [
    "event",
    "name",
    "userId",
    "anonymousId",
    "groupId",
    "previousId",
    "objectType",
    "objectId",
    "timestamp",
    "messageId",
];
const OBJECTS: [&str; 3] = ["properties", "traits", "context"];

#[derive(Debug, Clone)]
enum Template {
    /// `$`: the item itself.
    Whole,
    Path(JsonPath),
    Literal(Value),
    Object(Vec<(String, Template)>),
}

impl Mapping {
    /// Reads a mapping from its JSON.
    pub fn parse(json: &Value) -> Result<Mapping, Error> {
        let members = json.as_object().ok_or(Error::NotAnObject)?;
        let mut mapping = Mapping {
            each: None,
            kind: Template::Literal(Kind::Track.name().into()),
            scalars: vec![("event", Template::Literal("webhook".into()))],
            email: None,
            phone: None,
            objects: Vec::new(),
        };
        for (name, value) in members {
            let named = |names: &[&'static str]| names.iter().find(|n| *n == name).copied();
            if name == "each" {
                mapping.each = Some(path(name, value.as_str().ok_or_else(|| Error::BadValue(name.clone()))?)?);
            } else if let Some(name) = named(&OBJECTS) {
                mapping.objects.push((name, Template::parse(name, value, true)?));
            } else if let Some(name) = named(&SCALARS) {
                mapping.scalars.retain(|(n, _)| *n != name);
                mapping.scalars.push((name, Template::parse(name, value, false)?));
            } else {
                let template = Template::parse(name, value, false)?;
                match name.as_str() {
                    "type" => mapping.kind = template,
                    "email" => mapping.email = Some(template),
                    "phone" => mapping.phone = Some(template),
                    _ => return Err(Error::UnknownMember(name.clone())),
                }
            }
        }
        match &mapping.kind {
            Template::Literal(kind) if kind.as_str().and_then(Kind::from_name).is_none() => {
                Err(Error::UnknownType(kind.to_string()))
            }
            _ => Ok(mapping),
        }
    }

    /// The path to the items of a body that holds several.
    pub(super) fn each(&self) -> Option<&JsonPath> {
        self.each.as_ref()
    }

    /// The event's JSON that `item` becomes. An error where it is nested deeper than a tree may be (128).
    pub(super) fn apply(&self, item: &RawValue) -> Result<String, serde_json::Error> {
        let tree: Value = serde_json::from_str(item.get())?;
        let kind = self.kind.scalar(&tree).unwrap_or_default();
        let mut event = Map::new();
        for (name, template) in &self.scalars {
            let Some(value) = template.scalar(&tree) else { continue };
            // Only a track call has a name that must be there.
            if *name == "event" && kind != Kind::Track.name() {
                continue;
            }
            let value = match *name {
                "timestamp" => instant(value),
                "messageId" => text(value),
                _ => value,
            };
            event.insert((*name).to_owned(), value);
        }
        event.insert("type".to_owned(), kind.clone());
        let mut whole = None;
        for (name, template) in &self.objects {
            match template {
                Template::Whole if *name != "context" && tree.is_object() => whole = Some(*name),
                _ => {
                    let value = template.value(&tree).map(|v| if v.is_object() { v } else { one("value", v) });
                    event.extend(value.map(|value| ((*name).to_owned(), value)));
                }
            }
        }
        let contacts = [("email", &self.email), ("phone", &self.phone)];
        for (name, value) in contacts.into_iter().filter_map(|(n, t)| Some((n, t.as_ref()?.scalar(&tree)?))) {
            let context = event.entry("context").or_insert_with(|| Map::new().into());
            put_under(context, "traits", name, value.clone());
            if kind == Kind::Identify.name() && whole != Some("traits") {
                put(event.entry("traits").or_insert_with(|| Map::new().into()), name, value);
            }
        }
        let mut json = in_order(event).to_string();
        if let Some(name) = whole {
            json.truncate(json.len() - 1);
            json += &format!(r#","{name}":{}}}"#, item.get());
        }
        Ok(json)
    }
}

/// The object with its members by name, however they came: the same event is the same bytes.
pub(super) fn in_order(object: Map<String, Value>) -> Value {
    let mut object = Value::Object(object);
    object.sort_all_objects();
    object
}

impl Template {
    fn parse(member: &str, value: &Value, nested: bool) -> Result<Template, Error> {
        match value {
            Value::String(text) if text == "$" => Ok(Template::Whole),
            Value::String(text) if text.starts_with('$') => Ok(Template::Path(path(member, text)?)),
            Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(Template::Literal(value.clone())),
            Value::Object(members) if nested => {
                let each = members.iter().map(|(name, value)| {
                    Ok((name.clone(), Template::parse(&format!("{member}.{name}"), value, true)?))
                });
                Ok(Template::Object(each.collect::<Result<_, Error>>()?))
            }
            _ => Err(Error::BadValue(member.to_owned())),
        }
    }

    /// What it stands for; several things that a path finds become an array.
    fn value(&self, tree: &Value) -> Option<Value> {
        match self {
            Template::Whole => Some(tree.clone()),
            Template::Literal(value) => Some(value.clone()),
            Template::Path(path) => match path.query(tree).all().as_slice() {
                [] => None,
                [one] => Some((*one).clone()),
                many => Some(many.iter().map(|value| (*value).clone()).collect()),
            },
            Template::Object(members) => {
                let values = members.iter().filter_map(|(name, t)| Some((name.clone(), t.value(tree)?)));
                Some(Value::Object(values.collect()))
            }
        }
    }

    /// The first text, number or boolean that it stands for.
    fn scalar(&self, tree: &Value) -> Option<Value> {
        let is_scalar = |value: &&Value| value.is_string() || value.is_number() || value.is_boolean();
        match self {
            Template::Path(path) => path.query(tree).all().into_iter().find(is_scalar).cloned(),
            _ => self.value(tree).filter(|value| is_scalar(&value)),
        }
    }
}

fn path(member: &str, text: &str) -> Result<JsonPath, Error> {
    JsonPath::parse(text).map_err(|error| Error::BadPath {
        member: member.to_owned(),
        path: text.to_owned(),
        problem: error.to_string(),
    })
}

fn one(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

fn put(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object {
        members.entry(name).or_insert(value);
    }
}

fn put_under(object: &mut Value, middle: &str, name: &str, value: Value) {
    if let Value::Object(members) = object {
        put(members.entry(middle).or_insert_with(|| Map::new().into()), name, value);
    }
}

/// A time as webhooks say it: ISO 8601, or seconds or milliseconds since 1970, told apart by their size.
fn instant(value: Value) -> Value {
    let number = match &value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) if text.len() > 8 => text.parse().ok(),
        _ => None,
    };
    match number {
        // 1e11 seconds are the year 5138; 1e11 milliseconds are March 1973.
        Some(n) if n.abs() < 1e11 => Timestamp((n * 1000.0).round() as i64).to_string().into(),
        Some(n) => Timestamp(n.round() as i64).to_string().into(),
        None => value,
    }
}

fn text(value: Value) -> Value {
    if value.is_string() { value } else { value.to_string().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::json;

    fn check(mapping: Value, item: &str, expect: Expect) {
        let mapping = Mapping::parse(&mapping).unwrap();
        let event = mapping.apply(serde_json::from_str(item).unwrap()).unwrap();
        serde_json::from_str::<Value>(&event).unwrap();
        expect.assert_eq(&event);
    }

    const CHARGE: &str = r#"{"id":17,"kind":"charge","created":1795293000,"customer":{"id":"c1","email":"ada@example.com"},"lines":[{"sku":"a"},{"sku":"b"}],"amount":12345678901234567890.12}"#;

    #[test]
    fn paths_and_literals_become_an_event() {
        check(
            json!({
                "event": "$.kind", "userId": "$.customer.id", "email": "$.customer.email", "timestamp": "$.created",
                "messageId": "$.id",
                "properties": {"skus": "$.lines[*].sku", "first": "$.lines[0]", "none": "$.nothing", "provider": "x", "n": {"m": 1}},
            }),
            CHARGE,
            expect![[
                r#"{"context":{"traits":{"email":"ada@example.com"}},"event":"charge","messageId":"17","properties":{"first":{"sku":"a"},"n":{"m":1},"provider":"x","skus":["a","b"]},"timestamp":"2026-11-21T20:30:00.000Z","type":"track","userId":"c1"}"#
            ]],
        );
    }

    #[test]
    fn the_whole_item_stays_byte_for_byte() {
        check(
            json!({"userId": "$.customer.id", "properties": "$"}),
            CHARGE,
            expect![[
                r#"{"event":"webhook","type":"track","userId":"c1","properties":{"id":17,"kind":"charge","created":1795293000,"customer":{"id":"c1","email":"ada@example.com"},"lines":[{"sku":"a"},{"sku":"b"}],"amount":12345678901234567890.12}}"#
            ]],
        );
        check(
            json!({"type": "identify", "email": "$.customer.email", "traits": {"customer": "$.customer.id"}}),
            CHARGE,
            expect![[
                r#"{"context":{"traits":{"email":"ada@example.com"}},"traits":{"customer":"c1","email":"ada@example.com"},"type":"identify"}"#
            ]],
        );
        check(
            json!({"anonymousId": "$[0]", "properties": "$"}),
            r#"["a", 2]"#,
            expect![[r#"{"anonymousId":"a","event":"webhook","properties":{"value":["a",2]},"type":"track"}"#]],
        );
    }

    #[test]
    fn times_are_read_in_seconds_and_milliseconds() {
        let check = |value: Value, expect: &str| assert_eq!(instant(value), json!(expect));
        check(json!(1795293000), "2026-11-21T20:30:00.000Z");
        check(json!(1795293000.5), "2026-11-21T20:30:00.500Z");
        check(json!("1795293000"), "2026-11-21T20:30:00.000Z");
        check(json!(1795293000123i64), "2026-11-21T20:30:00.123Z");
        check(json!("2026-11-21"), "2026-11-21");
        check(json!("20261121"), "20261121");
    }

    #[test]
    fn a_mapping_that_cannot_be_used_says_why() {
        let check = |mapping: Value, expect: Expect| {
            expect.assert_eq(&Mapping::parse(&mapping).unwrap_err().to_string());
        };
        check(json!([]), expect!["a mapping is a JSON object"]);
        check(
            json!({"user_id": "$.a"}),
            expect![
                "user_id is none of the members of a mapping: each, type, email, phone, properties, traits, context, event, name, userId, anonymousId, groupId, previousId, objectType, objectId, timestamp, messageId"
            ],
        );
        check(json!({"userId": {"a": 1}}), expect!["userId is neither a path, nor a text, number or boolean"]);
        check(
            json!({"properties": {"a": []}}),
            expect!["properties.a is neither a path, nor a text, number or boolean"],
        );
        check(
            json!({"type": "call"}),
            expect![[r#"type "call" is none of track, identify, page, screen, group, alias, merge, object"#]],
        );
        assert!(matches!(Mapping::parse(&json!({"userId": "$.["})), Err(Error::BadPath { .. })));
    }
}
