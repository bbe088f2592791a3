//! A block: what one group commit writes, and the only unit that the log reads, checks and erases.
//!
//! On disk, all integers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | magic `OFLB` |
//! | 4 | version, 1 |
//! | 5 | codec: 0 plain, 1 LZ4 block, 2 zstd frame |
//! | 6..10 | id of the key that sealed the body; 0 = not sealed |
//! | 10..18 | first offset |
//! | 18..22 | records |
//! | 22..26 | bytes of the body when decompressed |
//! | 26..30 | bytes of the body as stored |
//! | 30..34 | CRC-32 (IEEE) of bytes 0..30 and of the body as stored |
//! | 34.. | the body, then zeros |
//!
//! The decompressed body is the records one after another: a kind byte (its high bit set when erased), the length as
//! `u32`, the payload. A [`Batch`] is built in the same framing, so a commit is a concatenation and one compression.
//!
//! The zeros at the end are there for erasing: a block that lost payloads is written over the old one, in place, and
//! what it no longer needs is filled with zeros. Anything else there is damage.

use std::{borrow::Borrow, ops::Range};

use bytes::Bytes;

use crate::{
    Offset,
    batch::{Batch, Frame, FrameError, Frames, Kind},
};

/// The most bytes that a block's body may have when decompressed, and so the most that decoding one allocates.
pub const BODY_BYTES_MAX: usize = crate::batch::BATCH_BYTES_MAX;

/// Bytes before the body.
pub const HEADER_BYTES: usize = 34;

const MAGIC: [u8; 4] = *b"OFLB";
const VERSION: u8 = 1;
/// Where the checksum stands; it covers all before it, and the body.
const CHECKSUM: Range<usize> = 30..34;

/// How a block's body is compressed. A body that would not become smaller is stored plain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// Not compressed.
    Plain = 0,
    /// LZ4 block format.
    #[default]
    Lz4 = 1,
    /// A zstd frame.
    Zstd = 2,
}

/// Why bytes are not a block. Each is damage, or a block of a later version; no retry helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than the header, or than the header says.
    #[error("the block has {bytes} bytes, fewer than it needs")]
    Short {
        /// Bytes there are.
        bytes: usize,
    },
    /// Not the magic.
    #[error("the block does not begin with OFLB")]
    Magic,
    /// A later version of the format.
    #[error("the block is of format version {0}, which this version does not know")]
    Version(u8),
    /// The checksum is not the one that was written.
    #[error("the checksum is {found:08x} and was {said:08x} when written")]
    Checksum {
        /// Of the bytes as they are.
        found: u32,
        /// By the header.
        said: u32,
    },
    /// Something else than zeros after the body.
    #[error("there are bytes after the body")]
    Padding,
    /// The body is sealed.
    #[error("the block is sealed with key {key}, which is not configured")]
    Sealed {
        /// The key's id.
        key: u32,
    },
    /// An unknown codec.
    #[error("the block has the unknown codec {0}")]
    Codec(u8),
    /// The body would be larger than any that was ever written.
    #[error("the body says it has {bytes} bytes, more than the {BODY_BYTES_MAX} that a block may have")]
    TooLarge {
        /// By the header.
        bytes: u32,
    },
    /// Offsets that do not exist.
    #[error("the block says that it ends beyond the last offset")]
    Offsets,
    /// The body cannot be decompressed to the length that the header says.
    #[error("the body cannot be decompressed: {0}")]
    Decompress(String),
    /// The body is not the records that the header says.
    #[error(transparent)]
    Frames(#[from] FrameError),
}

/// One record, as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place.
    pub offset: Offset,
    /// What it is.
    pub kind: Kind,
    /// Whether it was emptied by [`EventLog::erase`](crate::EventLog::erase).
    pub erased: bool,
    /// What was appended; empty when erased.
    pub payload: &'a [u8],
}

/// Consecutive records, checked and decompressed. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The offset of the first record.
    pub first: Offset,
    records: u32,
    body: Bytes,
}

impl Block {
    /// The block that `batch` is when its first record has the offset `first`.
    pub(crate) fn from_batch(first: Offset, batch: Batch) -> Self {
        Self { first, records: batch.len() as u32, body: batch.into_bytes().into() }
    }

    /// How many records the block has.
    pub fn len(&self) -> usize {
        self.records as usize
    }

    /// Whether the block has no record. The log writes no such block.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The offset after the last record.
    pub fn end(&self) -> Offset {
        self.first + Offset::from(self.records)
    }

    /// Bytes of the decompressed body: the payloads and their frames.
    pub fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// The records in the order of their offsets.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.frames().map(|(offset, Frame { kind, erased, payload })| Record { offset, kind, erased, payload })
    }

    /// The block without the payloads of the records that `ranges` (sorted, not overlapping) hold, and how many
    /// records that changed. `None` when that would change nothing.
    pub fn erase(&self, ranges: &[Range<Offset>]) -> Option<(Self, u64)> {
        let hit =
            |offset| ranges.get(ranges.partition_point(|range| range.end <= offset)).is_some_and(|r| r.start <= offset);
        let erased = self.frames().filter(|(offset, frame)| !frame.erased && hit(*offset)).count() as u64;
        if erased == 0 {
            return None;
        }
        let mut body = Vec::with_capacity(self.body.len());
        for (offset, frame) in self.frames() {
            if hit(offset) { frame.write_erased(&mut body) } else { frame.write(&mut body) }
        }
        Some((Self { first: self.first, records: self.records, body: body.into() }, erased))
    }

    /// The block as it is stored. `level` is zstd's, 1 to 3; the other codecs have none.
    pub fn encode(&self, codec: Codec, level: i32) -> Vec<u8> {
        seal(self.first, self.records, &self.body, codec, level)
    }

    fn frames(&self) -> impl Iterator<Item = (Offset, Frame<'_>)> {
        (self.first..)
            .zip(Frames(&self.body).map(|frame| frame.expect("the frames were checked when the block was made")))
    }
}

/// The block that holds the records of `batches`, one after another, from the offset `first` on, as it is stored.
/// `level` is zstd's, 1 to 3; the other codecs have none.
///
/// # Panics
///
/// When the batches have more than [`BODY_BYTES_MAX`] bytes together.
pub fn encode<B: Borrow<Batch>>(first: Offset, batches: &[B], codec: Codec, level: i32) -> Vec<u8> {
    let records: usize = batches.iter().map(|batch| batch.borrow().len()).sum();
    let records = u32::try_from(records).expect("each record has a frame, so a body has fewer than 2^32");
    if let [batch] = batches {
        return seal(first, records, batch.borrow().bytes(), codec, level);
    }
    let mut body = Vec::with_capacity(batches.iter().map(|batch| batch.borrow().bytes().len()).sum());
    for batch in batches {
        body.extend_from_slice(batch.borrow().bytes());
    }
    seal(first, records, &body, codec, level)
}

fn seal(first: Offset, records: u32, body: &[u8], codec: Codec, level: i32) -> Vec<u8> {
    assert!(body.len() <= BODY_BYTES_MAX, "the body of a block has at most {BODY_BYTES_MAX} bytes");
    let (codec, mut block) = compress(body, codec, level).unwrap_or_else(|| {
        let mut block = Vec::with_capacity(HEADER_BYTES + body.len());
        block.resize(HEADER_BYTES, 0);
        block.extend_from_slice(body);
        (Codec::Plain, block)
    });
    let stored = block.len() - HEADER_BYTES;
    block[0..4].copy_from_slice(&MAGIC);
    block[4] = VERSION;
    block[5] = codec as u8;
    block[10..18].copy_from_slice(&first.to_le_bytes());
    block[18..22].copy_from_slice(&records.to_le_bytes());
    block[22..26].copy_from_slice(&(body.len() as u32).to_le_bytes());
    block[26..30].copy_from_slice(&(stored as u32).to_le_bytes());
    let checksum = checksum(&block, stored);
    block[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    block
}

/// Room for the header and then the compressed body, or `None` when that is no smaller than the body.
fn compress(body: &[u8], codec: Codec, level: i32) -> Option<(Codec, Vec<u8>)> {
    let room = match codec {
        Codec::Plain => return None,
        Codec::Lz4 => lz4_flex::block::get_maximum_output_size(body.len()),
        Codec::Zstd => zstd::zstd_safe::compress_bound(body.len()),
    };
    let mut block = vec![0; HEADER_BYTES + room];
    let stored = match codec {
        Codec::Plain => None,
        Codec::Lz4 => lz4_flex::block::compress_into(body, &mut block[HEADER_BYTES..]).ok(),
        Codec::Zstd => zstd::bulk::compress_to_buffer(body, &mut block[HEADER_BYTES..], level).ok(),
    }?;
    block.truncate(HEADER_BYTES + stored);
    (stored < body.len()).then_some((codec, block))
}

/// Checks and decompresses a block.
///
/// Takes any bytes: it never panics, and allocates at most [`BODY_BYTES_MAX`] bytes.
pub fn decode(block: &[u8]) -> Result<Block, DecodeError> {
    let short = DecodeError::Short { bytes: block.len() };
    if block.len() < HEADER_BYTES {
        return Err(short);
    }
    if block[0..4] != MAGIC {
        return Err(DecodeError::Magic);
    }
    if block[4] != VERSION {
        return Err(DecodeError::Version(block[4]));
    }
    let stored = word(block, 26) as usize;
    let body = block[HEADER_BYTES..].get(..stored).ok_or(short)?;
    let (found, said) = (checksum(block, stored), word(block, CHECKSUM.start));
    if found != said {
        return Err(DecodeError::Checksum { found, said });
    }
    if block[HEADER_BYTES + stored..].iter().any(|&byte| byte != 0) {
        return Err(DecodeError::Padding);
    }
    let key = word(block, 6);
    if key != 0 {
        return Err(DecodeError::Sealed { key });
    }
    let (records, bytes) = (word(block, 18), word(block, 22));
    if bytes as usize > BODY_BYTES_MAX {
        return Err(DecodeError::TooLarge { bytes });
    }
    let first = Offset::from_le_bytes(std::array::from_fn(|i| block[10 + i]));
    if first.checked_add(records.into()).is_none_or(|end| end > i64::MAX as u64) {
        return Err(DecodeError::Offsets);
    }
    let body = decompress(block[5], body, bytes as usize)?;
    check(&body, records)?;
    Ok(Block { first, records, body: body.into() })
}

fn decompress(codec: u8, stored: &[u8], bytes: usize) -> Result<Vec<u8>, DecodeError> {
    let failed = |error: String| DecodeError::Decompress(error);
    let body = match codec {
        0 => stored.to_vec(),
        1 => {
            let mut body = vec![0; bytes];
            let written = lz4_flex::block::decompress_into(stored, &mut body).map_err(|e| failed(e.to_string()))?;
            body.truncate(written);
            body
        }
        2 => zstd::bulk::decompress(stored, bytes).map_err(|e| failed(e.to_string()))?,
        other => return Err(DecodeError::Codec(other)),
    };
    if body.len() != bytes {
        return Err(failed(format!("it has {} bytes and the header says {bytes}", body.len())));
    }
    Ok(body)
}

fn check(body: &[u8], said: u32) -> Result<(), FrameError> {
    let mut found = 0;
    for frame in Frames(body) {
        frame?;
        found += 1;
    }
    if found == u64::from(said) { Ok(()) } else { Err(FrameError::Count { found, said }) }
}

/// The same offsets as sorted ranges that neither overlap nor touch, as [`Block::erase`] takes them.
pub(crate) fn normalized(ranges: &[Range<Offset>]) -> Vec<Range<Offset>> {
    let mut ranges: Vec<_> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, last| {
        let joined = next.start <= last.end;
        if joined {
            last.end = last.end.max(next.end);
        }
        joined
    });
    ranges
}

/// Of everything before the checksum, and of the first `stored` bytes of the body.
fn checksum(block: &[u8], stored: usize) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block[..CHECKSUM.start]);
    hasher.update(&block[HEADER_BYTES..HEADER_BYTES + stored]);
    hasher.finalize()
}

fn word(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

#[cfg(test)]
mod tests;
