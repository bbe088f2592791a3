//! Measures the way from the outbox to a webhook's receiver: rows are committed to SQLite as the pipeline commits them,
//! and each is timed from its commit to its arrival.
//!
//! `cargo run --release -p onefold-activate --example latency [RATE_PER_S] [SECONDS] [CONCURRENCY]`

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use onefold_activate::{Context, Deliverer, Egress, Permission, Permit, Registry, Settings};
use onefold_model::{Clock, WorkspaceId, access::Access, clock::SystemClock, rng::SystemRng};
use onefold_state::{Error, Reader, Row, SqliteSettings, SqliteStore, StateStore, schema};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Commits of the pipeline come so far apart.
const COMMIT_MS: u64 = 10;

struct Allows;

impl Permission for Allows {
    fn decide(
        &self,
        _reader: &mut dyn Reader,
        _access: &Access,
        _channel: Option<&str>,
        profiles: &[i64],
    ) -> Result<Vec<Permit>, Error> {
        Ok(profiles.iter().map(|_| Permit { allowed: true, reason: "example".into() }).collect())
    }
}

impl onefold_activate::Arrivals for Allows {
    fn is_open(&self, _: WorkspaceId, _: &str) -> bool {
        false
    }

    fn land<'a>(
        &'a self,
        _: WorkspaceId,
        _: &'a str,
        _: String,
    ) -> futures_util::future::BoxFuture<'a, Result<(), onefold_activate::arrivals::Refused>> {
        Box::pin(async { Err(onefold_activate::arrivals::Refused::NoSource) })
    }
}

type Arrived = Arc<Mutex<HashMap<String, i64>>>;

async fn receive(State(arrivals): State<Arrived>, headers: HeaderMap, _body: Bytes) {
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    arrivals.lock().entry(id.to_owned()).or_insert(SystemClock.now().0);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let number = |place, default| std::env::args().nth(place).map_or(Ok(default), |text| text.parse::<u64>());
    let (rate_per_s, seconds, concurrency) = (number(1, 5_000)?, number(2, 10)?, number(3, 64)?);
    let folder = tempfile::tempdir()?;
    let store: Arc<dyn StateStore> =
        Arc::new(SqliteStore::open(folder.path().join("state.db"), schema::ALL, SqliteSettings::default())?);
    let arrivals = Arrived::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let app = Router::new().route("/", post(receive)).with_state(Arc::clone(&arrivals));
    tokio::spawn(async move { axum::serve(listener, app).await });

    let config = format!(
        r#"{{"purpose":"ads","concurrency":{concurrency},"url":"{url}","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}"#
    );
    let destination: Row =
        vec![1_i64.into(), "hook".into(), "webhook".into(), "active".into(), 0_i64.into(), config.into()];
    let mut txn = store.begin_shared()?;
    txn.put(&schema::DESTINATION, vec![destination])?;
    txn.commit()?;
    let context = Context {
        workspace: WorkspaceId(1),
        egress: Arc::new(Egress::new(&["127.0.0.0/8".to_owned()])?),
        data_folder: folder.path().to_owned(),
        exports_allowed: vec![],
        clock: Arc::new(SystemClock),
        arrivals: Arc::new(Allows),
    };
    let wake = watch::Sender::new(0_u64);
    let deliverer = Deliverer {
        store: Arc::clone(&store),
        registry: Arc::new(Registry::standard()),
        context,
        rng: Arc::new(SystemRng),
        settings: Settings::default(),
        permission: Arc::new(Allows),
    };
    let handle = deliverer.start(wake.subscribe());

    let epoch = store.take_over(0)?;
    let body = format!(r#"{{"type":"track","event":"order","pad":"{}","profile":{{"id":"p_1"}}}}"#, "x".repeat(600));
    let rows_a_commit = rate_per_s * COMMIT_MS / 1_000;
    let mut sent: Vec<(String, i64)> = vec![];
    let mut ticks = tokio::time::interval(Duration::from_millis(COMMIT_MS));
    for commit in 0..seconds * 1_000 / COMMIT_MS {
        ticks.tick().await;
        let at_ms = SystemClock.now().0;
        let offsets = (commit * rows_a_commit..(commit + 1) * rows_a_commit).map(|offset| offset as i64);
        let rows: Vec<Row> = offsets.clone().map(|offset| row(offset, at_ms, &body)).collect();
        let store = Arc::clone(&store);
        tokio::task::spawn_blocking(move || {
            let mut txn = store.begin(0, epoch, None)?;
            txn.put(&schema::OUTBOX, rows)?;
            txn.commit()
        })
        .await??;
        let committed_ms = SystemClock.now().0;
        sent.extend(offsets.map(|offset| (format!("k{offset}"), committed_ms)));
        wake.send_modify(|n| *n += 1);
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    while arrivals.lock().len() < sent.len() {
        ticks.tick().await;
    }
    handle.shutdown().await;
    let arrivals = arrivals.lock();
    let mut waits: Vec<i64> = sent.iter().map(|(key, at_ms)| arrivals[key] - at_ms).collect();
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    println!(
        "{} deliveries at {rate_per_s}/s: p50 {} ms, p99 {} ms, max {} ms",
        waits.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(())
}

fn row(offset: i64, at_ms: i64, body: &str) -> Row {
    vec![
        1_i64.into(),
        "hook".into(),
        offset.into(),
        0_i64.into(),
        format!("k{offset}").into(),
        "event".into(),
        "".into(),
        (offset % 10_000).into(),
        at_ms.into(),
        0_i64.into(),
        at_ms.into(),
        body.as_bytes().into(),
    ]
}
