//! Which pairs are compared.
//!
//! A million records make half a million million pairs. A rule puts records with one key into a group, and only pairs
//! within a group are compared; rules are many, because each misses the pairs that have an error in its key. A pair that
//! several rules make belongs to the first of them, which is seen from the two records' groups alone: no list of pairs is
//! sorted or kept.

use rayon::prelude::*;

use crate::{
    dictionary::{MISSING, mix},
    model::{Model, Part, Rule, Shared},
    records::Records,
};

/// A part of a rule with the place of its comparison.
#[derive(Debug, Clone, Copy)]
enum Key {
    Exact(usize),
    Extra(usize),
    Start(usize, usize),
    Year(usize),
    Either(usize, usize),
}

/// The rules of a model, ready to make keys.
#[derive(Debug, Clone)]
pub struct Keys(Vec<Vec<Key>>);

impl Keys {
    /// The rules of `model`, which is valid.
    pub fn new(model: &Model) -> Keys {
        let place = |column: &str| model.position(column).expect("a rule of a valid model reads what is compared");
        let key = |part: &Part| match part {
            Part::Exact(column) => Key::Exact(place(column)),
            Part::Sound(column) | Part::User(column) => Key::Extra(place(column)),
            Part::First(column) => Key::Start(place(column), 1),
            Part::Start(column) => Key::Start(place(column), 3),
            Part::Year(column) => Key::Year(place(column)),
            Part::Either(a, b) => Key::Either(place(a), place(b)),
        };
        Keys(model.rules.iter().map(|rule: &Rule| rule.on.iter().map(key).collect()).collect())
    }

    /// The rows in an order that puts those of one household or person next to each other, as far as the rule that reads
    /// most of what households share tells.
    pub fn order(&self, model: &Model, records: &Records) -> Vec<u32> {
        let shared = |rule: &Rule| {
            let columns = rule.on.iter().flat_map(Part::columns).filter_map(|column| model.position(column));
            columns.filter(|i| model.comparisons[*i].shared == Shared::Household).count()
        };
        let mut rules: Vec<usize> = (0..self.len()).collect();
        rules.sort_by_key(|rule| std::cmp::Reverse(shared(&model.rules[*rule])));
        let mut keyed: Vec<(u64, u32)> = (0..records.len())
            .into_par_iter()
            .with_min_len(4096)
            .map(|row| {
                let key = rules.iter().find_map(|rule| self.key(*rule, records, records.row(row)));
                (key.unwrap_or(u64::MAX), row as u32)
            })
            .collect();
        keyed.par_sort_unstable();
        keyed.into_iter().map(|(_, row)| row).collect()
    }

    /// How many rules.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The key of a row of codes under a rule; none where a part is missing.
    pub fn key(&self, rule: usize, records: &Records, row: &[u32]) -> Option<u64> {
        let mut key = 0u64;
        for part in &self.0[rule] {
            let of = match *part {
                Key::Exact(i) => records.values(i).hashes[present(row[i])?],
                Key::Extra(i) => records.values(i).extras[present(row[i])?],
                Key::Start(i, letters) => {
                    let text = records.values(i).texts.get(present(row[i])? as u32);
                    text.iter().take(letters).fold(1, |key, byte| key << 8 | u64::from(*byte))
                }
                Key::Year(i) => {
                    let text = records.values(i).texts.get(present(row[i])? as u32);
                    text.iter().take(4).fold(1, |key, byte| key << 8 | u64::from(*byte))
                }
                Key::Either(i, j) => {
                    let (a, b) = (present(row[i])?, present(row[j])?);
                    records.values(i).hashes[a].wrapping_add(records.values(j).hashes[b])
                }
            };
            key = mix(key.rotate_left(21) ^ of).wrapping_add(0x9e37_79b9_7f4a_7c15);
        }
        Some(key)
    }
}

fn present(code: u32) -> Option<usize> {
    (code != MISSING).then_some(code as usize)
}

/// What a rule made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleCounts {
    /// Records that have a key.
    pub keyed: usize,
    /// Pairs that it makes.
    pub pairs: usize,
    /// Pairs that no rule before it makes.
    pub new_pairs: usize,
    /// Keys that too many records have in common, which were left out.
    pub crowded_keys: usize,
    /// The records with such a key.
    pub crowded_records: usize,
}

/// The groups of all rules.
#[derive(Debug)]
pub struct Blocks {
    rules: usize,
    /// A number for each record and rule; 0 where it is alone, crowded or has no key.
    groups: Vec<u32>,
    /// For each rule, the records by group and where each group ends.
    members: Vec<(Vec<u32>, Vec<u32>)>,
    /// For each rule; `new_pairs` is filled when the pairs are gone through.
    pub counts: Vec<RuleCounts>,
}

/// The groups of one rule.
struct Grouped {
    of_row: Vec<u32>,
    members: Vec<u32>,
    ends: Vec<u32>,
    counts: RuleCounts,
}

/// Room for the keys of one rule, used again for the next.
#[derive(Default)]
struct Scratch {
    keyed: Vec<(u64, u32)>,
    by_bucket: Vec<(u64, u32)>,
}

impl Grouped {
    /// Groups are numbered by their first members, so that going through them goes through memory in order.
    fn of(records: &Records, keys: &Keys, rule: usize, records_max: usize, scratch: &mut Scratch) -> Grouped {
        const BUCKET_BITS: u32 = 8;
        let bucket = |key: u64| (key >> (64 - BUCKET_BITS)) as usize;
        // Into buckets that fit a cache, and sorted there.
        let mut starts = [0usize; (1 << BUCKET_BITS) + 1];
        scratch.keyed.clear();
        for row in 0..records.len() {
            if let Some(key) = keys.key(rule, records, records.row(row)) {
                scratch.keyed.push((key, row as u32));
                starts[bucket(key) + 1] += 1;
            }
        }
        (1..starts.len()).for_each(|i| starts[i] += starts[i - 1]);
        scratch.by_bucket.resize(scratch.keyed.len(), (0, 0));
        let mut next = starts;
        for &(key, row) in &scratch.keyed {
            let place = &mut next[bucket(key)];
            scratch.by_bucket[*place] = (key, row);
            *place += 1;
        }
        let mut counts = RuleCounts { keyed: scratch.keyed.len(), ..RuleCounts::default() };
        let mut groups: Vec<(u32, u32, u32)> = Vec::new();
        for range in starts.windows(2) {
            let in_bucket = &mut scratch.by_bucket[range[0]..range[1]];
            in_bucket.sort_unstable();
            let mut start = range[0];
            for group in in_bucket.chunk_by(|a, b| a.0 == b.0) {
                if group.len() > records_max {
                    counts.crowded_keys += 1;
                    counts.crowded_records += group.len();
                } else if group.len() > 1 {
                    groups.push((group[0].1, start as u32, group.len() as u32));
                    counts.pairs += group.len() * (group.len() - 1) / 2;
                }
                start += group.len();
            }
        }
        groups.sort_unstable();
        let (mut members, mut ends) = (Vec::new(), Vec::with_capacity(groups.len()));
        let mut of_row = vec![0; records.len()];
        for (_, start, len) in groups {
            let group = &scratch.by_bucket[start as usize..(start + len) as usize];
            members.extend(group.iter().map(|(_, row)| *row));
            ends.push(members.len() as u32);
            group.iter().for_each(|(_, row)| of_row[*row as usize] = ends.len() as u32);
        }
        members.shrink_to_fit();
        Grouped { of_row, members, ends, counts }
    }
}

impl Blocks {
    /// The groups of `records` with at most `records_max` members.
    pub fn of(records: &Records, keys: &Keys, records_max: usize) -> Blocks {
        let rules = keys.len();
        let (mut of_rows, mut members, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        let grouped: Vec<Grouped> = (0..rules)
            .into_par_iter()
            .with_max_len(1)
            .map_init(Scratch::default, |scratch, rule| Grouped::of(records, keys, rule, records_max, scratch))
            .collect();
        for grouped in grouped {
            of_rows.push(grouped.of_row);
            members.push((grouped.members, grouped.ends));
            counts.push(grouped.counts);
        }
        let mut groups = vec![0; records.len() * rules];
        groups.par_chunks_mut(rules * 4096).enumerate().for_each(|(chunk, rows)| {
            for (row, groups) in rows.chunks_mut(rules).enumerate() {
                for (group, of_rows) in groups.iter_mut().zip(&of_rows) {
                    *group = of_rows[chunk * 4096 + row];
                }
            }
        });
        Blocks { rules, groups, members, counts }
    }

    /// The groups of a rule, in parallel.
    pub fn groups(&self, rule: usize) -> impl IndexedParallelIterator<Item = &[u32]> {
        let (members, ends) = &self.members[rule];
        (0..ends.len()).into_par_iter().map(move |group| {
            let start = if group == 0 { 0 } else { ends[group - 1] as usize };
            &members[start..ends[group] as usize]
        })
    }

    fn of_row(&self, row: u32) -> &[u32] {
        &self.groups[row as usize * self.rules..(row as usize + 1) * self.rules]
    }

    /// Whether no rule before `rule` makes this pair.
    #[inline]
    pub fn is_new(&self, rule: usize, a: u32, b: u32) -> bool {
        let (a, b) = (&self.of_row(a)[..rule], &self.of_row(b)[..rule]);
        // Without a branch, several at a time.
        !a.iter().zip(b).fold(false, |made, (a, b)| made | ((a == b) & (*a != 0)))
    }

    /// All rules that make this pair, a bit each.
    pub fn rules_of(&self, a: u32, b: u32) -> u32 {
        let pairs = self.of_row(a).iter().zip(self.of_row(b)).enumerate();
        pairs.fold(0, |mask, (rule, (a, b))| mask | u32::from(a == b && *a != 0) << rule)
    }

    /// Pairs of all rules together; one that several make counts as often.
    pub fn pairs(&self) -> usize {
        self.counts.iter().map(|counts| counts.pairs).sum()
    }
}
