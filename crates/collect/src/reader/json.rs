//! JSON documents read element by element: an array of objects, an object that holds one, or objects one after the
//! other.
//!
//! A parser of whole documents would hold the file in memory. Here only brackets and strings are followed, to find where
//! an element ends; the element itself is then read as a line of NDJSON is. A bad element costs itself; text between
//! elements that is no JSON ends the file, since nothing tells where the next begins.

use std::io;

use super::{Progress, Rows, ndjson::object_row, source::Buffer};
use crate::{
    BAD_ROW_BYTES_MAX, ROW_BYTES_MAX,
    row::{BadRow, Row, RowError},
};

/// The rows of a JSON document.
pub(super) struct JsonRows {
    buffer: Buffer,
    list: Option<String>,
    state: State,
    /// Bytes of the current element.
    taken: usize,
    /// The line of the front of the buffer, and that on which the current element begins.
    line: u64,
    row_line: u64,
    number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing read yet.
    Start,
    /// Between the elements of an array, which may stand in an object.
    InArray {
        in_object: bool,
    },
    /// Between objects that stand one after the other.
    Sequence,
    Ended,
}

/// What stands at the front of the buffer.
enum Element {
    End,
    Whole,
    TooLong(Vec<u8>),
}

/// Why no more rows can be read, as a sentence.
struct Stop(String);

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop(error.to_string())
    }
}

impl JsonRows {
    pub(super) fn new(buffer: Buffer, list: Option<String>) -> JsonRows {
        JsonRows { buffer, list, state: State::Start, taken: 0, line: 1, row_line: 1, number: 0 }
    }

    fn consume(&mut self, n: usize) {
        let bytes = &self.buffer.bytes()[..n];
        self.line += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.buffer.consume(n);
    }

    /// Goes to the next byte that is not white space.
    fn skip_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            let bytes = self.buffer.bytes();
            let space = bytes.iter().take_while(|b| b.is_ascii_whitespace()).count();
            let next = bytes.get(space).copied();
            self.consume(space);
            if next.is_some() || !self.buffer.fill()? {
                return Ok(next);
            }
        }
    }

    fn unexpected(&self, found: Option<u8>, wanted: &str) -> Stop {
        let found = match found {
            Some(byte) if byte.is_ascii_graphic() => format!("{:?} stands", char::from(byte)),
            Some(byte) => format!("byte 0x{byte:02X} stands"),
            None => "the file ends".to_owned(),
        };
        Stop(format!("line {}: {found} where {wanted} is wanted", self.line))
    }

    /// Goes to the next element.
    fn advance(&mut self) -> Result<Element, Stop> {
        self.consume(self.taken);
        self.taken = 0;
        if self.state == State::Start {
            match self.skip_space()? {
                None => return Ok(Element::End),
                Some(b'[') => {
                    self.consume(1);
                    self.state = State::InArray { in_object: false };
                }
                Some(b'{') => self.enter_object()?,
                other => return Err(self.unexpected(other, "an array or object")),
            }
        }
        match (self.state, self.skip_space()?) {
            (State::InArray { in_object }, Some(b']')) => {
                self.consume(1);
                self.finish(in_object)?;
                Ok(Element::End)
            }
            (State::InArray { .. }, None) => Err(self.unexpected(None, "]")),
            (State::InArray { in_object }, Some(b',')) if self.number > 0 => {
                self.consume(1);
                match self.skip_space()? {
                    Some(b']') => {
                        self.consume(1);
                        self.finish(in_object)?;
                        Ok(Element::End)
                    }
                    other @ (Some(b',') | None) => Err(self.unexpected(other, "an element")),
                    Some(_) => self.element(),
                }
            }
            (State::InArray { .. }, Some(other)) if self.number > 0 => Err(self.unexpected(Some(other), ", or ]")),
            (State::InArray { .. }, Some(_)) => self.element(),
            (State::Sequence, Some(b'{')) => self.element(),
            (State::Sequence, Some(b',')) if self.number > 0 => Err(self.unexpected(Some(b','), "an object")),
            (State::Sequence, Some(other)) => Err(self.unexpected(Some(other), "an object")),
            (State::Sequence | State::Ended | State::Start, _) => Ok(Element::End),
        }
    }

    /// Finds where the element at the front ends.
    fn element(&mut self) -> Result<Element, Stop> {
        self.row_line = self.line;
        let mut scan = Scan::default();
        let mut at = 0;
        let mut first: Option<Vec<u8>> = None;
        loop {
            if let Some(end) = scan.feed(&self.buffer.bytes()[at..]) {
                at += end;
                break;
            }
            at = self.buffer.bytes().len();
            if at > ROW_BYTES_MAX {
                first.get_or_insert(self.buffer.bytes()[..BAD_ROW_BYTES_MAX].to_vec());
                self.consume(at);
                at = 0;
            }
            if !self.buffer.fill()? {
                if scan.is_scalar() {
                    break;
                }
                return Err(self.unexpected(None, "the end of an element"));
            }
        }
        if at == 0 && first.is_none() {
            return Err(self.unexpected(self.buffer.bytes().first().copied(), "an element"));
        }
        self.taken = at;
        Ok(match first {
            None if at > ROW_BYTES_MAX => Element::TooLong(self.buffer.bytes()[..BAD_ROW_BYTES_MAX].to_vec()),
            None => Element::Whole,
            Some(first) => Element::TooLong(first),
        })
    }

    /// The document is an object: goes into its list of rows if it has one, else takes the object as a row.
    fn enter_object(&mut self) -> Result<(), Stop> {
        let mut at = 1;
        loop {
            at = self.space_from(at)?;
            match self.buffer.bytes().get(at) {
                Some(b'"') => {}
                Some(b',') => {
                    at += 1;
                    continue;
                }
                // The end of it, or no JSON, about which the row will say more.
                _ => break,
            }
            let name_end = self.value_end(at)?;
            let name: String = serde_json::from_slice(&self.buffer.bytes()[at..name_end]).unwrap_or_default();
            at = self.space_from(name_end)?;
            if self.buffer.bytes().get(at) != Some(&b':') {
                break;
            }
            at = self.space_from(at + 1)?;
            let wanted = self.list.as_ref().is_none_or(|list| *list == name);
            if wanted && self.is_list_at(at)? {
                self.consume(at + 1);
                self.state = State::InArray { in_object: true };
                return Ok(());
            }
            at = self.value_end(at)?;
            if at > ROW_BYTES_MAX {
                return Err(Stop(format!(
                    "the document is an object of which the first {ROW_BYTES_MAX} bytes hold no list of objects"
                )));
            }
        }
        if let Some(list) = &self.list {
            return Err(Stop(format!("the document has no list of objects called {list:?}")));
        }
        self.state = State::Sequence;
        Ok(())
    }

    /// Whether an array stands at `at`, of objects where no list was named.
    fn is_list_at(&mut self, at: usize) -> io::Result<bool> {
        if self.buffer.bytes().get(at) != Some(&b'[') {
            return Ok(false);
        }
        let inner = self.space_from(at + 1)?;
        Ok(self.list.is_some() || self.buffer.bytes().get(inner) == Some(&b'{'))
    }

    /// The place from `at` on at which something other than white space stands, or the end.
    fn space_from(&mut self, mut at: usize) -> io::Result<usize> {
        loop {
            let rest = self.buffer.bytes().get(at..).unwrap_or_default();
            let space = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
            let ends_here = space < rest.len();
            at += space;
            if ends_here || at > ROW_BYTES_MAX || !self.buffer.fill()? {
                return Ok(at);
            }
        }
    }

    /// Where the value that begins at `start` ends, or the end of the file, or a place beyond the bound.
    fn value_end(&mut self, start: usize) -> io::Result<usize> {
        let mut scan = Scan::default();
        let mut at = start;
        loop {
            if let Some(end) = scan.feed(self.buffer.bytes().get(at..).unwrap_or_default()) {
                return Ok((at + end).max(start + 1));
            }
            at = self.buffer.bytes().len();
            if at > ROW_BYTES_MAX || !self.buffer.fill()? {
                return Ok(at.max(start + 1));
            }
        }
    }

    /// The list has ended: what follows may hold no second one, which would be left out in silence.
    fn finish(&mut self, in_object: bool) -> Result<(), Stop> {
        self.state = State::Ended;
        if self.list.is_some() {
            return Ok(());
        }
        if !in_object {
            return self.expect_end();
        }
        while let Some(byte @ (b',' | b'"')) = self.skip_space()? {
            if byte == b',' {
                self.consume(1);
                continue;
            }
            let end = self.value_end(0)?.min(self.buffer.bytes().len());
            let name = String::from_utf8_lossy(&self.buffer.bytes()[..end]).into_owned();
            self.consume(end);
            if self.skip_space()? == Some(b':') {
                self.consume(1);
                self.skip_space()?;
                if self.is_list_at(0)? {
                    return Err(Stop(format!(
                        "the document holds a second list of objects, {name}, which was not read; name the one to import with list = …"
                    )));
                }
                self.element()?;
                self.consume(self.taken);
                self.taken = 0;
            }
        }
        if self.skip_space()? == Some(b'}') {
            self.consume(1);
        }
        self.expect_end()
    }

    fn expect_end(&mut self) -> Result<(), Stop> {
        match self.skip_space()? {
            None => Ok(()),
            other => Err(self.unexpected(other, "the end of the file")),
        }
    }
}

impl Rows for JsonRows {
    fn columns(&self) -> Option<&[String]> {
        None
    }

    fn next(&mut self) -> Option<Result<Row<'_>, RowError>> {
        if self.state == State::Ended {
            return None;
        }
        match self.advance() {
            Ok(Element::Whole) => {
                self.number += 1;
                let raw = &self.buffer.bytes()[..self.taken];
                Some(object_row(self.number, self.row_line, raw).map_err(RowError::Bad))
            }
            Ok(Element::TooLong(first)) => {
                self.number += 1;
                let reason = format!("has more than {ROW_BYTES_MAX} bytes");
                Some(Err(BadRow::new(self.number, self.row_line, reason, &first).into()))
            }
            Ok(Element::End) => {
                self.state = State::Ended;
                None
            }
            Err(Stop(cause)) => {
                self.state = State::Ended;
                Some(Err(RowError::Stopped { rows: self.number, cause }))
            }
        }
    }

    fn progress(&self) -> Progress {
        self.buffer.progress()
    }
}

/// Follows brackets and strings until one value has ended.
#[derive(Debug, Default)]
struct Scan {
    depth: u64,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl Scan {
    /// Whether what was fed so far is a value that ends where the text does.
    fn is_scalar(&self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }

    /// Takes more of the text; gives the bytes of it that belong to the value, once it has ended.
    fn feed(&mut self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < text.len() {
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                    at += 1;
                    continue;
                }
                let found = memchr::memchr2(b'"', b'\\', &text[at..])?;
                at += found + 1;
                if text[at - 1] == b'\\' {
                    self.escaped = true;
                    continue;
                }
                self.in_string = false;
                if self.depth == 0 {
                    return Some(at);
                }
                continue;
            }
            match text[at] {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth == 0 => return Some(at),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                b',' if self.depth == 0 => return Some(at),
                byte if self.depth == 0 && self.begun && byte.is_ascii_whitespace() => return Some(at),
                _ => {}
            }
            self.begun = true;
            at += 1;
        }
        None
    }
}
