//! What may happen, drawn from a generator.
//!
//! Few people, few events, few names, so that things meet: a browser is two people's, a message comes twice, a definition
//! changes while the last one is still being folded in.

use onefold_model::{
    NodeId, Rng, Value,
    command::{Command, Subscription},
    consent::{Particulars, State, Strength, Unstated},
    identity::{Decision, Limit, Rules, StatementRef, links::Found},
    profile::survivorship::{Party, Plain, Rule, Survivorship, Terms},
    rng::SeededRng,
    segment::{Definition, text},
};
use serde_json::json;

use crate::{
    call::{Call, alias, group, identify, object, page, track},
    faulty::Fault,
    world::{DAY, HOUR, MINUTE, START, reference},
};

/// Something that happens.
#[derive(Debug, Clone)]
pub enum Op {
    /// A source sends a call.
    Send(Box<Call>),
    /// A source sends an earlier call again: that many before the last.
    Again(usize),
    /// Bytes that are no record stand in the log.
    Poison(Vec<u8>),
    /// An operator gives a command.
    Give(Box<Command>),
    /// The clock moves, and may go back.
    Move(i64),
    /// The pipeline takes so many steps.
    Step(usize),
    /// The pipeline works until it is done.
    Run,
    /// The process dies and starts again.
    Crash,
    /// Derived state is rebuilt.
    Rebuild,
    /// So many rows of the outbox are delivered.
    Deliver(usize),
    /// Something will go wrong, at the pass of its place with this number.
    Arm(Fault, u32),
}

const USERS: [&str; 4] = ["u1", "u2", "u3", "u4"];
const COOKIES: [&str; 5] = ["a1", "a2", "a3", "a4", "a5"];
const OTHERS: [&str; 5] = ["ada@example.com", "bob@example.com", "+4989123456", "d1", "d2"];
const EVENTS: [&str; 4] = ["Order", "Viewed", "Added", "Order"];
const SEGMENTS: [&str; 4] = ["s1", "s2", "s3", "s4"];

/// Definitions that a segment may have; some name others.
const CONDITIONS: [&str; 16] = [
    "count(\"Order\") >= 2 within 7 days",
    "count(\"Order\") >= 1 and count(any event) = 0 within 3 days",
    "sum(\"Order\", revenue) > 20 within 30 days and trait plan = \"pro\"",
    "sum(\"Order\", revenue) >= 15",
    "last(\"Added\") within 7 days and \"Added\" within 7 days then no \"Order\"",
    "event(\"Viewed\") then event(\"Order\") within 1 day",
    "trait plan in (\"pro\", \"free\") and trait age between 2 and 6",
    "first(\"Order\") within 30 days",
    "may be reached for marketing and count(any event) >= 2 within 14 days",
    "count(\"Viewed\" where category = \"shoes\") >= 2 within 1 hour",
    "in segment \"s1\" or distinct(\"Viewed\", category) >= 2",
    "not in segment \"s2\" and computed spent > 10",
    "average(\"Order\", revenue) > 4 more than 2 days ago",
    "count(\"page\") >= 1 today or computed favourite = \"shoes\"",
    "count(\"Order\") >= 1 between 2026-01-02 and 2026-03-01",
    "count(any event) = 0 and not trait plan exists",
];

const COMPUTED: [&str; 5] = [
    "spent = sum(\"Order\", revenue)",
    "spent = sum(\"Order\", revenue) within 10 days",
    "favourite = most frequent(\"Viewed\", category)",
    "favourite = last(any event, category) within 20 days",
    "seen = count(any event where category exists)",
];

/// Something that happens without a fault.
pub fn op(rng: &SeededRng) -> Op {
    match rng.below(100) {
        0..50 => Op::Send(Box::new(call(rng))),
        50..55 => Op::Again(rng.below(12) as usize),
        55..57 => Op::Poison(poison(rng)),
        57..75 => Op::Give(Box::new(command(rng))),
        75..87 => Op::Move(pick(rng, &[1, 1000, MINUTE, HOUR, 5 * HOUR, DAY, DAY, 6 * DAY, 20 * DAY, 95 * DAY, -HOUR])),
        87 | 88 => Op::Deliver(1 + rng.below(6) as usize),
        89..94 => Op::Step(1 + rng.below(4) as usize),
        94..98 => Op::Run,
        98 => Op::Crash,
        _ => Op::Rebuild,
    }
}

/// Something that goes wrong.
pub fn fault(rng: &SeededRng) -> Op {
    Op::Arm(pick(rng, &Fault::ALL), rng.below(6) as u32)
}

fn pick<T: Clone>(rng: &SeededRng, of: &[T]) -> T {
    of[rng.below(of.len() as u64) as usize].clone()
}

fn who(rng: &SeededRng) -> String {
    let mut names = vec![];
    if rng.below(3) > 0 {
        names.push(pick(rng, &USERS));
    }
    if names.is_empty() || rng.below(2) == 0 {
        names.push(pick(rng, &COOKIES));
    }
    if rng.below(4) == 0 {
        names.push(pick(rng, &OTHERS));
    }
    names.join(" ")
}

/// A call of any kind.
pub fn call(rng: &SeededRng) -> Call {
    let who = who(rng);
    let category = pick(rng, &["shoes", "socks", "hats"]);
    let traits = |rng: &SeededRng| match rng.below(4) {
        0 => json!({ "plan": "pro" }),
        1 => json!({ "plan": "free", "age": rng.below(9) }),
        2 => json!({ "plan": null, "country": pick(rng, &["DE", "US"]) }),
        _ => json!({ "age": rng.below(9), "tags": [rng.below(3)] }),
    };
    let call = match rng.below(16) {
        0..3 => identify(&who, traits(rng)),
        3 => page(&who, "Home"),
        4 => {
            let call = group(&who, pick(rng, &["acme", "globex"]), traits(rng));
            match rng.below(4) {
                0 => call.set("role", json!(pick(rng, &["buyer", "user", ""]))),
                1 => call.set("left", json!(true)),
                2 => call.set("groupType", json!(pick(rng, &["household", "account", "club"]))),
                _ => call,
            }
        }
        5 if rng.below(3) == 0 => alias(pick(rng, &USERS), pick(rng, &USERS)),
        6 if rng.below(2) == 0 => object("product", pick(rng, &["p1", "p2"]), traits(rng)),
        7 if rng.below(4) == 0 => track("null", "Order"),
        _ => {
            let call = track(&who, pick(rng, &EVENTS));
            call.with(json!({ "revenue": (rng.below(100) as f64) / 10.0, "category": category }))
        }
    };
    let call = match rng.below(10) {
        0 => call.consent("marketing", rng.below(3) > 0),
        1 if rng.below(4) == 0 => call.unreadable_consent(),
        2 if rng.below(4) == 0 => call.gpc(),
        _ => call,
    };
    let call = match rng.below(6) {
        0 => call.at(START.plus(rng.below(40) as i64 * DAY - 20 * DAY + rng.below(DAY as u64) as i64)),
        1 => call.at(START.plus(rng.below(200) as i64 * HOUR)),
        _ => call,
    };
    let call = if rng.below(8) == 0 { call.from(2) } else { call };
    let call = if rng.below(20) == 0 { call.imported() } else { call };
    call.id(&onefold_model::rng::hex(rng as &dyn Rng, 6))
}

fn poison(rng: &SeededRng) -> Vec<u8> {
    match rng.below(4) {
        0 => vec![],
        1 => vec![1, 2, 3],
        2 => {
            let mut bytes = vec![0; 40];
            rng.fill(&mut bytes);
            bytes
        }
        _ => {
            let mut record = vec![1, 0];
            record.extend_from_slice(&1u32.to_le_bytes());
            record.extend_from_slice(&1u32.to_le_bytes());
            record.extend_from_slice(&START.0.to_le_bytes());
            record.extend_from_slice(&START.0.to_le_bytes());
            record.extend_from_slice(&i64::MIN.to_le_bytes());
            record.extend_from_slice(pick(rng, &["{", "[1]", "{\"type\":\"track\"}", "{\"messageId\":7}"]).as_bytes());
            record
        }
    }
}

fn rules(rng: &SeededRng) -> Rules {
    let mut rules = Rules::default();
    for rule in &mut rules.kinds {
        match rng.below(6) {
            0 => rule.limit = None,
            1 => rule.limit = Some(Limit { max: 1, window_days: None }),
            2 => rule.limit = Some(Limit { max: 1 + rng.below(2) as u32, window_days: Some(2) }),
            _ => {}
        }
    }
    if rng.below(4) == 0 {
        rules.cluster_nodes_max = 3 + rng.below(3) as usize;
    }
    rules
}

fn survivorship(rng: &SeededRng) -> Survivorship {
    let rule = |rng: &SeededRng| match rng.below(6) {
        0 => Rule::MostTrusted(pick(rng, &[vec![2], vec![2, 1], vec![1, 2]])),
        1 => Rule::MostFrequent,
        2 => Rule::Longest,
        3 => Rule::Union,
        4 => Rule::Order(vec![Plain::Text("pro".to_owned()), Plain::Text("free".to_owned())]),
        _ => Rule::MostRecent,
    };
    let purpose = (rng.below(2) == 0).then(|| "marketing".to_owned());
    let terms = Terms { party: Party::Third, purpose, ..Terms::default() };
    let parties = if rng.below(2) == 0 { [(2, terms)].into() } else { [].into() };
    Survivorship { default: rule(rng), traits: [("plan".to_owned(), rule(rng))].into(), parties }
}

/// What may be done to a source's events; the last does not compile.
const PREPARATIONS: [Option<&str>; 5] = [
    None,
    Some(
        r#"{"steps":[{"step":"rename","from":"traits.plan","to":"traits.country"},{"step":"drop","of":["traits.age"]}]}"#,
    ),
    Some(
        r#"{"steps":[{"step":"derive","cel":"properties.revenue * 2.0","into":"properties.revenue","events":["Order"]},
        {"step":"normalise","of":"traits.*","as":"upper"}]}"#,
    ),
    Some(
        r#"{"steps":[{"step":"validate","mode":"block","events":["Added"],"schema":{"required":["properties"]}},
        {"step":"validate","mode":"drop","schema":{"properties":{"traits":{"properties":{"age":{"type":"string"}}}}}}]}"#,
    ),
    Some(r#"{"steps":[{"step":"derive","cel":"1 +","into":"traits.x"}]}"#),
];

/// Policies of consent. The last does not fit.
const POLICIES: [&str; 5] = [
    "{}",
    r#"{"unstated":"allow","purposes":{"marketing":{"sale":true,"expires_days":3}}}"#,
    r#"{"purposes":{"marketing":{"basis":"legitimate_interest"}}}"#,
    r#"{"residence":{"country":["country"]},"purposes":{"marketing":{"double_opt_in":true}},"jurisdictions":{
        "EU":{"of":["DE"],"unstated":"deny"},
        "US":{"of":["US"],"unstated":"allow","implied":[{"event":"Order","purpose":"marketing","days":5}]}}}"#,
    r#"{"elsewhere":"nowhere"}"#,
];

/// A command of any kind.
pub fn command(rng: &SeededRng) -> Command {
    let identifier = |rng: &SeededRng| reference(pick(rng, &[&USERS[..], &COOKIES[..], &OTHERS[..]].concat()));
    let owned = |name: &str| name.to_owned();
    match rng.below(32) {
        0..5 => {
            let condition = text::parse(pick(rng, &CONDITIONS)).expect("it parses");
            let (description, purpose, owner) = (None, None, None);
            Command::SegmentSet(Definition {
                name: owned(pick(rng, &SEGMENTS)),
                description,
                purpose,
                owner,
                condition,
            })
        }
        5 => Command::SegmentRemove(owned(pick(rng, &SEGMENTS))),
        6 | 7 => Command::ComputedSet(text::parse_computed(pick(rng, &COMPUTED)).expect("it parses")),
        8 => Command::ComputedRemove(owned(pick(rng, &["spent", "favourite", "seen"]))),
        9..12 => Command::Merge { a: identifier(rng), b: identifier(rng) },
        12..15 => {
            let b = (rng.below(3) > 0).then(|| identifier(rng));
            Command::Unmerge { a: identifier(rng), b }
        }
        15 => Command::IdentityRules(rules(rng)),
        16 | 17 => Command::Subscribe(Subscription {
            destination: owned(pick(rng, &["crm", "ads"])),
            segments: SEGMENTS.iter().filter(|_| rng.below(3) > 0).map(|name| owned(name)).collect(),
            events: if rng.below(2) == 0 { vec![] } else { vec![owned(pick(rng, &["*", "Order"]))] },
            purpose: (rng.below(2) == 0).then(|| owned("marketing")),
            channel: None,
        }),
        18 => pick(rng, &[Command::Unsubscribe(owned("ads")), Command::Resync(owned("crm"))]),
        19 if rng.below(2) == 0 => Command::ConsentDefault(pick(rng, &[Unstated::Allow, Unstated::Deny])),
        19 => Command::ConsentPolicy(serde_json::from_str(pick(rng, &POLICIES)).expect("a policy")),
        20 => Command::TimeZone(owned(pick(rng, &["UTC", "Europe/Berlin", "Pacific/Auckland", "Nowhere"]))),
        21..24 => {
            let mut found: Vec<Found> = (0..rng.below(4)).map(|_| found(rng)).collect();
            found.sort_unstable_by_key(|found| (found.a, found.b));
            found.dedup_by_key(|found| (found.a, found.b));
            let gone = (0..rng.below(3)).map(|_| pair(rng)).filter(|pair| found.iter().all(|f| (f.a, f.b) != *pair));
            let gone = gone.collect();
            Command::Links { model: 1 + rng.below(2) as u32, found, gone }
        }
        24 => Command::LinkDecide {
            a: identifier(rng),
            b: identifier(rng),
            decision: pick(rng, &[None, Some(Decision::Accept), Some(Decision::Reject), Some(Decision::Never)]),
        },
        30 | 31 => Command::Prepare {
            source: 1 + rng.below(2) as u32,
            preparation: pick(rng, &PREPARATIONS).and_then(|text| serde_json::from_str(text).ok()),
            replay: false,
        },
        27 => Command::Survivorship(survivorship(rng)),
        28 | 29 => Command::Override {
            subject: identifier(rng),
            name: owned(pick(rng, &["plan", "country"])),
            value: pick(
                rng,
                &[None, Some(Value::Null), Some(Value::Text(owned("pro"))), Some(Value::Text(owned("free")))],
            ),
        },
        25 => Command::Withdraw((0..3).map(|_| StatementRef(rng.below(20), rng.below(2) as u32)).collect()),
        _ => Command::Consent {
            subject: identifier(rng),
            purpose: owned("marketing"),
            channel: None,
            state: pick(rng, &[State::Granted, State::Granted, State::Denied, State::Withdrawn, State::NotCollected]),
            by: pick(rng, &[Strength::Operator, Strength::Person]),
            terms: Particulars::default(),
        },
    }
}

/// Two nodes that may be there.
fn pair(rng: &SeededRng) -> (NodeId, NodeId) {
    // Of the first records, so that the same pairs are spoken of again.
    let node = |rng: &SeededRng| NodeId::at(rng.below(5), rng.below(2) as usize);
    let (a, b) = (node(rng), node(rng));
    (a.min(b), a.max(b))
}

fn found(rng: &SeededRng) -> Found {
    let (a, b) = pair(rng);
    Found { a, b, millibits: rng.below(20_000) as i64 - 2000, joined: rng.below(3) > 0, parts: vec![] }
}
