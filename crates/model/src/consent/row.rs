//! A row of consent: what was said, by whom, how strongly.

use serde::{Deserialize, Serialize};

use crate::{NodeId, Timestamp};

/// What a row says. Ordered so that of two at one instant the more restrictive comes last, and so wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody asked, or what was said before counts no more.
    NotCollected,
    /// The person agreed.
    Granted,
    /// The agreement has run out, by the word of another system. Those that run out here need no row.
    Expired,
    /// The person refused.
    Denied,
    /// The person took an agreement back.
    Withdrawn,
    /// The person objected (GDPR 21): what rests on a legitimate interest ends, too.
    Objected,
    /// Data are kept and not used (GDPR 18).
    Restricted,
}

impl State {
    /// As it stands in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            State::NotCollected => "not_collected",
            State::Granted => "granted",
            State::Expired => "expired",
            State::Denied => "denied",
            State::Withdrawn => "withdrawn",
            State::Objected => "objected",
            State::Restricted => "restricted",
        }
    }

    /// Whether it says no.
    pub fn denies(self) -> bool {
        self > State::Granted
    }
}

/// How strong a row is. The stronger counts; at equal strength the later; at equal time the more restrictive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// What a jurisdiction takes for an agreement, such as a purchase. It counts only there.
    Implied,
    /// A browser's Global Privacy Control.
    Gpc,
    /// A consent manager's signal that came with an event.
    Signal,
    /// An operator's import with proof, or an operator's own entry.
    #[default]
    Operator,
    /// The person's explicit choice: the preference centre, a one-click unsubscribe, a request.
    Person,
}

impl Strength {
    /// As it stands in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Strength::Implied => "implied",
            Strength::Gpc => "gpc",
            Strength::Signal => "signal",
            Strength::Operator => "operator",
            Strength::Person => "person",
        }
    }
}

/// One row. Of each purpose, channel, jurisdiction, strength and speaker the newest is kept at the node; all that nodes said
/// themselves are kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row {
    /// Since when it holds.
    pub at: Timestamp,
    /// What it says.
    pub state: State,
    /// How strong it is.
    pub strength: Strength,
    /// The purpose or consent category; one of [`EVERYTHING`], [`PROCESSING`], [`SALE`], [`SENSITIVE`], [`AUTOMATED`] for a right
    /// that is about more than one.
    pub purpose: String,
    /// The channel; `None` for all.
    pub channel: Option<String>,
    /// The log offset of the record that brought it.
    pub offset: u64,
    /// When an agreement runs out.
    #[serde(default)]
    pub expires: Option<Timestamp>,
    /// Where alone it counts: of what a jurisdiction takes for an agreement.
    #[serde(default)]
    pub jurisdiction: Option<String>,
    /// Said by this node of the person's, with the row's own node named beside it or known as theirs: as long as both are one
    /// person, what the row's own node said before counts no more.
    #[serde(default)]
    pub deferred_to: Option<NodeId>,
}

/// The purpose of a row about everything: an unreadable signal, or the person's "no" to all.
pub const EVERYTHING: &str = "*";
/// The purpose of a row about the person's data altogether: [`State::Restricted`] freezes their use, [`State::Granted`]
/// lifts that.
pub const PROCESSING: &str = "$processing";
/// The purpose of a row about the sale and sharing of data (CCPA 1798.120): it speaks of purposes that are such.
pub const SALE: &str = "$sale";
/// The purpose of a row about the use of sensitive data (CPRA 1798.121): it speaks of purposes that need them.
pub const SENSITIVE: &str = "$sensitive";
/// The purpose of a row about decisions by score alone (GDPR 22): it speaks of purposes that are such.
pub const AUTOMATED: &str = "$automated";

/// The purposes that are rights.
pub const RIGHTS: [&str; 5] = [EVERYTHING, PROCESSING, SALE, SENSITIVE, AUTOMATED];

impl Row {
    /// A row for all channels that does not run out.
    pub fn new(at: Timestamp, state: State, strength: Strength, purpose: impl Into<String>, offset: u64) -> Row {
        let purpose = purpose.into();
        let (channel, expires, jurisdiction, deferred_to) = (None, None, None, None);
        Row { at, state, strength, purpose, channel, offset, expires, jurisdiction, deferred_to }
    }

    /// What of it a newer row takes the place of.
    pub(crate) fn key(&self) -> (Strength, Option<NodeId>, &str, Option<&str>, Option<&str>) {
        (self.strength, self.deferred_to, &self.purpose, self.channel.as_deref(), self.jurisdiction.as_deref())
    }

    /// Whether it counts instead of another of the same key.
    pub(crate) fn supersedes(&self, other: &Row) -> bool {
        match self.strength {
            // An inquiry after a purchase does not shorten what the purchase gave.
            Strength::Implied => (self.expires, self.at) > (other.expires, other.at),
            _ => (self.at, self.state) > (other.at, other.state),
        }
    }

    /// What decides between two rows that speak of one use.
    pub(crate) fn rank(&self) -> (Strength, Timestamp, State) {
        (self.strength, self.at, self.state)
    }
}
