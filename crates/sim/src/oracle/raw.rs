//! An event as it stands in the log, read the slow way.

use std::collections::BTreeMap;

use onefold_model::{
    Timestamp, Value,
    consent::{self, Policy, signal},
    event::{EventRecord, Fields, Kind},
    identity::{Identifier, Rules, extract},
    json::{self, Members},
    segment::{EventFields, Path},
    value,
};
use onefold_pipeline::dedupe;
use rust_decimal::Decimal;
use serde_json::value::RawValue;

type Object = BTreeMap<String, Box<RawValue>>;

/// What decides between two values of a trait.
pub type Rank = (Timestamp, Timestamp, u64);

/// An accepted event.
#[derive(Debug, Clone)]
pub struct RawEvent {
    /// Its call.
    pub kind: Kind,
    /// Its message id.
    pub message_id: String,
    /// The identifiers that the rules accept, highest priority first.
    pub identifiers: Vec<Identifier>,
    name: String,
    /// By which source.
    pub source: u32,
    rank: Rank,
    json: Object,
    consents: Vec<consent::Row>,
}

impl RawEvent {
    /// Reads an event under these rules and this policy; `None` where it is none.
    pub fn read(offset: u64, record: &EventRecord<'_>, rules: &Rules, policy: &Policy) -> Option<RawEvent> {
        let mut json: Object = serde_json::from_str(record.json).ok()?;
        json.retain(|_, value| value.get() != "null");
        let text = |name: &str| json.get(name).and_then(|raw| json::text(raw)).map(|text| text.into_owned());
        let kind = Kind::from_name(&text("type")?)?;
        let message_id = text("messageId")?;
        let fields = Fields::read(record.json).ok()?;
        let context = fields.context.and_then(Members::of);
        let identifiers = extract(&fields, context.as_ref(), kind, rules).identifiers.into_vec();
        let own = json.get("event").and_then(|raw| json::scalar(raw)).map(|text| text.into_owned());
        let name = match kind {
            Kind::Track => own.unwrap_or_else(|| "track".to_owned()),
            other => other.name().to_owned(),
        };
        let tie = dedupe::key(record.workspace, record.source, &message_id) as u64;
        let rank = (record.timestamp, record.received_at, tie);
        let source = record.source;
        let mut consents = signal::rows(context.as_ref(), record.gpc, policy, record.timestamp, offset);
        consents.extend(policy.implied(&name, record.timestamp, offset));
        Some(RawEvent { kind, message_id, identifiers, name, source, rank, json, consents })
    }

    /// The text of a field.
    pub fn text(&self, name: &str) -> Option<String> {
        self.json.get(name).and_then(|raw| json::scalar(raw)).map(|text| text.into_owned())
    }

    /// What decides between two events.
    pub fn rank(&self) -> Rank {
        self.rank
    }

    fn object(&self, name: &str) -> Object {
        self.json.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// The traits of the person that it says.
    pub fn person_traits(&self) -> Vec<(String, Value)> {
        let context = self.object("context");
        let mut traits: Object =
            context.get("traits").and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        if self.kind == Kind::Identify {
            traits.extend(self.object("traits"));
        }
        traits.into_iter().map(|(name, raw)| (name, Value::from_json(&raw))).collect()
    }

    /// The consent rows that it brings.
    pub fn consents(&self) -> Vec<consent::Row> {
        self.consents.clone()
    }

    fn find(&self, path: &str) -> Option<Box<RawValue>> {
        match path.strip_prefix('$') {
            Some(path) => descend(&self.json, path),
            None => descend(&self.object("properties"), path),
        }
    }
}

fn descend(object: &Object, path: &str) -> Option<Box<RawValue>> {
    if let Some(raw) = object.get(path) {
        return Some(raw.clone());
    }
    let (first, rest) = path.split_once('.')?;
    descend(&serde_json::from_str(object.get(first)?.get()).ok()?, rest)
}

impl EventFields for RawEvent {
    fn name(&self) -> &str {
        &self.name
    }

    fn at(&self) -> Timestamp {
        self.rank.0
    }

    fn value(&self, path: &Path) -> Option<Value> {
        self.find(&path.0).map(|raw| Value::from_json(&raw)).filter(|value| *value != Value::Null)
    }

    fn amount(&self, path: &Path) -> Option<Decimal> {
        self.find(&path.0).and_then(|raw| value::amount_of(&raw))
    }
}
