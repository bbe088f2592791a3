//! A log, a store and a worker, driven step by step.

use std::sync::Arc;

use onefold_log::{Batch, EventLog, Kind, MemoryLog};
use onefold_model::{
    NodeId, ProfileId, Timestamp, WorkspaceId,
    access::{Access, Caller, Purpose, Sight},
    clock::{Clock, ManualClock},
    command::{Command, CommandRecord, IdentifierRef, Subscription},
    consent::{Particulars, State, Strength},
    event::{Fields, Incoming, Limits, accept},
    segment::text,
};
use onefold_pipeline::{
    Error, Settings,
    changes::{self, Change},
    definitions::Workspace,
    rebuild, views,
    worker::{Step, Worker},
};
use onefold_state::{MemoryStore, Reader, Row, Scan, StateStore, Table, schema};
use serde_json::value::RawValue;

use crate::call::{Call, kind_of};

/// The workspace that all speak of.
pub const WORKSPACE: WorkspaceId = WorkspaceId(1);

/// When the world begins: 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp(1_767_225_600_000);

/// A second, a minute, an hour, in milliseconds.
pub const SECOND: i64 = 1000;
/// A minute in milliseconds.
pub const MINUTE: i64 = 60 * SECOND;
/// An hour in milliseconds.
pub const HOUR: i64 = 60 * MINUTE;
/// A day in milliseconds.
pub const DAY: i64 = 24 * HOUR;

/// Steps without an end are a fault.
const STEPS_MAX: usize = 200_000;

/// Somebody's data, handed over for a purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOff {
    /// Whose.
    pub profile: ProfileId,
    /// What for.
    pub purpose: String,
}

/// A log, a store, a clock, and a worker that lives until it is crashed.
pub struct World {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The store.
    pub store: Arc<dyn StateStore>,
    /// The one clock.
    pub clock: Arc<ManualClock>,
    /// The pipeline's.
    pub settings: Settings,
    /// The workspace that is spoken of.
    pub workspace: WorkspaceId,
    /// What has left the outbox.
    pub delivered: Vec<Row>,
    worker: Option<Worker>,
    sent: u64,
}

impl Default for World {
    fn default() -> Self {
        World::new()
    }
}

impl World {
    /// A world in memory.
    pub fn new() -> World {
        World::on(Arc::new(MemoryLog::new(1)), Arc::new(MemoryStore::new(schema::ALL)))
    }

    /// A world on this log and store.
    pub fn on(log: Arc<dyn EventLog>, store: Arc<dyn StateStore>) -> World {
        let settings = Settings { page_profiles: 3, read_at_once: 2, ..Settings::default() };
        let clock = Arc::new(ManualClock::at(START));
        World { log, store, clock, settings, workspace: WORKSPACE, delivered: vec![], worker: None, sent: 0 }
    }

    /// Engine time as the clock says it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock on.
    pub fn advance(&mut self, ms: i64) {
        self.clock.advance(ms);
    }

    /// The partition of the workspace.
    pub fn partition(&self) -> u32 {
        self.workspace.partition(self.log.partitions())
    }

    /// The log record of a call that comes now; `None` where ingestion refuses it.
    pub fn record(&mut self, call: &Call) -> Option<Vec<u8>> {
        let mut json = call.json.clone();
        self.sent += 1;
        json.entry("messageId").or_insert_with(|| format!("m{}", self.sent).into());
        let raw = RawValue::from_string(serde_json::Value::Object(json).to_string()).ok()?;
        let incoming = Incoming {
            workspace: self.workspace,
            source: call.source,
            raw: &raw,
            kind: None,
            batch: &Fields::default(),
            place: 0,
            received_at: self.now(),
            import: call.import,
            gpc: call.gpc,
        };
        let mut record = vec![];
        accept(&incoming, &Limits::default(), &mut record).ok().map(|()| record)
    }

    /// Sends a call; gives its offset.
    ///
    /// # Panics
    /// Where ingestion refuses it, or the log does not take it.
    pub fn send(&mut self, call: Call) -> u64 {
        let record = self.record(&call).expect("ingestion takes it");
        self.append(Kind::Event, &record)
    }

    /// Gives a command; gives its offset.
    pub fn command(&mut self, command: Command) -> u64 {
        let record = self.command_record(command);
        self.append(Kind::Command, &record)
    }

    /// The log record of a command that is given now.
    pub fn command_record(&self, command: Command) -> Vec<u8> {
        let caller = Caller::Operator.name().into_owned();
        CommandRecord { v: 1, workspace: self.workspace, at: self.now(), caller, command }.encode()
    }

    /// Appends a record as it is.
    ///
    /// # Panics
    /// Where the log does not take it.
    pub fn append(&mut self, kind: Kind, payload: &[u8]) -> u64 {
        let mut batch = Batch::new();
        batch.push(kind, payload).expect("it is small");
        pollster::block_on(self.log.append(self.partition(), batch)).expect("the log takes it").start
    }

    /// Defines a segment by its text.
    ///
    /// # Panics
    /// Where the text does not parse.
    pub fn segment(&mut self, name: &str, condition: &str) -> u64 {
        let condition = text::parse(condition).unwrap_or_else(|error| panic!("{error}"));
        let (description, purpose, owner) = (None, None, None);
        let definition =
            onefold_model::segment::Definition { name: name.to_owned(), description, purpose, owner, condition };
        self.command(Command::SegmentSet(definition))
    }

    /// Defines a computed trait by its text: `spent = sum("Order", revenue)`.
    ///
    /// # Panics
    /// Where the text does not parse.
    pub fn computed(&mut self, line: &str) -> u64 {
        let definition = text::parse_computed(line).unwrap_or_else(|error| panic!("{error}"));
        self.command(Command::ComputedSet(definition))
    }

    /// Subscribes a destination to segments and events.
    pub fn subscribe(&mut self, destination: &str, segments: &[&str], events: &[&str]) -> u64 {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        self.command(Command::Subscribe(Subscription {
            destination: destination.to_owned(),
            segments: owned(segments),
            events: owned(events),
            purpose: None,
            channel: None,
        }))
    }

    /// Subscribes a destination to segments, for a purpose.
    pub fn subscribe_for(&mut self, destination: &str, segments: &[&str], purpose: &str) -> u64 {
        let segments = segments.iter().map(|name| (*name).to_owned()).collect();
        let (destination, purpose) = (destination.to_owned(), Some(purpose.to_owned()));
        self.command(Command::Subscribe(Subscription { destination, segments, events: vec![], purpose, channel: None }))
    }

    /// An operator enters a consent.
    pub fn consent(&mut self, who: &str, purpose: &str, channel: Option<&str>, state: State) -> u64 {
        self.command(Command::Consent {
            subject: reference(who),
            purpose: purpose.to_owned(),
            channel: channel.map(str::to_owned),
            state,
            by: Strength::Operator,
            terms: Particulars::default(),
        })
    }

    /// Sets the policy of consent, in JSON.
    ///
    /// # Panics
    /// Where it is none.
    pub fn policy(&mut self, json: &str) -> u64 {
        self.command(Command::ConsentPolicy(serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}"))))
    }

    /// Says that two identifiers are one person.
    pub fn merge(&mut self, a: &str, b: &str) -> u64 {
        self.command(Command::Merge { a: reference(a), b: reference(b) })
    }

    /// Says that two identifiers are two people; with one alone, that it is nobody else.
    pub fn unmerge(&mut self, a: &str, b: Option<&str>) -> u64 {
        self.command(Command::Unmerge { a: reference(a), b: b.map(reference) })
    }

    /// One step of the worker, which is opened where there is none.
    pub fn step(&mut self) -> Result<Step, Error> {
        if self.worker.is_none() {
            let (log, store, clock) = (self.log.clone(), self.store.clone(), self.clock.clone());
            self.worker = Some(Worker::open(log, store, clock, self.partition(), self.settings.clone())?);
        }
        self.worker.as_mut().map_or(Ok(Step::Idle), Worker::step)
    }

    /// Steps until there is nothing to do.
    ///
    /// # Panics
    /// Where a step fails, or it never ends.
    pub fn run(&mut self) -> &mut World {
        for _ in 0..STEPS_MAX {
            if self.step().expect("the pipeline works") == Step::Idle {
                return self;
            }
        }
        panic!("the pipeline does not come to rest");
    }

    /// Puts the clock to `at` and runs.
    pub fn run_at(&mut self, at: Timestamp) -> &mut World {
        self.clock.set(at);
        self.run()
    }

    /// The worker's memory is gone.
    pub fn crash(&mut self) {
        self.worker = None;
    }

    /// Rebuilds derived state from the log.
    pub fn rebuild(&mut self) -> Result<rebuild::Rebuilt, Error> {
        self.crash();
        let clock: Arc<dyn Clock> = self.clock.clone();
        rebuild::rebuild(&self.log, &self.store, &clock, &self.settings, &mut |_, _| {})
    }

    /// The same log, and no more, folded into an empty store, with these settings.
    ///
    /// # Panics
    /// Where a step fails.
    pub fn replayed(&self, settings: Settings) -> World {
        let mut world = World::on(self.log.clone(), Arc::new(MemoryStore::new(schema::ALL)));
        world.settings = settings;
        world.workspace = self.workspace;
        // A clock on which nothing is ever due.
        world.clock = Arc::new(ManualClock::at(Timestamp::MIN));
        world.run();
        world
    }

    /// A consistent view of the store.
    ///
    /// # Panics
    /// Where the store fails.
    pub fn reader(&self) -> Box<dyn Reader + '_> {
        self.store.reader().expect("the store is there")
    }

    /// All rows of a table.
    pub fn rows(&self, table: &'static Table) -> Vec<Row> {
        self.reader().scan(&Scan::prefix(table, vec![], usize::MAX)).expect("the store is there")
    }

    /// The operator, now.
    pub fn access(&self) -> Access {
        let purpose = Purpose::administration();
        Access { caller: Caller::Operator, workspace: self.workspace, purpose, at: self.now(), sight: Sight::all() }
    }

    /// What is defined.
    ///
    /// # Panics
    /// Where it cannot be read.
    pub fn definitions(&self) -> Workspace {
        Workspace::load(&mut *self.reader(), self.workspace).expect("definitions can be read")
    }

    /// Who entered and left which segment of the workspace, in order.
    ///
    /// # Panics
    /// Where it cannot be read.
    pub fn changes(&self) -> Vec<Change> {
        let partition = self.workspace.partition(self.log.partitions());
        let mut changes = changes::all(&mut *self.reader(), partition).expect("changes can be read");
        changes.retain(|change| change.workspace == self.workspace);
        changes
    }

    /// The profile of an identifier or id.
    pub fn find(&self, text: &str) -> Option<ProfileId> {
        views::find(&mut *self.reader(), &self.access(), text).expect("the store is there")
    }

    /// The profile of an identifier or id, as it is shown.
    pub fn profile(&self, text: &str) -> Option<views::ProfileView> {
        let id = self.find(text)?;
        let definitions = self.definitions();
        views::profile(&mut *self.reader(), &self.access(), &definitions, self.partition(), id).expect("it can be read")
    }

    /// The identifiers of each profile, sorted.
    pub fn people(&self) -> Vec<String> {
        let all = views::profiles(&mut *self.reader(), &self.access(), None, usize::MAX).expect("they can be read");
        sorted(all.iter().map(|member| names(&member.identifiers)))
    }

    /// The identifiers of each member of a segment, sorted.
    pub fn members(&self, segment: &str) -> Vec<String> {
        let members = views::members(&mut *self.reader(), &self.access(), segment, None, usize::MAX);
        let members = members.expect("they can be read").unwrap_or_default();
        sorted(members.iter().map(|member| names(&member.identifiers)))
    }

    /// What waits for a destination, in order: `enter vip: a1 u1`, `event Order: p_…`.
    pub fn outbox(&self, destination: &str) -> Vec<String> {
        let rows = self.rows(&schema::OUTBOX);
        let own = rows.iter().filter(|row| row[1].as_text().is_ok_and(|name| name == destination));
        own.map(|row| {
            let body: serde_json::Value = serde_json::from_slice(row[11].as_bytes().expect("bytes")).expect("JSON");
            let kind = row[5].as_text().expect("text");
            if kind == "event" {
                let name = body["event"].as_str().or(body["type"].as_str()).unwrap_or_default();
                return format!("event {name}");
            }
            let mut who: Vec<&str> = body["profile"]["identifiers"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|i| i["value"].as_str())
                .collect();
            who.sort_unstable();
            format!("{kind} {}: {}", row[6].as_text().expect("text"), who.join(" "))
        })
        .collect()
    }

    /// The first of what waits in the outbox leaves it; gives what of it is handed over: whatever takes somebody out of an audience, and the
    /// rest where consent permits it now, as it is decided when a delivery is claimed.
    ///
    /// # Panics
    /// Where the store fails.
    pub fn deliver(&mut self, rows: usize) -> Vec<HandOff> {
        let (access, definitions) = (self.access(), self.definitions());
        let mut txn = self.store.begin_shared().expect("the store is there");
        let first = txn.scan(&Scan::prefix(&schema::OUTBOX, vec![], rows)).expect("the store is there");
        let mut handed = vec![];
        for row in &first {
            let text = |column: usize| row[column].as_text().expect("text").to_owned();
            let subscription = definitions.subscriptions.get(&text(1));
            let Some(purpose) = subscription.and_then(|to| to.purpose.clone()) else { continue };
            let profile = ProfileId(NodeId(row[7].as_int().expect("a number")));
            let decision = views::consent(&mut *txn, &access, &definitions.policy, profile, &purpose, None);
            let allowed = decision.expect("it can be decided").is_some_and(|decision| decision.allowed);
            if allowed && matches!(text(5).as_str(), "enter" | "event") {
                handed.push(HandOff { profile, purpose });
            }
        }
        let keys: Vec<Row> = first.iter().map(|row| row[..schema::OUTBOX.key].to_vec()).collect();
        txn.delete(&schema::OUTBOX, &keys).and_then(|()| txn.commit()).expect("the store is there");
        self.delivered.extend(first);
        handed
    }

    /// Everything that was ever put in the outbox, in order.
    pub fn outbox_ever(&self) -> Vec<Row> {
        let mut rows = self.rows(&schema::OUTBOX);
        rows.extend(self.delivered.iter().cloned());
        rows.sort_unstable();
        rows
    }

    /// The kinds of the alarms, in order.
    pub fn alarms(&self) -> Vec<String> {
        self.rows(&schema::ALARM).iter().map(|row| row[3].as_text().expect("text").to_owned()).collect()
    }

    /// A running total.
    pub fn tally(&self, name: &str) -> i64 {
        views::tally(&mut *self.reader(), &self.access(), name).expect("it can be read")
    }
}

/// An identifier as commands name it.
pub fn reference(name: &str) -> IdentifierRef {
    IdentifierRef { kind: kind_of(name).to_owned(), value: name.to_owned() }
}

fn names(identifiers: &[views::IdentifierView]) -> String {
    let mut names: Vec<&str> = identifiers.iter().map(|identifier| identifier.value.as_str()).collect();
    names.sort_unstable();
    names.join(" ")
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}
