//! Each step on an event: what comes out, and what is said of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use expect_test::{Expect, expect};
use onefold_prepare::Preparation;
use proptest::prelude::*;
use serde_json::{Value, json};

fn prepare(steps: &Value, event: &Value) -> String {
    let preparation: Preparation = match serde_json::from_value(json!({ "steps": steps })) {
        Ok(preparation) => preparation,
        Err(error) => return format!("no preparation: {error}"),
    };
    let prepared = match preparation.compile() {
        Ok(prepared) => prepared,
        Err(problems) => return problems.join("\n"),
    };
    let outcome = prepared.apply(&event.to_string());
    let mut shown: Vec<String> = outcome.json.into_iter().collect();
    shown.extend(outcome.changed.iter().map(|(place, values)| format!("step {place}: {values}")));
    shown.extend(outcome.violations.iter().map(|violation| format!("violates: {violation}")));
    shown.extend(outcome.blocked.iter().map(|violation| format!("blocked: {violation}")));
    shown.join("\n")
}

fn check(steps: Value, event: Value, expect: Expect) {
    expect.assert_eq(&prepare(&steps, &event));
}

/// The traits that come of these.
fn traits(steps: Value, traits: Value) -> String {
    let shown = prepare(&steps, &json!({ "traits": traits }));
    let Ok(event) = serde_json::from_str::<Value>(shown.lines().next().unwrap_or_default()) else { return shown };
    event["traits"].to_string()
}

fn normal(form: Value, values: &[&str], expect: Expect) {
    let shown = values.iter().map(|value| {
        let all = traits(json!([{ "step": "normalise", "of": "traits.x", "as": form }]), json!({ "x": value }));
        let to = serde_json::from_str::<Value>(&all).map_or_else(|_| "stays".to_owned(), |all| all["x"].to_string());
        format!("{value} -> {to}\n")
    });
    expect.assert_eq(&shown.collect::<String>());
}

#[test]
fn clean_trims_composes_and_finds_nulls_in_disguise() {
    let clean = json!([{ "step": "clean", "of": ["traits.*", "properties.note"] }]);
    let event = json!({ "type": "identify", "properties": { "note": "a\u{200b} b", "other": " x " },
        "traits": { "name": "  Zoe\u{308}   Nowak ", "phone": "N/A", "city": "brak", "n": 7, "zip": "00-950" } });
    check(
        clean,
        event,
        expect![[r#"
            {"type":"identify","properties":{"note":"a b","other":" x "},"traits":{"name":"Zoë Nowak","phone":null,"city":null,"n":7,"zip":"00-950"}}
            step 0: 4"#]],
    );
    let own = json!([{ "step": "clean", "of": ["traits.*"], "nulls": ["none given"] }]);
    expect![[r#"{"a":null,"b":"n/a"}"#]].assert_eq(&traits(own, json!({ "a": "None  given", "b": "n/a" })));
}

#[test]
fn normal_forms() {
    normal(
        json!({ "email": {} }),
        &[" Ada@Example.COM", "no address", "a.b+c@googlemail.com"],
        expect![[r#"
         Ada@Example.COM -> "ada@example.com"
        no address -> stays
        a.b+c@googlemail.com -> stays
    "#]],
    );
    normal(
        json!({ "email": { "aliases": true } }),
        &["A.B+c@googlemail.com", "a.b+c@example.org"],
        expect![[r#"
        A.B+c@googlemail.com -> "ab@gmail.com"
        a.b+c@example.org -> "a.b@example.org"
    "#]],
    );
    let phones = ["089 123456", "+48 22 123 45 67", "0048221234567", "12", "(0)30-901820"];
    normal(
        json!({ "phone": { "country": "DE" } }),
        &phones,
        expect![[r#"
        089 123456 -> "+4989123456"
        +48 22 123 45 67 -> "+48221234567"
        0048221234567 -> "+48221234567"
        12 -> stays
        (0)30-901820 -> "+4930901820"
    "#]],
    );
    let names = ["ANNA VON DER HEIDE", "anna-maria o'neil", "McDonald", "JAN  KOWALSKI", "МАРИЯ ИВАНОВА", "王小明"];
    normal(
        json!("name"),
        &names,
        expect![[r#"
        ANNA VON DER HEIDE -> "Anna von der Heide"
        anna-maria o'neil -> "Anna-Maria O'Neil"
        McDonald -> stays
        JAN  KOWALSKI -> "Jan Kowalski"
        МАРИЯ ИВАНОВА -> "Мария Иванова"
        王小明 -> stays
    "#]],
    );
    normal(
        json!("latin"),
        &["Łódź", "Мария Иванова", "王小明", "Straße", "Ærø"],
        expect![[r#"
        Łódź -> "lodz"
        Мария Иванова -> "mariya ivanova"
        王小明 -> "wangxiaoming"
        Straße -> "strasse"
        Ærø -> "aero"
    "#]],
    );
    let countries = ["Germany", "deu", "pl", "UK", "Россия", "中国", "Atlantis"];
    normal(
        json!("country"),
        &countries,
        expect![[r#"
        Germany -> "DE"
        deu -> "DE"
        pl -> "PL"
        UK -> "GB"
        Россия -> "RU"
        中国 -> "CN"
        Atlantis -> stays
    "#]],
    );
    normal(
        json!("currency"),
        &["eur", "zł", "$", "XXQ"],
        expect![[r#"
        eur -> "EUR"
        zł -> "PLN"
        $ -> "USD"
        XXQ -> stays
    "#]],
    );
    normal(
        json!({ "postcode": { "country": "PL" } }),
        &["00 950", "00950", "1234"],
        expect![[r#"
        00 950 -> "00-950"
        00950 -> "00-950"
        1234 -> stays
    "#]],
    );
    normal(
        json!({ "postcode": { "country": "GB" } }),
        &["sw1a1aa", "M1 1AE"],
        expect![[r#"
        sw1a1aa -> "SW1A 1AA"
        M1 1AE -> stays
    "#]],
    );
    let dates = json!({ "date": { "formats": ["%d.%m.%Y", "%m/%d/%Y %H:%M", "%Y-%m-%dT%H:%M:%S%z"] } });
    normal(
        dates,
        &["03.04.2024", "12/31/2023 23:59", "2024-01-02T03:04:05+0200", "31.02.2024"],
        expect![[r#"
        03.04.2024 -> "2024-04-03"
        12/31/2023 23:59 -> "2023-12-31T23:59:00"
        2024-01-02T03:04:05+0200 -> "2024-01-02T01:04:05Z"
        31.02.2024 -> stays
    "#]],
    );
    normal(
        json!({ "number": { "decimal": "," } }),
        &["1.234,50", "12", "x", "1e999"],
        expect![[r#"
        1.234,50 -> 1234.5
        12 -> 12
        x -> stays
        1e999 -> stays
    "#]],
    );
    normal(
        json!({ "number": { "decimal": "." } }),
        &["1'234.5", "+7"],
        expect![[r#"
        1'234.5 -> 1234.5
        +7 -> 7
    "#]],
    );
    normal(
        json!("boolean"),
        &["Tak", "нет", "1", "maybe"],
        expect![[r#"
        Tak -> true
        нет -> false
        1 -> true
        maybe -> stays
    "#]],
    );
}

#[test]
fn values_move_part_and_join() {
    let steps = json!([
        { "step": "rename", "from": "traits.E-Mail", "to": "traits.email" },
        { "step": "split", "of": "traits.full", "by": ", ", "into": ["traits.lastName", "traits.firstName"] },
        { "step": "combine", "of": ["traits.zip", "traits.city", "traits.none"], "into": "traits.place" },
        { "step": "address", "of": "traits.line", "into": "traits.address" },
        { "step": "drop", "of": ["traits.zip", "traits.secret"] },
        { "step": "replace", "of": "traits.sex", "values": { "1": "female", "M": "male" }, "others": null }
    ]);
    let event = json!({ "type": "identify", "traits": { "E-Mail": "a@b.c", "full": "Nowak, Anna Maria", "zip": "00-950",
        "city": "Warszawa", "line": "ul. Długa 5a/7", "sex": 1 } });
    check(
        steps,
        event,
        expect![[r#"
            {"type":"identify","traits":{"sex":"female","full":"Nowak, Anna Maria","address":{"street":"ul. Długa","number":"5A","unit":"7"},"city":"Warszawa","line":"ul. Długa 5a/7","email":"a@b.c","lastName":"Nowak","firstName":"Anna Maria","place":"00-950 Warszawa"}}
            step 0: 1
            step 1: 2
            step 2: 1
            step 3: 3
            step 4: 1
            step 5: 1"#]],
    );
    let line = |line: &str| {
        let all = traits(json!([{ "step": "address", "of": "traits.l", "into": "traits.a" }]), json!({ "l": line }));
        serde_json::from_str::<Value>(&all).map_or_else(|_| "stays".to_owned(), |all| all["a"].to_string())
    };
    expect![[r#"
        {"street":"Baker Street","number":"221B"}
        {"street":"Hauptstr.","number":"12"}
        stays
        {"street":"Rue de Rivoli","number":"4"}"#]]
    .assert_eq(&["221B Baker Street", "Hauptstr. 12", "Rynek", "Rue de Rivoli, 4"].map(line).join("\n"));
}

#[test]
fn numbers_are_gathered_cut_and_stretched() {
    let steps = json!([
        { "step": "aggregate", "of": "properties.items", "measure": "sum", "member": "price", "into": "properties.total" },
        { "step": "aggregate", "of": "properties.items", "measure": "count", "into": "properties.count" },
        { "step": "discretise", "of": "properties.total", "bounds": [10, 50], "labels": ["low", "middle", "high"],
          "into": "properties.band" },
        { "step": "pivot", "of": "properties.options" },
        { "step": "scale", "of": "properties.score", "by": { "min_max": { "min": 0, "max": 200 } } },
        { "step": "generalise", "of": "properties.age", "to": { "band": 10 } },
        { "step": "generalise", "of": "properties.born", "to": "month" },
        { "step": "generalise", "of": "properties.zip", "to": { "prefix": 2 } }
    ]);
    let event = json!({ "type": "track", "event": "Order", "properties": {
        "items": [{ "price": 0.1 }, { "price": "0.2" }, { "price": 29.7 }],
        "options": [{ "key": "colour", "value": "red" }, { "key": "size", "value": 5 }],
        "score": 50, "age": 37, "born": "1990-05-17", "zip": "80331" } });
    check(
        steps,
        event,
        expect![[r#"
            {"type":"track","event":"Order","properties":{"items":[{"price":0.1},{"price":"0.2"},{"price":29.7}],"options":{"colour":"red","size":5},"score":0.25,"age":"30-39","born":"1990-05","zip":"80","total":30,"count":3,"band":"middle"}}
            step 0: 1
            step 1: 1
            step 2: 1
            step 3: 1
            step 4: 1
            step 5: 1
            step 6: 1
            step 7: 1"#]],
    );
}

#[test]
fn expressions_derive_values() {
    let steps = json!([
        { "step": "derive", "cel": "properties.price * double(properties.quantity)", "into": "properties.revenue" },
        { "step": "derive", "cel": "traits.city == 'Berlin' ? 'DE' : 'other'", "into": "traits.region" },
        { "step": "derive", "cel": "properties.items.filter(i, i.size > 1).map(i, i.sku)", "into": "properties.large" },
        { "step": "derive", "cel": "properties.nothing + 1", "into": "properties.never" },
        { "step": "derive", "cel": "event.type + '!'", "into": "context.call" }
    ]);
    let event = json!({ "type": "track", "event": "Order", "traits": { "city": "Berlin" }, "properties": {
        "price": 9.5, "quantity": 2, "items": [{ "sku": "a", "size": 1 }, { "sku": "b", "size": 2 }] } });
    check(
        steps,
        event,
        expect![[r#"
            {"type":"track","event":"Order","traits":{"city":"Berlin","region":"DE"},"properties":{"price":9.5,"quantity":2,"items":[{"sku":"a","size":1},{"sku":"b","size":2}],"revenue":19.0,"large":["b"]},"context":{"call":"track!"}}
            step 0: 1
            step 1: 1
            step 2: 1
            step 4: 1"#]],
    );
}

#[test]
fn records_that_say_the_same_have_one_message_id() {
    let steps = json!([{ "step": "deduplicate", "by": ["properties.order_id", "properties.line"] }]);
    let id = |event: Value| {
        let shown = prepare(&steps, &event);
        serde_json::from_str::<Value>(shown.lines().next().unwrap()).unwrap()["messageId"].to_string()
    };
    let one =
        id(json!({ "type": "track", "event": "O", "messageId": "1", "properties": { "order_id": 7, "line": 1 } }));
    let same = id(
        json!({ "type": "track", "event": "O", "messageId": "2", "properties": { "line": 1, "order_id": 7, "x": 1 } }),
    );
    let other =
        id(json!({ "type": "track", "event": "O", "messageId": "3", "properties": { "order_id": 7, "line": 2 } }));
    assert!(one == same && one != other);
    assert_eq!(prepare(&steps, &json!({ "type": "track", "event": "O", "messageId": "4" })), "");
}

/// The same plan in each of its modes.
#[test]
fn a_tracking_plan_allows_flags_drops_and_blocks() {
    let plan = |mode: &str| {
        json!([{ "step": "validate", "events": ["Order"], "mode": mode, "schema": {
            "type": "object", "required": ["properties"], "properties": { "properties": {
                "type": "object", "required": ["revenue"], "properties": {
                    "revenue": { "type": "number", "minimum": 0 }, "currency": { "enum": ["EUR", "PLN"] } } } } } }])
    };
    let wrong = || json!({ "type": "track", "event": "Order", "properties": { "revenue": "free", "currency": "EUR" } });
    check(plan("allow"), wrong(), expect![[r#"violates: properties.revenue: value is not of type "number""#]]);
    check(
        plan("flag"),
        wrong(),
        expect![[r#"
            {"type":"track","event":"Order","properties":{"revenue":"free","currency":"EUR"},"context":{"violations":["properties.revenue: value is not of type \"number\""]}}
            step 0: 1
            violates: properties.revenue: value is not of type "number""#]],
    );
    check(
        plan("drop"),
        wrong(),
        expect![[r#"
            {"type":"track","event":"Order","properties":{"currency":"EUR"}}
            step 0: 1
            violates: properties.revenue: value is not of type "number""#]],
    );
    check(plan("block"), wrong(), expect![[r#"blocked: properties.revenue: value is not of type "number""#]]);
    check(plan("block"), json!({ "type": "track", "event": "Viewed", "properties": {} }), expect![[r#""#]]);
    check(
        plan("block"),
        json!({ "type": "track", "event": "Order", "properties": { "revenue": 1 } }),
        expect![[r#""#]],
    );
}

#[test]
fn what_is_wrong_with_a_preparation_is_said_before_it_is_used() {
    check(
        json!([
            { "step": "validate", "schema": { "type": "nothing" } },
            { "step": "normalise", "of": "traits.phone", "as": { "phone": { "country": "QQ" } } },
            { "step": "derive", "cel": "1 +", "into": "traits.x" },
            { "step": "derive", "cel": "secrets.x", "into": "traits.x" },
            { "step": "discretise", "of": "traits.x", "bounds": [2, 1], "labels": ["a", "b", "c"] },
            { "step": "scale", "of": "traits.x", "by": { "min_max": { "min": 1, "max": 1 } } },
            { "step": "drop", "of": ["messageId"] }
        ]),
        json!({}),
        expect![[r#"
            steps[0] (validate): schema: "nothing" is not valid under any of the schemas listed in the 'anyOf' keyword
            steps[1] (normalise): "QQ" is no ISO 3166-1 alpha-2 code of a country
            steps[2] (derive): cel: ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
            | 1 +
            | ...^
            steps[3] (derive): cel: secrets is none of event, properties, traits, context
            steps[4] (discretise): bounds ascend
            steps[5] (scale): what it is divided by is greater than 0
            steps[6] (drop): messageId is what an event cannot be without"#]],
    );
    check(
        json!([{ "step": "polish" }]),
        json!({}),
        expect![
            "no preparation: unknown variant `polish`, expected one of `validate`, `clean`, `normalise`, `rename`, `drop`, `replace`, `split`, `combine`, `address`, `pivot`, `aggregate`, `discretise`, `generalise`, `scale`, `derive`, `deduplicate`"
        ],
    );
    check(
        json!([{ "step": "clean", "of": ["traits.*.x"] }]),
        json!({}),
        expect![[
            r#"no preparation: "traits.*.x" is no place in an event: names with dots, as traits.city; a * only at the end"#
        ]],
    );
    check(
        json!([{ "step": "clean", "of": ["traits.x"], "sort": 1 }]),
        json!({}),
        expect!["no preparation: unknown field `sort`, expected `of` or `nulls`"],
    );
}

#[test]
fn what_was_written_is_read_again() {
    let text = json!({ "description": "CRM", "steps": [
        { "step": "clean", "of": ["traits.*"], "events": ["identify"] },
        { "step": "normalise", "of": "traits.phone", "as": { "phone": { "country": "PL" } } },
        { "step": "validate", "schema": { "type": "object" }, "mode": "block" }
    ] });
    let read: Preparation = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), text);
    assert_eq!(read.step_names(), ["clean", "normalise", "validate"]);
}

/// Any JSON, with the names that the steps ask for here and there.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(Value::from("+48 22 123 45 67")),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let names = prop_oneof!["traits|properties|context|x|y|type|event", ".{0,4}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(names, inner, 0..6).prop_map(|map| map.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    /// Whatever comes: no step fails, each gives JSON again, and the same at any time; one that is prepared already does not
    /// change by steps that only bring values into one form.
    #[test]
    fn no_event_is_too_strange(event in any_json()) {
        let steps = |all: bool| {
            let mut steps = vec![
                json!({ "step": "clean", "of": ["traits.*", "properties.x"] }),
                json!({ "step": "normalise", "of": "traits.x", "as": { "phone": { "country": "PL" } } }),
                json!({ "step": "normalise", "of": "traits.*", "as": { "email": { "aliases": true } } }),
                json!({ "step": "normalise", "of": "properties.*", "as": "latin" }),
                json!({ "step": "rename", "from": "traits.y", "to": "traits.z" }),
            ];
            if all {
                steps.extend([
                    json!({ "step": "derive", "cel": "traits.x + 1", "into": "properties.x.y" }),
                    json!({ "step": "generalise", "of": "properties.x", "to": "month" }),
                    json!({ "step": "generalise", "of": "properties.y", "to": { "band": 7 } }),
                    json!({ "step": "aggregate", "of": "traits.x", "measure": "sum", "into": "traits.n" }),
                    json!({ "step": "pivot", "of": "context.x", "key": "x", "value": "y" }),
                    json!({ "step": "validate", "mode": "drop", "schema": { "properties": { "traits": {
                        "additionalProperties": { "type": "string" } } } } }),
                ]);
            }
            serde_json::from_value::<Preparation>(json!({ "steps": steps })).unwrap().compile().unwrap()
        };
        let text = event.to_string();
        let outcome = steps(true).apply(&text);
        prop_assert_eq!(&outcome, &steps(true).apply(&text));
        if let Some(json) = outcome.json {
            prop_assert!(serde_json::from_str::<Value>(&json).unwrap().is_object());
        }
        let once = steps(false).apply(&text).json.unwrap_or(text);
        prop_assert_eq!(steps(false).apply(&once).json, None);
    }
}

#[test]
fn nothing_goes_past_the_steps_and_nothing_changes_what_the_person_said() {
    let steps = json!({ "steps": [{ "step": "drop", "of": ["traits.pesel", "context.*"] }] });
    let prepared = serde_json::from_value::<Preparation>(steps).unwrap().compile().unwrap();
    // Half a surrogate pair, as senders that cut texts make it.
    let cut = prepared.apply(r#"{"traits":{"bio":"x\ud83d","b":"\ud83d\ude00 \\ud83d","pesel":"1"}}"#);
    assert_eq!(cut.json.unwrap(), "{\"traits\":{\"bio\":\"x\u{fffd}\",\"b\":\"\u{1f600} \\\\ud83d\"}}");
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    for unreadable in [r#"{"traits":{"pesel":"1"},"n":1e999}"#, &deep] {
        let outcome = prepared.apply(unreadable);
        assert_eq!((outcome.blocked.len(), outcome.json), (1, None), "{unreadable}");
    }
    let denied = r#"{"context":{"consentManagement":{"deniedConsentIds":["ads"]},"ip":"1.2.3.4"}}"#;
    expect![[r#"{"context":{"consentManagement":{"deniedConsentIds":["ads"]}}}"#]]
        .assert_eq(&prepared.apply(denied).json.unwrap());
}

#[test]
fn what_is_dropped_says_nothing_of_what_others_said() {
    check(
        json!([{ "step": "drop", "of": ["traits.*"] }]),
        json!({ "type": "identify", "traits": { "city": "Radom", "name": "Ada" } }),
        expect![[r#"
            {"type":"identify","traits":{}}
            step 0: 2"#]],
    );
}

#[test]
fn a_plan_that_drops_takes_only_what_does_not_fit() {
    let schema = json!({ "properties": {
        "properties": { "required": ["price"], "properties": { "price": { "type": "number" } }, "additionalProperties": false },
        "context": { "properties": { "ip": { "type": "string" } }, "additionalProperties": false } } });
    check(
        json!([{ "step": "validate", "schema": schema, "mode": "drop" }]),
        json!({ "properties": { "price": 7, "anna@example.com": 1 },
                "context": { "consentManagement": { "deniedConsentIds": ["ads"] }, "ip": 5, "page": {} } }),
        expect![[r#"
            {"properties":{"price":7},"context":{"consentManagement":{"deniedConsentIds":["ads"]}}}
            step 0: 4
            violates: properties: 1 members are not in the plan
            violates: context.ip: value is not of type "string"
            violates: context: 2 members are not in the plan"#]],
    );
    check(
        json!([{ "step": "validate", "schema": schema, "mode": "drop" }]),
        json!({ "properties": {} }),
        expect![[r#"violates: properties: "price" is a required property"#]],
    );
    let names = json!({ "properties": { "traits": {
        "propertyNames": { "maxLength": 5 }, "additionalProperties": { "type": "number" } } } });
    check(
        json!([{ "step": "validate", "schema": names }]),
        json!({ "traits": { "anna@example.com": "x" } }),
        expect![[r#"
            violates: traits.*: value is not of type "number"
            violates: traits: the name of a member does not fit"#]],
    );
}

#[test]
fn an_expression_costs_no_more_than_the_event_is_long_and_is_the_same_each_time() {
    let derive =
        |cel: &str, event: Value| prepare(&json!([{ "step": "derive", "cel": cel, "into": "traits.x" }]), &event);
    let lists = |n: i64| json!({ "properties": { "items": (0..n).collect::<Vec<_>>(), "object": { "a": 1 } } });
    let within = "all, exists, map and filter may not stand within each other";
    for cel in
        ["properties.items.filter(a, properties.items.exists(b, b > a)).size()", "[1, 2].map(a, [1, 2].map(b, a + b))"]
    {
        assert!(derive(cel, lists(2)).contains(within), "{cel}");
    }
    assert!(derive("(true ? properties.items : [1]).map(a, a)", lists(2)).contains("go through a list at a place"));
    assert_eq!(derive("properties.object.map(k, k)", lists(2)), "", "members stand in no order");
    assert_eq!(derive("properties.items.map(a, a)", lists(1001)), "", "a list is too long");
    let first = |shown: String| shown.lines().next().unwrap_or_default().to_owned();
    assert!(first(derive("properties.items.filter(a, a != 0).map(a, a).size()", lists(3))).contains(r#""x":2"#));
    assert!(first(derive("event.properties.items.exists(a, a == 1) ? 'y' : 'n'", lists(3))).contains(r#""x":"y""#));
}

#[test]
fn a_number_without_a_band_stays() {
    let band = json!([{ "step": "generalise", "of": "traits.x", "to": { "band": 10 } }]);
    for number in [json!(1e300), json!(-1e300), json!(i64::MAX), json!(i64::MIN)] {
        let shown = prepare(&band, &json!({ "traits": { "x": number } }));
        assert!(shown.is_empty() || shown.contains('-'), "{shown}");
    }
}
