//! A mapping bound to the columns of a file: everything that can be wrong with it is found here, and everything that is
//! the same in each row is made here.

use onefold_model::clock::DAY_MS;

use super::{Error, EventMapping, MappedKind, Mapping, Name, Shift, value::ValueWriter};
use crate::{Format, RowIds, Sample, json_out, time::TimeReader};

/// Makes events of rows.
#[derive(Debug, Clone)]
pub struct Mapper {
    pub(super) events: Vec<BoundEvent>,
    /// Columns' names, to show bad rows by; none for JSON.
    pub(super) columns: Vec<String>,
    pub(super) ids: RowIds,
    pub(super) shift_ms: i64,
    pub(super) own_shift_ms: i64,
}

/// Where a cell stands in a row.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// At this place among the columns.
    Index(usize),
    /// In the member of this name.
    Member(String),
    /// In the member of a member (of a member …).
    Path(Vec<String>),
    /// Nowhere: an optional column that the file does not have.
    Nowhere,
}

/// A place, and the column's name for messages.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub(super) place: Place,
    pub(super) column: String,
}

#[derive(Debug, Clone)]
pub(super) enum BoundName {
    Constant(String),
    Column(At),
}

/// Where an identifier goes in the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    UserId,
    AnonymousId,
    /// A trait of the identifier's own name.
    Trait,
    ExternalId,
}

#[derive(Debug, Clone)]
pub(super) struct BoundIdentifier {
    pub(super) kind: String,
    pub(super) target: Target,
    pub(super) at: At,
    pub(super) null: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct BoundValue {
    /// `"name":`
    pub(super) name: Vec<u8>,
    pub(super) at: At,
    pub(super) writer: ValueWriter,
}

#[derive(Debug, Clone)]
pub(super) struct BoundEvent {
    pub(super) kind: MappedKind,
    pub(super) event: Option<BoundName>,
    pub(super) name: Option<BoundName>,
    pub(super) object_type: Option<BoundName>,
    pub(super) object_id: Option<At>,
    pub(super) group_id: Option<At>,
    pub(super) group_type: Option<BoundName>,
    pub(super) role: Option<BoundName>,
    pub(super) message_id: Option<At>,
    pub(super) timestamp: Option<(At, TimeReader)>,
    pub(super) skip_if_empty: Vec<At>,
    pub(super) identifiers: Vec<BoundIdentifier>,
    pub(super) values: Vec<BoundValue>,
    /// Members of the constants, a comma behind each.
    pub(super) constants: Vec<u8>,
    pub(super) null: Vec<String>,
}

impl MappedKind {
    /// The kind's name, in the mapping and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            MappedKind::Identify => "identify",
            MappedKind::Track => "track",
            MappedKind::Page => "page",
            MappedKind::Group => "group",
            MappedKind::Object => "object",
            MappedKind::Event => "event",
        }
    }

    pub(super) fn has_properties(self) -> bool {
        matches!(self, MappedKind::Track | MappedKind::Page)
    }
}

impl Mapping {
    /// Binds the mapping to the file that `sample` was taken of; `ids` makes its rows' message ids.
    pub fn bind(&self, sample: &Sample, ids: RowIds) -> Result<Mapper, Error> {
        let is_json = matches!(sample.format, Format::Ndjson | Format::Json);
        let columns: Vec<String> = sample.columns.iter().map(|column| column.name.clone()).collect();
        let mut binder = Binder { columns: &columns, is_json, unseen: sample.rows == 0, missing: vec![] };
        let mut events = vec![];
        for event in &self.events {
            let problem = |problem| Error::Invalid { event: format!("kind = {:?}", event.kind.name()), problem };
            check(event, is_json).map_err(problem)?;
            events.push(binder.event(event, &self.file.null).map_err(problem)?);
        }
        if !binder.missing.is_empty() {
            binder.missing.dedup();
            return Err(Error::UnknownColumns { missing: binder.missing.join(", "), found: columns.join(", ") });
        }
        let own_shift_ms = self.file.timestamp_shift_days.saturating_mul(DAY_MS);
        let columns = if is_json { vec![] } else { columns };
        Ok(Mapper { events, columns, ids, shift_ms: own_shift_ms, own_shift_ms })
    }
}

impl Mapper {
    /// Moves every event's time by `shift`, beside what the mapping itself says.
    pub fn set_shift(&mut self, shift: Shift) {
        self.shift_ms = self.own_shift_ms.saturating_add(shift.0);
    }
}

/// Whether the keys fit the kind. The error is a sentence.
fn check(event: &EventMapping, is_json: bool) -> Result<(), String> {
    use MappedKind as K;
    let kind = event.kind;
    let allowed = |key: &str, set: bool, kinds: &[K]| match set && !kinds.contains(&kind) {
        true => {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
            Err(format!("{key} does not belong here, but to kind = {}", names.join(", ")))
        }
        false => Ok(()),
    };
    let required = |key: &str, set: bool| if set { Ok(()) } else { Err(format!("{key} is missing")) };
    allowed("event", event.event.is_some(), &[K::Track])?;
    allowed("name", event.name.is_some(), &[K::Page])?;
    allowed("group_id", event.group_id.is_some(), &[K::Group])?;
    allowed("group_type", event.group_type.is_some(), &[K::Group])?;
    allowed("role", event.role.is_some(), &[K::Group])?;
    allowed("object_type", event.object_type.is_some(), &[K::Object])?;
    allowed("object_id", event.object_id.is_some(), &[K::Object])?;
    allowed("traits", !event.traits.is_empty(), &[K::Identify, K::Group, K::Object])?;
    allowed("properties", !event.properties.is_empty(), &[K::Track, K::Page])?;
    allowed("identifiers", !event.identifiers.is_empty(), &[K::Identify, K::Track, K::Page, K::Group])?;
    let of_columns = [K::Identify, K::Track, K::Page, K::Group, K::Object];
    allowed("timestamp", event.timestamp.is_some(), &of_columns)?;
    allowed("message_id", event.message_id.is_some(), &of_columns)?;
    allowed("constants", !event.constants.is_empty(), &of_columns)?;
    match kind {
        K::Track => required("event", event.event.is_some())?,
        K::Group => required("group_id", event.group_id.is_some())?,
        K::Object => {
            required("object_type", event.object_type.is_some())?;
            required("object_id", event.object_id.is_some())?;
        }
        K::Event if !is_json => return Err("only rows of JSON can be events already".to_owned()),
        K::Identify | K::Page | K::Event => {}
    }
    if !event.identifiers.is_empty() || matches!(kind, K::Object | K::Event) {
        return Ok(());
    }
    Err("identifiers is missing: name the columns that say who it was, such as { user_id = \"customer_id\" }"
        .to_owned())
}

struct Binder<'a> {
    columns: &'a [String],
    is_json: bool,
    /// Nothing is known about the members of a JSON file without rows.
    unseen: bool,
    missing: Vec<String>,
}

impl Binder<'_> {
    /// The place of `column`; noted where there is none and there must be one.
    fn at(&mut self, column: &str, optional: bool) -> At {
        let known = |name: &str| self.columns.iter().position(|column| column == name);
        let place = match (known(column), self.is_json) {
            (Some(index), false) => Place::Index(index),
            (Some(_), true) => Place::Member(column.to_owned()),
            (None, true) => match column.split_once('.') {
                Some((first, _)) if self.unseen || optional || known(first).is_some() => {
                    Place::Path(column.split('.').map(str::to_owned).collect())
                }
                _ if self.unseen || optional => Place::Member(column.to_owned()),
                _ => Place::Nowhere,
            },
            (None, false) => Place::Nowhere,
        };
        if matches!(place, Place::Nowhere) && !optional {
            self.missing.push(column.to_owned());
        }
        At { place, column: column.to_owned() }
    }

    fn name(&mut self, name: &Name) -> BoundName {
        match name {
            Name::Constant(text) => BoundName::Constant(text.clone()),
            Name::Column(column) => BoundName::Column(self.at(column, false)),
        }
    }

    fn event(&mut self, event: &EventMapping, file_null: &[String]) -> Result<BoundEvent, String> {
        let bag = if event.kind.has_properties() { &event.properties } else { &event.traits };
        let mut values = vec![];
        for (name, column) in bag {
            values.push(BoundValue {
                name: json_out::name(name),
                at: self.at(&column.column, column.optional),
                writer: ValueWriter::new(column, file_null)?,
            });
        }
        let mut constants = vec![];
        for (name, value) in &event.constants {
            if bag.contains_key(name) {
                return Err(format!("{name} is both a constant and a column"));
            }
            constants.extend_from_slice(&json_out::name(name));
            json_of(value, &mut constants);
            constants.push(b',');
        }
        let mut identifiers = vec![];
        for (kind, column) in &event.identifiers {
            let written = bag.contains_key(kind) || event.constants.contains_key(kind);
            identifiers.push(BoundIdentifier {
                kind: kind.clone(),
                target: match kind.as_str() {
                    "user_id" => Target::UserId,
                    "anonymous_id" => Target::AnonymousId,
                    "email" | "phone" if event.kind == MappedKind::Identify && !written => Target::Trait,
                    _ => Target::ExternalId,
                },
                at: self.at(&column.column, column.optional),
                null: file_null.iter().chain(&column.null).cloned().collect(),
            });
        }
        let timestamp = match &event.timestamp {
            None => None,
            Some(time) => {
                let reader = TimeReader::new(time.format.as_deref(), time.timezone.as_deref())?;
                Some((self.at(&time.column, false), reader))
            }
        };
        Ok(BoundEvent {
            kind: event.kind,
            event: event.event.as_ref().map(|name| self.name(name)),
            name: event.name.as_ref().map(|name| self.name(name)),
            object_type: event.object_type.as_ref().map(|name| self.name(name)),
            object_id: event.object_id.as_ref().map(|column| self.at(column, false)),
            group_type: event.group_type.as_ref().map(|name| self.name(name)),
            role: event.role.as_ref().map(|name| self.name(name)),
            group_id: event.group_id.as_ref().map(|column| self.at(column, false)),
            message_id: event.message_id.as_ref().map(|column| self.at(column, false)),
            skip_if_empty: event.skip_if_empty.iter().map(|column| self.at(column, false)).collect(),
            timestamp,
            identifiers,
            values,
            constants,
            null: file_null.to_vec(),
        })
    }
}

/// TOML's values as JSON; its dates and times become text, what is no number null.
fn json_of(value: &toml::Value, out: &mut Vec<u8>) {
    match value {
        toml::Value::String(text) => json_out::string(text, out),
        toml::Value::Integer(n) => out.extend_from_slice(n.to_string().as_bytes()),
        toml::Value::Float(n) if n.is_finite() => out.extend_from_slice(n.to_string().as_bytes()),
        toml::Value::Float(_) => out.extend_from_slice(b"null"),
        toml::Value::Boolean(value) => out.extend_from_slice(value.to_string().as_bytes()),
        toml::Value::Datetime(at) => json_out::string(&at.to_string(), out),
        toml::Value::Array(list) => {
            out.push(b'[');
            for element in list {
                json_of(element, out);
                out.push(b',');
            }
            json_out::close(b']', out);
        }
        toml::Value::Table(table) => {
            out.push(b'{');
            for (name, value) in table {
                out.extend_from_slice(&json_out::name(name));
                json_of(value, out);
                out.push(b',');
            }
            json_out::close(b'}', out);
        }
    }
}
