//! The log: where every fact and every decision enters, once, in order.
//!
//! Everything else in Onefold is a fold of this log, so its contract is short and strict; it stands on
//! [`EventLog`], and one suite ([`conformance`]) holds every implementation to it.
//!
//! The log never looks into a payload. It numbers records, keeps them durable, gives them back, and can empty
//! some of them for good (erasure) without moving the others.

mod batch;
pub mod block;
pub mod conformance;
mod memory;
mod sqlite;

use std::{future::Future, ops::Range, path::Path, pin::Pin};

pub use batch::{BATCH_BYTES_MAX, Batch, FrameError, Kind, PushError, RECORD_BYTES_MAX};
pub use block::{Block, Codec, Record};
pub use memory::MemoryLog;
pub use sqlite::{SqliteLog, SqliteLogSettings};

/// The place of a record in its partition: 0 for the first, then one more each, with no gap.
pub type Offset = u64;

/// One of the log's independent, separately ordered parts: `0..EventLog::partitions()`.
pub type Partition = u32;

/// What an append gives: the offsets of the batch's records, once they are durable.
pub type Appending<'a> = Pin<Box<dyn Future<Output = Result<Range<Offset>, AppendError>> + Send + 'a>>;

/// An ordered, durable, partitioned log of opaque records.
///
/// # Contract
///
/// 1. **Durable when it returns.** When the future of [`append`](Self::append) gives `Ok`, the batch survives
///    `kill -9` and power loss.
/// 2. **All or nothing.** A batch gets consecutive offsets, or none of it is in the log. A failed append hands
///    the batch back. The batch is on its way once [`append`](Self::append) is called: dropping the future does not
///    call it back.
/// 3. **Order.** Offsets of a partition have no gaps and start at 0; what one caller appends after its earlier
///    append returned comes later. Nothing is visible to [`read`](Self::read) before it is durable.
/// 4. **Bounded.** When more waits than the implementation may hold, `append` fails at once with
///    [`AppendError::Busy`]; it never queues without limit.
/// 5. **Trim** drops whole blocks at the front; offsets of what stays are unchanged; [`start`](Self::start)
///    moves. Reading below `start` gives [`ReadError::Trimmed`].
/// 6. **Erase** empties payloads for good: afterwards no file of the log holds them, and reading gives the record
///    with `erased` set and an empty payload. Offsets are unchanged. Erasing twice, or what was trimmed, is no error.
/// 7. **A damaged block is an error that names its offsets**, never silently wrong data.
///
/// Reads are synchronous: the pipeline has a thread of its own, and servers call from a blocking task.
pub trait EventLog: Send + Sync {
    /// How many partitions there are.
    fn partitions(&self) -> u32;

    /// Appends `batch` to `partition`, and gives the offsets of its records when they are durable.
    ///
    /// Appends of many callers share one commit (group commit). An empty batch is given the empty range at the end.
    fn append(&self, partition: Partition, batch: Batch) -> Appending<'_>;

    /// The block that holds `from` and whole blocks after it, up to about `bytes_max` of decompressed payload, but at
    /// least one block where there is one. The first block may begin before `from`. Empty at the end of the log and beyond.
    ///
    /// Damage after the first block ends what is given; reading on from there gives the error.
    fn read(&self, partition: Partition, from: Offset, bytes_max: usize) -> Result<Vec<Block>, ReadError>;

    /// The first offset still held.
    fn start(&self, partition: Partition) -> Result<Offset, ReadError>;

    /// The offset that the next record will get.
    fn end(&self, partition: Partition) -> Result<Offset, ReadError>;

    /// A receiver that holds [`end`](Self::end) and changes after each commit. One that is closed when there is no
    /// such partition.
    fn watch(&self, partition: Partition) -> tokio::sync::watch::Receiver<Offset>;

    /// Drops whole blocks below `before`.
    fn trim(&self, partition: Partition, before: Offset) -> Result<(), ReadError>;

    /// Empties the payloads in `ranges` for good, and gives how many records that emptied.
    ///
    /// On an error some may be emptied and others not: what was asked is done when a later call gives `Ok`.
    fn erase(&self, partition: Partition, ranges: &[Range<Offset>]) -> Result<u64, ReadError>;

    /// Writes the log as it is at one moment into a new file at `path`, while others go on; what reads that file is a log of the same
    /// kind. An error where the log has tools of its own for that.
    fn copy_to(&self, path: &Path) -> Result<(), ReadError> {
        let _ = path;
        Err(ReadError::Store { operation: "copy", cause: "this kind of log is not copied".into() })
    }

    /// Reads every block of `partition`, checks it, calls `on_fault` for each that is damaged or missing, and goes on.
    fn verify(&self, partition: Partition, on_fault: &mut dyn FnMut(Fault)) -> Result<Verified, ReadError>;
}

/// What [`EventLog::verify`] looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Blocks read.
    pub blocks: u64,
    /// Records in the blocks that were whole.
    pub records: u64,
    /// Compressed bytes read.
    pub bytes: u64,
}

/// A place where the log is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub partition: Partition,
    /// The first offset that the fault touches.
    pub offset: Offset,
    /// What is wrong, in one sentence.
    pub what: String,
}

/// Why a batch was not taken. What may be tried again hands the batch back.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// More is waiting than the log may hold. Try again shortly.
    #[error("append: the log has {waiting_bytes} bytes waiting, which is its limit")]
    Busy {
        /// The batch, as it was given.
        batch: Batch,
        /// What waits now.
        waiting_bytes: usize,
    },
    /// The log could not write: disk full, I/O error, or shut down. May be tried again; nothing was kept.
    #[error("append: {cause}")]
    Unavailable {
        /// The batch, as it was given.
        batch: Batch,
        /// The store's words.
        cause: String,
    },
    /// There is no such partition.
    #[error("append: there is no partition {0}")]
    NoPartition(Partition),
}

/// Why a read, trim, erase or verify failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The records were dropped by [`EventLog::trim`].
    #[error("read: offset {offset} was trimmed, the log of this partition starts at {start}")]
    Trimmed {
        /// What was asked.
        offset: Offset,
        /// What is there.
        start: Offset,
    },
    /// A block is damaged.
    #[error("read: the block at partition {partition}, offset {offset} is damaged: {what}")]
    Damaged {
        /// Where.
        partition: Partition,
        /// The first offset of the block.
        offset: Offset,
        /// What is wrong with it.
        what: String,
    },
    /// There is no such partition.
    #[error("read: there is no partition {0}")]
    NoPartition(Partition),
    /// The store failed.
    #[error("{operation}: {cause}")]
    Store {
        /// What was being done.
        operation: &'static str,
        /// The store's words.
        cause: String,
    },
}
