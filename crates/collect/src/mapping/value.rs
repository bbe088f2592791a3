//! Values of traits and properties: cells in, JSON out, as the column's type says.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{ValueColumn, ValueType};
use crate::{json_out, row::Cell, time::TimeReader};

/// A column's type with all it needs.
#[derive(Debug, Clone)]
pub(super) struct ValueWriter {
    null: Vec<String>,
    convert: Convert,
}

#[derive(Debug, Clone)]
enum Convert {
    AsIs,
    Number { decimal: Option<char> },
    Boolean,
    Text,
    Date(TimeReader),
    Json,
    List { separator: String },
}

impl ValueWriter {
    /// `file_null`: what counts as nothing in every column. The error is a sentence.
    pub(super) fn new(column: &ValueColumn, file_null: &[String]) -> Result<ValueWriter, String> {
        use ValueType as T;
        let only = |key: &str, set: bool, kind: T, name: &str| match set && column.r#type != Some(kind) {
            true => Err(format!("column {}: {key} is for type = {name:?}", column.column)),
            false => Ok(()),
        };
        only("format", column.format.is_some(), T::Date, "date")?;
        only("timezone", column.timezone.is_some(), T::Date, "date")?;
        only("decimal", column.decimal.is_some(), T::Number, "number")?;
        only("separator", column.separator.is_some(), T::List, "list")?;
        let convert = match column.r#type {
            None => Convert::AsIs,
            Some(T::Number) => match column.decimal {
                None | Some('.' | ',') => Convert::Number { decimal: column.decimal },
                Some(other) => return Err(format!("column {}: decimal is . or , and not {other}", column.column)),
            },
            Some(T::Boolean) => Convert::Boolean,
            Some(T::String) => Convert::Text,
            Some(T::Date) => {
                let times = TimeReader::new(column.format.as_deref(), column.timezone.as_deref());
                Convert::Date(times.map_err(|problem| format!("column {}: {problem}", column.column))?)
            }
            Some(T::Json) => Convert::Json,
            Some(T::List) => match column.separator.as_deref().unwrap_or(",") {
                "" => return Err(format!("column {}: separator is empty", column.column)),
                separator => Convert::List { separator: separator.to_owned() },
            },
        };
        Ok(ValueWriter { null: file_null.iter().chain(&column.null).cloned().collect(), convert })
    }

    /// Appends the JSON of `cell`; `false`, and nothing appended, where it counts as nothing. The error says what the
    /// cell is not.
    pub(super) fn write(&self, cell: &Cell<'_>, out: &mut Vec<u8>) -> Result<bool, String> {
        let Some(cell) = something(cell, &self.null) else { return Ok(false) };
        match &self.convert {
            Convert::AsIs => write_as_is(cell, out),
            Convert::Text => match cell.scalar() {
                Some(text) => json_out::string(text, out),
                None => write_as_is(cell, out),
            },
            Convert::Number { decimal } => match cell {
                Cell::Number(number) => out.extend_from_slice(number.as_bytes()),
                other => {
                    let text = other.scalar().ok_or_else(|| not("number", other))?;
                    let number = number(text, *decimal).ok_or_else(|| not("number", other))?;
                    out.extend_from_slice(number.as_bytes());
                }
            },
            Convert::Boolean => {
                let value = boolean(cell).ok_or_else(|| not("boolean", cell))?;
                out.extend_from_slice(if value { b"true" } else { b"false" });
            }
            Convert::Date(times) => {
                let date = times.date_of(cell).ok_or_else(|| not("date", cell))?;
                json_out::string(&date, out);
            }
            Convert::Json => match cell {
                Cell::Text(text) => {
                    let raw: &RawValue = serde_json::from_str(text).map_err(|_| not("JSON value", cell))?;
                    out.extend_from_slice(raw.get().as_bytes());
                }
                other => write_as_is(other, out),
            },
            Convert::List { separator } => match cell {
                Cell::Json(json) if json.starts_with('[') => out.extend_from_slice(json.as_bytes()),
                other => {
                    let text = other.scalar().ok_or_else(|| not("list", other))?;
                    out.push(b'[');
                    for element in text.split(separator.as_str()).map(str::trim).filter(|element| !element.is_empty()) {
                        json_out::string(element, out);
                        out.push(b',');
                    }
                    json_out::close(b']', out);
                }
            },
        }
        Ok(true)
    }
}

/// The cell, if it does not count as nothing.
pub(super) fn something<'c, 'a>(cell: &'c Cell<'a>, null: &[String]) -> Option<&'c Cell<'a>> {
    match cell {
        Cell::Empty => None,
        Cell::Text(text) => {
            let text = text.trim();
            (!text.is_empty() && !null.iter().any(|null| null == text)).then_some(cell)
        }
        other if null.is_empty() => Some(other),
        other => other.scalar().is_none_or(|text| !null.iter().any(|null| null == text)).then_some(cell),
    }
}

fn not(what: &str, cell: &Cell<'_>) -> String {
    let found = match cell {
        Cell::Json(json) => Cow::Borrowed(*json),
        other => Cow::Owned(other.scalar().unwrap_or_default().to_owned()),
    };
    format!("holds {:?}, which is no {what}", found.chars().take(60).collect::<String>())
}

fn write_as_is(cell: &Cell<'_>, out: &mut Vec<u8>) {
    match cell {
        Cell::Empty => out.extend_from_slice(b"null"),
        Cell::Text(text) => json_out::string(text, out),
        Cell::Time(text) => json_out::string(text, out),
        Cell::Number(json) | Cell::Json(json) => out.extend_from_slice(json.as_bytes()),
        Cell::Bool(true) => out.extend_from_slice(b"true"),
        Cell::Bool(false) => out.extend_from_slice(b"false"),
    }
}

fn boolean(cell: &Cell<'_>) -> Option<bool> {
    let is = |text: &str, names: &[&str]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
    let text = cell.scalar()?.trim();
    if is(text, &["true", "t", "yes", "y", "1", "1.0"]) {
        return Some(true);
    }
    is(text, &["false", "f", "no", "n", "0", "0.0"]).then_some(false)
}

/// The JSON number that `text` writes: a sign, digits, decimals and an exponent, of which JSON wants no `+`, no leading
/// zeros and a digit on both sides of the point. With `decimal` named, thousands may be set apart.
pub(crate) fn number(text: &str, decimal: Option<char>) -> Option<Cow<'_, str>> {
    let text = text.trim();
    let Some(decimal) = decimal else {
        return if is_json_number(text) { Some(Cow::Borrowed(text)) } else { json_number(text).map(Cow::Owned) };
    };
    let is_group = |c: char| c != decimal && matches!(c, '.' | ',' | ' ' | '\u{a0}' | '\u{202f}' | '\'' | '’');
    let (whole, part) = text.split_once(decimal).map_or((text, None), |(whole, part)| (whole, Some(part)));
    let mut groups = whole.trim_start_matches(['+', '-']).split(is_group);
    let head = groups.next().unwrap_or_default().len();
    let mut tail = groups.peekable();
    // 1.5 under a decimal comma is no 15: what sets digits apart does so by threes.
    if tail.peek().is_some() && (!(1..=3).contains(&head) || tail.any(|group| group.len() != 3)) {
        return None;
    }
    let whole: String = whole.chars().filter(|c| !is_group(*c)).collect();
    json_number(&part.map_or(whole.clone(), |part| format!("{whole}.{part}"))).map(Cow::Owned)
}

fn json_number(text: &str) -> Option<String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (whole, rest) = rest.split_at(digits);
    let part = rest.strip_prefix('.').map(|part| part.starts_with(|c: char| c.is_ascii_digit()));
    let rest = if part == Some(false) { &rest[1..] } else { rest };
    if whole.is_empty() && part != Some(true) {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let json = format!("{sign}{whole}{rest}");
    is_json_number(&json).then_some(json)
}

/// RFC 8259, section 6.
fn is_json_number(text: &str) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
    let mut rest = text.as_bytes();
    rest = rest.strip_prefix(b"-").unwrap_or(rest);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let Some(part) = rest.strip_prefix(b".") {
        let count = digits(part);
        if count == 0 {
            return false;
        }
        rest = &part[count..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"-").or_else(|| exponent.strip_prefix(b"+")).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        let check = |text: &str, decimal: Option<char>, expect: Option<&str>| {
            assert_eq!(number(text, decimal).as_deref(), expect, "{text} {decimal:?}");
        };
        check("19.90", None, Some("19.90"));
        check(" -3 ", None, Some("-3"));
        check("+5", None, Some("5"));
        check("007", None, Some("7"));
        check(".5", None, Some("0.5"));
        check("5.", None, Some("5"));
        check("1e3", None, Some("1e3"));
        check("00", None, Some("0"));
        check("1,234.5", None, None);
        check("1,234.5", Some('.'), Some("1234.5"));
        check("1.234,5", Some(','), Some("1234.5"));
        check("1 234,5", Some(','), Some("1234.5"));
        check("1'234.50", Some('.'), Some("1234.50"));
        check("19.90", Some(','), None);
        check("1234567,5", Some(','), Some("1234567.5"));
        check("-1.234.567", Some(','), Some("-1234567"));
        check("", None, None);
        check("-", None, None);
        check(".", None, None);
        check("1e", None, None);
        check("NaN", None, None);
        check("12 EUR", None, None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_taken_for_a_number_is_json(text in "[-+0-9.,e' ]{0,12}") {
            for decimal in [None, Some('.'), Some(',')] {
                if let Some(number) = number(&text, decimal) {
                    proptest::prop_assert!(serde_json::from_str::<&RawValue>(&number).is_ok(), "{text} {number}");
                }
            }
        }
    }
}
