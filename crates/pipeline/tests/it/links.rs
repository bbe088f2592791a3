//! Links, decisions and withdrawals: what joins by a guess parts without a trace.

use std::collections::BTreeSet;

use onefold_model::{
    NodeId, ProfileId, Timestamp,
    command::Command,
    identity::{Decision, KindRule, Limit, Rules, StatementRef, links::Found},
};
use onefold_pipeline::{evidence, links};
use onefold_sim::{
    World, identify, oracle, track,
    world::{DAY, reference},
};
use onefold_state::schema;
use serde_json::json;

fn node(world: &World, value: &str) -> NodeId {
    let rows = world.rows(&schema::IDENTIFIER);
    let row = rows.iter().find(|row| row[3].as_text().unwrap() == value).unwrap();
    NodeId(row[4].as_int().unwrap())
}

fn link(world: &mut World, a: &str, b: &str, joined: bool) {
    let (a, b) = (node(world, a), node(world, b));
    let (a, b) = (a.min(b), a.max(b));
    let found = vec![Found { a, b, millibits: 5250, joined, parts: vec![("name".to_owned(), 5250)] }];
    world.command(Command::Links { model: 1, found, gone: vec![] });
    world.run();
}

fn unlink(world: &mut World, a: &str, b: &str) {
    let (a, b) = (node(world, a), node(world, b));
    world.command(Command::Links { model: 1, found: vec![], gone: vec![(a.min(b), a.max(b))] });
    world.run();
}

fn decide(world: &mut World, a: &str, b: &str, decision: Option<Decision>) {
    world.command(Command::LinkDecide { a: reference(a), b: reference(b), decision });
    world.run();
}

fn profile(world: &World, value: &str) -> ProfileId {
    world.find(value).unwrap()
}

/// Two devices and two cookies: kinds of which a person may have several.
fn two_people() -> World {
    let mut world = World::new();
    world.segment("buyers", "sum(\"Order\", revenue) >= 15");
    world.computed("spent = sum(\"Order\", revenue)");
    world.send(track("d1 a1", "Order").with(json!({ "revenue": 9 })));
    world.send(track("d2 a2", "Order").with(json!({ "revenue": 8 })));
    world.run();
    world
}

#[test]
fn a_link_joins_and_parts_as_the_model_finds() {
    let mut world = two_people();
    link(&mut world, "a1", "a2", true);
    assert_eq!(world.people(), ["a1 a2 d1 d2"]);
    assert_eq!(world.members("buyers").len(), 1);
    oracle::check(&world);
    unlink(&mut world, "a1", "a2");
    assert_eq!(world.people(), ["a1 d1", "a2 d2"]);
    assert!(world.members("buyers").is_empty());
    assert!(world.rows(&schema::LINK).is_empty());
    oracle::check(&world);
    // In doubt it joins nobody; found again it does.
    link(&mut world, "a1", "a2", false);
    assert_eq!(world.people().len(), 2);
    link(&mut world, "a1", "a2", true);
    assert_eq!(world.people().len(), 1);
    link(&mut world, "a1", "a2", false);
    assert_eq!(world.people().len(), 2);
    oracle::check(&world);
}

#[test]
fn what_events_say_outlives_a_link() {
    let mut world = two_people();
    link(&mut world, "a1", "a2", true);
    world.send(track("a1 d2", "Order"));
    world.run();
    unlink(&mut world, "a1", "a2");
    assert_eq!(world.people(), ["a1 a2 d1 d2"], "an event said it as well");
    oracle::check(&world);
}

#[test]
fn decisions_stand_above_links_until_they_are_withdrawn() {
    let mut world = two_people();
    link(&mut world, "a1", "a2", true);
    decide(&mut world, "a1", "a2", Some(Decision::Reject));
    assert_eq!(world.people().len(), 2);
    link(&mut world, "a1", "a2", true);
    assert_eq!(world.people().len(), 2, "it is found again, and joins nobody");
    world.send(track("d1 a2", "Order"));
    world.run();
    assert_eq!(world.people().len(), 1, "other evidence may join whom a link may not");
    decide(&mut world, "a1", "a2", Some(Decision::Never));
    assert_eq!(world.people().len(), 2);
    world.send(track("d1 a2", "Viewed"));
    world.run();
    assert_eq!(world.people().len(), 2, "never is never");
    oracle::check(&world);
    decide(&mut world, "a1", "a2", None);
    assert_eq!(world.people().len(), 1);
    let shown = links::between(&mut *world.reader(), &world.access(), node(&world, "a1"), node(&world, "a2"));
    assert_eq!(shown.unwrap().unwrap().state(), "joined");
    oracle::check(&world);
}

#[test]
fn an_accepted_pair_stays_when_the_model_changes_its_mind() {
    let mut world = two_people();
    link(&mut world, "a1", "a2", false);
    decide(&mut world, "a1", "a2", Some(Decision::Accept));
    assert_eq!(world.people().len(), 1);
    unlink(&mut world, "a1", "a2");
    assert_eq!(world.people().len(), 1);
    let rows = world.rows(&schema::LINK);
    assert_eq!(rows[0][6].as_text().unwrap(), "accept", "a decision is kept without a finding: it is a label");
    decide(&mut world, "a1", "a2", None);
    assert_eq!(world.people().len(), 2);
    assert!(world.rows(&schema::LINK).is_empty());
    oracle::check(&world);
}

#[test]
fn decisions_that_contradict_each_other_are_shown() {
    let mut world = two_people();
    decide(&mut world, "a1", "a2", Some(Decision::Never));
    decide(&mut world, "d1", "d2", Some(Decision::Accept));
    assert_eq!(world.people().len(), 2);
    assert_eq!(world.alarms(), ["command_refused"]);
    decide(&mut world, "a1", "a2", None);
    assert_eq!(world.people().len(), 1, "what stood in the way is gone");
    oracle::check(&world);
}

#[test]
fn a_link_keeps_to_the_limits() {
    let mut world = World::new();
    world.send(identify("u1", json!({})));
    world.send(identify("u2", json!({})));
    world.run();
    link(&mut world, "u1", "u2", true);
    assert_eq!(world.people(), ["u1", "u2"], "a person has one user id");
    oracle::check(&world);
}

#[test]
fn who_expires_leaves_no_link_behind() {
    let mut world = two_people();
    link(&mut world, "a1", "a2", false);
    world.advance(100 * DAY);
    world.run();
    assert!(world.people().is_empty());
    assert!(world.rows(&schema::LINK).is_empty());
    oracle::check(&world);
}

#[test]
fn evidence_that_is_withdrawn_counts_no_more_and_may_be_said_again() {
    let mut world = two_people();
    world.send(track("d1 a2", "Viewed"));
    world.run();
    let before = world.now();
    world.advance(DAY);
    let id = profile(&world, "a1");
    let said = evidence::of_profile(&mut *world.reader(), &world.access(), id).unwrap();
    assert_eq!(said.iter().map(|e| (e.says, e.identifiers.len())).collect::<Vec<_>>(), [("event", 2); 3]);
    let bridge: StatementRef = said[2].id.parse().unwrap();
    let groups = evidence::without(&mut *world.reader(), &world.access(), id, &BTreeSet::from([bridge])).unwrap();
    assert_eq!(groups.unwrap().len(), 2, "asked before, it says what will be");
    assert_eq!(world.people().len(), 1);
    world.command(Command::Withdraw(vec![bridge, StatementRef(7777, 0)]));
    world.run();
    assert_eq!(world.people().len(), 2);
    oracle::check(&world);
    // Who it was then is told by what counted then.
    let at = |at: Timestamp| {
        evidence::then(&mut *world.reader(), &*world.log, &world.access(), node(&world, "a1"), at).unwrap().unwrap()
    };
    assert_eq!(at(before).identifiers.len(), 4);
    assert_eq!((at(world.now()).identifiers.len(), at(world.now()).others.len()), (2, 0));
    world.send(track("d1 a2", "Viewed"));
    world.run();
    assert_eq!(world.people().len(), 1);
    oracle::check(&world);
}

#[test]
fn who_somebody_was_at_a_time_has_the_traits_of_then() {
    let mut world = World::new();
    world.send(identify("a1", json!({ "plan": "free", "city": "York" })));
    world.run();
    let first = world.now();
    world.advance(DAY);
    world.send(identify("bob@example.com", json!({ "plan": "pro" })));
    world.run();
    world.advance(DAY);
    world.send(identify("a1 bob@example.com", json!({ "city": "Leeds" })));
    world.run();
    let at = |value: &str, at: Timestamp| {
        evidence::then(&mut *world.reader(), &*world.log, &world.access(), node(&world, value), at).unwrap()
    };
    let shown = |value: &str, when: Timestamp| -> String {
        let view = at(value, when).unwrap();
        let traits = view.traits.iter().map(|(name, shown)| format!("{name}={}", shown.value.get()));
        format!("{} {} {}", view.identifiers.len(), view.others.len(), traits.collect::<Vec<_>>().join(" "))
    };
    assert_eq!(shown("a1", first), "1 0 city=\"York\" plan=\"free\"");
    assert!(at("bob@example.com", first).is_none(), "nobody knew it yet");
    assert_eq!(shown("a1", first.plus(DAY)), "1 1 city=\"York\" plan=\"free\"");
    assert_eq!(shown("bob@example.com", world.now()), "2 0 city=\"Leeds\" email=\"bob@example.com\" plan=\"pro\"");
}

#[test]
fn rules_are_tried_without_changing_anything() {
    let mut world = World::new();
    world.send(identify("u1 a1", json!({})));
    world.send(identify("u2 a1", json!({})));
    world.send(identify("u3 a3", json!({})));
    world.run();
    assert_eq!(world.people(), ["a1 u1", "a3 u3", "u2"]);
    let tried = |rules: &Rules| evidence::try_rules(&mut *world.reader(), &world.access(), rules).unwrap();
    let same = tried(&Rules::default());
    assert_eq!((same.profiles_now, same.profiles_then, same.merged, same.parted), (3, 3, 0, 0));
    let mut loose = Rules::default();
    loose.kinds[0].limit = Some(Limit { max: 2, window_days: None });
    let loose = tried(&loose);
    assert_eq!((loose.profiles_then, loose.merged, loose.largest), (2, 1, [2, 3]));
    assert_eq!(loose.examples[0].then, [["user_id:u1", "anonymous_id:a1", "user_id:u2"]]);
    let mut strict = Rules::default();
    strict.kinds.push(KindRule { kind: "none".to_owned(), limit: None, blocked: vec![], anonymous_days: None });
    strict.kinds.retain(|rule| rule.kind != "anonymous_id");
    strict.blocked.push("a3".to_owned());
    let strict = tried(&strict);
    assert_eq!((strict.blocked, strict.parted), (1, 0));
}
