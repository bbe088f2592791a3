//! What is collected, who must agree, where things go, how long they stay: end to end.

use serde_json::{Value, json};

use crate::support::{Folder, Server, http};

struct House {
    folder: Folder,
    server: Server,
    write_key: String,
}

impl House {
    fn open() -> House {
        let folder = Folder::new();
        let server = folder.serve();
        let write_key = folder.json(&["source", "add", "web"])["write_key"].as_str().unwrap().to_owned();
        House { folder, server, write_key }
    }

    fn send(&self, event: &Value) {
        let url = format!("{}/v1/batch", self.server.url);
        let answer = http().post(url).basic_auth(&self.write_key, Some("")).json(&json!({ "batch": [event] })).send();
        assert!(answer.unwrap().status().is_success());
        self.folder.run(&["stats"]);
    }

    fn govern(&self, name: &str, value: &Value) -> Result<(), String> {
        let file = self.folder.file(&format!("{name}.json"), &value.to_string());
        let output = self.folder.output(&["governance", "set", name, file.to_str().unwrap()]);
        if output.status.success() { Ok(()) } else { Err(String::from_utf8(output.stderr).unwrap()) }
    }

    fn fails(&self, args: &[&str]) -> String {
        let output = self.folder.output(args);
        assert!(!output.status.success(), "onefold {args:?} works");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Lets a year pass for some people: a server's clock cannot be set, so what it has noted is.
    fn pass_time(&mut self, who: &[&str]) {
        let profiles: Vec<i64> = who
            .iter()
            .map(|who| {
                let id = self.folder.json(&["profile", "show", who])["id"].as_str().unwrap().to_owned();
                id.parse::<onefold_model::ProfileId>().unwrap().0.0
            })
            .collect();
        self.server.stop();
        let state = rusqlite::Connection::open(self.folder.path().join("state.db")).unwrap();
        for profile in profiles {
            let sql = "UPDATE g1_profile SET last_seen_ms = last_seen_ms - 31622400000 WHERE profile = ?1";
            assert_eq!(state.execute(sql, [profile]).unwrap(), 1);
        }
        drop(state);
        self.server = self.folder.serve();
    }

    fn key(&self, name: &str, role: &str) -> String {
        self.folder.json(&["key", "add", name, role])["key"].as_str().unwrap().to_owned()
    }

    /// Somebody who is signed in: the cookie.
    fn person(&self, email: &str, role: &str) -> String {
        let link = self.folder.json(&["user", "add", email, "--role", role])["link"].as_str().unwrap().to_owned();
        let chosen = json!({ "token": link.rsplit('/').next(), "password": "a sentence of many words" });
        let answer = http().post(format!("{}/api/v1/session/welcome", self.server.url)).json(&chosen).send().unwrap();
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    /// Asks by a key, or by the cookie of somebody who is signed in.
    fn call(&self, by: &str, method: reqwest::Method, path: &str, body: &Value) -> (u16, Value) {
        let url = &self.server.url;
        let request = http().request(method, format!("{url}/api/v1{path}"));
        let request = match by.contains('=') {
            true => request.header("cookie", by).header("origin", url),
            false => request.bearer_auth(by),
        };
        let answer = request.json(body).send().unwrap();
        (answer.status().as_u16(), answer.json().unwrap_or_default())
    }
}

/// A person's traits, as they count.
fn traits(person: &Value) -> Value {
    person["traits"].as_object().unwrap().iter().map(|(name, one)| (name.clone(), one["value"].clone())).collect()
}

fn order(user: &str, id: &str) -> Value {
    json!({ "type": "track", "event": "Order Completed", "userId": user, "messageId": id,
            "properties": { "total": 7, "coupon": "canary-coupon" }, "context": { "ip": "203.0.113.77" } })
}

#[test]
fn what_no_purpose_declares_never_enters() {
    let house = House::open();
    let collection = json!({ "undeclared": "drop", "purposes": {
        "analytics": { "events": { "Order Completed": ["total"] } }, "email": { "traits": ["email"] } } });
    house.govern("collection", &collection).unwrap();
    house.send(&order("u1", "m1"));
    house.send(&json!({ "type": "identify", "userId": "u1", "messageId": "m2", "traits": { "email": "a@example.com", "age": 7 } }));
    house.send(&json!({ "type": "track", "event": "Looked", "userId": "canary-user", "messageId": "m3" }));
    let ada = house.folder.json(&["profile", "show", "u1"]);
    assert_eq!(traits(&ada), json!({ "email": "a@example.com" }), "{ada}");
    let log = house.folder.run(&["log", "dump"]);
    for canary in ["canary-coupon", "203.0.113.77", "canary-user", "\"age\""] {
        assert!(!log.contains(canary), "{canary}: {log}");
    }
    let stats = house.folder.json(&["stats"]);
    let metrics = http().get(format!("{}/metrics", house.server.url)).bearer_auth(house.folder.token()).send().unwrap();
    let metrics = metrics.text().unwrap();
    assert!(metrics.contains("onefold_ingest_minimised_fields_total 3"), "{metrics}");
    assert!(metrics.contains("onefold_ingest_minimised_events_total 1"), "{stats} {metrics}");
    // It holds after a restart as well, and files are no way around it.
    let House { folder, server, write_key } = house;
    drop(server);
    let server = folder.serve();
    let house = House { folder, server, write_key };
    house.send(&order("u2", "m4"));
    let rows = house.folder.file("rows.ndjson", &format!("{}\n", order("u3", "m5")));
    house.folder.run(&["import", rows.to_str().unwrap(), "--source", "files"]);
    assert!(!house.folder.run(&["log", "dump"]).contains("canary-coupon"));
    assert!(house.govern("collection", &json!({ "undeclared": "drop" })).unwrap_err().contains("nothing would enter"));
    assert!(house.govern("collection", &json!({ "undeclared": "burn" })).is_err());
    assert!(house.govern("weather", &json!({})).unwrap_err().contains("collection"));
}

#[test]
fn a_second_person_is_needed_where_the_house_says_so() {
    use reqwest::Method;
    let house = House::open();
    for number in 1..=3 {
        house.send(&json!({ "type": "identify", "userId": format!("u{number}"), "messageId": format!("m{number}"), "traits": { "diagnosis": "flu" } }));
    }
    let by = json!(["role:privacy_officer", "team:board"]);
    let rules = json!({ "new_destinations": { "by": by }, "sensitive_fields": { "by": by }, "sensitive_use": { "by": by },
                        "erasures": { "by": by, "over": 2 } });
    house.govern("approvals", &rules).unwrap();
    let (admin, marketer) = (house.key("a", "admin"), house.key("m", "marketer"));
    let (officer, program) = (house.person("eva@example.com", "privacy_officer"), house.key("p", "privacy_officer"));
    let destination = json!({ "name": "files", "kind": "file", "events": ["*"], "config": { "location": "out", "format": "ndjson", "purpose": "analytics" } });
    let set = || house.call(&admin, Method::PUT, "/destinations", &destination);
    let (status, refused) = set();
    assert_eq!((status, &refused["code"]), (409, &json!("approval_needed")), "{refused}");
    // Asked again, it is the same one.
    set();
    let open = house.call(&officer, Method::GET, "/approvals", &json!({})).1;
    assert_eq!(open.as_array().unwrap().len(), 1, "{open}");
    assert_eq!(open[0]["what"][2]["location"], "out", "who approves sees what: {open}");
    let id = open[0]["id"].as_str().unwrap();
    let vote = |key: &str, approve: bool| {
        house.call(key, Method::POST, &format!("/approvals/{id}"), &json!({ "approve": approve, "why": "seen" })).0
    };
    assert_eq!(vote(&admin, true), 403, "nobody approves their own");
    assert_eq!(vote(&marketer, true), 403, "nor who is not named");
    assert_eq!(vote(&program, true), 403, "nor a program");
    assert_eq!(vote(&officer, true), 200);
    assert_eq!(vote(&officer, true), 409, "once");
    // Something else than what was approved is not.
    let mut other = destination.clone();
    other["config"]["location"] = json!("elsewhere");
    assert_eq!(house.call(&admin, Method::PUT, "/destinations", &other).0, 409);
    assert_eq!(set().0, 200);
    // The same again needs none; setting it up otherwise does, and so does making it anew.
    assert_eq!(set().0, 200);
    assert_eq!(house.call(&admin, Method::PUT, "/destinations", &other).0, 409);
    house.call(&admin, Method::DELETE, "/destinations/files", &json!({}));
    assert_eq!(set().0, 409, "used up");

    // Erasures: two at once are few enough.
    let erase =
        |who: &[&str]| house.call(&officer, Method::POST, "/privacy/erasures", &json!({ "identifiers": who })).0;
    assert_eq!(erase(&["u1", "u2", "u3"]), 409);
    assert_eq!(erase(&["u1"]), 200);

    // A field of a special category: said so with approval, used only for a purpose that names it, with approval.
    let class = json!({ "class": "special_category" });
    let say = || house.call(&admin, Method::PUT, "/fields/diagnosis", &class);
    let (status, refused) = say();
    assert_eq!(status, 409, "{refused}");
    let approve_all = || {
        for open in house.call(&officer, Method::GET, "/approvals", &json!({})).1.as_array().unwrap() {
            if open["standing"] == "open" {
                let path = format!("/approvals/{}", open["id"].as_str().unwrap());
                house.call(&officer, Method::POST, &path, &json!({ "approve": true, "why": "yes" }));
            }
        }
    };
    approve_all();
    assert_eq!(say().0, 200);
    let segment = |purpose: Option<&str>| {
        let mut segment = json!({ "name": "flu", "condition": "trait diagnosis = \"flu\"" });
        if let Some(purpose) = purpose {
            segment["purpose"] = json!(purpose);
        }
        house.call(&admin, Method::PUT, "/segments", &segment)
    };
    let (status, refused) = segment(None);
    assert_eq!((status, &refused["code"]), (403, &json!("sensitive")), "{refused}");
    assert_eq!(segment(Some("care")).0, 403, "no purpose names the field");
    let policy = json!({ "purposes": { "care": { "fields": ["diagnosis"] }, "ads": {} } });
    assert_eq!(house.call(&admin, Method::PUT, "/consents/policy", &policy).0, 200);
    assert_eq!(segment(Some("ads")).0, 403);
    assert_eq!(segment(Some("care")).0, 409, "and somebody must agree");
    approve_all();
    assert_eq!(segment(Some("care")).0, 200);
    // Nor does it go anywhere for a purpose that does not name it.
    let columns = json!({ "name": "ill", "kind": "file", "segments": ["flu"], "config": { "location": "ill", "format": "csv",
        "purpose": "ads", "mode": "audience", "columns": ["traits.diagnosis"] } });
    assert_eq!(house.call(&admin, Method::PUT, "/destinations", &columns).1["code"], "sensitive");
    // What is made of it is of its kind.
    let (status, refused) =
        house.call(&admin, Method::PUT, "/segments", &json!({ "name": "ill", "condition": "in segment \"flu\"" }));
    assert_eq!((status, &refused["code"]), (403, &json!("sensitive")), "{refused}");
    let export = |purpose: Option<&str>| {
        let url = format!("{}/api/v1/segments/export", house.server.url);
        let mut request =
            http().post(url).bearer_auth(&admin).json(&json!({ "segment": "flu", "traits": ["diagnosis"] }));
        if let Some(purpose) = purpose {
            request = request.header("onefold-purpose", purpose);
        }
        request.send().unwrap().status().as_u16()
    };
    assert_eq!((export(None), export(Some("ads"))), (403, 403));
    assert_eq!(export(Some("care")), 409);
    approve_all();
    assert_eq!(export(Some("care")), 200);
    let audit = house.folder.run(&["audit", "list"]);
    assert!(audit.contains("failed") && audit.contains("segments.edit"), "the attempts are on record");
}

#[test]
fn the_directory_knows_every_field_and_where_it_goes() {
    let house = House::open();
    house.send(&order("u1", "m1"));
    house.send(&json!({ "type": "identify", "userId": "u1", "messageId": "m2", "traits": { "email": "a@example.com", "plan": "pro", "shoe": 41 } }));
    house.folder.run(&["segment", "set", "--name", "pro", "--text", "trait plan = \"pro\""]);
    house
        .govern(
            "catalog",
            &json!({ "sources": { "web": { "owner": "shop team" } },
        "fields": { "plan": { "steward": "Ewa", "notice": "n1 v2", "purpose": "analytics" } } }),
        )
        .unwrap();
    let destination = json!({ "name": "out", "kind": "file", "events": ["Order Completed"], "config": { "location": "o", "format": "ndjson", "purpose": "analytics", "interval_s": 1 } });
    let file = house.folder.file("out.json", &destination.to_string());
    house.folder.run(&["destination", "set", file.to_str().unwrap()]);
    let directory = house.folder.json(&["catalog"]);
    let field = |name: &str| {
        directory["fields"].as_array().unwrap().iter().find(|field| field["name"] == name).unwrap().clone()
    };
    let plan = field("plan");
    assert_eq!(
        plan["said"],
        json!({ "owner": "shop team", "steward": "Ewa", "notice": "n1 v2", "purpose": "analytics" }),
        "{plan}"
    );
    assert_eq!(
        (&plan["uses"], &plan["source"]),
        (&json!([{ "kind": "segment", "name": "pro" }]), &json!("web")),
        "{plan}"
    );
    assert_eq!(field("email")["uses"], json!([{ "kind": "identity", "name": "email" }]));
    assert_eq!(field("total")["uses"], json!([{ "kind": "file", "name": "out" }]));
    assert_eq!(field("total")["events"], json!(["Order Completed"]));
    let unused = house.folder.json(&["catalog", "--unused"]);
    let names: Vec<&str> =
        unused["fields"].as_array().unwrap().iter().filter_map(|field| field["name"].as_str()).collect();
    assert!(names.contains(&"shoe") && !names.contains(&"plan") && !names.contains(&"total"), "{names:?}");

    // Reports.
    let policy = house.folder.file(
        "policy.json",
        &json!({ "purposes": { "analytics": { "title": "Statistics", "basis": "legitimate_interest" } } }).to_string(),
    );
    house.folder.run(&["consent", "policy", policy.to_str().unwrap()]);
    house.send(&order("u1", "m9"));
    let record = house.folder.json(&["report", "processing"]);
    let of = &record["processing"][0];
    assert_eq!(
        (&of["purpose"], &of["basis"]["everywhere"], &of["recipients"][0]["destination"]),
        (&json!("analytics"), &json!("legitimate_interest"), &json!("out")),
        "{record}"
    );
    assert!(record["undeclared"].as_array().unwrap().contains(&json!("email")), "{record}");
    let receipts = || house.folder.json(&["report", "exposure", "out", "--from", "2020-01-01"]);
    let mut exposed = receipts();
    for _ in 0..300 {
        if exposed["deliveries"].as_u64().unwrap() > 0 {
            break;
        }
        crate::support::pause();
        exposed = receipts();
    }
    assert_eq!((&exposed["people"], &exposed["about"]), (&json!(1), &json!({ "event": 1 })), "{exposed}");
    assert_eq!(
        house.folder.json(&["report", "exposure", "out", "--from", "2020-01-01", "--to", "2020-01-02"])["people"],
        0
    );
}

#[test]
fn what_is_kept_too_long_goes_everywhere_and_who_is_held_stays() {
    let house = House::open();
    // Strangers of long ago, one of today, and a customer of long ago.
    for (device, at) in [("canary-d1", "2020-01-01"), ("d2", "2020-01-01"), ("d3", "2026-11-01")] {
        house.send(&json!({ "type": "track", "event": "Looked", "anonymousId": device, "messageId": device,
                            "timestamp": format!("{at}T00:00:00Z"), "properties": { "at": device } }));
    }
    house.send(&json!({ "type": "identify", "userId": "u1", "messageId": "u1", "timestamp": "2020-01-01T00:00:00Z",
                        "traits": { "email": "u1@example.com" } }));
    house.send(&json!({ "type": "nonsense", "userId": "u1" }));
    house.folder.run(&["segment", "set", "--name", "held", "--text", "count(\"Looked\" where at = \"d2\") >= 1"]);
    let mut house = house;
    house.pass_time(&["anonymous_id:canary-d1", "anonymous_id:d2", "u1"]);
    house.govern("retention", &json!({ "rules": [{ "category": "unresolved", "days": 91 }, { "category": "dead_letters", "days": 30 }], "hold_segments": ["held"] })).unwrap();
    assert!(house.govern("retention", &json!({ "rules": [{ "category": "unresolved", "days": 0 }] })).is_err());
    assert!(house.govern("retention", &json!({ "hold_segments": ["nobody"] })).unwrap_err().contains("nobody"));
    let preview = house.folder.json(&["retention", "preview"]);
    assert_eq!(
        (&preview[0]["count"], &preview[0]["held"], &preview[1]["count"]),
        (&json!(1), &json!(1), &json!(0)),
        "{preview}"
    );
    let known = |who: &str| house.folder.output(&["profile", "show", who]).status.success();
    assert!(known("anonymous_id:canary-d1"));
    let done = house.folder.json(&["retention", "run"]);
    assert_eq!(done["receipts"][0]["receipt"]["verified"], true, "{done}");
    assert!(!known("anonymous_id:canary-d1") && known("anonymous_id:d2") && known("anonymous_id:d3") && known("u1"));
    assert!(!house.folder.run(&["log", "dump"]).contains("canary-d1"));
    assert_eq!(house.folder.json(&["sql", "SELECT count(*) FROM events WHERE event = 'Looked'"])["rows"], json!([[2]]));
    // Whoever went by time may come again.
    house.send(&json!({ "type": "track", "event": "Looked", "anonymousId": "canary-d1", "messageId": "again" }));
    assert!(known("anonymous_id:canary-d1"));
    house.folder.run(&["rebuild"]);
    assert_eq!(house.folder.json(&["profile", "show", "anonymous_id:canary-d1"])["events"], 1);
    assert_eq!(house.folder.json(&["retention", "run"])["receipts"], json!([]));
    assert!(house.fails(&["retention"]).contains("Usage"));
}

#[test]
fn a_form_asks_one_more_thing_at_a_time_and_its_answers_count_before_all_others() {
    let house = House::open();
    house.send(&json!({ "type": "identify", "userId": "u1", "anonymousId": "a1", "messageId": "m1", "traits": { "size": "L" } }));
    let form = json!({ "style": {
        "title": { "en": "Your style", "de": "Ihr Stil" }, "why": "So that we show what fits.", "gain": "5 % off",
        "purpose": "email", "notice": "style v1",
        "questions": [
            { "trait": "size", "ask": "Your size?", "answer": "choice", "options": { "S": "Small", "L": "Large" } },
            { "trait": "birthday", "ask": { "en": "When were you born?", "de": "Wann sind Sie geboren?" }, "answer": "date" },
            { "trait": "colours", "ask": "Colours?", "answer": "several", "options": { "red": "Red", "blue": "Blue" } },
        ] } });
    house.govern("forms", &form).unwrap();
    assert!(
        house
            .govern(
                "forms",
                &json!({ "x": { "title": "T", "why": "", "purpose": "p", "notice": "", "questions": [] } })
            )
            .is_err()
    );
    let url = format!("{}/forms/default/style", house.server.url);
    let client = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    let get = |query: &str| client.get(format!("{url}?{query}")).send().unwrap().text().unwrap();
    // Size is known, so the next is asked; a stranger is asked the first.
    let page = get("anonymous_id=a1&lang=de");
    assert!(page.contains("Wann sind Sie geboren?") && !page.contains("Your size?"), "{page}");
    assert!(
        page.contains("So that we show what fits.") && page.contains("style v1") && page.contains("5 % off"),
        "{page}"
    );
    assert!(get("anonymous_id=new").contains("Your size?"));
    assert!(!house.folder.run(&["log", "dump"]).contains("\"new\""), "a look stores nothing");
    let post =
        |query: &str, fields: &[(&str, &str)]| client.post(format!("{url}?{query}")).form(fields).send().unwrap();
    // Not an answer: asked again.
    assert!(post("anonymous_id=a1", &[("birthday", "soon")]).text().unwrap().contains("When were you born?"));
    let next = post("anonymous_id=a1", &[("birthday", "1985-04-01")]).text().unwrap();
    assert!(next.contains("Colours?"), "{next}");
    // By the person's link.
    let link = house.folder.json(&["privacy", "link", "u1"]);
    let token = link["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let end = post(&format!("t={token}"), &[("colours", "red"), ("colours", "blue")]).text().unwrap();
    assert!(end.contains("Thank you."), "{end}");
    assert!(post("t=forged", &[("colours", "red")]).text().unwrap().contains("not valid"));
    // What is said later by others does not count before it.
    house.send(&json!({ "type": "identify", "userId": "u1", "messageId": "m2", "traits": { "birthday": "1990-01-01", "size": "S" } }));
    let person = house.folder.json(&["profile", "show", "u1"]);
    assert_eq!(
        traits(&person),
        json!({ "size": "S", "birthday": "1985-04-01", "colours": ["red", "blue"] }),
        "{person}"
    );
    let event = house.folder.run(&["log", "dump"]);
    assert!(event.contains("style v1") && event.contains("\"purpose\":\"email\""), "the notice stands with the answer");
    let snippet = client.get(format!("{url}/snippet.js")).send().unwrap().text().unwrap();
    assert!(snippet.contains("/forms/default/style"), "{snippet}");
}

#[test]
fn an_anonymous_export_tells_nobody_from_others_not_even_by_asking_twice() {
    let house = House::open();
    let person = |n: usize| {
        let (country, born) = if n < 24 { ("PL", 1980 + n % 5) } else { ("DE", 1950) };
        let event = json!({ "type": "identify", "userId": format!("u{n}"), "messageId": format!("m{n}"), "traits": { "country": country, "birthday": format!("{born}-05-05"), "plan": "pro", "late": n == 23 } });
        format!("{event}\n")
    };
    let rows: String = (0..27).map(person).collect();
    let rows = house.folder.file("rows.ndjson", &rows);
    house.folder.run(&["import", rows.to_str().unwrap(), "--source", "files"]);
    let export = |segment: &str, more: &[&str]| {
        let args =
            [&["segment", "anonymous", segment, "--by", "country", "--by", "birthday=age_band", "--k", "5"], more]
                .concat();
        house.folder.output(&args)
    };
    let told = |output: std::process::Output| -> Value {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    // Three are too few to be told; so that they are not known by their number, the smallest other group goes as well.
    let all = told(export("trait plan = \"pro\"", &[]));
    let people = |told: &Value| {
        told["groups"].as_array().unwrap().iter().map(|group| group["people"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(people(&all) + all["suppressed"].as_u64().unwrap(), 27, "{all}");
    assert!(all["suppressed"].as_u64().unwrap() >= 5 && !all.to_string().contains("DE"), "{all}");
    assert!(all["groups"].as_array().unwrap().iter().all(|group| group["people"].as_u64().unwrap() >= 5), "{all}");
    // The same again is the same; all but one would tell that one.
    assert_eq!(told(export("trait plan = \"pro\"", &[])), all);
    let refused = export("trait plan = \"pro\" and trait late = false", &[]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("by few people"), "{said}");
    assert!(export("trait plan = \"pro\"", &["--by", "email=hash"]).status.code() != Some(0));
    let few = house.folder.output(&["segment", "anonymous", "trait plan = \"pro\"", "--by", "country", "--k", "2"]);
    assert!(!few.status.success());
    // A role that does not see a value gets it coarse, or not at all.
    let analyst = house.key("n", "analyst");
    let body = |how: &str| json!({ "segment": "trait plan = \"pro\"", "columns": { "email": how }, "k": 5 });
    let call = |how: &str| house.call(&analyst, reqwest::Method::POST, "/segments/export/anonymous", &body(how)).0;
    assert_eq!((call("as_is"), call("prefix:1")), (403, 200));
}

#[test]
fn what_is_sensitive_leaves_for_a_purpose_that_names_it_and_is_computed_by_who_sees_it() {
    use reqwest::Method;
    let house = House::open();
    let (token, marketer) = (house.folder.token(), house.key("m", "marketer"));
    let policy = json!({ "unstated": "allow", "purposes": { "care": { "fields": ["diagnosis"] }, "ads": {} } });
    assert_eq!(house.call(&token, Method::PUT, "/consents/policy", &policy).0, 200);
    let segment = json!({ "name": "all", "condition": "trait name exists" });
    assert_eq!(house.call(&token, Method::PUT, "/segments", &segment).0, 200);
    for purpose in ["care", "ads"] {
        let config = json!({ "location": purpose, "format": "ndjson", "purpose": purpose, "interval_s": 1 });
        let destination =
            json!({ "name": purpose, "kind": "file", "segments": ["all"], "events": ["*"], "config": config });
        assert_eq!(house.call(&token, Method::PUT, "/destinations", &destination).0, 200);
    }
    house.send(&json!({ "type": "identify", "userId": "u1", "messageId": "m1", "traits": { "name": "Ada", "diagnosis": "flu" } }));
    house.send(&json!({ "type": "track", "event": "Visit", "userId": "u1", "messageId": "m2", "properties": { "of": { "x": 1 }, "diagnosis": "flu" } }));
    let delivered = |purpose: &str| {
        let folder = house.folder.path().join("exports/1").join(purpose);
        let files = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        let whole = files.filter(|path| path.extension().is_some_and(|extension| extension == "ndjson"));
        whole.map(|path| std::fs::read_to_string(path).unwrap()).collect::<String>()
    };
    let is_there = |purpose: &str| delivered(purpose).lines().count() >= 3;
    for _ in 0..3000 {
        if is_there("care") && is_there("ads") {
            break;
        }
        crate::support::pause();
    }
    assert_eq!(delivered("care").matches("flu").count(), 3, "{}", delivered("care"));
    assert!(is_there("ads") && !delivered("ads").contains("flu"), "{}", delivered("ads"));

    // A segment that asks about it goes nowhere for another purpose.
    let ill = json!({ "name": "ill", "purpose": "care", "condition": "trait diagnosis = \"flu\"" });
    assert_eq!(house.call(&token, Method::PUT, "/segments", &ill).0, 200);
    let config = json!({ "location": "ill", "format": "ndjson", "purpose": "ads" });
    let destination = json!({ "name": "ill", "kind": "file", "segments": ["ill"], "config": config });
    assert_eq!(house.call(&token, Method::PUT, "/destinations", &destination).1["code"], "sensitive");

    // Under another name it is what it was.
    let computed = json!({ "name": "plan_code", "measure": { "last": "diagnosis" }, "event": "Visit" });
    assert_eq!(house.call(&marketer, Method::PUT, "/computed", &computed).0, 403);
    assert_eq!(house.call(&token, Method::PUT, "/computed", &computed).0, 200);
    let (_, whole) = house.call(&token, Method::GET, "/profiles/u1", &json!({}));
    assert_eq!(whole["computed"]["plan_code"], "flu", "{whole}");
    let (status, seen) = house.call(&marketer, Method::GET, "/profiles/u1", &json!({}));
    assert_eq!((status, &seen["computed"]["plan_code"]), (200, &Value::Null), "{seen}");
}
