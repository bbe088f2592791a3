//! Survivorship: which of the values that were said of a person counts.
//!
//! A person's **records** are what each source says at each of the person's identifiers: of every pair of node and source the
//! newest value. A rule per trait chooses among them; a steward's value goes before every rule, until it is withdrawn. Values
//! of a second or third party fill gaps: they count only where no party before them says anything, be it that the trait is
//! gone.
//!
//! What counts is a pure function of the registers, which do not depend on the order of arrival; so neither does it.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::traits::{Observed, Traits};
use crate::{Timestamp, Value, clock::DAY_MS, event::record::SourceId};

/// The source of values that a steward gave.
pub const STEWARD: SourceId = SourceId::MAX;

/// How many values of an `order`, and sources of a `most_trusted`, a rule may name.
pub const RULE_ITEMS_MAX: usize = 1000;

/// How many values a union shows.
pub const UNION_VALUES_MAX: usize = 100;

/// How one value is chosen among those of several records. Between equals the most recent counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule<S = SourceId> {
    /// The one said last. That a trait is gone counts as said.
    #[default]
    MostRecent,
    /// That of the source named first here; sources that are not named come after them.
    MostTrusted(Vec<S>),
    /// The one that most records say.
    MostFrequent,
    /// The text with the most characters.
    Longest,
    /// All of them, as a JSON array in ascending order; arrays are taken apart.
    Union,
    /// The one named first here; values that are not named come after them.
    Order(Vec<Plain>),
}

/// A value of an [`Rule::Order`], as JSON writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Plain {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// Text.
    Text(String),
}

/// Whose data a source brings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// What the person said of themselves, asked for it: before all others.
    Declared,
    /// Ours: what the person told us or did with us.
    #[default]
    First,
    /// A partner's own.
    Second,
    /// Bought, or from a public register.
    Third,
}

/// On which terms a source's values are here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "TermsForm", into = "TermsForm")]
pub struct Terms {
    /// Whose data it is.
    pub party: Party,
    /// The contract or licence, for people.
    pub contract: Option<String>,
    /// Days after which a value goes, counted from when it came.
    pub expires_days: Option<u32>,
    /// A value counts only where the person's consent allows this purpose.
    pub purpose: Option<String>,
}

/// A party alone, or all terms.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum TermsForm {
    Party(Party),
    Terms(WholeTerms),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeTerms {
    #[serde(default)]
    party: Party,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contract: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_days: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
}

impl From<TermsForm> for Terms {
    fn from(form: TermsForm) -> Terms {
        match form {
            TermsForm::Party(party) => Terms { party, ..Terms::default() },
            TermsForm::Terms(WholeTerms { party, contract, expires_days, purpose }) => {
                Terms { party, contract, expires_days, purpose }
            }
        }
    }
}

impl From<Terms> for TermsForm {
    fn from(terms: Terms) -> TermsForm {
        match terms {
            Terms { party, contract: None, expires_days: None, purpose: None } => TermsForm::Party(party),
            Terms { party, contract, expires_days, purpose } => {
                TermsForm::Terms(WholeTerms { party, contract, expires_days, purpose })
            }
        }
    }
}

/// Days for which values may be kept at most.
const EXPIRES_DAYS_MAX: u32 = 36_500;

/// A workspace's rules. `S` is how a source is named: by its number in the log, by its name for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "S: Ord + Deserialize<'de>"))]
pub struct Survivorship<S: Ord = SourceId> {
    /// For traits that are not named below.
    #[serde(default = "most_recent")]
    pub default: Rule<S>,
    /// By trait.
    #[serde(default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    pub traits: BTreeMap<String, Rule<S>>,
    /// On which terms a source's values are here; one that is not named brings our own.
    #[serde(default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    pub parties: BTreeMap<S, Terms>,
}

fn most_recent<S>() -> Rule<S> {
    Rule::MostRecent
}

/// The rules that every workspace begins with.
pub static MOST_RECENT: Survivorship = Survivorship::new();

impl<S: Ord> Default for Survivorship<S> {
    fn default() -> Self {
        Survivorship::new()
    }
}

/// The value that counts, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor<'a> {
    /// The value.
    pub value: Cow<'a, Value>,
    /// The record it is of; of a union the newest of them.
    pub of: &'a Observed,
    /// The rule, as it is named in the settings; `steward` where one gave it.
    pub rule: &'static str,
}

impl<S> Rule<S> {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Rule::MostRecent => "most_recent",
            Rule::MostTrusted(_) => "most_trusted",
            Rule::MostFrequent => "most_frequent",
            Rule::Longest => "longest",
            Rule::Union => "union",
            Rule::Order(_) => "order",
        }
    }

    fn try_map<T, E>(self, of: &mut impl FnMut(S) -> Result<T, E>) -> Result<Rule<T>, E> {
        Ok(match self {
            Rule::MostRecent => Rule::MostRecent,
            Rule::MostTrusted(sources) => Rule::MostTrusted(sources.into_iter().map(of).collect::<Result<_, _>>()?),
            Rule::MostFrequent => Rule::MostFrequent,
            Rule::Longest => Rule::Longest,
            Rule::Union => Rule::Union,
            Rule::Order(values) => Rule::Order(values),
        })
    }
}

impl Plain {
    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Plain::Bool(own), Value::Bool(other)) => own == other,
            (Plain::Number(own), Value::Number(other)) => *other == (*own).into(),
            (Plain::Text(own), Value::Text(other)) => own == other,
            _ => false,
        }
    }
}

impl<S: Ord> Survivorship<S> {
    const fn new() -> Self {
        Survivorship { default: Rule::MostRecent, traits: BTreeMap::new(), parties: BTreeMap::new() }
    }

    /// The same with sources named another way.
    pub fn try_map<T: Ord, E>(self, mut of: impl FnMut(S) -> Result<T, E>) -> Result<Survivorship<T>, E> {
        let default = self.default.try_map(&mut of)?;
        let mut traits = BTreeMap::new();
        for (name, rule) in self.traits {
            traits.insert(name, rule.try_map(&mut of)?);
        }
        let mut parties = BTreeMap::new();
        for (source, party) in self.parties {
            parties.insert(of(source)?, party);
        }
        Ok(Survivorship { default, traits, parties })
    }

    /// The rule of a trait.
    pub fn rule(&self, name: &str) -> &Rule<S> {
        self.traits.get(name).unwrap_or(&self.default)
    }

    /// Whether nothing but the newest value of a trait can matter.
    pub fn is_most_recent(&self, name: &str) -> bool {
        self.parties.is_empty() && *self.rule(name) == Rule::MostRecent
    }

    /// What is wrong with the rules, in a sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = vec![];
        for (name, rule) in self.traits.iter().map(|(name, rule)| (name.as_str(), rule)).chain([("", &self.default)]) {
            let place = if name.is_empty() { "default".to_owned() } else { format!("traits.{name}") };
            let items = match rule {
                Rule::MostTrusted(sources) => {
                    if sources.len() <= RULE_ITEMS_MAX
                        && (1..sources.len()).any(|at| sources[..at].contains(&sources[at]))
                    {
                        problems.push(format!("{place}: a source is named twice"));
                    }
                    sources.len()
                }
                Rule::Order(values) => {
                    if values.len() <= RULE_ITEMS_MAX && (1..values.len()).any(|at| values[..at].contains(&values[at]))
                    {
                        problems.push(format!("{place}: a value is named twice"));
                    }
                    values.len()
                }
                _ => continue,
            };
            if items == 0 {
                problems.push(format!("{place}: {} names nothing", rule.name()));
            }
            if items > RULE_ITEMS_MAX {
                problems.push(format!("{place}: {} names {items} and may name {RULE_ITEMS_MAX}", rule.name()));
            }
        }
        for terms in self.parties.values() {
            if terms.expires_days.is_some_and(|days| days == 0 || days > EXPIRES_DAYS_MAX) {
                problems.push(format!("parties: expires_days is 1 to {EXPIRES_DAYS_MAX}"));
            }
            if terms.purpose.as_deref() == Some("") {
                problems.push("parties: a purpose has a name".to_owned());
            }
        }
        problems
    }
}

impl Survivorship {
    /// The value of a trait that counts over a person's nodes at `at`; `None` where nothing was said of it. That it is gone is
    /// said by `Null`. `allows` says whether the person's consent allows a purpose.
    pub fn survivor<'a>(
        &self,
        nodes: impl Iterator<Item = &'a Traits>,
        name: &str,
        at: Timestamp,
        allows: &dyn Fn(&str) -> bool,
    ) -> Option<Survivor<'a>> {
        let rule = self.rule(name);
        if self.is_most_recent(name) {
            let of = nodes.filter_map(|traits| traits.get(name)).reduce(newer)?;
            return Some(Survivor { value: Cow::Borrowed(&of.value), of, rule: rule_of(of, rule) });
        }
        let mut records: SmallVec<[&'a Observed; 8]> = SmallVec::new();
        for traits in nodes {
            records.extend(traits.records(name).filter(|record| self.may_count(record, at, allows)));
        }
        records.sort_unstable_by(
            |a, b| if a.outranks(b) { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater },
        );
        let newest = *records.first()?;
        if newest.source == STEWARD {
            return Some(Survivor { value: Cow::Borrowed(&newest.value), of: newest, rule: rule_of(newest, rule) });
        }
        let best = records.iter().map(|record| self.party(record.source)).min()?;
        records.retain(|record| self.party(record.source) == best);
        let newest = *records.first()?;
        let one = |of: &'a Observed| Survivor { value: Cow::Borrowed(&of.value), of, rule: rule.name() };
        // Of a person whom nobody gives a value any more, it is gone.
        let gone = one(newest);
        records.retain(|record| record.value != Value::Null || *rule == Rule::MostRecent);
        let first = |rank: &dyn Fn(&Observed) -> usize| records.iter().copied().min_by_key(|record| rank(record));
        let found = match rule {
            Rule::MostRecent => Some(newest),
            Rule::MostTrusted(sources) => {
                first(&|record| sources.iter().position(|source| *source == record.source).unwrap_or(usize::MAX))
            }
            Rule::MostFrequent => {
                first(&|record| usize::MAX - records.iter().filter(|other| other.value == record.value).count())
            }
            Rule::Longest => first(&|record| usize::MAX - characters(&record.value)),
            Rule::Order(values) => {
                first(&|record| values.iter().position(|value| value.is(&record.value)).unwrap_or(usize::MAX))
            }
            Rule::Union => {
                let of = *records.first()?;
                let value = union(records.iter().map(|record| &record.value));
                return Some(Survivor { value: Cow::Owned(value), of, rule: rule.name() });
            }
        };
        Some(found.map_or(gone, one))
    }

    /// Whose data a source brings.
    pub fn party(&self, source: SourceId) -> Party {
        self.parties.get(&source).map(|terms| terms.party).unwrap_or_default()
    }

    /// When a value goes by its source's terms; [`Timestamp::MAX`]: never.
    pub fn expires(&self, observed: &Observed) -> Timestamp {
        let days = self.parties.get(&observed.source).and_then(|terms| terms.expires_days);
        days.map_or(Timestamp::MAX, |days| observed.received_at.plus(i64::from(days) * DAY_MS))
    }

    /// Whether values of the source go by time.
    pub fn has_expiry(&self, source: SourceId) -> bool {
        self.parties.get(&source).is_some_and(|terms| terms.expires_days.is_some())
    }

    /// Whether consent decides about values.
    pub fn asks_consent(&self) -> bool {
        self.parties.values().any(|terms| terms.purpose.is_some())
    }

    /// When the first of these values goes.
    pub fn first_expiry(&self, traits: &Traits) -> Timestamp {
        if self.parties.values().all(|terms| terms.expires_days.is_none()) {
            return Timestamp::MAX;
        }
        traits.iter().flat_map(|(_, said)| said).map(|said| self.expires(said)).min().unwrap_or(Timestamp::MAX)
    }

    /// Whether a value may be used at `at`: it has not expired, and the person allows its source's purpose.
    pub fn may_count(&self, observed: &Observed, at: Timestamp, allows: &dyn Fn(&str) -> bool) -> bool {
        let Some(terms) = self.parties.get(&observed.source) else { return true };
        let expires = self.expires(observed);
        (expires == Timestamp::MAX || at < expires) && terms.purpose.as_deref().is_none_or(allows)
    }
}

fn rule_of(of: &Observed, rule: &Rule) -> &'static str {
    if of.source == STEWARD { "steward" } else { rule.name() }
}

fn newer<'a>(a: &'a Observed, b: &'a Observed) -> &'a Observed {
    if b.outranks(a) { b } else { a }
}

fn characters(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.chars().count(),
        other => other.to_json().chars().count(),
    }
}

fn union<'a>(values: impl Iterator<Item = &'a Value>) -> Value {
    let mut all: Vec<Value> = vec![];
    for value in values {
        let parts = match value {
            Value::Json(json) if json.starts_with('[') => {
                serde_json::from_str::<Vec<&serde_json::value::RawValue>>(json)
            }
            _ => Ok(vec![]),
        };
        match parts {
            Ok(parts) if !parts.is_empty() => all.extend(parts.into_iter().map(Value::from_json)),
            _ => all.push(value.clone()),
        }
    }
    all.retain(|value| !matches!(value, Value::Null) && !matches!(value, Value::Json(json) if json == "[]"));
    all.sort_unstable();
    all.dedup();
    all.truncate(UNION_VALUES_MAX);
    let parts: Vec<String> = all.iter().map(Value::to_json).collect();
    Value::Json(format!("[{}]", parts.join(",")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(source: SourceId, at: i64, json: &str) -> Observed {
        let value = Value::from_json(serde_json::from_str(json).unwrap());
        let at = Timestamp(at);
        Observed { at, received_at: at, tie: 0, source, offset: at.0 as u64, value }
    }

    /// What counts of `plan` over two nodes under these rules, and by which rule.
    fn check(rules: &str, one: &[(SourceId, i64, &str)], other: &[(SourceId, i64, &str)], expect: &str) {
        let rules: Survivorship = serde_json::from_str(rules).unwrap();
        assert_eq!(rules.problems(), Vec::<String>::new());
        let node = |of: &[(SourceId, i64, &str)]| {
            let mut traits = Traits::default();
            for (source, at, json) in of {
                traits.observe("plan", said(*source, *at, json));
            }
            traits
        };
        let nodes = [node(one), node(other)];
        let shown =
            rules.survivor(nodes.iter(), "plan", Timestamp(10), &|_| true).map_or("nothing".to_owned(), |survivor| {
                format!("{} by {} of {}", survivor.value.to_json(), survivor.rule, survivor.of.offset)
            });
        assert_eq!(shown, expect, "{rules:?}");
    }

    #[test]
    fn each_rule_chooses_among_the_newest_of_each_node_and_source() {
        let crm_first = r#"{"traits":{"plan":{"most_trusted":[1,2]}}}"#;
        check("{}", &[], &[], "nothing");
        check("{}", &[(1, 5, r#""a""#)], &[(2, 7, r#""b""#)], r#""b" by most_recent of 7"#);
        check("{}", &[(1, 5, r#""a""#)], &[(2, 7, "null")], "null by most_recent of 7");
        check(crm_first, &[(1, 5, r#""a""#)], &[(2, 7, r#""b""#)], r#""a" by most_trusted of 5"#);
        check(crm_first, &[(1, 5, r#""a""#), (1, 6, "null")], &[(2, 4, r#""b""#)], r#""b" by most_trusted of 4"#);
        check(crm_first, &[(1, 6, "null")], &[(2, 4, "null")], "null by most_trusted of 6");
        check(crm_first, &[(9, 6, r#""x""#)], &[(8, 7, r#""y""#)], r#""y" by most_trusted of 7"#);
        let votes = [(1, 1, r#""Anna""#), (2, 9, r#""Ania""#)];
        check(r#"{"default":"most_frequent"}"#, &votes, &[(2, 2, r#""Anna""#)], r#""Anna" by most_frequent of 2"#);
        // A source that repeats itself at one node has one vote.
        let again = [(1, 1, r#""x""#), (1, 2, r#""y""#), (1, 3, r#""x""#), (2, 4, r#""z""#)];
        check(r#"{"default":"most_frequent"}"#, &again, &[], r#""z" by most_frequent of 4"#);
        check(
            r#"{"default":"longest"}"#,
            &[(1, 1, r#""Łódź, ul. Długa""#)],
            &[(2, 2, r#""Łódź""#)],
            r#""Łódź, ul. Długa" by longest of 1"#,
        );
        let lists = [(1, 1, r#"["b","a"]"#), (2, 2, r#""c""#)];
        check(r#"{"default":"union"}"#, &lists, &[(2, 3, r#"["a",7]"#)], r#"[7,"a","b","c"] by union of 3"#);
        let tiers = r#"{"traits":{"plan":{"order":["gold","silver",1]}}}"#;
        check(tiers, &[(1, 1, r#""silver""#)], &[(2, 2, r#""bronze""#)], r#""silver" by order of 1"#);
        check(tiers, &[(1, 1, r#""gold""#)], &[(2, 2, r#""silver""#)], r#""gold" by order of 1"#);
        check(tiers, &[(1, 1, "1.0")], &[(2, 2, r#""bronze""#)], "1 by order of 1");
    }

    #[test]
    fn others_data_fills_gaps_and_a_steward_goes_before_all() {
        let third = r#"{"parties":{"2":"third","3":"second"}}"#;
        check(third, &[(1, 1, r#""own""#)], &[(2, 9, r#""bought""#)], r#""own" by most_recent of 1"#);
        check(third, &[], &[(2, 9, r#""bought""#)], r#""bought" by most_recent of 9"#);
        check(third, &[(3, 2, r#""partner""#)], &[(2, 9, r#""bought""#)], r#""partner" by most_recent of 2"#);
        check(third, &[(1, 1, "null")], &[(2, 9, r#""bought""#)], "null by most_recent of 1");
        let steward = [(STEWARD, 1, r#""right""#), (1, 8, r#""wrong""#)];
        check("{}", &steward, &[(1, 9, r#""wrong""#)], r#""right" by steward of 1"#);
        check(r#"{"default":"longest"}"#, &steward, &[(1, 9, r#""very wrong""#)], r#""right" by steward of 1"#);
    }

    #[test]
    fn values_count_by_the_terms_they_came_on() {
        let rules: Survivorship = serde_json::from_str(
            r#"{"parties":{"2":{"party":"third","expires_days":1,"purpose":"enrich"},"3":"second"}}"#,
        )
        .unwrap();
        let mut traits = Traits::default();
        traits.observe("age", said(2, 5, "40"));
        let counts = |at: i64, allowed: bool| {
            let survivor = rules.survivor(std::iter::once(&traits), "age", Timestamp(at), &|_| allowed);
            survivor.map(|survivor| survivor.value.to_json())
        };
        assert_eq!(counts(9, true).as_deref(), Some("40"));
        assert_eq!(counts(9, false), None, "without consent for the purpose it is not there");
        assert_eq!(counts(5 + DAY_MS, true), None);
        assert_eq!(
            (rules.first_expiry(&traits), rules.expires(&said(3, 5, "1"))),
            (Timestamp(5 + DAY_MS), Timestamp::MAX)
        );
        let written = serde_json::to_string(&rules.parties).unwrap();
        assert_eq!(written, r#"{"2":{"party":"third","expires_days":1,"purpose":"enrich"},"3":"second"}"#);
        assert!(serde_json::from_str::<Terms>(r#"{"party":"third","expires":1}"#).is_err());
    }

    #[test]
    fn wrong_rules_are_named() {
        let rules: Survivorship<String> = serde_json::from_str(
            r#"{"default":{"order":[]},"traits":{"a":{"most_trusted":["x","x"]},"b":{"order":[1,1]}}}"#,
        )
        .unwrap();
        expect_test::expect![[r#"
            traits.a: a source is named twice
            traits.b: a value is named twice
            default: order names nothing"#]]
        .assert_eq(&rules.problems().join("\n"));
        assert!(serde_json::from_str::<Survivorship>(r#"{"default":"newest"}"#).is_err());
        assert!(serde_json::from_str::<Survivorship>(r#"{"trust":[1]}"#).is_err());
    }

    proptest! {
        /// However the values came, and however they are spread over a person's nodes, each rule's choice follows from what
        /// each source said last at each node: held against a plain reading of all that was said.
        #[test]
        fn a_choice_needs_only_what_registers_keep(
            all in proptest::collection::vec((0usize..3, 1u32..5, 0i64..60, 0u8..5), 0..60),
            seed: u64,
        ) {
            let mut times = std::collections::BTreeSet::new();
            let all: Vec<_> = all.into_iter().filter(|said| times.insert(said.2)).collect();
            let json = |value: u8| if value == 0 { "null".to_owned() } else { format!("{:?}", "x".repeat(value.into())) };
            let mut shuffled = all.clone();
            let rng = crate::rng::SeededRng::new(seed);
            for i in (1..shuffled.len()).rev() {
                shuffled.swap(i, rng.below(i as u64 + 1) as usize);
            }
            let mut nodes = [Traits::default(), Traits::default(), Traits::default()];
            for (node, source, at, value) in &shuffled {
                nodes[*node].observe("t", said(*source, *at, &json(*value)));
            }
            let mut records: BTreeMap<(usize, u32), (i64, u8)> = BTreeMap::new();
            for (node, source, at, value) in &all {
                let newest = records.entry((*node, *source)).or_insert((*at, *value));
                *newest = (*newest).max((*at, *value));
            }
            let given: Vec<(u32, i64, u8)> =
                records.iter().map(|((_, source), (at, value))| (*source, *at, *value)).filter(|r| r.2 > 0).collect();
            let counts = |rules: &str| {
                let rules: Survivorship = serde_json::from_str(rules).unwrap();
                let found = rules.survivor(nodes.iter(), "t", Timestamp(100), &|_| true).map(|survivor| survivor.value.to_json());
                found.filter(|json| json != "null")
            };
            let best = |rank: &dyn Fn(&(u32, i64, u8)) -> i64| {
                given.iter().max_by_key(|record| (rank(record), record.1)).map(|record| json(record.2))
            };
            prop_assert_eq!(counts(r#"{"default":{"most_trusted":[3,1]}}"#), best(&|r| match r.0 { 3 => 2, 1 => 1, _ => 0 }));
            prop_assert_eq!(counts(r#"{"default":"longest"}"#), best(&|r| r.2.into()));
            let votes = |r: &(u32, i64, u8)| given.iter().filter(|other| other.2 == r.2).count() as i64;
            prop_assert_eq!(counts(r#"{"default":"most_frequent"}"#), best(&votes));
            prop_assert_eq!(counts(r#"{"default":{"order":["xxx","x"]}}"#), best(&|r| match r.2 { 3 => 2, 1 => 1, _ => 0 }));
            let newest = records.values().max().map(|(_, value)| *value).filter(|value| *value > 0);
            prop_assert_eq!(counts("{}"), newest.map(json));
        }
    }
}
