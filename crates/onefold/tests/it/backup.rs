//! Backups, end to end: made while the server runs, nobody can read them, and whoever was erased since is not in what is put back.

use std::{fs, path::Path};

use serde_json::json;

use crate::support::{Bucket, Folder, Server, http};

/// What stands only where somebody put it, and a secret that stands nowhere as it is.
const ADA: &str = "ada.canary@example.com";
const BOB: &str = "bob@example.com";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The files of a folder in which a text stands as it is.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let has = |path: &std::path::PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
    };
    files(folder).into_iter().filter(has).map(|path| path.display().to_string()).collect()
}

fn identify(server: &Server, key: &str, id: &str, email: &str) {
    let event = json!({ "userId": id, "messageId": format!("m-{id}"), "traits": { "email": email } });
    let url = format!("{}/v1/identify", server.url);
    let answer = http().post(url).basic_auth(key, Some("")).json(&event).send().unwrap();
    assert!(answer.status().is_success());
}

/// What a command that does not work says.
fn fails(folder: &Folder, args: &[&str]) -> String {
    let output = folder.output(args);
    assert!(!output.status.success(), "onefold {args:?} works");
    String::from_utf8(output.stderr).unwrap()
}

fn none() -> [String; 0] {
    []
}

#[test]
fn a_backup_is_put_back_without_whoever_was_erased_since() {
    let (folder, spare) = (Folder::new(), Folder::new());
    let keys = spare.file("place", "").with_file_name("backup.key");
    let kept = keys.with_file_name("backups");
    let (key_file, to) = (keys.to_str().unwrap(), kept.to_str().unwrap());
    let settings = folder.run(&["backup", "key", "--output", key_file]);
    assert!(settings.starts_with("[backup]\nrecipient = \"age1"), "{settings}");
    assert!(fails(&folder, &["backup", "now"]).contains("nothing says where backups go"));
    fs::write(folder.path().join("onefold.toml"), format!("{settings}to = {to:?}\n[log]\ncodec = \"plain\"\n"))
        .unwrap();
    assert!(fails(&spare, &["restore", "--from", to, "--key", key_file]).contains("no backup"));

    let server = folder.serve();
    let key = folder.json(&["source", "add", "web"])["write_key"].as_str().unwrap().to_owned();
    // A node's number is not its event's place in the log: Ada is not the first.
    for number in 0..40 {
        identify(&server, &key, &format!("u{number}"), &format!("u{number}@example.org"));
    }
    identify(&server, &key, "ada", ADA);
    identify(&server, &key, "bob", BOB);
    let webhook = json!({ "name": "crm", "kind": "webhook", "state": "paused", "config": { "url": "https://example.com/in", "purpose": "analytics", "secret": SECRET } });
    let webhook = folder.file("crm.json", &webhook.to_string());
    folder.run(&["destination", "set", webhook.to_str().unwrap()]);
    let out = json!({ "name": "files", "kind": "file", "config": { "location": "out", "format": "ndjson", "purpose": "analytics" } });
    let out = folder.file("files.json", &out.to_string());
    folder.run(&["destination", "set", out.to_str().unwrap()]);
    folder.run(&["stats"]);
    let made = folder.json(&["backup", "now"]);
    assert_eq!(folder.json(&["backup", "list"])[0]["id"], made["id"]);
    // What came after the backup is not in it.
    identify(&server, &key, "carol", "carol@example.com");
    folder.run(&["stats"]);
    let erased = folder.json(&["privacy", "erase", ADA, "--yes"]);
    assert_eq!(erased["receipt"]["backups"], 1, "{erased}");
    drop(server);

    // Nobody reads it who has only the place, and it is whole.
    for text in [ADA, BOB, SECRET, "example.com"] {
        assert_eq!(holding(&kept, text), none(), "{text}");
    }
    assert_eq!(holding(&folder.path(), SECRET), none(), "sealed in the state");
    let whole = folder.json(&["backup", "verify", "--key", key_file]);
    assert_eq!(whole["problems"], json!([]), "{whole}");
    assert!(whole["log_records"].as_u64().unwrap() >= 3, "{whole}");

    // Put back into another folder: Bob is there, Ada is not, and nowhere.
    let back = Folder::new();
    let signed_by = made["public_key"].as_str().unwrap();
    let args = ["restore", "--from", to, "--key", key_file, "--signed-by", signed_by];
    let restored = back.json(&args);
    assert_eq!(restored["erasures_again"], 1, "{restored}");
    let receipt = &restored["receipts"][0]["receipt"];
    assert_eq!((&receipt["verified"], &receipt["log_records"]), (&json!(true), &json!(1)), "{restored}");
    assert_eq!(restored["paused_destinations"], json!(["1/files"]));
    assert_eq!(holding(&back.path(), ADA), none());
    let known = |who: &str| back.output(&["profile", "show", who]).status.success();
    assert!(known(BOB) && !known(ADA) && !known("carol@example.com"));
    // It goes on: sources by their keys, destinations with their secrets, and Ada stays out.
    let server = back.serve();
    identify(&server, &key, "ada", ADA);
    identify(&server, &key, "dora", "dora@example.com");
    back.run(&["stats"]);
    assert!(known("dora@example.com") && !known(ADA));
    assert_eq!(back.json(&["sql", "SELECT count(*) FROM events"])["rows"], json!([[42]]), "the tables are made anew");
    assert_eq!(back.json(&["audit", "verify"])["problems"], json!([]));
    let destinations = back.json(&["destination", "list"]);
    assert!(destinations.as_array().unwrap().iter().all(|one| one["state"] == "paused"), "{destinations}");
    drop(server);

    // Nothing is written over, another key opens nothing, another signer is none.
    assert!(fails(&back, &args).contains("has a log.db already"));
    let other = keys.with_file_name("other.key");
    back.run(&["backup", "key", "--output", other.to_str().unwrap()]);
    let fresh = Folder::new();
    let wrong = fails(&fresh, &["restore", "--from", to, "--key", other.to_str().unwrap()]);
    assert!(wrong.contains("cannot be opened with this key"), "{wrong}");
    let wrong = fails(&fresh, &["restore", "--from", to, "--key", key_file, "--signed-by", "AAAA"]);
    assert!(wrong.contains("signed by another key"), "{wrong}");
    assert!(!fresh.path().join("log.db").exists() && !fresh.path().join("restore.tmp").exists());
    // One byte of one part.
    let part = files(&kept).into_iter().find(|path| path.display().to_string().contains("log.db/")).unwrap();
    let mut bytes = fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&part, bytes).unwrap();
    assert!(fails(&folder, &["backup", "verify"]).contains("not whole"));
    let wrong = fails(&fresh, &["restore", "--from", to, "--key", key_file]);
    assert!(wrong.contains("not as it was written"), "{wrong}");
}

#[test]
fn a_bucket_keeps_backups_and_gives_them_back() {
    let (bucket, folder, spare) = (Bucket::start(), Folder::new(), Folder::new());
    let keys = spare.file("place", "").with_file_name("backup.key");
    let key_file = keys.to_str().unwrap();
    let settings = folder.run(&["backup", "key", "--output", key_file]);
    let options: Vec<String> = bucket.options().iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
    let options = format!("[backup.options]\n{}\n", options.join("\n"));
    let place = format!("{settings}to = \"s3://bucket/house\"\nkeep = 1\n{options}");
    fs::create_dir(folder.path()).unwrap();
    fs::write(folder.path().join("onefold.toml"), place).unwrap();

    let server = folder.serve();
    let key = folder.json(&["source", "add", "web"])["write_key"].as_str().unwrap().to_owned();
    identify(&server, &key, "ada", ADA);
    folder.run(&["stats"]);
    let first = folder.json(&["backup", "now"]);
    identify(&server, &key, "bob", BOB);
    folder.run(&["stats"]);
    let second = folder.json(&["backup", "now"]);
    assert_ne!(first["id"], second["id"]);
    let kept = folder.json(&["backup", "list"]);
    assert_eq!((kept.as_array().unwrap().len(), &kept[0]["id"]), (1, &second["id"]), "one is kept: {kept}");
    assert_eq!(folder.json(&["backup", "verify", "--key", key_file])["problems"], json!([]));
    assert_eq!(holding(&bucket.path(), "example.com"), none());
    drop(server);

    // On another machine the place is named, and the settings say how to reach it.
    let back = Folder::new();
    let reach = spare.file("reach.toml", &options);
    let from = ["restore", "--from", "s3://bucket/house", "--key", key_file, "--config", reach.to_str().unwrap()];
    back.json(&from);
    for who in [ADA, BOB] {
        assert!(back.output(&["profile", "show", who]).status.success(), "{who}");
    }
}
