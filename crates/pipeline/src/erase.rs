//! Erasure: who is meant, what goes of the state, and which records of the log are about them.
//!
//! The state forgets by a command: the people leave their segments, destinations are told, and nodes, statements, series and
//! what waits to be sent go, in one transaction. The log forgets by [`records`]: a pass over it finds what is about them, whatever became
//! of it when it came (applied, seen before, refused, not about a person by the rules of then). The index from nodes to
//! offsets would be quicker and would miss all but the first of these.

use std::{collections::BTreeSet, ops::Range, sync::mpsc};

use aho_corasick::AhoCorasick;
use onefold_log::{Block, EventLog, Kind, ReadError, Record};
use onefold_model::{
    NodeId, ProfileId, WorkspaceId,
    access::Access,
    command::{CommandRecord, IdentifierRef},
    event::{EventRecord, Fields, Kind as Call},
    identity::{Identifier, Rules, extract, normalise::normalise},
    json::{self, Members},
};
use onefold_state::{Reader, Row, Scan, Table, Txn, Value, schema};
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use serde::Serialize;

use crate::{
    Error,
    definitions::Workspace,
    groups::{self, GroupOfProfile},
    ledger,
    partition::Partition,
    preparations::prepared,
    profile::Node,
    suppression::{Naming, about},
    verdict::{self, Verdict},
    views,
};

/// Log that is read at a time. Its blocks are looked at on all cores.
const READ_BYTES: usize = 64 << 20;

/// Identifiers of other kinds than e-mail and phone are looked for in what others said only from this length on: shorter ones stand
/// everywhere.
const MENTION_BYTES_MIN: usize = 8;

/// A person to be erased.
#[derive(Debug)]
pub struct Person {
    /// The profile.
    pub profile: ProfileId,
    /// Its nodes.
    pub nodes: Vec<NodeId>,
    /// Their identifiers.
    pub identifiers: Vec<Identifier>,
    /// Events of all nodes.
    pub events: u64,
    /// The accounts and households that the person belongs to.
    pub groups: Vec<GroupOfProfile>,
}

/// The person with an identifier, as [`views::find`] reads it.
pub fn person(store: &mut dyn Reader, access: &Access, text: &str) -> Result<Option<Person>, Error> {
    let Some(id) = views::find(store, access, text)? else { return Ok(None) };
    let Some((profile, nodes)) = views::load(store, access, id)? else { return Ok(None) };
    let groups = groups::of_nodes(store, access, &nodes)?;
    let identifier = |node: Node| Identifier { kind: node.kind.into(), value: node.value };
    Ok(Some(Person {
        profile: id,
        nodes: profile.nodes.to_vec(),
        identifiers: nodes.into_iter().map(identifier).collect(),
        events: profile.events,
        groups,
    }))
}

/// What a destination gets of a person who is erased.
#[derive(Serialize)]
struct Notice {
    r#type: &'static str,
    profile: Named,
    at: String,
}

#[derive(Serialize)]
struct Named {
    id: String,
    /// What the profile may have been called before, parts of it included.
    ids: Vec<String>,
    identifiers: Vec<IdentifierRef>,
}

impl Partition {
    /// The people of these nodes go.
    pub(crate) fn erase(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        nodes: &[NodeId],
        offset: u64,
    ) -> Result<(), Error> {
        self.load_nodes(txn, workspace, nodes)?;
        let people: BTreeSet<ProfileId> =
            nodes.iter().filter_map(|id| self.node(id)).map(|node| node.profile).collect();
        let meant: FxHashSet<NodeId> = nodes.iter().copied().collect();
        self.write(txn)?;
        self.drop_waiting(txn, workspace, nodes)?;
        for id in people {
            let Some(own) = self.profiles.peek(&id).map(|profile| profile.nodes.clone()) else { continue };
            if own.iter().any(|node| !meant.contains(node)) {
                // Somebody joined them meanwhile, whom nobody has looked at.
                self.refuse_command(
                    workspace,
                    offset,
                    "a person to be erased has other identifiers by now: erase again",
                );
                continue;
            }
            self.write(txn)?;
            let households = households_of(txn, workspace, &own)?;
            let named = |node: &Node| IdentifierRef { kind: node.kind.clone(), value: node.value.clone() };
            let identifiers = own.iter().filter_map(|id| self.node(id)).map(named).collect();
            let ids = own.iter().map(|node| ProfileId(*node).to_string()).collect();
            let person = Named { id: id.to_string(), ids, identifiers };
            let notice = Notice { r#type: "erase", at: self.now.to_string(), profile: person };
            let body = serde_json::to_vec(&notice).unwrap_or_default();
            self.end_profile(txn, id, self.now.plus(1), offset)?;
            if !self.silent {
                ledger::erase(txn, workspace, &own)?;
            }
            self.effects.tally(workspace, "profiles.erased", 1);
            let told: Vec<String> = self.workspaces[&workspace].subscriptions.keys().cloned().collect();
            for destination in told {
                self.send(workspace, &destination, "erase", "", id, body.clone(), offset);
            }
            self.write(txn)?;
            drop_empty(txn, households)?;
        }
        Ok(())
    }

    /// What waits to be sent of these people is not sent, but that they leave.
    fn drop_waiting(&mut self, txn: &mut dyn Txn, workspace: WorkspaceId, nodes: &[NodeId]) -> Result<(), Error> {
        if self.silent {
            return Ok(());
        }
        // A profile is called by one of its nodes, then as now.
        let theirs: FxHashSet<i64> = nodes.iter().map(|node| node.0).collect();
        let own = vec![Value::Int(workspace.0.into())];
        let mut keys: Vec<Row> = vec![];
        each_row::<Error>(txn, &schema::OUTBOX, &own, &mut |row| {
            if theirs.contains(&row[7].as_int()?) && !matches!(row[5].as_text()?, "leave" | "erase") {
                keys.push(row[..schema::OUTBOX.key].to_vec());
            }
            Ok(())
        })?;
        Ok(txn.delete(&schema::OUTBOX, &keys)?)
    }
}

/// Rows that are in memory at a time, payloads included.
const PAGE: usize = 2000;

/// Calls `on` with every row under a prefix, some in memory at a time.
pub fn each_row<E: From<onefold_state::Error>>(
    store: &mut (impl Reader + ?Sized),
    table: &'static Table,
    prefix: &[Value],
    on: &mut dyn FnMut(Row) -> Result<(), E>,
) -> Result<(), E> {
    let mut after = None;
    loop {
        let rows = store.scan(&Scan { after, ..Scan::prefix(table, prefix.to_vec(), PAGE) })?;
        let last = rows.last().filter(|_| rows.len() == PAGE).map(|row| row[..table.key].to_vec());
        rows.into_iter().try_for_each(&mut *on)?;
        match last {
            None => return Ok(()),
            last => after = last,
        }
    }
}

/// The households that these nodes belong to.
fn households_of(
    txn: &mut dyn Txn,
    workspace: WorkspaceId,
    nodes: &[NodeId],
) -> Result<BTreeSet<(i64, String)>, Error> {
    let mut found = BTreeSet::new();
    for node in nodes {
        let of_node = vec![Value::Int(workspace.0.into()), Value::Int(node.0)];
        let of_node = Scan { index: Some("of_node"), ..Scan::prefix(&schema::OBJECT_MEMBER, of_node, usize::MAX) };
        for row in txn.scan(&of_node)? {
            if row[1] == Value::Int(onefold_model::EntityType::HOUSEHOLD.0.into()) {
                found.insert((row[0].as_int()?, row[2].as_text()?.to_owned()));
            }
        }
    }
    Ok(found)
}

/// A household without members is nothing but what its members said of it.
fn drop_empty(txn: &mut dyn Txn, households: BTreeSet<(i64, String)>) -> Result<(), Error> {
    for (workspace, id) in households {
        let entity = Value::Int(onefold_model::EntityType::HOUSEHOLD.0.into());
        let key = vec![Value::Int(workspace), entity, Value::Text(id)];
        if txn.count(&schema::OBJECT_MEMBER, &key)? == 0 {
            txn.delete(&schema::OBJECT, &[key])?;
        }
    }
    Ok(())
}

/// What finds identifiers as text, whole and not within longer words.
pub struct Mentions(AhoCorasick);

impl Mentions {
    /// Whether one of them stands in there.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        let inside = |byte: Option<&u8>| {
            byte.is_some_and(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'@') || *byte > 127
            })
        };
        self.0.find_overlapping_iter(bytes).any(|found| {
            let before = found.start().checked_sub(1).and_then(|at| bytes.get(at));
            !inside(before) && !inside(bytes.get(found.end()))
        })
    }
}

/// Who is looked for in the log and among dead letters.
pub struct Sought<'a> {
    /// Their nodes.
    pub nodes: &'a FxHashSet<NodeId>,
    /// Whether an identifier in its normal form is theirs.
    pub is: &'a (dyn Fn(&Identifier) -> bool + Sync),
    /// What finds their identifiers in what others said; `None`: that is not looked for.
    pub mentions: Option<&'a Mentions>,
    /// What tells quickly that a record cannot be about them; `None`: each is read.
    pub hints: Option<&'a Hints>,
}

/// Tells of most records that they cannot name certain identifiers, without reading them as JSON.
pub struct Hints(AhoCorasick);

/// Whoever names a phone number may write it in many ways, and names what it is.
const PHONE: &str = "phone";

/// What becomes an ASCII letter in lower case and is none before: the sign for kelvin.
const KELVIN: &str = "\u{212a}";

impl Hints {
    /// For these identifiers; `None` where their forms are too many to be looked for.
    pub fn of(identifiers: &[Identifier]) -> Option<Hints> {
        let folds = |one: &Identifier| one.kind == "email" && !one.value.is_ascii();
        if identifiers.is_empty() || identifiers.iter().any(folds) {
            return None;
        }
        let values = identifiers.iter().map(|one| one.value.as_str());
        let phone = identifiers.iter().any(|one| one.kind == "phone").then_some(PHONE);
        let patterns = values.chain(phone).chain([KELVIN, "\\"]);
        AhoCorasick::builder().ascii_case_insensitive(true).build(patterns).ok().map(Hints)
    }

    /// Whether a record's JSON, as it came, may name one of them: one stands there as a value or a part of words, or something that may
    /// be another form of it.
    fn may_name(&self, payload: &[u8]) -> bool {
        self.0.find_overlapping_iter(payload).any(|found| {
            let before = found.start().checked_sub(1).and_then(|at| payload.get(at));
            let after = payload.get(found.end());
            // Within a longer word it is another value; an escape or a phone is looked at wherever it stands.
            let inside = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            let bytes = &payload[found.start()..found.end()];
            let always = bytes == b"\\" || bytes == KELVIN.as_bytes() || bytes.eq_ignore_ascii_case(PHONE.as_bytes());
            always || !(inside(before) || inside(after))
        })
    }
}

/// What finds these identifiers as text, whatever their case; `None` where all are too short to be told from others.
pub fn mentions_of(identifiers: &[Identifier]) -> Option<Mentions> {
    let telling = |identifier: &&Identifier| {
        matches!(identifier.kind.as_ref(), "email" | "phone") || identifier.value.len() >= MENTION_BYTES_MIN
    };
    let values: Vec<&str> = identifiers.iter().filter(telling).map(|identifier| identifier.value.as_str()).collect();
    let found = (!values.is_empty()).then(|| AhoCorasick::builder().ascii_case_insensitive(true).build(values));
    found.and_then(Result::ok).map(Mentions)
}

/// What of the log is about people.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Found {
    /// Records about them.
    pub about: Vec<u64>,
    /// Records about others that name them.
    pub mentions: Vec<u64>,
}

/// The records at these offsets that are about people, and those about others that name them. `progress` is told how far it is.
pub fn records(
    log: &dyn EventLog,
    store: &mut dyn Reader,
    access: &Access,
    definitions: &Workspace,
    sought: &Sought<'_>,
    offsets: Range<u64>,
    progress: &mut dyn FnMut(u64),
) -> Result<Found, Error> {
    let partition = access.workspace.partition(log.partitions());
    let Range { start, end: last } = offsets.start.max(log.start(partition)?)..offsets.end;
    std::thread::scope(|scope| {
        // Reading decompresses: the next part is read while the one before is looked at.
        let (reads, parts) = mpsc::sync_channel(0);
        scope.spawn(move || read_through(log, partition, start..last, &reads));
        let (mut found, mut next) = (Found::default(), start);
        for blocks in parts {
            let blocks: Vec<Block> = blocks?;
            let end = blocks.last().map_or(next, Block::end).min(last);
            let verdicts = verdict::between(store, partition, next, end)?;
            let of_block = |block: &Block| {
                let mut found = Found::default();
                for record in block.records().filter(|record| (next..end).contains(&record.offset) && !record.erased) {
                    let applied = verdicts.get((record.offset - next) as usize);
                    // What was folded at somebody else is theirs, though it names the person.
                    let (theirs, of_others) = match applied {
                        Some(Verdict::Accepted(node)) => (sought.nodes.contains(node), !sought.nodes.contains(node)),
                        _ => (false, false),
                    };
                    if !theirs && cannot_name(&record, definitions, sought) {
                        continue;
                    }
                    if theirs || is_about(&record, access, definitions, sought, of_others) {
                        found.about.push(record.offset);
                    } else if is_own(&record, access)
                        && sought.mentions.is_some_and(|mentions| mentions.is_match(record.payload))
                    {
                        found.mentions.push(record.offset);
                    }
                }
                found
            };
            for part in blocks.par_iter().map(of_block).collect::<Vec<_>>() {
                found.about.extend(part.about);
                found.mentions.extend(part.mentions);
            }
            next = end;
            progress(next);
        }
        Ok(found)
    })
}

/// Reads a range of the log in parts, one ahead of who takes them, until nobody does.
fn read_through(
    log: &dyn EventLog,
    partition: u32,
    offsets: Range<u64>,
    parts: &mpsc::SyncSender<Result<Vec<Block>, ReadError>>,
) {
    let mut next = offsets.start;
    while next < offsets.end {
        let blocks = log.read(partition, next, READ_BYTES);
        let end = blocks.as_ref().ok().and_then(|blocks| blocks.last()).map(Block::end);
        if parts.send(blocks).is_err() {
            return;
        }
        let Some(end) = end else { return };
        next = end;
    }
}

/// Whether a record cannot name whom is sought: nothing in it looks like them, and nothing is made of it before it is read.
fn cannot_name(record: &Record<'_>, definitions: &Workspace, sought: &Sought<'_>) -> bool {
    let Some(hints) = sought.hints else { return false };
    definitions.preparations.is_empty() && !hints.may_name(record.payload)
}

/// Whether a record is of the workspace.
fn is_own(record: &Record<'_>, access: &Access) -> bool {
    match record.kind {
        Kind::Event => EventRecord::decode(record.payload).is_ok_and(|event| event.workspace == access.workspace),
        Kind::Command => {
            CommandRecord::decode(record.payload).is_ok_and(|command| command.workspace == access.workspace)
        }
        _ => false,
    }
}

fn is_about(
    record: &Record<'_>,
    access: &Access,
    definitions: &Workspace,
    sought: &Sought<'_>,
    of_others: bool,
) -> bool {
    match record.kind {
        Kind::Event => {
            let Ok(event) = EventRecord::decode(record.payload) else { return false };
            let named = if of_others { Naming::Owner } else { Naming::Any };
            event.workspace == access.workspace
                && event_is_about(definitions, Some(record.offset), &event, named, sought.is)
        }
        Kind::Command => {
            let Ok(command) = CommandRecord::decode(record.payload) else { return false };
            let subject = |subject: &&IdentifierRef| {
                let value = normalise(&subject.kind, &subject.value).map(|value| value.into_owned());
                value.is_some_and(|value| (sought.is)(&Identifier { kind: subject.kind.clone().into(), value }))
            };
            command.workspace == access.workspace && command.command.subjects().iter().any(subject)
        }
        _ => false,
    }
}

/// Whether an event is about somebody who `is` meant, as it came or as its source's preparation makes it; `offset`: where it
/// stands in the log, if it does.
pub fn event_is_about(
    definitions: &Workspace,
    offset: Option<u64>,
    event: &EventRecord<'_>,
    naming: Naming,
    is: &dyn Fn(&Identifier) -> bool,
) -> bool {
    if json_is_about(event.json, &definitions.rules, naming, is) {
        return true;
    }
    let outcome = definitions.preparations.apply(offset.unwrap_or(u64::MAX), event);
    outcome.is_some() && json_is_about(prepared(*event, &outcome).json, &definitions.rules, naming, is)
}

/// Whether an event's JSON is about somebody who `is` meant. One without a kind is read as the kind that says most.
pub fn json_is_about(json: &str, rules: &Rules, naming: Naming, is: &dyn Fn(&Identifier) -> bool) -> bool {
    let Ok(fields) = Fields::read(json) else { return false };
    let kind = fields.kind.and_then(json::text).and_then(|name| Call::from_name(&name)).unwrap_or(Call::Identify);
    let context = fields.context.and_then(Members::of);
    about(&extract(&fields, context.as_ref(), kind, rules).identifiers, naming, is)
}

/// Offsets as ranges.
pub fn ranges(offsets: &[u64]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = vec![];
    for offset in offsets {
        match ranges.last_mut() {
            Some(last) if last.end == *offset => last.end += 1,
            _ => ranges.push(*offset..offset + 1),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(identifiers: &[(&'static str, &str)]) -> Vec<Identifier> {
        let one =
            |(kind, value): &(&'static str, &str)| Identifier { kind: (*kind).into(), value: (*value).to_owned() };
        identifiers.iter().map(one).collect()
    }

    #[test]
    fn a_record_that_names_somebody_in_any_form_may_name_them_and_others_need_not_be_read() {
        let sought = named(&[
            ("email", "ada.k@example.com"),
            ("phone", "+48221234567"),
            ("user_id", "7"),
            ("anonymous_id", "Łódź"),
        ]);
        let hints = Hints::of(&sought).unwrap();
        let is = |one: &Identifier| sought.contains(one);
        let rules = Rules::default();
        for json in [
            r#"{"type":"identify","userId":"x","traits":{"email":" Ada.K@Example.com "}}"#,
            "{\"type\":\"identify\",\"userId\":\"x\",\"traits\":{\"email\":\"ada.\u{212a}@example.com\"}}",
            r#"{"type":"identify","userId":"x","traits":{"email":"ada.\u006b@example.com"}}"#,
            r#"{"type":"identify","userId":"x","traits":{"phone":"0048 (22) 123-45-67"}}"#,
            r#"{"type":"track","event":"a","userId":7}"#,
            r#"{"type":"track","event":"a","userId":" 7 "}"#,
            r#"{"type":"track","event":"a","anonymousId":"Łódź"}"#,
            r#"{"type":"track","event":"a","userId":"x","context":{"externalIds":[{"type":"phone","id":"+48 221234567"}]}}"#,
        ] {
            assert!(json_is_about(json, &rules, Naming::Any, &is), "{json}");
            assert!(hints.may_name(json.as_bytes()), "{json}");
        }
        for json in [
            r#"{"type":"track","event":"a","userId":"u77","properties":{"total":1757}}"#,
            r#"{"type":"identify","userId":"x","traits":{"email":"bob@example.com"}}"#,
        ] {
            assert!(!hints.may_name(json.as_bytes()), "{json}");
        }
        assert!(Hints::of(&named(&[("email", "ä@example.com")])).is_none(), "its capitals are another text");
        assert!(Hints::of(&[]).is_none());
    }
}
