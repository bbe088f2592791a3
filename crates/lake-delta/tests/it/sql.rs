//! What is asked of the tables is answered as a look at the store would.

use std::{sync::Arc, time::Duration};

use onefold_lake::{Budget, Lake, QueryEngine as _, QueryError};
use onefold_lake_delta::{DeltaLake, Engine};
use onefold_sim::{World, identify, page, track};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{BUDGET, ask, in_folder, write};

struct Asked {
    world: World,
    lake: Arc<DeltaLake>,
    engine: Engine,
    _folder: TempDir,
}

impl Asked {
    fn of(world: World) -> Asked {
        let folder = TempDir::new().expect("a folder");
        let lake = in_folder(folder.path());
        let asked = Asked { world, engine: Engine::new(lake.clone()), lake, _folder: folder };
        asked.write();
        asked
    }

    fn write(&self) {
        let lake: Arc<dyn Lake> = self.lake.clone();
        write(&self.world, &lake);
    }

    fn ask(&self, sql: &str) -> Vec<String> {
        ask(&self.world, &self.engine, sql, BUDGET).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    fn refused(&self, sql: &str, budget: Budget) -> QueryError {
        ask(&self.world, &self.engine, sql, budget).expect_err("it is refused")
    }
}

fn shop() -> World {
    let mut world = World::new();
    world.segment("buyers", "count(\"Order\") >= 1");
    world.send(identify("u1 ada@example.com", json!({ "plan": "pro", "age": 41 })));
    world.send(track("a1", "Viewed").with(json!({ "category": "shoes" })));
    world.send(track("u1 a1", "Order").with(json!({ "total": 19.9, "items": [{ "sku": "s1" }] })));
    world.send(track("u2", "Order").with(json!({ "total": "7.50" })));
    world.send(page("u3", "Home").consent("marketing", true));
    world.run();
    world
}

/// With it an event's person is found, whoever it was when it happened.
const OF_PEOPLE: &str =
    "SELECT p.traits->>'plan', e.event FROM events e JOIN identifiers USING (node) JOIN profiles p USING (profile)";

#[test]
fn every_table_answers() {
    let asked = Asked::of(shop());
    assert_eq!(
        asked.ask("SELECT event, count(*) FROM events GROUP BY event"),
        ["Order | 2", "Viewed | 1", "identify | 1", "page | 1"]
    );
    assert_eq!(asked.ask("SELECT kind, value FROM identifiers WHERE kind = 'email'"), ["email | ada@example.com"]);
    assert_eq!(asked.ask("SELECT count(*) FROM profiles"), ["3"]);
    assert_eq!(asked.ask(&format!("{OF_PEOPLE} WHERE e.event = 'Viewed'")), ["pro | Viewed"]);
    assert_eq!(asked.ask("SELECT segment, count(*) FROM segment_members GROUP BY segment"), ["buyers | 2"]);
    assert_eq!(asked.ask("SELECT purpose, state FROM consents"), ["marketing | granted"]);
    assert_eq!(asked.ask("SELECT count(*) FROM events WHERE day = cast(time AS date)"), ["5"]);
}

#[test]
fn json_is_read_by_path_whole_and_by_type() {
    let asked = Asked::of(shop());
    let total = "SELECT properties->>'total' FROM events WHERE event = 'Order'";
    assert_eq!(asked.ask(total), ["19.9", "7.50"]);
    assert_eq!(asked.ask("SELECT sum((properties->>'total')::decimal(20, 2)) FROM events"), ["27.40"]);
    assert_eq!(asked.ask("SELECT properties->'items'->0->>'sku' FROM events WHERE properties ? 'items'"), ["s1"]);
    assert_eq!(asked.ask("SELECT properties FROM events WHERE name = 'Home'"), ["-"]);
}

#[test]
fn who_was_merged_and_parted_again_has_the_events_of_each() {
    let mut asked = Asked::of(shop());
    let owners = "SELECT count(DISTINCT profile) FROM identifiers WHERE value IN ('u1', 'u2')";
    assert_eq!(asked.ask(owners), ["2"]);
    asked.world.merge("u1", "u2");
    asked.world.run();
    asked.write();
    assert_eq!(asked.ask(owners), ["1"]);
    assert_eq!(asked.ask("SELECT count(*) FROM profiles"), ["2"]);
    assert_eq!(asked.ask(&format!("SELECT count(*) FROM ({OF_PEOPLE} WHERE p.traits->>'plan' = 'pro') x")), ["4"]);
    assert_eq!(asked.ask("SELECT count(*) FROM segment_members"), ["1"]);
    asked.world.unmerge("u1", Some("u2"));
    asked.world.run();
    asked.write();
    assert_eq!(asked.ask(owners), ["2"]);
    assert_eq!(asked.ask("SELECT count(*) FROM segment_members"), ["2"]);
    assert!(asked.ask("SELECT count(*) FROM profiles_history")[0].parse::<usize>().unwrap() > 3);
}

/// A property whose type changes keeps every value, whether its column is new, old, or not there.
#[test]
fn promoted_columns_and_json_say_the_same_whatever_the_type() {
    let mut world = World::new();
    let folder = TempDir::new().unwrap();
    let lake = in_folder(folder.path());
    for offsets_max in [20, 60, 60] {
        for n in 0..60 {
            let value = match (n + offsets_max) % 5 {
                0 if n > 50 => json!({ "size": 1e20, "late": 1e-12 }),
                0 => json!({ "size": n }),
                1 => json!({ "size": format!("{n}") }),
                2 => json!({ "size": { "cm": n } }),
                3 => json!({ "colour": "red", "size": null }),
                _ => json!({ "size": n % 2 == 0, "late": offsets_max }),
            };
            world.send(track("u1", "Tried").with(value));
        }
        world.run();
        let settings = onefold_lake::Settings { offsets_max, ..onefold_lake::Settings::default() };
        let writer = onefold_lake::Writer::new(world.log.clone(), world.store.clone(), lake.clone(), settings);
        while writer.step(&world.access(), &world.definitions()).unwrap() == onefold_lake::Step::More {}
    }
    let engine = Engine::new(lake.clone());
    let ask = |sql: &str| ask(&world, &engine, sql, BUDGET).unwrap();
    let promoted = || ask("SELECT min(promoted), max(promoted) FROM events");
    assert_eq!(promoted(), ["0 | 1"], "some rows are older than the column");
    let plan = ask("EXPLAIN SELECT properties->>'size' FROM events").join("\n");
    assert!(plan.contains("property_size"), "{plan}");
    let check = || {
        for member in ["size", "colour", "late", "never"] {
            // An expression for the name is not known when the query is planned: it is read from the JSON.
            let by_column = ask(&format!("SELECT \"offset\", properties->>'{member}' FROM events"));
            let by_json =
                ask(&format!("SELECT \"offset\", properties->>lower(concat('{member}', channel)) FROM events"));
            assert_eq!(by_column, by_json, "{member}");
            let tests = [
                r#"{"equals":"red"}"#,
                r#"{"equals":"5"}"#,
                r#"{"equals":5}"#,
                r#"{"equals":"true"}"#,
                r#"{"in":["red","7"]}"#,
                r#"{"in":["red","blue"]}"#,
                r#"{"not_equals":"red"}"#,
                r#"{"not_equals":"5"}"#,
                r#"{"equals":true}"#,
                r#"{"equals":5.0}"#,
                r#"{"less":7}"#,
                r#"{"at_most":5}"#,
                r#"{"greater":50.5}"#,
                r#"{"at_least":"5"}"#,
                r#"{"between":[3,20]}"#,
                r#"{"between":[-1e27,1e27]}"#,
                r#"{"greater":0}"#,
                r#"{"less":0.000000000002}"#,
                r#"{"exists":true}"#,
                r#"{"exists":false}"#,
            ];
            let asked = |value: &str| {
                let tests: Vec<String> = tests.iter().map(|test| format!("passes({value}, '{test}')")).collect();
                ask(&format!("SELECT \"offset\", amount({value}), {} FROM events", tests.join(", ")))
            };
            let by_column = asked(&format!("value_at(properties, '{member}')"));
            let by_json = asked(&format!("value_at(properties, lower(concat('{member}', channel)))"));
            assert_eq!(by_column, by_json, "{member}");
        }
    };
    check();
    lake.maintain(onefold_sim::world::WORKSPACE).unwrap();
    assert_eq!(promoted(), ["3 | 3"], "merging promotes what is there");
    let plan = ask("EXPLAIN SELECT properties->>'size' FROM events").join("\n");
    assert!(plan.contains("property_size") && !plan.contains("json_as_text"), "{plan}");
    let value = "value_at(properties, 'colour')";
    let plan =
        ask(&format!("EXPLAIN SELECT amount({value}) FROM events WHERE passes({value}, '{{\"equals\":\"red\"}}')"));
    let plan = plan.join("\n");
    assert!(plan.contains("events.property_colour_number") && !plan.contains("passes("), "{plan}");
    check();
}

#[test]
fn errors_say_the_place_and_what_may_have_been_meant() {
    let asked = Asked::of(shop());
    let check = |sql: &str, message: &str, place: Option<(u64, u64)>, cure: &str| match asked.refused(sql, BUDGET) {
        QueryError::Wrong { message: said, place: at, cure: told } => {
            assert!(said.contains(message), "{sql}: {said}");
            assert_eq!(at, place, "{sql}: {said}");
            assert!(told.contains(cure), "{sql}: {told}");
        }
        other => panic!("{sql}: {other:?}"),
    };
    check("SELECT evnt FROM events", "no column evnt", Some((1, 8)), "perhaps event is meant");
    check("SELECT 1 FROM profile", "no table profile", Some((1, 15)), "perhaps profiles is meant");
    check("SELECT 1 FROM nowhere", "no table nowhere", Some((1, 15)), "there are events,");
    check("SELECT event FROM events LIMIT LIMIT 3", "Expected", Some((1, 38)), "docs/sql.md");
    check("SELECT cast(event AS bigint) FROM events", "Cannot cast", None, "try_cast");
    for sql in ["DELETE FROM events", "CREATE TABLE x AS SELECT 1", "SET a.b = 1", "DROP VIEW profiles"] {
        assert_eq!(asked.refused(sql, BUDGET), QueryError::Writes, "{sql}");
    }
    // Nothing of the machine can be read.
    for sql in ["COPY events TO '/tmp/x.csv'", "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'"] {
        assert_eq!(asked.refused(sql, BUDGET), QueryError::Writes, "{sql}");
    }
    assert!(matches!(asked.refused("SELECT * FROM '/etc/passwd'", BUDGET), QueryError::Wrong { .. }));
}

#[test]
fn a_query_that_is_too_big_fails_by_itself() {
    let asked = Asked::of(shop());
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000000) a, generate_series(1, 1000000) b";
    let soon = Budget { time: Duration::from_millis(300), ..BUDGET };
    assert_eq!(asked.refused(endless, soon), QueryError::Time(soon.time));
    let little = Budget { memory_bytes: 1 << 20, ..BUDGET };
    let large = "SELECT count(*) FROM (SELECT value, repeat(cast(value AS text), 50) FROM generate_series(1, 3000000) GROUP BY 1, 2) x";
    assert_eq!(asked.refused(large, little), QueryError::Memory(1 << 20));
    let few = Budget { rows_max: 10, ..BUDGET };
    assert_eq!(asked.refused("SELECT * FROM generate_series(1, 100)", few), QueryError::Rows(10));
    let deep =
        [format!("SELECT {}1{}", "(".repeat(30_000), ")".repeat(30_000)), format!("SELECT 1{}", "+1".repeat(2000))];
    for sql in deep.iter().chain([&"x".repeat(2 << 20)]) {
        assert!(matches!(asked.refused(sql, BUDGET), QueryError::Wrong { .. }));
    }
    assert_eq!(asked.ask(&format!("SELECT 1{}", "+1".repeat(900))), ["901"]);
    let list = format!("SELECT 7 IN (0{})", ",7".repeat(20_000));
    assert_eq!(asked.ask(&list), ["true"]);
    assert_eq!(asked.ask("SELECT count(*) FROM events"), ["5"], "it goes on");
}

#[test]
fn of_many_queries_some_wait_and_a_dropped_answer_makes_room() {
    let asked = Asked::of(shop());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let endless = "SELECT a.value FROM generate_series(1, 1000000000000) a, generate_series(1, 1000000) b";
        let mut open = vec![];
        for _ in 0..4 {
            open.push(asked.engine.query(asked.world.access(), endless.to_owned(), BUDGET).await.unwrap());
        }
        let one = |time| asked.engine.query(asked.world.access(), "SELECT 1".to_owned(), Budget { time, ..BUDGET });
        assert_eq!(one(Duration::from_millis(200)).await.err(), Some(QueryError::Busy));
        drop(open.pop());
        assert!(one(BUDGET.time).await.is_ok());
    });
}

#[test]
fn before_anything_is_written_the_tables_are_empty_or_not_there() {
    let folder = TempDir::new().unwrap();
    let engine = Engine::new(in_folder(folder.path()));
    let world = World::new();
    assert_eq!(ask(&world, &engine, "SELECT 1", BUDGET), Err(QueryError::Empty));
    let asked = Asked::of(World::new());
    for table in ["events", "profiles", "identifiers", "segment_members", "consents", "profiles_history"] {
        assert_eq!(asked.ask(&format!("SELECT count(*) FROM {table}")), ["0"], "{table}");
    }
}
