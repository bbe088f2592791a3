//! Folding the write-ahead log into the main file, beside the pipeline.
//!
//! SQLite's own automatic checkpoint runs inside a commit, and copies the whole log there: at 128 MiB the slowest of
//! the measured transactions took 420 to 590 ms, and 180 to 290 ms with this thread, which copies while the pipeline
//! goes on (`examples/throughput.rs`, keys in order, on two cores that others used too).
//!
//! A log that is being written never becomes wholly copied, and only then can SQLite begin it anew; so the thread
//! finishes the little that was written meanwhile with the writer's turn in its hand.

use std::{sync::Arc, thread::JoinHandle};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use crate::{
    Error,
    sqlite::{Shared, connection::open_checkpointer, error::failed},
};

/// How many times its measure the log may become before a commit waits for it.
const BEHIND: i64 = 4;

/// The thread, which ends with this.
pub(super) struct Checkpointer {
    signal: Arc<Signal>,
    pages: i64,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    wanted: bool,
    ended: bool,
}

impl Checkpointer {
    pub fn start(shared: Arc<Shared>) -> Result<Self, Error> {
        let pages = i64::from(shared.settings.checkpoint_pages);
        let db = open_checkpointer(&shared.path, &shared.settings)?;
        let signal = Arc::new(Signal::default());
        let thread = std::thread::Builder::new()
            .name("state-checkpoint".into())
            .spawn({
                let signal = Arc::clone(&signal);
                move || run(&shared, &signal, &db, pages)
            })
            .map_err(|error| Error::Unavailable { operation: "open the state", cause: error.to_string() })?;
        Ok(Checkpointer { signal, pages, thread: Some(thread) })
    }

    /// Wakes the thread where the log has grown enough; where it has grown far beyond that, because the thread does not
    /// keep up, folds it in here, so that the writer slows down instead of filling the disk. `db` is any connection.
    pub fn after_commit(&self, db: &Connection) {
        // A log that cannot be measured now is measured after the next commit.
        let pages = pending(db, "NOOP").unwrap_or(0);
        if pages >= self.pages.saturating_mul(BEHIND) {
            if let Err(error) = pending(db, "PASSIVE") {
                tracing::warn!(%error, "state.checkpoint_failed");
            }
        } else if pages >= self.pages {
            self.signal.state.lock().wanted = true;
            self.signal.changed.notify_one();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.signal.state.lock().ended = true;
        self.signal.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("state.checkpointer_panicked");
        }
    }
}

fn run(shared: &Shared, signal: &Signal, db: &Connection, pages: i64) {
    loop {
        let mut state = signal.state.lock();
        signal.changed.wait_while(&mut state, |state| !state.wanted && !state.ended);
        if state.ended {
            return;
        }
        state.wanted = false;
        drop(state);
        if let Err(error) = fold(shared, db, pages) {
            tracing::warn!(%error, "state.checkpoint_failed");
        }
    }
}

fn fold(shared: &Shared, db: &Connection, pages: i64) -> Result<(), Error> {
    let operation = "checkpoint";
    let _folding = shared.folding(operation)?;
    let left = pending(db, "PASSIVE").map_err(failed(operation))?;
    if left < pages {
        let _turn = shared.writer(operation)?;
        pending(db, "PASSIVE").map_err(failed(operation))?;
    } else {
        // A reader of an old moment holds it back; it will be tried again after the next commit.
        tracing::info!(pages = left, "state.checkpoint_waits_for_reader");
    }
    Ok(())
}

/// Runs a checkpoint, and gives how many pages of the log are still not in the main file.
fn pending(db: &Connection, mode: &str) -> rusqlite::Result<i64> {
    let mut statement = db.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
    statement.query_row([], |row| {
        let (log, folded): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(log - folded)
    })
}
