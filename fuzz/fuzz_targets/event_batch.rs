//! What senders post: any bytes are a batch or are refused, each event of a batch enters or is refused, and what enters
//! is a record that reads back as JSON with a type and a message id.
#![no_main]

use libfuzzer_sys::fuzz_target;
use onefold_model::{
    Timestamp, WorkspaceId,
    event::{Envelope, EventRecord, Fields, Incoming, Kind, Limits, accept, view},
    json,
};

const EVENTS_MAX: usize = 64;
const RECEIVED: Timestamp = Timestamp(1_795_293_000_000);

// The first byte says how the events came: by a route of their kind or not, as history or not, with a browser's Global
// Privacy Control or without.
fuzz_target!(|input: (u8, &str)| {
    let (way, body) = input;
    let Ok(Envelope { own, events }) = Envelope::read(body, EVENTS_MAX) else { return };
    assert!(events.len() <= EVENTS_MAX);
    let limits = Limits::default();
    let mut out = Vec::new();
    for (place, raw) in events.iter().enumerate() {
        let incoming = Incoming {
            workspace: WorkspaceId(1),
            source: 1,
            raw,
            kind: Kind::ALL.get(usize::from(way & 15)).map(|(kind, _)| *kind),
            batch: &own,
            place,
            received_at: RECEIVED,
            import: way & 16 != 0,
            gpc: way & 32 != 0,
        };
        let before = out.len();
        match accept(&incoming, &limits, &mut out) {
            Err(_) => assert_eq!(out.len(), before, "a refusal leaves the buffer as it was"),
            Ok(()) => {
                let record = EventRecord::decode(&out[before..]).expect("what was accepted is a record");
                assert!(record.timestamp <= RECEIVED && record.timestamp >= Timestamp::EARLIEST);
                let fields = Fields::read(record.json).expect("what was accepted is a JSON object");
                let kind = fields.kind.and_then(json::text).expect("what was accepted has a type");
                assert!(Kind::from_name(&kind).is_some());
                let id = fields.message_id.and_then(json::text).expect("what was accepted has a message id");
                assert!(!id.is_empty());
                assert!(fields.write_key.is_none(), "a write key is a credential");
                Fields::read(&view::render(&record)).expect("what is shown is a JSON object");
            }
        }
    }
});
