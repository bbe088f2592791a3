//! Rebuilding derived state from the log, beside the old one, and swapping it in.
//!
//! The pipeline and the deliveries of the partition must be stopped; events may go on entering the log. Kept tables are
//! not touched, and nothing is sent: what still waits in the outbox is carried over as it is, and what the log has beyond
//! the place up to which the old state had come is left to the pipeline, which sends what follows from it.

use std::sync::Arc;

use onefold_log::EventLog;
use onefold_model::Clock;
use onefold_state::{Row, Scan, StateStore, schema};

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
    store.swap(generation, &mut |txn| txn.put(&schema::OUTBOX, waiting.clone()))?;
    Ok(Rebuilt { records: done, waiting: count, replayed })
}
