//! Traits, computed traits, timelines.

use onefold_pipeline::views;
use onefold_sim::{
    World, identify, oracle, page, track,
    world::{DAY, HOUR, MINUTE, START},
};
use onefold_state::{Value, schema};
use serde_json::json;

#[test]
fn a_trait_has_the_newest_value_its_history_and_where_it_came_from() {
    let mut world = World::new();
    let source: [Value; 9] = [
        Value::Int(1),
        Value::Int(2),
        "shop".into(),
        "web".into(),
        Value::Bytes(vec![]),
        "".into(),
        Value::Int(1),
        Value::Int(0),
        "".into(),
    ];
    let mut txn = world.store.begin_shared().unwrap();
    txn.put(&schema::SOURCE, vec![source.to_vec()]).unwrap();
    txn.commit().unwrap();
    world.clock.set(START.plus(HOUR));
    world.send(identify("u1", json!({ "plan": "pro" })).at(START.plus(2 * MINUTE)).from(2));
    world.send(identify("u1", json!({ "plan": "free" })).at(START.plus(MINUTE)));
    let last =
        world.send(identify("u1", json!({ "plan": "pro", "gone": 1, "n": 1.50 })).at(START.plus(3 * MINUTE)).from(2));
    world.send(identify("u1", json!({ "gone": null })).at(START.plus(4 * MINUTE)));
    world.run();
    let profile = world.profile("u1").unwrap();
    let plan = &profile.traits["plan"];
    assert_eq!((plan.value.get(), plan.source.as_str(), plan.offset), ("\"pro\"", "shop", last));
    let history: Vec<_> = plan.history.iter().map(|h| (h.value.get(), h.source.as_str(), h.at.as_str())).collect();
    assert_eq!(history, [("\"free\"", "source 1", "2026-01-01T00:01:00.000Z")]);
    assert_eq!(profile.traits.keys().collect::<Vec<_>>(), ["n", "plan"], "what is null is gone");
    oracle::check(&world);
}

#[test]
fn over_several_nodes_the_newest_counts_and_decides_segments() {
    let mut world = World::new();
    world.segment("pros", "trait plan = \"pro\"");
    world.clock.set(START.plus(HOUR));
    world.send(identify("u1 a1", json!({ "plan": "pro" })).at(START.plus(MINUTE)));
    world.send(track("a1", "Viewed"));
    world.send(identify("a1", json!({ "plan": "free" })).at(START.plus(2 * MINUTE)));
    world.run();
    assert_eq!(world.members("pros"), [""; 0]);
    // At its own node the value is the same; among both it counts again.
    world.send(identify("u1", json!({ "plan": "pro" })).at(START.plus(3 * MINUTE)));
    world.run();
    assert_eq!(world.members("pros"), ["a1 u1"]);
    oracle::check(&world);
}

#[test]
fn computed_traits_are_those_of_the_raw_events() {
    let mut world = World::new();
    for line in [
        "orders = count(\"Order\")",
        "spent = sum(\"Order\", revenue)",
        "lately = sum(\"Order\", revenue) within 7 days",
        "mean = average(\"Order\", revenue)",
        "least = min(\"Order\", revenue)",
        "most = max(\"Order\", revenue)",
        "categories = list(\"Order\", category)",
        "favourite = most frequent(\"Order\", category)",
        "kinds = distinct(\"Order\", category)",
        "latest = last(\"Order\", category)",
        "pages = count(\"page\")",
    ] {
        world.computed(line);
    }
    world.run();
    for (day, revenue, category) in [(0, "0.1", "a"), (1, "0.2", "b"), (5, "19.90", "a"), (9, "x", "c")] {
        world.clock.set(START.plus(day * DAY));
        world.send(track("u1", "Order").with(json!({ "revenue": revenue, "category": category })));
    }
    world.send(page("u1", "Home"));
    world.send(track("u1", "Order").at(START).with(json!({ "revenue": 0.7, "category": "b" })));
    world.run();
    let computed = world.profile("u1").unwrap().computed;
    let shown: Vec<String> = computed.iter().map(|(name, value)| format!("{name}={}", value.get())).collect();
    expect_test::expect![[r#"categories=["a","b","c"] favourite="a" kinds=3 lately=19.9 latest="c" least=0.1 mean=5.225 most=19.9 orders=5 pages=1 spent=20.9"#]]
        .assert_eq(&shown.join(" "));
    oracle::check(&world);
}

#[test]
fn a_timeline_has_the_newest_events_of_all_nodes() {
    let mut world = World::new();
    for n in 0..1400 {
        world.send(track(if n % 2 == 0 { "a1" } else { "u1" }, &format!("E{n}")));
    }
    world.send(identify("u1 a1", json!({})));
    world.run();
    let id = world.find("u1").unwrap();
    let names = |before: u64, limit: usize| -> Vec<String> {
        let events = views::timeline(
            &mut *world.reader(),
            &*world.log,
            &world.access(),
            &world.definitions(),
            id,
            before,
            limit,
        )
        .unwrap();
        let json = |event: &views::TimelineEvent| serde_json::from_str::<serde_json::Value>(event.event.get()).unwrap();
        events.iter().map(|event| json(event)["event"].as_str().unwrap_or("identify").to_owned()).collect()
    };
    assert_eq!(names(u64::MAX >> 1, 3), ["identify", "E1399", "E1398"]);
    assert_eq!(names(300, 2), ["E299", "E298"]);
    assert_eq!(names(u64::MAX >> 1, 10_000).len(), 1401);
    assert!(!world.rows(&schema::EVENT_PAGE).is_empty(), "the older ones are in pages of their own");
}
