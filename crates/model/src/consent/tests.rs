use proptest::prelude::*;

use super::*;
use crate::{NodeId, rng::SeededRng};

fn row(at: i64, state: State, strength: Strength, purpose: &str, channel: Option<&str>) -> Row {
    Row { channel: channel.map(str::to_owned), ..Row::new(Timestamp(at), state, strength, purpose, 0) }
}

fn ask<'a>(purpose: &'a str, channel: Option<&'a str>, at: i64) -> Question<'a> {
    Question { purpose, channel, jurisdiction: None, at: Timestamp(at) }
}

fn policy(json: &str) -> Policy {
    let policy: Policy = serde_json::from_str(json).unwrap();
    assert_eq!(policy.problems(), [""; 0]);
    policy
}

#[test]
fn the_strongest_then_the_latest_then_deny_decides() {
    use {State::*, Strength::*};
    let check = |rows: &[Row], expect: bool| {
        let decision = decide(&Policy::default(), [rows], ask("ads", Some("email"), 10));
        assert_eq!(decision.allowed, expect, "{rows:?}");
    };
    check(&[], false);
    check(&[row(1, Granted, Signal, "ads", None)], true);
    check(&[row(1, Granted, Signal, "ads", Some("sms"))], false);
    check(&[row(1, Granted, Signal, "ads", None), row(2, Denied, Signal, "ads", None)], false);
    check(&[row(2, Granted, Signal, "ads", None), row(2, Denied, Signal, "ads", None)], false);
    check(&[row(3, Denied, Signal, "ads", None), row(2, Granted, Operator, "ads", None)], true);
    check(&[row(3, Withdrawn, Person, "ads", None), row(9, Granted, Operator, "ads", None)], false);
    check(&[row(11, Granted, Signal, "ads", None)], false);
    check(&[row(1, Granted, Signal, "ads", None), row(2, Denied, Signal, EVERYTHING, None)], false);
    check(&[row(2, Denied, Signal, EVERYTHING, None), row(3, Granted, Signal, "ads", None)], true);
    check(&[row(1, Granted, Signal, "ads", None), row(2, NotCollected, Signal, "ads", None)], false);
}

#[test]
fn silence_is_the_default() {
    let decision = decide(&Policy::of_silence(Unstated::Allow), [&[]], ask("ads", None, 0));
    assert_eq!((decision.allowed, decision.rule), (true, Rule::Default));
}

#[test]
fn each_legal_ground_asks_for_what_it_needs() {
    use {State::*, Strength::*};
    let policy = policy(
        r#"{"purposes":{"orders":{"basis":"contract"},"fraud":{"basis":"legitimate_interest"},
            "tax":{"basis":"legal_obligation"},"mail":{"double_opt_in":true},"stats":{"expires_days":1}}}"#,
    );
    let check = |rows: &[Row], purpose: &str, expect: (bool, Rule)| {
        let decision = decide(&policy, [rows], ask(purpose, None, 100_000_000));
        assert_eq!((decision.allowed, decision.rule), expect, "{purpose}: {rows:?}");
    };
    check(&[], "orders", (true, Rule::Basis));
    check(&[row(1, Denied, Person, EVERYTHING, None)], "orders", (true, Rule::Basis));
    check(&[row(1, Restricted, Person, PROCESSING, None)], "orders", (false, Rule::Restricted));
    check(&[row(1, Restricted, Person, PROCESSING, None)], "tax", (true, Rule::Basis));
    let lifted = [row(1, Restricted, Person, PROCESSING, None), row(2, Granted, Operator, PROCESSING, None)];
    check(&lifted, "orders", (true, Rule::Basis));
    check(&[], "fraud", (true, Rule::Basis));
    check(&[row(1, Objected, Person, "fraud", None)], "fraud", (false, Rule::Row));
    check(&[row(1, Denied, Signal, EVERYTHING, None)], "fraud", (false, Rule::Unreadable));
    check(&[row(1, Granted, Signal, "mail", None)], "mail", (false, Rule::Unconfirmed));
    check(&[row(1, Granted, Person, "mail", None)], "mail", (true, Rule::Row));
    check(&[row(1, Granted, Person, "stats", None)], "stats", (false, Rule::Expired));
    check(&[row(99_000_000, Granted, Person, "stats", None)], "stats", (true, Rule::Row));
}

#[test]
fn rights_speak_of_the_purposes_that_touch_them() {
    use {State::*, Strength::*};
    let policy =
        policy(r#"{"unstated":"allow","purposes":{"ads":{"sale":true},"scores":{"automated":true},"care":{}}}"#);
    let allowed = |rows: &[Row], purpose: &str| decide(&policy, [rows], ask(purpose, None, 10)).allowed;
    let gpc = [row(1, Denied, Gpc, SALE, None)];
    assert!(!allowed(&gpc, "ads") && allowed(&gpc, "care") && allowed(&gpc, "scores"));
    assert!(!allowed(&[row(1, Objected, Person, AUTOMATED, None)], "scores"));
    let opted_in = [row(1, Denied, Gpc, SALE, None), row(2, Granted, Person, "ads", None)];
    assert!(allowed(&opted_in, "ads"), "an explicit choice is stronger than a browser's setting");
}

#[test]
fn the_law_of_a_place_decides_for_the_silent_and_by_what_it_takes_for_consent() {
    let policy = policy(
        r#"{"unstated":"allow","residence":{"country":["country"]},"purposes":{"mail":{}},"jurisdictions":{
            "EU":{"of":["DE"],"unstated":"deny","since":"1970-01-02"},
            "CA":{"of":["CA"],"unstated":"deny","implied":[{"event":"Order Completed","purpose":"mail","days":730}]}}}"#,
    );
    let day = crate::clock::DAY_MS;
    let ask = |jurisdiction, at| Question { purpose: "mail", channel: None, jurisdiction, at: Timestamp(at) };
    let of = |rows: &[Row], question| {
        let decision = decide(&policy, [rows], question);
        (decision.allowed, decision.rule)
    };
    assert_eq!(of(&[], ask(Some("EU"), day - 1)), (true, Rule::Default), "not yet in force");
    assert_eq!(of(&[], ask(Some("EU"), day)), (false, Rule::Law));
    let bought: Vec<Row> = policy.implied("Order Completed", Timestamp(5), 1).collect();
    assert_eq!(of(&bought, ask(Some("CA"), 5)), (true, Rule::Row));
    assert_eq!(of(&bought, ask(Some("CA"), 5 + 730 * day)), (false, Rule::Expired));
    assert_eq!(of(&bought, ask(Some("EU"), 2 * day)), (false, Rule::Law), "it counts only there");
    assert_eq!(policy.until(&bought, Timestamp(5)), Timestamp(day), "a law comes into force");
    assert_eq!(policy.until(&bought, Timestamp(2 * day)), Timestamp(5 + 730 * day), "an agreement runs out");
}

#[test]
fn what_a_policy_says_of_one_purpose_decides_alike() {
    let policy = policy(
        r#"{"residence":{"country":["c"]},"purposes":{"a":{"basis":"contract"},"b":{"expires_days":3}},
            "jurisdictions":{"EU":{"of":["DE"],"basis":{"a":"consent"},"unstated":"allow"}}}"#,
    );
    let rows = [row(1, State::Granted, Strength::Signal, "b", None)];
    for (purpose, jurisdiction) in [("a", None), ("a", Some("EU")), ("b", None), ("c", Some("EU"))] {
        let asked = Question { purpose, channel: None, jurisdiction, at: Timestamp(400_000_000) };
        assert_eq!(decide(&policy, [&rows], asked), decide(&policy.about(purpose), [&rows], asked), "{purpose}");
    }
}

#[test]
fn who_speaks_with_another_identifier_speaks_for_it_as_long_as_both_are_one() {
    use {State::*, Strength::*};
    let device = vec![row(1, Denied, Signal, "ads", None)];
    let deferred = Row { deferred_to: Some(NodeId(7)), ..row(2, Granted, Signal, "ads", None) };
    let named = vec![device[0].clone(), deferred];
    let user = vec![row(2, Granted, Signal, "ads", None)];
    let allowed =
        |voices: &[&Vec<Row>]| decide(&Policy::default(), voices.iter().copied(), ask("ads", None, 9)).allowed;
    assert!(!allowed(&[&device, &user]), "what the device said alone counts");
    assert!(allowed(&[&named, &user]), "the person said otherwise there");
    let mut again = named.clone();
    again.push(row(3, Denied, Operator, "ads", None));
    assert!(!allowed(&[&again, &user]), "and otherwise again");
}

const PURPOSES: [&str; 4] = ["ads", "mail", SALE, EVERYTHING];

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let one = (0..8i64, 0..7usize, 0..5usize, 0..4usize, proptest::option::of(0..2usize));
    let states =
        [State::NotCollected, State::Granted, State::Expired, State::Denied, State::Withdrawn, State::Objected];
    let strengths = [Strength::Gpc, Strength::Signal, Strength::Operator, Strength::Person];
    proptest::collection::vec(one, 0..8).prop_map(move |rows| {
        let row = |(at, state, strength, purpose, channel): (i64, usize, usize, usize, Option<usize>)| {
            let state = states.get(state).copied().unwrap_or(State::Granted);
            let strength = strengths.get(strength).copied().unwrap_or(Strength::Signal);
            row(at, state, strength, PURPOSES[purpose], channel.map(|c| ["email", "sms"][c]))
        };
        rows.into_iter().map(row).collect()
    })
}

/// The rule in other words: sort all that speaks of the use, and look at the last.
fn oracle(policy: &Policy, rows: &[Row], purpose: &str, channel: Option<&str>, at: i64) -> bool {
    let sale = policy.purposes.get(purpose).is_some_and(|purpose| purpose.sale);
    let mut speaking: Vec<&Row> = vec![];
    for row in rows {
        let about = row.purpose == purpose || row.purpose == "*" || (sale && row.purpose == "$sale");
        let by = row.channel.is_none() || row.channel.as_deref() == channel;
        if about && by && row.at.0 <= at {
            speaking.push(row);
        }
    }
    speaking.sort_by_key(|row| (row.strength, row.at, row.state));
    match speaking.last().map(|row| row.state) {
        None | Some(State::NotCollected) => policy.unstated == Unstated::Allow,
        Some(state) => state == State::Granted,
    }
}

proptest! {
    #[test]
    fn decisions_are_those_of_the_oracle_in_any_order(mut said in rows(), at in 0..9i64, sale: bool, allow: bool, seed: u64) {
        let mut policy = Policy::of_silence(if allow { Unstated::Allow } else { Unstated::Deny });
        policy.purposes.insert("ads".to_owned(), policy::Purpose { sale, ..policy::Purpose::default() });
        let rng = SeededRng::new(seed);
        for i in (1..said.len()).rev() {
            said.swap(i, rng.below(i as u64 + 1) as usize);
        }
        for purpose in ["ads", "mail", "care"] {
            for channel in [None, Some("email"), Some("sms")] {
                let decision = decide(&policy, [&said], ask(purpose, channel, at));
                prop_assert_eq!(decision.allowed, oracle(&policy, &said, purpose, channel, at));
            }
        }
    }

    #[test]
    fn of_two_who_are_one_the_more_restrictive_counts(ours in rows(), theirs in rows(), allow: bool) {
        let policy = Policy::of_silence(if allow { Unstated::Allow } else { Unstated::Deny });
        for purpose in ["ads", "mail", "care"] {
            for channel in [None, Some("email"), Some("sms")] {
                let of = |voices: &[&Vec<Row>]| decide(&policy, voices.iter().copied(), ask(purpose, channel, 9));
                let [one, other] = [&ours, &theirs].map(|voice| of(&[voice]));
                let [merged, turned] = [of(&[&ours, &theirs]), of(&[&theirs, &ours])];
                let says = |decision: &Decision, allowed: bool| decision.row.is_some() && decision.allowed == allowed;
                let expect = if says(&one, false) || says(&other, false) {
                    false
                } else {
                    says(&one, true) || says(&other, true) || allow
                };
                prop_assert_eq!((merged.allowed, turned.allowed), (expect, expect), "{} {:?}", purpose, channel);
            }
        }
    }

    #[test]
    fn copies_read_back(said in rows(), jurisdiction in proptest::option::of("[A-Z]{2}")) {
        let said = Said { jurisdiction, voices: vec![said] };
        prop_assert_eq!(Said::from_json(said.to_json().as_deref()), Some(said));
    }
}
