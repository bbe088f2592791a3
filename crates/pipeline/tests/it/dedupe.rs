//! Each message id once.

use onefold_log::Kind;
use onefold_sim::{
    World, oracle, track,
    world::{DAY, HOUR, START},
};

#[test]
fn a_message_id_counts_once_also_after_a_restart() {
    let mut world = World::new();
    world.send(track("u1", "Order").id("m-1"));
    world.send(track("u1", "Order").id("m-1"));
    world.run();
    world.crash();
    world.send(track("u1", "Order").id("m-1"));
    world.send(track("u1", "Order").id("m-2"));
    world.run();
    assert_eq!(world.profile("u1").unwrap().events, 2);
    assert_eq!((world.tally("events.accepted"), world.tally("events.duplicate")), (2, 2));
    oracle::check(&world);
}

#[test]
fn another_source_has_ids_of_its_own() {
    let mut world = World::new();
    world.send(track("u1", "Order").id("m-1"));
    world.send(track("u1", "Order").id("m-1").from(2));
    world.run();
    assert_eq!(world.profile("u1").unwrap().events, 2);
}

#[test]
fn an_id_is_remembered_for_thirty_days_and_an_imported_one_for_ever() {
    let mut world = World::new();
    world.send(track("u1", "Order").id("sent"));
    world.send(track("u1", "Order").id("imported").imported());
    world.run_at(START.plus(30 * DAY + 23 * HOUR));
    world.send(track("u1", "Order").id("sent"));
    world.run();
    assert_eq!(world.profile("u1").unwrap().events, 2, "the day it came and thirty more");
    world.run_at(START.plus(31 * DAY));
    world.send(track("u1", "Order").id("sent"));
    world.send(track("u1", "Order").id("imported").imported());
    world.run();
    assert_eq!(world.profile("u1").unwrap().events, 3);
    oracle::check(&world);
}

#[test]
fn a_clock_that_goes_back_forgets_nothing() {
    let mut world = World::new();
    world.run_at(START.plus(100 * DAY));
    world.send(track("u1", "Order").id("m-1"));
    world.run_at(START);
    world.send(track("u1", "Order").id("m-2"));
    world.run();
    world.send(track("u1", "Order").id("m-1"));
    world.send(track("u1", "Order").id("m-2"));
    world.run();
    assert_eq!(world.profile("u1").unwrap().events, 2);
    oracle::check(&world);
}

#[test]
fn a_record_that_is_no_event_hurts_only_itself() {
    let mut world = World::new();
    let event = |json: &str| {
        let record = onefold_model::event::EventRecord {
            workspace: onefold_sim::world::WORKSPACE,
            source: 1,
            for_ever: false,
            gpc: false,
            received_at: START,
            timestamp: START,
            sent_at: None,
            json,
        };
        let mut bytes = vec![];
        record.encode(&mut bytes);
        bytes
    };
    let deep = format!(
        "{{\"type\":\"track\",\"messageId\":\"deep\",\"userId\":\"u1\",\"event\":\"A\",\"properties\":{{\"x\":{}{}}}}}",
        "[".repeat(9000),
        "]".repeat(9000)
    );
    for poison in [
        vec![],
        vec![9; 40],
        event("not json"),
        event("[]"),
        event("{}"),
        event(r#"{"type":"nothing","messageId":"1"}"#),
        event(r#"{"type":"track"}"#),
        event(r#"{"type":"track","messageId":"2"}"#),
        event(r#"{"type":"object","messageId":"3","objectType":"\u0000","objectId":"x"}"#),
        event(r#"{"type":"object","messageId":"8","objectType":"product","objectId":"a\u0000"}"#),
        event(&format!(
            r#"{{"type":"object","messageId":"9","objectType":"product","objectId":"{}"}}"#,
            "long".repeat(2000)
        )),
        event(r#"{"type":"group","messageId":"4","userId":"u1","groupId":"a\u0000b"}"#),
        event(&format!(r#"{{"type":"track","messageId":"5","userId":"u1","event":"{}"}}"#, "long".repeat(2000))),
        event(&format!(r#"{{"type":"track","messageId":"6","userId":"{}"}}"#, "long".repeat(2000))),
        event(r#"{"type":"track","messageId":"7","userId":"u1","event":"a\u0000b","properties":{"a\u0000":1}}"#),
        event(&deep),
    ] {
        world.append(Kind::Event, &poison);
    }
    world.append(Kind::Command, b"{}");
    world.append(Kind::Tick, b"soon");
    world.send(track("u1", "Order"));
    world.run();
    assert_eq!(world.profile("u1").unwrap().events, 5);
    assert_eq!(world.rows(&onefold_state::schema::DEAD_LETTER).len() as i64, world.tally("events.refused"));
    oracle::check(&world);
}
