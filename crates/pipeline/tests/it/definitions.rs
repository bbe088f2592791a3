//! Commands that do not fit, and definitions that build on each other.

use onefold_model::{
    command::{Command, Subscription},
    identity::Rules,
    object::ObjectType,
};
use onefold_sim::{
    World, identify, oracle, track,
    world::{DAY, HOUR, START},
};
use onefold_state::schema;
use serde_json::json;

#[test]
fn what_does_not_fit_changes_nothing_and_is_shown() {
    let mut world = World::new();
    world.computed("spent = sum(\"Order\", revenue)");
    world.segment("a", "computed spent > 1");
    world.segment("b", "in segment \"a\"");
    world.run();
    let before = world.rows(&schema::DEFINITION);
    let mut rules = Rules::default();
    rules.kinds[0].limit = Some(onefold_model::identity::Limit { max: 0, window_days: None });
    world.segment("a", "in segment \"b\"");
    world.segment("c", "in segment \"nothing\"");
    world.segment("d\0", "everyone");
    world.command(Command::SegmentRemove("a".to_owned()));
    world.command(Command::ComputedRemove("spent".to_owned()));
    world.command(Command::IdentityRules(rules));
    world.command(Command::TimeZone("Mars/Olympus".to_owned()));
    world.command(Command::ObjectTypeSet(ObjectType {
        name: "Person".to_owned(),
        description: String::new(),
        traits: Default::default(),
    }));
    let destination = "x".repeat(3000);
    world.command(Command::Subscribe(Subscription {
        destination,
        segments: vec![],
        events: vec![],
        purpose: None,
        channel: None,
    }));
    world.send(track("u1", "Order"));
    world.run();
    assert_eq!(world.rows(&schema::DEFINITION), before);
    assert_eq!(world.alarms(), ["command_refused"; 9]);
    assert_eq!(world.tally("commands.refused"), 9);
    oracle::check(&world);
}

#[test]
fn a_change_reaches_those_who_build_on_it() {
    let mut world = World::new();
    world.settings.backfill_bytes_max = 1;
    world.computed("spent = sum(\"Order\", revenue) within 10 days");
    world.computed("lately = sum(\"Order\", revenue) within 10 days");
    world.segment("spenders", "computed spent >= 10");
    world.segment("loyal", "in segment \"spenders\" and count(\"Order\") >= 1 within 2 days");
    for (n, revenue) in [(1, 5), (2, 10), (3, 20)] {
        world.send(track(&format!("u{n}"), "Order").with(json!({ "revenue": revenue, "gross": 100 - revenue })));
    }
    world.run();
    assert_eq!(world.members("loyal"), ["u2", "u3"]);
    world.computed("spent = sum(\"Order\", gross) between 2025-01-01 and 2027-01-01");
    world.run();
    assert_eq!(world.members("loyal"), ["u1", "u2", "u3"], "a computed trait alone was redefined");
    world.segment("spenders", "computed spent >= 90 or count(\"Order\") = 0 between 2025-06-01 and 2027-01-01");
    world.run();
    assert_eq!(world.members("loyal"), ["u1", "u2"]);
    oracle::check(&world);
    world.run_at(START.plus(3 * DAY));
    assert_eq!(world.members("loyal"), [""; 0]);
    oracle::check(&world);
}

#[test]
fn definitions_given_one_after_another_go_live_in_their_order() {
    let mut world = World::new();
    world.settings.backfill_bytes_max = 1;
    for n in 0..20 {
        world.send(track(&format!("u{}", n % 5), if n % 2 == 0 { "Order" } else { "Viewed" }).with(json!({ "p": n })));
    }
    world.run();
    world.segment("a", "count(\"Order\") >= 2");
    world.segment("b", "in segment \"a\" and sum(\"Viewed\", p) > 10 within 30 days");
    world.segment("a", "count(\"Order\") >= 1 within 1 day");
    world.command(Command::SegmentRemove("b".to_owned()));
    world.segment("b", "not in segment \"a\" or distinct(\"Viewed\", p) >= 2");
    world.computed("p = distinct(any event, p)");
    world.computed("p = last(any event, p)");
    world.run();
    oracle::check(&world);
    world.run_at(START.plus(2 * DAY));
    oracle::check(&world);
    world.crash();
    world.run();
    assert_eq!(world.rebuild().unwrap().records, world.log.end(0).unwrap());
    oracle::check(&world);
}

/// A metric's number must not come back with a new meaning: nodes may still hold points under it.
#[test]
fn numbers_are_not_given_again() {
    let mut world = World::new();
    world.segment("a", "count(\"Order\") >= 1");
    world.send(track("u1", "Order"));
    world.run();
    world.command(Command::SegmentRemove("a".to_owned()));
    world.step().unwrap();
    world.crash();
    world.segment("b", "count(\"Viewed\") >= 1");
    world.run();
    assert_eq!(world.members("b"), [""; 0]);
    oracle::check(&world);
}

#[test]
fn calendar_days_are_those_of_the_workspace() {
    let mut world = World::new();
    world.segment("today", "count(\"Order\") >= 1 today");
    world.clock.set(START.plus(12 * HOUR));
    world.send(track("u1", "Order"));
    world.send(identify("u2", json!({})));
    world.run();
    assert_eq!(world.members("today"), ["u1"]);
    world.command(Command::TimeZone("Pacific/Auckland".to_owned()));
    world.run_at(START.plus(13 * HOUR));
    assert_eq!(world.members("today"), ["u1"]);
    // Noon in UTC is one in the morning of the next day there.
    world.run_at(START.plus(34 * HOUR + 59 * 60_000));
    assert_eq!(world.members("today"), ["u1"]);
    world.run_at(START.plus(35 * HOUR));
    assert_eq!(world.members("today"), [""; 0]);
    oracle::check(&world);
}
