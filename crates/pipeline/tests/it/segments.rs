//! Who is in, at which instant, and why.

use onefold_model::command::Command;
use onefold_pipeline::{changes::Change, views};
use onefold_sim::{
    World, identify, oracle, track,
    world::{DAY, HOUR, START},
};
use onefold_state::schema;
use serde_json::json;

fn changes(world: &World) -> Vec<(String, i64, i64)> {
    let change = |change: &Change| (change.segment.to_string(), change.entered.into(), change.at.0 - START.0);
    world.changes().iter().map(change).collect()
}

#[test]
fn a_member_leaves_a_sliding_window_at_the_millisecond_without_an_event() {
    let mut world = World::new();
    world.segment("active", "count(\"Order\") >= 2 within 7 days");
    world.run();
    world.send(track("u1", "Order"));
    world.advance(DAY);
    world.send(track("u1", "Order"));
    world.run();
    assert_eq!(world.members("active"), ["u1"]);
    // [now − 7 days, now): an order leaves a millisecond after seven days.
    world.run_at(START.plus(7 * DAY));
    assert_eq!(world.members("active"), ["u1"]);
    world.run_at(START.plus(7 * DAY + 1));
    assert_eq!(world.members("active"), [""; 0]);
    assert_eq!(changes(&world), [("active".to_owned(), 1, DAY + 1), ("active".to_owned(), 0, 7 * DAY + 1)]);
    oracle::check(&world);
}

#[test]
fn what_was_due_while_nobody_worked_happens_as_of_its_own_instant_and_in_order() {
    let mut world = World::new();
    world.segment("active", "count(\"Order\") >= 1 within 7 days");
    world.segment("lost", "count(\"Order\") >= 1 and count(any event) = 0 within 30 days");
    world.run();
    for (day, who) in [(0, "u1"), (1, "u2"), (2, "u3")] {
        world.clock.set(START.plus(day * DAY));
        world.send(track(who, "Order"));
    }
    world.run();
    world.crash();
    world.clock.set(START.plus(400 * DAY));
    world.send(track("u1", "Order"));
    world.run();
    let leaves: Vec<i64> = changes(&world).iter().filter(|(_, entered, _)| *entered == 0).map(|(.., at)| *at).collect();
    assert_eq!(leaves, [7 * DAY + 1, 8 * DAY + 1, 9 * DAY + 1, 400 * DAY + 1], "the last is no longer lost");
    assert_eq!(world.members("lost"), ["u2", "u3"]);
    assert!(changes(&world).contains(&("active".to_owned(), 1, 400 * DAY + 1)), "who left came back");
    oracle::check(&world);
}

#[test]
fn a_segment_on_an_existing_log_gives_what_it_had_given_from_the_first() {
    let define = |world: &mut World| {
        world.segment("spenders", "sum(\"Order\", revenue) > 50 within 90 days");
        world.segment("viewers", "count(\"Viewed\") >= 3 and in segment \"spenders\"");
        world.computed("spent = sum(\"Order\", revenue)");
    };
    let story = |world: &mut World, from: i64| {
        for n in from..from + 40 {
            world.advance(HOUR);
            let who = format!("u{} a{}", n % 7, n % 11);
            world.send(track(&who, if n % 3 == 0 { "Order" } else { "Viewed" }).with(json!({ "revenue": n })));
        }
    };
    let mut first = World::new();
    define(&mut first);
    story(&mut first, 0);
    story(&mut first, 40);
    first.run();
    let mut late = World::new();
    late.settings.backfill_bytes_max = 1;
    story(&mut late, 0);
    late.run();
    define(&mut late);
    // New events come while the old ones are folded in.
    for _ in 0..5 {
        late.step().unwrap();
    }
    let building = views::segments(&mut *late.reader(), &late.access(), &late.definitions()).unwrap();
    assert_eq!(building.iter().map(|s| s.state).collect::<Vec<_>>(), ["building", "building"]);
    story(&mut late, 40);
    late.run();
    assert!(!first.members("viewers").is_empty());
    for segment in ["spenders", "viewers"] {
        assert_eq!(first.members(segment), late.members(segment));
    }
    let spent = |world: &World| world.profile("u3").unwrap().computed["spent"].get().to_owned();
    assert_eq!(spent(&first), spent(&late));
    oracle::check(&first);
    oracle::check(&late);
}

#[test]
fn a_redefinition_counts_when_the_log_is_folded_in_and_the_earlier_version_until_then() {
    let mut world = World::new();
    world.settings.backfill_bytes_max = 1;
    world.segment("vip", "count(\"Order\") >= 1");
    for n in 0..10 {
        world.send(track(&format!("u{n}"), if n < 5 { "Order" } else { "Viewed" }));
    }
    world.run();
    world.segment("vip", "count(\"Viewed\") >= 1");
    world.step().unwrap();
    world.send(track("u11", "Order"));
    world.send(track("u12", "Viewed"));
    for _ in 0..3 {
        world.step().unwrap();
    }
    let view =
        |world: &World| views::segments(&mut *world.reader(), &world.access(), &world.definitions()).unwrap().remove(0);
    assert_eq!(view(&world).state, "updating");
    assert_eq!(world.members("vip"), ["u0", "u1", "u11", "u2", "u3", "u4"]);
    world.crash();
    world.run();
    assert_eq!((view(&world).state, view(&world).version, view(&world).count), ("live", 2, 6));
    assert_eq!(world.members("vip"), ["u12", "u5", "u6", "u7", "u8", "u9"]);
    oracle::check(&world);
}

#[test]
fn a_removed_segment_loses_its_members_and_may_come_back() {
    let mut world = World::new();
    world.segment("vip", "count(\"Order\") >= 1");
    for n in 0..8 {
        world.send(track(&format!("u{n}"), "Order"));
    }
    world.run();
    world.command(Command::SegmentRemove("vip".to_owned()));
    world.run();
    assert_eq!(world.members("vip"), [""; 0]);
    assert_eq!(world.rows(&schema::METRIC).len(), 0);
    assert_eq!(world.profile("u1").unwrap().segments.len(), 0);
    oracle::check(&world);
    world.crash();
    world.segment("other", "count(\"Viewed\") = 0");
    world.segment("vip", "count(\"Order\") = 1");
    world.run();
    assert_eq!(world.members("vip").len(), 8);
    assert_eq!(world.members("other").len(), 8);
    let versions: Vec<i64> = world
        .rows(&schema::DEFINITION_VERSION)
        .iter()
        .filter(|row| row[2].as_text().unwrap() == "vip")
        .map(|row| row[3].as_int().unwrap())
        .collect();
    assert_eq!(versions, [1, 2], "the version before the removal is kept");
    oracle::check(&world);
}

#[test]
fn a_membership_is_explained() {
    let mut world = World::new();
    world.segment("vip", "count(\"Order\") >= 2 within 30 days and trait country = \"DE\"");
    world.send(identify("u1", json!({ "country": "DE" })));
    world.send(track("u1", "Order"));
    world.run();
    let id = world.find("u1").unwrap();
    let definitions = world.definitions();
    let explained = views::explain(&mut *world.reader(), &world.access(), &definitions, 0, "vip", id).unwrap();
    let text = serde_json::to_string(&explained).unwrap();
    assert!(text.contains("\"holds\":false") && text.contains("count("), "{text}");
    assert!(views::explain(&mut *world.reader(), &world.access(), &definitions, 0, "none", id).unwrap().is_none());
}

#[test]
fn someone_without_events_of_their_own_is_decided_too() {
    let mut world = World::new();
    world.segment("quiet", "count(any event) = 0");
    world.run();
    world.send(identify("u1 a1", json!({})));
    // The cookie is another person's, so the address, which nobody sent an event for, stays alone.
    world.send(identify("u2 a1", json!({})));
    world.send(identify("u2 ada@example.com", json!({})));
    world.send(identify("u1 ada@example.com", json!({})));
    world.run();
    oracle::check(&world);
    world.advance(200 * DAY);
    world.run();
    oracle::check(&world);
}

#[test]
fn totals_are_what_a_count_gives() {
    let mut world = World::new();
    world.segment("vip", "count(\"Order\") >= 2 within 3 days");
    world.run();
    for n in 0..200i64 {
        world.advance(HOUR);
        let order = track(&format!("u{} a{}", n % 13, n % 17), "Order").with(json!({ "n": n }));
        world.send(if n % 10 == 0 { order.id("again") } else { order });
        if n % 50 == 0 {
            world.run();
            oracle::check(&world);
        }
    }
    world.run();
    oracle::check(&world);
    assert_eq!(world.tally("segment.vip"), world.members("vip").len() as i64);
    assert_eq!(world.tally("profiles"), world.people().len() as i64);
    assert_eq!(world.tally("events.accepted") + world.tally("events.duplicate"), 200);
}
