//! A log and a store that fail and die where they are told to.
//!
//! Decorators on the two seams. What they do keeps the contracts: after an error that may be tried again nothing was
//! kept; only when the process dies may something have been kept that nobody was told of. Where it dies, the pipeline
//! gets an error that no retry helps, and the simulation opens it anew.

use std::{collections::BTreeMap, future::ready, ops::Range, sync::Arc};

use onefold_log::{
    AppendError, Appending, Batch, Block, EventLog, Fault as LogFault, Offset, Partition, ReadError, Verified,
};
use onefold_state::{Epoch, Error, Generation, Reader, Row, Scan, StateStore, Table, Txn, Value};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Where something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The log has too much waiting.
    AppendBusy,
    /// The log cannot write; nothing is kept.
    AppendUnavailable,
    /// The process dies before the batch is in the log.
    DieBeforeAppend,
    /// The process dies when the batch is in the log, before anybody is told.
    DieAfterAppend,
    /// The log cannot be read.
    ReadUnavailable,
    /// The store gives no transaction.
    BeginUnavailable,
    /// The disk is full in the middle of a transaction.
    PutFull,
    /// The commit fails; nothing is kept.
    CommitUnavailable,
    /// The process dies before the commit.
    DieBeforeCommit,
    /// The process dies after the commit.
    DieAfterCommit,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 10] = [
        Fault::AppendBusy,
        Fault::AppendUnavailable,
        Fault::DieBeforeAppend,
        Fault::DieAfterAppend,
        Fault::ReadUnavailable,
        Fault::BeginUnavailable,
        Fault::PutFull,
        Fault::CommitUnavailable,
        Fault::DieBeforeCommit,
        Fault::DieAfterCommit,
    ];
}

/// The faults to come: each after so many more passes of its place.
#[derive(Debug, Default)]
pub struct Faults {
    armed: Mutex<BTreeMap<Fault, u32>>,
    died: Mutex<Option<Fault>>,
}

impl Faults {
    /// Lets `fault` happen at the pass number `after`, from 0, of its place.
    pub fn arm(&self, fault: Fault, after: u32) {
        self.armed.lock().insert(fault, after);
    }

    /// Lets nothing happen any more.
    pub fn disarm(&self) {
        self.armed.lock().clear();
    }

    /// Does `look` while nothing goes wrong; what is to come comes after.
    pub fn aside<T>(&self, look: impl FnOnce() -> T) -> T {
        let armed = std::mem::take(&mut *self.armed.lock());
        let seen = look();
        *self.armed.lock() = armed;
        seen
    }

    /// The fault at which the process died since this was asked last.
    pub fn died(&self) -> Option<Fault> {
        self.died.lock().take()
    }

    fn strikes(&self, fault: Fault) -> bool {
        let mut armed = self.armed.lock();
        let now = match armed.get_mut(&fault) {
            None => return false,
            Some(0) => true,
            Some(after) => {
                *after -= 1;
                false
            }
        };
        if now {
            armed.remove(&fault);
        }
        now
    }

    fn dies(&self, fault: Fault) -> bool {
        let dies = self.strikes(fault);
        if dies {
            *self.died.lock() = Some(fault);
        }
        dies
    }
}

/// A log with faults.
pub struct FaultyLog {
    inner: Arc<dyn EventLog>,
    faults: Arc<Faults>,
}

impl FaultyLog {
    /// `inner` with `faults`.
    pub fn new(inner: Arc<dyn EventLog>, faults: Arc<Faults>) -> Self {
        FaultyLog { inner, faults }
    }
}

impl EventLog for FaultyLog {
    fn partitions(&self) -> u32 {
        self.inner.partitions()
    }

    fn append(&self, partition: Partition, batch: Batch) -> Appending<'_> {
        let unavailable = |batch, cause: &str| Err(AppendError::Unavailable { batch, cause: cause.to_owned() });
        if self.faults.strikes(Fault::AppendBusy) {
            return Box::pin(ready(Err(AppendError::Busy { batch, waiting_bytes: 1 })));
        }
        if self.faults.strikes(Fault::AppendUnavailable) {
            return Box::pin(ready(unavailable(batch, "simulated: no room")));
        }
        if self.faults.dies(Fault::DieBeforeAppend) {
            return Box::pin(ready(unavailable(batch, "simulated: died before the append")));
        }
        if self.faults.dies(Fault::DieAfterAppend) {
            let kept = pollster::block_on(self.inner.append(partition, batch.clone()));
            return Box::pin(ready(kept.and_then(|_| unavailable(batch, "simulated: died after the append"))));
        }
        self.inner.append(partition, batch)
    }

    fn read(&self, partition: Partition, from: Offset, bytes_max: usize) -> Result<Vec<Block>, ReadError> {
        if self.faults.strikes(Fault::ReadUnavailable) {
            return Err(ReadError::Store { operation: "read", cause: "simulated".to_owned() });
        }
        self.inner.read(partition, from, bytes_max)
    }

    fn start(&self, partition: Partition) -> Result<Offset, ReadError> {
        self.inner.start(partition)
    }

    fn end(&self, partition: Partition) -> Result<Offset, ReadError> {
        self.inner.end(partition)
    }

    fn watch(&self, partition: Partition) -> watch::Receiver<Offset> {
        self.inner.watch(partition)
    }

    fn trim(&self, partition: Partition, before: Offset) -> Result<(), ReadError> {
        self.inner.trim(partition, before)
    }

    fn erase(&self, partition: Partition, ranges: &[Range<Offset>]) -> Result<u64, ReadError> {
        self.inner.erase(partition, ranges)
    }

    fn verify(&self, partition: Partition, on_fault: &mut dyn FnMut(LogFault)) -> Result<Verified, ReadError> {
        self.inner.verify(partition, on_fault)
    }
}

/// A store with faults in the pipeline's transactions.
pub struct FaultyStore {
    inner: Arc<dyn StateStore>,
    faults: Arc<Faults>,
}

impl FaultyStore {
    /// `inner` with `faults`.
    pub fn new(inner: Arc<dyn StateStore>, faults: Arc<Faults>) -> Self {
        FaultyStore { inner, faults }
    }
}

impl StateStore for FaultyStore {
    fn take_over(&self, partition: onefold_state::Partition) -> Result<Epoch, Error> {
        self.inner.take_over(partition)
    }

    fn begin(
        &self,
        partition: onefold_state::Partition,
        epoch: Epoch,
        generation: Option<Generation>,
    ) -> Result<Box<dyn Txn + '_>, Error> {
        if self.faults.strikes(Fault::BeginUnavailable) {
            return Err(Error::Unavailable { operation: "begin", cause: "simulated".to_owned() });
        }
        let inner = self.inner.begin(partition, epoch, generation)?;
        Ok(Box::new(FaultyTxn { inner, faults: &self.faults }))
    }

    fn begin_shared(&self) -> Result<Box<dyn Txn + '_>, Error> {
        self.inner.begin_shared()
    }

    fn reader(&self) -> Result<Box<dyn Reader + Send + '_>, Error> {
        self.inner.reader()
    }

    fn new_generation(&self) -> Result<Generation, Error> {
        self.inner.new_generation()
    }

    fn swap(
        &self,
        generation: Generation,
        last: &mut dyn FnMut(&mut dyn Txn) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.inner.swap(generation, last)
    }

    fn checkpoint(&self) -> Result<(), Error> {
        self.inner.checkpoint()
    }

    fn kind(&self) -> &'static str {
        self.inner.kind()
    }
}

struct FaultyTxn<'s> {
    inner: Box<dyn Txn + 's>,
    faults: &'s Faults,
}

impl Reader for FaultyTxn<'_> {
    fn get(&mut self, table: &'static Table, keys: &[Row]) -> Result<Vec<Option<Row>>, Error> {
        self.inner.get(table, keys)
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Row>, Error> {
        self.inner.scan(scan)
    }

    fn count(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error> {
        self.inner.count(table, prefix)
    }
}

impl Txn for FaultyTxn<'_> {
    fn put(&mut self, table: &'static Table, rows: Vec<Row>) -> Result<(), Error> {
        if self.faults.strikes(Fault::PutFull) {
            return Err(Error::Full { operation: "put" });
        }
        self.inner.put(table, rows)
    }

    fn delete(&mut self, table: &'static Table, keys: &[Row]) -> Result<(), Error> {
        self.inner.delete(table, keys)
    }

    fn delete_prefix(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error> {
        self.inner.delete_prefix(table, prefix)
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        let dead = |cause: &str| Err(Error::Unusable { operation: "commit", cause: cause.to_owned() });
        if self.faults.strikes(Fault::CommitUnavailable) {
            return Err(Error::Unavailable { operation: "commit", cause: "simulated".to_owned() });
        }
        if self.faults.dies(Fault::DieBeforeCommit) {
            return dead("simulated: died before the commit");
        }
        self.inner.commit()?;
        if self.faults.dies(Fault::DieAfterCommit) {
            return dead("simulated: died after the commit");
        }
        Ok(())
    }
}
