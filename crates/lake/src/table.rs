//! The tables and their columns.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// A table of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Accepted events, by the day on which they happened.
    Events,
    /// People and their traits.
    Profiles,
    /// Which identifiers a person has, and so whose an event is.
    Identifiers,
    /// Who entered and left which segment.
    SegmentMembers,
    /// The consent ledger.
    Consents,
    /// What became of what was to leave the house. Its offset is the sequence of the last receipt in it.
    Deliveries,
}

/// What later rows of a table do to earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// Nothing: every row counts.
    None,
    /// The rows of a profile as of its last version in [`Table::Profiles`] count, no others.
    OfProfile,
}

const TEXT: DataType = DataType::Utf8;
const NUMBER: DataType = DataType::Int64;
const FLAG: DataType = DataType::Boolean;

fn needed(name: &str, of: DataType) -> Field {
    Field::new(name, of, false)
}

fn optional(name: &str, of: DataType) -> Field {
    Field::new(name, of, true)
}

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

static SCHEMAS: LazyLock<[SchemaRef; 6]> = LazyLock::new(|| {
    let events = vec![
        needed("day", DataType::Date32),
        needed("offset", NUMBER),
        needed("node", NUMBER),
        needed("time", time()),
        needed("received", time()),
        optional("sent", time()),
        needed("source", TEXT),
        needed("message_id", TEXT),
        needed("type", TEXT),
        needed("event", TEXT),
        optional("name", TEXT),
        optional("channel", TEXT),
        optional("user_id", TEXT),
        optional("anonymous_id", TEXT),
        optional("group_id", TEXT),
        optional("context", TEXT),
        optional("traits", TEXT),
        optional("properties", TEXT),
        needed("promoted", DataType::Int32),
    ];
    let profiles = vec![
        needed("profile", NUMBER),
        needed("offset", NUMBER),
        needed("time", time()),
        needed("gone", FLAG),
        needed("id", TEXT),
        optional("traits", TEXT),
        optional("consents", TEXT),
        needed("promoted", DataType::Int32),
    ];
    let identifiers = vec![
        needed("profile", NUMBER),
        needed("offset", NUMBER),
        needed("node", NUMBER),
        needed("kind", TEXT),
        needed("value", TEXT),
    ];
    let segment_members = vec![
        needed("segment", TEXT),
        needed("profile", NUMBER),
        needed("offset", NUMBER),
        needed("entered", FLAG),
        needed("time", time()),
    ];
    let consents = vec![
        needed("node", NUMBER),
        needed("offset", NUMBER),
        needed("purpose", TEXT),
        optional("channel", TEXT),
        needed("state", TEXT),
        needed("strength", TEXT),
        needed("time", time()),
        needed("recorded", time()),
        needed("source", TEXT),
    ];
    let deliveries = vec![
        needed("offset", NUMBER),
        needed("destination", TEXT),
        needed("key", TEXT),
        needed("kind", TEXT),
        needed("segment", TEXT),
        needed("profile", NUMBER),
        needed("status", TEXT),
        needed("attempts", NUMBER),
        needed("time", time()),
        needed("detail", TEXT),
    ];
    [events, profiles, identifiers, segment_members, consents, deliveries].map(|fields| Arc::new(Schema::new(fields)))
});

impl Table {
    /// Every table.
    pub const ALL: [Table; 6] =
        [Table::Events, Table::Profiles, Table::Identifiers, Table::SegmentMembers, Table::Consents, Table::Deliveries];

    /// Its name: of its folder, and in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Table::Events => "events",
            Table::Profiles => "profiles",
            Table::Identifiers => "identifiers",
            Table::SegmentMembers => "segment_members",
            Table::Consents => "consents",
            Table::Deliveries => "deliveries",
        }
    }

    /// The columns that it always has. Promoted ones follow them.
    pub fn schema(self) -> &'static SchemaRef {
        &SCHEMAS[self as usize]
    }

    /// The column whose values have a folder each.
    pub fn partitioned_by(self) -> Option<&'static str> {
        (self == Table::Events).then_some("day")
    }

    /// By what the rows of a file are sorted: what is mostly asked together stands together.
    pub fn sorted_by(self) -> &'static [&'static str] {
        match self {
            Table::Events => &["node", "time", "offset"],
            Table::Profiles => &["profile", "offset"],
            Table::Identifiers => &["profile", "offset", "node"],
            Table::SegmentMembers => &["segment", "profile", "offset"],
            Table::Consents => &["node", "offset"],
            Table::Deliveries => &["destination", "offset"],
        }
    }

    /// The columns of whose values the files say the least and the greatest. They are numbers and times: what a person is
    /// called has no place in the description of a file.
    pub fn described_by(self) -> &'static [&'static str] {
        match self {
            Table::Events => &["offset", "node", "time", "promoted"],
            Table::Profiles => &["profile", "offset", "promoted"],
            Table::Identifiers | Table::SegmentMembers => &["profile", "offset"],
            Table::Consents => &["node", "offset"],
            Table::Deliveries => &["offset", "profile", "time"],
        }
    }

    /// What later rows do to earlier ones.
    pub fn versions(self) -> Versions {
        match self {
            Table::Profiles | Table::Identifiers => Versions::OfProfile,
            _ => Versions::None,
        }
    }

    /// The column with the JSON of which members may be promoted to columns, and what these columns' names begin with.
    pub fn promotes(self) -> Option<(&'static str, &'static str)> {
        match self {
            Table::Events => Some(("properties", "property_")),
            Table::Profiles => Some(("traits", "trait_")),
            _ => None,
        }
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
