//! What readers see of a table: its files, and what is said of them.

use std::collections::HashMap;

use deltalake_core::table::state::DeltaTableState;
use object_store::path::Path;
use onefold_lake::{Promoted, Table};
use onefold_model::Timestamp;
use serde::Deserialize;

use crate::files::BASE;

/// A version of a table.
#[derive(Debug)]
pub struct View {
    pub table: Table,
    /// The version of Delta's log.
    pub version: u64,
    pub promoted: Promoted,
    pub files: Vec<File>,
}

/// A file of a table.
#[derive(Debug, Clone)]
pub struct File {
    /// In the object store.
    pub path: Path,
    /// As Delta's log has it.
    pub name: String,
    pub bytes: u64,
    pub rows: usize,
    /// The value of the partition.
    pub day: Option<String>,
    /// The least and the greatest value of columns.
    pub ranges: HashMap<String, (i64, i64)>,
}

/// Delta's statistics, as far as we read them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    #[serde(default)]
    num_records: usize,
    #[serde(default)]
    min_values: HashMap<String, serde_json::Value>,
    #[serde(default)]
    max_values: HashMap<String, serde_json::Value>,
}

impl File {
    /// Up to which offset no profile has two versions in files with this name; `None` in any other file.
    pub fn base(&self) -> Option<u64> {
        let name = self.name.rsplit('/').next().unwrap_or(&self.name);
        name.strip_prefix(BASE)?.split('-').next()?.parse().ok()
    }

    /// Whether no row of it is newer than this offset.
    pub fn is_within(&self, offset: u64) -> bool {
        self.ranges.get("offset").is_some_and(|(_, newest)| *newest <= offset as i64)
    }
}

impl View {
    /// What Delta's log says of a table.
    pub fn of(table: Table, folder: &Path, state: &DeltaTableState, promoted: Promoted) -> View {
        let log = state.log_data();
        let files = log.iter().map(|file| {
            let name = file.path().into_owned();
            let said = file.stats().and_then(|stats| serde_json::from_str::<Said>(&stats).ok());
            let day = table.partitioned_by().and_then(|column| file.partition_values_map().remove(column).flatten());
            File {
                path: name.split('/').fold(folder.clone(), |path, part| path.join(part)),
                name,
                bytes: file.size() as u64,
                rows: said.as_ref().map_or(0, |said| said.num_records),
                day,
                ranges: said.map(ranges).unwrap_or_default(),
            }
        });
        View { table, version: state.version(), promoted, files: files.collect() }
    }

    /// Up to which offset files of the table have at most one version of each profile.
    pub fn base(&self) -> u64 {
        self.files.iter().filter_map(File::base).max().unwrap_or(0)
    }

    /// How many promoted members every row has its columns of.
    pub fn promoted_everywhere(&self) -> usize {
        let least = |file: &File| file.ranges.get("promoted").map_or(0, |(least, _)| *least as usize);
        self.files.iter().map(least).min().unwrap_or(0)
    }

    /// Whether all of its files are such.
    pub fn is_base(&self) -> bool {
        self.files.iter().all(|file| file.base().is_some())
    }
}

fn ranges(said: Said) -> HashMap<String, (i64, i64)> {
    let mut greatest = said.max_values;
    let least = said.min_values.into_iter();
    least
        .filter_map(|(column, min)| Some((number(&min)?, number(&greatest.remove(&column)?)?, column)))
        .map(|(a, b, c)| (c, (a, b)))
        .collect()
}

/// A number, or a time in microseconds.
fn number(value: &serde_json::Value) -> Option<i64> {
    match value {
        serde_json::Value::String(text) => Some(Timestamp::parse(text)?.0.saturating_mul(1000)),
        other => other.as_i64(),
    }
}
