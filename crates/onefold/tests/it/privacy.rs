//! Erasure, end to end: of a person nothing is left in any file, and nothing brings them back; everybody else stays.

use std::{fs, path::Path, sync::Arc};

use onefold_log::{EventLog as _, SqliteLog, SqliteLogSettings};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde_json::{Value, json};

use crate::support::{Folder, Server, http};

/// What only Ada has; a letter of it in any file is one too many.
const CANARIES: [&str; 6] =
    ["ada.canary@example.com", "Adacanary", "4915112345678", "canary-user", "canary-device", "Canarystreet"];

const CRM: &str = "id,name,email,phone,street\n\
    canary-user,Adacanary,Ada.Canary@example.com,+49 151 12345678,Canarystreet 7\n\
    u2,Bob,bob@example.com,+49 151 99999999,Elm 1\n";

const MAPPING: &str = "kind = \"identify\"\nidentifiers = { user_id = \"id\" }\n\
    traits = { name = \"name\", email = \"email\", phone = \"phone\", street = \"street\" }\n";

/// Where a canary stands in a file, whatever the file is compressed with.
fn found_in(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap();
    let mut found = found(&bytes, path);
    if path.extension().is_some_and(|extension| extension == "parquet") {
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        for row in reader.get_row_iter(None).unwrap() {
            found.extend(self::found(row.unwrap().to_string().as_bytes(), path));
        }
    }
    found
}

fn found(bytes: &[u8], path: &Path) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let there = CANARIES.iter().filter(|canary| text.contains(&canary.to_lowercase()));
    there.map(|canary| format!("{canary} in {}", path.display())).collect()
}

/// Where a canary stands in any file of a folder.
fn look_through(folder: &Path) -> Vec<String> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(look_through(&path));
        } else {
            found.extend(found_in(&path));
        }
    }
    found
}

/// The same for the records of the log, decompressed.
fn look_through_log(folder: &Folder) -> Vec<String> {
    let path = folder.path().join("log.db");
    let log = Arc::new(SqliteLog::open(&path, SqliteLogSettings::default()).unwrap());
    let mut found = vec![];
    for partition in 0..log.partitions() {
        let mut next = 0;
        while next < log.end(partition).unwrap() {
            for block in log.read(partition, next, 1 << 20).unwrap() {
                block.records().for_each(|record| found.extend(self::found(record.payload, &path)));
                next = block.end();
            }
        }
    }
    found
}

struct Shop {
    folder: Folder,
    server: Option<Server>,
    key: String,
}

impl Shop {
    /// Ada and Bob, by file and by API, refused ones too, delivered to files, in segments and in the tables.
    fn open() -> Shop {
        let folder = Folder::new();
        let server = folder.serve();
        let key = folder.json(&["source", "add", "web"])["write_key"].as_str().unwrap().to_owned();
        folder.run(&["source", "add", "crm"]);
        let settings = folder.file("settings.json", r#"{"consent_default":"allow"}"#);
        folder.run(&["settings", "set", settings.to_str().unwrap()]);
        folder.run(&["segment", "set", "--name", "viewers", "--text", r#"count("Viewed") >= 1"#]);
        for (name, own) in [
            ("events", json!({ "events": ["*"], "config": { "location": "events", "format": "ndjson" } })),
            ("parquet", json!({ "events": ["*"], "config": { "location": "parquet", "format": "parquet" } })),
            (
                "audience",
                json!({ "segments": ["viewers"], "config": { "location": "audience", "mode": "audience", "columns": ["identifiers.email", "traits.name"] } }),
            ),
        ] {
            let mut destination = json!({ "name": name, "kind": "file" });
            destination.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
            let config = destination["config"].as_object_mut().unwrap();
            config.extend([("purpose".to_owned(), json!("analytics")), ("interval_s".to_owned(), json!(1))]);
            let path = folder.file(&format!("{name}.json"), &destination.to_string());
            folder.run(&["destination", "set", path.to_str().unwrap()]);
        }
        let shop = Shop { folder, server: Some(server), key };
        shop.import();
        shop.send();
        shop
    }

    fn import(&self) {
        let (crm, mapping) = (self.folder.file("crm.csv", CRM), self.folder.file("crm.toml", MAPPING));
        self.folder.run(&["import", crm.to_str().unwrap(), "--source", "crm", "--mapping", mapping.to_str().unwrap()]);
        fs::remove_file(crm).unwrap();
    }

    /// What the page sends of both, and what is refused.
    fn send(&self) {
        let view = |user: &str, device: &str, note: &str, id: String| {
            json!({ "type": "track", "event": "Viewed", "userId": user, "anonymousId": device, "messageId": id,
                    "properties": { "note": note } })
        };
        let mut batch = vec![];
        for n in 0..40 {
            batch.push(view("canary-user", "canary-device", "Adacanary looked", format!("a{n}")));
            batch.push(view("u2", "d2", "Bob looked", format!("b{n}")));
        }
        // The same again, one that is no event, and one that nobody can be told from.
        batch.push(view("canary-user", "canary-device", "Adacanary looked", "a0".to_owned()));
        batch.push(json!({ "type": "nonsense", "userId": "canary-user", "traits": { "name": "Adacanary" } }));
        batch.push(json!({ "type": "track", "event": "Viewed", "userId": "null", "context": { "traits": { "email": "ada.canary@example.com" } }, "messageId": "c" }));
        let url = format!("{}/v1/batch", self.server.as_ref().unwrap().url);
        let answer = http().post(url).basic_auth(&self.key, Some("")).json(&json!({ "batch": batch })).send().unwrap();
        assert!(answer.status().is_success());
        self.folder.run(&["stats"]);
    }

    fn is_known(&self, who: &str) -> bool {
        self.folder.output(&["profile", "show", who]).status.success()
    }

    fn sql(&self, query: &str) -> Value {
        self.folder.json(&["sql", query])["rows"].clone()
    }

    fn restart(&mut self) {
        drop(self.server.take());
        self.server = Some(self.folder.serve());
    }
}

#[test]
fn of_a_person_who_is_erased_nothing_is_left_and_nothing_brings_them_back() {
    let mut shop = Shop::open();
    let ada = shop.folder.json(&["profile", "show", "ada.canary@example.com"]);
    assert_eq!(ada["identifiers"].as_array().unwrap().len(), 4, "{ada}");
    assert_eq!(shop.sql("SELECT count(*) FROM events WHERE event = 'Viewed'"), json!([[81]]));
    assert!(!look_through(&shop.folder.path()).is_empty(), "the look sees what is there");

    // Ada asks what is held of her.
    let zip = shop.folder.path().parent().unwrap().join("ada.zip");
    shop.folder.run(&["privacy", "access", "canary-user", "--output", zip.to_str().unwrap()]);
    let mut zip = zip::ZipArchive::new(fs::File::open(&zip).unwrap()).unwrap();
    let mut file = |name: &str| {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut zip.by_name(name).unwrap(), &mut text).unwrap();
        text
    };
    assert_eq!(file("events.ndjson").lines().count(), 42);
    assert_eq!(file("events.csv").lines().count(), 43);
    assert!(file("traits.csv").contains("name,Adacanary,crm,user_id:canary-user"), "{}", file("traits.csv"));
    assert!(file("segments.csv").contains("viewers,") && file("deliveries.csv").starts_with("destination,purpose,"));
    assert!(
        !["profile.json", "identity.json", "consents.csv", "events.ndjson"]
            .iter()
            .any(|name| file(name).contains("Bob"))
    );

    // First it is only said who is meant.
    let preview = shop.folder.output(&["privacy", "erase", "ada.canary@example.com", "--format", "json"]);
    let said: Value = serde_json::from_slice(&preview.stdout).unwrap();
    assert!(!preview.status.success() && said["people"][0]["identifiers"].as_array().unwrap().len() == 4, "{said}");
    assert!(shop.is_known("canary-user"));

    let done = shop.folder.json(&["privacy", "erase", "ada.canary@example.com", "--yes"]);
    assert_eq!(done["status"], "completed", "{done}");
    let receipt = &done["receipt"];
    assert_eq!(
        (&receipt["profiles"], &receipt["suppressed"], &receipt["verified"]),
        (&json!(1), &json!(4), &json!(true))
    );
    assert_eq!(
        receipt["destinations"],
        json!({ "audience": "delivered", "events": "delivered", "parquet": "delivered" })
    );
    assert!(!done.to_string().to_lowercase().contains("canary"), "a receipt names nobody: {done}");

    // The receipt is signed, and a changed one is not.
    let mut signed = done["signed"].clone();
    let path = shop.folder.file("receipt.json", &signed.to_string());
    assert_eq!(
        shop.folder.json(&["privacy", "check", path.to_str().unwrap()]),
        json!({ "signed": true, "ours": true })
    );
    signed["text"] = signed["text"].as_str().unwrap().replace("\"profiles\":1", "\"profiles\":2").into();
    let path = shop.folder.file("receipt.json", &signed.to_string());
    assert_eq!(shop.folder.json(&["privacy", "check", path.to_str().unwrap()])["signed"], false);

    let check = |shop: &mut Shop, after: &str| {
        for who in ["ada.canary@example.com", "canary-user", "canary-device", "+4915112345678"] {
            assert!(!shop.is_known(who), "{who} is known {after}");
        }
        assert!(shop.is_known("bob@example.com"), "{after}");
        drop(shop.server.take());
        assert_eq!(look_through(&shop.folder.path()), [""; 0], "{after}");
        assert_eq!(look_through_log(&shop.folder), [""; 0], "{after}");
        shop.server = Some(shop.folder.serve());
    };
    check(&mut shop, "after the erasure");
    assert_eq!(shop.sql("SELECT count(*) FROM events WHERE event = 'Viewed'"), json!([[40]]));
    assert_eq!(shop.folder.json(&["segment", "count", "viewers"])["count"], 1);

    shop.send();
    shop.import();
    shop.folder.run(&["deadletter", "retry"]);
    check(&mut shop, "after all was sent and imported again");
    shop.folder.run(&["rebuild"]);
    check(&mut shop, "after a rebuild");
    assert_eq!(shop.sql("SELECT count(*) FROM events WHERE event = 'Viewed'"), json!([[40]]));
    shop.restart();
    assert_eq!(shop.folder.json(&["privacy", "suppressed", "ADA.canary@example.com"])["suppressed"], true);
    assert_eq!(shop.folder.json(&["privacy", "requests"]).as_array().unwrap().len(), 1);

    // Who comes back by their own will is let in, and what was is not there.
    shop.folder.run(&["privacy", "lift", "canary-user", "anonymous_id:canary-device"]);
    shop.send();
    let back = shop.folder.json(&["profile", "show", "canary-user"]);
    assert_eq!((&back["events"], back["identifiers"].as_array().unwrap().len()), (&json!(40), 2), "{back}");
    let again = shop.folder.output(&["privacy", "lift", "canary-user"]);
    assert!(!again.status.success(), "nobody is lifted twice");
}

#[test]
fn whoever_is_unknown_is_kept_out_all_the_same() {
    let folder = Folder::new();
    let _server = folder.serve();
    let done = folder.json(&["privacy", "erase", "nobody@example.com", "--yes"]);
    assert_eq!(
        (&done["status"], &done["receipt"]["profiles"], &done["receipt"]["suppressed"]),
        (&json!("completed"), &json!(0), &json!(1))
    );
    assert_eq!(folder.json(&["privacy", "suppressed", "nobody@example.com"])["suppressed"], true);
    assert_eq!(folder.json(&["privacy", "suppressed", "somebody@example.com"])["suppressed"], false);
    let none = folder.output(&["privacy", "show", "er_none"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("privacy requests"));
}
