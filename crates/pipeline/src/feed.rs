//! What changed, for those who keep a copy in another form.
//!
//! A copy of accepted events and of people is as of an offset. To bring it up to a later one it takes, in one view of the
//! store, the events accepted in between and the profiles that changed. Which these are is written with every
//! micro-batch: those that came, went, gained or lost nodes, or whose traits or consent changed; not those that only had
//! events.

use std::{borrow::Cow, collections::BTreeSet, ops::Range, sync::Arc};

use onefold_log::{EventLog, Kind};
use onefold_model::{
    NodeId, ProfileId, Timestamp, Value as TraitValue, WorkspaceId,
    access::Access,
    consent::{self, Decision, Policy, Said},
    event::EventRecord,
    profile::{Survivorship, Traits},
    segment::Facts as _,
};
use onefold_state::{Reader, Row, Scan, Table, Txn, Value, schema};
use smallvec::SmallVec;

use crate::{
    Error, changes,
    definitions::Workspace,
    preparations::prepared,
    profile::{Joined, Node, PERSON, Profile},
    verdict::{self, Verdict},
};
pub use crate::{changes::Change, prepare::Event};

const VERSION: u8 = 1;

/// Offsets for which changes are kept. A copy that is older is made anew.
pub const KEPT_OFFSETS: u64 = 10_000_000;

/// Log that is read at a time.
const READ_BYTES: usize = 8 << 20;

/// Profiles that are read at a time.
const PAGE: usize = 2000;

/// Notes which profiles a micro-batch changed, and forgets what is too old.
pub(crate) fn write(
    txn: &mut dyn Txn,
    partition: u32,
    first: u64,
    changed: &BTreeSet<(WorkspaceId, ProfileId)>,
) -> Result<(), Error> {
    let partition = Value::Int(partition.into());
    let changes: Vec<(u32, i64)> = changed.iter().map(|(workspace, profile)| (workspace.0, profile.0.0)).collect();
    let body = postcard::to_extend(&changes, vec![VERSION]).expect("a vector takes all that is written to it");
    txn.put(&schema::PROFILE_CHANGE, vec![vec![partition.clone(), Value::Int(first as i64), Value::Bytes(body)]])?;
    let old = first.saturating_sub(KEPT_OFFSETS) as i64;
    let oldest = txn.scan(&Scan::prefix(&schema::PROFILE_CHANGE, vec![partition], 4))?;
    // A row is about all offsets up to the next one's.
    let mut gone: Vec<Row> = vec![];
    for rows in oldest.windows(2) {
        if rows[1][1].as_int()? <= old {
            gone.push(rows[0][..2].to_vec());
        }
    }
    txn.delete(&schema::PROFILE_CHANGE, &gone).map_err(Error::from)
}

/// Reads a stored row; `None` where it cannot be read.
pub fn decode(bytes: &[u8]) -> Option<Vec<(WorkspaceId, ProfileId)>> {
    let (&VERSION, rest) = bytes.split_first()? else { return None };
    let changes: Vec<(u32, i64)> = postcard::from_bytes(rest).ok()?;
    Some(changes.into_iter().map(|(workspace, id)| (WorkspaceId(workspace), ProfileId(NodeId(id)))).collect())
}

/// The profiles of a workspace that changed at `from` or later, ascending, and those that changed earlier in the same
/// micro-batch; `None` where that is no longer known. `next` is where the partition stands in this view of the store.
pub fn changed(
    store: &mut dyn Reader,
    access: &Access,
    partition: u32,
    from: u64,
    next: u64,
) -> Result<Option<BTreeSet<ProfileId>>, Error> {
    if from < next.saturating_sub(KEPT_OFFSETS) {
        return Ok(None);
    }
    let mut found = BTreeSet::new();
    for row in rows_of(store, &schema::PROFILE_CHANGE, partition, from..next)? {
        let changes = decode(row[2].as_bytes()?).ok_or_else(|| {
            Error::unreadable("changes of profiles", "a newer Onefold wrote them, or they are damaged")
        })?;
        found.extend(changes.into_iter().filter(|(of, _)| *of == access.workspace).map(|(_, id)| id));
    }
    Ok(Some(found))
}

/// The rows, one for each micro-batch, that may be about these offsets.
fn rows_of(
    store: &mut dyn Reader,
    table: &'static Table,
    partition: u32,
    offsets: Range<u64>,
) -> Result<Vec<Row>, Error> {
    // The micro-batch that the first of them is in may have begun before it: a rebuild cuts the log at other places.
    let start = verdict::batch_of(store, partition, offsets.start)?;
    let partition = Value::Int(partition.into());
    let within = Scan {
        after: Some(vec![partition.clone(), Value::Int(start as i64 - 1)]),
        until: Some(Value::Int(offsets.end as i64 - 1)),
        ..Scan::prefix(table, vec![partition], usize::MAX)
    };
    Ok(store.scan(&within)?)
}

/// Who entered and left which segment of the workspace at these offsets, in order.
pub fn memberships(
    store: &mut dyn Reader,
    access: &Access,
    partition: u32,
    offsets: Range<u64>,
) -> Result<Vec<Change>, Error> {
    let rows = rows_of(store, &schema::SEGMENT_CHANGE, partition, offsets.clone())?;
    let mut found = changes::read(&rows)?;
    found.retain(|change| change.workspace == access.workspace && offsets.contains(&change.offset));
    Ok(found)
}

/// A row of the consent ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// The log offset that brought it.
    pub offset: u64,
    /// Of which identifier.
    pub node: NodeId,
    /// For which purpose.
    pub purpose: String,
    /// By which channel, where it was said of one.
    pub channel: Option<String>,
    /// What was said: `granted`, `denied`, ….
    pub state: String,
    /// How strongly.
    pub strength: String,
    /// When it was said.
    pub at: Timestamp,
    /// When it came.
    pub recorded: Timestamp,
    /// By which source; 0: by the operator.
    pub source: u32,
}

/// The consent ledger's rows of the workspace that came at these offsets, in order.
pub fn consents(store: &mut dyn Reader, access: &Access, offsets: Range<u64>) -> Result<Vec<Stated>, Error> {
    let workspace = Value::Int(access.workspace.0.into());
    let before = |first: u64| vec![workspace.clone(), Value::Int(first as i64 - 1), Value::Int(i64::MAX)];
    let (after, until) = (Some(before(offsets.start)), Some(Value::Int(offsets.end as i64 - 1)));
    let scan = Scan { after, until, ..Scan::prefix(&schema::CONSENT, vec![workspace.clone()], usize::MAX) };
    let stated = |row: Row| {
        Ok(Stated {
            offset: row[1].as_int()? as u64,
            node: NodeId(row[3].as_int()?),
            purpose: row[4].as_text()?.to_owned(),
            channel: if row[5].is_null() { None } else { Some(row[5].as_text()?.to_owned()) },
            state: row[6].as_text()?.to_owned(),
            strength: row[7].as_text()?.to_owned(),
            at: Timestamp(row[8].as_int()?),
            recorded: Timestamp(row[9].as_int()?),
            source: row[10].as_int()? as u32,
        })
    };
    store.scan(&scan)?.into_iter().map(stated).collect()
}

/// Calls `on` for each accepted event of the workspace at these offsets, with the node it belongs to. Stops early when some
/// `bytes_max` of the log were read; gives the offset after the last one looked at.
pub fn accepted(
    store: &mut dyn Reader,
    log: &dyn EventLog,
    access: &Access,
    definitions: &Workspace,
    offsets: Range<u64>,
    bytes_max: usize,
    on: &mut dyn FnMut(NodeId, &Event<'_>),
) -> Result<u64, Error> {
    let partition = access.workspace.partition(log.partitions());
    let to = offsets.end;
    let mut next = offsets.start.max(log.start(partition)?);
    let mut bytes = 0;
    while next < to && bytes < bytes_max {
        let blocks = log.read(partition, next, READ_BYTES)?;
        let Some(upto) = blocks.last().map(|block| block.end().min(to)) else { return Ok(to) };
        let verdicts = verdict::between(store, partition, next, upto)?;
        for record in blocks.iter().flat_map(|block| block.records()) {
            bytes += record.payload.len();
            let inside = (next..upto).contains(&record.offset) && record.kind == Kind::Event && !record.erased;
            let verdict = inside.then(|| verdicts.get((record.offset - next) as usize)).flatten();
            let (Some(Verdict::Accepted(node)), Ok(event)) = (verdict, EventRecord::decode(record.payload)) else {
                continue;
            };
            if event.workspace != access.workspace {
                continue;
            }
            let outcome = definitions.preparations.apply(record.offset, &event);
            if let Ok(event) = Event::read(record.offset, prepared(event, &outcome), &definitions.rules) {
                on(*node, &event);
            }
        }
        next = upto;
    }
    Ok(next.min(to))
}

/// A person, as of an instant.
pub struct Person {
    id: ProfileId,
    ids: Vec<NodeId>,
    nodes: Vec<Node>,
    policy: Arc<Policy>,
    survivorship: Arc<Survivorship>,
    at: Timestamp,
}

impl Person {
    /// The profile's id.
    pub fn id(&self) -> ProfileId {
        self.id
    }

    /// Its nodes.
    pub fn nodes(&self) -> &[NodeId] {
        &self.ids
    }

    fn joined(&self) -> Joined<'_> {
        let nodes = self.nodes.iter().collect::<SmallVec<_>>();
        Joined { nodes, policy: &self.policy, survivorship: &self.survivorship, at: self.at }
    }

    /// The value of a trait that counts.
    pub fn trait_value(&self, name: &str) -> Option<Cow<'_, TraitValue>> {
        let joined = self.joined();
        let allows = |purpose: &str| joined.reachable(purpose, None);
        let values = self.nodes.iter().map(|node| &node.partial.traits);
        let survivor = self.survivorship.survivor(values, name, self.at, &allows);
        survivor.map(|survivor| survivor.value).filter(|value| **value != TraitValue::Null)
    }

    /// Its traits that have a value, as a JSON object.
    pub fn traits_json(&self) -> String {
        let mut json = String::from("{");
        for (name, survivor) in self.joined().traits() {
            let comma = if json.len() > 1 { "," } else { "" };
            let name = serde_json::Value::from(name);
            json.push_str(&format!("{comma}{name}:{}", survivor.value.to_json()));
        }
        json.push('}');
        json
    }

    /// What the person has said of consent, as [`onefold_model::consent::Said`] writes it; `None` where that is nothing.
    pub fn consents_json(&self) -> Option<String> {
        self.said().to_json()
    }

    /// Its identifiers: of each its node, its kind and its value.
    pub fn identifiers(&self) -> impl Iterator<Item = (NodeId, &str, &str)> {
        self.nodes.iter().map(|node| (node.id, node.kind.as_str(), node.value.as_str()))
    }

    /// Its nodes: of each its kind, its value, and the traits that were said of it and may be used.
    pub fn records(&self) -> impl Iterator<Item = (NodeId, &str, &str, Cow<'_, Traits>)> {
        let joined = self.joined();
        let has_terms = !joined.survivorship.parties.is_empty();
        self.nodes.iter().map(move |node| {
            let mut traits = Cow::Borrowed(&node.partial.traits);
            if has_terms {
                traits.to_mut().forget(|observed| !joined.may_count(observed));
            }
            (node.id, node.kind.as_str(), node.value.as_str(), traits)
        })
    }

    /// What a policy decides about a use of its data.
    pub fn consent(&self, policy: &Policy, purpose: &str, channel: Option<&str>) -> Decision {
        Joined { policy, ..self.joined() }.consent(purpose, channel)
    }

    /// What it has said of consent.
    pub fn said(&self) -> Said {
        self.joined().said()
    }

    /// What one of its nodes said for another: of each that other.
    pub fn deferred(&self) -> impl Iterator<Item = (NodeId, &consent::Row)> {
        let ours = |row: &&consent::Row| row.deferred_to.is_some_and(|speaker| self.ids.contains(&speaker));
        self.nodes.iter().flat_map(move |node| node.partial.consents.iter().filter(ours).map(move |row| (node.id, row)))
    }

    /// The code of the law under which it lives.
    pub fn jurisdiction(&self) -> Option<&str> {
        self.joined().jurisdiction()
    }

    /// Whether it may be reached for a purpose, by a channel where one is named.
    pub fn reachable(&self, purpose: &str, channel: Option<&str>) -> bool {
        self.joined().reachable(purpose, channel)
    }

    /// When that changes without a new fact, as where an agreement runs out.
    pub fn reachable_until(&self) -> Timestamp {
        self.joined().consent_until()
    }
}

/// Calls `on` for each of these profiles: with what it is as of `at`, or `None` where there is none of this id.
pub fn people(
    store: &mut dyn Reader,
    access: &Access,
    definitions: &Workspace,
    ids: &[ProfileId],
    at: Timestamp,
    on: &mut dyn FnMut(ProfileId, Option<Person>),
) -> Result<(), Error> {
    for ids in ids.chunks(PAGE) {
        let keys: Vec<Row> = ids.iter().map(|id| Profile::key(access.workspace, *id)).collect();
        let rows = store.get(&schema::PROFILE, &keys)?;
        for (id, row) in ids.iter().zip(rows) {
            let person = row.map(|row| person(store, access, definitions, &row, at)).transpose()?;
            on(*id, person);
        }
    }
    Ok(())
}

/// Calls `on` for the next profiles after `after`, as of `at`; gives the last of them where there may be more.
pub fn next_people(
    store: &mut dyn Reader,
    access: &Access,
    definitions: &Workspace,
    after: Option<ProfileId>,
    at: Timestamp,
    on: &mut dyn FnMut(Person),
) -> Result<Option<ProfileId>, Error> {
    let prefix = vec![Value::Int(access.workspace.0.into()), PERSON];
    let after = after.map(|id| Profile::key(access.workspace, id));
    let rows = store.scan(&Scan { after, ..Scan::prefix(&schema::PROFILE, prefix, PAGE) })?;
    let mut last = None;
    for row in &rows {
        let person = person(store, access, definitions, row, at)?;
        last = Some(person.id());
        on(person);
    }
    Ok(last.filter(|_| rows.len() == PAGE))
}

fn person(
    store: &mut dyn Reader,
    access: &Access,
    definitions: &Workspace,
    row: &Row,
    at: Timestamp,
) -> Result<Person, Error> {
    let profile = Profile::from_row(row)?;
    let keys: Vec<Row> = profile.nodes.iter().map(|id| Node::key(access.workspace, *id)).collect();
    let rows = store.get(&schema::NODE, &keys)?;
    let nodes = rows.iter().flatten().map(|row| Node::from_row(row, store)).collect::<Result<_, Error>>()?;
    let (policy, survivorship) = (definitions.policy.clone(), definitions.survivorship.clone());
    Ok(Person { id: profile.id, ids: profile.nodes.to_vec(), nodes, policy, survivorship, at })
}

#[cfg(test)]
mod tests {
    use onefold_model::access::{Caller, Purpose, Sight};
    use onefold_state::{MemoryStore, StateStore as _};

    use super::*;

    fn id(node: i64) -> ProfileId {
        ProfileId(NodeId(node))
    }

    fn store(batches: &[(u64, i64)]) -> MemoryStore {
        let store = MemoryStore::new(schema::ALL);
        let epoch = store.take_over(0).expect("a store in memory");
        let mut txn = store.begin(0, epoch, None).expect("a store in memory");
        for (first, profile) in batches {
            write(&mut *txn, 0, *first, &BTreeSet::from([(WorkspaceId(1), id(*profile))])).expect("it is written");
            let applied = vec![Value::Int(0), Value::uint(*first), Value::Int(1), Value::Bytes(vec![])];
            txn.put(&schema::VERDICT, vec![applied]).expect("it is written");
        }
        txn.commit().expect("a store in memory");
        store
    }

    fn changed_from(store: &MemoryStore, from: u64, next: u64) -> Option<Vec<ProfileId>> {
        let access = Access {
            caller: Caller::Operator,
            workspace: WorkspaceId(1),
            purpose: Purpose::administration(),
            at: Timestamp(0),
            sight: Sight::all(),
        };
        let reader = &mut *store.reader().expect("a store in memory");
        changed(reader, &access, 0, from, next).expect("changes").map(|found| found.into_iter().collect())
    }

    #[test]
    fn who_asks_from_the_middle_of_a_micro_batch_is_told_of_all_of_it() {
        let store = store(&[(0, 1), (10, 2), (20, 3)]);
        assert_eq!(changed_from(&store, 15, 30), Some(vec![id(2), id(3)]));
        assert_eq!(changed_from(&store, 20, 30), Some(vec![id(3)]));
        assert_eq!(changed_from(&store, 25, 30), Some(vec![id(3)]));
        assert_eq!(changed_from(&store, 0, 30), Some(vec![id(1), id(2), id(3)]));
    }

    #[test]
    fn a_micro_batch_is_kept_while_any_of_its_offsets_may_be_asked_for() {
        let kept = KEPT_OFFSETS;
        let store = store(&[(0, 1), (10, 2), (kept + 5, 3), (kept + 10, 4), (kept + 11, 5)]);
        assert_eq!(changed_from(&store, 12, kept + 12), Some(vec![id(2), id(3), id(4), id(5)]));
        assert_eq!(changed_from(&store, 11, kept + 12), None);
        let rows = store.reader().expect("a store").scan(&Scan::prefix(&schema::PROFILE_CHANGE, vec![], 10));
        assert_eq!(rows.expect("rows").len(), 4, "the first is about offsets that nobody may ask for");
    }
}
