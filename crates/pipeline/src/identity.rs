//! Identity at work: nodes for identifiers, statements, merges and unmerges.
//!
//! What is one person is decided by [`onefold_model::identity::cluster`]; here its decisions are carried out on nodes and
//! profiles. A merge or an unmerge moves nodes between profiles and reads no events.

use onefold_model::{
    NodeId, ProfileId, Timestamp, WorkspaceId,
    identity::{
        Identifier, Origin, Rules, Statement,
        cluster::{self, Clusters, NodeFacts, Obstacle},
    },
};
use onefold_state::{Row, Scan, Txn, Value, schema};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::{SmallVec, smallvec};

use crate::{
    Error,
    partition::Partition,
    profile::{Node, PERSON, Profile},
};

/// How many statements an unmerge weighs at most. A region past this is a fault in the data that the cluster bound and
/// its alarm should have stopped.
const REGION_STATEMENTS_MAX: usize = 100_000;

/// The clusters of a statement's nodes.
struct Touched {
    of: SmallVec<[(NodeId, usize); 8]>,
    facts: SmallVec<[Vec<NodeFacts>; 4]>,
    apart: SmallVec<[Vec<(NodeId, NodeId)>; 4]>,
    profiles: SmallVec<[ProfileId; 4]>,
}

impl Clusters for Touched {
    fn cluster_of(&self, node: NodeId) -> usize {
        self.of.iter().find(|(n, _)| *n == node).map_or(usize::MAX, |(_, cluster)| *cluster)
    }
    fn nodes(&self, cluster: usize) -> &[NodeFacts] {
        &self.facts[cluster]
    }
    fn apart(&self, cluster: usize) -> &[(NodeId, NodeId)] {
        &self.apart[cluster]
    }
}

pub(crate) fn facts_of(node: &Node, rules: &Rules) -> NodeFacts {
    NodeFacts { id: node.id, rank: rules.rank(&node.kind).0, first_seen: node.first_seen }
}

impl Partition {
    /// The node of each identifier, made where there is none; in the order given.
    pub(crate) fn nodes_of(
        &mut self,
        workspace: WorkspaceId,
        identifiers: &[Identifier],
        offset: u64,
        at: Timestamp,
    ) -> SmallVec<[NodeId; 4]> {
        let mut nodes = SmallVec::new();
        for (place, identifier) in identifiers.iter().enumerate() {
            let key = identifier_key(workspace, &identifier.kind, &identifier.value);
            let known = self.identifiers.peek(&key).copied().flatten();
            nodes.push(known.unwrap_or_else(|| self.new_node(workspace, identifier, NodeId::at(offset, place), at, key)));
        }
        nodes
    }

    fn new_node(
        &mut self,
        workspace: WorkspaceId,
        identifier: &Identifier,
        id: NodeId,
        at: Timestamp,
        key: u128,
    ) -> NodeId {
        let profile = ProfileId(id);
        let node = Node {
            workspace,
            id,
            kind: identifier.kind.to_string(),
            value: identifier.value.clone(),
            profile,
            first_seen: at,
            last_seen: at,
            events: 0,
            partial: Default::default(),
        };
        let row = vec![
            Value::Int(workspace.0.into()),
            PERSON,
            Value::Text(node.kind.clone()),
            Value::Text(node.value.clone()),
            Value::Int(id.0),
        ];
        self.effects.put(&schema::IDENTIFIER, row);
        self.identifiers.insert(key, Some(id), 32);
        let bytes = node.size_bytes();
        self.nodes.insert(id, node, bytes);
        self.effects.nodes.insert(id);
        self.add_profile(Profile {
            workspace,
            id: profile,
            nodes: smallvec![id],
            apart: vec![],
            segments: smallvec![],
            due: Timestamp::MAX,
            first_seen: at,
            last_seen: at,
            events: 0,
        });
        id
    }

    fn add_profile(&mut self, profile: Profile) {
        let (id, bytes) = (profile.id, profile.size_bytes());
        self.effects.tally(profile.workspace, "profiles", 1);
        self.effects.profiles.insert(id, profile.workspace);
        self.profiles.insert(id, profile, bytes);
    }

    /// Records that `nodes` were named together, if that is new, and joins what the rules let it join. Says whether the
    /// first one's profile changed.
    pub(crate) fn together(
        &mut self,
        workspace: WorkspaceId,
        nodes: &[NodeId],
        origin: Origin,
        at: Timestamp,
        offset: u64,
    ) -> bool {
        let pairs = || nodes.iter().enumerate().flat_map(|(i, a)| nodes[i + 1..].iter().map(move |b| (*a, *b)));
        let linked = |(a, b): (NodeId, NodeId)| self.nodes.peek(&a).is_some_and(|n| n.partial.links.contains(&b));
        if nodes.len() < 2 || (origin == Origin::Event && pairs().all(linked)) {
            return false;
        }
        for (a, b) in pairs() {
            for (one, other) in [(a, b), (b, a)] {
                if self.nodes.get_mut(&one).is_some_and(|n| n.partial.link(other)) {
                    self.effects.nodes.insert(one);
                }
            }
        }
        self.put_statement(workspace, &Statement::Together { nodes: nodes.into(), origin, at }, offset);
        let touched = self.touched(workspace, nodes);
        if touched.profiles.len() < 2 {
            return false;
        }
        let decision = cluster::decide(nodes, origin, at, &touched, &self.workspaces[&workspace].rules);
        for (node, obstacle) in &decision.dropped {
            self.refused(workspace, *node, *obstacle, offset, at);
        }
        self.join(workspace, &nodes[..decision.joined], offset)
    }

    fn refused(&mut self, workspace: WorkspaceId, node: NodeId, obstacle: Obstacle, offset: u64, at: Timestamp) {
        let rules = &self.workspaces[&workspace].rules;
        let (kind, why) = match obstacle {
            Obstacle::Limit { rank } => {
                let kind = rules.kinds.get(rank).map_or("*", |rule| rule.kind.as_str());
                ("merge_refused", format!("a profile would pass its limit of {kind}"))
            }
            Obstacle::ClusterBound => {
                let bound = rules.cluster_nodes_max;
                ("cluster_bound", format!("a profile would pass {bound} identifiers; look for a value that many people share"))
            }
            Obstacle::Apart => ("merge_refused", "two of its identifiers were said to be two people".to_owned()),
        };
        self.effects.tally(workspace, &format!("identity.{kind}"), 1);
        let detail = serde_json::json!({ "node": node.0, "why": why }).to_string();
        self.effects.alarm(workspace, offset, at.0, kind, detail);
    }

    fn touched(&self, workspace: WorkspaceId, nodes: &[NodeId]) -> Touched {
        let rules = &self.workspaces[&workspace].rules;
        let mut touched =
            Touched { of: smallvec![], facts: smallvec![], apart: smallvec![], profiles: smallvec![] };
        for node in nodes {
            let Some(profile) = self.nodes.peek(node).map(|n| n.profile) else { continue };
            let cluster = touched.profiles.iter().position(|p| *p == profile).unwrap_or_else(|| {
                touched.profiles.push(profile);
                let whole = self.profiles.peek(&profile);
                let members = whole.map(|p| p.nodes.as_slice()).unwrap_or_default();
                touched.facts.push(members.iter().filter_map(|n| self.nodes.peek(n)).map(|n| facts_of(n, rules)).collect());
                touched.apart.push(whole.map(|p| p.apart.clone()).unwrap_or_default());
                touched.profiles.len() - 1
            });
            touched.of.push((*node, cluster));
        }
        touched
    }

    /// Makes one profile of those that `nodes` are in: the oldest stays.
    fn join(&mut self, workspace: WorkspaceId, nodes: &[NodeId], offset: u64) -> bool {
        let mut parts: SmallVec<[ProfileId; 4]> = nodes.iter().filter_map(|n| self.nodes.peek(n)).map(|n| n.profile).collect();
        parts.sort_unstable();
        parts.dedup();
        let Some((&into, gone)) = parts.split_first() else { return false };
        if gone.is_empty() {
            return false;
        }
        for from in gone {
            let Some(from) = self.remove_profile(*from, offset) else { continue };
            for node in &from.nodes {
                if let Some(node) = self.nodes.get_mut(node) {
                    node.profile = into;
                    self.effects.nodes.insert(node.id);
                }
            }
            let Some(profile) = self.profiles.get_mut(&into) else { continue };
            profile.nodes.extend(from.nodes);
            profile.nodes.sort_unstable();
            profile.apart.extend(from.apart);
            profile.apart.sort_unstable();
            profile.apart.dedup();
            profile.events += from.events;
            profile.first_seen = profile.first_seen.min(from.first_seen);
            profile.last_seen = profile.last_seen.max(from.last_seen);
        }
        self.effects.profiles.insert(into, workspace);
        self.effects.tally(workspace, "identity.merges", gone.len() as i64);
        true
    }

    /// A profile ends: it leaves its segments.
    fn remove_profile(&mut self, id: ProfileId, offset: u64) -> Option<Profile> {
        let (workspace, segments) = self.profiles.peek(&id).map(|p| (p.workspace, p.segments.clone()))?;
        for number in segments {
            self.change_membership(workspace, id, number, false, self.now.plus(1), offset);
        }
        self.effects.profiles.insert(id, workspace);
        self.effects.tally(workspace, "profiles", -1);
        self.profiles.remove(&id)
    }

    fn put_statement(&mut self, workspace: WorkspaceId, statement: &Statement, offset: u64) {
        let place = self.effects.next_place();
        let key = [Value::Int(workspace.0.into()), PERSON, Value::Int(offset as i64), Value::Int(place)];
        let body = postcard::to_extend(statement, vec![1u8]).expect("a vector takes all that is written to it");
        self.effects.put(&schema::STATEMENT, key.iter().cloned().chain([Value::Bytes(body)]).collect());
        for node in named(statement) {
            let row = vec![key[0].clone(), PERSON, Value::Int(node.0), key[2].clone(), key[3].clone()];
            self.effects.put(&schema::STATEMENT_NODE, row);
        }
    }

    /// Records that the pairs are two people, and clusters their region anew. Gives the profiles that changed.
    pub(crate) fn apart(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        pairs: &[(NodeId, NodeId)],
        offset: u64,
    ) -> Result<Vec<ProfileId>, Error> {
        for (a, b) in pairs {
            self.put_statement(workspace, &Statement::Apart { a: *a, b: *b }, offset);
        }
        let seeds: Vec<NodeId> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
        self.recluster(txn, workspace, &seeds, offset)
    }

    /// Clusters anew the region that `seeds` are in: all that statements, refused ones included, connect with them.
    pub(crate) fn recluster(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        seeds: &[NodeId],
        offset: u64,
    ) -> Result<Vec<ProfileId>, Error> {
        self.write(txn)?;
        let (nodes, statements) = self.region(txn, workspace, seeds)?;
        let ordered: Vec<NodeId> = {
            let mut ordered: Vec<NodeId> = nodes.into_iter().collect();
            ordered.sort_unstable();
            ordered
        };
        self.load_nodes(txn, workspace, &ordered)?;
        let present: Vec<&Node> = ordered.iter().filter_map(|n| self.nodes.peek(n)).collect();
        let rules = &self.workspaces[&workspace].rules;
        let facts: Vec<NodeFacts> = present.iter().map(|n| facts_of(n, rules)).collect();
        let before: FxHashMap<NodeId, ProfileId> = present.iter().map(|n| (n.id, n.profile)).collect();
        let statements: Vec<Statement> = statements.into_values().collect();
        let (region, _) = cluster::recluster(&facts, &statements, rules);
        let mut changed = vec![];
        for nodes in region.clusters() {
            let profile = ProfileId(nodes[0]);
            let same = nodes.iter().all(|n| before[n] == profile)
                && self.profiles.peek(&profile).is_some_and(|p| p.nodes.len() == nodes.len());
            let apart = region.pairs_of(nodes[0]);
            if !same {
                changed.push((profile, nodes, apart));
            } else if let Some(p) = self.profiles.get_mut(&profile)
                && p.apart != apart
            {
                p.apart = apart;
                self.effects.profiles.insert(profile, workspace);
            }
        }
        // Those that keep their name keep their memberships, to be decided again; those whose name goes leave first.
        let names: FxHashSet<ProfileId> = changed.iter().map(|(profile, ..)| *profile).collect();
        let mut old: Vec<ProfileId> = changed.iter().flat_map(|(_, nodes, _)| nodes.iter().map(|n| before[n])).collect();
        old.sort_unstable();
        old.dedup();
        for gone in old.iter().filter(|profile| !names.contains(profile)) {
            self.remove_profile(*gone, offset);
        }
        for (id, nodes, apart) in &changed {
            for node in nodes {
                if let Some(node) = self.nodes.get_mut(node)
                    && node.profile != *id
                {
                    node.profile = *id;
                    self.effects.nodes.insert(node.id);
                }
            }
            let members: Vec<&Node> = nodes.iter().filter_map(|n| self.nodes.peek(n)).collect();
            let whole = Profile {
                workspace,
                id: *id,
                nodes: nodes.iter().copied().collect(),
                apart: apart.clone(),
                segments: self.profiles.peek(id).map(|p| p.segments.clone()).unwrap_or_default(),
                due: Timestamp::MAX,
                first_seen: members.iter().map(|n| n.first_seen).min().unwrap_or_default(),
                last_seen: members.iter().map(|n| n.last_seen).max().unwrap_or_default(),
                events: members.iter().map(|n| n.events).sum(),
            };
            if self.profiles.peek(id).is_some() {
                let bytes = whole.size_bytes();
                self.profiles.insert(*id, whole, bytes);
                self.effects.profiles.insert(*id, workspace);
            } else {
                self.add_profile(whole);
            }
        }
        Ok(changed.into_iter().map(|(profile, ..)| profile).collect())
    }

    fn region(
        &self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        seeds: &[NodeId],
    ) -> Result<(FxHashSet<NodeId>, std::collections::BTreeMap<(i64, i64), Statement>), Error> {
        let mut nodes: FxHashSet<NodeId> = seeds.iter().copied().collect();
        let mut statements = std::collections::BTreeMap::new();
        let mut open: Vec<NodeId> = seeds.to_vec();
        let head = [Value::Int(workspace.0.into()), PERSON];
        while let Some(node) = open.pop() {
            let prefix: Row = head.iter().cloned().chain([Value::Int(node.0)]).collect();
            let places = txn.scan(&Scan::prefix(&schema::STATEMENT_NODE, prefix, REGION_STATEMENTS_MAX))?;
            let mut wanted = vec![];
            for row in places {
                let place = (row[3].as_int()?, row[4].as_int()?);
                if !statements.contains_key(&place) {
                    wanted.push(head.iter().cloned().chain([Value::Int(place.0), Value::Int(place.1)]).collect());
                }
            }
            for row in txn.get(&schema::STATEMENT, &wanted)?.into_iter().flatten() {
                let body = row[4].as_bytes()?;
                let statement: Statement = postcard::from_bytes(body.get(1..).unwrap_or_default())
                    .map_err(|error| Error::unreadable("a statement", error))?;
                for named in named(&statement) {
                    if nodes.insert(named) {
                        open.push(named);
                    }
                }
                statements.insert((row[2].as_int()?, row[3].as_int()?), statement);
            }
            if statements.len() > REGION_STATEMENTS_MAX {
                return Err(Error::unreadable("the identity graph", "a region has more statements than an unmerge weighs"));
            }
        }
        Ok((nodes, statements))
    }

    /// A profile without known identifiers has been silent for long: it goes, with its nodes and what was said of them.
    pub(crate) fn expire(&mut self, txn: &mut dyn Txn, id: ProfileId, offset: u64) -> Result<(), Error> {
        let Some(profile) = self.remove_profile(id, offset) else { return Ok(()) };
        self.effects.tally(profile.workspace, "profiles.expired", 1);
        for node in &profile.nodes {
            self.remove_node(txn, profile.workspace, *node)?;
        }
        Ok(())
    }

    fn remove_node(&mut self, txn: &mut dyn Txn, workspace: WorkspaceId, id: NodeId) -> Result<(), Error> {
        let Some(node) = self.nodes.remove(&id) else { return Ok(()) };
        let own = Node::key(workspace, id);
        self.effects.nodes.remove(&id);
        self.effects.delete(&schema::NODE, own.clone());
        let identifier = vec![own[0].clone(), PERSON, Value::Text(node.kind.clone()), Value::Text(node.value.clone())];
        self.effects.delete(&schema::IDENTIFIER, identifier);
        self.identifiers.insert(identifier_key(workspace, &node.kind, &node.value), None, 32);
        self.write(txn)?;
        for row in txn.scan(&Scan::prefix(&schema::STATEMENT_NODE, own.clone(), usize::MAX))? {
            let statement = vec![own[0].clone(), PERSON, row[3].clone(), row[4].clone()];
            txn.delete(&schema::STATEMENT, &[statement])?;
        }
        for table in [&schema::STATEMENT_NODE, &schema::EVENT_PAGE, &schema::SERIES_CHUNK] {
            txn.delete_prefix(table, &own)?;
        }
        Ok(())
    }
}

/// The nodes that a statement names.
fn named(statement: &Statement) -> SmallVec<[NodeId; 4]> {
    match statement {
        Statement::Together { nodes, .. } => nodes.clone(),
        Statement::Apart { a, b } => smallvec![*a, *b],
    }
}

/// The cache key of an identifier: 128 bits of SipHash-1-3, so that the cache holds no text.
pub(crate) fn identifier_key(workspace: WorkspaceId, kind: &str, value: &str) -> u128 {
    use siphasher::sip128::{Hasher128, SipHasher13};
    use std::hash::Hasher;
    let mut hasher = SipHasher13::new_with_keys(0x6964_656e_7469_0001, 0x6669_6572_0000_0000);
    hasher.write_u32(workspace.0);
    hasher.write_usize(kind.len());
    hasher.write(kind.as_bytes());
    hasher.write(value.as_bytes());
    hasher.finish128().as_u128()
}
