//! From tree to text.

use std::fmt::{self, Write};

use super::lexer::is_bare;
use crate::{
    Timestamp, Value,
    clock::DAY_MS,
    profile::computed::{ComputedMeasure, ComputedTrait},
    segment::ast::{Condition, EventMatch, Events, Measure, Path, Sequence, Test, Window},
};

/// A condition's text.
pub fn print(condition: &Condition) -> String {
    shown(|f| write_condition(f, condition, Around::Nothing))
}

pub(super) fn print_computed(computed: &ComputedTrait) -> String {
    let ComputedTrait { name, measure, event, window } = computed;
    let (word, path) = match measure {
        ComputedMeasure::Count => ("count", None),
        ComputedMeasure::Sum(path) => ("sum", Some(path)),
        ComputedMeasure::Average(path) => ("average", Some(path)),
        ComputedMeasure::Min(path) => ("min", Some(path)),
        ComputedMeasure::Max(path) => ("max", Some(path)),
        ComputedMeasure::FirstTime => ("first", None),
        ComputedMeasure::LastTime => ("last", None),
        ComputedMeasure::First(path) => ("first", Some(path)),
        ComputedMeasure::Last(path) => ("last", Some(path)),
        ComputedMeasure::MostFrequent(path) => ("most frequent", Some(path)),
        ComputedMeasure::Distinct(path) => ("distinct", Some(path)),
        ComputedMeasure::List(path) => ("list", Some(path)),
    };
    shown(|f| {
        write!(f, "{} = ", name_text(name))?;
        write_call(f, word, event, path)?;
        write_window(f, " ", window)
    })
}

/// A value.
pub(crate) fn print_value(value: &Value) -> String {
    value.to_json()
}

/// A window; nothing where it is all time.
pub(crate) fn print_window(window: &Window) -> String {
    shown(|f| write_window(f, "", window))
}

fn shown(write: impl Fn(&mut String) -> fmt::Result) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text);
    text
}

/// What a condition stands in, to know where it needs parentheses.
#[derive(Clone, Copy, PartialEq)]
enum Around {
    Nothing,
    Any,
    All,
    Not,
}

fn write_condition(f: &mut String, condition: &Condition, around: Around) -> fmt::Result {
    match condition {
        Condition::All(of) | Condition::Any(of) if of.len() == 1 => write_condition(f, &of[0], around),
        Condition::All(of) if of.is_empty() => f.write_str("everyone"),
        Condition::Any(of) if of.is_empty() => f.write_str("nobody"),
        Condition::All(of) => write_list(f, of, " and ", Around::All, matches!(around, Around::All | Around::Not)),
        Condition::Any(of) => write_list(f, of, " or ", Around::Any, around != Around::Nothing),
        Condition::Not(of) => {
            f.write_str("not ")?;
            write_condition(f, of, Around::Not)
        }
        Condition::Trait { name, is } => {
            write!(f, "trait {} ", name_text(name))?;
            write_test(f, is)
        }
        Condition::Computed { name, is } => {
            write!(f, "computed {} ", name_text(name))?;
            write_test(f, is)
        }
        Condition::Events(events) => write_events(f, events),
        Condition::Sequence(Sequence { first, window, then, follows, within_ms }) => {
            write_sequence_event(f, first)?;
            write_window(f, " ", window)?;
            f.write_str(if *follows { " then " } else { " then no " })?;
            write_sequence_event(f, then)?;
            within_ms.map_or(Ok(()), |ms| write!(f, " within {}", duration(ms)))
        }
        Condition::Segment(name) => write!(f, "in segment {}", quoted(name)),
        Condition::Consent { purpose, channel } => {
            write!(f, "may be reached for {}", name_text(purpose))?;
            channel.as_ref().map_or(Ok(()), |channel| write!(f, " by {}", name_text(channel)))
        }
    }
}

fn write_list(f: &mut String, of: &[Condition], word: &str, around: Around, parentheses: bool) -> fmt::Result {
    f.write_str(if parentheses { "(" } else { "" })?;
    for (i, part) in of.iter().enumerate() {
        f.write_str(if i > 0 { word } else { "" })?;
        write_condition(f, part, around)?;
    }
    f.write_str(if parentheses { ")" } else { "" })
}

fn write_events(f: &mut String, Events { measure, event, window, is }: &Events) -> fmt::Result {
    let (word, path) = match measure {
        Measure::Count => ("count", None),
        Measure::Sum(path) => ("sum", Some(path)),
        Measure::Average(path) => ("average", Some(path)),
        Measure::Min(path) => ("min", Some(path)),
        Measure::Max(path) => ("max", Some(path)),
        Measure::Distinct(path) => ("distinct", Some(path)),
        Measure::First => ("first", None),
        Measure::Last => ("last", None),
    };
    write_call(f, word, event, path)?;
    match (measure, is, window) {
        (Measure::First | Measure::Last, Test::Exists(false), Window::Ever) => f.write_str(" never"),
        (Measure::First | Measure::Last, Test::Exists(wanted), window) => {
            write_window(f, if *wanted { " " } else { " not " }, window)
        }
        _ => {
            f.write_str(" ")?;
            write_test(f, is)?;
            write_window(f, " ", window)
        }
    }
}

fn write_call(f: &mut String, word: &str, event: &EventMatch, path: Option<&Path>) -> fmt::Result {
    write!(f, "{word}(")?;
    match &event.event {
        Some(name) => f.write_str(&quoted(name))?,
        None => f.write_str("any event")?,
    }
    for (i, test) in event.filter.iter().enumerate() {
        write!(f, " {} {} ", if i == 0 { "where" } else { "and" }, name_text(&test.property.0))?;
        write_test(f, &test.is)?;
    }
    path.map_or(Ok(()), |path| write!(f, ", {}", name_text(&path.0)))?;
    f.write_str(")")
}

fn write_sequence_event(f: &mut String, event: &EventMatch) -> fmt::Result {
    match &event.event {
        _ if !event.filter.is_empty() => write_call(f, "event", event, None),
        Some(name) => f.write_str(&quoted(name)),
        None => f.write_str("any event"),
    }
}

fn write_test(f: &mut String, test: &Test) -> fmt::Result {
    match test {
        Test::Exists(true) => f.write_str("exists"),
        Test::Exists(false) => f.write_str("does not exist"),
        Test::Equals(value) => write!(f, "= {}", print_value(value)),
        Test::NotEquals(value) => write!(f, "!= {}", print_value(value)),
        Test::In(list) => {
            let list: Vec<String> = list.iter().map(print_value).collect();
            write!(f, "in ({})", list.join(", "))
        }
        Test::Less(value) => write!(f, "< {}", print_value(value)),
        Test::AtMost(value) => write!(f, "<= {}", print_value(value)),
        Test::Greater(value) => write!(f, "> {}", print_value(value)),
        Test::AtLeast(value) => write!(f, ">= {}", print_value(value)),
        Test::Between(least, greatest) => write!(f, "between {} and {}", print_value(least), print_value(greatest)),
        Test::Contains(part) => write!(f, "contains {}", quoted(part)),
        Test::StartsWith(part) => write!(f, "starts with {}", quoted(part)),
        Test::EndsWith(part) => write!(f, "ends with {}", quoted(part)),
        Test::Date(Window::Ever) => f.write_str("is a date in the past"),
        Test::Date(window) => write_window(f, "is a date ", window),
        Test::DateAheadMs(ms) => write!(f, "is a date in the next {}", duration(*ms)),
    }
}

/// `lead` and the window, or nothing where it is all time.
fn write_window(f: &mut String, lead: &str, window: &Window) -> fmt::Result {
    match window {
        Window::Ever => Ok(()),
        Window::WithinMs(ms) => write!(f, "{lead}within {}", duration(*ms)),
        Window::BeforeMs(ms) => write!(f, "{lead}more than {} ago", duration(*ms)),
        Window::CalendarDays(1) => write!(f, "{lead}today"),
        Window::CalendarDays(days) => write!(f, "{lead}in the last {days} calendar days"),
        Window::Between(from, to) => write!(f, "{lead}between {} and {}", date(*from), date(*to)),
    }
}

fn date(at: Timestamp) -> String {
    let text = at.to_string();
    if at.0.rem_euclid(DAY_MS) == 0 { text.split('T').next().unwrap_or_default().to_owned() } else { text }
}

/// The greatest unit, up to days, that gives a whole number.
pub(super) fn duration(ms: i64) -> String {
    let units = [(DAY_MS, "day"), (3_600_000, "hour"), (60_000, "minute"), (1000, "second"), (1, "millisecond")];
    let (size, unit) = units.into_iter().find(|(size, _)| ms % size == 0).unwrap_or((1, "millisecond"));
    format!("{} {unit}{}", ms / size, if ms / size == 1 { "" } else { "s" })
}

fn name_text(name: &str) -> String {
    if is_bare(name) { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
