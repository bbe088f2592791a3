//! What a workspace has defined, compiled for use.
//!
//! Definitions come as commands and stand in the state as rows. A definition that asks for a metric nobody kept so far is
//! *building* until the log before it is folded in ([`crate::jobs`]); meanwhile its earlier version, if there is one,
//! stays in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{Hash, Hasher},
    sync::Arc,
};

use jiff::tz::TimeZone;
use onefold_model::{
    EntityType, Timestamp, WorkspaceId,
    access::{Class, Classes},
    command::Subscription,
    consent::Policy,
    identity::Rules,
    object::ObjectType,
    profile::{
        Survivorship,
        computed::{Computed, ComputedTrait},
        survivorship::MOST_RECENT,
    },
    segment::{CompileError, Condition, Definition, Horizon, Keeps, Lookup, Matcher, Metric, MetricId, Path, Program},
};
use onefold_state::{Reader, Row, Scan, Value, schema};
use rustc_hash::FxHashMap;
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use crate::{Error, effects::Effects, preparations::Preparations, profile::Joined, suppression::Suppressed};

/// A definition's place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// 1, 2, …
    pub number: i64,
    /// The command's offset.
    pub offset: u64,
    /// The command's time.
    pub at: Timestamp,
}

/// A definition with its versions: the newest, and the one in force.
#[derive(Debug)]
pub struct Versioned<D, P> {
    /// Of a segment its number, which stands in profiles.
    pub number: u32,
    /// The newest definition.
    pub newest: D,
    /// Of the newest definition.
    pub version: Version,
    /// The version in force: the newest, or an earlier one while the newest is building.
    pub in_force: Option<(i64, D)>,
    /// What is in force, compiled.
    pub program: Option<P>,
}

/// A metric that is kept.
#[derive(Debug, Clone)]
pub struct KeptMetric {
    /// What is kept.
    pub metric: Metric,
    /// How far back.
    pub horizon: Horizon,
    /// Events at and after this offset are folded as they come; those before by the backfill.
    pub live_from: u64,
}

/// A workspace as the pipeline knows it.
#[derive(Debug)]
pub struct Workspace {
    /// Which.
    pub id: WorkspaceId,
    /// Identity rules in force.
    pub rules: Arc<Rules>,
    /// The offset of the command that brought them; 0 for those that every workspace begins with.
    pub rules_since: u64,
    /// What data are used for, and what the law says where a person has said nothing.
    pub policy: Arc<Policy>,
    /// The model of record linkage that proposes who is one person, where there is one.
    pub link_model: Option<u32>,
    /// Which of several values of a trait counts.
    pub survivorship: Arc<Survivorship>,
    /// What fields hold, as stewards said.
    pub classes: Arc<Classes>,
    /// How the house governs what it holds, as the server reads it.
    pub governance: BTreeMap<String, serde_json::Value>,
    /// What is done to each source's events first.
    pub preparations: Arc<Preparations>,
    /// Who is not let in.
    pub suppressed: Arc<Suppressed>,
    /// For calendar days.
    pub time_zone: TimeZone,
    /// By name.
    pub segments: BTreeMap<String, Versioned<Definition, Arc<Program>>>,
    /// By name.
    pub computed: BTreeMap<String, Versioned<ComputedTrait, Computed>>,
    /// By destination.
    pub subscriptions: BTreeMap<String, Subscription>,
    /// By name.
    pub object_types: BTreeMap<String, ObjectType>,
    /// Removed segments by number: some of their members may not have left yet.
    pub removed: BTreeMap<u32, String>,
    /// Numbers of the workspace's own entity types.
    pub entity_types: BTreeMap<String, EntityType>,
    /// What is kept at nodes.
    pub metrics: BTreeMap<MetricId, KeptMetric>,
    next_metric: u32,
    next_segment: u32,
    /// Finds the metrics an event belongs to.
    pub matcher: Matcher,
    /// Which live segments read what.
    pub readers: Readers,
}

/// The number of a use: SipHash-1-3 of its purpose and channel.
pub type UseId = u64;

/// What destinations use data for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Its number, as profiles name it.
    pub id: UseId,
    /// For which purpose.
    pub purpose: String,
    /// By which channel.
    pub channel: Option<String>,
}

impl Use {
    /// What a destination uses data for; `None` where it names no purpose.
    pub fn of(subscription: &Subscription) -> Option<Use> {
        let (purpose, channel) = (subscription.purpose.clone()?, subscription.channel.clone());
        let mut hasher = SipHasher13::new();
        (&purpose, &channel).hash(&mut hasher);
        Some(Use { id: hasher.finish(), purpose, channel })
    }
}

/// From what changed to the segments that must be decided again.
#[derive(Debug, Default)]
pub struct Readers {
    /// Live segments by number.
    pub live: BTreeMap<u32, Live>,
    /// By metric.
    pub of_metric: FxHashMap<MetricId, Vec<u32>>,
    /// By trait.
    pub of_trait: FxHashMap<String, Vec<u32>>,
    /// Those that ask for consent.
    pub of_consent: Vec<u32>,
    /// Those that may hold for somebody of whom nothing is known, or come to by time alone. The others are not looked at
    /// for a new profile, but where its first event says something they read.
    pub of_nobody: Vec<u32>,
}

/// A segment in force.
#[derive(Debug)]
pub struct Live {
    /// Its name.
    pub name: Arc<str>,
    /// What decides who is in.
    pub program: Arc<Program>,
}

impl Lookup for Workspace {
    fn segment(&self, name: &str) -> Option<&Condition> {
        self.segments.get(name).map(|segment| &in_force(segment).condition)
    }

    fn computed(&self, name: &str) -> Option<&ComputedTrait> {
        self.computed.get(name).map(in_force)
    }

    fn time_zone(&self) -> &TimeZone {
        &self.time_zone
    }
}

/// The newest text of a definition, as it stands in the state; `None` where there is none.
pub fn text(store: &mut dyn Reader, id: WorkspaceId, kind: &str, name: &str) -> Result<Option<String>, Error> {
    let row = store.get(&schema::DEFINITION, &[definition_key(id, kind, name)])?.pop().flatten();
    Ok(row.map(|row| row[8].as_text().map(str::to_owned)).transpose()?)
}

/// The definition that others who name it get: the one in force; while there is none, the newest.
pub(crate) fn in_force<D, P>(versioned: &Versioned<D, P>) -> &D {
    versioned.in_force.as_ref().map_or(&versioned.newest, |(_, definition)| definition)
}

impl Workspace {
    /// What a field holds, as a steward said of it or of what it is a part of, else as its name tells.
    pub fn class_of(&self, name: &str) -> Class {
        let mut whole = name;
        loop {
            if let Some(class) = self.classes.get(whole) {
                return *class;
            }
            match whole.rsplit_once('.') {
                Some((front, _)) => whole = front,
                None => return Class::guess(name),
            }
        }
    }

    /// Whether a field is kept from what is done for a purpose: it is sensitive, and the purpose does not name it.
    pub fn withholds(&self, field: &str, purpose: Option<&str>) -> bool {
        let names = || {
            let purpose = purpose.and_then(|purpose| self.policy.purposes.get(purpose));
            purpose.is_some_and(|purpose| purpose.fields.contains(field))
        };
        self.class_of(field).needs_purpose() && !names()
    }

    /// A workspace in which nothing is defined.
    pub fn new(id: WorkspaceId) -> Workspace {
        Workspace {
            id,
            rules: Arc::default(),
            rules_since: 0,
            policy: Arc::default(),
            link_model: None,
            survivorship: Arc::default(),
            classes: Arc::default(),
            governance: BTreeMap::new(),
            preparations: Arc::default(),
            suppressed: Arc::default(),
            time_zone: TimeZone::UTC,
            segments: BTreeMap::new(),
            computed: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            object_types: BTreeMap::new(),
            removed: BTreeMap::new(),
            entity_types: BTreeMap::new(),
            metrics: BTreeMap::new(),
            next_metric: 0,
            next_segment: 0,
            matcher: Matcher::new(&[]),
            readers: Readers::default(),
        }
    }

    /// The log offset that last changed the workspace's definitions; `None` where nothing was ever defined.
    pub fn defined_at(store: &mut dyn Reader, id: WorkspaceId) -> Result<Option<i64>, Error> {
        let row = store.get(&schema::DEFINED, &[vec![Value::Int(id.0.into())]])?.pop().flatten();
        Ok(row.map(|row| row[1].as_int()).transpose()?)
    }

    /// Reads the workspace's definitions.
    pub fn load(store: &mut dyn Reader, id: WorkspaceId) -> Result<Workspace, Error> {
        let mut workspace = Workspace::new(id);
        let own = vec![Value::Int(id.0.into())];
        for row in store.scan(&Scan::prefix(&schema::METRIC, own.clone(), usize::MAX))? {
            let metric = MetricId(row[1].as_int()? as u32);
            let (kept, horizon) = parse(row[3].as_text()?)?;
            workspace.metrics.insert(metric, KeptMetric { metric: kept, horizon, live_from: row[2].as_int()? as u64 });
        }
        for row in store.scan(&Scan::prefix(&schema::ENTITY_TYPE, own.clone(), usize::MAX))? {
            workspace.entity_types.insert(row[1].as_text()?.to_owned(), EntityType(row[2].as_int()? as u16));
        }
        for row in store.scan(&Scan::prefix(&schema::DEFINITION, own, usize::MAX))? {
            workspace.take(store, &row)?;
        }
        workspace.preparations = Arc::new(Preparations::load(store, id)?);
        workspace.suppressed = Arc::new(Suppressed::load(store, id)?);
        workspace.recompile(None);
        Ok(workspace)
    }

    /// What destinations that have segments use data for, by number.
    pub fn uses(&self) -> Vec<Use> {
        let with_segments = self.subscriptions.values().filter(|subscription| !subscription.segments.is_empty());
        let mut uses: Vec<Use> = with_segments.filter_map(Use::of).collect();
        uses.sort_unstable_by_key(|one| one.id);
        uses.dedup();
        uses
    }

    /// Whether anything that is kept depends on what people allow.
    pub fn asks_consent(&self) -> bool {
        !self.readers.of_consent.is_empty()
            || self.survivorship.asks_consent()
            || self.subscriptions.values().any(|subscription| subscription.purpose.is_some())
    }

    /// The workspace's policy of consent, without reading the rest.
    pub fn policy(store: &mut dyn Reader, id: WorkspaceId) -> Result<Policy, Error> {
        let keys = [CONSENT_POLICY, "consent_default"].map(|name| definition_key(id, "setting", name));
        match &store.get(&schema::DEFINITION, &keys)?[..] {
            [Some(policy), _] => parse(policy[8].as_text()?),
            [None, Some(unstated)] => Ok(Policy::of_silence(parse(unstated[8].as_text()?)?)),
            _ => Ok(Policy::default()),
        }
    }

    fn take(&mut self, store: &mut dyn Reader, row: &Row) -> Result<(), Error> {
        let (kind, name) = (row[1].as_text()?, row[2].as_text()?.to_owned());
        let version =
            Version { number: row[3].as_int()?, offset: row[5].as_int()? as u64, at: Timestamp(row[6].as_int()?) };
        let text = row[8].as_text()?;
        match kind {
            "segment" => {
                let number = row[4].as_int()? as u32;
                self.next_segment = self.next_segment.max(number + 1);
                let versioned = versioned(store, row, number, version)?;
                self.segments.insert(name, versioned);
            }
            // Its number is never given again.
            "segment.removed" => {
                let number = row[4].as_int()? as u32;
                self.next_segment = self.next_segment.max(number + 1);
                self.removed.insert(number, text.to_owned());
            }
            "computed" => {
                let versioned = versioned(store, row, 0, version)?;
                self.computed.insert(name, versioned);
            }
            // Numbers of metrics that nobody keeps any more are not given again either: old points may bear them.
            "counter" => self.next_metric = row[4].as_int()? as u32,
            "subscription" => drop(self.subscriptions.insert(name, parse(text)?)),
            "governance" => drop(self.governance.insert(name, parse(text)?)),
            "object_type" => drop(self.object_types.insert(name, parse(text)?)),
            "setting" => match name.as_str() {
                "identity_rules" => (self.rules, self.rules_since) = (Arc::new(parse(text)?), version.offset),
                CONSENT_POLICY => self.policy = parse(text)?,
                // As it was set before there were policies; one that was set since goes before.
                "consent_default" if *self.policy == Policy::default() => {
                    self.policy = Arc::new(Policy::of_silence(parse(text)?));
                }
                "time_zone" => self.time_zone = time_zone(&parse::<String>(text)?)?,
                "link_model" => self.link_model = parse(text)?,
                "survivorship" => self.survivorship = parse(text)?,
                "classes" => self.classes = parse(text)?,
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    /// Takes a segment's definition by a command, as version `number`. Says which metrics must be folded from the log
    /// before it goes live; none: it may go live at once.
    pub fn set_segment(
        &mut self,
        definition: Definition,
        version: Version,
        effects: &mut Effects,
    ) -> Result<Vec<MetricId>, CompileError> {
        let (program, metrics) = self.draft(&definition.condition)?;
        let new = widest(&program).into_iter().map(|(place, horizon)| (metrics[place.0 as usize].clone(), horizon));
        let new: Vec<(Metric, Horizon)> = new.collect();
        let fresh = self.keep(new, version.offset, effects);
        let name = definition.name.clone();
        let old = self.segments.remove(&name);
        // One that was removed and comes back is the same: its members may not have left yet.
        let removed = self.removed.iter().find(|(_, removed)| **removed == name).map(|(number, _)| *number);
        let number = old.as_ref().map(|old| old.number).or(removed).unwrap_or(self.next_segment);
        if self.removed.remove(&number).is_some() {
            effects.delete(&schema::DEFINITION, self.removed_key(number, &name));
        }
        self.next_segment = self.next_segment.max(number + 1);
        self.segments.insert(name, next_version(old, number, definition, version));
        Ok(fresh)
    }

    /// Takes a computed trait's definition by a command; as [`set_segment`](Self::set_segment).
    pub fn set_computed(
        &mut self,
        definition: ComputedTrait,
        version: Version,
        effects: &mut Effects,
    ) -> Vec<MetricId> {
        let (metric, horizon) = definition.metric();
        let fresh = self.keep(vec![(metric, whole(horizon))], version.offset, effects);
        let name = definition.name.clone();
        let old = self.computed.remove(&name);
        self.computed.insert(name, next_version(old, 0, definition, version));
        fresh
    }

    /// Ends a segment. Its number is kept until its members have left, and is never given again.
    pub fn remove_segment(&mut self, name: &str, effects: &mut Effects) -> bool {
        let Some(removed) = self.segments.remove(name) else { return false };
        effects.delete(&schema::DEFINITION, definition_key(self.id, "segment", name));
        let mut row = self.removed_key(removed.number, name);
        let Version { number, offset, at } = removed.version;
        row.extend([number, removed.number.into(), offset as i64, at.0].map(Value::Int));
        row.extend([Value::Null, Value::Text(name.to_owned())]);
        effects.put(&schema::DEFINITION, row);
        self.removed.insert(removed.number, name.to_owned());
        true
    }

    fn removed_key(&self, number: u32, name: &str) -> Row {
        definition_key(self.id, "segment.removed", &format!("{number}:{name}"))
    }

    /// Puts into force what was set before `before`; says whether there was anything.
    pub fn go_live(&mut self, before: u64) -> bool {
        let segments = self.segments.values_mut().map(|segment| segment.go_live(before));
        let computed = self.computed.values_mut().map(|computed| computed.go_live(before));
        segments.chain(computed).fold(false, |any, live| any | live)
    }

    /// A condition compiled with places in the list of metrics beside it, to learn how far back each must reach.
    fn draft(&self, condition: &Condition) -> Result<(Program, Vec<Metric>), CompileError> {
        let mut metrics: Vec<Metric> = vec![];
        let program = Program::compile(condition, self, &mut |metric| {
            let place = metrics.iter().position(|m| *m == metric).unwrap_or_else(|| {
                metrics.push(metric);
                metrics.len() - 1
            });
            MetricId(place as u32)
        })?;
        Ok((program, metrics))
    }

    /// A condition compiled with the numbers of the metrics that are kept.
    pub fn compile(&self, condition: &Condition) -> Result<Program, CompileError> {
        let (program, metrics) = self.draft(condition)?;
        let wanted = widest(&program);
        Program::compile(condition, self, &mut |metric| {
            let place = metrics.iter().position(|m| *m == metric).unwrap_or(0) as u32;
            let horizon = wanted.get(&MetricId(place)).copied().unwrap_or(Horizon::Forever);
            self.find(&metric, horizon).unwrap_or(UNKEPT)
        })
    }

    /// Keeps these metrics from `offset` on; gives those that were not kept, or not so far back.
    fn keep(&mut self, metrics: Vec<(Metric, Horizon)>, offset: u64, effects: &mut Effects) -> Vec<MetricId> {
        let mut fresh = vec![];
        for (metric, horizon) in metrics {
            if self.find(&metric, horizon).is_some() {
                continue;
            }
            let id = MetricId(self.next_metric);
            self.next_metric += 1;
            let text = serde_json::to_string(&(&metric, horizon)).unwrap_or_default();
            effects.put(
                &schema::METRIC,
                vec![
                    Value::Int(self.id.0.into()),
                    Value::Int(id.0.into()),
                    Value::Int(offset as i64),
                    Value::Text(text),
                ],
            );
            self.metrics.insert(id, KeptMetric { metric, horizon, live_from: offset });
            fresh.push(id);
        }
        if !fresh.is_empty() {
            let mut row = definition_key(self.id, "counter", "metric");
            row.extend([0, self.next_metric.into(), 0, 0].map(Value::Int));
            row.extend([Value::Null, Value::Text(String::new())]);
            effects.put(&schema::DEFINITION, row);
        }
        fresh
    }

    /// The metric that is kept at least so far back. The oldest: one that is being folded in comes last.
    fn find(&self, metric: &Metric, horizon: Horizon) -> Option<MetricId> {
        self.metrics
            .iter()
            .find(|(_, kept)| kept.metric == *metric && reaches(kept.horizon, horizon))
            .map(|(id, _)| *id)
    }

    /// Compiles what is in force, and drops metrics that nobody asks for any more; says whether there were any.
    ///
    /// What does not compile (commands are checked, so it is a fault of the program) has no members until it does.
    pub fn recompile(&mut self, effects: Option<&mut Effects>) -> bool {
        let mut needed: BTreeSet<MetricId> = BTreeSet::new();
        let mut readers = Readers::default();
        let mut programs = BTreeMap::new();
        let compile = |name: &str, condition: &Condition, needed: &mut BTreeSet<MetricId>| {
            let program = self.compile(condition);
            let program =
                program.inspect_err(|error| tracing::error!(segment = name, %error, "a segment does not compile"));
            needed.extend(program.iter().flat_map(|program| program.inputs().metrics.iter().map(|(id, _)| *id)));
            program.ok().map(Arc::new)
        };
        for (name, segment) in &self.segments {
            let newest = compile(name, &segment.newest.condition, &mut needed);
            let Some((version, definition)) = &segment.in_force else { continue };
            let program = match *version == segment.version.number {
                true => newest,
                false => compile(name, &definition.condition, &mut needed),
            };
            if let Some(program) = program {
                readers.add(segment.number, name, &program);
                programs.insert(name.clone(), program);
            }
        }
        let mut computed_programs = BTreeMap::new();
        for (name, computed) in &self.computed {
            let kept = |definition: &ComputedTrait| {
                let (metric, horizon) = definition.metric();
                self.find(&metric, whole(horizon)).unwrap_or(UNKEPT)
            };
            needed.insert(kept(&computed.newest));
            if let Some((_, definition)) = &computed.in_force {
                let metric = kept(definition);
                needed.insert(metric);
                computed_programs.insert(name.clone(), definition.compile(metric));
            }
        }
        for (name, segment) in &mut self.segments {
            segment.program = programs.remove(name);
        }
        for (name, computed) in &mut self.computed {
            computed.program = computed_programs.remove(name);
        }
        let mut dropped = false;
        if let Some(effects) = effects {
            for id in self.metrics.keys().filter(|id| !needed.contains(id)) {
                effects.delete(&schema::METRIC, vec![Value::Int(self.id.0.into()), Value::Int(id.0.into())]);
                dropped = true;
            }
            self.metrics.retain(|id, _| needed.contains(id));
        }
        let kept: Vec<(MetricId, Metric)> = self.metrics.iter().map(|(id, kept)| (*id, kept.metric.clone())).collect();
        self.matcher = Matcher::new(&kept);
        self.readers = readers;
        dropped
    }

    /// The name of the segment with this number.
    pub fn segment_name(&self, number: u32) -> Option<Arc<str>> {
        let live = self.readers.live.get(&number).map(|live| live.name.clone());
        let building = || self.segments.iter().find(|(_, s)| s.number == number).map(|(name, _)| name.as_str().into());
        live.or_else(building).or_else(|| self.removed.get(&number).map(|name| name.as_str().into()))
    }

    /// Places in events (`traits.city`, `properties.price`) that something reads: segments, computed traits, survivorship rules,
    /// and what identities and names are made of.
    pub fn asked(&self) -> BTreeSet<String> {
        let of_path = |path: &Path| match path.0.strip_prefix('$') {
            Some(own) => own.to_owned(),
            None => format!("properties.{}", path.0),
        };
        let own = ["email", "phone"].map(|name| format!("traits.{name}"));
        let traits = self.readers.of_trait.keys().chain(self.survivorship.traits.keys());
        let mut asked: BTreeSet<String> = traits.map(|name| format!("traits.{name}")).chain(own).collect();
        for kept in self.metrics.values() {
            asked.extend(kept.metric.event.filter.iter().map(|test| of_path(&test.property)));
            match &kept.metric.keeps {
                Keeps::Time => {}
                Keeps::Amount(path) | Keeps::Value(path) => drop(asked.insert(of_path(path))),
            }
        }
        asked
    }

    /// The row of a definition as it stands now, and the row of its version.
    pub fn definition_rows<D: serde::Serialize, P>(
        &self,
        kind: &str,
        name: &str,
        versioned: &Versioned<D, P>,
        caller: &str,
    ) -> (Row, Row) {
        let text = serde_json::to_string(&versioned.newest).unwrap_or_default();
        let live = versioned.in_force.as_ref().map_or(Value::Null, |(version, _)| Value::Int(*version));
        let head = [Value::Int(self.id.0.into()), Value::Text(kind.to_owned()), Value::Text(name.to_owned())];
        let version = versioned.version;
        let place = [Value::Int(version.offset as i64), Value::Int(version.at.0)];
        let number = [Value::Int(version.number), Value::Int(versioned.number.into())];
        let row = head.iter().chain(&number).chain(&place).cloned().chain([live, Value::Text(text.clone())]).collect();
        let tail = [Value::Text(caller.to_owned()), Value::Text(text)];
        let version_row = head.iter().chain(&number[..1]).chain(&place).cloned().chain(tail).collect();
        (row, version_row)
    }
}

/// The number of a metric that nobody keeps: no node has a series of it.
const UNKEPT: MetricId = MetricId(u32::MAX);

/// How far back each metric must reach for all who read it.
fn widest(program: &Program) -> BTreeMap<MetricId, Horizon> {
    let mut wanted: BTreeMap<MetricId, Horizon> = BTreeMap::new();
    for (metric, horizon) in &program.inputs().metrics {
        let horizon = whole(*horizon);
        let known = wanted.entry(*metric).or_insert(horizon);
        if !reaches(*known, horizon) {
            *known = horizon;
        }
    }
    wanted
}

/// Horizons as metrics are kept to: each of two reaches at least as far as the other, so that a program made of several
/// definitions finds each of its metrics among those that the definitions keep.
fn whole(horizon: Horizon) -> Horizon {
    match horizon {
        Horizon::Since(_) => Horizon::Forever,
        other => other,
    }
}

impl Readers {
    fn add(&mut self, number: u32, name: &str, program: &Arc<Program>) {
        let inputs = program.inputs();
        self.live.insert(number, Live { name: name.into(), program: program.clone() });
        for (metric, _) in &inputs.metrics {
            self.of_metric.entry(*metric).or_default().push(number);
        }
        for name in &inputs.traits {
            self.of_trait.entry(name.clone()).or_default().push(number);
        }
        if !inputs.purposes.is_empty() {
            self.of_consent.push(number);
        }
        // An answer that holds for ever from the earliest time on holds whenever it is asked for.
        let (policy, survivorship) = (&Policy::default(), &MOST_RECENT);
        let nobody = Joined { nodes: SmallVec::new(), policy, survivorship, at: Timestamp::EARLIEST };
        let answer = program.evaluate(&nobody, Timestamp::EARLIEST);
        if answer.holds || answer.until != Timestamp::MAX || !inputs.purposes.is_empty() {
            self.of_nobody.push(number);
        }
    }
}

impl<D: Clone, P> Versioned<D, P> {
    fn go_live(&mut self, before: u64) -> bool {
        let newest = self.version.number;
        let due = self.version.offset < before && self.in_force.as_ref().is_none_or(|(version, _)| *version != newest);
        if due {
            self.in_force = Some((newest, self.newest.clone()));
        }
        due
    }
}

fn next_version<D, P>(old: Option<Versioned<D, P>>, number: u32, newest: D, version: Version) -> Versioned<D, P> {
    let (in_force, program) = old.map_or((None, None), |old| (old.in_force, old.program));
    Versioned { number, newest, version, in_force, program }
}

/// The name of the setting that is the policy of consent.
pub(crate) const CONSENT_POLICY: &str = "consent_policy";

/// The key of a definition's row.
pub(crate) fn definition_key(workspace: WorkspaceId, kind: &str, name: &str) -> Row {
    vec![Value::Int(workspace.0.into()), Value::Text(kind.to_owned()), Value::Text(name.to_owned())]
}

fn versioned<D: serde::de::DeserializeOwned + Clone, P>(
    store: &mut dyn Reader,
    row: &Row,
    number: u32,
    version: Version,
) -> Result<Versioned<D, P>, Error> {
    let newest: D = parse(row[8].as_text()?)?;
    let in_force = match row[7].some().map(Value::as_int).transpose()? {
        None => None,
        Some(live) if live == version.number => Some((live, newest.clone())),
        Some(live) => {
            let key = vec![row[0].clone(), row[1].clone(), row[2].clone(), Value::Int(live)];
            let earlier = store.get(&schema::DEFINITION_VERSION, &[key])?.pop().flatten();
            let earlier =
                earlier.ok_or_else(|| Error::unreadable("a definition", "the version in force is missing"))?;
            Some((live, parse(earlier[7].as_text()?)?))
        }
    };
    Ok(Versioned { number, newest, version, in_force, program: None })
}

/// Whether a metric kept to `kept` answers what asks for `asked`.
fn reaches(kept: Horizon, asked: Horizon) -> bool {
    match (kept, asked) {
        (Horizon::Forever, _) | (_, Horizon::None) => true,
        (Horizon::Ms(kept), Horizon::Ms(asked)) => kept >= asked,
        _ => false,
    }
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::unreadable("a definition", error))
}

/// The time zone of this IANA name.
pub fn time_zone(name: &str) -> Result<TimeZone, Error> {
    TimeZone::get(name).map_err(|error| Error::unreadable("a time zone", error))
}
