//! A file per segment that always has exactly its members.
//!
//! The file is the state: differences are applied to what it has, so a difference that comes again changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    append::csv_without,
    cells::{cell, spreadsheet_safe},
    config::Config,
};
use crate::destination::Kind;

/// The first column.
pub const ID: &str = "id";

/// Members by profile id: the cells of the configured columns, as they stand in the file.
pub struct Members(BTreeMap<String, Vec<String>>);

impl Members {
    /// Reads a file that [`content`](Self::content) gave, with the columns of then: what is no longer configured goes,
    /// what is new stays empty until the member comes again.
    pub fn read(content: Option<&[u8]>, config: &Config) -> Result<Members, String> {
        let mut members = BTreeMap::new();
        let Some(content) = content else { return Ok(Members(members)) };
        let unreadable = |cause: &str| format!("the audience file is not as it was written ({cause}). Move it away");
        let mut reader = csv::Reader::from_reader(content);
        let header = reader.headers().map_err(|_| unreadable("no CSV"))?.clone();
        if header.get(0) != Some(ID) {
            return Err(unreadable("no column id"));
        }
        let places: Vec<Option<usize>> =
            config.columns.iter().map(|column| header.iter().position(|name| name == column)).collect();
        for record in reader.records() {
            let record = record.map_err(|_| unreadable("no CSV"))?;
            let at = |place: &Option<usize>| place.and_then(|place| record.get(place)).unwrap_or_default().to_owned();
            members.insert(record.get(0).unwrap_or_default().to_owned(), places.iter().map(at).collect());
        }
        Ok(Members(members))
    }

    /// Applies one difference; `payload` is that of an audience delivery.
    pub fn apply(&mut self, kind: Kind, payload: &Value, config: &Config) -> Result<(), &'static str> {
        let profile = payload.get("profile").ok_or("the payload has no profile")?;
        let id = profile.get("id").and_then(Value::as_str).ok_or("the payload's profile has no id")?.to_owned();
        match kind {
            Kind::Enter => {
                let safe = |text: String| if config.spreadsheet_safe { spreadsheet_safe(text) } else { text };
                let cells = config.columns.iter().map(|path| safe(cell(profile, path).unwrap_or_default()));
                self.0.insert(id, cells.collect());
            }
            Kind::Leave | Kind::Erase => drop(self.0.remove(&id)),
            Kind::Event => return Err("an audience file takes no events. Use mode append for them"),
        }
        Ok(())
    }

    /// The whole file.
    pub fn content(&self, config: &Config) -> Result<Vec<u8>, String> {
        let mut writer = csv::Writer::from_writer(vec![]);
        let header = std::iter::once(ID).chain(config.columns.iter().map(String::as_str));
        writer.write_record(header).map_err(|error| error.to_string())?;
        for (id, cells) in &self.0 {
            writer.write_record(std::iter::once(id).chain(cells)).map_err(|error| error.to_string())?;
        }
        writer.into_inner().map_err(|error| error.to_string())
    }
}

/// The file without these profiles, its columns as they are; `None` where it has none of them, or is none of ours.
pub fn without(content: &[u8], ids: &BTreeSet<String>) -> Result<Option<Vec<u8>>, String> {
    if !content.starts_with(ID.as_bytes()) {
        return Ok(None);
    }
    csv_without(content, ids, ID).map_err(|error| error.to_string())
}
