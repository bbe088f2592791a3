//! Mappings applied: what events a row makes, which rows are refused and why, and that the server's rules take them.

use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};
use onefold_collect::{Digest, Events, Mapper, Mapping, ReadOptions, RowError, RowIds, Shift, open, sample};
use onefold_model::{
    Timestamp, WorkspaceId,
    event::{EventRecord, Fields, Incoming, Limits, accept},
};
use proptest::prelude::*;

/// Maps every row of the file; events come out as lines, bad rows as `line N: reason`.
fn run(path: &Path, mapping: &str, shift: Shift) -> Vec<String> {
    let mapping = match Mapping::parse(mapping) {
        Ok(mapping) => mapping,
        Err(error) => return vec![error.to_string()],
    };
    let options = mapping.read_options();
    let mut mapper = match bind(path, &mapping, &options) {
        Ok(mapper) => mapper,
        Err(error) => return vec![error],
    };
    mapper.set_shift(shift);
    let mut rows = open(path, &options).unwrap();
    let (mut events, mut out) = (Events::default(), vec![]);
    while let Some(row) = rows.next() {
        let bad = match row {
            Ok(row) => mapper.apply(&row, &mut events).err(),
            Err(RowError::Bad(bad)) => Some(bad),
            Err(error) => panic!("{error}"),
        };
        out.extend(events.iter().map(str::to_owned));
        events.clear();
        out.extend(bad.map(|bad| bad.to_string()));
    }
    out
}

fn bind(path: &Path, mapping: &Mapping, options: &ReadOptions) -> Result<Mapper, String> {
    let ids = RowIds::new("test", &Digest([7; 32]));
    let sample = sample(path, options, 1000).unwrap();
    mapping.bind(&sample, ids).map_err(|error| error.to_string())
}

/// The event as the server would keep it; panics where the server would refuse it.
fn accepted(event: &str) -> String {
    let incoming = Incoming {
        workspace: WorkspaceId(1),
        source: 1,
        raw: serde_json::from_str(event).unwrap(),
        kind: None,
        batch: &Fields::default(),
        place: 0,
        received_at: Timestamp(1_795_293_000_000),
        import: true,
        gpc: false,
    };
    let mut out = vec![];
    accept(&incoming, &Limits::default(), &mut out).unwrap_or_else(|refusal| panic!("{refusal}: {event}"));
    EventRecord::decode(&out).unwrap().json.to_owned()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

fn check(name: &str, content: &str, mapping: &str, expect: Expect) {
    let folder = Folder::new();
    let lines = run(&folder.write(name, content), mapping, Shift(0));
    for line in lines.iter().filter(|line| line.starts_with('{')) {
        accepted(line);
    }
    expect.assert_eq(&(lines.join("\n") + "\n"));
}

const PEOPLE: &str = "customer_id,email,card,phone,age,vip,born,tags,extra,score,updated\n\
    7,ada@example.com,C-1,+49891,36,yes,10.12.1815,\"a, b,,c\",\"{\"\"k\"\": [1]}\",\"1.234,5\",2024-03-01\n\
    8,,NULL,,,,,,,,\n";

#[test]
fn an_identify_with_every_type() {
    check(
        "people.csv",
        PEOPLE,
        r#"
        kind = "identify"
        null = ["NULL"]
        identifiers = { user_id = "customer_id", email = "email", loyalty_card = "card", phone = "phone" }
        timestamp = { column = "updated", timezone = "Europe/Berlin" }
        constants = { country = "DE", since = 2020-01-02, list = [1, 2.5, true] }
        [traits]
        phone = "phone"
        age = { column = "age", type = "number" }
        vip = { column = "vip", type = "boolean" }
        born = { column = "born", type = "date", format = "%d.%m.%Y" }
        tags = { column = "tags", type = "list" }
        extra = { column = "extra", type = "json" }
        score = { column = "score", type = "number", decimal = "," }
        nickname = { column = "nick", optional = true }
        "#,
        expect![[r#"
            {"type":"identify","messageId":"row-8a22ab337ec0fa717d212e5090e6effe","timestamp":"2024-02-29T23:00:00.000Z","userId":"7","context":{"externalIds":[{"id":"C-1","type":"loyalty_card","collection":"users","encoding":"none"},{"id":"+49891","type":"phone","collection":"users","encoding":"none"}]},"traits":{"email":"ada@example.com","age":36,"born":"1815-12-10","extra":{"k": [1]},"phone":"+49891","score":1234.5,"tags":["a","b","c"],"vip":true,"country":"DE","list":[1,2.5,true],"since":"2020-01-02"}}
            {"type":"identify","messageId":"row-ba2c17a7a86c24c9137e6e1df78fa664","userId":"8","traits":{"country":"DE","list":[1,2.5,true],"since":"2020-01-02"}}
        "#]],
    );
}

#[test]
fn values_that_are_not_of_their_type_are_refused_with_their_column() {
    let mapping = r#"
        kind = "identify"
        identifiers = { user_id = "id" }
        timestamp = "at"
        [traits]
        n = { column = "n", type = "number" }
        b = { column = "b", type = "boolean" }
        d = { column = "d", type = "date" }
        j = { column = "j", type = "json" }
    "#;
    check(
        "a.csv",
        "id,at,n,b,d,j\n1,,x,,,\n2,,,maybe,,\n3,,,,soon,\n4,,,,,{\n5,yesterday,,,,\n6,1800-01-01,,,,\n,2024-01-01,,,,\n8,2024-01-01,1,1,2024-01-01,{}\n",
        mapping,
        expect![[r#"
            line 2: column n holds "x", which is no number
            line 3: column b holds "maybe", which is no boolean
            line 4: column d holds "soon", which is no date
            line 5: column j holds "{", which is no JSON value
            line 6: column at holds "yesterday", which is no time of its format; see timestamp.format
            line 7: column at holds 1800-01-01T00:00:00.000Z, which is before 1900
            line 8: has no identifier: id is empty
            {"type":"identify","messageId":"row-949e7835bbd3314caea399aac3c070b0","timestamp":"2024-01-01T00:00:00.000Z","userId":"8","traits":{"b":true,"d":"2024-01-01","j":{},"n":1}}
        "#]],
    );
}

#[test]
fn several_events_of_a_row() {
    check(
        "orders.csv",
        "order,who,mail,at,total,action\nA1,7,ada@example.com,2024-03-01 10:00,19.90,Order Completed\nA2,8,,2024-03-02 11:30,,Order Refunded\nA3,9,c@example.com,,5,x\n",
        r#"
        identifiers = { user_id = "who", email = "mail" }
        timestamp = "at"
        message_id = "order"
        [[events]]
        kind = "identify"
        skip_if_empty = ["mail"]
        [[events]]
        kind = "track"
        event = { column = "action" }
        properties = { order_id = "order", revenue = { column = "total", type = "number" } }
        constants = { currency = "EUR" }
        "#,
        expect![[r#"
            {"type":"identify","messageId":"A1","timestamp":"2024-03-01T10:00:00.000Z","userId":"7","traits":{"email":"ada@example.com"}}
            {"type":"track","messageId":"A1-1","timestamp":"2024-03-01T10:00:00.000Z","event":"Order Completed","userId":"7","context":{"externalIds":[{"id":"ada@example.com","type":"email","collection":"users","encoding":"none"}]},"properties":{"order_id":"A1","revenue":19.90,"currency":"EUR"}}
            {"type":"track","messageId":"A2-1","timestamp":"2024-03-02T11:30:00.000Z","event":"Order Refunded","userId":"8","properties":{"order_id":"A2","currency":"EUR"}}
            line 4: column at is empty, and says when it happened
        "#]],
    );
}

#[test]
fn pages_groups_and_objects() {
    let file = "id,visitor,url,title,company,plan,sku,price\n1,v1,/a,Home,acme,pro,S-1,9.5\n2,v2,/b,,,,,\n";
    check(
        "a.csv",
        file,
        r#"
        kind = "page"
        name = { column = "title" }
        identifiers = { anonymous_id = "visitor" }
        properties = { url = "url" }
        "#,
        expect![[r#"
            {"type":"page","messageId":"row-8a22ab337ec0fa717d212e5090e6effe","name":"Home","anonymousId":"v1","properties":{"url":"/a"}}
            {"type":"page","messageId":"row-ba2c17a7a86c24c9137e6e1df78fa664","anonymousId":"v2","properties":{"url":"/b"}}
        "#]],
    );
    check(
        "a.csv",
        file,
        r#"
        kind = "group"
        group_id = "company"
        identifiers = { user_id = "id", email = "visitor" }
        traits = { plan = "plan" }
        "#,
        expect![[r#"
            {"type":"group","messageId":"row-8a22ab337ec0fa717d212e5090e6effe","groupId":"acme","userId":"1","context":{"externalIds":[{"id":"v1","type":"email","collection":"users","encoding":"none"}]},"traits":{"plan":"pro"}}
            line 3: column company is empty, and is the groupId
        "#]],
    );
    check(
        "a.csv",
        file,
        r#"
        kind = "object"
        object_type = "product"
        object_id = "sku"
        traits = { price = { column = "price", type = "number" } }
        "#,
        expect![[r#"
            {"type":"object","messageId":"row-8a22ab337ec0fa717d212e5090e6effe","objectType":"product","objectId":"S-1","traits":{"price":9.5}}
            line 3: column sku is empty, and is the objectId
        "#]],
    );
}

#[test]
fn json_rows_keep_their_types_and_are_looked_into() {
    check(
        "a.ndjson",
        "{\"id\":7,\"name\":\"Zo\\u00eb \\\"Z\\\"\",\"home\":{\"city\":\"K\u{f6}ln\",\"geo\":[1.50,2]},\"n\":1e2,\"x\":null,\"at\":1709287200}\n{\"id\":null,\"at\":1}\n",
        r#"
        kind = "identify"
        identifiers = { user_id = "id" }
        timestamp = { column = "at", format = "epoch_s" }
        traits = { name = "name", city = "home.city", geo = "home.geo", home = "home", n = "n", text = { column = "n", type = "string" }, x = "x" }
        "#,
        expect![[r#"
            {"type":"identify","messageId":"row-8a22ab337ec0fa717d212e5090e6effe","timestamp":"2024-03-01T10:00:00.000Z","userId":"7","traits":{"city":"Köln","geo":[1.50,2],"home":{"city":"Köln","geo":[1.50,2]},"n":1e2,"name":"Zoë \"Z\"","text":"1e2"}}
            line 2: has no identifier: id is empty
        "#]],
    );
}

#[test]
fn events_pass_through_as_they_are() {
    let file = "{ \"type\":\"track\",\"event\":\"A\",\"userId\":\"u\",\"messageId\":\"m1\" , \"timestamp\":\"2024-03-01T10:00:00Z\"}\n\
        {\"type\":\"identify\",\"userId\":\"u\",\"messageId\":null,\"originalTimestamp\":\"2024-03-01T10:00:00Z\"}\n{}\n";
    let folder = Folder::new();
    let path = folder.write("a.ndjson", file);
    let mut lines = run(&path, "kind = \"event\"", Shift(0));
    lines.extend(run(&path, "kind = \"event\"", Shift(3_600_000)));
    expect![[r#"
        { "type":"track","event":"A","userId":"u","messageId":"m1" , "timestamp":"2024-03-01T10:00:00Z"}
        {"messageId":"row-ba2c17a7a86c24c9137e6e1df78fa664","type":"identify","userId":"u","originalTimestamp":"2024-03-01T10:00:00Z"}
        {"messageId":"row-e7113671f591bf33f4ec37ab2102cebd"}
        {"type":"track","event":"A","userId":"u","messageId":"m1","timestamp":"2024-03-01T11:00:00.000Z"}
        {"messageId":"row-ba2c17a7a86c24c9137e6e1df78fa664","type":"identify","userId":"u","originalTimestamp":"2024-03-01T11:00:00.000Z"}
        {"messageId":"row-e7113671f591bf33f4ec37ab2102cebd"}
    "#]].assert_eq(&(lines.join("\n") + "\n"));
    let pass = Mapping::pass_through();
    assert_eq!(Mapping::parse("kind = \"event\"").unwrap(), pass);
    assert!(bind(&path, &pass, &ReadOptions::default()).is_ok());
}

#[test]
fn times_are_shifted_by_days_and_to_now() {
    let folder = Folder::new();
    let path = folder.write("a.csv", "id,at\n1,2024-01-01\n2,2024-01-03\n");
    let mapping = "kind = \"track\"\nevent = \"A\"\nidentifiers = { user_id = \"id\" }\ntimestamp = \"at\"\ntimestamp_shift_days = 1\n";
    let parsed = Mapping::parse(mapping).unwrap();
    let mapper = bind(&path, &parsed, &parsed.read_options()).unwrap();
    let mut rows = open(&path, &parsed.read_options()).unwrap();
    let mut latest = Timestamp::MIN;
    while let Some(Ok(row)) = rows.next() {
        latest = latest.max(mapper.time_of(&row).unwrap());
    }
    assert_eq!(latest.to_string(), "2024-01-04T00:00:00.000Z");
    let now = Timestamp::parse("2024-01-20T12:00:00Z").unwrap();
    let events = run(&path, mapping, Shift::to_now(latest, now));
    assert!(events[0].contains("\"timestamp\":\"2024-01-16T00:00:00.000Z\""), "{}", events[0]);
    assert!(events[1].contains("\"timestamp\":\"2024-01-18T00:00:00.000Z\""), "{}", events[1]);
}

#[test]
fn mistakes_in_a_mapping_are_found_before_the_first_row() {
    let check = |mapping: &str, expect: Expect| check("a.csv", "id,b\n1,2\n", mapping, expect);
    check(
        "kind = \"identify\"\nidentifiers = { user_id = \"ID\", x = \"y\" }",
        expect![[r#"
            the mapping names ID, y, which the file does not have; it has id, b
        "#]],
    );
    check(
        "kind = \"identify\"",
        expect![[r#"
        kind = "identify": identifiers is missing: name the columns that say who it was, such as { user_id = "customer_id" }
    "#]],
    );
    check(
        "kind = \"track\"\nidentifiers = { user_id = \"id\" }",
        expect![[r#"
        kind = "track": event is missing
    "#]],
    );
    check(
        "kind = \"track\"\nevent = \"A\"\nidentifiers = { user_id = \"id\" }\ntraits = { b = \"b\" }",
        expect![[r#"
        kind = "track": traits does not belong here, but to kind = identify, group, object
    "#]],
    );
    check(
        "kind = \"object\"\nobject_type = \"p\"",
        expect![[r#"
        kind = "object": object_id is missing
    "#]],
    );
    check(
        "kind = \"event\"",
        expect![[r#"
        kind = "event": only rows of JSON can be events already
    "#]],
    );
    check(
        "kind = \"wish\"",
        expect![[r#"
        the mapping cannot be read: unknown variant `wish`, expected one of `identify`, `track`, `page`, `group`, `object`, `event`
        in `kind`
    "#]],
    );
    check(
        "kind = \"identify\"\nidentifier = { user_id = \"id\" }",
        expect![[r#"
        the mapping cannot be read: unknown field `identifier`, expected one of `kind`, `event`, `name`, `identifiers`, `group_id`, `group_type`, `role`, `object_type`, `object_id`, `timestamp`, `traits`, `properties`, `constants`, `message_id`, `skip_if_empty`
    "#]],
    );
    check(
        "kind = \"identify\"\ndelimiter = \"ab\"",
        expect![[r#"
        the mapping cannot be read: delimiter "ab" is neither one ASCII character nor tab nor whitespace
        in `delimiter`
    "#]],
    );
    check(
        "kind = \"identify\"\nidentifiers = { user_id = { colum = \"id\" } }",
        expect![[r#"
        the mapping cannot be read: unknown field `colum`, expected one of `column`, `optional`, `null`
        in `identifiers.user_id`
    "#]],
    );
    check(
        "kind = \"identify\"\nidentifiers = { user_id = \"id\" }\ntimestamp = { column = \"b\", format = \"YYYY\" }",
        expect![[r#"
            kind = "identify": time format "YYYY" is none of iso, epoch_s, epoch_ms, epoch_us, epoch_ns and no pattern such as %Y-%m-%d %H:%M:%S
        "#]],
    );
    check(
        "kind = \"identify\"\nidentifiers = { user_id = \"id\" }\ntraits = { b = { column = \"b\", separator = \";\" } }",
        expect![[r#"
            kind = "identify": column b: separator is for type = "list"
        "#]],
    );
    check(
        "kind = \"identify\"\nidentifiers = { user_id = \"id\" }\ntraits = { b = \"b\" }\nconstants = { b = 1 }",
        expect![[r#"
            kind = "identify": b is both a constant and a column
        "#]],
    );
    check(
        "events = []",
        expect![[r#"
        the mapping cannot be read: events is a list of tables, [[events]], and not empty
    "#]],
    );
    check(
        "kind = ",
        expect![[r#"
        the mapping cannot be read: TOML parse error at line 1, column 8
          |
        1 | kind = 
          |        ^
        string values must be quoted, expected literal string
    "#]],
    );
}

#[test]
fn a_json_file_may_lack_what_is_optional_only() {
    let mapping =
        |traits: &str| format!("kind = \"identify\"\nidentifiers = {{ user_id = \"id\" }}\ntraits = {{ {traits} }}");
    check(
        "a.ndjson",
        "{\"id\":1}\n",
        &mapping("b = \"b.c\""),
        expect![[r#"
        the mapping names b.c, which the file does not have; it has id
    "#]],
    );
    check(
        "a.ndjson",
        "{\"id\":1}\n",
        &mapping("b = { column = \"b.c\", optional = true }"),
        expect![[r#"
        {"type":"identify","messageId":"row-8a22ab337ec0fa717d212e5090e6effe","userId":"1","traits":{}}
    "#]],
    );
}

#[test]
fn the_purchases_of_cdnow() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
    let mapping = std::fs::read_to_string(data.join("cdnow.toml")).unwrap();
    let events = run(&data.join("cdnow_sample.txt"), &mapping, Shift(0));
    assert_eq!(events.len(), 6919);
    let (mut cents, mut people, mut ids) = (0i64, std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for event in &events {
        let event: serde_json::Value = serde_json::from_str(&accepted(event)).unwrap();
        assert_eq!((&event["type"], &event["event"]), (&"track".into(), &"Order Completed".into()));
        assert_eq!(event["properties"]["currency"], "USD");
        assert!(event["properties"]["quantity"].is_u64());
        cents += (event["properties"]["revenue"].as_f64().unwrap() * 100.0).round() as i64;
        people.insert(event["userId"].as_str().unwrap().to_owned());
        ids.insert(event["messageId"].as_str().unwrap().to_owned());
    }
    assert_eq!((people.len(), ids.len()), (2357, 6919));
    // As `awk '{ s += $5 } END { printf "%.2f", s }'` sums them.
    assert_eq!(cents, 24_409_194);
    expect![[r#"
        {"type":"track","messageId":"row-8a22ab337ec0fa717d212e5090e6effe","timestamp":"1997-01-01T00:00:00.000Z","event":"Order Completed","userId":"00004","properties":{"quantity":2,"revenue":29.33,"currency":"USD"}}
    "#]].assert_eq(&(events[0].clone() + "\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Random texts, written by the csv crate and by serde_json, come back as the same traits.
    #[test]
    fn csv_and_ndjson_give_the_same_traits(
        rows in proptest::collection::vec(("[a-z0-9]{1,8}", "[ -~\n\räß€\u{1f600}]{0,20}", -1_000_000i64..1_000_000), 1..20),
        delimiter in proptest::sample::select(vec![b',', b';', b'\t', b'|']),
        crlf: bool,
    ) {
        let folder = Folder::new();
        let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).terminator(terminator).from_writer(vec![]);
        writer.write_record(["id", "text", "n"]).unwrap();
        let mut ndjson = String::new();
        for (id, text, n) in &rows {
            writer.write_record([id, text, &n.to_string()]).unwrap();
            ndjson += &format!("{}\n", serde_json::json!({"id": id, "text": text, "n": n}));
        }
        let csv = folder.write("a.csv", &String::from_utf8(writer.into_inner().unwrap()).unwrap());
        let ndjson = folder.write("a.ndjson", &ndjson);
        let mapping = |delimiter: String| format!(
            "{delimiter}kind = \"identify\"\nidentifiers = {{ user_id = \"id\" }}\ntraits = {{ text = \"text\", n = {{ column = \"n\", type = \"number\" }} }}"
        );
        let delimiter = if delimiter == b'\t' { "tab".to_owned() } else { char::from(delimiter).to_string() };
        let from_csv = run(&csv, &mapping(format!("delimiter = {delimiter:?}\n")), Shift(0));
        let from_ndjson = run(&ndjson, &mapping(String::new()), Shift(0));
        prop_assert_eq!(&from_csv, &from_ndjson);
        prop_assert_eq!(from_csv.len(), rows.len());
        for (event, (id, text, n)) in from_csv.iter().zip(&rows) {
            let event: serde_json::Value = serde_json::from_str(event).unwrap();
            prop_assert_eq!(event["userId"].as_str(), Some(id.as_str()));
            prop_assert_eq!(event["traits"]["n"].as_i64(), Some(*n));
            let expect = if text.trim().is_empty() { None } else { Some(text.as_str()) };
            prop_assert_eq!(event["traits"]["text"].as_str(), expect);
        }
    }
}
