//! The documents that SDKs read before they send.

use expect_test::expect;
use onefold_server::ingest::IngestSettings;

use crate::support::{World, ask, get};

#[tokio::test]
async fn privacy_control_is_honoured_and_says_so() {
    let answer = World::new().send(get("/.well-known/gpc.json")).await;
    let document: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, &document["gpc"]), (200, &true.into()));
}

#[tokio::test]
async fn segments_settings() {
    let world = World::new();
    let answer = world.send(get("/v1/projects/k/settings").header("host", "e.example.com:8080")).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "private, max-age=60"));
    let document: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    expect![[r#"
        {
          "integrations": {
            "Segment.io": {
              "apiKey": "k",
              "apiHost": "e.example.com:8080/v1",
              "protocol": "http",
              "addBundledMetadata": true,
              "unbundledIntegrations": [],
              "maybeBundledConfigIds": {}
            }
          },
          "plan": {
            "track": {
              "__default": {
                "enabled": true,
                "integrations": {}
              }
            },
            "identify": {
              "__default": {
                "enabled": true,
                "integrations": {}
              }
            },
            "group": {
              "__default": {
                "enabled": true,
                "integrations": {}
              }
            }
          },
          "middlewareSettings": {
            "routingRules": []
          },
          "enabledMiddleware": {},
          "metrics": {
            "sampleRate": 0
          },
          "remotePlugins": [],
          "legacyVideoPluginsEnabled": false,
          "edgeFunction": {},
          "consentSettings": {
            "allCategories": [],
            "hasUnmappedDestinations": true
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&document).unwrap());
    assert_eq!(world.send(get("/v1/projects/wrong/settings")).await.status, 401);
    assert_eq!(world.send(get("/v1/projects/off/settings")).await.status, 404);

    let behind_proxy = World::with(IngestSettings {
        public_url: Some("https://events.example.com".into()),
        ..IngestSettings::default()
    });
    let answer = behind_proxy.send(get("/v1/projects/k/settings").header("host", "10.0.0.7")).await;
    assert!(
        answer.body.contains(r#""apiHost":"events.example.com/v1""#) && answer.body.contains(r#""protocol":"https""#)
    );
}

#[tokio::test]
async fn rudderstacks_source_configuration() {
    let world = World::new();
    for path in
        ["/sourceConfig", "/sourceConfig/", "//sourceConfig", "//sourceConfig/", "/sourceConfig/?p=cdn&v=3&writeKey=k"]
    {
        let answer = world.send(get(path).basic("k:")).await;
        expect![[r#"200 {"source":{"id":"1","name":"web","workspaceId":"1","writeKey":"k","enabled":true,"dataplanes":{},"config":{"statsCollection":{"errors":{"enabled":false},"metrics":{"enabled":false}}},"destinations":[],"updatedAt":"2026-11-21T20:30:00.000Z"},"updatedAt":"2026-11-21T20:30:00.000Z"}"#]]
            .assert_eq(&answer.line());
    }
    let check = async |ask, expect: expect_test::Expect| expect.assert_eq(&world.send(ask).await.line());
    check(get("/sourceConfig"), expect![[r#"401 {"message":"Writekey not found in basic auth"}"#]]).await;
    check(get("/sourceConfig").basic("wrong:"), expect![[r#"400 {"message":"Invalid write key"}"#]]).await;
    check(ask("HEAD", "/sourceConfig/?view=ad"), expect!["204 "]).await;
    assert!(world.send(get("/sourceConfig").basic("off:")).await.body.contains(r#""enabled":false"#));
}

#[tokio::test]
async fn the_browser_sdk_is_served_from_its_folder() {
    let world = World::new();
    let missing = world.send(get("/analytics.js/v1/k/analytics.min.js")).await;
    expect![[r#"404 {"code":"sdk_not_installed","message":"the stock build of @segment/analytics-next is not in the SDK folder: run `make sdk`, which puts it there"}"#]]
        .assert_eq(&missing.line());

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("standalone.js"), "key='__WRITE_KEY__'").unwrap();
    std::fs::write(folder.path().join("a.bundle.1f.js"), "part").unwrap();
    std::fs::write(folder.path().join("secret.txt"), "secret").unwrap();
    let world = World::with(IngestSettings { sdk_folder: Some(folder.path().to_owned()), ..IngestSettings::default() });
    let script = world.send(get("/analytics.js/v1/k/analytics.min.js")).await;
    assert_eq!(script.line(), "200 key='k'");
    assert_eq!(script.header("content-type"), "application/javascript; charset=utf-8");
    assert_eq!(world.send(get("/analytics.js/v1/';alert(1)/analytics.min.js")).await.body, "key='__WRITE_KEY__'");
    assert_eq!(world.send(get("/analytics-next/bundles/a.bundle.1f.js")).await.line(), "200 part");
    for path in ["secret.txt", "..%2Fx.js", "b.js", "..%2f..%2fetc%2fpasswd"] {
        assert_eq!(world.send(get(&format!("/analytics-next/bundles/{path}"))).await.status, 404, "{path}");
    }
}
