//! Consent: what the person allows, and the one function that decides.
//!
//! Rows say what was granted or denied, for which purpose and channel, when and by whom ([`Row`]). What data are used for, on
//! which legal ground, and the law of where people live stand in the workspace's [`Policy`]. [`decide`] reads both and gives the
//! decision together with the rule and the row that made it. What cannot be read denies.

mod bits;
pub mod gpp;
pub mod policy;
pub mod row;
pub mod signal;
pub mod tcf;

use serde::{Deserialize, Serialize};

pub use self::{
    policy::{Basis, Notice, Policy, Unstated},
    row::{AUTOMATED, EVERYTHING, PROCESSING, RIGHTS, Row, SALE, SENSITIVE, State, Strength},
};
use crate::Timestamp;

/// What an operator or the person says about a consent beside the consent itself; it stands in the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Particulars {
    /// Since when it holds; absent: since it was recorded. An instant ahead counts from then, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<Timestamp>,
    /// When it runs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Under which law it was gathered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// On which legal ground.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// What the person was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
    /// Where the proof is: the number of a form, a recording, a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// What is asked of [`decide`].
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// For which purpose.
    pub purpose: &'a str,
    /// By which channel; `None`: for the purpose at all.
    pub channel: Option<&'a str>,
    /// Under which law the person lives.
    pub jurisdiction: Option<&'a str>,
    /// At which instant.
    pub at: Timestamp,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A row of the person.
    Row,
    /// The person's signal could not be read.
    Unreadable,
    /// The use of the person's data is restricted.
    Restricted,
    /// The agreement has run out.
    Expired,
    /// The agreement was never confirmed.
    Unconfirmed,
    /// The purpose's legal ground needs no agreement, and the person did not object.
    Basis,
    /// The person said nothing; the law of where they live decides.
    Law,
    /// The person said nothing; the workspace's default.
    Default,
}

impl Rule {
    /// As receipts name it.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Row => "the person's own consent",
            Rule::Unreadable => "the person's consent signal could not be read",
            Rule::Restricted => "the use of the person's data is restricted",
            Rule::Expired => "the person's agreement has run out",
            Rule::Unconfirmed => "the person has not confirmed the agreement",
            Rule::Basis => "the purpose does not rest on consent, and the person has not objected",
            Rule::Law => "the person has not said, and the law of where they live decides",
            Rule::Default => "the person has not said, and the workspace's default decides",
        }
    }
}

/// Decides whether the person who said this may be reached for a purpose, by a channel where one is named. `voices`: the rows of
/// each of the person's identifiers, without those deferred to others' ones.
///
/// 1. Of an identifier's rows that speak of the purpose (by its name, as one of the rights that it touches, or of everything) and
///    of this channel or all, the strongest counts; of those the latest; at one instant the more restrictive. Agreements that
///    have run out or lack their confirmation, and those that only another jurisdiction takes for such, step aside. Where that
///    row was deferred to another identifier, that one speaks for this one.
/// 2. Of several identifiers the more restrictive counts.
/// 3. Restricted use freezes everything but what a law demands or a life depends on.
/// 4. Where the purpose rests on consent, an agreement allows, and anything else denies. Where it rests on an interest or a
///    task, only a refusal or objection denies. Other grounds ask nobody.
/// 5. Silence: who agreed once, without its counting, is denied; for the others the law of where they live decides, then the
///    workspace's default.
pub fn decide<'r, V>(policy: &Policy, voices: impl IntoIterator<Item = V>, asked: Question<'_>) -> Decision
where
    V: IntoIterator<Item = &'r Row>,
{
    let use_of = Use::of(policy, asked);
    let (mut said, mut frozen, mut void): (Option<&Row>, Option<&Row>, Option<(Rule, &Row)>) = (None, None, None);
    for voice in voices {
        let one = use_of.listen(voice);
        let more = |row: &&Row| (row.state.denies(), row.rank());
        said = said.into_iter().chain(one.said).max_by_key(more);
        frozen = frozen.into_iter().chain(one.frozen).max_by_key(more);
        void = void.or(one.void);
    }
    let decided = |allowed: bool, rule: Rule, row: Option<&Row>| Decision { allowed, rule, row: row.cloned() };
    if matches!(use_of.basis, Basis::LegalObligation | Basis::VitalInterests) {
        return decided(true, Rule::Basis, None);
    }
    if let Some(row) = frozen.filter(|row| row.state.denies()) {
        return decided(false, Rule::Restricted, Some(row));
    }
    match (use_of.basis, said) {
        (_, Some(row)) if row.state == State::Restricted => decided(false, Rule::Restricted, Some(row)),
        (Basis::Contract, _) => decided(true, Rule::Basis, None),
        (_, Some(row)) if row.state.denies() => {
            let unreadable = row.purpose == EVERYTHING && row.strength == Strength::Signal;
            decided(false, if unreadable { Rule::Unreadable } else { Rule::Row }, Some(row))
        }
        (Basis::Consent, Some(row)) => decided(true, Rule::Row, Some(row)),
        (Basis::Consent, None) => match (void, use_of.law.and_then(|law| law.unstated)) {
            (Some((rule, row)), _) => decided(false, rule, Some(row)),
            (None, Some(unstated)) => decided(unstated == Unstated::Allow, Rule::Law, None),
            (None, None) => decided(policy.unstated == Unstated::Allow, Rule::Default, None),
        },
        _ => decided(true, Rule::Basis, None),
    }
}

/// A use of data, with what the policy says of it.
struct Use<'a> {
    policy: &'a Policy,
    asked: Question<'a>,
    purpose: Option<&'a policy::Purpose>,
    law: Option<&'a policy::Jurisdiction>,
    basis: Basis,
}

/// What one identifier says of a use.
#[derive(Default)]
struct Voice<'r> {
    said: Option<&'r Row>,
    frozen: Option<&'r Row>,
    /// An agreement that does not count, and why.
    void: Option<(Rule, &'r Row)>,
}

impl<'a> Use<'a> {
    fn of(policy: &'a Policy, asked: Question<'a>) -> Use<'a> {
        let purpose = policy.purposes.get(asked.purpose);
        let law = policy.law(asked.jurisdiction, asked.at);
        let basis = law.and_then(|law| law.basis.get(asked.purpose)).copied();
        let basis = basis.or(purpose.map(|purpose| purpose.basis)).unwrap_or_default();
        Use { policy, asked, purpose, law, basis }
    }

    /// Whether a row of this purpose speaks of the use.
    fn touches(&self, purpose: &str) -> bool {
        let is = |of: fn(&policy::Purpose) -> bool| self.purpose.is_some_and(of);
        match purpose {
            EVERYTHING => true,
            SALE => is(|purpose| purpose.sale),
            SENSITIVE => is(|purpose| purpose.sensitive),
            AUTOMATED => is(|purpose| purpose.automated),
            other => other == self.asked.purpose,
        }
    }

    fn listen<'r>(&self, rows: impl IntoIterator<Item = &'r Row>) -> Voice<'r> {
        let Question { channel, jurisdiction, at, .. } = self.asked;
        let mut voice = Voice::default();
        for row in rows.into_iter().filter(|row| row.at <= at) {
            if row.purpose == PROCESSING {
                let rank = |row: &&Row| (row.at, row.state, row.deferred_to.is_some());
                voice.frozen = voice.frozen.into_iter().chain([row]).max_by_key(rank);
                continue;
            }
            let speaks = self.touches(&row.purpose)
                && (row.channel.is_none() || row.channel.as_deref() == channel)
                && (row.jurisdiction.is_none() || row.jurisdiction.as_deref() == jurisdiction);
            match self.void(row) {
                _ if !speaks => {}
                Some(rule) => voice.void = voice.void.or(Some((rule, row)).filter(|_| row.deferred_to.is_none())),
                None => {
                    let rank = |row: &&Row| (row.rank(), row.channel.is_some(), row.deferred_to.is_some());
                    voice.said = voice.said.into_iter().chain([row]).max_by_key(rank);
                }
            }
        }
        let own = |row: &&Row| row.deferred_to.is_none();
        voice.said = voice.said.filter(|row| own(row) && row.state != State::NotCollected);
        voice.frozen = voice.frozen.filter(own);
        voice
    }

    /// Why an agreement does not count; `None`: it does, or it is none.
    fn void(&self, row: &Row) -> Option<Rule> {
        let confirms = self.purpose.is_none_or(|p| !p.double_opt_in) || row.strength >= Strength::Operator;
        match row.state {
            State::Granted if self.policy.expires(row) <= self.asked.at => Some(Rule::Expired),
            State::Granted if !confirms => Some(Rule::Unconfirmed),
            _ => None,
        }
    }
}

/// What a person has said, and where they live, as copies of a profile keep it: in JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The code of the law under which the person lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// The rows of each identifier that has any.
    pub voices: Vec<Vec<Row>>,
}

impl Said {
    /// As JSON; `None` where nothing was said and nothing is known.
    pub fn to_json(&self) -> Option<String> {
        let json = || serde_json::to_string(self).expect("rows are written as JSON");
        (*self != Said::default()).then(json)
    }

    /// Reads it; `None` where it cannot be read, and so denies.
    pub fn from_json(json: Option<&str>) -> Option<Said> {
        match json {
            None => Some(Said::default()),
            // As it was written when all identifiers were one voice.
            Some(json) if json.starts_with('[') => {
                Some(Said { jurisdiction: None, voices: vec![serde_json::from_str(json).ok()?] })
            }
            Some(json) => serde_json::from_str(json).ok(),
        }
    }

    /// Decides as [`decide`] does.
    pub fn decide(&self, policy: &Policy, purpose: &str, channel: Option<&str>, at: Timestamp) -> Decision {
        let jurisdiction = self.jurisdiction.as_deref();
        decide(policy, &self.voices, Question { purpose, channel, jurisdiction, at })
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.voices.iter().flatten()
    }
}

#[cfg(test)]
mod tests;
