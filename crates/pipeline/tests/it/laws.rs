//! Laws that hold for whatever happens, the invariants of the architecture among them.
//!
//! What happens is drawn by `onefold_sim::plan` from seeds, so that a failing case shrinks to few of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use onefold_log::MemoryLog;
use onefold_model::{
    NodeId, Timestamp,
    command::{Command, encode_tick},
    event::Kind,
    identity::{
        Origin, Rules, Statement,
        cluster::{NodeFacts, recluster_under},
        normalise::normalise,
    },
    rng::SeededRng,
};
use onefold_pipeline::views;
use onefold_sim::{
    Call, World, dump, group, identify,
    oracle::{self, Told},
    plan::{self, Op},
    run::Story,
    track,
    world::{DAY, HOUR, START},
};
use onefold_state::{MemoryStore, schema};
use proptest::prelude::*;
use serde_json::{Value, json};

fn story() -> Story {
    Story::new(Arc::new(MemoryLog::new(1)), Arc::new(MemoryStore::new(schema::ALL)))
}

/// Things that happen, of those that `keep` takes.
fn ops(most: usize, keep: fn(&Op) -> bool) -> impl Strategy<Value = Vec<Op>> {
    let op = any::<u64>().prop_map(|seed| plan::op(&SeededRng::new(seed))).prop_filter("not of these", keep);
    prop::collection::vec(op, 1..most)
}

fn holds(result: Result<(), String>) -> Result<(), TestCaseError> {
    result.map_err(TestCaseError::fail)
}

/// Calls of a few people who share no identifier, each with times of their own.
fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = (0..3usize, 0..8u8, 0..15u8, 0..6i64, 0..4i64);
    prop::collection::vec(call, 1..40).prop_map(|drawn| {
        let each = drawn.into_iter().enumerate().map(|(n, (person, kind, names, at, number))| {
            let all =
                [format!("u{person}"), format!("a{person}1"), format!("a{person}2"), format!("p{person}@example.com")];
            let named: Vec<String> = all
                .iter()
                .enumerate()
                .filter(|(bit, _)| (names + 1) & (1 << bit) != 0)
                .map(|(_, name)| name.clone())
                .collect();
            let who = named.join(" ");
            let call = match kind {
                0 => identify(&who, json!({ "plan": number, "age": at })),
                1 => identify(&who, json!({ "plan": null, "tags": [number] })),
                2 => group(&who, "acme", json!({ "n": number })),
                3 => track(&who, "Viewed").with(json!({ "kind": number })).consent("marketing", number > 1),
                4 => track(&who, "Viewed").unreadable_consent(),
                _ => track(&who, "Order").with(json!({ "revenue": format!("0.{number}"), "kind": number })),
            };
            call.at(START.plus(90 * DAY + at * HOUR)).id(&format!("m{n}"))
        });
        each.collect()
    })
}

/// What is shown of everybody, without what is the log's: offsets, ids, and which identifier came first.
fn shown(world: &World) -> BTreeMap<String, Value> {
    let mut people = BTreeMap::new();
    for person in world.people() {
        let name = person.split(' ').next().unwrap_or_default();
        let mut view = serde_json::to_value(world.profile(name)).unwrap();
        strip(&mut view);
        people.insert(person, view);
    }
    let definitions = world.definitions();
    let accounts = views::objects(&mut *world.reader(), &world.access(), &definitions, "account", None, 100).unwrap();
    let mut accounts = serde_json::to_value(accounts).unwrap();
    strip(&mut accounts);
    people.insert("accounts".to_owned(), accounts);
    people
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            ["id", "offset", "identifiers", "row", "rule"].iter().for_each(|name| drop(members.remove(*name)));
            members.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Who is one person, from everything that was ever said, taken from nothing.
fn clusters(told: &Told) -> Vec<Vec<NodeId>> {
    let mut nodes: HashMap<(String, String), NodeId> = HashMap::new();
    let mut facts: Vec<NodeFacts> = vec![];
    let mut kinds: HashMap<NodeId, String> = HashMap::new();
    let mut said: Vec<(Statement, usize)> = vec![];
    let mut rules = vec![Rules::default()];
    let cluster =
        |facts: &[NodeFacts], said: &[(Statement, usize)], rules: &[Rules], kinds: &HashMap<NodeId, String>| {
            let said: Vec<(&Statement, &Rules)> =
                said.iter().map(|(statement, under)| (statement, &rules[*under])).collect();
            recluster_under(facts, &said, &|rules, node| rules.rank(&kinds[&node]).0).0.clusters()
        };
    for offset in 0..told.classes.len() as u64 {
        if let Some(event) = told.events.get(&offset) {
            let mut named = vec![];
            for (place, identifier) in event.identifiers.iter().enumerate() {
                let key = (identifier.kind.to_string(), identifier.value.clone());
                named.push(*nodes.entry(key).or_insert_with(|| {
                    let id = NodeId::at(offset, place);
                    facts.push(NodeFacts { id, rank: 0, first_seen: Timestamp(offset as i64) });
                    kinds.insert(id, identifier.kind.to_string());
                    id
                }));
            }
            let origin = if event.kind == Kind::Alias { Origin::Alias } else { Origin::Event };
            said.push((Statement::Together { nodes: named.into(), origin, at: START }, rules.len() - 1));
        }
        let Some(record) = told.commands.get(&offset) else { continue };
        let find = |r: &onefold_model::command::IdentifierRef| {
            nodes.get(&(r.kind.clone(), normalise(&r.kind, &r.value)?.into_owned())).copied()
        };
        match &record.command {
            Command::IdentityRules(new) => rules.push(new.clone()),
            Command::Merge { a, b } => {
                if let (Some(a), Some(b)) = (find(a), find(b))
                    && a != b
                {
                    let nodes = [a, b].into_iter().collect();
                    said.push((Statement::Together { nodes, origin: Origin::Command, at: START }, rules.len() - 1));
                }
            }
            Command::Unmerge { a, b } => {
                let Some(a) = find(a) else { continue };
                let others = match b {
                    Some(b) => find(b).into_iter().collect(),
                    None => {
                        let all = cluster(&facts, &said, &rules, &kinds);
                        all.into_iter().find(|cluster| cluster.contains(&a)).unwrap_or_default()
                    }
                };
                said.extend(
                    others.into_iter().filter(|b| *b != a).map(|b| (Statement::Apart { a, b }, rules.len() - 1)),
                );
            }
            _ => {}
        }
    }
    cluster(&facts, &said, &rules, &kinds)
}

/// The clusters that the nodes' rows say.
fn stored(world: &World) -> Vec<Vec<NodeId>> {
    let mut of: BTreeMap<i64, Vec<NodeId>> = BTreeMap::new();
    for row in world.rows(&schema::NODE) {
        of.entry(row[5].as_int().unwrap()).or_default().push(NodeId(row[2].as_int().unwrap()));
    }
    of.into_values().collect()
}

fn about_identity(op: &Op) -> bool {
    match op {
        Op::Send(_) | Op::Run | Op::Crash => true,
        Op::Give(command) => match &**command {
            Command::Merge { .. } | Command::Unmerge { .. } => true,
            // With windows a statement counts again by time alone, and is recorded only where it joins.
            Command::IdentityRules(rules) => {
                rules.kinds.iter().all(|rule| rule.limit.is_none_or(|limit| limit.window_days.is_none()))
            }
            _ => false,
        },
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Invariant 3: under one clustering the same events give the same people, in whatever order they arrive.
    #[test]
    fn the_order_of_arrival_does_not_matter(
        (calls, shuffled) in calls().prop_flat_map(|calls| (Just(calls.clone()), Just(calls).prop_shuffle())),
    ) {
        let tell = |calls: &[Call]| {
            let mut world = World::new();
            world.computed("spent = sum(\"Order\", revenue)");
            world.computed("kinds = list(\"Order\", kind) within 1 day");
            world.segment("active", "count(\"Order\") >= 2 within 2 days or trait plan = 1");
            world.segment("reached", "may be reached for marketing and computed spent > 0.3");
            world.run();
            world.clock.set(START.plus(90 * DAY + 6 * HOUR));
            for call in calls {
                world.send(call.clone());
            }
            world.run();
            shown(&world)
        };
        prop_assert_eq!(tell(&calls), tell(&shuffled));
    }

    /// Invariant 4: whatever was said, merged and unmerged, people are what all that was said gives, taken from nothing.
    #[test]
    fn the_clustering_is_what_all_statements_give(ops in ops(40, about_identity)) {
        let mut story = story();
        for op in ops.iter().chain([&Op::Run]) {
            holds(story.take(op))?;
            if matches!(op, Op::Run) {
                prop_assert_eq!(stored(&story.world), clusters(&oracle::told(&story.world)));
            }
        }
    }

    /// Invariant 4: what was joined and is parted again is as if it had never been joined.
    #[test]
    fn an_unmerge_gives_exactly_what_the_rest_gives(ops in ops(30, |op| matches!(op, Op::Send(_) | Op::Run | Op::Move(1..=DAY)))) {
        let mut story = story();
        story.world.segment("active", "count(any event) >= 2 within 2 days or trait plan = \"pro\"");
        story.world.computed("orders = count(\"Order\")");
        for op in &ops {
            holds(story.take(op))?;
        }
        // Engine time comes up to the clock, so that both looks are as of the same instant.
        let now = story.world.now();
        story.world.append(onefold_log::Kind::Tick, &encode_tick(now));
        holds(story.take(&Op::Run))?;
        let before = shown(&story.world);
        let people = story.world.people();
        let (Some(first), Some(last)) = (people.first(), people.last()) else { return Ok(()) };
        let name = |person: &str| person.split(' ').next().unwrap_or_default().to_owned();
        if first != last {
            story.world.merge(&name(first), &name(last));
            holds(story.take(&Op::Run))?;
            story.world.unmerge(&name(first), Some(&name(last)));
            holds(story.take(&Op::Run))?;
        }
        let mut after = shown(&story.world);
        let mut before = before;
        for view in before.values_mut().chain(after.values_mut()) {
            // They entered anew.
            let segments = view.get_mut("segments").and_then(Value::as_array_mut);
            segments.into_iter().flatten().for_each(|segment| segment["since"] = Value::Null);
        }
        prop_assert_eq!(before, after);
    }

    /// Invariant 5: at every instant the live segments have the members that the reference gives, and everything else
    /// that must hold does.
    #[test]
    fn live_segments_are_what_the_reference_says(ops in ops(40, |op| !matches!(op, Op::Rebuild | Op::Crash))) {
        let mut story = story();
        story.world.segment("s1", "count(\"Order\") >= 2 within 7 days and count(any event) >= 1 within 1 day");
        story.world.segment("s2", "sum(\"Order\", revenue) > 10 or may be reached for marketing");
        story.world.segment("s3", "last(\"Viewed\") within 2 days and trait plan = \"pro\"");
        for op in &ops {
            holds(story.take(op))?;
            holds(story.take(&Op::Run))?;
        }
    }

    /// Invariant 8: a rebuild gives equal tables, and leaves the outbox and what is kept as they are.
    #[test]
    fn a_rebuild_gives_what_was_there(ops in ops(60, |op| !matches!(op, Op::Rebuild))) {
        let mut story = story();
        for op in ops.iter().chain([&Op::Run]) {
            holds(story.take(op))?;
        }
        let before = dump::all(&*story.world.store);
        holds(story.take(&Op::Rebuild))?;
        let differences = dump::differences(&before, &dump::all(&*story.world.store));
        prop_assert!(differences.is_empty(), "{}", differences.join("\n"));
    }

    /// Invariant 2: wherever the process dies or the store fails, what follows is as if nothing had.
    #[test]
    fn nothing_is_lost_or_done_twice(
        ops in ops(40, |_| true),
        faults in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>()), 1..8),
    ) {
        let mut ops = ops;
        for (place, seed) in faults {
            ops.insert(place.index(ops.len()), plan::fault(&SeededRng::new(seed)));
        }
        let mut story = story();
        for op in &ops {
            holds(story.take(op))?;
        }
        holds(story.end())?;
    }
}
