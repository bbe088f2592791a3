//! `kill -9` while events come in, and a disk that is full.

use std::collections::HashMap;

use onefold_model::rng::SeededRng;
use serde_json::{Value, json};

use crate::support::{Folder, http};

/// Rounds of serve, send, kill.
const ROUNDS: u64 = 6;

/// Events of one batch.
const EVENTS: u64 = 20;

/// The batch with this number, and its message ids.
fn batch(round: u64, batch: u64) -> (Vec<String>, Value) {
    let ids: Vec<String> = (0..EVENTS).map(|n| format!("{round}-{batch}-{n}")).collect();
    let event = |id: &String| {
        json!({ "type": "track", "event": "Seen", "userId": format!("u{}", batch % 50), "messageId": id,
                "timestamp": "2026-11-01T00:00:00Z" })
    };
    let events: Vec<Value> = ids.iter().map(event).collect();
    (ids, json!({ "batch": events }))
}

/// Sends batches until the server is gone; gives the ids of those that were acknowledged.
fn send_until_gone(url: &str, key: &str, round: u64) -> Vec<String> {
    let client = http();
    let mut acknowledged = vec![];
    for number in 0.. {
        let (ids, body) = batch(round, number);
        match client.post(format!("{url}/v1/batch")).basic_auth(key, Some("")).json(&body).send() {
            Ok(answer) if answer.status().is_success() => acknowledged.extend(ids),
            Ok(answer) => panic!("answered {}", answer.status()),
            Err(_) => return acknowledged,
        }
    }
    acknowledged
}

/// What was acknowledged is in the log, and everything in the log is in the profiles, once.
fn check(folder: &Folder, acknowledged: &[String]) {
    let dump = folder.run(&["log", "dump"]);
    let mut in_log: HashMap<String, u64> = HashMap::new();
    for line in dump.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        *in_log.entry(record["event"]["messageId"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let lost: Vec<&String> = acknowledged.iter().filter(|id| !in_log.contains_key(*id)).collect();
    assert!(lost.is_empty(), "{} acknowledged events are not in the log", lost.len());
    let totals = folder.json(&["stats"])["totals"].clone();
    assert_eq!(totals["events.accepted"].as_u64(), Some(in_log.len() as u64));
    let of_people: u64 = (0..50)
        .filter_map(|n| {
            let output = folder.output(&["profile", "show", &format!("u{n}")]);
            serde_json::from_slice::<Value>(&output.stdout).ok()?["events"].as_u64()
        })
        .sum();
    assert_eq!(of_people, in_log.len() as u64, "each event is in one profile, once");
}

#[test]
fn kill_9_loses_no_acknowledged_event_and_applies_none_twice() {
    let folder = Folder::new();
    let key = folder.json(&["source", "add", "web"])["write_key"].as_str().unwrap().to_owned();
    let rng = SeededRng::new(3);
    let mut acknowledged = vec![];
    for round in 0..ROUNDS {
        let server = folder.serve();
        let (url, wait) = (server.url.clone(), 50 + rng.below(400));
        let key = key.clone();
        let sender = std::thread::spawn(move || send_until_gone(&url, &key, round));
        for _ in 0..wait / 10 {
            crate::support::pause();
        }
        server.kill();
        acknowledged.extend(sender.join().unwrap());
    }
    assert!(acknowledged.len() > 100, "only {} events were acknowledged", acknowledged.len());
    check(&folder, &acknowledged);
}

#[test]
fn a_full_disk_is_said_and_when_there_is_room_again_nothing_is_lost() {
    let folder = Folder::new();
    let key = folder.json(&["source", "add", "web"])["write_key"].as_str().unwrap().to_owned();
    let server = folder.serve_within_limits();
    let client = http();
    let send = |body: &Value| {
        client.post(format!("{}/v1/batch", server.url)).basic_auth(&key, Some("")).json(body).send().unwrap()
    };
    let mut acknowledged = vec![];
    for round in 0..2 {
        server.files_end_at("2000000");
        let mut refused = 0;
        for number in 0..3000 {
            let (ids, body) = batch(round, number);
            let answer = send(&body);
            if answer.status().is_success() {
                acknowledged.extend(ids);
            } else {
                assert_eq!(answer.status(), 503);
                assert!(answer.headers().contains_key("retry-after"));
                refused += 1;
            }
            if refused == 5 {
                break;
            }
        }
        assert_eq!(refused, 5, "the limit was met");
        assert!(client.get(format!("{}/healthz", server.url)).send().unwrap().status().is_success());
        server.files_end_at("unlimited");
        // The senders come again with what was refused.
        for number in 0..3000 {
            let (ids, body) = batch(round, number);
            if acknowledged.contains(&ids[0]) {
                continue;
            }
            assert_eq!(send(&body).status(), 200);
            acknowledged.extend(ids);
            if number % 100 == 99 {
                break;
            }
        }
    }
    assert!(acknowledged.len() > 1000, "only {} events were acknowledged", acknowledged.len());
    server.kill();
    check(&folder, &acknowledged);
}
