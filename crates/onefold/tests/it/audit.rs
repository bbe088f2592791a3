//! The audit log: what stands in it, and that no change of it goes unseen.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{Folder, http};

fn entries(folder: &Folder) -> Vec<Value> {
    let mut all = folder.json(&["audit", "list", "--limit", "1000"]).as_array().unwrap().clone();
    all.reverse();
    all
}

fn find<'a>(entries: &'a [Value], action: &str, kind: &str) -> &'a Value {
    let found = entries.iter().rev().find(|entry| entry["action"] == action && entry["kind"] == kind);
    found.unwrap_or_else(|| panic!("no entry {action} {kind} in {entries:#?}"))
}

#[test]
fn what_is_changed_read_in_bulk_and_refused_stands_there() {
    let folder = Folder::new();
    let server = folder.serve();
    let segment =
        |condition: &str| folder.file("segment.json", &json!({ "name": "pros", "condition": condition }).to_string());
    folder.run(&["segment", "set", segment(r#"trait plan = "pro""#).to_str().unwrap()]);
    folder.run(&["segment", "set", segment(r#"trait plan = "free""#).to_str().unwrap()]);
    let all = entries(&folder);
    let done = find(&all, "segments.edit", "done");
    assert_eq!(done["caller"], "operator");
    let note = &done["details"]["notes"][0];
    assert_eq!(
        (&note["command"], &note["before"]["condition"]["trait"]["is"]["equals"]),
        (&json!("segment_set"), &json!("pro"))
    );
    assert_eq!(note["after"]["condition"]["trait"]["is"]["equals"], "free");
    // That it begins stands there before it is done.
    let place = |kind: &str| all.iter().rposition(|entry| entry["action"] == "segments.edit" && entry["kind"] == kind);
    assert_eq!(place("begun").unwrap() + 1, place("done").unwrap());

    // A destination's secrets do not.
    let config = json!({ "name": "hook", "kind": "webhook", "events": ["*"],
        "config": { "url": "https://hook.example/x", "purpose": "ads", "secret": "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0" } });
    folder.run(&["destination", "set", folder.file("hook.json", &config.to_string()).to_str().unwrap()]);
    let all = entries(&folder);
    assert!(!json!(all).to_string().contains("whsec_"), "{all:#?}");
    assert_eq!(find(&all, "destinations.edit", "done")["details"]["notes"][0]["after"]["kind"], "webhook");

    // People are named by a code; questions stand there without what they compare with.
    folder.output(&["profile", "override", "ada@example.com", "plan", "pro"]);
    folder.run(&["sql", "SELECT count(*) FROM identifiers WHERE value = 'ada@example.com'"]);
    folder.run(&["user", "add", "mia@example.com", "--role", "marketer"]);
    let key = folder.json(&["key", "add", "bot", "agency"])["key"].as_str().unwrap().to_owned();
    let refused = http().delete(format!("{}/api/v1/segments/pros", server.url)).bearer_auth(&key).send().unwrap();
    assert_eq!(refused.status(), 403);
    http().get(format!("{}/api/v1/profiles", server.url)).bearer_auth(&key).send().unwrap();
    let all = entries(&folder);
    assert!(!json!(all).to_string().contains("ada@"), "{all:#?}");
    assert_eq!(find(&all, "profiles.edit", "failed")["details"]["identifier"].as_str().unwrap().len(), 32);
    assert_eq!(
        find(&all, "sql.ask", "done")["details"]["notes"][0]["sql"],
        "SELECT count(*) FROM identifiers WHERE value = ''"
    );
    assert_eq!(find(&all, "people.edit", "done")["details"]["notes"][0]["what"], "key");
    assert_eq!(find(&all, "segments.delete", "refused")["caller"], "key:1");
    assert_eq!(find(&all, "profiles.view", "read")["caller"], "key:1");
    let own = folder.json(&["audit", "list", "--caller", "key:1"]);
    assert!(own.as_array().unwrap().iter().all(|entry| entry["caller"] == "key:1"));
    // Unusually many reads are an alarm.
    for _ in 0..30 {
        http().get(format!("{}/api/v1/profiles", server.url)).bearer_auth(&key).send().unwrap();
    }
    assert_eq!(find(&entries(&folder), "profiles.view", "alarm")["details"]["reads_this_hour"], 30);
    let checked = folder.json(&["audit", "verify"]);
    assert_eq!(checked["problems"], json!([]));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn an_edit_a_deletion_a_swap_and_a_truncation_are_found() {
    let folder = Folder::new();
    for number in 0..6 {
        folder.run(&["workspace", "add", &format!("w{number}")]);
    }
    let head = folder.file("head.json", &folder.run(&["audit", "head", "--format", "json"]));
    for number in 6..9 {
        folder.run(&["workspace", "add", &format!("w{number}")]);
    }
    let all = entries(&folder).len();
    let checked = folder.json(&["audit", "verify", "--head", head.to_str().unwrap()]);
    assert_eq!((&checked["problems"], &checked["entries"]), (&json!([]), &json!(all)));
    let kept = folder.path().with_file_name("kept");
    copy(&folder.path(), &kept);
    let last = all - 1;
    let as_if_never = format!("DELETE FROM audit WHERE number = {last}; UPDATE audit_tree SET size = {last};");
    for (change, told) in [
        ("UPDATE audit SET details = '{}' WHERE number = 3", "entry 3 is not what was written"),
        ("UPDATE audit SET caller = 'user:9' WHERE number = 5", "entry 5 is not what was written"),
        (
            "UPDATE audit SET digest = x'00', salt = NULL, details = NULL WHERE number = 5",
            "entry 5 is not what was written",
        ),
        ("DELETE FROM audit WHERE number = 4", "entries 4 to 4 are missing"),
        (
            "UPDATE audit SET number = -1 WHERE number = 4; UPDATE audit SET number = 4 WHERE number = 5; \
             UPDATE audit SET number = 5 WHERE number = -1",
            "entry 4 is not what was written",
        ),
        (as_if_never.as_str(), "cut off"),
        ("DELETE FROM audit; DELETE FROM audit_tree", "cut off"),
    ] {
        let state = rusqlite::Connection::open(folder.path().join("state.db")).unwrap();
        state.execute_batch(change).unwrap();
        drop(state);
        let output = folder.output(&["audit", "verify", "--head", head.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success() && said.contains(told), "{change}: {said}");
        fs::remove_dir_all(folder.path()).unwrap();
        copy(&kept, &folder.path());
    }
    // Whoever has the folder too writes the last head anew; the one kept elsewhere tells.
    let state = rusqlite::Connection::open(folder.path().join("state.db")).unwrap();
    state.execute_batch("DELETE FROM audit; DELETE FROM audit_tree").unwrap();
    drop(state);
    fs::remove_file(folder.path().join("audit.head")).unwrap();
    folder.run(&["audit", "verify"]);
    let output = folder.output(&["audit", "verify", "--head", head.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("the head that was kept has them"));
    // A head of somebody else's says nothing.
    let mut other: Value = serde_json::from_slice(&fs::read(&head).unwrap()).unwrap();
    other["size"] = json!(1);
    fs::write(&head, other.to_string()).unwrap();
    let output = folder.output(&["audit", "verify", "--head", head.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("not signed"));
}
