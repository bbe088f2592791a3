//! Webhooks: a POST of JSON per delivery, signed after the Standard Webhooks specification.
//!
//! One payload a request is the default, because it keeps one refusal from hurting its neighbours and lets profiles go
//! in parallel; a target that cannot keep up takes batches.

mod signature;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use futures_util::future::BoxFuture;
use onefold_model::Clock;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use sha2::{Digest, Sha256};
use url::Url;

use crate::{
    config::{self, ConfigError},
    connectors::{http, webhook::signature::Secret},
    destination::{Connector, Context, Delivery, Destination, Fault, Limits, Outcome},
    egress::Egress,
};

/// The connector; see the module.
pub struct Webhook;

/// Hand-offs at a time, unless the configuration says otherwise.
const CONCURRENCY: usize = 64;
/// Hand-offs at a time at most.
const CONCURRENCY_MAX: usize = 256;
/// The most payloads of one request.
const BATCH_MAX: usize = 200;
/// How much of an answer's body is read: to the end, where it is short, so that the connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: String,
    #[serde(default)]
    secret: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default = "timeout_default")]
    timeout_ms: u64,
    #[serde(default = "batch_default")]
    batch: usize,
}

fn timeout_default() -> u64 {
    15_000
}

fn batch_default() -> usize {
    1
}

impl Connector for Webhook {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn config_schema(&self) -> Value {
        json!({"type": "object", "title": "Webhook", "required": ["url"], "properties": {
            "url": {"type": "string", "format": "uri", "title": "URL", "description": "https://host/path; each delivery is a POST"},
            "secret": {"type": "string", "writeOnly": true, "title": "Signing secret", "description": "whsec_ and base64, after Standard Webhooks"},
            "headers": {"type": "object", "writeOnly": true, "title": "Further headers", "additionalProperties": {"type": "string"}},
            "timeout_ms": {"type": "integer", "minimum": 100, "maximum": 60000, "default": timeout_default(), "title": "Time-out in milliseconds"},
            "batch": {"type": "integer", "minimum": 1, "maximum": BATCH_MAX, "default": 1, "title": "Payloads a request"}
        }})
    }

    fn open(&self, config: Value, context: &Context) -> Result<Arc<dyn Destination>, ConfigError> {
        let config: Config = config::read(config)?;
        let timeout = http::timeout(config.timeout_ms)?;
        if !(1..=BATCH_MAX).contains(&config.batch) {
            let cure = "Write how many payloads a request may have";
            return Err(ConfigError::new("batch", format!("not from 1 to {BATCH_MAX}"), cure));
        }
        Ok(Arc::new(Target {
            url: context.egress.check_url("url", &config.url)?,
            secret: config.secret.as_deref().map(Secret::parse).transpose()?,
            headers: http::headers(&config.headers)?,
            batch: config.batch,
            client: context.egress.client(timeout)?,
            egress: Arc::clone(&context.egress),
            clock: Arc::clone(&context.clock),
        }))
    }
}

/// The body of a request with several payloads: the keys, and the payloads at the same places.
#[derive(Serialize)]
struct Together<'a> {
    ids: &'a [&'a str],
    batch: Vec<&'a RawValue>,
}

struct Target {
    url: Url,
    secret: Option<Secret>,
    headers: HeaderMap,
    batch: usize,
    client: Client,
    egress: Arc<Egress>,
    clock: Arc<dyn Clock>,
}

impl Target {
    /// One request; its outcome holds for everything in it.
    async fn post(&self, id: &str, body: Vec<u8>) -> Outcome {
        // The host may be an address, which no resolver sees.
        if let Err(error) = self.egress.check_literal(self.url.host_str().unwrap_or_default()) {
            return Outcome::retry(error.to_string());
        }
        let Ok(webhook_id) = HeaderValue::from_str(id) else {
            return Outcome::refused("the key cannot stand in a header");
        };
        let timestamp_s = self.clock.now().0.div_euclid(1_000);
        let mut request = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", webhook_id)
            .header("webhook-timestamp", timestamp_s);
        if let Some(secret) = &self.secret {
            request = request.header("webhook-signature", secret.sign(id, timestamp_s, &body));
        }
        match request.body(body).send().await {
            Ok(response) => self.judge(response).await,
            Err(error) => Outcome::retry(http::cause(error)),
        }
    }

    async fn judge(&self, mut response: Response) -> Outcome {
        let body = http::body(&mut response, ANSWER_BYTES_MAX).await;
        http::answer::outcome(response.status(), response.headers(), self.clock.now(), http::kept(&body))
    }

    async fn post_together(&self, batch: &[Delivery]) -> Vec<Outcome> {
        let payloads: Vec<Option<&RawValue>> =
            batch.iter().map(|delivery| serde_json::from_slice(&delivery.body).ok()).collect();
        let fitting = || batch.iter().zip(&payloads).filter_map(|(delivery, payload)| Some((delivery, (*payload)?)));
        let ids: Vec<&str> = fitting().map(|(delivery, _)| delivery.key.as_str()).collect();
        if ids.is_empty() {
            return batch.iter().map(|_| Outcome::refused(NOT_JSON)).collect();
        }
        let together = Together { batch: fitting().map(|(_, payload)| payload).collect(), ids: &ids };
        let Ok(body) = serde_json::to_vec(&together) else {
            return batch.iter().map(|_| Outcome::refused(NOT_JSON)).collect();
        };
        let outcome = self.post(&batch_id(&ids), body).await;
        payloads
            .iter()
            .map(|payload| if payload.is_some() { outcome.clone() } else { Outcome::refused(NOT_JSON) })
            .collect()
    }
}

const NOT_JSON: &str = "the payload is not JSON";

/// The id of a batch: the same for the same keys in the same order.
fn batch_id(ids: &[&str]) -> String {
    let mut hash = Sha256::new();
    for id in ids {
        hash.update((id.len() as u64).to_le_bytes());
        hash.update(id.as_bytes());
    }
    let mut text = String::from("batch_");
    for byte in &hash.finalize()[..16] {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl Destination for Target {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn limits(&self) -> Limits {
        Limits { batch_max: self.batch, concurrency: CONCURRENCY, concurrency_max: CONCURRENCY_MAX, gather_ms: 0 }
    }

    fn deliver<'a>(&'a self, batch: &'a [Delivery]) -> BoxFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            if self.batch > 1 && !batch.is_empty() {
                return self.post_together(batch).await;
            }
            let mut outcomes = Vec::with_capacity(batch.len());
            let mut waiting = vec![];
            for delivery in batch {
                let outcome = match waiting.contains(&delivery.profile) {
                    true => Outcome::retry("an earlier delivery of this profile is to be tried again first"),
                    false => self.post(&delivery.key, delivery.body.clone()).await,
                };
                if matches!(outcome, Outcome::Retry { .. }) {
                    waiting.push(delivery.profile);
                }
                outcomes.push(outcome);
            }
            outcomes
        })
    }

    fn test(&self) -> BoxFuture<'_, Result<String, Fault>> {
        Box::pin(async move {
            let at = self.clock.now();
            let body = json!({"type": "test", "at": at.to_string()}).to_string().into_bytes();
            match self.post(&format!("test_{}", at.0), body).await {
                Outcome::Delivered { detail } => Ok(format!("a test payload was taken: {detail}")),
                Outcome::Retry { cause, .. } => {
                    Err(Fault { cause, cure: "See that the target runs and is reached from here".into() })
                }
                Outcome::Refused { cause, answer } => Err(Fault {
                    cause: answer.map_or(cause.clone(), |answer| format!("{cause}: {answer}")),
                    cure: if cause.ends_with(StatusCode::UNAUTHORIZED.as_str()) {
                        "Check the secret and the further headers".into()
                    } else {
                        "See that the URL takes POST requests of JSON".into()
                    },
                }),
            }
        })
    }
}
