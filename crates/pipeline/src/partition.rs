//! One partition's state at work: what is loaded, what is decided, what is to be written.
//!
//! [`Partition::apply`] takes records in log order within a transaction. Events and ticks come in runs; a command comes
//! alone, because it may change how the next event is read.

use onefold_log::{Kind, Record};
use onefold_model::{
    NodeId, ProfileId, Timestamp, WorkspaceId,
    command::{CommandRecord, decode_tick},
    event::EventRecord,
    identity,
};
use onefold_prepare::Outcome;
use onefold_state::{Reader, Scan, Txn, Value, schema};
use rayon::prelude::*;
use std::{collections::hash_map::Entry, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    Error,
    ahead::{Ahead, Gone, Wanted},
    cache::Cache,
    changes,
    dedupe::{Dedupe, Remembered},
    definitions::Workspace,
    effects::Effects,
    feed,
    identity::identifier_key,
    jobs::Jobs,
    preparations::prepared,
    prepare::Event,
    profile::{Node, PERSON, Profile, write_chunks},
    registry::Registry,
    suppression::Suppressed,
    timers::Timers,
    verdict::{self, Verdict},
};

/// Bounds and windows of the pipeline.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Days for which a message id is remembered.
    pub dedupe_days: u32,
    /// Bytes of decoded profiles kept in memory.
    pub cache_bytes_max: usize,
    /// Decompressed bytes of log read at a time.
    pub batch_bytes_max: usize,
    /// Records that are parsed at once, and whose state is read at once, while those before them are applied.
    pub read_at_once: usize,
    /// Profiles in one page of work over all profiles.
    pub page_profiles: usize,
    /// Decompressed bytes of log folded in one step of a backfill.
    pub backfill_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            dedupe_days: 30,
            cache_bytes_max: 256 << 20,
            batch_bytes_max: 32 << 20,
            read_at_once: 1000,
            page_profiles: 2000,
            backfill_bytes_max: 8 << 20,
        }
    }
}

/// Nodes of which a core encodes at least so many: fewer are done sooner by one.
const PARALLEL_MIN: usize = 128;

/// Rows that are made before they are handed to the transaction: all of them at once would not stay in the processor's
/// cache.
const ROWS_AT_ONCE: usize = 2000;

/// Timers that fire before what they made is handed to the transaction.
const TIMERS_AT_ONCE: usize = 5000;

/// Timers whose profiles are loaded at once.
const TIMERS_AHEAD: usize = 250;

/// The state of one partition.
#[derive(Debug)]
pub struct Partition {
    pub(crate) number: u32,
    pub(crate) settings: Settings,
    pub(crate) workspaces: FxHashMap<WorkspaceId, Workspace>,
    pub(crate) registries: FxHashMap<WorkspaceId, Registry>,
    pub(crate) nodes: Cache<NodeId, Box<Node>>,
    pub(crate) profiles: Cache<ProfileId, Box<Profile>>,
    /// From an identifier to its node; `None`: it is known that there is none.
    pub(crate) identifiers: Cache<u128, Option<NodeId>>,
    pub(crate) dedupe: Dedupe,
    pub(crate) timers: Timers,
    pub(crate) jobs: Jobs,
    pub(crate) effects: Effects,
    /// How often memory was trimmed within the transaction: what was loaded before may be gone.
    trims: u64,
    /// What the transaction has removed.
    pub(crate) gone: Gone,
    /// The offset after the last one applied.
    pub next_offset: u64,
    /// Engine time: that of the last record.
    pub now: Timestamp,
    /// A rebuild: nothing goes to an outbox.
    pub(crate) silent: bool,
    /// A rebuild that reads the log by other preparations than it was read by before.
    pub(crate) replays: bool,
}

impl Partition {
    /// Reads where the partition, of so many, stands.
    pub fn load(store: &mut dyn Reader, number: u32, partitions: u32, settings: Settings) -> Result<Partition, Error> {
        let progress = store.get(&schema::PROGRESS, &[vec![Value::Int(number.into())]])?.pop().flatten();
        let (next_offset, now, jobs) = match progress {
            None => (0, Timestamp::MIN, Jobs::default()),
            Some(row) => (row[1].as_int()? as u64, Timestamp(row[2].as_int()?), Jobs::decode(row[3].as_bytes()?)?),
        };
        Ok(Partition {
            number,
            workspaces: FxHashMap::default(),
            registries: FxHashMap::default(),
            nodes: Cache::default(),
            profiles: Cache::default(),
            identifiers: Cache::default(),
            dedupe: Dedupe::load(store, number, settings.dedupe_days)?,
            timers: Timers::load(store, number, partitions)?,
            jobs,
            effects: Effects::default(),
            trims: 0,
            gone: Gone::default(),
            next_offset,
            now,
            silent: false,
            replays: false,
            settings,
        })
    }

    /// Applies records that follow each other, the first at [`next_offset`](Self::next_offset); gives how many. It stops
    /// before one that must wait for a scan. What they change is written by [`finish`](Self::finish). After an error the
    /// partition must be loaded anew.
    ///
    /// `ahead` sees the store as it was when the transaction began, and is used to read what the later records touch
    /// while the earlier ones are applied.
    pub fn apply(
        &mut self,
        txn: &mut dyn Txn,
        mut ahead: Option<Box<dyn Reader + Send + '_>>,
        records: &[Record<'_>],
    ) -> Result<usize, Error> {
        let first = self.next_offset;
        let mut applied = 0;
        while let Some(record) = records.get(applied) {
            let rest = &records[applied..];
            let run = rest.iter().take_while(|r| r.erased || r.kind != Kind::Command).count();
            if run > 0 {
                self.apply_run(txn, ahead.take(), &rest[..run])?;
                applied += run;
            } else if self.must_wait(record) {
                break;
            } else {
                self.apply_command(txn, record)?;
                applied += 1;
            }
        }
        self.next_offset = first + applied as u64;
        if applied > 0 {
            let body = verdict::encode(first, &std::mem::take(&mut self.effects.verdicts));
            let key = [i64::from(self.number), first as i64, applied as i64].map(Value::Int);
            txn.put(&schema::VERDICT, vec![key.into_iter().chain([Value::Bytes(body)]).collect()])?;
            let changes = std::mem::take(&mut self.effects.changes);
            if !changes.is_empty() {
                let key = [i64::from(self.number), first as i64].map(Value::Int);
                let body = Value::Bytes(changes::encode(&changes));
                txn.put(&schema::SEGMENT_CHANGE, vec![key.into_iter().chain([body]).collect()])?;
            }
            let people = std::mem::take(&mut self.effects.people);
            if !people.is_empty() {
                feed::write(txn, self.number, first, &people)?;
            }
        }
        Ok(applied)
    }

    /// Whether there is no room in memory for what further records touch.
    pub(crate) fn is_full(&self) -> bool {
        let bytes = self.nodes.bytes() + self.profiles.bytes() + self.identifiers.bytes();
        bytes > self.settings.cache_bytes_max / 2
    }

    /// Writes all that is decided, and where the partition stands.
    pub(crate) fn finish(&mut self, txn: &mut dyn Txn) -> Result<(), Error> {
        self.write(txn)?;
        self.dedupe.flush(txn, self.now)?;
        let place = [i64::from(self.number), self.next_offset as i64, self.now.0].map(Value::Int);
        txn.put(&schema::PROGRESS, vec![place.into_iter().chain([Value::Bytes(self.jobs.encode())]).collect()])
            .map_err(Error::from)
    }

    /// The transaction is committed: drops from memory what was not used for long.
    pub fn committed(&mut self) {
        self.trim();
        (self.trims, self.gone) = (0, Gone::default());
    }

    fn trim(&mut self) {
        if self.is_full() {
            self.nodes.turn();
            self.profiles.turn();
            self.identifiers.turn();
        }
    }

    fn apply_run(
        &mut self,
        txn: &mut dyn Txn,
        ahead: Option<Box<dyn Reader + Send + '_>>,
        records: &[Record<'_>],
    ) -> Result<(), Error> {
        let mut unread = Vec::with_capacity(records.len());
        for record in records {
            let record = Unread::of(record);
            if let Unread::Event(_, event) = &record {
                self.workspace(txn, event.workspace)?;
            }
            unread.push(record);
        }
        let of = |workspace: &Workspace| (workspace.rules.clone(), workspace.suppressed.clone());
        let rules: Rules = self.workspaces.iter().map(|(id, workspace)| (*id, of(workspace))).collect();
        let prepare = |record: &Unread<'_>| match record {
            Unread::Event(offset, event) => self.workspaces[&event.workspace].preparations.apply(*offset, event),
            Unread::Other(_) => None,
        };
        let outcomes: Vec<Option<Outcome>> = unread.iter().map(prepare).collect();
        let mut unread = unread.into_iter().zip(&outcomes);
        let remembered = self.dedupe.remembered();
        let read = move |(record, outcome)| Unread::read(record, outcome, &rules, &remembered);
        let at_once = self.settings.read_at_once;
        if records.len() <= at_once {
            return self.apply_items(txn, records, &unread.map(read).collect::<Vec<_>>());
        }
        // Parsing needs nothing of the state, so the next records are parsed while these are applied.
        std::thread::scope(|scope| {
            let (sender, parts) = std::sync::mpsc::sync_channel(1);
            scope.spawn(move || {
                while unread.len() > 0 {
                    let part: Vec<Item<'_>> = unread.by_ref().take(at_once).map(&read).collect();
                    if sender.send(part).is_err() {
                        return; // Applying has failed.
                    }
                }
            });
            let mut ahead = ahead.map(|reader| Ahead::start(scope, reader));
            let mut parts = parts.into_iter();
            let mut next = parts.next();
            for records in records.chunks(at_once) {
                let Some(items) = std::mem::replace(&mut next, parts.next()) else { break };
                if let Some(ahead) = &mut ahead {
                    if let Some(found) = ahead.take()?.filter(|_| self.trims == 0) {
                        self.take(found);
                    }
                    if let Some(next) = next.as_deref().filter(|_| self.trims == 0) {
                        let asked = self.asked_by(next);
                        ahead.ask(self.missing(asked));
                    }
                }
                self.apply_items(txn, records, &items)?;
            }
            Ok(())
        })
    }

    fn apply_items(&mut self, txn: &mut dyn Txn, records: &[Record<'_>], items: &[Item<'_>]) -> Result<(), Error> {
        self.load_touched(txn, items)?;
        let mut trims = self.trims;
        for (place, (record, item)) in records.iter().zip(items).enumerate() {
            self.effects.begin(record.offset);
            if let Some(at) = item.at() {
                self.advance(txn, at, record.offset)?;
            }
            if trims != self.trims {
                // Timers by the thousand have fired, and memory was trimmed.
                self.load_touched(txn, &items[place..])?;
                trims = self.trims;
            }
            let verdict = match item {
                Item::Erased => Verdict::Erased,
                Item::Tick(_) => Verdict::Tick,
                Item::Event(event) => self.apply_event(txn, event)?,
                Item::Blocked(event, violations) => {
                    self.refuse(record.offset, event, "tracking_plan", &violations.join("; "));
                    self.against_the_plan(txn, event, violations)?;
                    Verdict::Refused
                }
                Item::Suppressed(event) => {
                    self.effects.tally(event.workspace, "events.suppressed", 1);
                    Verdict::Suppressed
                }
                Item::Misshapen(event, cause) => {
                    self.refuse(record.offset, event, "unreadable", cause);
                    Verdict::Unreadable
                }
                Item::Unreadable(cause) => {
                    tracing::error!(offset = record.offset, cause, "a record cannot be read");
                    Verdict::Unreadable
                }
            };
            self.effects.verdicts.push(verdict);
            self.fire(txn, self.now.plus(1), record.offset)?;
        }
        Ok(())
    }

    /// The workspace, read when it is first met.
    pub(crate) fn workspace(&mut self, store: &mut dyn Txn, id: WorkspaceId) -> Result<&mut Workspace, Error> {
        if let Entry::Vacant(place) = self.workspaces.entry(id) {
            place.insert(Workspace::load(store, id)?);
            self.registries.insert(id, Registry::load(store, id)?);
        }
        Ok(self.workspaces.get_mut(&id).expect("it was put there just now"))
    }

    /// What the events touch: identifiers that are not in memory, and the nodes of the others.
    fn asked_by(&mut self, items: &[Item<'_>]) -> Vec<Wanted> {
        let mut touched: FxHashMap<WorkspaceId, Wanted> = FxHashMap::default();
        let mut asked: FxHashSet<u128> = FxHashSet::default();
        for item in items {
            let Item::Event(event) = item else { continue };
            let workspace = event.record.workspace;
            let wanted = touched.entry(workspace).or_insert_with(|| Wanted::of(workspace));
            for (identifier, &key) in event.identity.identifiers.iter().zip(&event.identifier_keys) {
                if !asked.insert(key) {
                    continue;
                }
                if self.identifiers.touch(&key) {
                    wanted.nodes.extend(self.identifiers.peek(&key).copied().flatten());
                    continue;
                }
                let row = vec![
                    Value::Int(workspace.0.into()),
                    PERSON,
                    Value::Text(identifier.kind.to_string()),
                    Value::Text(identifier.value.clone()),
                ];
                wanted.identifiers.push((key, row));
            }
        }
        touched.into_values().collect()
    }

    /// Loads at once whatever the events touch.
    fn load_touched(&mut self, txn: &mut dyn Txn, items: &[Item<'_>]) -> Result<(), Error> {
        let asked = self.asked_by(items);
        self.load_wanted(txn, asked)
    }

    /// A node that is in memory.
    pub(crate) fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.peek(id).map(|node| &**node)
    }

    /// The node of an identifier in its normal form, if there is one.
    pub(crate) fn find(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        kind: &str,
        value: &str,
    ) -> Result<Option<NodeId>, Error> {
        let key = identifier_key(workspace, kind, value);
        if let Some(known) = self.identifiers.peek(&key) {
            return Ok(*known);
        }
        let row = vec![Value::Int(workspace.0.into()), PERSON, Value::Text(kind.into()), Value::Text(value.into())];
        let row = txn.get(&schema::IDENTIFIER, &[row])?.pop().flatten();
        let node = row.map(|row| row[4].as_int()).transpose()?.map(NodeId);
        self.identifiers.insert(key, node);
        Ok(node)
    }

    /// Loads these nodes, their profiles, and the profiles' other nodes.
    pub(crate) fn load_nodes(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        wanted: &[NodeId],
    ) -> Result<(), Error> {
        self.load_wanted(txn, vec![Wanted { nodes: wanted.to_vec(), ..Wanted::of(workspace) }])
    }

    /// Loads these profiles and all their nodes.
    pub(crate) fn load_profiles(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        wanted: &[ProfileId],
    ) -> Result<(), Error> {
        self.load_wanted(txn, vec![Wanted { profiles: wanted.to_vec(), ..Wanted::of(workspace) }])
    }

    /// Moves engine time on to `at`, if that is later; what is due before fires first.
    pub(crate) fn advance(&mut self, txn: &mut dyn Txn, at: Timestamp, offset: u64) -> Result<(), Error> {
        if at > self.now {
            self.fire(txn, at, offset)?;
            self.now = at;
        }
        Ok(())
    }

    /// Decides anew the profiles that are due at or before `until`, each as of its own due time, in their order.
    pub(crate) fn fire(&mut self, txn: &mut dyn Txn, until: Timestamp, offset: u64) -> Result<(), Error> {
        let mut fired = 0;
        loop {
            while self.timers.must_refill(until) {
                self.write(txn)?;
                self.timers.refill(txn)?;
            }
            if fired % TIMERS_AHEAD == 0 {
                self.load_due(txn, until)?;
            }
            let Some((due, profile, workspace)) = self.timers.pop(until) else { return Ok(()) };
            self.wake(txn, workspace, profile, due, offset)?;
            fired += 1;
            if fired % TIMERS_AT_ONCE == 0 {
                self.write(txn)?;
                self.trim();
                self.trims += 1;
            }
        }
    }

    /// Loads at once those who wake next.
    fn load_due(&mut self, txn: &mut dyn Txn, until: Timestamp) -> Result<(), Error> {
        let mut due: FxHashMap<WorkspaceId, Vec<ProfileId>> = FxHashMap::default();
        for (workspace, profile) in self.timers.upcoming(until, TIMERS_AHEAD) {
            due.entry(workspace).or_default().push(profile);
        }
        due.into_iter().try_for_each(|(workspace, profiles)| self.load_profiles(txn, workspace, &profiles))
    }

    /// Hands what changed to the transaction.
    pub(crate) fn write(&mut self, txn: &mut dyn Txn) -> Result<(), Error> {
        for (workspace, registry) in &mut self.registries {
            registry.flush(*workspace, &mut self.effects);
        }
        self.effects.write(txn)?;
        let mut changed: Vec<NodeId> = std::mem::take(&mut self.effects.nodes).into_iter().collect();
        changed.sort_unstable();
        for id in &changed {
            if let Some(node) = self.nodes.get_mut(id) {
                write_chunks(txn, node)?;
            }
        }
        for part in changed.chunks(ROWS_AT_ONCE) {
            let part: Vec<&Node> = part.iter().filter_map(|id| self.node(id)).collect();
            txn.put(&schema::NODE, part.par_iter().with_min_len(PARALLEL_MIN).map(|node| node.to_row()).collect())?;
        }
        let mut changed: Vec<(ProfileId, WorkspaceId)> =
            std::mem::take(&mut self.effects.profiles).into_iter().collect();
        changed.sort_unstable();
        let mut gone = vec![];
        for part in changed.chunks(ROWS_AT_ONCE) {
            let mut rows = Vec::with_capacity(part.len());
            for (id, workspace) in part {
                match self.profiles.peek(id) {
                    Some(profile) => rows.push(profile.to_row()),
                    None => gone.push(Profile::key(*workspace, *id)),
                }
            }
            txn.put(&schema::PROFILE, rows)?;
        }
        txn.delete(&schema::PROFILE, &gone)?;
        Ok(())
    }

    fn apply_command(&mut self, txn: &mut dyn Txn, record: &Record<'_>) -> Result<(), Error> {
        self.effects.begin(record.offset);
        match CommandRecord::decode(record.payload) {
            Ok(command) => {
                self.advance(txn, command.at, record.offset)?;
                self.workspace(txn, command.workspace)?;
                self.command(txn, command, record.offset)?;
                self.effects.verdicts.push(Verdict::Command);
            }
            Err(error) => {
                tracing::error!(offset = record.offset, %error, "a command cannot be read");
                self.effects.verdicts.push(Verdict::Unreadable);
            }
        }
        self.fire(txn, self.now.plus(1), record.offset)
    }

    /// The first profiles of a workspace after `after`, loaded.
    pub(crate) fn page(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        after: Option<ProfileId>,
        limit: usize,
    ) -> Result<Vec<ProfileId>, Error> {
        self.write(txn)?;
        let prefix = vec![Value::Int(workspace.0.into()), PERSON];
        let after = after.map(|id| Profile::key(workspace, id));
        let rows = txn.scan(&Scan { after, ..Scan::prefix(&schema::PROFILE, prefix, limit) })?;
        let ids: Vec<ProfileId> =
            rows.iter().map(|row| Ok(ProfileId(NodeId(row[2].as_int()?)))).collect::<Result<_, Error>>()?;
        self.load_profiles(txn, workspace, &ids)?;
        Ok(ids)
    }
}

/// The identity rules by which events are read, and who is not let in.
type Rules = FxHashMap<WorkspaceId, (Arc<identity::Rules>, Arc<Suppressed>)>;

/// A record that is no command: an event as it stands in the log, at its offset, or what needs no reading.
enum Unread<'a> {
    Event(u64, EventRecord<'a>),
    Other(Item<'a>),
}

impl<'a> Unread<'a> {
    fn of(record: &Record<'a>) -> Unread<'a> {
        if record.erased {
            return Unread::Other(Item::Erased);
        }
        if record.kind == Kind::Tick {
            let at = decode_tick(record.payload);
            return Unread::Other(at.map_or_else(|| Item::Unreadable("a tick has 8 bytes".to_owned()), Item::Tick));
        }
        match EventRecord::decode(record.payload) {
            Ok(event) => Unread::Event(record.offset, event),
            Err(error) => Unread::Other(Item::Unreadable(error.to_string())),
        }
    }

    fn read(self, outcome: &'a Option<Outcome>, rules: &Rules, remembered: &Remembered) -> Item<'a> {
        match self {
            Unread::Event(_, event) if outcome.as_ref().is_some_and(|outcome| !outcome.blocked.is_empty()) => {
                Item::Blocked(event, outcome.as_ref().map(|outcome| outcome.blocked.as_slice()).unwrap_or_default())
            }
            Unread::Event(offset, raw) => match Event::read(offset, prepared(raw, outcome), &rules[&raw.workspace].0) {
                Ok(event) if rules[&raw.workspace].1.covers(&event.identity.identifiers, offset) => {
                    Item::Suppressed(raw)
                }
                Ok(event) => {
                    let may_be_known = remembered.may_hold(event.key);
                    Item::Event(Box::new(Event { may_be_known, outcome: outcome.as_ref(), came: raw, ..event }))
                }
                Err(cause) => Item::Misshapen(raw, cause),
            },
            Unread::Other(item) => item,
        }
    }
}

/// A record that is no command, read.
enum Item<'a> {
    Event(Box<Event<'a>>),
    Tick(Timestamp),
    Erased,
    /// An event record whose JSON is no event.
    Misshapen(EventRecord<'a>, String),
    /// An event that its source's tracking plan does not let in.
    Blocked(EventRecord<'a>, &'a [String]),
    /// An event about somebody who is not let in.
    Suppressed(EventRecord<'a>),
    Unreadable(String),
}

impl Item<'_> {
    /// To which instant it moves engine time.
    fn at(&self) -> Option<Timestamp> {
        match self {
            Item::Event(event) => Some(event.record.received_at),
            Item::Misshapen(record, _) | Item::Blocked(record, _) | Item::Suppressed(record) => {
                Some(record.received_at)
            }
            Item::Tick(at) => Some(*at),
            Item::Erased | Item::Unreadable(_) => None,
        }
    }
}
