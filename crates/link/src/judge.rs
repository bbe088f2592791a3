//! Scores pairs of records, and clusters those that are connected. What a run over all records and an index that takes
//! one at a time have in common, so that both decide alike.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    cluster::Evidence,
    compare::{Comparer, UNKNOWN},
    components::cut,
    model::Thresholds,
    records::{Frequencies, Records},
    weights::{Scorer, odds_from},
};

/// A scored pair of rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The lesser row.
    pub a: u32,
    /// The other row.
    pub b: u32,
    /// Bits.
    pub score: f32,
}

impl Pair {
    /// The probability that both are one person.
    pub fn probability(&self) -> f64 {
        1.0 / (1.0 + (-f64::from(self.score)).exp2())
    }
}

/// What it takes to judge records.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    pub records: &'a Records,
    pub frequencies: &'a Frequencies,
    pub scorer: &'a Scorer,
    pub thresholds: &'a Thresholds,
    /// Pairs of rows, the lesser first, that somebody said are two people.
    pub apart: &'a FxHashSet<(u32, u32)>,
}

impl Judge<'_> {
    /// The score of two rows, bits; below `keep`, about that.
    pub fn score(&self, comparer: &mut Comparer, a: u32, b: u32) -> f64 {
        let (a, b) = (self.records.row(a as usize), self.records.row(b as usize));
        let pattern = comparer.pattern(self.records, a, b);
        odds_from(&self.scorer.lanes(self.frequencies, pattern, a, b), self.thresholds.keep)
    }

    /// Whether a pair connects its records, so that they are clustered together.
    pub fn connects(&self, pair: &Pair) -> bool {
        self.joins(pair.score)
    }

    /// Whether a score connects.
    pub fn joins(&self, score: f32) -> bool {
        f64::from(score) > self.thresholds.join
    }

    /// Whether a pair connects, or is in doubt.
    pub fn matters(&self, pair: &Pair) -> bool {
        f64::from(pair.score) > self.thresholds.review
    }

    /// Whether somebody said that these are two people.
    pub fn are_apart(&self, a: u32, b: u32) -> bool {
        !self.apart.is_empty() && self.apart.contains(&(a.min(b), a.max(b)))
    }

    /// The clusters of connected `rows`, which are in the order of their ids: for each row, the first of its cluster.
    /// `edges` are the pairs that connect them; they are asked for only where there are too many rows.
    pub fn cluster<'e, E>(&self, comparer: &mut Comparer, rows: &[u32], edges: impl FnOnce() -> E) -> Vec<(u32, u32)>
    where
        E: Iterator<Item = &'e Pair>,
    {
        let mut found = Vec::with_capacity(rows.len());
        if rows.len() <= self.thresholds.component_records_max {
            self.cluster_part(comparer, rows, &mut found);
            return found;
        }
        let place: FxHashMap<u32, u32> = rows.iter().enumerate().map(|(i, row)| (*row, i as u32)).collect();
        let edges: Vec<_> = edges().map(|pair| (place[&pair.a], place[&pair.b], f64::from(pair.score))).collect();
        for part in cut(rows.len(), &edges, self.thresholds.component_records_max) {
            let part: Vec<u32> = part.into_iter().map(|i| rows[i as usize]).collect();
            self.cluster_part(comparer, &part, &mut found);
        }
        found
    }

    fn cluster_part(&self, comparer: &mut Comparer, rows: &[u32], found: &mut Vec<(u32, u32)>) {
        // Two records are here because they are connected.
        if let [a, b] = *rows
            && self.are_apart(a, b)
        {
            return found.extend([(a, a), (b, b)]);
        }
        if rows.len() <= 2 {
            return found.extend(rows.iter().map(|row| (*row, rows[0])));
        }
        let width = self.records.width();
        let mut evidence = Evidence::of(rows.len(), width, *self.scorer.prior(), |i, j, fields| {
            let (a, b) = (self.records.row(rows[i] as usize), self.records.row(rows[j] as usize));
            let pattern = comparer.pattern(self.records, a, b);
            for (i, field) in fields.iter_mut().enumerate() {
                let known = f64::from(u8::from(pattern.level(i) != UNKNOWN));
                *field = (self.scorer.part(self.frequencies, pattern, a, b, i), known);
            }
        });
        if !self.apart.is_empty() {
            evidence.forbid(|i, j| self.are_apart(rows[i], rows[j]));
        }
        let clusters = evidence.clusters(self.thresholds.join);
        found.extend(clusters.iter().enumerate().map(|(i, first)| (rows[i], rows[*first])));
    }
}
