//! Who is one person.

use onefold_model::{
    command::Command,
    identity::{Limit, Rules},
};
use onefold_sim::{
    World, alias, identify, oracle, track,
    world::{DAY, HOUR, START},
};
use onefold_state::schema;
use serde_json::json;

#[test]
fn identifiers_that_are_named_together_become_one_person() {
    let mut world = World::new();
    world.send(track("a1", "Viewed"));
    let early = world.run().find("a1").unwrap();
    world.send(identify("u1 a1 ada@example.com", json!({ "name": "Ada" })));
    world.send(track("u1", "Order"));
    world.run();
    assert_eq!(world.people(), ["a1 ada@example.com u1"]);
    assert_eq!(world.find("u1"), Some(early), "the oldest stays");
    assert_eq!(world.profile("ADA@example.com").unwrap().events, 3);
    oracle::check(&world);
}

#[test]
fn a_merge_that_would_break_a_limit_is_refused_and_shown() {
    let mut world = World::new();
    world.send(identify("u1 a1", json!({})));
    world.send(identify("u2 a2 a1", json!({})));
    world.send(identify("u2 a2", json!({})));
    world.send(identify("u2 a1", json!({})));
    world.run();
    assert_eq!(world.people(), ["a1 u1", "a2 u2"], "the browser stays with whom it was first");
    assert_eq!(world.alarms(), ["merge_refused"]);
    world.send(identify("u2 a1", json!({})));
    world.run();
    assert_eq!(world.alarms().len(), 1, "the same again says nothing new");
    oracle::check(&world);
}

#[test]
fn what_is_no_identifier_joins_nobody() {
    let mut world = World::new();
    world.send(track("u1 anonymous@", "Order"));
    world.send(identify("u1", json!({ "email": "test@test.com" })));
    world.send(identify("u2", json!({ "email": "test@test.com" })));
    world.send(track("null", "Order"));
    world.run();
    assert_eq!(world.people(), ["u1", "u2"]);
    assert_eq!(world.tally("events.refused"), 1);
    let letter = &world.rows(&schema::DEAD_LETTER)[0];
    assert_eq!(letter[3].as_text().unwrap(), "no_accepted_identifier");
    oracle::check(&world);
}

#[test]
fn an_alias_passes_limits() {
    let mut world = World::new();
    world.send(track("u1", "Order"));
    world.send(track("u2", "Order"));
    world.send(alias("u2", "u1"));
    world.run();
    assert_eq!(world.people(), ["u1 u2"]);
    oracle::check(&world);
}

#[test]
fn a_merge_redirects_and_an_unmerge_gives_back_what_each_had() {
    let mut world = World::new();
    world.segment("buyers", "count(\"Order\") >= 2");
    world.computed("orders = count(\"Order\")");
    world.subscribe("crm", &["buyers"], &[]);
    world.run();
    for who in ["u1", "u2"] {
        world.send(track(who, "Order").with(json!({ "revenue": 10 })));
        world.send(identify(who, json!({ "plan": who })));
    }
    world.run();
    let before = (world.find("u1").unwrap(), world.find("u2").unwrap());
    let shown = |world: &World, who: &str| {
        let profile = world.profile(who).unwrap();
        (profile.traits["plan"].value.get().to_owned(), profile.computed["orders"].get().to_owned(), profile.events)
    };
    let apart = (shown(&world, "u1"), shown(&world, "u2"));
    assert_eq!(world.members("buyers"), [""; 0]);

    world.merge("u1", "u2");
    world.run();
    assert_eq!(world.people(), ["u1 u2"]);
    assert_eq!(world.members("buyers"), ["u1 u2"]);
    assert_eq!(world.find("u2"), Some(before.0));
    assert_eq!(world.find(&before.1.to_string()), Some(before.0), "the old name leads to the one who has its nodes");
    assert_eq!(shown(&world, "u1"), ("\"u2\"".to_owned(), "2".to_owned(), 4));
    oracle::check(&world);

    world.unmerge("u1", Some("u2"));
    world.run();
    assert_eq!(world.people(), ["u1", "u2"]);
    assert_eq!((world.find("u1").unwrap(), world.find("u2").unwrap()), before);
    assert_eq!((shown(&world, "u1"), shown(&world, "u2")), apart);
    assert_eq!(world.members("buyers"), [""; 0]);
    assert_eq!(world.outbox("crm"), ["enter buyers: u1 u2", "leave buyers: u1"]);
    oracle::check(&world);

    world.send(identify("u1 u2@example.com", json!({})));
    world.send(identify("u2 u2@example.com", json!({})));
    world.send(alias("u1", "u2"));
    world.run();
    assert_eq!(world.people(), ["u1 u2@example.com", "u2"], "they stay apart, whatever comes");
    oracle::check(&world);
}

#[test]
fn those_who_leave_when_a_profile_ends_are_told_by_its_name() {
    let mut world = World::new();
    world.segment("buyers", "count(\"Order\") >= 1");
    world.subscribe("crm", &["buyers"], &[]);
    world.run();
    world.send(track("u1", "Order"));
    world.send(track("u2", "Order"));
    world.merge("u1", "u2");
    world.run();
    assert_eq!(world.outbox("crm"), ["enter buyers: u1", "enter buyers: u2", "leave buyers: u2"]);
    world.unmerge("u2", None);
    world.run();
    assert_eq!(world.outbox("crm")[3..], ["enter buyers: u2"]);
    oracle::check(&world);
}

#[test]
fn an_unmerge_frees_what_the_merge_had_kept_out() {
    let mut world = World::new();
    world.send(identify("u1 a1", json!({})));
    world.send(identify("u2 a1", json!({})));
    world.run();
    assert_eq!(world.people(), ["a1 u1", "u2"]);
    world.unmerge("u1", Some("a1"));
    world.run();
    assert_eq!(world.people(), ["a1 u2", "u1"]);
    oracle::check(&world);
}

#[test]
fn a_command_can_join_what_a_command_parted_and_part_it_again() {
    let mut world = World::new();
    world.send(identify("u1 a1", json!({})));
    for (joined, people) in [(false, vec!["a1", "u1"]), (true, vec!["a1 u1"]), (false, vec!["a1", "u1"])] {
        if joined {
            world.merge("u1", "a1")
        } else {
            world.unmerge("u1", Some("a1"))
        };
        assert_eq!(world.run().people(), people);
        oracle::check(&world);
    }
    world.merge("u1", "u1");
    world.unmerge("u1", Some("u1"));
    world.merge("u1", "nobody");
    assert_eq!(world.run().people(), ["a1", "u1"]);
    oracle::check(&world);
}

#[test]
fn new_rules_count_from_now_on_and_part_nobody() {
    let mut world = World::new();
    world.send(identify("u1 ada@example.com", json!({})));
    world.send(identify("u1 bob@example.com", json!({})));
    world.send(identify("u1 a1", json!({})));
    let mut rules = Rules::default();
    rules.kinds[2].limit = Some(Limit { max: 1, window_days: None });
    world.command(Command::IdentityRules(rules));
    world.send(identify("u1 eve@example.com", json!({})));
    world.run();
    let people = ["a1 ada@example.com bob@example.com u1", "eve@example.com"];
    assert_eq!(world.people(), people);
    oracle::check(&world);
    world.unmerge("u1", Some("a1"));
    world.run();
    assert_eq!(world.people(), ["a1", "ada@example.com bob@example.com u1", "eve@example.com"]);
    oracle::check(&world);
    world.command(Command::IdentityRules(Rules::default()));
    world.send(identify("u1 eve@example.com", json!({})));
    world.run();
    assert_eq!(
        world.people(),
        ["a1", "ada@example.com bob@example.com eve@example.com u1"],
        "said again, it is weighed again"
    );
    oracle::check(&world);
}

#[test]
fn an_anonymous_person_who_stays_silent_goes() {
    let mut world = World::new();
    world.segment("viewers", "count(\"Viewed\") >= 1");
    world.subscribe("crm", &["viewers"], &[]);
    world.run();
    world.send(track("a1 d1", "Viewed"));
    world.send(track("u1 a2", "Viewed"));
    world.advance(HOUR);
    world.send(track("a1", "Viewed"));
    world.run();
    let old = world.find("a1").unwrap();
    // State is as of the millisecond after the last record.
    world.run_at(START.plus(HOUR + 90 * DAY - 2));
    assert_eq!(world.people(), ["a1 d1", "a2 u1"]);
    world.run_at(START.plus(HOUR + 90 * DAY));
    assert_eq!(world.people(), ["a2 u1"], "someone who became known stays");
    assert_eq!(world.members("viewers"), ["a2 u1"]);
    assert_eq!(world.outbox("crm")[2..], ["leave viewers: a1 d1"]);
    assert_eq!(world.find(&old.to_string()), None);
    assert_eq!(world.rows(&schema::STATEMENT).len(), 1);
    assert_eq!(world.tally("profiles.expired"), 1);
    let left = world.changes().last().unwrap().at;
    assert_eq!(left, START.plus(HOUR + 90 * DAY), "they left when their time had come");
    oracle::check(&world);

    world.send(track("a1", "Viewed").at(START));
    world.run();
    assert_eq!(world.people(), ["a1", "a2 u1"]);
    assert_ne!(world.find("a1"), Some(old));
    assert_eq!(world.profile("a1").unwrap().events, 1);
    oracle::check(&world);
}

#[test]
fn who_goes_leaves_the_evidence_of_others_and_no_longer_stands_in_their_way() {
    let mut world = World::new();
    let mut rules = Rules::default();
    // Devices weigh more than cookies, and a person has one.
    rules.kinds[4].limit = Some(Limit { max: 1, window_days: None });
    world.command(Command::IdentityRules(rules));
    world.send(identify("u1 d1", json!({})));
    world.send(track("d2 a2", "Viewed"));
    // d2 would be a second device, so a3, which comes after it, is dropped before it.
    world.send(identify("u1 d2 a3", json!({})));
    world.run();
    assert_eq!(world.people(), ["a2 d2", "a3", "d1 u1"]);
    oracle::check(&world);
    world.advance(80 * DAY);
    world.send(track("a3", "Viewed"));
    world.run();
    world.advance(20 * DAY);
    world.run();
    assert_eq!(world.people(), ["a3 d1 u1"], "without d2 they are one person");
    oracle::check(&world);
}
