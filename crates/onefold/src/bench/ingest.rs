//! Durable ingest: events that are on disk when they are answered, beside the null server in the same run.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{load, null};
use crate::Failure;

const BATCH: u64 = 100;
const BATCHES: u64 = 400;

/// Rounds of (null, Onefold); the median of each is the figure.
const ROUNDS: usize = 3;

/// Runs it: batches of 100 events of 800 bytes over 64 connections, then single events over 256. The pipeline is off on
/// both sides; it has a benchmark of its own.
pub async fn run(seconds: u64) -> Result<Value, Failure> {
    let folder = tempfile::tempdir()?;
    let (server, client, _) = super::server(folder.path(), false).await?;
    let key = super::source(&client, "bench").await?;
    let null = null::start(folder.path()).await?;
    let batches: Vec<Vec<u8>> = (0..BATCHES)
        .map(|batch| {
            let events: Vec<String> = (0..BATCH).map(|n| load::event(batch * BATCH + n)).collect();
            load::request("/v1/batch", &key, &format!("{{\"batch\":[{}]}}", events.join(",")))
        })
        .collect();
    let singles: Vec<Vec<u8>> = (0..5000).map(|n| load::request("/v1/track", &key, &load::event(n))).collect();
    let batched = compare(server.address, null, Arc::new(batches), 64, seconds, BATCH as f64).await?;
    let single = compare(server.address, null, Arc::new(singles), 256, seconds, 1.0).await?;
    client.close().await?;
    server.stop().await;
    Ok(json!({ "batched": batched, "single": single }))
}

async fn compare(
    server: std::net::SocketAddr,
    null: std::net::SocketAddr,
    requests: Arc<Vec<Vec<u8>>>,
    connections: usize,
    seconds: u64,
    events: f64,
) -> Result<Value, Failure> {
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        theirs.push(load::run(null, requests.clone(), connections, seconds).await? * events);
        ours.push(load::run(server, requests.clone(), connections, seconds).await? * events);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    Ok(json!({
        "events_per_s": ours.round(),
        "null_events_per_s": theirs.round(),
        "ratio": (ours / theirs * 1000.0).round() / 1000.0,
    }))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
