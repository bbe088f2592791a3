//! Replay: dead letters go back to the outbox, as if they had never been tried.
//!
//! What was delivered has left no payload behind, so a plan counts it and only dead letters come again. Of what is
//! said about one member of one audience only the last word holds: a dead *enter* with a later *leave* would put the
//! person back in, so it is dropped instead.

use onefold_model::{Timestamp, WorkspaceId};
use onefold_state::{Error, Reader, Row, Scan, StateStore, Table, schema};
use rustc_hash::FxHashMap;

use crate::rows::{self, Place, outbox};

/// Rows that are read or moved at a time.
const PAGE: usize = 500;
/// How many deliveries a plan shows.
const SAMPLE: usize = 10;

/// Which dead letters and receipts: those of a destination that were written in this time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Whose.
    pub workspace: WorkspaceId,
    /// Of which destination.
    pub destination: String,
    /// From here on.
    pub from: Timestamp,
    /// Up to here, and not at it.
    pub to: Timestamp,
}

/// What a replay would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Dead letters that go back to the outbox.
    pub replayable: u64,
    /// Dead letters that are dropped: something later was said about the same member of the same audience.
    pub superseded: u64,
    /// Receipts in the range, which stay as they are: delivered.
    pub delivered: u64,
    /// And skipped.
    pub skipped: u64,
    /// The first of those that go back.
    pub sample: Vec<Sample>,
}

/// A dead letter, shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its idempotency key.
    pub key: String,
    /// `event`, `enter`, `leave`.
    pub kind: String,
    /// The segment, or empty.
    pub segment: String,
    /// The profile's number.
    pub profile: i64,
    /// When it was given up.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Put back in the outbox.
    pub replayed: u64,
    /// Dropped, because something later was said.
    pub superseded: u64,
}

/// Says what [`replay`] would do, and changes nothing. Blocks.
pub fn plan(store: &dyn StateStore, range: &Range) -> Result<Plan, Error> {
    let mut reader = store.reader()?;
    let last = LastWords::read(&mut *reader, range)?;
    let mut plan = Plan::default();
    pages(&mut *reader, &schema::DELIVERY_DEAD, range, None, |row| {
        if !in_range(row, range)? {
            return Ok(());
        }
        if last.supersede(row)? {
            plan.superseded += 1;
            return Ok(());
        }
        plan.replayable += 1;
        if plan.sample.len() < SAMPLE {
            plan.sample.push(Sample {
                key: row[outbox::KEY].as_text()?.into(),
                kind: row[outbox::KIND].as_text()?.into(),
                segment: row[outbox::SEGMENT].as_text()?.into(),
                profile: row[outbox::PROFILE].as_int()?,
                at: Timestamp(row[AT_MS].as_int()?),
                reason: row[REASON].as_text()?.into(),
            });
        }
        Ok(())
    })?;
    pages(&mut *reader, &schema::RECEIPT, range, None, |row| {
        if in_range(row, range)? {
            match row[STATUS].as_text()? {
                "delivered" => plan.delivered += 1,
                "skipped" => plan.skipped += 1,
                _ => {}
            }
        }
        Ok(())
    })?;
    Ok(plan)
}

/// Puts the dead letters of the range back in the outbox, due at `now`, with no attempts counted and their old keys.
/// Moves a page in a transaction: where one fails, those before are moved, and the same call does the rest. Call
/// [`Handle::refresh`](crate::Handle::refresh) after it. Blocks.
pub fn replay(store: &dyn StateStore, range: &Range, now: Timestamp) -> Result<Replayed, Error> {
    // The receipts may be many: they are read beside the pipeline, and only what is newer within a transaction.
    let mut last = LastWords::read(&mut *store.reader()?, range)?;
    let mut replayed = Replayed::default();
    let mut after = None;
    loop {
        let mut txn = store.begin_shared()?;
        last.read_newer(&mut *txn, range)?;
        let prefix = rows::prefix(range.workspace, &range.destination);
        let page = txn.scan(&Scan { after, ..Scan::prefix(&schema::DELIVERY_DEAD, prefix, PAGE) })?;
        let (mut back, mut gone): (Vec<Row>, Vec<Row>) = (vec![], vec![]);
        for row in &page {
            if !in_range(row, range)? {
                continue;
            }
            gone.push(row[..schema::DELIVERY_DEAD.key].to_vec());
            if last.supersede(row)? {
                replayed.superseded += 1;
            } else {
                replayed.replayed += 1;
                back.push(rows::revived(row.clone(), now));
            }
        }
        if !gone.is_empty() {
            txn.put(&schema::OUTBOX, back)?;
            txn.delete(&schema::DELIVERY_DEAD, &gone)?;
            txn.commit()?;
        }
        match page.last() {
            Some(row) if page.len() == PAGE => after = Some(schema::DELIVERY_DEAD.position(None, row)),
            _ => return Ok(replayed),
        }
    }
}

/// The columns of receipts and dead letters that are asked for here.
const STATUS: usize = 8;
const AT_MS: usize = 10;
const REASON: usize = 11;

/// Where the last word stands about each member of an audience of whom the range has a dead letter: among the dead
/// letters, in the receipts unless it was skipped, or in what still waits.
struct LastWords {
    /// By segment and profile.
    words: FxHashMap<(String, i64), Place>,
    /// All rows up to here have been read.
    read_to: Option<Place>,
}

impl LastWords {
    fn read(reader: &mut dyn Reader, range: &Range) -> Result<LastWords, Error> {
        let mut last = LastWords { words: FxHashMap::default(), read_to: None };
        pages(reader, &schema::DELIVERY_DEAD, range, None, |row| {
            if in_range(row, range)?
                && let Some(member) = member(row)?
            {
                last.words.insert(member, rows::place(row)?);
            }
            Ok(())
        })?;
        last.read_newer(reader, range)?;
        Ok(last)
    }

    /// Reads what was written since the last read. Rows are written in the order of their places.
    fn read_newer(&mut self, reader: &mut dyn Reader, range: &Range) -> Result<(), Error> {
        if self.words.is_empty() {
            return Ok(());
        }
        let after = self.read_to;
        for table in [&schema::RECEIPT, &schema::OUTBOX] {
            pages(reader, table, range, after, |row| {
                let place = rows::place(row)?;
                self.read_to = self.read_to.max(Some(place));
                if table.name == schema::RECEIPT.name && row[STATUS].as_text()? == "skipped" {
                    return Ok(());
                }
                if let Some(last) = member(row)?.and_then(|member| self.words.get_mut(&member)) {
                    *last = place.max(*last);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Whether a later word than this dead letter was said.
    fn supersede(&self, row: &Row) -> Result<bool, Error> {
        let place = rows::place(row)?;
        Ok(member(row)?.and_then(|member| self.words.get(&member)).is_some_and(|last| *last > place))
    }
}

/// The member of an audience that a row is about; `None` for events.
fn member(row: &Row) -> Result<Option<(String, i64)>, Error> {
    match row[outbox::KIND].as_text()? {
        "enter" | "leave" => Ok(Some((row[outbox::SEGMENT].as_text()?.to_owned(), row[outbox::PROFILE].as_int()?))),
        _ => Ok(None),
    }
}

/// Whether a receipt or dead letter was written in the range.
fn in_range(row: &Row, range: &Range) -> Result<bool, Error> {
    let at = Timestamp(row[AT_MS].as_int()?);
    Ok(range.from <= at && at < range.to)
}

/// Visits the rows of the destination after a place, in order.
fn pages(
    reader: &mut dyn Reader,
    table: &'static Table,
    range: &Range,
    after: Option<Place>,
    mut visit: impl FnMut(&Row) -> Result<(), Error>,
) -> Result<(), Error> {
    let after = after.map(|place| rows::key(range.workspace, &range.destination, place));
    let mut scan = Scan { after, ..Scan::prefix(table, rows::prefix(range.workspace, &range.destination), PAGE) };
    loop {
        let rows = reader.scan(&scan)?;
        rows.iter().try_for_each(&mut visit)?;
        match rows.last() {
            Some(row) if rows.len() == PAGE => scan.after = Some(table.position(None, row)),
            _ => return Ok(()),
        }
    }
}
