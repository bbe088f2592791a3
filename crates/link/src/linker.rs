//! From a table to people: prepare, block, train, score, cluster.

use std::cmp::Ordering;

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use crate::{
    blocking::{Blocks, Keys, RuleCounts},
    compare::Comparer,
    components::Sets,
    judge::{Judge, Pair},
    model::{Model, ModelError},
    records::{Frequencies, Frozen, Records},
    table::Table,
    train,
    weights::{Scorer, Weights},
};

/// Bins of a histogram of scores, one bit wide each; from this many bits on.
pub const HISTOGRAM_FROM: i32 = -40;
/// One more than the last bin's first bit.
pub const HISTOGRAM_TO: i32 = 80;

/// Records of a table, prepared and blocked for a model.
pub struct Linker<'a> {
    pub(crate) table: &'a Table,
    pub(crate) model: &'a Model,
    pub(crate) records: Records,
    /// For each of `records`, its row in the table.
    pub(crate) order: Vec<u32>,
    pub(crate) frequencies: Frequencies,
    pub(crate) blocks: Blocks,
    pub(crate) apart: FxHashSet<(u32, u32)>,
}

/// What linking found.
#[derive(Debug, Clone)]
pub struct Linked {
    /// Pairs scored from `keep` bits on, by their rows.
    pub pairs: Vec<Pair>,
    /// For each row, the row with the least id of its cluster.
    pub clusters: Vec<u32>,
    /// For each rule of the model.
    pub rules: Vec<RuleCounts>,
    /// Compared pairs by score: one bin for each bit from [`HISTOGRAM_FROM`] on, the ends open.
    pub histogram: Vec<u64>,
    /// Connected groups that were larger than `component_records_max` and were cut.
    pub components_cut: usize,
}

/// What is being done, for a bar on a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Values are prepared.
    Prepare,
    /// Keys are grouped.
    Block,
    /// Weights are learned.
    Train,
    /// Pairs of this rule are compared, counted from 0.
    Score {
        /// The rule.
        rule: usize,
    },
    /// Clusters are made.
    Cluster,
}

/// Told of each step as it begins.
pub type Progress<'a> = &'a (dyn Fn(Step) + Sync);

/// Ids that are numbers by their size, and before all others; those by their bytes.
pub fn compare_ids(a: &[u8], b: &[u8]) -> Ordering {
    let number = |id: &[u8]| !id.is_empty() && id.iter().all(u8::is_ascii_digit);
    let plain = |id: &'_ [u8]| id.iter().take_while(|byte| **byte == b'0').count();
    match (number(a), number(b)) {
        (true, true) => {
            let (x, y) = (&a[plain(a)..], &b[plain(b)..]);
            x.len().cmp(&y.len()).then_with(|| x.cmp(y)).then_with(|| a.len().cmp(&b.len()))
        }
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.cmp(b),
    }
}

impl<'a> Linker<'a> {
    /// Prepares the records of `table` for `model`.
    pub fn new(table: &'a Table, model: &'a Model, progress: Progress<'_>) -> Result<Linker<'a>, ModelError> {
        model.check(table)?;
        progress(Step::Prepare);
        let keys = Keys::new(model);
        let mut records = Records::of(table, model);
        let order = keys.order(model, &records);
        records.reorder(&order);
        let frequencies = Frequencies::of(&records);
        progress(Step::Block);
        let blocks = Blocks::of(&records, &keys, model.thresholds.block_records_max);
        Ok(Linker { table, model, records, order, frequencies, blocks, apart: FxHashSet::default() })
    }

    /// How often values occur in these records, to weigh others alike.
    pub fn frozen(&self) -> Frozen {
        self.frequencies.freeze(&self.records)
    }

    /// Learns the weights.
    pub fn train(&self, seed: u64, progress: Progress<'_>) -> Weights {
        self.train_with(&[], seed, progress)
    }

    /// Learns the weights, with what somebody said of some pairs of rows: whether they are one person.
    pub fn train_with(&self, labels: &[(u32, u32, bool)], seed: u64, progress: Progress<'_>) -> Weights {
        progress(Step::Train);
        let mut place = vec![0; self.order.len()];
        self.order.iter().enumerate().for_each(|(i, row)| place[*row as usize] = i as u32);
        let labels: Vec<train::Label> =
            labels.iter().map(|(a, b, same)| (place[*a as usize], place[*b as usize], *same)).collect();
        train::train(self.model, &self.records, &self.frequencies, &self.blocks, &labels, seed)
    }

    /// Scores all pairs that the rules make, and clusters the records.
    pub fn link(&self, weights: &Weights, progress: Progress<'_>) -> Linked {
        let scorer = Scorer::new(self.model, weights);
        let mut linked = Linked {
            pairs: Vec::new(),
            clusters: Vec::new(),
            rules: self.blocks.counts.clone(),
            histogram: vec![0; (HISTOGRAM_TO - HISTOGRAM_FROM) as usize],
            components_cut: 0,
        };
        for rule in 0..self.model.rules.len() {
            progress(Step::Score { rule });
            self.score_rule(rule, self.judge(&scorer), &mut linked);
        }
        progress(Step::Cluster);
        self.cluster(self.judge(&scorer), &mut linked);
        for pair in &mut linked.pairs {
            let (a, b) = (self.order[pair.a as usize], self.order[pair.b as usize]);
            (pair.a, pair.b) = (a.min(b), a.max(b));
        }
        linked.pairs.par_sort_unstable_by_key(|pair| (pair.a, pair.b));
        linked
    }

    pub(crate) fn judge<'j>(&'j self, scorer: &'j Scorer) -> Judge<'j> {
        Judge {
            records: &self.records,
            frequencies: &self.frequencies,
            scorer,
            thresholds: &self.model.thresholds,
            apart: &self.apart,
        }
    }

    fn score_rule(&self, rule: usize, judge: Judge<'_>, linked: &mut Linked) {
        struct Part {
            comparer: Comparer,
            pairs: Vec<Pair>,
            compared: usize,
            histogram: Vec<u64>,
        }
        let start = || Part {
            comparer: Comparer::new(self.model),
            pairs: Vec::new(),
            compared: 0,
            histogram: vec![0; linked.histogram.len()],
        };
        let parts: Vec<Part> = self
            .blocks
            .groups(rule)
            .with_min_len(256)
            .fold(start, |mut part, group| {
                for (i, &a) in group.iter().enumerate() {
                    for &b in &group[..i] {
                        if !self.blocks.is_new(rule, a, b) {
                            continue;
                        }
                        let score = judge.score(&mut part.comparer, a, b);
                        let bin = (score.floor() as i32).clamp(HISTOGRAM_FROM, HISTOGRAM_TO - 1) - HISTOGRAM_FROM;
                        part.histogram[bin as usize] += 1;
                        part.compared += 1;
                        if score >= self.model.thresholds.keep {
                            part.pairs.push(Pair { a: a.min(b), b: a.max(b), score: score as f32 });
                        }
                    }
                }
                part
            })
            .collect();
        for part in parts {
            linked.rules[rule].new_pairs += part.compared;
            linked.pairs.extend(part.pairs);
            linked.histogram.iter_mut().zip(part.histogram).for_each(|(all, part)| *all += part);
        }
    }

    fn cluster(&self, judge: Judge<'_>, linked: &mut Linked) {
        let mut sets = Sets::new(self.table.len());
        let edges: Vec<Pair> = linked.pairs.iter().filter(|pair| judge.connects(pair)).copied().collect();
        edges.iter().for_each(|pair| sets.join(pair.a, pair.b));
        // Edges and rows of one component side by side.
        let mut edges: Vec<(u32, Pair)> = edges.into_iter().map(|pair| (sets.find(pair.a), pair)).collect();
        edges.par_sort_by_key(|(root, _)| *root);
        let components: Vec<&[(u32, Pair)]> = edges.chunk_by(|a, b| a.0 == b.0).collect();
        let found: Vec<(bool, Vec<(u32, u32)>)> = components
            .par_iter()
            .with_min_len(64)
            .map_init(
                || Comparer::new(self.model),
                |comparer, edges| {
                    let mut rows: Vec<u32> = edges.iter().flat_map(|(_, pair)| [pair.a, pair.b]).collect();
                    rows.sort_unstable();
                    rows.dedup();
                    rows.sort_by(|a, b| compare_ids(self.id(*a), self.id(*b)));
                    let is_cut = rows.len() > self.model.thresholds.component_records_max;
                    (is_cut, judge.cluster(comparer, &rows, || edges.iter().map(|(_, pair)| pair)))
                },
            )
            .collect();
        linked.clusters = (0..self.table.len() as u32).collect();
        for (is_cut, clusters) in found {
            linked.components_cut += usize::from(is_cut);
            for (row, first) in clusters {
                linked.clusters[self.order[row as usize] as usize] = self.order[first as usize];
            }
        }
    }

    /// The id of one of `records`.
    fn id(&self, row: u32) -> &[u8] {
        self.table.id(self.order[row as usize] as usize)
    }
}
