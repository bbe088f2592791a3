//! Webhooks and audience lists.

use expect_test::{Expect, expect};

use crate::support::{Ask, World, get, post};

/// Sends and shows the answer, what landed and what was refused, with made ids as `…`.
async fn check(ask: Ask, expect: Expect) {
    let world = World::new();
    let mut lines = vec![world.send(ask).await.line()];
    lines.extend(world.landed());
    lines.extend(world.letters());
    let text = lines.join("\n");
    let mut shown = String::new();
    for (i, part) in text.split("anonymousId\":\"").enumerate() {
        match part.get(36..37) {
            Some("\"") if i > 0 => shown += &format!("anonymousId\":\"…{}", &part[36..]),
            _ if i > 0 => shown += &format!("anonymousId\":\"{part}"),
            _ => shown += part,
        }
    }
    let mut masked = String::new();
    for (i, part) in shown.split("made-").enumerate() {
        masked += if i > 0 { "made-…" } else { "" };
        masked += if i > 0 { &part[32..] } else { part };
    }
    expect.assert_eq(&masked);
}

#[tokio::test]
async fn without_a_mapping_the_body_is_the_properties_of_one_event() {
    check(
        post("/v1/webhook", r#"{"a": 1, "writeKey":"stays, it is the sender's"}"#).basic("hook"),
        expect![[r#"
            200 {"success":true}
            1/3 2026-11-21T20:30:00.000Z {"messageId":"made-…","type":"track","event":"webhook","anonymousId":"…","properties":{"a": 1, "writeKey":"stays, it is the sender's"}}"#]],
    )
    .await;
    check(
        post("/v1/webhook?writeKey=hook", r#"[{"a":1},2]"#),
        expect![[r#"
            200 {"success":true}
            1/3 2026-11-21T20:30:00.000Z {"messageId":"made-…","type":"track","event":"webhook","anonymousId":"…","properties":{"a":1}}
            1/3 2026-11-21T20:30:00.000Z {"messageId":"made-…","type":"track","event":"webhook","anonymousId":"…","properties":{"body":2}}"#]],
    )
    .await;
    check(
        get("/v1/webhook?writeKey=hook&a=1&b=%C3%A9"),
        expect![[r#"
            200 {"success":true}
            1/3 2026-11-21T20:30:00.000Z {"messageId":"made-…","type":"track","event":"webhook","anonymousId":"…","properties":{"a":"1","b":"é"}}"#]],
    )
    .await;
    check(
        post("/v1/hook/hook", "Body=Hi+there&From=%2B49").header("content-type", "application/x-www-form-urlencoded; charset=UTF-8"),
        expect![[r#"
            200 {"success":true}
            1/3 2026-11-21T20:30:00.000Z {"messageId":"made-…","type":"track","event":"webhook","anonymousId":"…","properties":{"Body":"Hi there","From":"+49"}}"#]],
    )
    .await;
}

#[tokio::test]
async fn a_mapping_says_what_the_events_are() {
    check(
        post("/v1/hook/provider?writeKey=mapped", r#"{"events":[{"kind":"Paid","who":7,"at":1795292999,"id":"e1"},{"kind":"Paid","id":"e2"}]}"#),
        expect![[r#"
            200 {"success":true}
            1/4 2026-11-21T20:29:59.000Z {"event":"Paid","messageId":"e1","timestamp":"2026-11-21T20:29:59.000Z","type":"track","userId":7,"properties":{"kind":"Paid","who":7,"at":1795292999,"id":"e1"}}
            1/4 Webhook no_identifier {"kind":"Paid","id":"e2"} -"#]],
    )
    .await;
    check(post("/v1/webhook", r#"{"other":1}"#).basic("mapped:"), expect![[r#"200 {"success":true}"#]]).await;
}

#[tokio::test]
async fn what_is_no_webhook_is_said_so() {
    let not_webhook = || {
        expect![[
            r#"404 {"code":"source_not_webhook","message":"source does not accept webhook events: use the write key of a source of kind webhook"}"#
        ]]
    };
    check(post("/v1/webhook", "{}").basic("k:"), not_webhook()).await;
    check(post("/v1/hook/k", "{}"), not_webhook()).await;
    check(post("/v1/webhook", "{}"), expect![[r#"401 {"code":"no_write_key","message":"failed to read writekey from query params: send the write key as `writeKey` in the query"}"#]]).await;
    check(post("/v1/hook/nobody", "{}"), expect![[r#"401 {"code":"invalid_write_key","message":"invalid write key: no source has it; `onefold source list` shows the sources"}"#]]).await;
    check(
        post("/v1/webhook", "").basic("hook"),
        expect![[r#"400 {"code":"body_nil","message":"request body is nil: send a JSON body"}"#]],
    )
    .await;
    check(
        post("/v1/webhook", "a=1").basic("hook"),
        expect![[r#"400 {"code":"invalid_json","message":"invalid json: expected value at line 1 column 1"}"#]],
    )
    .await;
}

#[tokio::test]
async fn an_audience_list_is_a_track_call() {
    check(
        post("/v1/audiencelist", r#"{"type":"audiencelist","userId":"u","messageId":"m","properties":{"listData":{"add":[{"email":"a@b.c"}]}}}"#).basic("k:"),
        expect![[r#"
            200 {"success":true}
            1/1 2026-11-21T20:30:00.000Z {"type":"track","event":"audiencelist","userId":"u","messageId":"m","properties":{"listData":{"add":[{"email":"a@b.c"}]}}}"#]],
    )
    .await;
    check(
        post("/v1/audiencelist", r#"{"messageId":"m"}"#).basic("k:"),
        expect![[r#"
            200 {"success":true}
            1/1 2026-11-21T20:30:00.000Z {"type":"track","event":"audiencelist","anonymousId":"…","messageId":"m"}"#]],
    )
    .await;
}
