//! Eight audiences over a shop, counted by Onefold and by other engines over the same files.
//!
//! The shop goes through the log and the whole pipeline. Then the eight are asked: once as they are, for the first time and to
//! compare the counts; then with thresholds and categories drawn anew for every ask, while 5,000 events a second arrive.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use onefold_audience::{AskError, Keeper};
use onefold_lake_delta::Engine;
use onefold_log::{EventLog, SqliteLog, SqliteLogSettings};
use onefold_model::{
    Clock, Timestamp, WorkspaceId,
    access::{Access, Caller, Purpose, Sight},
    clock::{DAY_MS, SystemClock},
    rng::SeededRng,
    segment::text,
};
use onefold_pipeline::{
    definitions::Workspace,
    worker::{Step, Worker},
};
use onefold_state::{SqliteSettings, SqliteStore, StateStore, schema};
use serde_json::{Value, json};
use url::Url;

use super::{
    append::Appender,
    shop::{self, Action},
    sql,
};
use crate::Failure;

/// Asks of each audience; the median counts.
const ASKS: usize = 11;

/// Events that arrive in a second while it is asked.
const ARRIVING: u64 = 5000;

/// Bytes that the index may take.
const INDEX_BYTES_MAX: usize = 8 << 30;

/// The eight in SQL, a line each, over `ev` and `pr`; `before(n)` is the instant n days before now.
pub const EIGHT: &str = include_str!("../../../../bench/peers/eight.sql");

/// Counts several conditions.
type Ask<'a> = &'a dyn Fn(&[String]) -> Result<Vec<usize>, Failure>;

/// What is measured.
pub struct Settings {
    pub users: u64,
    pub events: u64,
    /// A folder with `profiles.parquet` and `events.parquet`; without it a shop is made.
    pub load: Option<PathBuf>,
    /// The instant as of which is asked.
    pub now: Timestamp,
    /// A folder with the Python environments `duckdb` and `clickhouse`.
    pub peers: PathBuf,
}

/// A shop that has gone through the log and the whole pipeline.
pub struct Shop {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn StateStore>,
    pub access: Access,
    pub definitions: Workspace,
    users: u64,
    events: u64,
    applied_s: f64,
}

/// Makes a shop's files in a folder of this one.
pub fn made(folder: &Path, users: u64, events: u64, now: Timestamp) -> Result<PathBuf, Failure> {
    let made = folder.join("shop");
    std::fs::create_dir(&made)?;
    shop::make(&made, users, events, now.0).map_err(|error| Failure::new(error.to_string(), ""))?;
    Ok(made)
}

impl Shop {
    /// Takes the shop of the files in `data`, and keeps what becomes of it in `folder`; with the worker that goes on.
    pub fn open(folder: &Path, data: &Path, now: Timestamp) -> Result<(Shop, Worker), Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string(), "");
        let log = SqliteLog::open(&folder.join("log.db"), SqliteLogSettings::default()).map_err(|e| failed(&e))?;
        let log: Arc<dyn EventLog> = Arc::new(log);
        let store = SqliteStore::open(folder.join("state.db"), schema::ALL, SqliteSettings::default());
        let store: Arc<dyn StateStore> = Arc::new(store.map_err(|e| failed(&e))?);
        let (users, events) = fill(&*log, data, now)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut worker = Worker::open(log.clone(), store.clone(), clock, 0, onefold_pipeline::Settings::default())
            .map_err(|e| failed(&e))?;
        let began = Instant::now();
        // No tick: engine time is that of the data.
        let end = log.end(0).map_err(|e| failed(&e))?;
        while worker.applied(None).next_offset < end {
            worker.step().map_err(|e| failed(&e))?;
        }
        let applied_s = began.elapsed().as_secs_f64();
        let workspace = WorkspaceId(1);
        let access = Access {
            caller: Caller::Operator,
            workspace,
            purpose: Purpose::administration(),
            at: now,
            sight: Sight::all(),
        };
        let reader = store.reader();
        let definitions = Workspace::load(&mut *reader.map_err(|e| failed(&e))?, workspace).map_err(|e| failed(&e))?;
        Ok((Shop { log, store, access, definitions, users, events, applied_s }, worker))
    }
}

/// Runs it.
pub fn run(settings: &Settings) -> Result<Value, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string(), "");
    let folder = tempfile::tempdir()?;
    let data = match &settings.load {
        Some(data) => data.clone(),
        None => made(folder.path(), settings.users, settings.events, settings.now)?,
    };
    let (shop, mut worker) = Shop::open(folder.path(), &data, settings.now)?;
    let Shop { log, store, access, definitions, users, events, applied_s } = &shop;
    let lake = folder.path().join("lake");
    std::fs::create_dir(&lake)?;
    let url = Url::from_directory_path(&lake).map_err(|()| Failure::new("the folder is no URL", ""))?;
    let tables = sql::Tables::write(&shop, url, vec![])?;
    let engine = Arc::new(Engine::new(tables.lake.clone()));
    let keeper = Keeper::new(log.clone(), store.clone(), INDEX_BYTES_MAX)
        .with_tables(onefold_audience::Tables::new(engine.clone(), sql::BUDGET));
    let ask = |texts: &[String]| -> Result<Vec<usize>, Failure> {
        let conditions: Result<Vec<_>, _> = texts.iter().map(|condition| text::parse(condition)).collect();
        let conditions = conditions.map_err(|e| failed(&e))?;
        let counts = keeper.ask(access, definitions, &conditions, &[], |asked| {
            asked.sets.iter().map(onefold_audience::Set::len).collect()
        });
        counts.map_err(|error: AskError| failed(&error))
    };
    let began = Instant::now();
    let counts = ask(&standard())?;
    let first_s = began.elapsed().as_secs_f64();
    let index_mib = keeper.heap_bytes() >> 20;

    // Others count from here: what arrives while Onefold is asked is not theirs.
    let peers = ["duckdb", "clickhouse"].map(|name| peer(settings, &data, name, name));
    let [duckdb, clickhouse] = peers;
    let peers = [duckdb?, clickhouse?];
    let lake = sql::run(settings, &shop, &tables, &engine, &lake)?;

    let stop = AtomicBool::new(false);
    let took = std::thread::scope(|scope| {
        scope.spawn(|| arrive(&**log, *users, settings.now, &stop));
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                if worker.step().ok() != Some(Step::Worked) {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // What fails is asked again by the question.
                let _ = keeper.follow(access, definitions);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let asked = drawn(&ask);
        stop.store(true, Ordering::Relaxed);
        asked
    })?;

    let mut rows = vec![];
    let mut speedups = vec![];
    for (place, count) in counts.iter().enumerate() {
        let theirs = |peer: &Option<Vec<(usize, f64)>>| peer.as_ref().and_then(|peer| peer.get(place).copied());
        let (duckdb, clickhouse) = (theirs(&peers[0]), theirs(&peers[1]));
        let known = [duckdb, clickhouse];
        let equal = known.iter().flatten().all(|(other, _)| other == count);
        let best = known.iter().flatten().map(|(_, ms)| *ms).min_by(f64::total_cmp);
        speedups.extend(best.map(|best| best / took[place]));
        rows.push(json!({
            "audience": place + 1,
            "text": standard()[place],
            "count": count,
            "onefold_ms": round(took[place]),
            "duckdb_ms": duckdb.map(|(_, ms)| ms),
            "clickhouse_ms": clickhouse.map(|(_, ms)| ms),
            "equal": known.iter().flatten().next().is_some().then_some(equal),
        }));
    }
    Ok(json!({
        "users": users,
        "events": events,
        "rows": rows,
        "onefold_median_ms": round(median(took)),
        "min_speedup_native": speedups.into_iter().min_by(f64::total_cmp).map(round),
        "first_ask_s": round(first_s),
        "applied_events_per_s": (*events as f64 / applied_s).round(),
        "index_mib": index_mib,
        "lake": lake,
    }))
}

pub fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

pub fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    let middle = of.len() / 2;
    if of.len() % 2 == 1 { of[middle] } else { (of[middle - 1] + of[middle]) / 2.0 }
}

/// Milliseconds that each of the eight takes, thresholds drawn anew.
fn drawn(ask: Ask<'_>) -> Result<Vec<f64>, Failure> {
    let rng = SeededRng::new(11);
    let mut took: Vec<Vec<f64>> = vec![vec![]; 8];
    for _ in 0..ASKS {
        for (place, condition) in eight(&|least, most| least + rng.below(most - least + 1)).into_iter().enumerate() {
            let began = Instant::now();
            ask(&[condition])?;
            took[place].push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    Ok(took.into_iter().map(median).collect())
}

/// The eight as every engine counts them.
pub fn standard() -> Vec<String> {
    [
        r#"count("Order Completed") >= 3 within 30 days and trait country = "DE""#,
        r#"count("Product Viewed" where category = "cat07") >= 2 within 7 days and count("Order Completed") = 0 within 30 days"#,
        r#"sum("Order Completed", revenue) > 500 within 90 days and trait plan in ("pro", "enterprise")"#,
        r#""Product Added" within 7 days then no "Order Completed""#,
        r#"count("Order Completed") >= 1 and count(any event) = 0 within 60 days"#,
        r#"trait country in ("DE", "PL") and trait age between 25 and 40 and trait plan != "free" and trait email_consent = true"#,
        r#"first("Order Completed") within 30 days"#,
        r#"count("Email Clicked") >= 2 within 14 days and trait email_consent = true and count("Order Refunded") = 0 within 90 days"#,
    ]
    .map(str::to_owned)
    .into()
}

/// The eight with other thresholds.
fn eight(draw: &dyn Fn(u64, u64) -> u64) -> [String; 8] {
    let country = || ["DE", "PL", "RU", "CN", "US", "FR", "GB", "ES", "IT", "NL", "SE", "CZ"][draw(0, 11) as usize];
    [
        format!(
            r#"count("Order Completed") >= {} within {} days and trait country = "{}""#,
            draw(2, 4),
            draw(20, 40),
            country()
        ),
        format!(
            r#"count("Product Viewed" where category = "cat{:02}") >= {} within {} days and count("Order Completed") = 0 within {} days"#,
            draw(0, 39),
            draw(1, 3),
            draw(4, 10),
            draw(20, 40)
        ),
        format!(
            r#"sum("Order Completed", revenue) > {} within {} days and trait plan in ("pro", "enterprise")"#,
            draw(200, 800),
            draw(80, 100)
        ),
        format!(r#""Product Added" within {} days then no "Order Completed""#, draw(4, 10)),
        format!(r#"count("Order Completed") >= 1 and count(any event) = 0 within {} days"#, draw(40, 80)),
        format!(
            r#"trait country in ("{}", "{}") and trait age between {} and {} and trait plan != "free" and trait email_consent = true"#,
            country(),
            country(),
            draw(20, 30),
            draw(35, 50)
        ),
        format!(r#"first("Order Completed") within {} days"#, draw(20, 40)),
        format!(
            r#"count("Email Clicked") >= {} within {} days and trait email_consent = true and count("Order Refunded") = 0 within {} days"#,
            draw(1, 3),
            draw(10, 20),
            draw(80, 100)
        ),
    ]
}

/// Appends the shop to the log; gives how many people and events it has.
fn fill(log: &dyn EventLog, data: &Path, now: Timestamp) -> Result<(u64, u64), Failure> {
    let unread = |error: parquet::errors::ParquetError| {
        Failure::new(
            format!("{} cannot be read: {error}", data.display()),
            "make it with profiles.parquet and events.parquet",
        )
    };
    let mut writer = Appender::new(log);
    let (mut users, mut events) = (0u64, 0u64);
    let before = now.minus((shop::DAYS + 1) * DAY_MS);
    shop::customers(data, |customer| {
        let body = json!({
            "type": "identify", "messageId": format!("i{users}"), "userId": format!("u{}", customer.user_id),
            "traits": { "country": customer.country, "plan": customer.plan, "age": customer.age, "email_consent": customer.email_consent },
        });
        writer.add(before, &body.to_string());
        users += 1;
    })
    .map_err(unread)?;
    shop::actions(data, |action| {
        writer.add(Timestamp(action.ts), &track(&action, events));
        events += 1;
    })
    .map_err(unread)?;
    writer.end()?;
    Ok((users, events))
}

fn track(action: &Action, number: u64) -> String {
    json!({
        "type": "track", "event": action.event, "messageId": format!("t{number}"), "userId": format!("u{}", action.user_id),
        "properties": { "category": action.category, "revenue": action.revenue },
    })
    .to_string()
}

/// Appends events of now until it is told to stop.
fn arrive(log: &dyn EventLog, users: u64, now: Timestamp, stop: &AtomicBool) {
    let rng = SeededRng::new(13);
    let began = Instant::now();
    let mut sent = 0u64;
    let mut writer = Appender::new(log);
    while !stop.load(Ordering::Relaxed) {
        let elapsed = began.elapsed().as_millis() as i64;
        while sent < elapsed as u64 * ARRIVING / 1000 {
            let action = Action {
                user_id: rng.below(users.max(1)) as i64,
                ts: now.0 + elapsed,
                event: "Page Viewed".to_owned(),
                category: format!("cat{:02}", rng.below(40)),
                revenue: 0.0,
            };
            writer.add(Timestamp(action.ts), &track(&action, u64::MAX - sent));
            sent += 1;
        }
        writer.flush();
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Counts and median milliseconds of another engine over its native tables, or over what there is in `data` of `kind`;
/// `None` where it is not installed.
pub fn peer(settings: &Settings, data: &Path, name: &str, kind: &str) -> Result<Option<Vec<(usize, f64)>>, Failure> {
    let python = settings.peers.join(name).join("bin/python");
    if !python.exists() {
        return Ok(None);
    }
    let folder = tempfile::tempdir()?;
    let (script, eight) = (folder.path().join("segments.py"), folder.path().join("eight.sql"));
    std::fs::write(&script, include_str!("../../../../bench/peers/segments.py"))?;
    std::fs::write(&eight, EIGHT)?;
    let arguments = [script.as_os_str(), kind.as_ref(), data.as_os_str()];
    let output = Command::new(python).args(arguments).arg(settings.now.0.to_string()).env("EIGHT", eight).output()?;
    if !output.status.success() {
        let cause = format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        return Err(Failure::new(cause, "install it anew with bench/run.sh"));
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let read = |line: &str| {
        let row: Value = serde_json::from_str(line).ok()?;
        Some((row["count"].as_u64()? as usize, row["ms"].as_f64()?))
    };
    Ok(Some(lines.lines().filter_map(read).collect()))
}
