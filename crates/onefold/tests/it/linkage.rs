//! Record linkage in the platform, as a steward uses it, on a file of the field.

use serde_json::{Value, json};

use crate::support::{Folder, pause, root};

/// febrl1: 500 people, each once as they are and once with errors.
fn febrl(folder: &Folder) {
    let mapping = "kind = \"identify\"\nidentifiers = { crm = \"rec_id\" }\n[traits]\n\
                   firstName = \"given_name\"\nlastName = \"surname\"\nbirthday = \"date_of_birth\"\n\
                   street = \"address_1\"\nsuburb = \"suburb\"\npostalCode = \"postcode\"\nstate = \"state\"\n\
                   streetNumber = \"street_number\"\nsocialSecurity = \"soc_sec_id\"\n";
    let mapping = folder.file("febrl.toml", mapping);
    let file = root().join("crates/link/tests/data/febrl1.csv.gz");
    let (file, mapping) = (file.to_str().unwrap(), mapping.to_str().unwrap());
    folder.run(&["source", "add", "crm"]);
    folder.run(&["import", file, "--source", "crm", "--mapping", mapping]);
}

fn profiles(folder: &Folder) -> u64 {
    folder.json(&["stats"])["totals"]["profiles"].as_u64().unwrap_or_else(|| panic!("{}", folder.run(&["stats"])))
}

#[test]
fn a_steward_links_a_customer_base_and_can_take_everything_back() {
    let folder = Folder::new();
    let _server = folder.serve();
    febrl(&folder);
    assert_eq!(profiles(&folder), 1000);
    let made = folder.json(&["linkage", "train"]);
    assert_eq!((&made["version"], &made["would"]["records"]), (&json!(1), &json!(1000)));
    assert_eq!(profiles(&folder), 1000, "a model that is not active joins nobody");
    let done = folder.json(&["linkage", "activate", "1"]);
    let people = profiles(&folder);
    assert!((498..=510).contains(&people), "{people} people; {done}");
    assert_eq!((&done["joined"], &done["refused"]), (&json!(1000 - people), &json!(0)));

    // Why: the evidence, and its parts.
    let profile = folder.json(&["profile", "show", "crm:rec-223-org"]);
    assert_eq!(profile["identifiers"].as_array().unwrap().len(), 2);
    let evidence = folder.json(&["profile", "evidence", "crm:rec-223-org"]);
    assert_eq!((evidence.as_array().unwrap().len(), &evidence[0]["says"]), (1, &json!("link")));
    let why = folder.json(&["linkage", "explain", "crm:rec-223-org", "crm:rec-223-dup-0"]);
    let sum: f64 = why["parts"].as_array().unwrap().iter().map(|part| part["bits"].as_f64().unwrap()).sum();
    assert!((sum - why["bits"].as_f64().unwrap()).abs() < 1e-9, "{why}");
    let joined = folder.json(&["linkage", "queue", "--state", "joined", "--limit", "1000"]);
    assert_eq!(joined.as_array().unwrap().len() as u64, 1000 - people);

    // Where one weak link alone holds a profile together, it is shown, the weakest first.
    let suspects = folder.json(&["linkage", "suspects", "--limit", "1000"]);
    let bridges = suspects.as_array().unwrap().iter().filter(|suspect| suspect["doubt"] == "bridge");
    let bits: Vec<f64> = bridges.map(|bridge| bridge["why"]["bits"].as_f64().unwrap()).collect();
    assert!(bits.is_sorted() && bits.iter().all(|bits| *bits > 0.0), "{bits:?}");
    let most = folder.json(&["linkage", "suspects", "--limit", "1000", "--bits", "500"]);
    assert_eq!(most.as_array().unwrap().len() as u64, 1000 - people, "of two records each link is the only one");

    // A person knows better, and what that changes is seen at once.
    let never = folder.json(&["linkage", "never", "crm:rec-223-org", "crm:rec-223-dup-0"]);
    assert_eq!((&never["state"], &never["one_profile"]), (&json!("never"), &json!(false)));
    assert_eq!(profiles(&folder), people + 1);
    let undone = folder.json(&["linkage", "undo", "crm:rec-223-org", "crm:rec-223-dup-0"]);
    assert_eq!((&undone["state"], profiles(&folder)), (&json!("joined"), people));
    // Whom one joins who are two is shown.
    folder.run(&["linkage", "accept", "crm:rec-223-org", "crm:rec-122-org"]);
    let suspects = folder.json(&["linkage", "suspects"]);
    assert!(suspects[0]["why"]["bits"].as_f64().unwrap() < -4.0, "{suspects}");
    let named = suspects.to_string();
    assert!(named.contains("rec-223") && named.contains("rec-122"), "{named}");
    folder.run(&["linkage", "undo", "crm:rec-223-org", "crm:rec-122-org"]);

    // Evidence is withdrawn alone, after a look at what that does; before, it was as it was.
    let evidence = folder.json(&["profile", "evidence", "crm:rec-223-org"]);
    let counts = |said: &&Value| said["says"] == "link" && said["withdrawn"].is_null();
    let id = evidence.as_array().unwrap().iter().find(counts).unwrap()["id"].as_str().unwrap();
    let tried = folder.json(&["profile", "withdraw", "crm:rec-223-org", id, "--dry-run"]);
    assert_eq!((tried["profiles"].as_array().unwrap().len(), profiles(&folder)), (2, people));
    let before = folder.json(&["profile", "show", "crm:rec-223-org"])["as_of"].as_str().unwrap().to_owned();
    pause();
    folder.run(&["profile", "withdraw", "crm:rec-223-org", id]);
    assert_eq!(profiles(&folder), people + 1);
    let then = folder.json(&["profile", "then", "crm:rec-223-org", &before]);
    assert_eq!(then["identifiers"].as_array().unwrap().len(), 2, "{then}");
    assert_eq!(then["traits"]["lastName"]["value"], " waller");

    // A second model learns of what was decided; without one all is as it came.
    folder.run(&["linkage", "reject", "crm:rec-122-org", "crm:rec-122-dup-0"]);
    assert_eq!(folder.json(&["linkage", "train"])["would"]["labels"], 1);
    folder.run(&["linkage", "activate", "2"]);
    folder.run(&["rebuild"]);
    assert_eq!(folder.json(&["linkage", "models"])[0]["active"], true);
    folder.run(&["linkage", "off"]);
    assert_eq!(profiles(&folder), 1000);
}

#[test]
fn what_cannot_be_done_says_why() {
    let folder = Folder::new();
    let said = |args: &[&str]| {
        let refused = folder.output(args);
        assert!(!refused.status.success(), "{args:?}");
        String::from_utf8_lossy(&refused.stderr).into_owned()
    };
    assert!(said(&["linkage", "train"]).contains("no records to compare"));
    assert!(said(&["linkage", "activate", "7"]).contains("there is no model"));
    assert!(said(&["linkage", "queue", "--state", "odd"]).contains("doubt"));
    assert!(said(&["linkage", "accept", "crm:1", "crm:2"]).contains("there is no identifier"));
    let wrong = folder.file("model.toml", "version = 1\ncomparison = []\nblocking = []\n");
    assert!(said(&["linkage", "train", "--model", wrong.to_str().unwrap()]).contains("comparison"));
    assert!(said(&["profile", "withdraw", "crm:1", "x"]).contains("1234.0"));
    assert!(said(&["profile", "then", "crm:1", "yesterday"]).contains("no time"));
}

#[test]
fn rules_are_tried_on_what_was_said() {
    let folder = Folder::new();
    let _server = folder.serve();
    let file = folder.file("people.csv", "id,mail\nu1,a@x.org\nu2,a@x.org\nu3,c@x.org\n");
    let mapping = "kind = \"identify\"\nidentifiers = { user_id = \"id\", email = \"mail\" }\n";
    let mapping = folder.file("people.toml", mapping);
    folder.run(&["source", "add", "crm"]);
    folder.run(&["import", file.to_str().unwrap(), "--source", "crm", "--mapping", mapping.to_str().unwrap()]);
    let mut rules = folder.json(&["settings", "show"])["identity_rules"].clone();
    rules["kinds"][0] = json!({ "kind": "user_id", "limit": { "max": 2 } });
    let tried: Value = {
        let file = folder.file("rules.json", &json!({ "identity_rules": rules }).to_string());
        folder.json(&["settings", "try", file.to_str().unwrap()])
    };
    assert_eq!((&tried["profiles_now"], &tried["profiles_then"], &tried["merged"]), (&json!(3), &json!(2), &json!(1)));
    assert_eq!(tried["largest"], json!([2, 3]));
    assert_eq!(folder.json(&["stats"])["totals"]["profiles"], 3, "nothing changed");
}
