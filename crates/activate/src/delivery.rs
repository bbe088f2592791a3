//! The delivery loop: one worker per active destination, and a supervisor that keeps them as the destinations are.
//!
//! A worker of its own for each destination is what makes a dead destination hurt only itself: it waits in its own
//! loop, with its own window, breaker and rate. The store is the only thing they share.

mod settle;
#[cfg(test)]
mod tests;
mod window;
mod worker;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use onefold_model::{Rng, WorkspaceId, access::Access};
use onefold_state::{Error, Reader, Row, Scan, StateStore, schema};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinHandle, JoinSet},
};

use crate::{
    breaker::BreakerSettings,
    delivery::worker::{Progress, Signal, Worker},
    destination::{Context, Registry},
    rows,
};

/// Decides consent, in the transaction that claims.
pub trait Permission: Send + Sync {
    /// For each of `profiles`, whether it may be reached for `access.purpose` by `channel`, in their order. A profile
    /// that is not there is not permitted. An error claims nothing.
    fn decide(
        &self,
        reader: &mut dyn Reader,
        access: &Access,
        channel: Option<&str>,
        profiles: &[i64],
    ) -> Result<Vec<Permit>, Error>;
}

/// A decision about one profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// Whether it may be reached.
    pub allowed: bool,
    /// By which rule, without personal data: it stands in the receipt of what was skipped.
    pub reason: String,
}

/// How deliveries go.
#[derive(Debug, Clone)]
pub struct Settings {
    /// After so many attempts a delivery is dead.
    pub attempts_max: u32,
    /// The longest wait between two attempts, in milliseconds, unless the target asks for more.
    pub backoff_ms_max: i64,
    /// So many rows are looked ahead for what may go while others wait.
    pub window_rows: usize,
    /// At most so many rows are claimed in one transaction, unless one batch of the connector has more.
    pub claim_rows_max: usize,
    /// A hand-off that takes longer, in milliseconds, is given up and tried again.
    pub hand_off_ms_max: u64,
    /// How long a shutdown waits for what is under way, in milliseconds.
    pub grace_ms: u64,
    /// When the circuit breakers open.
    pub breaker: BreakerSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            attempts_max: 20,
            backoff_ms_max: 900_000,
            window_rows: 1_000,
            claim_rows_max: 200,
            hand_off_ms_max: 120_000,
            grace_ms: 10_000,
            breaker: BreakerSettings::default(),
        }
    }
}

/// What the delivery loop is made of.
pub struct Deliverer {
    /// Where the outbox is.
    pub store: Arc<dyn StateStore>,
    /// The connectors.
    pub registry: Arc<Registry>,
    /// What connectors are given; its workspace is set for each destination, its clock is the loop's.
    pub context: Context,
    /// For jitter.
    pub rng: Arc<dyn Rng>,
    /// How deliveries go.
    pub settings: Settings,
    /// Decides consent.
    pub permission: Arc<dyn Permission>,
}

/// What all workers share.
struct Shared {
    store: Arc<dyn StateStore>,
    registry: Arc<Registry>,
    context: Context,
    rng: Arc<dyn Rng>,
    settings: Settings,
    permission: Arc<dyn Permission>,
    wake: watch::Receiver<u64>,
}

impl Shared {
    fn now_ms(&self) -> i64 {
        self.context.clock.now().0
    }
}

/// A destination and how it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whose.
    pub workspace: WorkspaceId,
    /// Its name.
    pub name: String,
    /// `active`, `paused`, or `misconfigured`.
    pub state: String,
    /// How many deliveries wait, those under way included.
    pub waiting: u64,
    /// How many dead letters there are.
    pub dead_letters: u64,
    /// The circuit breaker: `closed`, `open`, `half_open`.
    pub breaker: String,
    /// What went wrong last, since the start.
    pub last_error: Option<String>,
    /// Delivered since the start.
    pub delivered: u64,
    /// Not permitted, since the start.
    pub skipped: u64,
    /// Given up since the start.
    pub dead: u64,
}

/// A running delivery loop. Dropping it ends the loop without waiting for what is under way, which then comes again.
pub struct Handle {
    store: Arc<dyn StateStore>,
    signal: watch::Sender<Signal>,
    fleet: Arc<Mutex<Fleet>>,
    supervisor: JoinHandle<()>,
    grace: Duration,
}

type Name = (WorkspaceId, String);

/// The destinations as the supervisor last saw them.
type Fleet = BTreeMap<Name, Member>;

struct Member {
    /// Kind, state and configuration, to see a change.
    row: Row,
    state: &'static str,
    progress: Arc<Mutex<Progress>>,
    worker: Option<Running>,
}

/// A worker's signal, which is closed when the worker has ended, and its task.
type Running = (watch::Sender<Signal>, AbortHandle);

impl Member {
    fn runs(&self) -> bool {
        self.worker.as_ref().is_some_and(|(_, task)| !task.is_finished())
    }
}

impl Deliverer {
    /// Starts the loop on the current tokio runtime. `wake` changes after each commit of the pipeline.
    pub fn start(self, wake: watch::Receiver<u64>) -> Handle {
        let Deliverer { store, registry, context, rng, settings, permission } = self;
        let grace = Duration::from_millis(settings.grace_ms);
        let (signal, told) = watch::channel(Signal::default());
        let fleet = Arc::new(Mutex::new(Fleet::new()));
        let shared = Shared { store: Arc::clone(&store), registry, context, rng, settings, permission, wake };
        let supervisor = Supervisor { shared: Arc::new(shared), fleet: Arc::clone(&fleet), workers: JoinSet::new() };
        Handle { store, signal, fleet, supervisor: tokio::spawn(supervisor.run(told)), grace }
    }
}

impl Handle {
    /// Destinations were changed, or rows were put back in the outbox: look again.
    pub fn refresh(&self) {
        self.signal.send_modify(|signal| signal.reload += 1);
    }

    /// Every destination that the loop knows. Reads the store, so it blocks.
    pub fn status(&self) -> Result<Vec<Status>, Error> {
        let members: Vec<(Name, &'static str, Progress)> = {
            let fleet = self.fleet.lock();
            fleet.iter().map(|(name, m)| (name.clone(), m.state, m.progress.lock().clone())).collect()
        };
        let mut reader = self.store.reader()?;
        members
            .into_iter()
            .map(|((workspace, name), state, progress)| {
                let prefix = rows::prefix(workspace, &name);
                Ok(Status {
                    waiting: reader.count(&schema::OUTBOX, &prefix)?,
                    dead_letters: reader.count(&schema::DELIVERY_DEAD, &prefix)?,
                    workspace,
                    name,
                    state: state.into(),
                    breaker: progress.breaker.into(),
                    last_error: progress.last_error,
                    delivered: progress.delivered,
                    skipped: progress.skipped,
                    dead: progress.dead,
                })
            })
            .collect()
    }

    /// Ends the loop: nothing more is claimed, what is under way is settled within the grace time. What is not comes
    /// again, with the same key.
    pub async fn shutdown(mut self) {
        self.signal.send_modify(|signal| signal.stop = true);
        if tokio::time::timeout(self.grace, &mut self.supervisor).await.is_err() {
            tracing::warn!(grace_ms = self.grace.as_millis() as u64, "delivery.shutdown_cut_short");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // The workers stand in the supervisor's set, and end with it.
        self.supervisor.abort();
    }
}

/// After a failure of the store or of a worker, the wait before the next try.
const AGAIN: Duration = Duration::from_secs(1);

struct Supervisor {
    shared: Arc<Shared>,
    fleet: Arc<Mutex<Fleet>>,
    workers: JoinSet<()>,
}

impl Supervisor {
    async fn run(mut self, mut told: watch::Receiver<Signal>) {
        loop {
            let signal = *told.borrow_and_update();
            if signal.stop {
                break;
            }
            let again = match self.destinations().await {
                Ok(destinations) => {
                    self.reconcile(destinations, signal.reload);
                    false
                }
                Err(error) => {
                    tracing::error!(%error, "delivery.destinations_unread");
                    true
                }
            };
            let mut failed = false;
            loop {
                tokio::select! {
                    changed = told.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    Some(ended) = self.workers.join_next(), if !failed => failed = ended.is_err(),
                    () = tokio::time::sleep(AGAIN), if again || failed => break,
                }
            }
        }
        for member in self.fleet.lock().values() {
            if let Some((signal, _)) = &member.worker {
                signal.send_modify(|signal| signal.stop = true);
            }
        }
        while self.workers.join_next().await.is_some() {}
    }

    /// Reads the destinations of all workspaces.
    async fn destinations(&self) -> Result<Vec<Row>, Error> {
        let store = Arc::clone(&self.shared.store);
        let read = tokio::task::spawn_blocking(move || {
            store.reader()?.scan(&Scan::prefix(&schema::DESTINATION, vec![], usize::MAX))
        });
        match read.await {
            Ok(rows) => rows,
            Err(error) => Err(Error::Unavailable { operation: "read the destinations", cause: error.to_string() }),
        }
    }

    /// Starts, stops and reloads workers so that they are what the destinations are.
    fn reconcile(&mut self, destinations: Vec<Row>, reload: u64) {
        let mut before = std::mem::take(&mut *self.fleet.lock());
        let mut fleet = Fleet::new();
        for row in destinations {
            let Some(name) = name_of(&row) else { continue };
            let member = match before.remove(&name) {
                Some(member) if member.row == row && (member.state == "paused" || member.runs()) => {
                    if let Some((signal, _)) = &member.worker {
                        signal.send_modify(|signal| signal.reload = reload);
                    }
                    member
                }
                old => self.replace(&name, row, old),
            };
            fleet.insert(name, member);
        }
        for member in before.into_values() {
            stop(member);
        }
        *self.fleet.lock() = fleet;
    }

    /// A destination that is new or was changed.
    fn replace(&mut self, name: &Name, row: Row, old: Option<Member>) -> Member {
        let progress = old.as_ref().map(|old| Arc::clone(&old.progress)).unwrap_or_default();
        let before = old.and_then(stop);
        if row[3].as_text().ok() != Some("active") {
            return Member { row, state: "paused", progress, worker: None };
        }
        match self.start(name, &row, &progress, before) {
            Ok(worker) => Member { row, state: "active", progress, worker: Some(worker) },
            Err(cause) => {
                tracing::warn!(workspace = name.0.0, destination = name.1, cause, "delivery.misconfigured");
                progress.lock().last_error = Some(cause);
                Member { row, state: "misconfigured", progress, worker: None }
            }
        }
    }

    /// Starts a worker, which begins when the one `before` has ended: two at a time would break the order.
    fn start(
        &mut self,
        (workspace, name): &Name,
        row: &Row,
        progress: &Arc<Mutex<Progress>>,
        before: Option<Running>,
    ) -> Result<Running, String> {
        let (kind, config) = match (row[2].as_text(), row[5].as_text()) {
            (Ok(kind), Ok(config)) => (kind, config),
            (Err(error), _) | (_, Err(error)) => return Err(error.to_string()),
        };
        let context = Context { workspace: *workspace, ..self.shared.context.clone() };
        let opened = self.shared.registry.open(kind, config, &context).map_err(|error| error.to_string())?;
        let (signal, told) = watch::channel(Signal::default());
        let shared = Arc::clone(&self.shared);
        let name = (*workspace, name.clone());
        let target = (opened.common, opened.destination);
        let worker = Worker::new(shared, name, target, told, Arc::clone(progress));
        let grace = Duration::from_millis(self.shared.settings.grace_ms);
        let task = self.workers.spawn(async move {
            if let Some((signal, task)) = before
                && tokio::time::timeout(grace, signal.closed()).await.is_err()
            {
                task.abort();
                signal.closed().await;
            }
            worker.run().await;
        });
        Ok((signal, task))
    }
}

fn name_of(row: &Row) -> Option<Name> {
    let workspace = u32::try_from(row[0].as_int().ok()?).ok()?;
    Some((WorkspaceId(workspace), row[1].as_text().ok()?.to_owned()))
}

/// Tells a worker to settle what is under way and end.
fn stop(member: Member) -> Option<Running> {
    let (signal, task) = member.worker?;
    signal.send_modify(|signal| signal.stop = true);
    Some((signal, task))
}
