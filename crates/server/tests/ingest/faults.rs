//! Overload, full disks, and bodies made to hurt.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use axum::body::{Body, Bytes};
use onefold_server::ingest::IngestSettings;

use crate::support::{World, gzip, post};

const MIXED: &str = r#"{"batch":[{"type":"page","userId":"u","messageId":"1"},{"type":"nope","messageId":"2"}]}"#;

#[tokio::test]
async fn overload_and_full_disks_ask_to_come_again_and_nothing_doubles() {
    let world = World::new();
    let send = async || {
        let answer = world.send(post("/v1/batch", MIXED).basic("k:")).await;
        format!("{} {} {}", answer.status, answer.header("retry-after"), answer.body)
    };
    world.letters.broken.store(1, SeqCst);
    let unavailable = r#"503 5 {"code":"unavailable","message":"the event could not be stored, and nothing of this request was; try again shortly"}"#;
    assert_eq!(send().await, unavailable);
    assert_eq!((world.landed().len(), world.letters().len()), (0, 0));
    world.letters.broken.store(0, SeqCst);

    world.log.busy();
    assert_eq!(
        send().await,
        r#"429 1 {"code":"busy","message":"max requests limit reached: the log has as much waiting as it may hold; try again shortly"}"#
    );
    world.log.full_disk();
    assert_eq!(send().await, unavailable);
    assert_eq!(world.landed().len(), 0);
    world.log.well();

    assert_eq!(send().await, r#"200 - {"success":true}"#);
    assert_eq!((world.landed().len(), world.letters().len()), (1, 1));
    let meters = &world.ingest.meters;
    assert_eq!((meters.failed.get("busy"), meters.failed.get("unavailable")), (1, 2));
    assert_eq!((meters.accepted.get(), meters.refused.get("unknown_type")), (1, 1));
}

#[tokio::test]
async fn a_source_over_its_rate_waits() {
    let world = World::with(IngestSettings { source_events_per_s_max: Some(2), ..IngestSettings::default() });
    let send = async |key| {
        let answer = world.send(post("/v1/i", r#"{"userId":"u"}"#).basic(key)).await;
        (answer.status, answer.header("retry-after").to_owned())
    };
    assert_eq!(send("k:").await.0, 200);
    assert_eq!(send("k:").await.0, 200);
    assert_eq!(send("k:").await, (429, "1".to_owned()));
    assert_eq!(send("other:").await.0, 200);
    world.clock.advance(1000);
    assert_eq!(send("k:").await.0, 200);
    assert_eq!(world.landed().len(), 4);
}

#[tokio::test]
async fn a_body_is_bounded_before_and_after_gunzip() {
    let world = World::new();
    let batch = |bytes: usize| {
        let head = r#"{"batch":[{"type":"page","userId":"u","messageId":"m"}],"x":""#;
        format!("{head}{}\"}}", " ".repeat(bytes - head.len() - 2)).into_bytes()
    };
    let limit = 4_000 * 1024;
    let status = async |body: Body| world.send(post("/v1/batch", body).basic("k:")).await.status;
    assert_eq!(status(batch(limit).into()).await, 200);
    assert_eq!(status(batch(limit + 1).into()).await, 413);
    assert_eq!(status(gzip(&batch(limit)).into()).await, 200);
    assert_eq!(status(gzip(&batch(limit + 1)).into()).await, 413);
    // 512 MiB in less than 4.
    let bomb = gzip(&vec![b' '; 1 << 26]).repeat(8);
    assert!(bomb.len() < limit);
    assert_eq!(status(bomb.into()).await, 413);
    // Without a Content-Length, in pieces.
    let pieces = |bytes: Vec<u8>| {
        let pieces: Vec<_> =
            bytes.chunks(1000).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
        Body::from_stream(futures_util::stream::iter(pieces))
    };
    assert_eq!(status(pieces(batch(100_000))).await, 200);
    assert_eq!(status(pieces(batch(limit + 1))).await, 413);
    // Cut off: the sender may come again.
    let cut = [Ok(Bytes::from_static(b"{\"batch\":[")), Err(std::io::Error::other("cut"))];
    assert_eq!(status(Body::from_stream(futures_util::stream::iter(cut))).await, 408);
    assert_eq!(world.landed().len(), 3);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let world = World::with(IngestSettings { body_wait_max: Duration::ZERO, ..IngestSettings::default() });
    let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    assert_eq!(world.send(post("/v1/batch", never).basic("k:")).await.status, 408);
}

#[tokio::test]
async fn a_small_body_does_not_become_a_large_batch() {
    let world = World::new();
    // 30 KB that are merged into each of 2,000 events.
    let context = "x".repeat(30_000);
    let events = vec![r#"{"type":"page","userId":"u"}"#; 2_000].join(",");
    let body = format!(r#"{{"context":{{"a":"{context}"}},"batch":[{events}]}}"#);
    let answer = world.send(post("/v1/batch", body).basic("k:")).await;
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("request size exceeds max limit"));
    // What would be too large only with its batch's context is refused like any other that is.
    let body =
        format!(r#"{{"context":{{"a":"{context}"}},"batch":[{{"type":"page","userId":"{}"}}]}}"#, "u".repeat(3_000));
    assert_eq!(world.send(post("/v1/batch", body).basic("k:")).await.status, 200);
    assert_eq!(world.ingest.meters.refused.get("too_large"), 1);
    // More events than the published 2,500 are fine; a body of nothing but commas' worth of them is not.
    let many = |n| format!(r#"{{"batch":[{}]}}"#, vec![r#"{"type":"page","userId":"u"}"#; n].join(","));
    assert_eq!(world.send(post("/v1/batch", many(10_000)).basic("k:")).await.status, 200);
    assert_eq!(world.landed().len(), 10_000);
    assert_eq!(world.send(post("/v1/batch", many(50_001)).basic("k:")).await.status, 413);
}

#[tokio::test]
async fn deep_nesting_takes_no_stack() {
    let world = World::new();
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let event = format!(r#"{{"type":"page","userId":"u","properties":{{"a":{}}}}}"#, deep(15_000));
    assert_eq!(world.send(post("/v1/batch", format!(r#"{{"batch":[{event}]}}"#)).basic("k:")).await.status, 200);
    assert_eq!(world.landed().len(), 1);
    assert_eq!(world.send(post("/v1/batch", deep(2_000_000)).basic("k:")).await.status, 400);
    assert_eq!(world.send(post("/v1/track", deep(2_000_000)).basic("k:")).await.status, 400);
    // A webhook's mapping needs a tree: what is deeper than one may be is kept.
    assert_eq!(world.send(post("/v1/webhook", deep(15_000)).basic("hook")).await.status, 200);
    assert_eq!(world.send(post("/v1/webhook", deep(15_000)).basic("mapped")).await.status, 400);
}
