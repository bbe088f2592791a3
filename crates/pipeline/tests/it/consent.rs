//! Consent, as segments ask it.

use onefold_model::{
    command::Command,
    consent::{State, Unstated},
};
use onefold_sim::{World, oracle, track, world::reference};
use onefold_state::schema;

#[test]
fn signals_gate_a_segment_and_the_unreadable_denies() {
    let mut world = World::new();
    world.segment("reach", "may be reached for marketing");
    world.run();
    let step = |world: &mut World, call: onefold_sim::Call, inside: bool| {
        world.advance(1000);
        world.send(call);
        assert_eq!(world.run().members("reach").len(), usize::from(inside));
        oracle::check(world);
    };
    step(&mut world, track("u1", "A"), false);
    step(&mut world, track("u1", "A").consent("marketing", true), true);
    step(&mut world, track("u1", "A").consent("other", false), true);
    step(&mut world, track("u1", "A").unreadable_consent(), false);
    step(&mut world, track("u1", "A").consent("marketing", true), true);
    step(&mut world, track("u1", "A").consent("marketing", false), false);
    let row = world.rows(&schema::CONSENT);
    assert_eq!(row.len(), 5);
    let decision = &world.profile("u1").unwrap().consent["marketing"];
    assert!(!decision.allowed && decision.row.is_some());
}

#[test]
fn an_operators_word_is_stronger_and_the_default_counts_for_the_silent() {
    let mut world = World::new();
    world.segment("reach", "may be reached for marketing by email");
    world.send(track("u1", "A").consent("marketing", false));
    world.send(track("u2", "A"));
    world.run();
    assert_eq!(world.members("reach"), [""; 0]);
    let consent = |state: State| Command::Consent {
        subject: reference("u1"),
        purpose: "marketing".to_owned(),
        channel: Some("email".to_owned()),
        state,
    };
    world.advance(1000);
    world.command(consent(State::Granted));
    world.run();
    assert_eq!(world.members("reach"), ["u1"]);
    world.command(Command::ConsentDefault(Unstated::Allow));
    world.run();
    assert_eq!(world.members("reach"), ["u1", "u2"]);
    world.advance(1000);
    world.command(consent(State::Denied));
    world.run();
    assert_eq!(world.members("reach"), ["u2"]);
    oracle::check(&world);
}
