//! Settings: values only. Defaults, then a file, then the environment, then flags.

use std::{collections::BTreeMap, path::PathBuf};

use figment::{
    Figment,
    providers::{Env, Format, Toml},
};
use serde::Deserialize;

use crate::{Failure, cli::Common};

/// The defaults, with an explanation of each key.
pub const DEFAULTS: &str = include_str!("../../../config.default.toml");

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(skip)]
    pub data: PathBuf,
    pub server: Server,
    pub log: Log,
    pub state: State,
    pub ingest: Ingest,
    pub pipeline: Pipeline,
    pub audience: Audience,
    pub lake: Lake,
    pub engine: Engine,
    pub delivery: Delivery,
    pub egress: Egress,
    pub mail: Mail,
    pub opendsr: OpenDsr,
    pub backup: Backup,
    pub telemetry: Telemetry,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub listen: String,
    pub tls_listen: String,
    pub tls_certificate: PathBuf,
    pub tls_key: PathBuf,
    pub public_url: String,
    pub grace_s: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub partitions: u32,
    pub codec: Codec,
    pub waiting_bytes_max: usize,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    Lz4,
    Zstd,
    Plain,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub store: Store,
    pub url: String,
    pub schema: String,
    pub cache_bytes: u64,
    pub seal_key: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    Sqlite,
    Postgres,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    pub event_bytes_max: usize,
    pub body_bytes_max: usize,
    pub source_events_per_s_max: u32,
    pub sdk_folder: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    pub run: bool,
    pub dedupe_days: u32,
    pub cache_bytes_max: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    pub attempts_max: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    pub allowed: Vec<String>,
    pub exports_allowed: Vec<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    pub url: String,
    pub from: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenDsr {
    pub domain: String,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    pub to: String,
    pub options: BTreeMap<String, serde_json::Value>,
    pub recipient: String,
    pub every_hours: u64,
    pub keep: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audience {
    pub bytes_max: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lake {
    pub url: String,
    pub options: BTreeMap<String, serde_json::Value>,
    pub listen: String,
    pub every_s: u64,
    pub retention_hours: u64,
    pub query_seconds_max: u64,
    pub query_bytes_max: usize,
    pub query_rows_max: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    pub kind: EngineKind,
    #[cfg_attr(
        not(feature = "cluster"),
        expect(dead_code, reason = "only that engine reads it, and a settings file may name it")
    )]
    pub scheduler: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    Embedded,
    Ballista,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    pub log: String,
    pub format: String,
}

impl Settings {
    /// Reads the settings for a data folder.
    pub fn read(common: &Common) -> Result<Settings, Failure> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        match &common.config {
            Some(file) if !file.exists() => {
                let cause = format!("the settings file {} is not there", file.display());
                return Err(Failure::new(cause, "give another path with --config"));
            }
            Some(file) => figment = figment.merge(Toml::file_exact(file)),
            None => {
                let own = common.data.join("onefold.toml");
                if own.exists() {
                    figment = figment.merge(Toml::file_exact(own));
                }
            }
        }
        let environment = Env::prefixed("ONEFOLD_").ignore(&["data"]).split("__");
        let mut settings: Settings = figment.merge(environment).extract().map_err(|error| {
            Failure::new(format!("a setting is wrong: {error}"), "compare it with config.default.toml")
        })?;
        settings.data = common.data.clone();
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_defaults_are_whole() {
        let settings: Settings = Figment::from(Toml::string(DEFAULTS)).extract().unwrap();
        assert_eq!(settings.server.listen, "127.0.0.1:8080");
        let limits = onefold_model::event::Limits::default();
        assert_eq!(settings.ingest.event_bytes_max, limits.event_bytes_max);
        let pipeline = onefold_pipeline::Settings::default();
        assert_eq!(settings.pipeline.dedupe_days, pipeline.dedupe_days);
        assert_eq!(settings.pipeline.cache_bytes_max, pipeline.cache_bytes_max);
    }
}
