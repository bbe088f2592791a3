//! Mappings: what a row of a file says, declared in TOML (`docs/import.md` shows each key).
//!
//! A mapping is data so that it can be shown before anything is imported, kept beside the file, and used again. It is
//! bound to a file's columns once ([`Mapping::bind`]), which finds every mistake before the first row is read; what
//! remains per row ([`Mapper::apply`]) is looking up cells by their place and writing them.

mod apply;
mod bind;
mod events;
mod text_or_table;
mod value;

pub(crate) use value::number;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use self::{
    bind::Mapper,
    events::{Events, Shift},
    text_or_table::TextOrTable,
};
use crate::reader::{Delimiter, ReadOptions};

/// How a file is read and what its rows say.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// How it is read.
    pub file: FileSettings,
    /// The events that each row makes, in this order.
    pub events: Vec<EventMapping>,
}

/// The keys of a mapping that say how the file is read.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// Names of the columns of a file without a header.
    #[serde(default)]
    pub columns: Vec<String>,
    /// As [`ReadOptions::delimiter`].
    pub delimiter: Option<Delimiter>,
    /// As [`ReadOptions::encoding`].
    pub encoding: Option<String>,
    /// As [`ReadOptions::sheet`].
    pub sheet: Option<String>,
    /// As [`ReadOptions::list`].
    pub list: Option<String>,
    /// As [`ReadOptions::ragged`].
    #[serde(default)]
    pub ragged: bool,
    /// Values that count as nothing in every column, beside the empty one.
    #[serde(default)]
    pub null: Vec<String>,
    /// Days that every event's time is moved by; for demonstrations with old data.
    #[serde(default)]
    pub timestamp_shift_days: i64,
}

/// The keys of [`FileSettings`]; all others belong to the events.
const FILE_KEYS: [&str; 8] =
    ["columns", "delimiter", "encoding", "sheet", "list", "ragged", "null", "timestamp_shift_days"];

/// What one event of a row says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventMapping {
    /// The call it makes.
    pub kind: MappedKind,
    /// Of a track event: its name.
    pub event: Option<TextOrTable<Name>>,
    /// Of a page event: the page's name.
    pub name: Option<TextOrTable<Name>>,
    /// Kinds of identifier and the columns they stand in. `user_id` and `anonymous_id` become the event's own fields, all
    /// others but an identify's e-mail and phone its `context.externalIds`.
    #[serde(default)]
    pub identifiers: BTreeMap<String, TextOrTable<IdentifierColumn>>,
    /// Of a group event: the column of the account's id.
    pub group_id: Option<String>,
    /// Of a group event: what the group is, `account` (if not said) or `household`.
    pub group_type: Option<TextOrTable<Name>>,
    /// Of a group event: what the person is in the group.
    pub role: Option<TextOrTable<Name>>,
    /// Of an object event: its type.
    pub object_type: Option<TextOrTable<Name>>,
    /// Of an object event: the column of the object's id.
    pub object_id: Option<String>,
    /// When it happened.
    pub timestamp: Option<TextOrTable<TimeColumn>>,
    /// Traits of the person, account or object, and the columns they stand in.
    #[serde(default)]
    pub traits: BTreeMap<String, TextOrTable<ValueColumn>>,
    /// Properties of a track or page event, and the columns they stand in.
    #[serde(default)]
    pub properties: BTreeMap<String, TextOrTable<ValueColumn>>,
    /// Values that are the same in every event: properties of track and page events, traits of the others.
    #[serde(default)]
    pub constants: BTreeMap<String, toml::Value>,
    /// The column of the message id, for rows that bring their own.
    pub message_id: Option<String>,
    /// Columns without which the row makes no such event.
    #[serde(default)]
    pub skip_if_empty: Vec<String>,
}

/// The call that a row makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MappedKind {
    /// Traits of a person.
    Identify,
    /// Something that happened.
    Track,
    /// A page seen.
    Page,
    /// Traits of an account that the person belongs to.
    Group,
    /// Traits of an object of one of the workspace's own types.
    Object,
    /// The row is an event already, as the Segment and RudderStack APIs take it.
    Event,
}

/// A name: the same in all events, or in a column.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "NameTable")]
pub enum Name {
    /// This.
    Constant(String),
    /// What stands in this column.
    Column(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameTable {
    column: String,
}

impl From<NameTable> for Name {
    fn from(table: NameTable) -> Name {
        Name::Column(table.column)
    }
}

impl From<String> for Name {
    fn from(text: String) -> Name {
        Name::Constant(text)
    }
}

/// Where an identifier stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentifierColumn {
    /// The column.
    pub column: String,
    /// Whether a file may be without the column.
    #[serde(default)]
    pub optional: bool,
    /// Values that count as nothing, beside the empty one and the file's.
    #[serde(default)]
    pub null: Vec<String>,
}

impl From<String> for IdentifierColumn {
    fn from(column: String) -> Self {
        IdentifierColumn { column, optional: false, null: vec![] }
    }
}

/// Where the time stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeColumn {
    /// The column.
    pub column: String,
    /// `iso`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns` or a pattern (`%d.%m.%Y %H:%M`); absent: ISO 8601, or an
    /// epoch told by its digits.
    pub format: Option<String>,
    /// The zone of times without an offset, a name of the IANA time zone database; absent: UTC.
    pub timezone: Option<String>,
}

impl From<String> for TimeColumn {
    fn from(column: String) -> Self {
        TimeColumn { column, format: None, timezone: None }
    }
}

/// Where a value stands and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueColumn {
    /// The column.
    pub column: String,
    /// Its type; absent: as it is in the file, which in a text format is text.
    pub r#type: Option<ValueType>,
    /// Whether a file may be without the column.
    #[serde(default)]
    pub optional: bool,
    /// Values that count as nothing, beside the empty one and the file's.
    #[serde(default)]
    pub null: Vec<String>,
    /// Of a date: as [`TimeColumn::format`].
    pub format: Option<String>,
    /// Of a date with a time of day: as [`TimeColumn::timezone`].
    pub timezone: Option<String>,
    /// Of a number: the decimal separator, `.` or `,`; the other one, spaces and apostrophes then group digits.
    pub decimal: Option<char>,
    /// Of a list: what stands between its elements; absent: a comma.
    pub separator: Option<String>,
}

impl From<String> for ValueColumn {
    fn from(column: String) -> Self {
        ValueColumn {
            column,
            r#type: None,
            optional: false,
            null: vec![],
            format: None,
            timezone: None,
            decimal: None,
            separator: None,
        }
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// A decimal number.
    Number,
    /// `true`, `yes`, `y`, `t` or `1`, and their opposites, without regard to case.
    Boolean,
    /// Text.
    String,
    /// A day, or an instant where there is a time of day.
    Date,
    /// JSON.
    Json,
    /// Texts.
    List,
}

/// What is wrong with a mapping. Trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not TOML, or not of the shape of a mapping.
    #[error("the mapping cannot be read: {0}")]
    Parse(String),
    /// It names columns that the file does not have.
    #[error("the mapping names {missing}, which the file does not have; it has {found}")]
    UnknownColumns {
        /// The columns named.
        missing: String,
        /// The file's columns.
        found: String,
    },
    /// It contradicts itself, or says too little.
    #[error("{event}: {problem}")]
    Invalid {
        /// In which event: `kind = "track"`.
        event: String,
        /// What is wrong, and the cure.
        problem: String,
    },
}

impl Mapping {
    /// Reads a mapping from TOML. Beside `[[events]]`, keys of events at the top hold for each of them; without it they
    /// are the only event.
    pub fn parse(toml: &str) -> Result<Mapping, Error> {
        let parse = |error: toml::de::Error| Error::Parse(error.to_string().trim().to_owned());
        let mut event: toml::Table = toml::from_str(toml).map_err(parse)?;
        let mut file = toml::Table::new();
        for key in FILE_KEYS {
            if let Some(value) = event.remove(key) {
                file.insert(key.to_owned(), value);
            }
        }
        let events = match event.remove("events") {
            None => vec![event],
            Some(toml::Value::Array(list)) if !list.is_empty() => {
                let mut events = vec![];
                for own in list {
                    let toml::Value::Table(own) = own else {
                        return Err(Error::Parse("events is a list of tables, [[events]]".to_owned()));
                    };
                    let mut whole = event.clone();
                    whole.extend(own);
                    events.push(whole);
                }
                events
            }
            Some(_) => return Err(Error::Parse("events is a list of tables, [[events]], and not empty".to_owned())),
        };
        Ok(Mapping {
            file: file.try_into().map_err(parse)?,
            events: events.into_iter().map(toml::Table::try_into).collect::<Result<_, _>>().map_err(parse)?,
        })
    }

    /// The mapping under which rows that are events already enter as they are.
    pub fn pass_through() -> Mapping {
        let event = EventMapping {
            kind: MappedKind::Event,
            event: None,
            name: None,
            identifiers: BTreeMap::new(),
            group_id: None,
            group_type: None,
            role: None,
            object_type: None,
            object_id: None,
            timestamp: None,
            traits: BTreeMap::new(),
            properties: BTreeMap::new(),
            constants: BTreeMap::new(),
            message_id: None,
            skip_if_empty: vec![],
        };
        Mapping { file: FileSettings::default(), events: vec![event] }
    }

    /// How a file of this mapping is to be read.
    pub fn read_options(&self) -> ReadOptions {
        let file = &self.file;
        ReadOptions {
            format: None,
            delimiter: file.delimiter,
            encoding: file.encoding.clone(),
            sheet: file.sheet.clone(),
            list: file.list.clone(),
            columns: file.columns.clone(),
            ragged: file.ragged,
        }
    }
}
