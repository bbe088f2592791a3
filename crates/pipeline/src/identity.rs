//! Identity at work: nodes for identifiers, statements, merges and unmerges.
//!
//! What is one person is decided by [`onefold_model::identity::cluster`]; here its decisions are carried out on nodes and
//! profiles. A merge or an unmerge moves nodes between profiles and reads no events.

use std::collections::BTreeMap;

use onefold_model::{
    NodeId, ProfileId, Timestamp, WorkspaceId,
    identity::{
        Identifier, Origin, Rules, Statement, StatementRef,
        cluster::{self, Clusters, Decision, NodeFacts, Obstacle},
    },
    profile::partial::{Link, NAMED_MAX},
};
use onefold_state::{Reader, Row, Scan, Txn, Value, schema};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::{SmallVec, smallvec};

use crate::{
    Error,
    definitions::definition_key,
    links,
    partition::Partition,
    prepare::Event,
    profile::{Memberships, Node, PERSON, Profile},
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
    /// The node of each identifier of an event, made where there is none; in their order.
    pub(crate) fn nodes_of(&mut self, event: &Event<'_>) -> SmallVec<[NodeId; 4]> {
        let (workspace, at) = (event.record.workspace, event.record.received_at);
        let mut nodes = SmallVec::new();
        for (place, (identifier, &key)) in event.identity.identifiers.iter().zip(&event.identifier_keys).enumerate() {
            let known = self.identifiers.peek(&key).copied().flatten();
            let id = NodeId::at(event.offset, place);
            nodes.push(known.unwrap_or_else(|| self.new_node(workspace, identifier, id, at, key)));
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
        self.identifiers.insert(key, Some(id));
        self.nodes.insert(id, Box::new(node));
        self.effects.nodes.insert(id);
        self.add_profile(Profile {
            workspace,
            id: profile,
            nodes: smallvec![id],
            apart: vec![],
            segments: Memberships::default(),
            due: Timestamp::MAX,
            first_seen: at,
            last_seen: at,
            events: 0,
            permitted: SmallVec::new(),
        });
        id
    }

    fn add_profile(&mut self, profile: Profile) {
        let id = profile.id;
        self.effects.tally(profile.workspace, "profiles", 1);
        self.effects.people.insert((profile.workspace, id));
        self.effects.profiles.insert(id, profile.workspace);
        self.gone.profiles.remove(&id);
        self.profiles.insert(id, Box::new(profile));
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
        if nodes.len() < 2 {
            return false;
        }
        let nodes = self.without_shared(workspace, nodes);
        let Some((last, others @ [_, ..])) = nodes.split_last() else { return false };
        let rules = self.workspaces[&workspace].rules_since;
        if self.nodes.peek(last).is_some_and(|node| node.partial.is_linked(others, origin, rules)) {
            return self.retry(workspace, &nodes, origin, at, offset);
        }
        let decision = self.decide_together(workspace, &nodes, origin, at);
        self.state_together(workspace, &nodes, origin, at, offset);
        for (node, obstacle) in &decision.dropped {
            self.refused(workspace, *node, *obstacle, offset, at);
        }
        self.join(workspace, &nodes[..decision.joined], offset)
    }

    /// They were named together before. Where that was refused, time may allow it now: only then it is recorded again.
    fn retry(&mut self, workspace: WorkspaceId, nodes: &[NodeId], origin: Origin, at: Timestamp, offset: u64) -> bool {
        let profile = |node: &NodeId| self.nodes.peek(node).map(|node| node.profile);
        if nodes.iter().all(|node| profile(node) == profile(&nodes[0])) {
            return false;
        }
        let decision = self.decide_together(workspace, nodes, origin, at);
        let joined = &nodes[..decision.joined];
        if joined.iter().all(|node| profile(node) == profile(&nodes[0])) {
            return false;
        }
        self.put_statement(workspace, &Statement::Together { nodes: nodes.into(), origin, at }, offset);
        self.join(workspace, joined, offset)
    }

    fn decide_together(&self, workspace: WorkspaceId, nodes: &[NodeId], origin: Origin, at: Timestamp) -> Decision {
        let touched = self.touched(workspace, nodes);
        if touched.profiles.len() < 2 {
            return Decision { joined: nodes.len(), ..Decision::default() };
        }
        cluster::decide(nodes, origin, at, &touched, &self.workspaces[&workspace].rules)
    }

    /// The nodes without those that have been named too often to be one person's.
    fn without_shared(&mut self, workspace: WorkspaceId, nodes: &[NodeId]) -> SmallVec<[NodeId; 4]> {
        let named = |node: &NodeId| self.nodes.peek(node).map_or(0, |node| node.partial.named);
        let own: SmallVec<[NodeId; 4]> = nodes.iter().copied().filter(|node| named(node) < NAMED_MAX).collect();
        if own.len() < nodes.len() {
            self.effects.tally(workspace, "identity.shared", (nodes.len() - own.len()) as i64);
        }
        own
    }

    /// Records a statement, and at each of its nodes which came before it.
    fn state_together(
        &mut self,
        workspace: WorkspaceId,
        nodes: &[NodeId],
        origin: Origin,
        at: Timestamp,
        offset: u64,
    ) -> (i64, i64) {
        let rules = self.workspaces[&workspace].rules_since;
        for (place, id) in nodes.iter().enumerate() {
            let Some(node) = self.nodes.get_mut(id) else { continue };
            if place > 0 {
                node.partial.link(Link { after: nodes[..place].into(), origin, rules });
            }
            node.partial.named += 1;
            let named = node.partial.named;
            self.effects.nodes.insert(*id);
            if named == NAMED_MAX {
                let why = format!(
                    "it was named {NAMED_MAX} times with others, so it is no person's own, and joins nobody any more"
                );
                let detail = serde_json::json!({ "node": id.0, "why": why }).to_string();
                self.effects.alarm(workspace, offset, at.0, "shared_identifier", detail);
            }
        }
        self.put_statement(workspace, &Statement::Together { nodes: nodes.into(), origin, at }, offset)
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
                (
                    "cluster_bound",
                    format!("a profile would pass {bound} identifiers; look for a value that many people share"),
                )
            }
            Obstacle::Apart => ("merge_refused", "two of its identifiers were said to be two people".to_owned()),
        };
        self.effects.tally(workspace, format!("identity.{kind}"), 1);
        let detail = serde_json::json!({ "node": node.0, "why": why }).to_string();
        self.effects.alarm(workspace, offset, at.0, kind, detail);
    }

    fn touched(&self, workspace: WorkspaceId, nodes: &[NodeId]) -> Touched {
        let rules = &self.workspaces[&workspace].rules;
        let mut touched = Touched { of: smallvec![], facts: smallvec![], apart: smallvec![], profiles: smallvec![] };
        for node in nodes {
            let Some(profile) = self.nodes.peek(node).map(|n| n.profile) else { continue };
            let cluster = touched.profiles.iter().position(|p| *p == profile).unwrap_or_else(|| {
                touched.profiles.push(profile);
                let whole = self.profiles.peek(&profile);
                let members = whole.map(|p| p.nodes.as_slice()).unwrap_or_default();
                touched
                    .facts
                    .push(members.iter().filter_map(|n| self.nodes.peek(n)).map(|n| facts_of(n, rules)).collect());
                touched.apart.push(whole.map(|p| p.apart.clone()).unwrap_or_default());
                touched.profiles.len() - 1
            });
            touched.of.push((*node, cluster));
        }
        touched
    }

    /// Makes one profile of those that `nodes` are in: the oldest stays.
    fn join(&mut self, workspace: WorkspaceId, nodes: &[NodeId], offset: u64) -> bool {
        let mut parts: SmallVec<[ProfileId; 4]> =
            nodes.iter().filter_map(|n| self.nodes.peek(n)).map(|n| n.profile).collect();
        parts.sort_unstable();
        parts.dedup();
        let Some((&into, gone)) = parts.split_first() else { return false };
        if gone.is_empty() {
            return false;
        }
        for from in gone {
            self.drop_series(workspace, *from);
            let Some(from) = self.remove_profile(*from, self.now.plus(1), offset) else { continue };
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
        self.effects.people.insert((workspace, into));
        self.effects.tally(workspace, "identity.merges", gone.len() as i64);
        true
    }

    /// A profile ends at `at`: it leaves its segments.
    fn remove_profile(&mut self, id: ProfileId, at: Timestamp, offset: u64) -> Option<Box<Profile>> {
        let (workspace, segments) = self.profiles.peek(&id).map(|p| (p.workspace, p.segments.clone()))?;
        for (number, _) in segments.iter() {
            self.change_membership(workspace, id, number, false, at, offset);
        }
        self.effects.profiles.insert(id, workspace);
        self.effects.people.insert((workspace, id));
        self.effects.tally(workspace, "profiles", -1);
        self.gone.profiles.insert(id);
        self.profiles.remove(&id)
    }

    fn put_statement(&mut self, workspace: WorkspaceId, statement: &Statement, offset: u64) -> (i64, i64) {
        let place = self.effects.next_place();
        let key = [Value::Int(workspace.0.into()), PERSON, Value::Int(offset as i64), Value::Int(place)];
        let rest = [statement_body(statement), Value::Int(self.now.0), Value::Null, Value::Null];
        self.effects.put(&schema::STATEMENT, key.iter().cloned().chain(rest).collect());
        for node in named(statement) {
            let row = vec![key[0].clone(), PERSON, Value::Int(node.0), key[2].clone(), key[3].clone()];
            self.effects.put(&schema::STATEMENT_NODE, row);
        }
        (offset as i64, place)
    }

    /// Takes what was `said` now, and that some count no more, and clusters anew the region that all these and `seeds` are
    /// in: all that statements, refused ones included, connect with them. `None` where the region is too large, and nothing
    /// was taken.
    pub(crate) fn recluster(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        seeds: &[NodeId],
        said: Vec<Statement>,
        withdrawn: &[StatementRef],
        offset: u64,
    ) -> Result<Option<Reclustered>, Error> {
        self.write(txn)?;
        let keys: Vec<Row> = withdrawn.iter().map(|place| statement_key(workspace, *place)).collect();
        let mut withdrawn: Vec<(Row, Statement)> = vec![];
        for row in txn.get(&schema::STATEMENT, &keys)?.into_iter().flatten().filter(|row| !is_withdrawn(row)) {
            let statement = statement_of(&row)?;
            withdrawn.push((row, statement));
        }
        let said_of = said.iter().chain(withdrawn.iter().map(|(_, statement)| statement)).flat_map(named);
        let seeds: Vec<NodeId> = seeds.iter().copied().chain(said_of).collect();
        let Some((nodes, mut statements)) = region(txn, workspace, &seeds, &|row| !is_withdrawn(row))? else {
            return Ok(None);
        };
        let mut ordered: Vec<NodeId> = nodes.into_iter().collect();
        ordered.sort_unstable();
        self.load_nodes(txn, workspace, &ordered)?;
        for (row, statement) in withdrawn {
            statements.remove(&(row[2].as_int()?, row[3].as_int()?));
            self.take_back(row, &statement, offset);
        }
        let mut places = vec![];
        for statement in said {
            let place = match &statement {
                Statement::Together { nodes, origin, at } => {
                    self.state_together(workspace, &nodes.clone(), *origin, *at, offset)
                }
                Statement::Apart { .. } => self.put_statement(workspace, &statement, offset),
            };
            places.push(StatementRef(place.0 as u64, place.1 as u32));
            statements.insert(place, statement);
        }
        let history = rules_history(txn, workspace)?;
        let present: Vec<&Node> = ordered.iter().filter_map(|n| self.node(n)).collect();
        let facts: Vec<NodeFacts> = present.iter().map(|n| facts_of(n, &history[0].1)).collect();
        let before: FxHashMap<NodeId, ProfileId> = present.iter().map(|n| (n.id, n.profile)).collect();
        let under =
            |offset: i64| history.iter().rev().find(|(from, _)| *from < offset).map_or(&history[0].1, |(_, r)| r);
        let said: Vec<(&Statement, &Rules)> =
            statements.iter().map(|((offset, _), statement)| (statement, under(*offset))).collect();
        let rank = |rules: &Rules, node: NodeId| self.nodes.peek(&node).map_or(0, |node| rules.rank(&node.kind).0);
        let (region, _) = cluster::recluster_under(&facts, &said, &rank);
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
        let mut old: Vec<ProfileId> =
            changed.iter().flat_map(|(_, nodes, _)| nodes.iter().map(|n| before[n])).collect();
        old.sort_unstable();
        old.dedup();
        for gone in old.iter().filter(|profile| !names.contains(profile)) {
            self.remove_profile(*gone, self.now.plus(1), offset);
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
            let members: Vec<&Node> = nodes.iter().filter_map(|n| self.node(n)).collect();
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
                permitted: self.profiles.peek(id).map(|p| p.permitted.clone()).unwrap_or_default(),
            };
            if self.profiles.peek(id).is_some() {
                self.profiles.insert(*id, Box::new(whole));
                self.effects.profiles.insert(*id, workspace);
                self.effects.people.insert((workspace, *id));
            } else {
                self.add_profile(whole);
            }
        }
        for (id, ..) in &changed {
            self.drop_series(workspace, *id);
        }
        Ok(Some(Reclustered { changed: changed.into_iter().map(|(profile, ..)| profile).collect(), places }))
    }

    /// A statement counts no more.
    fn take_back(&mut self, mut row: Row, statement: &Statement, offset: u64) {
        row.truncate(6);
        row.extend([Value::Int(offset as i64), Value::Int(self.now.0)]);
        self.effects.put(&schema::STATEMENT, row);
        let Statement::Together { nodes, origin, .. } = statement else { return };
        for id in nodes {
            let Some(node) = self.nodes.get_mut(id) else { continue };
            for other in nodes.iter().filter(|other| *other != id) {
                match origin {
                    Origin::Link => node.partial.unlink_guess(*other),
                    // So that the same said again is recorded again.
                    _ => drop(node.partial.unlink(*other)),
                }
            }
            node.partial.named = node.partial.named.saturating_sub(1);
            self.effects.nodes.insert(*id);
        }
    }

    /// A profile without known identifiers has been silent up to `at`: it goes.
    pub(crate) fn expire(&mut self, txn: &mut dyn Txn, id: ProfileId, at: Timestamp, offset: u64) -> Result<(), Error> {
        if let Some(workspace) = self.profiles.peek(&id).map(|profile| profile.workspace) {
            self.effects.tally(workspace, "profiles.expired", 1);
        }
        self.end_profile(txn, id, at, offset)
    }

    /// A profile goes, with its nodes and what was said of them.
    pub(crate) fn end_profile(
        &mut self,
        txn: &mut dyn Txn,
        id: ProfileId,
        at: Timestamp,
        offset: u64,
    ) -> Result<(), Error> {
        let Some(profile) = self.remove_profile(id, at, offset) else { return Ok(()) };
        let workspace = profile.workspace;
        self.write(txn)?;
        let mut freed: Vec<NodeId> = vec![];
        for node in &profile.nodes {
            self.withdraw(txn, workspace, *node, &profile.nodes, &mut freed)?;
        }
        for node in &profile.nodes {
            self.remove_node(txn, workspace, *node)?;
        }
        if !freed.is_empty() {
            // What stood in the way of others is gone.
            let changed = self.recluster(txn, workspace, &freed, vec![], &[], offset)?;
            let changed = changed.into_iter().flat_map(|reclustered| reclustered.changed);
            changed.for_each(|profile| self.decide_all(workspace, profile, offset));
        }
        Ok(())
    }

    /// Takes `id`, a node of those that go, out of the statements that name it, and out of its neighbours. Adds to
    /// `freed` those of which more may be one person now.
    fn withdraw(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        id: NodeId,
        going: &[NodeId],
        freed: &mut Vec<NodeId>,
    ) -> Result<(), Error> {
        let prefix = Node::key(workspace, id);
        for row in txn.scan(&Scan::prefix(&schema::STATEMENT_NODE, prefix.clone(), usize::MAX))? {
            let key = vec![row[0].clone(), PERSON, row[3].clone(), row[4].clone()];
            let Some(stored) = txn.get(&schema::STATEMENT, std::slice::from_ref(&key))?.pop().flatten() else {
                continue;
            };
            let statement = statement_of(&stored)?;
            let stay: SmallVec<[NodeId; 4]> = named(&statement).into_iter().filter(|n| !going.contains(n)).collect();
            self.load_nodes(txn, workspace, &stay)?;
            let goes = stay.len() == 1 || matches!(statement, Statement::Apart { .. });
            let counts = !is_withdrawn(&stored);
            for neighbour in stay.iter().filter(|_| counts) {
                self.forget(*neighbour, &statement, going, goes);
            }
            match statement {
                Statement::Together { nodes, origin, at } if stay.len() > 1 => {
                    // Who came before the last that stays may have kept it out.
                    let last = nodes.iter().rposition(|n| !going.contains(n)).unwrap_or(0);
                    if counts && nodes[..last].iter().any(|n| going.contains(n)) {
                        freed.extend_from_slice(&stay);
                    }
                    let body = statement_body(&Statement::Together { nodes: stay, origin, at });
                    let rest = std::iter::once(body).chain(stored[5..].iter().cloned());
                    txn.put(&schema::STATEMENT, vec![key.into_iter().chain(rest).collect()])?;
                }
                _ => {
                    let of = |node: &NodeId| {
                        vec![row[0].clone(), PERSON, Value::Int(node.0), row[3].clone(), row[4].clone()]
                    };
                    txn.delete(&schema::STATEMENT_NODE, &stay.iter().map(of).collect::<Vec<Row>>())?;
                    txn.delete(&schema::STATEMENT, &[key])?;
                }
            }
        }
        txn.delete_prefix(&schema::STATEMENT_NODE, &prefix)?;
        Ok(())
    }

    /// Takes those who go out of what is kept at a neighbour about a statement, which itself may go.
    fn forget(&mut self, neighbour: NodeId, statement: &Statement, going: &[NodeId], goes: bool) {
        let Some(node) = self.nodes.get_mut(&neighbour) else { return };
        let (workspace, profile) = (node.workspace, node.profile);
        for gone in going {
            node.partial.unlink(*gone);
        }
        if goes && matches!(statement, Statement::Together { .. }) {
            node.partial.named = node.partial.named.saturating_sub(1);
        }
        self.effects.nodes.insert(neighbour);
        if let (Statement::Apart { a, b }, Some(profile)) = (statement, self.profiles.get_mut(&profile)) {
            profile.apart.retain(|pair| pair != &(*a, *b));
            self.effects.profiles.insert(profile.id, workspace);
        }
    }

    fn remove_node(&mut self, txn: &mut dyn Txn, workspace: WorkspaceId, id: NodeId) -> Result<(), Error> {
        let Some(node) = self.nodes.remove(&id) else { return Ok(()) };
        let own = Node::key(workspace, id);
        self.effects.nodes.remove(&id);
        self.gone.nodes.insert(id);
        txn.delete(&schema::NODE, std::slice::from_ref(&own))?;
        let identifier = vec![own[0].clone(), PERSON, Value::Text(node.kind.clone()), Value::Text(node.value.clone())];
        txn.delete(&schema::IDENTIFIER, &[identifier])?;
        self.identifiers.insert(identifier_key(workspace, &node.kind, &node.value), None);
        for table in [&schema::EVENT_PAGE, &schema::SERIES_CHUNK] {
            txn.delete_prefix(table, &own)?;
        }
        let of_node = Scan {
            index: Some("of_node"),
            ..Scan::prefix(&schema::OBJECT_MEMBER, vec![own[0].clone(), own[2].clone()], usize::MAX)
        };
        let keys: Vec<Row> =
            txn.scan(&of_node)?.into_iter().map(|row| row[..schema::OBJECT_MEMBER.key].to_vec()).collect();
        txn.delete(&schema::OBJECT_MEMBER, &keys)?;
        links::forget(txn, workspace, id)
    }

    /// Drops the series of a profile's nodes that nobody asks for any more.
    pub(crate) fn drop_series(&mut self, workspace: WorkspaceId, profile: ProfileId) {
        let Some(profile) = self.profiles.peek(&profile) else { return };
        let metrics = &self.workspaces[&workspace].metrics;
        for id in &profile.nodes {
            let Some(node) = self.nodes.get_mut(id) else { continue };
            let gone = node.partial.retain_series(|metric| metrics.contains_key(&metric));
            if !gone.is_empty() {
                self.effects.nodes.insert(*id);
            }
            let own = Node::key(workspace, *id);
            let chunks = gone.into_iter().map(|m| own.iter().cloned().chain([Value::Int(m.0.into())]).collect::<Row>());
            self.effects.series_gone.extend(chunks);
        }
    }
}

/// What a new clustering did.
pub(crate) struct Reclustered {
    /// The profiles that changed.
    pub changed: Vec<ProfileId>,
    /// Where each statement that was said stands.
    pub places: Vec<StatementRef>,
}

/// What hangs together: nodes, and statements by offset and place.
pub(crate) type Region = (FxHashSet<NodeId>, BTreeMap<(i64, i64), Statement>);

/// What hangs together with `seeds` by those statements whose rows are to be counted; `None` where that is too much.
pub(crate) fn region(
    store: &mut (impl Reader + ?Sized),
    workspace: WorkspaceId,
    seeds: &[NodeId],
    counts: &dyn Fn(&Row) -> bool,
) -> Result<Option<Region>, Error> {
    let mut nodes: FxHashSet<NodeId> = seeds.iter().copied().collect();
    let mut statements = BTreeMap::new();
    let mut open: Vec<NodeId> = nodes.iter().copied().collect();
    while let Some(node) = open.pop() {
        let places =
            store.scan(&Scan::prefix(&schema::STATEMENT_NODE, Node::key(workspace, node), REGION_STATEMENTS_MAX))?;
        let mut wanted = vec![];
        for row in places {
            let place = (row[3].as_int()?, row[4].as_int()?);
            if !statements.contains_key(&place) {
                wanted.push(statement_key(workspace, StatementRef(place.0 as u64, place.1 as u32)));
            }
        }
        for row in store.get(&schema::STATEMENT, &wanted)?.into_iter().flatten().filter(|row| counts(row)) {
            let statement = statement_of(&row)?;
            open.extend(named(&statement).into_iter().filter(|named| nodes.insert(*named)));
            statements.insert((row[2].as_int()?, row[3].as_int()?), statement);
        }
        if statements.len() > REGION_STATEMENTS_MAX {
            return Ok(None);
        }
    }
    Ok(Some((nodes, statements)))
}

/// The identity rules that were ever in force, each with the offset after which it was.
pub(crate) fn rules_history(
    store: &mut (impl Reader + ?Sized),
    workspace: WorkspaceId,
) -> Result<Vec<(i64, Rules)>, Error> {
    let prefix = definition_key(workspace, "setting", "identity_rules");
    let mut history = vec![(-1, Rules::default())];
    for row in store.scan(&Scan::prefix(&schema::DEFINITION_VERSION, prefix, usize::MAX))? {
        let rules = serde_json::from_str(row[7].as_text()?).map_err(|e| Error::unreadable("identity rules", e))?;
        history.push((row[4].as_int()?, rules));
    }
    Ok(history)
}

/// The key of a statement.
fn statement_key(workspace: WorkspaceId, StatementRef(offset, place): StatementRef) -> Row {
    vec![Value::Int(workspace.0.into()), PERSON, Value::Int(offset as i64), Value::Int(place.into())]
}

/// Whether a statement's row says that it counts no more.
pub(crate) fn is_withdrawn(row: &Row) -> bool {
    !row[6].is_null()
}

/// A statement's stored form: version 1, then the statement by postcard.
fn statement_body(statement: &Statement) -> Value {
    Value::Bytes(postcard::to_extend(statement, vec![1u8]).expect("a vector takes all that is written to it"))
}

pub(crate) fn statement_of(row: &Row) -> Result<Statement, Error> {
    match row[4].as_bytes()?.split_first() {
        Some((1, rest)) => postcard::from_bytes(rest).map_err(|error| Error::unreadable("a statement", error)),
        _ => Err(Error::unreadable("a statement", "a newer Onefold wrote it; upgrade this one")),
    }
}

/// The nodes that a statement names.
pub(crate) fn named(statement: &Statement) -> SmallVec<[NodeId; 4]> {
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
