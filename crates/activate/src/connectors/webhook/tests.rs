use std::{collections::BTreeSet, path::Path, sync::Arc};

use onefold_model::clock::SystemClock;
use serde_json::json;

use super::*;
use crate::{
    Kind,
    conformance::{self, Rig},
    testing::{Receiver, Request, context, delivery, held},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn house() -> Context {
    context(&["127.0.0.0/8"], Path::new("unused"), Arc::new(SystemClock))
}

fn open(config: Value) -> Arc<dyn Destination> {
    Webhook.open(config, &house()).unwrap()
}

/// What a receiver holds that takes each id once.
fn holds(requests: &[Request]) -> BTreeSet<String> {
    let mut taken = BTreeSet::new();
    let mut said = vec![];
    for request in requests.iter().filter(|request| !request.header("webhook-id").starts_with("test_")) {
        let body = request.json();
        let (ids, payloads) = match body["batch"].as_array() {
            Some(batch) => (body["ids"].as_array().unwrap().clone(), batch.clone()),
            None => (vec![request.header("webhook-id").into()], vec![body.clone()]),
        };
        for (id, payload) in ids.iter().zip(payloads) {
            if taken.insert(id.to_string()) {
                let kind = payload["action"].as_str().and_then(Kind::parse).unwrap_or(Kind::Event);
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                said.push((kind, text(id), text(&payload["segment"]), text(&payload["profile"]["id"])));
            }
        }
    }
    held(said.iter().map(|(kind, key, segment, profile)| (*kind, key.as_str(), segment.as_str(), profile.as_str())))
}

async fn conforms(batch: usize) {
    let receiver = Arc::new(Receiver::start().await);
    let seen = Arc::clone(&receiver);
    let url = format!("{}/hook", receiver.url);
    conformance::check(Rig {
        connector: &Webhook,
        context: house(),
        good: json!({"url": url, "secret": SECRET, "headers": {"X-Team": "crm"}, "timeout_ms": 5000, "batch": batch}),
        bad: vec![
            (json!({"url": "nowhere"}), "url"),
            (json!({"url": "http://example.com/"}), "url"),
            (json!({"url": "https://10.0.0.1/"}), "url"),
            (json!({"url": url, "secret": "hush"}), "secret"),
            (json!({"url": url, "timeout_ms": 0}), "timeout_ms"),
            (json!({"url": url, "batch": 0}), "batch"),
            (json!({"url": url, "headers": {"Webhook-Id": "x"}}), "headers.Webhook-Id"),
            (json!({"url": url, "headers": {"x y": "x"}}), "headers.x y"),
            (json!({"url": url, "headers": {"x": "a\nb"}}), "headers.x"),
        ],
        kinds: &[Kind::Event, Kind::Enter, Kind::Leave],
        seen: Box::new(move || {
            let held = holds(&seen.requests());
            Box::pin(async move { held })
        }),
    })
    .await;
}

#[tokio::test]
async fn it_conforms_one_by_one() {
    conforms(1).await;
}

#[tokio::test]
async fn it_conforms_in_batches() {
    conforms(3).await;
}

#[tokio::test]
async fn a_verifier_of_others_takes_the_signature() {
    let receiver = Receiver::start().await;
    let verifier = standardwebhooks::Webhook::new(SECRET).unwrap();
    for batch in [1, 5] {
        let target = open(json!({"url": receiver.url, "secret": SECRET, "batch": batch}));
        target.deliver(&[delivery(1, Kind::Event, 1)]).await;
    }
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!(request.method, "POST");
        assert_eq!(request.header("content-type"), "application/json");
        verifier.verify(&request.body, &request.headers).unwrap();
        assert!(verifier.verify(b"{}", &request.headers).is_err());
    }
    assert_eq!(requests[0].header("webhook-id"), "k1");
    assert_eq!(requests[0].body, delivery(1, Kind::Event, 1).body);
}

#[tokio::test]
async fn without_a_secret_nothing_is_signed() {
    let receiver = Receiver::start().await;
    let target = open(json!({"url": receiver.url, "headers": {"Authorization": "Bearer t"}}));
    target.deliver(&[delivery(1, Kind::Event, 1)]).await;
    let request = &receiver.requests()[0];
    assert_eq!((request.header("webhook-signature"), request.header("authorization")), ("", "Bearer t"));
}

#[tokio::test]
async fn a_batch_has_one_id_for_the_same_keys() {
    let receiver = Receiver::start().await;
    let target = open(json!({"url": receiver.url, "batch": 10}));
    let batch = [delivery(1, Kind::Event, 1), delivery(2, Kind::Event, 2)];
    for batch in [&batch[..], &batch[..], &batch[..1]] {
        target.deliver(batch).await;
    }
    let ids: Vec<String> = receiver.requests().iter().map(|request| request.header("webhook-id").to_owned()).collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
    assert_eq!(receiver.requests()[0].json()["ids"], json!(["k1", "k2"]));
}

#[tokio::test]
async fn answers_decide_and_an_answer_s_words_stay_with_the_dead_letter() {
    let receiver = Receiver::start().await;
    let target = open(json!({"url": receiver.url}));
    receiver.answer(429, &[("retry-after", "7")]);
    receiver.answer(422, &[]);
    receiver.answer(307, &[("location", "/elsewhere")]);
    let mut outcomes = vec![];
    for offset in 0..4 {
        outcomes.extend(target.deliver(&[delivery(offset, Kind::Event, 1)]).await);
    }
    assert_eq!(outcomes[0], Outcome::Retry { after_ms: Some(7_000), cause: "HTTP 429".into() });
    assert_eq!(outcomes[1], Outcome::Refused { cause: "HTTP 422".into(), answer: Some("told so".into()) });
    assert!(matches!(outcomes[2], Outcome::Refused { .. }));
    assert_eq!(outcomes[3], Outcome::Delivered { detail: "HTTP 200".into() });
    assert!(receiver.requests().iter().all(|request| request.path == "/"), "no redirect was followed");
}

#[tokio::test]
async fn what_follows_a_failure_of_the_same_profile_waits() {
    let receiver = Receiver::start().await;
    let target = open(json!({"url": receiver.url}));
    receiver.answer(503, &[]);
    let batch = [delivery(1, Kind::Event, 1), delivery(2, Kind::Event, 1), delivery(3, Kind::Event, 2)];
    let outcomes = target.deliver(&batch).await;
    assert!(matches!(outcomes[..], [Outcome::Retry { .. }, Outcome::Retry { .. }, Outcome::Delivered { .. }]));
    assert_eq!(receiver.requests().len(), 2);
}

#[tokio::test]
async fn a_target_that_is_not_there_is_tried_again_and_its_url_is_not_told() {
    let gone = Receiver::start().await.url.clone();
    let target = open(json!({"url": format!("{gone}/token-in-path")}));
    let outcomes = target.deliver(&[delivery(1, Kind::Event, 1)]).await;
    let [Outcome::Retry { after_ms: None, cause }] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert!(!cause.contains("token-in-path"), "{cause}");
    assert!(target.test().await.is_err());
}

#[tokio::test]
async fn an_address_that_the_guard_refuses_gets_no_request() {
    let receiver = Receiver::start().await;
    let port = receiver.url.rsplit(':').next().unwrap();
    let listed = context(&["localhost"], Path::new("unused"), Arc::new(SystemClock));
    let target = Webhook.open(json!({"url": format!("http://localhost:{port}/")}), &listed).unwrap();
    target.deliver(&[delivery(1, Kind::Event, 1)]).await;
    assert_eq!(receiver.requests().len(), 1);
    // The same name without leave: https, so that only the guard stands in the way.
    let unlisted = context(&[], Path::new("unused"), Arc::new(SystemClock));
    let target = Webhook.open(json!({"url": format!("https://localhost:{port}/")}), &unlisted).unwrap();
    let outcomes = target.deliver(&[delivery(2, Kind::Event, 1)]).await;
    let [Outcome::Retry { cause, .. }] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert!(cause.contains("loopback"), "{cause}");
    assert_eq!(receiver.requests().len(), 1);
}
