//! Readers and transactions of SQLite.

use parking_lot::MutexGuard;
use rusqlite::Connection;

use crate::{
    Error, Generation, Reader, Row, Scan, Table, Txn, Value,
    plan::plan,
    pool::Lease,
    sqlite::{checkpoint::Checkpointer, connection::Writer, error::failed, rows},
};

const READ: &str = "read the state";
const WRITE: &str = "write the state";

/// A read transaction on a connection of its own.
pub(super) struct SqliteReader<'s> {
    db: Lease<'s, Connection>,
    generation: Generation,
}

impl<'s> SqliteReader<'s> {
    pub fn begin(db: Lease<'s, Connection>) -> Result<Self, Error> {
        let mut reader = SqliteReader { db, generation: 0 };
        reader.db.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(failed(READ))?;
        // The first read fixes the moment that is seen.
        reader.generation = rows::generation(&reader.db).map_err(failed(READ))?;
        Ok(reader)
    }

    fn view(&self) -> View<'_> {
        View { db: &self.db, generation: self.generation }
    }
}

impl Drop for SqliteReader<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.db.prepare_cached("ROLLBACK").and_then(|mut rollback| rollback.execute([])) {
            tracing::warn!(%error, "state.reader_not_ended");
        }
    }
}

/// The transaction of the writing connection, which it holds until its end.
pub(super) struct SqliteTxn<'s> {
    writer: MutexGuard<'s, Writer>,
    checkpointer: &'s Checkpointer,
    pub generation: Generation,
    /// A write failed: part of it may stand in the transaction, which therefore must not be committed.
    broken: bool,
}

impl<'s> SqliteTxn<'s> {
    /// On a connection whose transaction has begun.
    pub fn new(writer: MutexGuard<'s, Writer>, checkpointer: &'s Checkpointer) -> Self {
        SqliteTxn { writer, checkpointer, generation: 0, broken: false }
    }

    pub fn connection(&self) -> &Connection {
        &self.writer.db
    }

    /// After some errors SQLite ends the transaction by itself; a statement would then take effect on its own.
    fn check_open(&self, operation: &'static str) -> Result<(), Error> {
        if self.broken || self.connection().is_autocommit() {
            let cause = "an earlier write of the transaction failed. Begin it again".into();
            return Err(Error::Unavailable { operation, cause });
        }
        Ok(())
    }

    fn view(&self) -> Result<View<'_>, Error> {
        self.check_open(READ)?;
        Ok(View { db: self.connection(), generation: self.generation })
    }

    fn write<T>(&mut self, write: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        self.check_open(WRITE)?;
        let written = write(self.connection());
        self.broken |= written.is_err();
        written.map_err(failed(WRITE))
    }
}

impl Txn for SqliteTxn<'_> {
    fn put(&mut self, table: &'static Table, rows: Vec<Row>) -> Result<(), Error> {
        rows.iter().try_for_each(|row| table.check_row(row))?;
        let generation = self.generation;
        self.write(|db| rows::put(db, table, generation, rows))
    }

    fn delete(&mut self, table: &'static Table, keys: &[Row]) -> Result<(), Error> {
        keys.iter().try_for_each(|key| table.check_key(key))?;
        let generation = self.generation;
        self.write(|db| rows::delete(db, table, generation, keys))
    }

    fn delete_prefix(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error> {
        table.check_prefix(prefix)?;
        let generation = self.generation;
        self.write(|db| rows::delete_prefix(db, table, generation, prefix))
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        self.check_open("commit")?;
        let db = self.connection();
        db.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).map_err(failed("commit"))?;
        self.checkpointer.after_commit(db);
        Ok(())
    }
}

impl Drop for SqliteTxn<'_> {
    fn drop(&mut self) {
        if self.connection().is_autocommit() {
            return;
        }
        if let Err(error) = self.connection().prepare_cached("ROLLBACK").and_then(|mut rollback| rollback.execute([])) {
            tracing::warn!(%error, "state.transaction_not_ended");
        }
    }
}

/// What a reader and a transaction read alike.
struct View<'c> {
    db: &'c Connection,
    generation: Generation,
}

impl View<'_> {
    fn get(&self, table: &'static Table, keys: &[Row]) -> Result<Vec<Option<Row>>, Error> {
        keys.iter().try_for_each(|key| table.check_key(key))?;
        rows::get(self.db, table, self.generation, keys).map_err(failed(READ))
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Row>, Error> {
        match plan(scan)? {
            Some(plan) => rows::scan(self.db, self.generation, scan, &plan).map_err(failed(READ)),
            None => Ok(Vec::new()),
        }
    }

    fn count(&self, table: &Table, prefix: &[Value]) -> Result<u64, Error> {
        table.check_prefix(prefix)?;
        rows::count(self.db, table, self.generation, prefix).map_err(failed(READ))
    }
}

impl Reader for SqliteReader<'_> {
    fn get(&mut self, table: &'static Table, keys: &[Row]) -> Result<Vec<Option<Row>>, Error> {
        self.view().get(table, keys)
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Row>, Error> {
        self.view().scan(scan)
    }

    fn count(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error> {
        self.view().count(table, prefix)
    }
}

impl Reader for SqliteTxn<'_> {
    fn get(&mut self, table: &'static Table, keys: &[Row]) -> Result<Vec<Option<Row>>, Error> {
        self.view()?.get(table, keys)
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Row>, Error> {
        self.view()?.scan(scan)
    }

    fn count(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error> {
        self.view()?.count(table, prefix)
    }
}
