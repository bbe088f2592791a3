//! Files: deliveries appended as CSV, NDJSON or Parquet, or audiences kept as CSV, in a folder or an object store.
//!
//! The connector holds nothing back: the delivery loop gathers a batch ([`Limits::gather_ms`]) and every batch is one
//! file, durable when it is called delivered.

mod append;
mod audience;
mod cells;
mod config;
mod place;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::{
    config::ConfigError,
    connectors::file::{
        audience::Members,
        config::{Config, Mode},
        place::Place,
    },
    destination::{Connector, Context, Delivery, Destination, Fault, Limits, Outcome},
};

/// The connector; see the module.
pub struct File;

impl Connector for File {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn config_schema(&self) -> Value {
        Config::schema()
    }

    fn open(&self, config: Value, context: &Context) -> Result<Arc<dyn Destination>, ConfigError> {
        let config = Config::read(config)?;
        let place = Place::open(&config, context)?;
        Ok(Arc::new(Folder { config, place }))
    }
}

struct Folder {
    config: Config,
    place: Place,
}

/// A name that is a file's on every system: what is not a letter, a digit, `-` or `_` is written `%` and its code.
fn file_name(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn delivered(name: &str) -> Outcome {
    Outcome::Delivered { detail: format!("in {name}") }
}

impl Folder {
    /// One file for those of the batch that can be read.
    async fn append(&self, batch: &[Delivery]) -> Vec<Outcome> {
        let parsed: Vec<Option<Value>> = batch.iter().map(|d| serde_json::from_slice(&d.body).ok()).collect();
        let items: Vec<append::Item<'_>> =
            batch.iter().zip(&parsed).filter_map(|(delivery, payload)| Some((delivery, payload.clone()?))).collect();
        let written = match items.first() {
            None => Outcome::refused(NOT_JSON),
            Some((first, _)) => {
                let name = append::name(first, self.config.format);
                match append::content(&items, &self.config) {
                    Ok(content) => match self.place.write(&name, content).await {
                        Ok(()) => delivered(&name),
                        Err(cause) => Outcome::retry(cause),
                    },
                    Err(cause) => Outcome::refused(cause),
                }
            }
        };
        let of = |payload: &Option<Value>| match payload {
            Some(_) => written.clone(),
            None => Outcome::refused(NOT_JSON),
        };
        parsed.iter().map(of).collect()
    }

    /// The files of the batch's segments, each read, changed and written once.
    async fn audience(&self, batch: &[Delivery]) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::retry("not reached"); batch.len()];
        let mut segments: Vec<&str> = batch.iter().map(|delivery| delivery.segment.as_str()).collect();
        segments.sort_unstable();
        segments.dedup();
        for segment in segments {
            let of_segment: Vec<usize> = (0..batch.len()).filter(|index| batch[*index].segment == segment).collect();
            let name = format!("{}.csv", file_name(segment));
            match self.change(&name, batch, &of_segment).await {
                Ok(refused) => {
                    for (index, refusal) in of_segment.into_iter().zip(refused) {
                        outcomes[index] = refusal.map_or_else(|| delivered(&name), Outcome::refused);
                    }
                }
                Err(cause) => of_segment.into_iter().for_each(|index| outcomes[index] = Outcome::retry(cause.clone())),
            }
        }
        outcomes
    }

    /// Applies the deliveries at `indexes` to one file; gives for each why it was refused, where it was.
    async fn change(
        &self,
        name: &str,
        batch: &[Delivery],
        indexes: &[usize],
    ) -> Result<Vec<Option<&'static str>>, String> {
        let before = self.place.read(name).await?;
        let mut members = Members::read(before.as_deref(), &self.config)?;
        let apply = |index: &usize| match serde_json::from_slice::<Value>(&batch[*index].body) {
            Ok(payload) => members.apply(batch[*index].kind, &payload, &self.config).err(),
            Err(_) => Some(NOT_JSON),
        };
        let refused: Vec<Option<&str>> = indexes.iter().map(apply).collect();
        if refused.iter().any(Option::is_none) {
            self.place.write(name, members.content(&self.config)?).await?;
        }
        Ok(refused)
    }
}

const NOT_JSON: &str = "the payload is not JSON";

impl Destination for Folder {
    fn kind(&self) -> &'static str {
        "file"
    }

    /// One batch at a time: two must not change one file.
    fn limits(&self) -> Limits {
        let gather_ms = i64::from(self.config.interval_s) * 1_000;
        Limits { batch_max: self.config.rows_max, concurrency: 1, concurrency_max: 1, gather_ms }
    }

    fn deliver<'a>(&'a self, batch: &'a [Delivery]) -> BoxFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            match self.config.mode {
                Mode::Append if batch.is_empty() => vec![],
                Mode::Append => self.append(batch).await,
                Mode::Audience => self.audience(batch).await,
            }
        })
    }

    fn test(&self) -> BoxFuture<'_, Result<String, Fault>> {
        Box::pin(async move {
            const NAME: &str = ".onefold-test";
            let tried = async {
                self.place.write(NAME, b"test\n".to_vec()).await?;
                self.place.remove(NAME).await
            };
            match tried.await {
                Ok(()) => Ok("a file was written and removed again".into()),
                Err(cause) => {
                    Err(Fault { cause, cure: "See that the folder or bucket is there and may be written to".into() })
                }
            }
        })
    }
}
