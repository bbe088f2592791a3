//! Accounts and objects.

use onefold_model::Timestamp;
use onefold_pipeline::views;
use onefold_sim::{
    World, group, object, oracle, track,
    world::{DAY, START},
};
use onefold_state::schema;
use serde_json::json;

fn traits(world: &World, kind: &str, id: &str) -> Option<String> {
    let definitions = world.definitions();
    let objects = views::objects(&mut *world.reader(), &world.access(), &definitions, kind, None, 1000).unwrap()?;
    let found = objects.into_iter().find(|object| object.id == id)?;
    Some(found.traits.iter().map(|(name, seen)| format!("{name}={}", seen.value.get())).collect::<Vec<_>>().join(" "))
}

#[test]
fn a_group_call_gives_an_account_its_traits_and_its_member() {
    let mut world = World::new();
    world.clock.set(START.plus(DAY));
    world.send(group("u1", "acme", json!({ "plan": "pro", "seats": 5 })).at(START.plus(60_000)));
    world.send(group("u1", "acme", json!({ "plan": "old" })).at(START));
    world.send(group("u2", "acme", json!({})));
    world.run();
    assert_eq!(traits(&world, "account", "acme").as_deref(), Some("plan=\"pro\" seats=5"));
    let members = world.rows(&schema::OBJECT_MEMBER);
    assert_eq!(members.len(), 2);
    assert_eq!(Timestamp(members[0][4].as_int().unwrap()), START, "the first that was said");
    assert_eq!(world.profile("u1").unwrap().traits.len(), 0, "an account's traits are not its member's");
    assert_eq!(world.profile("u1").unwrap().events, 2);
    oracle::check(&world);
}

#[test]
fn object_types_come_by_themselves_and_touch_nobody() {
    let mut world = World::new();
    world.send(object("product", "p1", json!({ "price": 10 })));
    world.send(object("product", "p1", json!({ "price": 12 })));
    world.send(object("store", "p1", json!({ "city": "Bonn" })));
    world.send(track("u1", "Order"));
    world.run();
    assert_eq!(traits(&world, "product", "p1").as_deref(), Some("price=12"));
    assert_eq!(traits(&world, "store", "p1").as_deref(), Some("city=\"Bonn\""));
    assert_eq!(traits(&world, "store", "p2"), None);
    assert_eq!((world.tally("objects"), world.tally("profiles")), (2, 1));
    world.crash();
    world.send(object("campaign", "c1", json!({})));
    world.run();
    let numbers: Vec<i64> = world.rows(&schema::ENTITY_TYPE).iter().map(|row| row[2].as_int().unwrap()).collect();
    assert_eq!(numbers.len(), 3);
    assert_eq!(numbers.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
    oracle::check(&world);
}

#[test]
fn an_anonymous_member_who_goes_leaves_the_account() {
    let mut world = World::new();
    world.send(group("a1", "acme", json!({ "plan": "pro" })));
    world.run();
    assert_eq!(world.rows(&schema::OBJECT_MEMBER).len(), 1);
    world.run_at(START.plus(91 * DAY));
    assert_eq!(world.rows(&schema::OBJECT_MEMBER).len(), 0);
    assert!(traits(&world, "account", "acme").is_some());
    oracle::check(&world);
}
