//! What leaves: written with the decision that made it, under a key that stays.

use onefold_log::Kind;
use onefold_model::command::Command;
use onefold_sim::{
    World, oracle, track,
    world::{DAY, START},
};
use onefold_state::schema;

fn keys(world: &World) -> Vec<String> {
    world.rows(&schema::OUTBOX).iter().map(|row| row[4].as_text().unwrap().to_owned()).collect()
}

#[test]
fn a_new_destination_gets_who_is_in_and_then_the_differences() {
    let mut world = World::new();
    world.segment("buyers", "count(\"Order\") >= 1 within 7 days");
    for n in 0..5 {
        world.send(track(&format!("u{n}"), "Order"));
    }
    world.run();
    world.subscribe("crm", &["buyers"], &[]);
    world.run();
    let enters = |from: usize, to: usize| (from..to).map(|n| format!("enter buyers: u{n}")).collect::<Vec<_>>();
    assert_eq!(world.outbox("crm"), enters(0, 5));
    world.send(track("u5", "Order"));
    world.send(track("u5", "Order"));
    world.run();
    assert_eq!(world.outbox("crm"), enters(0, 6));
    world.run_at(START.plus(8 * DAY));
    assert_eq!(world.outbox("crm").len(), 12);
    world.command(Command::Resync("crm".to_owned()));
    world.send(track("u1", "Order"));
    world.run();
    assert_eq!(
        world.outbox("crm")[12..].iter().filter(|line| line.starts_with("enter")).count(),
        2,
        "entered, and sent again"
    );
    world.command(Command::Unsubscribe("crm".to_owned()));
    world.send(track("u2", "Order"));
    world.run();
    assert_eq!(world.outbox("crm").len(), 14);
    oracle::check(&world);
}

#[test]
fn events_are_forwarded_to_those_who_asked_for_them() {
    let mut world = World::new();
    world.subscribe("all", &[], &["*"]);
    world.subscribe("orders", &[], &["Order"]);
    world.send(track("u1", "Order").id("m"));
    world.send(track("u1", "Order").id("m"));
    world.send(track("u1", "Viewed"));
    world.run();
    assert_eq!(world.outbox("all"), ["event Order", "event Viewed"]);
    assert_eq!(world.outbox("orders"), ["event Order"]);
    assert_eq!(world.tally("outbox.written"), 3);
    oracle::check(&world);
}

#[test]
fn keys_are_a_function_of_the_log() {
    let mut world = World::new();
    world.segment("buyers", "count(\"Order\") >= 1 within 7 days");
    world.subscribe("crm", &["buyers"], &["*"]);
    world.subscribe("ads", &["buyers"], &[]);
    for n in 0..30 {
        world.advance(DAY);
        world.send(track(&format!("u{}", n % 4), "Order"));
    }
    world.run();
    let unique: std::collections::BTreeSet<String> = keys(&world).into_iter().collect();
    assert_eq!(unique.len(), keys(&world).len());
    let settings = onefold_pipeline::Settings { batch_bytes_max: 1, ..world.settings.clone() };
    assert_eq!(keys(&world.replayed(settings)), keys(&world));
}

#[test]
fn a_verdict_stands_for_every_offset() {
    let mut world = World::new();
    world.send(track("u1", "Order").id("m"));
    world.send(track("u1", "Order").id("m"));
    world.send(track("null", "Order"));
    world.segment("a", "everyone");
    world.append(Kind::Tick, &onefold_model::command::encode_tick(START.plus(1)));
    world.append(Kind::Event, b"?");
    world.run();
    let verdicts = onefold_pipeline::verdict::between(&mut *world.reader(), 0, 0, 6).unwrap();
    let shown: Vec<String> = verdicts.iter().map(|verdict| format!("{verdict:?}")).collect();
    assert_eq!(shown, ["Accepted(NodeId(0))", "Duplicate", "Refused", "Command", "Tick", "Unreadable"]);
}
