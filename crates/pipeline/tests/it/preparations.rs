//! Preparation: what is folded is the event after its source's steps; what is kept is the event as it came.

use onefold_model::{command::Command, event::EventRecord};
use onefold_pipeline::{preparations, preview, views};
use onefold_prepare::Preparation;
use onefold_sim::{
    World, identify, oracle, track,
    world::{DAY, HOUR, START},
};
use onefold_state::schema;
use serde_json::{Value, json};

fn prepare(source: u32, steps: Value, replay: bool) -> Command {
    Command::Prepare { source, preparation: Some(json!({ "steps": steps })), replay }
}

fn shown(world: &World, who: &str, name: &str) -> String {
    let profile = world.profile(who).unwrap();
    profile.traits.get(name).map_or("nothing".to_owned(), |shown| shown.value.get().to_owned())
}

fn upper() -> Value {
    json!([{ "step": "normalise", "of": "traits.country", "as": "country" }])
}

#[test]
fn events_are_folded_as_their_sources_steps_leave_them_and_kept_as_they_came() {
    let mut world = World::new();
    world.segment("germans", "trait country = \"DE\"");
    world.send(identify("u0", json!({ "country": "germany" })));
    world.command(prepare(1, upper(), false));
    let offset = world.send(identify("u1", json!({ "country": "germany" })));
    world.send(identify("u2", json!({ "country": "germany" })).from(2));
    world.run();
    assert_eq!([shown(&world, "u0", "country"), shown(&world, "u1", "country")], ["\"germany\"", "\"DE\""]);
    assert_eq!(world.members("germans"), ["u1"], "neither what came before nor what another source sent");
    assert_eq!(world.tally("prepared.1.0"), 1);
    let block = world.log.read(world.partition(), offset, 1).unwrap().remove(0);
    let record = block.records().find(|record| record.offset == offset).unwrap().payload.to_vec();
    assert!(EventRecord::decode(&record).unwrap().json.contains("germany"));
    world.command(Command::Prepare { source: 1, preparation: None, replay: false });
    world.send(identify("u3", json!({ "country": "germany" })));
    world.run();
    assert_eq!(shown(&world, "u3", "country"), "\"germany\"");
    oracle::check(&world);
    world.rebuild().unwrap();
    oracle::check(&world);
    assert_eq!(world.members("germans"), ["u1"]);
}

#[test]
fn whoever_reads_old_events_reads_them_as_they_were_folded() {
    let mut world = World::new();
    let double = json!([{ "step": "derive", "cel": "properties.amount * 2.0", "into": "properties.amount" }]);
    world.send(track("u1", "Order").with(json!({ "amount": 5.5 })));
    world.command(prepare(1, double, false));
    world.send(track("u1", "Order").with(json!({ "amount": 7.5 })));
    world.run();
    // A segment made now is filled from the log, a preview reads it too.
    world.segment("spenders", "sum(\"Order\", amount) = 20.5");
    world.run();
    assert_eq!(world.members("spenders"), ["u1"]);
    let condition = onefold_model::segment::text::parse("sum(\"Order\", amount) = 20.5").unwrap();
    let log = world.log.clone();
    let found =
        preview::preview(&mut *world.reader(), &*log, &world.access(), &world.definitions(), &condition).unwrap();
    assert_eq!(found.unwrap().count, 1);
    oracle::check(&world);
}

#[test]
fn what_the_plan_blocks_is_a_dead_letter_and_what_it_lets_in_is_counted() {
    let mut world = World::new();
    let plan = |mode: &str| {
        let schema = json!({ "properties": { "properties": { "required": ["revenue"] } } });
        json!([{ "step": "validate", "events": ["Order"], "mode": mode, "schema": schema }])
    };
    world.command(prepare(1, plan("block"), false));
    world.send(track("u1", "Order").with(json!({ "revenue": 7 })));
    let bad = world.send(track("u2", "Order").with(json!({ "tax": 7 })));
    world.run();
    assert!(world.profile("u1").is_some() && world.profile("u2").is_none());
    let letters = world.rows(&schema::DEAD_LETTER);
    let letter: Vec<_> = letters.iter().map(|row| (row[1].as_text().unwrap(), row[3].as_text().unwrap())).collect();
    assert_eq!(letter, [(format!("offset-{bad}").as_str(), "tracking_plan")]);
    world.command(prepare(1, plan("flag"), false));
    world.send(track("u2", "Order").with(json!({ "tax": 7 })));
    world.run();
    assert_eq!((world.profile("u2").unwrap().events, world.tally("violations.1")), (1, 2));
    // An alarm a day says so.
    let alarms = |world: &World| world.alarms().into_iter().filter(|alarm| alarm.contains("tracking_plan")).count();
    assert_eq!(alarms(&world), 1);
    world.advance(DAY);
    world.crash();
    for _ in 0..3 {
        world.send(track("u2", "Order").with(json!({ "tax": 7 })));
        world.run();
    }
    assert_eq!(alarms(&world), 2);
    oracle::check(&world);
}

#[test]
fn a_preparation_is_replayed_over_all_that_came_by_a_rebuild() {
    let mut world = World::new();
    world.segment("germans", "trait country = \"DE\"");
    world.clock.set(START.plus(HOUR));
    world.send(identify("u1", json!({ "country": "germany" })));
    world.command(prepare(1, upper(), true));
    world.run();
    assert_eq!(world.members("germans"), [""; 0], "not before the rebuild");
    assert!(world.definitions().preparations.newest(1).unwrap().from > 0);
    world.rebuild().unwrap();
    assert_eq!(
        (world.members("germans"), shown(&world, "u1", "country")),
        (vec!["u1".to_owned()], "\"DE\"".to_owned())
    );
    assert_eq!(world.definitions().preparations.newest(1).unwrap().from, 0);
    // From now on this is what a rebuild gives, and what those who read old events see.
    world.computed("countries = distinct(identify, $traits.country)");
    world.run();
    world.rebuild().unwrap();
    assert_eq!(world.members("germans"), ["u1"]);
    world.crash();
    world.send(identify("u2", json!({ "country": "Deutschland" })));
    world.run();
    assert_eq!(world.members("germans"), ["u1", "u2"]);
}

#[test]
fn it_is_tried_on_the_newest_events_with_examples() {
    let mut world = World::new();
    for n in 0..30 {
        world.send(identify(&format!("u{n}"), json!({ "country": if n % 2 == 0 { "Germany" } else { "PL" }, "n": n })));
        world.send(track("x", "Other").from(2));
    }
    world.run();
    let steps = json!([{ "step": "normalise", "of": "traits.country", "as": "country" },
        { "step": "drop", "of": ["traits.n"] },
        { "step": "validate", "schema": { "properties": { "traits": { "required": ["zip"] } } } }]);
    let preparation: Preparation = serde_json::from_value(json!({ "steps": steps })).unwrap();
    let trial = preparations::try_on(&*world.log, &world.access(), 1, &preparation, 20).unwrap();
    let mut shown = serde_json::to_value(&trial).unwrap();
    for step in shown["steps"].as_array_mut().unwrap() {
        step["examples"].as_array_mut().unwrap().truncate(1);
    }
    expect_test::expect![[r#"
        {
          "events": 20,
          "blocked": 0,
          "violating": 20,
          "steps": [
            {
              "step": "normalise",
              "events": 10,
              "values": 10,
              "examples": [
                {
                  "before": {
                    "traits": {
                      "country": "Germany"
                    }
                  },
                  "after": {
                    "traits": {
                      "country": "DE"
                    }
                  }
                }
              ]
            },
            {
              "step": "drop",
              "events": 20,
              "values": 20,
              "examples": [
                {
                  "before": {
                    "traits": {
                      "n": 29
                    }
                  },
                  "after": {
                    "traits": {}
                  }
                }
              ]
            },
            {
              "step": "validate",
              "events": 0,
              "values": 0,
              "examples": []
            }
          ],
          "violations": [
            {
              "what": "traits: \"zip\" is a required property",
              "events": 20
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&shown).unwrap());
    assert_eq!(views::tally(&mut *world.reader(), &world.access(), "prepared.1.0").unwrap(), 0, "nothing was done");
}
