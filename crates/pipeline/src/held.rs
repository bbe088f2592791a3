//! Everything that is held of a person, for the person: what counts and what does not, from where, and who got it.

use std::collections::BTreeSet;

use onefold_log::{Block, EventLog, ReadError};
use onefold_model::{
    ProfileId, Timestamp,
    access::Access,
    event::{EventRecord, view},
    segment,
};
use onefold_state::{Reader, Row, Scan, Value, schema};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    Error,
    definitions::Workspace,
    erase::each_row,
    evidence::{self, Evidence},
    profile::Node,
    views::{self, ProfileView, name_of, raw},
};

/// What is held of a person, but for the events.
#[derive(Debug, Serialize)]
pub struct Held {
    /// The profile, as it is used.
    pub profile: ProfileView,
    /// Every value of a trait that is kept, whether it counts or not.
    pub values: Vec<HeldValue>,
    /// What was said about consent, in order.
    pub consents: Vec<Statement>,
    /// Segments the person is in, and by which condition: what is inferred of the person.
    pub segments: Vec<Inference>,
    /// What was handed to whom.
    pub deliveries: Vec<Delivery>,
    /// Why the identifiers are one person.
    pub evidence: Vec<Evidence>,
}

/// A value of a trait.
#[derive(Debug, Serialize)]
pub struct HeldValue {
    /// Of which trait.
    pub name: String,
    /// The value; `null`: the trait was said to be gone.
    pub value: Box<RawValue>,
    /// By which source.
    pub source: String,
    /// Of which identifier: `kind:value`.
    pub identifier: String,
    /// When it was said.
    pub at: String,
    /// Whether it may be used.
    pub used: bool,
}

/// A row of the consent ledger.
#[derive(Debug, Serialize)]
pub struct Statement {
    /// For which purpose.
    pub purpose: String,
    /// By which channel, where it was said of one.
    pub channel: Option<String>,
    /// What.
    pub state: String,
    /// How strongly.
    pub strength: String,
    /// Since when it holds.
    pub at: String,
    /// When it was recorded.
    pub recorded: String,
    /// By which source.
    pub source: String,
    /// Until when, under which notice and law, with which proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<RawValue>>,
}

/// A segment that the person is in.
#[derive(Debug, Serialize)]
pub struct Inference {
    /// Its name.
    pub segment: String,
    /// Since when.
    pub since: String,
    /// Who is in it.
    pub condition: String,
}

/// A hand-off.
#[derive(Debug, Serialize)]
pub struct Delivery {
    /// To which destination.
    pub destination: String,
    /// For which purpose.
    pub purpose: Option<String>,
    /// `event`, `enter`, `leave`.
    pub kind: String,
    /// Which segment.
    pub segment: String,
    /// `delivered`, `skipped`, `dead`.
    pub status: String,
    /// When.
    pub at: String,
}

/// An event as it came.
#[derive(Debug, Serialize)]
pub struct HeldEvent {
    /// Its log offset.
    pub offset: u64,
    /// By which source.
    pub source: String,
    /// When it was received.
    pub received_at: String,
    /// What came.
    pub event: Box<RawValue>,
}

fn own_key(access: &Access) -> Value {
    Value::Int(access.workspace.0.into())
}

/// What is held of a profile, but for the events; `None` where there is none of this id.
pub fn of_profile(
    store: &mut dyn Reader,
    access: &Access,
    definitions: &Workspace,
    partition: u32,
    id: ProfileId,
) -> Result<Option<Held>, Error> {
    let Some(profile) = views::profile(store, access, definitions, partition, id)? else { return Ok(None) };
    let Some((_, nodes)) = views::load(store, access, id)? else { return Ok(None) };
    let sources = views::sources(store, access)?;
    let joined = views::joined(definitions, &nodes, access.at);
    let mut values = vec![];
    for node in &nodes {
        for (name, said) in node.partial.traits.iter() {
            values.extend(said.iter().map(|observed| HeldValue {
                name: name.to_owned(),
                value: raw(observed.value.to_json()),
                source: name_of(&sources, observed.source),
                identifier: format!("{}:{}", node.kind, node.value),
                at: observed.at.to_string(),
                used: joined.may_count(observed),
            }));
        }
    }
    let mut consents = vec![];
    for node in &nodes {
        let of_node = vec![own_key(access), Value::Int(node.id.0)];
        let of_node = Scan { index: Some("of_node"), ..Scan::prefix(&schema::CONSENT, of_node, usize::MAX) };
        for row in store.scan(&of_node)? {
            consents.push(Statement {
                purpose: row[4].as_text()?.to_owned(),
                channel: row[5].some().map(Value::as_text).transpose()?.map(str::to_owned),
                state: row[6].as_text()?.to_owned(),
                strength: row[7].as_text()?.to_owned(),
                at: Timestamp(row[8].as_int()?).to_string(),
                recorded: Timestamp(row[9].as_int()?).to_string(),
                source: name_of(&sources, row[10].as_int()? as u32),
                details: row[11].some().and_then(|json| RawValue::from_string(json.as_text().ok()?.to_owned()).ok()),
            });
        }
    }
    let condition = |name: &str| definitions.segments.get(name).map(|of| segment::text::print(&of.newest.condition));
    let segments = profile.segments.iter().map(|segment| Inference {
        segment: segment.name.clone(),
        since: segment.since.clone(),
        condition: condition(&segment.name).unwrap_or_default(),
    });
    let segments = segments.collect();
    let evidence = evidence::of_profile(store, access, id)?;
    let deliveries = deliveries(store, access, definitions, &nodes)?;
    Ok(Some(Held { profile, values, consents, segments, deliveries, evidence }))
}

fn deliveries(
    store: &mut dyn Reader,
    access: &Access,
    definitions: &Workspace,
    nodes: &[Node],
) -> Result<Vec<Delivery>, Error> {
    // A profile is called by one of its nodes, then as now.
    let theirs: BTreeSet<i64> = nodes.iter().map(|node| node.id.0).collect();
    let mut found = vec![];
    each_row::<Error>(store, &schema::RECEIPT, &[own_key(access)], &mut |row: Row| {
        if theirs.contains(&row[7].as_int()?) {
            let destination = row[1].as_text()?.to_owned();
            found.push(Delivery {
                purpose: definitions.subscriptions.get(&destination).and_then(|s| s.purpose.clone()),
                destination,
                kind: row[5].as_text()?.to_owned(),
                segment: row[6].as_text()?.to_owned(),
                status: row[8].as_text()?.to_owned(),
                at: Timestamp(row[10].as_int()?).to_string(),
            });
        }
        Ok(())
    })?;
    Ok(found)
}

/// Calls `on` with every event of a profile, as it came, the oldest first.
pub fn events(
    store: &mut dyn Reader,
    log: &dyn EventLog,
    access: &Access,
    id: ProfileId,
    on: &mut dyn FnMut(HeldEvent),
) -> Result<(), Error> {
    let Some((_, nodes)) = views::load(store, access, id)? else { return Ok(()) };
    let offsets = views::offsets(store, access, &nodes, i64::MAX as u64, usize::MAX)?;
    let sources = views::sources(store, access)?;
    let partition = access.workspace.partition(log.partitions());
    let mut block: Option<Block> = None;
    for offset in offsets.into_iter().rev() {
        if block.as_ref().is_none_or(|block| !(block.first..block.end()).contains(&offset)) {
            block = match log.read(partition, offset, 1) {
                Ok(blocks) => blocks.into_iter().next(),
                Err(ReadError::Trimmed { .. }) => None,
                Err(error) => return Err(error.into()),
            };
        }
        let record = block.iter().flat_map(Block::records).find(|record| record.offset == offset && !record.erased);
        let Some(Ok(event)) = record.map(|record| EventRecord::decode(record.payload)) else { continue };
        on(HeldEvent {
            offset,
            source: name_of(&sources, event.source),
            received_at: event.received_at.to_string(),
            event: raw(view::render(&event)),
        });
    }
    Ok(())
}
