//! The store of one machine: SQLite in WAL mode.
//!
//! **One connection writes**, behind a lock, for the pipeline and for everybody else. SQLite has one writer at a time
//! anyway; a second writing connection would throw away its page cache whenever the first commits. The lock also gives
//! everybody a fair turn, where SQLite's own waiting is a poll.
//!
//! **How durable a commit is** is set per transaction. The pipeline's are `synchronous=NORMAL` unless settings say
//! otherwise: they are safe from a crash of the process, a power failure may lose the last ones, and the log replays
//! them. Shared transactions and everything else are `FULL`: durable when `commit` returns, and with them every
//! earlier commit, because they all stand in one write-ahead log.
//!
//! **Readers** have connections of their own, each in a read transaction, which is SQLite's snapshot.
//!
//! **Checkpoints** run on a thread of their own ([`checkpoint`]), so that the pipeline does not wait for them.

mod checkpoint;
mod connection;
mod error;
mod rows;
mod scrub;
mod txn;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use rusqlite::Connection;

use crate::{
    Epoch, Error, Generation, Partition, Reader, StateStore, Synchronous, Table, Txn,
    memory::unknown_generation,
    migrate::{self, MIGRATIONS, Meta},
    pool::Pool,
    sql::Dialect,
    sqlite::{
        checkpoint::Checkpointer,
        connection::Writer,
        error::failed,
        txn::{SqliteReader, SqliteTxn},
    },
    table::check_declarations,
};

/// How [`SqliteStore`] uses the machine.
#[derive(Debug, Clone)]
pub struct SqliteSettings {
    /// Durability of the pipeline's commits.
    pub synchronous: Synchronous,
    /// Page size of a new file, a power of two from 512 to 65,536.
    pub page_bytes: u32,
    /// How large the file may become, the write-ahead log apart; what does not fit fails with [`Error::Full`].
    pub file_bytes_max: Option<u64>,
    /// Page cache of the writing connection.
    pub cache_bytes: u64,
    /// Page cache of each reader.
    pub reader_cache_bytes: u64,
    /// How much of the file is mapped into memory; 0 for none. It gained nothing where it was measured, and a read error
    /// of the disk under a mapping ends the process.
    pub mmap_bytes: u64,
    /// How many pages the write-ahead log may hold before they are folded into the main file. The log becomes longer
    /// than that while they are, and more so under scattered writes.
    pub checkpoint_pages: u32,
    /// Whether deleted content is overwritten with zeroes. Without it, what was erased stays in free pages.
    pub secure_delete: bool,
    /// How many readers may be open at a time.
    pub readers_max: usize,
    /// How long a transaction waits for its turn, and a reader for a connection.
    pub wait: Duration,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        SqliteSettings {
            synchronous: Synchronous::Normal,
            page_bytes: 8_192,
            file_bytes_max: None,
            cache_bytes: 256 << 20,
            reader_cache_bytes: 16 << 20,
            mmap_bytes: 0,
            checkpoint_pages: 65_536,
            secure_delete: true,
            readers_max: 16,
            wait: Duration::from_secs(10),
        }
    }
}

/// See the module.
pub struct SqliteStore {
    shared: Arc<Shared>,
    checkpointer: Checkpointer,
}

/// What the store and its checkpointer use.
struct Shared {
    path: PathBuf,
    tables: &'static [&'static Table],
    settings: SqliteSettings,
    writer: Mutex<Writer>,
    /// Held by who folds the write-ahead log in, and taken before the writer: SQLite turns a second one away at once,
    /// without waiting.
    folding: Mutex<()>,
    readers: Pool<Connection>,
}

impl Shared {
    /// The right to fold the write-ahead log in, when nobody else does.
    fn folding(&self, operation: &'static str) -> Result<MutexGuard<'_, ()>, Error> {
        self.folding.try_lock_for(self.settings.wait).ok_or_else(|| Error::Unavailable {
            operation,
            cause: format!("another checkpoint took longer than {} ms", self.settings.wait.as_millis()),
        })
    }

    /// The writing connection, when its turn has come.
    fn writer(&self, operation: &'static str) -> Result<MutexGuard<'_, Writer>, Error> {
        self.writer.try_lock_for(self.settings.wait).ok_or_else(|| Error::Unavailable {
            operation,
            cause: format!("other transactions took longer than {} ms", self.settings.wait.as_millis()),
        })
    }
}

impl SqliteStore {
    /// Opens the file at `path`, or makes it, and brings its schema to `tables`.
    ///
    /// # Errors
    /// [`Error::Unusable`] where the file is damaged or of a newer version, or lacks what cannot be added;
    /// [`Error::Unavailable`] where it cannot be opened or another process holds it; [`Error::Full`]; [`Error::Shape`]
    /// where the declarations cannot work.
    pub fn open(
        path: impl AsRef<Path>,
        tables: &'static [&'static Table],
        settings: SqliteSettings,
    ) -> Result<Self, Error> {
        check_declarations(tables)?;
        let path = path.as_ref().to_owned();
        let mut writer = Writer::open(&path, &settings)?;
        writer.upgrade(tables, MIGRATIONS)?;
        let readers = Pool::new(settings.readers_max, settings.wait);
        let shared =
            Arc::new(Shared { path, tables, settings, writer: Mutex::new(writer), folding: Mutex::new(()), readers });
        let checkpointer = Checkpointer::start(Arc::clone(&shared))?;
        Ok(SqliteStore { shared, checkpointer })
    }

    /// A transaction, begun; on the current generation where none is given.
    fn transaction(
        &self,
        operation: &'static str,
        synchronous: Synchronous,
        right: Option<(Partition, Epoch)>,
        generation: Option<Generation>,
    ) -> Result<(SqliteTxn<'_>, Meta), Error> {
        let mut writer = self.shared.writer(operation)?;
        writer.begin(synchronous).map_err(failed(operation))?;
        let mut txn = SqliteTxn::new(writer, &self.checkpointer);
        let db = txn.connection();
        if let Some((partition, epoch)) = right
            && rows::epoch(db, partition).map_err(failed(operation))? != Some(epoch)
        {
            return Err(Error::Fenced { partition, epoch });
        }
        let meta = rows::meta(db).map_err(failed(operation))?;
        let generation = generation.unwrap_or(meta.generation);
        if !meta.generations().contains(&generation) {
            return Err(unknown_generation(operation, generation));
        }
        txn.generation = generation;
        Ok((txn, meta))
    }
}

impl StateStore for SqliteStore {
    fn take_over(&self, partition: Partition) -> Result<Epoch, Error> {
        let operation = "take over a partition";
        let (txn, _) = self.transaction(operation, Synchronous::Full, None, None)?;
        let epoch = rows::epoch(txn.connection(), partition).map_err(failed(operation))?.unwrap_or(0) + 1;
        rows::set_epoch(txn.connection(), partition, epoch).map_err(failed(operation))?;
        Box::new(txn).commit()?;
        tracing::info!(partition, epoch, "partition.taken_over");
        Ok(epoch)
    }

    fn begin(
        &self,
        partition: Partition,
        epoch: Epoch,
        generation: Option<Generation>,
    ) -> Result<Box<dyn Txn + '_>, Error> {
        let synchronous = self.shared.settings.synchronous;
        let (txn, _) = self.transaction("begin", synchronous, Some((partition, epoch)), generation)?;
        Ok(Box::new(txn))
    }

    fn begin_shared(&self) -> Result<Box<dyn Txn + '_>, Error> {
        let (txn, _) = self.transaction("begin a shared transaction", Synchronous::Full, None, None)?;
        Ok(Box::new(txn))
    }

    fn reader(&self) -> Result<Box<dyn Reader + Send + '_>, Error> {
        let shared = &self.shared;
        let lease =
            shared.readers.lend("read the state", || connection::open_reader(&shared.path, &shared.settings))?;
        Ok(Box::new(SqliteReader::begin(lease)?))
    }

    fn reader_at_once(&self) -> Result<Option<Box<dyn Reader + Send + '_>>, Error> {
        let Some(lease) = self.shared.readers.lend_idle() else { return Ok(None) };
        Ok(Some(Box::new(SqliteReader::begin(lease)?)))
    }

    fn new_generation(&self) -> Result<Generation, Error> {
        let operation = "begin a generation";
        let (txn, meta) = self.transaction(operation, Synchronous::Full, None, None)?;
        let db = txn.connection();
        let generation = meta.next();
        let names = rows::catalog(db).map_err(failed(operation))?.tables.into_keys();
        let mut statements = migrate::drop_others(names, &[meta.generation]);
        statements.extend(migrate::create_generation(Dialect::Sqlite, self.shared.tables, generation));
        rows::run(db, &statements).map_err(failed(operation))?;
        rows::set_meta(db, Meta { building: Some(generation), ..meta }).map_err(failed(operation))?;
        Box::new(txn).commit()?;
        tracing::info!(generation, "generation.begun");
        Ok(generation)
    }

    fn swap(
        &self,
        generation: Generation,
        last: &mut dyn FnMut(&mut dyn Txn) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let operation = "swap generations";
        let (mut txn, meta) = self.transaction(operation, Synchronous::Full, None, Some(generation))?;
        if meta.building != Some(generation) {
            return Err(unknown_generation(operation, generation));
        }
        last(&mut txn)?;
        let db = txn.connection();
        let mut statements = migrate::views(self.shared.tables, generation);
        let names = rows::catalog(db).map_err(failed(operation))?.tables.into_keys();
        statements.extend(migrate::drop_others(names, &[generation]));
        rows::run(db, &statements).map_err(failed(operation))?;
        rows::set_meta(db, Meta { generation, building: None, ..meta }).map_err(failed(operation))?;
        Box::new(txn).commit()?;
        tracing::info!(generation, "generation.swapped");
        Ok(())
    }

    fn checkpoint(&self) -> Result<(), Error> {
        let _folding = self.shared.folding("checkpoint")?;
        self.shared.writer("checkpoint")?.checkpoint()
    }

    fn copy_to(&self, path: &Path) -> Result<(), Error> {
        let operation = "copy the state";
        let reader = connection::open_reader(&self.shared.path, &self.shared.settings)?;
        let text = path.to_string_lossy();
        reader.execute("VACUUM INTO ?1", [text.as_ref()]).map(drop).map_err(failed(operation))
    }

    fn kind(&self) -> &'static str {
        "sqlite"
    }
}
