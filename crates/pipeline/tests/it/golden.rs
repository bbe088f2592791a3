//! The golden record: rules, stewards' values, conflicts, and what follows for segments and for those who keep copies.

use onefold_model::{Value, command::Command, profile::Survivorship};
use onefold_pipeline::{feed, golden, views};
use onefold_sim::{
    World, identify, oracle, page,
    world::{DAY, HOUR, START, reference},
};
use onefold_state::schema;
use serde_json::json;

fn rules(json: &str) -> Command {
    Command::Survivorship(serde_json::from_str::<Survivorship>(json).unwrap())
}

fn given(subject: &str, name: &str, value: Option<&str>) -> Command {
    let value = value.map(|text| Value::Text(text.to_owned()));
    Command::Override { subject: reference(subject), name: name.to_owned(), value }
}

/// The value of a trait that counts, and by which rule.
fn counts(world: &World, who: &str, name: &str) -> String {
    let profile = world.profile(who).unwrap();
    profile.traits.get(name).map_or("nothing".to_owned(), |shown| format!("{} by {}", shown.value.get(), shown.rule))
}

#[test]
fn a_rule_decides_from_when_it_is_given_and_segments_follow() {
    let mut world = World::new();
    world.segment("warsaw", "trait city = \"Warszawa\"");
    world.clock.set(START.plus(HOUR));
    world.send(identify("u1", json!({ "city": "Warszawa" })).from(2));
    world.send(identify("u1", json!({ "city": "Warsaw" })).from(1));
    world.send(identify("u2", json!({ "city": "Warsaw" })).from(1));
    world.run();
    assert_eq!(world.members("warsaw"), [""; 0]);
    world.command(rules(r#"{"traits":{"city":{"most_trusted":[2]}}}"#));
    world.run();
    assert_eq!(counts(&world, "u1", "city"), "\"Warszawa\" by most_trusted");
    assert_eq!(world.members("warsaw"), ["u1"]);
    // What is behind the newest value decides too: source 2 says something of an earlier time.
    world.send(identify("u2", json!({ "city": "Warszawa" })).from(2).at(START));
    world.run();
    assert_eq!(world.members("warsaw"), ["u1", "u2"]);
    world.command(rules("{}"));
    world.run();
    assert_eq!(world.members("warsaw"), [""; 0]);
    oracle::check(&world);
    world.rebuild().unwrap();
    oracle::check(&world);
}

#[test]
fn a_stewards_value_lasts_until_it_is_withdrawn_through_merge_unmerge_and_rebuild() {
    let mut world = World::new();
    world.segment("annas", "trait name = \"Anna\"");
    world.send(identify("u1", json!({ "name": "Ana" })));
    world.send(identify("u2", json!({ "name": "Ania" })));
    world.command(given("u1", "name", Some("Anna")));
    world.run();
    world.advance(HOUR);
    world.send(identify("u1", json!({ "name": "A." })));
    world.run();
    assert_eq!(
        (counts(&world, "u1", "name").as_str(), world.members("annas")),
        ("\"Anna\" by steward", vec!["u1".into()])
    );
    world.command(Command::Merge { a: reference("u1"), b: reference("u2") });
    world.run();
    assert_eq!(counts(&world, "u2", "name"), "\"Anna\" by steward");
    world.command(Command::Unmerge { a: reference("u1"), b: Some(reference("u2")) });
    world.run();
    assert_eq!(counts(&world, "u2", "name"), "\"Ania\" by most_recent");
    world.rebuild().unwrap();
    assert_eq!(counts(&world, "u1", "name"), "\"Anna\" by steward");
    world.command(given("u1", "name", None));
    world.run();
    assert_eq!((counts(&world, "u1", "name").as_str(), world.members("annas").len()), ("\"A.\" by most_recent", 0));
    oracle::check(&world);
}

#[test]
fn a_stewards_null_says_that_the_trait_is_gone() {
    let mut world = World::new();
    world.send(identify("u1", json!({ "income": 7 })));
    world.command(Command::Override { subject: reference("u1"), name: "income".to_owned(), value: Some(Value::Null) });
    world.run();
    assert_eq!(counts(&world, "u1", "income"), "nothing");
    oracle::check(&world);
}

#[test]
fn where_records_disagree_it_is_shown() {
    let mut world = World::new();
    world.send(identify("u1", json!({ "city": "Bonn", "plan": "pro" })).from(1));
    world.send(identify("u1", json!({ "city": "Köln", "plan": "pro" })).from(2));
    world.send(identify("u2", json!({ "city": "Bonn" })));
    world.send(identify("u2", json!({ "city": "Köln" })));
    world.run();
    let access = world.access();
    let found = |of: Option<&str>| {
        golden::conflicts(&mut *world.reader(), &access, &world.definitions(), of, None, 10).unwrap().conflicts
    };
    // One source that changed its mind is no conflict.
    assert_eq!(found(None).iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["city"]);
    assert_eq!(found(Some("plan")).len(), 0);
    let shown = serde_json::to_string_pretty(&world.profile("u1").unwrap().traits["city"].conflict).unwrap();
    expect_test::expect![[r#"
        [
          {
            "value": "Bonn",
            "source": "source 1",
            "identifier": "user_id:u1",
            "at": "2026-01-01T00:00:00.000Z"
          },
          {
            "value": "Köln",
            "source": "source 2",
            "identifier": "user_id:u1",
            "at": "2026-01-01T00:00:00.000Z"
          }
        ]"#]]
    .assert_eq(&shown);
}

/// Who keeps a copy of people is told when rules change what they are.
#[test]
fn copies_are_told_of_everybody_whom_a_rule_may_change() {
    let mut world = World::new();
    world.send(identify("u1", json!({ "city": "Bonn" })).from(2));
    world.send(identify("u1", json!({ "city": "Köln" })).from(1));
    world.run();
    let access = world.access();
    let applied = |world: &World| views::as_of(&mut *world.reader(), world.partition()).unwrap().0;
    let before = applied(&world);
    world.command(rules(r#"{"default":{"most_trusted":[2]}}"#));
    world.run();
    let next = applied(&world);
    let changed = feed::changed(&mut *world.reader(), &access, world.partition(), before, next).unwrap().unwrap();
    assert_eq!(changed.len(), 1);
    let ids: Vec<_> = changed.into_iter().collect();
    let mut seen = vec![];
    feed::people(&mut *world.reader(), &access, &world.definitions(), &ids, world.now(), &mut |_, person| {
        seen.extend(person.map(|person| person.traits_json()));
    })
    .unwrap();
    assert_eq!(seen, [r#"{"city":"Bonn"}"#]);
}

/// Bought data comes on terms: it goes by its contract, and counts only where the person allows what it is for.
#[test]
fn others_values_go_when_their_terms_say_so() {
    let mut world = World::new();
    world.segment("rich", "trait income = \"high\"");
    let terms = r#"{"parties":{"2":{"party":"third","contract":"ACME 7/2026","expires_days":2,"purpose":"enrich"}}}"#;
    world.command(rules(terms));
    world.send(identify("u1", json!({ "income": "high" })).from(2));
    world.send(identify("u1", json!({ "name": "Anna" })));
    world.run();
    assert_eq!(counts(&world, "u1", "income"), "nothing", "nobody asked the person");
    world.send(page("u1", "Home").consent("enrich", true));
    world.run();
    assert_eq!(
        (counts(&world, "u1", "income").as_str(), world.members("rich")),
        ("\"high\" by most_recent", vec!["u1".into()])
    );
    let shown = serde_json::to_string(&world.profile("u1").unwrap().traits["income"].terms).unwrap();
    expect_test::expect![[
        r#"{"party":"third","contract":"ACME 7/2026","expires":"2026-01-03T00:00:00.000Z","purpose":"enrich"}"#
    ]]
    .assert_eq(&shown);
    world.send(page("u1", "Home").consent("enrich", false));
    world.run();
    assert_eq!(world.members("rich"), [""; 0]);
    world.advance(HOUR);
    world.send(page("u1", "Home").consent("enrich", true));
    world.run();
    assert_eq!(world.members("rich"), ["u1"]);
    oracle::check(&world);
    // What may not be used is not shown beside what may.
    world.send(identify("u1", json!({ "income": "low" })));
    world.send(page("u1", "Home").consent("enrich", false));
    world.run();
    let income = &world.profile("u1").unwrap().traits["income"];
    assert_eq!((income.value.get(), income.conflict.len(), income.history.len()), ("\"low\"", 0, 0));
    // Nothing comes, time alone passes: the value is no longer in the state.
    world.run_at(START.plus(2 * DAY + 1));
    assert_eq!((world.members("rich").len(), world.tally("traits.expired")), (0, 1));
    let body = world.rows(&schema::NODE).into_iter().find(|row| row[4].as_text().unwrap() == "u1").unwrap();
    let bytes = body[9].as_bytes().unwrap();
    assert!(!bytes.windows(4).any(|window| window == b"high") && bytes.windows(4).any(|window| window == b"Anna"));
    world.rebuild().unwrap();
    assert_eq!((world.members("rich").len(), counts(&world, "u1", "name").as_str()), (0, "\"Anna\" by most_recent"));
}
