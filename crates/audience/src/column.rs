//! The events of one name, in columns: when, of which node, and the properties that conditions ask for.
//!
//! Sorted by time, so that a window is a stretch of each column. What comes late is behind the sorted part until there
//! is enough of it to be worth a merge; who reads looks through both.

use std::ops::Range;

use onefold_model::{
    Timestamp, Value,
    segment::{EventFields, EventMatch, Path, PropertyTest, Test},
    value::AMOUNT_PLACES,
};
use rust_decimal::Decimal;
use smallvec::SmallVec;

use crate::{
    dictionary::{ABSENT, Dictionary},
    set::Set,
};

/// Unsorted points that are looked through rather than merged.
const LATE_MAX: usize = 8192;

/// A property that a condition reads of events.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Property {
    /// Its value, for tests, distinct values, first, last and lists.
    Value(Path),
    /// Its amount, for sums, averages and bounds.
    Amount(Path),
}

/// The events of one name, or all.
#[derive(Debug, Default)]
pub struct Column {
    times: Vec<Timestamp>,
    nodes: Vec<u32>,
    /// Points up to here are sorted by time.
    sorted: usize,
    values: Vec<(Path, Coded<Value>)>,
    amounts: Vec<(Path, Coded<Decimal>)>,
    edges: Vec<Edges>,
}

/// A column of codes, one for each point, with what they mean.
#[derive(Debug)]
struct Coded<T> {
    codes: Vec<u32>,
    dictionary: Dictionary<T>,
}

impl<T> Default for Coded<T> {
    fn default() -> Self {
        Coded { codes: vec![], dictionary: Dictionary::default() }
    }
}

/// The first and the last matching point of each node.
#[derive(Debug)]
struct Edges {
    filter: Vec<PropertyTest>,
    /// [`Timestamp::MAX`] and [`Timestamp::MIN`] where there is none.
    first: Vec<Timestamp>,
    last: Vec<Timestamp>,
}

/// One point, as it is read.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// Its place in the columns.
    pub place: usize,
    /// The node it belongs to.
    pub node: u32,
}

impl Column {
    /// A column that keeps these properties.
    pub fn new<'a>(properties: impl IntoIterator<Item = &'a Property>) -> Column {
        let mut column = Column::default();
        for property in properties {
            match property {
                Property::Value(path) => column.values.push((path.clone(), Coded::default())),
                Property::Amount(path) => column.amounts.push((path.clone(), Coded::default())),
            }
        }
        column
    }

    /// Adds an event of a node.
    pub fn add(&mut self, node: u32, event: &(impl EventFields + ?Sized)) {
        let at = event.at();
        if self.sorted == self.times.len() && self.times.last().is_none_or(|last| *last <= at) {
            self.sorted += 1;
        }
        self.times.push(at);
        self.nodes.push(node);
        for (path, coded) in &mut self.values {
            let value = event.value(path).filter(|value| *value != Value::Null);
            coded.codes.push(coded.dictionary.code(value));
        }
        for (path, coded) in &mut self.amounts {
            coded.codes.push(coded.dictionary.code(event.amount(path)));
        }
        let mut edges = std::mem::take(&mut self.edges);
        for edge in &mut edges {
            if self.newest_passes(&edge.filter) {
                edge.note(node, at);
            }
        }
        self.edges = edges;
        if self.times.len() - self.sorted > LATE_MAX.max(self.sorted / 32) {
            self.settle();
        }
    }

    /// Whether the newest point passes all tests; their properties are kept.
    fn newest_passes(&self, tests: &[PropertyTest]) -> bool {
        tests.iter().all(|PropertyTest { property, is }| {
            let kept = self.values.iter().find(|(path, _)| path == property);
            kept.is_some_and(|(_, c)| is.passes(c.codes.last().and_then(|code| c.dictionary.value(*code))))
        })
    }

    /// Sorts what came late in.
    pub fn settle(&mut self) {
        if self.sorted == self.times.len() {
            return;
        }
        let mut order: Vec<u32> = (0..self.times.len() as u32).collect();
        // Stable, and quick where most of it is sorted.
        order.sort_by_key(|place| self.times[*place as usize]);
        fn put<T: Copy>(order: &[u32], column: &mut Vec<T>) {
            *column = order.iter().map(|place| column[*place as usize]).collect();
        }
        put(&order, &mut self.times);
        put(&order, &mut self.nodes);
        self.values.iter_mut().for_each(|(_, coded)| put(&order, &mut coded.codes));
        self.amounts.iter_mut().for_each(|(_, coded)| put(&order, &mut coded.codes));
        self.sorted = self.times.len();
    }

    /// Drops the points of the nodes that are gone.
    pub fn forget(&mut self, gone: &Set) {
        self.settle();
        let keep: Vec<bool> = self.nodes.iter().map(|node| !gone.has(*node)).collect();
        fn retain<T>(keep: &[bool], column: &mut Vec<T>) {
            let mut keep = keep.iter();
            column.retain(|_| keep.next().copied().unwrap_or(true));
        }
        retain(&keep, &mut self.times);
        retain(&keep, &mut self.nodes);
        self.values.iter_mut().for_each(|(_, coded)| retain(&keep, &mut coded.codes));
        self.amounts.iter_mut().for_each(|(_, coded)| retain(&keep, &mut coded.codes));
        self.sorted = self.times.len();
        for edge in &mut self.edges {
            for node in gone.iter().take_while(|node| (*node as usize) < edge.first.len()).collect::<Vec<_>>() {
                (edge.first[node as usize], edge.last[node as usize]) = (Timestamp::MAX, Timestamp::MIN);
            }
        }
    }

    /// When a point was.
    pub fn time(&self, place: usize) -> Timestamp {
        self.times[place]
    }

    /// About how many points there are in [from, to).
    pub fn about(&self, from: Timestamp, to: Timestamp) -> usize {
        self.range(from, to).len() + self.times.len() - self.sorted
    }

    fn range(&self, from: Timestamp, to: Timestamp) -> Range<usize> {
        let sorted = &self.times[..self.sorted];
        let start = sorted.partition_point(|at| *at < from);
        start..start + sorted[start..].partition_point(|at| *at < to)
    }

    /// Whether there is a point at or after `now`.
    pub fn is_ahead(&self, now: Timestamp) -> bool {
        let sorted = self.times[..self.sorted].last();
        sorted.into_iter().chain(&self.times[self.sorted..]).any(|at| *at >= now)
    }

    /// Calls `on` for each point in [from, to) that the filter, of this column, lets pass.
    pub fn scan(&self, from: Timestamp, to: Timestamp, filter: &Filter<'_>, mut on: impl FnMut(Point)) {
        let late = (self.sorted..self.times.len()).filter(|place| (from..to).contains(&self.times[*place]));
        let range = self.range(from, to);
        match &filter.0[..] {
            [] => {
                for (place, node) in range.clone().zip(&self.nodes[range]) {
                    on(Point { place, node: *node });
                }
            }
            // The usual one, without a call for each point.
            [(codes, Passing::One(wanted))] => {
                for (place, code) in range.clone().zip(&codes[range]) {
                    if code == wanted {
                        on(Point { place, node: self.nodes[place] });
                    }
                }
            }
            _ => {
                for place in range {
                    if filter.all(place) {
                        on(Point { place, node: self.nodes[place] });
                    }
                }
            }
        }
        for place in late {
            if filter.all(place) {
                on(Point { place, node: self.nodes[place] });
            }
        }
    }

    /// The tests made ready for this column; `None` where it does not keep what they read.
    pub fn filter(&self, tests: &[PropertyTest]) -> Option<Filter<'_>> {
        let ready = tests.iter().map(|PropertyTest { property, is }| {
            let (_, coded) = self.values.iter().find(|(path, _)| path == property)?;
            let find = |value: &Value| coded.dictionary.find(value).unwrap_or(u32::MAX);
            let passing = match is {
                Test::Equals(value) if *value != Value::Null => Passing::One(find(value)),
                _ => {
                    let mut codes = Set::new(coded.dictionary.values().len() + 1);
                    let all = std::iter::once(None).chain(coded.dictionary.values().iter().map(Some));
                    for (code, value) in (ABSENT..).zip(all) {
                        if is.passes(value) {
                            codes.insert(code);
                        }
                    }
                    Passing::Several(codes)
                }
            };
            Some((&coded.codes[..], passing))
        });
        ready.collect::<Option<_>>().map(Filter)
    }

    /// The values of a property, by place.
    pub fn values<'c>(&'c self, path: &Path) -> Option<impl Fn(usize) -> Option<&'c Value> + use<'c>> {
        let (_, coded) = self.values.iter().find(|(kept, _)| kept == path)?;
        Some(move |place: usize| coded.dictionary.value(coded.codes[place]))
    }

    /// The amounts of a property, by place.
    pub fn amounts<'c>(&'c self, path: &Path) -> Option<impl Fn(usize) -> Option<Decimal> + use<'c>> {
        let (_, coded) = self.amounts.iter().find(|(kept, _)| kept == path)?;
        Some(move |place: usize| coded.dictionary.value(coded.codes[place]).copied())
    }

    /// The amounts of a property in billionths, exactly: the codes by place, and what each code is worth; the first is that
    /// of none.
    pub fn billionths(&self, path: &Path) -> Option<(&[u32], Vec<Option<i128>>)> {
        let (_, coded) = self.amounts.iter().find(|(kept, _)| kept == path)?;
        let worth = coded.dictionary.values().iter().map(|amount| Some(billionths(*amount)?));
        Some((&coded.codes, std::iter::once(None).chain(worth).collect()))
    }

    /// Keeps the first and the last point of each node that pass these tests from now on.
    pub fn keep_edges(&mut self, tests: &[PropertyTest]) {
        if self.edges(tests).is_some() {
            return;
        }
        let mut edges = Edges { filter: tests.to_vec(), first: vec![], last: vec![] };
        let Some(filter) = self.filter(tests) else { return };
        for place in (0..self.times.len()).filter(|place| filter.all(*place)) {
            edges.note(self.nodes[place], self.times[place]);
        }
        drop(filter);
        self.edges.push(edges);
    }

    /// The first and the last point by node that pass these tests, where they are kept. [`Timestamp::MAX`] and
    /// [`Timestamp::MIN`]: there is none.
    pub fn edges(&self, tests: &[PropertyTest]) -> Option<(&[Timestamp], &[Timestamp])> {
        let edges = self.edges.iter().find(|edges| edges.filter == tests)?;
        Some((&edges.first, &edges.last))
    }

    /// About how many bytes it takes.
    pub fn heap_bytes(&self) -> usize {
        let values = self.values.iter().map(|(_, c)| c.codes.capacity() * 4 + c.dictionary.heap_bytes());
        let amounts = self.amounts.iter().map(|(_, c)| c.codes.capacity() * 4 + c.dictionary.heap_bytes());
        let edges = self.edges.iter().map(|edges| edges.first.capacity() * 16);
        self.times.capacity() * 8 + self.nodes.capacity() * 4 + values.chain(amounts).chain(edges).sum::<usize>()
    }
}

/// A number in billionths, where that is exact. Amounts have at most nine decimal places, so theirs is.
pub fn billionths(number: Decimal) -> Option<i128> {
    let places = AMOUNT_PLACES.checked_sub(number.normalize().scale())?;
    number.normalize().mantissa().checked_mul(10i128.pow(places))
}

impl Edges {
    fn note(&mut self, node: u32, at: Timestamp) {
        let node = node as usize;
        if self.first.len() <= node {
            self.first.resize(node + 1, Timestamp::MAX);
            self.last.resize(node + 1, Timestamp::MIN);
        }
        self.first[node] = self.first[node].min(at);
        self.last[node] = self.last[node].max(at);
    }
}

/// Tests of properties made ready for a column.
#[derive(Debug)]
pub struct Filter<'a>(SmallVec<[(&'a [u32], Passing); 2]>);

#[derive(Debug)]
enum Passing {
    One(u32),
    Several(Set),
}

impl Filter<'_> {
    /// Whether the point at `place` passes all.
    pub fn all(&self, place: usize) -> bool {
        self.0.iter().all(|(codes, passing)| match passing {
            Passing::One(code) => codes[place] == *code,
            Passing::Several(several) => several.has(codes[place]),
        })
    }
}

/// What the events of a match must keep for it to be read.
pub fn properties_of(event: &EventMatch) -> impl Iterator<Item = Property> {
    event.filter.iter().map(|test| Property::Value(test.property.clone()))
}
