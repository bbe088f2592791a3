//! Consent, end to end: signals, policy, decisions with their reasons, imports with proof, and a ledger that tells on whoever edits it.

use serde_json::{Value, json};

use crate::support::{Folder, Server, http};

const POLICY: &str = r#"{
    "purposes": {
        "newsletter": { "signals": ["C0004"], "notice": { "id": "news", "version": "3" } },
        "ads": { "sale": true },
        "orders": { "basis": "contract" }
    },
    "residence": { "country": ["country"] },
    "jurisdictions": { "US": { "of": ["US"], "unstated": "allow" }, "EU": { "of": ["DE"] } }
}"#;

fn send(server: &Server, key: &str, gpc: bool, events: &[Value]) {
    let mut request = http().post(format!("{}/v1/batch", server.url)).basic_auth(key, Some(""));
    if gpc {
        request = request.header("Sec-GPC", "1");
    }
    let answer = request.json(&json!({ "batch": events })).send().unwrap();
    assert!(answer.status().is_success());
}

fn identify(user: &str, country: &str, consent: Value) -> Value {
    json!({ "type": "identify", "userId": user, "messageId": format!("m-{user}"), "traits": { "country": country },
            "context": { "consent": consent } })
}

#[test]
fn what_people_allow_is_decided_shown_counted_and_kept() {
    let folder = Folder::new();
    let server = folder.serve();
    let key = folder.json(&["source", "add", "web"])["write_key"].as_str().unwrap().to_owned();

    let wrong = folder.file("wrong.json", r#"{"elsewhere":"XX"}"#);
    let refused = folder.output(&["consent", "policy", wrong.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains(r#"elsewhere: "XX" is no jurisdiction of this policy"#));
    let policy = folder.file("policy.json", POLICY);
    folder.run(&["consent", "policy", policy.to_str().unwrap()]);
    assert_eq!(folder.json(&["consent", "policy"])["purposes"]["newsletter"]["notice"]["version"], "3");

    send(
        &server,
        &key,
        false,
        &[
            identify("u1", "DE", json!({ "categoryPreferences": { "C0004": true } })),
            identify("u2", "DE", json!({ "categoryPreferences": { "C0004": false } })),
            identify("u3", "DE", json!({ "categoryPreferences": "broken" })),
            identify("u4", "US", Value::Null),
        ],
    );
    send(&server, &key, true, &[identify("u5", "US", Value::Null)]);

    let decide = |user: &str, purpose: &str| folder.json(&["consent", "decide", user, purpose]);
    let u1 = decide("u1", "newsletter");
    assert_eq!((&u1["allowed"], &u1["rule"], &u1["jurisdiction"]), (&json!(true), &json!("row"), &json!("EU")));
    assert!(u1["row"]["offset"].is_number(), "the statement that decided");
    assert_eq!(decide("u3", "orders")["rule"], "basis", "a contract asks nobody");
    assert_eq!(decide("u3", "newsletter")["rule"], "unreadable");
    assert_eq!(decide("u4", "ads")["rule"], "law");
    assert_eq!(
        (decide("u5", "ads")["allowed"].clone(), decide("u5", "newsletter")["allowed"].clone()),
        (json!(false), json!(true))
    );

    let reach = folder.json(&["consent", "reach", "trait country exists", "newsletter", "--channel", "email"]);
    assert_eq!((&reach["matching"], &reach["may"]), (&json!(5), &json!(3)));
    let why: Vec<(bool, &str, u64)> = reach["why"]
        .as_array()
        .unwrap()
        .iter()
        .map(|why| (why["allowed"].as_bool().unwrap(), why["rule"].as_str().unwrap(), why["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(why, [(true, "law", 2), (true, "row", 1), (false, "row", 1), (false, "unreadable", 1)]);

    let stricter = folder.file("stricter.json", &POLICY.replace(r#""unstated": "allow""#, r#""unstated": "deny""#));
    let tried = folder.json(&["consent", "policy", stricter.to_str().unwrap(), "--try-it"]);
    let of = |purpose: &str| tried["uses"].as_array().unwrap().iter().find(|of| of["purpose"] == purpose).unwrap();
    assert_eq!(
        (&of("newsletter")["lost"], &of("ads")["lost"], &of("orders")["lost"]),
        (&json!(2), &json!(1), &json!(0))
    );
    assert_eq!(decide("u4", "ads")["allowed"], true, "it was only tried");

    let csv = folder.file(
        "consents.csv",
        "identifier,purpose,state,by,expires,notice_id,notice_version,proof\n\
         u2,newsletter,granted,person,,news,3,form 7\n\
         nobody,newsletter,granted,,,,,\n\
         u3,*,not_collected,operator,,,,call 9\n\
         u4,ads,granted,operator,2020-01-01,,,\n",
    );
    let imported = folder.json(&["consent", "import", csv.to_str().unwrap()]);
    assert_eq!((&imported["entered"], &imported["refused"][0]["line"]), (&json!(3), &json!(3)));
    assert_eq!(decide("u2", "newsletter")["allowed"], true, "the person's own word is stronger than the banner's");
    assert_eq!(decide("u3", "newsletter")["rule"], "default");
    assert_eq!(decide("u4", "ads")["rule"], "expired");
    let told = folder.json(&["sql", "select count(*) as rows from consents"]);
    assert_eq!(told["rows"][0][0], json!(9), "{told}");

    let verified = folder.json(&["consent", "verify"]);
    assert_eq!((&verified["rows"], &verified["broken"]), (&json!(9), &json!([])));
    server.kill();
    let state = rusqlite::Connection::open(folder.path().join("state.db")).unwrap();
    let edited =
        state.execute("UPDATE consent SET state = 'granted' WHERE state = 'denied' AND purpose = 'newsletter'", []);
    assert_eq!(edited.unwrap(), 1);
    drop(state);
    let _server = folder.serve();
    let found = folder.output(&["consent", "verify"]);
    assert!(!found.status.success());
    assert!(String::from_utf8_lossy(&found.stdout).contains("it says something else than what was written"));
}
