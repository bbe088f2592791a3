//! Proposes a mapping for a file: from its columns' names and the first rows.
//!
//! The result is text, TOML with comments, because it is meant to be looked at: what is uncertain says so beside the line
//! that it concerns. Nothing is imported by a guess that nobody has seen.

mod content;
mod names;

use std::fmt::Write;

use self::content::{Column, Content};
use crate::{
    Format,
    reader::{Delimiter, Sample},
};

/// A proposed mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    /// The mapping, with comments. [`Mapping::parse`](crate::Mapping::parse) reads it.
    pub toml: String,
    /// What must be put in before it can be used, a sentence each.
    pub problems: Vec<String>,
}

impl Sample {
    /// Whether the format has types of its own, which are then trusted.
    fn columns_are_typed(&self) -> bool {
        self.format != Format::Csv
    }
}

/// Proposes a mapping for the file that `sample` was taken of.
pub fn guess(sample: &Sample) -> Guess {
    let mut toml = String::new();
    let bad = sample.bad.len();
    let rows = sample.rows + bad as u64;
    line(&mut toml, &format!("# Guessed from the first rows of the file ({rows}); look through it before use."));
    if let Some(first) = sample.bad.first() {
        line(&mut toml, &format!("# {bad} of them cannot be read; the first: {}", one_line(&first.to_string())));
    }
    if sample.event_rows > 0 && sample.event_rows * 10 >= sample.rows * 9 {
        line(&mut toml, "\n# The rows are events already, as the Segment and RudderStack APIs take them.");
        line(&mut toml, "kind = \"event\"");
        return Guess { toml, problems: vec![] };
    }
    let columns: Vec<Column<'_>> = sample.columns.iter().map(|column| Column::of(column, sample)).collect();
    let roles = Roles::of(&columns);
    let mut problems = vec![];
    file_settings(sample, &columns, &mut toml);
    event(&columns, &roles, &mut toml, &mut problems);
    values(&columns, &roles, &mut toml);
    Guess { toml, problems }
}

/// Which columns are more than values; by their places.
#[derive(Default)]
struct Roles {
    identifiers: Vec<(&'static str, usize)>,
    event_name: Option<usize>,
    time: Option<usize>,
    is_track: bool,
    revenue: Option<usize>,
    quantity: Option<usize>,
    order_id: Option<usize>,
}

impl Roles {
    fn of(columns: &[Column<'_>]) -> Roles {
        let filled = |i: &usize| columns[*i].content != Content::Empty;
        // The first of the names that is there, in the names' own order.
        let find =
            |names: &[&str]| names.iter().find_map(|name| columns.iter().position(|c| c.key == *name).filter(filled));
        let is_time = |i: &usize| columns[*i].time.is_some();
        let find_time =
            |names: &[&str]| names.iter().find_map(|name| columns.iter().position(|c| c.key == *name).filter(is_time));
        let event_time = find_time(names::EVENT_TIME)
            .or_else(|| columns.iter().position(|c| c.time.is_some() && !names::is_of_a_person(&c.key)));
        let event_name = find(names::EVENT_NAME)
            .or_else(|| find(&["type"]).filter(|i| columns[*i].distinct <= 50))
            .filter(|i| matches!(columns[*i].content, Content::Text | Content::Typed));
        let (order_id, revenue, quantity) = (find(names::ORDER_ID), find(names::REVENUE), find(names::QUANTITY));
        let is_order = order_id.is_some() || (revenue.is_some() && quantity.is_some());
        let mut roles = Roles::default();
        if event_time.is_some() && (event_name.is_some() || is_order) {
            roles.is_track = true;
            (roles.time, roles.event_name) = (event_time, event_name);
            (roles.order_id, roles.revenue, roles.quantity) = (order_id, revenue, quantity);
        } else {
            roles.time = find_time(names::STATE_TIME);
        }
        for (kind, names) in [
            ("user_id", names::USER_ID),
            ("email", names::EMAIL),
            ("phone", names::PHONE),
            ("anonymous_id", names::ANONYMOUS_ID),
            ("device_id", names::DEVICE_ID),
        ] {
            // A national number says nothing about whose it is; it stays a trait.
            let found = find(names).filter(|i| kind != "phone" || columns[*i].international);
            roles.identifiers.extend(found.map(|i| (kind, i)));
        }
        // In a file of events `id` is the event's.
        let has_user = roles.identifiers.iter().any(|(kind, _)| *kind == "user_id");
        if !has_user && (!roles.is_track || roles.identifiers.is_empty()) {
            let any = find(names::ANY_ID).filter(|i| Some(*i) != roles.order_id);
            roles.identifiers.splice(0..0, any.map(|i| ("user_id", i)));
        }
        roles
    }

    /// Whether the column is used up by its role.
    fn is_taken(&self, place: usize) -> bool {
        self.time == Some(place) || self.event_name == Some(place) || self.identifiers.iter().any(|(_, i)| *i == place)
    }

    /// The name that the column's value gets.
    fn name_of<'a>(&self, place: usize, column: &'a str) -> &'a str {
        match place {
            _ if self.revenue == Some(place) => "revenue",
            _ if self.quantity == Some(place) => "quantity",
            _ if self.order_id == Some(place) => "order_id",
            _ => column,
        }
    }
}

fn file_settings(sample: &Sample, columns: &[Column<'_>], toml: &mut String) {
    let mut settings = String::new();
    match sample.delimiter {
        None | Some(Delimiter::Byte(b',')) => {}
        Some(delimiter) => line(&mut settings, &format!("delimiter = {}", quoted(&String::from(delimiter)))),
    }
    if let Some(encoding) = sample.encoding {
        line(&mut settings, &format!("encoding = {}  # it is not UTF-8", quoted(encoding)));
    }
    if sample.headless {
        let names: Vec<String> = columns.iter().map(|column| quoted(column.name)).collect();
        line(&mut settings, &format!("columns = [{}]  # there is no header: give them names", names.join(", ")));
    }
    let mut nulls: Vec<String> = columns.iter().flat_map(|column| &column.nulls).map(|null| quoted(null)).collect();
    nulls.sort();
    nulls.dedup();
    if !nulls.is_empty() {
        line(&mut settings, &format!("null = [{}]  # these count as nothing", nulls.join(", ")));
    }
    if !settings.is_empty() {
        toml.push('\n');
        toml.push_str(&settings);
    }
}

fn event(columns: &[Column<'_>], roles: &Roles, toml: &mut String, problems: &mut Vec<String>) {
    toml.push('\n');
    line(toml, if roles.is_track { "kind = \"track\"" } else { "kind = \"identify\"" });
    if roles.is_track {
        line(
            toml,
            &match roles.event_name {
                Some(i) => format!("event = {{ column = {} }}", quoted(columns[i].name)),
                None => "event = \"Order Completed\"  # no column names the event".to_owned(),
            },
        );
    }
    let identifiers: Vec<String> =
        roles.identifiers.iter().map(|(kind, i)| format!("{kind} = {}", quoted(columns[*i].name))).collect();
    if identifiers.is_empty() {
        line(toml, "identifiers = {}  # name the column that says who it is: { user_id = \"…\" }");
        problems.push("no column is known to say who a row is about; put it into identifiers".to_owned());
    } else {
        line(toml, &format!("identifiers = {{ {} }}", identifiers.join(", ")));
    }
    let Some((i, time)) = roles.time.and_then(|i| Some((i, columns[i].time.as_ref()?))) else { return };
    let column = quoted(columns[i].name);
    let setting = match &time.format {
        None => format!("timestamp = {column}"),
        Some(format) => format!("timestamp = {{ column = {column}, format = {} }}", quoted(format)),
    };
    line(toml, &format!("{setting}{}", doubt(time.ambiguous)));
}

fn values(columns: &[Column<'_>], roles: &Roles, toml: &mut String) {
    let mut lines = String::new();
    let mut names = std::collections::HashSet::new();
    for (i, column) in columns.iter().enumerate().filter(|(i, _)| !roles.is_taken(*i)) {
        let name = Some(roles.name_of(i, column.name)).filter(|name| names.insert(*name)).unwrap_or(column.name);
        names.insert(name);
        let comment = if names::is_secret(&column.key) {
            lines.push_str("# ");
            "  # left out: looks like a secret"
        } else if column.content == Content::Empty {
            lines.push_str("# ");
            "  # left out: nothing in it"
        } else {
            ""
        };
        line(&mut lines, &format!("{} = {}{comment}", key(name), value(column)));
    }
    if !lines.is_empty() {
        let _ = write!(toml, "\n[{}]\n{lines}", if roles.is_track { "properties" } else { "traits" });
    }
}

fn value(column: &Column<'_>) -> String {
    let name = quoted(column.name);
    let typed = |rest: &str| format!("{{ column = {name}, type = {rest} }}");
    match &column.content {
        Content::Empty | Content::Typed | Content::Text => name,
        Content::Number { decimal: None } => typed("\"number\""),
        Content::Number { decimal: Some(decimal) } => typed(&format!("\"number\", decimal = \"{decimal}\"")),
        Content::Boolean => typed("\"boolean\""),
        Content::Json => typed("\"json\""),
        Content::Time(time) => match &time.format {
            None => typed("\"date\""),
            Some(format) => {
                format!("{}{}", typed(&format!("\"date\", format = {}", quoted(format))), doubt(time.ambiguous))
            }
        },
    }
}

fn doubt(ambiguous: bool) -> &'static str {
    if ambiguous { "  # day and month could be the other way round" } else { "" }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// TOML's keys need quotes where they are more than letters, digits, `_` and `-`.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if bare { name.to_owned() } else { quoted(name) }
}

/// A TOML basic string, on one line.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
