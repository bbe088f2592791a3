//! What a report says of samples that are made to say it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use onefold_prepare::quality::{Report, Sample, report};
use serde_json::{Value, json};

const DAY_MS: i64 = 86_400_000;

fn sample(event: &str, at_ms: i64, properties: Value) -> Sample {
    let json = json!({ "type": "track", "event": event, "properties": properties }).to_string();
    Sample { json, at_ms, violates: false }
}

fn findings(report: &Report, place: &str) -> Vec<String> {
    report.fields.iter().find(|field| field.place == place).unwrap().findings.clone()
}

#[test]
fn each_field_says_what_is_wrong_with_it() {
    let row = |n: i64| {
        json!({
            "id": n, "same": n, "constant": 7, "null": null, "city": if n % 3 == 0 { "n/a" } else { "Bonn" },
            "mixed": if n % 2 == 0 { json!(n) } else { json!(n.to_string()) },
            "plan": if n < 500 { "free" } else { "pro" }, "steady": (n % 3).to_string(),
        })
    };
    let samples: Vec<Sample> = (0..1000).map(|n| sample("Order", n, row(n))).collect();
    let shown = report(&samples, &|place| place != "properties.steady");
    assert_eq!(findings(&shown, "properties.id"), [""; 0]);
    assert_eq!(findings(&shown, "properties.same"), ["always equal to properties.id: one of them is redundant"]);
    assert_eq!(findings(&shown, "properties.constant"), ["always the same value: it tells nothing apart"]);
    assert_eq!(findings(&shown, "properties.null"), ["always null: drop it"]);
    assert_eq!(findings(&shown, "properties.city"), ["334 nulls in disguise: clean it"]);
    assert_eq!(findings(&shown, "properties.mixed"), ["several types: 500 number, 500 string"]);
    assert_eq!(findings(&shown, "properties.plan"), ["the newer half differs much from the older"]);
    assert_eq!(findings(&shown, "properties.steady"), ["no segment, computed trait or rule asks for it"]);
    assert!(!serde_json::to_string(&shown).unwrap().contains("Bonn"), "figures, no values");
}

#[test]
fn figures_of_numbers_and_shares() {
    let mut samples: Vec<Sample> = (1..=101).map(|n| sample("Order", n, json!({ "total": n }))).collect();
    samples.push(Sample { violates: true, ..sample("Order", 200, json!({})) });
    let shown = report(&samples, &|_| true);
    let numbers = shown.fields[0].numbers.as_ref().unwrap();
    assert_eq!((numbers.min, numbers.max, numbers.mean, numbers.iqr), (2.0, 100.0, 51.0, 50.0));
    assert_eq!(numbers.deciles, [11.0, 21.0, 31.0, 41.0, 51.0, 61.0, 71.0, 81.0, 91.0]);
    assert_eq!((shown.fields[0].completeness, shown.fields[0].uniqueness), (0.9902, 1.0));
    assert_eq!((shown.validity, shown.volume[0].last_ms), (0.9902, 200));
}

#[test]
fn a_day_without_events_and_one_with_far_too_many_are_odd() {
    let mut samples = vec![];
    for day in 0..14 {
        let events = match day {
            5 => 0,
            9 => 400,
            _ => 98 + day % 4,
        };
        samples.extend((0..events).map(|n| sample("Order", day * DAY_MS + n, json!({}))));
    }
    let shown = report(&samples, &|_| true);
    assert_eq!(shown.volume[0].odd_days, [("1970-01-06".to_owned(), 0), ("1970-01-10".to_owned(), 400)]);
    assert_eq!(report(&[], &|_| true).events, 0);
}
