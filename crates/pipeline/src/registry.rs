//! The property registry: every trait and property seen, with its types, class, and when and where it was seen.
//!
//! Rows are written when something is new, or was not seen yet today. A workspace has at most [`NAMES_MAX`] entries; what
//! comes after is counted, and stays readable in the events themselves.

use onefold_model::{Timestamp, WorkspaceId, access::Class};
use onefold_state::{Reader, Scan, Value, schema};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::value::RawValue;

use crate::{Error, effects::Effects};

/// Entries of a workspace.
pub const NAMES_MAX: usize = 20_000;

const NAME_BYTES_MAX: usize = 200;

/// JSON types, a bit each, in the order in which they are written.
const TYPES: [&str; 6] = ["string", "number", "boolean", "object", "array", "null"];

#[derive(Debug, Clone)]
struct Entry {
    types: u8,
    class: String,
    first_seen: Timestamp,
    last_seen: Timestamp,
    source: u32,
}

type Names = FxHashMap<Box<str>, Entry>;

/// The registry of one workspace. `event` is empty for traits.
#[derive(Debug, Default)]
pub struct Registry {
    traits: Names,
    properties: FxHashMap<Box<str>, Names>,
    entries: usize,
    changed: FxHashSet<(Box<str>, Box<str>)>,
    overflow: i64,
}

/// Where a value was seen.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The event's name; empty for traits.
    pub event: &'a str,
    /// Which source.
    pub source: u32,
    /// When it came.
    pub at: Timestamp,
}

impl Registry {
    /// Reads the registry.
    pub fn load(store: &mut dyn Reader, workspace: WorkspaceId) -> Result<Registry, Error> {
        let mut registry = Registry::default();
        let rows = store.scan(&Scan::prefix(&schema::PROPERTY, vec![Value::Int(workspace.0.into())], usize::MAX))?;
        for row in rows {
            let types = row[4].as_text()?.split(',').filter_map(|name| TYPES.iter().position(|t| *t == name));
            let entry = Entry {
                types: types.fold(0, |bits, bit| bits | 1 << bit),
                class: row[5].as_text()?.to_owned(),
                first_seen: Timestamp(row[6].as_int()?),
                last_seen: Timestamp(row[7].as_int()?),
                source: row[8].as_int()? as u32,
            };
            registry.names(row[2].as_text()?).insert(row[3].as_text()?.into(), entry);
            registry.entries += 1;
        }
        Ok(registry)
    }

    fn names(&mut self, event: &str) -> &mut Names {
        if event.is_empty() {
            return &mut self.traits;
        }
        if !self.properties.contains_key(event) {
            self.properties.insert(event.into(), Names::default());
        }
        self.properties.get_mut(event).expect("it was put there just now")
    }

    /// Notes a value. Says whether its class lets it be seen freely; what is new counts as an identifier unless its name
    /// says otherwise.
    pub fn observe(&mut self, place: Place<'_>, name: &str, raw: &RawValue) {
        let bit = match raw.get().as_bytes().first() {
            Some(b'"') => 0,
            Some(b't' | b'f') => 2,
            Some(b'{') => 3,
            Some(b'[') => 4,
            Some(b'n') => 5,
            _ => 1,
        };
        let full = self.entries >= NAMES_MAX;
        match self.names(place.event).get_mut(name) {
            Some(entry) => {
                let today = entry.last_seen.day() >= place.at.day();
                if today && entry.types & (1 << bit) != 0 {
                    return;
                }
                entry.types |= 1 << bit;
                entry.last_seen = entry.last_seen.max(place.at);
            }
            None if full || name.len() > NAME_BYTES_MAX || name.contains('\0') || place.event.contains('\0') => {
                self.overflow += 1;
                return;
            }
            None => {
                let entry = Entry {
                    types: 1 << bit,
                    class: class_name(Class::guess(name)).to_owned(),
                    first_seen: place.at,
                    last_seen: place.at,
                    source: place.source,
                };
                self.names(place.event).insert(name.into(), entry);
                self.entries += 1;
            }
        }
        self.changed.insert((place.event.into(), name.into()));
    }

    /// Hands over the rows that changed.
    pub fn flush(&mut self, workspace: WorkspaceId, effects: &mut Effects) {
        if self.overflow > 0 {
            effects.tally(workspace, "registry.overflow", std::mem::take(&mut self.overflow));
        }
        for (event, name) in std::mem::take(&mut self.changed) {
            let Some(entry) = self.names(&event).get(&name).cloned() else { continue };
            let types: Vec<&str> =
                TYPES.iter().enumerate().filter(|(bit, _)| entry.types & (1 << bit) != 0).map(|(_, name)| *name).collect();
            let scope = if event.is_empty() { "trait" } else { "property" };
            effects.put(
                &schema::PROPERTY,
                vec![
                    Value::Int(workspace.0.into()),
                    Value::Text(scope.to_owned()),
                    Value::Text(event.into_string()),
                    Value::Text(name.into_string()),
                    Value::Text(types.join(",")),
                    Value::Text(entry.class),
                    Value::Int(entry.first_seen.0),
                    Value::Int(entry.last_seen.0),
                    Value::Int(entry.source.into()),
                ],
            );
        }
    }
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Identifier => "identifier",
        Class::Contact => "contact",
        Class::Sensitive => "sensitive",
        Class::SpecialCategory => "special_category",
        Class::Financial => "financial",
        Class::Free => "free",
    }
}

