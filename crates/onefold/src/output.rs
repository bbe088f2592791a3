//! What commands print: a table for people, JSON for programs.

use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use crate::{Failure, cli::Common};

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON value.
    Json,
    /// One JSON value a line.
    Ndjson,
}

impl Common {
    /// The format asked for; a table on a terminal, JSON in a pipe.
    pub fn format(&self) -> Format {
        match self.format {
            Some(format) => format,
            None if self.json => Format::Json,
            None if std::io::stdout().is_terminal() => Format::Table,
            None => Format::Json,
        }
    }
}

/// Prints a value.
pub fn print(common: &Common, value: &Value) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = match (common.format(), value) {
        (Format::Table, Value::Array(items)) => writeln!(out, "{}", table(items)),
        (Format::Table, Value::Object(_)) => writeln!(out, "{}", record(value)),
        (Format::Ndjson, Value::Array(items)) => items.iter().try_for_each(|item| writeln!(out, "{item}")),
        _ => writeln!(out, "{value}"),
    };
    ignore_closed_pipe(written)
}

/// Prints text as it is.
pub fn raw(text: &str) -> Result<(), Failure> {
    bytes(text.as_bytes()).map(drop)
}

/// Prints bytes as they are; whether somebody still reads.
pub fn bytes(part: &[u8]) -> Result<bool, Failure> {
    match std::io::stdout().lock().write_all(part) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        written => Ok(written.map(|()| true)?),
    }
}

/// `onefold … | head` is no failure.
fn ignore_closed_pipe(written: std::io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// A table of objects: a column for each name.
pub fn table(items: &[Value]) -> String {
    if items.is_empty() {
        return "(none)".to_owned();
    }
    let mut names: Vec<&str> = vec![];
    for item in items {
        for name in item.as_object().into_iter().flat_map(|o| o.keys()) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    let mut table = plain_table();
    table.set_header(names.iter().copied());
    for item in items {
        table.add_row(names.iter().map(|name| cell(&item[*name])));
    }
    table.to_string()
}

/// A table of rows, each with a value for each column.
pub fn rows(columns: &Value, rows: &Value) -> String {
    let mut table = plain_table();
    let of = |value: &Value| value.as_array().cloned().unwrap_or_default();
    table.set_header(of(columns).iter().map(|column| cell(&column["name"])));
    for row in of(rows) {
        table.add_row(of(&row).iter().map(cell));
    }
    table.to_string()
}

fn record(value: &Value) -> String {
    let mut table = plain_table();
    for (name, value) in value.as_object().into_iter().flatten() {
        table.add_row([name.clone(), cell(value)]);
    }
    table.to_string()
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join("\n"),
        Value::Object(members) => {
            members.iter().map(|(name, value)| format!("{name}: {}", cell(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
