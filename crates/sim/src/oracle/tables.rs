//! What must hold among the tables.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use onefold_model::{
    NodeId, ProfileId, Timestamp,
    command::{Command, PageWork, Subscription},
    identity::{
        Decision, Origin, Rules, Statement, StatementRef,
        cluster::{NodeFacts, recluster_under},
    },
    segment::EventFields,
};
use onefold_pipeline::{
    admission,
    definitions::Workspace,
    feed,
    links::{self, Finding},
    views,
};
use onefold_state::{Row, schema};

use super::{Broken, Class, Told};
use crate::World;

/// A node's row.
pub struct NodeRow {
    pub id: NodeId,
    pub kind: String,
    pub value: String,
    pub profile: ProfileId,
    pub first_seen: Timestamp,
    pub events: i64,
}

fn int(row: &Row, column: usize) -> i64 {
    row[column].as_int().expect("an integer")
}

fn text(row: &Row, column: usize) -> String {
    row[column].as_text().expect("text").to_owned()
}

fn own<'w>(world: &'w World, table: &'static onefold_state::Table) -> impl Iterator<Item = Row> + use<'w> {
    let workspace = i64::from(world.workspace.0);
    world.rows(table).into_iter().filter(move |row| int(row, 0) == workspace)
}

pub fn nodes(world: &World) -> Vec<NodeRow> {
    let node = |row: Row| NodeRow {
        id: NodeId(int(&row, 2)),
        kind: text(&row, 3),
        value: text(&row, 4),
        profile: ProfileId(NodeId(int(&row, 5))),
        first_seen: Timestamp(int(&row, 6)),
        events: int(&row, 8),
    };
    own(world, &schema::NODE).map(node).collect()
}

pub fn identifiers(world: &World) -> HashMap<(String, String), NodeId> {
    own(world, &schema::IDENTIFIER).map(|row| ((text(&row, 2), text(&row, 3)), NodeId(int(&row, 4)))).collect()
}

pub fn members(world: &World) -> BTreeSet<(String, ProfileId)> {
    let definitions = world.definitions();
    let all = views::memberships(&mut *world.reader(), &world.access()).expect("profiles can be read");
    let name = |number| definitions.segment_name(number).map_or_else(|| format!("number {number}"), |n| n.to_string());
    all.into_iter().map(|(number, profile)| (name(number), profile)).collect()
}

/// All that was said, or only what was not withdrawn.
fn statements(world: &World, all: bool) -> BTreeMap<(i64, i64), Statement> {
    own(world, &schema::STATEMENT)
        .filter(|row| all || row[6].is_null())
        .map(|row| {
            let body = row[4].as_bytes().expect("bytes");
            ((int(&row, 2), int(&row, 3)), postcard::from_bytes(&body[1..]).expect("a statement"))
        })
        .collect()
}

fn named(statement: &Statement) -> Vec<NodeId> {
    match statement {
        Statement::Together { nodes, .. } => nodes.to_vec(),
        Statement::Apart { a, b } => vec![*a, *b],
    }
}

/// Rows that name each other are all there.
pub fn integrity(world: &World, found: &mut Vec<Broken>) {
    let nodes = nodes(world);
    let ids: BTreeSet<NodeId> = nodes.iter().map(|node| node.id).collect();
    let by_value: HashMap<(String, String), NodeId> =
        nodes.iter().map(|node| ((node.kind.clone(), node.value.clone()), node.id)).collect();
    if by_value != identifiers(world) || by_value.len() != nodes.len() {
        found.push("nodes and identifiers are not the same".to_owned());
    }
    let mut clusters: BTreeMap<ProfileId, (NodeId, i64)> = BTreeMap::new();
    for node in &nodes {
        let entry = clusters.entry(node.profile).or_insert((node.id, 0));
        entry.0 = entry.0.min(node.id);
        entry.1 += node.events;
    }
    let profiles: BTreeMap<ProfileId, i64> =
        own(world, &schema::PROFILE).map(|row| (ProfileId(NodeId(int(&row, 2))), int(&row, 6))).collect();
    for (profile, (oldest, events)) in &clusters {
        if *oldest != profile.0 {
            found.push(format!("{profile}: it is not called by its oldest node {oldest:?}"));
        }
        if profiles.get(profile) != Some(events) {
            found.push(format!("{profile}: its nodes have {events} events, it has {:?}", profiles.get(profile)));
        }
    }
    if clusters.len() != profiles.len() {
        found.push(format!("there are {} clusters and {} profiles", clusters.len(), profiles.len()));
    }
    let statements = statements(world, true);
    let mut pointers: BTreeSet<(NodeId, (i64, i64))> = BTreeSet::new();
    for (place, statement) in &statements {
        pointers.extend(named(statement).into_iter().map(|node| (node, *place)));
    }
    let stored: BTreeSet<(NodeId, (i64, i64))> =
        own(world, &schema::STATEMENT_NODE).map(|row| (NodeId(int(&row, 2)), (int(&row, 3), int(&row, 4)))).collect();
    if pointers != stored {
        let odd: Vec<_> = pointers.symmetric_difference(&stored).take(3).collect();
        found.push(format!("statements and the nodes that they name are not the same: {odd:?}"));
    }
    let of_nodes = [
        (&schema::EVENT_PAGE, 2),
        (&schema::SERIES_CHUNK, 2),
        (&schema::STATEMENT_NODE, 2),
        (&schema::LINK, 2),
        (&schema::LINK, 3),
        (&schema::OBJECT_MEMBER, 3),
    ];
    for (table, column) in of_nodes {
        for row in own(world, table).filter(|row| !ids.contains(&NodeId(int(row, column)))) {
            found.push(format!("{}: of a node that is not there: {:?}", table.name, &row[..table.key]));
        }
    }
}

/// The profiles are what the statements give, taken from nothing.
pub fn clustering(world: &World, found: &mut Vec<Broken>) {
    let nodes = nodes(world);
    let mut history = vec![(-1, Rules::default())];
    for row in own(world, &schema::DEFINITION_VERSION).filter(|row| text(row, 2) == "identity_rules") {
        history.push((int(&row, 4), serde_json::from_str(&text(&row, 7)).expect("rules")));
    }
    let kinds: HashMap<NodeId, &str> = nodes.iter().map(|node| (node.id, node.kind.as_str())).collect();
    let facts: Vec<NodeFacts> =
        nodes.iter().map(|node| NodeFacts { id: node.id, rank: 0, first_seen: node.first_seen }).collect();
    let statements = statements(world, false);
    let under = |offset: i64| history.iter().rev().find(|(from, _)| *from < offset).map_or(&history[0].1, |(_, r)| r);
    let said: Vec<(&Statement, &Rules)> = statements.iter().map(|((offset, _), s)| (s, under(*offset))).collect();
    let (region, _) = recluster_under(&facts, &said, &|rules, node| rules.rank(kinds[&node]).0);
    let mut is: BTreeMap<ProfileId, Vec<NodeId>> = BTreeMap::new();
    for node in &nodes {
        is.entry(node.profile).or_default().push(node.id);
    }
    let is: Vec<Vec<NodeId>> = is.into_values().collect();
    let must = region.clusters();
    if is != must {
        let odd = |a: &[Vec<NodeId>], b: &[Vec<NodeId>]| -> Vec<Vec<NodeId>> {
            a.iter().filter(|cluster| !b.contains(cluster)).take(3).cloned().collect()
        };
        found.push(format!("clusters are {:?} and must be {:?}", odd(&is, &must), odd(&must, &is)));
    }
}

/// What links and decisions call for is said, and nothing else is in their name.
pub fn links(world: &World, found: &mut Vec<Broken>) {
    let mut said = statements(world, false);
    let links = links::page(&mut *world.reader(), &world.access(), None, usize::MAX).expect("links can be read");
    for link in links {
        let joins = link.finding == Finding::Joined && !link.is_refused();
        let together = |origin: Origin| {
            move |statement: &Statement| match statement {
                Statement::Together { nodes, origin: by, .. } => nodes[..] == [link.a, link.b] && *by == origin,
                Statement::Apart { .. } => false,
            }
        };
        let [finding, decision] = link.statements();
        let mut take = |place: Option<StatementRef>| {
            place.and_then(|StatementRef(offset, place)| said.remove(&(offset as i64, i64::from(place))))
        };
        let is_withdrawn = |place: Option<StatementRef>| {
            let withdrawn = world.rows(&schema::STATEMENT).into_iter().filter(|row| !row[6].is_null());
            place.is_some_and(|StatementRef(offset, place)| {
                withdrawn.into_iter().any(|row| (int(&row, 2), int(&row, 3)) == (offset as i64, i64::from(place)))
            })
        };
        // An operator may have withdrawn the statement itself.
        let right = match take(finding) {
            Some(statement) => joins && together(Origin::Link)(&statement),
            None => is_withdrawn(finding) || !joins && finding.is_none(),
        };
        let right = right
            && match (take(decision), link.decided.as_ref().map(|decided| decided.decision)) {
                (Some(statement), Some(Decision::Accept)) => together(Origin::Command)(&statement),
                (Some(Statement::Apart { a, b }), Some(Decision::Never)) => (a, b) == (link.a, link.b),
                (None, Some(Decision::Accept | Decision::Never)) => is_withdrawn(decision),
                (None, Some(Decision::Reject) | None) => decision.is_none(),
                _ => false,
            };
        if !right {
            found.push(format!("a link does not say what it calls for: {link:?}"));
        }
    }
    for (place, statement) in said {
        if let Statement::Together { origin: Origin::Link, .. } = statement {
            found.push(format!("a statement of a link that is not there: {place:?} {statement:?}"));
        }
    }
}

/// Running totals are what a count gives.
pub fn tallies(world: &World, told: &Told, found: &mut Vec<Broken>) {
    let tallies = views::tallies(&mut *world.reader(), &world.access()).expect("tallies can be read");
    let mut must: BTreeMap<String, i64> = BTreeMap::new();
    must.insert("profiles".to_owned(), own(world, &schema::PROFILE).count() as i64);
    for (segment, _) in members(world) {
        *must.entry(format!("segment.{segment}")).or_default() += 1;
    }
    if world.rows(&schema::PROGRESS).len() == 1 && only_workspace(world) {
        let count = |of: &[Class]| told.classes.iter().filter(|class| of.contains(class)).count() as i64;
        must.insert("events.accepted".to_owned(), count(&[Class::Accepted, Class::Object]));
        must.insert("events.duplicate".to_owned(), count(&[Class::Duplicate]));
    }
    for (name, must) in &must {
        let is = tallies.get(name).copied().unwrap_or(0);
        if is != *must {
            found.push(format!("tally {name} is {is} and must be {must}"));
        }
    }
    for (name, is) in tallies.iter().filter(|(name, _)| name.starts_with("segment.") && !must.contains_key(*name)) {
        if *is != 0 {
            found.push(format!("tally {name} is {is} and nobody is in it"));
        }
    }
}

fn only_workspace(world: &World) -> bool {
    world.rows(&schema::TALLY).iter().all(|row| int(row, 0) == i64::from(world.workspace.0))
}

/// The changes of membership, one after another, give the members.
pub fn changes(world: &World, found: &mut Vec<Broken>) {
    let mut inside: BTreeSet<(String, ProfileId)> = BTreeSet::new();
    for change in world.changes() {
        let who = (change.segment.to_string(), change.profile);
        let fits = if change.entered { inside.insert(who) } else { inside.remove(&who) };
        if !fits {
            found.push(format!("a change that is none: {change:?}"));
        }
    }
    if inside != members(world) {
        found.push("changes of membership do not give the members".to_owned());
    }
}

/// What waits in the outbox is what changed while somebody was subscribed to it, once each; where a destination names a
/// purpose, also who came to allow it, or does not any more. `settled`: then who may be there was told so last.
pub fn outbox(world: &World, told: &Told, settled: bool, found: &mut Vec<Broken>) {
    type Sent = (String, i64, String, String, i64);
    let workspace = i64::from(world.workspace.0);
    let rows: Vec<Row> = world.outbox_ever().into_iter().filter(|row| int(row, 0) == workspace).collect();
    let keys: BTreeSet<String> = rows.iter().map(|row| text(row, 4)).collect();
    if keys.len() != rows.len() {
        found.push("two rows of the outbox have one key".to_owned());
    }
    let mut is: Vec<Sent> = rows
        .iter()
        .map(|row| {
            (
                text(row, 1),
                int(row, 2),
                text(row, 5),
                text(row, 6),
                if text(row, 5) == "event" { 0 } else { int(row, 7) },
            )
        })
        .collect();
    let mut must: Vec<Sent> = vec![];
    for change in world.changes() {
        let (offset, segment) = (change.offset as i64, change.segment.to_string());
        let kind = if change.entered { "enter" } else { "leave" };
        for taker in subscriptions(world, told, offset).values().filter(|s| s.segments.contains(&segment)) {
            must.push((taker.destination.clone(), offset, kind.to_owned(), segment.clone(), change.profile.0.0));
        }
    }
    for (offset, event) in &told.events {
        if told.classes[*offset as usize] != Class::Accepted {
            continue;
        }
        let wants = |s: &&Subscription| s.events.iter().any(|name| name == "*" || name == event.name());
        for taker in subscriptions(world, told, *offset as i64).values().filter(wants) {
            must.push((taker.destination.clone(), *offset as i64, "event".to_owned(), String::new(), 0));
        }
    }
    // What changes at a subscription's own record may fall before or after it; a page of a sync sends members anew.
    let unclear = |offset: i64| {
        told.commands.get(&(offset as u64)).is_some_and(|record| match &record.command {
            Command::Subscribe(_) | Command::Unsubscribe(_) => true,
            Command::Page(page) => matches!(page.work, PageWork::Sync { .. }),
            _ => false,
        })
    };
    is.retain(|sent| !unclear(sent.1));
    must.retain(|sent| !unclear(sent.1));
    is.sort_unstable();
    must.sort_unstable();
    let mut left = must.clone();
    is.retain(|sent| match left.iter().position(|other| other == sent) {
        Some(place) => {
            left.swap_remove(place);
            true
        }
        None => {
            let of = subscriptions(world, told, sent.1).get(&sent.0).and_then(|of| of.purpose.clone());
            of.is_none() || sent.2 == "event"
        }
    });
    if settled {
        permitted(world, told, &rows, found);
    }
    if is != must {
        let odd =
            |a: &[Sent], b: &[Sent]| -> Vec<Sent> { a.iter().filter(|s| !b.contains(s)).take(3).cloned().collect() };
        let (more, less) = (odd(&is, &must), odd(&must, &is));
        found.push(format!(
            "the outbox has {} rows and must have {}: too much {more:?}, too little {less:?}",
            is.len(),
            must.len()
        ));
    }
}

/// Of everybody who is in a destination's segment and may be there, the destination was told last that they entered.
fn permitted(world: &World, told: &Told, rows: &[Row], found: &mut Vec<Broken>) {
    let definitions = world.definitions();
    let mut last: HashMap<(String, String, i64), (i64, i64, String)> = HashMap::new();
    for row in rows.iter().filter(|row| matches!(text(row, 5).as_str(), "enter" | "leave")) {
        let newest = last.entry((text(row, 1), text(row, 6), int(row, 7))).or_default();
        *newest = std::mem::take(newest).max((int(row, 2), int(row, 3), text(row, 5)));
    }
    let current = subscriptions(world, told, i64::MAX);
    let members = members(world);
    for subscription in current.values().filter(|of| of.purpose.is_some()) {
        let purpose = subscription.purpose.clone().unwrap_or_default();
        for (segment, id) in members.iter().filter(|(segment, _)| subscription.segments.contains(segment)) {
            let mut may = false;
            let at = told.now.plus(1);
            let each = &mut |_, person: Option<feed::Person>| {
                may = person.is_some_and(|person| person.consent(&definitions.policy, &purpose, None).allowed);
            };
            feed::people(&mut *world.reader(), &world.access(), &definitions, &[*id], at, each).expect("people");
            let key = (subscription.destination.clone(), segment.clone(), id.0.0);
            let entered = last.get(&key).is_some_and(|(.., kind)| kind == "enter");
            if may && !entered {
                found.push(format!("{id}: is in {segment}, allows {purpose}, and {} was not told", key.0));
            }
        }
    }
}

/// Who was subscribed when the record at `offset` came.
fn subscriptions(world: &World, told: &Told, offset: i64) -> BTreeMap<String, Subscription> {
    let nothing = Workspace::new(world.workspace);
    let mut subscriptions = BTreeMap::new();
    for (_, record) in told.commands.range(..offset.max(0) as u64) {
        match &record.command {
            Command::Subscribe(s) if admission::problems_of(&nothing, &record.command).is_empty() => {
                subscriptions.insert(s.destination.clone(), s.clone());
            }
            Command::Unsubscribe(name) => drop(subscriptions.remove(name)),
            _ => {}
        }
    }
    subscriptions
}
