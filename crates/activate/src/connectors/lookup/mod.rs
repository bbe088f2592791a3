//! Look-ups: somebody else is asked by a key what they know of a person, and the answer comes in as an event.
//!
//! Asking tells the other side whom we know, so it is a hand-off like any: people of a segment, consent for a purpose, rate,
//! retries, receipts. The answer enters by a source, as an `identify` at the identifier that was asked by; the source's
//! terms (`survivorship`) say how long its values hold and that they only fill gaps. A segment `… and not exists(traits.x)`
//! asks again when a value has expired.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::BoxFuture;
use onefold_model::{Clock, WorkspaceId};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, header::HeaderMap};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use serde_json_path::JsonPath;
use url::Url;

use crate::{
    arrivals::{Arrivals, Refused},
    config::{self, ConfigError},
    connectors::http,
    destination::{Connector, Context, Delivery, Destination, Fault, Kind, Limits, Outcome},
    egress::Egress,
};

/// The connector; see the module.
pub struct Lookup;

/// What stands for the key in a URL and a body.
const KEY: &str = "{key}";
/// Questions at a time, unless the configuration says otherwise. Those who answer tend to charge, and to throttle.
const CONCURRENCY: usize = 4;
/// Questions at a time at most.
const CONCURRENCY_MAX: usize = 64;
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// The most traits of one answer.
const TRAITS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: String,
    #[serde(default = "by_default")]
    by: String,
    source: String,
    traits: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default = "timeout_default")]
    timeout_ms: u64,
}

fn by_default() -> String {
    "email".to_owned()
}

fn timeout_default() -> u64 {
    15_000
}

impl Connector for Lookup {
    fn kind(&self) -> &'static str {
        "lookup"
    }

    fn config_schema(&self) -> Value {
        json!({"type": "object", "title": "Look-up", "required": ["url", "source", "traits"], "properties": {
            "url": {"type": "string", "title": "URL", "description": "https://host/people?email={key}; {key} stands for the identifier's value"},
            "by": {"type": "string", "default": by_default(), "title": "Kind of identifier", "description": "email, phone, user_id, … Who has none is not asked about"},
            "source": {"type": "string", "title": "Source", "description": "The source by which the answers enter; its terms hold for them"},
            "traits": {"type": "object", "minProperties": 1, "maxProperties": TRAITS_MAX, "additionalProperties": {"type": "string"}, "title": "Traits", "description": "Name of a trait, and where it stands in the answer, as JSONPath (RFC 9535): {\"company\": \"$.employer.name\"}"},
            "body": {"title": "Body", "description": "Where it is given, the question is a POST of this JSON; a text \"{key}\" in it stands for the identifier's value"},
            "headers": {"type": "object", "writeOnly": true, "title": "Further headers", "additionalProperties": {"type": "string"}},
            "timeout_ms": {"type": "integer", "minimum": 100, "maximum": 60000, "default": timeout_default(), "title": "Time-out in milliseconds"}
        }})
    }

    fn open(&self, config: Value, context: &Context) -> Result<Arc<dyn Destination>, ConfigError> {
        let config: Config = config::read(config)?;
        let timeout = http::timeout(config.timeout_ms)?;
        let asks_in_body = config.body.as_ref().is_some_and(|body| body.to_string().contains(KEY));
        check_template(&config.url, asks_in_body, &context.egress)?;
        if !context.arrivals.is_open(context.workspace, &config.source) {
            let cause = format!("there is no source {:?} that takes events", config.source);
            return Err(ConfigError::new("source", cause, "Make it with `onefold source add`, or switch it on"));
        }
        Ok(Arc::new(Target {
            workspace: context.workspace,
            url: config.url,
            by: config.by,
            source: config.source,
            traits: paths(&config.traits)?,
            body: config.body,
            headers: http::headers(&config.headers)?,
            client: context.egress.client(timeout)?,
            egress: Arc::clone(&context.egress),
            arrivals: Arc::clone(&context.arrivals),
            clock: Arc::clone(&context.clock),
        }))
    }
}

/// The key may stand in the path and the query, and nowhere that decides who is asked.
fn check_template(url: &str, asks_in_body: bool, egress: &Egress) -> Result<(), ConfigError> {
    let of = |key: &str| egress.check_url("url", &url.replace(KEY, key));
    let (one, other) = (of("a")?, of("b")?);
    if one[..url::Position::BeforePath] != other[..url::Position::BeforePath] {
        return Err(ConfigError::new("url", "{key} stands in the host", "Write it in the path or the query"));
    }
    if one == other && !asks_in_body {
        return Err(ConfigError::new("url", "{key} stands nowhere", "Write {key} where the identifier's value goes"));
    }
    Ok(())
}

fn paths(traits: &BTreeMap<String, String>) -> Result<Vec<(String, JsonPath)>, ConfigError> {
    if traits.is_empty() || traits.len() > TRAITS_MAX {
        let cure = "Write the name of a trait and a JSONPath into the answer for each";
        return Err(ConfigError::new("traits", format!("not from 1 to {TRAITS_MAX} traits"), cure));
    }
    let path = |(name, path): (&String, &String)| {
        let wrong = |cause: String, cure: &str| ConfigError::new(&format!("traits.{name}"), cause, cure);
        if matches!(name.as_str(), "email" | "phone") {
            let cause = "it would say who somebody is, and join people by what others say";
            return Err(wrong(cause.to_owned(), "Give the trait another name, such as work_email"));
        }
        let path = JsonPath::parse(path)
            .map_err(|error| wrong(format!("no JSONPath ({error})"), "Write one such as $.employer.name"))?;
        Ok((name.clone(), path))
    };
    traits.iter().map(path).collect()
}

struct Target {
    workspace: WorkspaceId,
    url: String,
    by: String,
    source: String,
    traits: Vec<(String, JsonPath)>,
    body: Option<Value>,
    headers: HeaderMap,
    client: Client,
    egress: Arc<Egress>,
    arrivals: Arc<dyn Arrivals>,
    clock: Arc<dyn Clock>,
}

/// What of an outbox row a question needs.
#[derive(Deserialize)]
struct Asked {
    profile: Person,
}

#[derive(Deserialize)]
struct Person {
    identifiers: Vec<Identifier>,
}

#[derive(Deserialize)]
struct Identifier {
    kind: String,
    value: String,
}

/// What was learnt.
enum Answer {
    /// The other side knows nothing.
    Nothing,
    /// What it says.
    Json(Value),
}

impl Target {
    async fn look_up(&self, delivery: &Delivery) -> Outcome {
        match delivery.kind {
            Kind::Enter => {}
            Kind::Leave => return done("who leaves is not asked about"),
            Kind::Erase => return done("nothing of anybody is kept there"),
            Kind::Event => return Outcome::refused("a look-up asks about the people of segments, not about events"),
        }
        let Ok(asked) = serde_json::from_slice::<Asked>(&delivery.body) else {
            return Outcome::refused("the payload names no profile");
        };
        let key = asked.profile.identifiers.into_iter().find(|identifier| identifier.kind == self.by);
        let Some(key) = key else { return done("the profile has no identifier to ask by") };
        let answer = match self.ask(&key.value).await {
            Ok(Answer::Nothing) => return done("nothing is known there"),
            Ok(Answer::Json(answer)) => answer,
            Err(outcome) => return outcome,
        };
        let traits = self.read(&answer);
        if traits.is_empty() {
            return done("the answer has none of the traits");
        }
        let said = traits.len();
        let event = json!({
            "type": "identify",
            "messageId": delivery.key,
            "context": {"externalIds": [{"id": key.value, "type": key.kind, "collection": "users", "encoding": "none"}]},
            "traits": traits,
        });
        match self.arrivals.land(self.workspace, &self.source, event.to_string()).await {
            Ok(()) => Outcome::Delivered { detail: format!("answered, {said} traits") },
            Err(refused @ Refused::Content(_)) => Outcome::refused(refused.to_string()),
            Err(refused @ (Refused::Busy | Refused::NoSource)) => Outcome::retry(refused.to_string()),
        }
    }

    async fn ask(&self, key: &str) -> Result<Answer, Outcome> {
        let url = self.url.replace(KEY, &utf8_percent_encode(key, NON_ALPHANUMERIC).to_string());
        let url = Url::parse(&url).map_err(|_| Outcome::refused("the key cannot stand in the URL"))?;
        // The host may be an address, which no resolver sees.
        self.egress
            .check_literal(url.host_str().unwrap_or_default())
            .map_err(|error| Outcome::retry(error.to_string()))?;
        let request = match &self.body {
            Some(body) => self.client.post(url).json(&filled(body, key)),
            None => self.client.get(url),
        };
        let request = request.headers(self.headers.clone()).header("accept", "application/json");
        let mut response = request.send().await.map_err(|error| Outcome::retry(http::cause(error)))?;
        let body = http::body(&mut response, ANSWER_BYTES_MAX).await;
        match response.status().as_u16() {
            204 | 404 => return Ok(Answer::Nothing),
            202 => return Err(Outcome::retry("HTTP 202: the answer is not ready")),
            _ => {}
        }
        match http::answer::outcome(response.status(), response.headers(), self.clock.now(), http::kept(&body)) {
            Outcome::Delivered { .. } => {}
            other => return Err(other),
        }
        if body.len() > ANSWER_BYTES_MAX {
            return Err(Outcome::refused(format!("the answer is larger than {ANSWER_BYTES_MAX} bytes")));
        }
        // What broke off is no JSON either, and may come whole the next time.
        let answer = serde_json::from_slice(&body).map_err(|_| Outcome::retry("the answer is not JSON"))?;
        Ok(Answer::Json(answer))
    }

    /// The traits that the answer has. A path that finds several gives a list.
    fn read(&self, answer: &Value) -> Map<String, Value> {
        let found = |path: &JsonPath| {
            let mut nodes: Vec<Value> = path.query(answer).iter().map(|node| (*node).clone()).collect();
            nodes.retain(|node| !node.is_null());
            match nodes.len() {
                0 => None,
                1 => nodes.pop(),
                _ => Some(Value::Array(nodes)),
            }
        };
        self.traits.iter().filter_map(|(name, path)| Some((name.clone(), found(path)?))).collect()
    }
}

/// Handed over, with nothing to bring back.
fn done(detail: &str) -> Outcome {
    Outcome::Delivered { detail: detail.to_owned() }
}

/// A body with the key in its places.
fn filled(body: &Value, key: &str) -> Value {
    match body {
        Value::String(text) => text.replace(KEY, key).into(),
        Value::Array(items) => items.iter().map(|item| filled(item, key)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), filled(value, key))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

impl Destination for Target {
    fn kind(&self) -> &'static str {
        "lookup"
    }

    fn limits(&self) -> Limits {
        Limits { batch_max: 1, concurrency: CONCURRENCY, concurrency_max: CONCURRENCY_MAX, gather_ms: 0 }
    }

    fn deliver<'a>(&'a self, batch: &'a [Delivery]) -> BoxFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            let mut outcomes = Vec::with_capacity(batch.len());
            for delivery in batch {
                outcomes.push(self.look_up(delivery).await);
            }
            outcomes
        })
    }

    /// Asks about nobody: the key is a name reserved for examples (RFC 2606).
    fn test(&self) -> BoxFuture<'_, Result<String, Fault>> {
        Box::pin(async move {
            match self.ask("nobody@example.com").await {
                Ok(Answer::Nothing) => Ok("the target answered, and knows nothing of nobody@example.com".to_owned()),
                Ok(Answer::Json(answer)) => {
                    Ok(format!("the target answered; of the traits it has {}", self.read(&answer).len()))
                }
                Err(Outcome::Retry { cause, .. }) => {
                    Err(Fault { cause, cure: "See that the target runs and is reached from here".into() })
                }
                Err(Outcome::Refused { cause, answer }) => Err(Fault {
                    cause: answer.map_or(cause.clone(), |answer| format!("{cause}: {answer}")),
                    cure: "Check the URL and the further headers".into(),
                }),
                Err(Outcome::Delivered { detail }) => Ok(detail),
            }
        })
    }
}
