//! Nodes and profiles as the pipeline holds them, and their rows.

use std::borrow::Cow;

use onefold_model::{
    NodeId, ProfileId, Timestamp, Value as TraitValue, WorkspaceId,
    consent::{self, Policy, Question, Said},
    profile::{Observed, Partial, Series, Survivor, Survivorship, survivorship::MOST_RECENT},
    segment::{Facts, MetricId},
};
use onefold_state::{Reader, Row, Scan, Txn, Value, schema};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{Error, cache::Held, definitions::UseId};

/// The entity column of people.
pub const PERSON: Value = Value::Int(0);

/// An identifier and what is folded at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub workspace: WorkspaceId,
    pub id: NodeId,
    pub kind: String,
    pub value: String,
    pub profile: ProfileId,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// Events that belong to it.
    pub events: u64,
    pub partial: Partial,
}

impl Node {
    pub fn key(workspace: WorkspaceId, id: NodeId) -> Row {
        vec![Value::Int(workspace.0.into()), PERSON, Value::Int(id.0)]
    }

    pub fn to_row(&self) -> Row {
        let mut body = Vec::with_capacity(256);
        self.partial.encode(&mut body);
        vec![
            Value::Int(self.workspace.0.into()),
            PERSON,
            Value::Int(self.id.0),
            Value::Text(self.kind.clone()),
            Value::Text(self.value.clone()),
            Value::Int(self.profile.0.0),
            Value::Int(self.first_seen.0),
            Value::Int(self.last_seen.0),
            Value::Int(self.events as i64),
            Value::Bytes(body),
        ]
    }

    /// Reads a node; `store` gives the chunks of its long series.
    pub fn from_row(row: &Row, store: &mut dyn Reader) -> Result<Node, Error> {
        debug_assert_eq!(row.len(), schema::NODE.columns.len());
        let mut failed = None;
        let mut chunks = |metric: MetricId| {
            let prefix = row[..3].iter().cloned().chain([Value::Int(metric.0.into())]).collect();
            chunk_rows(store, prefix).unwrap_or_else(|error| {
                failed = Some(error);
                vec![]
            })
        };
        let partial = Partial::decode(row[9].as_bytes()?, &mut chunks);
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(Node {
            workspace: WorkspaceId(row[0].as_int()? as u32),
            id: NodeId(row[2].as_int()?),
            kind: row[3].as_text()?.to_owned(),
            value: row[4].as_text()?.to_owned(),
            profile: ProfileId(NodeId(row[5].as_int()?)),
            first_seen: Timestamp(row[6].as_int()?),
            last_seen: Timestamp(row[7].as_int()?),
            events: row[8].as_int()? as u64,
            partial: partial.map_err(|e| Error::unreadable("a node", e))?,
        })
    }
}

impl Held for Box<Node> {
    fn heap_bytes(&self) -> usize {
        size_of::<Node>() + self.kind.capacity() + self.value.capacity() + self.partial.heap_bytes()
    }
}

impl Held for Option<NodeId> {
    fn heap_bytes(&self) -> usize {
        0
    }
}

fn chunk_rows(store: &mut dyn Reader, prefix: Row) -> Result<Vec<(u32, Vec<u8>)>, Error> {
    let rows = store.scan(&Scan::prefix(&schema::SERIES_CHUNK, prefix, usize::MAX))?;
    rows.into_iter().map(|row| Ok((row[4].as_int()? as u32, row[5].as_bytes()?.to_vec()))).collect()
}

/// Writes the chunks of long series that changed, so that the node's own row stays small.
pub fn write_chunks(txn: &mut dyn Txn, node: &mut Node) -> Result<(), Error> {
    let own = Node::key(node.workspace, node.id);
    for (metric, series) in &mut node.partial.series {
        let (mut puts, mut deletes) = (vec![], vec![]);
        for (number, bytes) in series.dirty_chunks() {
            let mut row: Row = own.iter().cloned().chain([metric.0, number].map(|n| Value::Int(n.into()))).collect();
            match bytes {
                Some(bytes) => {
                    row.push(Value::Bytes(bytes));
                    puts.push(row);
                }
                None => deletes.push(row),
            }
        }
        if !puts.is_empty() || !deletes.is_empty() {
            txn.put(&schema::SERIES_CHUNK, puts)?;
            txn.delete(&schema::SERIES_CHUNK, &deletes)?;
            series.mark_clean();
        }
    }
    Ok(())
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub workspace: WorkspaceId,
    pub id: ProfileId,
    /// Its nodes, ascending; the first gives the id.
    pub nodes: SmallVec<[NodeId; 4]>,
    /// Pairs said to be two people, with one of them here.
    pub apart: Vec<(NodeId, NodeId)>,
    /// The segments it is in.
    pub segments: Memberships,
    /// When to decide its segments again without an event; `MAX`: never.
    pub due: Timestamp,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// Events of all its nodes.
    pub events: u64,
    /// Uses by destinations that the person allowed when that was last decided, ascending.
    pub permitted: SmallVec<[UseId; 2]>,
}

/// The segments that a profile is in, by number, each with since when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memberships(SmallVec<[(u32, Timestamp); 4]>);

impl Memberships {
    fn place(&self, number: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&number, |(number, _)| *number)
    }

    /// Since when it is in this one, if it is.
    pub fn since(&self, number: u32) -> Option<Timestamp> {
        self.place(number).ok().map(|place| self.0[place].1)
    }

    /// All.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Timestamp)> {
        self.0.iter().copied()
    }

    /// Enters a segment, or leaves it; says whether that changed anything.
    pub fn change(&mut self, number: u32, entered: bool, at: Timestamp) -> bool {
        match (self.place(number), entered) {
            (Err(place), true) => self.0.insert(place, (number, at)),
            (Ok(place), false) => drop(self.0.remove(place)),
            _ => return false,
        }
        true
    }
}

/// Version 3 of a profile's body: a version byte, then this by postcard. Version 2 had no `permitted`.
#[derive(Serialize, Deserialize)]
struct Body {
    nodes: SmallVec<[NodeId; 4]>,
    apart: Vec<(NodeId, NodeId)>,
    segments: SmallVec<[(u32, Timestamp); 4]>,
    permitted: SmallVec<[UseId; 2]>,
}

/// The end of a body of version 2: nothing was permitted yet, and is decided when the profile is looked at again.
const NOT_DECIDED: [u8; 1] = [0];

const VERSION: u8 = 3;

impl Profile {
    pub fn key(workspace: WorkspaceId, id: ProfileId) -> Row {
        Node::key(workspace, id.0)
    }

    pub fn to_row(&self) -> Row {
        let body = Body {
            nodes: self.nodes.clone(),
            apart: self.apart.clone(),
            segments: self.segments.0.clone(),
            permitted: self.permitted.clone(),
        };
        let body = postcard::to_extend(&body, vec![VERSION]).expect("a vector takes all that is written to it");
        vec![
            Value::Int(self.workspace.0.into()),
            PERSON,
            Value::Int(self.id.0.0),
            if self.due == Timestamp::MAX { Value::Null } else { Value::Int(self.due.0) },
            Value::Int(self.first_seen.0),
            Value::Int(self.last_seen.0),
            Value::Int(self.events as i64),
            Value::Bytes(body),
        ]
    }

    pub fn from_row(row: &Row) -> Result<Profile, Error> {
        debug_assert_eq!(row.len(), schema::PROFILE.columns.len());
        let body: Body = match row[7].as_bytes()?.split_first() {
            Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|e| Error::unreadable("a profile", e))?,
            Some((2, rest)) => {
                postcard::from_bytes(&[rest, &NOT_DECIDED].concat()).map_err(|e| Error::unreadable("a profile", e))?
            }
            // Version 1 did not say since when a profile is in a segment; the log does.
            Some((1, _)) => return Err(Error::unreadable("a profile", "an earlier Onefold wrote it")),
            _ => return Err(Error::unreadable("a profile", "a newer Onefold wrote it; upgrade this one")),
        };
        Ok(Profile {
            workspace: WorkspaceId(row[0].as_int()? as u32),
            id: ProfileId(NodeId(row[2].as_int()?)),
            nodes: body.nodes,
            apart: body.apart,
            segments: Memberships(body.segments),
            due: row[3].some().map(Value::as_int).transpose()?.map_or(Timestamp::MAX, Timestamp),
            first_seen: Timestamp(row[4].as_int()?),
            last_seen: Timestamp(row[5].as_int()?),
            events: row[6].as_int()? as u64,
            permitted: body.permitted,
        })
    }
}

impl Held for Box<Profile> {
    fn heap_bytes(&self) -> usize {
        fn spilled<T>(items: &SmallVec<[T; 4]>) -> usize {
            if items.spilled() { items.capacity() * size_of::<T>() } else { 0 }
        }
        let apart = self.apart.capacity() * size_of::<(NodeId, NodeId)>();
        size_of::<Profile>() + spilled(&self.nodes) + spilled(&self.segments.0) + apart
    }
}

/// One person's facts: the join over the nodes, made as they are asked.
pub struct Joined<'a> {
    pub nodes: SmallVec<[&'a Node; 4]>,
    pub policy: &'a Policy,
    pub survivorship: &'a Survivorship,
    pub at: Timestamp,
}

impl<'a> Joined<'a> {
    /// The value of the trait that counts, and why; `Null` where the trait is gone.
    pub fn survivor(&self, name: &str) -> Option<Survivor<'a>> {
        let allows = |purpose: &str| self.consent(purpose, None).allowed;
        self.survivorship.survivor(self.nodes.iter().map(|node| &node.partial.traits), name, self.at, &allows)
    }

    /// Whether a value may be shown and used: it has not expired, and the person allows its source's purpose.
    pub fn may_count(&self, observed: &Observed) -> bool {
        let allows = |purpose: &str| self.consent(purpose, None).allowed;
        self.survivorship.may_count(observed, self.at, &allows)
    }

    /// Every trait's value that counts, by name; traits that are gone are left out.
    pub fn traits(&self) -> Vec<(&'a str, Survivor<'a>)> {
        let mut names: Vec<&str> =
            self.nodes.iter().flat_map(|n| n.partial.traits.iter().map(|(name, _)| name)).collect();
        names.sort_unstable();
        names.dedup();
        let counting = names.into_iter().filter_map(|name| Some((name, self.survivor(name)?)));
        counting.filter(|(_, survivor)| *survivor.value != TraitValue::Null).collect()
    }

    /// The rows of consent of each node, without those deferred to nodes of others.
    pub fn voices(&self) -> impl Iterator<Item = impl Iterator<Item = &'a consent::Row>> {
        self.nodes.iter().map(|node| {
            let ours = |speaker: NodeId| self.nodes.iter().any(|node| node.id == speaker);
            node.partial.consents.iter().filter(move |row| row.deferred_to.is_none_or(ours))
        })
    }

    /// The code of the law under which the person lives, by what was said last of it, whoever said so: whether a value may
    /// be used must not depend on itself.
    pub fn jurisdiction(&self) -> Option<&'a str> {
        let said = |name: &str| {
            let values = self.nodes.iter().map(|node| &node.partial.traits);
            match &*MOST_RECENT.survivor(values, name, self.at, &|_| true)?.value {
                TraitValue::Text(text) => Some(text.clone()),
                _ => None,
            }
        };
        self.policy.jurisdiction_of(&said)
    }

    /// Whether the person may be reached, and why.
    pub fn consent(&self, purpose: &str, channel: Option<&str>) -> consent::Decision {
        let asked = Question { purpose, channel, jurisdiction: self.jurisdiction(), at: self.at };
        consent::decide(self.policy, self.voices(), asked)
    }

    /// When any decision about consent may change without a new fact.
    pub fn consent_until(&self) -> Timestamp {
        self.policy.until(self.voices().flatten(), self.at)
    }

    /// What the person has said of consent, as copies keep it.
    pub fn said(&self) -> Said {
        let voices = self.voices().map(|rows| rows.cloned().collect::<Vec<_>>()).filter(|rows| !rows.is_empty());
        Said { jurisdiction: self.jurisdiction().map(str::to_owned), voices: voices.collect() }
    }
}

impl Facts for Joined<'_> {
    fn trait_value(&self, name: &str) -> Option<Cow<'_, TraitValue>> {
        self.survivor(name).map(|survivor| survivor.value).filter(|value| **value != TraitValue::Null)
    }

    fn series(&self, metric: MetricId) -> SmallVec<[&Series; 4]> {
        let mut found = SmallVec::new();
        for node in &self.nodes {
            if let Some(series) = node.partial.series(metric) {
                found.push(series);
            }
        }
        found
    }

    fn reachable(&self, purpose: &str, channel: Option<&str>) -> bool {
        self.consent(purpose, channel).allowed
    }

    fn reachable_until(&self, _: &str, _: Option<&str>) -> Timestamp {
        self.consent_until()
    }
}
