//! A batch: the records that one caller appends together, already in the framing of a block's body.
//!
//! Each record is a kind byte (its high bit set when erased), the payload's length as little-endian `u32`, and the
//! payload. Because a batch holds nothing else, a group commit is a concatenation of batches and one compression, and
//! a payload is copied once between the caller and the compressor.

use std::fmt;

/// The most bytes that one record's payload may have.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// The most bytes that a batch, and so a block's decompressed body, may have: frames included.
pub const BATCH_BYTES_MAX: usize = 64 << 20;

/// What stands before each payload: the kind byte and the length.
pub(crate) const FRAME_BYTES: usize = 5;

const ERASED: u8 = 0x80;

/// What a record is. The log keeps it in the clear and does nothing else with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Something happened.
    Event = 1,
    /// Anything that changes a decision: a merge, a definition made active, a suppression.
    Command = 2,
    /// Engine time.
    Tick = 3,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Event),
            2 => Some(Self::Command),
            3 => Some(Self::Tick),
            _ => None,
        }
    }
}

/// Why a record was not taken into a batch. The batch is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The payload is larger than any record may be. No retry helps.
    #[error("push: a record of {bytes} bytes is larger than the {RECORD_BYTES_MAX} bytes that a record may have")]
    RecordTooLarge {
        /// Bytes of the payload.
        bytes: usize,
    },
    /// The record does not fit into this batch any more; it fits into an empty one.
    #[error("push: the batch would have {bytes} bytes, more than the {BATCH_BYTES_MAX} bytes that a batch may have")]
    BatchFull {
        /// Bytes that the batch would have had.
        bytes: usize,
    },
}

/// Records that enter the log together: all of them, with consecutive offsets, or none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Batch {
    bytes: Vec<u8>,
    records: u32,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with room for `bytes` bytes of payloads and their frames (5 bytes each).
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), records: 0 }
    }

    /// Adds a record with a copy of `payload`.
    pub fn push(&mut self, kind: Kind, payload: &[u8]) -> Result<(), PushError> {
        self.push_with(kind, |buffer| buffer.extend_from_slice(payload))
    }

    /// Adds a record whose payload is what `write` appends to the buffer it is given.
    ///
    /// The buffer holds the earlier records too: `write` may only append.
    ///
    /// # Panics
    ///
    /// When `write` leaves the buffer shorter than it was.
    pub fn push_with(&mut self, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), PushError> {
        let frame = self.bytes.len();
        self.bytes.push(kind as u8);
        self.bytes.extend_from_slice(&[0; 4]);
        let start = self.bytes.len();
        write(&mut self.bytes);
        let end = self.bytes.len();
        assert!(end >= start, "push_with: the writer cut off earlier records");

        let error = match end - start {
            bytes if bytes > RECORD_BYTES_MAX => PushError::RecordTooLarge { bytes },
            _ if end > BATCH_BYTES_MAX => PushError::BatchFull { bytes: end },
            bytes => {
                self.bytes[frame + 1..start].copy_from_slice(&(bytes as u32).to_le_bytes());
                self.records += 1;
                return Ok(());
            }
        };
        self.bytes.truncate(frame);
        Err(error)
    }

    /// How many records the batch has.
    pub fn len(&self) -> usize {
        self.records as usize
    }

    /// Whether the batch has no record.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The records in the framing of a block's body.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The records in the framing of a block's body, without a copy.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The kind and payload of each record, in order.
    pub fn records(&self) -> impl Iterator<Item = (Kind, &[u8])> {
        Frames(&self.bytes).map(|frame| {
            let frame = frame.expect("a batch holds only what push framed");
            (frame.kind, frame.payload)
        })
    }
}

impl fmt::Debug for Batch {
    /// Only the sizes: payloads are personal data and errors hand batches to logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("records", &self.records).field("bytes", &self.bytes.len()).finish()
    }
}

/// One record of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub kind: Kind,
    pub erased: bool,
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Appends the frame of an erased record of this kind.
    pub fn write_erased(&self, body: &mut Vec<u8>) {
        body.push(self.kind as u8 | ERASED);
        body.extend_from_slice(&[0; 4]);
    }

    /// Appends the frame as it is.
    pub fn write(&self, body: &mut Vec<u8>) {
        if self.erased {
            return self.write_erased(body);
        }
        body.push(self.kind as u8);
        body.extend_from_slice(&(self.payload.len() as u32).to_le_bytes());
        body.extend_from_slice(self.payload);
    }
}

/// Why a body cannot be cut into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The last frame says more bytes than there are.
    #[error("a record ends after the body does")]
    Short,
    /// A kind that this version does not know.
    #[error("a record has the unknown kind byte {0:#04x}")]
    Kind(u8),
    /// A record that is marked erased still has a payload.
    #[error("an erased record has a payload of {0} bytes")]
    ErasedPayload(u32),
    /// There are more or fewer records than the header says.
    #[error("the body has {found} records and the header says {said}")]
    Count {
        /// Records in the body.
        found: u64,
        /// Records by the header.
        said: u32,
    },
}

/// Cuts a body into its records, and stops at the first that is wrong.
#[derive(Debug, Clone)]
pub(crate) struct Frames<'a>(pub &'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let frame = cut(&mut self.0);
        if frame.is_err() {
            self.0 = &[];
        }
        Some(frame)
    }
}

fn cut<'a>(body: &mut &'a [u8]) -> Result<Frame<'a>, FrameError> {
    let (&[byte, a, b, c, d], rest) = body.split_first_chunk::<FRAME_BYTES>().ok_or(FrameError::Short)?;
    let bytes = u32::from_le_bytes([a, b, c, d]);
    let (payload, rest) = rest.split_at_checked(bytes as usize).ok_or(FrameError::Short)?;
    let kind = Kind::from_byte(byte & !ERASED).ok_or(FrameError::Kind(byte))?;
    let erased = byte & ERASED != 0;
    if erased && bytes > 0 {
        return Err(FrameError::ErasedPayload(bytes));
    }
    *body = rest;
    Ok(Frame { kind, erased, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_may_be_written_straight_into_the_batch() {
        let mut copied = Batch::new();
        copied.push(Kind::Event, b"payload").unwrap();
        let mut written = Batch::with_capacity(64);
        written.push_with(Kind::Event, |buffer| buffer.extend_from_slice(b"payload")).unwrap();
        assert_eq!(copied, written);
        assert_eq!(copied.bytes(), b"\x01\x07\0\0\0payload");
        assert_eq!(copied.len(), 1);
    }

    #[test]
    fn a_record_that_is_too_large_leaves_the_batch_as_it_was() {
        let mut batch = Batch::new();
        batch.push(Kind::Command, b"first").unwrap();
        let before = batch.clone();

        let bytes = RECORD_BYTES_MAX + 1;
        let error = batch.push_with(Kind::Event, |buffer| buffer.resize(buffer.len() + bytes, 0)).unwrap_err();
        assert_eq!(error, PushError::RecordTooLarge { bytes });
        assert_eq!(batch, before);
    }

    #[test]
    fn a_batch_has_a_largest_size() {
        let mut batch = Batch::new();
        let push = |batch: &mut Batch| batch.push_with(Kind::Event, |b| b.resize(b.len() + RECORD_BYTES_MAX, 0));
        for _ in 0..3 {
            push(&mut batch).unwrap();
        }
        assert!(matches!(push(&mut batch), Err(PushError::BatchFull { .. })));
        assert_eq!(batch.len(), 3);
        assert_eq!(batch.records().count(), 3);
    }

    #[test]
    fn debug_shows_no_payload() {
        let mut batch = Batch::new();
        batch.push(Kind::Event, b"ada@example.com").unwrap();
        assert_eq!(format!("{batch:?}"), "Batch { records: 1, bytes: 20 }");
    }
}
