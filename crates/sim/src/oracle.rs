//! What state must be, computed from the raw records of the log by plain loops.
//!
//! Slow and obvious. It shares with the pipeline the reading of identifiers and of consent signals, and the clustering,
//! which have tests of their own in `model`; membership comes from the reference evaluator.

mod raw;
mod tables;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use onefold_log::Kind;
use onefold_model::{
    NodeId, ProfileId, Timestamp, Value, WorkspaceId,
    command::{Command, CommandRecord, decode_tick},
    consent::{self, Policy, Question},
    event::{EventRecord, Kind as Call},
    identity::{Rules, normalise::normalise},
    profile::survivorship::{Plain, Rule, STEWARD, Survivorship},
    segment::reference,
};
use onefold_pipeline::{
    admission,
    definitions::Workspace,
    feed,
    verdict::{self, Verdict},
    views,
};
use onefold_prepare::{Preparation, Prepared};

use serde_json::value::RawValue;

use self::raw::RawEvent;
use crate::{World, world::HandOff};

/// One thing that does not hold.
pub type Broken = String;

/// What became of a record, by the plain loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Folded at a node.
    Accepted,
    /// Seen before.
    Duplicate,
    /// Nobody's.
    Refused,
    /// Of an object.
    Object,
    /// A command.
    Command,
    /// A tick.
    Tick,
    /// No event at all.
    Unreadable,
}

/// The log, read by plain loops, up to the applied offset.
#[derive(Default)]
pub struct Told {
    /// By offset.
    pub classes: Vec<Class>,
    /// The accepted events, by offset.
    pub events: BTreeMap<u64, RawEvent>,
    /// The commands that the workspace was given, by offset.
    pub commands: BTreeMap<u64, CommandRecord>,
    /// Engine time.
    pub now: Timestamp,
}

/// One person in raw facts.
#[derive(Default)]
pub struct Person {
    /// Their events.
    pub events: Vec<RawEvent>,
    /// Consent rows, all that were ever said.
    pub consents: Vec<(NodeId, consent::Row)>,
    /// Traits, all that were ever said and not taken back.
    pub said: Vec<Said>,
}

/// A trait, as it was said once.
pub struct Said {
    node: NodeId,
    source: u32,
    rank: raw::Rank,
    name: String,
    value: Value,
}

impl Person {
    /// The traits that count.
    pub fn traits(&self, rules: &Survivorship, allows: &dyn Fn(&str) -> bool) -> BTreeMap<String, Value> {
        let names: BTreeSet<&str> = self.said.iter().map(|said| said.name.as_str()).collect();
        let counting = names.into_iter().filter_map(|name| Some((name.to_owned(), self.counts(name, rules, allows)?)));
        counting.filter(|(_, value)| *value != Value::Null).collect()
    }

    /// Whose law holds: by the newest of the traits that say where the person lives.
    fn jurisdiction<'p>(&self, policy: &'p Policy) -> Option<&'p str> {
        let newest = Survivorship::default();
        policy.jurisdiction_of(&|name: &str| match self.counts(name, &newest, &|_| true) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        })
    }

    /// The value of a trait that counts, by what each source said last at each node.
    fn counts(&self, name: &str, rules: &Survivorship, allows: &dyn Fn(&str) -> bool) -> Option<Value> {
        let mut records: HashMap<(NodeId, u32), &Said> = HashMap::new();
        for said in self.said.iter().filter(|said| said.name == name) {
            let newest = records.entry((said.node, said.source)).or_insert(said);
            if (said.rank, &said.value) > (newest.rank, &newest.value) {
                *newest = said;
            }
        }
        let mut records: Vec<&Said> = records.into_values().collect();
        let purpose = |said: &Said| rules.parties.get(&said.source).and_then(|terms| terms.purpose.clone());
        records.retain(|said| purpose(said).is_none_or(|purpose| allows(&purpose)));
        // The newest last: of equals the last is the greatest.
        records.sort_by_key(|said| (said.rank, said.value.clone()));
        if let Some(by_steward) = records.iter().rev().find(|said| said.source == STEWARD) {
            return Some(by_steward.value.clone());
        }
        let party = records.iter().map(|said| rules.party(said.source)).min()?;
        records.retain(|said| rules.party(said.source) == party);
        let given: Vec<&Said> = records.iter().copied().filter(|said| said.value != Value::Null).collect();
        let best = |rank: &dyn Fn(&Said) -> usize| given.iter().max_by_key(|said| rank(said)).map(|s| s.value.clone());
        match rules.rule(name) {
            Rule::MostRecent => records.last().map(|said| said.value.clone()),
            Rule::MostTrusted(order) => {
                best(&|said| order.iter().rev().position(|s| *s == said.source).map_or(0, |place| place + 1))
            }
            Rule::MostFrequent => best(&|said| given.iter().filter(|other| other.value == said.value).count()),
            Rule::Longest => best(&|said| match &said.value {
                Value::Text(text) => text.chars().count(),
                other => other.to_json().len(),
            }),
            Rule::Union => {
                let parts = |said: &&Said| match serde_json::from_str::<Vec<Box<RawValue>>>(&said.value.to_json()) {
                    Ok(parts) => parts.iter().map(|part| Value::from_json(part)).collect(),
                    Err(_) => vec![said.value.clone()],
                };
                let all: BTreeSet<Value> = given.iter().flat_map(parts).filter(|v| *v != Value::Null).collect();
                if all.is_empty() && !given.is_empty() {
                    return Some(Value::Json("[]".to_owned()));
                }
                let all: Vec<String> = all.iter().map(Value::to_json).collect();
                (!all.is_empty()).then(|| Value::Json(format!("[{}]", all.join(","))))
            }
            Rule::Order(order) => best(&|said| {
                let is = |plain: &Plain| serde_json::to_string(plain).is_ok_and(|json| json == said.value.to_json());
                order.iter().rev().position(is).map_or(0, |place| place + 1)
            }),
        }
    }
}

/// Reads the log up to the applied offset.
///
/// # Panics
/// Where the log or the store cannot be read.
pub fn told(world: &World) -> Told {
    let partition = world.partition();
    let (end, _) = views::as_of(&mut *world.reader(), partition).expect("the store is there");
    let mut told = Told { now: Timestamp::MIN, ..Told::default() };
    let mut rules: HashMap<WorkspaceId, Rules> = HashMap::new();
    let mut policies: HashMap<WorkspaceId, Policy> = HashMap::new();
    let mut prepared: HashMap<(WorkspaceId, u32), Prepared> = HashMap::new();
    let mut seen: HashMap<(WorkspaceId, u32, String), (i64, bool)> = HashMap::new();
    while (told.classes.len() as u64) < end {
        let next = told.classes.len() as u64;
        let blocks = world.log.read(partition, next, 1 << 20).expect("the log can be read");
        for record in blocks.iter().flat_map(|block| block.records()).filter(|r| (next..end).contains(&r.offset)) {
            let class = match record.kind {
                Kind::Tick => match decode_tick(record.payload) {
                    Some(at) => {
                        told.now = told.now.max(at);
                        Class::Tick
                    }
                    None => Class::Unreadable,
                },
                Kind::Command => match CommandRecord::decode(record.payload) {
                    Ok(command) => {
                        told.now = told.now.max(command.at);
                        if let Command::IdentityRules(new) = &command.command
                            && new.problems().is_empty()
                        {
                            rules.insert(command.workspace, new.clone());
                        }
                        match &command.command {
                            Command::ConsentDefault(unstated) => {
                                policies.entry(command.workspace).or_default().unstated = *unstated;
                            }
                            Command::ConsentPolicy(policy) if policy.problems().is_empty() => {
                                policies.insert(command.workspace, policy.clone());
                            }
                            _ => {}
                        }
                        if let Command::Prepare { source, preparation, .. } = &command.command {
                            let from = |form: &serde_json::Value| serde_json::from_value::<Preparation>(form.clone());
                            let compiled = preparation.as_ref().map(|form| from(form).map(|p| p.compile()));
                            match compiled {
                                None => drop(prepared.remove(&(command.workspace, *source))),
                                Some(Ok(Ok(ready))) => drop(prepared.insert((command.workspace, *source), ready)),
                                // It does not fit, and changes nothing.
                                Some(_) => {}
                            }
                        }
                        if command.workspace == world.workspace {
                            told.commands.insert(record.offset, command);
                        }
                        Class::Command
                    }
                    Err(_) => Class::Unreadable,
                },
                Kind::Event => match EventRecord::decode(record.payload) {
                    Err(_) => Class::Unreadable,
                    Ok(event) => {
                        told.now = told.now.max(event.received_at);
                        let read_by =
                            (rules.entry(event.workspace).or_default(), policies.entry(event.workspace).or_default());
                        let outcome = prepared.get(&(event.workspace, event.source)).map(|p| p.apply(event.json));
                        match &outcome {
                            Some(outcome) if !outcome.blocked.is_empty() => Class::Refused,
                            _ => {
                                let json = outcome.as_ref().and_then(|o| o.json.as_deref()).unwrap_or(event.json);
                                let event = EventRecord { json, ..event };
                                classify(&mut told, &mut seen, record.offset, &event, read_by, world.workspace)
                            }
                        }
                    }
                },
            };
            told.classes.push(class);
        }
    }
    told
}

/// Days for which a message id is remembered; the simulation leaves it at its default.
const WINDOW_DAYS: i64 = 30;

fn classify(
    told: &mut Told,
    seen: &mut HashMap<(WorkspaceId, u32, String), (i64, bool)>,
    offset: u64,
    record: &EventRecord<'_>,
    (rules, policy): (&mut Rules, &mut Policy),
    workspace: WorkspaceId,
) -> Class {
    let Some(event) = RawEvent::read(offset, record, rules, policy) else { return Class::Unreadable };
    if event.identifiers.is_empty() && event.kind != Call::Object {
        return Class::Refused;
    }
    let today = told.now.day();
    let id = (record.workspace, record.source, event.message_id.clone());
    if seen.get(&id).is_some_and(|(day, for_ever)| *for_ever || *day >= today - WINDOW_DAYS) {
        return Class::Duplicate;
    }
    seen.insert(id, (today, record.for_ever));
    if event.kind == Call::Object {
        let name = |name: &str, bytes_max: usize| {
            event.text(name).and_then(|text| normalise("object", &text).map(|t| t.len() <= bytes_max)).unwrap_or(false)
        };
        return if name("objectType", 100) && name("objectId", 512) { Class::Object } else { Class::Refused };
    }
    if record.workspace == workspace {
        told.events.insert(offset, event);
    }
    Class::Accepted
}

/// Everything that must hold, of which something does not. `settled`: no work over all profiles is under way, so every
/// membership must be what the reference says.
///
/// # Panics
/// Where the log or the store cannot be read.
pub fn broken(world: &World, settled: bool) -> Vec<Broken> {
    let told = told(world);
    let mut found = vec![];
    verdicts(world, &told, &mut found);
    let people = people(world, &told);
    profiles(world, &told, &people, settled, &mut found);
    tables::integrity(world, &mut found);
    tables::clustering(world, &mut found);
    tables::links(world, &mut found);
    tables::tallies(world, &told, &mut found);
    tables::changes(world, &mut found);
    tables::outbox(world, &told, settled, &mut found);
    found
}

/// As [`broken`], and nothing is.
///
/// # Panics
/// Where something is.
pub fn check(world: &World) {
    let broken = broken(world, true);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn verdicts(world: &World, told: &Told, found: &mut Vec<Broken>) {
    let end = told.classes.len() as u64;
    let verdicts = verdict::between(&mut *world.reader(), world.partition(), 0, end).expect("verdicts can be read");
    for (offset, (verdict, class)) in verdicts.iter().zip(&told.classes).enumerate() {
        let is = match verdict {
            Verdict::Accepted(_) => Class::Accepted,
            Verdict::Duplicate => Class::Duplicate,
            Verdict::Refused => Class::Refused,
            Verdict::Object => Class::Object,
            Verdict::Command => Class::Command,
            Verdict::Tick => Class::Tick,
            Verdict::Erased | Verdict::Suppressed | Verdict::Unreadable => Class::Unreadable,
        };
        if is != *class {
            found.push(format!("offset {offset}: the verdict is {verdict:?} and must be {class:?}"));
        }
    }
}

/// The people that there are, by the nodes that the events were given.
fn people(world: &World, told: &Told) -> BTreeMap<ProfileId, Person> {
    let mut people: BTreeMap<ProfileId, Person> = BTreeMap::new();
    let mut of_node: HashMap<NodeId, ProfileId> = HashMap::new();
    for node in tables::nodes(world) {
        of_node.insert(node.id, node.profile);
        people.entry(node.profile).or_default();
    }
    let end = told.classes.len() as u64;
    let verdicts = verdict::between(&mut *world.reader(), world.partition(), 0, end).expect("verdicts can be read");
    for (offset, event) in &told.events {
        let Some(Verdict::Accepted(node)) = verdicts.get(*offset as usize) else { continue };
        // Those of an anonymous person who was silent for long are gone.
        let Some(person) = of_node.get(node).and_then(|profile| people.get_mut(profile)) else { continue };
        person.consents.extend(event.consents().into_iter().map(|row| (*node, row)));
        for (name, value) in event.person_traits() {
            person.said.push(Said { node: *node, source: event.source, rank: event.rank(), name, value });
        }
        person.events.push(event.clone());
    }
    let definitions = world.definitions();
    let identifiers = tables::identifiers(world);
    for (offset, record) in &told.commands {
        let subject = match &record.command {
            Command::Consent { subject, .. } | Command::Override { subject, .. } => subject,
            _ => continue,
        };
        if !admission::problems_of(&definitions, &record.command).is_empty() {
            continue;
        }
        let Some(value) = normalise(&subject.kind, &subject.value) else { continue };
        let Some(node) = identifiers.get(&(subject.kind.clone(), value.into_owned())) else { continue };
        // The node was there when the command came; one made after an expiry is another.
        if node.0 / NodeId::PER_OFFSET >= *offset as i64 {
            continue;
        }
        let Some(person) = of_node.get(node).and_then(|profile| people.get_mut(profile)) else { continue };
        match &record.command {
            Command::Consent { purpose, channel, state, by, terms, .. } => {
                let row = consent::Row::new(record.at, *state, *by, purpose, *offset);
                let row = consent::Row { channel: channel.clone(), expires: terms.expires, ..row };
                person.consents.push((*node, row));
            }
            Command::Override { name, value, .. } => {
                let (node, name) = (*node, name.clone());
                person.said.retain(|said| (said.source, said.node) != (STEWARD, node) || said.name != name);
                let rank = (Timestamp(*offset as i64), Timestamp(0), 0);
                person.said.extend(value.clone().map(|value| Said { node, source: STEWARD, rank, name, value }));
            }
            _ => {}
        }
    }
    people
}

fn profiles(world: &World, told: &Told, people: &BTreeMap<ProfileId, Person>, settled: bool, found: &mut Vec<Broken>) {
    let definitions = world.definitions();
    let now = told.now.plus(1);
    let members = tables::members(world);
    for (id, person) in people {
        let view = views::profile(&mut *world.reader(), &world.access(), &definitions, world.partition(), *id);
        let Some(view) = view.expect("profiles can be read") else {
            found.push(format!("{id}: it has nodes and no profile"));
            continue;
        };
        if view.events != person.events.len() as u64 {
            found.push(format!("{id}: it has {} events and must have {}", view.events, person.events.len()));
        }
        let voices = voices(world, &definitions, *id, person, found);
        let jurisdiction = person.jurisdiction(&definitions.policy);
        let reachable = |purpose: &str, channel: Option<&str>| {
            let asked = Question { purpose, channel, jurisdiction, at: now };
            consent::decide(&definitions.policy, &voices, asked).allowed
        };
        let traits = person.traits(&definitions.survivorship, &|purpose| reachable(purpose, None));
        let shown: BTreeMap<String, String> =
            view.traits.iter().map(|(name, seen)| (name.clone(), seen.value.get().to_owned())).collect();
        let must: BTreeMap<String, String> = traits.iter().map(|(name, v)| (name.clone(), v.to_json())).collect();
        if shown != must {
            found.push(format!("{id}: its traits are {shown:?} and must be {must:?}"));
        }
        let facts = reference::Person { traits: &traits, events: &person.events, reachable: &reachable };
        for (name, computed) in &definitions.computed {
            let Some((_, definition)) = &computed.in_force else { continue };
            let must =
                reference::value(definition, &facts, now, &definitions.time_zone).map(|value| tidy(value).to_json());
            let shown = view.computed.get(name).map(|value| value.get().to_owned());
            if shown != must {
                found.push(format!("{id}: computed {name} is {shown:?} and must be {must:?}"));
            }
        }
        if !settled {
            continue;
        }
        for (name, segment) in &definitions.segments {
            let must = segment
                .in_force
                .as_ref()
                .is_some_and(|(_, definition)| reference::holds(&definition.condition, &facts, &definitions, now));
            let is = members.contains(&(name.clone(), *id));
            if is != must {
                let who: Vec<&str> = view.identifiers.iter().map(|i| i.value.as_str()).collect();
                found.push(format!("{id} ({}): member of {name}: {is}, must be: {must}, at {now}", who.join(" ")));
            }
        }
    }
    let known: BTreeSet<&str> = definitions.segments.keys().map(String::as_str).collect();
    for (segment, profile) in &members {
        if !people.contains_key(profile) || (settled && !known.contains(segment.as_str())) {
            found.push(format!("{profile}: is a member of {segment}, and one of them is not there"));
        }
    }
}

/// What of this was handed over of people who do not permit it now.
///
/// # Panics
/// Where the log or the store cannot be read.
pub fn not_permitted(world: &World, handed: &[HandOff]) -> Vec<Broken> {
    let mut found = vec![];
    if handed.is_empty() {
        return found;
    }
    let (told, definitions) = (told(world), world.definitions());
    let people = people(world, &told);
    for HandOff { profile, purpose } in handed {
        let Some(person) = people.get(profile) else {
            found.push(format!("{profile} is handed over for {purpose}, and is not there"));
            continue;
        };
        let voices = voices(world, &definitions, *profile, person, &mut found);
        let jurisdiction = person.jurisdiction(&definitions.policy);
        let asked = Question { purpose, channel: None, jurisdiction, at: world.now() };
        if !consent::decide(&definitions.policy, &voices, asked).allowed {
            found.push(format!("{profile} is handed over for {purpose}, and does not permit it"));
        }
    }
    found
}

/// What each of a person's identifiers has said of consent. Which of them spoke for another is taken from the state: it
/// depends on who was one person then; but only what one of them said may be deferred to it.
fn voices(
    world: &World,
    definitions: &Workspace,
    id: ProfileId,
    person: &Person,
    found: &mut Vec<Broken>,
) -> Vec<Vec<consent::Row>> {
    let mut voices: BTreeMap<NodeId, Vec<consent::Row>> = BTreeMap::new();
    for (node, row) in &person.consents {
        voices.entry(*node).or_default().push(row.clone());
    }
    let each = &mut |_, known: Option<feed::Person>| {
        for (node, row) in known.iter().flat_map(|known| known.deferred()) {
            let speaker = row.deferred_to.and_then(|speaker| voices.get(&speaker));
            if !speaker.is_some_and(|said| said.iter().any(|said| said.offset == row.offset && said.at == row.at)) {
                found.push(format!("{id}: {node:?} deferred {row:?}, which nobody said"));
            }
            voices.entry(node).or_default().push(row.clone());
        }
    };
    let read = feed::people(&mut *world.reader(), &world.access(), definitions, &[id], world.now(), each);
    read.expect("profiles can be read");
    voices.into_values().collect()
}

fn tidy(value: Value) -> Value {
    if let Value::Number(number) = value { Value::Number(number.normalize()) } else { value }
}
