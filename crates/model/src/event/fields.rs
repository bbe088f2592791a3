//! The fields of an event that Onefold knows, each as its raw JSON, read in one pass.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

macro_rules! fields {
    ($($(#[$doc:meta])* $field:ident = $name:literal,)*) => {
        /// The known top-level fields of an event. A field that stands twice counts the last time; JSON `null` counts as
        /// absent.
        #[derive(Debug, Clone, Copy, Default)]
        pub struct Fields<'a> {
            $($(#[$doc])* pub $field: Option<&'a RawValue>,)*
        }

        enum Name { $(#[allow(non_camel_case_types)] $field,)* Other }

        impl Name {
            fn of(name: &str) -> Name {
                match name { $($name => Name::$field,)* _ => Name::Other }
            }
        }

        impl<'a> Fields<'a> {
            fn set(&mut self, which: Name, value: &'a RawValue) {
                let value = (value.get() != "null").then_some(value);
                match which { $(Name::$field => self.$field = value,)* Name::Other => {} }
            }
        }
    };
}

// A macro, because the names would otherwise stand three times (struct, match, assignment) and could drift apart.
fields! {
    /// The call: `track`, `identify`, ….
    kind = "type",
    /// The sender's id of the event.
    message_id = "messageId",
    /// The id of the known person.
    user_id = "userId",
    /// The id of the browser or device.
    anonymous_id = "anonymousId",
    /// Of an alias: the id that goes.
    previous_id = "previousId",
    /// Of a group call: the account.
    group_id = "groupId",
    /// Of a group call: what the group is, `account` or `household`.
    group_type = "groupType",
    /// Of a group call: what the person is in it.
    role = "role",
    /// Of a group call: whether the person belongs to it no more.
    left = "left",
    /// Of a track call: its name.
    event = "event",
    /// Of page and screen calls: its name.
    name = "name",
    /// Of an object call: the type.
    object_type = "objectType",
    /// Of an object call: the object.
    object_id = "objectId",
    /// Of a merge call: the two identifiers.
    merge_properties = "mergeProperties",
    /// When it happened, by the sender's clock.
    timestamp = "timestamp",
    /// The same, as RudderStack's SDKs call it.
    original_timestamp = "originalTimestamp",
    /// When it was sent, by the sender's clock.
    sent_at = "sentAt",
    /// The write key, which browsers repeat in every event; never stored.
    write_key = "writeKey",
    /// Where it happened.
    context = "context",
    /// Which destinations it is for.
    integrations = "integrations",
    /// Traits of the person or account.
    traits = "traits",
    /// Properties of the event.
    properties = "properties",
    /// Server, web or mobile, as RudderStack's SDKs say it.
    channel = "channel",
}

impl<'a> Fields<'a> {
    /// Reads the fields of an event from its JSON text.
    pub fn read(json: &'a str) -> Result<Fields<'a>, serde_json::Error> {
        serde_json::from_str(json)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsFields;
        impl<'de> Visitor<'de> for AsFields {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Fields::default();
                while let Some(which) = map.next_key::<Name>()? {
                    match which {
                        Name::Other => {
                            map.next_value::<IgnoredAny>()?;
                        }
                        known => fields.set(known, map.next_value()?),
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(AsFields)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsName;
        impl Visitor<'_> for AsName {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }
            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name::of(name))
            }
        }
        deserializer.deserialize_str(AsName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_knows_and_skips_the_rest() {
        let json = r#"{"type":"track","userId":null,"event":"A","x":[{"type":"no"}],"event":"B","context":{"ip":1}}"#;
        let fields = Fields::read(json).unwrap();
        assert_eq!(fields.kind.unwrap().get(), "\"track\"");
        assert_eq!(fields.event.unwrap().get(), "\"B\"");
        assert_eq!(fields.context.unwrap().get(), "{\"ip\":1}");
        assert!(fields.user_id.is_none());
    }
}
