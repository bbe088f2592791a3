//! A text line by line, each line bounded.

use std::io;

use super::{Progress, source::Buffer};
use crate::{BAD_ROW_BYTES_MAX, ROW_BYTES_MAX};

/// The lines of a text that are not blank.
pub(super) struct Lines {
    buffer: Buffer,
    /// Bytes of the current line, its end included, and without.
    taken: usize,
    len: usize,
    /// The number of the current line, from 1.
    pub(super) line: u64,
}

/// What `Lines::advance` came to.
pub(super) enum Line {
    End,
    /// It is in [`Lines::current`].
    Whole,
    /// It has more than [`ROW_BYTES_MAX`] bytes; these are the first.
    TooLong(Vec<u8>),
}

impl Lines {
    pub(super) fn new(buffer: Buffer) -> Lines {
        Lines { buffer, taken: 0, len: 0, line: 0 }
    }

    /// The current line without its end.
    pub(super) fn current(&self) -> &[u8] {
        &self.buffer.bytes()[..self.len]
    }

    /// Goes back to the start of the current line, which then comes again.
    pub(super) fn put_back(&mut self) {
        self.taken = 0;
        self.line -= 1;
    }

    pub(super) fn progress(&self) -> Progress {
        self.buffer.progress()
    }

    /// Goes to the next line that is not blank.
    pub(super) fn advance(&mut self) -> io::Result<Line> {
        loop {
            let line = self.step()?;
            if !matches!(line, Line::Whole) || !self.current().trim_ascii().is_empty() {
                return Ok(line);
            }
        }
    }

    fn step(&mut self) -> io::Result<Line> {
        self.buffer.consume(self.taken);
        (self.taken, self.len) = (0, 0);
        let mut seen = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer.bytes()[seen..]) {
                return Ok(self.take(seen + at, seen + at + 1));
            }
            seen = self.buffer.bytes().len();
            if seen > ROW_BYTES_MAX {
                return self.skip();
            }
            if !self.buffer.fill()? {
                return Ok(if seen == 0 { Line::End } else { self.take(seen, seen) });
            }
        }
    }

    fn take(&mut self, len: usize, taken: usize) -> Line {
        self.line += 1;
        self.taken = taken;
        self.len = if self.buffer.bytes()[..len].ends_with(b"\r") { len - 1 } else { len };
        if self.len > ROW_BYTES_MAX { Line::TooLong(self.current()[..BAD_ROW_BYTES_MAX].to_vec()) } else { Line::Whole }
    }

    fn skip(&mut self) -> io::Result<Line> {
        let first = self.buffer.bytes()[..BAD_ROW_BYTES_MAX].to_vec();
        loop {
            self.buffer.consume(self.buffer.bytes().len());
            if !self.buffer.fill()? {
                break;
            }
            if let Some(at) = memchr::memchr(b'\n', self.buffer.bytes()) {
                self.taken = at + 1;
                break;
            }
        }
        self.line += 1;
        Ok(Line::TooLong(first))
    }
}
