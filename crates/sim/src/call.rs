//! Calls as sources send them, written short.
//!
//! Who is spoken of is a line of identifiers: `u1 a2 ada@example.com +4989123456 d3`: a user id, a cookie, an e-mail
//! address, a phone number, a device.

use onefold_model::Timestamp;
use serde_json::{Map, Value, json};

/// A call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its JSON.
    pub json: Map<String, Value>,
    /// The source that sends it.
    pub source: u32,
    /// Whether it is an imported row.
    pub import: bool,
    /// Whether the browser asks not to sell or share.
    pub gpc: bool,
}

/// `track`: something happened.
pub fn track(who: &str, event: &str) -> Call {
    Call::new("track", who).set("event", json!(event))
}

/// `identify`: traits of a person.
pub fn identify(who: &str, traits: Value) -> Call {
    Call::new("identify", who).set("traits", traits)
}

/// `page`: a page was seen.
pub fn page(who: &str, name: &str) -> Call {
    Call::new("page", who).set("name", json!(name))
}

/// `group`: the person belongs to an account, which has these traits.
pub fn group(who: &str, account: &str, traits: Value) -> Call {
    Call::new("group", who).set("groupId", json!(account)).set("traits", traits)
}

/// `alias`: the user ids are one person.
pub fn alias(user: &str, previous: &str) -> Call {
    Call::new("alias", user).set("previousId", json!(previous))
}

/// `object`: traits of an object.
pub fn object(object_type: &str, id: &str, traits: Value) -> Call {
    Call::new("object", "").set("objectType", json!(object_type)).set("objectId", json!(id)).set("traits", traits)
}

impl Call {
    /// A call of `kind` that speaks of `who`.
    pub fn new(kind: &str, who: &str) -> Call {
        let mut call = Call { json: Map::new(), source: 1, import: false, gpc: false }.set("type", json!(kind));
        for name in who.split_whitespace() {
            call = match kind_of(name) {
                "user_id" => call.set("userId", json!(name)),
                "anonymous_id" => call.set("anonymousId", json!(name)),
                "device_id" => call.context("device", "id", json!(name)),
                contact => call.context("traits", contact, json!(name)),
            };
        }
        call
    }

    /// The call with this field as well.
    pub fn set(mut self, name: &str, value: Value) -> Call {
        self.json.insert(name.to_owned(), value);
        self
    }

    fn context(mut self, group: &str, name: &str, value: Value) -> Call {
        let context = self.json.entry("context").or_insert_with(|| json!({}));
        context[group][name] = value;
        self
    }

    /// When it happened.
    pub fn at(self, at: Timestamp) -> Call {
        self.set("timestamp", json!(at.to_string()))
    }

    /// Its properties.
    pub fn with(self, properties: Value) -> Call {
        self.set("properties", properties)
    }

    /// Its message id; without one it gets its own.
    pub fn id(self, message_id: &str) -> Call {
        self.set("messageId", json!(message_id))
    }

    /// What the person's consent manager says.
    pub fn consent(self, purpose: &str, granted: bool) -> Call {
        self.context("consent", "categoryPreferences", json!({ purpose: granted }))
    }

    /// A consent object that cannot be read.
    pub fn unreadable_consent(self) -> Call {
        self.context("consent", "categoryPreferences", json!("yes"))
    }

    /// By which source it comes.
    pub fn from(mut self, source: u32) -> Call {
        self.source = source;
        self
    }

    /// From a browser that asks not to sell or share.
    pub fn gpc(mut self) -> Call {
        self.gpc = true;
        self
    }

    /// As a row of an import: its message id is remembered for ever.
    pub fn imported(mut self) -> Call {
        self.import = true;
        self
    }
}

/// The kind of an identifier by how it is written.
pub fn kind_of(name: &str) -> &'static str {
    match name.as_bytes() {
        [b'+', ..] => "phone",
        bytes if bytes.contains(&b'@') => "email",
        [b'a', ..] => "anonymous_id",
        [b'd', ..] => "device_id",
        _ => "user_id",
    }
}
