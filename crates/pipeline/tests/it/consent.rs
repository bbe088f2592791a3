//! Consent, as segments ask it.

use onefold_model::{
    Value::{Null, Text},
    command::{Command, IdentifierRef},
    consent::{State, Unstated},
};
use onefold_pipeline::{erase, ledger};
use onefold_sim::{World, identify, oracle, track, world::DAY};
use onefold_state::{Value, schema};
use serde_json::json;

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

/// A steward says where somebody lives: from then on that law decides.
#[test]
fn where_a_steward_says_somebody_lives_decides() {
    let mut world = World::new();
    let policy = r#"{"unstated":"deny","residence":{"country":["country"]},"purposes":{"marketing":{}},
        "jurisdictions":{"US":{"of":["US"],"unstated":"allow"}}}"#;
    world.command(Command::ConsentPolicy(serde_json::from_str(policy).unwrap()));
    world.segment("reach", "may be reached for marketing");
    world.send(identify("u1", json!({ "country": "US" })));
    assert_eq!(world.run().members("reach"), ["u1"]);
    for (country, members) in [(Some("DE"), vec![]), (None, vec!["u1"]), (Some("US"), vec!["u1"]), (Some(""), vec![])] {
        world.advance(1000);
        let subject = IdentifierRef { kind: "user_id".to_owned(), value: "u1".to_owned() };
        let value = country.map(|country| if country.is_empty() { Null } else { Text(country.into()) });
        world.command(Command::Override { subject, name: "country".to_owned(), value });
        assert_eq!(world.run().members("reach"), members, "{country:?}");
        oracle::check(&world);
    }
}

#[test]
fn an_operators_word_is_stronger_and_the_default_counts_for_the_silent() {
    let mut world = World::new();
    world.segment("reach", "may be reached for marketing by email");
    world.send(track("u1", "A").consent("marketing", false));
    world.send(track("u2", "A"));
    world.run();
    assert_eq!(world.members("reach"), [""; 0]);
    world.advance(1000);
    world.consent("u1", "marketing", Some("email"), State::Granted);
    world.run();
    assert_eq!(world.members("reach"), ["u1"]);
    world.command(Command::ConsentDefault(Unstated::Allow));
    world.run();
    assert_eq!(world.members("reach"), ["u1", "u2"]);
    world.advance(1000);
    world.consent("u1", "marketing", Some("email"), State::Denied);
    world.run();
    assert_eq!(world.members("reach"), ["u2"]);
    oracle::check(&world);
}

#[test]
fn whoever_withdraws_is_removed_from_audiences_and_comes_back_with_a_new_agreement() {
    let mut world = World::new();
    world.segment("seen", "count(\"A\") >= 1");
    world.subscribe_for("ads", &["seen"], "marketing");
    world.subscribe_for("mail", &["seen"], "newsletter");
    world.send(track("u1", "A").consent("marketing", true));
    world.run();
    assert_eq!(world.outbox("ads"), ["enter seen: u1"]);
    world.advance(1000);
    world.send(track("u1", "B").consent("marketing", false));
    world.run();
    assert_eq!(world.outbox("ads"), ["enter seen: u1", "leave seen: u1"]);
    world.advance(1000);
    world.send(track("u1", "B").consent("marketing", true));
    world.run();
    assert_eq!(world.outbox("ads"), ["enter seen: u1", "leave seen: u1", "enter seen: u1"]);
    world.send(track("u1", "B").consent("marketing", true));
    world.policy(r#"{"purposes":{"marketing":{"double_opt_in":true}}}"#);
    world.run();
    assert_eq!(world.outbox("ads").len(), 4, "another policy lets fewer agreements count");
    assert_eq!(world.outbox("mail"), ["enter seen: u1"], "nothing was said of another purpose");
    oracle::check(&world);
}

#[test]
fn an_agreement_runs_out_by_time_alone() {
    let mut world = World::new();
    world.policy(r#"{"purposes":{"marketing":{"expires_days":2}}}"#);
    world.segment("reach", "may be reached for marketing");
    world.segment("seen", "count(\"A\") >= 1");
    world.subscribe_for("ads", &["seen"], "marketing");
    world.send(track("u1", "A").consent("marketing", true));
    world.run();
    assert_eq!(world.members("reach"), ["u1"]);
    world.run_at(world.now().plus(2 * DAY - 1));
    assert_eq!(world.members("reach"), ["u1"]);
    world.run_at(world.now().plus(2));
    assert_eq!(world.members("reach"), [""; 0]);
    assert_eq!(world.outbox("ads").last().unwrap(), "leave seen: u1");
    oracle::check(&world);
}

#[test]
fn the_law_where_a_person_lives_goes_with_them() {
    let mut world = World::new();
    world.policy(
        r#"{"residence":{"country":["country"]},"purposes":{"mail":{}},"jurisdictions":{
            "CA":{"of":["CA"],"implied":[{"event":"Order","purpose":"mail","days":730}]},
            "US":{"of":["US"],"unstated":"allow"}}}"#,
    );
    world.segment("reach", "may be reached for mail");
    for who in ["u1", "u2"] {
        world.send(track(who, "Order"));
    }
    world.send(identify("u1", json!({ "country": "CA" })));
    assert_eq!(world.run().members("reach"), ["u1"]);
    world.advance(1000);
    world.send(identify("u1", json!({ "country": "DE" })));
    world.send(identify("u2", json!({ "country": "US" })));
    assert_eq!(world.run().members("reach"), ["u2"]);
    oracle::check(&world);
}

#[test]
fn a_browser_that_asks_not_to_sell_is_heard() {
    let mut world = World::new();
    world.policy(r#"{"unstated":"allow","purposes":{"ads":{"sale":true},"care":{}}}"#);
    world.segment("ads", "may be reached for ads");
    world.segment("care", "may be reached for care");
    world.send(track("u1", "A").gpc());
    world.send(track("u2", "A"));
    world.run();
    assert_eq!((world.members("ads"), world.members("care").len()), (vec!["u2".to_owned()], 2));
    oracle::check(&world);
}

#[test]
fn of_two_who_are_one_the_more_restrictive_counts_until_the_person_says_more() {
    let mut world = World::new();
    world.segment("reach", "may be reached for marketing");
    world.send(track("u1", "A").consent("marketing", false));
    world.send(track("u2", "A"));
    world.advance(1000);
    world.send(track("u2", "A").consent("marketing", true));
    assert_eq!(world.run().members("reach"), ["u2"]);
    world.merge("u1", "u2");
    assert_eq!(world.run().members("reach"), [""; 0]);
    oracle::check(&world);
    world.unmerge("u1", Some("u2"));
    assert_eq!(world.run().members("reach"), ["u2"], "it is computed again from what each said");
    world.merge("u1", "u2");
    world.advance(1000);
    world.send(track("u1", "A").consent("marketing", true));
    assert_eq!(world.run().members("reach").len(), 1);
    oracle::check(&world);
}

#[test]
fn the_ledger_shows_what_was_done_to_it_and_forgets_what_was_erased() {
    let mut world = World::new();
    for n in 0..6 {
        world.send(track("u1", "A").consent("marketing", n % 2 == 0));
        world.send(track("u2", "A").consent("ads", true));
        world.run();
        world.advance(1000);
    }
    world.consent("u2", "ads", Some("email"), State::Withdrawn);
    world.run();
    let verified = |world: &World| ledger::verify(&mut *world.reader(), &world.access()).unwrap();
    let whole = verified(&world);
    assert_eq!((whole.rows, whole.erased, whole.unlinked, whole.broken.as_slice()), (13, 0, 0, &[][..]));

    let person = erase::person(&mut *world.reader(), &world.access(), "u1").unwrap().unwrap();
    world.command(Command::Erase { request: "er_1".to_owned(), nodes: person.nodes });
    world.run();
    let after = verified(&world);
    assert_eq!((after.rows, after.erased, after.broken.len(), &after.head), (13, 6, 0, &whole.head));
    assert!(world.rows(&schema::CONSENT).iter().all(|row| row[4] != Value::Text("marketing".to_owned())));

    let tampered = |change: &dyn Fn(&mut Vec<onefold_state::Row>)| {
        let mut rows = world.rows(&schema::CONSENT);
        let keys: Vec<_> = rows.iter().map(|row| row[..schema::CONSENT.key].to_vec()).collect();
        change(&mut rows);
        let epoch = world.store.take_over(0).unwrap();
        let mut txn = world.store.begin(0, epoch, None).unwrap();
        let before = txn.scan(&onefold_state::Scan::prefix(&schema::CONSENT, vec![], 100)).unwrap();
        txn.delete(&schema::CONSENT, &keys).unwrap();
        txn.put(&schema::CONSENT, rows).unwrap();
        txn.commit().unwrap();
        let broken = verified(&world).broken;
        let mut txn = world.store.begin(0, epoch, None).unwrap();
        txn.delete(&schema::CONSENT, &keys).unwrap();
        txn.put(&schema::CONSENT, before).unwrap();
        txn.commit().unwrap();
        broken
    };
    let edited = tampered(&|rows| rows[12][6] = Value::Text("granted".to_owned()));
    assert!(edited[0].ends_with("it says something else than what was written"), "{edited:?}");
    let missing = tampered(&|rows| drop(rows.remove(3)));
    assert!(missing[0].contains("it does not follow"), "{missing:?}");
    let swapped = tampered(&|rows| {
        let (a, b) = (rows[1][3..].to_vec(), rows[3][3..].to_vec());
        rows[1].splice(3.., b);
        rows[3].splice(3.., a);
    });
    assert!(!swapped.is_empty());
    assert_eq!(tampered(&|_| {}), [""; 0]);
}
