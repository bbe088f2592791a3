//! Fields separated by runs of spaces and tabs, a record a line, as statistics packages and old systems write them.

use std::path::Path;

use super::{
    OpenError, Progress, ReadOptions, Rows, column_names,
    lines::{Line, Lines},
    not_utf8,
    source::Buffer,
};
use crate::{
    COLUMNS_MAX, ROW_BYTES_MAX,
    row::{BadRow, Cells, Data, Row, RowError},
    sniff,
};

/// The rows of a whitespace-separated file.
pub(super) struct WhitespaceRows {
    lines: Lines,
    columns: Vec<String>,
    ragged: bool,
    /// Whether a first line of nothing but numbers was taken for data.
    pub(super) headless: bool,
    text: String,
    ends: Vec<usize>,
    number: u64,
    stopped: bool,
}

impl WhitespaceRows {
    pub(super) fn open(path: &Path, buffer: Buffer, options: &ReadOptions) -> Result<WhitespaceRows, OpenError> {
        let mut rows = WhitespaceRows {
            lines: Lines::new(buffer),
            columns: options.columns.clone(),
            ragged: options.ragged,
            headless: false,
            text: String::new(),
            ends: vec![],
            number: 0,
            stopped: false,
        };
        if !rows.columns.is_empty() {
            return Ok(rows);
        }
        let header = |problem: String| OpenError::Header { path: path.to_owned(), problem };
        match rows.lines.advance().map_err(|source| OpenError::Io { path: path.to_owned(), source })? {
            Line::End => return Err(OpenError::Empty { path: path.to_owned() }),
            Line::TooLong(_) => return Err(header(format!("has more than {ROW_BYTES_MAX} bytes"))),
            Line::Whole => {}
        }
        let line = std::str::from_utf8(rows.lines.current()).map_err(|_| header(not_utf8(rows.lines.current())))?;
        if line.split_ascii_whitespace().count() > COLUMNS_MAX {
            return Err(header(format!("has more than {COLUMNS_MAX} columns")));
        }
        rows.headless = sniff::is_headless(line.split_ascii_whitespace());
        if rows.headless {
            rows.columns = column_names(line.split_ascii_whitespace().map(|_| ""));
            rows.lines.put_back();
        } else {
            rows.columns = column_names(line.split_ascii_whitespace());
        }
        Ok(rows)
    }

    /// Splits the current line.
    fn split(&mut self) -> Result<(), String> {
        self.text.clear();
        self.ends.clear();
        let line = std::str::from_utf8(self.lines.current()).map_err(|_| not_utf8(self.lines.current()))?;
        for field in line.split_ascii_whitespace() {
            self.text.push_str(field);
            self.ends.push(self.text.len());
        }
        if self.ragged && self.ends.len() < self.columns.len() {
            self.ends.resize(self.columns.len(), self.text.len());
        }
        if self.ends.len() == self.columns.len() {
            return Ok(());
        }
        Err(format!("has {} columns, and {} have names", self.ends.len(), self.columns.len()))
    }
}

impl Rows for WhitespaceRows {
    fn columns(&self) -> Option<&[String]> {
        Some(&self.columns)
    }

    fn next(&mut self) -> Option<Result<Row<'_>, RowError>> {
        if self.stopped {
            return None;
        }
        let line = self.lines.advance();
        self.number += 1;
        let (number, bad_line) = (self.number, self.lines.line);
        match line {
            Ok(Line::Whole) => {
                if let Err(reason) = self.split() {
                    return Some(Err(BadRow::new(number, bad_line, reason, self.lines.current()).into()));
                }
                let data = Data::Cells(Cells::of_text(&self.text, &self.ends));
                Some(Ok(Row { number, line: bad_line, raw: self.lines.current(), data }))
            }
            Ok(Line::TooLong(first)) => {
                let reason = format!("has more than {ROW_BYTES_MAX} bytes");
                Some(Err(BadRow::new(number, bad_line, reason, &first).into()))
            }
            Ok(Line::End) => {
                self.stopped = true;
                None
            }
            Err(error) => {
                self.stopped = true;
                Some(Err(RowError::Stopped { rows: number - 1, cause: error.to_string() }))
            }
        }
    }

    fn progress(&self) -> Progress {
        self.lines.progress()
    }
}
