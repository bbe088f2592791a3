//! The identifiers that an event names.

use std::borrow::Cow;

use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{Origin, normalise::normalise, rules::Rules};
use crate::{
    event::{Fields, Kind},
    json::{self, Members},
};

/// An identifier in its normal form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identifier {
    /// `user_id`, `email`, …
    pub kind: Cow<'static, str>,
    /// Its normal form.
    pub value: String,
}

/// What an event says about who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// The accepted identifiers, highest priority first, each once. The event belongs to the first.
    pub identifiers: SmallVec<[Identifier; 4]>,
    /// How strong the statement is that they are one person.
    pub origin: Origin,
    /// How many were named but are none: blocked, malformed, or past the bound.
    pub dropped: u32,
}

/// How many identifiers of one event are used; more are dropped.
pub const IDENTIFIERS_MAX: usize = 16;

/// The accepted identifiers of an event. Pure: a function of the event and the rules, so an event belongs to the same
/// node in every rebuild.
pub fn extract(fields: &Fields<'_>, context: Option<&Members<'_>>, kind: Kind, rules: &Rules) -> Extracted {
    let mut found = Found { rules, identifiers: SmallVec::new(), dropped: 0 };
    let mut origin = Origin::Event;
    found.raw("user_id", fields.user_id);
    found.raw("anonymous_id", fields.anonymous_id);
    match kind {
        Kind::Alias => {
            let same = |other: Option<&RawValue>| other.map(RawValue::get) == fields.previous_id.map(RawValue::get);
            // The browser's SDK puts the anonymous id here when nobody was known before.
            if !same(fields.anonymous_id) {
                found.raw("user_id", fields.previous_id);
            }
            origin = Origin::Alias;
        }
        Kind::Merge => found.merge_properties(fields.merge_properties),
        _ => {}
    }
    if kind == Kind::Identify {
        found.contacts(fields.traits.and_then(Members::of).as_ref());
    }
    if let Some(context) = context {
        found.contacts(context.object("traits").as_ref());
        if let Some(device) = context.object("device") {
            found.raw("device_id", device.get("id"));
            found.raw("advertising_id", device.get("advertisingId"));
        }
        found.external_ids(context.get("externalIds").or_else(|| context.get("externalId")));
    }
    found.identifiers.sort_by_cached_key(|id| rules.rank(&id.kind).0);
    Extracted { identifiers: found.identifiers, origin, dropped: found.dropped }
}

struct Found<'r> {
    rules: &'r Rules,
    identifiers: SmallVec<[Identifier; 4]>,
    dropped: u32,
}

impl Found<'_> {
    fn raw(&mut self, kind: &'static str, raw: Option<&RawValue>) {
        if let Some(text) = raw.and_then(json::scalar) {
            self.add(Cow::Borrowed(kind), &text);
        }
    }

    fn add(&mut self, kind: Cow<'static, str>, value: &str) {
        if value.trim().is_empty() {
            return;
        }
        let accepted = normalise(&kind, value)
            .filter(|value| !self.rules.is_blocked(&kind, value))
            .filter(|_| self.identifiers.len() < IDENTIFIERS_MAX);
        let Some(value) = accepted else {
            self.dropped += 1;
            return;
        };
        if !self.identifiers.iter().any(|id| id.kind == kind && id.value == value) {
            self.identifiers.push(Identifier { kind, value: value.into_owned() });
        }
    }

    fn contacts(&mut self, traits: Option<&Members<'_>>) {
        if let Some(traits) = traits {
            self.raw("email", traits.get("email"));
            self.raw("phone", traits.get("phone"));
        }
    }

    /// Segment: `[{id, type, collection, encoding}]`; of the collections only `users` speaks of people.
    fn external_ids(&mut self, raw: Option<&RawValue>) {
        let Some(list) = raw.and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok()) else { return };
        for entry in list.into_iter().filter_map(Members::of) {
            let of_people = entry.text("collection").is_none_or(|collection| collection == "users");
            if let (true, Some(kind), Some(id)) =
                (of_people, entry.text("type"), entry.get("id").and_then(json::scalar))
            {
                self.named(&kind, &id);
            }
        }
    }

    /// RudderStack: `[{type, value}, {type, value}]`.
    fn merge_properties(&mut self, raw: Option<&RawValue>) {
        let Some(list) = raw.and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok()) else { return };
        for entry in list.into_iter().filter_map(Members::of) {
            if let (Some(kind), Some(value)) = (entry.text("type"), entry.get("value").and_then(json::scalar)) {
                self.named(&kind, &value);
            }
        }
    }

    fn named(&mut self, kind: &str, value: &str) {
        let known = match kind {
            "user_id" | "userId" => "user_id",
            "anonymous_id" | "anonymousId" => "anonymous_id",
            "email" => "email",
            "phone" => "phone",
            "ios.idfa" | "android.idfa" | "advertising_id" => "advertising_id",
            "ios.id" | "android.id" | "device_id" => "device_id",
            "" => return,
            other if other.len() <= 100 && !other.contains(char::is_control) => {
                return self.add(Cow::Owned(other.to_owned()), value);
            }
            _ => {
                self.dropped += 1;
                return;
            }
        };
        self.add(Cow::Borrowed(known), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(json: &str, expect: Expect) {
        let fields = Fields::read(json).unwrap();
        let context = fields.context.and_then(Members::of);
        let kind = Kind::from_name(&json::text(fields.kind.unwrap()).unwrap()).unwrap();
        let extracted = extract(&fields, context.as_ref(), kind, &Rules::default());
        let ids: Vec<String> = extracted.identifiers.iter().map(|id| format!("{}={}", id.kind, id.value)).collect();
        expect.assert_eq(&format!("{} ({:?}, {} dropped)", ids.join(" "), extracted.origin, extracted.dropped));
    }

    #[test]
    fn finds_every_place_an_identifier_stands() {
        check(
            r#"{"type":"identify","userId":"u1","anonymousId":"a1","traits":{"email":"Ada@Example.com","phone":"+49 89 1234567"},
                "context":{"device":{"id":"d1","advertisingId":"00000000-0000-0000-0000-000000000000"},
                "externalIds":[{"id":"c1","type":"crm","collection":"users","encoding":"none"},{"id":"x","type":"acct","collection":"accounts"}]}}"#,
            expect![
                "user_id=u1 crm=c1 email=ada@example.com phone=+49891234567 device_id=d1 anonymous_id=a1 (Event, 1 dropped)"
            ],
        );
        check(r#"{"type":"track","userId":"null","anonymousId":"a1"}"#, expect!["anonymous_id=a1 (Event, 1 dropped)"]);
        check(
            r#"{"type":"alias","userId":"u2","previousId":"u1"}"#,
            expect!["user_id=u2 user_id=u1 (Alias, 0 dropped)"],
        );
        check(
            r#"{"type":"alias","userId":"u2","previousId":"a1","anonymousId":"a1"}"#,
            expect!["user_id=u2 anonymous_id=a1 (Alias, 0 dropped)"],
        );
        check(
            r#"{"type":"merge","mergeProperties":[{"type":"email","value":"a@b.c"},{"type":"phone","value":"+4989123456"}]}"#,
            expect!["email=a@b.c phone=+4989123456 (Event, 0 dropped)"],
        );
        check(
            r#"{"type":"track","event":"x","properties":{"email":"a@b.c"},"userId":1}"#,
            expect!["user_id=1 (Event, 0 dropped)"],
        );
    }
}
