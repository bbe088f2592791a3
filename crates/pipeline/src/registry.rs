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

/// Bytes of an event's name, or an object type's.
const OF_BYTES_MAX: usize = 1024;

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

/// Whose names they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Traits of people.
    Trait,
    /// Properties of an event.
    Property,
    /// Traits of objects of a type.
    Object,
}

const SCOPES: [(Scope, &str); 3] = [(Scope::Trait, "trait"), (Scope::Property, "property"), (Scope::Object, "object")];

/// The registry of one workspace: per scope, by event or object type (empty for traits), by name.
#[derive(Debug, Default)]
pub struct Registry {
    scopes: [FxHashMap<Box<str>, Names>; 3],
    entries: usize,
    changed: FxHashSet<(Scope, Box<str>, Box<str>)>,
    overflow: i64,
}

/// Where a value was seen.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// What has it.
    pub scope: Scope,
    /// The event's name, the object's type; empty for traits.
    pub of: &'a str,
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
            let scope = row[1].as_text()?;
            let scope = SCOPES.iter().position(|(_, name)| *name == scope).unwrap_or(0);
            let names = registry.scopes[scope].entry(row[2].as_text()?.into()).or_default();
            names.insert(row[3].as_text()?.into(), entry);
            registry.entries += 1;
        }
        Ok(registry)
    }

    /// Notes a value. The class of what is new is guessed from its name, and is that of an identifier where the name says
    /// nothing.
    pub fn observe(&mut self, place: Place<'_>, name: &str, raw: &RawValue) {
        let bit = match raw.get().as_bytes().first() {
            Some(b'"') => 0,
            Some(b't' | b'f') => 2,
            Some(b'{') => 3,
            Some(b'[') => 4,
            Some(b'n') => 5,
            _ => 1,
        };
        let scope = &mut self.scopes[place.scope as usize];
        match scope.get_mut(place.of).and_then(|names| names.get_mut(name)) {
            Some(entry) => {
                let today = entry.last_seen.day() >= place.at.day();
                if today && entry.types & (1 << bit) != 0 {
                    return;
                }
                entry.types |= 1 << bit;
                entry.last_seen = entry.last_seen.max(place.at);
            }
            None if self.entries >= NAMES_MAX
                || !is_storable(place.of, OF_BYTES_MAX)
                || !is_storable(name, NAME_BYTES_MAX) =>
            {
                self.overflow += 1;
                return;
            }
            None => {
                let entry = Entry {
                    types: 1 << bit,
                    class: Class::guess(name).name().to_owned(),
                    first_seen: place.at,
                    last_seen: place.at,
                    source: place.source,
                };
                scope.entry(place.of.into()).or_default().insert(name.into(), entry);
                self.entries += 1;
            }
        }
        self.changed.insert((place.scope, place.of.into(), name.into()));
    }

    /// Hands over the rows that changed.
    pub fn flush(&mut self, workspace: WorkspaceId, effects: &mut Effects) {
        if self.overflow > 0 {
            effects.tally(workspace, "registry.overflow", std::mem::take(&mut self.overflow));
        }
        for (scope, of, name) in std::mem::take(&mut self.changed) {
            let Some(entry) = self.scopes[scope as usize].get(&of).and_then(|names| names.get(&name)) else { continue };
            let types: Vec<&str> = TYPES
                .iter()
                .enumerate()
                .filter(|(bit, _)| entry.types & (1 << bit) != 0)
                .map(|(_, name)| *name)
                .collect();
            effects.put(
                &schema::PROPERTY,
                vec![
                    Value::Int(workspace.0.into()),
                    Value::Text(SCOPES[scope as usize].1.to_owned()),
                    Value::Text(of.into_string()),
                    Value::Text(name.into_string()),
                    Value::Text(types.join(",")),
                    Value::Text(entry.class.clone()),
                    Value::Int(entry.first_seen.0),
                    Value::Int(entry.last_seen.0),
                    Value::Int(entry.source.into()),
                ],
            );
        }
    }
}

/// Whether a name fits a key.
fn is_storable(name: &str, bytes_max: usize) -> bool {
    name.len() <= bytes_max && !name.contains('\0')
}
