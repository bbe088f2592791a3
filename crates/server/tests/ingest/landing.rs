//! What stands in the log afterwards.

use expect_test::expect;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{World, get, gzip, post};

#[tokio::test]
async fn events_land_as_they_came_with_what_the_batch_says() {
    let world = World::new();
    let body = r#"{"sentAt":"2026-11-21T20:00:00.000Z","writeKey":"k","context":{"library":{"name":"x"}},"integrations":{"All":true},"batch":[
        {"type":"track","event":"A","userId":"u","messageId":"1","timestamp":"2026-11-21T19:59:00.000Z","properties":{"n":1e400,"big":12345678901234567890123}},
        {"type":"identify","anonymousId":"a","messageId":"2","context":{"library":{"name":"y"}},"traits":{"a":"é\ud83d\ude00"}}
    ]}"#;
    assert_eq!(world.send(post("/v1/batch", body)).await.status, 200);
    expect![[r#"
        1/1 2026-11-21T20:29:00.000Z {"type":"track","event":"A","userId":"u","messageId":"1","timestamp":"2026-11-21T19:59:00.000Z","properties":{"n":1e400,"big":12345678901234567890123},"context":{"library":{"name":"x"}},"integrations":{"All":true}}
        1/1 2026-11-21T20:30:00.000Z {"type":"identify","anonymousId":"a","messageId":"2","context":{"library":{"name":"y"}},"traits":{"a":"é\ud83d\ude00"},"integrations":{"All":true}}"#]]
    .assert_eq(&world.landed().join("\n"));
}

#[tokio::test]
async fn an_import_is_history_unless_it_was_just_sent() {
    let world = World::new();
    let old = r#"{"batch":[{"type":"page","userId":"u","messageId":"1","timestamp":"2020-01-01T00:00:00Z"}]}"#;
    assert_eq!(world.send(post("/v1/import", old).basic("k:")).await.status, 200);
    let live = r#"{"sentAt":"2020-01-01T00:00:10Z","batch":[{"type":"page","userId":"u","messageId":"2","timestamp":"2020-01-01T00:00:00Z"}]}"#;
    assert_eq!(world.send(post("/v1/import/", live).basic("k:")).await.status, 200);
    expect![[r#"
        1/1 for ever 2020-01-01T00:00:00.000Z {"type":"page","userId":"u","messageId":"1","timestamp":"2020-01-01T00:00:00Z"}
        1/1 2026-11-21T20:29:50.000Z {"type":"page","userId":"u","messageId":"2","timestamp":"2020-01-01T00:00:00Z"}"#]]
    .assert_eq(&world.landed().join("\n"));
}

#[tokio::test]
async fn times_at_the_ends_are_judged() {
    let world = World::new();
    let event =
        |id: u32, time: &str| json!({"type": "page", "userId": "u", "messageId": id.to_string(), "timestamp": time});
    let body = json!({"batch": [
        event(0, "0000-01-01T00:00:00.000Z"), event(1, "1899-12-31T23:59:59.999Z"), event(2, "1900-01-01T00:00:00.000Z"),
        event(3, "9999-12-31T23:59:59.999Z"), event(4, "+292278994-08-17T07:12:55.807Z"),
    ]});
    let answer = world.send(post("/v1/batch?verbose=1", body.to_string()).basic("k:")).await;
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    let codes: Vec<_> =
        answer["results"].as_array().unwrap().iter().map(|r| r["code"].as_str().unwrap_or("-")).collect();
    assert_eq!(codes, ["bad_time", "bad_time", "-", "-", "bad_time"]);
    let times: Vec<_> = world.landed().iter().map(|line| line[4..28].to_owned()).collect();
    assert_eq!(times, ["1900-01-01T00:00:00.000Z", "2026-11-21T20:30:00.000Z"]);
}

#[tokio::test]
async fn workspaces_do_not_mix() {
    let world = World::new();
    for key in ["k:", "other:"] {
        let body = r#"{"batch":[{"type":"page","userId":"u","messageId":"m"},{"type":"x","messageId":"n"}]}"#;
        assert_eq!(world.send(post("/v1/batch", body).basic(key)).await.status, 200);
    }
    let places: Vec<_> = world.landed().iter().map(|line| line[..3].to_owned()).collect();
    assert_eq!(places, ["1/1", "2/1"]);
    assert_eq!(world.letters().len(), 2);
}

#[tokio::test]
async fn a_suppressed_person_is_answered_counted_and_not_stored() {
    let world = World::new();
    let body = r#"{"batch":[{"type":"page","userId":"forgotten"},{"type":"page","userId":"u"}]}"#;
    let answer = world.send(post("/v1/batch?verbose=1", body).basic("k:")).await;
    assert_eq!(answer.body.matches("accepted").count(), 2);
    assert_eq!((world.landed().len(), world.letters().len()), (1, 0));
    let meters = &world.ingest.meters;
    assert_eq!((meters.accepted.get(), meters.suppressed.get(), meters.requests.get()), (1, 1, 1));
    assert_eq!(meters.bytes.get(), body.len() as u64);
}

#[tokio::test]
async fn the_pixel_always_answers_the_image() {
    let world = World::new();
    for path in [
        "/pixel/v1/page?writeKey=k&anonymousId=a&properties.path=%2Fx&context.page.title=T",
        "/pixel/v1/track?writeKey=k&event=Opened&userId=u",
        "/pixel/v1/track?writeKey=k&event=Opened",
        "/pixel/v1/track?writeKey=k",
        "/pixel/v1/track?writeKey=wrong&event=A",
        "/pixel/v1/page",
    ] {
        let answer = world.send(get(path)).await;
        assert_eq!(
            (answer.status, answer.header("content-type"), answer.header("cache-control")),
            (200, "image/gif", "no-store")
        );
        assert!(answer.body.starts_with("GIF89a"));
    }
    let json: Vec<Value> =
        world.landed().iter().map(|line| serde_json::from_str(line.splitn(3, ' ').nth(2).unwrap()).unwrap()).collect();
    assert_eq!(json.len(), 3);
    assert_eq!(json[0]["properties"]["path"], "/x");
    assert_eq!(json[0]["context"]["page"]["title"], "T");
    assert_eq!(
        (&json[1]["type"], &json[1]["event"], &json[1]["userId"]),
        (&json!("track"), &json!("Opened"), &json!("u"))
    );
    assert_eq!(json[2]["anonymousId"].as_str().unwrap().len(), 36);
    assert_eq!(world.letters().len(), 1);
}

/// JSON of every type, nested, with member names that ingest knows.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        prop::sample::select(vec!["track", "identify", "k", "2026-11-21T20:30:00Z", "\0", ""]).prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "batch",
        "writeKey",
        "sentAt",
        "context",
        "integrations",
        "type",
        "event",
        "userId",
        "anonymousId",
        "timestamp",
        "messageId",
        "traits",
        "properties",
        "mergeProperties",
        "x",
        "",
    ]);
    leaf.prop_recursive(4, 48, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().map(|(n, v)| (n.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, the answer is 2xx or 4xx, everything of a batch is in the log or among the dead letters, and what
    /// is in the log is JSON with a type and a message id.
    #[test]
    fn no_body_is_too_strange(body in any_json(), events in prop::collection::vec(any_json(), 1..5), raw: Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            for path in ["/v1/batch", "/v1/import", "/v1/track", "/v1/a", "/v1/merge", "/v1/audiencelist"] {
                for bytes in [body.to_string().into_bytes(), raw.clone(), gzip(&raw)] {
                    let status = world.send(post(path, bytes.clone()).basic("k:")).await.status;
                    prop_assert!((200..500).contains(&status));
                    let status = world.send(post(path, bytes)).await.status;
                    prop_assert!((200..500).contains(&status));
                }
            }
            for key in ["hook", "mapped"] {
                let status = world.send(post("/v1/webhook", body.to_string()).basic(key)).await.status;
                prop_assert!((200..500).contains(&status));
            }
            for line in world.landed() {
                let event: Value = serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap();
                prop_assert!(event["type"].is_string() && event["messageId"].is_string(), "{}", line);
            }
            let world = World::new();
            let answer = world.send(post("/v1/batch", json!({ "batch": events }).to_string()).basic("k:")).await;
            prop_assert_eq!(answer.status, 200);
            let meters = &world.ingest.meters;
            let refused: u64 = meters.refused.iter().map(|(_, n)| n).sum();
            prop_assert_eq!(meters.accepted.get() + refused, events.len() as u64);
            prop_assert_eq!(world.landed().len() as u64, meters.accepted.get());
            prop_assert_eq!(world.letters().len() as u64, refused);
            Ok(())
        })?;
    }
}
