//! What holds whatever comes: who follows says what one says who looks at everything at once.

use onefold_model::{NodeId, command::Command, identity::Decision};
use onefold_sim::{
    World, alias, identify, oracle, track,
    world::{DAY, reference},
};
use onefold_state::schema;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{afresh, linked, loose, resolver, step, train};

#[derive(Debug, Clone)]
enum Op {
    /// A person of a source says who he is.
    Say(usize, usize, Value),
    /// Two identifiers are named together.
    Meet(usize, usize),
    /// An alias.
    Alias(usize, usize),
    /// A steward decides.
    Decide(usize, usize, Option<Decision>),
    /// An operator says that two are two.
    Unmerge(usize, usize),
    /// The resolver looks.
    Look,
    /// It is started anew.
    Restart,
    /// Time passes: who is anonymous goes.
    Wait,
    /// Everything is made anew from the log.
    Rebuild,
    /// Another model.
    Train,
}

const PEOPLE: usize = 8;

/// Nothing is known any more.
fn nobody() -> impl Strategy<Value = Value> {
    Just(json!({ "firstName": null, "lastName": null, "birthday": null, "mail": null, "address": null }))
}

fn person() -> impl Strategy<Value = Value> {
    let of = |values: &'static [&'static str]| proptest::sample::select(values);
    let known = (
        of(&["Ann", "Anna", "Bob", "Carl", ""]),
        of(&["Lee", "Lea", "Smith", ""]),
        of(&["1980-01-01", "1980-01-10", "1955-06-07", ""]),
        of(&["ann.lee@x.org", "bob7@x.org", ""]),
        of(&["York", "Leeds", ""]),
    )
        .prop_map(|(first, last, birth, mail, city)| {
            let mut traits = json!({ "address": { "city": city } });
            // What is empty is said to be gone.
            for (name, value) in [("firstName", first), ("lastName", last), ("birthday", birth), ("mail", mail)] {
                traits[name] = if value.is_empty() { Value::Null } else { json!(value) };
            }
            traits
        });
    prop_oneof![6 => known, 1 => nobody()]
}

fn op() -> impl Strategy<Value = Op> {
    let who = || 0..PEOPLE;
    let decision =
        proptest::sample::select(&[None, Some(Decision::Accept), Some(Decision::Reject), Some(Decision::Never)][..]);
    prop_oneof![
        10 => (who(), 0..2usize, person()).prop_map(|(who, kind, traits)| Op::Say(who, kind, traits)),
        2 => (who(), who()).prop_map(|(a, b)| Op::Meet(a, b)),
        1 => (who(), who()).prop_map(|(a, b)| Op::Alias(a, b)),
        3 => (who(), who(), decision).prop_map(|(a, b, decision)| Op::Decide(a, b, decision)),
        1 => (who(), who()).prop_map(|(a, b)| Op::Unmerge(a, b)),
        6 => Just(Op::Look),
        1 => Just(Op::Restart),
        1 => Just(Op::Wait),
        1 => Just(Op::Rebuild),
        1 => Just(Op::Train),
    ]
}

fn user(who: usize) -> String {
    format!("u{who}")
}

fn cookie(who: usize) -> String {
    format!("a{who}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn who_follows_says_what_one_says_who_looks_at_once(
        first in proptest::collection::vec(person(), PEOPLE),
        ops in proptest::collection::vec(op(), 1..40),
    ) {
        let mut world = World::new();
        world.command(Command::IdentityRules(loose()));
        for (who, traits) in first.into_iter().enumerate() {
            world.send(identify(&user(who), traits));
        }
        world.send(identify("u90", json!({ "firstName": "Dora", "lastName": "Quist", "birthday": "1970-03-04" })));
        world.send(identify("u91", json!({ "firstName": "Dora", "lastName": "Quist", "birthday": "1970-03-04" })));
        let mut follower = resolver(&world);
        train(&mut world, &follower);
        for op in ops {
            match op {
                Op::Say(who, 0, traits) => drop(world.send(identify(&user(who), traits))),
                Op::Say(who, _, traits) => drop(world.send(identify(&cookie(who), traits))),
                Op::Meet(a, b) => drop(world.send(track(&format!("{} {}", user(a), cookie(b)), "Viewed"))),
                Op::Alias(a, b) => drop(world.send(alias(&user(a), &user(b)))),
                Op::Decide(a, b, decision) => {
                    let (a, b) = (reference(&user(a)), reference(&user(b)));
                    world.command(Command::LinkDecide { a, b, decision });
                }
                Op::Unmerge(a, b) => drop(world.unmerge(&user(a), Some(&user(b)))),
                Op::Look => drop(step(&mut world, &follower)),
                Op::Restart => follower = resolver(&world),
                Op::Wait => {
                    world.advance(50 * DAY);
                    world.run();
                }
                Op::Rebuild => {
                    world.run();
                    world.rebuild().unwrap();
                    follower.clear();
                }
                Op::Train => drop(train(&mut world, &follower)),
            }
        }
        // Whom a look parts may be due to go, which is new for the next one.
        let looks = (0..5).take_while(|_| step(&mut world, &follower) > 0).count();
        prop_assert!(looks < 5, "it comes to rest");
        prop_assert_eq!(afresh(&world), vec![]);
        // Without a model nothing stays of what one found, and with it all comes back.
        let (said, version) = (linked(&world), world.definitions().link_model);
        let nodes = world.rows(&schema::NODE).len();
        world.command(Command::LinkModel { version: None });
        step(&mut world, &follower);
        prop_assert!(linked(&world).iter().all(|(.., state)| state == "gone"));
        world.command(Command::LinkModel { version });
        step(&mut world, &follower);
        let found = |said: Vec<_>| -> Vec<(NodeId, NodeId, i64, String)> {
            said.into_iter().filter(|(.., state): &(NodeId, NodeId, i64, String)| state != "gone").collect()
        };
        // But who was known only as somebody's cookie by a guess, and was silent for long, is gone.
        if world.rows(&schema::NODE).len() == nodes {
            prop_assert_eq!(found(linked(&world)), found(said));
        }
        oracle::check(&world);
    }
}
