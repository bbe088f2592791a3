//! Trimming and erasing: what the writer runs between two commits. See [`store`] for why nothing is deleted row by
//! row and nothing is resized.

use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::store::{self, number, sql, table};
use crate::{Offset, Partition};

/// A body that goes over the one that stands at `first` in `segment`.
#[derive(Debug)]
pub struct Rewrite {
    pub segment: Offset,
    pub first: Offset,
    pub body: Vec<u8>,
}

/// Writes bodies over those that stand there, in one transaction.
pub fn rewrite(connection: &mut Connection, partition: Partition, rewrites: &[Rewrite]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let mut torn = Vec::new();
    for Rewrite { segment, first, body } in rewrites {
        if overwrite(&transaction, &table(partition, *segment), *first, body)? {
            continue;
        }
        let update = format!("UPDATE {} SET body = ?2 WHERE first = ?1", table(partition, *segment));
        transaction.execute(&update, params![sql(*first), body])?;
        torn.push(*segment);
    }
    torn.dedup();
    for segment in torn {
        renew(&transaction, partition, segment)?;
    }
    transaction.commit()
}

/// Writes `body` and then zeros over the body of the row, in place. False, with nothing done, when it is too long.
fn overwrite(transaction: &Transaction<'_>, table: &str, first: Offset, body: &[u8]) -> rusqlite::Result<bool> {
    let mut blob = transaction.blob_open("main", table, "body", sql(first), false)?;
    let length = blob.len();
    if body.len() > length {
        return Ok(false);
    }
    let mut whole = body.to_vec();
    whole.resize(length, 0);
    blob.write_all_at(&whole, 0)?;
    blob.close()?;
    Ok(true)
}

/// Copies a segment whose rows were resized into a fresh table, and drops the old one with its stale copies.
///
/// Taking payloads away can make a body longer only when they were what the others were compressed against, and even
/// then seldom, so this is slow and does not matter.
fn renew(transaction: &Transaction<'_>, partition: Partition, segment: Offset) -> rusqlite::Result<()> {
    let table = table(partition, segment);
    transaction.execute_batch(&format!("ALTER TABLE {table} RENAME TO torn"))?;
    store::create_table(transaction, partition, segment)?;
    transaction.execute_batch(&format!("INSERT INTO {table} SELECT * FROM torn ORDER BY first; DROP TABLE torn"))
}

/// What a trim is to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut {
    /// Segments that go whole, and where the partition starts after each.
    pub segments: Vec<(Offset, Offset)>,
    /// The segment that the cut goes through; what it holds before `start` is emptied.
    pub within: Option<Offset>,
    /// The start of the partition afterwards.
    pub start: Offset,
}

/// Where to cut so that whole blocks below `before` go. `None` when there are none.
pub fn cut(connection: &Connection, partition: Partition, before: Offset) -> rusqlite::Result<Option<Cut>> {
    let from = store::start(connection, partition)?;
    let segments = store::segments(connection, partition, 0)?;
    let Some(&within) = segments.iter().rfind(|segment| **segment <= before) else { return Ok(None) };
    let last = format!(
        "SELECT first, first + records FROM {} WHERE first <= ?1 ORDER BY first DESC LIMIT 1",
        table(partition, within)
    );
    let last = connection.query_row(&last, [sql(before)], |row| Ok((number(row, 0)?, number(row, 1)?))).optional()?;
    let start = match last {
        Some((_, end)) if end <= before => end,
        Some((first, _)) => first,
        None => within,
    };
    if start <= from {
        return Ok(None);
    }
    let whole = segments.windows(2).filter(|pair| pair[1] <= start).map(|pair| (pair[0], pair[1])).collect();
    Ok(Some(Cut { segments: whole, within: (within < start).then_some(within), start }))
}

/// Drops a segment, and moves the start to where the next one begins.
pub fn drop_segment(
    connection: &mut Connection,
    partition: Partition,
    segment: Offset,
    start: Offset,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    set_start(&transaction, partition, start)?;
    transaction.execute("DELETE FROM segment WHERE partition = ?1 AND first = ?2", params![partition, sql(segment)])?;
    transaction.execute_batch(&format!("DROP TABLE {}", table(partition, segment)))?;
    transaction.commit()
}

/// Fills the next blocks from the partition's start up to `until` with zeros, about `bytes_max` of them, moves the
/// start behind them, and gives it.
pub fn empty_some(
    connection: &mut Connection,
    partition: Partition,
    segment: Offset,
    until: Offset,
    bytes_max: u64,
) -> rusqlite::Result<Offset> {
    let transaction = connection.transaction()?;
    let table = table(partition, segment);
    let mut start = store::start(&transaction, partition)?;
    let mut emptied = Vec::new();
    {
        let mut statement = transaction.prepare(&format!(
            "SELECT first, first + records, length(body) FROM {table} WHERE first >= ?1 AND first < ?2 ORDER BY first"
        ))?;
        let mut rows = statement.query(params![sql(start), sql(until)])?;
        let mut bytes = 0;
        start = until;
        while let Some(row) = rows.next()? {
            if bytes >= bytes_max {
                start = number(row, 0)?;
                break;
            }
            emptied.push(number(row, 0)?);
            bytes += number(row, 2)?;
        }
    }
    for first in emptied {
        overwrite(&transaction, &table, first, &[])?;
    }
    set_start(&transaction, partition, start)?;
    transaction.commit()?;
    Ok(start)
}

fn set_start(transaction: &Transaction<'_>, partition: Partition, start: Offset) -> rusqlite::Result<()> {
    transaction.execute("UPDATE partition SET start = ?2 WHERE partition = ?1", params![partition, sql(start)])?;
    Ok(())
}

/// Copies the write-ahead log into the file and cuts it to nothing, so that what was overwritten is in neither.
/// False when a reader kept it from that.
pub fn checkpoint(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| Ok(row.get::<_, i64>(0)? == 0))
}

/// The segment and first offset of each block that has an offset in `range` and was not trimmed.
pub fn touched(
    connection: &Connection,
    partition: Partition,
    range: &Range<Offset>,
) -> rusqlite::Result<Vec<(Offset, Offset)>> {
    let start = store::start(connection, partition)?;
    let mut touched = Vec::new();
    for segment in store::segments(connection, partition, range.start)? {
        if segment >= range.end {
            break;
        }
        let select = format!(
            "SELECT first FROM {table} WHERE first >= max(?1, coalesce(
                 (SELECT max(first) FROM {table} WHERE first <= ?3), 0)) AND first < ?2 AND first + records > ?3",
            table = table(partition, segment)
        );
        let mut statement = connection.prepare_cached(&select)?;
        let firsts =
            statement.query_map(params![sql(start), sql(range.end), sql(range.start)], |row| number(row, 0))?;
        for first in firsts {
            touched.push((segment, first?));
        }
    }
    Ok(touched)
}
