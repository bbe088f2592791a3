//! Why some identifiers are one person, who was one person before, and who would be if less or other rules counted.
//!
//! All of it is the clustering of [`onefold_model::identity::cluster`] over the statements that are kept, those that were
//! withdrawn included, read in one view of the store; nothing is changed.

use std::collections::{BTreeMap, BTreeSet};

use onefold_log::{EventLog, ReadError};
use onefold_model::{
    NodeId, ProfileId, Timestamp,
    access::Access,
    event::EventRecord,
    identity::{Origin, Rules, Statement, StatementRef, cluster, cluster::NodeFacts},
    profile::{
        Traits,
        traits::{NAME_BYTES_MAX, VALUE_BYTES_MAX},
    },
};
use onefold_state::{Reader, Row, Scan, Value, schema};
use rustc_hash::FxHashMap;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Error,
    definitions::Workspace,
    fold::observed,
    identity::{is_withdrawn, named, region, rules_history, statement_of},
    preparations::prepared,
    prepare::Event,
    profile::{Joined, Node, PERSON, Profile},
    views::{self, IdentifierView, TraitView},
};

/// Events of a person that are read at most to tell its traits at a time: more are not one person's.
const EVENTS_MAX: usize = 100_000;

/// Groups of a dry run that are shown.
const EXAMPLES: usize = 20;

/// A statement about identity, as it is shown.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Evidence {
    /// By which it is withdrawn.
    pub id: String,
    /// `event`, `alias`, `command`, `link`: they are one person. `apart`: they are two.
    pub says: &'static str,
    /// The identifiers that it names, as `kind:value`, highest priority first.
    pub identifiers: Vec<String>,
    /// When it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Since when it counts no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
}

/// What was said of the identifiers of a profile, in order. Of identifiers that are gone nothing is shown.
pub fn of_profile(store: &mut dyn Reader, access: &Access, id: ProfileId) -> Result<Vec<Evidence>, Error> {
    let Some(row) = store.get(&schema::PROFILE, &[Profile::key(access.workspace, id)])?.pop().flatten() else {
        return Ok(vec![]);
    };
    let rows = naming(store, access, &Profile::from_row(&row)?.nodes)?;
    let mut evidence = vec![];
    for row in rows {
        let statement = statement_of(&row)?;
        let says = match &statement {
            Statement::Together { origin: Origin::Event, .. } => "event",
            Statement::Together { origin: Origin::Alias, .. } => "alias",
            Statement::Together { origin: Origin::Command, .. } => "command",
            Statement::Together { origin: Origin::Link, .. } => "link",
            Statement::Apart { .. } => "apart",
        };
        let nodes = nodes_of(store, access, &named(&statement))?;
        let time = |value: &Value| (!value.is_null()).then(|| value.as_int().map(|at| Timestamp(at).to_string()));
        evidence.push(Evidence {
            id: StatementRef(row[2].as_int()? as u64, row[3].as_int()? as u32).to_string(),
            says,
            identifiers: nodes.iter().map(|node| format!("{}:{}", node.kind, node.value)).collect(),
            at: time(&row[5]).transpose()?,
            withdrawn: time(&row[7]).transpose()?,
        });
    }
    Ok(evidence)
}

/// The rows of the statements that name one of these nodes, in order.
fn naming(store: &mut dyn Reader, access: &Access, nodes: &[NodeId]) -> Result<Vec<Row>, Error> {
    let mut keys: BTreeSet<(i64, i64)> = BTreeSet::new();
    for node in nodes {
        let own = Node::key(access.workspace, *node);
        for row in store.scan(&Scan::prefix(&schema::STATEMENT_NODE, own, usize::MAX))? {
            keys.insert((row[3].as_int()?, row[4].as_int()?));
        }
    }
    let head = [Value::Int(access.workspace.0.into()), PERSON];
    let key = |(offset, place)| head.iter().cloned().chain([Value::Int(offset), Value::Int(place)]).collect();
    let keys: Vec<Row> = keys.into_iter().map(key).collect();
    Ok(store.get(&schema::STATEMENT, &keys)?.into_iter().flatten().collect())
}

fn nodes_of(store: &mut dyn Reader, access: &Access, ids: &[NodeId]) -> Result<Vec<Node>, Error> {
    let keys: Vec<Row> = ids.iter().map(|id| Node::key(access.workspace, *id)).collect();
    let rows = store.get(&schema::NODE, &keys)?;
    rows.iter().flatten().map(|row| Node::from_row(row, store)).collect()
}

/// The nodes of everybody who hangs together with `seeds`, in the groups that those statements give which `counts` takes.
fn groups(
    store: &mut dyn Reader,
    access: &Access,
    seeds: &[NodeId],
    until: Timestamp,
    counts: &dyn Fn(&Row) -> bool,
) -> Result<Option<Vec<Vec<Node>>>, Error> {
    let Some((ids, statements)) = region(store, access.workspace, seeds, counts)? else { return Ok(None) };
    let mut ids: Vec<NodeId> = ids.into_iter().collect();
    ids.sort_unstable();
    let mut nodes = nodes_of(store, access, &ids)?;
    nodes.retain(|node| node.first_seen <= until);
    let history = rules_history(store, access.workspace)?;
    let under = |offset: i64| history.iter().rev().find(|(from, _)| *from < offset).map_or(&history[0].1, |(_, r)| r);
    let said: Vec<(&Statement, &Rules)> =
        statements.iter().map(|((offset, _), statement)| (statement, under(*offset))).collect();
    let facts: Vec<NodeFacts> =
        nodes.iter().map(|node| NodeFacts { id: node.id, rank: 0, first_seen: node.first_seen }).collect();
    let kinds: FxHashMap<NodeId, &str> = nodes.iter().map(|node| (node.id, node.kind.as_str())).collect();
    let rank = |rules: &Rules, node: NodeId| kinds.get(&node).map_or(0, |kind| rules.rank(kind).0);
    let clusters = cluster::recluster_under(&facts, &said, &rank).0.clusters();
    let mut by_id: BTreeMap<NodeId, Node> = nodes.into_iter().map(|node| (node.id, node)).collect();
    Ok(Some(clusters.iter().map(|ids| ids.iter().filter_map(|id| by_id.remove(id)).collect()).collect()))
}

fn ids_of(store: &mut dyn Reader, access: &Access, id: ProfileId) -> Result<Vec<NodeId>, Error> {
    let row = store.get(&schema::PROFILE, &[Profile::key(access.workspace, id)])?.pop().flatten();
    Ok(row.as_ref().map(Profile::from_row).transpose()?.map(|p| p.nodes.to_vec()).unwrap_or_default())
}

/// Who the people of a profile would be without some statements: groups of identifiers. `None` where too much hangs
/// together to be weighed.
pub fn without(
    store: &mut dyn Reader,
    access: &Access,
    id: ProfileId,
    withdrawn: &BTreeSet<StatementRef>,
) -> Result<Option<Vec<Vec<IdentifierView>>>, Error> {
    let ids = ids_of(store, access, id)?;
    let counts = |row: &Row| match (row[2].as_int(), row[3].as_int()) {
        (Ok(offset), Ok(place)) => {
            !is_withdrawn(row) && !withdrawn.contains(&StatementRef(offset as u64, place as u32))
        }
        _ => true,
    };
    let found = groups(store, access, &ids, Timestamp::MAX, &counts)?;
    let concerns = |group: &Vec<Node>| group.iter().any(|node| ids.contains(&node.id));
    Ok(found.map(|found| found.into_iter().filter(concerns).map(|group| views::identifiers(&group)).collect()))
}

/// The statements that joined the identifiers of a profile and came at this time or later.
pub fn since(
    store: &mut dyn Reader,
    access: &Access,
    id: ProfileId,
    from: Timestamp,
) -> Result<Vec<StatementRef>, Error> {
    let ids = ids_of(store, access, id)?;
    let mut found = vec![];
    for row in naming(store, access, &ids)?.into_iter().filter(|row| !is_withdrawn(row)) {
        if let Statement::Together { .. } = statement_of(&row)?
            && said_at(&row)? >= from
        {
            found.push(StatementRef(row[2].as_int()? as u64, row[3].as_int()? as u32));
        }
    }
    Ok(found)
}

/// When a statement was said, by engine time; of those of an earlier build, when what said it came.
fn said_at(row: &Row) -> Result<Timestamp, Error> {
    if !row[5].is_null() {
        return Ok(Timestamp(row[5].as_int()?));
    }
    match statement_of(row)? {
        Statement::Together { at, .. } => Ok(at),
        Statement::Apart { .. } => Ok(Timestamp::EARLIEST),
    }
}

/// Who somebody was at a time.
#[derive(Debug, Serialize, ToSchema)]
pub struct ThenView {
    /// As of which instant: what had come until then counts.
    pub at: String,
    /// The profile that had the identifier asked for: its id then.
    pub id: String,
    /// The identifiers that it had.
    pub identifiers: Vec<IdentifierView>,
    /// The traits that counted, by name.
    pub traits: BTreeMap<String, TraitView>,
    /// Identifiers that are of the same person now and were not then: each group was a person of its own.
    pub others: Vec<Vec<IdentifierView>>,
    /// How many events that rests on.
    pub events: usize,
    /// Whether all of its events could be read.
    pub complete: bool,
}

/// Who the person of `node` was at a time; `None` where nobody was known by it yet, or too much hangs together.
pub fn then(
    store: &mut dyn Reader,
    log: &dyn EventLog,
    access: &Access,
    node: NodeId,
    at: Timestamp,
) -> Result<Option<ThenView>, Error> {
    let Some(row) = store.get(&schema::NODE, &[Node::key(access.workspace, node)])?.pop().flatten() else {
        return Ok(None);
    };
    let now = ids_of(store, access, ProfileId(NodeId(row[5].as_int()?)))?;
    let counts = |row: &Row| {
        said_at(row).is_ok_and(|said| said <= at) && (!is_withdrawn(row) || row[7].as_int().is_ok_and(|w| w > at.0))
    };
    let Some(found) = groups(store, access, &now, at, &counts)? else { return Ok(None) };
    let (own, others): (Vec<Vec<Node>>, Vec<Vec<Node>>) =
        found.into_iter().partition(|group| group.iter().any(|member| member.id == node));
    let Some(own) = own.into_iter().next() else { return Ok(None) };
    let concerns = |group: &Vec<Node>| group.iter().any(|member| now.contains(&member.id));
    let offsets = views::offsets(store, access, &own, u64::MAX >> 1, EVENTS_MAX + 1)?;
    let complete = offsets.len() <= EVENTS_MAX;
    let history = rules_history(store, access.workspace)?;
    let rules = &history.last().unwrap_or(&history[0]).1;
    let definitions = Workspace::load(store, access.workspace)?;
    let preparations = &definitions.preparations;
    let (mut traits, mut events, mut missing) = (Traits::default(), 0, false);
    let partition = access.workspace.partition(log.partitions());
    let mut block: Option<onefold_log::Block> = None;
    for offset in offsets.into_iter().rev().take(EVENTS_MAX) {
        if block.as_ref().is_none_or(|b| !(b.first..b.end()).contains(&offset)) {
            block = match log.read(partition, offset, 1) {
                Ok(blocks) => blocks.into_iter().next(),
                Err(ReadError::Trimmed { .. }) => None,
                Err(error) => return Err(error.into()),
            };
        }
        let Some(record) = block.iter().flat_map(|b| b.records()).find(|r| r.offset == offset && !r.erased) else {
            missing = true;
            continue;
        };
        let Ok(record) = EventRecord::decode(record.payload) else { continue };
        if record.received_at > at {
            continue;
        }
        let outcome = preparations.apply(offset, &record);
        let Ok(event) = Event::read(offset, prepared(record, &outcome), rules) else { continue };
        events += 1;
        let kept = |name: &str, raw: &str| name.len() <= NAME_BYTES_MAX && raw.len() <= VALUE_BYTES_MAX;
        for (name, raw) in event.person.iter().filter(|(name, raw)| kept(name, raw.get())) {
            traits.observe(name, observed(&event, raw));
        }
    }
    // What may not be used any more is not shown as of a time when it could be, either.
    let survivorship = &definitions.survivorship;
    let joined = Joined { nodes: own.iter().collect(), policy: &definitions.policy, survivorship, at: access.at };
    traits.forget(|observed| !joined.may_count(observed));
    let sources = views::sources(store, access)?;
    Ok(Some(ThenView {
        at: at.to_string(),
        id: ProfileId(own[0].id).to_string(),
        identifiers: views::identifiers(&own),
        traits: views::newest(&traits, &sources),
        others: others.into_iter().filter(concerns).map(|group| views::identifiers(&group)).collect(),
        events,
        complete: complete && !missing,
    }))
}

/// What other rules would have made of all that was said so far.
#[derive(Debug, Serialize, ToSchema)]
pub struct RulesTried {
    /// Profiles there are.
    pub profiles_now: usize,
    /// Profiles there would be.
    pub profiles_then: usize,
    /// Profiles that would be joined with others.
    pub merged: usize,
    /// Profiles that would be parted.
    pub parted: usize,
    /// Identifiers that would be none, because their values would be blocked.
    pub blocked: usize,
    /// Statements of which something would be refused.
    pub refused: usize,
    /// The identifiers of the largest profile there is, and of the largest there would be.
    pub largest: [usize; 2],
    /// Some of those that would change: the profiles there are, and the identifiers of those there would be.
    pub examples: Vec<Change>,
}

/// How some profiles would change.
#[derive(Debug, Serialize, ToSchema)]
pub struct Change {
    /// The profiles that there are.
    pub now: Vec<String>,
    /// The identifiers of each that there would be, as `kind:value`.
    pub then: Vec<Vec<String>>,
}

/// Takes all statements under other rules, from the first on; changes nothing.
pub fn try_rules(store: &mut dyn Reader, access: &Access, rules: &Rules) -> Result<RulesTried, Error> {
    let all = vec![Value::Int(access.workspace.0.into()), PERSON];
    let mut nodes: Vec<(NodeFacts, ProfileId, String)> = vec![];
    let mut blocked = 0;
    for_each_row(store, &schema::NODE, &all, &mut |row| {
        let (kind, value) = (row[3].as_text()?, row[4].as_text()?);
        if rules.is_blocked(kind, value) {
            blocked += 1;
            return Ok(());
        }
        let id = NodeId(row[2].as_int()?);
        let facts = NodeFacts { id, rank: rules.rank(kind).0, first_seen: Timestamp(row[6].as_int()?) };
        nodes.push((facts, ProfileId(NodeId(row[5].as_int()?)), format!("{kind}:{value}")));
        Ok(())
    })?;
    let ranks: FxHashMap<NodeId, usize> = nodes.iter().map(|(facts, ..)| (facts.id, facts.rank)).collect();
    let mut statements = vec![];
    for_each_row(store, &schema::STATEMENT, &all, &mut |row| {
        if !is_withdrawn(row) {
            let mut statement = statement_of(row)?;
            if let Statement::Together { nodes, .. } = &mut statement {
                nodes.retain(|node| ranks.contains_key(node));
                // Under the new order another may be the first to be left out.
                nodes.sort_by_key(|node| ranks[node]);
            }
            statements.push(statement);
        }
        Ok(())
    })?;
    let facts: Vec<NodeFacts> = nodes.iter().map(|(facts, ..)| *facts).collect();
    let (region, decisions) = cluster::recluster(&facts, &statements, rules);
    let clusters = region.clusters();
    let of: FxHashMap<NodeId, (ProfileId, &str)> =
        nodes.iter().map(|(facts, profile, name)| (facts.id, (*profile, name.as_str()))).collect();
    let mut now: FxHashMap<ProfileId, BTreeSet<usize>> = FxHashMap::default();
    let mut sizes: FxHashMap<ProfileId, usize> = FxHashMap::default();
    for (number, cluster) in clusters.iter().enumerate() {
        for node in cluster {
            now.entry(of[node].0).or_default().insert(number);
            *sizes.entry(of[node].0).or_default() += 1;
        }
    }
    let (mut merged, mut examples) = (0, vec![]);
    for (number, cluster) in clusters.iter().enumerate() {
        let from: BTreeSet<ProfileId> = cluster.iter().map(|node| of[node].0).collect();
        let is_first = from.first().is_some_and(|profile| now[profile].first() == Some(&number));
        let is_parted = from.iter().any(|profile| now[profile].len() > 1);
        merged += from.len() - 1;
        if (from.len() > 1 || (is_parted && is_first)) && examples.len() < EXAMPLES {
            let after: BTreeSet<usize> = from.iter().flat_map(|profile| now[profile].iter().copied()).collect();
            let names = |number: &usize| clusters[*number].iter().map(|node| of[node].1.to_owned()).collect();
            examples.push(Change {
                now: from.iter().map(ProfileId::to_string).collect(),
                then: after.iter().map(names).collect(),
            });
        }
    }
    Ok(RulesTried {
        profiles_now: now.len(),
        profiles_then: clusters.len(),
        merged,
        parted: now.values().filter(|clusters| clusters.len() > 1).count(),
        blocked,
        refused: decisions.iter().filter(|decision| !decision.dropped.is_empty()).count(),
        largest: [sizes.values().copied().max().unwrap_or(0), clusters.iter().map(Vec::len).max().unwrap_or(0)],
        examples,
    })
}

fn for_each_row(
    store: &mut dyn Reader,
    table: &'static onefold_state::Table,
    prefix: &Row,
    on: &mut dyn FnMut(&Row) -> Result<(), Error>,
) -> Result<(), Error> {
    const PAGE: usize = 10_000;
    let mut after = None;
    loop {
        let rows = store.scan(&Scan { after, ..Scan::prefix(table, prefix.clone(), PAGE) })?;
        rows.iter().try_for_each(&mut *on)?;
        match rows.last() {
            Some(last) if rows.len() == PAGE => after = Some(last[..table.key].to_vec()),
            _ => return Ok(()),
        }
    }
}
