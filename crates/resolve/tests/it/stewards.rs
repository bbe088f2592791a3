//! What stewards do and see.

use onefold_model::{command::Command, identity::Decision};
use onefold_pipeline::links;
use onefold_sim::{World, identify, oracle, world::reference};
use serde_json::{Value, json};

use crate::world::{loose, node, resolver, step, train, trained};

const FIRST: [&str; 12] =
    ["Ann", "Berta", "Carl", "Dora", "Emil", "Frieda", "Gustav", "Hanna", "Igor", "Jana", "Karl", "Lena"];
const LAST: [&str; 9] = ["Abel", "Braun", "Conrad", "Dietz", "Ebert", "Fuchs", "Graf", "Huber", "Iversen"];

fn somebody(number: usize) -> Value {
    let city = ["York", "Leeds", "Hull", "Ripon"][number % 4];
    let postal_code = (4000 + number % 60).to_string();
    json!({
        "firstName": FIRST[number % 12],
        "lastName": LAST[number % 9],
        "birthday": format!("{}-{:02}-{:02}", 1950 + number % 37, 1 + number % 11, 1 + number % 27),
        "address": { "city": city, "postalCode": postal_code },
    })
}

/// 400 people of two sources, 100 of whom both know; some of these with a typing error.
fn world() -> World {
    let mut world = World::new();
    world.command(Command::IdentityRules(loose()));
    for number in 0..250 {
        world.send(identify(&format!("u{number}"), somebody(number)));
    }
    for number in 150..400 {
        let mut traits = somebody(number);
        if number % 5 == 0 {
            traits["lastName"] = json!(format!("{}x", traits["lastName"].as_str().unwrap()));
        }
        world.send(identify(&format!("u{}", 1000 + number), traits));
    }
    world
}

#[test]
fn a_model_joins_whom_both_sources_know_and_off_parts_them() {
    let mut world = world();
    let resolver = resolver(&world);
    let would = train(&mut world, &resolver);
    assert_eq!(would.records, 500);
    assert!((90..=110).contains(&would.joined), "{would:?}");
    step(&mut world, &resolver);
    assert_eq!(500 - world.people().len(), would.joined, "it does what it said that it would");
    assert_eq!(world.find("u160"), world.find("u1160"));
    oracle::check(&world);
    // What comes later is linked as it comes.
    world.send(identify("u2000", somebody(42)));
    step(&mut world, &resolver);
    assert_eq!(world.find("u2000"), world.find("u42"));
    // What changes is parted again.
    world.send(identify("u2000", somebody(399)));
    step(&mut world, &resolver);
    assert_ne!(world.find("u2000"), world.find("u42"));
    assert_eq!(world.find("u2000"), world.find("u1399"));
    world.command(Command::LinkModel { version: None });
    step(&mut world, &resolver);
    assert_eq!(world.people().len(), 501);
    oracle::check(&world);
}

#[test]
fn a_link_is_explained_by_parts_that_add_up() {
    let mut world = world();
    let resolver = resolver(&world);
    train(&mut world, &resolver);
    step(&mut world, &resolver);
    let (a, b) = (node(&world, "u160"), node(&world, "u1160"));
    let why = resolver.explain(&world.access(), a, b).unwrap();
    let sum: f64 = why.steps.iter().map(|step| step.bits).sum();
    assert!((sum - why.score).abs() < 1e-9);
    let link = links::between(&mut *world.reader(), &world.access(), a, b).unwrap().unwrap();
    assert_eq!(link.model, 1);
    let parts: i64 = link.parts.iter().map(|(_, part)| part).sum();
    assert!((parts - link.millibits).abs() <= link.parts.len() as i64);
    let text = format!("{:?}", link.parts);
    assert!(!text.contains("York") && !text.contains("Ann"), "the log gets no values: {text}");
}

#[test]
fn decisions_hold_and_teach() {
    let mut world = world();
    let resolver = resolver(&world);
    train(&mut world, &resolver);
    step(&mut world, &resolver);
    let decide = |world: &mut World, a: &str, b: &str, decision| {
        world.command(Command::LinkDecide { a: reference(a), b: reference(b), decision });
    };
    decide(&mut world, "u160", "u1160", Some(Decision::Never));
    decide(&mut world, "u1", "u2", Some(Decision::Accept));
    step(&mut world, &resolver);
    assert_ne!(world.find("u160"), world.find("u1160"));
    assert_eq!(world.find("u1"), world.find("u2"));
    let again = train(&mut world, &resolver);
    assert_eq!(again.labels, 2);
    step(&mut world, &resolver);
    assert_ne!(world.find("u160"), world.find("u1160"), "a new model does not overrule a person");
    assert_eq!(world.find("u1"), world.find("u2"));
    // Whom a person joined and who do not look alike are shown.
    let suspects = resolver.suspects(&world.access(), 4.0, 10);
    let pair = (node(&world, "u1"), node(&world, "u2"));
    assert_eq!(suspects[0].pair, (pair.0.min(pair.1), pair.0.max(pair.1)));
    oracle::check(&world);
}

#[test]
fn without_names_there_is_no_model_and_no_panic() {
    let mut world = World::new();
    world.send(identify("u1", json!({ "plan": "pro" })));
    world.run();
    assert!(trained(&world).unwrap_err().to_string().contains("no column was understood"));
    assert!(trained(&World::new()).is_err());
}

#[test]
fn a_refusal_holds_for_records_that_come_later_and_ends_when_it_is_withdrawn() {
    let mut world = world();
    let resolver = resolver(&world);
    train(&mut world, &resolver);
    let decide = |world: &mut World, a: &str, b: &str, decision| {
        world.command(Command::LinkDecide { a: reference(a), b: reference(b), decision });
    };
    // Nothing is known of one yet.
    world.send(identify("u5000", json!({ "plan": "pro" })));
    step(&mut world, &resolver);
    decide(&mut world, "u160", "u5000", Some(Decision::Reject));
    step(&mut world, &resolver);
    world.send(identify("u5000", somebody(160)));
    step(&mut world, &resolver);
    assert_ne!(world.find("u160"), world.find("u5000"), "not by way of u1160 either");
    decide(&mut world, "u160", "u5000", None);
    step(&mut world, &resolver);
    assert_eq!(world.find("u160"), world.find("u5000"));
    // No model had found anything of these two, so nothing is left of the decision.
    decide(&mut world, "u1", "u2", Some(Decision::Never));
    step(&mut world, &resolver);
    decide(&mut world, "u1", "u2", None);
    step(&mut world, &resolver);
    world.send(identify("u2", somebody(1)));
    step(&mut world, &resolver);
    assert_eq!(world.find("u1"), world.find("u2"));
    oracle::check(&world);
}
