//! Accounts and objects.

use onefold_model::Timestamp;
use onefold_pipeline::{groups, views};
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

/// The groups that a person belongs to.
fn groups(world: &World, who: &str) -> String {
    let profile = world.profile(who).unwrap();
    let shown = profile.groups.iter().map(|g| format!("{} {} {}", g.kind, g.id, g.role.as_deref().unwrap_or("-")));
    shown.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_person_has_a_role_in_each_account_and_household_and_may_leave() {
    let mut world = World::new();
    world.clock.set(START.plus(DAY));
    world.send(group("u1", "acme", json!({})).set("role", json!("buyer")));
    world.send(group("u1", "acme", json!({}))); // It says nothing of the role.
    world.send(group("u1", "acme", json!({})).set("role", json!("intern")).at(START));
    world.send(group("u1", "globex", json!({})).set("left", json!(true)));
    world.send(group("u1", "globex", json!({})).at(START));
    world.send(
        group("u1", "h1", json!({ "city": "Bonn" }))
            .set("groupType", json!("household"))
            .set("role", json!("parent"))
            .at(START.plus(1)),
    );
    world.send(group("u2", "h1", json!({})).set("groupType", json!("household")).set("role", json!("child")));
    world.send(group("u2", "x", json!({})).set("groupType", json!("club")));
    world.run();
    assert_eq!(groups(&world, "u1"), "household h1 parent, account acme buyer");
    assert_eq!(groups(&world, "u2"), "household h1 child");
    assert_eq!(traits(&world, "household", "h1").as_deref(), Some("city=\"Bonn\""));
    let members = groups::members(&mut *world.reader(), &world.access(), "household", "h1", None, 10).unwrap();
    let shown: Vec<_> = members.iter().map(|m| (m.identifier.value.as_str(), m.role.as_deref())).collect();
    assert_eq!(shown, [("u1", Some("parent")), ("u2", Some("child"))]);
    let of = |world: &World, id: &str| {
        groups::members(&mut *world.reader(), &world.access(), "account", id, None, 10).unwrap().len()
    };
    assert_eq!((of(&world, "globex"), of(&world, "acme")), (0, 1));
    // Of a person of several identifiers what was said last counts, and it comes apart with them.
    world.send(group("u2", "acme", json!({})).set("role", json!("user")).at(START.plus(DAY + 1)));
    world.clock.set(START.plus(2 * DAY));
    world.merge("u1", "u2");
    world.run();
    assert_eq!(groups(&world, "u1"), "household h1 child, account acme user");
    world.unmerge("u1", Some("u2"));
    world.run();
    assert_eq!(groups(&world, "u1"), "household h1 parent, account acme buyer");
    world.rebuild().unwrap();
    assert_eq!(groups(&world, "u1"), "household h1 parent, account acme buyer");
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
