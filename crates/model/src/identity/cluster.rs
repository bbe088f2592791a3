//! The clustering: which nodes are one person, as a pure function of the statements about them in log order.
//!
//! A statement is taken as far as the rules allow: where joining all its nodes would break a limit, the cluster bound or
//! an [`Statement::Apart`], its lowest-priority node is dropped and the rest tried again (the behaviour of Segment's
//! identity graph). What was dropped is part of the answer, because it is shown, and because it counts again when the
//! statement that stood in its way is withdrawn.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::rules::Rules;
use crate::{NodeId, Timestamp, clock::DAY_MS};

/// Why a statement says that nodes are one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// An event named them together.
    Event,
    /// An alias call: the sender's own system says so. Limits per kind do not stop it.
    Alias,
    /// A person decided so. Limits do not stop it, and it ends an earlier `Apart` between the two. An `Apart` between
    /// others stands.
    Command,
    /// A probabilistic link above its threshold.
    Link,
}

impl Origin {
    /// What it is worth beside others: what was said before is recorded again only by a stronger one.
    pub fn strength(self) -> u8 {
        match self {
            Origin::Link => 0,
            Origin::Event => 1,
            Origin::Alias => 2,
            Origin::Command => 3,
        }
    }
}

/// A statement about identity. Statements of a region are taken in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statement {
    /// These nodes are one person.
    Together {
        /// The nodes, highest priority first.
        nodes: SmallVec<[NodeId; 4]>,
        /// Why.
        origin: Origin,
        /// When it was said.
        at: Timestamp,
    },
    /// These two are not one person, whatever else is said before or after, until a command says otherwise.
    Apart {
        /// One.
        a: NodeId,
        /// The other.
        b: NodeId,
    },
}

/// What the rules need to know of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeFacts {
    /// The node.
    pub id: NodeId,
    /// The rank of its kind: its place in [`Rules::kinds`].
    pub rank: usize,
    /// When it was first named.
    pub first_seen: Timestamp,
}

/// Why a node was dropped from a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// The profile would have too many identifiers of the kind with this rank.
    Limit {
        /// Place in [`Rules::kinds`].
        rank: usize,
    },
    /// The profile would have more identifiers than [`Rules::cluster_nodes_max`].
    ClusterBound,
    /// It was said that two of them are not one person.
    Apart,
}

/// What becomes of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// How many of the statement's nodes, from the first, are one person.
    pub joined: usize,
    /// The nodes that were dropped, lowest priority first, and why.
    pub dropped: SmallVec<[(NodeId, Obstacle); 2]>,
}

/// The clusters that a statement touches, as the caller holds them.
pub trait Clusters {
    /// A name of the cluster that holds `node`.
    fn cluster_of(&self, node: NodeId) -> usize;
    /// The nodes of a cluster.
    fn nodes(&self, cluster: usize) -> &[NodeFacts];
    /// The pairs with one node in the cluster that are apart.
    fn apart(&self, cluster: usize) -> &[(NodeId, NodeId)];
}

/// Decides a [`Statement::Together`] given the clusters that its nodes are in now.
pub fn decide(nodes: &[NodeId], origin: Origin, at: Timestamp, clusters: &impl Clusters, rules: &Rules) -> Decision {
    let mut decision = Decision { joined: nodes.len(), dropped: SmallVec::new() };
    while decision.joined > 1 {
        let mut parts: SmallVec<[usize; 4]> = SmallVec::new();
        for node in &nodes[..decision.joined] {
            let part = clusters.cluster_of(*node);
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        if parts.len() == 1 {
            break;
        }
        let Some(obstacle) = obstacle(&parts, origin, at, clusters, rules) else { break };
        decision.joined -= 1;
        decision.dropped.push((nodes[decision.joined], obstacle));
    }
    decision
}

fn obstacle(
    parts: &[usize],
    origin: Origin,
    at: Timestamp,
    clusters: &impl Clusters,
    rules: &Rules,
) -> Option<Obstacle> {
    let all = || parts.iter().flat_map(|part| clusters.nodes(*part));
    if all().count() > rules.cluster_nodes_max {
        return Some(Obstacle::ClusterBound);
    }
    let place = |node: NodeId| parts.iter().position(|part| clusters.nodes(*part).iter().any(|n| n.id == node));
    let crosses = |pair: &(NodeId, NodeId)| place(pair.0).zip(place(pair.1)).is_some_and(|(a, b)| a != b);
    if parts.iter().flat_map(|part| clusters.apart(*part)).any(crosses) {
        return Some(Obstacle::Apart);
    }
    if matches!(origin, Origin::Alias | Origin::Command) {
        return None;
    }
    // Only kinds of which two parts have some can pass a limit by the joining: an alias or a command may have gone past
    // it before, and that must not stop every later statement.
    for (rank, rule) in rules.kinds.iter().enumerate() {
        let Some(limit) = rule.limit else { continue };
        let since = limit.window_days.map_or(Timestamp::MIN, |days| at.minus(i64::from(days) * DAY_MS));
        let counted = |node: &&NodeFacts| node.rank == rank && node.first_seen >= since;
        let having = parts.iter().filter(|part| clusters.nodes(**part).iter().any(|n| counted(&n))).count();
        if having > 1 && all().filter(counted).count() > limit.max as usize {
            return Some(Obstacle::Limit { rank });
        }
    }
    None
}

/// A region of the identity graph, clustered from nothing: the definition that the incremental way must equal.
#[derive(Debug, Default)]
pub struct Region {
    of: FxHashMap<NodeId, usize>,
    clusters: Vec<Vec<NodeFacts>>,
    apart: Vec<Vec<(NodeId, NodeId)>>,
}

impl Clusters for Region {
    fn cluster_of(&self, node: NodeId) -> usize {
        self.of[&node]
    }
    fn nodes(&self, cluster: usize) -> &[NodeFacts] {
        &self.clusters[cluster]
    }
    fn apart(&self, cluster: usize) -> &[(NodeId, NodeId)] {
        &self.apart[cluster]
    }
}

impl Region {
    /// Each node in a cluster of its own.
    pub fn of(nodes: impl IntoIterator<Item = NodeFacts>) -> Region {
        let mut region = Region::default();
        for node in nodes {
            region.of.insert(node.id, region.clusters.len());
            region.clusters.push(vec![node]);
            region.apart.push(vec![]);
        }
        region
    }

    /// Takes one statement. Statements about nodes that are not in the region change nothing.
    pub fn take(&mut self, statement: &Statement, rules: &Rules) -> Decision {
        match statement {
            Statement::Together { nodes, origin, at } => {
                let known: SmallVec<[NodeId; 4]> = nodes.iter().copied().filter(|n| self.of.contains_key(n)).collect();
                let decision = decide(&known, *origin, *at, self, rules);
                self.join(&known[..decision.joined]);
                decision
            }
            Statement::Apart { a, b } => {
                if let (Some(ca), Some(cb)) = (self.of.get(a).copied(), self.of.get(b).copied()) {
                    self.apart[ca].push((*a, *b));
                    if ca != cb {
                        self.apart[cb].push((*a, *b));
                    }
                }
                Decision::default()
            }
        }
    }

    /// Ranks the nodes' kinds anew.
    fn rank(&mut self, rank: impl Fn(NodeId) -> usize) {
        for node in self.clusters.iter_mut().flatten() {
            node.rank = rank(node.id);
        }
    }

    fn join(&mut self, nodes: &[NodeId]) {
        let Some(first) = nodes.first() else { return };
        let into = self.of[first];
        for node in &nodes[1..] {
            let from = self.of[node];
            if from == into {
                continue;
            }
            let (moved, pairs) = (std::mem::take(&mut self.clusters[from]), std::mem::take(&mut self.apart[from]));
            for n in &moved {
                self.of.insert(n.id, into);
            }
            self.clusters[into].extend(moved);
            self.apart[into].extend(pairs);
        }
    }

    /// The pairs that hold `node`'s cluster apart from others, sorted.
    pub fn pairs_of(&self, node: NodeId) -> Vec<(NodeId, NodeId)> {
        let mut pairs = self.of.get(&node).map(|cluster| self.apart[*cluster].clone()).unwrap_or_default();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    /// The clusters, each sorted, in the order of their oldest nodes.
    pub fn clusters(&self) -> Vec<Vec<NodeId>> {
        let mut clusters: Vec<Vec<NodeId>> =
            self.clusters.iter().filter(|c| !c.is_empty()).map(|c| c.iter().map(|n| n.id).collect()).collect();
        for cluster in &mut clusters {
            cluster.sort_unstable();
        }
        clusters.sort_unstable();
        clusters
    }
}

/// Clusters a region from nothing, every statement under the same rules.
pub fn recluster(nodes: &[NodeFacts], statements: &[Statement], rules: &Rules) -> (Region, Vec<Decision>) {
    let said: Vec<(&Statement, &Rules)> = statements.iter().map(|statement| (statement, rules)).collect();
    let ranks: FxHashMap<NodeId, usize> = nodes.iter().map(|node| (node.id, node.rank)).collect();
    recluster_under(nodes, &said, &|_, node| ranks[&node])
}

/// Clusters a region from nothing, each statement under the rules that were in force when it was said; `rank` gives the
/// rank of a node's kind under some rules. `Apart` statements hold for the whole region from the start, as an unmerge
/// undoes what was joined before it, but those that a later command ended do not.
pub fn recluster_under(
    nodes: &[NodeFacts],
    said: &[(&Statement, &Rules)],
    rank: &dyn Fn(&Rules, NodeId) -> usize,
) -> (Region, Vec<Decision>) {
    let mut region = Region::of(nodes.iter().copied());
    for (i, (statement, rules)) in said.iter().enumerate() {
        if let Statement::Apart { a, b } = statement
            && !ended_later(*a, *b, &said[i + 1..])
        {
            region.take(statement, rules);
        }
    }
    let mut ranked_under: Option<&Rules> = None;
    let mut decisions = Vec::with_capacity(said.len());
    for (statement, rules) in said {
        if !ranked_under.is_some_and(|known| std::ptr::eq(known, *rules)) {
            region.rank(|node| rank(rules, node));
            ranked_under = Some(rules);
        }
        decisions.push(match statement {
            Statement::Together { .. } => region.take(statement, rules),
            Statement::Apart { .. } => Decision::default(),
        });
    }
    (region, decisions)
}

fn ended_later(a: NodeId, b: NodeId, later: &[(&Statement, &Rules)]) -> bool {
    later.iter().any(|(statement, _)| {
        matches!(statement, Statement::Together { nodes, origin: Origin::Command, .. } if nodes.contains(&a) && nodes.contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(id: i64, rank: usize) -> NodeFacts {
        NodeFacts { id: NodeId(id), rank, first_seen: Timestamp(id) }
    }

    fn together(nodes: &[i64]) -> Statement {
        said(nodes, Origin::Event)
    }

    fn said(nodes: &[i64], origin: Origin) -> Statement {
        Statement::Together { nodes: nodes.iter().map(|n| NodeId(*n)).collect(), origin, at: Timestamp(1000) }
    }

    fn apart(a: i64, b: i64) -> Statement {
        Statement::Apart { a: NodeId(a), b: NodeId(b) }
    }

    /// Nodes 1 and 2 are user ids (one per profile), 11 and 12 e-mails, 21 to 29 browsers.
    fn check(statements: &[Statement], expect: &[&[i64]]) -> Vec<Decision> {
        let nodes: Vec<NodeFacts> =
            [(1, 0), (2, 0), (11, 2), (12, 2), (21, 6), (22, 6)].iter().map(|(id, rank)| node(*id, *rank)).collect();
        let (region, decisions) = recluster(&nodes, statements, &Rules::default());
        let clusters = region.clusters();
        let several: Vec<Vec<i64>> =
            clusters.iter().filter(|c| c.len() > 1).map(|c| c.iter().map(|n| n.0).collect()).collect();
        assert_eq!(several, expect);
        decisions
    }

    #[test]
    fn a_limit_drops_the_lowest_priority_first() {
        let decisions = check(&[together(&[1, 21]), together(&[2, 12, 21])], &[&[1, 21], &[2, 12]]);
        assert_eq!(decisions[1].dropped[0], (NodeId(21), Obstacle::Limit { rank: 0 }));
    }

    #[test]
    fn an_alias_and_a_command_pass_limits() {
        check(&[said(&[1, 2], Origin::Alias)], &[&[1, 2]]);
        check(&[said(&[1, 2], Origin::Command), together(&[1, 21])], &[&[1, 2, 21]]);
    }

    #[test]
    fn apart_undoes_and_gives_each_its_own() {
        let said_before = [said(&[1, 11, 21], Origin::Event), said(&[2, 12, 21], Origin::Alias)];
        check(&said_before, &[&[1, 2, 11, 12, 21]]);
        let [a, b] = said_before;
        check(&[a.clone(), b.clone(), apart(1, 2)], &[&[1, 11, 21], &[2, 12]]);
        check(&[a, b, apart(1, 2), said(&[1, 2], Origin::Command)], &[&[1, 2, 11, 12, 21]]);
    }

    #[test]
    fn a_command_ends_the_apart_of_its_own_two_and_no_other() {
        let joined = [together(&[1, 21]), together(&[1, 11]), apart(1, 11)];
        let [a, b, c] = joined.clone();
        check(&[a, b, c, said(&[1, 11], Origin::Command)], &[&[1, 11, 21]]);
        // 21 is with 1 by an event, so 11, which is apart from 1, does not follow it.
        let [a, b, c] = joined;
        check(&[a, b, c, said(&[11, 21], Origin::Command)], &[&[1, 21]]);
    }

    #[test]
    fn each_statement_counts_under_the_rules_of_its_time() {
        let strict = Rules::default();
        let mut loose = Rules::default();
        loose.kinds.reverse();
        loose.kinds.iter_mut().for_each(|rule| rule.limit = None);
        let nodes = [node(1, 0), node(2, 0), node(21, 6)];
        let rank = |rules: &Rules, node: NodeId| {
            let kind = if node.0 < 10 { "user_id" } else { "anonymous_id" };
            rules.rank(kind).0
        };
        let (a, b) = (together(&[1, 21]), together(&[2, 21]));
        let clusters = |first: &Rules, second: &Rules| {
            recluster_under(&nodes, &[(&a, first), (&b, second)], &rank).0.clusters().len()
        };
        assert_eq!(clusters(&strict, &strict), 2);
        assert_eq!(clusters(&strict, &loose), 1);
        assert_eq!(clusters(&loose, &strict), 2);
    }

    #[test]
    fn a_withdrawn_statement_frees_what_it_had_kept_out() {
        let first = together(&[1, 21]);
        let second = together(&[2, 21]);
        check(&[first, second.clone()], &[&[1, 21]]);
        check(&[second], &[&[2, 21]]);
    }

    #[test]
    fn a_cluster_does_not_pass_its_bound() {
        let rules = Rules { cluster_nodes_max: 3, ..Rules::default() };
        let nodes: Vec<NodeFacts> = (0..6).map(|id| node(id, 6)).collect();
        let statements: Vec<Statement> = (0..5).map(|id| together(&[id, id + 1])).collect();
        let (region, decisions) = recluster(&nodes, &statements, &rules);
        assert!(region.clusters().iter().all(|c| c.len() <= 3));
        assert!(decisions.iter().any(|d| d.dropped.iter().any(|(_, why)| *why == Obstacle::ClusterBound)));
    }

    fn any_statement() -> impl Strategy<Value = Statement> {
        prop_oneof![
            9 => (proptest::collection::vec(0i64..12, 2..4), prop_oneof![8 => Just(Origin::Event), 1 => Just(Origin::Alias)])
                .prop_map(|(nodes, origin)| said(&nodes, origin)),
            1 => (0i64..12, 0i64..12).prop_filter("two", |(a, b)| a != b).prop_map(|(a, b)| apart(a, b)),
        ]
    }

    proptest! {
        /// Taking statements away and running again gives what the rest gives; the order of the nodes given does not matter.
        #[test]
        fn the_clustering_is_a_function_of_its_statements(statements in proptest::collection::vec(any_statement(), 0..30)) {
            let nodes: Vec<NodeFacts> = (0..12).map(|id| node(id, if id < 4 { 0 } else { 6 })).collect();
            let reversed: Vec<NodeFacts> = nodes.iter().rev().copied().collect();
            let rules = Rules::default();
            let (a, _) = recluster(&nodes, &statements, &rules);
            let (b, _) = recluster(&reversed, &statements, &rules);
            prop_assert_eq!(a.clusters(), b.clusters());
            for statement in &statements {
                if let Statement::Apart { a: x, b: y } = statement {
                    prop_assert_ne!(a.cluster_of(*x), a.cluster_of(*y));
                }
            }
        }

        /// One statement at a time on a region that has no `apart` gives what the whole gives.
        #[test]
        fn one_at_a_time_equals_the_whole(statements in proptest::collection::vec(any_statement(), 0..30)) {
            let statements: Vec<Statement> =
                statements.into_iter().filter(|s| matches!(s, Statement::Together { .. })).collect();
            let nodes: Vec<NodeFacts> = (0..12).map(|id| node(id, if id < 4 { 0 } else { 6 })).collect();
            let rules = Rules::default();
            let mut region = Region::of(nodes.iter().copied());
            for statement in &statements {
                region.take(statement, &rules);
            }
            prop_assert_eq!(region.clusters(), recluster(&nodes, &statements, &rules).0.clusters());
        }
    }
}
