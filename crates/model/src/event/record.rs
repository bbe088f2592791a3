//! An event's form in the log.
//!
//! Version 1, all integers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0 | version, 1 |
//! | 1 | flags: 1 = its message id is remembered for ever (an imported row); 2 = the browser sent `Sec-GPC: 1` |
//! | 2..6 | workspace |
//! | 6..10 | source |
//! | 10..18 | received, ms since 1970 |
//! | 18..26 | happened, ms since 1970: corrected for the sender's clock, never after it was received |
//! | 26..34 | sent by the sender's clock, ms since 1970; `i64::MIN` = not said |
//! | 34.. | the event's JSON as it came, with `messageId` and `type`, without `writeKey` |

use crate::{Timestamp, WorkspaceId};

const VERSION: u8 = 1;
const HEADER: usize = 34;
const FOR_EVER: u8 = 1;
const GPC: u8 = 2;

/// A source within a workspace.
pub type SourceId = u32;

/// An accepted event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRecord<'a> {
    /// Whose event.
    pub workspace: WorkspaceId,
    /// By which source.
    pub source: SourceId,
    /// Whether its message id is remembered for ever (an imported row), or for the dedupe window.
    pub for_ever: bool,
    /// Whether the browser asked, by a header, not to sell or share (Global Privacy Control).
    pub gpc: bool,
    /// When it came.
    pub received_at: Timestamp,
    /// When it happened.
    pub timestamp: Timestamp,
    /// When it was sent, by the sender's clock.
    pub sent_at: Option<Timestamp>,
    /// Its JSON.
    pub json: &'a str,
}

/// A log record that is not an event record of a known version.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Too short.
    #[error("an event record of {0} bytes is too short")]
    Short(usize),
    /// Written by a newer version.
    #[error("an event record of version {0} was written by a newer Onefold; upgrade this one")]
    Version(u8),
    /// The JSON is not UTF-8.
    #[error("an event record's JSON is not UTF-8")]
    Utf8,
}

impl<'a> EventRecord<'a> {
    /// Appends the header to `out`; the JSON is to follow.
    pub fn write_header(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.push(if self.for_ever { FOR_EVER } else { 0 } | if self.gpc { GPC } else { 0 });
        out.extend_from_slice(&self.workspace.0.to_le_bytes());
        out.extend_from_slice(&self.source.to_le_bytes());
        out.extend_from_slice(&self.received_at.0.to_le_bytes());
        out.extend_from_slice(&self.timestamp.0.to_le_bytes());
        out.extend_from_slice(&self.sent_at.map_or(i64::MIN, |t| t.0).to_le_bytes());
    }

    /// Appends the whole record to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.write_header(out);
        out.extend_from_slice(self.json.as_bytes());
    }

    /// Reads a record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        match bytes.first() {
            None => return Err(DecodeError::Short(0)),
            Some(&VERSION) if bytes.len() < HEADER => return Err(DecodeError::Short(bytes.len())),
            Some(&VERSION) => {}
            Some(&other) => return Err(DecodeError::Version(other)),
        }
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let time_at = |at: usize| {
            let mut b = [0; 8];
            b.copy_from_slice(&bytes[at..at + 8]);
            Timestamp(i64::from_le_bytes(b))
        };
        Ok(EventRecord {
            for_ever: bytes[1] & FOR_EVER != 0,
            gpc: bytes[1] & GPC != 0,
            workspace: WorkspaceId(u32_at(2)),
            source: u32_at(6),
            received_at: time_at(10),
            timestamp: time_at(18),
            sent_at: Some(time_at(26)).filter(|t| t.0 != i64::MIN),
            json: std::str::from_utf8(&bytes[HEADER..]).map_err(|_| DecodeError::Utf8)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_record_reads_back(workspace: u32, source: u32, flags: (bool, bool), times: (i64, i64), json: String) {
            let (for_ever, gpc) = flags;
            let record = EventRecord {
                workspace: WorkspaceId(workspace),
                source,
                for_ever,
                gpc,
                received_at: Timestamp(times.0),
                timestamp: Timestamp(times.1),
                sent_at: for_ever.then_some(Timestamp(1)),
                json: &json,
            };
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            proptest::prop_assert_eq!(EventRecord::decode(&bytes), Ok(record));
        }
    }

    /// The bytes as version 1 wrote them: this fixture stays when the format moves on.
    #[test]
    fn version_1_is_read_for_ever() {
        let bytes = b"\x01\x01\x02\0\0\0\x03\0\0\0\x10\0\0\0\0\0\0\0\x0f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x80{}";
        let expect = EventRecord {
            workspace: WorkspaceId(2),
            source: 3,
            for_ever: true,
            gpc: false,
            received_at: Timestamp(16),
            timestamp: Timestamp(15),
            sent_at: None,
            json: "{}",
        };
        assert_eq!(EventRecord::decode(bytes), Ok(expect));
        assert_eq!(EventRecord::decode(b"\x02"), Err(DecodeError::Version(2)));
        assert_eq!(EventRecord::decode(b"\x01\0"), Err(DecodeError::Short(2)));
    }
}
