//! Erasure of people from the state: what is left is what there would be without them.

use std::collections::{BTreeMap, BTreeSet};

use onefold_model::{NodeId, command::Command, rng::SeededRng};
use onefold_pipeline::{
    erase::{self, Hints, Sought},
    suppression::{self, Suppressed},
};
use onefold_sim::{World, identify, track};
use onefold_state::{Row, Value, schema};
use rustc_hash::FxHashSet;
use serde_json::json;

const CANARY: &str = "canary";

fn has_canary(row: &Row) -> bool {
    row.iter().any(|value| match value {
        Value::Text(text) => text.contains(CANARY),
        Value::Bytes(bytes) => bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()),
        _ => false,
    })
}

/// Tables whose rows have the canary, but for those kept for people to look at.
fn tables_with_canaries(world: &World) -> Vec<&'static str> {
    schema::ALL.iter().filter(|table| world.rows(table).iter().any(has_canary)).map(|table| table.name).collect()
}

/// Erases whoever has this identifier; gives their nodes.
fn erase(world: &mut World, who: &str) -> Vec<NodeId> {
    let person = erase::person(&mut *world.reader(), &world.access(), who).unwrap().unwrap();
    world.command(Command::Erase { request: "er_1".to_owned(), nodes: person.nodes.clone() });
    world.run();
    person.nodes
}

#[test]
fn a_person_goes_from_every_table_and_destinations_are_told() {
    let mut world = World::new();
    world.segment("seen", "count(\"Seen\") >= 1");
    world.subscribe("crm", &["seen"], &["*"]);
    for n in 0..50 {
        world.send(track("canary-1", "Seen").with(json!({ "note": format!("canary {n}") })));
        world.send(track("u2", "Seen"));
    }
    world.send(identify("canary-1", json!({ "name": "canary" })).set("anonymousId", json!("canary-a")));
    world.send(identify("u2", json!({ "name": "Bob" })));
    world.run();
    assert_eq!(tables_with_canaries(&world), ["identifier", "node", "outbox"]);
    let id = world.profile("canary-1").unwrap().id;

    let nodes = erase(&mut world, "canary-1");
    assert_eq!(nodes.len(), 2);
    assert!(world.profile("canary-1").is_none() && world.profile("canary-a").is_none());
    assert_eq!(world.members("seen"), ["u2"]);
    // Only what tells the destination whom to forget is left, until it is delivered.
    assert_eq!(tables_with_canaries(&world), ["outbox"]);
    let kinds: Vec<String> = world
        .rows(&schema::OUTBOX)
        .iter()
        .filter(|row| has_canary(row))
        .map(|row| row[5].as_text().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["leave", "erase"], "events that wait are not sent");
    let rows = world.rows(&schema::OUTBOX);
    let notice = rows.iter().find(|row| row[5] == Value::Text("erase".to_owned())).unwrap();
    let notice: serde_json::Value = serde_json::from_slice(notice[11].as_bytes().unwrap()).unwrap();
    assert_eq!(notice["profile"]["id"], id.as_str());
    assert_eq!(notice["profile"]["identifiers"].as_array().unwrap().len(), 2);
}

/// The rows of people, by table.
fn people(world: &World) -> BTreeMap<&'static str, Vec<Row>> {
    let tables = [
        &schema::IDENTIFIER,
        &schema::NODE,
        &schema::SERIES_CHUNK,
        &schema::EVENT_PAGE,
        &schema::PROFILE,
        &schema::STATEMENT,
        &schema::STATEMENT_NODE,
        &schema::OBJECT,
        &schema::OBJECT_MEMBER,
    ];
    tables.into_iter().map(|table| (table.name, world.rows(table))).collect()
}

#[test]
fn what_is_left_is_what_a_rebuild_of_the_erased_log_gives() {
    for seed in 0..60 {
        let rng = SeededRng::new(seed);
        let mut world = World::new();
        world.segment("seen", "count(\"Seen\") >= 2");
        for n in 0..60 {
            let person = rng.below(5);
            let user = format!("u{person}");
            let call = match rng.below(4) {
                0 => track(&user, "Seen"),
                1 => identify(&user, json!({})).set("anonymousId", json!(format!("a{person}-{}", rng.below(3)))),
                2 => identify(&user, json!({ "name": format!("n{n}"), "email": format!("p{person}@example.com") })),
                _ => track(&user, "Bought").with(json!({ "price": n })),
            };
            world.advance(1000);
            world.send(call);
        }
        world.run();
        let who = format!("u{}", rng.below(5));
        let Some(person) = erase::person(&mut *world.reader(), &world.access(), &who).unwrap() else { continue };
        world.command(Command::Erase { request: "er_1".to_owned(), nodes: person.nodes.clone() });
        world.run();

        let nodes: FxHashSet<NodeId> = person.nodes.iter().copied().collect();
        let is = |one: &onefold_model::identity::Identifier| person.identifiers.contains(one);
        let hints = Hints::of(&person.identifiers);
        let sought = Sought { nodes: &nodes, is: &is, mentions: None, hints: hints.as_ref() };
        let offsets = 0..world.log.end(world.partition()).unwrap();
        let definitions = world.definitions();
        let found = erase::records(
            &*world.log,
            &mut *world.reader(),
            &world.access(),
            &definitions,
            &sought,
            offsets,
            &mut |_| {},
        );
        let found = found.unwrap();
        assert_eq!(found.about.len() as u64, person.events, "all that the person did, and nothing else (seed {seed})");
        world.log.erase(world.partition(), &erase::ranges(&found.about)).unwrap();

        let live = people(&world);
        world.rebuild().unwrap();
        let rebuilt = people(&world);
        for (table, rows) in &live {
            assert_eq!(rows, &rebuilt[table], "{table} (seed {seed})");
        }
    }
}

#[test]
fn who_is_not_let_in_is_not_let_in_by_a_preparation_either() {
    let mut world = World::new();
    let mut txn = world.store.begin_shared().unwrap();
    suppression::make_secret(&mut *txn, world.workspace, &SeededRng::new(1)).unwrap();
    let list = Suppressed::load(&mut *txn, world.workspace).unwrap();
    let hash = list.digest("email", "ada@example.com").unwrap();
    let row = suppression::row(world.workspace, &hash, world.now(), "er_1", 0, true);
    txn.put(&schema::SUPPRESSED, vec![row]).unwrap();
    txn.commit().unwrap();
    world.command(Command::Suppression);
    let preparation = json!({ "steps": [{ "step": "rename", "from": "traits.mail", "to": "traits.email" }] });
    world.command(Command::Prepare { source: 1, preparation: Some(preparation), replay: false });
    world.send(identify("u1", json!({ "mail": "ada@example.com" })));
    world.send(identify("u2", json!({ "mail": "bob@example.com" })));
    world.run();
    assert!(world.profile("u1").is_none() && world.profile("u2").is_some());
    world.rebuild().unwrap();
    assert!(world.profile("u1").is_none() && world.profile("u2").is_some());
    let names: BTreeSet<String> =
        world.rows(&schema::TALLY).iter().map(|row| row[1].as_text().unwrap().to_owned()).collect();
    assert!(names.contains("events.suppressed"));
}
