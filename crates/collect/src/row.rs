//! One row of a file, borrowed from its reader, and a row that could not be used.
//!
//! All tabular formats share one shape: the cells' text stands end to end in one buffer that the reader uses again for
//! the next row. A row of a JSON format is its members as raw text.

use std::borrow::Cow;

use onefold_model::json::{Members, text};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::BAD_ROW_BYTES_MAX;

/// One row.
#[derive(Debug)]
pub struct Row<'a> {
    /// Its place among the rows of the file, from 1; bad rows count, a header and blank lines do not. The same
    /// whenever the file is read with the same options.
    pub number: u64,
    /// Where people find it: the line on which it begins, or the row of the sheet, from 1.
    pub line: u64,
    /// Its bytes as they stand in the file (after decompression and decoding); empty in binary formats.
    pub raw: &'a [u8],
    /// What it holds.
    pub data: Data<'a>,
}

impl Row<'_> {
    /// 128 bits of the SHA-256 of what it holds.
    pub(crate) fn content(&self) -> [u8; 16] {
        let mut hash = Sha256::new();
        match &self.data {
            // The last row of a file may have no line end yet.
            _ if !self.raw.is_empty() => hash.update(self.raw.trim_ascii_end()),
            Data::Cells(cells) => (0..cells.len()).for_each(|place| {
                let cell = cells.get(place);
                // An empty cell is no cell of empty text.
                let text = cell.scalar().or(if let Cell::Json(json) = &cell { Some(json) } else { None });
                hash.update(text.map_or(u64::MAX, |text| text.len() as u64).to_be_bytes());
                hash.update(text.unwrap_or_default());
            }),
            Data::Json(members) => members.0.iter().for_each(|(name, value)| {
                for text in [name.as_ref(), value.get()] {
                    hash.update((text.len() as u64).to_be_bytes());
                    hash.update(text);
                }
            }),
        }
        let mut content = [0; 16];
        content.copy_from_slice(&hash.finalize()[..16]);
        content
    }
}

/// What a row holds.
#[derive(Debug)]
pub enum Data<'a> {
    /// Cells in the order of [`Rows::columns`](crate::Rows::columns), as many as there are columns.
    Cells(Cells<'a>),
    /// The members of a JSON object.
    Json(Members<'a>),
}

/// The type a cell has in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellKind {
    /// Nothing.
    Empty,
    /// Text; every cell of a text format is.
    Text,
    /// A JSON number.
    Number,
    /// `true` or `false`.
    Bool,
    /// An ISO 8601 date or date-time.
    Time,
    /// JSON.
    Json,
}

/// The value of one cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Nothing: a missing member, JSON `null`, an empty cell.
    Empty,
    /// Text, possibly of no characters.
    Text(Cow<'a, str>),
    /// A number, as its JSON text.
    Number(&'a str),
    /// A boolean.
    Bool(bool),
    /// An ISO 8601 date or date-time.
    Time(&'a str),
    /// An array or object, as its JSON text.
    Json(&'a str),
}

impl<'a> Cell<'a> {
    /// The cell that a JSON value makes.
    pub fn of_json(raw: &'a RawValue) -> Cell<'a> {
        let json = raw.get();
        match json.as_bytes().first() {
            Some(b'n') | None => Cell::Empty,
            Some(b't') => Cell::Bool(true),
            Some(b'f') => Cell::Bool(false),
            Some(b'"') => text(raw).map_or(Cell::Json(json), Cell::Text),
            Some(b'{' | b'[') => Cell::Json(json),
            Some(_) => Cell::Number(json),
        }
    }

    /// Its text, as an identifier or a name is read; `None` for nothing and for arrays and objects.
    pub fn scalar(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            Cell::Number(text) | Cell::Time(text) => Some(text),
            Cell::Bool(true) => Some("true"),
            Cell::Bool(false) => Some("false"),
            Cell::Empty | Cell::Json(_) => None,
        }
    }
}

/// The cells of a row: their text end to end, where each ends, and of which kind each is.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    text: &'a str,
    ends: &'a [usize],
    kinds: Option<&'a [CellKind]>,
}

impl<'a> Cells<'a> {
    /// Cells of text. Every end must be a character boundary of `text`, and none before the one in front of it.
    pub(crate) fn of_text(text: &'a str, ends: &'a [usize]) -> Self {
        Cells { text, ends, kinds: None }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The cell at `index`, from 0; nothing beyond the last.
    pub fn get(&self, index: usize) -> Cell<'a> {
        let Some(&end) = self.ends.get(index) else { return Cell::Empty };
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        let text = &self.text[start..end];
        match self.kinds.map_or(CellKind::Text, |kinds| kinds[index]) {
            CellKind::Empty => Cell::Empty,
            CellKind::Text => Cell::Text(Cow::Borrowed(text)),
            CellKind::Number => Cell::Number(text),
            CellKind::Bool => Cell::Bool(text == "true"),
            CellKind::Time => Cell::Time(text),
            CellKind::Json => Cell::Json(text),
        }
    }
}

/// Cells in the making, for the formats whose cells have types.
#[derive(Debug, Default)]
pub(crate) struct CellsBuf {
    pub(crate) text: String,
    ends: Vec<usize>,
    kinds: Vec<CellKind>,
}

impl CellsBuf {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.kinds.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Ends the cell whose text was appended to `text`.
    pub(crate) fn end(&mut self, kind: CellKind) {
        self.ends.push(self.text.len());
        self.kinds.push(kind);
    }

    pub(crate) fn push(&mut self, kind: CellKind, text: &str) {
        self.text.push_str(text);
        self.end(kind);
    }

    pub(crate) fn cells(&self) -> Cells<'_> {
        Cells { text: &self.text, ends: &self.ends, kinds: Some(&self.kinds) }
    }
}

/// A row that makes no event, and why. Reading goes on after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct BadRow {
    /// As [`Row::number`].
    pub number: u64,
    /// As [`Row::line`].
    pub line: u64,
    /// One sentence of cause, and of cure where there is one.
    pub reason: String,
    /// Its bytes, the first [`BAD_ROW_BYTES_MAX`] of them; of a row of a binary format, its cells as JSON.
    pub raw: Vec<u8>,
}

impl BadRow {
    /// A bad row with as much of `raw` as is kept.
    pub fn new(number: u64, line: u64, reason: impl Into<String>, raw: &[u8]) -> BadRow {
        BadRow { number, line, reason: reason.into(), raw: raw[..raw.len().min(BAD_ROW_BYTES_MAX)].to_vec() }
    }
}

/// What can come in place of a row.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// This row is bad; the next may be good.
    #[error(transparent)]
    Bad(#[from] BadRow),
    /// The file cannot be read any further: no row follows. Reading it again can help where the cause was the disk.
    #[error("reading stopped after row {rows}: {cause}")]
    Stopped {
        /// Rows read before, bad ones included.
        rows: u64,
        /// Why.
        cause: String,
    },
}
