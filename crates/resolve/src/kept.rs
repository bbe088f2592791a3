//! What is kept of a workspace: its records in an index, and what was given of what the index says.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::Hasher as _,
};

use onefold_link::{Frozen, Index, Model, Waterfall, Weights};
use onefold_model::{NodeId, ProfileId, identity::links::Found};
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use smallvec::SmallVec;

/// Two nodes, the lesser first.
pub type Pair = (NodeId, NodeId);

/// What an index says now and did not say before.
#[derive(Debug, Default)]
pub struct Difference {
    pub found: Vec<Found>,
    pub gone: Vec<Pair>,
}

/// Records under a model, and what was said of them.
pub struct Kept {
    pub version: u32,
    /// What is applied below this offset is in.
    pub next_offset: u64,
    columns: Vec<String>,
    index: Index,
    /// For each row of the index.
    nodes: Vec<NodeId>,
    /// Of each node that is a record: its row, and a hash of its values.
    records: FxHashMap<NodeId, (u32, u64)>,
    /// The nodes of each profile, records or not.
    pub people: FxHashMap<ProfileId, SmallVec<[NodeId; 2]>>,
    /// Rows of which something may be new.
    affected: BTreeSet<u32>,
    /// What was given, by either node: the weight, and whether it joins.
    given: FxHashMap<NodeId, BTreeMap<NodeId, (i64, bool)>>,
    /// What was given of records that are no more.
    orphaned: BTreeSet<Pair>,
    /// Whom somebody said not to be joined by a link with each node.
    apart: FxHashMap<NodeId, FxHashSet<NodeId>>,
}

impl Kept {
    pub fn new(version: u32, model: &Model, weights: &Weights, frozen: Frozen) -> Kept {
        Kept {
            version,
            next_offset: 0,
            columns: model.comparisons.iter().map(|comparison| comparison.column.clone()).collect(),
            index: Index::of_frozen(model, weights, frozen),
            nodes: vec![],
            records: FxHashMap::default(),
            people: FxHashMap::default(),
            affected: BTreeSet::new(),
            given: FxHashMap::default(),
            orphaned: BTreeSet::new(),
            apart: FxHashMap::default(),
        }
    }

    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    pub fn records(&self) -> usize {
        self.records.len()
    }

    /// A record says this now; `None`: it is none any more.
    pub fn put(&mut self, node: NodeId, values: Option<Vec<String>>) {
        let known = self.records.get(&node).copied();
        let Some(values) = values else { return self.remove(node) };
        let mut hasher = FxHasher::default();
        values.iter().for_each(|value| {
            hasher.write(value.as_bytes());
            hasher.write_u8(0xff);
        });
        let hash = hasher.finish();
        let texts: Vec<&str> = values.iter().map(String::as_str).collect();
        let row = match known {
            Some((_, same)) if same == hash => return,
            Some((row, _)) => {
                self.affected.extend(self.index.replace(row, &texts));
                row
            }
            None => {
                let inserted = self.index.insert(&node.0.to_string(), &texts);
                let row = inserted.row as usize;
                self.nodes.resize(self.nodes.len().max(row + 1), node);
                self.nodes[row] = node;
                self.affected.extend(inserted.affected);
                for other in self.apart.get(&node).into_iter().flatten() {
                    if let Some((other, _)) = self.records.get(other) {
                        self.affected.extend(self.index.set_apart(inserted.row, *other, true));
                    }
                }
                inserted.row
            }
        };
        self.records.insert(node, (row, hash));
    }

    pub fn remove(&mut self, node: NodeId) {
        let Some((row, _)) = self.records.remove(&node) else { return };
        self.affected.extend(self.index.remove(row));
        self.affected.remove(&row);
        for other in self.given.remove(&node).unwrap_or_default().into_keys() {
            if let Some(of_other) = self.given.get_mut(&other) {
                of_other.remove(&node);
            }
            self.orphaned.insert((node.min(other), node.max(other)));
        }
    }

    /// Those with whom somebody said that this node is not to be joined by a link, and with nobody else.
    pub fn set_apart(&mut self, node: NodeId, from: &FxHashSet<NodeId>) {
        let before = self.apart.get(&node).cloned().unwrap_or_default();
        for other in before.symmetric_difference(from) {
            let are_apart = from.contains(other);
            for (one, other) in [(node, *other), (*other, node)] {
                let of = self.apart.entry(one).or_default();
                if are_apart {
                    of.insert(other)
                } else {
                    of.remove(&other)
                };
                if of.is_empty() {
                    self.apart.remove(&one);
                }
            }
            if let (Some((a, _)), Some((b, _))) = (self.records.get(&node), self.records.get(other)) {
                self.affected.extend(self.index.set_apart(*a, *b, are_apart));
            }
        }
    }

    /// That this was given before.
    pub fn was_given(&mut self, (a, b): Pair, millibits: i64, joined: bool) {
        self.given.entry(a).or_default().insert(b, (millibits, joined));
        self.given.entry(b).or_default().insert(a, (millibits, joined));
        match (self.records.get(&a), self.records.get(&b)) {
            (Some((a, _)), Some((b, _))) => self.affected.extend([*a, *b]),
            _ => drop(self.orphaned.insert((a, b))),
        }
    }

    /// Everything may be new.
    pub fn all_affected(&mut self) {
        self.affected.extend(self.records.values().map(|(row, _)| *row));
    }

    /// What is to be given. It counts as given.
    pub fn difference(&mut self) -> Difference {
        let affected: Vec<u32> = std::mem::take(&mut self.affected).into_iter().collect();
        let mut now: BTreeMap<Pair, (u32, u32, i64, bool)> = BTreeMap::new();
        for link in self.index.links(&affected) {
            let (a, b) = (self.nodes[link.a as usize], self.nodes[link.b as usize]);
            let millibits = (f64::from(link.score) * 1000.0).round() as i64;
            now.insert((a.min(b), a.max(b)), (link.a, link.b, millibits, link.joined));
        }
        let mut gone = std::mem::take(&mut self.orphaned);
        for row in &affected {
            let node = self.nodes[*row as usize];
            for other in self.given.get(&node).into_iter().flat_map(BTreeMap::keys) {
                let pair = (node.min(*other), node.max(*other));
                if !now.contains_key(&pair) {
                    gone.insert(pair);
                }
            }
        }
        let mut found = vec![];
        for ((a, b), (row_a, row_b, millibits, joined)) in now {
            if self.given.get(&a).and_then(|of| of.get(&b)) == Some(&(millibits, joined)) {
                continue;
            }
            self.given.entry(a).or_default().insert(b, (millibits, joined));
            self.given.entry(b).or_default().insert(a, (millibits, joined));
            let steps = self.index.explain(row_a, row_b).steps;
            let parts = steps.into_iter().map(|step| (step.label, (step.bits * 1000.0).round() as i64)).collect();
            found.push(Found { a, b, millibits, joined, parts });
        }
        for (a, b) in &gone {
            for (one, other) in [(a, b), (b, a)] {
                if let Some(of) = self.given.get_mut(one) {
                    of.remove(other);
                    if of.is_empty() {
                        self.given.remove(one);
                    }
                }
            }
        }
        Difference { found, gone: gone.into_iter().collect() }
    }

    /// Why two records have their weight.
    pub fn explain(&self, a: NodeId, b: NodeId) -> Option<Waterfall> {
        Some(self.index.explain(self.records.get(&a)?.0, self.records.get(&b)?.0))
    }

    /// Pairs of records of one profile that score at most so many bits, the lowest first, so many at most; and why.
    pub fn within_people(&self, most: f64, limit: usize) -> Vec<(ProfileId, Pair, Waterfall)> {
        let mut found = vec![];
        for (profile, nodes) in &self.people {
            let rows: SmallVec<[(NodeId, u32); 4]> =
                nodes.iter().filter_map(|node| Some((*node, self.records.get(node)?.0))).collect();
            for (i, (a, row_a)) in rows.iter().enumerate() {
                for (b, row_b) in &rows[..i] {
                    let score = self.index.score(*row_a, *row_b);
                    if score <= most {
                        found.push((score, *profile, (*a.min(b), *a.max(b)), (*row_a, *row_b)));
                    }
                }
            }
            if found.len() > 2 * limit + 1000 {
                cut(&mut found, limit);
            }
        }
        cut(&mut found, limit);
        let explained = found.into_iter().map(|(_, profile, pair, (a, b))| (profile, pair, self.index.explain(a, b)));
        explained.collect()
    }
}

impl Kept {
    /// Pairs that alone hold a cluster together, and by at most `bits` more than joining takes, where they are in one profile: the
    /// weakest first, so many at most; and why they have their weight.
    pub fn bridges(&self, bits: f64, limit: usize) -> Vec<(ProfileId, Pair, Waterfall)> {
        let bridges = self.index.weak_bridges(bits);
        let asked: FxHashSet<u32> = bridges.iter().flat_map(|pair| [pair.a, pair.b]).collect();
        let node: FxHashMap<u32, NodeId> = self
            .records
            .iter()
            .filter(|(_, known)| asked.contains(&known.0))
            .map(|(id, known)| (known.0, *id))
            .collect();
        let wanted: FxHashSet<NodeId> = node.values().copied().collect();
        let of_profile = |(profile, nodes): (&ProfileId, &SmallVec<_>)| {
            nodes.iter().filter(|node| wanted.contains(node)).map(|node: &NodeId| (*node, *profile)).collect::<Vec<_>>()
        };
        let profile: FxHashMap<NodeId, ProfileId> = self.people.iter().flat_map(of_profile).collect();
        let shown = bridges.into_iter().filter_map(|pair| {
            let (a, b) = (*node.get(&pair.a)?, *node.get(&pair.b)?);
            let (of, other) = (*profile.get(&a)?, *profile.get(&b)?);
            (of == other).then(|| (of, (a.min(b), a.max(b)), self.index.explain(pair.a, pair.b)))
        });
        shown.take(limit).collect()
    }
}

type Scored = (f64, ProfileId, Pair, (u32, u32));

/// Keeps the lowest.
fn cut(found: &mut Vec<Scored>, limit: usize) {
    found.sort_by(|x, y| x.0.total_cmp(&y.0).then((x.1, x.2).cmp(&(y.1, y.2))));
    found.truncate(limit);
}
