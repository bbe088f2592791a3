//! What only a log that has a file can be tested for. The rest of the contract is in [`crate::conformance`].

#![expect(clippy::single_range_in_vec_init, reason = "erase takes ranges, often one")]

mod files;
mod laws;
mod writing;

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::*;
use pollster::block_on;

use crate::{Kind, conformance};

/// A directory with a log in it.
struct Dir(TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("log.db")
    }

    fn open(&self, settings: SqliteLogSettings) -> SqliteLog {
        SqliteLog::open(&self.path(), settings).unwrap()
    }

    fn refused(&self, settings: SqliteLogSettings) -> String {
        SqliteLog::open(&self.path(), settings).unwrap_err().to_string()
    }

    /// Whether any file of the log has these bytes.
    fn holds(&self, needle: &str) -> bool {
        let files = fs::read_dir(self.0.path()).unwrap();
        files.into_iter().any(|file| {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
        })
    }

    /// Changes the file behind the log's back.
    fn meddle(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }
}

fn plain() -> SqliteLogSettings {
    SqliteLogSettings { codec: Codec::Plain, ..SqliteLogSettings::default() }
}

fn batch(payloads: &[&str]) -> Batch {
    let mut batch = Batch::new();
    for payload in payloads {
        batch.push(Kind::Event, payload.as_bytes()).unwrap();
    }
    batch
}

fn append(log: &SqliteLog, payloads: &[&str]) -> Range<Offset> {
    block_on(log.append(0, batch(payloads))).unwrap()
}

fn texts(log: &SqliteLog) -> Vec<String> {
    let blocks = log.read(0, log.start(0).unwrap(), usize::MAX).unwrap();
    let records = blocks.iter().flat_map(Block::records);
    records.map(|record| String::from_utf8(record.payload.to_vec()).unwrap()).collect()
}

fn faults(log: &SqliteLog) -> (Verified, Vec<(Offset, String)>) {
    let mut faults = Vec::new();
    let verified = log.verify(0, &mut |fault| faults.push((fault.offset, fault.what))).unwrap();
    (verified, faults)
}

#[test]
fn keeps_the_contract() {
    let each = [
        SqliteLogSettings::default(),
        SqliteLogSettings { segment_bytes: 1, ..plain() },
        SqliteLogSettings { codec: Codec::Zstd, group_bytes_max: 2000, waiting_bytes_max: 40_000, ..plain() },
        SqliteLogSettings { group_wait: Some(Duration::from_millis(1)), ..plain() },
    ];
    for settings in each {
        let dirs = Mutex::new(Vec::new());
        conformance::check(|| {
            let dir = Dir::new();
            let log = dir.open(SqliteLogSettings { partitions: conformance::PARTITIONS, ..settings.clone() });
            dirs.lock().push(dir);
            Box::new(log)
        });
    }
}
