//! Consent: what the person allows, and the one function that decides.
//!
//! Rows say what was granted or denied, for which purpose and channel, when and by whom. The current state is their fold;
//! [`decide`] reads it and gives the decision together with the row that made it. What cannot be read denies.

pub mod signal;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The person agreed.
    Granted,
    /// The person refused, or took an agreement back.
    Denied,
}

impl State {
    /// As it stands in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            State::Granted => "granted",
            State::Denied => "denied",
        }
    }
}

/// How strong a row is. At equal strength the later one counts; at equal time deny wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// A consent manager's signal that came with an event.
    Signal,
    /// An operator's import with proof, or an operator's own entry.
    Operator,
}

impl Strength {
    /// As it stands in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Strength::Signal => "signal",
            Strength::Operator => "operator",
        }
    }
}

/// One row: the newest of its purpose, channel and strength is kept in the profile; all are kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row {
    /// Since when it holds.
    pub at: Timestamp,
    /// What it says. Ordered so that at one instant `Denied` comes last, and so wins.
    pub state: State,
    /// How strong it is.
    pub strength: Strength,
    /// The purpose or consent category; `*` for all: a signal that could not be read.
    pub purpose: String,
    /// The channel; `None` for all.
    pub channel: Option<String>,
    /// The log offset of the record that brought it.
    pub offset: u64,
}

/// What a workspace does where a person has said nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unstated {
    /// Nothing may be used.
    #[default]
    Deny,
    /// Everything may be used.
    Allow,
}

/// May it be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Whether it may.
    pub allowed: bool,
    /// The rule that decided.
    pub rule: Rule,
    /// The row that decided, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<Row>,
}

/// The rule that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A row of the person.
    Row,
    /// The person's signal could not be read.
    Unreadable,
    /// The person said nothing; the workspace's default.
    Default,
}

impl Rule {
    /// As receipts name it.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Row => "the person's own consent",
            Rule::Unreadable => "the person's consent signal could not be read",
            Rule::Default => "the person has not said, and the workspace's default decides",
        }
    }
}

/// Decides whether the person whose rows these are may be reached for `purpose`, by `channel` where one is named.
///
/// Of the rows for the purpose (and this channel, or all) the strongest count; of those the latest; at one instant deny
/// wins. A person of several identifiers has the rows of all of them, so the more restrictive of two equal ones wins.
/// An unreadable signal denies everything until a later or stronger row says otherwise.
pub fn decide<'r>(
    rows: impl IntoIterator<Item = &'r Row>,
    purpose: &str,
    channel: Option<&str>,
    default: Unstated,
    at: Timestamp,
) -> Decision {
    let deciding = rows
        .into_iter()
        .filter(|row| row.at <= at)
        .filter(|row| row.purpose == purpose || row.purpose == UNREADABLE)
        .filter(|row| row.channel.is_none() || row.channel.as_deref() == channel)
        .max_by_key(|row| (row.strength, row.at, row.state, row.channel.is_some()));
    match deciding {
        Some(row) => Decision {
            allowed: row.state == State::Granted,
            rule: if row.purpose == UNREADABLE { Rule::Unreadable } else { Rule::Row },
            row: Some(row.clone()),
        },
        None => Decision { allowed: default == Unstated::Allow, rule: Rule::Default, row: None },
    }
}

/// The purpose of the row that an unreadable signal makes.
pub const UNREADABLE: &str = "*";

#[cfg(test)]
mod tests {
    use super::*;

    fn row(at: i64, state: State, strength: Strength, purpose: &str, channel: Option<&str>) -> Row {
        let (purpose, channel) = (purpose.to_owned(), channel.map(str::to_owned));
        Row { at: Timestamp(at), state, strength, purpose, channel, offset: 0 }
    }

    #[test]
    fn the_strongest_then_the_latest_then_deny_decides() {
        use {State::*, Strength::*};
        let check = |rows: &[Row], expect: bool| {
            assert_eq!(decide(rows, "ads", Some("email"), Unstated::Deny, Timestamp(10)).allowed, expect, "{rows:?}");
        };
        check(&[], false);
        check(&[row(1, Granted, Signal, "ads", None)], true);
        check(&[row(1, Granted, Signal, "ads", Some("sms"))], false);
        check(&[row(1, Granted, Signal, "ads", None), row(2, Denied, Signal, "ads", None)], false);
        check(&[row(2, Granted, Signal, "ads", None), row(2, Denied, Signal, "ads", None)], false);
        check(&[row(3, Denied, Signal, "ads", None), row(2, Granted, Operator, "ads", None)], true);
        check(&[row(11, Granted, Signal, "ads", None)], false);
        check(&[row(1, Granted, Signal, "ads", None), row(2, Denied, Signal, UNREADABLE, None)], false);
        check(&[row(2, Denied, Signal, UNREADABLE, None), row(3, Granted, Signal, "ads", None)], true);
    }

    #[test]
    fn silence_is_the_default() {
        let decision = decide(&[], "ads", None, Unstated::Allow, Timestamp(0));
        assert_eq!((decision.allowed, decision.rule), (true, Rule::Default));
    }
}
