//! The plain meaning of conditions over raw events, for tests.
//!
//! Slow and obvious: for each condition a loop over all events. It shares with the programs the tree and the reading
//! of dates, and nothing else, so that the two can be held against each other.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{ToSpan, tz::TimeZone};
use rust_decimal::Decimal;

use super::{
    ast::{Condition, EventMatch, Events, Measure, Path, Sequence, Test, Window},
    check::Lookup,
    matcher::EventFields,
};
use crate::{
    Timestamp, Value,
    profile::computed::{ComputedMeasure, ComputedTrait},
};

/// One person in raw events.
pub struct Person<'a, E> {
    /// Traits; one that is `null` is absent.
    pub traits: &'a BTreeMap<String, Value>,
    /// All events, in any order.
    pub events: &'a [E],
    /// Whether the person may be reached for a purpose, by a channel.
    pub reachable: &'a dyn Fn(&str, Option<&str>) -> bool,
}

/// Whether the condition holds at `now`. What `lookup` does not know holds for nobody.
pub fn holds<E: EventFields>(
    condition: &Condition,
    person: &Person<'_, E>,
    lookup: &dyn Lookup,
    now: Timestamp,
) -> bool {
    let zone = lookup.time_zone();
    match condition {
        Condition::All(of) => of.iter().all(|part| holds(part, person, lookup, now)),
        Condition::Any(of) => of.iter().any(|part| holds(part, person, lookup, now)),
        Condition::Not(of) => !holds(of, person, lookup, now),
        Condition::Trait { name, is } => passes(is, person.traits.get(name), now, zone),
        Condition::Computed { name, is } => lookup
            .computed(name)
            .is_some_and(|computed| passes(is, value(computed, person, now, zone).as_ref(), now, zone)),
        Condition::Events(events) => measured(events, person, now, zone),
        Condition::Sequence(sequence) => in_sequence(sequence, person, now, zone),
        Condition::Segment(name) => lookup.segment(name).is_some_and(|other| holds(other, person, lookup, now)),
        Condition::Consent { purpose, channel } => (person.reachable)(purpose, channel.as_deref()),
    }
}

/// A computed trait's value at `now`.
pub fn value<E: EventFields>(
    computed: &ComputedTrait,
    person: &Person<'_, E>,
    now: Timestamp,
    zone: &TimeZone,
) -> Option<Value> {
    let mut events: Vec<&E> = matching(person, &computed.event, now, zone).collect();
    events.retain(|e| inside(&computed.window, e.at(), now, zone));
    events.sort_by_key(|e| e.at());
    let time = |e: &&E| Value::Text(e.at().to_string());
    let amounts = |path: &Path| -> Vec<Decimal> { events.iter().filter_map(|e| e.amount(path)).collect() };
    let values = |path: &Path| -> Vec<(Timestamp, Value)> {
        let present = |e: &&E| Some((e.at(), e.value(path).filter(|v| *v != Value::Null)?));
        events.iter().filter_map(present).collect()
    };
    let number = |n: usize| Some(Value::Number(Decimal::from(n)));
    match &computed.measure {
        ComputedMeasure::Count => number(events.len()),
        ComputedMeasure::Sum(path) => Some(Value::Number(amounts(path).iter().sum())),
        ComputedMeasure::Average(path) => average(&amounts(path)).map(Value::Number),
        ComputedMeasure::Min(path) => amounts(path).into_iter().min().map(Value::Number),
        ComputedMeasure::Max(path) => amounts(path).into_iter().max().map(Value::Number),
        ComputedMeasure::FirstTime => events.first().map(time),
        ComputedMeasure::LastTime => events.last().map(time),
        ComputedMeasure::First(path) => values(path).into_iter().min().map(|(_, v)| v),
        ComputedMeasure::Last(path) => values(path).into_iter().max().map(|(_, v)| v),
        ComputedMeasure::MostFrequent(path) => {
            let all = values(path);
            let rank = |v: &Value| {
                let same = all.iter().filter(|(_, other)| other == v);
                (same.clone().count(), same.map(|(at, _)| *at).max())
            };
            all.iter().map(|(_, v)| v).max_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.cmp(b))).cloned()
        }
        ComputedMeasure::Distinct(path) => {
            number(values(path).into_iter().map(|(_, v)| v).collect::<BTreeSet<_>>().len())
        }
        ComputedMeasure::List(path) => {
            let mut all = values(path);
            all.sort();
            let mut list: Vec<Value> = Vec::new();
            for (_, v) in all {
                if !list.contains(&v) && list.len() < 100 {
                    list.push(v);
                }
            }
            let json: Vec<String> = list.iter().map(Value::to_json).collect();
            (!json.is_empty()).then(|| Value::Json(format!("[{}]", json.join(","))))
        }
    }
}

fn average(amounts: &[Decimal]) -> Option<Decimal> {
    (!amounts.is_empty()).then(|| amounts.iter().sum::<Decimal>() / Decimal::from(amounts.len()))
}

/// The events that happened before `now` and match.
fn matching<'a, E: EventFields>(
    person: &'a Person<'_, E>,
    event: &'a EventMatch,
    now: Timestamp,
    zone: &'a TimeZone,
) -> impl Iterator<Item = &'a E> {
    person.events.iter().filter(move |e| e.at() < now && matches(event, *e, now, zone))
}

fn matches<E: EventFields>(event: &EventMatch, e: &E, now: Timestamp, zone: &TimeZone) -> bool {
    event.event.as_ref().is_none_or(|name| name == e.name())
        && event.filter.iter().all(|test| passes(&test.is, e.value(&test.property).as_ref(), now, zone))
}

fn measured<E: EventFields>(condition: &Events, person: &Person<'_, E>, now: Timestamp, zone: &TimeZone) -> bool {
    let Events { measure, event, window, is } = condition;
    let all: Vec<&E> = matching(person, event, now, zone).collect();
    let number = match measure {
        Measure::First | Measure::Last => {
            let times = all.iter().map(|e| e.at());
            let edge = if *measure == Measure::First { times.min() } else { times.max() };
            return edge.is_some_and(|at| inside(window, at, now, zone)) == (*is == Test::Exists(true));
        }
        _ => {
            let within: Vec<&E> = all.into_iter().filter(|e| inside(window, e.at(), now, zone)).collect();
            let amounts = |path: &Path| -> Vec<Decimal> { within.iter().filter_map(|e| e.amount(path)).collect() };
            match measure {
                Measure::Sum(path) => Some(amounts(path).iter().sum()),
                Measure::Average(path) => average(&amounts(path)),
                Measure::Min(path) => amounts(path).into_iter().min(),
                Measure::Max(path) => amounts(path).into_iter().max(),
                Measure::Distinct(path) => {
                    let values = within.iter().filter_map(|e| e.value(path)).filter(|v| *v != Value::Null);
                    Some(Decimal::from(values.collect::<BTreeSet<_>>().len()))
                }
                _ => Some(Decimal::from(within.len())),
            }
        }
    };
    passes(is, number.map(Value::Number).as_ref(), now, zone)
}

fn in_sequence<E: EventFields>(sequence: &Sequence, person: &Person<'_, E>, now: Timestamp, zone: &TimeZone) -> bool {
    let Sequence { first, window, then, follows, within_ms } = sequence;
    matching(person, first, now, zone).filter(|a| inside(window, a.at(), now, zone)).any(|a| {
        let last = within_ms.map_or(Timestamp::MAX, |ms| a.at().plus(ms));
        let followed =
            matching(person, then, now, zone).any(|b| !std::ptr::eq(a, b) && a.at() <= b.at() && b.at() <= last);
        let over = within_ms.is_none() || last < now;
        if *follows { followed } else { over && !followed }
    })
}

fn inside(window: &Window, at: Timestamp, now: Timestamp, zone: &TimeZone) -> bool {
    match *window {
        Window::Ever => at < now,
        Window::WithinMs(ms) => now.0 - ms <= at.0 && at < now,
        Window::BeforeMs(ms) => at.0 < now.0 - ms,
        Window::CalendarDays(days) => start_of_days(now, days, zone) <= at && at < now,
        Window::Between(from, to) => from <= at && at < to && at < now,
    }
}

/// Looks through the days around for the latest that has begun.
fn start_of_days(now: Timestamp, days: u32, zone: &TimeZone) -> Timestamp {
    let Ok(instant) = jiff::Timestamp::from_millisecond(now.0) else { return now };
    let start = |day: jiff::civil::Date| {
        let zoned = day.to_zoned(zone.clone()).and_then(|z| z.start_of_day());
        zoned.map_or(Timestamp::MAX, |z| Timestamp(z.timestamp().as_millisecond()))
    };
    let today = instant.to_zoned(TimeZone::UTC).date();
    let begun = (-2i64..=2).map(|d| today.saturating_add(d.days())).rfind(|day| start(*day) <= now);
    start(begun.unwrap_or(today).saturating_sub((i64::from(days) - 1).days()))
}

fn passes(test: &Test, value: Option<&Value>, now: Timestamp, zone: &TimeZone) -> bool {
    let Some(value) = value.filter(|v| **v != Value::Null) else { return *test == Test::Exists(false) };
    let same_type = |other: &Value| value.type_name() == other.type_name();
    let date = || if let Value::Text(text) = value { Timestamp::parse(text) } else { None };
    let ordered = |other: &Value| same_type(other) && !matches!(value, Value::Json(_) | Value::Null);
    match test {
        Test::Exists(wanted) => *wanted,
        Test::Equals(other) => same_type(other) && value == other,
        Test::NotEquals(other) => !(same_type(other) && value == other),
        Test::In(list) => list.iter().any(|other| passes(&Test::Equals(other.clone()), Some(value), now, zone)),
        Test::Less(other) => ordered(other) && value < other,
        Test::AtMost(other) => ordered(other) && value <= other,
        Test::Greater(other) => ordered(other) && value > other,
        Test::AtLeast(other) => ordered(other) && value >= other,
        Test::Between(least, greatest) => ordered(least) && ordered(greatest) && least <= value && value <= greatest,
        Test::Contains(part) => match value {
            Value::Text(text) => text.contains(part),
            Value::Json(json) => {
                let list: Vec<serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
                list.iter().any(|element| element.as_str() == Some(part))
            }
            _ => false,
        },
        Test::StartsWith(part) => matches!(value, Value::Text(text) if text.starts_with(part)),
        Test::EndsWith(part) => matches!(value, Value::Text(text) if text.ends_with(part)),
        Test::Date(Window::Between(from, to)) => date().is_some_and(|at| *from <= at && at < *to),
        Test::Date(window) => date().is_some_and(|at| inside(window, at, now, zone)),
        Test::DateAheadMs(ms) => date().is_some_and(|at| now <= at && at.0 < now.0 + ms),
    }
}
