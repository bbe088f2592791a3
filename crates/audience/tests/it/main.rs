//! The index held against the plain meaning of conditions over raw events.

#[path = "../../../model/tests/segments/world.rs"]
#[expect(dead_code, reason = "what only the tests of the model use")]
mod world;

mod keeper;

use std::{borrow::Cow, collections::BTreeSet};

use onefold_audience::{Index, Set, Wants};
use onefold_model::{
    NodeId, ProfileId, Timestamp, Value,
    rng::SeededRng,
    segment::{Condition, Program, text},
};
use proptest::prelude::*;
use world::{Known, Person, STEP_MS, conditions, instants, leaves, people, plain};

/// Nodes of a person, of which some may have no event.
const NODES: usize = 3;

fn node(person: usize, node: usize) -> NodeId {
    NodeId((person * NODES + node) as i64)
}

fn profile(person: usize, first: usize) -> ProfileId {
    ProfileId(node(person, first))
}

/// A profile that has some of a person's nodes.
struct Part<'a> {
    person: &'a Person,
    nodes: Vec<NodeId>,
}

impl onefold_audience::Person for Part<'_> {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }
    fn trait_value(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.person.traits.get(name).map(Cow::Borrowed)
    }
    fn reachable(&self, purpose: &str, channel: Option<&str>) -> bool {
        self.person.reachable(purpose, channel)
    }
}

fn whole(person: &Person, number: usize) -> Part<'_> {
    Part { person, nodes: (0..NODES).map(|n| node(number, n)).collect() }
}

/// An index of the people, who were put in by and by: events in any order, profiles in parts, as other people, and gone
/// for a while.
fn index(people: &[Person], condition: &Condition, known: &Known, order: u64) -> Index {
    let mut wants = Wants::default();
    wants.add_of(condition, known);
    let mut index = Index::new(wants);
    let rng = SeededRng::new(order);
    let mut events: Vec<_> = (0..).zip(people).flat_map(|(n, p)| p.events.iter().map(move |e| (n, e))).collect();
    match rng.below(3) {
        0 => events.sort_by_key(|(_, event)| event.at),
        _ => (1..events.len()).rev().for_each(|i| events.swap(i, rng.below(i as u64 + 1) as usize)),
    }
    let stranger = Person { consents: true, ..Person::default() };
    for (person, event) in events {
        index.add(node(person, event.node), event);
        let other = rng.below(people.len() as u64) as usize;
        match rng.below(8) {
            0 => index.prepare(condition, known),
            1 => index.set(profile(other, 0), Some(&whole(&stranger, other))),
            2 => index.set(profile(other, 1), Some(&Part { person: &stranger, nodes: vec![node(other, 1)] })),
            3 => index.set(profile(other, rng.below(3) as usize), None::<&Part<'_>>),
            _ => {}
        }
    }
    for (number, person) in people.iter().enumerate() {
        // A merge is told in any order.
        let mut told = [0, 1, 2];
        (1..3).for_each(|i| told.swap(i, rng.below(i as u64 + 1) as usize));
        for first in told {
            match first {
                0 => index.set(profile(number, 0), Some(&whole(person, number))),
                _ => index.set(profile(number, first), None::<&Part<'_>>),
            }
        }
    }
    if rng.below(2) == 0 {
        index.prepare(condition, known);
    }
    if rng.below(4) == 0 {
        index.forget_strays();
    }
    index
}

fn numbers(index: &Index, set: &Set) -> BTreeSet<i64> {
    set.iter().map(|number| index.id(number).0.0 / NODES as i64).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_answers_as_the_raw_events_do(
        condition in prop_oneof![conditions(), leaves()],
        people in prop::collection::vec(people(), 1..6),
        now in (instants(), 0i64..40).prop_map(|(at, later)| at.plus(later * STEP_MS)),
        order in any::<u64>(),
    ) {
        let known = Known::default();
        let index = index(&people, &condition, &known, order);
        let found = index.ask(&condition, &known, now);
        let found = found.map_err(|missing| TestCaseError::fail(missing.to_string()))?;
        let expect: BTreeSet<i64> =
            (0..).zip(&people).filter(|(_, person)| plain(&condition, &known, person, now)).map(|(n, _)| n).collect();
        prop_assert_eq!(numbers(&index, &found), expect, "{} at {}", text::print(&condition), now);
    }
}

#[test]
fn what_is_not_kept_is_said() {
    let known = Known::default();
    let index = Index::new(Wants::default());
    for (asked, missing) in [
        ("trait x = 1", "the index does not keep the trait x"),
        ("count(\"A\") >= 1", "the index does not keep the events \"A\" with what their filter reads"),
        ("count(any event) = 0 within 2 days", "the index does not keep all events with what their filter reads"),
        ("may be reached for marketing", "the index does not keep consent for marketing"),
    ] {
        let condition = text::parse(asked).expect("a condition");
        let mut number = |_| onefold_model::segment::MetricId(0);
        assert!(Program::compile(&condition, &known, &mut number).is_ok(), "{asked}");
        let said = index.ask(&condition, &known, Timestamp(0)).map(|_| ()).map_err(|missing| missing.to_string());
        assert_eq!(said, Err(missing.to_owned()), "{asked}");
    }
}
