//! The stock SDKs, with only URL and write key changed: what each sends is read back field by field, and what a
//! failing server answers costs no event and counts none twice.

mod proxy;

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    process::{Command, Stdio},
};

use onefold_model::clock::Timestamp;
use serde_json::{Value, json};

use self::proxy::{Fault, proxy};
use crate::support::{Folder, pause, root};

/// A look each 10 ms: a run is given up after two minutes.
const LOOKS: u32 = 12_000;

struct Sdk {
    /// Program and script, seen from `tests/sdk`.
    command: &'static [&'static str],
    /// What it calls itself in `context.library.name`.
    library: &'static str,
    calls: &'static [&'static str],
    /// Whether it knows one person at a time, as a page does: what it sends bears the id that it remembers.
    remembers: bool,
}

const ALL: &[&str] = &["identify", "track", "page", "screen", "group", "alias"];

const SEGMENT_NODE: Sdk =
    Sdk { command: &["node", "segment-node.mjs"], library: "@segment/analytics-node", calls: ALL, remembers: false };
const RUDDER_NODE: Sdk = Sdk { command: &["node", "rudder-node.mjs"], library: "analytics-node", ..SEGMENT_NODE };
const SEGMENT_PYTHON: Sdk =
    Sdk { command: &[".venv/bin/python", "segment_python.py"], library: "analytics-python", ..SEGMENT_NODE };
const RUDDER_PYTHON: Sdk = Sdk { command: &[".venv/bin/python", "rudder_python.py"], ..SEGMENT_PYTHON };
const SEGMENT_BROWSER: Sdk =
    Sdk { command: &["node", "browser.mjs", "segment"], library: "analytics.js", remembers: true, ..SEGMENT_NODE };
const RUDDER_BROWSER: Sdk = Sdk {
    command: &["node", "browser.mjs", "rudder"],
    library: "RudderLabs JavaScript SDK",
    calls: &["identify", "track", "page", "group", "alias"],
    ..SEGMENT_BROWSER
};

/// Runs an SDK's script to its end; gives what it printed.
fn run(sdk: &Sdk, folder: &Folder, url: &str, key: &str, calls: &Path) -> String {
    let here = root().join("tests/sdk");
    let chromium = std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|at| at.join("chromium").exists());
    let there = here.join("node_modules").exists() && here.join(".venv/bin/python").exists() && chromium;
    assert!(there, "the SDKs or Chromium are missing; `make test` installs them");
    let log = folder.file("sdk.log", "");
    let output = std::fs::File::create(&log).unwrap();
    let mut child = Command::new(sdk.command[0])
        .args(&sdk.command[1..])
        .args([url, key])
        .arg(calls)
        .current_dir(&here)
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1")
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    for _ in 0..LOOKS {
        if let Some(status) = child.try_wait().unwrap() {
            let said = std::fs::read_to_string(&log).unwrap();
            assert!(status.success(), "{:?}: {status}: {said}", sdk.command);
            return said;
        }
        pause();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("{:?} does not end: {}", sdk.command, std::fs::read_to_string(&log).unwrap());
}

/// A site whose banner tells the SDK: nothing is sent before the visitor agrees, and what they take back counts.
fn check_banner(sdk: &'static [&'static str]) {
    let folder = Folder::new();
    let key = key(&folder);
    let server = folder.serve();
    let banner = Sdk { command: sdk, ..SEGMENT_BROWSER };
    let before = run(&banner, &folder, &server.url, &key, Path::new(""));
    assert_eq!(before.trim(), r#"{"before":0}"#);
    folder.run(&["stats"]);
    let profile = folder.json(&["profile", "show", "ada"]);
    let [analytics, marketing] = ["analytics", "marketing"].map(|purpose| &profile["consent"][purpose]);
    assert_eq!((&analytics["allowed"], &marketing["allowed"]), (&json!(true), &json!(false)), "{profile}");
    let said = "select state, count(*) from consents where purpose = 'marketing' group by state order by state";
    let said = folder.json(&["sql", said])["rows"].clone();
    assert_eq!([&said[0][0], &said[1][0]], ["denied", "granted"], "{said}");
    drop(server);
}

#[test]
fn klaro_and_segments_consent_tools() {
    check_banner(&["node", "banner.mjs", "segment"]);
}

#[test]
fn klaro_and_rudderstacks_consent_management() {
    check_banner(&["node", "banner.mjs", "rudder"]);
}

fn key(folder: &Folder) -> String {
    folder.json(&["source", "add", "web"])["write_key"].as_str().unwrap().to_owned()
}

fn records(folder: &Folder) -> Vec<Value> {
    let dump = folder.run(&["log", "dump", "--format", "ndjson"]);
    dump.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn time(value: &Value) -> i64 {
    Timestamp::parse(value.as_str().unwrap()).unwrap().0
}

/// Whether all that was said is there; SDKs add members of their own to objects.
fn holds(said: &Value, kept: &Value) -> bool {
    match (said, kept) {
        (Value::Object(said), Value::Object(kept)) => {
            said.iter().all(|(name, value)| kept.get(name).is_some_and(|kept| holds(value, kept)))
        }
        _ => said == kept,
    }
}

fn check(sdk: &Sdk) {
    let folder = Folder::new();
    let key = key(&folder);
    let server = folder.serve();
    let file = root().join("tests/sdk/calls.json");
    run(sdk, &folder, &server.url, &key, &file);
    server.kill();

    let records = records(&folder);
    assert!(!folder.run(&["log", "dump"]).contains(&key), "the write key is in the log");
    assert_eq!(records.len(), sdk.calls.len());
    let ids: HashSet<&str> = records.iter().map(|record| record["event"]["messageId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), records.len(), "message ids are unique");
    assert!(ids.iter().all(|id| !id.is_empty()));

    let calls: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for call in calls.iter().filter(|call| sdk.calls.contains(&call["type"].as_str().unwrap())) {
        let record = records.iter().find(|record| record["event"]["type"] == call["type"]).unwrap();
        let event = &record["event"];
        for (name, said) in call.as_object().unwrap() {
            let kept = match name.as_str() {
                "timestamp" => continue,
                // Segment's writes the id that it remembers over the one it is given (`addIdentity`).
                "userId" if sdk.library == "analytics.js" && call["type"] == "alias" => {
                    assert_eq!(event["userId"], "ada");
                    continue;
                }
                // RudderStack's place for them.
                "traits" if event.get("traits").is_none_or(|traits| !holds(said, traits)) => {
                    &event["context"]["traits"]
                }
                name => &event[name],
            };
            assert!(holds(said, kept), "{}.{name}: said {said}, kept {kept}", call["type"]);
        }
        assert_eq!(event["context"]["library"]["name"], sdk.library);
        assert_eq!(event["receivedAt"], record["received_at"]);
        let [at, original, sent, received] =
            ["timestamp", "originalTimestamp", "sentAt", "receivedAt"].map(|name| time(&event[name]));
        assert_eq!(at, received - (sent - original), "{event}");
        assert!((received - sent).abs() < 120_000, "{event}");
        assert_eq!(original, time(&call["timestamp"]), "{event}");
    }
}

/// Calls of some people, sent through one failure after the other.
fn check_faults(sdk: &Sdk) {
    const EVENTS: u64 = 60;
    const PEOPLE: u64 = 6;
    let folder = Folder::new();
    let key = key(&folder);
    let calls: Vec<Value> = (0..EVENTS)
        .map(|n| {
            json!({ "type": "track", "event": "Seen", "userId": format!("u{}", n % PEOPLE), "properties": { "n": n },
                    "timestamp": "2026-11-01T08:30:00.123Z" })
        })
        .collect();
    let file = folder.file("calls.json", &Value::from(calls).to_string());
    let server = folder.serve();
    // RudderStack's SDK for Node makes three attempts more, and then gives a batch up.
    let faults = [Fault::Answer(503, None), Fault::CutAfterCommit, Fault::Answer(429, Some(1))];
    let (url, left) = proxy(&server.url, faults);
    run(sdk, &folder, &url, &key, &file);
    server.kill();
    assert!(left.lock().unwrap().is_empty(), "not every fault was met");

    let records = records(&folder);
    let mut events: HashMap<&str, u64> = HashMap::new();
    for record in &records {
        let event = &record["event"];
        events.insert(event["messageId"].as_str().unwrap(), event["properties"]["n"].as_u64().unwrap());
    }
    let seen: HashSet<u64> = events.values().copied().collect();
    assert_eq!((events.len() as u64, seen.len() as u64), (EVENTS, EVENTS), "each event landed, under one message id");
    assert!(records.len() as u64 > EVENTS, "a cut connection makes the SDK send again");
    let totals = folder.json(&["stats"])["totals"].clone();
    assert_eq!(totals["events.accepted"], EVENTS);
    assert_eq!(totals["events.duplicate"], records.len() as u64 - EVENTS);
    for n in (0..PEOPLE).filter(|_| !sdk.remembers) {
        assert_eq!(folder.json(&["profile", "show", &format!("u{n}")])["events"], EVENTS / PEOPLE);
    }
}

#[test]
fn segment_node() {
    check(&SEGMENT_NODE);
}

#[test]
fn segment_python() {
    check(&SEGMENT_PYTHON);
}

#[test]
fn segment_browser() {
    check(&SEGMENT_BROWSER);
}

#[test]
fn rudder_node() {
    check(&RUDDER_NODE);
}

#[test]
fn rudder_python() {
    check(&RUDDER_PYTHON);
}

#[test]
fn rudder_browser() {
    check(&RUDDER_BROWSER);
}

#[test]
fn segment_node_through_faults() {
    check_faults(&SEGMENT_NODE);
}

#[test]
fn segment_python_through_faults() {
    check_faults(&SEGMENT_PYTHON);
}

#[test]
fn segment_browser_through_faults() {
    check_faults(&SEGMENT_BROWSER);
}

#[test]
fn rudder_browser_through_faults() {
    check_faults(&RUDDER_BROWSER);
}

#[test]
fn rudder_node_through_faults() {
    check_faults(&RUDDER_NODE);
}

#[test]
fn rudder_python_through_faults() {
    check_faults(&RUDDER_PYTHON);
}
