//! The first rows of a file, column by column: what a mapping is checked against and guessed from.

use std::path::Path;

use onefold_model::{
    event::{Fields, Kind},
    json,
};

use super::{Delimiter, OpenError, ReadOptions, open_detected, source};
use crate::{
    format::{Format, detect},
    row::{BadRow, Cell, CellKind, Data, Row, RowError},
    sniff,
};

/// Bytes of cells that a sample holds.
const SAMPLE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The first rows of a file.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The file's format.
    pub format: Format,
    /// The delimiter of a delimited file.
    pub delimiter: Option<Delimiter>,
    /// Whether a delimited file was found to have no header.
    pub headless: bool,
    /// The encoding that must be named to read the file, if it is not UTF-8.
    pub encoding: Option<&'static str>,
    /// The columns in their order; of JSON rows the members in the order in which they were first seen.
    pub columns: Vec<SampleColumn>,
    /// Good rows looked at.
    pub rows: u64,
    /// How many of them are events as the Segment and RudderStack APIs take them.
    pub event_rows: u64,
    /// Bad rows among them.
    pub bad: Vec<BadRow>,
}

/// A column and what stands in it.
#[derive(Debug, Clone)]
pub struct SampleColumn {
    /// Its name.
    pub name: String,
    /// Its cells that are not empty: of which kind each is in the file, and its text; that of JSON is left out.
    pub cells: Vec<(CellKind, String)>,
}

/// Reads at most the first `rows_max` rows of the file at `path`. A file that is not UTF-8 is read in the encoding that
/// it most likely has, if `options` names none.
pub fn sample(path: &Path, options: &ReadOptions, rows_max: u64) -> Result<Sample, OpenError> {
    let mut options = options.clone();
    let encoding = if options.encoding.is_none() { needed_encoding(path, &options)? } else { None };
    if let Some(encoding) = encoding {
        options.encoding = Some(encoding.to_owned());
    }
    let (mut rows, opened) = open_detected(path, &options)?;
    let names = rows.columns().unwrap_or_default().to_vec();
    let mut sample = Sample {
        format: opened.format,
        delimiter: opened.delimiter,
        headless: opened.headless,
        encoding,
        columns: names.into_iter().map(|name| SampleColumn { name, cells: vec![] }).collect(),
        rows: 0,
        event_rows: 0,
        bad: vec![],
    };
    let mut bytes = 0;
    while sample.rows + (sample.bad.len() as u64) < rows_max && bytes < SAMPLE_BYTES_MAX {
        match rows.next() {
            None | Some(Err(RowError::Stopped { .. })) => break,
            Some(Err(RowError::Bad(bad))) => sample.bad.push(bad),
            Some(Ok(row)) => bytes += sample.take(&row),
        }
    }
    Ok(sample)
}

fn needed_encoding(path: &Path, options: &ReadOptions) -> Result<Option<&'static str>, OpenError> {
    let format = match options.format {
        Some(format) => format,
        None => detect(path)?.format,
    };
    // JSON is UTF-8 (RFC 8259).
    if format != Format::Csv {
        return Ok(None);
    }
    let head = source::head(path, source::compression(path)?, None, 16 * source::HEAD_BYTES)?;
    Ok(sniff::encoding(&head))
}

impl Sample {
    /// Takes a row in, and gives the bytes that it added.
    fn take(&mut self, row: &Row<'_>) -> usize {
        self.rows += 1;
        let mut bytes = 0;
        match &row.data {
            Data::Cells(cells) => {
                for (i, column) in self.columns.iter_mut().enumerate() {
                    bytes += column.take(&cells.get(i));
                }
            }
            Data::Json(members) => {
                self.event_rows += u64::from(is_event(row.raw));
                for (name, value) in &members.0 {
                    let place = self.columns.iter().position(|column| column.name == *name);
                    let place = place.unwrap_or_else(|| {
                        self.columns.push(SampleColumn { name: name.to_string(), cells: vec![] });
                        bytes += name.len();
                        self.columns.len() - 1
                    });
                    bytes += self.columns[place].take(&Cell::of_json(value));
                }
            }
        }
        bytes
    }
}

impl SampleColumn {
    fn take(&mut self, cell: &Cell<'_>) -> usize {
        let (kind, text) = match cell {
            Cell::Empty => return 0,
            Cell::Text(text) if text.trim().is_empty() => return 0,
            Cell::Text(text) => (CellKind::Text, text.as_ref()),
            Cell::Number(text) => (CellKind::Number, *text),
            Cell::Time(text) => (CellKind::Time, *text),
            Cell::Bool(value) => (CellKind::Bool, if *value { "true" } else { "false" }),
            Cell::Json(_) => (CellKind::Json, ""),
        };
        self.cells.push((kind, text.to_owned()));
        text.len() + 1
    }
}

/// Whether a JSON row has the shape of an event: a known `type`, and someone or something it is about.
fn is_event(raw: &[u8]) -> bool {
    let Some(fields) = std::str::from_utf8(raw).ok().and_then(|json| Fields::read(json).ok()) else { return false };
    let kind = fields.kind.and_then(json::text).and_then(|name| Kind::from_name(&name));
    let about = fields.user_id.or(fields.anonymous_id).or(fields.object_id).or(fields.merge_properties);
    kind.is_some() && (about.is_some() || fields.context.is_some())
}
