//! Tests of values: whether one passes, and until when.

use std::cmp::Ordering;

use jiff::tz::TimeZone;
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{
    ast::{Test, Window},
    evaluate::Answer,
};
use crate::{Timestamp, Value};

impl Test {
    /// Whether a value passes; `None` or `null`: there is none. Dates relative to now pass nothing here.
    pub fn passes(&self, value: Option<&Value>) -> bool {
        let value = value.filter(|value| **value != Value::Null);
        let Some(value) = value else { return *self == Test::Exists(false) };
        let compares = |other: &Value, passes: fn(Ordering) -> bool| value.compare(other).is_some_and(passes);
        match self {
            Test::Exists(wanted) => *wanted,
            Test::Equals(other) => value == other,
            Test::NotEquals(other) => value != other,
            Test::In(list) => list.contains(value),
            Test::Less(other) => compares(other, Ordering::is_lt),
            Test::AtMost(other) => compares(other, Ordering::is_le),
            Test::Greater(other) => compares(other, Ordering::is_gt),
            Test::AtLeast(other) => compares(other, Ordering::is_ge),
            Test::Between(least, greatest) => compares(least, Ordering::is_ge) && compares(greatest, Ordering::is_le),
            Test::Contains(part) => match value {
                Value::Text(text) => text.contains(part.as_str()),
                Value::Json(json) => has_element(json, part),
                _ => false,
            },
            Test::StartsWith(part) => matches!(value, Value::Text(text) if text.starts_with(part.as_str())),
            Test::EndsWith(part) => matches!(value, Value::Text(text) if text.ends_with(part.as_str())),
            Test::Date(Window::Between(from, to)) => date(value).is_some_and(|at| *from <= at && at < *to),
            Test::Date(_) | Test::DateAheadMs(_) => false,
        }
    }

    /// Whether it asks about dates relative to now, so that its answer changes by time alone.
    pub fn is_relative(&self) -> bool {
        matches!(self, Test::DateAheadMs(_)) || matches!(self, Test::Date(w) if !matches!(w, Window::Between(..)))
    }
}

fn has_element(json: &str, part: &str) -> bool {
    let elements: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
    elements.into_iter().any(|element| crate::json::text(element).is_some_and(|text| text == part))
}

fn date(value: &Value) -> Option<Timestamp> {
    if let Value::Text(text) = value { Timestamp::parse(text) } else { None }
}

/// A test made ready: lists are sorted.
#[derive(Debug, Clone)]
pub(crate) struct Probe(Test);

impl Probe {
    pub(crate) fn new(test: &Test) -> Self {
        let mut test = test.clone();
        if let Test::In(list) = &mut test {
            list.sort_unstable();
            list.dedup();
            list.shrink_to_fit();
        }
        Probe(test)
    }

    pub(crate) fn passes(&self, value: Option<&Value>) -> bool {
        match (&self.0, value) {
            (Test::In(list), Some(value)) if list.len() > 8 && *value != Value::Null => {
                list.binary_search(value).is_ok()
            }
            (test, value) => test.passes(value),
        }
    }

    /// Whether the value passes at `now`, and until when if the value stays.
    pub(crate) fn answer(&self, value: Option<&Value>, now: Timestamp, zone: &TimeZone) -> Answer {
        match &self.0 {
            Test::Date(window) if self.0.is_relative() => {
                let Some(at) = value.and_then(date) else { return Answer::always(false) };
                let (enters, leaves) = (window.enters(at), window.leaves(at, zone));
                Answer::between(enters, leaves, now)
            }
            Test::DateAheadMs(ms) => {
                let Some(at) = value.and_then(date) else { return Answer::always(false) };
                Answer::between(at.minus(*ms).plus(1), at.plus(1), now)
            }
            _ => Answer::always(self.passes(value)),
        }
    }
}

/// A test of a count made ready: the counts at which its answer flips, so that one can say how many more, or fewer,
/// events would change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CountTest {
    /// Ascending; below the first it does not pass.
    flips: SmallVec<[u64; 2]>,
}

impl CountTest {
    /// `None` where the test is not one of numbers.
    pub(crate) fn new(test: &Test) -> Option<Self> {
        let number = |value: &Value| if let Value::Number(n) = value { Some(*n) } else { None };
        let whole = |n: Decimal| if n.is_sign_negative() { 0 } else { n.to_u64().unwrap_or(u64::MAX) };
        let from = |value: &Value| number(value).map(|n| whole(n.ceil()));
        let above = |value: &Value| {
            number(value)
                .map(|n| if n.is_sign_negative() && !n.is_zero() { 0 } else { whole(n.floor()).saturating_add(1) })
        };
        // Half-open intervals of counts that pass; `u64::MAX` is no end.
        let mut passing: Vec<(u64, u64)> = match test {
            Test::Equals(n) => vec![(from(n)?, above(n)?)],
            Test::NotEquals(n) => vec![(0, from(n)?), (above(n)?, u64::MAX)],
            Test::In(list) => list.iter().map(|n| Some((from(n)?, above(n)?))).collect::<Option<_>>()?,
            Test::Less(n) => vec![(0, from(n)?)],
            Test::AtMost(n) => vec![(0, above(n)?)],
            Test::Greater(n) => vec![(above(n)?, u64::MAX)],
            Test::AtLeast(n) => vec![(from(n)?, u64::MAX)],
            Test::Between(least, greatest) => vec![(from(least)?, above(greatest)?)],
            _ => return None,
        };
        passing.retain(|(start, end)| start < end);
        passing.sort_unstable();
        let mut flips: SmallVec<[u64; 2]> = SmallVec::new();
        for (start, end) in passing {
            match flips.last_mut() {
                Some(last) if *last >= start => *last = end.max(*last),
                _ => flips.extend([start, end]),
            }
        }
        if flips.last() == Some(&u64::MAX) {
            flips.pop();
        }
        Some(CountTest { flips })
    }

    pub(crate) fn passes(&self, count: u64) -> bool {
        self.flips.iter().take_while(|flip| **flip <= count).count() % 2 == 1
    }

    /// The greatest count below `count` that answers otherwise.
    pub(crate) fn below(&self, count: u64) -> Option<u64> {
        self.flips.iter().rev().find(|flip| **flip <= count).and_then(|flip| flip.checked_sub(1))
    }

    /// The least count above `count` that answers otherwise.
    pub(crate) fn above(&self, count: u64) -> Option<u64> {
        self.flips.iter().find(|flip| **flip > count).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(json: &str) -> Value {
        Value::from_json(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn values_pass_or_not() {
        let check = |test: &str, json: &str, expect: bool| {
            let test: Test = serde_json::from_str(test).unwrap();
            let value = (!json.is_empty()).then(|| value(json));
            assert_eq!(test.passes(value.as_ref()), expect, "{test:?} of {json}");
            assert_eq!(Probe::new(&test).passes(value.as_ref()), expect, "{test:?} of {json}, made ready");
        };
        check(r#"{"exists":true}"#, "0", true);
        check(r#"{"exists":true}"#, "", false);
        check(r#"{"exists":false}"#, "", true);
        check(r#"{"exists":false}"#, "null", true);
        check(r#"{"equals":"DE"}"#, r#""DE""#, true);
        check(r#"{"equals":"DE"}"#, r#""de""#, false);
        check(r#"{"equals":1}"#, "1.0", true);
        check(r#"{"equals":1}"#, r#""1""#, false);
        check(r#"{"not_equals":1}"#, r#""1""#, true);
        check(r#"{"not_equals":1}"#, "", false);
        check(r#"{"in":["a",2,3,4,5,6,7,8,9,10]}"#, "2.00", true);
        check(r#"{"in":["a",2,3,4,5,6,7,8,9,10]}"#, r#""b""#, false);
        check(r#"{"in":["a",2,3,4,5,6,7,8,9,10]}"#, "", false);
        check(r#"{"less":2}"#, "1.9", true);
        check(r#"{"less":2}"#, "2", false);
        check(r#"{"less":2}"#, r#""1""#, false);
        check(r#"{"greater":"a"}"#, r#""b""#, true);
        check(r#"{"between":[1,2]}"#, "2", true);
        check(r#"{"between":[1,2]}"#, "2.01", false);
        check(r#"{"contains":"or"}"#, r#""word""#, true);
        check(r#"{"contains":"or"}"#, r#"["word"]"#, false);
        check(r#"{"contains":"wörd"}"#, r#"[1, "w\u00f6rd"]"#, true);
        check(r#"{"starts_with":"w"}"#, r#""word""#, true);
        check(r#"{"ends_with":"d"}"#, r#""word""#, true);
        check(r#"{"date":{"between":[0,86400000]}}"#, r#""1970-01-01T23:59:59.999Z""#, true);
        check(r#"{"date":{"between":[0,86400000]}}"#, r#""1970-01-02""#, false);
        check(r#"{"date":{"between":[0,86400000]}}"#, r#""some day""#, false);
        check(r#"{"date":"ever"}"#, r#""1970-01-02""#, false);
    }

    fn numbers() -> impl Strategy<Value = Value> {
        (-30i64..90).prop_map(|n| Value::Number(Decimal::new(n * 5, 1)))
    }

    fn tests() -> impl Strategy<Value = Test> {
        prop_oneof![
            numbers().prop_map(Test::Equals),
            numbers().prop_map(Test::NotEquals),
            prop::collection::vec(numbers(), 0..12).prop_map(Test::In),
            numbers().prop_map(Test::Less),
            numbers().prop_map(Test::AtMost),
            numbers().prop_map(Test::Greater),
            numbers().prop_map(Test::AtLeast),
            (numbers(), numbers()).prop_map(|(a, b)| Test::Between(a, b)),
        ]
    }

    proptest! {
        #[test]
        fn a_count_test_says_what_the_test_says(test in tests(), count in 0u64..60) {
            let ready = CountTest::new(&test).unwrap();
            let plain = |count: u64| test.passes(Some(&Value::Number(count.into())));
            prop_assert_eq!(ready.passes(count), plain(count));
            let differs = |other: &u64| plain(*other) != plain(count);
            prop_assert_eq!(ready.below(count), (0..count).rev().find(differs));
            prop_assert_eq!(ready.above(count).filter(|c| *c < 100), (count..100).find(differs));
        }
    }
}
