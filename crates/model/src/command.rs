//! Commands: every decision that changes what the fold gives, as a record of the log.
//!
//! A command is JSON with a version, because there are few of them, people read them in `log dump`, and they must be
//! readable for ever. Secrets never stand in a command.

use serde::{Deserialize, Serialize};

use crate::{
    NodeId, ProfileId, Timestamp, Value, WorkspaceId,
    access::Classes,
    consent::{Particulars, Policy, State, Strength, Unstated},
    event::record::SourceId,
    identity::{Decision, Rules, StatementRef, links::Found},
    object::ObjectType,
    profile::{Survivorship, computed::ComputedTrait},
    segment::Definition,
};

/// A command as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// Format of this record: 1.
    pub v: u32,
    /// Whose.
    pub workspace: WorkspaceId,
    /// When it was given.
    pub at: Timestamp,
    /// Who gave it.
    pub caller: String,
    /// What.
    pub command: Command,
}

/// An identifier as people write it: kind and value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentifierRef {
    /// `user_id`, `email`, …
    pub kind: String,
    /// Its value; normalised when the command is applied.
    pub value: String,
}

/// A destination as far as the fold must know it; its configuration and secrets are kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The destination's name.
    pub destination: String,
    /// Segments whose members it gets; differences are sent as people enter and leave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<String>,
    /// Names of events it gets as they come; `*` for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// The purpose under which it gets them; consent is asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The channel it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

/// Work over all profiles in the order of their ids, a page at a time, so that new events need not wait for its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// What is done.
    pub work: PageWork,
    /// Profiles after this one; absent: from the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ProfileId>,
    /// At most so many.
    pub limit: usize,
}

/// What is done with each profile of a [`Page`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageWork {
    /// Every live segment is decided.
    Evaluate,
    /// Which values of traits count is found anew, and every live segment decided.
    Traits,
    /// What the destination should have is put in its outbox.
    Sync {
        /// Which destination.
        destination: String,
    },
}

/// What may be decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// The workspace's identity rules from now on. What is joined already stays joined.
    IdentityRules(Rules),
    /// What a person who has said nothing allows.
    ConsentDefault(Unstated),
    /// What data are used for, on which legal ground, and the law of where people live, from now on.
    ConsentPolicy(Policy),
    /// The workspace's time zone (IANA name), for calendar days.
    TimeZone(String),
    /// Which of several values of a trait counts, from now on.
    Survivorship(Survivorship),
    /// What fields hold, as stewards say, from now on.
    Classes(Classes),
    /// A setting of how the house governs what it holds, from now on: `collection`, `approvals`, … No fold depends on it.
    Govern {
        /// Which.
        name: String,
        /// As the server reads it.
        value: serde_json::Value,
    },
    /// What is done to a source's events before they are used, from now on.
    Prepare {
        /// Which source.
        source: SourceId,
        /// The steps, as the crate `onefold-prepare` reads them; absent: none any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preparation: Option<serde_json::Value>,
        /// Whether it is to be done to all that came before as well, once derived state is rebuilt.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        replay: bool,
    },
    /// A steward's value of a person's trait, which goes before all others until it is withdrawn at the same identifier.
    Override {
        /// Whose.
        subject: IdentifierRef,
        /// Of which trait.
        name: String,
        /// Which, `Null`: the trait is gone; absent: the one given before is withdrawn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<Value>,
    },
    /// A segment's definition from now on.
    SegmentSet(Definition),
    /// A segment ends; all members leave.
    SegmentRemove(String),
    /// A computed trait's definition from now on.
    ComputedSet(ComputedTrait),
    /// A computed trait ends.
    ComputedRemove(String),
    /// What was asked for by definitions up to this offset is now folded from the whole log: they go live. Given by the
    /// pipeline itself, so that a rebuild makes them live at the same place.
    Backfilled {
        /// Definitions made by commands before this offset are live.
        before: u64,
    },
    /// One page of work over all profiles. Given by the pipeline itself, so that a rebuild does it at the same place.
    Page(Page),
    /// An object type's definition from now on.
    ObjectTypeSet(ObjectType),
    /// What a destination gets from now on. What it should have already is sent at once.
    Subscribe(Subscription),
    /// A destination gets nothing any more.
    Unsubscribe(String),
    /// A destination gets all current members of its segments again.
    Resync(String),
    /// These are one person.
    Merge {
        /// One.
        a: IdentifierRef,
        /// The other.
        b: IdentifierRef,
    },
    /// These are two people: what joined them is undone, and does not join them again.
    Unmerge {
        /// One.
        a: IdentifierRef,
        /// The other; absent: everybody `a` is joined with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        b: Option<IdentifierRef>,
    },
    /// These statements about identity count no more: what they joined is parted, as far as the others allow. The same said
    /// again counts again.
    Withdraw(Vec<StatementRef>),
    /// The model of record linkage that proposes who is one person from now on; absent: none.
    LinkModel {
        /// Its number.
        version: Option<u32>,
    },
    /// What a model of record linkage finds now, given by the linker that follows the pipeline.
    Links {
        /// Number of the model.
        model: u32,
        /// Pairs that are new, or of which it says something else.
        found: Vec<Found>,
        /// Pairs, the lesser node first, of which it says nothing any more.
        gone: Vec<(NodeId, NodeId)>,
    },
    /// A steward's decision about two nodes, in place of an earlier one.
    LinkDecide {
        /// One.
        a: IdentifierRef,
        /// The other.
        b: IdentifierRef,
        /// What; absent: the earlier one is withdrawn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decision: Option<Decision>,
    },
    /// The people whom these identifiers name, by their nodes, go, with all that is derived from what they did; destinations are told.
    /// That they are not let in again, and that the log forgets them, is done beside.
    Erase {
        /// The request that asks for it.
        request: String,
        /// Nodes of the people.
        nodes: Vec<NodeId>,
    },
    /// The list of who is not let in has changed: it is read anew.
    Suppression,
    /// A consent by an operator, with proof elsewhere, or by the person.
    Consent {
        /// Whose.
        subject: IdentifierRef,
        /// For what.
        purpose: String,
        /// By which channel; absent: all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        channel: Option<String>,
        /// What.
        state: State,
        /// Who says so.
        #[serde(default)]
        by: Strength,
        /// Since when, until when, under which law and notice, with which proof.
        #[serde(default)]
        terms: Particulars,
    },
}

impl Command {
    /// Its name, as it stands in the log.
    pub fn kind(&self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(named)) => named.keys().next().cloned().unwrap_or_default(),
            Ok(serde_json::Value::String(name)) => name,
            _ => String::new(),
        }
    }

    /// The kind and name of the definition that it sets or removes, where it is about one.
    pub fn defines(&self) -> Option<(&'static str, &str)> {
        Some(match self {
            Command::IdentityRules(_) => ("setting", "identity_rules"),
            Command::ConsentDefault(_) | Command::ConsentPolicy(_) => ("setting", "consent_policy"),
            Command::TimeZone(_) => ("setting", "time_zone"),
            Command::Survivorship(_) => ("setting", "survivorship"),
            Command::Classes(_) => ("setting", "classes"),
            Command::LinkModel { .. } => ("setting", "link_model"),
            Command::Govern { name, .. } => ("governance", name),
            Command::SegmentSet(definition) => ("segment", &definition.name),
            Command::SegmentRemove(name) => ("segment", name),
            Command::ComputedSet(definition) => ("computed", &definition.name),
            Command::ComputedRemove(name) => ("computed", name),
            Command::ObjectTypeSet(definition) => ("object_type", &definition.name),
            Command::Subscribe(subscription) => ("subscription", &subscription.destination),
            Command::Unsubscribe(name) => ("subscription", name),
            _ => return None,
        })
    }

    /// Whether it removes a definition.
    pub fn removes(&self) -> bool {
        matches!(self, Command::SegmentRemove(_) | Command::ComputedRemove(_) | Command::Unsubscribe(_))
    }

    /// The identifiers of people that it names.
    pub fn subjects(&self) -> Vec<&IdentifierRef> {
        match self {
            Command::Override { subject, .. } | Command::Consent { subject, .. } => vec![subject],
            Command::Merge { a, b } | Command::LinkDecide { a, b, .. } | Command::Unmerge { a, b: Some(b) } => {
                vec![a, b]
            }
            Command::Unmerge { a, b: None } => vec![a],
            _ => vec![],
        }
    }
}

/// A log record that is not a command of a known version.
#[derive(Debug, thiserror::Error)]
#[error("a command record cannot be read ({0}); if a newer Onefold wrote it, upgrade this one")]
pub struct DecodeError(#[from] serde_json::Error);

impl CommandRecord {
    /// The record's bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a record.
    pub fn decode(bytes: &[u8]) -> Result<CommandRecord, DecodeError> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// A tick's payload: the engine's time, little-endian milliseconds since 1970.
pub fn encode_tick(at: Timestamp) -> [u8; 8] {
    at.0.to_le_bytes()
}

/// Reads a tick's payload.
pub fn decode_tick(bytes: &[u8]) -> Option<Timestamp> {
    Some(Timestamp(i64::from_le_bytes(bytes.try_into().ok()?)))
}
