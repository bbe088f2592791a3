//! However much one identifier, one event or one source brings, rows and memory stay bounded.

use onefold_log::{Batch, Kind};
use onefold_model::profile::partial::NAMED_MAX;
use onefold_sim::{World, identify, oracle, track, world::SECOND};
use onefold_state::schema;
use serde_json::json;

/// Appends many calls at once.
fn append(world: &mut World, calls: impl Iterator<Item = onefold_sim::Call>) {
    let mut batch = Batch::new();
    for call in calls {
        let record = world.record(&call).unwrap();
        batch.push(Kind::Event, &record).unwrap();
    }
    pollster::block_on(world.log.append(0, batch)).unwrap();
}

fn largest_node(world: &World) -> usize {
    world.rows(&schema::NODE).iter().map(|row| row[9].as_bytes().unwrap().len()).max().unwrap_or(0)
}

#[test]
fn two_hundred_thousand_events_of_one_identifier() {
    let mut world = World::new();
    world.segment("lately", "count(\"Order\") >= 5 within 30 days");
    world.segment("spenders", "sum(\"Order\", revenue) > 1000");
    world.segment("sized", "average(\"Order\", revenue) > 0 within 1 hour");
    world.computed("kinds = distinct(\"Order\", kind) within 1 day");
    world.run();
    for _ in 0..20 {
        world.advance(5000 * SECOND);
        append(&mut world, (0..10_000).map(|n| track("u1", "Order").with(json!({ "revenue": n, "kind": n % 7 }))));
        world.run();
    }
    let profile = world.profile("u1").unwrap();
    assert_eq!(profile.events, 200_000);
    assert_eq!(profile.computed["kinds"].get(), "7");
    assert_eq!(world.members("spenders"), ["u1"]);
    assert!(largest_node(&world) < 64 << 10, "{} bytes", largest_node(&world));
    let chunks = world.rows(&schema::SERIES_CHUNK).into_iter().map(|row| row[5].as_bytes().unwrap().len()).max();
    assert!(chunks.unwrap() < 128 << 10);
    assert!(world.rows(&schema::EVENT_PAGE).len() > 700);
}

#[test]
fn a_million_traits_and_properties_are_bounded_and_counted() {
    let mut world = World::new();
    let names = |n: i64| (0..500).map(|i| (format!("t{}", n * 500 + i), json!(i))).collect::<serde_json::Map<_, _>>();
    append(&mut world, (0..200).map(|n| identify("u1", serde_json::Value::Object(names(n)))));
    append(&mut world, (0..2000).map(|n| track("u1", &format!("E{n}")).with(json!({ "a": 1, "b": 2, "c": 3 }))));
    append(&mut world, (0..200).map(|n| track("u1", "Order").with(serde_json::Value::Object(names(n)))));
    world.run();
    assert_eq!(world.profile("u1").unwrap().traits.len(), onefold_model::profile::traits::NAMES_MAX);
    assert!(world.rows(&schema::PROPERTY).len() <= 20_000);
    assert!(world.tally("registry.overflow") > 100_000);
    assert!(largest_node(&world) < 128 << 10);
}

#[test]
fn huge_and_deep_values_stay_in_the_log() {
    let mut world = World::new();
    world.segment("deep", "trait deep exists or count(\"A\" where deep contains \"x\") >= 1");
    world.run();
    let huge = "x".repeat(20_000);
    let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
    let deep: Box<serde_json::value::RawValue> = serde_json::value::RawValue::from_string(deep).unwrap();
    world.send(identify("u1", json!({ "huge": huge, "small": 1 })));
    let mut call = track("u2", "A");
    call.json.insert("properties".to_owned(), json!({ "huge": huge }));
    world.send(call);
    let record = onefold_model::event::EventRecord {
        workspace: world.workspace,
        source: 1,
        for_ever: false,
        gpc: false,
        received_at: world.now(),
        timestamp: world.now(),
        sent_at: None,
        json: &format!(
            r#"{{"type":"identify","messageId":"d","userId":"u3","traits":{{"deep":{0}}},"properties":{{"deep":{0}}}}}"#,
            deep.get()
        ),
    };
    let mut bytes = vec![];
    record.encode(&mut bytes);
    world.append(Kind::Event, &bytes);
    world.run();
    assert_eq!(world.profile("u1").unwrap().traits.keys().collect::<Vec<_>>(), ["small"]);
    assert_eq!(world.tally("traits.too_long"), 1);
    assert_eq!(world.members("deep"), ["u3"]);
}

#[test]
fn an_identifier_that_everybody_shares_joins_nobody_any_more() {
    let mut world = World::new();
    append(&mut world, (0..NAMED_MAX as usize + 300).map(|n| track(&format!("u{n} a1"), "Viewed")));
    world.run();
    assert!(largest_node(&world) < 64 << 10, "{} bytes", largest_node(&world));
    assert_eq!(world.alarms().iter().filter(|kind| *kind == "shared_identifier").count(), 1);
    assert_eq!(world.tally("identity.shared"), 300);
    assert_eq!(world.people().len(), NAMED_MAX as usize + 300);
    oracle::check(&world);
}

#[test]
fn ten_thousand_timers_at_one_instant_fire_while_memory_is_scarce() {
    let mut world = World::new();
    world.settings.cache_bytes_max = 100_000;
    world.segment("active", "count(\"Order\") >= 1 within 1 day");
    world.run();
    append(&mut world, (0..12_000).map(|n| track(&format!("u{n} a{}", n % 6000), "Order")));
    world.run();
    world.advance(2 * onefold_sim::world::DAY);
    // The event that makes time go on names people who were loaded before thousands of others had their turn.
    append(&mut world, [track("u7 a7", "Order"), track("u8", "Order")].into_iter());
    world.run();
    assert_eq!(world.members("active"), ["a7 u7", "a8 u8"]);
    oracle::check(&world);
}
