//! Who works here, and what each of them may do and see: every endpoint in every role, masks, rows, sessions, keys.

use std::collections::BTreeMap;

use expect_test::expect_file;
use reqwest::{
    Method,
    blocking::{Client, Response},
};
use serde_json::{Value, json};

use crate::support::{Folder, Server, http};

const PEOPLE: &str = "id,name,email,phone,country,plan,salary,diagnosis,score\n\
    u1,Ada Lovelace,ada@example.com,+48221234567,PL,pro,54321.10,flu,7\n\
    u2,Bob Stone,bob@example.org,+4915112345678,DE,free,43210,cold,8\n\
    u3,Ewa Nowak,ewa@example.com,+48229999999,PL,pro,65432,none,9\n";

const MAPPING: &str = "kind = \"identify\"\nidentifiers = { user_id = \"id\" }\ntraits = { name = \"name\", email = \"email\", \
    phone = \"phone\", country = \"country\", plan = \"plan\", salary = \"salary\", diagnosis = \"diagnosis\", score = \"score\" }\n";

/// A workspace with three people, two of them in Poland, and events.
struct House {
    folder: Folder,
    server: Server,
    token: String,
    client: Client,
}

impl House {
    fn open() -> House {
        let folder = Folder::new();
        let server = folder.serve();
        let mapping = folder.file("mapping.toml", MAPPING);
        let rows = folder.file("people.csv", PEOPLE);
        folder.run(&["import", rows.to_str().unwrap(), "--source", "crm", "--mapping", mapping.to_str().unwrap()]);
        let segment = folder.file("poland.json", r#"{"name": "poland", "condition": "trait country = \"PL\""}"#);
        folder.run(&["segment", "set", segment.to_str().unwrap()]);
        let segment = folder.file("pro.json", r#"{"name": "pro", "condition": "trait plan = \"pro\""}"#);
        folder.run(&["segment", "set", segment.to_str().unwrap()]);
        let token = folder.token();
        House { folder, server, token, client: http() }
    }

    fn key(&self, role: &str, only: &[&str]) -> String {
        let name = format!("k-{role}-{}", only.join("-"));
        let mut args = vec!["key", "add", &name, role];
        only.iter().for_each(|segment| args.extend(["--only", segment]));
        self.folder.json(&args)["key"].as_str().unwrap().to_owned()
    }

    fn send(&self, key: &str, method: Method, path: &str, body: &Value) -> Response {
        self.send_to(key, method, &format!("/api/v1{path}"), body)
    }

    fn send_to(&self, key: &str, method: Method, path: &str, body: &Value) -> Response {
        let request = self.client.request(method, format!("{}{path}", self.server.url)).bearer_auth(key);
        request.json(body).send().unwrap()
    }

    fn get(&self, key: &str, path: &str) -> Value {
        let answer = self.send(key, Method::GET, path, &json!({}));
        let status = answer.status();
        let text = answer.text().unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    fn sql(&self, key: &str, sql: &str) -> Value {
        let answer = self.send(key, Method::POST, "/sql", &json!({ "sql": sql, "now": true }));
        let status = answer.status();
        let json: Value = answer.json().unwrap();
        assert!(status.is_success(), "{sql}: {json}");
        json["rows"].clone()
    }
}

/// One letter each, in the order of the roles that there are from the beginning.
const ROLES: [(char, &str); 7] = [
    ('A', "admin"),
    ('P', "privacy_officer"),
    ('S', "data_steward"),
    ('M', "marketer"),
    ('N', "analyst"),
    ('D', "developer"),
    ('G', "agency"),
];

/// What the description of the API names, in every role: who is let through. A small letter: whoever sees only some people is not.
#[test]
fn every_endpoint_in_every_role() {
    let house = House::open();
    let description: Value = http()
        .get(format!("{}/api/openapi.json", house.server.url))
        .bearer_auth(&house.token)
        .send()
        .unwrap()
        .json()
        .unwrap();
    let keys: Vec<(char, String, String)> =
        ROLES.iter().map(|(letter, role)| (*letter, house.key(role, &[]), house.key(role, &["poland"]))).collect();
    let mut table = String::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let named = path.strip_prefix("/api/v1").unwrap_or(path);
        if named == "/session" || named == "/session/welcome" {
            continue;
        }
        for method in methods.as_object().unwrap().keys() {
            let asked = path.replace("{identifier}", "nobody").replace("{type}", "account");
            let asked: String = asked
                .split('/')
                .map(|part| if part.starts_with('{') { "0" } else { part })
                .collect::<Vec<_>>()
                .join("/");
            let may = |key: &String| {
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                let answer = house.send_to(key, method, &asked, &json!({}));
                assert_ne!(answer.status(), 401, "{path}");
                answer.status() != 403
            };
            let letters = keys.iter().map(|(letter, whole, some)| match (may(whole), may(some)) {
                (true, true) => *letter,
                (true, false) => letter.to_ascii_lowercase(),
                (false, false) => '-',
                (false, true) => panic!("{method} {path}: who sees less may more"),
            });
            let letters: String = letters.collect();
            table.push_str(&format!("{letters} {} {named}\n", method.to_uppercase()));
        }
    }
    expect_file!["roles.txt"].assert_eq(&table);
    let nobody = http().get(format!("{}/api/v1/profiles", house.server.url)).send().unwrap();
    assert_eq!(nobody.status(), 401);
    assert_eq!(house.send("onefold_key_1_0000", Method::GET, "/profiles", &json!({})).status(), 401);
}

#[test]
fn each_role_sees_what_its_masks_leave() {
    let house = House::open();
    let shown = |role: &str| house.get(&house.key(role, &[]), "/profiles/ada@example.com");
    let of = |profile: &Value, name: &str| profile["traits"][name]["value"].clone();
    let admin = shown("admin");
    assert_eq!(of(&admin, "email"), "ada@example.com");
    assert_eq!(of(&admin, "diagnosis"), "flu");
    let marketer = shown("marketer");
    assert_eq!(of(&marketer, "email"), "a•••@example.com");
    assert_eq!(of(&marketer, "phone"), "•••67");
    assert_eq!(of(&marketer, "name"), "A•••");
    assert_eq!(of(&marketer, "plan"), "pro");
    assert_eq!(of(&marketer, "salary"), "50000");
    assert_eq!(of(&marketer, "diagnosis"), Value::Null);
    let analyst = shown("analyst");
    for secret in ["ada@example.com", "Lovelace", "48221234567", "54321", "flu", "u1\""] {
        assert!(!analyst.to_string().contains(secret), "{secret} in {analyst}");
        assert!(!marketer.to_string().contains(secret) || secret == "u1\"", "{secret} in {marketer}");
    }
    // A steward says what a field holds, and it counts at once.
    house.folder.run(&["field", "set", "name", "free"]);
    house.folder.run(&["field", "set", "score", "special_category"]);
    let marketer = shown("marketer");
    assert_eq!(of(&marketer, "name"), "Ada Lovelace");
    assert_eq!(of(&marketer, "score"), Value::Null);
    // What is hidden cannot be asked about either.
    let key = house.key("marketer", &[]);
    for text in [r#"trait email = "ada@example.com""#, r#"not trait diagnosis = "flu""#] {
        let answer = house.send(&key, Method::POST, "/segments/preview", &json!({ "text": text }));
        assert_eq!(answer.status(), 403, "{text}");
    }
    // Nor explained, through whichever segment.
    for (name, condition) in [("ada", r#"trait email = "ada@example.com""#), ("hers", r#"in segment "ada""#)] {
        let file = house.folder.file("segment.json", &json!({ "name": name, "condition": condition }).to_string());
        house.folder.run(&["segment", "set", file.to_str().unwrap()]);
        let path = format!("/segments/{name}/explain?identifier=u1");
        assert_eq!(house.send(&key, Method::GET, &path, &json!({})).status(), 403, "{name}");
        assert_eq!(house.get(&house.token, &path)["holds"], true);
    }
    let by = json!({ "text": "everyone", "by": ["diagnosis"] });
    assert_eq!(house.send(&key, Method::POST, "/segments/preview", &by).status(), 403);
    // The same in bulk.
    let analyst = house.key("analyst", &[]);
    let export = json!({ "segment": "poland", "traits": ["email", "plan", "salary", "diagnosis"] });
    let text = house.send(&analyst, Method::POST, "/segments/export", &export).text().unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains(r#""plan":"pro""#) && text.contains(r#""diagnosis":null"#), "{text}");
    assert!(!text.contains("example.com") && !text.contains("54321"), "{text}");
    let timeline = house.get(&analyst, "/profiles/ada@example.com/timeline");
    assert_eq!(timeline[0]["event"]["type"], "identify");
    assert!(
        !timeline.to_string().contains("ada@example.com") && !timeline.to_string().contains("48221234567"),
        "{timeline}"
    );
}

#[test]
fn sql_shows_what_masks_leave_and_looks_behind_none() {
    let house = House::open();
    let analyst = house.key("analyst", &[]);
    let tables = [
        "SELECT * FROM profiles",
        "SELECT * FROM identifiers",
        "SELECT * FROM events",
        "SELECT * FROM consents",
        "SELECT * FROM deliveries",
        "SELECT * FROM segment_members",
    ];
    for sql in tables {
        let rows = house.sql(&analyst, sql).to_string();
        for secret in ["ada@example.com", "Lovelace", "48221234567", "54321", "flu"] {
            assert!(!rows.contains(secret), "{secret} by {sql}: {rows}");
        }
    }
    assert_eq!(house.sql(&analyst, "SELECT count(*) FROM profiles WHERE traits->>'plan' = 'pro'"), json!([[2]]));
    // Hashes join and count.
    let joined = "SELECT count(DISTINCT value) FROM identifiers WHERE kind = 'email'";
    assert_eq!(house.sql(&analyst, joined), json!([[3]]));
    // No predicate of the caller's sees what stands behind the mask, nor does an error tell of it.
    for sql in [
        "SELECT count(*) FROM profiles WHERE traits->>'email' = 'ada@example.com'",
        "SELECT count(*) FROM identifiers WHERE value LIKE '%@example%'",
        "SELECT count(*) FROM profiles WHERE 1 / (CASE WHEN traits->>'email' = 'ada@example.com' THEN 0 ELSE 1 END) > 1",
    ] {
        assert_eq!(house.sql(&analyst, sql), json!([[0]]), "{sql}");
    }
    // Who sees some people gets no error of the others, and no table of the past.
    let regional = house.key("analyst", &["poland"]);
    let of_bob = "SELECT count(*) FROM profiles WHERE 1 / (CASE WHEN traits->>'country' = 'DE' THEN 0 ELSE 1 END) = 1";
    assert_eq!(house.sql(&regional, of_bob), json!([[2]]));
    let past = house.send(&regional, Method::POST, "/sql", &json!({ "sql": "SELECT * FROM profiles_history" }));
    assert_eq!(past.status(), 400);
    let plan = house.sql(&regional, "EXPLAIN SELECT count(*) FROM profiles").to_string();
    assert!(plan.contains("Closed") && !plan.contains("poland"), "{plan}");
}

/// Whoever sees some people gets of every question what a copy with these people alone gives.
#[test]
fn some_people_are_a_copy_with_these_alone() {
    let house = House::open();
    house.folder.run(&["workspace", "add", "copy"]);
    let mapping = house.folder.file("mapping.toml", MAPPING);
    let polish: String = PEOPLE.lines().filter(|line| !line.contains(",DE,")).map(|line| format!("{line}\n")).collect();
    let rows = house.folder.file("polish.csv", &polish);
    let copy = ["--workspace", "copy"];
    let run = |args: &[&str]| house.folder.run(&[args, &copy[..]].concat());
    run(&["import", rows.to_str().unwrap(), "--source", "crm", "--mapping", mapping.to_str().unwrap()]);
    for name in ["poland", "pro"] {
        let file = house.folder.file(
            "segment.json",
            &json!({ "name": name, "condition": match name {
            "poland" => "trait country = \"PL\"",
            _ => "trait plan = \"pro\"",
        } })
            .to_string(),
        );
        run(&["segment", "set", file.to_str().unwrap()]);
    }
    let policy = r#"
        permit (principal in Role::"regional", action, resource is Workspace);
        permit (principal in Role::"regional", action == Action::"see", resource);
    "#;
    let file = house.folder.file("regional.cedar", policy);
    house.folder.run(&["role", "policies", file.to_str().unwrap()]);
    let key = house.key("regional", &["poland"]);
    let in_copy = |path: &str, method: Method, body: &Value| {
        let request = http().request(method, format!("{}/api/v1{path}", house.server.url)).bearer_auth(&house.token);
        request.header("onefold-workspace", "copy").json(body).send().unwrap()
    };
    for sql in [
        "SELECT count(*), count(DISTINCT traits->>'plan') FROM profiles",
        "SELECT traits->>'email', traits->>'salary' FROM profiles ORDER BY 1",
        "SELECT kind, value FROM identifiers ORDER BY 1, 2",
        "SELECT segment, count(*) FROM segment_members GROUP BY 1 ORDER BY 1",
        "SELECT type, user_id, traits FROM events ORDER BY user_id",
        "SELECT min(value), max(value) FROM identifiers WHERE kind = 'phone'",
        "SELECT avg(CAST(traits->>'salary' AS double precision)) FROM profiles",
        "SELECT i.value, e.type FROM events e JOIN identifiers i ON i.node = e.node ORDER BY 1",
        "SELECT count(*) FROM profiles WHERE traits->>'country' = 'DE'",
        "SELECT count(*) FROM profiles p WHERE NOT EXISTS (SELECT 1 FROM segment_members m WHERE m.profile = p.profile)",
        "SELECT count(*) FROM consents",
        "SELECT count(*) FROM deliveries",
    ] {
        let theirs: Value = in_copy("/sql", Method::POST, &json!({ "sql": sql, "now": true })).json().unwrap();
        assert_eq!(house.sql(&key, sql), theirs["rows"], "{sql}");
    }
    for text in ["everyone", r#"trait plan = "pro""#, r#"not in segment "pro""#, r#"count(any event) >= 1"#] {
        let body = json!({ "text": text, "by": ["plan", "country"] });
        let mine: Value = house.send(&key, Method::POST, "/segments/preview", &body).json().unwrap();
        let theirs: Value = in_copy("/segments/preview", Method::POST, &body).json().unwrap();
        assert_eq!((&mine["count"], &mine["by"]), (&theirs["count"], &theirs["by"]), "{text}");
    }
    let overlap = json!({ "segments": ["poland", "pro"] });
    let mine: Value = house.send(&key, Method::POST, "/segments/overlap", &overlap).json().unwrap();
    let theirs: Value = in_copy("/segments/overlap", Method::POST, &overlap).json().unwrap();
    assert_eq!((&mine["counts"], &mine["overlaps"]), (&theirs["counts"], &theirs["overlaps"]));
    for path in ["/segments/pro/count", "/segments"] {
        let mine = house.get(&key, path);
        let theirs: Value = in_copy(path, Method::GET, &json!({})).json().unwrap();
        let counts = |of: &Value| match of {
            Value::Array(all) => all.iter().map(|one| one["count"].clone()).collect(),
            one => vec![one["count"].clone()],
        };
        assert_eq!(counts(&mine), counts(&theirs), "{path}");
    }
    for (path, count) in [("/profiles", 2), ("/profiles?limit=1", 1)] {
        assert_eq!(house.get(&key, path).as_array().unwrap().len(), count);
    }
    let members = house.send(&key, Method::GET, "/segments/pro/members", &json!({})).text().unwrap();
    assert_eq!(members.lines().count(), 2);
    for path in ["/profiles/bob@example.org", "/profiles/u2/timeline", "/segments/pro/explain?identifier=u2"] {
        assert_eq!(house.send(&key, Method::GET, path, &json!({})).status(), 404, "{path}");
    }
}

/// For a purpose only those are read who allow it, by whatever way.
#[test]
fn for_a_purpose_only_those_are_read_who_allow_it() {
    let house = House::open();
    let policy = house.folder.file("policy.json", r#"{"purposes": {"marketing": {}}}"#);
    house.folder.run(&["consent", "policy", policy.to_str().unwrap()]);
    house.folder.run(&["consent", "set", "u1", "marketing", "granted", "--by-person"]);
    let ask = |path: &str, method: Method, body: &Value| {
        let request = http().request(method, format!("{}/api/v1{path}", house.server.url)).bearer_auth(&house.token);
        request.header("onefold-purpose", "marketing").json(body).send().unwrap()
    };
    let sql = |sql: &str| {
        ask("/sql", Method::POST, &json!({ "sql": sql, "now": true })).json::<Value>().unwrap()["rows"].clone()
    };
    assert_eq!(sql("SELECT traits->>'name' FROM profiles"), json!([["Ada Lovelace"]]));
    assert_eq!(sql("SELECT count(*) FROM events"), json!([[1]]));
    assert_eq!(ask("/profiles/u2", Method::GET, &json!({})).status(), 404);
    assert_eq!(ask("/profiles/u1", Method::GET, &json!({})).status(), 200);
    assert_eq!(ask("/profiles", Method::GET, &json!({})).json::<Value>().unwrap().as_array().unwrap().len(), 1);
    let preview = ask("/segments/preview", Method::POST, &json!({ "text": "everyone" })).json::<Value>().unwrap();
    assert_eq!(preview["count"], 1);
    house.folder.run(&["consent", "set", "u1", "marketing", "withdrawn", "--by-person"]);
    assert_eq!(sql("SELECT count(*) FROM profiles"), json!([[0]]));
    assert_eq!(ask("/profiles/u1", Method::GET, &json!({})).status(), 404);
}

/// A browser's part: cookies are kept, and the page's origin goes along.
struct Browser<'a> {
    house: &'a House,
    client: Client,
    cookie: Option<String>,
}

impl<'a> Browser<'a> {
    fn new(house: &'a House) -> Browser<'a> {
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Browser { house, client, cookie: None }
    }

    fn send(&mut self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let url = &self.house.server.url;
        let mut request = self.client.request(method, format!("{url}/api/v1{path}")).header("origin", url).json(body);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = request.send().unwrap();
        if let Some(set) = answer.headers().get("set-cookie") {
            let set = set.to_str().unwrap();
            assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
            self.cookie = set.split(';').next().map(str::to_owned);
        }
        (answer.status().as_u16(), answer.json().unwrap_or_default())
    }
}

#[test]
fn people_are_invited_sign_in_and_are_shut_out() {
    let house = House::open();
    // The first administrator begins with the link that the server printed.
    let said = house.folder.said();
    let (_, rest) = said.split_once("the first administrator begins at ").expect("the server says where");
    let link = rest.lines().next().unwrap().trim();
    let page = http().get(link).send().unwrap();
    assert!(page.text().unwrap().contains("Your e-mail address"));
    let form = [("email", "Root@Example.com"), ("name", "Root"), ("password", "correct horse battery")];
    let browser = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let foreign = browser.post(link).header("origin", "https://evil.example").form(&form).send().unwrap();
    assert_eq!(foreign.status(), 403);
    let taken = browser.post(link).form(&form).send().unwrap();
    assert_eq!(taken.status(), 303);
    assert_eq!(browser.post(link).form(&form).send().unwrap().status(), 401, "a link is good once");

    let mut root = Browser::new(&house);
    let right = json!({ "email": "root@example.com", "password": "correct horse battery" });
    assert_eq!(root.send(Method::POST, "/session", &json!({ "email": "root@example.com", "password": "x" })).0, 401);
    let (status, me) = root.send(Method::POST, "/session", &right);
    assert_eq!((status, &me["caller"], &me["workspaces"][0]["role"]), (200, &json!("user:1"), &json!("admin")));

    // She invites a marketer, who is let in by the link, and sees what marketers see.
    let new = json!({ "email": "mia@example.com", "role": "marketer" });
    let (status, invited) = root.send(Method::POST, "/people", &new);
    assert_eq!(status, 200, "{invited}");
    let token = invited["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let mut mia = Browser::new(&house);
    assert_eq!(mia.send(Method::POST, "/session/welcome", &json!({ "token": token, "password": "short" })).0, 400);
    let chosen = json!({ "token": token, "name": "Mia", "password": "a sentence of many words" });
    assert_eq!(mia.send(Method::POST, "/session/welcome", &chosen).0, 200);
    assert_eq!(
        mia.send(Method::GET, "/profiles/ada@example.com", &json!({})).1["traits"]["email"]["value"],
        "a•••@example.com"
    );
    assert_eq!(mia.send(Method::POST, "/people", &new).0, 403);
    // A session is for pages of this server: another page's request is refused.
    let cookie = mia.cookie.clone().unwrap();
    let segment = json!({ "name": "x", "condition": "everyone" });
    let foreign = http().put(format!("{}/api/v1/segments", house.server.url)).header("cookie", &cookie);
    assert_eq!(foreign.header("origin", "https://evil.example").json(&segment).send().unwrap().status(), 403);
    let bare = http().put(format!("{}/api/v1/segments", house.server.url)).header("cookie", &cookie);
    assert_eq!(bare.json(&segment).send().unwrap().status(), 403);
    assert_eq!(mia.send(Method::PUT, "/segments", &segment).0, 200);

    // Her other sessions end when she changes her password.
    let mut other = Browser::new(&house);
    assert_eq!(
        other
            .send(
                Method::POST,
                "/session",
                &json!({ "email": "mia@example.com", "password": "a sentence of many words" })
            )
            .0,
        200
    );
    let change = json!({ "old": "a sentence of many words", "new": "another sentence of many" });
    assert_eq!(mia.send(Method::POST, "/session/password", &change).0, 200);
    assert_eq!(other.send(Method::GET, "/session", &json!({})).0, 401);
    assert_eq!(mia.send(Method::GET, "/session", &json!({})).0, 200);

    // A second factor, with the code that an authenticator app shows.
    let (_, offered) = mia.send(Method::POST, "/session/second-factor", &json!({}));
    let secret = offered["secret"].as_str().unwrap();
    let wrong = json!({ "secret": secret, "code": "000000", "password": "another sentence of many" });
    assert_eq!(mia.send(Method::PUT, "/session/second-factor", &wrong).0, 400);
    let factor = json!({ "secret": secret, "code": code(secret), "password": "another sentence of many" });
    assert_eq!(mia.send(Method::PUT, "/session/second-factor", &factor).0, 200);
    let without = json!({ "email": "mia@example.com", "password": "another sentence of many" });
    let (status, told) = other.send(Method::POST, "/session", &without);
    assert_eq!((status, &told["code"]), (401, &json!("second_factor")));

    // A role taken back counts at the next request; an account disabled is signed out at once.
    house.folder.run(&["role", "revoke", "mia@example.com", "marketer"]);
    assert_eq!(mia.send(Method::GET, "/profiles", &json!({})).0, 403);
    house.folder.run(&["user", "disable", "mia@example.com"]);
    assert_eq!(mia.send(Method::GET, "/session", &json!({})).0, 401);
    // Who guesses has to wait.
    let guess = json!({ "email": "root@example.com", "password": "guess" });
    let mut tries = (0..20).map(|_| other.send(Method::POST, "/session", &guess).0);
    assert!((0..5).all(|_| tries.next() == Some(401)));
    // The waits double, so that the slowest machine comes to one.
    assert!(tries.any(|status| status == 429));
    // Of passwords, keys and cookies nothing is in any file as it is.
    let key = house.key("admin", &[]);
    let secrets =
        [key.rsplit('_').next().unwrap(), cookie.split_once('=').unwrap().1, "another sentence of many", &token];
    let state = std::fs::read(house.folder.path().join("state.db")).unwrap();
    let wal = std::fs::read(house.folder.path().join("state.db-wal")).unwrap_or_default();
    for secret in secrets {
        let there = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!there(&state) && !there(&wal), "{secret}");
    }
}

/// The code of a second factor now, by the reference implementation of another language.
fn code(secret: &str) -> String {
    let program = "import base64,hmac,struct,sys,time\n\
        k=base64.b32decode(sys.argv[1]+'='*(-len(sys.argv[1])%8)); m=struct.pack('>Q',int(time.time())//30)\n\
        h=hmac.new(k,m,'sha1').digest(); o=h[19]&15\n\
        print('%06d'%((struct.unpack('>I',h[o:o+4])[0]&0x7fffffff)%10**6))";
    let output = std::process::Command::new("python3").args(["-c", program, secret]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn keys_teams_and_policies() {
    let house = House::open();
    // A key of a day, revoked.
    let made = house.folder.json(&["key", "add", "bi", "analyst", "--days", "1"]);
    let (key, number) = (made["key"].as_str().unwrap(), made["number"].to_string());
    assert_eq!(house.get(key, "/stats")["totals"]["profiles"], 3);
    let listed = house.folder.json(&["key", "list"]);
    assert!(!listed.to_string().contains(key) && listed[0]["used"].is_string(), "{listed}");
    house.folder.run(&["key", "revoke", &number]);
    assert_eq!(house.send(key, Method::GET, "/stats", &json!({})).status(), 401);

    // A policy that cannot be read is refused with its place, one that can counts at once.
    let wrong = house.folder.file("wrong.cedar", r#"permit (principal, action == Action::"profiles.veiw", resource);"#);
    let output = house.folder.output(&["role", "policies", wrong.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("profiles.veiw"));
    let key = house.key("marketer", &[]);
    assert_eq!(house.send(&key, Method::POST, "/sql", &json!({ "sql": "SELECT 1" })).status(), 403);
    let own = house.folder.file(
        "own.cedar",
        r#"@id("marketers-ask") permit (principal in Role::"marketer", action == Action::"sql.ask", resource);
           @id("nobody-sees-contacts") forbid (principal, action == Action::"see", resource == Class::"contact");"#,
    );
    let tried = house.folder.json(&["role", "try", "marketer", "--policies", own.to_str().unwrap()]);
    let said: BTreeMap<&str, &Value> =
        tried.as_array().unwrap().iter().map(|row| (row["what"].as_str().unwrap(), row)).collect();
    assert_eq!(said["sql.ask"]["by"], json!(["marketers-ask"]));
    assert_eq!(said["see contact"]["allowed"], "hidden");
    assert_eq!(house.send(&key, Method::POST, "/sql", &json!({ "sql": "SELECT 1" })).status(), 403);
    house.folder.run(&["role", "policies", own.to_str().unwrap()]);
    assert_eq!(house.send(&key, Method::POST, "/sql", &json!({ "sql": "SELECT 1" })).status(), 200);
    assert_eq!(house.get(&key, "/profiles/u1")["traits"]["email"], Value::Null);

    // A team has a role, and whoever is in it.
    house.folder.run(&["user", "add", "tom@example.com"]);
    house.folder.run(&["user", "join", "tom@example.com", "crm"]);
    house.folder.run(&["role", "grant", "team:crm", "agency", "--only", "poland"]);
    let output = house.folder.output(&["role", "grant", "team:crm", "wizard"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no role"));
    let output = house.folder.output(&["role", "grant", "team:crm", "agency", "--only", "nowhere"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere"));
    let link = house.folder.json(&["user", "link", "tom@example.com"])["link"].as_str().unwrap().to_owned();
    let mut tom = Browser::new(&house);
    let token = link.rsplit('/').next().unwrap();
    let (status, me) =
        tom.send(Method::POST, "/session/welcome", &json!({ "token": token, "password": "words and more words" }));
    assert_eq!((status, &me["workspaces"][0]["only"]), (200, &json!(["poland"])));
    assert_eq!(tom.send(Method::GET, "/profiles", &json!({})).1.as_array().unwrap().len(), 2);
    house.folder.run(&["user", "part", "tom@example.com", "crm"]);
    assert_eq!(tom.send(Method::GET, "/profiles", &json!({})).0, 403);
    // A segment that is gone lets nobody be seen.
    let key = house.key("agency", &["poland"]);
    assert_eq!(house.get(&key, "/profiles").as_array().unwrap().len(), 2);
    house.folder.run(&["segment", "remove", "poland"]);
    assert_eq!(house.get(&key, "/profiles").as_array().unwrap().len(), 0);
}

/// Accounts, teams and keys are of all workspaces: who administers one of these takes over none of the others.
#[test]
fn who_administers_one_workspace_does_not_reach_the_others() {
    let house = House::open();
    house.folder.run(&["workspace", "add", "other"]);
    house.folder.run(&["user", "add", "root@example.com", "--role", "admin", "--everywhere"]);
    house.folder.run(&["user", "add", "bob@example.com", "--role", "analyst"]);
    let link = house.folder.json(&["user", "add", "ann@example.com", "--role", "admin"])["link"].clone();
    let token = link.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let mut ann = Browser::new(&house);
    assert_eq!(
        ann.send(Method::POST, "/session/welcome", &json!({ "token": token, "password": "a sentence of many words" }))
            .0,
        200
    );
    let key = house.folder.json(&["key", "add", "k", "admin"])["key"].as_str().unwrap().to_owned();
    let of_other = house.folder.json(&["--workspace", "other", "key", "add", "o", "analyst"])["number"].clone();
    let new = json!({ "email": "new@example.com", "role": "admin", "everywhere": true });
    let grant = json!({ "holder": "ann@example.com", "role": "admin", "everywhere": true });
    for (method, path, body) in [
        (Method::POST, "/people", &new),
        (Method::PUT, "/grants", &grant),
        (Method::POST, "/people/root@example.com/link", &json!({})),
        (Method::PATCH, "/people/root@example.com", &json!({ "enabled": false })),
        (Method::PUT, "/teams/crm/members/ann@example.com", &json!({})),
        (Method::DELETE, &format!("/keys/{of_other}"), &json!({})),
    ] {
        assert_eq!(ann.send(method.clone(), path, body).0, 403, "{method} {path}");
        assert_eq!(house.send(&key, method.clone(), path, body).status(), 403, "{method} {path} by a key");
    }
    // What is of her own workspace is hers.
    assert_eq!(ann.send(Method::POST, "/people/bob@example.com/link", &json!({})).0, 200);
    let grant = json!({ "holder": "team:crm", "role": "analyst" });
    assert_eq!(ann.send(Method::PUT, "/grants", &grant).0, 200);
    assert_eq!(ann.send(Method::PUT, "/teams/crm/members/bob@example.com", &json!({})).0, 200);
    // Nobody gives what they do not have.
    let policy = r#"permit (principal in Role::"doorkeeper", action == Action::"people.edit", resource);"#;
    let policies = json!({ "policies": policy });
    assert_eq!(ann.send(Method::PUT, "/access-policies", &policies).0, 200);
    let doorkeeper = house.folder.json(&["key", "add", "d", "doorkeeper"])["key"].as_str().unwrap().to_owned();
    let admin = json!({ "name": "x", "role": "admin" });
    assert_eq!(house.send(&doorkeeper, Method::POST, "/keys", &admin).status(), 403);
    let same = json!({ "name": "x", "role": "doorkeeper" });
    assert_eq!(house.send(&doorkeeper, Method::POST, "/keys", &same).status(), 200);
}
