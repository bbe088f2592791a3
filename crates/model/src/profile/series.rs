//! A series: the points of one metric at one node, in time order, and one aggregate of the points too old to be asked
//! one by one.
//!
//! Windows are exact to the millisecond and members must leave on time, so points are kept as they are, not in day
//! buckets: a point is 8 bytes (and its amount or value where one is asked), most people have few, and only metrics
//! that somebody asks for are kept. What is older than the longest window folds into [`Aggregate`].
//!
//! A series is a function of its points and of [`Series::folded`]: the same points in any order give an equal series.
//! Points at the same time are ordered by amount, then by value. Several equal points are several events.

mod chunks;
mod codec;

use std::{cmp::Ordering, mem::size_of, ops::Range};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use self::chunks::Chunks;
pub use self::codec::DecodeError;
use crate::{Timestamp, Value};

/// Points that one stored chunk is opened for; see [`Series::dirty_chunks`].
pub const CHUNK_POINTS: usize = 1024;

/// Up to so many late points are inserted one by one.
const FEW: usize = 4;

/// The points of one metric at one node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Series {
    /// Points before this instant are in `before`, those from it on are below; [`Timestamp::MIN`]: none was folded.
    pub folded: Timestamp,
    /// The points that were folded away, where there are any.
    before: Option<Box<Aggregate>>,
    /// Times of the points, ascending.
    pub times: Vec<Timestamp>,
    /// Amounts of the points, as many as there are times, or empty where the metric keeps none.
    pub amounts: Vec<Decimal>,
    /// Values of the points, as many as there are times, or empty where the metric keeps none.
    pub values: Vec<Value>,
    /// How the points are cut for storage; none while they fit into one chunk.
    #[serde(skip)]
    chunks: Option<Box<Chunks>>,
}

/// What is left of points that were folded away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aggregate {
    /// How many.
    pub count: u64,
    /// Sum of their amounts.
    pub sum: Decimal,
    /// Least and greatest amount.
    pub range: Option<(Decimal, Decimal)>,
    /// First and last time.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The values at the first and at the last time; of several at one time the least and the greatest.
    pub edges: Option<Box<(Value, Value)>>,
}

/// One point.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// Its amount, where the metric keeps amounts.
    pub amount: Option<Decimal>,
    /// Its value, where the metric keeps values.
    pub value: Option<Value>,
}

impl Default for Series {
    fn default() -> Self {
        Series {
            folded: Timestamp::MIN,
            before: None,
            times: Vec::new(),
            amounts: Vec::new(),
            values: Vec::new(),
            chunks: None,
        }
    }
}

/// Equal where the points are: how they are cut for storage does not count.
impl PartialEq for Series {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
            && self.before == other.before
            && self.times == other.times
            && self.amounts == other.amounts
            && self.values == other.values
    }
}

impl Eq for Series {}

/// What no point was folded into.
static NOTHING: Aggregate = Aggregate { count: 0, sum: Decimal::ZERO, range: None, span: None, edges: None };

impl Series {
    /// The points that were folded away.
    pub fn before(&self) -> &Aggregate {
        self.before.as_deref().unwrap_or(&NOTHING)
    }

    /// Whether nothing was ever added.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty() && self.before.is_none()
    }

    /// Adds a point: in constant time where it is the newest, else by moving the newer ones. A point older than
    /// [`folded`](Self::folded) goes straight into `before`. All points of a series are of one kind (time alone, with
    /// amount, with value): that of the first; what another lacks is filled with 0 or `null`, what it has too much is
    /// dropped.
    pub fn insert(&mut self, point: Point) {
        if point.at < self.folded {
            self.before.get_or_insert_default().add(point.at, point.amount, point.value);
            return;
        }
        let index = self.place_of(&point);
        let end = self.times.len();
        if if end == 0 { point.amount.is_some() } else { !self.amounts.is_empty() } {
            self.amounts.insert(index, point.amount.unwrap_or_default());
        }
        if if end == 0 { point.value.is_some() } else { !self.values.is_empty() } {
            self.values.insert(index, point.value.unwrap_or(Value::Null));
        }
        self.times.insert(index, point.at);
        match &mut self.chunks {
            Some(chunks) => chunks.inserted(index, end),
            None if end >= CHUNK_POINTS => self.chunks = Some(Box::new(Chunks::of(end + 1))),
            None => {}
        }
    }

    /// Adds many points, in any order: as [`insert`](Self::insert) one by one, but late ones move the newer ones once
    /// for all.
    pub fn insert_all(&mut self, mut points: Vec<Point>) {
        points.sort_unstable();
        let late = points.iter().filter(|p| self.times.last().is_some_and(|last| p.at < *last)).count();
        if late <= FEW || self.times.is_empty() {
            points.into_iter().for_each(|point| self.insert(point));
            return;
        }
        let mut places = Vec::with_capacity(points.len());
        points.retain_mut(|point| {
            if point.at < self.folded {
                self.before.get_or_insert_default().add(point.at, point.amount, point.value.take());
                return false;
            }
            places.push(self.place_of(point));
            true
        });
        let (mut times, mut amounts, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let (with_amounts, with_values) = (!self.amounts.is_empty(), !self.values.is_empty());
        if with_amounts {
            splice(&mut self.amounts, &places, points.iter().map(|p| p.amount.unwrap_or_default()), &mut amounts);
        }
        splice(&mut self.times, &places, points.iter().map(|p| p.at), &mut times);
        if with_values {
            let added = points.into_iter().map(|p| p.value.unwrap_or(Value::Null));
            splice(&mut self.values, &places, added, &mut values);
        }
        (self.times, self.amounts, self.values) = (times, amounts, values);
        match &mut self.chunks {
            Some(chunks) => chunks.inserted_all(&places),
            None if self.times.len() > CHUNK_POINTS => self.chunks = Some(Box::new(Chunks::of(self.times.len()))),
            None => {}
        }
    }

    /// Folds the points before `instant` away, for good. Nobody may ask about them one by one from now on: `instant`
    /// is at most the least [`Horizon::start`](crate::segment::metric::Horizon::start) of all who read the metric.
    pub fn fold_before(&mut self, instant: Timestamp) {
        if instant <= self.folded {
            return;
        }
        self.folded = instant;
        let gone = self.times.partition_point(|at| *at < instant);
        if gone == 0 {
            return;
        }
        let mut amounts = self.amounts.drain(..gone.min(self.amounts.len()));
        let mut values = self.values.drain(..gone.min(self.values.len()));
        let before = self.before.get_or_insert_default();
        for at in self.times.drain(..gone) {
            before.add(at, amounts.next(), values.next());
        }
        drop((amounts, values));
        if let Some(chunks) = &mut self.chunks {
            chunks.removed_front(gone);
        }
        if self.times.len() < self.times.capacity() / 4 {
            self.times.shrink_to_fit();
            self.amounts.shrink_to_fit();
            self.values.shrink_to_fit();
        }
    }

    /// Whether folding before `instant` frees enough (a quarter of the points) to be worth the move of the others.
    pub fn worth_folding(&self, instant: Timestamp) -> bool {
        let gone = self.times.partition_point(|at| *at < instant);
        gone > 0 && gone >= self.times.len() / 4
    }

    /// Indices of the points in [from, to).
    pub fn range_of(&self, from: Timestamp, to: Timestamp) -> Range<usize> {
        let start = self.times.partition_point(|at| *at < from);
        start..start + self.times[start..].partition_point(|at| *at < to)
    }

    /// How many points there are in [from, to), without those folded away.
    pub fn count(&self, from: Timestamp, to: Timestamp) -> usize {
        self.range_of(from, to).len()
    }

    /// Sum of the amounts in [from, to), without those folded away.
    pub fn sum(&self, from: Timestamp, to: Timestamp) -> Decimal {
        total(self.amounts.get(self.range_of(from, to)).unwrap_or_default())
    }

    /// Least and greatest amount in [from, to), without those folded away.
    pub fn range(&self, from: Timestamp, to: Timestamp) -> Option<(Decimal, Decimal)> {
        let amounts = self.amounts.get(self.range_of(from, to))?;
        Some((*amounts.iter().min()?, *amounts.iter().max()?))
    }

    /// The first time in [from, to), without those folded away.
    pub fn first(&self, from: Timestamp, to: Timestamp) -> Option<Timestamp> {
        self.times.get(self.range_of(from, to))?.first().copied()
    }

    /// The last time in [from, to), without those folded away.
    pub fn last(&self, from: Timestamp, to: Timestamp) -> Option<Timestamp> {
        self.times.get(self.range_of(from, to))?.last().copied()
    }

    /// About how many bytes it takes in memory beside this.
    pub fn heap_bytes(&self) -> usize {
        let text = |value: &Value| match value {
            Value::Text(text) | Value::Json(text) => text.capacity(),
            _ => 0,
        };
        self.times.capacity() * size_of::<Timestamp>()
            + self.amounts.capacity() * size_of::<Decimal>()
            + self.values.capacity() * size_of::<Value>()
            + self.values.iter().map(text).sum::<usize>()
            + self.before.as_ref().map_or(0, |_| size_of::<Aggregate>())
            + self.before().edges.as_ref().map_or(0, |e| size_of::<(Value, Value)>() + text(&e.0) + text(&e.1))
            + self.chunks.as_ref().map_or(0, |c| c.heap_bytes())
    }

    /// Where a point belongs: behind those that are not greater.
    fn place_of(&self, point: &Point) -> usize {
        let end = self.times.len();
        let compare = |i: usize| {
            let amount =
                |i: usize| self.amounts.get(i).zip(point.amount.as_ref()).map_or(Ordering::Equal, |(a, b)| a.cmp(b));
            let value =
                |i: usize| self.values.get(i).zip(point.value.as_ref()).map_or(Ordering::Equal, |(a, b)| a.cmp(b));
            self.times[i].cmp(&point.at).then_with(|| amount(i)).then_with(|| value(i))
        };
        if end == 0 || compare(end - 1) != Ordering::Greater {
            return end;
        }
        let (mut low, mut high) = (0, end - 1);
        while low < high {
            let middle = (low + high) / 2;
            if compare(middle) == Ordering::Greater { high = middle } else { low = middle + 1 }
        }
        low
    }
}

impl Aggregate {
    fn add(&mut self, at: Timestamp, amount: Option<Decimal>, value: Option<Value>) {
        self.count = self.count.saturating_add(1);
        if let Some(amount) = amount {
            self.sum = add(self.sum, amount);
            let (least, greatest) = self.range.unwrap_or((amount, amount));
            self.range = Some((least.min(amount), greatest.max(amount)));
        }
        let (first, last) = self.span.unwrap_or((at, at));
        if let Some(value) = value {
            match &mut self.edges {
                None => self.edges = Some(Box::new((value.clone(), value))),
                Some(edges) => {
                    if (at, &value) < (first, &edges.0) {
                        edges.0 = value.clone();
                    }
                    if (at, &value) > (last, &edges.1) {
                        edges.1 = value;
                    }
                }
            }
        }
        self.span = Some((first.min(at), last.max(at)));
    }
}

/// A sum that stops at the ends instead of failing; amounts as [`crate::value::amount`] bounds them never get there.
pub(crate) fn add(a: Decimal, b: Decimal) -> Decimal {
    a.saturating_add(b)
}

/// The sum of amounts. Their mantissas are added as whole numbers of one scale, which is several times as fast as
/// adding decimals and gives the same.
pub(crate) fn total(amounts: &[Decimal]) -> Decimal {
    let scale = amounts.iter().map(Decimal::scale).max().unwrap_or(0);
    let mantissas = amounts.iter().try_fold(0i128, |sum, amount| {
        let mantissa = match scale - amount.scale() {
            0 => amount.mantissa(),
            places => amount.mantissa().checked_mul(10i128.checked_pow(places)?)?,
        };
        sum.checked_add(mantissa)
    });
    let exact = mantissas.and_then(|sum| Decimal::try_from_i128_with_scale(sum, scale).ok());
    exact.unwrap_or_else(|| amounts.iter().fold(Decimal::ZERO, |sum, amount| add(sum, *amount)))
}

/// Merges `added` into `old`, each in front of the old item at its place.
fn splice<T>(old: &mut Vec<T>, places: &[usize], added: impl Iterator<Item = T>, merged: &mut Vec<T>) {
    merged.reserve_exact(old.len() + places.len());
    let mut rest = old.drain(..);
    let mut taken = 0;
    for (place, item) in places.iter().zip(added) {
        merged.extend(rest.by_ref().take(place - taken));
        taken = *place;
        merged.push(item);
    }
    merged.extend(rest);
}

#[cfg(test)]
mod tests;
