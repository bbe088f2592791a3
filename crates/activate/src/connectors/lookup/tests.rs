use std::{path::Path, sync::Arc};

use expect_test::expect;
use onefold_model::clock::SystemClock;
use serde_json::json;

use super::*;
use crate::testing::{Landing, Receiver, context, delivery};

fn house(landing: &Arc<Landing>) -> Context {
    let arrivals: Arc<dyn Arrivals> = landing.clone();
    Context { arrivals, ..context(&["127.0.0.0/8"], Path::new("unused"), Arc::new(SystemClock)) }
}

fn config(url: &str) -> Value {
    json!({"url": format!("{url}/people?email={{key}}"), "source": "bought",
           "traits": {"company": "$.employer.name", "tags": "$.tags[*]", "nothing": "$.nothing"}})
}

async fn outcome(target: &dyn Destination, kind: Kind) -> Outcome {
    target.deliver(&[delivery(7, kind, 1)]).await.pop().unwrap()
}

#[tokio::test]
async fn an_answer_comes_in_as_an_event_at_the_key() {
    let (receiver, landing) = (Receiver::start().await, Arc::new(Landing::default()));
    let target = Lookup.open(config(&receiver.url), &house(&landing)).unwrap();
    receiver.answer_with(200, r#"{"employer": {"name": "Acme"}, "tags": ["a", "b"], "nothing": null}"#);
    assert_eq!(outcome(&*target, Kind::Enter).await, done("answered, 2 traits"));
    let request = &receiver.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/people?email=1%40example%2Ecom"));
    expect![[r#"1 bought {"type":"identify","messageId":"k7","context":{"externalIds":[{"id":"1@example.com","type":"email","collection":"users","encoding":"none"}]},"traits":{"company":"Acme","tags":["a","b"]}}"#]]
        .assert_eq(&landing.taken().join("\n"));
}

#[tokio::test]
async fn a_question_may_be_a_post() {
    let (receiver, landing) = (Receiver::start().await, Arc::new(Landing::default()));
    let mut config = config(&receiver.url);
    config["url"] = format!("{}/match", receiver.url).into();
    config["body"] = json!({"people": [{"mail": "{key}"}], "min": 6});
    let target = Lookup.open(config, &house(&landing)).unwrap();
    receiver.answer_with(200, "{}");
    assert_eq!(outcome(&*target, Kind::Enter).await, done("the answer has none of the traits"));
    let request = &receiver.requests()[0];
    assert_eq!(request.json(), json!({"people": [{"mail": "1@example.com"}], "min": 6}));
    assert!(landing.taken().is_empty());
}

#[tokio::test]
async fn what_brings_nothing_leaves_nothing() {
    let (receiver, landing) = (Receiver::start().await, Arc::new(Landing::default()));
    let target = Lookup.open(config(&receiver.url), &house(&landing)).unwrap();
    receiver.answer_with(404, "who?");
    receiver.answer_with(202, "");
    receiver.answer_with(200, "<html>");
    receiver.answer_with(401, "no");
    assert_eq!(outcome(&*target, Kind::Enter).await, done("nothing is known there"));
    assert_eq!(outcome(&*target, Kind::Enter).await, Outcome::retry("HTTP 202: the answer is not ready"));
    assert_eq!(outcome(&*target, Kind::Enter).await, Outcome::retry("the answer is not JSON"));
    assert!(matches!(outcome(&*target, Kind::Enter).await, Outcome::Refused { cause, .. } if cause == "HTTP 401"));
    let asked = receiver.requests().len();
    assert_eq!(outcome(&*target, Kind::Leave).await, done("who leaves is not asked about"));
    assert!(matches!(outcome(&*target, Kind::Event).await, Outcome::Refused { .. }));
    let by_phone =
        json!({"by": "phone", "url": format!("{}/{{key}}", receiver.url), "source": "bought", "traits": {"x": "$.x"}});
    let target = Lookup.open(by_phone, &house(&landing)).unwrap();
    assert_eq!(outcome(&*target, Kind::Enter).await, done("the profile has no identifier to ask by"));
    assert_eq!((receiver.requests().len(), landing.taken().len()), (asked, 0));
}

#[tokio::test]
async fn what_the_log_does_not_take_is_asked_again() {
    let (receiver, landing) = (Receiver::start().await, Arc::new(Landing::default()));
    let target = Lookup.open(config(&receiver.url), &house(&landing)).unwrap();
    for (refused, again) in [(Refused::Busy, true), (Refused::NoSource, true), (Refused::Content("bad_field"), false)] {
        receiver.answer_with(200, r#"{"tags": ["a"]}"#);
        landing.refuse(refused);
        let outcome = outcome(&*target, Kind::Enter).await;
        assert_eq!(matches!(outcome, Outcome::Retry { .. }), again, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_work_says_where() {
    let landing = Arc::new(Landing::default());
    let wrong = |change: Value| {
        let mut config = config("https://example.com");
        config.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        Lookup.open(config, &house(&landing)).err().map_or_else(String::new, |error| error.to_string())
    };
    let told = [
        wrong(json!({})),
        wrong(json!({"url": "https://{key}.example.com/"})),
        wrong(json!({"url": "https://example.com/"})),
        wrong(json!({"url": "https://example.com/", "body": {"mail": "{key}"}})),
        wrong(json!({"url": "http://example.com/{key}"})),
        wrong(json!({"source": "nowhere"})),
        wrong(json!({"traits": {}})),
        wrong(json!({"traits": {"company": "employer"}})).lines().next().unwrap().to_owned(),
        wrong(json!({"traits": {"email": "$.mail"}})),
    ];
    expect![[r#"

        url: {key} stands in the host. Write it in the path or the query.
        url: {key} stands nowhere. Write {key} where the identifier's value goes.

        url: personal data would travel unencrypted over http. Use https, or have the operator list this host.
        source: there is no source "nowhere" that takes events. Make it with `onefold source add`, or switch it on.
        traits: not from 1 to 100 traits. Write the name of a trait and a JSONPath into the answer for each.
        traits.company: no JSONPath (at position 0, parser error). Write one such as $.employer.name.
        traits.email: it would say who somebody is, and join people by what others say. Give the trait another name, such as work_email."#]]
    .assert_eq(&told.join("\n"));
}
