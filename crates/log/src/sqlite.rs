//! The log in one SQLite file: durable on one machine, and a thing that any operator can open, copy and look into.
//!
//! One thread writes ([`writer`]); it makes one block of everything that waits and commits it with one fsync. Readers
//! have connections of their own, so they neither wait for the writer nor hold it up. What stands in the file and why
//! is said in [`store`].

mod maintain;
mod queue;
mod store;
mod writer;

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions, TryLockError},
    future::ready,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::watch;

use self::{
    maintain::Rewrite,
    queue::{Bounds, Queue},
    store::{Verifying, failed},
    writer::Writer,
};
use crate::{
    AppendError, Appending, BATCH_BYTES_MAX, Batch, Block, Codec, EventLog, Fault, Offset, Partition, ReadError,
    Verified, block::normalized,
};

/// Connections that wait for the next reader; what more readers open is closed after use.
const IDLE_READERS_MAX: usize = 4;
/// About how many bytes of blocks one transaction of an erase or a trim rewrites, so that appends get their turn.
const REWRITE_BYTES: usize = 8 << 20;

/// How a [`SqliteLog`] behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteLogSettings {
    /// How many partitions the log has. Fixed when the file is made; opening with another number is refused.
    pub partitions: u32,
    /// How new blocks are compressed.
    pub codec: Codec,
    /// zstd's level, 1 to 3.
    pub zstd_level: i32,
    /// How many bytes of batches may wait, being written included; beyond that an append is refused as busy.
    pub waiting_bytes_max: usize,
    /// How many bytes of batches one commit writes, at most the size of the largest batch. A batch that is larger
    /// than this is a commit of its own.
    pub group_bytes_max: usize,
    /// How long the writer waits for more once something is there; `None` writes at once, which is best unless each
    /// fsync costs money.
    pub group_wait: Option<Duration>,
    /// Bytes of stored blocks after which a new segment begins. Trimming gives space back by whole segments.
    pub segment_bytes: u64,
}

impl Default for SqliteLogSettings {
    fn default() -> Self {
        Self {
            partitions: 1,
            codec: Codec::default(),
            zstd_level: 1,
            waiting_bytes_max: 64 << 20,
            group_bytes_max: 4 << 20,
            group_wait: None,
            segment_bytes: 128 << 20,
        }
    }
}

/// An [`EventLog`] in one SQLite file. Dropping it writes what waits and closes the file.
#[derive(Debug)]
pub struct SqliteLog {
    partitions: u32,
    ends: Arc<[watch::Sender<Offset>]>,
    readers: Readers,
    /// `None` when opened for reading only.
    writing: Option<Writing>,
}

struct Writing {
    settings: SqliteLogSettings,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
    /// Held by whoever trims or erases: each reads, thinks, and then has the writer write.
    maintaining: Mutex<()>,
    /// Keeps a second process out as long as it is open.
    _lock: File,
}

impl SqliteLog {
    /// Opens the log at `path` (`log.db`), or makes it. The directory must exist.
    ///
    /// Fails when another process writes it: a lock is held on the file beside it with the extension `lock`.
    pub fn open(path: &Path, settings: SqliteLogSettings) -> Result<Self, ReadError> {
        let lock = lock(path)?;
        let connection = store::writer(path, settings.partitions)?;
        let tails = (0..settings.partitions)
            .map(|partition| store::tail(&connection, partition))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed("open"))?;
        let ends: Arc<[_]> = tails.iter().map(|tail| watch::Sender::new(tail.end)).collect();
        let queue = Arc::new(Queue::new(Bounds {
            waiting_bytes_max: settings.waiting_bytes_max,
            group_bytes_max: settings.group_bytes_max.min(BATCH_BYTES_MAX),
            group_wait: settings.group_wait,
        }));
        let thread = Writer::spawn(connection, queue.clone(), settings.clone(), tails, ends.clone())?;
        tracing::info!(path = %path.display(), partitions = settings.partitions, "log opened");
        let partitions = settings.partitions;
        let writing = Writing { settings, queue, thread: Some(thread), maintaining: Mutex::new(()), _lock: lock };
        Ok(Self { partitions, ends, readers: Readers::new(path), writing: Some(writing) })
    }

    /// Opens an existing log for reading, also beside a process that writes it.
    ///
    /// Appends, trims and erasures are refused; [`watch`](EventLog::watch) stays at the end that the log has now.
    pub fn open_read_only(path: &Path) -> Result<Self, ReadError> {
        let readers = Readers::new(path);
        let (partitions, ends) = readers.with("open", |connection| {
            let partitions = store::partitions(connection)?;
            let end = |partition| store::tail(connection, partition).map(|tail| watch::Sender::new(tail.end));
            let ends = (0..partitions).map(end).collect::<Result<_, _>>().map_err(failed("open"))?;
            Ok((partitions, ends))
        })?;
        Ok(Self { partitions, ends, readers, writing: None })
    }

    fn check(&self, partition: Partition) -> Result<(), ReadError> {
        if partition < self.partitions { Ok(()) } else { Err(ReadError::NoPartition(partition)) }
    }

    fn writing(&self, operation: &'static str) -> Result<&Writing, ReadError> {
        self.writing.as_ref().ok_or_else(|| failed(operation)("the log is opened for reading only"))
    }
}

impl EventLog for SqliteLog {
    fn partitions(&self) -> u32 {
        self.partitions
    }

    fn append(&self, partition: Partition, batch: Batch) -> Appending<'_> {
        let Some(end) = self.ends.get(partition as usize) else {
            return Box::pin(ready(Err(AppendError::NoPartition(partition))));
        };
        let Some(writing) = &self.writing else {
            let cause = "the log is opened for reading only".to_owned();
            return Box::pin(ready(Err(AppendError::Unavailable { batch, cause })));
        };
        if batch.is_empty() {
            let end = *end.borrow();
            return Box::pin(ready(Ok(end..end)));
        }
        let answer = writing.queue.append(partition, batch);
        Box::pin(async { answer.await.expect("an append is answered, if only when it is dropped") })
    }

    fn read(&self, partition: Partition, from: Offset, bytes_max: usize) -> Result<Vec<Block>, ReadError> {
        self.check(partition)?;
        self.readers.with("read", |connection| store::read(connection, partition, from, bytes_max))
    }

    fn start(&self, partition: Partition) -> Result<Offset, ReadError> {
        self.check(partition)?;
        self.readers.with("start", |connection| store::start(connection, partition).map_err(failed("start")))
    }

    fn end(&self, partition: Partition) -> Result<Offset, ReadError> {
        self.check(partition)?;
        if self.writing.is_some() {
            return Ok(*self.ends[partition as usize].borrow());
        }
        self.readers.with("end", |connection| Ok(store::tail(connection, partition).map_err(failed("end"))?.end))
    }

    fn watch(&self, partition: Partition) -> watch::Receiver<Offset> {
        self.ends.get(partition as usize).map_or_else(|| watch::channel(0).1, watch::Sender::subscribe)
    }

    fn trim(&self, partition: Partition, before: Offset) -> Result<(), ReadError> {
        self.check(partition)?;
        let writing = self.writing("trim")?;
        let _alone = writing.maintaining.lock();
        let cut = self.readers.with("trim", |c| maintain::cut(c, partition, before).map_err(failed("trim")))?;
        let Some(cut) = cut else { return Ok(()) };
        for (segment, start) in cut.segments {
            writing.run("trim", move |c| maintain::drop_segment(c, partition, segment, start))?;
        }
        if let Some(segment) = cut.within {
            let some =
                move |c: &mut Connection| maintain::empty_some(c, partition, segment, cut.start, REWRITE_BYTES as u64);
            while writing.run("trim", some)? < cut.start {}
        }
        writing.checkpoint("trim")
    }

    fn erase(&self, partition: Partition, ranges: &[Range<Offset>]) -> Result<u64, ReadError> {
        self.check(partition)?;
        let writing = self.writing("erase")?;
        let _alone = writing.maintaining.lock();
        let ranges = normalized(ranges);
        let touched = self.readers.with("erase", |connection| {
            let mut touched = BTreeSet::new();
            for range in &ranges {
                touched.extend(maintain::touched(connection, partition, range).map_err(failed("erase"))?);
            }
            Ok(touched)
        })?;

        let (mut count, mut rewrites, mut bytes, mut damaged) = (0, Vec::new(), 0, None);
        for (segment, first) in touched {
            let block = match self.readers.with("erase", |c| store::block(c, partition, segment, first)) {
                Ok(block) => block,
                Err(error) => {
                    // The others are emptied all the same.
                    damaged.get_or_insert(error);
                    continue;
                }
            };
            let Some((block, records)) = block.erase(&ranges) else { continue };
            count += records;
            bytes += block.body_bytes();
            rewrites.push(Rewrite { segment, first, body: writing.shortest(&block) });
            if bytes > REWRITE_BYTES {
                writing.rewrite(partition, std::mem::take(&mut rewrites))?;
                bytes = 0;
            }
        }
        writing.rewrite(partition, rewrites)?;
        // Also when nothing was emptied now: an earlier call may have failed at just this.
        writing.checkpoint("erase")?;
        damaged.map_or(Ok(count), Err)
    }

    fn copy_to(&self, path: &Path) -> Result<(), ReadError> {
        let text = path.to_string_lossy();
        // On a connection of its own: it cannot be done within a transaction.
        let reader = store::reader(&self.readers.path)?;
        reader.execute("VACUUM INTO ?1", [text.as_ref()]).map(drop).map_err(failed("copy"))
    }

    fn verify(&self, partition: Partition, on_fault: &mut dyn FnMut(Fault)) -> Result<Verified, ReadError> {
        self.check(partition)?;
        let expected = self.start(partition)?;
        let mut verifying = Verifying { partition, expected, verified: Verified::default(), on_fault };
        let mut next = Some(0);
        while let Some(from) = next {
            // A transaction for each segment: one for all would keep the write-ahead log from being cut meanwhile.
            next = self.readers.with("verify", |connection| {
                let segments = store::segments(connection, partition, from).map_err(failed("verify"))?;
                let Some(segment) = segments.into_iter().find(|segment| *segment >= from) else { return Ok(None) };
                verifying.segment(connection, segment).map_err(failed("verify"))?;
                Ok(Some(segment + 1))
            })?;
        }
        Ok(verifying.verified)
    }
}

impl Writing {
    /// Has the writer run `task`, and waits for it.
    fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        task: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.queue.task(Box::new(move |connection| {
            // Whoever asked waits below.
            let _ = reply.send(task(connection));
        }));
        answer.recv().map_err(|_| failed(operation)("the log is shut down"))?.map_err(failed(operation))
    }

    fn rewrite(&self, partition: Partition, rewrites: Vec<Rewrite>) -> Result<(), ReadError> {
        self.run("erase", move |connection| maintain::rewrite(connection, partition, &rewrites))
    }

    fn checkpoint(&self, operation: &'static str) -> Result<(), ReadError> {
        if self.run(operation, |connection| maintain::checkpoint(connection))? {
            return Ok(());
        }
        Err(failed(operation)("a reader keeps old pages in the write-ahead log; try again when it is done"))
    }

    /// A block that goes over its longer old self should not become longer: zstd packs tighter than LZ4.
    fn shortest(&self, block: &Block) -> Vec<u8> {
        let usual = block.encode(self.settings.codec, self.settings.zstd_level);
        let tight = block.encode(Codec::Zstd, 3);
        if tight.len() < usual.len() { tight } else { usual }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(operation = "close", "log writer panicked");
        }
    }
}

impl std::fmt::Debug for Writing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writing").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn lock(path: &Path) -> Result<File, ReadError> {
    let beside = path.with_extension("lock");
    let said = |what: &str| failed("open")(format!("{}: {what}", beside.display()));
    let options = OpenOptions::new().create(true).truncate(false).write(true).open(&beside);
    let file = options.map_err(|error| said(&error.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(said("another process has the log open for writing; stop it first")),
        Err(TryLockError::Error(error)) => Err(said(&error.to_string())),
    }
}

/// Connections for reading. Dropped before the writer's, which, as the last, then tidies up.
#[derive(Debug)]
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::default() }
    }

    /// Runs `read` in a transaction, so that all it sees is of one moment.
    fn with<T>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&Connection) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let idle = self.idle.lock().pop();
        let connection = idle.map_or_else(|| store::reader(&self.path), Ok)?;
        let transaction = connection.unchecked_transaction().map_err(failed(operation))?;
        let result = read(&transaction);
        drop(transaction);
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_READERS_MAX {
            idle.push(connection);
        }
        result
    }
}

#[cfg(test)]
mod tests;
