//! Opening SQLite, and the one connection that writes.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::{
    Error, Synchronous, Table,
    migrate::{self, EPOCH, META, Meta, Migration},
    sql::{self, Dialect},
    sqlite::{
        SqliteSettings,
        error::failed,
        rows,
        scrub::{Fault, MainFile, scrub},
    },
};

/// How many prepared statements a connection keeps: a few per table, and the scans.
const STATEMENTS: usize = 512;

/// The connection that writes.
pub(super) struct Writer {
    pub db: Connection,
    /// As it is set now.
    synchronous: Option<Synchronous>,
    path: PathBuf,
    secure_delete: bool,
    /// Once it was needed.
    file: Option<MainFile>,
}

impl Writer {
    pub fn open(path: &Path, settings: &SqliteSettings) -> Result<Writer, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = open(path, flags, settings, settings.cache_bytes)?;
        let prepare = || {
            // Only a new file takes a page size, and only before its first page.
            db.pragma_update(None, "page_size", settings.page_bytes)?;
            db.pragma_update(None, "journal_mode", "WAL")?;
            db.pragma_update(None, "secure_delete", settings.secure_delete)?;
            if let Some(bytes) = settings.file_bytes_max {
                let page_bytes: i64 = db.pragma_query_value(None, "page_size", |row| row.get(0))?;
                let pages = i64::try_from(bytes / page_bytes.max(1).unsigned_abs()).unwrap_or(i64::MAX);
                db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
            }
            // Checkpoints run on a thread of their own.
            db.pragma_update(None, "wal_autocheckpoint", 0)?;
            // Once folded in, a log that grew beyond its measure shrinks back to it.
            let limit = u64::from(settings.checkpoint_pages) * u64::from(settings.page_bytes) * 2;
            db.pragma_update(None, "journal_size_limit", i64::try_from(limit).unwrap_or(i64::MAX))
        };
        prepare().map_err(failed("open the state"))?;
        let secure_delete = settings.secure_delete;
        Ok(Writer { db, synchronous: None, path: path.to_owned(), secure_delete, file: None })
    }

    /// Begins a transaction that writes.
    pub fn begin(&mut self, synchronous: Synchronous) -> rusqlite::Result<()> {
        if self.synchronous != Some(synchronous) {
            let level = match synchronous {
                Synchronous::Normal => "NORMAL",
                Synchronous::Full => "FULL",
            };
            self.db.pragma_update(None, "synchronous", level)?;
            self.synchronous = Some(synchronous);
        }
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
    }

    /// Brings the schema to what is declared.
    pub fn upgrade(&mut self, tables: &[&Table], migrations: &[Migration]) -> Result<(), Error> {
        let operation = "open the state";
        self.begin(Synchronous::Full).map_err(failed(operation))?;
        let done = self
            .upgrade_within(tables, migrations)
            .and_then(|()| self.db.execute_batch("COMMIT").map_err(failed(operation)));
        if done.is_err() && !self.db.is_autocommit() {
            // The first error is the one to tell.
            let _ = self.db.execute_batch("ROLLBACK");
        }
        done
    }

    fn upgrade_within(&self, tables: &[&Table], migrations: &[Migration]) -> Result<(), Error> {
        let failed = failed("open the state");
        let new = !rows::catalog(&self.db).map_err(&failed)?.tables.contains_key(META.name);
        if new {
            let own = [&META, &EPOCH].map(|table| sql::create_table(Dialect::Sqlite, table, 0));
            rows::run(&self.db, &own).map_err(&failed)?;
        }
        let meta = rows::meta(&self.db).map_err(&failed)?;
        let (due, version) = migrate::migrations_after(meta.version, migrations)?;
        rows::run(&self.db, &due).map_err(&failed)?;
        let catalog = rows::catalog(&self.db).map_err(&failed)?;
        let additions = migrate::additions(Dialect::Sqlite, tables, &catalog, meta)?;
        rows::run(&self.db, &additions).map_err(&failed)?;
        if meta.version != version {
            rows::set_meta(&self.db, Meta { version, ..meta }).map_err(&failed)?;
        }
        Ok(())
    }

    /// Folds the whole write-ahead log into the main file and empties it. Where deleted content is to be overwritten,
    /// also what was left behind of it in moving rows ([`scrub`]).
    pub fn checkpoint(&mut self) -> Result<(), Error> {
        self.truncate_log()?;
        if !self.secure_delete {
            return Ok(());
        }
        let operation = "checkpoint";
        self.begin(Synchronous::Full).map_err(failed(operation))?;
        let scrubbed = self.scrub_within();
        let ended = self.db.execute_batch(if scrubbed.is_ok() { "COMMIT" } else { "ROLLBACK" });
        let pages = scrubbed?;
        ended.map_err(failed(operation))?;
        // The cached pages are as they were before, and would bring it back.
        self.db.execute_batch("PRAGMA shrink_memory").map_err(failed(operation))?;
        tracing::debug!(pages, "state.scrubbed");
        self.truncate_log()
    }

    fn scrub_within(&mut self) -> Result<u64, Error> {
        let operation = "checkpoint";
        let unavailable = |cause| Error::Unavailable { operation, cause };
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        if std::fs::metadata(log).map_err(|error| unavailable(error.to_string()))?.len() > 0 {
            return Err(unavailable("another process wrote meanwhile. Try again when it is done".into()));
        }
        if self.file.is_none() {
            self.file = Some(MainFile::open(&self.path).map_err(|error| unavailable(error.to_string()))?);
        }
        let scrubbed = match &mut self.file {
            Some(file) => scrub(&self.db, file),
            None => Ok(0),
        };
        let scrubbed = scrubbed.map_err(|fault| match fault {
            Fault::Sqlite(error) => failed(operation)(error),
            Fault::File(error) => unavailable(error.to_string()),
        })?;
        // A commit makes the connections of other processes forget their cached pages.
        let meta = rows::meta(&self.db).map_err(failed(operation))?;
        rows::set_meta(&self.db, meta).map_err(failed(operation))?;
        Ok(scrubbed)
    }

    fn truncate_log(&mut self) -> Result<(), Error> {
        let operation = "checkpoint";
        let busy: i64 =
            self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(failed(operation))?;
        if busy != 0 {
            let cause = "a reader still needs the write-ahead log".into();
            return Err(Error::Unavailable { operation, cause });
        }
        Ok(())
    }
}

/// Opens a connection that reads.
pub(super) fn open_reader(path: &Path, settings: &SqliteSettings) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open(path, flags, settings, settings.reader_cache_bytes)
}

/// Opens a connection that folds the write-ahead log in.
pub(super) fn open_checkpointer(path: &Path, settings: &SqliteSettings) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open(path, flags, settings, settings.reader_cache_bytes)
}

fn open(path: &Path, flags: OpenFlags, settings: &SqliteSettings, cache_bytes: u64) -> Result<Connection, Error> {
    let opened = || {
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(settings.wait)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        // Negative: in KiB instead of pages.
        db.pragma_update(None, "cache_size", -i64::try_from(cache_bytes >> 10).unwrap_or(i64::MAX))?;
        db.pragma_update(None, "mmap_size", i64::try_from(settings.mmap_bytes).unwrap_or(i64::MAX))?;
        db.pragma_update(None, "temp_store", "MEMORY")?;
        db.pragma_update(None, "foreign_keys", false)?;
        // Else a statement with a range is planned anew for each value it is given.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(db)
    };
    opened().map_err(failed("open the state"))
}
