//! What is answered: status, body and headers, for every route and each thing that can be wrong.

use expect_test::{Expect, expect};

use crate::support::{Ask, World, ask, get, gzip, post};

const CALLS: [(&str, &str); 13] = [
    ("/v1/track", r#"{"event":"A","userId":"u"}"#),
    ("/v1/t", r#"{"event":"A","userId":"u"}"#),
    ("/v1/identify", r#"{"userId":"u"}"#),
    ("/v1/i", r#"{"userId":"u"}"#),
    ("/v1/page", r#"{"userId":"u"}"#),
    ("/v1/p", r#"{"userId":"u"}"#),
    ("/v1/screen", r#"{"userId":"u"}"#),
    ("/v1/s", r#"{"userId":"u"}"#),
    ("/v1/group", r#"{"userId":"u","groupId":"g"}"#),
    ("/v1/g", r#"{"userId":"u","groupId":"g"}"#),
    ("/v1/alias", r#"{"userId":"u","previousId":"p"}"#),
    ("/v1/a", r#"{"userId":"u","previousId":"p"}"#),
    ("/v1/merge", r#"{"mergeProperties":[{"type":"email","value":"a@b.c"},{"type":"phone","value":"+49"}]}"#),
];
const BATCHES: [&str; 3] = ["/v1/batch", "/v1/b", "/v1/import"];
const BATCH: &str = r#"{"batch":[{"type":"track","event":"A","userId":"u"}]}"#;

fn with_key(body: &str) -> String {
    format!(r#"{{"writeKey":"k",{}"#, &body[1..])
}

async fn check(ask: Ask, expect: Expect) {
    expect.assert_eq(&World::new().send(ask).await.line());
}

#[tokio::test]
async fn every_route_takes_the_key_in_every_place() {
    let bodies =
        CALLS.into_iter().chain(BATCHES.map(|path| (path, BATCH))).chain([("/v1/audiencelist", r#"{"userId":"u"}"#)]);
    for (path, body) in bodies {
        let forms = [
            post(path, body).basic("k:"),
            post(path, body).basic("k"),
            post(path, body).header("authorization", "basic aw"),
            post(path, with_key(body)),
            post(path, with_key(body)).header("authorization", "Bearer token"),
            post(path, with_key(body)).header("authorization", "Basic ???"),
            post(&format!("{path}?writeKey=k"), body),
            post(&format!("{path}/"), body).basic("k:"),
            post(&format!("/{path}"), body).basic("k:"),
            post(path, body).basic("k:").header("content-type", "application/x-www-form-urlencoded"),
            post(path, gzip(body.as_bytes())).basic("k:").header("content-encoding", "gzip"),
            post(path, gzip(body.as_bytes())).basic("k:"),
            post(path, body).basic("k:").header("content-encoding", "gzip"),
        ];
        for (form, ask) in forms.into_iter().enumerate() {
            let world = World::new();
            assert_eq!(world.send(ask).await.line(), r#"200 {"success":true}"#, "{path}, form {form}");
            let landed = world.landed();
            assert_eq!(landed.len(), 1, "{path}, form {form}");
            assert!(landed[0].starts_with("1/1 ") || landed[0].starts_with("1/1 for ever "), "{landed:?}");
            assert!(!landed[0].contains("writeKey"), "{landed:?}");
        }
        let wrong = r#"401 {"code":"invalid_write_key","message":"invalid write key: no source has it; `onefold source list` shows the sources"}"#;
        assert_eq!(World::new().send(post(path, body).basic("wrong:")).await.line(), wrong, "{path}");
        assert_eq!(
            World::new().send(post(path, with_key(body).replace("\"k\"", "\"wrong\""))).await.line(),
            wrong,
            "{path}"
        );
        let none = World::new().send(post(path, body)).await;
        assert_eq!(none.status, 401, "{path}");
        assert!(none.body.contains("failed to read writekey from header"), "{path}");
        let off = World::new().send(post(path, body).basic("off:")).await;
        assert_eq!(
            off.line(),
            r#"404 {"code":"source_disabled","message":"source is disabled: enable it, or send with another source's write key"}"#
        );
        let empty = World::new().send(post(path, "").basic("k:")).await;
        assert_eq!(
            empty.line(),
            r#"400 {"code":"body_nil","message":"request body is nil: send a JSON body"}"#,
            "{path}"
        );
        for broken in ["{", "nope", "{\"batch\":[{]}", "\u{0}"] {
            let broken = World::new().send(post(path, broken).basic("k:")).await;
            assert_eq!(broken.status, 400, "{path}");
            assert!(broken.body.contains(r#""message":"invalid json: "#), "{path}: {}", broken.body);
        }
        let large = World::new().send(post(path, vec![b' '; 10_000_000]).basic("k:")).await;
        assert_eq!(
            large.line(),
            r#"413 {"code":"request_too_large","message":"request size exceeds max limit: 4096000 bytes, unpacked; send smaller batches"}"#
        );
        assert_eq!(World::new().send(get(path).basic("k:")).await.status, 405, "{path}");
    }
}

#[tokio::test]
async fn a_batch_may_name_its_key_in_each_event() {
    let world = World::new();
    let body = r#"{"batch":[
        {"type":"page","userId":"a"},
        {"type":"page","userId":"b","writeKey":"k"},
        {"type":"page","userId":"c","writeKey":"other"}
    ]}"#;
    assert_eq!(world.send(post("/v1/batch", body)).await.status, 200);
    assert_eq!(world.landed().len(), 2);
    expect![[r#"1/1 Batch bad_field {"type":"page","userId":"c"} -"#]].assert_eq(&world.letters().join("\n"));
}

#[tokio::test]
async fn what_is_no_batch_is_said_so() {
    let batch = |body: &'static str| post("/v1/batch", body).basic("k:");
    let empty = || {
        expect![[r#"400 {"code":"empty_batch","message":"empty batch payload: `batch` must hold at least one event"}"#]]
    };
    let not_a_batch = || {
        expect![[
            r#"400 {"code":"not_a_batch","message":"event is not a valid rudder event: a batch is a JSON object whose `batch` is an array"}"#
        ]]
    };
    check(batch(r#"{"batch":[]}"#), empty()).await;
    check(batch("{}"), empty()).await;
    check(batch(r#"{"batch":{}}"#), not_a_batch()).await;
    check(batch(r#"{"batch":"x"}"#), not_a_batch()).await;
    check(batch("[]"), not_a_batch()).await;
    check(
        post("/v1/batch", vec![b'"', 0xff, b'"']).basic("k:"),
        expect![[r#"400 {"code":"invalid_json","message":"invalid json: the body is not UTF-8 (invalid utf-8 sequence of 1 bytes from index 1)"}"#]],
    )
    .await;
    check(
        post("/v1/batch", gzip(BATCH.as_bytes())[..30].to_vec()).basic("k:"),
        expect![[r#"400 {"code":"invalid_json","message":"invalid json: the gzip stream is damaged (incomplete deflate stream)"}"#]],
    )
    .await;
}

#[tokio::test]
async fn a_single_event_that_is_refused_is_answered_400_and_kept() {
    let world = World::new();
    let send = async |path, body: &str, expect: Expect| {
        expect.assert_eq(&world.send(post(path, body.to_owned()).basic("k:")).await.line());
    };
    send("/v1/track", r#"{"event":"A"}"#, expect![[r#"400 {"code":"no_identifier","message":"request neither has anonymousId nor userId, nor another identifier"}"#]]).await;
    send(
        "/v1/track",
        "[1]",
        expect![[
            r#"400 {"code":"not_an_object","message":"event is not a valid rudder event: it is not a JSON object"}"#
        ]],
    )
    .await;
    send("/v1/track", r#"{"userId":"u"}"#, expect![[r#"400 {"code":"bad_field","message":"event: is missing"}"#]])
        .await;
    send(
        "/v1/i",
        r#"{"userId":"a\u0000b"}"#,
        expect![[r#"400 {"code":"bad_field","message":"userId: holds U+0000"}"#]],
    )
    .await;
    send(
        "/v1/audiencelist",
        "[]",
        expect![[
            r#"400 {"code":"not_an_object","message":"event is not a valid rudder event: it is not a JSON object"}"#
        ]],
    )
    .await;
    assert_eq!((world.letters().len(), world.landed().len()), (5, 0));
    assert_eq!(world.ingest.meters.refused.get("bad_field"), 2);
    assert_eq!(world.ingest.meters.failed.get("refused"), 5);
}

#[tokio::test]
async fn a_batch_lands_what_is_good_and_keeps_the_rest() {
    let world = World::new();
    let body = r#"{"batch":[{"type":"page","userId":"u"},{"type":"nope","userId":"u","messageId":"m"},7,{"type":"track","event":"A","anonymousId":"a"}]}"#;
    expect![[r#"200 {"success":true,"results":[{"index":0,"status":"accepted"},{"index":1,"status":"refused","code":"unknown_type","message":"event is not a valid rudder event: type \"nope\" is none of track, identify, page, screen, group, alias, merge, object"},{"index":2,"status":"refused","code":"not_an_object","message":"event is not a valid rudder event: it is not a JSON object"},{"index":3,"status":"accepted"}]}"#]]
        .assert_eq(&world.send(post("/v1/batch?verbose=1", body).basic("k:")).await.line());
    assert_eq!(world.landed().len(), 2);
    let mut letters = world.letters();
    letters.sort();
    expect![[r#"
        1/1 Batch not_an_object 7 -
        1/1 Batch unknown_type {"type":"nope","userId":"u","messageId":"m"} -"#]]
    .assert_eq(&letters.join("\n"));
    // The same request again takes the same places.
    assert_eq!(world.send(post("/v1/batch", body).basic("k:")).await.line(), r#"200 {"success":true}"#);
    assert_eq!(world.letters().len(), 2);
    // One event answers likewise.
    expect![[r#"200 {"success":true,"results":[{"index":0,"status":"accepted"}]}"#]]
        .assert_eq(&world.send(post("/v1/i?verbose=true", r#"{"userId":"u"}"#).basic("k:")).await.line());
}

#[tokio::test]
async fn the_beacon_reads_its_key_from_the_query_alone() {
    check(
        post("/beacon/v1/batch?writeKey=k", BATCH).header("content-type", "text/plain"),
        expect![[r#"200 {"success":true}"#]],
    )
    .await;
    check(post("/beacon/v1/batch", BATCH).basic("k:"), expect![[r#"401 {"code":"no_write_key","message":"failed to read writekey from query params: send the write key as `writeKey` in the query"}"#]]).await;
    check(post("/beacon/v1/batch?writeKey=off", BATCH), expect![[r#"404 {"code":"source_disabled","message":"source is disabled: enable it, or send with another source's write key"}"#]]).await;
}

#[tokio::test]
async fn small_routes_answer() {
    check(
        get("/"),
        expect![[r#"
        200 Onefold is running. Send events to /v1/batch.
    "#]],
    )
    .await;
    check(get("/").header("accept", "text/html,*/*"), expect!["307 "]).await;
    check(get("/health"), expect![[r#"200 {"appType":"ONEFOLD","server":"UP"}"#]]).await;
    check(get("/version"), expect![[r#"200 {"Version":"0.1.0"}"#]]).await;
    check(post("/v1/m", r#"{"series":[]}"#), expect![[r#"200 {"success":true}"#]]).await;
    check(post("/rsaMetrics", "{}"), expect!["200 {}"]).await;
    check(get("/v1/nothing"), expect!["404 "]).await;
}

#[tokio::test]
async fn browsers_of_every_origin_may_send() {
    let world = World::new();
    let headers = |answer: &crate::support::Answer| {
        ["allow-origin", "allow-methods", "allow-headers", "allow-credentials", "max-age", "expose-headers"]
            .map(|name| answer.header(&format!("access-control-{name}")).to_owned())
            .join(" | ")
            + " | "
            + answer.header("vary")
    };
    for path in ["/v1/batch", "/v1/t", "/beacon/v1/batch", "/v1/projects/k/settings", "/sourceConfig/", "/rsaMetrics"] {
        let preflight = ask("OPTIONS", path)
            .header("origin", "https://shop.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,anonymousid,sentat,rsa-x");
        let answer = world.send(preflight).await;
        assert_eq!(answer.line(), "204 ");
        assert_eq!(
            headers(&answer),
            "https://shop.example | POST | authorization,anonymousid,sentat,rsa-x | true | 900 | Retry-After | Origin"
        );
    }
    for (ask, status) in [
        (post("/v1/t", r#"{"event":"A","userId":"u"}"#).basic("k:"), 200),
        (post("/v1/t", "{").basic("k:"), 400),
        (post("/v1/t", "{}"), 401),
        (get("/v1/t"), 405),
    ] {
        let answer = world.send(ask.header("origin", "null")).await;
        assert_eq!(answer.status, status);
        assert_eq!(headers(&answer), "null | - | - | true | - | Retry-After | Origin");
    }
    let same_origin = world.send(get("/health")).await;
    assert_eq!(headers(&same_origin), "- | - | - | - | - | - | Origin");
}
