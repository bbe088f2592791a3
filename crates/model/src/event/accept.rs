//! Whether an event enters, decided for each event on its own, and what it takes with it.
//!
//! What enters is kept as it came, byte for byte, but for four things: a missing `messageId` or `type` is put in, what a
//! batch says once for all its events (`context`, `integrations`) is merged in, and `writeKey`, a credential, is left out.

use std::{borrow::Cow, hash::Hasher};

use serde::Serialize;
use serde_json::value::RawValue;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::{
    Fields, Kind,
    record::{EventRecord, SourceId},
};
use crate::{Timestamp, WorkspaceId, json, json::Members};

/// Bounds on one event.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of its JSON. Segment's published limit is 32 KB.
    pub event_bytes_max: usize,
    /// Characters of its message id. Segment's published limit is 100.
    pub message_id_chars_max: usize,
    /// Bytes of an identifier or of an event's name.
    pub name_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { event_bytes_max: 32 * 1024, message_id_chars_max: 100, name_bytes_max: 1024 }
    }
}

/// An event as it came.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Whose.
    pub workspace: WorkspaceId,
    /// By which source.
    pub source: SourceId,
    /// Its JSON.
    pub raw: &'a RawValue,
    /// Its kind where the route says it (`/v1/track`); it outranks the event's own `type`.
    pub kind: Option<Kind>,
    /// The batch's fields: `sentAt`, `context`, `integrations`.
    pub batch: &'a Fields<'a>,
    /// Its place in the batch, from 0.
    pub place: usize,
    /// When it came.
    pub received_at: Timestamp,
    /// An imported row: its message id is remembered for ever, and its time is not corrected.
    pub import: bool,
    /// Whether the request said `Sec-GPC: 1`.
    pub gpc: bool,
}

/// Why an event does not enter. The codes are stable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    /// Not a JSON object.
    #[error("event is not a valid rudder event: it is not a JSON object")]
    NotAnObject,
    /// Larger than the limit.
    #[error("event of {bytes} bytes is over the limit of {limit} bytes; send less, or raise ingest.event_bytes_max")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// No kind, or none that is known.
    #[error(
        "event is not a valid rudder event: type {found} is none of track, identify, page, screen, group, alias, merge, object"
    )]
    UnknownType {
        /// What stands there.
        found: String,
    },
    /// No identifier at all.
    #[error("request neither has anonymousId nor userId, nor another identifier")]
    NoIdentifier,
    /// A field is of the wrong type, empty where it must not be, too long, or holds U+0000.
    #[error("{field}: {problem}")]
    BadField {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A time that is none, or is before 1900.
    #[error("{field} {found} is not an ISO 8601 date-time from 1900 on")]
    BadTime {
        /// Which.
        field: &'static str,
        /// What stands there.
        found: String,
    },
}

impl Refusal {
    /// Its stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NotAnObject => "not_an_object",
            Refusal::TooLarge { .. } => "too_large",
            Refusal::UnknownType { .. } => "unknown_type",
            Refusal::NoIdentifier => "no_identifier",
            Refusal::BadField { .. } => "bad_field",
            Refusal::BadTime { .. } => "bad_time",
        }
    }
}

/// Decides on `incoming`, and appends its log record to `out` where it enters; leaves `out` as it was where not.
pub fn accept(incoming: &Incoming<'_>, limits: &Limits, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let json = incoming.raw.get();
    if json.len() > limits.event_bytes_max {
        return Err(Refusal::TooLarge { bytes: json.len(), limit: limits.event_bytes_max });
    }
    if !json.starts_with('{') {
        return Err(Refusal::NotAnObject);
    }
    let fields = Fields::read(json).map_err(|_| Refusal::NotAnObject)?;
    let kind = kind(incoming, &fields)?;
    check_names(&fields, kind, limits)?;
    let sent_at = time("sentAt", fields.sent_at.or(incoming.batch.sent_at))?;
    // Where both are there, `timestamp` is what the caller said, and the other when the SDK was called.
    let happened = time("timestamp", fields.timestamp.or(fields.original_timestamp))?;
    let record = EventRecord {
        workspace: incoming.workspace,
        source: incoming.source,
        for_ever: incoming.import,
        gpc: incoming.gpc,
        received_at: incoming.received_at,
        timestamp: corrected(incoming, happened, sent_at),
        sent_at,
        json: "",
    };
    let message_id = match fields.message_id {
        Some(_) => None,
        None => Some(made_message_id(incoming, json, happened.or(sent_at).is_none())),
    };
    record.write_header(out);
    write_json(incoming, &fields, kind, message_id.as_deref(), out);
    Ok(())
}

fn kind(incoming: &Incoming<'_>, fields: &Fields<'_>) -> Result<Kind, Refusal> {
    if let Some(kind) = incoming.kind {
        return Ok(kind);
    }
    let name = fields.kind.and_then(json::text).unwrap_or(Cow::Borrowed(""));
    Kind::from_name(&name).ok_or_else(|| Refusal::UnknownType { found: format!("{:?}", shortened(&name)) })
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Identifiers and names are scalars of bounded length without U+0000, and one identifier is there.
fn check_names(fields: &Fields<'_>, kind: Kind, limits: &Limits) -> Result<(), Refusal> {
    let check = |field: &'static str, raw: Option<&RawValue>, required: bool| -> Result<bool, Refusal> {
        let bad = |problem: String| Err(Refusal::BadField { field, problem });
        let Some(raw) = raw else {
            return if required { bad("is missing".into()) } else { Ok(false) };
        };
        let Some(text) = json::scalar(raw) else {
            return bad("is neither text nor a number".into());
        };
        if text.len() > limits.name_bytes_max {
            return bad(format!("has {} bytes, over the limit of {}", text.len(), limits.name_bytes_max));
        }
        if text.contains('\0') {
            return bad("holds U+0000".into());
        }
        if required && text.trim().is_empty() {
            return bad("is empty".into());
        }
        Ok(!text.trim().is_empty())
    };
    let user = check("userId", fields.user_id, false)?;
    let anonymous = check("anonymousId", fields.anonymous_id, false)?;
    check("event", fields.event, kind == Kind::Track)?;
    check("groupId", fields.group_id, kind == Kind::Group)?;
    let previous = check("previousId", fields.previous_id, kind == Kind::Alias)?;
    check("objectType", fields.object_type, kind == Kind::Object)?;
    check("objectId", fields.object_id, kind == Kind::Object)?;
    if let Some(raw) = fields.message_id {
        let text = json::text(raw).unwrap_or(Cow::Borrowed(""));
        let chars = text.chars().count();
        if chars == 0 || chars > limits.message_id_chars_max || text.contains('\0') {
            let problem = format!("must be text of 1 to {} characters, without U+0000", limits.message_id_chars_max);
            return Err(Refusal::BadField { field: "messageId", problem });
        }
    }
    if user || anonymous || previous || matches!(kind, Kind::Object | Kind::Merge) || has_other_identifier(fields) {
        Ok(())
    } else {
        Err(Refusal::NoIdentifier)
    }
}

/// Whether an event without `userId` and `anonymousId` says who it is about in another way.
fn has_other_identifier(fields: &Fields<'_>) -> bool {
    let contact = |traits: &Members<'_>| ["email", "phone"].iter().any(|name| traits.text(name).is_some());
    if fields.traits.and_then(Members::of).is_some_and(|traits| contact(&traits)) {
        return true;
    }
    fields.context.and_then(Members::of).is_some_and(|context| {
        context.object("traits").is_some_and(|traits| contact(&traits))
            || context.get("externalIds").is_some_and(|ids| ids.get().starts_with('[') && ids.get().contains('{'))
    })
}

fn time(field: &'static str, raw: Option<&RawValue>) -> Result<Option<Timestamp>, Refusal> {
    let Some(raw) = raw else { return Ok(None) };
    let text = json::scalar(raw).unwrap_or(Cow::Borrowed(""));
    match Timestamp::parse(&text) {
        Some(at) if at >= Timestamp::EARLIEST => Ok(Some(at)),
        _ => Err(Refusal::BadTime { field, found: shortened(raw.get()) }),
    }
}

/// `received − (sent − happened)`: the sender's clock may be wrong, the time between its two readings is not. Without
/// both there is nothing to correct by. What would lie after its receipt counts from its receipt.
fn corrected(incoming: &Incoming<'_>, happened: Option<Timestamp>, sent_at: Option<Timestamp>) -> Timestamp {
    let received = incoming.received_at;
    let at = match (happened, sent_at) {
        (Some(happened), Some(sent)) if !incoming.import => received.minus(sent.0.saturating_sub(happened.0)),
        (Some(happened), _) => happened,
        (None, _) => received,
    };
    at.clamp(Timestamp::EARLIEST, received)
}

/// A message id for an event that has none: the same for the same event sent again (a retry), so a hash of its bytes,
/// its place and the batch's `sentAt`. An event that names no time at all has nothing that tells a retry from a second
/// such event (two loads of a pixel), so for these the time of receipt goes in too: none is lost.
fn made_message_id(incoming: &Incoming<'_>, json: &str, timeless: bool) -> String {
    let mut hasher = SipHasher13::new_with_keys(0x6f6e_6566_6f6c_6431, 0x6d65_7373_6167_6531);
    hasher.write(json.as_bytes());
    hasher.write_usize(incoming.place);
    hasher.write(incoming.batch.sent_at.map_or("", |raw| raw.get()).as_bytes());
    if timeless && !incoming.import {
        hasher.write_i64(incoming.received_at.0);
    }
    format!("made-{:032x}", hasher.finish128().as_u128())
}

fn write_json(incoming: &Incoming<'_>, fields: &Fields<'_>, kind: Kind, message_id: Option<&str>, out: &mut Vec<u8>) {
    let json = incoming.raw.get();
    let own_kind = fields.kind.and_then(json::text).is_some_and(|name| name == kind.name());
    let merges = incoming.batch.context.is_some() || incoming.batch.integrations.is_some();
    if fields.write_key.is_none() && !merges && (own_kind || fields.kind.is_none()) {
        if own_kind && message_id.is_none() {
            out.extend_from_slice(json.as_bytes());
            return;
        }
        // Put what is missing in front of the members that came, where none of them says `null` for it: the last one
        // counts.
        let said = Members::of(incoming.raw).unwrap_or_default();
        if said.get("messageId").is_some() == fields.message_id.is_some() && said.get("type").is_some() == own_kind {
            write_in_front(json, kind, own_kind, message_id, out);
            return;
        }
    }
    let members = Members::of(incoming.raw).unwrap_or_default();
    out.push(b'{');
    write_missing(kind, own_kind, message_id, out);
    for (name, value) in &members.0 {
        match name.as_ref() {
            "writeKey" => continue,
            "type" if !own_kind => continue,
            "messageId" if message_id.is_some() => continue,
            "context" => write_merged("context", incoming.batch.context, Some(value), out),
            "integrations" => write_merged("integrations", incoming.batch.integrations, Some(value), out),
            _ => {
                write_name(name, out);
                out.extend_from_slice(value.get().as_bytes());
                out.push(b',');
            }
        }
    }
    if members.get("context").is_none() {
        write_merged("context", incoming.batch.context, None, out);
    }
    if members.get("integrations").is_none() {
        write_merged("integrations", incoming.batch.integrations, None, out);
    }
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(b'}');
}

fn write_in_front(json: &str, kind: Kind, own_kind: bool, message_id: Option<&str>, out: &mut Vec<u8>) {
    let rest = json[1..].trim_start();
    out.push(b'{');
    write_missing(kind, own_kind, message_id, out);
    if rest == "}" {
        out.pop();
    }
    out.extend_from_slice(rest.as_bytes());
}

fn write_missing(kind: Kind, own_kind: bool, message_id: Option<&str>, out: &mut Vec<u8>) {
    if let Some(id) = message_id {
        out.extend_from_slice(format!("\"messageId\":\"{id}\",").as_bytes());
    }
    if !own_kind {
        out.extend_from_slice(format!("\"type\":\"{}\",", kind.name()).as_bytes());
    }
}

fn write_name(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(serde_json::to_string(name).unwrap_or_default().as_bytes());
    out.push(b':');
}

/// Writes the member `name`: the batch's object with the event's laid over it; the event's own names win.
fn write_merged(name: &str, batch: Option<&RawValue>, own: Option<&RawValue>, out: &mut Vec<u8>) {
    let (Some(base), own_members) = (batch.and_then(Members::of), own.and_then(Members::of)) else {
        if let Some(own) = own {
            write_name(name, out);
            out.extend_from_slice(own.get().as_bytes());
            out.push(b',');
        }
        return;
    };
    let over = own_members.unwrap_or_default();
    write_name(name, out);
    out.push(b'{');
    let kept = base.0.iter().filter(|(name, _)| over.get(name).is_none());
    for (name, value) in kept.chain(&over.0) {
        write_name(name, out);
        out.extend_from_slice(value.get().as_bytes());
        out.push(b',');
    }
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.extend_from_slice(b"},");
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const NOW: Timestamp = Timestamp(1_795_293_000_000);

    fn run(event: &str, batch: &str, kind: Option<Kind>) -> String {
        let batch = Fields::read(batch).unwrap();
        let raw: &RawValue = serde_json::from_str(event).unwrap();
        let incoming = Incoming {
            workspace: WorkspaceId(1),
            source: 2,
            raw,
            kind,
            batch: &batch,
            place: 0,
            received_at: NOW,
            import: false,
            gpc: false,
        };
        let mut out = vec![];
        match accept(&incoming, &Limits::default(), &mut out) {
            Ok(()) => {
                let record = EventRecord::decode(&out).unwrap();
                serde_json::from_str::<serde_json::Value>(record.json).unwrap();
                format!("{} {}", record.timestamp, record.json)
            }
            Err(refusal) => {
                assert!(out.is_empty());
                format!("{}: {refusal}", refusal.code())
            }
        }
    }

    fn check(event: &str, expect: Expect) {
        expect.assert_eq(&run(event, "{}", None));
    }

    #[test]
    fn what_is_whole_enters_byte_for_byte() {
        check(
            r#"{"type":"track", "event":"A","userId":"u" ,"messageId":"m","timestamp":"2026-11-21T10:00:00Z"}"#,
            expect![[
                r#"2026-11-21T10:00:00.000Z {"type":"track", "event":"A","userId":"u" ,"messageId":"m","timestamp":"2026-11-21T10:00:00Z"}"#
            ]],
        );
    }

    #[test]
    fn what_is_missing_is_put_in_front() {
        check(
            r#"{ "type":"identify","userId":7,"sentAt":"2026-11-21T10:00:00Z"}"#,
            expect![[
                r#"2026-11-21T20:30:00.000Z {"messageId":"made-0f11d3174d2b229f6e3865c7c9769eb3","type":"identify","userId":7,"sentAt":"2026-11-21T10:00:00Z"}"#
            ]],
        );
        let by_route = run(r#"{"userId":"u","messageId":"m","event":"A"}"#, "{}", Some(Kind::Track));
        assert!(by_route.ends_with(r#"{"type":"track","userId":"u","messageId":"m","event":"A"}"#), "{by_route}");
        let other = run(r#"{"type":"page","userId":"u","messageId":"m","event":"A"}"#, "{}", Some(Kind::Track));
        assert!(other.ends_with(r#"{"type":"track","userId":"u","messageId":"m","event":"A"}"#), "{other}");
    }

    #[test]
    fn null_is_as_good_as_missing() {
        check(
            r#"{"type":"page","userId":"u","sentAt":"2026-11-21T10:00:00Z","messageId":null}"#,
            expect![[
                r#"2026-11-21T20:30:00.000Z {"messageId":"made-06419f1b101f31753f73e72e637739a6","type":"page","userId":"u","sentAt":"2026-11-21T10:00:00Z"}"#
            ]],
        );
        let by_route = run(r#"{"type":null,"userId":"u","messageId":"m"}"#, "{}", Some(Kind::Page));
        assert!(by_route.ends_with(r#"{"type":"page","userId":"u","messageId":"m"}"#), "{by_route}");
    }

    #[test]
    fn the_batch_is_merged_in_and_the_write_key_left_out() {
        let batch = r#"{"sentAt":"2026-11-21T20:00:00.000Z","context":{"library":{"name":"go"},"ip":"1"},"integrations":{"All":true}}"#;
        let event = r#"{"type":"page","anonymousId":"a","messageId":"m","writeKey":"secret","context":{"ip":"2"},"originalTimestamp":"2026-11-21T19:59:50.000Z"}"#;
        expect![[r#"2026-11-21T20:29:50.000Z {"type":"page","anonymousId":"a","messageId":"m","context":{"library":{"name":"go"},"ip":"2"},"originalTimestamp":"2026-11-21T19:59:50.000Z","integrations":{"All":true}}"#]]
            .assert_eq(&run(event, batch, None));
    }

    #[test]
    fn each_refusal_says_why() {
        check("[]", expect!["not_an_object: event is not a valid rudder event: it is not a JSON object"]);
        check(
            "{}",
            expect![[
                r#"unknown_type: event is not a valid rudder event: type "" is none of track, identify, page, screen, group, alias, merge, object"#
            ]],
        );
        check(
            r#"{"type":"identify"}"#,
            expect!["no_identifier: request neither has anonymousId nor userId, nor another identifier"],
        );
        check(
            r#"{"type":"identify","userId":" ","anonymousId":""}"#,
            expect!["no_identifier: request neither has anonymousId nor userId, nor another identifier"],
        );
        check(r#"{"type":"track","userId":"u"}"#, expect!["bad_field: event: is missing"]);
        check(r#"{"type":"identify","userId":{"a":1}}"#, expect!["bad_field: userId: is neither text nor a number"]);
        check(r#"{"type":"identify","userId":"a\u0000"}"#, expect!["bad_field: userId: holds U+0000"]);
        check(
            r#"{"type":"identify","userId":"u","messageId":""}"#,
            expect!["bad_field: messageId: must be text of 1 to 100 characters, without U+0000"],
        );
        check(
            r#"{"type":"identify","userId":"u","timestamp":"0000-01-01T00:00:00.000Z"}"#,
            expect![[r#"bad_time: timestamp "0000-01-01T00:00:00.000Z" is not an ISO 8601 date-time from 1900 on"#]],
        );
        let long = format!(r#"{{"type":"identify","userId":"u","traits":{{"a":"{}"}}}}"#, "x".repeat(40_000));
        check(
            &long,
            expect![
                "too_large: event of 40050 bytes is over the limit of 32768 bytes; send less, or raise ingest.event_bytes_max"
            ],
        );
    }

    #[test]
    fn a_time_in_the_future_counts_from_receipt() {
        let event = r#"{"type":"identify","userId":"u","messageId":"m","timestamp":"9999-12-31T23:59:59.999Z"}"#;
        assert!(run(event, "{}", None).starts_with("2026-11-21T20:30:00.000Z"));
    }

    #[test]
    fn another_identifier_will_do() {
        for event in [
            r#"{"type":"identify","traits":{"email":"a@b.c"},"messageId":"m"}"#,
            r#"{"type":"track","event":"A","context":{"traits":{"phone":"+49"}},"messageId":"m"}"#,
            r#"{"type":"track","event":"A","context":{"externalIds":[{"id":"1","type":"crm"}]},"messageId":"m"}"#,
        ] {
            assert!(run(event, "{}", None).contains("messageId"), "{event}");
        }
    }

    #[test]
    fn a_retry_gets_the_same_made_id_and_a_second_timeless_event_another() {
        let id = |event: &str, received: Timestamp| {
            let batch = Fields::default();
            let raw: &RawValue = serde_json::from_str(event).unwrap();
            let (workspace, source) = (WorkspaceId(1), 2);
            let incoming = Incoming {
                workspace,
                source,
                raw,
                kind: None,
                batch: &batch,
                place: 0,
                received_at: received,
                import: false,
                gpc: false,
            };
            let mut out = vec![];
            accept(&incoming, &Limits::default(), &mut out).unwrap();
            EventRecord::decode(&out).unwrap().json[..51].to_owned()
        };
        let timed = r#"{"type":"identify","userId":"u","timestamp":"2026-11-21T10:00:00Z"}"#;
        assert_eq!(id(timed, NOW), id(timed, NOW.plus(5)));
        let timeless = r#"{"type":"identify","userId":"u"}"#;
        assert_ne!(id(timeless, NOW), id(timeless, NOW.plus(5)));
    }
}
