//! The series of one metric at all nodes of one person, read as if they were one.
//!
//! Nothing is copied: positions in time order are found by binary search in each. Nearly everybody has one node that
//! matters, and then it is that one's columns.

use rust_decimal::Decimal;
use smallvec::SmallVec;

use crate::{
    Timestamp, Value,
    profile::{Series, series::add},
};

/// The series, one per node that has any.
#[derive(Debug)]
pub(crate) struct Joined<'a>(pub(crate) SmallVec<[&'a Series; 4]>);

impl<'a> Joined<'a> {
    /// How many points, without those folded away, are before `at`.
    pub(crate) fn rank(&self, at: Timestamp) -> usize {
        self.0.iter().map(|series| rank(&series.times, at)).sum()
    }

    /// How many points were folded away.
    pub(crate) fn folded(&self) -> u64 {
        self.0.iter().map(|series| series.before().count).sum()
    }

    /// The time of the point number `i` in time order.
    pub(crate) fn time(&self, i: usize) -> Option<Timestamp> {
        if let [series] = &self.0[..] {
            return series.times.get(i).copied();
        }
        let (mut low, mut high) = (Timestamp::MAX, Timestamp::MIN);
        for series in &self.0 {
            low = low.min(series.times.first().copied().unwrap_or(Timestamp::MAX));
            high = high.max(series.times.last().copied().unwrap_or(Timestamp::MIN));
        }
        if i >= self.0.iter().map(|s| s.times.len()).sum() {
            return None;
        }
        // The least time up to which there are more than `i` points.
        while low < high {
            let middle = Timestamp(low.0.saturating_add_unsigned(high.0.abs_diff(low.0) / 2));
            if self.rank(middle.plus(1)) > i { high = middle } else { low = middle.plus(1) }
        }
        Some(low)
    }

    /// The first point of all, folded ones included.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.0.iter().filter_map(|s| s.before().span.map(|(first, _)| first).or(s.times.first().copied())).min()
    }

    /// The last point before `now`, folded ones included.
    pub(crate) fn last(&self, now: Timestamp) -> Option<Timestamp> {
        let last = |series: &&Series| {
            let kept = rank(&series.times, now).checked_sub(1).and_then(|i| series.times.get(i).copied());
            kept.or(series.before().span.map(|(_, last)| last))
        };
        self.0.iter().filter_map(last).max()
    }

    /// The first point at or after `now`.
    pub(crate) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.iter().filter_map(|series| series.times.get(rank(&series.times, now)).copied()).min()
    }

    /// The first points at or after `from`, and at or after `to`, which is not before it.
    pub(crate) fn edges(&self, from: Timestamp, to: Timestamp) -> [Option<Timestamp>; 2] {
        let least = |a: Option<Timestamp>, b: Option<Timestamp>| a.into_iter().chain(b).min();
        self.0.iter().fold([None, None], |[first, next], series| {
            let range = series.range_of(from, to);
            let at = |i: usize| series.times.get(i).copied();
            [least(first, at(range.start)), least(next, at(range.end))]
        })
    }

    /// The times from `from` on, in order: borrowed where one node has them.
    pub(crate) fn times_from(&self, from: Timestamp) -> std::borrow::Cow<'a, [Timestamp]> {
        if let [series] = &self.0[..] {
            return series.times[rank(&series.times, from)..].into();
        }
        let mut times = Vec::new();
        self.0.iter().for_each(|series| times.extend_from_slice(&series.times[rank(&series.times, from)..]));
        times.sort_unstable();
        times.into()
    }

    /// The amounts of [from, to), node by node.
    pub(crate) fn amounts(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Decimal> {
        self.0.iter().flat_map(move |s| s.amounts.get(s.range_of(from, to)).unwrap_or_default()).copied()
    }

    /// Sum of the amounts of [from, to).
    pub(crate) fn sum(&self, from: Timestamp, to: Timestamp) -> Decimal {
        match &self.0[..] {
            [series] => series.sum(from, to),
            several => several.iter().fold(Decimal::ZERO, |sum, series| add(sum, series.sum(from, to))),
        }
    }

    /// Sum of the amounts that were folded away.
    pub(crate) fn folded_sum(&self) -> Decimal {
        self.0.iter().fold(Decimal::ZERO, |sum, series| add(sum, series.before().sum))
    }

    /// Least and greatest of the amounts that were folded away, node by node.
    pub(crate) fn folded_ranges(&self) -> impl Iterator<Item = (Decimal, Decimal)> {
        self.0.iter().filter_map(|series| series.before().range)
    }

    /// The points with their values in [from, to), node by node.
    pub(crate) fn values(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = (Timestamp, &'a Value)> {
        self.0.iter().flat_map(move |series| {
            let range = series.range_of(from, to);
            let values = series.values.get(range.clone()).unwrap_or_default();
            series.times[range].iter().copied().zip(values)
        })
    }

    /// First and last of the points with values that were folded away, node by node.
    pub(crate) fn folded_edges(&self) -> impl Iterator<Item = [(Timestamp, &'a Value); 2]> {
        self.0.iter().filter_map(|series| {
            let ((first, last), edges) = (series.before().span?, series.before().edges.as_ref()?);
            Some([(first, &edges.0), (last, &edges.1)])
        })
    }
}

fn rank(times: &[Timestamp], at: Timestamp) -> usize {
    // Most questions are about the newest points of a person, of whom there are few.
    if times.len() <= 8 { times.iter().take_while(|t| **t < at).count() } else { times.partition_point(|t| *t < at) }
}
