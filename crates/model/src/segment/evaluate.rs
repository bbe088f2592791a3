//! Answers: whether a person is in, and until when that stays.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{
    join::Joined,
    measure,
    metric::MetricId,
    program::{Node, Op, Program},
    sequence::{Ready, Times},
};
use crate::{Timestamp, Value, profile::Series};

/// What a program reads of one person.
pub trait Facts {
    /// A trait's value; never [`Value::Null`].
    fn trait_value(&self, name: &str) -> Option<Cow<'_, Value>>;
    /// The series of a metric, one per node of the person that has any.
    fn series(&self, metric: MetricId) -> SmallVec<[&Series; 4]>;
    /// Whether the person may be reached for a purpose, by a channel where one is named.
    fn reachable(&self, purpose: &str, channel: Option<&str>) -> bool;
    /// The first instant at which [`reachable`](Self::reachable) may say otherwise without a new fact, as where a
    /// consent runs out.
    fn reachable_until(&self, _purpose: &str, _channel: Option<&str>) -> Timestamp {
        Timestamp::MAX
    }
}

/// What is known of one person for a program of one condition: the value of the trait that it asks, or the points of its
/// metrics. See [`Program::alone`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Gathered<'a> {
    /// The trait and its value.
    pub of_trait: Option<(&'a str, &'a Value)>,
    /// The points of each metric, by its number.
    pub series: &'a [Series],
}

impl Facts for Gathered<'_> {
    fn trait_value(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.of_trait.filter(|(of, _)| *of == name).map(|(_, value)| Cow::Borrowed(value))
    }

    fn series(&self, metric: MetricId) -> SmallVec<[&Series; 4]> {
        self.series.get(metric.0 as usize).into_iter().collect()
    }

    fn reachable(&self, _: &str, _: Option<&str>) -> bool {
        false
    }
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Whether it does.
    pub holds: bool,
    /// The earliest instant after now at which that may change without a new fact; [`Timestamp::MAX`] if it never
    /// does. It may be too early, so that one asks once more than needed, never too late.
    pub until: Timestamp,
}

impl Answer {
    /// One that time does not change.
    pub(crate) fn always(holds: bool) -> Self {
        Answer { holds, until: Timestamp::MAX }
    }

    /// Yes from `enters` on and up to `leaves`.
    pub(crate) fn between(enters: Timestamp, leaves: Timestamp, now: Timestamp) -> Self {
        if enters >= leaves || now >= leaves {
            Answer::always(false)
        } else if now < enters {
            Answer { holds: false, until: enters }
        } else {
            Answer { holds: true, until: leaves }
        }
    }

    fn not(self) -> Self {
        Answer { holds: !self.holds, ..self }
    }
}

/// `all` (or, with `holds` and its opposite swapped, `any`) of several answers. As long as one part says no, so does
/// the whole: it stays at least as long as the part that says no for longest.
pub(super) fn combine(parts: impl Iterator<Item = Answer>, all: bool) -> Answer {
    let (mut agree, mut differ) = (Timestamp::MAX, None);
    for part in parts {
        if part.holds != all {
            let longest = differ.map_or(part.until, |until: Timestamp| until.max(part.until));
            if longest == Timestamp::MAX {
                return Answer::always(!all);
            }
            differ = Some(longest);
        } else if differ.is_none() {
            agree = agree.min(part.until);
        }
    }
    differ.map_or(Answer { holds: all, until: agree }, |until| Answer { holds: !all, until })
}

impl Program {
    /// Whether the person is in at `now`, and until when that stays. Points at or after `now` are known to come: they
    /// do not count yet, but `until` says when they do.
    pub fn evaluate(&self, facts: &impl Facts, now: Timestamp) -> Answer {
        self.node(&self.root, facts, now)
    }

    pub(super) fn node<F: Facts>(&self, node: &Node, facts: &F, now: Timestamp) -> Answer {
        match &node.op {
            Op::All(of) => combine(of.iter().map(|part| self.node(part, facts, now)), true),
            Op::Any(of) => combine(of.iter().map(|part| self.node(part, facts, now)), false),
            Op::Not(of) => self.node(of, facts, now).not(),
            Op::Segment(of) => self.node(of, facts, now),
            Op::Trait { name, test } => test.answer(facts.trait_value(name).as_deref(), now, &self.zone),
            Op::Count { metric, window, test } => {
                measure::count(&Joined(facts.series(*metric)), window, test, now, &self.zone).1
            }
            Op::Value { metric, window, measured, test } => {
                let series = Joined(facts.series(*metric));
                let (value, until) = measure::value(*measured, &series, window, now, &self.zone);
                let answer = test.answer(value.as_ref(), now, &self.zone);
                Answer { until: answer.until.min(until), ..answer }
            }
            Op::Edge { metric, window, last, inside } => {
                let answer = measure::edge(&Joined(facts.series(*metric)), *last, window, now, &self.zone).1;
                if *inside { answer } else { answer.not() }
            }
            Op::Sequence(ready) => ready.answer(&self.times(ready, facts, now), now, &self.zone).1,
            Op::Consent { purpose, channel } => {
                let channel = channel.as_deref();
                Answer { holds: facts.reachable(purpose, channel), until: facts.reachable_until(purpose, channel) }
            }
        }
    }

    pub(super) fn times<'a, F: Facts>(&self, ready: &Ready, facts: &'a F, now: Timestamp) -> Times<'a> {
        let from = ready.window.at(now, &self.zone).0;
        let times = |metric| Joined(facts.series(metric)).times_from(from);
        Times { first: times(ready.first), then: times(ready.then), both: ready.both.map_or((&[][..]).into(), times) }
    }
}
