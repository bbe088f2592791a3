//! Programs held against the plain meaning of conditions, and against the clock.
//!
//! Times lie on a coarse grid with a millisecond to each side, so that events meet each other and the edges of windows.

#[path = "segments/world.rs"]
mod world;

use expect_test::expect;
use onefold_model::{
    Timestamp, Value,
    clock::DAY_MS,
    rng::SeededRng,
    segment::{Condition, Program, reference, text},
};
use proptest::prelude::*;
use world::{Event, Facts, Known, Person, STEP_MS, conditions, instants, leaves, people, plain};

/// A program over series that were built one event at a time, in any order, folded on the way.
struct Live {
    program: Program,
    facts: Facts,
}

fn live(condition: &Condition, known: &Known, person: &Person, now: Timestamp, order: u64) -> Live {
    let mut facts = Facts::default();
    let program =
        Program::compile(condition, known, &mut |metric| facts.metric(metric)).expect("the condition is valid");
    facts.person = person.clone();
    let rng = SeededRng::new(order);
    let mut events = person.events.clone();
    for i in (1..events.len()).rev() {
        events.swap(i, rng.below(i as u64 + 1) as usize);
    }
    for event in &events {
        facts.add(event);
        // Folding happens at some instant up to now, and in no relation to the events.
        if rng.below(3) == 0 {
            let then = now.minus(rng.below(10) as i64 * STEP_MS);
            facts.fold(program.inputs(), then);
        }
    }
    Live { program, facts }
}

/// The instants in (now, until) and shortly after at which an answer can possibly change.
fn steps(now: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> {
    let last = until.min(now.plus(12 * DAY_MS));
    let start = now.0.div_euclid(STEP_MS);
    (start..=start + 12 * DAY_MS / STEP_MS)
        .flat_map(|step| (-1..=2).map(move |ms| Timestamp(step * STEP_MS + ms)))
        .filter(move |at| now < *at && *at < last)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_program_answers_as_the_raw_events_do(
        condition in conditions(),
        person in people(),
        now in instants(),
        order in any::<u64>(),
    ) {
        let known = Known::default();
        let Live { program, facts } = live(&condition, &known, &person, now, order);
        let answer = program.evaluate(&facts, now);
        prop_assert_eq!(answer.holds, plain(&condition, &known, &person, now), "{}", text::print(&condition));
        prop_assert!(answer.until > now);

        let explanation = program.explain(&facts, now);
        prop_assert_eq!(explanation.holds, answer.holds);
        prop_assert_eq!(explanation.changes_at.unwrap_or(Timestamp::MAX), answer.until);

        for at in steps(now, answer.until).chain([answer.until.minus(1)]) {
            if at < Timestamp::MAX.minus(1) {
                let later = plain(&condition, &known, &person, at);
                prop_assert_eq!(later, answer.holds, "{} changes before {}", text::print(&condition), answer.until);
                prop_assert_eq!(program.evaluate(&facts, at).holds, later, "the same series, asked at {}", at);
            }
        }
    }

    #[test]
    fn one_condition_says_exactly_when_it_changes(
        condition in leaves(),
        mut person in people(),
        now in instants(),
        order in any::<u64>(),
    ) {
        let known = Known::default();
        person.events.retain(|e| e.at < now);
        let Live { program, facts } = live(&condition, &known, &person, now, order);
        let answer = program.evaluate(&facts, now);
        if answer.until < Timestamp::MAX && world::is_exact(&condition) {
            let later = plain(&condition, &known, &person, answer.until);
            prop_assert_ne!(later, answer.holds, "{} woken at {}", text::print(&condition), answer.until);
        }
    }

    #[test]
    fn computed_traits_have_the_value_of_the_raw_events(
        computed in world::computed_traits(),
        person in people(),
        now in instants(),
        order in any::<u64>(),
    ) {
        let known = Known::of(computed.clone());
        let exists = Condition::Computed {
            name: computed.name.clone(),
            is: onefold_model::segment::Test::Equals(Value::Text("x".into())),
        };
        let Live { mut facts, .. } = live(&exists, &known, &person, now, order);
        let ready = computed.compile(facts.metric(computed.metric().0));
        let (value, until) = ready.evaluate(&facts, now, &known.zone);
        let raw = reference::Person { traits: &person.traits, events: &person.events, reachable: &|_, _| false };
        prop_assert_eq!(&value, &reference::value(&computed, &raw, now, &known.zone));
        for at in steps(now, until) {
            prop_assert_eq!(&value, &reference::value(&computed, &raw, at, &known.zone), "changes before {}", until);
        }
    }

    #[test]
    fn a_condition_reads_back_from_both_forms(condition in conditions()) {
        let printed = text::print(&condition);
        prop_assert_eq!(text::parse(&printed).map_err(|e| e.to_string()), Ok(condition.clone().normal()), "{}", printed);
        let json = serde_json::to_string(&condition).unwrap();
        prop_assert_eq!(serde_json::from_str::<Condition>(&json).unwrap(), condition);
    }

    #[test]
    fn computed_traits_read_back_from_both_forms(computed in world::computed_traits()) {
        let line = text::print_computed(&computed);
        prop_assert_eq!(text::parse_computed(&line).unwrap(), computed.clone());
        let json = serde_json::to_string(&computed).unwrap();
        prop_assert_eq!(serde_json::from_str::<onefold_model::profile::computed::ComputedTrait>(&json).unwrap(), computed);
    }

    #[test]
    fn no_text_is_too_odd_to_be_refused(text in "[a-z\"() =<>!,.#$0-9\\[{\\\\“\n-]{0,40}", condition in conditions(), cut in any::<prop::sample::Index>()) {
        let _ = text::parse(&text).map_err(|e| e.to_string());
        let printed = text::print(&condition);
        let cut = printed.floor_char_boundary(cut.index(printed.len() + 1));
        let _ = text::parse(&format!("{}{text}{}", &printed[..cut], &printed[cut..])).map_err(|e| e.to_string());
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a date")
}

#[test]
fn an_explanation_says_why() {
    let known = Known::default();
    let mut person = Person::default();
    person.traits.insert("country".into(), Value::Text("AT".into()));
    for (name, time, price) in [("A", "2026-01-05", 30), ("A", "2026-01-20", 20), ("B", "2026-01-20", 1)] {
        person.events.push(Event::new(name, at(time), price));
    }
    let condition = text::parse(
        "count(\"A\") >= 3 within 30 days and (trait country = \"DE\" or sum(\"A\", price) > 40 within 10 days) \
         and not last(\"B\") more than 60 days ago and \"A\" then no \"B\" within 2 days and in segment \"seg\" \
         and may be reached for marketing by email and computed spent between 40 and 60 and average(\"C\", price) exists",
    );
    let condition = condition.unwrap_or_else(|e| panic!("{e}"));
    let Live { program, facts } = live(&condition, &known, &person, at("2026-01-25"), 1);
    let explanation = program.explain(&facts, at("2026-01-25"));
    expect![[r#"
        {
          "text": "all of these",
          "holds": false,
          "parts": [
            {
              "text": "count(\"A\") >= 3 within 30 days",
              "holds": false,
              "measured": "count was 2, needs at least 3"
            },
            {
              "text": "one of these",
              "holds": false,
              "changes_at": 1769731200001,
              "parts": [
                {
                  "text": "trait country = \"DE\"",
                  "holds": false,
                  "measured": "country was \"AT\", needs exactly \"DE\""
                },
                {
                  "text": "sum(\"A\", price) > 40 within 10 days",
                  "holds": false,
                  "measured": "sum was 20, needs more than 40",
                  "changes_at": 1769731200001
                }
              ]
            },
            {
              "text": "not",
              "holds": true,
              "changes_at": 1774051200001,
              "parts": [
                {
                  "text": "last(\"B\") more than 60 days ago",
                  "holds": false,
                  "measured": "the last was at 2026-01-20T00:00:00.000Z",
                  "changes_at": 1774051200001
                }
              ]
            },
            {
              "text": "\"A\" then no \"B\" within 2 days",
              "holds": true,
              "measured": "the event at 2026-01-05T00:00:00.000Z fits"
            },
            {
              "text": "in segment \"seg\"",
              "holds": false,
              "parts": [
                {
                  "text": "one of these",
                  "holds": false,
                  "parts": [
                    {
                      "text": "trait x >= 2",
                      "holds": false,
                      "measured": "x was not there, needs at least 2"
                    },
                    {
                      "text": "count(\"C\") >= 1 within 3 days",
                      "holds": false,
                      "measured": "count was 0, needs at least 1"
                    }
                  ]
                }
              ]
            },
            {
              "text": "may be reached for marketing by email",
              "holds": false,
              "measured": "the person may not be reached"
            },
            {
              "text": "computed spent between 40 and 60",
              "holds": true,
              "measured": "sum was 50, needs 40 to 60"
            },
            {
              "text": "average(\"C\", price) exists",
              "holds": false,
              "measured": "average was not there, needs any value"
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&explanation).unwrap());
}

#[test]
fn a_program_says_what_it_reads() {
    let known = Known::default();
    let condition = text::parse(
        "count(\"A\") > 1 and count(\"A\") = 0 within 7 days and trait x = 1 and in segment \"seg\" and computed spent > 1 \
         and \"A\" then \"A\" and may be reached for marketing and first(\"A\") within 7 days",
    );
    let mut facts = Facts::default();
    let program = Program::compile(&condition.unwrap(), &known, &mut |metric| facts.metric(metric)).unwrap();
    expect![[r#"
        Inputs {
            metrics: [
                (
                    MetricId(
                        0,
                    ),
                    None,
                ),
                (
                    MetricId(
                        0,
                    ),
                    Ms(
                        604800000,
                    ),
                ),
                (
                    MetricId(
                        0,
                    ),
                    Forever,
                ),
                (
                    MetricId(
                        1,
                    ),
                    Ms(
                        259200000,
                    ),
                ),
                (
                    MetricId(
                        2,
                    ),
                    None,
                ),
            ],
            traits: [
                "x",
            ],
            purposes: [
                "marketing",
            ],
        }
    "#]]
    .assert_debug_eq(program.inputs());
    expect![[r#"[{"event":{"event":"A"},"keeps":"Time"},{"event":{"event":"C"},"keeps":"Time"},{"event":{"event":"A"},"keeps":{"Amount":"price"}}]"#]].assert_eq(&serde_json::to_string(&facts.metrics).unwrap());
}

#[test]
fn the_same_event_does_not_follow_itself() {
    let known = Known::default();
    let check = |condition: &str, names: &[&str], expect: bool| {
        let condition = text::parse(condition).unwrap();
        let person = Person {
            events: names.iter().map(|name| Event::new(name, Timestamp(STEP_MS), 1)).collect(),
            ..Person::default()
        };
        let now = Timestamp(2 * STEP_MS);
        assert_eq!(plain(&condition, &known, &person, now), expect);
        let Live { program, facts } = live(&condition, &known, &person, now, 3);
        assert_eq!(program.evaluate(&facts, now).holds, expect, "{condition:?}");
    };
    check("\"A\" then \"A\"", &["A"], false);
    check("\"A\" then \"A\"", &["A", "A"], true);
    check("\"A\" then no \"A\"", &["A"], true);
    check("\"A\" then no \"A\"", &["A", "A"], false);
    check("any event then \"A\"", &["A"], false);
    check("any event then \"A\"", &["A", "B"], true);
    check("any event then no \"A\"", &["A", "B"], true);
    check("any event then no \"A\"", &["B"], true);
    check("\"A\" then no any event", &["A", "B"], false);
}
