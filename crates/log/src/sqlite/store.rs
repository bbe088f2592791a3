//! What stands in `log.db`, and how it is read: every SQL statement of a reader, and those that make the file.
//!
//! A segment is a table of blocks of one partition, and the log does three things to segments only: it appends to the
//! last, drops the first, and writes over a body in place. Deleting and resizing rows would be simpler and is not
//! good enough: SQLite's b-tree then moves neighbouring rows between pages and leaves stale copies of them in the
//! unused middle of a page (`rebuildPage` in its `btree.c`; `secure_delete` does not reach there), where they would
//! outlive a later erasure. Appending moves nothing, a dropped table's pages are filled with zeros, and a blob that
//! is written in place stays where it is.
//!
//! A block's row has its first offset as the row id, so blocks need no index, and the bytes of its body when it was
//! appended, so that a reader knows what decoding would cost.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, params};

use crate::{Block, Fault, Offset, Partition, ReadError, Verified, block};

/// `OFLG`: marks the file as a log among SQLite databases.
const APPLICATION_ID: i64 = 0x4f46_4c47;
/// Of the tables, not of the blocks.
const SCHEMA_VERSION: i64 = 1;
/// Larger pages make larger writes of the long blobs that blocks are.
const PAGE_BYTES: u32 = 16384;
/// The write-ahead log is copied into the file when it has this many bytes, and cut back to as many when it had more.
const WAL_BYTES: u32 = 8 << 20;
/// How long SQLite waits for another process, one that reads beside us, before it gives up.
const BUSY_MS: u32 = 5000;

/// Turns the store's words into an error of the operation.
pub fn failed<E: std::fmt::Display>(operation: &'static str) -> impl Fn(E) -> ReadError {
    move |error| ReadError::Store { operation, cause: error.to_string() }
}

/// An offset as SQLite has it. No record is ever beyond `i64::MAX`.
pub fn sql(offset: Offset) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

/// A number that SQLite gave; never negative in a whole file.
pub fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// The table of the segment that begins at `first`.
pub fn table(partition: Partition, first: Offset) -> String {
    format!("block_{partition}_{first}")
}

/// Opens for reading only. Works beside a process that writes.
pub fn reader(path: &Path) -> Result<Connection, ReadError> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(failed("open"))?;
    connection.execute_batch(&format!("PRAGMA busy_timeout = {BUSY_MS}")).map_err(failed("open"))?;
    Ok(connection)
}

/// Opens for writing, and makes the tables in a new file.
pub fn writer(path: &Path, partitions: u32) -> Result<Connection, ReadError> {
    let mut connection = Connection::open(path).map_err(failed("open"))?;
    // FULL: a commit is on the disk when it returns. secure_delete: freed pages are filled with zeros.
    let settings = format!(
        "PRAGMA busy_timeout = {BUSY_MS};
         PRAGMA synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;
         PRAGMA secure_delete = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -32768;"
    );
    connection.execute_batch(&settings).map_err(failed("open"))?;
    let is_new: bool = connection
        .query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", (), |row| row.get(0))
        .map_err(failed("open"))?;
    if is_new {
        create(&mut connection, partitions).map_err(failed("open"))?;
    }
    let found = self::partitions(&connection)?;
    if found != partitions {
        let cause = format!(
            "the log has {found} partitions and {partitions} are configured; the number is fixed when a log is made"
        );
        return Err(failed("open")(cause));
    }
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0)).map_err(failed("open"))?;
    if mode != "wal" {
        return Err(failed("open")(
            "the file system has no shared memory, which a log that is read while it is written needs",
        ));
    }
    let wal = format!(
        "PRAGMA wal_autocheckpoint = {};
         PRAGMA journal_size_limit = {WAL_BYTES};",
        WAL_BYTES / PAGE_BYTES
    );
    connection.execute_batch(&wal).map_err(failed("open"))?;
    Ok(connection)
}

fn create(connection: &mut Connection, partitions: u32) -> rusqlite::Result<()> {
    // The page size is fixed with the first page, and the change to a write-ahead log would write that.
    connection.execute_batch(&format!("PRAGMA page_size = {PAGE_BYTES}"))?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {SCHEMA_VERSION};
         CREATE TABLE partition (partition INTEGER PRIMARY KEY, start INTEGER NOT NULL) STRICT;
         CREATE TABLE segment (partition INTEGER NOT NULL, first INTEGER NOT NULL, PRIMARY KEY (partition, first))
             STRICT, WITHOUT ROWID;"
    ))?;
    for partition in 0..partitions {
        transaction.execute("INSERT INTO partition VALUES (?1, 0)", [partition])?;
    }
    transaction.commit()
}

/// How many partitions the log has. An error when the file is not a log that this version can read.
pub fn partitions(connection: &Connection) -> Result<u32, ReadError> {
    let pragma = |name| connection.query_row(&format!("PRAGMA {name}"), (), |row| row.get::<_, i64>(0));
    let application = pragma("application_id").map_err(failed("open"))?;
    let version = pragma("user_version").map_err(failed("open"))?;
    if application != APPLICATION_ID {
        return Err(failed("open")("the file is a SQLite database but not a log"));
    }
    if version > SCHEMA_VERSION {
        let cause = format!(
            "the log is of schema version {version}, made by a later release; this one reads up to {SCHEMA_VERSION}"
        );
        return Err(failed("open")(cause));
    }
    connection.query_row("SELECT count(*) FROM partition", (), |row| row.get(0)).map_err(failed("open"))
}

/// The first offset still held.
pub fn start(connection: &Connection, partition: Partition) -> rusqlite::Result<Offset> {
    connection
        .prepare_cached("SELECT start FROM partition WHERE partition = ?1")?
        .query_row([partition], |row| number(row, 0))
}

/// Where the next record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tail {
    /// The offset that it gets.
    pub end: Offset,
    /// The first offset of the last segment, when there is one.
    pub segment: Option<Offset>,
    /// Bytes of the blocks in it.
    pub segment_bytes: u64,
}

/// Where the next record of `partition` goes.
pub fn tail(connection: &Connection, partition: Partition) -> rusqlite::Result<Tail> {
    let Some(segment) = segments(connection, partition, u64::MAX)?.pop() else { return Ok(Tail::default()) };
    let table = table(partition, segment);
    let end = format!("SELECT first + records FROM {table} ORDER BY first DESC LIMIT 1");
    let bytes = format!("SELECT coalesce(sum(length(body)), 0) FROM {table}");
    Ok(Tail {
        end: connection.query_row(&end, (), |row| number(row, 0)).optional()?.unwrap_or(segment),
        segment: Some(segment),
        segment_bytes: connection.query_row(&bytes, (), |row| number(row, 0))?,
    })
}

/// The first offsets of the segment that holds `from`, or would, and of those after it.
pub fn segments(connection: &Connection, partition: Partition, from: Offset) -> rusqlite::Result<Vec<Offset>> {
    connection
        .prepare_cached(
            "SELECT first FROM segment WHERE partition = ?1 AND first >= coalesce(
                 (SELECT max(first) FROM segment WHERE partition = ?1 AND first <= ?2), 0) ORDER BY first",
        )?
        .query_map(params![partition, sql(from)], |row| number(row, 0))?
        .collect()
}

/// Makes the segment that begins at `first`.
pub fn begin_segment(connection: &Connection, partition: Partition, first: Offset) -> rusqlite::Result<()> {
    create_table(connection, partition, first)?;
    connection.execute("INSERT INTO segment VALUES (?1, ?2)", params![partition, sql(first)])?;
    Ok(())
}

/// Makes the table of a segment.
pub fn create_table(connection: &Connection, partition: Partition, first: Offset) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "CREATE TABLE {} (first INTEGER PRIMARY KEY, records INTEGER NOT NULL, bytes INTEGER NOT NULL,
             body BLOB NOT NULL) STRICT",
        table(partition, first)
    ))
}

/// [`EventLog::read`](crate::EventLog::read), on a connection that has a transaction open.
pub fn read(
    connection: &Connection,
    partition: Partition,
    from: Offset,
    bytes_max: usize,
) -> Result<Vec<Block>, ReadError> {
    let start = start(connection, partition).map_err(failed("read"))?;
    if from < start {
        return Err(ReadError::Trimmed { offset: from, start });
    }
    let mut reading = Reading { partition, from, bytes_max, bytes: 0, blocks: Vec::new(), is_full: false };
    let result = segments(connection, partition, from)
        .map_err(failed("read"))
        .and_then(|segments| segments.into_iter().try_for_each(|segment| reading.segment(connection, segment)));
    match result {
        Err(error) if reading.blocks.is_empty() => Err(error),
        // What came before the fault is good; the next read meets the fault first.
        _ => Ok(reading.blocks),
    }
}

struct Reading {
    partition: Partition,
    from: Offset,
    bytes_max: usize,
    bytes: u64,
    blocks: Vec<Block>,
    is_full: bool,
}

impl Reading {
    fn segment(&mut self, connection: &Connection, segment: Offset) -> Result<(), ReadError> {
        if self.is_full {
            return Ok(());
        }
        let table = table(self.partition, segment);
        let select = format!(
            "SELECT first, records, bytes, body FROM {table} WHERE first >= coalesce(
                 (SELECT max(first) FROM {table} WHERE first <= ?1), 0) ORDER BY first"
        );
        let mut statement = connection.prepare_cached(&select).map_err(|error| self.failed(error))?;
        let mut rows = statement.query([sql(self.from)]).map_err(|error| self.failed(error))?;
        while let Some(row) = rows.next().map_err(|error| self.failed(error))? {
            let (first, end, bytes) = extent(row).map_err(|error| self.failed(error))?;
            if end <= self.from {
                continue;
            }
            self.bytes += bytes;
            self.is_full = self.bytes > self.bytes_max as u64;
            if self.is_full && !self.blocks.is_empty() {
                return Ok(());
            }
            let expected = self.blocks.last().map_or(self.from, Block::end);
            let fits = if self.blocks.is_empty() { first <= expected } else { first == expected };
            if !fits {
                return Err(self.damaged(expected, format!("the next block begins at {first}")));
            }
            let block = checked(row, first, end).map_err(|what| self.damaged(first, what))?;
            self.blocks.push(block);
            if self.is_full {
                return Ok(());
            }
        }
        Ok(())
    }

    fn damaged(&self, offset: Offset, what: String) -> ReadError {
        ReadError::Damaged { partition: self.partition, offset, what }
    }

    fn failed(&self, error: rusqlite::Error) -> ReadError {
        use ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, OutOfMemory, SystemIoFailure};
        match error.sqlite_error_code() {
            // What may pass. Everything else, a missing table for one, is in the file.
            Some(CannotOpen | DatabaseBusy | DatabaseLocked | OutOfMemory | SystemIoFailure) => failed("read")(error),
            _ => self.damaged(self.blocks.last().map_or(self.from, Block::end), error.to_string()),
        }
    }
}

/// First offset, end and bytes of a row `first, records, bytes, …`.
fn extent(row: &Row<'_>) -> rusqlite::Result<(Offset, Offset, u64)> {
    let first = number(row, 0)?;
    Ok((first, first.saturating_add(number(row, 1)?), number(row, 2)?))
}

/// The block of a row `first, records, bytes, body`, or what is wrong with it.
pub fn checked(row: &Row<'_>, first: Offset, end: Offset) -> Result<Block, String> {
    let body = row.get_ref(3).map_err(|error| error.to_string())?;
    let block = block::decode(body.as_blob().map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    if (block.first, block.end()) != (first, end) {
        return Err(format!("the block has the offsets {}..{} and stands at {first}..{end}", block.first, block.end()));
    }
    Ok(block)
}

/// The block that begins at `first` in `segment`.
pub fn block(
    connection: &Connection,
    partition: Partition,
    segment: Offset,
    first: Offset,
) -> Result<Block, ReadError> {
    let damaged = |what| ReadError::Damaged { partition, offset: first, what };
    let select = format!("SELECT first, records, bytes, body FROM {} WHERE first = ?1", table(partition, segment));
    connection
        .prepare_cached(&select)
        .and_then(|mut statement| {
            statement.query_row([sql(first)], |row| {
                let (first, end, _) = extent(row)?;
                Ok(checked(row, first, end))
            })
        })
        .map_err(|error| damaged(error.to_string()))?
        .map_err(damaged)
}

/// Checks the blocks of one segment.
pub struct Verifying<'a> {
    pub partition: Partition,
    /// The offset that the next block should begin with.
    pub expected: Offset,
    pub verified: Verified,
    pub on_fault: &'a mut dyn FnMut(Fault),
}

impl Verifying<'_> {
    fn fault(&mut self, offset: Offset, what: String) {
        (self.on_fault)(Fault { partition: self.partition, offset, what });
    }

    /// Goes through one segment, on a connection that has a transaction open.
    pub fn segment(&mut self, connection: &Connection, segment: Offset) -> rusqlite::Result<()> {
        // What was trimmed in the meantime is missing for a good reason.
        self.expected = self.expected.max(start(connection, self.partition)?);
        let table = table(self.partition, segment);
        let mut firsts = Vec::new();
        if let Err(error) = list(connection, &table, self.expected, &mut firsts) {
            let after = firsts.last().copied().unwrap_or(self.expected.max(segment));
            self.fault(after, format!("the blocks after it cannot be listed: {error}"));
        }
        let select = format!("SELECT first, records, bytes, body FROM {table} WHERE first = ?1");
        for first in firsts {
            let row = connection.prepare_cached(&select).and_then(|mut statement| {
                statement.query_row([sql(first)], |row| {
                    let (first, end, _) = extent(row)?;
                    let bytes = row.get_ref(3)?.as_blob()?.len();
                    Ok((end, bytes, checked(row, first, end)))
                })
            });
            self.verified.blocks += 1;
            let (end, bytes, block) = row.unwrap_or_else(|error| (first, 0, Err(error.to_string())));
            self.verified.bytes += bytes as u64;
            if first > self.expected {
                self.fault(self.expected, format!("the offsets {}..{first} are missing", self.expected));
            } else if first < self.expected {
                self.fault(first, format!("the block overlaps the one before it, which ends at {}", self.expected));
            }
            match block {
                Ok(block) => self.verified.records += block.len() as u64,
                Err(what) => self.fault(first, what),
            }
            self.expected = self.expected.max(end);
        }
        Ok(())
    }
}

fn list(connection: &Connection, table: &str, from: Offset, firsts: &mut Vec<Offset>) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("SELECT first FROM {table} WHERE first >= ?1 ORDER BY first"))?;
    let mut rows = statement.query([sql(from)])?;
    while let Some(row) = rows.next()? {
        firsts.push(number(row, 0)?);
    }
    Ok(())
}
