//! Nothing leaves for a purpose without an allow for it, by whatever way: random statements, laws, mergers and partings,
//! held against an oracle that knows nothing but what was said.

use std::{collections::BTreeSet, fs};

use onefold_model::{
    Clock as _, Timestamp,
    clock::{DAY_MS, SystemClock},
    rng::SeededRng,
};
use reqwest::{Method, blocking::Client};
use serde_json::{Value, json};

use crate::support::{Folder, Server, http, pause};

const PEOPLE: usize = 24;
/// A person and the one so many after may be found to be one.
const APART: usize = PEOPLE / 2;
const ROUNDS: usize = 6;
const PURPOSES: [&str; 4] = ["news", "ads", "calls", "care"];
/// Those that banners ask about.
const ASKED: [&str; 3] = ["news", "ads", "calls"];

type Names = BTreeSet<String>;

/// The house's rules, drawn anew each round.
#[derive(Debug, Clone, Copy)]
struct Rules {
    unstated: bool,
    /// In the US silence is an agreement, in the EU it is none, whatever the house says elsewhere.
    laws: bool,
    /// An agreement to news runs out after 30 days.
    expires: bool,
    /// An agreement to calls counts when it is confirmed.
    double: bool,
}

impl Rules {
    fn draw(rng: &SeededRng) -> Rules {
        let coin = || rng.below(2) == 0;
        Rules { unstated: coin(), laws: coin(), expires: coin(), double: coin() }
    }

    fn policy(self) -> Value {
        let word = |allow| if allow { "allow" } else { "deny" };
        let mut policy = json!({
            "unstated": word(self.unstated),
            "residence": { "country": ["country"] },
            "purposes": { "news": {}, "ads": { "sale": true }, "calls": { "double_opt_in": self.double },
                          "care": { "basis": "legitimate_interest" } },
        });
        if self.expires {
            policy["purposes"]["news"]["expires_days"] = 30.into();
        }
        if self.laws {
            policy["jurisdictions"] =
                json!({ "US": { "of": ["US"], "unstated": "allow" }, "EU": { "of": ["DE"], "unstated": "deny" } });
        }
        policy
    }
}

/// What somebody said once. Strengths: 1 the browser, 2 a banner, 3 an operator.
#[derive(Debug, Clone, Copy)]
struct Said {
    at: Timestamp,
    strength: u8,
    purpose: &'static str,
    granted: bool,
}

/// What was said, and who is one person.
struct Oracle {
    said: Vec<Vec<Said>>,
    joined: BTreeSet<usize>,
}

fn country(person: usize) -> &'static str {
    if (person % APART).is_multiple_of(2) { "US" } else { "DE" }
}

fn name(person: usize) -> String {
    format!("p{person:02}")
}

/// The people that a text names.
fn named(text: &str) -> Names {
    let is_name = |piece: &&str| piece.len() == 3 && piece.starts_with('p') && piece[1..].parse::<u8>().is_ok();
    text.split(|c: char| !c.is_alphanumeric()).filter(is_name).map(str::to_owned).collect()
}

impl Oracle {
    fn voices(&self, person: usize) -> Vec<usize> {
        let first = person % APART;
        if self.joined.contains(&first) { vec![first, first + APART] } else { vec![person] }
    }

    fn allows(&self, rules: Rules, person: usize, purpose: &str, now: Timestamp) -> bool {
        let (mut decided, mut void) = (vec![], false);
        for voice in self.voices(person) {
            let mut speaking: Vec<&Said> = vec![];
            for said in &self.said[voice] {
                let about =
                    said.purpose == purpose || said.purpose == "*" || (purpose == "ads" && said.purpose == "$sale");
                let runs_out = rules.expires && purpose == "news" && said.at.plus(30 * DAY_MS) <= now;
                let unconfirmed = rules.double && purpose == "calls" && said.strength < 3;
                if about && said.granted && (runs_out || unconfirmed) {
                    void = true;
                } else if about {
                    speaking.push(said);
                }
            }
            decided
                .extend(speaking.iter().max_by_key(|said| (said.strength, said.at, !said.granted)).map(|s| s.granted));
        }
        if decided.contains(&false) {
            return false;
        }
        let silent = if rules.laws { country(person) == "US" } else { rules.unstated };
        purpose == "care" || !decided.is_empty() || (silent && !void)
    }

    /// All names of these people: some ways show one of them.
    fn whole(&self, names: &Names) -> Names {
        let person = |name: &String| name[1..].parse().unwrap();
        names.iter().flat_map(|one| self.voices(person(one))).map(name).collect()
    }

    fn allowed(&self, rules: Rules, purpose: &str, now: Timestamp) -> Names {
        (0..PEOPLE).filter(|person| self.allows(rules, *person, purpose, now)).map(name).collect()
    }
}

struct House {
    client: Client,
    folder: Folder,
    server: Server,
    token: String,
    key: String,
}

impl House {
    fn open() -> House {
        let folder = Folder::new();
        let server = folder.serve();
        let key = folder.json(&["source", "add", "web"])["write_key"].as_str().unwrap().to_owned();
        let token = folder.token();
        House { client: http(), folder, server, token, key }
    }

    /// Asks for a purpose; gives status and text.
    fn ask(&self, purpose: &str, method: Method, path: &str, body: &Value) -> (u16, String) {
        let request = self.client.request(method, format!("{}/api/v1{path}", self.server.url)).bearer_auth(&self.token);
        let request = if purpose.is_empty() { request } else { request.header("onefold-purpose", purpose) };
        let answer = request.json(body).send().unwrap();
        (answer.status().as_u16(), answer.text().unwrap())
    }

    fn does(&self, method: Method, path: &str, body: &Value) {
        let (status, text) = self.ask("", method, path, body);
        assert_eq!(status, 200, "{path}: {text}");
    }

    fn send(&self, gpc: bool, events: &[Value]) {
        if events.is_empty() {
            return;
        }
        let mut request = self.client.post(format!("{}/v1/batch", self.server.url)).basic_auth(&self.key, Some(""));
        if gpc {
            request = request.header("Sec-GPC", "1");
        }
        assert!(request.json(&json!({ "batch": events })).send().unwrap().status().is_success());
    }

    /// Who is read for a purpose, by each way there is.
    fn read(&self, purpose: &str) -> Vec<(&'static str, Names)> {
        let get = |path: &str| self.ask(purpose, Method::GET, path, &Value::Null);
        let post = |path: &str, body: Value| self.ask(purpose, Method::POST, path, &body);
        let named = |text: &str| -> Names {
            let pieces = text.split(|c: char| !c.is_alphanumeric());
            pieces
                .filter(|piece| piece.len() == 3 && piece.starts_with('p') && piece[1..].parse::<u8>().is_ok())
                .map(str::to_owned)
                .collect()
        };
        let each = |suffix: &str, found: fn(u16, &str) -> bool| -> Names {
            let there = |person: &usize| {
                let (status, text) = get(&format!("/profiles/{}{suffix}", name(*person)));
                found(status, &text)
            };
            (0..PEOPLE).filter(there).map(name).collect()
        };
        let sql = |sql: &str| post("/sql", json!({ "sql": sql, "now": true })).1;
        vec![
            ("the list of profiles", named(&get("/profiles?limit=1000").1)),
            ("a profile", each("", |status, _| status == 200)),
            ("a timeline", each("/timeline", |status, text| status == 200 && text != "[]")),
            ("members of a segment", named(&get("/segments/all/members").1)),
            ("an export", named(&post("/segments/export", json!({ "segment": "all", "traits": ["nick"] })).1)),
            ("profiles by SQL", named(&sql("SELECT traits->>'nick' FROM profiles"))),
            ("identifiers by SQL", named(&sql("SELECT value FROM identifiers"))),
            ("events by SQL", named(&sql("SELECT DISTINCT user_id FROM events"))),
        ]
    }

    /// What the file destination of a purpose holds: whoever is in its audience by now, and whom the events of a round are about.
    fn delivered(&self, purpose: &str, round: usize) -> (Names, Names) {
        let folder = self.folder.path().join("exports/1").join(purpose);
        let mut files: Vec<_> = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let (mut members, mut told) = (BTreeSet::new(), Names::new());
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "ndjson")) {
            for line in fs::read_to_string(file).unwrap().lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                let payload = &line["payload"];
                let profile = payload["profile"]["id"].as_str().unwrap().to_owned();
                match line["kind"].as_str().unwrap() {
                    "enter" => drop(members.insert(profile)),
                    "leave" => drop(members.remove(&profile)),
                    _ if payload["properties"]["round"] == round => told.extend(named(&payload["userId"].to_string())),
                    _ => {}
                }
            }
        }
        let profiles: Value =
            serde_json::from_str(&self.ask("", Method::GET, "/profiles?limit=1000", &Value::Null).1).unwrap();
        let members = profiles.as_array().unwrap().iter().filter(|one| members.contains(one["id"].as_str().unwrap()));
        (members.flat_map(|one| named(&one["identifiers"].to_string())).collect(), told)
    }
}

#[test]
fn nothing_goes_out_for_a_purpose_without_an_allow() {
    let house = House::open();
    let rng = SeededRng::new(7);
    let clock = SystemClock;
    let began = clock.now();
    let mut oracle = Oracle { said: vec![vec![]; PEOPLE], joined: BTreeSet::new() };
    let join = |first: usize| json!({ "a": name(first), "b": name(first + APART) });

    let everybody = (0..PEOPLE).map(|person| {
        let traits = json!({ "country": country(person), "nick": name(person) });
        json!({ "type": "identify", "userId": name(person), "traits": traits })
    });
    house.send(false, &everybody.collect::<Vec<_>>());
    house.does(Method::PUT, "/segments", &json!({ "name": "all", "condition": "trait nick exists" }));
    for purpose in PURPOSES {
        let config = json!({ "location": purpose, "format": "ndjson", "purpose": purpose, "interval_s": 1 });
        let destination =
            json!({ "name": purpose, "kind": "file", "segments": ["all"], "events": ["Poked"], "config": config });
        house.does(Method::PUT, "/destinations", &destination);
    }

    let mut count = 0;
    for round in 0..ROUNDS {
        let rules = Rules::draw(&rng);
        house.does(Method::PUT, "/consents/policy", &rules.policy());
        let (mut plain, mut gpc) = (vec![], vec![]);
        for _ in 0..PEOPLE {
            let person = rng.below(PEOPLE as u64) as usize;
            count += 1;
            // No two at one instant, and some of them long ago.
            let days = [0, 1, 20, 45][rng.below(4) as usize];
            let at = began.plus(count - 100_000 - days * DAY_MS);
            let mut event =
                json!({ "type": "track", "event": "Seen", "userId": name(person), "timestamp": at.to_string() });
            let mut say =
                |strength, purpose, granted| oracle.said[person].push(Said { at, strength, purpose, granted });
            match rng.below(8) {
                0 => {
                    event["context"] = json!({ "consent": { "categoryPreferences": "none" } });
                    say(2, "*", false);
                    plain.push(event);
                }
                1 => {
                    say(1, "$sale", false);
                    gpc.push(event);
                }
                _ => {
                    let mut preferences = json!({});
                    for purpose in ASKED {
                        let granted = rng.below(3) > 0;
                        preferences[purpose] = granted.into();
                        say(2, purpose, granted);
                    }
                    event["context"] = json!({ "consent": { "categoryPreferences": preferences } });
                    plain.push(event);
                }
            }
        }
        house.send(false, &plain);
        house.send(true, &gpc);
        // An operator speaks for a whole person: for those who are one by nobody's finding.
        let alone: Vec<usize> = (0..PEOPLE).filter(|person| !oracle.joined.contains(&(person % APART))).collect();
        let person = alone[rng.below(alone.len() as u64) as usize];
        let (purpose, state) =
            [("calls", "granted"), ("news", "withdrawn"), ("care", "objected")][rng.below(3) as usize];
        house.does(
            Method::POST,
            "/consents",
            &json!({ "identifier": name(person), "purpose": purpose, "state": state, "by": "operator" }),
        );
        oracle.said[person].push(Said { at: clock.now(), strength: 3, purpose, granted: state == "granted" });
        for _ in 0..2 {
            let first = rng.below(APART as u64) as usize;
            let path = if oracle.joined.remove(&first) {
                "/profiles/unmerge"
            } else {
                oracle.joined.insert(first);
                "/profiles/merge"
            };
            house.does(Method::POST, path, &join(first));
        }
        house.does(Method::GET, "/stats", &Value::Null);
        let poke = |person| json!({ "type": "track", "event": "Poked", "userId": name(person), "properties": { "round": round } });
        house.send(false, &(0..PEOPLE).map(poke).collect::<Vec<_>>());

        for purpose in PURPOSES {
            let allowed = oracle.allowed(rules, purpose, clock.now());
            for (way, read) in house.read(purpose) {
                assert_eq!(oracle.whole(&read), allowed, "round {round}, {purpose}, {way}, {rules:?}");
            }
            // What shows everybody answers for no purpose.
            for path in ["/stats", "/stream", "/conflicts", "/alarms", "/dead-letters", "/profiles/p00/evidence"] {
                assert_eq!(house.ask(purpose, Method::GET, path, &Value::Null).0, 403, "{path}");
            }
            for person in 0..PEOPLE {
                let asked = json!({ "identifier": name(person), "purpose": purpose });
                let decided: Value =
                    serde_json::from_str(&house.ask("", Method::POST, "/consents/decide", &asked).1).unwrap();
                assert_eq!(decided["allowed"], allowed.contains(&name(person)), "round {round}, {purpose}, {decided}");
            }
            let mut looks = 0;
            while house.delivered(purpose, round) != (allowed.clone(), allowed.clone()) {
                looks += 1;
                assert!(
                    looks < 3000,
                    "round {round}, {purpose}: {:?} was delivered, and {allowed:?} allow it",
                    house.delivered(purpose, round)
                );
                pause();
            }
        }
    }
}
