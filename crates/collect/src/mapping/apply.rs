//! Rows in, events out. This is the hot path of an import: cells are written straight into the events' JSON.

use std::borrow::Cow;

use onefold_model::{
    Timestamp,
    event::Fields,
    json::{self, Members},
};

use super::{
    Events, MappedKind, Mapper,
    bind::{At, BoundEvent, BoundName, Place, Target},
    value::something,
};
use crate::{
    json_out,
    row::{BadRow, Cell, Data, Row},
};

/// Characters of a message id (Segment's published limit).
const MESSAGE_ID_CHARS_MAX: usize = 100;

impl Mapper {
    /// Appends the events that `row` makes to `out`: none, one or several. A row enters whole or not at all: where one of
    /// its events cannot be made, none is.
    pub fn apply(&self, row: &Row<'_>, out: &mut Events) -> Result<(), BadRow> {
        let before = out.len();
        for (index, event) in self.events.iter().enumerate() {
            if event.skip_if_empty.iter().any(|at| something(&cell(row, at), &event.null).is_none()) {
                continue;
            }
            let written = match event.kind {
                MappedKind::Event => self.pass_through(row, index, &mut out.bytes),
                _ => self.write(event, row, index, &mut out.bytes),
            };
            match written {
                Ok(()) => out.end(),
                Err(reason) => {
                    out.truncate(before);
                    return Err(BadRow::new(row.number, row.line, reason, &self.raw(row)));
                }
            }
        }
        Ok(())
    }

    /// When the row's first event with a time happened, moved as the mapping itself says and not by
    /// [`set_shift`](Self::set_shift); `None` where it has none that can be read.
    pub fn time_of(&self, row: &Row<'_>) -> Option<Timestamp> {
        let at = self.events.iter().find_map(|event| match (event.kind, &row.data) {
            (MappedKind::Event, Data::Json(members)) => ["timestamp", "originalTimestamp"]
                .iter()
                .find_map(|name| Timestamp::parse(&json::scalar(members.get(name)?)?)),
            _ => {
                let (at, times) = event.timestamp.as_ref()?;
                times.time_of(something(&cell(row, at), &event.null)?)
            }
        })?;
        Some(at.plus(self.own_shift_ms))
    }

    fn write(&self, event: &BoundEvent, row: &Row<'_>, index: usize, out: &mut Vec<u8>) -> Result<(), String> {
        out.push(b'{');
        json_out::string_member("type", event.kind.name(), out);
        self.write_message_id(event, row, index, out)?;
        write_time(event, row, self.shift_ms, out)?;
        let names = [
            ("event", &event.event),
            ("name", &event.name),
            ("objectType", &event.object_type),
            ("groupType", &event.group_type),
            ("role", &event.role),
        ];
        for (name, value) in names {
            match value {
                None => {}
                Some(BoundName::Constant(text)) => json_out::string_member(name, text, out),
                Some(BoundName::Column(at)) => {
                    let found = cell(row, at);
                    match something(&found, &event.null).and_then(Cell::scalar) {
                        Some(text) => json_out::string_member(name, text.trim(), out),
                        // A page may be without a name, a member without a role.
                        None if matches!(name, "name" | "role") => {}
                        None => return Err(format!("column {} is empty, and names the {name}", at.column)),
                    }
                }
            }
        }
        for (name, at) in [("objectId", &event.object_id), ("groupId", &event.group_id)] {
            let Some(at) = at else { continue };
            let found = cell(row, at);
            match something(&found, &event.null).and_then(Cell::scalar) {
                Some(text) => json_out::string_member(name, text.trim(), out),
                None => return Err(format!("column {} is empty, and is the {name}", at.column)),
            }
        }
        let traits = write_identifiers(event, row, out)?;
        json_out::member(if event.kind.has_properties() { "properties" } else { "traits" }, out);
        out.push(b'{');
        for (kind, value) in &traits {
            json_out::string_member(kind, value, out);
        }
        for value in &event.values {
            let start = out.len();
            out.extend_from_slice(&value.name);
            let found = cell(row, &value.at);
            match value.writer.write(&found, out) {
                Ok(true) => out.push(b','),
                Ok(false) => out.truncate(start),
                Err(problem) => return Err(format!("column {} {problem}", value.at.column)),
            }
        }
        out.extend_from_slice(&event.constants);
        json_out::close(b'}', out);
        out.push(b'}');
        Ok(())
    }

    fn write_message_id(
        &self,
        event: &BoundEvent,
        row: &Row<'_>,
        index: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        json_out::member("messageId", out);
        match &event.message_id {
            None => {
                out.push(b'"');
                out.extend_from_slice(&self.ids.of_row(row, index));
                out.push(b'"');
            }
            Some(at) => {
                let found = cell(row, at);
                let own = something(&found, &event.null).and_then(Cell::scalar);
                let own = own.ok_or_else(|| format!("column {} is empty, and is the message id", at.column))?.trim();
                // Several events of a row must not pass for one sent twice.
                let id = if index == 0 { Cow::Borrowed(own) } else { Cow::Owned(format!("{own}-{index}")) };
                if id.chars().count() > MESSAGE_ID_CHARS_MAX {
                    return Err(format!(
                        "column {} makes a message id of more than {MESSAGE_ID_CHARS_MAX} characters",
                        at.column
                    ));
                }
                json_out::string(&id, out);
            }
        }
        out.push(b',');
        Ok(())
    }

    /// A row that is an event already goes in as it stands, but for a message id where it has none and its time where
    /// times are moved.
    fn pass_through(&self, row: &Row<'_>, index: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let Data::Json(members) = &row.data else { return Err("is no JSON object".to_owned()) };
        let text = std::str::from_utf8(row.raw).map_err(|_| "is not UTF-8".to_owned())?.trim();
        let fields = Fields::read(text).map_err(|error| format!("is no event: {error}"))?;
        if fields.message_id.is_some() && self.shift_ms == 0 {
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        out.push(b'{');
        if fields.message_id.is_none() {
            json_out::member("messageId", out);
            out.push(b'"');
            out.extend_from_slice(&self.ids.of_row(row, index));
            out.extend_from_slice(b"\",");
        }
        for (name, value) in &members.0 {
            if name == "messageId" && fields.message_id.is_none() {
                continue;
            }
            json_out::string(name, out);
            out.push(b':');
            let moved = match name.as_ref() {
                "timestamp" | "originalTimestamp" if self.shift_ms != 0 => {
                    json::scalar(value).and_then(|text| Timestamp::parse(&text)).map(|at| at.plus(self.shift_ms))
                }
                _ => None,
            };
            match moved {
                Some(at) => json_out::string(&at.to_string(), out),
                None => out.extend_from_slice(value.get().as_bytes()),
            }
            out.push(b',');
        }
        json_out::close(b'}', out);
        Ok(())
    }

    /// The row as its bytes, or, of a binary format, as JSON.
    fn raw<'r>(&self, row: &Row<'r>) -> Cow<'r, [u8]> {
        let Data::Cells(cells) = &row.data else { return Cow::Borrowed(row.raw) };
        if !row.raw.is_empty() {
            return Cow::Borrowed(row.raw);
        }
        let mut out = b"{".to_vec();
        for (i, name) in self.columns.iter().enumerate() {
            if let Some(text) = cells.get(i).scalar() {
                json_out::string(name, &mut out);
                out.push(b':');
                json_out::string(text, &mut out);
                out.push(b',');
            }
        }
        json_out::close(b'}', &mut out);
        Cow::Owned(out)
    }
}

/// The cell of `row` at a place.
fn cell<'r>(row: &'r Row<'_>, at: &At) -> Cell<'r> {
    match (&at.place, &row.data) {
        (Place::Index(index), Data::Cells(cells)) => cells.get(*index),
        (Place::Member(name), Data::Json(members)) => members.get(name).map_or(Cell::Empty, Cell::of_json),
        (Place::Path(path), Data::Json(members)) => member_at(path, members),
        _ => Cell::Empty,
    }
}

fn member_at<'a>(path: &[String], members: &Members<'a>) -> Cell<'a> {
    let Some((first, rest)) = path.split_first() else { return Cell::Empty };
    match members.get(first) {
        None => Cell::Empty,
        Some(value) if rest.is_empty() => Cell::of_json(value),
        Some(value) => Members::of(value).map_or(Cell::Empty, |inner| member_at(rest, &inner)),
    }
}

/// Writes the time. Where the column is empty, what happened (a track or page event) cannot enter: it would count as
/// having happened at its import; what is (traits) can, and holds from its import on.
fn write_time(event: &BoundEvent, row: &Row<'_>, shift_ms: i64, out: &mut Vec<u8>) -> Result<(), String> {
    let Some((at, times)) = &event.timestamp else { return Ok(()) };
    let found = cell(row, at);
    let Some(found) = something(&found, &event.null) else {
        return if event.kind.has_properties() {
            Err(format!("column {} is empty, and says when it happened", at.column))
        } else {
            Ok(())
        };
    };
    let Some(time) = times.time_of(found) else {
        let text: String = found.scalar().unwrap_or_default().chars().take(60).collect();
        return Err(format!(
            "column {} holds {text:?}, which is no time of its format; see timestamp.format",
            at.column
        ));
    };
    if time < Timestamp::EARLIEST {
        return Err(format!("column {} holds {time}, which is before 1900", at.column));
    }
    json_out::string_member("timestamp", &time.plus(shift_ms).to_string(), out);
    Ok(())
}

/// Writes `userId`, `anonymousId` and `context`; gives the identifiers that are traits.
fn write_identifiers<'e>(
    event: &'e BoundEvent,
    row: &Row<'_>,
    out: &mut Vec<u8>,
) -> Result<Vec<(&'e str, String)>, String> {
    let (mut traits, mut external, mut any) = (vec![], false, false);
    for identifier in &event.identifiers {
        let found = cell(row, &identifier.at);
        let Some(value) = something(&found, &identifier.null).and_then(Cell::scalar).map(str::trim) else { continue };
        any = true;
        match identifier.target {
            Target::UserId => json_out::string_member("userId", value, out),
            Target::AnonymousId => json_out::string_member("anonymousId", value, out),
            Target::Trait => traits.push((identifier.kind.as_str(), value.to_owned())),
            Target::ExternalId => external = true,
        }
    }
    if !any && event.kind != MappedKind::Object {
        let columns: Vec<&str> = event.identifiers.iter().map(|id| id.at.column.as_str()).collect();
        return Err(format!(
            "has no identifier: {} empty",
            columns.join(", ") + if columns.len() == 1 { " is" } else { " are" }
        ));
    }
    if !external {
        return Ok(traits);
    }
    json_out::member("context", out);
    out.extend_from_slice(b"{\"externalIds\":[");
    for identifier in event.identifiers.iter().filter(|id| id.target == Target::ExternalId) {
        let found = cell(row, &identifier.at);
        let Some(value) = something(&found, &identifier.null).and_then(Cell::scalar).map(str::trim) else { continue };
        out.push(b'{');
        json_out::string_member("id", value, out);
        json_out::string_member("type", &identifier.kind, out);
        out.extend_from_slice(b"\"collection\":\"users\",\"encoding\":\"none\"},");
    }
    json_out::close(b']', out);
    out.extend_from_slice(b"},");
    Ok(traits)
}
