//! JSON objects as their members, without a tree.
//!
//! A tree of a whole event costs five times what reading it does (`bench/README.md`). So an object is read one level
//! deep: its members as name and raw text, borrowed from the event's bytes; what nobody asks for is never decoded.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The members of one JSON object in their order, each value as its raw text. A name that stands twice counts as it
/// does everywhere: [`get`](Self::get) gives the last.
#[derive(Debug, Default)]
pub struct Members<'a>(pub Vec<(Name<'a>, &'a RawValue)>);

/// A member's name, borrowed where it has no escapes.
pub type Name<'a> = Cow<'a, str>;

impl<'a> Members<'a> {
    /// Reads `raw` if it is an object.
    pub fn of(raw: &'a RawValue) -> Option<Self> {
        if !raw.get().starts_with('{') {
            return None;
        }
        serde_json::from_str(raw.get()).ok()
    }

    /// The value of the member called `name`.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, v)| *v)
    }

    /// The value at a dotted path; a member whose own name has the dots in it comes first.
    pub fn at_path(&self, path: &str) -> Option<&'a RawValue> {
        if let Some(raw) = self.get(path) {
            return Some(raw);
        }
        let (first, rest) = path.split_once('.')?;
        self.object(first)?.at_path(rest)
    }

    /// The value of `name` if it is text.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).and_then(text)
    }

    /// The members of the member `name`, if it is an object.
    pub fn object(&self, name: &str) -> Option<Members<'a>> {
        self.get(name).and_then(Members::of)
    }
}

/// The decoded text of a JSON string, borrowed where it has no escapes.
pub fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let json = raw.get();
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// A string's text, or a number's or boolean's JSON text: how an identifier is read.
pub fn scalar(raw: &RawValue) -> Option<Cow<'_, str>> {
    match raw.get().as_bytes().first()? {
        b'"' => text(raw),
        b'-' | b'0'..=b'9' | b't' | b'f' => Some(Cow::Borrowed(raw.get())),
        _ => None,
    }
}

/// Whether the value is JSON `null`.
pub fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsMembers;
        impl<'de> Visitor<'de> for AsMembers {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some((Borrowed(name), value)) = map.next_entry::<Borrowed<'de>, &'de RawValue>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(AsMembers)
    }
}

/// A name, borrowed where it can be (`Cow`'s own `Deserialize` always copies).
struct Borrowed<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Borrowed<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsText;
        impl<'de> Visitor<'de> for AsText {
            type Value = Borrowed<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Owned(v.to_owned())))
            }
        }
        deserializer.deserialize_str(AsText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_borrowed_and_the_last_of_a_name_wins() {
        let raw: &RawValue = serde_json::from_str(r#"{"a":1,"b\u0062":"x\ny","a":{"c":"d"},"n":null}"#).unwrap();
        let members = Members::of(raw).unwrap();
        assert_eq!(members.object("a").unwrap().text("c").unwrap(), "d");
        assert_eq!(members.text("bb").unwrap(), "x\ny");
        assert!(is_null(members.get("n").unwrap()));
        assert!(members.get("z").is_none());
        assert!(Members::of(serde_json::from_str("[1]").unwrap()).is_none());
    }

    #[test]
    fn deep_nesting_takes_no_stack() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let members: Members<'_> = serde_json::from_str(&deep).unwrap();
        assert_eq!(members.get("a").unwrap().get().len(), 2_000_000);
    }
}
