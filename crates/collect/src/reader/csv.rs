//! Delimited text (RFC 4180 and what people make of it).
//!
//! `csv-core` tells fields; the window on the file is ours, because three things need the bytes of the record: the bad
//! row's own bytes are kept, a record is bounded, and a quote that is never closed must cost one row and not the rest of
//! the file. In that case the first line of the record is bad and reading goes on with the second.

use std::{io, path::Path};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::{OpenError, Progress, ReadOptions, Rows, column_names, not_utf8, source::Buffer};
use crate::{
    BAD_ROW_BYTES_MAX, COLUMNS_MAX, ROW_BYTES_MAX,
    row::{BadRow, Cells, Data, Row, RowError},
    sniff,
};

/// The rows of a delimited file.
pub(super) struct CsvRows {
    buffer: Buffer,
    /// Never cloned: `csv-core` 0.1 leaves out half of a reader's tables then.
    parser: Reader,
    columns: Vec<String>,
    ragged: bool,
    /// Whether a first record of nothing but numbers was taken for data.
    pub(super) headless: bool,
    /// The fields of the current record end to end, unquoted, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    text_len: usize,
    ends_len: usize,
    /// Bytes of the current record in the buffer.
    taken: usize,
    /// The line on which the current record begins, and the lines it has.
    line: u64,
    lines: u64,
    number: u64,
    stopped: bool,
}

enum Record {
    End,
    Whole,
    Bad { reason: String, raw: Vec<u8> },
}

impl CsvRows {
    pub(super) fn open(
        path: &Path,
        buffer: Buffer,
        delimiter: u8,
        options: &ReadOptions,
    ) -> Result<CsvRows, OpenError> {
        let mut rows = CsvRows {
            buffer,
            parser: ReaderBuilder::new().delimiter(delimiter).build(),
            columns: options.columns.clone(),
            ragged: options.ragged,
            headless: false,
            text: vec![0; 4096],
            ends: vec![0; 64],
            text_len: 0,
            ends_len: 0,
            taken: 0,
            line: 1,
            lines: 0,
            number: 0,
            stopped: false,
        };
        if rows.columns.is_empty() {
            rows.read_header(path)?;
        }
        Ok(rows)
    }

    fn read_header(&mut self, path: &Path) -> Result<(), OpenError> {
        let header = |problem: String| OpenError::Header { path: path.to_owned(), problem };
        match self.record().map_err(|source| OpenError::Io { path: path.to_owned(), source })? {
            Record::End => return Err(OpenError::Empty { path: path.to_owned() }),
            Record::Bad { reason, .. } => return Err(header(reason)),
            Record::Whole => {}
        }
        let text = self.text().map_err(header)?;
        let cells = Cells::of_text(text, &self.ends[..self.ends_len]);
        let fields: Vec<String> =
            (0..cells.len()).map(|i| cells.get(i).scalar().unwrap_or_default().to_owned()).collect();
        if sniff::is_headless(fields.iter().map(String::as_str)) {
            self.headless = true;
            self.columns = column_names(fields.iter().map(|_| ""));
            // The record is read again, as the first row.
            (self.taken, self.lines) = (0, 0);
            self.parser.reset();
        } else {
            self.columns = column_names(fields.iter().map(String::as_str));
        }
        Ok(())
    }

    /// The text of the current record, if all of its fields are UTF-8.
    fn text(&self) -> Result<&str, String> {
        let bytes = &self.text[..self.text_len];
        match std::str::from_utf8(bytes) {
            // Half a character at the end of one field and half at the start of the next make a whole only by chance.
            Ok(text) if self.ends[..self.ends_len].iter().all(|end| text.is_char_boundary(*end)) => Ok(text),
            _ => {
                let mut start = 0;
                for (i, &end) in self.ends[..self.ends_len].iter().enumerate() {
                    let field = &bytes[start..end];
                    if std::str::from_utf8(field).is_err() {
                        let name = self.columns.get(i).map_or_else(|| (i + 1).to_string(), Clone::clone);
                        return Err(format!("column {name} {}", not_utf8(field)));
                    }
                    start = end;
                }
                Err(not_utf8(bytes))
            }
        }
    }

    /// Reads the next record into `text` and `ends`.
    fn record(&mut self) -> io::Result<Record> {
        self.buffer.consume(self.taken);
        self.line += self.lines;
        (self.taken, self.lines, self.text_len, self.ends_len) = (0, 0, 0, 0);
        self.skip_blank_lines()?;
        if self.buffer.peek()?.is_none() {
            return Ok(Record::End);
        }
        let mut at = 0;
        loop {
            if at == self.buffer.bytes().len() {
                if at > ROW_BYTES_MAX {
                    return self.give_up(at, None);
                }
                if self.buffer.fill()? {
                    continue;
                }
            }
            let input = &self.buffer.bytes()[at..];
            let is_end = input.is_empty();
            // The end of the file is given as the end of a line, which ends the record unless it is in quotes.
            let input = if is_end { b"\n" } else { input };
            let (result, read, written, ended) =
                self.parser.read_record(input, &mut self.text[self.text_len..], &mut self.ends[self.ends_len..]);
            at += if is_end { 0 } else { read };
            self.text_len += written;
            self.ends_len += ended;
            match result {
                ReadRecordResult::InputEmpty if is_end => return self.give_up(at, None),
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.text.len() > ROW_BYTES_MAX => return self.give_up(at, None),
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if self.ends.len() > COLUMNS_MAX => {
                    return self.give_up(at, Some(format!("has more than {COLUMNS_MAX} columns")));
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok(Record::End),
            }
        }
        self.taken = self.with_line_feed(at)?;
        let raw = &self.buffer.bytes()[..self.taken];
        self.lines = count_lines(raw);
        if at > ROW_BYTES_MAX {
            return Ok(Record::Bad { reason: too_long(), raw: raw[..BAD_ROW_BYTES_MAX].to_vec() });
        }
        Ok(Record::Whole)
    }

    /// `at`, or one more where a carriage return ends there and its line feed follows.
    fn with_line_feed(&mut self, at: usize) -> io::Result<usize> {
        if at == 0 || self.buffer.bytes()[at - 1] != b'\r' {
            return Ok(at);
        }
        self.buffer.fill_to(at + 1)?;
        Ok(if self.buffer.bytes().get(at) == Some(&b'\n') { at + 1 } else { at })
    }

    fn skip_blank_lines(&mut self) -> io::Result<()> {
        while let Some(byte @ (b'\n' | b'\r')) = self.buffer.peek()? {
            let n = if byte == b'\r' { self.with_line_feed(1)? } else { 1 };
            self.buffer.consume(n);
            self.line += 1;
        }
        Ok(())
    }

    /// Leaves the record of which `at` bytes were looked at, and goes on behind its first line.
    fn give_up(&mut self, at: usize, reason: Option<String>) -> io::Result<Record> {
        // Where a line's end does not end the record, the parser stands in quotes.
        let (end, ..) = self.parser.read_record(b"\n", &mut [0; 8], &mut [0; 8]);
        let in_quotes = end != ReadRecordResult::Record;
        self.parser.reset();
        let seen = &self.buffer.bytes()[..at];
        let line_end = memchr::memchr2(b'\n', b'\r', seen);
        let raw = seen[..line_end.unwrap_or(at).min(BAD_ROW_BYTES_MAX)].to_vec();
        let reason = reason.unwrap_or_else(|| match in_quotes {
            true => {
                "a quote that opens on this line is not closed; double every quote inside of a quoted field".to_owned()
            }
            false => too_long(),
        });
        match line_end {
            Some(end) => self.taken = self.with_line_feed(end + 1)?,
            None => self.skip_line(at)?,
        }
        self.lines = 1;
        Ok(Record::Bad { reason, raw })
    }

    /// Drops the rest of a line of which `at` bytes were looked at.
    fn skip_line(&mut self, at: usize) -> io::Result<()> {
        self.buffer.consume(at);
        loop {
            if let Some(end) = memchr::memchr2(b'\n', b'\r', self.buffer.bytes()) {
                self.taken = self.with_line_feed(end + 1)?;
                return Ok(());
            }
            self.buffer.consume(self.buffer.bytes().len());
            if !self.buffer.fill()? {
                return Ok(());
            }
        }
    }

    /// Makes the record as wide as the header where that is allowed.
    fn fit(&mut self) -> Result<(), String> {
        let columns = self.columns.len();
        if self.ragged && self.ends_len < columns {
            if self.ends.len() < columns {
                self.ends.resize(columns, 0);
            }
            self.ends[self.ends_len..columns].fill(self.text_len);
            self.ends_len = columns;
        }
        if self.ragged && columns > 0 && self.ends_len > columns && self.ends[columns - 1] == self.text_len {
            self.ends_len = columns;
        }
        if self.ends_len == columns {
            return Ok(());
        }
        Err(if self.ends_len < columns {
            format!("has {} of {columns} columns; ragged = true takes the others for empty", self.ends_len)
        } else {
            format!("has {} columns where the header has {columns}; is a delimiter not quoted?", self.ends_len)
        })
    }
}

fn too_long() -> String {
    format!("has more than {ROW_BYTES_MAX} bytes")
}

/// Line ends in a record: line feeds, or carriage returns where there are none; at least one.
fn count_lines(raw: &[u8]) -> u64 {
    let feeds = memchr::memchr_iter(b'\n', raw).count();
    (if feeds > 0 { feeds } else { memchr::memchr_iter(b'\r', raw).count() }).max(1) as u64
}

impl Rows for CsvRows {
    fn columns(&self) -> Option<&[String]> {
        Some(&self.columns)
    }

    fn next(&mut self) -> Option<Result<Row<'_>, RowError>> {
        if self.stopped {
            return None;
        }
        let bad = |rows: &CsvRows, reason: String, raw: &[u8]| {
            Some(Err(RowError::Bad(BadRow::new(rows.number, rows.line, reason, raw))))
        };
        loop {
            match self.record() {
                Ok(Record::End) => {
                    self.stopped = true;
                    return None;
                }
                Ok(Record::Bad { reason, raw }) => {
                    self.number += 1;
                    return bad(self, reason, &raw);
                }
                Ok(Record::Whole) => {}
                Err(error) => {
                    self.stopped = true;
                    return Some(Err(RowError::Stopped { rows: self.number, cause: error.to_string() }));
                }
            }
            let is_blank =
                self.ends_len == 1 && self.columns.len() > 1 && self.text[..self.text_len].trim_ascii().is_empty();
            if !is_blank {
                break;
            }
        }
        self.number += 1;
        if let Err(reason) = self.fit() {
            return bad(self, reason, &self.buffer.bytes()[..self.taken]);
        }
        let raw = &self.buffer.bytes()[..self.taken];
        match self.text() {
            Ok(text) => {
                let data = Data::Cells(Cells::of_text(text, &self.ends[..self.ends_len]));
                Some(Ok(Row { number: self.number, line: self.line, raw, data }))
            }
            Err(reason) => bad(self, reason, raw),
        }
    }

    fn progress(&self) -> Progress {
        self.buffer.progress()
    }
}
