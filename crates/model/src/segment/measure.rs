//! What is measured over the points of a window, and when that may change by itself.

use std::ops::Range;

use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::{ast::Window, evaluate::Answer, join::Joined, metric::Horizon, test::CountTest};
use crate::{
    Timestamp, Value,
    profile::{computed::LIST_VALUES_MAX, series::add},
};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measured {
    Count,
    Sum,
    Average,
    Min,
    Max,
    FirstTime,
    LastTime,
    FirstValue,
    LastValue,
    MostFrequent,
    Distinct,
    List,
}

impl Measured {
    /// How far back it needs points one by one.
    pub(crate) fn horizon(self, window: &Window) -> Horizon {
        match self {
            Measured::MostFrequent | Measured::Distinct | Measured::List => window.horizon_of_each(),
            _ => window.horizon(),
        }
    }
}

/// How many points there are in the window, whether that passes, and exactly until when.
pub(crate) fn count(
    series: &Joined<'_>,
    window: &Window,
    test: &CountTest,
    now: Timestamp,
    zone: &TimeZone,
) -> (u64, Answer) {
    let (from, to) = window.at(now, zone);
    let first = if window.reaches_back() { 0 } else { series.rank(from) };
    let end = series.rank(to).max(first);
    let folded = if window.reaches_back() { series.folded() } else { 0 };
    let count = (end - first) as u64 + folded;

    let entering = series.time(end).map_or(Timestamp::MAX, |at| window.enters(at));
    let until = if window.slides() {
        fewer(series, window, test, first..end, zone).min(entering)
    } else if entering < Timestamp::MAX {
        more(series, window, test, count, end, zone)
    } else {
        Timestamp::MAX
    };
    (count, Answer { holds: test.passes(count), until })
}

/// When so many of the points have left, if none enters, that the answer is another.
fn fewer(series: &Joined<'_>, window: &Window, test: &CountTest, points: Range<usize>, zone: &TimeZone) -> Timestamp {
    let mut count = points.len() as u64;
    while let Some(fewer) = test.below(count) {
        let Some(at) = series.time(points.end - fewer as usize - 1) else { break };
        let until = window.leaves(at, zone);
        if test.below(fewer).is_none() || until == Timestamp::MAX {
            return until;
        }
        // Several may leave at once, past the counts at which it answers otherwise.
        count = points.end.saturating_sub(series.rank(window.at(until, zone).0)) as u64;
        if count > fewer || test.passes(count) == test.passes(fewer) {
            return until;
        }
    }
    Timestamp::MAX
}

/// When so many points behind number `end` have entered, where none leaves, that the answer is another.
fn more(
    series: &Joined<'_>,
    window: &Window,
    test: &CountTest,
    mut count: u64,
    mut end: usize,
    zone: &TimeZone,
) -> Timestamp {
    while let Some(more) = test.above(count) {
        let Some(at) = usize::try_from(more - count).ok().and_then(|n| series.time(end.checked_add(n)? - 1)) else {
            break;
        };
        let until = window.enters(at);
        if test.above(more).is_none() || until == Timestamp::MAX {
            return until;
        }
        let entered = series.rank(window.at(until, zone).1);
        count += entered.saturating_sub(end) as u64;
        end = entered.max(end);
        if count < more || test.passes(count) == test.passes(more) {
            return until;
        }
    }
    Timestamp::MAX
}

/// Whether the first, or last, point ever is in the window, and exactly until when where no known point is ahead.
pub(crate) fn edge(
    series: &Joined<'_>,
    last: bool,
    window: &Window,
    now: Timestamp,
    zone: &TimeZone,
) -> (Option<Timestamp>, Answer) {
    let (at, next) = if last { (series.last(now), series.next(now)) } else { (series.first(), None) };
    let mut answer = Answer::always(false);
    if let Some(at) = at {
        answer = Answer::between(window.enters(at), window.leaves(at, zone), now);
    }
    if let Some(next) = next {
        answer.until = answer.until.min(next.plus(1));
    }
    (at.filter(|at| *at < now), answer)
}

/// What is measured, and the first instant at which a point enters or leaves the window.
pub(crate) fn value(
    measured: Measured,
    series: &Joined<'_>,
    window: &Window,
    now: Timestamp,
    zone: &TimeZone,
) -> (Option<Value>, Timestamp) {
    let (from, to) = window.at(now, zone);
    let [first, next] = series.edges(from, to);
    let entering = next.map_or(Timestamp::MAX, |at| window.enters(at));
    let leaving = match first {
        Some(at) if window.slides() && at < to => window.leaves(at, zone),
        _ => Timestamp::MAX,
    };
    let folded = window.reaches_back();
    let value = match measured {
        Measured::Count => Some(Value::Number(points(series, folded, from, to).into())),
        Measured::Sum => Some(Value::Number(sum(series, folded, from, to))),
        Measured::Average => {
            let count = Decimal::from(points(series, folded, from, to));
            sum(series, folded, from, to).checked_div(count).map(Value::Number)
        }
        Measured::Min => {
            let old = series.folded_ranges().filter(|_| folded).map(|(least, _)| least);
            series.amounts(from, to).chain(old).min().map(Value::Number)
        }
        Measured::Max => {
            let old = series.folded_ranges().filter(|_| folded).map(|(_, greatest)| greatest);
            series.amounts(from, to).chain(old).max().map(Value::Number)
        }
        Measured::FirstTime => {
            let old = series.0.iter().filter(|_| folded).filter_map(|s| s.before().span.map(|(first, _)| first));
            old.chain(first.filter(|at| *at < to)).min().map(time)
        }
        Measured::LastTime => {
            let old = series.0.iter().filter(|_| folded).filter_map(|s| s.before().span.map(|(_, last)| last));
            old.chain(series.0.iter().filter_map(|s| s.last(from, to))).max().map(time)
        }
        Measured::FirstValue => {
            let old = series.folded_edges().filter(|_| folded).map(|[first, _]| first);
            series.values(from, to).chain(old).min().map(|(_, value)| value.clone())
        }
        Measured::LastValue => {
            let old = series.folded_edges().filter(|_| folded).map(|[_, last]| last);
            series.values(from, to).chain(old).max().map(|(_, value)| value.clone())
        }
        Measured::MostFrequent => most_frequent(series.values(from, to)),
        Measured::Distinct => Some(Value::Number(distinct(series.values(from, to)).into())),
        Measured::List => list(series.values(from, to)),
    };
    (value, entering.min(leaving))
}

fn time(at: Timestamp) -> Value {
    Value::Text(at.to_string())
}

fn points(series: &Joined<'_>, folded: bool, from: Timestamp, to: Timestamp) -> u64 {
    let kept: usize = series.0.iter().map(|s| s.count(from, to)).sum();
    kept as u64 + if folded { series.folded() } else { 0 }
}

fn sum(series: &Joined<'_>, folded: bool, from: Timestamp, to: Timestamp) -> Decimal {
    let kept = series.sum(from, to);
    if folded { add(series.folded_sum(), kept) } else { kept }
}

fn most_frequent<'a>(values: impl Iterator<Item = (Timestamp, &'a Value)>) -> Option<Value> {
    let mut seen: FxHashMap<&Value, (u64, Timestamp)> = FxHashMap::default();
    for (at, value) in values {
        let (count, last) = seen.entry(value).or_insert((0, at));
        (*count, *last) = (*count + 1, at.max(*last));
    }
    let best = seen.into_iter().max_by_key(|(value, (count, last))| (*count, *last, *value));
    best.map(|(value, _)| value.clone())
}

fn distinct<'a>(values: impl Iterator<Item = (Timestamp, &'a Value)>) -> u64 {
    let mut few: SmallVec<[&Value; 16]> = SmallVec::new();
    let mut values = values.map(|(_, value)| value);
    for value in values.by_ref() {
        if few.contains(&value) {
            continue;
        }
        if few.len() < few.inline_size() {
            few.push(value);
            continue;
        }
        let mut many: FxHashSet<&Value> = few.into_iter().chain([value]).collect();
        many.extend(values);
        return many.len() as u64;
    }
    few.len() as u64
}

fn list<'a>(values: impl Iterator<Item = (Timestamp, &'a Value)>) -> Option<Value> {
    let mut first: FxHashMap<&Value, Timestamp> = FxHashMap::default();
    for (at, value) in values {
        let seen = first.entry(value).or_insert(at);
        *seen = at.min(*seen);
    }
    let mut list: Vec<(Timestamp, &Value)> = first.into_iter().map(|(value, at)| (at, value)).collect();
    list.sort_unstable();
    let list: Vec<String> = list.into_iter().take(LIST_VALUES_MAX).map(|(_, value)| value.to_json()).collect();
    (!list.is_empty()).then(|| Value::Json(format!("[{}]", list.join(","))))
}
