//! What a column holds, judged by its first values.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::names;
use crate::{
    mapping::number,
    reader::{Delimiter, Sample, SampleColumn},
    row::{Cell, CellKind},
    time::TimeReader,
};

/// What people and programs write for nothing.
const NULLS: [&str; 12] = ["NULL", "null", "Null", "N/A", "n/a", "NA", "#N/A", "\\N", "None", "nil", "-", "undefined"];

/// Forms of days, tried in this order after ISO 8601; where the first two of numbers only both fit, nothing tells them
/// apart but custom.
const DAYS: [&str; 10] = [
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%d-%b-%Y",
];
/// Forms of a time of day behind the day.
const CLOCKS: [&str; 6] = ["", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", " %I:%M %p", " %I:%M:%S %p"];

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing in any row.
    Empty,
    /// What the file's own types say.
    Typed,
    Number {
        decimal: Option<char>,
    },
    Boolean,
    Time(TimeForm),
    Json,
    Text,
}

/// How a column writes times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeForm {
    /// As in a mapping; `None`: needs none.
    pub(super) format: Option<String>,
    /// Whether day and month could be the other way round.
    pub(super) ambiguous: bool,
}

/// A column with what was found out about it.
pub(super) struct Column<'a> {
    pub(super) name: &'a str,
    /// The name in lower-case letters and digits only.
    pub(super) key: String,
    pub(super) content: Content,
    /// The form of its times, if it could be the time of an event: numbers of an epoch and typed cells too.
    pub(super) time: Option<TimeForm>,
    pub(super) distinct: usize,
    /// Values that stand for nothing.
    pub(super) nulls: BTreeSet<&'static str>,
    /// Whether its values look like international phone numbers.
    pub(super) international: bool,
}

impl<'a> Column<'a> {
    pub(super) fn of(column: &'a SampleColumn, sample: &Sample) -> Column<'a> {
        let key = names::key(&column.name);
        let typed = column.cells.iter().any(|(kind, _)| *kind != CellKind::Text) || sample.columns_are_typed();
        let mut nulls = BTreeSet::new();
        let values: Vec<&str> = column
            .cells
            .iter()
            .map(|(_, text)| text.trim())
            .filter(|text| match NULLS.iter().find(|null| *null == text) {
                Some(null) => {
                    nulls.insert(*null);
                    false
                }
                None => true,
            })
            .collect();
        let semicolons = sample.delimiter == Some(Delimiter::Byte(b';'));
        let time = time_form(&values, names::is_time(&key), semicolons);
        let content = if values.is_empty() {
            Content::Empty
        } else if typed {
            Content::Typed
        } else {
            content(&values, &key, time.as_ref(), semicolons)
        };
        Column {
            name: &column.name,
            content,
            time,
            distinct: values.iter().collect::<BTreeSet<_>>().len(),
            nulls,
            international: !values.is_empty() && values.iter().all(|v| v.starts_with('+') || v.starts_with("00")),
            key,
        }
    }
}

fn content(values: &[&str], key: &str, time: Option<&TimeForm>, semicolons: bool) -> Content {
    if let Some(time) = time {
        return Content::Time(time.clone());
    }
    if values.iter().all(|v| is_word(v, &["true", "false", "yes", "no", "t", "f", "y", "n"])) {
        return Content::Boolean;
    }
    if values.iter().all(|v| v.starts_with(['{', '[']) && serde_json::from_str::<&RawValue>(v).is_ok()) {
        return Content::Json;
    }
    // Codes of digits are no amounts: they lose their leading zeros, and are not summed.
    let is_code =
        |v: &&str| v.len() > 1 && v.starts_with('0') && v.bytes().all(|b| b.is_ascii_digit()) || v.starts_with('+');
    if names::is_code(key) || values.iter().any(is_code) {
        return Content::Text;
    }
    let order = if semicolons { [None, Some(','), Some('.')] } else { [None, Some('.'), Some(',')] };
    match order.into_iter().find(|decimal| values.iter().all(|v| number(v, *decimal).is_some())) {
        Some(decimal) => Content::Number { decimal },
        None => Content::Text,
    }
}

fn is_word(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// The form in which every one of `values` is a time. Plain digits are one only under a name of time.
fn time_form(values: &[&str], named_time: bool, semicolons: bool) -> Option<TimeForm> {
    let first = values.first()?;
    let plain = |format: Option<&str>| TimeForm { format: format.map(str::to_owned), ambiguous: false };
    let all = |format: Option<&str>| {
        let reader = TimeReader::new(format, None).ok();
        reader.is_some_and(|reader| values.iter().all(|v| reader.time_of(&Cell::Text((*v).into())).is_some()))
    };
    if values.iter().all(|v| v.bytes().all(|b| b.is_ascii_digit())) {
        return (named_time && all(None)).then(|| plain(None));
    }
    if !first.bytes().any(|b| b.is_ascii_digit()) && !first.contains(' ') {
        return None;
    }
    if all(None) {
        return Some(plain(None));
    }
    let fits = |day: &str| CLOCKS.iter().map(|clock| format!("{day}{clock}")).find(|format| all(Some(format)));
    let found = DAYS.iter().find_map(|day| fits(day).map(|format| (*day, format)))?;
    let other = match found.0 {
        "%d/%m/%Y" => fits("%m/%d/%Y"),
        "%d-%m-%Y" => fits("%m-%d-%Y"),
        _ => None,
    };
    Some(match other {
        // Files with semicolons come from where the day stands first.
        Some(other) => TimeForm { format: Some(if semicolons { found.1 } else { other }), ambiguous: true },
        None => plain(Some(&found.1)),
    })
}
