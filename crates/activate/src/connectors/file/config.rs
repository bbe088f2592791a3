//! The file connector's configuration.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{self, ConfigError};

/// The most rows of one file, whatever the configuration says: they are held in memory while it is written.
const ROWS_MAX: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A folder, or the URL of a folder: `file:`, `s3:`.
    pub location: String,
    #[serde(default)]
    pub mode: Mode,
    #[serde(default)]
    pub format: Format,
    #[serde(default)]
    pub columns: Vec<String>,
    #[serde(default = "interval_default")]
    pub interval_s: u32,
    #[serde(default = "rows_default")]
    pub rows_max: usize,
    #[serde(default = "yes")]
    pub spreadsheet_safe: bool,
    /// Options of the object store, by their names there.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A new file for every batch.
    #[default]
    Append,
    /// A file per segment with its members.
    Audience,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    #[default]
    Csv,
    Ndjson,
    Parquet,
}

impl Format {
    /// The end of a file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Ndjson => "ndjson",
            Format::Parquet => "parquet",
        }
    }
}

fn interval_default() -> u32 {
    60
}

fn rows_default() -> usize {
    1_000
}

fn yes() -> bool {
    true
}

impl Config {
    pub fn read(config: Value) -> Result<Config, ConfigError> {
        let mut config: Config = config::read(config)?;
        if config.mode == Mode::Audience && config.format != Format::Csv {
            let cure = "Write format csv, or mode append";
            return Err(ConfigError::new("format", "an audience file is CSV", cure));
        }
        if !(1..=ROWS_MAX).contains(&config.rows_max) {
            let cure = "Write how many rows a file may have";
            return Err(ConfigError::new("rows_max", format!("not from 1 to {ROWS_MAX}"), cure));
        }
        if config.interval_s > 86_400 {
            return Err(ConfigError::new("interval_s", "longer than a day", "Write 86400 seconds or less"));
        }
        let repeated = |column: &String| config.columns.iter().filter(|other| *other == column).count() > 1;
        let reserved = |column: &String| match config.mode {
            Mode::Append => super::append::OWN_COLUMNS.contains(&column.as_str()),
            Mode::Audience => column == super::audience::ID,
        };
        if let Some(column) = config.columns.iter().find(|c| c.is_empty() || repeated(c) || reserved(c)) {
            let cause = format!("{column:?} is empty, there twice, or always there");
            return Err(ConfigError::new("columns", cause, "Name each path into the payload once"));
        }
        if config.columns.is_empty() {
            config.columns = match config.mode {
                Mode::Append => vec![],
                Mode::Audience => vec!["identifiers".into(), "traits".into()],
            };
        }
        Ok(config)
    }

    pub fn schema() -> Value {
        json!({"type": "object", "title": "Files", "required": ["location"], "properties": {
            "location": {"type": "string", "title": "Folder", "description": "A folder below the data folder's exports, or the URL of a bucket: s3://bucket/folder"},
            "mode": {"enum": ["append", "audience"], "default": "append", "title": "Mode", "description": "append: a new file for every batch; audience: a file per segment with its members"},
            "format": {"enum": ["csv", "ndjson", "parquet"], "default": "csv", "title": "Format"},
            "columns": {"type": "array", "items": {"type": "string"}, "title": "Columns", "description": "Paths into the payload (append) or its profile (audience): identifiers.email, traits.plan"},
            "interval_s": {"type": "integer", "minimum": 0, "maximum": 86400, "default": interval_default(), "title": "Seconds between files"},
            "rows_max": {"type": "integer", "minimum": 1, "maximum": ROWS_MAX, "default": rows_default(), "title": "Rows a file at most; a full batch does not wait"},
            "spreadsheet_safe": {"type": "boolean", "default": true, "title": "Quote what a spreadsheet takes for a formula"},
            "options": {"type": "object", "writeOnly": true, "additionalProperties": {"type": "string"}, "title": "Options of the object store", "description": "aws_access_key_id, aws_secret_access_key, aws_region, aws_endpoint, …"}
        }})
    }
}
