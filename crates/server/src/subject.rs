//! What a person is given who asks what is held of them (GDPR, Articles 15 and 20): a ZIP of JSON and CSV.

use std::io::{Cursor, Write as _};

use onefold_model::access::Access;
use onefold_pipeline::{
    definitions::Workspace,
    held::{self, Held},
};
use onefold_state::Reader;
use serde::Serialize;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{ApiError, App, api::profiles::find};

/// What the files are, for the person.
const READ_ME: &str = "\
Everything that is held about you.

profile.json     your profile as it is used: identifiers, traits with their sources, computed values, segments, consent
traits.csv       every value that is kept of you, from where, and whether it is used
events.ndjson    everything that was recorded of you, as it came, a line each
events.csv       the same in short
consents.csv     what you said about consent, and when
segments.csv     groups that you are in, since when, and by which rule: what is inferred of you, automatically
deliveries.csv   what was handed to whom, for which purpose
identity.json    why your identifiers are held to be one person's

Times are in UTC.
";

impl App {
    /// The ZIP of whoever has this identifier.
    pub(crate) fn subject_zip(
        &self,
        reader: &mut dyn Reader,
        access: &Access,
        definitions: &Workspace,
        text: &str,
    ) -> Result<Vec<u8>, ApiError> {
        let id = find(reader, access, text)?;
        let partition = access.workspace.partition(self.log.partitions());
        let held = held::of_profile(reader, access, definitions, partition, id)?;
        let held =
            held.ok_or_else(|| ApiError::not_found("profile", &id.to_string(), "it may have been merged; ask again"))?;
        let Held { profile, values, consents, segments, deliveries, evidence } = &held;
        let mut lines = vec![];
        let mut table = Table::new(&["offset", "source", "received_at", "type", "name", "timestamp"])?;
        let mut written = Ok(());
        held::events(reader, &*self.log, access, id, &mut |event| {
            let short: serde_json::Value = serde_json::from_str(event.event.get()).unwrap_or_default();
            let text = |name: &str| short[name].as_str().unwrap_or_default().to_owned();
            let name = if text("event").is_empty() { text("name") } else { text("event") };
            let cells = [
                event.offset.to_string(),
                event.source.clone(),
                event.received_at.clone(),
                text("type"),
                name,
                text("timestamp"),
            ];
            if written.is_ok() {
                written = table.row(&cells).and_then(|()| serde_json::to_writer(&mut lines, &event).map_err(broken));
            }
            lines.push(b'\n');
        })?;
        written?;
        let mut zip = Zip(ZipWriter::new(Cursor::new(vec![])));
        zip.file("README.txt", READ_ME.as_bytes())?;
        zip.file("profile.json", &json(profile)?)?;
        zip.file("identity.json", &json(evidence)?)?;
        zip.file("events.ndjson", &lines)?;
        zip.file("events.csv", &table.finish()?)?;
        zip.file("traits.csv", &csv(&["name", "value", "source", "identifier", "at", "used"], values)?)?;
        zip.file(
            "consents.csv",
            &csv(&["purpose", "channel", "state", "strength", "at", "recorded", "source"], consents)?,
        )?;
        zip.file("segments.csv", &csv(&["segment", "since", "condition"], segments)?)?;
        zip.file("deliveries.csv", &csv(&["destination", "purpose", "kind", "segment", "status", "at"], deliveries)?)?;
        zip.0.finish().map(Cursor::into_inner).map_err(broken)
    }
}

struct Zip(ZipWriter<Cursor<Vec<u8>>>);

impl Zip {
    fn file(&mut self, name: &str, content: &[u8]) -> Result<(), ApiError> {
        self.0.start_file(name, SimpleFileOptions::default()).map_err(broken)?;
        self.0.write_all(content).map_err(broken)
    }
}

fn broken(error: impl std::fmt::Display) -> ApiError {
    ApiError::internal(format!("the file cannot be made: {error}"))
}

fn json(of: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec_pretty(of).map_err(broken)
}

/// A CSV table in the making.
struct Table(csv::Writer<Vec<u8>>);

impl Table {
    fn new(columns: &[&str]) -> Result<Table, ApiError> {
        let mut table = csv::Writer::from_writer(vec![]);
        table.write_record(columns).map_err(broken)?;
        Ok(Table(table))
    }

    /// What a spreadsheet would take for a formula gets a `'`.
    fn row(&mut self, cells: &[String]) -> Result<(), ApiError> {
        let safe = |cell: &String| match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            true => format!("'{cell}"),
            false => cell.clone(),
        };
        self.0.write_record(cells.iter().map(safe)).map_err(broken)
    }

    fn finish(self) -> Result<Vec<u8>, ApiError> {
        self.0.into_inner().map_err(broken)
    }
}

/// Objects as a table: text as it is, everything else as JSON.
fn csv<T: Serialize>(columns: &[&str], rows: &[T]) -> Result<Vec<u8>, ApiError> {
    let mut table = Table::new(columns)?;
    for row in rows {
        let row = serde_json::to_value(row).map_err(broken)?;
        let cell = |column: &&str| match &row[*column] {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        table.row(&columns.iter().map(cell).collect::<Vec<_>>())?;
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_are_no_formulas() {
        let mut table = Table::new(&["a", "b"]).unwrap();
        table.row(&["x,\"y\"\n".to_owned(), "=1+1".to_owned()]).unwrap();
        assert_eq!(String::from_utf8(table.finish().unwrap()).unwrap(), "a,b\n\"x,\"\"y\"\"\n\",'=1+1\n");
    }
}
