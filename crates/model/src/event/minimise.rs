//! Which fields of events enter at all: those that some declared purpose needs.
//!
//! A workspace may declare, purpose by purpose, which traits, properties and parts of the context it collects. What no purpose
//! declares is then taken out before the log has it. What an event needs to be one (its kind, name, times, message id), what
//! says whom it is about at its top level, and what is said of consent always enter.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Fields, Kind};
use crate::json::{self, Members};

/// Members of an event that always enter.
const OF_EVENTS: [&str; 19] = [
    "type",
    "event",
    "name",
    "userId",
    "anonymousId",
    "previousId",
    "groupId",
    "messageId",
    "timestamp",
    "originalTimestamp",
    "sentAt",
    "receivedAt",
    "channel",
    "objectType",
    "objectId",
    "version",
    "integrations",
    "category",
    "mergeProperties",
];

/// Members of the context in which consent is said.
const OF_CONSENT: [&str; 2] = ["consent", "consentManagement"];

/// What is done with what no purpose declares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undeclared {
    /// It enters: nothing need be declared.
    #[default]
    Keep,
    /// It does not enter.
    Drop,
}

/// What a workspace collects, and for what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collection {
    /// What is done with the rest.
    #[serde(default)]
    pub undeclared: Undeclared,
    /// By purpose.
    #[serde(default)]
    pub purposes: BTreeMap<String, Needs>,
}

/// What a purpose needs. `*` is everything there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// Traits of people.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub traits: BTreeSet<String>,
    /// Events by name, with the properties needed of each. `$page`, `$screen`, `$group` and `$object` are the calls of these kinds; `*`: all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, BTreeSet<String>>,
    /// Members of the context: `ip`, `page`, `device`, …
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub context: BTreeSet<String>,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Minimised {
    /// All of it enters.
    Whole,
    /// This enters, without so many fields.
    Less(String, u32),
    /// No purpose needs events of this name.
    Nothing,
}

impl Collection {
    /// Whether everything enters.
    pub fn is_everything(&self) -> bool {
        self.undeclared == Undeclared::Keep
    }

    fn any(&self, is: impl Fn(&Needs) -> bool) -> bool {
        self.purposes.values().any(is)
    }

    fn has_trait(&self, name: &str) -> bool {
        self.any(|needs| has(&needs.traits, name))
    }

    fn has_context(&self, name: &str) -> bool {
        OF_CONSENT.contains(&name) || self.any(|needs| has(&needs.context, name))
    }

    fn has_event(&self, event: &str) -> bool {
        self.any(|needs| needs.events.contains_key(event) || needs.events.contains_key("*"))
    }

    fn has_property(&self, event: &str, name: &str) -> bool {
        self.any(|needs| [event, "*"].iter().filter_map(|of| needs.events.get(*of)).any(|names| has(names, name)))
    }

    /// What of an event enters. What cannot be read is none, and was refused before.
    pub fn minimise(&self, json: &str) -> Minimised {
        if self.is_everything() {
            return Minimised::Whole;
        }
        let Ok(fields) = Fields::read(json) else { return Minimised::Whole };
        let kind = fields.kind.and_then(json::text).and_then(|name| Kind::from_name(&name));
        let name = fields.event.and_then(json::scalar);
        let event = match kind {
            Some(Kind::Track) => name.as_deref().unwrap_or_default(),
            Some(Kind::Page) => "$page",
            Some(Kind::Screen) => "$screen",
            Some(Kind::Group) => "$group",
            Some(Kind::Object) => "$object",
            _ => "",
        };
        if !event.is_empty() && !self.has_event(event) {
            return Minimised::Nothing;
        }
        let Ok(raw) = serde_json::from_str::<&RawValue>(json) else { return Minimised::Whole };
        let Some(members) = Members::of(raw) else { return Minimised::Whole };
        let (mut out, mut dropped) = (String::with_capacity(json.len()), 0);
        out.push('{');
        for (name, value) in &members.0 {
            let filtered = match name.as_ref() {
                "properties" => filter(value, &mut dropped, &|name| self.has_property(event, name)),
                "traits" if event == "$group" => filter(value, &mut dropped, &|name| self.has_property(event, name)),
                "traits" => filter(value, &mut dropped, &|name| self.has_trait(name)),
                "context" => self.context(value, &mut dropped),
                other if OF_EVENTS.contains(&other) => Some(value.get().to_owned()),
                _ => {
                    dropped += 1;
                    None
                }
            };
            if let Some(filtered) = filtered {
                write(&mut out, name, &filtered);
            }
        }
        close(&mut out);
        match dropped {
            0 => Minimised::Whole,
            _ => Minimised::Less(out, dropped),
        }
    }

    fn context(&self, value: &RawValue, dropped: &mut u32) -> Option<String> {
        let Some(members) = Members::of(value) else { return filter(value, dropped, &|_| false) };
        let mut out = "{".to_owned();
        for (name, value) in &members.0 {
            match name.as_ref() {
                "traits" => {
                    if let Some(traits) = filter(value, dropped, &|name| self.has_trait(name)) {
                        write(&mut out, name, &traits);
                    }
                }
                other if self.has_context(other) => write(&mut out, name, value.get()),
                _ => *dropped += 1,
            }
        }
        close(&mut out);
        Some(out)
    }
}

fn has(names: &BTreeSet<String>, name: &str) -> bool {
    names.contains(name) || names.contains("*")
}

fn write(out: &mut String, name: &str, value: &str) {
    out.push_str(&serde_json::to_string(name).unwrap_or_default());
    out.push(':');
    out.push_str(value);
    out.push(',');
}

fn close(out: &mut String) {
    if out.ends_with(',') {
        out.pop();
    }
    out.push('}');
}

/// An object's members that are wanted. Something else than an object has no names that could be declared.
fn filter(value: &RawValue, dropped: &mut u32, is_wanted: &dyn Fn(&str) -> bool) -> Option<String> {
    let Some(members) = Members::of(value) else {
        if value.get() == "null" {
            return Some("null".to_owned());
        }
        *dropped += 1;
        return None;
    };
    let mut out = "{".to_owned();
    for (name, value) in &members.0 {
        match is_wanted(name) {
            true => write(&mut out, name, value.get()),
            false => *dropped += 1,
        }
    }
    close(&mut out);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn collection() -> Collection {
        serde_json::from_str(
            r#"{"undeclared":"drop","purposes":{
                "analytics":{"events":{"Order Completed":["total","currency"],"$page":["path"]},"context":["page"]},
                "email":{"traits":["email"],"events":{"Order Completed":["order_id"]}}}}"#,
        )
        .unwrap()
    }

    fn check(event: &str, expected: &str) {
        let left = match collection().minimise(event) {
            Minimised::Whole => "whole".to_owned(),
            Minimised::Less(left, dropped) => format!("{dropped} {left}"),
            Minimised::Nothing => "nothing".to_owned(),
        };
        assert_eq!(left, expected);
    }

    #[test]
    fn what_no_purpose_declares_does_not_enter() {
        check(
            r#"{"type":"track","event":"Order Completed","userId":"u","properties":{"total":7,"order_id":"o","coupon":"x"},"context":{"ip":"1.2.3.4","page":{"path":"/"},"traits":{"email":"a@b.c","age":7}},"extra":1}"#,
            r#"4 {"type":"track","event":"Order Completed","userId":"u","properties":{"total":7,"order_id":"o"},"context":{"page":{"path":"/"},"traits":{"email":"a@b.c"}}}"#,
        );
        check(r#"{"type":"track","event":"Order Completed","userId":"u","properties":{"total":7}}"#, "whole");
        check(r#"{"type":"track","event":"Viewed","userId":"u"}"#, "nothing");
        check(r#"{"type":"screen","userId":"u"}"#, "nothing");
        check(
            r#"{"type":"page","name":"Home","userId":"u","properties":{"path":"/","title":"x"}}"#,
            r#"1 {"type":"page","name":"Home","userId":"u","properties":{"path":"/"}}"#,
        );
        check(
            r#"{"type":"identify","userId":"u","traits":{"email":"a@b.c","name":"A"}}"#,
            r#"1 {"type":"identify","userId":"u","traits":{"email":"a@b.c"}}"#,
        );
        check(r#"{"type":"identify","userId":"u","traits":"none"}"#, r#"1 {"type":"identify","userId":"u"}"#);
        check(r#"{"type":"alias","userId":"u","previousId":"p"}"#, "whole");
    }

    #[test]
    fn what_is_said_of_consent_always_enters() {
        check(
            r#"{"type":"identify","userId":"u","context":{"consent":{"gpc":true},"consentManagement":{},"ip":"1"}}"#,
            r#"1 {"type":"identify","userId":"u","context":{"consent":{"gpc":true},"consentManagement":{}}}"#,
        );
    }

    #[test]
    fn where_nothing_is_declared_everything_enters() {
        assert_eq!(Collection::default().minimise(r#"{"type":"track","event":"x","extra":1}"#), Minimised::Whole);
        let everything: Collection = serde_json::from_str(
            r#"{"undeclared":"drop","purposes":{"all":{"traits":["*"],"events":{"*":["*"]},"context":["*"]}}}"#,
        )
        .unwrap();
        let event = r#"{"type":"track","event":"x","properties":{"a":1},"context":{"ip":"1","traits":{"b":2}}}"#;
        assert_eq!(everything.minimise(event), Minimised::Whole);
    }

    proptest! {
        /// Minimising twice is minimising once, and what is left is JSON whose fields are all declared.
        #[test]
        fn what_is_left_is_left_again(
            event in prop::sample::select(vec!["Order Completed", "Viewed"]),
            names in prop::collection::vec(prop::sample::select(vec!["total", "currency", "order_id", "x", "y"]), 0..6),
            context in prop::collection::vec(prop::sample::select(vec!["ip", "page", "consent", "device"]), 0..4),
        ) {
            let object = |names: &[&str]| {
                let members: Vec<String> = names.iter().map(|name| format!("{name:?}:1")).collect();
                format!("{{{}}}", members.join(","))
            };
            let json = format!(
                r#"{{"type":"track","event":"{event}","userId":"u","properties":{},"context":{}}}"#,
                object(&names), object(&context)
            );
            match collection().minimise(&json) {
                Minimised::Nothing => prop_assert_eq!(event, "Viewed"),
                Minimised::Whole => prop_assert!(!names.iter().any(|name| ["x", "y"].contains(name))),
                Minimised::Less(left, dropped) => {
                    prop_assert!(dropped > 0);
                    prop_assert_eq!(collection().minimise(&left), Minimised::Whole);
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&left).is_ok());
                    prop_assert!(!left.contains("\"ip\"") && !left.contains("\"x\""));
                }
            }
        }
    }
}
