//! Readers: one per format, all behind [`Rows`].
//!
//! A bad row never ends a file: it comes out with its line, its bytes and the reason, and the next row follows. Every
//! reader holds one row (at most [`ROW_BYTES_MAX`](crate::ROW_BYTES_MAX)) and a window on the file, whatever the file's
//! size; so files are read, not loaded.

mod csv;
mod json;
mod lines;
mod ndjson;
mod parquet;
mod parquet_cell;
mod sample;
pub(crate) mod source;
mod whitespace;
mod xlsx;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub use self::sample::{Sample, SampleColumn, sample};
use crate::{
    format::{Compression, Detected, Format, detect},
    row::{Row, RowError},
    sniff,
};

/// Bytes of a Parquet file or workbook that is compressed from outside, after decompression, and of any workbook.
pub const IN_MEMORY_BYTES_MAX: u64 = 200 * 1024 * 1024;

/// The rows of one file, in its order.
pub trait Rows: Send {
    /// The names of the columns, for formats that have the same in every row; `None` for JSON.
    fn columns(&self) -> Option<&[String]>;

    /// The next row, `None` after the last. After [`RowError::Bad`] the next call gives the next row; after
    /// [`RowError::Stopped`] it gives `None`.
    fn next(&mut self) -> Option<Result<Row<'_>, RowError>>;

    /// How much of the file has been read.
    fn progress(&self) -> Progress;
}

/// How much of a file has been read, in bytes as they are stored. For formats that are not read in order it is estimated
/// from the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Read so far.
    pub read_bytes: u64,
    /// In all.
    pub total_bytes: u64,
}

/// How to read a file. The default tells everything from the file; a [`Mapping`](crate::Mapping) brings its own by
/// [`read_options`](crate::Mapping::read_options).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The format.
    pub format: Option<Format>,
    /// The delimiter.
    pub delimiter: Option<Delimiter>,
    /// A label of the WHATWG Encoding Standard (`windows-1252`, `latin1`, `utf-16le`); `None`: UTF-8, or UTF-16 with a
    /// byte-order mark.
    pub encoding: Option<String>,
    /// The sheet of a workbook; `None`: the first.
    pub sheet: Option<String>,
    /// The member of a JSON document that holds the rows; `None`: the first that is an array of objects.
    pub list: Option<String>,
    /// Names of the columns of a file without a header.
    pub columns: Vec<String>,
    /// Whether missing cells at the end of a record count as empty, and empty ones too many are dropped.
    pub ragged: bool,
}

/// What stands between two fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Delimiter {
    /// One ASCII character; fields may be quoted (RFC 4180).
    Byte(u8),
    /// Any run of spaces and tabs, also in front of the first field; there are no quotes.
    Whitespace,
}

impl TryFrom<String> for Delimiter {
    type Error = String;

    fn try_from(text: String) -> Result<Delimiter, String> {
        match text.as_str() {
            "whitespace" => Ok(Delimiter::Whitespace),
            "tab" => Ok(Delimiter::Byte(b'\t')),
            one if one.len() == 1 && !matches!(one, "\"" | "\n" | "\r") => Ok(Delimiter::Byte(one.as_bytes()[0])),
            _ => Err(format!("delimiter {text:?} is neither one ASCII character nor tab nor whitespace")),
        }
    }
}

impl From<Delimiter> for String {
    fn from(delimiter: Delimiter) -> String {
        match delimiter {
            Delimiter::Whitespace => "whitespace".to_owned(),
            Delimiter::Byte(b'\t') => "tab".to_owned(),
            Delimiter::Byte(byte) => char::from(byte).to_string(),
        }
    }
}

/// Why a file cannot be read at all. Trying again can help with [`OpenError::Io`] only.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is not there, or cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `.xls`, the format of Excel 97 to 2003.
    #[error("{path} is an Excel file of before 2007; save it as .xlsx or CSV", path = .path.display())]
    OldExcel {
        /// Which.
        path: PathBuf,
    },
    /// It holds nothing, so not even the names of its columns.
    #[error("{path} is empty", path = .path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// No such encoding.
    #[error("encoding {label:?} is not known; use utf-8, windows-1252 or another label of the Encoding Standard")]
    UnknownEncoding {
        /// What was asked for.
        label: String,
    },
    /// The header cannot be read.
    #[error("{path}: the header {problem}", path = .path.display())]
    Header {
        /// Of which file.
        path: PathBuf,
        /// What is wrong with it, and the cure.
        problem: String,
    },
    /// No such sheet.
    #[error("{path} has no sheet {sheet:?}; it has {found}", path = .path.display())]
    NoSheet {
        /// Which file.
        path: PathBuf,
        /// What was asked for.
        sheet: String,
        /// The sheets it has.
        found: String,
    },
    /// Too large for a format that must be held in memory.
    #[error("{path} takes more than {limit_bytes} bytes in memory; {cure}", path = .path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
        /// What to do.
        cure: &'static str,
    },
    /// Its content is not of its format, or uses what is not supported.
    #[error("{path} cannot be read as {format}: {cause}", path = .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// The format.
        format: &'static str,
        /// Why.
        cause: String,
    },
}

/// Opens the file at `path` for reading its rows. Columns' names are settled before the first row.
pub fn open(path: &Path, options: &ReadOptions) -> Result<Box<dyn Rows>, OpenError> {
    let (rows, _) = open_detected(path, options)?;
    Ok(rows)
}

/// How a file was read in the end.
pub(crate) struct Opened {
    pub(crate) format: Format,
    pub(crate) delimiter: Option<Delimiter>,
    /// Whether a delimited file's first record was found to be no header, though nobody said so.
    pub(crate) headless: bool,
}

pub(crate) fn open_detected(path: &Path, options: &ReadOptions) -> Result<(Box<dyn Rows>, Opened), OpenError> {
    let Detected { format, compression } = match options.format {
        Some(format) => Detected { format, compression: source::compression(path)? },
        None => detect(path)?,
    };
    let text = || source::text(path, compression, options.encoding.as_deref());
    let mut opened = Opened { format, delimiter: None, headless: false };
    let rows: Box<dyn Rows> = match format {
        Format::Csv => {
            let mut buffer = source::Buffer::new(text()?);
            buffer.fill_to(source::HEAD_BYTES).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
            let delimiter = options.delimiter.unwrap_or_else(|| sniff::delimiter(head_of(&buffer)));
            opened.delimiter = Some(delimiter);
            match delimiter {
                Delimiter::Byte(byte) => {
                    let rows = csv::CsvRows::open(path, buffer, byte, options)?;
                    opened.headless = rows.headless;
                    Box::new(rows)
                }
                Delimiter::Whitespace => {
                    let rows = whitespace::WhitespaceRows::open(path, buffer, options)?;
                    opened.headless = rows.headless;
                    Box::new(rows)
                }
            }
        }
        Format::Ndjson => Box::new(ndjson::NdjsonRows::new(source::Buffer::new(text()?))),
        Format::Json => Box::new(json::JsonRows::new(source::Buffer::new(text()?), options.list.clone())),
        Format::Parquet => Box::new(parquet::ParquetRows::open(path, compression)?),
        Format::Xlsx => Box::new(xlsx::XlsxRows::open(path, compression, options)?),
    };
    Ok((rows, opened))
}

fn head_of(buffer: &source::Buffer) -> &[u8] {
    &buffer.bytes()[..buffer.bytes().len().min(source::HEAD_BYTES)]
}

/// The whole of a file that is compressed from outside and whose format is not read in order.
fn in_memory(path: &Path, compression: Compression) -> Result<Vec<u8>, OpenError> {
    use io::Read;
    let mut bytes = vec![];
    source::bytes(path, compression)?
        .take(IN_MEMORY_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    if bytes.len() as u64 > IN_MEMORY_BYTES_MAX {
        let cure = "decompress it first (Parquet), or save it as CSV (Excel)";
        return Err(OpenError::TooLarge { path: path.to_owned(), limit_bytes: IN_MEMORY_BYTES_MAX, cure });
    }
    Ok(bytes)
}

/// Names for a header as it stands: trimmed; `column_3` where the third has none; `name_2` for the second of a name.
fn column_names<'a>(header: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    // Each name taken, and how often as a base.
    let mut copies: HashMap<String, usize> = HashMap::new();
    for (i, name) in header.enumerate() {
        let base = if name.trim().is_empty() { format!("column_{}", i + 1) } else { name.trim().to_owned() };
        let mut name = base.clone();
        while copies.contains_key(&name) {
            let copy = copies.entry(base.clone()).or_insert(1);
            *copy += 1;
            name = format!("{base}_{copy}");
        }
        copies.insert(name.clone(), 1);
        names.push(name);
    }
    names
}

/// Why a row's text is not UTF-8, and the cure.
fn not_utf8(bytes: &[u8]) -> String {
    let at = std::str::from_utf8(bytes).err().map_or(0, |error| error.valid_up_to());
    let byte = bytes.get(at).copied().unwrap_or(0);
    format!("is not UTF-8 (byte 0x{byte:02X}); if it comes from Windows or Excel, set encoding = \"windows-1252\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_gets_a_name_of_its_own() {
        assert_eq!(
            column_names(["a", " b ", "", "a", "a_2", "", "a"].into_iter()),
            ["a", "b", "column_3", "a_2", "a_2_2", "column_6", "a_3"]
        );
    }

    #[test]
    fn delimiters_are_written_as_they_are_read() {
        for text in [",", ";", "tab", "|", "whitespace", " "] {
            assert_eq!(String::from(Delimiter::try_from(text.to_owned()).unwrap()), text);
        }
        for text in ["", "ab", "\"", "\n", "é"] {
            assert!(Delimiter::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }
}
