//! `kill -9` while events come in.

use std::collections::HashMap;

use onefold_model::rng::SeededRng;
use serde_json::{Value, json};

use crate::support::{Folder, http};

/// Rounds of serve, send, kill.
const ROUNDS: u64 = 6;

/// Sends batches until the server is gone; gives the ids of those that were acknowledged.
fn send_until_gone(url: &str, key: &str, round: u64) -> Vec<String> {
    let client = http();
    let mut acknowledged = vec![];
    for batch in 0.. {
        let ids: Vec<String> = (0..20).map(|n| format!("{round}-{batch}-{n}")).collect();
        let events: Vec<Value> = ids
            .iter()
            .map(|id| {
                json!({ "type": "track", "event": "Seen", "userId": format!("u{}", batch % 50), "messageId": id,
                        "timestamp": "2026-11-01T00:00:00Z" })
            })
            .collect();
        let request = client.post(format!("{url}/v1/batch")).basic_auth(key, Some(""));
        match request.json(&json!({ "batch": events })).send() {
            Ok(answer) if answer.status().is_success() => acknowledged.extend(ids),
            Ok(answer) => panic!("answered {}", answer.status()),
            Err(_) => return acknowledged,
        }
    }
    acknowledged
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
