//! Commands, with and without a server on the folder.

use std::io::{Read as _, Write as _};

use serde_json::json;

use onefold_state::testing::Postgres;

use crate::support::{Folder, root};

fn shop(folder: &Folder) {
    let data = root().join("data");
    let (file, mapping) = (data.join("cdnow_sample.txt"), data.join("cdnow.toml"));
    let (file, mapping) = (file.to_str().unwrap(), mapping.to_str().unwrap());
    let report = folder.json(&["import", file, "--source", "shop", "--mapping", mapping]);
    assert_eq!((report["rows"].as_u64(), report["refused"].as_u64()), (Some(6919), Some(0)), "{report}");
}

/// The purchases counted by hand, from the file itself.
fn customers_with(orders: usize, dollars: f64) -> usize {
    let text = std::fs::read_to_string(root().join("data/cdnow_sample.txt")).unwrap();
    let mut people = std::collections::HashMap::<&str, (usize, f64)>::new();
    for line in text.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let person = people.entry(columns[0]).or_default();
        person.0 += 1;
        person.1 += columns[4].parse::<f64>().unwrap();
    }
    people.values().filter(|(n, sum)| *n >= orders && *sum > dollars + 1e-6).count()
}

#[test]
fn the_main_job_works_without_a_server_and_says_the_same_with_one() {
    the_main_job(&Folder::new());
}

#[test]
fn the_main_job_works_with_the_state_in_postgresql() {
    let postgres = Postgres::start();
    let folder =
        Folder::with(vec![("ONEFOLD_STATE__STORE", "postgres".to_owned()), ("ONEFOLD_STATE__URL", postgres.url())]);
    the_main_job(&folder);
    assert!(!folder.path().join("state.db").exists());
    let rebuilt = folder.json(&["rebuild"]);
    assert_eq!(rebuilt["records"].as_u64(), folder.json(&["stats"])["applied"].as_u64(), "{rebuilt}");
    assert_eq!(folder.json(&["profile", "show", "00004"])["events"], 4);
}

fn the_main_job(folder: &Folder) {
    let key = folder.json(&["source", "add", "web", "--kind", "http"]);
    assert_eq!(key["name"], "web");
    assert_eq!(key["write_key"].as_str().unwrap().len(), 32);
    shop(folder);
    let text = r#"count("Order Completed") >= 3 and sum("Order Completed", revenue) > 100"#;
    folder.run(&["segment", "set", "--name", "high-value", "--text", text]);
    let expected = customers_with(3, 100.0);
    let count = folder.json(&["segment", "count", "high-value"]);
    assert_eq!((count["segment"].as_str(), count["count"].as_u64()), (Some("high-value"), Some(expected as u64)));
    let preview = folder.json(&["segment", "preview", text, "--by", "plan"]);
    assert_eq!(preview["count"].as_u64(), Some(expected as u64));
    assert_eq!((&preview["served_by"], &preview["by"]["plan"][0]["count"]), (&"index".into(), &preview["count"]));
    let overlap = folder.json(&["segment", "overlap", "high-value", r#"count("Order Completed") >= 1"#]);
    let others = overlap["counts"][1].as_u64().unwrap() - expected as u64;
    assert_eq!(
        overlap["overlaps"],
        serde_json::json!([{ "of": [1], "count": others }, { "of": [0, 1], "count": expected }])
    );
    let members = folder.run(&["segment", "members", "high-value"]);
    assert_eq!(members.lines().count(), expected);
    let questions: [&[&str]; 5] = [
        &["segment", "members", "high-value"],
        &["profile", "show", "00004"],
        &["segment", "explain", "high-value", "00004"],
        &["log", "dump"],
        &["segment", "list"],
    ];
    let alone: Vec<String> = questions.iter().map(|args| folder.run(args)).collect();
    let server = folder.serve();
    let served: Vec<String> = questions.iter().map(|args| folder.run(args)).collect();
    assert_eq!(alone, served);
    // The index of a running server follows what comes.
    let ever = r#"count("Order Completed") >= 1"#;
    let before = folder.json(&["segment", "preview", ever])["count"].as_u64().unwrap();
    folder.run(&["profile", "merge", "user_id:00004", "user_id:00111"]);
    assert_eq!(folder.json(&["segment", "preview", ever])["count"], before - 1);
    folder.run(&["profile", "unmerge", "user_id:00004", "user_id:00111"]);
    assert_eq!(folder.json(&["segment", "preview", ever])["count"], before);
    drop(server);
    let profile = folder.json(&["profile", "show", "00004"]);
    assert_eq!(profile["identifiers"][0]["kind"], "user_id");
    assert_eq!(profile["events"], 4);
}

#[test]
fn an_import_twice_counts_once_and_bad_rows_have_their_lines() {
    let folder = Folder::new();
    let file =
        folder.file("people.csv", "user_id,email,plan\nu1,ada@example.com,pro\nu2,grace@example.com\nu3,,free\n");
    let file = file.to_str().unwrap();
    for _ in 0..2 {
        let report = folder.json(&["import", file, "--source", "crm", "--yes"]);
        assert_eq!(report["refused"], 1, "{report}");
    }
    let stats = folder.json(&["stats"]);
    assert_eq!(stats["totals"]["events.accepted"], 2);
    assert_eq!(stats["totals"]["events.duplicate"], 2);
    let letters = folder.json(&["deadletter", "list"]);
    assert_eq!(letters.as_array().unwrap().len(), 1);
    assert_eq!(letters[0]["line"], 3);
    let profile = folder.json(&["profile", "show", "ada@example.com"]);
    assert_eq!(profile["traits"]["plan"]["value"], "pro");
    assert_eq!(profile["traits"]["plan"]["source"], "crm");
}

#[test]
fn of_an_export_that_grows_only_new_rows_are_taken() {
    let folder = Folder::new();
    let head = "user_id,event,at\n";
    let rows = ["u1,Order,2026-01-01", "u1,Order,2026-01-01", "u2,Order,2026-01-02"].join("\n");
    let mapping = "kind = \"track\"\nevent = { column = \"event\" }\nidentifiers = { user_id = \"user_id\" }\n\
                   timestamp = { column = \"at\" }\n";
    let mapping = folder.file("orders.toml", mapping);
    for (content, events) in [
        (format!("{head}{rows}"), 3),
        (format!("{head}{rows}\nu1,Order,2026-01-01\nu3,Order,2026-01-03\n"), 5),
        (format!("{head}u3,Order,2026-01-03\nu4,Order,2026-01-04\n"), 6),
    ] {
        let file = folder.file("orders.csv", &content);
        let args = ["import", file.to_str().unwrap(), "--source", "shop", "--incremental", "--mapping"];
        folder.run(&[&args[..], &[mapping.to_str().unwrap()]].concat());
        assert_eq!(folder.json(&["stats"])["totals"]["events.accepted"], events);
    }
    assert_eq!(folder.json(&["profile", "show", "u1"])["events"], 3, "equal rows of one file are different orders");
}

#[test]
fn a_file_of_the_web_is_imported() {
    let folder = Folder::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1000];
            let length = stream.read(&mut request).unwrap();
            let body = "user_id,email\nu1,ada@example.com\n";
            let found = request[..length].starts_with(b"GET /people.csv ");
            let status = if found { "200 OK" } else { "404 Not Found" };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).unwrap();
        }
    });
    let report = folder.json(&["import", &format!("{url}/people.csv"), "--source", "crm", "--yes"]);
    assert_eq!(report["accepted"], 1);
    assert_eq!(folder.json(&["profile", "show", "ada@example.com"])["identifiers"].as_array().unwrap().len(), 2);
    let missing = folder.output(&["import", &format!("{url}/nobody.csv"), "--source", "crm", "--yes"]);
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(!missing.status.success() && said.contains("404") && said.contains("Check the address"), "{said}");
}

#[test]
fn a_merge_can_be_undone() {
    let folder = Folder::new();
    let file = folder.file("people.csv", "user_id,email\nu1,ada@example.com\nu2,grace@example.com\n");
    folder.run(&["import", file.to_str().unwrap(), "--source", "crm", "--yes"]);
    let before = folder.json(&["profile", "show", "u2"]);
    let merged = folder.json(&["profile", "merge", "user_id:u1", "user_id:u2"]);
    assert_eq!(merged["a"], merged["b"]);
    assert_eq!(folder.json(&["profile", "show", "u2"])["identifiers"].as_array().unwrap().len(), 4);
    folder.run(&["profile", "unmerge", "user_id:u1", "user_id:u2"]);
    let after = folder.json(&["profile", "show", "u2"]);
    for part in ["id", "identifiers", "traits", "events"] {
        assert_eq!(before[part], after[part], "{part}");
    }
}

#[test]
fn a_rebuild_gives_the_same() {
    let folder = Folder::new();
    folder.run(&["segment", "set", "--name", "buyers", "--text", r#"count("Order Completed") >= 2"#]);
    shop(&folder);
    let before = (folder.run(&["segment", "members", "buyers"]), folder.run(&["profile", "show", "00111"]));
    let rebuilt = folder.json(&["rebuild"]);
    assert!(rebuilt["records"].as_u64().unwrap() > 6919, "{rebuilt}");
    assert_eq!(before.0, folder.run(&["segment", "members", "buyers"]));
    let after = folder.run(&["profile", "show", "00111"]);
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let (before, after) = (parse(&before.1), parse(&after));
    for part in ["id", "identifiers", "traits", "computed", "events"] {
        assert_eq!(before[part], after[part], "{part}");
    }
}

#[test]
fn failures_have_a_cause_and_a_cure() {
    let folder = Folder::new();
    let check = |args: &[&str], parts: &[&str]| {
        let output = folder.output(args);
        assert!(!output.status.success(), "{args:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        for part in parts {
            assert!(said.contains(part), "{args:?} said: {said}");
        }
    };
    check(&["segment", "count", "nobody"], &["nobody", "onefold segment list"]);
    check(&["profile", "show", "nobody"], &["nobody", "e-mail"]);
    check(&["segment", "set", "--name", "x", "--text", "count(Order >= 3"], &["line 1"]);
    check(&["import", "/nowhere.csv", "--source", "s", "--yes"], &["nowhere.csv"]);
    check(&["serve", "--role", "edge"], &["Kafka"]);
    check(&["stats", "--workspace", "other"], &["onefold workspace add"]);
}

#[test]
fn a_flipped_byte_in_the_log_is_found() {
    let folder = Folder::new();
    shop(&folder);
    assert_eq!(folder.json(&["log", "verify"])["whole"], json!(true));
    let path = folder.path().join("log.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let block = bytes.windows(4).position(|w| w == b"OFLB").expect("a block begins with its magic");
    bytes[block + 200] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let output = folder.output(&["log", "verify"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("\"whole\":false"), "{said}");
}
