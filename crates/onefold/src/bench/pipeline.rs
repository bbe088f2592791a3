//! The whole pipeline, from the log to the commit: parse, dedupe, identity, fold, 50 live segments, outbox, verdicts.
//!
//! Events have the skew of a shop (few people make most of them), 800 bytes, 5 % duplicates, and are in the log before
//! the clock starts. Embedded: SQLite, one thread.

use std::sync::Arc;

use onefold_log::{EventLog, SqliteLog, SqliteLogSettings};
use onefold_model::{
    Clock, Timestamp, WorkspaceId,
    clock::SystemClock,
    command::{Command, CommandRecord},
    rng::SeededRng,
};
use onefold_pipeline::worker::{Step, Worker};
use onefold_state::{SqliteSettings, SqliteStore, StateStore, schema};
use serde_json::{Value, json};

use super::{append::Appender, privacy};
use crate::Failure;

const EVENTS: [(&str, u64); 8] = [
    ("Page Viewed", 30),
    ("Product Viewed", 24),
    ("Product List Viewed", 10),
    ("Product Added", 8),
    ("Order Completed", 3),
    ("Email Opened", 9),
    ("Email Clicked", 2),
    ("Signed In", 4),
];

/// Runs it.
pub fn run(events: u64, profiles: u64, privacy: bool) -> Result<Value, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string(), "");
    let folder = tempfile::tempdir()?;
    let log: Arc<dyn EventLog> =
        Arc::new(SqliteLog::open(&folder.path().join("log.db"), SqliteLogSettings::default()).map_err(|e| failed(&e))?);
    let store: Arc<dyn StateStore> = Arc::new(
        SqliteStore::open(folder.path().join("state.db"), schema::ALL, SqliteSettings::default())
            .map_err(|e| failed(&e))?,
    );
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let start = clock.now().minus(180 * 86_400_000);
    let names = segments();
    let mut commands = Appender::new(&*log);
    for (name, text) in &names {
        let definition = serde_json::from_value(json!({ "name": name, "condition": text }));
        let command = Command::SegmentSet(definition.map_err(|e| failed(&e))?);
        let record = CommandRecord { v: 1, workspace: WorkspaceId(1), at: start, caller: "bench".to_owned(), command };
        commands.command(&record.encode());
    }
    if privacy {
        let policy = serde_json::from_str(privacy::POLICY).map_err(|e| failed(&e))?;
        let (workspace, caller, command) = (WorkspaceId(1), "bench".to_owned(), Command::ConsentPolicy(policy));
        commands.command(&CommandRecord { v: 1, workspace, at: start, caller, command }.encode());
        let epoch = store.take_over(0).map_err(|e| failed(&e))?;
        let mut txn = store.begin(0, epoch, None).map_err(|e| failed(&e))?;
        privacy::suppress(&mut *txn)?;
        txn.commit().map_err(|e| failed(&e))?;
    }
    commands.end()?;
    let settings = onefold_pipeline::Settings::default();
    let mut worker = Worker::open(log.clone(), store.clone(), clock.clone(), 0, settings).map_err(|e| failed(&e))?;
    while worker.step().map_err(|e| failed(&e))? == Step::Worked {}
    fill(&*log, events, profiles, clock.now())?;
    let (began, before) = (clock.now(), super::used());
    let end = log.end(0).map_err(|e| failed(&e))?;
    while worker.applied(None).next_offset < end {
        worker.step().map_err(|e| failed(&e))?;
    }
    let seconds = (clock.now().0 - began.0).max(1) as f64 / 1000.0;
    let used = super::used().zip(before);
    let used = used.map(|(now, before)| ((now.0 - before.0) / events.max(1), (now.1 - before.1) / events.max(1)));
    Ok(json!({
        "cpu_us_per_event": used.map(|(cpu, _)| cpu),
        "disk_bytes_per_event": used.map(|(_, disk)| disk),
        "events_per_s": (events as f64 / seconds).round(),
        "events": events,
        "profiles": profiles,
        "privacy": privacy,
        "segments": names.len(),
        "instructions_per_event": null,
        "rss_mib": super::rss_mib(),
    }))
}

/// Puts events of the last half a year into the log.
pub fn fill(log: &dyn EventLog, events: u64, profiles: u64, now: Timestamp) -> Result<(), Failure> {
    let rng = SeededRng::new(42);
    let mut appender = Appender::new(log);
    for n in 0..events {
        // One in twenty was sent before.
        let id = if rng.below(20) == 0 { n.saturating_sub(rng.below(5000)) } else { n };
        let person = ((rng.below(1 << 32) as f64 / (1u64 << 32) as f64).powf(2.5) * profiles as f64) as u64;
        let mut draw = rng.below(90);
        let name = EVENTS.iter().find(|(_, weight)| {
            let found = draw < *weight;
            draw = draw.saturating_sub(*weight);
            found
        });
        let name = name.map_or("Page Viewed", |(name, _)| *name);
        let body = format!(
            r#"{{"type":"track","event":"{name}","messageId":"m-{id:012}","userId":"u-{person:08}","anonymousId":"a-{person:08}","properties":{{"category":"cat{:02}","revenue":{}.{:02},"currency":"EUR","product_id":"sku-{:05}","quantity":1,"list":"Recommended for you"}},"context":{{"library":{{"name":"analytics.js","version":"3.0.1"}},"page":{{"url":"https://shop.example/products/{:05}","path":"/products","referrer":"https://shop.example/","title":"A product"}},"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36","locale":"de-DE","timezone":"Europe/Berlin","pad":"{}"}}}}"#,
            rng.below(40),
            rng.below(200),
            rng.below(100),
            rng.below(99_999),
            rng.below(99_999),
            "x".repeat(150),
        );
        let at = now.minus(((events - n) as f64 / events as f64 * 180.0 * 86_400_000.0) as i64);
        appender.add(at, &body);
    }
    appender.end()
}

/// Fifty segments over the events, of the shapes that marketers use.
pub fn segments() -> Vec<(String, String)> {
    (0..50u32)
        .map(|n| {
            let days = [7, 14, 30, 60, 90][(n % 5) as usize];
            let k = n / 10 + 1;
            let text = match n % 10 {
                0 => format!(r#"count("Order Completed") >= {k} within {days} days"#),
                1 => format!(r#"count("Product Viewed" where category = "cat{n:02}") >= 2 within {days} days"#),
                2 => format!(r#"sum("Order Completed", revenue) > {} within {days} days"#, k * 100),
                3 => format!(r#"last("Product Added") within {days} days"#),
                4 => format!(r#"count("Order Completed") >= 1 and count(any event) = 0 within {days} days"#),
                5 => format!(r#"first("Order Completed") within {days} days"#),
                6 => format!(r#"count("Email Clicked") >= {k} within {days} days"#),
                7 => format!(r#""Product Added" within {days} days then no "Order Completed""#),
                8 => format!(r#"count("Signed In") >= {k} within {days} days and not (count("Order Completed") >= 1)"#),
                _ => format!(r#"count("Email Opened") >= {k} within {days} days"#),
            };
            (format!("segment-{n:02}"), text)
        })
        .collect()
}
