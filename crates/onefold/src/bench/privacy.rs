//! Privacy: how long a decision and a look at the suppression list take, and what erasing people takes among many.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use std::{hint::black_box, time::Instant};

use axum::http::Method;
use onefold_log::{EventLog as _, SqliteLog, SqliteLogSettings};
use onefold_model::{
    Clock as _, NodeId, Timestamp, WorkspaceId,
    clock::SystemClock,
    consent::{Policy, Question, Row, State, Strength, decide},
    rng::SeededRng,
};
use onefold_pipeline::suppression::{self, Suppressed};
use onefold_state::{MemoryStore, StateStore, Txn, schema};
use serde_json::{Value, json};

use super::pipeline;
use crate::Failure;

/// Identifiers on the suppression list.
pub const SUPPRESSED: u64 = 100_000;

/// A policy of some size: laws, rights, expiry.
pub const POLICY: &str = r#"{
    "purposes": {
        "marketing": { "expires_days": 395, "signals": ["C0004"] }, "ads": { "sale": true },
        "orders": { "basis": "contract" }, "fraud": { "basis": "legitimate_interest" }
    },
    "residence": { "country": ["country"] },
    "jurisdictions": {
        "EU": { "of": ["DE", "FR", "PL"] }, "US": { "of": ["US"], "unstated": "allow" },
        "CA": { "of": ["CA"], "implied": [{ "event": "Order Completed", "purpose": "marketing", "days": 730 }] }
    }
}"#;

/// How often each of the small things is done.
const TIMES: u64 = 2_000_000;

/// Erased at once, after one alone.
const MANY: u64 = 1000;

/// Runs it.
pub async fn run(people: u64, events: u64) -> Result<Value, Failure> {
    let decision_ns = decision_ns()?;
    let suppression_ns = suppression_ns()?;
    let folder = tempfile::tempdir()?;
    let (server, _, settings) = super::server(folder.path(), false).await?;
    server.stop().await;
    let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string(), "");
    let log = settings.data.join("log.db");
    let now = SystemClock.now();
    super::apart(move || {
        // What the server had at work when it was stopped may hold the log for a moment more.
        let mut tries = 0;
        let log = loop {
            match SqliteLog::open(&log, SqliteLogSettings::default()) {
                Err(_) if tries < 100 => std::thread::sleep(std::time::Duration::from_millis(100)),
                opened => break opened.map_err(|error| failed(&error))?,
            }
            tries += 1;
        };
        pipeline::fill(&log, events, people, now)?;
        log.end(0).map(drop).map_err(|error| failed(&error))
    })
    .await?;
    let (server, client, _) = super::server(folder.path(), true).await?;
    let began = Instant::now();
    loop {
        let stats = client.get("/api/v1/stats").await?;
        if stats["lag"].as_u64() == Some(0) && stats["applied"].as_u64().is_some_and(|applied| applied >= events) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    let applied_s = began.elapsed().as_secs();
    // An erasure rewrites the tables, so they must have everything.
    let began = Instant::now();
    let asked = json!({ "sql": "SELECT 1", "now": false });
    while !client
        .send(Method::POST, "/api/v1/sql", &asked)
        .await
        .is_ok_and(|told| told["as_of_offset"].as_u64().is_some_and(|offset| offset >= events))
    {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    let tables_s = began.elapsed().as_secs();
    let name = |n: u64| format!("user_id:u-{n:08}");
    let erase = async |first: u64, count: u64| -> Result<(f64, Value), Failure> {
        let identifiers: Vec<String> = (first..first + count).map(name).collect();
        let began = Instant::now();
        let answer =
            client.send(Method::POST, "/api/v1/privacy/erasures", &json!({ "identifiers": identifiers })).await?;
        Ok((began.elapsed().as_secs_f64(), answer))
    };
    let (one_s, one) = erase(people / 100, 1).await?;
    let (many_s, many) = erase(people / 50, MANY).await?;
    let told = |answer: &Value| json!({ "status": answer["status"], "receipt": answer["receipt"] });
    let figures = json!({
        "decision_ns": decision_ns,
        "suppression_ns": suppression_ns,
        "people": people,
        "events": events,
        "applied_s": applied_s,
        "tables_s": tables_s,
        "erase_1_s": one_s,
        "erase_1000_s": many_s,
        "one": told(&one),
        "many": told(&many),
        "rss_mib_max": super::memory_mib_max(),
    });
    server.stop().await;
    Ok(figures)
}

/// One decision over the rows of a person of three identifiers.
fn decision_ns() -> Result<f64, Failure> {
    let policy: Policy = serde_json::from_str(POLICY).map_err(|error| Failure::new(error.to_string(), ""))?;
    let row =
        |at: i64, state: State, strength: Strength, purpose: &str| Row::new(Timestamp(at), state, strength, purpose, 1);
    let voice = |at: i64| {
        vec![
            row(at, State::Granted, Strength::Signal, "marketing"),
            row(at, State::Denied, Strength::Signal, "ads"),
            row(at, State::Granted, Strength::Operator, "marketing"),
            Row { deferred_to: Some(NodeId(7)), ..row(at, State::Granted, Strength::Signal, "marketing") },
        ]
    };
    let voices: Vec<Vec<Row>> = (1..=3).map(voice).collect();
    let began = Instant::now();
    for n in 0..TIMES {
        let at = Timestamp(1000 + n as i64 % 7);
        let asked = Question { purpose: "marketing", channel: Some("email"), jurisdiction: Some("EU"), at };
        black_box(decide(&policy, black_box(&voices), asked));
    }
    Ok(began.elapsed().as_nanos() as f64 / TIMES as f64)
}

/// Puts so many identifiers of nobody on the list of the first workspace.
pub fn suppress(txn: &mut dyn Txn) -> Result<(), Failure> {
    let failed = |error: onefold_pipeline::Error| Failure::new(error.to_string(), "");
    let workspace = WorkspaceId(1);
    suppression::make_secret(txn, workspace, &SeededRng::new(7)).map_err(failed)?;
    let list = Suppressed::load(txn, workspace).map_err(failed)?;
    let digest = |n: u64| list.digest("email", &format!("nobody-{n}@example.com"));
    let rows = (0..SUPPRESSED).filter_map(digest);
    let rows = rows.map(|digest| suppression::row(workspace, &digest, Timestamp(0), "er_bench", 0, true));
    txn.put(&schema::SUPPRESSED, rows.collect()).map_err(|error| Failure::new(error.to_string(), ""))
}

fn suppression_ns() -> Result<f64, Failure> {
    let failed = |error: onefold_state::Error| Failure::new(error.to_string(), "");
    let store = MemoryStore::new(schema::ALL);
    let epoch = store.take_over(0).map_err(failed)?;
    let mut txn = store.begin(0, epoch, None).map_err(failed)?;
    suppress(&mut *txn)?;
    let list = Suppressed::load(&mut *txn, WorkspaceId(1)).map_err(|error| Failure::new(error.to_string(), ""))?;
    let names: Vec<String> = (0..1000).map(|n| format!("somebody-{n}@example.com")).collect();
    let began = Instant::now();
    for name in names.iter().cycle().take(TIMES as usize) {
        black_box(list.holds("email", black_box(name)));
    }
    Ok(began.elapsed().as_nanos() as f64 / TIMES as f64)
}
