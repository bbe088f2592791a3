//! State: everything that is derived from the log, and the little that is kept beside it.
//!
//! A store keeps **tables** of **rows**. A [`Table`] is declared once ([`schema`]), with its key, its columns and its
//! indexes; from that declaration each store makes its relational schema, so that an operator finds the same named
//! columns in SQLite and in PostgreSQL. The operations are few (get, put, delete, scan), because the pipeline loads
//! a micro-batch at once, decides in memory and writes what changed: the store is not where the decisions are.
//!
//! Tables are *derived* (made anew by a rebuild, beside the old ones, and swapped) or *kept* (a rebuild never touches
//! them).

pub mod conformance;
mod memory;
mod migrate;
mod plan;
mod pool;
mod postgres;
pub mod receipts;
pub mod schema;
mod sealed;
mod sql;
mod sqlite;
pub mod table;
#[cfg(feature = "testing")]
pub mod testing;
mod value;

use std::path::Path;

pub use memory::MemoryStore;
pub use postgres::{PostgresSettings, PostgresStore};
pub use sealed::{SealKey, SealedStore};
pub use sqlite::{SqliteSettings, SqliteStore};
pub use table::{Column, Index, Part, Row, Scan, Table, Type, Value};

/// A log partition, of which a store has one sequence of transactions each.
pub type Partition = u32;

/// The right to write a partition. Each [`StateStore::take_over`] gives a higher one and ends the earlier ones.
pub type Epoch = u64;

/// A transactional store of declared tables.
///
/// # Contract
///
/// 1. **Atomic.** What a [`Txn`] wrote becomes visible at its commit, all of it, or none of it. A transaction that is
///    dropped leaves nothing.
/// 2. **Reads its own writes.** Within a transaction `get` and `scan` see what was put and deleted in it.
/// 3. **A reader sees one moment.** What a [`Reader`] gives belongs to one committed state, whatever is committed meanwhile.
/// 4. **Fenced.** A transaction begun for a partition with an epoch that is no longer the newest fails with
///    [`Error::Fenced`], at `begin` or at `commit`, and leaves nothing.
/// 5. **Ordered.** `scan` gives rows in the order of the scanned key columns: integers by value, text and bytes by
///    their bytes, null first.
/// 6. **Generations.** Derived tables belong to a generation. Rows of one under construction are seen only by its own
///    transactions, until [`swap`](Self::swap) makes it the current one in one step. Kept tables have no generations.
/// 7. **Shared transactions** ([`begin_shared`](Self::begin_shared)) write kept tables and the outbox beside a running
///    pipeline; they and the pipeline's transactions are serialised by the store.
///
/// A text column holds no U+0000, and the columns of a key or an index together no more than
/// [`Table::INDEXED_BYTES_MAX`]: every store refuses such rows with [`Error::Shape`], because one of them cannot hold
/// them.
///
/// After an error of a write, its transaction can only be dropped; its commit fails.
///
/// All calls block: the pipeline has a thread of its own, and servers call from a blocking task.
pub trait StateStore: Send + Sync {
    /// Takes the right to write `partition`: gives a new epoch, and fences off the holders of older ones.
    fn take_over(&self, partition: Partition) -> Result<Epoch, Error>;

    /// A transaction of the pipeline of `partition`, on the current generation or, where `generation` is given, on
    /// that one under construction.
    fn begin(
        &self,
        partition: Partition,
        epoch: Epoch,
        generation: Option<Generation>,
    ) -> Result<Box<dyn Txn + '_>, Error>;

    /// A transaction of anybody else, on the current generation. Waits for its turn, a bounded time.
    fn begin_shared(&self) -> Result<Box<dyn Txn + '_>, Error>;

    /// A consistent view of the current generation.
    fn reader(&self) -> Result<Box<dyn Reader + Send + '_>, Error>;

    /// The same for who may not wait, such as a thread of an async runtime that reads a few rows; `None` where it would
    /// have to: none is free, or rows come over a network.
    fn reader_at_once(&self) -> Result<Option<Box<dyn Reader + Send + '_>>, Error> {
        Ok(None)
    }

    /// Makes an empty generation of the derived tables, beside the current one. One that was left unfinished goes.
    fn new_generation(&self) -> Result<Generation, Error>;

    /// Makes `generation` the current one and drops the one before, in one step. `last` runs inside the same
    /// transaction, on the new generation, for what must go with it.
    fn swap(
        &self,
        generation: Generation,
        last: &mut dyn FnMut(&mut dyn Txn) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// Folds pending writes into the main files and cleans up, so that no file holds what was deleted
    /// (SQLite: `wal_checkpoint(TRUNCATE)` under `secure_delete`; PostgreSQL: `VACUUM`).
    fn checkpoint(&self) -> Result<(), Error>;

    /// Writes everything as it is at one moment into a new file at `path`, while others go on reading and writing; what reads that file
    /// is a store of the same kind. [`Error::Unavailable`] where the store has tools of its own for that.
    fn copy_to(&self, path: &Path) -> Result<(), Error> {
        let _ = path;
        let own = match self.kind() {
            "postgres" => "pg_dump or the backups of your PostgreSQL",
            _ => "another store",
        };
        Err(Error::Unavailable {
            operation: "copy the state",
            cause: format!("{} is not copied: use {own}", self.kind()),
        })
    }

    /// What the store is, for `/readyz` and error messages: `sqlite`, `postgres`, `memory`.
    fn kind(&self) -> &'static str;
}

/// Number of a set of derived tables; 1 for the first.
pub type Generation = u64;

/// How durable the pipeline's commits are. Everybody else's are durable when `commit` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// A power failure may lose the last commits, never the integrity; the pipeline replays them from the log.
    Normal,
    /// Durable when `commit` returns.
    Full,
}

/// Reads of declared tables.
pub trait Reader {
    /// The rows with these keys (the first `table.key` columns each), in the order asked; `None` where there is none.
    fn get(&mut self, table: &'static Table, keys: &[Row]) -> Result<Vec<Option<Row>>, Error>;

    /// Rows in order; see [`Scan`].
    fn scan(&mut self, scan: &Scan) -> Result<Vec<Row>, Error>;

    /// How many rows have this prefix of the key (the empty prefix: all).
    fn count(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error>;
}

/// Reads and writes that take effect together.
pub trait Txn: Reader {
    /// Inserts rows, or replaces those with the same key.
    fn put(&mut self, table: &'static Table, rows: Vec<Row>) -> Result<(), Error>;

    /// Deletes the rows with these keys; a key without a row is no error.
    fn delete(&mut self, table: &'static Table, keys: &[Row]) -> Result<(), Error>;

    /// Deletes all rows with this prefix of the key, and gives how many those were.
    fn delete_prefix(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error>;

    /// Makes it all take effect.
    fn commit(self: Box<Self>) -> Result<(), Error>;
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process or thread took the partition over; this one must stop. Not to be tried again.
    #[error("another writer took over partition {partition}: epoch {epoch} is no longer the newest")]
    Fenced {
        /// Whose.
        partition: Partition,
        /// The epoch that ended.
        epoch: Epoch,
    },
    /// The disk is full. To be tried again when there is room; nothing of the transaction was kept.
    #[error("{operation}: the disk is full")]
    Full {
        /// What was being done.
        operation: &'static str,
    },
    /// The store is busy or out of reach. May be tried again; nothing of the transaction was kept.
    #[error("{operation}: {cause}")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// The store's words.
        cause: String,
    },
    /// The files were written by a newer version, or are damaged. Not to be tried again.
    #[error("{operation}: {cause}")]
    Unusable {
        /// What was being done.
        operation: &'static str,
        /// The store's words.
        cause: String,
    },
    /// A row does not fit its table: a fault of the program.
    #[error("{table}: {cause}")]
    Shape {
        /// Which table.
        table: &'static str,
        /// What does not fit.
        cause: String,
    },
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::Full { .. } | Error::Unavailable { .. })
    }
}
