//! Guesses from the first bytes of a text: its delimiter, whether it has a header, its encoding, which JSON it is.

use csv_core::{ReadRecordResult, ReaderBuilder};
use serde_json::value::RawValue;

use crate::{format::Format, reader::Delimiter};

/// Records that are looked at to tell a delimiter.
const RECORDS: usize = 25;

/// Which JSON format `head` begins as; `None` where it begins as none. The last line of `head` may be cut off.
pub(crate) fn json_format(head: &[u8]) -> Option<Format> {
    let text = head.trim_ascii_start();
    match text.first()? {
        b'[' => Some(Format::Json),
        b'{' => {
            let mut lines = text.split(|b| *b == b'\n');
            let first = lines.next()?;
            let whole = serde_json::from_slice::<&RawValue>(first).is_ok();
            // An object that alone fills the head is a long line rather than a document.
            let cut = lines.next().is_none() && head.len() >= crate::reader::source::HEAD_BYTES;
            Some(if whole || cut { Format::Ndjson } else { Format::Json })
        }
        _ => None,
    }
}

/// The delimiter of `head`: the one by which the most records have as many fields as the first, and more than one.
pub(crate) fn delimiter(head: &[u8]) -> Delimiter {
    let mut best = (0.0, 0, Delimiter::Byte(b','));
    for byte in [b',', b';', b'\t', b'|'] {
        let counts = field_counts(head, byte);
        let Some(&first) = counts.first().filter(|first| **first > 1) else { continue };
        let alike = counts.iter().filter(|count| **count == first).count() as f64 / counts.len() as f64;
        if (alike, first) > (best.0, best.1) {
            best = (alike, first, Delimiter::Byte(byte));
        }
    }
    if best.1 == 0 && is_whitespace_separated(head) { Delimiter::Whitespace } else { best.2 }
}

/// The fields of each of the first records; the last, which may be cut off, only where it is the only one.
fn field_counts(head: &[u8], delimiter: u8) -> Vec<usize> {
    let mut reader = ReaderBuilder::new().delimiter(delimiter).build();
    let (mut rest, mut counts) = (head, vec![]);
    let (mut text, mut ends) = (vec![0; head.len() + 1], vec![0; head.len() + 1]);
    while counts.len() < RECORDS {
        let (result, read, _, fields) = reader.read_record(rest, &mut text, &mut ends);
        rest = &rest[read..];
        match result {
            ReadRecordResult::Record => counts.push(fields),
            // A cut-off record ends with the field it is in.
            ReadRecordResult::InputEmpty if counts.is_empty() => return vec![fields + 1],
            _ => break,
        }
    }
    counts
}

fn is_whitespace_separated(head: &[u8]) -> bool {
    let mut lines: Vec<&[u8]> = head.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
    if lines.len() > 1 {
        lines.pop();
    }
    let fields = |line: &[u8]| line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).count();
    let Some(first) = lines.first() else { return false };
    let numbers = String::from_utf8_lossy(first).split_ascii_whitespace().all(is_number);
    let count = fields(first);
    count > 1 && numbers && lines.iter().all(|line| fields(line) == count)
}

/// Whether a first record of these fields is data: nobody names all columns by numbers.
pub(crate) fn is_headless<'a>(mut fields: impl Iterator<Item = &'a str>) -> bool {
    fields.all(|field| is_number(field.trim()))
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.')) && text.parse::<f64>().is_ok()
}

/// The encoding to read `head` with where it is not UTF-8; `head` may end within a character.
pub(crate) fn encoding(head: &[u8]) -> Option<&'static str> {
    match std::str::from_utf8(head) {
        Err(error) if error.error_len().is_some() => Some("windows-1252"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_one_that_makes_equal_records() {
        let check = |text: &str, expect: Delimiter| assert_eq!(delimiter(text.as_bytes()), expect, "{text:?}");
        check("a,b\n1,2\n", Delimiter::Byte(b','));
        check("a;b;c\n1,5;2;x\n2,5;3;y\n", Delimiter::Byte(b';'));
        check("a\tb\n\"x\ty\"\t2\n", Delimiter::Byte(b'\t'));
        check("name|note\nx|a,b\n", Delimiter::Byte(b'|'));
        check("note;x\n\"a,b\nc,d\";1\n", Delimiter::Byte(b';'));
        check("a,b", Delimiter::Byte(b','));
        check("one\n1\n2\n", Delimiter::Byte(b','));
        check(" 00004 0001 19970101  2   29.33\r\n 00004 0001 19970118  2   29.73\r\n", Delimiter::Whitespace);
        check("a sentence\nof words\n", Delimiter::Byte(b','));
        check("", Delimiter::Byte(b','));
    }

    #[test]
    fn only_numbers_are_no_header() {
        assert!(is_headless(["1", " 2.5", "-3"].into_iter()));
        assert!(!is_headless(["1", "name"].into_iter()));
        assert!(!is_headless(["1", "inf"].into_iter()));
    }

    #[test]
    fn latin_1_is_told_from_utf_8_cut_off() {
        assert_eq!(encoding("Zoë".as_bytes()), None);
        assert_eq!(encoding(&"Zoë".as_bytes()[..3]), None);
        assert_eq!(encoding(b"Zo\xeb,1"), Some("windows-1252"));
    }
}
