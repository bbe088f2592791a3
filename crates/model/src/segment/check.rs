//! What a definition must keep to, whichever form it came in.

use jiff::tz::TimeZone;

use super::{
    Definition,
    ast::{Condition, EventMatch, Events, Measure, Path, Sequence, Test, Window},
};
use crate::{
    Timestamp, Value,
    clock::DAY_MS,
    profile::computed::{ComputedMeasure, ComputedTrait},
};

/// Conditions in one definition.
pub const CONDITIONS_MAX: usize = 200;
/// Conditions in one definition and all the segments it names, each as often as it is named.
pub const CONDITIONS_INLINED_MAX: usize = 2000;
/// How deep conditions may stand in each other.
pub const NESTING_MAX: usize = 32;
/// How long a chain of segments may be in which each names the next.
pub const CHAIN_MAX: usize = 16;
/// The longest window, in days.
pub const WINDOW_DAYS_MAX: i64 = 3660;
/// Values of one `in`.
pub const LIST_MAX: usize = 10_000;
/// Characters of a name.
pub const NAME_MAX: usize = 200;

/// What a definition refers to.
pub trait Lookup {
    /// The condition of another segment.
    fn segment(&self, name: &str) -> Option<&Condition>;
    /// A computed trait.
    fn computed(&self, name: &str) -> Option<&ComputedTrait>;
    /// The workspace's time zone, for calendar days.
    fn time_zone(&self) -> &TimeZone;
}

/// Something in a definition that cannot stand.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Problem {
    /// Where, in the definition's JSON form: `/condition/all/1/events/window`.
    pub path: String,
    /// What is wrong, and how it would be right.
    pub message: String,
}

/// A definition that does not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("compile segment: {}", .problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; "))]
pub struct CompileError {
    /// What is wrong, all of it.
    pub problems: Vec<Problem>,
}

impl Definition {
    /// Everything that is wrong with it; nothing: it compiles.
    pub fn problems(&self, lookup: &dyn Lookup) -> Vec<Problem> {
        let mut check = Check::new(lookup);
        check.name("/name", &self.name, "the segment's name");
        for (path, text, what) in [("/purpose", &self.purpose, "the purpose"), ("/owner", &self.owner, "the owner")] {
            text.iter().for_each(|text| check.name(path, text, what));
        }
        check.chain.push(self.name.clone());
        check.all(&self.condition);
        check.problems
    }
}

/// Everything that is wrong with a condition that has no name yet; nothing: it compiles.
pub fn problems(condition: &Condition, lookup: &dyn Lookup) -> Vec<Problem> {
    let mut check = Check::new(lookup);
    check.all(condition);
    check.problems
}

/// Everything that is wrong with a computed trait.
pub fn problems_of_computed(computed: &ComputedTrait, lookup: &dyn Lookup) -> Vec<Problem> {
    let mut check = Check::new(lookup);
    check.name("/name", &computed.name, "the computed trait's name");
    check.event("", &computed.event);
    check.window("/window", &computed.window);
    computed.measure.path().into_iter().for_each(|path| check.path("/measure", path));
    check.problems
}

struct Check<'a> {
    lookup: &'a dyn Lookup,
    problems: Vec<Problem>,
    /// The segments we are inside of.
    chain: Vec<String>,
    conditions: usize,
}

impl<'a> Check<'a> {
    fn new(lookup: &'a dyn Lookup) -> Self {
        Check { lookup, problems: Vec::new(), chain: Vec::new(), conditions: 0 }
    }

    fn problem(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(Problem { path: path.to_owned(), message: message.into() });
    }

    fn all(&mut self, condition: &Condition) {
        let (conditions, nesting) = size(condition, 1);
        if conditions > CONDITIONS_MAX {
            self.problem(
                "/condition",
                format!("{conditions} conditions; {CONDITIONS_MAX} are allowed: make segments of parts"),
            );
        }
        if nesting > NESTING_MAX {
            self.problem(
                "/condition",
                format!("nested {nesting} deep; {NESTING_MAX} are allowed: make segments of parts"),
            );
        }
        if self.problems.is_empty() {
            self.condition("/condition", condition);
        }
    }

    fn condition(&mut self, path: &str, condition: &Condition) {
        self.conditions += 1;
        if self.conditions == CONDITIONS_INLINED_MAX {
            let message = format!("more than {CONDITIONS_INLINED_MAX} conditions with those of the segments it names");
            self.problem("/condition", message);
        }
        if self.conditions >= CONDITIONS_INLINED_MAX {
            return;
        }
        match condition {
            Condition::All(of) | Condition::Any(of) => {
                let kind = if matches!(condition, Condition::All(_)) { "all" } else { "any" };
                of.iter().enumerate().for_each(|(i, part)| self.condition(&format!("{path}/{kind}/{i}"), part));
            }
            Condition::Not(of) => self.condition(&format!("{path}/not"), of),
            Condition::Trait { name, is } => {
                self.name(&format!("{path}/trait/name"), name, "the trait's name");
                self.test(&format!("{path}/trait/is"), is);
            }
            Condition::Computed { name, is } => {
                if self.lookup.computed(name).is_none() {
                    self.problem(&format!("{path}/computed/name"), format!("there is no computed trait {name:?}"));
                }
                self.test(&format!("{path}/computed/is"), is);
            }
            Condition::Events(events) => self.events(&format!("{path}/events"), events),
            Condition::Sequence(sequence) => self.sequence(&format!("{path}/sequence"), sequence),
            Condition::Segment(name) => self.segment(&format!("{path}/segment"), name),
            Condition::Consent { purpose, channel } => {
                self.name(&format!("{path}/consent/purpose"), purpose, "the purpose");
                channel.iter().for_each(|name| self.name(&format!("{path}/consent/channel"), name, "the channel"));
            }
        }
    }

    fn events(&mut self, path: &str, Events { measure, event, window, is }: &Events) {
        self.event(path, event);
        self.window(&format!("{path}/window"), window);
        self.test(&format!("{path}/is"), is);
        if let Some(property) = measure.path() {
            self.path(&format!("{path}/measure"), property);
        }
        let fits = match (measure, is) {
            (Measure::First | Measure::Last, is) => matches!(is, Test::Exists(_)),
            (Measure::Average(_) | Measure::Min(_) | Measure::Max(_), Test::Exists(_)) => true,
            (_, Test::In(list)) => list.iter().all(is_number),
            (_, Test::Between(a, b)) => is_number(a) && is_number(b),
            (_, is) => is.constant().is_some_and(is_number),
        };
        if !fits {
            let message = match measure {
                Measure::First | Measure::Last => {
                    "`first` and `last` take a window, or `exists` true or false, and no other test"
                }
                Measure::Count | Measure::Sum(_) | Measure::Distinct(_) => {
                    "it is a number and always there: test it by numbers"
                }
                _ => "it is a number: test it by numbers, or by `exists`",
            };
            self.problem(&format!("{path}/is"), message);
        }
    }

    fn sequence(&mut self, path: &str, Sequence { first, window, then, within_ms, .. }: &Sequence) {
        self.event(&format!("{path}/first"), first);
        self.event(&format!("{path}/then"), then);
        self.window(&format!("{path}/window"), window);
        within_ms.iter().for_each(|ms| self.length(&format!("{path}/within_ms"), *ms));
    }

    fn segment(&mut self, path: &str, name: &str) {
        if self.chain.iter().any(|outer| outer == name) {
            let chain = self.chain.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("\" → \"");
            return self.problem(path, format!("the segment would contain itself: \"{chain}\""));
        }
        if self.chain.len() >= CHAIN_MAX {
            return self.problem(path, format!("a chain of more than {CHAIN_MAX} segments"));
        }
        let Some(condition) = self.lookup.segment(name) else {
            return self.problem(path, format!("there is no segment {name:?}"));
        };
        if size(condition, 1).1 > NESTING_MAX {
            return self.problem(path, format!("segment {name:?} is nested deeper than {NESTING_MAX}"));
        }
        self.chain.push(name.to_owned());
        let found = self.problems.len();
        self.condition("", condition);
        self.chain.pop();
        // What is wrong inside is the other segment's; here it stands at its name.
        for problem in self.problems.iter_mut().skip(found) {
            if !problem.path.starts_with("/condition") {
                problem.message = format!("in segment {name:?}: {}", problem.message);
                problem.path = path.to_owned();
            }
        }
    }

    fn event(&mut self, path: &str, event: &EventMatch) {
        if let Some(name) = &event.event {
            self.name(&format!("{path}/event"), name, "the event's name");
        }
        if event.filter.len() > CONDITIONS_MAX {
            self.problem(
                &format!("{path}/where"),
                format!("{} tests; {CONDITIONS_MAX} are allowed", event.filter.len()),
            );
        }
        for (i, test) in event.filter.iter().enumerate() {
            self.path(&format!("{path}/where/{i}/property"), &test.property);
            self.test(&format!("{path}/where/{i}/is"), &test.is);
            if test.is.is_relative() {
                let message =
                    "an event is matched once, when it arrives: a date in it can be tested by `between` alone";
                self.problem(&format!("{path}/where/{i}/is"), message);
            }
        }
    }

    fn path(&mut self, at: &str, path: &Path) {
        self.name(at, &path.0, "the property");
        if path.0.split('.').any(|part| part.is_empty() || part == "$") {
            self.problem(at, format!("{:?} is no path: write names with single points between them", path.0));
        }
    }

    fn name(&mut self, path: &str, name: &str, what: &str) {
        let length = name.chars().count();
        if name.trim().is_empty() {
            self.problem(path, format!("{what} is empty"));
        } else if length > NAME_MAX {
            self.problem(path, format!("{what} has {length} characters; {NAME_MAX} are allowed"));
        }
    }

    fn window(&mut self, path: &str, window: &Window) {
        match *window {
            Window::Ever => {}
            Window::WithinMs(ms) | Window::BeforeMs(ms) => self.length(path, ms),
            Window::CalendarDays(days) if days == 0 || i64::from(days) > WINDOW_DAYS_MAX => {
                self.problem(path, format!("{days} calendar days; 1 to {WINDOW_DAYS_MAX} are allowed"));
            }
            Window::CalendarDays(_) => {}
            Window::Between(from, to) => {
                // 9999-01-01
                if from < Timestamp::EARLIEST || to.0 > 253_370_764_800_000 {
                    self.problem(path, "dates from 1900 to 9998 are allowed");
                }
                if from >= to {
                    self.problem(path, "the end is not after the start");
                }
            }
        }
    }

    fn length(&mut self, path: &str, ms: i64) {
        if ms <= 0 || ms > WINDOW_DAYS_MAX * DAY_MS {
            self.problem(
                path,
                format!("{ms} milliseconds; more than 0 and at most {WINDOW_DAYS_MAX} days are allowed"),
            );
        }
    }

    fn test(&mut self, path: &str, test: &Test) {
        let ordered = |value: &Value| matches!(value, Value::Number(_) | Value::Text(_));
        match test {
            Test::In(list) if list.len() > LIST_MAX => {
                self.problem(path, format!("{} values; {LIST_MAX} are allowed", list.len()));
            }
            Test::In(list) if list.contains(&Value::Null) => self.problem(path, NULL),
            Test::Equals(Value::Null) | Test::NotEquals(Value::Null) => self.problem(path, NULL),
            Test::Less(value) | Test::AtMost(value) | Test::Greater(value) | Test::AtLeast(value)
                if !ordered(value) =>
            {
                self.problem(path, format!("a {} has no order: compare with a number or text", value.type_name()));
            }
            Test::Between(a, b) => {
                if !ordered(a) || !ordered(b) || a.type_name() != b.type_name() {
                    self.problem(path, "`between` takes two numbers or two texts");
                } else if a > b {
                    self.problem(path, "the first of `between` is greater than the second");
                }
            }
            Test::Date(window) => self.window(&format!("{path}/date"), window),
            Test::DateAheadMs(ms) => self.length(path, *ms),
            _ => {}
        }
    }
}

const NULL: &str = "nothing equals null: test by `exists` instead";

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Number(_))
}

/// Conditions and nesting.
fn size(condition: &Condition, depth: usize) -> (usize, usize) {
    match condition {
        Condition::All(of) | Condition::Any(of) => of.iter().fold((1, depth), |(count, deepest), part| {
            let (inner, depth) = size(part, depth + 1);
            (count + inner, deepest.max(depth))
        }),
        Condition::Not(of) => {
            let (count, depth) = size(of, depth + 1);
            (count + 1, depth)
        }
        _ => (1, depth),
    }
}

impl Test {
    /// The value it compares with, where there is just one.
    fn constant(&self) -> Option<&Value> {
        match self {
            Test::Equals(value) | Test::NotEquals(value) | Test::Less(value) | Test::AtMost(value) => Some(value),
            Test::Greater(value) | Test::AtLeast(value) => Some(value),
            _ => None,
        }
    }
}

impl Measure {
    /// The property it measures.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Measure::Count | Measure::First | Measure::Last => None,
            Measure::Sum(path) | Measure::Average(path) | Measure::Min(path) | Measure::Max(path) => Some(path),
            Measure::Distinct(path) => Some(path),
        }
    }
}

impl ComputedMeasure {
    /// The property it measures.
    pub fn path(&self) -> Option<&Path> {
        match self {
            ComputedMeasure::Count | ComputedMeasure::FirstTime | ComputedMeasure::LastTime => None,
            ComputedMeasure::First(path) | ComputedMeasure::Last(path) => Some(path),
            ComputedMeasure::Sum(path) | ComputedMeasure::Average(path) | ComputedMeasure::Min(path) => Some(path),
            ComputedMeasure::Max(path) | ComputedMeasure::MostFrequent(path) => Some(path),
            ComputedMeasure::Distinct(path) | ComputedMeasure::List(path) => Some(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::segment::text;

    struct Known(BTreeMap<&'static str, Condition>, ComputedTrait);

    impl Lookup for Known {
        fn segment(&self, name: &str) -> Option<&Condition> {
            self.0.get(name)
        }
        fn computed(&self, name: &str) -> Option<&ComputedTrait> {
            (self.1.name == name).then_some(&self.1)
        }
        fn time_zone(&self) -> &TimeZone {
            const { &TimeZone::UTC }
        }
    }

    fn known() -> Known {
        let mut known = BTreeMap::new();
        for (name, text) in [
            ("vip", "trait plan = \"pro\""),
            ("loop", "in segment mine or in segment vip"),
            ("broken", "trait a = 1 and computed nothing = 1"),
            ("two", "in segment vip and in segment vip"),
        ] {
            known.insert(name, text::parse(text).unwrap());
        }
        let names = ["d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8", "d9", "d10", "d11"];
        known.insert("d0", text::parse("everyone").unwrap());
        for pair in names.windows(2) {
            let condition = format!("in segment {0} or in segment {0}", pair[0]);
            known.insert(pair[1], text::parse(&condition).unwrap());
        }
        Known(known, text::parse_computed("total = sum(\"Order\", revenue)").unwrap())
    }

    fn of(condition: Condition) -> String {
        let definition = Definition { name: "mine".into(), description: None, purpose: None, owner: None, condition };
        let problems: Vec<String> = definition.problems(&known()).iter().map(Problem::to_string).collect();
        problems.join("\n")
    }

    #[test]
    fn text_that_means_nothing_is_refused() {
        let check = |text: &str, expect: &str| assert_eq!(of(text::parse(text).unwrap()), expect, "{text}");
        check("in segment vip and in segment two and computed total > 1 and trait plan in (\"a\")", "");
        check("average(\"A\", x) exists and sum(\"A\", $context.x) = 0 and first(\"A\") never", "");
        check(
            "trait a = 1 and count(\"A\") = \"x\"",
            "/condition/all/1/events/is: it is a number and always there: test it by numbers",
        );
        check("count(\"A\") exists", "/condition/events/is: it is a number and always there: test it by numbers");
        check(
            "average(\"A\", x) contains \"1\"",
            "/condition/events/is: it is a number: test it by numbers, or by `exists`",
        );
        check(
            "not count(\"A\") > 1 within 3661 days",
            "/condition/not/events/window: 316310400000 milliseconds; more than 0 and at most 3660 days are allowed",
        );
        check(
            "count(\"A\") > 1 within 0 days",
            "/condition/events/window: 0 milliseconds; more than 0 and at most 3660 days are allowed",
        );
        check(
            "\"A\" then \"B\" within -1 hours",
            "/condition/sequence/within_ms: -3600000 milliseconds; more than 0 and at most 3660 days are allowed",
        );
        check(
            "first(\"A\") in the last 0 calendar days",
            "/condition/events/window: 0 calendar days; 1 to 3660 are allowed",
        );
        check(
            "first(\"A\") between 2026-02-01 and 2026-02-01",
            "/condition/events/window: the end is not after the start",
        );
        check(
            "first(\"A\") between 1800-02-01 and 2026-02-01",
            "/condition/events/window: dates from 1900 to 9998 are allowed",
        );
        check(
            "trait a = null or trait a in (1, null)",
            "/condition/any/0/trait/is: nothing equals null: test by `exists` instead\n/condition/any/1/trait/is: nothing equals null: test by `exists` instead",
        );
        check("trait a < true", "/condition/trait/is: a boolean has no order: compare with a number or text");
        check("trait a between 1 and \"2\"", "/condition/trait/is: `between` takes two numbers or two texts");
        check("trait a between 2 and 1", "/condition/trait/is: the first of `between` is greater than the second");
        check("trait \" \" = 1", "/condition/trait/name: the trait's name is empty");
        check(
            "count(\"A\" where a..b = 1) > 1",
            "/condition/events/where/0/property: \"a..b\" is no path: write names with single points between them",
        );
        check(
            "count(\"A\" where d is a date within 1 day) > 1",
            "/condition/events/where/0/is: an event is matched once, when it arrives: a date in it can be tested by `between` alone",
        );
        check(
            "event(\"A\" where d is a date in the past) then \"B\"",
            "/condition/sequence/first/where/0/is: an event is matched once, when it arrives: a date in it can be tested by `between` alone",
        );
        check("in segment nobody_knows", "/condition/segment: there is no segment \"nobody_knows\"");
        check("computed x = 1", "/condition/computed/name: there is no computed trait \"x\"");
        check("in segment mine", "/condition/segment: the segment would contain itself: \"mine\" → \"mine\"");
        check(
            "in segment loop",
            "/condition/segment: in segment \"loop\": the segment would contain itself: \"mine\" → \"loop\" → \"mine\"",
        );
        check("in segment broken", "/condition/segment: in segment \"broken\": there is no computed trait \"nothing\"");
        check("in segment d5", "");
        check("in segment d11", "/condition: more than 2000 conditions with those of the segments it names");
    }

    #[test]
    fn sizes_are_bounded() {
        let leaf = || text::parse("trait a exists").unwrap();
        assert_eq!(of(Condition::All(vec![leaf(); 199])), "");
        assert!(of(Condition::All(vec![leaf(); 200])).contains("201 conditions"));
        let nested = |depth| (1..depth).fold(leaf(), |inner, _| Condition::Not(Box::new(inner)));
        assert_eq!(of(nested(32)), "");
        assert!(of(nested(33)).contains("nested 33 deep"));
        let list = |n: i64| Test::In((0..n).map(|n| Value::Number(n.into())).collect());
        assert_eq!(of(Condition::Trait { name: "a".into(), is: list(10_000) }), "");
        assert!(of(Condition::Trait { name: "a".into(), is: list(10_001) }).contains("10001 values"));
        assert_eq!(of(Condition::Trait { name: "ü".repeat(200), is: Test::Exists(true) }), "");
        assert!(of(Condition::Trait { name: "ü".repeat(201), is: Test::Exists(true) }).contains("201 characters"));
    }
}
