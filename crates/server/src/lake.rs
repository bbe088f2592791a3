//! The tables of the lake: kept up to date in the background, and at once for a question that asks for it.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use onefold_lake::{Budget, Gate, Lake, QueryEngine, Step, Writer};
use onefold_log::EventLog;
use onefold_model::{WorkspaceId, access::Access};
use onefold_pipeline::views;
use onefold_state::{StateStore, Value, receipts};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::{ApiError, App};

/// What keeps tables and what asks them: components, handed in.
#[derive(Clone)]
pub struct LakeComponents {
    /// Keeps them.
    pub lake: Arc<dyn Lake>,
    /// Asks them.
    pub engine: Arc<dyn QueryEngine>,
}

/// How the tables are kept and asked: values.
#[derive(Debug, Clone, Copy)]
pub struct LakeSettings {
    /// The tables are brought up to date so often.
    pub every: Duration,
    /// What a query may take.
    pub budget: Budget,
}

/// Reading a whole table may take so long: who waits for it has asked something new.
const WHOLE_TABLE: Duration = Duration::from_secs(15 * 60);

impl LakeSettings {
    /// What may be taken to read all of a table by this process itself.
    pub(crate) fn of_whole_tables(&self) -> Budget {
        Budget { time: WHOLE_TABLE, rows_max: usize::MAX, ..self.budget }
    }
}

/// After a start the tables are looked at after this time.
const SOON: Duration = Duration::from_secs(1);

/// Steps after which small files are looked at, while there is much to write.
const STEPS_BETWEEN_MAINTENANCE: usize = 16;

/// Rounds after which they are looked at otherwise.
const ROUNDS_BETWEEN_MAINTENANCE: usize = 6;

/// The tables of all workspaces.
pub(crate) struct Tables {
    pub lake: Arc<dyn Lake>,
    pub engine: Arc<dyn QueryEngine>,
    writer: Writer,
    /// Of exports one goes out at a time: each takes one of the engine's turns for as long as somebody reads it.
    pub exports: Arc<Semaphore>,
    /// One writes at a time.
    pub turn: Mutex<()>,
    stopped: AtomicBool,
}

impl Tables {
    pub fn new(components: LakeComponents, log: Arc<dyn EventLog>, store: Arc<dyn StateStore>) -> Tables {
        let LakeComponents { lake, engine } = components;
        let writer = Writer::new(log, store, lake.clone(), onefold_lake::Settings::default());
        let exports = Arc::new(Semaphore::new(1));
        Tables { lake, engine, writer, exports, turn: Mutex::new(()), stopped: AtomicBool::new(false) }
    }

    /// Ends writing after the step at work.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

impl App {
    /// Brings the tables up to date every so often, until the app is dropped or stopped.
    pub(crate) fn follow_with_tables(self: &Arc<Self>) {
        let (app, every) = (Arc::downgrade(self), self.settings.lake.every);
        tokio::spawn(async move {
            for round in 1_usize.. {
                // The first soon: until then nothing is published to be asked.
                tokio::time::sleep(if round == 1 { every.min(SOON) } else { every }).await;
                let Some(app) = app.upgrade() else { return };
                if app.tables.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let maintain = round.is_multiple_of(ROUNDS_BETWEEN_MAINTENANCE);
                let written = tokio::task::spawn_blocking(move || app.write_all_tables(maintain)).await;
                if let Ok(Err(error)) = written {
                    tracing::warn!(?error, "the tables could not be written; they are tried again");
                }
            }
        });
    }

    fn write_all_tables(&self, maintain: bool) -> Result<(), ApiError> {
        self.renew_tables()?;
        for (workspace, _) in self.workspaces() {
            self.write_tables(workspace, self.clock.now().plus(i64::from(u32::MAX)))?;
            if maintain && !self.tables.stopped.load(Ordering::Relaxed) {
                let _turn = self.tables.turn.lock();
                self.tables.lake.maintain(workspace)?;
            }
        }
        Ok(())
    }

    /// Writes all tables anew, where a rebuild read the log otherwise than before and they do not say so yet. Blocks.
    pub(crate) fn renew_tables(&self) -> Result<(), ApiError> {
        if !onefold_pipeline::rebuild::copies_are_stale(&mut *self.store.reader()?)? {
            return Ok(());
        }
        let _turn = self.tables.turn.lock();
        for (workspace, _) in self.workspaces() {
            let definitions = self.definitions(&mut *self.store.reader()?, workspace)?;
            self.tables.writer.rewrite(&self.operator(workspace), &definitions)?;
        }
        let mut txn = self.store.begin_shared()?;
        onefold_pipeline::rebuild::copies_are_fresh(&mut *txn)?;
        Ok(txn.commit()?)
    }

    /// Writes what is applied now and not in the tables yet. Blocks; `until` when at most.
    pub(crate) fn write_tables(&self, workspace: WorkspaceId, until: onefold_model::Timestamp) -> Result<(), ApiError> {
        let partition = workspace.partition(self.log.partitions());
        let (wanted, receipt) = {
            let reader = &mut *self.store.reader()?;
            (views::as_of(reader, partition)?.0, receipts::last(reader, &Value::Int(workspace.0.into()))? as u64)
        };
        let is_there = || {
            let published = self.tables.lake.published(workspace);
            published.is_some_and(|published| published.offset >= wanted && published.receipt >= receipt)
        };
        let left_ms = |app: &App| u64::try_from(until.0 - app.clock.now().0).unwrap_or(0);
        for step in 1_usize.. {
            if is_there() {
                break;
            }
            let Some(_turn) = self.tables.turn.try_lock_for(Duration::from_millis(left_ms(self))) else {
                return Err(ApiError::unavailable(
                    "the tables are being written, and what was asked for is not in yet",
                ));
            };
            if is_there() {
                break;
            }
            if self.tables.stopped.load(Ordering::Relaxed) {
                return Err(ApiError::unavailable("the server is stopping"));
            }
            let definitions = self.definitions(&mut *self.store.reader()?, workspace)?;
            match self.tables.writer.step(&self.operator(workspace), &definitions)? {
                Step::UpToDate(_) => break,
                Step::More if step.is_multiple_of(STEPS_BETWEEN_MAINTENANCE) => self.tables.lake.maintain(workspace)?,
                Step::More => {}
            }
            if left_ms(self) == 0 {
                return Err(ApiError::unavailable(
                    "the tables are being written, and what was asked for is not in yet",
                ));
            }
        }
        Ok(())
    }
}

impl From<onefold_lake::Error> for ApiError {
    fn from(error: onefold_lake::Error) -> ApiError {
        match error {
            onefold_lake::Error::Store { retryable: true, .. } | onefold_lake::Error::Moved { .. } => {
                ApiError::unavailable(error.to_string())
            }
            other => ApiError::internal(other.to_string()),
        }
    }
}

/// Lets ask the tables from outside who may ask them here.
pub struct SqlGate(Weak<App>);

impl SqlGate {
    /// Of this app.
    pub fn of(app: &Arc<App>) -> SqlGate {
        SqlGate(Arc::downgrade(app))
    }
}

impl Gate for SqlGate {
    fn open(&self, user: &str, workspace: &str, password: &str) -> Result<Access, String> {
        let app = self.0.upgrade().ok_or("the server is stopping")?;
        app.admit_to_sql(user, workspace, password).map_err(|error| error.message)
    }

    fn note(&self, access: &Access, sql: &str) -> Result<(), String> {
        let app = self.0.upgrade().ok_or("the server is stopping")?;
        app.note_sql(access, sql).map_err(|error| error.message)
    }

    fn renew(&self, access: &Access) -> Result<Access, String> {
        let app = self.0.upgrade().ok_or("the server is stopping")?;
        app.renew_for_sql(access).map_err(|error| error.message)
    }
}

/// How far a workspace's tables are behind what is applied, in log records.
pub(crate) fn behind(app: &App, workspace: WorkspaceId) -> u64 {
    let applied = app.applied(workspace).map_or(0, |applied| applied.borrow().next_offset);
    let published = app.tables.lake.published(workspace).map_or(0, |published| published.offset);
    applied.saturating_sub(published)
}
