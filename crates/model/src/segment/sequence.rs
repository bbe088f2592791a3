//! `A then B`, `A then no B`.
//!
//! Under what is known, each A makes the condition hold from one instant on and up to another, and both only grow with
//! the time of A. So the condition holds while one of these stretches lasts; it is answered from the newest A backwards,
//! and the stretches also say exactly when the answer changes.
//!
//! The B is another event than the A. Where one event may match both, a third metric counts those, so that at one
//! millisecond one can tell one event from two.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::{ast::Window, evaluate::Answer, metric::MetricId};
use crate::Timestamp;

/// A sequence made ready.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) first: MetricId,
    pub(crate) then: MetricId,
    /// Events that match both, where there may be such.
    pub(crate) both: Option<MetricId>,
    pub(crate) window: Window,
    pub(crate) follows: bool,
    pub(crate) within_ms: Option<i64>,
}

/// The times of the points that matter, ascending.
pub(crate) struct Times<'a> {
    pub(crate) first: Cow<'a, [Timestamp]>,
    pub(crate) then: Cow<'a, [Timestamp]>,
    pub(crate) both: Cow<'a, [Timestamp]>,
}

impl Ready {
    /// The answer, and the time of the newest A that makes it hold.
    pub(crate) fn answer(&self, times: &Times<'_>, now: Timestamp, zone: &TimeZone) -> (Option<Timestamp>, Answer) {
        let mut first = &times.first[..];
        if let Window::Between(_, to) = self.window {
            first = &first[..first.partition_point(|at| *at < to)];
        }
        let mut next = Timestamp::MAX;
        let mut end = first.len();
        if self.follows {
            // What comes after the last B has no follower.
            end = times.then.last().map_or(0, |last| first.partition_point(|at| at <= last));
        }
        while let Some(i) = end.checked_sub(1) {
            let at = first[i];
            end = first[..i].partition_point(|other| *other < at);
            match self.stretch(times, at, zone) {
                Some((from, to)) if from <= now && now < to => {
                    let until = self.chained(times, i, to, zone);
                    return (Some(at), Answer { holds: true, until });
                }
                Some((from, _)) if from > now => next = from,
                Some(_) => break,
                None if self.follows => {
                    // Those between the last B before and this A have none within reach either.
                    let then = &times.then[..];
                    let before = then.partition_point(|b| *b < at);
                    if then.get(before) != Some(&at) {
                        let reach = before.checked_sub(1).map_or(0, |b| first.partition_point(|a| *a <= then[b]));
                        end = end.min(reach);
                    }
                }
                // A B has ended this one, and so it has all the older.
                None if self.within_ms.is_none() && self.other(times, at).is_some_and(|b| b < now) => break,
                None => {}
            }
        }
        (None, Answer { holds: false, until: next })
    }

    /// When the stretches that go on from `until` end, those of the newer points than number `i`.
    fn chained(&self, times: &Times<'_>, i: usize, mut until: Timestamp, zone: &TimeZone) -> Timestamp {
        for at in &times.first[i + 1..] {
            if until == Timestamp::MAX {
                break;
            }
            match self.stretch(times, *at, zone) {
                Some((from, _)) if from > until => break,
                Some((_, to)) => until = until.max(to),
                None => {}
            }
        }
        until
    }

    /// From when and up to when the A at `at` makes the condition hold.
    fn stretch(&self, times: &Times<'_>, at: Timestamp, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let (enters, leaves) = (self.window.enters(at), self.window.leaves(at, zone));
        let other = self.other(times, at);
        let (from, to) = match (self.follows, self.within_ms) {
            (true, within) => {
                let other = other.filter(|b| within.is_none_or(|ms| *b <= at.plus(ms)))?;
                (enters.max(other.plus(1)), leaves)
            }
            (false, Some(ms)) => {
                let last = at.plus(ms);
                if other.is_some_and(|b| b <= last) {
                    return None;
                }
                (enters.max(last.plus(1)), leaves)
            }
            (false, None) => (enters, leaves.min(other.map_or(Timestamp::MAX, |b| b.plus(1)))),
        };
        (from < to).then_some((from, to))
    }

    /// The first B at `at` or later that is another event than the A at `at`; of several As there, seen from the one
    /// that is best for the condition.
    fn other(&self, times: &Times<'_>, at: Timestamp) -> Option<Timestamp> {
        let start = times.then.partition_point(|b| *b < at);
        let same = count(&times.then[start..], at);
        let skip = match same {
            0 => 0,
            1 => {
                let (both, first) = (count_at(&times.both, at), count_at(&times.first, at));
                // Wanted: seen from an A that is not the B. Unwanted: seen from the A that is.
                let itself = if self.follows { both == first } else { both > 0 };
                usize::from(itself)
            }
            _ => 0,
        };
        times.then.get(start + skip).copied()
    }
}

fn count_at(times: &[Timestamp], at: Timestamp) -> usize {
    count(&times[times.partition_point(|t| *t < at)..], at)
}

/// How many at the start are `at`.
fn count(times: &[Timestamp], at: Timestamp) -> usize {
    times.iter().take_while(|t| **t == at).count()
}
