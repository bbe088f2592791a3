//! A server at work: events come at a steady rate, some of them make somebody a member of a segment, and a webhook hears
//! of it; profiles are read meanwhile; then people are merged and unmerged.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, Router, extract::State, http::Method, routing::post};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{load, pipeline};
use crate::{Failure, client::Client, wiring};

/// Events a second.
const EVENTS_PER_S: u64 = 5000;

/// Events of one request, about what the SDKs of browsers and servers send on average.
const BATCH: u64 = 10;

/// One request in so many ends with an event that makes a new member.
const TRIGGER: u64 = 10;

/// Profiles that are read.
const PROFILES: u64 = 20_000;

/// Profile reads a second, and beside the events.
const READS_PER_S: u64 = 10_000;
const READS_BESIDE_PER_S: u64 = 500;

/// Merges, each with its unmerge.
const MERGES: u64 = 200;

/// By message id, when an event was due and when its webhook came.
type Seen = Arc<Mutex<HashMap<String, Instant>>>;

/// Runs it.
pub async fn run(seconds: u64) -> Result<Value, Failure> {
    let folder = tempfile::tempdir()?;
    let (server, client, settings) = super::server(folder.path(), true).await?;
    let idle_rss_mib = super::rss_mib();
    let key = super::source(&client, "bench").await?;
    let heard = Seen::default();
    let url = receiver(heard.clone()).await?;
    for (name, text) in pipeline::segments() {
        client.send(Method::PUT, "/api/v1/segments", &json!({ "name": name, "condition": text })).await?;
    }
    let trigger = json!({ "name": "arrived", "condition": "count(\"Arrived\") >= 1" });
    client.send(Method::PUT, "/api/v1/segments", &trigger).await?;
    let webhook = json!({ "name": "hook", "kind": "webhook", "segments": ["arrived"], "config": { "url": url, "purpose": "marketing" } });
    client.send(Method::PUT, "/api/v1/destinations", &webhook).await?;
    people(server.address, &key, &client).await?;

    let token = wiring::token(&settings.data)?;
    let read = move |n: u64| {
        let person = n.wrapping_mul(0x9e37_79b9) % PROFILES;
        load::get(&format!("/api/v1/profiles/user_id:person-{person:06}"), &token)
    };
    let reads = load::paced(server.address, soon(), read.clone(), 32, READS_PER_S, seconds).await?;

    let began = soon();
    let events = load::paced(server.address, began, move |n| batch(&key, n), 64, EVENTS_PER_S / BATCH, seconds);
    let beside = load::paced(server.address, began, read, 8, READS_BESIDE_PER_S, seconds);
    let (events, beside) = tokio::try_join!(events, beside)?;
    caught_up(&client).await?;
    let webhooks = latencies(&heard, began, EVENTS_PER_S / BATCH * seconds).await;
    let identity = merges(&client).await?;
    client.close().await?;
    server.stop().await;
    Ok(json!({
        "idle_rss_mib": idle_rss_mib,
        "rss_mib": super::rss_mib(),
        "profile_reads": figures(&reads),
        "event_requests": figures(&events),
        "events_per_s": (events.0 * BATCH as f64).round(),
        "profile_reads_beside": figures(&beside),
        "event_to_webhook": {
            "sent": EVENTS_PER_S / BATCH * seconds / TRIGGER,
            "received": webhooks.len(),
            "p50_ms": load::quantile_ms(&webhooks, 0.5),
            "p99_ms": load::quantile_ms(&webhooks, 0.99),
        },
        "merge": identity.0,
        "unmerge": identity.1,
    }))
}

/// When the load begins: all its threads are there and connected by then.
fn soon() -> Instant {
    Instant::now() + Duration::from_millis(500)
}

fn figures((per_s, took): &(f64, Vec<Duration>)) -> Value {
    json!({
        "per_s": per_s.round(),
        "p50_ms": load::quantile_ms(took, 0.5),
        "p99_ms": load::quantile_ms(took, 0.99),
    })
}

/// Makes the people who are read, each known by three identifiers, with traits and a few events.
async fn people(address: std::net::SocketAddr, key: &str, client: &Client) -> Result<(), Failure> {
    let mut connection = load::Connection::open(address).await?;
    for first in (0..PROFILES).step_by(100) {
        let calls: Vec<Value> = (first..first + 100)
            .flat_map(|n| {
                let (user, browser) = (format!("person-{n:06}"), format!("browser-{n:06}"));
                let call = |name: &str, more: Value| {
                    let mut call =
                        json!({ "messageId": format!("{name}-{n}"), "userId": user, "anonymousId": browser });
                    call.as_object_mut()
                        .into_iter()
                        .for_each(|call| call.extend(more.as_object().cloned().unwrap_or_default()));
                    call
                };
                [
                    call(
                        "who",
                        json!({ "type": "identify", "traits": {
                        "email": format!("person{n}@example.com"), "plan": "pro", "country": "DE", "age": n % 70 } }),
                    ),
                    call(
                        "view",
                        json!({ "type": "track", "event": "Product Viewed", "properties": { "category": "cat07" } }),
                    ),
                    call(
                        "order",
                        json!({ "type": "track", "event": "Order Completed", "properties": { "revenue": 19.9 } }),
                    ),
                ]
            })
            .collect();
        let body = json!({ "batch": calls }).to_string();
        if !connection.exchange(&load::request("/v1/batch", key, &body)).await? {
            return Err(Failure::new("events were not taken", "run it again"));
        }
    }
    caught_up(client).await
}

/// Ten events of people who are known; of every tenth batch the last makes a new member.
fn batch(key: &str, n: u64) -> Vec<u8> {
    let event = |place: u64| {
        let n = n * BATCH + place;
        let person = n.wrapping_mul(0x9e37_79b9) % PROFILES;
        load::event_of(n, &format!("person-{person:06}"), &format!("browser-{person:06}"))
    };
    let mut events: Vec<String> = (0..BATCH).map(event).collect();
    if n.is_multiple_of(TRIGGER) {
        events.pop();
        let arrived = json!({ "type": "track", "event": "Arrived", "messageId": format!("arrived-{n}"), "userId": format!("new-{n}"), "context": { "consent": { "categoryPreferences": { "marketing": true } } } });
        events.push(arrived.to_string());
    }
    load::request("/v1/batch", key, &format!("{{\"batch\":[{}]}}", events.join(",")))
}

/// How long each new member took, from the instant its request was due to its webhook. Waits ten seconds for the last.
async fn latencies(heard: &Seen, began: Instant, requests: u64) -> Vec<Duration> {
    for _ in 0..1000 {
        if heard.lock().len() as u64 >= requests.div_ceil(TRIGGER) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let per_s = EVENTS_PER_S / BATCH;
    let due = |n: u64| began + Duration::from_micros(n * 1_000_000 / per_s);
    let heard = heard.lock();
    let arrived = (0..requests).step_by(TRIGGER as usize).filter_map(|n| {
        let at = heard.get(&format!("new-{n}"))?;
        Some(at.saturating_duration_since(due(n)))
    });
    let mut took: Vec<Duration> = arrived.collect();
    took.sort_unstable();
    took
}

/// Merges people and unmerges them; how long each request took.
async fn merges(client: &Client) -> Result<(Value, Value), Failure> {
    let (mut merges, mut unmerges) = (vec![], vec![]);
    for n in 0..MERGES {
        let pair =
            json!({ "a": format!("user_id:person-{:06}", 2 * n), "b": format!("user_id:person-{:06}", 2 * n + 1) });
        for (path, took) in [("merge", &mut merges), ("unmerge", &mut unmerges)] {
            let began = Instant::now();
            client.send(Method::POST, &format!("/api/v1/profiles/{path}"), &pair).await?;
            took.push(began.elapsed());
        }
    }
    let sorted = |mut took: Vec<Duration>| {
        took.sort_unstable();
        json!({ "p50_ms": load::quantile_ms(&took, 0.5), "p99_ms": load::quantile_ms(&took, 0.99) })
    };
    Ok((sorted(merges), sorted(unmerges)))
}

async fn caught_up(client: &Client) -> Result<(), Failure> {
    let stats = client.get("/api/v1/stats").await?;
    let end = stats["applied"].as_u64().unwrap_or(0) + stats["lag"].as_u64().unwrap_or(0);
    crate::commands::wait_applied(client, end, false).await
}

/// A webhook receiver that notes when it heard of whom.
async fn receiver(heard: Seen) -> Result<String, Failure> {
    let take = |State(heard): State<Seen>, Json(body): Json<Value>| async move {
        let at = Instant::now();
        let who = body["profile"]["identifiers"][0]["value"].as_str().unwrap_or_default().to_owned();
        heard.lock().insert(who, at);
    };
    let router = Router::new().route("/hook", post(take)).with_state(heard);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/hook", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}
