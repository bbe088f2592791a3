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

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::{
    config::ConfigError,
    connectors::file::{
        audience::Members,
        config::{Config, Mode},
        place::Place,
    },
    destination::{Connector, Context, Delivery, Destination, Fault, Kind, Limits, Outcome},
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
    /// One file for those of the batch that can be read; then what there is of people who are erased is taken out of all files.
    async fn append(&self, batch: &[Delivery]) -> Vec<Outcome> {
        let (erased, rest): (Vec<&Delivery>, Vec<&Delivery>) = batch.iter().partition(|d| d.kind == Kind::Erase);
        let mut written = self.append_rows(&rest).await.into_iter();
        let forgotten = match erased.as_slice() {
            [] => None,
            [first, ..] => {
                let prefix = format!("{}_", file_name(&first.destination));
                let day = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
                let ours = |name: &str| name.strip_prefix(&prefix).is_some_and(day);
                let ids = ids_of(&erased);
                Some(self.forget(ours, |name, content| append::without(name, content, &ids)).await)
            }
        };
        let outcome = |delivery: &Delivery| match (delivery.kind, &forgotten) {
            (Kind::Erase, Some(forgotten)) => forgotten.clone(),
            _ => written.next().unwrap_or_else(|| Outcome::retry("no outcome")),
        };
        batch.iter().map(outcome).collect()
    }

    /// Changes each of our files that has something of people who are erased.
    async fn forget(
        &self,
        ours: impl Fn(&str) -> bool + Send + Sync,
        without: impl Fn(&str, &[u8]) -> Result<Option<Vec<u8>>, String> + Send + Sync,
    ) -> Outcome {
        let changed = async {
            let mut changed = 0;
            for name in self.place.list().await?.iter().filter(|name| ours(name)) {
                let Some(content) = self.place.read(name).await? else { continue };
                if let Some(rest) = without(name, &content)? {
                    self.place.write(name, rest).await?;
                    changed += 1;
                }
            }
            Ok(changed)
        };
        let changed: Result<usize, String> = changed.await;
        match changed {
            Ok(changed) => Outcome::Delivered { detail: format!("erased from {changed} files") },
            Err(cause) => Outcome::retry(cause),
        }
    }

    async fn append_rows(&self, batch: &[&Delivery]) -> Vec<Outcome> {
        let parsed: Vec<Option<Value>> = batch.iter().map(|d| serde_json::from_slice(&d.body).ok()).collect();
        let items: Vec<append::Item<'_>> =
            batch.iter().zip(&parsed).filter_map(|(delivery, payload)| Some((*delivery, payload.clone()?))).collect();
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
        let erased: Vec<&Delivery> = batch.iter().filter(|delivery| delivery.kind == Kind::Erase).collect();
        if !erased.is_empty() {
            let ids = ids_of(&erased);
            let ours = |name: &str| name.ends_with(".csv");
            let forgotten = self.forget(ours, |_, content| audience::without(content, &ids)).await;
            for (index, _) in batch.iter().enumerate().filter(|(_, delivery)| delivery.kind == Kind::Erase) {
                outcomes[index] = forgotten.clone();
            }
        }
        let rest = || batch.iter().filter(|delivery| delivery.kind != Kind::Erase);
        let mut segments: Vec<&str> = rest().map(|delivery| delivery.segment.as_str()).collect();
        segments.sort_unstable();
        segments.dedup();
        for segment in segments {
            let is_its = |index: &usize| batch[*index].kind != Kind::Erase && batch[*index].segment == segment;
            let of_segment: Vec<usize> = (0..batch.len()).filter(is_its).collect();
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

/// The ids of the profiles that deliveries are about.
fn ids_of(deliveries: &[&Delivery]) -> BTreeSet<String> {
    let id = |delivery: &&Delivery| {
        let payload: Value = serde_json::from_slice(&delivery.body).ok()?;
        Some(payload.get("profile")?.clone())
    };
    let names = |profile: Value| {
        let all = profile["ids"].as_array().cloned().unwrap_or_default();
        let named: Vec<String> =
            all.iter().chain([&profile["id"]]).filter_map(Value::as_str).map(str::to_owned).collect();
        named
    };
    deliveries.iter().filter_map(id).flat_map(names).collect()
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
