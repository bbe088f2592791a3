//! The API from outside: closed, described, and alive.

use serde_json::{Value, json};

use crate::support::{Folder, http};

#[test]
fn everything_but_ingest_and_health_needs_the_token() {
    let folder = Folder::new();
    let server = folder.serve();
    let client = http();
    let status = |path: &str| client.get(format!("{}{path}", server.url)).send().unwrap().status().as_u16();
    for path in ["/healthz", "/readyz", "/health"] {
        assert_eq!(status(path), 200, "{path}");
    }
    let described: Value = client
        .get(format!("{}/api/openapi.json", server.url))
        .bearer_auth(folder.token())
        .send()
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(described["openapi"].as_str().unwrap().split_once('.').unwrap().0, "3");
    let paths = described["paths"].as_object().unwrap();
    assert!(paths.len() > 25, "{} paths", paths.len());
    for (path, methods) in paths {
        for (method, described) in methods.as_object().unwrap() {
            // Signing in needs nobody who is signed in.
            if described["security"] == json!([{}]) {
                continue;
            }
            let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let url = format!("{}{}", server.url, path.replace(['{', '}'], "x"));
            let answer = client.request(method.clone(), url).send().unwrap();
            assert_eq!(answer.status(), 401, "{method} {path}");
        }
    }
    for path in ["/metrics", "/api/docs", "/api/openapi.json"] {
        assert_eq!(status(path), 401, "{path}");
    }
    let wrong = client.get(format!("{}/api/v1/stats", server.url)).bearer_auth("wrong").send().unwrap();
    let body: Value = wrong.json().unwrap();
    assert!(body["cure"].as_str().unwrap().contains("token"), "{body}");
    let metrics = client.get(format!("{}/metrics", server.url)).bearer_auth(folder.token()).send().unwrap();
    assert!(metrics.text().unwrap().contains("onefold_pipeline_lag_records"));
}

#[test]
fn an_event_is_in_the_profile_when_its_offset_is_applied() {
    let folder = Folder::new();
    let server = folder.serve();
    let key = folder.json(&["source", "add", "web"])["write_key"].as_str().unwrap().to_owned();
    let client = http();
    let event = json!({ "userId": "u1", "anonymousId": "a1", "event": "Seen", "properties": { "n": 1 } });
    let answer =
        client.post(format!("{}/v1/track", server.url)).basic_auth(&key, Some("")).json(&event).send().unwrap();
    assert_eq!(answer.json::<Value>().unwrap(), json!({ "success": true }));
    let stats = |query: &str| -> Value {
        let url = format!("{}/api/v1/stats{query}", server.url);
        client.get(url).bearer_auth(folder.token()).send().unwrap().json().unwrap()
    };
    stats("?wait_for=1");
    let profile = folder.json(&["profile", "show", "a1", "--explain"]);
    assert_eq!(profile["identifiers"].as_array().unwrap().len(), 2);
    assert_eq!(profile["timeline"][0]["event"]["event"], "Seen");
    assert_eq!(folder.json(&["properties"])[0]["name"], "n");
}
