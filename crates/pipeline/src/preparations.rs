//! What is done to each source's events before they are folded, by versions.
//!
//! A version holds from its command's offset on. One that is to be replayed holds from the beginning of the log, once derived state
//! is rebuilt: until then it cannot have been applied to what is folded already. Whoever reads an old event reads it by the
//! version that it was folded by.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use onefold_log::{EventLog, Kind};
use onefold_model::{
    WorkspaceId,
    access::Access,
    event::{EventRecord, record::SourceId, view},
};
use onefold_prepare::{Outcome, Preparation, Prepared, quality};
use onefold_state::{Reader, Row, Scan, Txn, Value, schema};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Error, definitions::Workspace};

/// Kind of their rows among the definitions.
pub(crate) const KIND: &str = "preparation";

/// A version as it stands in the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// What is done; absent: nothing any more.
    pub preparation: Option<Preparation>,
    /// From which log offset on.
    pub from: u64,
    /// Whether it is to hold from the beginning once derived state is rebuilt.
    #[serde(default)]
    pub replay: bool,
}

/// A version made ready.
#[derive(Debug, Clone)]
pub struct Known {
    /// As it stands.
    pub version: Version,
    prepared: Option<Arc<Prepared>>,
}

/// The preparations of a workspace's sources.
#[derive(Debug, Clone, Default)]
pub struct Preparations {
    /// By source, then by the offset of the command that brought the version.
    by_source: BTreeMap<SourceId, BTreeMap<u64, Known>>,
}

impl Preparations {
    /// Reads those of a workspace.
    pub(crate) fn load(store: &mut dyn Reader, workspace: WorkspaceId) -> Result<Preparations, Error> {
        let prefix = vec![Value::Int(workspace.0.into()), Value::Text(KIND.to_owned())];
        let mut all = Preparations::default();
        for row in store.scan(&Scan::prefix(&schema::DEFINITION_VERSION, prefix, usize::MAX))? {
            let (source, number, version) = read(&row)?;
            all.set(source, number, version);
        }
        Ok(all)
    }

    /// Takes a version. One that is known already, as a rebuild has brought it before its command, stays.
    pub(crate) fn set(&mut self, source: SourceId, number: u64, version: Version) -> Version {
        match self.by_source.entry(source).or_default().entry(number) {
            Entry::Occupied(known) => known.get().version.clone(),
            Entry::Vacant(place) => {
                // Commands are checked: what does not compile does nothing.
                let prepared = version.preparation.as_ref().and_then(|p| p.compile().ok()).map(Arc::new);
                place.insert(Known { version, prepared }).version.clone()
            }
        }
    }

    /// Whether nothing is done to any source's events, nor ever was.
    pub fn is_empty(&self) -> bool {
        self.by_source.is_empty()
    }

    /// The newest version of a source.
    pub fn newest(&self, source: SourceId) -> Option<&Version> {
        self.by_source.get(&source)?.last_key_value().map(|(_, known)| &known.version)
    }

    /// Prepares an event; `None` where nothing is done to its source's events.
    pub(crate) fn apply(&self, offset: u64, record: &EventRecord<'_>) -> Option<Outcome> {
        let versions = self.by_source.get(&record.source)?;
        let known = versions.values().rev().find(|known| known.version.from <= offset)?;
        Some(known.prepared.as_ref()?.apply(record.json))
    }

    /// An event as people see it: as its source's preparation makes it.
    pub fn render(&self, offset: u64, record: EventRecord<'_>) -> String {
        let outcome = self.apply(offset, &record);
        view::render(&prepared(record, &outcome))
    }
}

/// The record as it is after preparation.
pub(crate) fn prepared<'a>(record: EventRecord<'a>, outcome: &'a Option<Outcome>) -> EventRecord<'a> {
    let json = outcome.as_ref().and_then(|outcome| outcome.json.as_deref()).unwrap_or(record.json);
    EventRecord { json, ..record }
}

/// Brings versions that are to be replayed into a generation that is built anew; gives how many of them did not hold from the
/// beginning before.
pub(crate) fn promote(
    from: &mut dyn Reader,
    into: &mut dyn Txn,
    own: impl Fn(WorkspaceId) -> bool,
) -> Result<usize, Error> {
    let (mut rows, mut promoted) = (vec![], 0);
    for row in from.scan(&Scan::prefix(&schema::DEFINITION_VERSION, vec![], usize::MAX))? {
        if row[1].as_text()? != KIND || !own(WorkspaceId(row[0].as_int()? as u32)) {
            continue;
        }
        let (_, _, version) = read(&row)?;
        if version.replay {
            promoted += usize::from(version.from > 0);
            let version = serde_json::to_string(&Version { from: 0, ..version }).unwrap_or_default();
            rows.push(row[..7].iter().cloned().chain([Value::Text(version)]).collect());
        }
    }
    into.put(&schema::DEFINITION_VERSION, rows)?;
    Ok(promoted)
}

fn read(row: &Row) -> Result<(SourceId, u64, Version), Error> {
    let unreadable = |error: String| Error::unreadable("a preparation", error);
    let source = row[2].as_text()?.parse().map_err(|_| unreadable("it names no source".to_owned()))?;
    let version = serde_json::from_str(row[7].as_text()?).map_err(|error| unreadable(error.to_string()))?;
    Ok((source, row[3].as_int()? as u64, version))
}

/// What a preparation does to events that came.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Trial {
    /// Events it was tried on: the source's newest.
    pub events: u64,
    /// Of these, how many it does not let in.
    pub blocked: u64,
    /// Of these, how many go against a tracking plan and are let in.
    pub violating: u64,
    /// What each step changes.
    pub steps: Vec<StepTrial>,
    /// What goes against the plan, the most frequent first.
    pub violations: Vec<Violation>,
}

/// What a step does to events that came.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepTrial {
    /// Its name.
    pub step: &'static str,
    /// In how many events it changes something.
    pub events: u64,
    /// How many values it changes.
    pub values: u64,
    /// Events before and after it, the newest first.
    pub examples: Vec<Example>,
}

/// An event before and after a step.
#[derive(Debug, Serialize, ToSchema)]
pub struct Example {
    /// What changed of it, before.
    #[schema(value_type = Object)]
    pub before: serde_json::Value,
    /// The same after.
    #[schema(value_type = Object)]
    pub after: serde_json::Value,
}

/// A sentence of a tracking plan that does not hold.
#[derive(Debug, Serialize, ToSchema)]
pub struct Violation {
    /// What.
    pub what: String,
    /// In how many events.
    pub events: u64,
}

/// Examples that a step is shown with.
const EXAMPLES: usize = 3;

/// Violations that are shown.
const VIOLATIONS_SHOWN: usize = 50;

/// Tries a preparation on the newest events of a source.
pub fn try_on(
    log: &dyn EventLog,
    access: &Access,
    source: SourceId,
    preparation: &Preparation,
    events_max: usize,
) -> Result<Trial, Error> {
    let Ok(prepared) = preparation.compile() else { return Ok(Trial::default()) };
    let named = preparation.step_names().into_iter();
    let steps = named.map(|step| StepTrial { step, events: 0, values: 0, examples: vec![] }).collect();
    let mut trial = Trial { steps, ..Trial::default() };
    let mut violations: BTreeMap<String, u64> = BTreeMap::new();
    newest(log, access, source, events_max, &mut |_, record| {
        let json = record.json;
        trial.events += 1;
        let outcome = prepared.apply(json);
        trial.blocked += u64::from(!outcome.blocked.is_empty());
        trial.violating += u64::from(outcome.blocked.is_empty() && !outcome.violations.is_empty());
        for what in outcome.blocked.into_iter().chain(outcome.violations) {
            *violations.entry(what).or_default() += 1;
        }
        for (place, values) in outcome.changed {
            let step = &mut trial.steps[place];
            step.events += 1;
            step.values += u64::from(values);
            if step.examples.len() < EXAMPLES {
                let [before, after] = [place, place + 1].map(|steps| prepared.first(steps).apply_to(json));
                let (before, after) = difference(&before, &after);
                step.examples.push(Example { before, after });
            }
        }
    })?;
    trial.violations = violations.into_iter().map(|(what, events)| Violation { what, events }).collect();
    trial.violations.sort_by_key(|violation| std::cmp::Reverse(violation.events));
    trial.violations.truncate(VIOLATIONS_SHOWN);
    Ok(trial)
}

/// Log that is looked through for a source's newest events; those of one that was silent for longer are not found.
const NEWEST_OFFSETS: u64 = 2_000_000;

/// Bytes of a sample of events.
const SAMPLE_BYTES: usize = 256 << 20;

/// Log that is read at a time, from the end towards the beginning.
const OFFSETS_AT_ONCE: u64 = 20_000;

/// Calls `on` with the newest events of a source as they came, the newest first.
pub(crate) fn newest(
    log: &dyn EventLog,
    access: &Access,
    source: SourceId,
    events_max: usize,
    on: &mut dyn FnMut(u64, &EventRecord<'_>),
) -> Result<(), Error> {
    let partition = access.workspace.partition(log.partitions());
    let (start, mut end) = (log.start(partition)?, log.end(partition)?);
    let mut left = events_max;
    let start = start.max(end.saturating_sub(NEWEST_OFFSETS));
    while end > start && left > 0 {
        let from = end.saturating_sub(OFFSETS_AT_ONCE).max(start);
        let mut found: Vec<(u64, Vec<u8>)> = vec![];
        let mut next = from;
        while next < end {
            let blocks = log.read(partition, next, 8 << 20)?;
            let Some(last) = blocks.last() else { break };
            for record in blocks.iter().flat_map(|block| block.records()) {
                let inside = (next..end).contains(&record.offset) && record.kind == Kind::Event && !record.erased;
                let event = inside.then(|| EventRecord::decode(record.payload).ok()).flatten();
                let own = event.filter(|event| event.workspace == access.workspace && event.source == source);
                found.extend(own.map(|_| (record.offset, record.payload.to_vec())));
            }
            next = last.end();
        }
        for (offset, payload) in found.iter().rev().take(left) {
            if let Ok(event) = EventRecord::decode(payload) {
                on(*offset, &event);
            }
        }
        left = left.saturating_sub(found.len());
        end = from;
    }
    Ok(())
}

/// How good a source's newest events are, as its preparation leaves them.
pub fn quality(
    log: &dyn EventLog,
    access: &Access,
    definitions: &Workspace,
    source: SourceId,
    events_max: usize,
) -> Result<quality::Report, Error> {
    let (mut samples, mut bytes) = (vec![], 0);
    newest(log, access, source, events_max, &mut |offset, record| {
        bytes += record.json.len();
        if bytes > SAMPLE_BYTES {
            return;
        }
        let outcome = definitions.preparations.apply(offset, record);
        let wrong = |outcome: &Outcome| !outcome.violations.is_empty() || !outcome.blocked.is_empty();
        let violates = outcome.as_ref().is_some_and(wrong);
        let json = prepared(*record, &outcome).json.to_owned();
        samples.push(quality::Sample { json, at_ms: record.timestamp.0, violates });
    })?;
    let asked = definitions.asked();
    // What is asked of a part of it is asked of it.
    let used = |place: &str| {
        asked.iter().any(|asked| asked.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    };
    Ok(quality::report(&samples, &used))
}

/// What two objects do not have in common, of each.
fn difference(before: &serde_json::Value, after: &serde_json::Value) -> (serde_json::Value, serde_json::Value) {
    use serde_json::Value as Json;
    match (before, after) {
        (Json::Object(before), Json::Object(after)) => {
            let (mut left, mut right) = (serde_json::Map::new(), serde_json::Map::new());
            let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                let (own, other) = (before.get(name), after.get(name));
                if own == other {
                    continue;
                }
                let (own, other) = match (own, other) {
                    (Some(own), Some(other)) => {
                        let (own, other) = difference(own, other);
                        (Some(own), Some(other))
                    }
                    one => (one.0.cloned(), one.1.cloned()),
                };
                left.extend(own.map(|own| (name.clone(), own)));
                right.extend(other.map(|other| (name.clone(), other)));
            }
            (Json::Object(left), Json::Object(right))
        }
        _ => (before.clone(), after.clone()),
    }
}
