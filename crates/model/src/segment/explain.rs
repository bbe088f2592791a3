//! Why somebody is in, or is not.

use serde::Serialize;

use super::{
    ast::{Test, Window},
    evaluate::{Answer, Facts, combine},
    join::Joined,
    measure::{self, Measured},
    program::{Node, Op, Program},
    test::CountTest,
    text::{print_value, print_window},
};
use crate::{Timestamp, Value, profile::computed::tidy};

/// One condition, whether it holds for the person, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The condition in its text form; `all of these`, `one of these` or `not` where it has parts.
    pub text: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was found and what is needed: `count was 2, needs at least 3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<String>,
    /// When it may change by itself, in milliseconds since 1970; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes_at: Option<Timestamp>,
    /// Its parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Explanation>,
}

impl Program {
    /// Why the answer at `now` is what it is. It is the one that [`evaluate`](Self::evaluate) gives.
    pub fn explain(&self, facts: &impl Facts, now: Timestamp) -> Explanation {
        self.explained(&self.root, facts, now)
    }

    fn explained<F: Facts>(&self, node: &Node, facts: &F, now: Timestamp) -> Explanation {
        let parts: Vec<Explanation> = match &node.op {
            Op::All(of) | Op::Any(of) => of.iter().map(|part| self.explained(part, facts, now)).collect(),
            Op::Not(of) | Op::Segment(of) => vec![self.explained(of, facts, now)],
            _ => Vec::new(),
        };
        let answer = match &node.op {
            Op::All(_) | Op::Any(_) => {
                let answers = parts
                    .iter()
                    .map(|part| Answer { holds: part.holds, until: part.changes_at.unwrap_or(Timestamp::MAX) });
                combine(answers, matches!(node.op, Op::All(_)))
            }
            _ => self.node(node, facts, now),
        };
        Explanation {
            text: node.text.to_string(),
            holds: answer.holds,
            measured: self.measured(node, facts, now),
            changes_at: Some(answer.until).filter(|until| *until < Timestamp::MAX),
            parts,
        }
    }

    fn measured<F: Facts>(&self, node: &Node, facts: &F, now: Timestamp) -> Option<String> {
        let needs = &node.needs;
        Some(match &node.op {
            Op::All(_) | Op::Any(_) | Op::Not(_) | Op::Segment(_) => return None,
            Op::Trait { name, .. } => match facts.trait_value(name) {
                Some(value) => format!("{name} was {}, needs {needs}", short(&value)),
                None => format!("{name} was not there, needs {needs}"),
            },
            Op::Count { metric, window, .. } => {
                let any = CountTest::new(&Test::AtLeast(Value::Number(0.into())))?;
                let (count, _) = measure::count(&Joined(facts.series(*metric)), window, &any, now, &self.zone);
                format!("count was {count}, needs {needs}")
            }
            Op::Value { metric, window, measured, .. } => {
                let series = Joined(facts.series(*metric));
                let (value, _) = measure::value(*measured, &series, window, now, &self.zone);
                let value = value.map_or_else(|| "not there".to_owned(), |value| short(&tidy(value)));
                format!("{} was {value}, needs {needs}", name(*measured))
            }
            Op::Edge { metric, window, last, .. } => {
                let (at, _) = measure::edge(&Joined(facts.series(*metric)), *last, window, now, &self.zone);
                let which = if *last { "last" } else { "first" };
                at.map_or_else(|| "it never happened".to_owned(), |at| format!("the {which} was at {at}"))
            }
            Op::Sequence(ready) => {
                let (at, _) = ready.answer(&self.times(ready, facts, now), now, &self.zone);
                at.map_or_else(|| "no event fits".to_owned(), |at| format!("the event at {at} fits"))
            }
            Op::Consent { purpose, channel } => {
                let may = if facts.reachable(purpose, channel.as_deref()) { "may" } else { "may not" };
                format!("the person {may} be reached")
            }
        })
    }
}

fn name(measured: Measured) -> &'static str {
    match measured {
        Measured::Count => "count",
        Measured::Sum => "sum",
        Measured::Average => "average",
        Measured::Min => "least value",
        Measured::Max => "greatest value",
        Measured::FirstTime => "first time",
        Measured::LastTime => "last time",
        Measured::FirstValue => "first value",
        Measured::LastValue => "last value",
        Measured::MostFrequent => "most frequent value",
        Measured::Distinct => "number of values",
        Measured::List => "list",
    }
}

/// What a test asks, in words.
pub(super) fn needs(test: &Test) -> String {
    match test {
        Test::Exists(true) => "any value".to_owned(),
        Test::Exists(false) => "none".to_owned(),
        Test::Equals(value) => format!("exactly {}", short(value)),
        Test::NotEquals(value) => format!("another value than {}", short(value)),
        Test::In(list) if list.len() > 10 => format!("one of {} values", list.len()),
        Test::In(list) => format!("one of {}", list.iter().map(short).collect::<Vec<_>>().join(", ")),
        Test::Less(value) => format!("less than {}", short(value)),
        Test::AtMost(value) => format!("at most {}", short(value)),
        Test::Greater(value) => format!("more than {}", short(value)),
        Test::AtLeast(value) => format!("at least {}", short(value)),
        Test::Between(least, greatest) => format!("{} to {}", short(least), short(greatest)),
        Test::Contains(part) => format!("{part:?} in it"),
        Test::StartsWith(part) => format!("{part:?} at its start"),
        Test::EndsWith(part) => format!("{part:?} at its end"),
        Test::Date(Window::Ever) => "a date in the past".to_owned(),
        Test::Date(window) => format!("a date {}", print_window(window)),
        Test::DateAheadMs(_) => "a date that is near".to_owned(),
    }
}

/// A value's text, cut where it is long.
fn short(value: &Value) -> String {
    let text = print_value(value);
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
