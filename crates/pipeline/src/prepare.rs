//! An event as the pipeline works on it: read once, before anything is loaded.

use std::borrow::Cow;

use onefold_model::{
    Timestamp, Value,
    event::{EventRecord, Fields, Kind},
    identity::{Extracted, Rules, extract},
    json::{self, Members},
    segment::{EventFields, Path},
    value,
};
use onefold_prepare::Outcome;
use rust_decimal::Decimal;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::{dedupe, identity::identifier_key};

/// A trait's name and value.
pub type Trait<'a> = (Cow<'a, str>, &'a RawValue);

/// An event, read.
#[derive(Debug)]
pub struct Event<'a> {
    /// Where it stands in the log.
    pub offset: u64,
    /// As its source's preparation makes it.
    pub record: EventRecord<'a>,
    /// As it came.
    pub came: EventRecord<'a>,
    /// Which call it is.
    pub kind: Kind,
    /// Of a track call its `event`; else the call.
    pub name: Cow<'a, str>,
    /// Its fields.
    pub fields: Fields<'a>,
    /// Where it happened.
    pub context: Option<Members<'a>>,
    /// Of an identify call the person's traits, of a group call the account's, of an object call the object's.
    pub traits: Option<Members<'a>>,
    /// The traits of the person that the event says, each name once.
    pub person: Vec<Trait<'a>>,
    /// Its properties.
    pub properties: Option<Members<'a>>,
    /// The identifiers it names.
    pub identity: Extracted,
    /// Of each identifier its [`identifier_key`].
    pub identifier_keys: SmallVec<[u128; 4]>,
    /// For dedupe.
    pub key: u128,
    /// Whether `key` may be known to dedupe from earlier micro-batches.
    pub may_be_known: bool,
    /// What its source's preparation did to it.
    pub outcome: Option<&'a Outcome>,
}

impl<'a> Event<'a> {
    /// Reads the event of a log record; an error says why it cannot be read.
    pub fn read(offset: u64, record: EventRecord<'a>, rules: &Rules) -> Result<Event<'a>, String> {
        let fields = Fields::read(record.json).map_err(|error| error.to_string())?;
        let kind = fields.kind.and_then(json::text).and_then(|name| Kind::from_name(&name)).ok_or("it has no type")?;
        let message_id = fields.message_id.and_then(json::text).ok_or("it has no messageId")?;
        let name = match kind {
            Kind::Track => fields.event.and_then(json::scalar).unwrap_or(Cow::Borrowed("track")),
            other => Cow::Borrowed(other.name()),
        };
        let context = fields.context.and_then(Members::of);
        let identity = extract(&fields, context.as_ref(), kind, rules);
        let traits = fields.traits.and_then(Members::of);
        let keys = identity.identifiers.iter().map(|id| identifier_key(record.workspace, &id.kind, &id.value));
        Ok(Event {
            identifier_keys: keys.collect(),
            person: person_traits(kind, context.as_ref(), traits.as_ref()),
            offset,
            key: dedupe::key(record.workspace, record.source, &message_id),
            may_be_known: true,
            outcome: None,
            came: record,
            record,
            kind,
            name,
            traits,
            properties: fields.properties.and_then(Members::of),
            fields,
            context,
            identity,
        })
    }

    fn find(&self, path: &str) -> Option<&'a RawValue> {
        let (members, path) = match path.strip_prefix('$') {
            Some(path) => {
                let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
                let raw = match first {
                    "context" => return rest.and_then(|rest| self.context.as_ref()?.at_path(rest)),
                    "traits" => return rest.and_then(|rest| self.traits.as_ref()?.at_path(rest)),
                    "name" => self.fields.name,
                    "channel" => self.fields.channel,
                    "type" => self.fields.kind,
                    "groupId" => self.fields.group_id,
                    _ => None,
                };
                return raw;
            }
            None => (self.properties.as_ref()?, path),
        };
        members.at_path(path)
    }
}

/// The traits of the person that an event says: of an identify call its own, and any call's `context.traits`. Where both
/// say something the call itself counts; of a name that stands twice the last.
fn person_traits<'a>(kind: Kind, context: Option<&Members<'a>>, own: Option<&Members<'a>>) -> Vec<Trait<'a>> {
    let context = context.and_then(|context| context.object("traits")).unwrap_or_default();
    let own = own.filter(|_| kind == Kind::Identify).map(|traits| traits.0.as_slice()).unwrap_or_default();
    last_of_each(context.0.into_iter().chain(own.iter().cloned()))
}

/// Members, each name once: the last counts.
pub fn last_of_each<'a>(members: impl Iterator<Item = Trait<'a>>) -> Vec<Trait<'a>> {
    let mut members: Vec<Trait<'a>> = members.collect();
    members.reverse();
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    members.dedup_by(|later, kept| later.0 == kept.0);
    members
}

impl EventFields for Event<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn at(&self) -> Timestamp {
        self.record.timestamp
    }

    fn value(&self, path: &Path) -> Option<Value> {
        self.find(&path.0).map(Value::from_json).filter(|value| *value != Value::Null)
    }

    fn amount(&self, path: &Path) -> Option<Decimal> {
        self.find(&path.0).and_then(value::amount_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onefold_model::WorkspaceId;

    #[test]
    fn of_a_trait_said_twice_the_call_itself_and_the_last_count() {
        let json = r#"{"type":"identify","messageId":"m","userId":"u","traits":{"a":1,"b":2,"a":3},
            "context":{"traits":{"b":"z","c":4}}}"#;
        let event = Event::read(0, record(json), &Rules::default()).unwrap();
        let traits: Vec<String> = event.person.iter().map(|(name, raw)| format!("{name}={}", raw.get())).collect();
        assert_eq!(traits, ["a=3", "b=2", "c=4"]);
    }

    fn record(json: &str) -> EventRecord<'_> {
        EventRecord {
            workspace: WorkspaceId(1),
            source: 1,
            for_ever: false,
            gpc: false,
            received_at: Timestamp(0),
            timestamp: Timestamp(0),
            sent_at: None,
            json,
        }
    }

    #[test]
    fn paths_reach_into_the_event() {
        let json = r#"{"type":"track","event":"A","messageId":"m","userId":"u","channel":"web",
            "properties":{"price":"19.90","a":{"b":{"c":1}},"x.y":2},"context":{"page":{"url":"/"}}}"#;
        let event = Event::read(0, record(json), &Rules::default()).unwrap();
        let value = |path: &str| event.value(&Path(path.to_owned())).map(|value| value.to_json());
        assert_eq!(value("a.b.c").as_deref(), Some("1"));
        assert_eq!(value("x.y").as_deref(), Some("2"));
        assert_eq!(value("$context.page.url").as_deref(), Some("\"/\""));
        assert_eq!(value("$channel").as_deref(), Some("\"web\""));
        assert_eq!(value("nothing"), None);
        assert_eq!(event.amount(&Path("price".to_owned())), Some(Decimal::new(199, 1)));
    }
}
