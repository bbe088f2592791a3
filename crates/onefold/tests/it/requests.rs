//! Requests under privacy law, end to end: entered, identified, carried out, answered; by hand, by the person, by a controller.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::{Folder, Server, http, root};

const ADA: &str = "ada@example.com";

/// A program beside, of the registry, that prints what it takes; its first line is the port it listens on.
struct Beside {
    child: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
}

impl Beside {
    fn start(script: &str, argument: &str) -> Beside {
        let folder = root().join("tests/sdk");
        let mut command = Command::new(folder.join(".venv/bin/python"));
        command.arg(folder.join(script)).arg(argument).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut beside = Beside { child, lines, port: 0 };
        beside.port = beside.next()["port"].as_u64().unwrap() as u16;
        beside
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that knows Ada and Bob.
fn shop(settings: Vec<(&'static str, String)>) -> (Folder, Server) {
    let folder = Folder::with(settings);
    let server = folder.serve();
    let key = folder.json(&["source", "add", "web"])["write_key"].as_str().unwrap().to_owned();
    for (id, email) in [("ada", ADA), ("bob", "bob@example.com")] {
        let event = json!({ "userId": id, "messageId": id, "traits": { "email": email, "name": id, "city": "Lodz" } });
        let url = format!("{}/v1/identify", server.url);
        assert!(http().post(url).basic_auth(&key, Some("")).json(&event).send().unwrap().status().is_success());
    }
    folder.run(&["stats"]);
    (folder, server)
}

fn fails(folder: &Folder, args: &[&str]) -> String {
    let output = folder.output(args);
    assert!(!output.status.success(), "onefold {args:?} works");
    String::from_utf8(output.stderr).unwrap()
}

fn id_of(request: &Value) -> String {
    request["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_request_goes_its_way_and_nothing_is_done_before_it_is_known_who_asks() {
    let (folder, _server) = shop(vec![]);
    let said = fails(&folder, &["request", "add", "erase", ADA]);
    assert!(said.contains("no mail can be sent"), "{said}");
    let asked = folder.json(&["request", "add", "erase", ADA, "--identified", "passport shown"]);
    assert_eq!((&asked["status"], &asked["days_left"]), (&json!("pending"), &json!(30)), "{asked}");
    // Each kind does what it says.
    let done = |kind: &str, more: &[&str]| {
        let args = [&["request", "add", kind, ADA, "--identified", "known to us"], more].concat();
        let id = id_of(&folder.json(&args));
        let done = folder.json(&["request", "carry-out", &id]);
        assert_eq!(done["status"], "completed", "{done}");
        done
    };
    done("rectify", &["--set", "city=Łódź", "--set", "age=36"]);
    let ada = folder.json(&["profile", "show", ADA]);
    assert_eq!(
        (&ada["traits"]["city"]["value"], &ada["traits"]["age"]["value"]),
        (&json!("Łódź"), &json!(36)),
        "{ada}"
    );
    let decide = |purpose: &str| folder.json(&["consent", "decide", ADA, purpose])["rule"].clone();
    let before = decide("ads");
    done("object", &["--purpose", "ads"]);
    assert_ne!(decide("ads"), before);
    done("restrict", &[]);
    assert_eq!(folder.json(&["consent", "decide", ADA, "anything"])["allowed"], false);
    for kind in ["opt_out_of_sale", "limit_sensitive", "no_automated"] {
        done(kind, &[]);
    }
    let access = done("access", &[]);
    let zip = folder.path().join("../ada.zip");
    folder.run(&["request", "answer", access["id"].as_str().unwrap(), "--output", zip.to_str().unwrap()]);
    let mut zip = zip::ZipArchive::new(std::fs::File::open(zip).unwrap()).unwrap();
    let mut profile = String::new();
    zip.by_name("profile.json").unwrap().read_to_string(&mut profile).unwrap();
    assert!(profile.contains(ADA) && !profile.contains("bob"), "{profile}");

    // Time: extended once, and no more.
    let id = id_of(&asked);
    assert_eq!(folder.json(&["request", "extend", &id, "many archives"])["days_left"], 90);
    assert!(fails(&folder, &["request", "extend", &id, "more"]).contains("cannot be extended"));
    let late =
        folder.json(&["request", "add", "access", "bob@example.com", "--identified", "x", "--received", "2020-01-01"]);
    assert_eq!(late["overdue"], true);
    assert_eq!(folder.json(&["request", "list", "--status", "overdue"]).as_array().unwrap().len(), 1);
    folder.run(&["request", "cancel", late["id"].as_str().unwrap(), "taken back"]);
    assert!(fails(&folder, &["request", "carry-out", late["id"].as_str().unwrap()]).contains("is cancelled"));

    // Erased: the request names nobody any more, nor do the others about the same person.
    let erased = folder.json(&["request", "carry-out", &id]);
    assert_eq!((&erased["status"], &erased["identifiers"]), (&json!("completed"), &json!([])), "{erased}");
    let receipt = folder.json(&["privacy", "show", erased["result"]["erasure"].as_str().unwrap()]);
    assert_eq!(receipt["receipt"]["verified"], true);
    assert!(!folder.run(&["request", "list"]).contains(ADA));
    assert!(fails(&folder, &["profile", "show", ADA]).contains("no profile"));
    let statistics = folder.json(&["request", "statistics"]);
    let of = |kind: &str| statistics.as_array().unwrap().iter().find(|of| of["kind"] == kind).unwrap().clone();
    assert_eq!((&of("erase")["completed"], &of("access")["cancelled"]), (&json!(1), &json!(1)), "{statistics}");
    assert!(fails(&folder, &["request", "add", "rectify", "u1", "--identified", "x"]).contains("corrections"));
}

#[test]
fn a_shared_device_does_not_take_a_household_with_it() {
    let (folder, _server) = shop(vec![]);
    folder.run(&["profile", "merge", ADA, "bob@example.com"]);
    let asked = folder.json(&["request", "add", "erase", ADA, "--identified", "by phone"]);
    let id = id_of(&asked);
    assert!(folder.json(&["request", "show", &id])["warning"].as_str().unwrap().contains("2 e-mail addresses"));
    assert!(fails(&folder, &["request", "carry-out", &id]).contains("2 e-mail addresses"));
    folder.run(&["profile", "unmerge", ADA, "bob@example.com"]);
    assert_eq!(folder.json(&["request", "carry-out", &id])["status"], "completed");
    assert!(folder.output(&["profile", "show", "bob@example.com"]).status.success());
}

#[test]
fn whoever_asks_on_the_page_is_asked_by_mail_and_gets_the_answer_by_a_link() {
    let mut mail = Beside::start("mail.py", "");
    let settings = vec![
        ("ONEFOLD_MAIL__URL", format!("smtp://127.0.0.1:{}", mail.port)),
        ("ONEFOLD_MAIL__FROM", "Privacy <privacy@shop.example>".to_owned()),
        ("ONEFOLD_SERVER__PUBLIC_URL", "https://cdp.shop.example".to_owned()),
    ];
    let (folder, server) = shop(settings);
    let page = http().get(format!("{}/privacy/request/default?lang=de", server.url)).send().unwrap().text().unwrap();
    assert!(page.contains("Worum bitten Sie?") && page.contains("Löschen Sie meine Daten"), "{page}");
    let enter = |email: &str| {
        let form = [("email", email), ("kind", "access")];
        let url = format!("{}/privacy/request/default?lang=de", server.url);
        http().post(url).form(&form).send().unwrap()
    };
    assert_eq!(enter("nonsense").status(), 400);
    assert!(enter(ADA).text().unwrap().contains("innerhalb von drei Tagen"));
    let asks = mail.next();
    assert_eq!((&asks["to"], &asks["from"]), (&json!([ADA]), &json!("privacy@shop.example")), "{asks}");
    let link = |mail: &Value| {
        let text = mail["text"].as_str().unwrap();
        let url = text.split_whitespace().find(|word| word.starts_with("https://")).unwrap();
        url.replace("https://cdp.shop.example", &server.url)
    };
    let request = folder.json(&["request", "list"])[0].clone();
    assert_eq!(request["status"], "unverified");
    assert!(fails(&folder, &["request", "carry-out", &id_of(&request)]).contains("unverified"));
    // A GET, of a mail scanner for instance, confirms nothing.
    let confirm = link(&asks);
    assert!(http().get(&confirm).send().unwrap().text().unwrap().contains("Ja, das war ich"));
    assert_eq!(folder.json(&["request", "show", &id_of(&request)])["status"], "unverified");
    assert!(http().post(&confirm).send().unwrap().text().unwrap().contains("bestätigt"));
    assert_eq!(folder.json(&["request", "show", &id_of(&request)])["status"], "pending");
    let forged = confirm.replacen("confirm/", "confirm/A", 1);
    assert_eq!(http().post(forged).send().unwrap().status(), 404);

    folder.run(&["request", "carry-out", &id_of(&request)]);
    let answer = link(&mail.next());
    assert!(http().get(&answer).send().unwrap().text().unwrap().contains("Herunterladen"));
    let zip = http().post(&answer).send().unwrap().bytes().unwrap().to_vec();
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    let mut profile = String::new();
    zip.by_name("profile.json").unwrap().read_to_string(&mut profile).unwrap();
    assert!(profile.contains(ADA), "{profile}");
    // Once erased, there is nothing to fetch.
    folder.run(&["privacy", "erase", ADA, "--yes"]);
    assert_eq!(http().post(&answer).send().unwrap().status(), 404);
    let audit = folder.run(&["audit", "list"]);
    assert!(audit.contains("privacy.answer") && audit.contains("subject"), "{audit}");
}

#[test]
fn a_controller_hands_requests_over_and_is_told_what_becomes_of_them() {
    let spare = Folder::new();
    let place = spare.file("place", "");
    let place = place.parent().unwrap();
    let mut controller = Beside::start("controller.py", place.to_str().unwrap());
    let callback = format!("http://127.0.0.1:{}/callbacks", controller.port);
    let (folder, server) = shop(vec![
        ("ONEFOLD_OPENDSR__DOMAIN", "cdp.shop.example".to_owned()),
        ("ONEFOLD_OPENDSR__CERTIFICATE", place.join("certificate.pem").display().to_string()),
        ("ONEFOLD_OPENDSR__KEY", place.join("key.pem").display().to_string()),
        ("ONEFOLD_EGRESS__ALLOWED", "[\"127.0.0.1\"]".to_owned()),
    ]);
    let key = folder.json(&["key", "add", "controller", "privacy_officer"])["key"].as_str().unwrap().to_owned();
    let url = |path: &str| format!("{}/opendsr/{path}", server.url);
    let found: Value = http().get(url("discovery")).bearer_auth(&key).send().unwrap().json().unwrap();
    assert_eq!(found["api_version"], "2.0");
    let pem = http().get(found["processor_certificate"].as_str().unwrap()).send().unwrap().text().unwrap();
    assert_eq!(pem, std::fs::read_to_string(place.join("certificate.pem")).unwrap());
    let request = |id: &str, kind: &str| {
        json!({
            "regulation": "gdpr", "subject_request_id": id, "subject_request_type": kind,
            "submitted_time": "2026-11-20T10:00:00Z", "api_version": "2.0",
            "subject_identities": [{ "identity_type": "email", "identity_value": ADA, "identity_format": "raw" }],
            "status_callback_urls": [callback],
        })
    };
    let send = |body: &Value| http().post(url("requests")).bearer_auth(&key).json(body).send().unwrap();
    let taken = send(&request("r-access", "access"));
    assert_eq!(taken.status(), 201);
    assert_eq!(taken.headers()["x-opendsr-processor-domain"], "cdp.shop.example");
    assert!(taken.headers().contains_key("x-opendsr-signature"));
    let taken: Value = taken.json().unwrap();
    assert_eq!(taken["expected_completion_time"], "2026-12-20T10:00:00.000Z", "{taken}");
    // Told at once, and signed so that the controller's own library finds it right.
    let told = controller.next();
    assert_eq!(
        (&told["right"], &told["domain"], &told["body"]["request_status"]),
        (&json!(true), &json!("cdp.shop.example"), &json!("pending")),
        "{told}"
    );
    assert_eq!(send(&request("r-access", "access")).status(), 400, "the same id again");
    assert_eq!(send(&request("r-odd", "teleport")).status(), 400);
    assert_eq!(send(&json!({})).status(), 400);

    let id = folder.json(&["request", "list"])[0]["id"].as_str().unwrap().to_owned();
    folder.run(&["request", "carry-out", &id]);
    let mut last = controller.next();
    while last["body"]["request_status"] != "completed" {
        last = controller.next();
    }
    assert_eq!(last["right"], true);
    let state: Value = http().get(url("requests/r-access")).bearer_auth(&key).send().unwrap().json().unwrap();
    assert_eq!(state["request_status"], "completed", "{state}");
    let zip = http().get(state["results_url"].as_str().unwrap()).bearer_auth(&key).send().unwrap().bytes().unwrap();
    assert!(zip::ZipArchive::new(std::io::Cursor::new(zip.to_vec())).unwrap().by_name("profile.json").is_ok());
    assert_eq!(http().get(url("requests/r-access/results")).send().unwrap().status(), 401);

    send(&request("r-erase", "erasure"));
    let taken_back = http().delete(url("requests/r-erase")).bearer_auth(&key).send().unwrap();
    assert_eq!(taken_back.status(), 202);
    assert_eq!(http().delete(url("requests/r-erase")).bearer_auth(&key).send().unwrap().status(), 400);
    assert_eq!(http().get(url("requests/r-none")).bearer_auth(&key).send().unwrap().status(), 404);
    assert!(folder.output(&["profile", "show", ADA]).status.success());
}
