//! Rows on their way in: a file and a mapping put together, and what they give in pieces that `POST /api/v1/import` takes.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use serde_json::json;

use crate::{
    Digest, Events, Mapper, Mapping, OpenError, RowError, RowIds, Rows, mapping, open, reader::Progress, sample,
};

/// Rows that are looked at for a guess, and to see whether a mapping fits a file.
pub const SAMPLE_ROWS: u64 = 1000;

/// Why a file and a mapping do not come together.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The file cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The mapping does not fit it.
    #[error(transparent)]
    Mapping(#[from] mapping::Error),
}

/// Opens the file at `path` and makes what turns its rows into events of the source. With `incremental` a row is known by its
/// content, and not by its place in this file.
pub fn bind(
    path: &Path,
    mapping: &Mapping,
    source: &str,
    incremental: bool,
) -> Result<(Box<dyn Rows>, Mapper), BindError> {
    let options = mapping.read_options();
    let sample = sample(path, &options, SAMPLE_ROWS)?;
    let ids = match incremental {
        true => RowIds::by_content(source),
        false => RowIds::new(source, &Digest::of(&mut File::open(path)?)?),
    };
    let mapper = mapping.bind(&sample, ids)?;
    Ok((open(path, &options)?, mapper))
}

/// Rows as they are sent.
#[derive(Debug)]
pub struct Batch {
    /// A line for each event or bad row.
    pub body: Vec<u8>,
    /// Rows in it.
    pub rows: u64,
    /// How much of the file has been read after it.
    pub progress: Progress,
}

/// A file's events in batches.
pub struct Batches {
    rows: Box<dyn Rows>,
    mapper: Mapper,
    events: Events,
    /// Bytes from which on a batch is full.
    bytes: usize,
    last: bool,
}

impl Batches {
    /// Of these rows, by this mapper, of about `bytes` each.
    pub fn new((rows, mapper): (Box<dyn Rows>, Mapper), bytes: usize) -> Batches {
        Batches { rows, mapper, events: Events::default(), bytes, last: false }
    }
}

/// A bad row is in its batch, with the reason; [`RowError::Stopped`] where the file cannot be read any further, and nothing after it.
impl Iterator for Batches {
    type Item = Result<Batch, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.last {
            return None;
        }
        let mut body = Vec::with_capacity(self.bytes + (64 << 10));
        let mut count = 0;
        while !self.last && body.len() < self.bytes {
            let bad = match self.rows.next() {
                None => {
                    self.last = true;
                    break;
                }
                Some(Ok(row)) => {
                    self.events.clear();
                    let line = row.line;
                    match self.mapper.apply(&row, &mut self.events) {
                        Ok(()) => {
                            for event in self.events.iter() {
                                // A vector takes all that is written.
                                let _ = writeln!(body, "{{\"line\":{line},\"event\":{event}}}");
                            }
                            None
                        }
                        Err(bad) => Some(bad),
                    }
                }
                Some(Err(RowError::Bad(bad))) => Some(bad),
                Some(Err(stopped)) => {
                    self.last = true;
                    return Some(Err(stopped));
                }
            };
            count += 1;
            if let Some(bad) = bad {
                let raw = String::from_utf8_lossy(&bad.raw);
                let _ = writeln!(body, "{}", json!({ "line": bad.line, "reason": bad.reason, "raw": raw }));
            }
        }
        if body.is_empty() {
            return None;
        }
        Some(Ok(Batch { body, rows: count, progress: self.rows.progress() }))
    }
}
