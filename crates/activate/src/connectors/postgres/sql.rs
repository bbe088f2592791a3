//! The statements, and what a batch comes to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    config::ConfigError,
    destination::{Delivery, Kind},
};

/// A table's name, quoted: `public.people` becomes `"public"."people"`.
pub fn table(field: &str, name: &str) -> Result<String, ConfigError> {
    let parts: Vec<&str> = name.split('.').collect();
    // PostgreSQL cuts longer names off, so that two could become one.
    let fits = |part: &&str| (1..=63).contains(&part.len()) && !part.contains('\0');
    if parts.len() > 2 || !parts.iter().all(fits) {
        let cure = "Write table or schema.table, each of 1 to 63 bytes";
        return Err(ConfigError::new(field, format!("{name:?} is no table's name"), cure));
    }
    Ok(parts.iter().map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect::<Vec<_>>().join("."))
}

/// The statements for the two tables.
pub struct Statements {
    pub create: String,
    pub upsert: String,
    pub delete: String,
    pub insert: String,
    pub erase: String,
    pub erase_events: String,
    pub check: String,
}

impl Statements {
    /// For these tables, quoted.
    pub fn new(audience: &str, events: &str) -> Statements {
        Statements {
            create: format!(
                "CREATE TABLE IF NOT EXISTS {audience} (segment text NOT NULL, id text NOT NULL, \
                 identifiers jsonb NOT NULL, traits jsonb NOT NULL, entered_at timestamptz, key text NOT NULL, \
                 PRIMARY KEY (segment, id)); \
                 CREATE TABLE IF NOT EXISTS {events} (key text PRIMARY KEY, profile text NOT NULL, \
                 event jsonb NOT NULL, delivered_at timestamptz NOT NULL DEFAULT now())"
            ),
            upsert: format!(
                "INSERT INTO {audience} (segment, id, identifiers, traits, entered_at, key) \
                 SELECT segment, id, identifiers::jsonb, traits::jsonb, entered_at::timestamptz, key \
                 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) \
                 AS row (segment, id, identifiers, traits, entered_at, key) \
                 ON CONFLICT (segment, id) DO UPDATE SET identifiers = excluded.identifiers, \
                 traits = excluded.traits, entered_at = excluded.entered_at, key = excluded.key"
            ),
            delete: format!(
                "DELETE FROM {audience} WHERE (segment, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))"
            ),
            insert: format!(
                "INSERT INTO {events} (key, profile, event) SELECT key, profile, event::jsonb \
                 FROM unnest($1::text[], $2::text[], $3::text[]) AS row (key, profile, event) \
                 ON CONFLICT (key) DO NOTHING"
            ),
            erase: format!("DELETE FROM {audience} WHERE id = ANY($1::text[])"),
            erase_events: format!("DELETE FROM {events} WHERE profile = ANY($1::text[])"),
            check: format!("SELECT 1 FROM {audience} LIMIT 0; SELECT 1 FROM {events} LIMIT 0"),
        }
    }
}

/// What one delivery says to the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Enter { segment: String, id: String, identifiers: String, traits: String, at: Option<String>, key: String },
    Leave { segment: String, id: String },
    Event { key: String, profile: String, event: String },
    Erase { ids: Vec<String> },
}

impl Change {
    /// Reads a delivery; what cannot be read is refused.
    pub fn of(delivery: &Delivery) -> Result<Change, &'static str> {
        let payload: Value = serde_json::from_slice(&delivery.body).map_err(|_| "the payload is not JSON")?;
        let id = payload.pointer("/profile/id").and_then(Value::as_str).ok_or("the payload's profile has no id")?;
        let part = |pointer: &str, empty: &str| payload.pointer(pointer).map_or(empty.to_owned(), Value::to_string);
        Ok(match delivery.kind {
            Kind::Enter => Change::Enter {
                segment: delivery.segment.clone(),
                id: id.to_owned(),
                identifiers: part("/profile/identifiers", "[]"),
                traits: part("/profile/traits", "{}"),
                at: payload.get("at").and_then(Value::as_str).map(str::to_owned),
                key: delivery.key.clone(),
            },
            Kind::Leave => Change::Leave { segment: delivery.segment.clone(), id: id.to_owned() },
            Kind::Erase => {
                let all = payload.pointer("/profile/ids").and_then(Value::as_array).into_iter().flatten();
                Change::Erase { ids: all.filter_map(Value::as_str).chain([id]).map(str::to_owned).collect() }
            }
            Kind::Event => {
                Change::Event { key: delivery.key.clone(), profile: id.to_owned(), event: payload.to_string() }
            }
        })
    }
}

/// What a batch comes to: of the changes of one member only the last counts, so each table is written at once.
#[derive(Debug, Default)]
pub struct Merged<'c> {
    /// By segment and id: the member as it is to be, or `None` where it is to go.
    pub members: BTreeMap<(&'c str, &'c str), Option<&'c Change>>,
    /// Events, each key once.
    pub events: BTreeMap<&'c str, (&'c str, &'c str)>,
    /// Ids of whom nothing stays, but for what came after.
    pub erased: BTreeSet<&'c str>,
}

impl<'c> Merged<'c> {
    /// Merges changes in their order.
    pub fn of(changes: impl IntoIterator<Item = &'c Change>) -> Merged<'c> {
        let mut merged = Merged::default();
        for change in changes {
            match change {
                Change::Enter { segment, id, .. } => drop(merged.members.insert((segment, id), Some(change))),
                Change::Leave { segment, id } => drop(merged.members.insert((segment, id), None)),
                Change::Event { key, profile, event } => drop(merged.events.insert(key, (profile, event))),
                Change::Erase { ids } => {
                    let is = |named: &str| ids.iter().any(|id| id == named);
                    merged.members.retain(|(_, member), _| !is(member));
                    merged.events.retain(|_, (profile, _)| !is(profile));
                    merged.erased.extend(ids.iter().map(String::as_str));
                }
            }
        }
        merged
    }
}

/// Whether the row is to blame: its values break a type or a constraint (SQLSTATE classes 21, 22, 23, 44), or are too
/// much for the server (54). Missing tables and rights are the operator's to mend, and worth another try.
pub fn blames_the_row(sqlstate: &str) -> bool {
    ["21", "22", "23", "44", "54"].contains(&&sqlstate[..2.min(sqlstate.len())])
        || matches!(sqlstate, "42804" | "42846")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        let check = |name: &str, expect: &str| {
            let told = table("table", name).unwrap_or_else(|error| error.cause);
            assert_eq!(told, expect);
        };
        check("people", r#""people""#);
        check("crm.People", r#""crm"."People""#);
        check(r#"x"; DROP TABLE y; --"#, r#""x""; DROP TABLE y; --""#);
        check("a.b.c", r#""a.b.c" is no table's name"#);
        check("", r#""" is no table's name"#);
        check(&"x".repeat(64), &format!("{:?} is no table's name", "x".repeat(64)));
    }

    #[test]
    fn the_last_change_of_a_member_counts() {
        let enter = |at: &str| Change::Enter {
            segment: "s".into(),
            id: "p".into(),
            identifiers: "[]".into(),
            traits: "{}".into(),
            at: Some(at.into()),
            key: at.into(),
        };
        let leave = Change::Leave { segment: "s".into(), id: "p".into() };
        let (first, second) = (enter("1"), enter("2"));
        let last = |changes: &[&Change]| Merged::of(changes.iter().copied()).members[&("s", "p")].cloned();
        assert_eq!(last(&[&first, &leave]), None);
        assert_eq!(last(&[&first, &leave, &second]), Some(second.clone()));
        assert_eq!(last(&[&leave, &first]), Some(first.clone()));
    }
}
