//! An accepted event as people and programs read it back: the JSON that came, with the four times of the Segment and
//! RudderStack specifications (`timestamp` corrected, `originalTimestamp`, `sentAt`, `receivedAt`).

use super::EventRecord;
use crate::json::Members;

/// The event's JSON with its times. `timestamp` is when it happened; what the sender had called `timestamp` becomes
/// `originalTimestamp`.
pub fn render(record: &EventRecord<'_>) -> String {
    let members: Members<'_> = serde_json::from_str(record.json).unwrap_or_default();
    let mut out = String::with_capacity(record.json.len() + 160);
    out.push('{');
    let original = members.get("timestamp").or_else(|| members.get("originalTimestamp"));
    for (name, value) in &members.0 {
        if !matches!(name.as_ref(), "timestamp" | "originalTimestamp" | "sentAt" | "receivedAt") {
            push(&mut out, name, value.get());
        }
    }
    push(&mut out, "timestamp", &format!("\"{}\"", record.timestamp));
    if let Some(original) = original {
        push(&mut out, "originalTimestamp", original.get());
    }
    match (members.get("sentAt"), record.sent_at) {
        (Some(own), _) => push(&mut out, "sentAt", own.get()),
        (None, Some(at)) => push(&mut out, "sentAt", &format!("\"{at}\"")),
        (None, None) => {}
    }
    push(&mut out, "receivedAt", &format!("\"{}\"", record.received_at));
    out.push('}');
    out
}

fn push(out: &mut String, name: &str, value: &str) {
    if out.len() > 1 {
        out.push(',');
    }
    out.push_str(&serde_json::to_string(name).unwrap_or_default());
    out.push(':');
    out.push_str(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Timestamp, WorkspaceId};

    #[test]
    fn the_four_times_stand_in_it() {
        let record = EventRecord {
            workspace: WorkspaceId(1),
            source: 1,
            for_ever: false,
            gpc: false,
            received_at: Timestamp(1_795_293_000_000),
            timestamp: Timestamp(1_795_292_999_000),
            sent_at: Some(Timestamp(1_795_293_100_000)),
            json: r#"{"type":"page","timestamp":"2026-11-21T20:31:39Z","userId":"u"}"#,
        };
        expect_test::expect![[
            r#"{"type":"page","userId":"u","timestamp":"2026-11-21T20:29:59.000Z","originalTimestamp":"2026-11-21T20:31:39Z","sentAt":"2026-11-21T20:31:40.000Z","receivedAt":"2026-11-21T20:30:00.000Z"}"#
        ]]
        .assert_eq(&render(&record));
    }
}
