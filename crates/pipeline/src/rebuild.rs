//! Rebuilding derived state from the log, beside the old one, and swapping it in.
//!
//! The pipeline and the deliveries of the partition must be stopped; events may go on entering the log. Kept tables are
//! not touched, and nothing is sent: what still waits in the outbox is carried over as it is, and what the log has beyond
//! the place up to which the old state had come is left to the pipeline, which sends what follows from it.

use std::sync::Arc;

use onefold_log::EventLog;
use onefold_model::Clock;
use onefold_state::{Reader, Row, Scan, StateStore, Txn, Value, schema};

use crate::{Error, Settings, views, worker::Worker};

/// What a rebuild did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// Records applied.
    pub records: u64,
    /// Deliveries carried over.
    pub waiting: usize,
    /// Preparations that hold from the beginning now, and did not before: copies of what followed from the log are stale.
    pub replayed: usize,
}

/// The row that says that what was made of the log before, and stands elsewhere, is stale: no workspace has the number 0.
fn stale(count: i64) -> Row {
    vec![Value::Int(0), Value::Text("copies.stale".to_owned()), Value::Int(count)]
}

/// Whether a rebuild read the log by other preparations than before, and copies of what follows from it are not made anew
/// yet.
pub fn copies_are_stale(store: &mut dyn Reader) -> Result<bool, Error> {
    let row = store.get(&schema::TALLY, &[stale(0)[..2].to_vec()])?.pop().flatten();
    Ok(row.map_or(Ok(0), |row| row[2].as_int())? > 0)
}

/// Copies are to be made anew.
pub fn copies_become_stale(txn: &mut dyn Txn) -> Result<(), Error> {
    Ok(txn.put(&schema::TALLY, vec![stale(1)])?)
}

/// Copies are made anew.
pub fn copies_are_fresh(txn: &mut dyn Txn) -> Result<(), Error> {
    Ok(txn.put(&schema::TALLY, vec![stale(0)])?)
}

/// Rebuilds all partitions. `progress` is told (records applied, records in all).
pub fn rebuild(
    log: &Arc<dyn EventLog>,
    store: &Arc<dyn StateStore>,
    clock: &Arc<dyn Clock>,
    settings: &Settings,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Rebuilt, Error> {
    let mut ends = vec![];
    for number in 0..log.partitions() {
        if log.start(number)? > 0 {
            let cause =
                "the front of the log was trimmed, so state cannot be made from it; restore a backup of state.db";
            return Err(Error::unreadable("the log", cause));
        }
        ends.push(views::as_of(&mut *store.reader()?, number)?.0);
    }
    let total: u64 = ends.iter().sum();
    let generation = store.new_generation()?;
    let (mut done, mut replayed) = (0, 0);
    for (number, end) in (0..).zip(ends) {
        let (mut worker, promoted) =
            Worker::rebuild(log.clone(), store.clone(), clock.clone(), number, settings.clone(), generation)?;
        replayed += promoted;
        while worker.apply_next(end)? {
            progress(done + worker.applied(None).next_offset, total);
        }
        done += end;
    }
    let waiting: Vec<Row> = store.reader()?.scan(&Scan::prefix(&schema::OUTBOX, vec![], usize::MAX))?;
    let count = waiting.len();
    store.swap(generation, &mut |txn| {
        if replayed > 0 {
            txn.put(&schema::TALLY, vec![stale(1)])?;
        }
        txn.put(&schema::OUTBOX, waiting.clone())
    })?;
    Ok(Rebuilt { records: done, waiting: count, replayed })
}
