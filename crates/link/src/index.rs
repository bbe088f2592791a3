//! Records one at a time: the clusters of all so far, after each.
//!
//! The same as a run over all of them, in whatever order they come: scores read frozen frequencies, a component is what
//! strong pairs connect, and its clusters are a function of it alone. A record changes one component, seldom a few, and
//! those alone are clustered anew. A key that one record too many has in common is crowded from then on, and the pairs
//! that only it had made are taken back, as if they had never been made. A record that changes or goes leaves the rest as if
//! it had never been.

use rayon::prelude::*;
use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use crate::{
    blocking::Keys,
    compare::Comparer,
    doubts::weak_bridges,
    explain::{Waterfall, explain},
    judge::{Judge, Pair},
    linker::{Linked, Linker, compare_ids},
    model::Model,
    records::{Frequencies, Frozen, Records},
    weights::{Scorer, Weights},
};

const NOBODY: u32 = u32::MAX;

/// The records that have a key of one rule in common, as chains through the rows.
#[derive(Debug, Clone, Default)]
struct Chains {
    /// Open addressing: a row with a key, and part of the key.
    slots: Vec<(u32, u32)>,
    used: usize,
    /// For each row, the row before it with the same key.
    before: Vec<u32>,
}

impl Chains {
    /// Where the key stands, or would stand. `key_of` tells the key of a row.
    fn place(&self, key: u64, key_of: &impl Fn(u32) -> Option<u64>) -> usize {
        let mask = self.slots.len() - 1;
        let mut place = key as usize & mask;
        loop {
            let (row, tag) = self.slots[place];
            if row == NOBODY || (tag == (key >> 32) as u32 && key_of(row) == Some(key)) {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    fn add(&mut self, row: u32, key: Option<u64>, key_of: &impl Fn(u32) -> Option<u64>) {
        if row as usize == self.before.len() {
            self.before.push(NOBODY);
        }
        let Some(key) = key else { return };
        if (self.used + 1) * 8 > self.slots.len() * 5 {
            self.grow(key_of);
        }
        let place = self.place(key, key_of);
        self.used += usize::from(self.slots[place].0 == NOBODY);
        self.before[row as usize] = self.slots[place].0;
        self.slots[place] = (row, (key >> 32) as u32);
    }

    /// Takes out a row, whose key `key_of` still tells.
    fn remove(&mut self, row: u32, key_of: &impl Fn(u32) -> Option<u64>) {
        let Some(key) = key_of(row) else { return };
        let place = self.place(key, key_of);
        let next = std::mem::replace(&mut self.before[row as usize], NOBODY);
        let mut at = self.slots[place].0;
        if at != row {
            while self.before[at as usize] != row {
                at = self.before[at as usize];
            }
            self.before[at as usize] = next;
        } else if next != NOBODY {
            self.slots[place].0 = next;
        } else {
            self.used -= 1;
            self.close(place, key_of);
        }
    }

    /// Frees a slot: those after it that stand behind their place move up (Knuth, TAOCP 3, 6.4, algorithm R).
    fn close(&mut self, mut hole: usize, key_of: &impl Fn(u32) -> Option<u64>) {
        let mask = self.slots.len() - 1;
        let mut next = (hole + 1) & mask;
        while let Some(key) = Some(self.slots[next].0).filter(|row| *row != NOBODY).and_then(key_of) {
            if next.wrapping_sub(key as usize) & mask >= next.wrapping_sub(hole) & mask {
                self.slots[hole] = self.slots[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.slots[hole] = (NOBODY, 0);
    }

    fn grow(&mut self, key_of: &impl Fn(u32) -> Option<u64>) {
        let larger = vec![(NOBODY, 0); (self.slots.len() * 2).max(64)];
        for (row, tag) in std::mem::replace(&mut self.slots, larger) {
            if let Some(key) = key_of(row).filter(|_| row != NOBODY) {
                let mask = self.slots.len() - 1;
                let mut place = key as usize & mask;
                while self.slots[place].0 != NOBODY {
                    place = (place + 1) & mask;
                }
                self.slots[place] = (row, tag);
            }
        }
    }

    /// Rows with the key, at most `count`.
    fn rows(&self, key: u64, key_of: &impl Fn(u32) -> Option<u64>, count: usize) -> SmallVec<[u32; 16]> {
        let mut rows = SmallVec::new();
        if self.slots.is_empty() {
            return rows;
        }
        let mut row = self.slots[self.place(key, key_of)].0;
        while row != NOBODY && rows.len() < count {
            rows.push(row);
            row = self.before[row as usize];
        }
        rows
    }
}

/// What a new record changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inserted {
    /// The record's row, counted from 0.
    pub row: u32,
    /// Rows whose cluster is another one now, the new row first, and the row with the least id of that cluster.
    pub changed: Vec<(u32, u32)>,
    /// Rows of which [`Index::links`] may say something else now, ascending.
    pub affected: Vec<u32>,
}

/// What an index says of two records.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// One row.
    pub a: u32,
    /// The other.
    pub b: u32,
    /// Bits.
    pub score: f32,
    /// Whether they are one person: of a cluster's pairs, those that hold it together best. If not, the pair is in doubt.
    pub joined: bool,
}

/// Clustered records that take one more.
pub struct Index {
    model: Model,
    scorer: Scorer,
    keys: Keys,
    comparer: Comparer,
    records: Records,
    frequencies: Frequencies,
    /// Where values that come later are looked up; none where they are unknown by themselves.
    frozen: Option<Frozen>,
    ids: Vec<Box<[u8]>>,
    chains: Vec<Chains>,
    /// For each row, those that score above `review` with it.
    edges: Vec<SmallVec<[(u32, f32); 2]>>,
    clusters: Vec<u32>,
    /// Rows without a record.
    free: Vec<u32>,
    apart: FxHashSet<(u32, u32)>,
}

impl Index {
    /// An index of no records, with the frequencies of those of `linker`.
    pub fn new(linker: &Linker<'_>, weights: &Weights) -> Index {
        let (records, frequencies) = (linker.records.without_rows(), linker.frequencies.clone());
        Index::empty(linker.model, weights, records, frequencies, None)
    }

    /// An index of no records, with frequencies that were frozen when the model was trained.
    ///
    /// # Panics
    ///
    /// Where they are of another model.
    pub fn of_frozen(model: &Model, weights: &Weights, frozen: Frozen) -> Index {
        assert!(frozen.fits(model), "the frequencies are of this model");
        let frequencies = Frequencies::of_frozen(&frozen);
        Index::empty(model, weights, Records::new(model), frequencies, Some(frozen))
    }

    fn empty(
        model: &Model,
        weights: &Weights,
        records: Records,
        frequencies: Frequencies,
        frozen: Option<Frozen>,
    ) -> Index {
        let keys = Keys::new(model);
        Index {
            model: model.clone(),
            scorer: Scorer::new(model, weights),
            comparer: Comparer::new(model),
            records,
            frequencies,
            frozen,
            ids: Vec::new(),
            chains: vec![Chains::default(); keys.len()],
            keys,
            edges: Vec::new(),
            clusters: Vec::new(),
            free: Vec::new(),
            apart: FxHashSet::default(),
        }
    }

    /// An index of all records of `linker`, clustered as in `linked`, which it made with `weights`.
    pub fn of(linker: &Linker<'_>, weights: &Weights, linked: &Linked) -> Index {
        let mut index = Index::new(linker, weights);
        index.records = linker.records.in_order_of_table(&linker.order);
        let count = index.records.len();
        index.ids = (0..count).map(|row| linker.table.id(row).into()).collect();
        let (records, keys) = (&index.records, &index.keys);
        index.chains.par_iter_mut().enumerate().with_max_len(1).for_each(|(rule, chains)| {
            let key_of = |row: u32| (row != NOBODY).then(|| keys.key(rule, records, records.row(row as usize)))?;
            chains.slots = vec![(NOBODY, 0); (count * 2).next_power_of_two().max(64)];
            (0..count as u32).for_each(|row| chains.add(row, key_of(row), &key_of));
        });
        index.edges = vec![SmallVec::new(); count];
        let judge = linker.judge(&index.scorer);
        for pair in linked.pairs.iter().filter(|pair| judge.matters(pair)) {
            index.edges[pair.a as usize].push((pair.b, pair.score));
            index.edges[pair.b as usize].push((pair.a, pair.score));
        }
        index.clusters.clone_from(&linked.clusters);
        index
    }

    /// Records.
    pub fn len(&self) -> usize {
        self.clusters.len() - self.free.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of a row.
    pub fn id(&self, row: u32) -> &[u8] {
        &self.ids[row as usize]
    }

    /// For each row, the row with the least id of its cluster.
    pub fn clusters(&self) -> &[u32] {
        &self.clusters
    }

    /// Adds a record: its values as they were read, one for each comparison of the model.
    ///
    /// # Panics
    ///
    /// Where there are not as many values as comparisons.
    pub fn insert(&mut self, id: &str, values: &[&str]) -> Inserted {
        let row = self.free.pop().unwrap_or(self.clusters.len() as u32);
        if row as usize == self.clusters.len() {
            self.ids.push(Box::default());
            self.edges.push(SmallVec::new());
            self.clusters.push(row);
        }
        self.ids[row as usize] = id.as_bytes().into();
        let mut touched = vec![row];
        self.enter(row, values, &mut touched);
        let (mut changed, affected) = self.cluster_again(touched);
        changed.retain(|(other, _)| *other != row);
        changed.insert(0, (row, self.clusters[row as usize]));
        Inserted { row, changed, affected }
    }

    /// Gives the record in `row` other values; says which rows that may have affected, as in [`Inserted::affected`].
    ///
    /// # Panics
    ///
    /// Where there are not as many values as comparisons.
    pub fn replace(&mut self, row: u32, values: &[&str]) -> Vec<u32> {
        let mut touched = vec![row];
        self.leave(row, &mut touched);
        self.enter(row, values, &mut touched);
        self.cluster_again(touched).1
    }

    /// Takes out the record in `row`, which a later one may get; says which rows that may have affected.
    pub fn remove(&mut self, row: u32) -> Vec<u32> {
        let mut touched = vec![row];
        self.leave(row, &mut touched);
        self.apart.retain(|(a, b)| *a != row && *b != row);
        self.ids[row as usize] = Box::default();
        let affected = self.cluster_again(touched).1;
        self.free.push(row);
        affected
    }

    /// Says whether two records are two people, whatever they have in common; says which rows that may have affected.
    pub fn set_apart(&mut self, a: u32, b: u32, are_apart: bool) -> Vec<u32> {
        let pair = (a.min(b), a.max(b));
        if are_apart {
            self.apart.insert(pair)
        } else {
            self.apart.remove(&pair)
        };
        self.cluster_again(vec![a, b]).1
    }

    fn judge(&self) -> Judge<'_> {
        Judge {
            records: &self.records,
            frequencies: &self.frequencies,
            scorer: &self.scorer,
            thresholds: &self.model.thresholds,
            apart: &self.apart,
        }
    }

    /// Puts values in a row that has none, and connects it.
    fn enter(&mut self, row: u32, values: &[&str], touched: &mut Vec<u32>) {
        assert_eq!(values.len(), self.records.width(), "one value for each comparison");
        self.records.set(row as usize, values);
        if let Some(frozen) = &self.frozen {
            self.frequencies.cover(&self.records, frozen);
        }
        let most = self.model.thresholds.block_records_max;
        let (records, keys) = (&self.records, &self.keys);
        let (mut others, mut crowded): (Vec<u32>, Vec<(usize, u64)>) = (Vec::new(), Vec::new());
        for (rule, chains) in self.chains.iter_mut().enumerate() {
            let key_of = |row: u32| (row != NOBODY).then(|| keys.key(rule, records, records.row(row as usize)))?;
            let key = key_of(row);
            if let Some(key) = key {
                let before = chains.rows(key, &key_of, most + 1);
                match before.len() {
                    count if count < most => others.extend(before),
                    count if count == most => crowded.push((rule, key)),
                    _ => {}
                }
            }
            chains.add(row, key, &key_of);
        }
        others.sort_unstable();
        others.dedup();
        for other in others {
            self.connect(row, other, touched);
        }
        for (rule, key) in crowded {
            self.take_back(rule, key, touched);
        }
    }

    /// Takes the values out of a row, and all that came of them.
    fn leave(&mut self, row: u32, touched: &mut Vec<u32>) {
        let most = self.model.thresholds.block_records_max;
        let mut uncrowded: Vec<SmallVec<[u32; 16]>> = Vec::new();
        for rule in 0..self.chains.len() {
            if let Some(key) = self.key(rule, row) {
                let members = self.rows_with(rule, key, most + 2);
                if members.len() == most + 1 {
                    uncrowded.push(members);
                }
            }
            let (records, keys) = (&self.records, &self.keys);
            let key_of = |row: u32| (row != NOBODY).then(|| keys.key(rule, records, records.row(row as usize)))?;
            self.chains[rule].remove(row, &key_of);
        }
        self.records.clear(row as usize);
        for (other, _) in std::mem::take(&mut self.edges[row as usize]) {
            self.edges[other as usize].retain(|(of, _)| *of != row);
            touched.push(other);
        }
        for members in uncrowded {
            for (i, &a) in members.iter().enumerate().filter(|(_, a)| **a != row) {
                for &b in members[..i].iter().filter(|b| **b != row) {
                    self.connect(a, b, touched);
                }
            }
        }
    }

    /// Compares two rows that are not connected yet.
    fn connect(&mut self, a: u32, b: u32, touched: &mut Vec<u32>) {
        if self.edges[a as usize].iter().any(|(other, _)| *other == b) {
            return;
        }
        let judge = Judge {
            records: &self.records,
            frequencies: &self.frequencies,
            scorer: &self.scorer,
            thresholds: &self.model.thresholds,
            apart: &self.apart,
        };
        let score = judge.score(&mut self.comparer, a.min(b), a.max(b)) as f32;
        if judge.matters(&Pair { a, b, score }) {
            self.edges[a as usize].push((b, score));
            self.edges[b as usize].push((a, score));
            touched.extend([a, b]);
        }
    }

    /// Clusters the components of these rows anew. Gives the rows whose cluster is another one, with it, and all that were
    /// looked at.
    fn cluster_again(&mut self, touched: Vec<u32>) -> (Vec<(u32, u32)>, Vec<u32>) {
        let (mut seen, mut changed) = (FxHashSet::default(), Vec::new());
        for start in touched {
            if !seen.contains(&start) {
                self.cluster_from(start, &mut seen, &mut changed);
            }
        }
        let mut affected: Vec<u32> = seen.into_iter().collect();
        affected.sort_unstable();
        (changed, affected)
    }

    /// The rows that are connected with `start`, itself first.
    fn component(&self, start: u32, seen: &mut FxHashSet<u32>) -> Vec<u32> {
        let mut rows = vec![start];
        seen.insert(start);
        let mut next = 0;
        while let Some(&row) = rows.get(next) {
            let connected = self.edges[row as usize].iter().filter(|(_, score)| self.judge().joins(*score));
            rows.extend(connected.map(|(other, _)| *other).filter(|other| seen.insert(*other)));
            next += 1;
        }
        rows
    }

    /// Pairs that score at most `bits` more than joining takes, and without which their cluster would fall apart, the weakest
    /// first: where one is wrong, two people have become one.
    pub fn weak_bridges(&self, bits: f64) -> Vec<Pair> {
        let within = |row: u32, other: u32| row < other && self.clusters[row as usize] == self.clusters[other as usize];
        let joined = (0..).zip(&self.edges).flat_map(|(row, edges)| {
            let own = edges.iter().filter(move |(other, score)| within(row, *other) && self.judge().joins(*score));
            own.map(move |(other, score)| Pair { a: row, b: *other, score: *score })
        });
        weak_bridges(joined, |row| self.clusters[row as usize], self.model.thresholds.join + bits)
    }

    /// What is said of these rows: how they are joined with others, and which pairs with them are in doubt.
    pub fn links(&self, rows: &[u32]) -> Vec<Link> {
        let mut links: Vec<Link> = Vec::new();
        let all: FxHashSet<u32> = rows.iter().copied().collect();
        let mut done: FxHashSet<u32> = FxHashSet::default();
        let mut comparer = Comparer::new(&self.model);
        for &row in rows {
            let cluster = self.clusters[row as usize];
            if done.insert(cluster) {
                let mut members = self.component(row, &mut FxHashSet::default());
                members.retain(|member| self.clusters[*member as usize] == cluster);
                members.sort_unstable_by(|a, b| self.compare_ids(*a, *b));
                self.tree(&members, &mut comparer, &mut links);
            }
            for &(other, score) in &self.edges[row as usize] {
                let is_twice = other < row && all.contains(&other);
                if self.clusters[other as usize] != cluster && !is_twice {
                    links.push(Link { a: row.min(other), b: row.max(other), score, joined: false });
                }
            }
        }
        links
    }

    /// The pairs that hold these together best, one fewer than they are (Prim, Bell System Technical Journal 36, 1957).
    fn tree(&self, members: &[u32], comparer: &mut Comparer, links: &mut Vec<Link>) {
        let [first, rest @ ..] = members else { return };
        // Of each that is not in yet: the best of those that are.
        let mut open: Vec<(f32, u32, u32)> = rest.iter().map(|row| (f32::NEG_INFINITY, *row, *first)).collect();
        let mut newest = *first;
        while !open.is_empty() {
            for (best, row, of) in &mut open {
                let score = self.judge().score(comparer, newest.min(*row), newest.max(*row)) as f32;
                if score > *best {
                    (*best, *of) = (score, newest);
                }
            }
            let place = (0..open.len()).reduce(|best, i| if open[i].0 > open[best].0 { i } else { best });
            let (score, row, of) = open.remove(place.unwrap_or_default());
            links.push(Link { a: row.min(of), b: row.max(of), score, joined: true });
            newest = row;
        }
    }

    /// The score of the records in two rows, bits; below `keep`, about that.
    pub fn score(&self, a: u32, b: u32) -> f64 {
        self.judge().score(&mut Comparer::new(&self.model), a.min(b), a.max(b))
    }

    /// Why the records in two rows have their score.
    pub fn explain(&self, a: u32, b: u32) -> Waterfall {
        let ids = [a, b].map(|row| String::from_utf8_lossy(self.id(row)).into_owned());
        let most = self.model.thresholds.block_records_max;
        let rules = (0..self.keys.len()).filter(|rule| self.makes(*rule, a, b, most));
        let rules = rules.map(|rule| self.model.rules[rule].to_string()).collect();
        explain(&self.model, self.judge(), [a, b], ids, rules)
    }

    /// Whether a rule makes this pair.
    fn makes(&self, rule: usize, a: u32, b: u32, most: usize) -> bool {
        let key = self.key(rule, a);
        key.is_some_and(|key| self.key(rule, b) == Some(key) && self.rows_with(rule, key, most + 1).len() <= most)
    }

    fn compare_ids(&self, a: u32, b: u32) -> std::cmp::Ordering {
        compare_ids(&self.ids[a as usize], &self.ids[b as usize]).then(a.cmp(&b))
    }

    /// Takes back the pairs that no rule but this one had made for a key that is crowded now.
    fn take_back(&mut self, rule: usize, key: u64, touched: &mut Vec<u32>) {
        let most = self.model.thresholds.block_records_max;
        let members = self.rows_with(rule, key, most + 1);
        for &a in &members {
            let others: SmallVec<[u32; 8]> =
                self.edges[a as usize].iter().map(|(b, _)| *b).filter(|b| *b > a).collect();
            for b in others {
                if self.key(rule, b) == Some(key) && !self.is_made(a, b) {
                    self.edges[a as usize].retain(|(other, _)| *other != b);
                    self.edges[b as usize].retain(|(other, _)| *other != a);
                    touched.extend([a, b]);
                }
            }
        }
    }

    /// Whether some rule makes this pair.
    fn is_made(&self, a: u32, b: u32) -> bool {
        (0..self.keys.len()).any(|rule| self.makes(rule, a, b, self.model.thresholds.block_records_max))
    }

    fn key(&self, rule: usize, row: u32) -> Option<u64> {
        self.keys.key(rule, &self.records, self.records.row(row as usize))
    }

    fn rows_with(&self, rule: usize, key: u64, count: usize) -> SmallVec<[u32; 16]> {
        self.chains[rule].rows(key, &|row| self.key(rule, row), count)
    }

    /// Clusters the component of `start` anew.
    fn cluster_from(&mut self, start: u32, seen: &mut FxHashSet<u32>, changed: &mut Vec<(u32, u32)>) {
        let mut rows = self.component(start, seen);
        rows.sort_unstable_by(|a, b| self.compare_ids(*a, *b));
        let judge = Judge {
            records: &self.records,
            frequencies: &self.frequencies,
            scorer: &self.scorer,
            thresholds: &self.model.thresholds,
            apart: &self.apart,
        };
        let edges: Vec<Pair> = match rows.len() > self.model.thresholds.component_records_max {
            false => Vec::new(),
            true => rows
                .iter()
                .flat_map(|a| self.edges[*a as usize].iter().map(|(b, score)| Pair { a: *a, b: *b, score: *score }))
                .filter(|pair| pair.a < pair.b && judge.connects(pair))
                .collect(),
        };
        for (row, first) in judge.cluster(&mut self.comparer, &rows, || edges.iter()) {
            let before = std::mem::replace(&mut self.clusters[row as usize], first);
            if before != first {
                changed.push((row, first));
            }
        }
    }
}
