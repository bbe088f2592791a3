//! Which decisions a person should look at.
//!
//! A bridge is a pair without which its cluster would fall apart: where it is weak, two people may have become one. A
//! pair that was refused is likely by itself and is contradicted by the others of its records.

use rustc_hash::FxHashMap;

use crate::{judge::Pair, linker::Linked};

/// Decisions in doubt, the most doubtful first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Doubts {
    /// Pairs below the given score that alone hold their cluster together.
    pub bridges: Vec<Pair>,
    /// Pairs above the threshold whose records were put into different clusters.
    pub refused: Vec<Pair>,
}

impl Linked {
    /// The decisions in doubt: bridges that score below `sure` bits, and refused pairs that score above `join`.
    pub fn doubts(&self, join: f64, sure: f64) -> Doubts {
        let strong = || self.pairs.iter().filter(|pair| f64::from(pair.score) > join);
        let mut refused: Vec<Pair> = strong().filter(|pair| !self.is_joined(pair)).copied().collect();
        refused.sort_by(|x, y| y.score.total_cmp(&x.score).then(x.a.cmp(&y.a)).then(x.b.cmp(&y.b)));
        let joined = strong().filter(|pair| self.is_joined(pair)).copied();
        Doubts { bridges: weak_bridges(joined, |row| self.clusters[row as usize], sure), refused }
    }
}

/// Of pairs within clusters, those below `sure` bits without which their cluster would fall apart, the weakest first.
pub(crate) fn weak_bridges(pairs: impl Iterator<Item = Pair>, cluster: impl Fn(u32) -> u32, sure: f64) -> Vec<Pair> {
    let mut clusters: FxHashMap<u32, Vec<Pair>> = FxHashMap::default();
    for pair in pairs {
        clusters.entry(cluster(pair.a)).or_default().push(pair);
    }
    let is_weak = |pair: &Pair| f64::from(pair.score) < sure;
    let mut bridges: Vec<Pair> = Vec::new();
    for pairs in clusters.into_values().filter(|pairs| pairs.iter().any(is_weak)) {
        bridges.extend(bridges_of(&pairs).into_iter().filter(is_weak));
    }
    bridges.sort_by(|x, y| x.score.total_cmp(&y.score).then(x.a.cmp(&y.a)).then(x.b.cmp(&y.b)));
    bridges
}

/// The pairs without which the graph would fall apart (Tarjan, Information Processing Letters 2, 1974): those from whose
/// far side no other way leads back. Without recursion, however long the chain.
fn bridges_of(pairs: &[Pair]) -> Vec<Pair> {
    let mut edges: FxHashMap<u32, Vec<(u32, usize)>> = FxHashMap::default();
    for (i, pair) in pairs.iter().enumerate() {
        edges.entry(pair.a).or_default().push((pair.b, i));
        edges.entry(pair.b).or_default().push((pair.a, i));
    }
    let mut bridges = Vec::new();
    let mut entered: FxHashMap<u32, usize> = FxHashMap::default();
    // The earliest record that is reached from each one's side.
    let mut reaches: FxHashMap<u32, usize> = FxHashMap::default();
    for pair in pairs {
        if entered.contains_key(&pair.a) {
            continue;
        }
        let mut stack = vec![(pair.a, usize::MAX, 0)];
        entered.insert(pair.a, entered.len());
        reaches.insert(pair.a, entered.len() - 1);
        while let Some((row, by, next)) = stack.pop() {
            if let Some(&(other, edge)) = edges[&row].get(next) {
                stack.push((row, by, next + 1));
                match entered.get(&other) {
                    _ if edge == by => {}
                    Some(&time) => {
                        let least = reaches[&row].min(time);
                        reaches.insert(row, least);
                    }
                    None => {
                        let time = entered.len();
                        entered.insert(other, time);
                        reaches.insert(other, time);
                        stack.push((other, edge, 0));
                    }
                }
            } else if let Some(&(parent, ..)) = stack.last() {
                if reaches[&row] > entered[&parent] {
                    bridges.push(pairs[by]);
                }
                let least = reaches[&parent].min(reaches[&row]);
                reaches.insert(parent, least);
            }
        }
    }
    bridges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(a: u32, b: u32, score: f32) -> Pair {
        Pair { a, b, score }
    }

    #[test]
    fn finds_what_holds_a_cluster_together() {
        let triangles = [
            pair(1, 2, 9.0),
            pair(2, 3, 9.0),
            pair(1, 3, 9.0),
            pair(3, 4, 3.0),
            pair(4, 5, 9.0),
            pair(5, 6, 9.0),
            pair(4, 6, 9.0),
            pair(6, 7, 8.0),
        ];
        let mut bridges = bridges_of(&triangles);
        bridges.sort_by_key(|pair| pair.a);
        assert_eq!(bridges, [pair(3, 4, 3.0), pair(6, 7, 8.0)]);
        assert_eq!(bridges_of(&triangles[..3]), []);
    }
}
