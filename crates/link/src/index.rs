//! Records one at a time: the clusters of all so far, after each.
//!
//! The same as a run over all of them, in whatever order they come: scores read frozen frequencies, a component is what
//! strong pairs connect, and its clusters are a function of it alone. A record changes one component, seldom a few, and
//! those alone are clustered anew. A key that one record too many has in common is crowded from then on, and the pairs
//! that only it had made are taken back, as if they had never been made.

use rayon::prelude::*;
use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use crate::{
    blocking::Keys,
    compare::Comparer,
    judge::{Judge, Pair},
    linker::{Linked, Linker, compare_ids},
    model::Model,
    records::{Frequencies, Records},
    weights::{Scorer, Weights},
};

const NOBODY: u32 = u32::MAX;

/// The records that have a key of one rule in common, as chains through the rows.
#[derive(Debug, Clone, Default)]
struct Chains {
    /// Open addressing: the last row with a key, and part of the key.
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
        self.before.push(NOBODY);
        let Some(key) = key else { return };
        if (self.used + 1) * 8 > self.slots.len() * 5 {
            self.grow(key_of);
        }
        let place = self.place(key, key_of);
        self.used += usize::from(self.slots[place].0 == NOBODY);
        self.before[row as usize] = self.slots[place].0;
        self.slots[place] = (row, (key >> 32) as u32);
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

    /// Rows with the key, the last one first, at most `count`.
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
}

/// Clustered records that take one more.
pub struct Index {
    model: Model,
    scorer: Scorer,
    keys: Keys,
    comparer: Comparer,
    records: Records,
    frequencies: Frequencies,
    ids: Vec<Box<[u8]>>,
    chains: Vec<Chains>,
    /// For each row, those it is connected with, by which score.
    edges: Vec<SmallVec<[(u32, f32); 2]>>,
    clusters: Vec<u32>,
}

impl Index {
    /// An index of no records, with the frequencies of those of `linker`.
    pub fn new(linker: &Linker<'_>, weights: &Weights) -> Index {
        let keys = Keys::new(linker.model);
        Index {
            model: linker.model.clone(),
            scorer: Scorer::new(linker.model, weights),
            comparer: Comparer::new(linker.model),
            records: linker.records.without_rows(),
            frequencies: linker.frequencies.clone(),
            ids: Vec::new(),
            chains: vec![Chains::default(); keys.len()],
            keys,
            edges: Vec::new(),
            clusters: Vec::new(),
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
        for pair in linked.pairs.iter().filter(|pair| judge.connects(pair)) {
            index.edges[pair.a as usize].push((pair.b, pair.score));
            index.edges[pair.b as usize].push((pair.a, pair.score));
        }
        index.clusters.clone_from(&linked.clusters);
        index
    }

    /// Records.
    pub fn len(&self) -> usize {
        self.clusters.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
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
        assert_eq!(values.len(), self.records.width(), "one value for each comparison");
        let row = self.records.push(values) as u32;
        self.ids.push(id.as_bytes().into());
        self.edges.push(SmallVec::new());
        self.clusters.push(row);

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
        let judge = Judge {
            records: &self.records,
            frequencies: &self.frequencies,
            scorer: &self.scorer,
            thresholds: &self.model.thresholds,
        };
        for other in others {
            let score = judge.score(&mut self.comparer, other, row) as f32;
            if judge.connects(&Pair { a: other, b: row, score }) {
                self.edges[row as usize].push((other, score));
                self.edges[other as usize].push((row, score));
            }
        }
        let mut touched = vec![row];
        for (rule, key) in crowded {
            self.take_back(rule, key, &mut touched);
        }
        let mut changed = vec![(row, row)];
        let mut seen = FxHashSet::default();
        for start in touched {
            if !seen.contains(&start) {
                self.cluster_from(start, &mut seen, &mut changed);
            }
        }
        changed[0].1 = self.clusters[row as usize];
        Inserted { row, changed }
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
        let most = self.model.thresholds.block_records_max;
        (0..self.keys.len()).any(|rule| {
            let key = self.key(rule, a);
            key.is_some_and(|key| self.key(rule, b) == Some(key) && self.rows_with(rule, key, most + 1).len() <= most)
        })
    }

    fn key(&self, rule: usize, row: u32) -> Option<u64> {
        self.keys.key(rule, &self.records, self.records.row(row as usize))
    }

    fn rows_with(&self, rule: usize, key: u64, count: usize) -> SmallVec<[u32; 16]> {
        self.chains[rule].rows(key, &|row| self.key(rule, row), count)
    }

    /// Clusters the component of `start` anew.
    fn cluster_from(&mut self, start: u32, seen: &mut FxHashSet<u32>, changed: &mut Vec<(u32, u32)>) {
        let mut rows = vec![start];
        seen.insert(start);
        let mut next = 0;
        while let Some(&row) = rows.get(next) {
            rows.extend(self.edges[row as usize].iter().map(|(other, _)| *other).filter(|other| seen.insert(*other)));
            next += 1;
        }
        rows.sort_unstable_by(|a, b| compare_ids(&self.ids[*a as usize], &self.ids[*b as usize]).then(a.cmp(b)));
        let judge = Judge {
            records: &self.records,
            frequencies: &self.frequencies,
            scorer: &self.scorer,
            thresholds: &self.model.thresholds,
        };
        let edges: Vec<Pair> = match rows.len() > self.model.thresholds.component_records_max {
            false => Vec::new(),
            true => rows
                .iter()
                .flat_map(|a| self.edges[*a as usize].iter().map(|(b, score)| Pair { a: *a, b: *b, score: *score }))
                .filter(|pair| pair.a < pair.b)
                .collect(),
        };
        for (row, first) in judge.cluster(&mut self.comparer, &rows, || edges.iter()) {
            let before = std::mem::replace(&mut self.clusters[row as usize], first);
            if before != first && row != changed[0].0 {
                changed.push((row, first));
            }
        }
    }
}
