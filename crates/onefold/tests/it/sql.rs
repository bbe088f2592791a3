//! SQL from outside: the command, the API in its three forms, and other engines over the same files.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Folder, Server, http, pause, root};

/// Two people, and two orders.
pub fn shop(folder: &Folder, server: &Server) {
    let key = folder.json(&["source", "add", "web"])["write_key"].as_str().unwrap().to_owned();
    let send = |call: &str, body: Value| {
        let answer = http().post(format!("{}/v1/{call}", server.url)).basic_auth(&key, Some("")).json(&body).send();
        assert!(answer.unwrap().status().is_success());
    };
    send("identify", json!({ "userId": "u1", "traits": { "plan": "pro" } }));
    send("identify", json!({ "userId": "u2", "traits": { "plan": "free" } }));
    send("track", json!({ "userId": "u1", "event": "Order", "properties": { "total": 19.9 } }));
    send(
        "track",
        json!({ "userId": "u2", "event": "Order", "properties": { "total": "7.50", "note": "a \"quote\", and\na line" } }),
    );
}

#[test]
fn a_command_and_the_api_say_the_same_in_every_form() {
    let folder = Folder::new();
    let server = folder.serve();
    shop(&folder, &server);
    let answer = folder.json(&["sql", "SELECT event, count(*) AS n, sum((properties->>'total')::decimal(9,2)) AS total FROM events GROUP BY event ORDER BY 1"]);
    assert_eq!(
        answer["columns"],
        json!([{ "name": "event", "type": "text" }, { "name": "n", "type": "bigint" }, { "name": "total", "type": "numeric(19,2)" }])
    );
    assert_eq!(answer["rows"], json!([["Order", 2, 27.40], ["identify", 2, null]]));
    assert!(answer["elapsed_ms"].is_number() && answer["as_of_offset"].as_u64().unwrap() >= 4, "{answer}");
    let table = folder.run(&["sql", "SELECT value FROM identifiers ORDER BY 1", "--format", "table"]);
    assert_eq!(table.split_whitespace().collect::<Vec<_>>(), ["value", "u1", "u2"]);

    let ask = |accept: &str, sql: &str| {
        let url = format!("{}/api/v1/sql", server.url);
        http()
            .post(url)
            .bearer_auth(folder.token())
            .header("accept", accept)
            .json(&json!({ "sql": sql, "now": true }))
            .send()
            .unwrap()
    };
    let csv =
        ask("text/csv", "SELECT user_id, properties->>'note' AS note FROM events WHERE event = 'Order' ORDER BY 1");
    assert!(csv.headers()["content-type"].to_str().unwrap().starts_with("text/csv"));
    assert_eq!(csv.text().unwrap(), "user_id,note\nu1,\nu2,\"a \"\"quote\"\", and\na line\"\n");
    assert_eq!(ask("text/csv", "SELECT user_id FROM events WHERE false").text().unwrap(), "user_id\n");
    let wrong = ask("text/csv", "SELECT usr_id FROM events");
    assert_eq!(wrong.status(), 400);
    let wrong: Value = wrong.json().unwrap();
    assert_eq!(wrong["code"], "bad_sql");
    assert_eq!(wrong["problems"], json!(["line 1, column 8"]));
    assert!(wrong["cure"].as_str().unwrap().contains("user_id"), "{wrong}");
    assert_eq!(ask("", "DROP TABLE events").status(), 400);

    // Without a server the command answers the same, of the same folder.
    let sql = "SELECT count(*) FROM events";
    let before = folder.json(&["sql", sql]);
    drop(server);
    assert_eq!(folder.json(&["sql", sql])["rows"], before["rows"]);
    let refused = folder.output(&["sql", "SELECT 1 FROM evnts"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("line 1, column 15") && said.contains("events"), "{said}");
}

/// All at once, as a stream, of a segment or of a condition; and how its size went.
#[test]
fn members_are_exported_and_a_segment_has_a_history() {
    let folder = Folder::new();
    let server = folder.serve();
    shop(&folder, &server);
    folder.json(&["segment", "set", "--name", "buyers", "--text", "count(\"Order\") >= 1"]);
    let id = |user: &str| folder.json(&["profile", "show", user])["id"].as_str().unwrap().to_owned();
    let (u1, u2) = (id("u1"), id("u2"));

    let lines = folder.run(&["segment", "export", "buyers", "--with", "plan", "--with", "a \"b\""]);
    let mut members: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    members.sort_by_key(|member| member["plan"].as_str().unwrap().to_owned());
    let member = |id: &str, plan: &str| json!({ "id": id, "plan": plan, "a \"b\"": null });
    assert_eq!(members, [member(&u2, "free"), member(&u1, "pro")]);
    let csv = folder.run(&["segment", "export", "trait plan = \"pro\"", "--with", "plan", "--csv"]);
    assert_eq!(csv, format!("id,plan\n{u1},pro\n"));
    assert_eq!(folder.run(&["segment", "export", "nobody", "--csv"]), "id\n");
    for wrong in [&["trait plan is"][..], &["buyers", "--with", "id"], &["buyers", "--with", "plan", "--with", "plan"]]
    {
        assert!(!folder.output(&[&["segment", "export"], wrong].concat()).status.success(), "{wrong:?}");
    }

    let history = folder.json(&["segment", "history", "buyers"]);
    let days = history.as_array().unwrap();
    assert_eq!(days.len(), 1);
    assert_eq!((&days[0]["entered"], &days[0]["left"], &days[0]["size"]), (&json!(2), &json!(0), &json!(2)));
    assert_eq!(days[0]["day"].as_str().unwrap().len(), "2026-01-01".len());
    // Days are the workspace's: these two are never on the same one.
    let day_in = |zone: &str| {
        let settings = folder.file("settings.json", &json!({ "time_zone": zone }).to_string());
        folder.json(&["settings", "set", settings.to_str().unwrap()]);
        folder.json(&["segment", "history", "buyers"])[0]["day"].as_str().unwrap().to_owned()
    };
    assert!(day_in("Pacific/Niue") < day_in("Pacific/Kiritimati"));
    let history = folder.json(&["segment", "history", "buyers"]);
    let refused = folder.output(&["segment", "history", "byers"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("segment list"));

    // Without a server the command answers the same.
    drop(server);
    assert_eq!(folder.json(&["segment", "history", "buyers"]), history);
    assert_eq!(folder.run(&["segment", "export", "buyers"]).lines().count(), 2);
}

/// What was delivered is a table too, though it does not follow from the log.
#[test]
fn deliveries_can_be_asked() {
    let folder = Folder::new();
    let server = folder.serve();
    shop(&folder, &server);
    folder.json(&["segment", "set", "--name", "buyers", "--text", "count(\"Order\") >= 1"]);
    assert_eq!(folder.json(&["sql", "SELECT * FROM deliveries"])["rows"], json!([]));
    let config =
        json!({ "location": "house", "format": "csv", "mode": "audience", "interval_s": 1, "purpose": "marketing" });
    let file = json!({ "name": "house", "kind": "file", "segments": ["buyers"], "config": config });
    let file = folder.file("file.json", &file.to_string());
    folder.json(&["destination", "set", file.to_str().unwrap()]);
    folder.json(&["destination", "sync", "house"]);
    // Nobody agreed to marketing, so nothing left, and that is said.
    let sql = "SELECT destination, kind, segment, status, count(DISTINCT profile) AS people \
               FROM deliveries JOIN profiles USING (profile) GROUP BY 1, 2, 3, 4";
    while folder.json(&["sql", sql])["rows"] != json!([["house", "enter", "buyers", "skipped", 2]]) {
        pause();
    }
}

/// What the index has no memory for is asked of the tables, and what these do not have of the log.
#[test]
fn a_condition_that_the_index_is_too_small_for_is_counted_all_the_same() {
    let folder = Folder::with(vec![("ONEFOLD_AUDIENCE__BYTES_MAX", "1".to_owned())]);
    let server = folder.serve();
    shop(&folder, &server);
    let preview = |text: &str| folder.json(&["segment", "preview", text, "--by", "plan"]);
    let found = preview("sum(\"Order\", total) >= 7.5 and count(any event) > 1 within 1 day");
    assert_eq!((&found["served_by"], &found["count"]), (&"sql".into(), &2.into()));
    assert_eq!(found["sample"].as_array().unwrap().len(), 2);
    assert_eq!(found["by"]["plan"], json!([{ "value": "free", "count": 1 }, { "value": "pro", "count": 1 }]));
    assert_eq!(preview("trait plan = \"it's none\"")["count"], 0);
    let found = preview("count(any event where $channel does not exist) >= 2");
    assert_eq!((&found["served_by"], &found["count"]), (&"log".into(), &2.into()));
}

#[test]
fn other_engines_read_the_same_tables() {
    let folder = Folder::new();
    let server = folder.serve();
    shop(&folder, &server);
    // Versions of a profile, of which only the newest counts.
    folder.run(&["profile", "merge", "u1", "u2"]);
    folder.run(&["sql", "SELECT 1"]);
    folder.run(&["profile", "unmerge", "u1", "u2"]);
    let url = format!("{}/api/v1/sql", server.url);
    let body = json!({ "sql": "SELECT event, count(*) AS n FROM events GROUP BY event ORDER BY 1", "now": true });
    let stream = http()
        .post(url)
        .bearer_auth(folder.token())
        .header("accept", "application/vnd.apache.arrow.stream")
        .json(&body);
    let stream = folder.file_of_bytes("answer.arrow", &stream.send().unwrap().bytes().unwrap());
    let here = root().join("tests/engines");
    let output = Command::new(here.join(".venv/bin/python"))
        .arg(here.join("read.py"))
        .arg(folder.path().join("lake/1"))
        .arg(stream)
        .output()
        .expect("Python with the engines; `make setup` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["events"], 4);
    assert_eq!(found["by_day"], 4);
    assert_eq!(found["members"], 0, "a table without rows is there");
    assert_eq!(found["people"], json!([["u1", "pro"], ["u2", "free"]]));
    assert_eq!(found["total"], "27.40");
    assert_eq!(found["streamed"], json!([{ "event": "Order", "n": 2 }, { "event": "identify", "n": 2 }]));
    assert!(found["columns"].as_array().unwrap().contains(&json!("properties")), "{found}");
}

#[test]
fn tools_that_speak_to_postgresql_ask_the_tables() {
    let folder = Folder::with(vec![("ONEFOLD_LAKE__LISTEN", "127.0.0.1:0".to_owned())]);
    let server = folder.serve();
    shop(&folder, &server);
    folder.run(&["sql", "SELECT 1"]);
    let running: Value = serde_json::from_slice(&std::fs::read(folder.path().join("server.json")).unwrap()).unwrap();
    let address = running["sql"].as_str().unwrap();
    let here = root().join("tests/engines");
    let output = Command::new(here.join(".venv/bin/python"))
        .arg(here.join("wire.py"))
        .args([address, &folder.token()])
        .output()
        .expect("Python with the drivers; `make setup` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        found["wrong_password"].as_str().unwrap().contains("the e-mail address, the password or the code is wrong"),
        "{found}"
    );
    assert!(found["wrong_workspace"].as_str().unwrap().contains("there is no workspace \"nowhere\""), "{found}");
    assert_eq!(found["typed"], json!(["Order", 2, "27.4", true, true]));
    assert_eq!(found["binary"], json!([4, true]));
    assert_eq!((&found["before"], &found["for_marketing"]), (&json!([2]), &json!([0])));
    assert_eq!(found["outdated"]["code"], "0A000", "{found}");
    assert_eq!(found["transaction"], json!([["u1"], ["u2"]]));
    let refused = |sql: &str, code: &str| {
        let said = &found["refused"][sql];
        assert_eq!(said["code"], code, "{sql}: {said}");
        said.clone()
    };
    let said = refused("SELECT usr_id FROM events", "42601");
    assert_eq!(said["position"], "8");
    assert!(said["hint"].as_str().unwrap().contains("user_id"), "{said}");
    assert!(refused("SELECT 1 FROM evnts", "42601")["hint"].as_str().unwrap().contains("events"));
    refused("SELECT count(*)\n  FROM events WHERE", "42601");
    for sql in found["refused"].as_object().unwrap().keys().filter(|sql| !sql.contains("FROM")) {
        assert!(["25006", "42601"].contains(&found["refused"][sql]["code"].as_str().unwrap()), "{sql}: {found}");
    }
    assert_eq!(found["prepared"]["code"], "25006", "{found}");
    assert_eq!(found["goes_on"], json!([4]));
    for table in ["events", "profiles", "identifiers", "segment_members", "consents"] {
        assert!(found["tables"].as_array().unwrap().contains(&json!(table)), "{}", found["tables"]);
    }
    assert_eq!((&found["columns"]["node"], &found["columns"]["time"]), (&"BIGINT".into(), &"TIMESTAMP".into()));

    let (host, port) = address.split_once(':').unwrap();
    let psql = |command: &str| {
        let output = Command::new("psql")
            .args([
                "--host",
                host,
                "--port",
                port,
                "--username",
                "analyst",
                "--no-psqlrc",
                "--tuples-only",
                "--no-align",
            ])
            .args(["--command", command, "default"])
            .env("PGPASSWORD", folder.token())
            .output()
            .expect("psql; `make setup` installs it");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(psql("SELECT event, count(*) FROM events GROUP BY event ORDER BY 1"), "Order|2\nidentify|2\n");
    assert!(psql("\\d").contains("events"));
    let several = Command::new("psql")
        .args(["--host", host, "--port", port, "--username", "analyst", "--no-psqlrc"])
        .args(["--command", "SELECT 1; SELECT usr_id FROM events", "default"])
        .env("PGPASSWORD", folder.token())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&several.stderr).into_owned();
    assert!(said.contains("there is no column usr_id"), "of several statements the wrong one is said: {said}");
}

#[test]
fn a_table_that_cannot_be_reached_is_said_in_a_sentence() {
    let folder = Folder::with(vec![("ONEFOLD_LAKE__URL", "s3://nowhere/lake".to_owned())]);
    let refused = folder.output(&["sql", "SELECT 1"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && !said.contains("panicked"), "{said}");
    let wrong = Folder::with(vec![("ONEFOLD_LAKE__URL", "not a url".to_owned())]);
    let said = String::from_utf8_lossy(&wrong.output(&["stats"]).stderr).into_owned();
    assert!(said.contains("[lake]"), "{said}");
}
