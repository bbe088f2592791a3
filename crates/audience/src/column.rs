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
    people::NOBODY,
    set::Set,
};

/// Unsorted points that are looked through rather than merged, and the part of those they would be merged into.
const LATE_MAX: usize = 4096;
const LATE_PART: usize = 32;

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
    /// The earliest of those that are not.
    earliest_late: Option<Timestamp>,
    values: Vec<(Path, Coded<Value>)>,
    amounts: Vec<(Path, Coded<Decimal>)>,
    edges: Vec<Edges>,
}

/// A column of codes, one for each point, with what they mean.
#[derive(Debug)]
struct Coded<T> {
    codes: Vec<u32>,
    dictionary: Dictionary<T>,
    /// Of amounts, what each code is worth in billionths; what is absent is worth nothing.
    worth: Vec<i128>,
}

impl<T> Default for Coded<T> {
    fn default() -> Self {
        Coded { codes: vec![], dictionary: Dictionary::default(), worth: vec![0] }
    }
}

/// The first and the last matching point of each node, and of each profile. [`Timestamp::MAX`] and [`Timestamp::MIN`] where
/// there is none.
#[derive(Debug)]
struct Edges {
    filter: Vec<PropertyTest>,
    of_nodes: Bounds,
    of_profiles: Bounds,
}

#[derive(Debug, Default)]
struct Bounds {
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

    /// Adds an event of a node, of this profile.
    pub fn add(&mut self, node: u32, head: u32, event: &(impl EventFields + ?Sized)) {
        self.push(node, head, event);
        let late = self.times.len() - self.sorted;
        if late > LATE_MAX && late > (self.sorted - self.place_of_late()) / LATE_PART {
            self.settle();
        }
    }

    /// The same where many come in any order: who adds them [settles](Self::settle) them at the end.
    pub fn push(&mut self, node: u32, head: u32, event: &(impl EventFields + ?Sized)) {
        let at = event.at();
        if self.sorted == self.times.len() && self.times.last().is_none_or(|last| *last <= at) {
            self.sorted += 1;
        } else {
            self.earliest_late = Some(self.earliest_late.map_or(at, |earliest| earliest.min(at)));
        }
        self.times.push(at);
        self.nodes.push(node);
        for (path, coded) in &mut self.values {
            let value = event.value(path).filter(|value| *value != Value::Null);
            coded.codes.push(coded.dictionary.code(value));
        }
        for (path, coded) in &mut self.amounts {
            let amount = event.amount(path);
            let code = coded.dictionary.code(amount);
            if coded.worth.len() <= code as usize {
                coded.worth.push(amount.and_then(billionths).unwrap_or_default());
            }
            coded.codes.push(code);
        }
        let mut edges = std::mem::take(&mut self.edges);
        for edge in &mut edges {
            if self.newest_passes(&edge.filter) {
                edge.of_nodes.note(node, at, at);
                if head != NOBODY {
                    edge.of_profiles.note(head, at, at);
                }
            }
        }
        self.edges = edges;
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
        // What comes before all that is late stays where it is.
        let start = self.place_of_late();
        let mut order: Vec<u32> = (start as u32..self.times.len() as u32).collect();
        // Stable, and quick where most of it is sorted.
        order.sort_by_key(|place| self.times[*place as usize]);
        let put = |column: &mut Vec<u32>| {
            let moved: Vec<u32> = order.iter().map(|place| column[*place as usize]).collect();
            column[start..].copy_from_slice(&moved);
        };
        put(&mut self.nodes);
        self.values.iter_mut().for_each(|(_, coded)| put(&mut coded.codes));
        self.amounts.iter_mut().for_each(|(_, coded)| put(&mut coded.codes));
        let moved: Vec<Timestamp> = order.iter().map(|place| self.times[*place as usize]).collect();
        self.times[start..].copy_from_slice(&moved);
        (self.sorted, self.earliest_late) = (self.times.len(), None);
    }

    /// Where the first of those that are late belongs.
    fn place_of_late(&self) -> usize {
        let sorted = &self.times[..self.sorted];
        self.earliest_late.map_or(self.sorted, |earliest| sorted.partition_point(|at| *at <= earliest))
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
            gone.iter().for_each(|node| edge.of_nodes.put(node, Timestamp::MAX, Timestamp::MIN));
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

    /// The amounts of a property in billionths, exactly: the codes by place, and what each code is worth.
    pub fn billionths(&self, path: &Path) -> Option<(&[u32], &[i128])> {
        let (_, coded) = self.amounts.iter().find(|(kept, _)| kept == path)?;
        Some((&coded.codes, &coded.worth))
    }

    /// Keeps the first and the last point of each profile that pass these tests from now on. `heads`: the profile by node.
    pub fn keep_edges(&mut self, tests: &[PropertyTest], heads: &[u32]) {
        if self.edges(tests).is_some() {
            return;
        }
        let (of_nodes, of_profiles) = Default::default();
        let mut edges = Edges { filter: tests.to_vec(), of_nodes, of_profiles };
        let Some(filter) = self.filter(tests) else { return };
        for place in (0..self.times.len()).filter(|place| filter.all(*place)) {
            let (node, at) = (self.nodes[place], self.times[place]);
            edges.of_nodes.note(node, at, at);
            let head = heads[node as usize];
            if head != NOBODY {
                edges.of_profiles.note(head, at, at);
            }
        }
        drop(filter);
        self.edges.push(edges);
    }

    /// The first and the last point by profile that pass these tests, where they are kept. [`Timestamp::MAX`] and
    /// [`Timestamp::MIN`]: there is none.
    pub fn edges(&self, tests: &[PropertyTest]) -> Option<(&[Timestamp], &[Timestamp])> {
        let edges = self.edges.iter().find(|edges| edges.filter == tests)?;
        Some((&edges.of_profiles.first, &edges.of_profiles.last))
    }

    /// A profile has these nodes now.
    pub fn joined(&mut self, head: u32, nodes: &[u32]) {
        for edges in &mut self.edges {
            edges.of_profiles.put(head, Timestamp::MAX, Timestamp::MIN);
            for node in nodes.iter().map(|node| *node as usize).filter(|node| *node < edges.of_nodes.first.len()) {
                edges.of_profiles.note(head, edges.of_nodes.first[node], edges.of_nodes.last[node]);
            }
        }
    }

    /// About how many bytes it takes.
    pub fn heap_bytes(&self) -> usize {
        let values = self.values.iter().map(|(_, c)| c.codes.capacity() * 4 + c.dictionary.heap_bytes());
        let amounts = self.amounts.iter().map(|(_, c)| c.codes.capacity() * 4 + c.dictionary.heap_bytes());
        let edges =
            self.edges.iter().map(|edges| (edges.of_nodes.first.capacity() + edges.of_profiles.first.capacity()) * 16);
        self.times.capacity() * 8 + self.nodes.capacity() * 4 + values.chain(amounts).chain(edges).sum::<usize>()
    }
}

/// A number in billionths, where that is exact. Amounts have at most nine decimal places, so theirs is.
pub fn billionths(number: Decimal) -> Option<i128> {
    let places = AMOUNT_PLACES.checked_sub(number.normalize().scale())?;
    number.normalize().mantissa().checked_mul(10i128.pow(places))
}

impl Bounds {
    /// Of a node or profile there is a first and a last point.
    fn note(&mut self, number: u32, first: Timestamp, last: Timestamp) {
        let place = number as usize;
        if self.first.len() <= place {
            self.first.resize(place + 1, Timestamp::MAX);
            self.last.resize(place + 1, Timestamp::MIN);
        }
        self.first[place] = self.first[place].min(first);
        self.last[place] = self.last[place].max(last);
    }

    /// Puts others in their place, where there are any.
    fn put(&mut self, number: u32, first: Timestamp, last: Timestamp) {
        if let (Some(kept), Some(end)) = (self.first.get_mut(number as usize), self.last.get_mut(number as usize)) {
            (*kept, *end) = (first, last);
        }
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
