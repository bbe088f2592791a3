//! The loop of one destination.
//!
//! Look (read what waits) → plan → one transaction that settles what came back and claims what goes → hand over → wait
//! for whatever comes first. Rows are claimed only when there is room to hand them over at once, so that nothing that
//! consent may change lies between the claim and the hand-off. Everything that must outlive a crash is in the outbox;
//! what is in memory here can be lost at any time.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use onefold_model::WorkspaceId;
use onefold_state::{Error, Scan, schema};
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    backoff,
    breaker::{Admission, Breaker},
    config::Common,
    delivery::{
        Shared,
        settle::{self, Claim, Claimant, Finished, Verdict},
        window::{Plan, Room, Waiting, Window},
    },
    destination::{Delivery, Destination, Limits, Outcome},
    rate::Bucket,
    rows::{self, Place, outbox},
};

/// The shortest time between two looks for new rows: it bounds what many small commits of the pipeline cost.
const LOOK_MS_MIN: i64 = 5;
/// After so long without reading from the beginning, the window is read anew, for rows put in before its cursor.
const RESYNC_MS: i64 = 30_000;
/// After a failure of the store, the wait before the next try.
const STORE_RETRY_MS: i64 = 1_000;
/// The longest wait that a target may ask for.
const AFTER_MS_MAX: i64 = 3_600_000;

/// What the supervisor tells a worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signal {
    /// Take on nothing more, settle what is under way, end.
    pub stop: bool,
    /// Counts how often to look from the beginning.
    pub reload: u64,
}

/// What a worker shows of itself.
#[derive(Debug, Clone)]
pub struct Progress {
    pub breaker: &'static str,
    pub last_error: Option<String>,
    pub delivered: u64,
    pub skipped: u64,
    pub dead: u64,
}

impl Default for Progress {
    fn default() -> Self {
        Progress { breaker: "closed", last_error: None, delivered: 0, skipped: 0, dead: 0 }
    }
}

/// What came back of a hand-off.
struct Returned {
    batch: Vec<Delivery>,
    outcomes: Vec<Outcome>,
    probe: bool,
}

/// See the module.
pub struct Worker {
    shared: Arc<Shared>,
    workspace: WorkspaceId,
    name: String,
    common: Common,
    destination: Arc<dyn Destination>,
    limits: Limits,
    window: Window,
    breaker: Breaker,
    bucket: Option<Bucket>,
    under_way: JoinSet<Returned>,
    finished: Vec<Finished>,
    wake: watch::Receiver<u64>,
    signal: watch::Receiver<Signal>,
    progress: Arc<Mutex<Progress>>,
    reloads_seen: u64,
    /// Whether there may be rows after the cursor.
    dirty: bool,
    looked_ms: i64,
    resynced_ms: i64,
    store_not_before_ms: i64,
}

impl Worker {
    pub fn new(
        shared: Arc<Shared>,
        (workspace, name): (WorkspaceId, String),
        (common, destination): (Common, Arc<dyn Destination>),
        signal: watch::Receiver<Signal>,
        progress: Arc<Mutex<Progress>>,
    ) -> Worker {
        let now_ms = shared.now_ms();
        let limits = destination.limits();
        let reloads_seen = signal.borrow().reload;
        Worker {
            bucket: common.rate_per_s.map(|rate_per_s| Bucket::new(rate_per_s, now_ms)),
            breaker: Breaker::new(shared.settings.breaker),
            wake: shared.wake.clone(),
            reloads_seen,
            window: Window::default(),
            under_way: JoinSet::new(),
            finished: vec![],
            dirty: true,
            looked_ms: i64::MIN,
            resynced_ms: now_ms,
            store_not_before_ms: i64::MIN,
            shared,
            workspace,
            name,
            common,
            destination,
            limits,
            signal,
            progress,
        }
    }

    /// Runs until it is told to stop.
    pub async fn run(mut self) {
        loop {
            while let Some(returned) = self.under_way.try_join_next() {
                self.take_back(returned);
            }
            let now_ms = self.shared.now_ms();
            let stopping = self.obey();
            let mut due_ms = self.resynced_ms.saturating_add(RESYNC_MS);
            if now_ms < self.store_not_before_ms {
                due_ms = self.store_not_before_ms;
            } else {
                let plan = if stopping { Plan::default() } else { self.look_and_plan(now_ms, &mut due_ms).await };
                if !self.finished.is_empty() || !plan.batches.is_empty() {
                    self.settle_and_hand_over(plan.batches, now_ms).await;
                    continue;
                }
                if stopping && self.under_way.is_empty() {
                    return;
                }
            }
            self.progress.lock().breaker = self.breaker.state(now_ms);
            // A worker that stops waits for its hand-offs, and for the store where it has something to settle.
            let timed = !stopping || !self.finished.is_empty();
            self.wait(now_ms, timed.then_some(due_ms)).await;
        }
    }

    /// Reads the supervisor's signal.
    fn obey(&mut self) -> bool {
        let signal = *self.signal.borrow_and_update();
        if signal.reload != self.reloads_seen {
            self.reloads_seen = signal.reload;
            self.window.restart();
        }
        signal.stop
    }

    /// Reads what is new, where something may be, and plans. `due_ms` is lowered to when to come back at the latest.
    async fn look_and_plan(&mut self, now_ms: i64, due_ms: &mut i64) -> Plan {
        if now_ms >= self.resynced_ms.saturating_add(RESYNC_MS) {
            self.window.restart();
            self.resynced_ms = now_ms;
            *due_ms = now_ms.saturating_add(RESYNC_MS);
        }
        if self.window.waiting() <= self.capacity() / 2 && (self.dirty || self.window.has_more()) {
            let look_ms = self.looked_ms.saturating_add(LOOK_MS_MIN);
            if now_ms < look_ms && !self.window.has_more() {
                *due_ms = look_ms.min(*due_ms);
            } else if let Err(error) = self.look(now_ms).await {
                self.store_failed("look", &error, now_ms);
                *due_ms = self.store_not_before_ms;
                return Plan::default();
            }
        }
        let anything = self.window.waiting() > 0;
        let probe = match self.breaker.admit(now_ms) {
            Admission::All => false,
            Admission::Probe => true,
            Admission::NotBefore(ms) => {
                *due_ms = if anything { ms.min(*due_ms) } else { *due_ms };
                return Plan::default();
            }
        };
        let tokens = match &mut self.bucket {
            None => usize::MAX,
            Some(bucket) => match bucket.available(now_ms) {
                0 => {
                    *due_ms = if anything { bucket.next_ms().min(*due_ms) } else { *due_ms };
                    return Plan::default();
                }
                tokens => tokens,
            },
        };
        let plan = self.window.plan(now_ms, self.room(tokens, probe));
        *due_ms = plan.due_ms.map_or(*due_ms, |ms| ms.min(*due_ms));
        plan
    }

    /// How many rows the window may have.
    fn capacity(&self) -> usize {
        self.shared.settings.window_rows.max(self.limits.batch_max)
    }

    fn room(&self, tokens: usize, probe: bool) -> Room {
        Room {
            batches: concurrency(&self.common, self.limits).saturating_sub(self.under_way.len()),
            batch_max: self.limits.batch_max,
            rows: tokens.min(self.shared.settings.claim_rows_max.max(self.limits.batch_max)),
            gather_ms: self.limits.gather_ms,
            probe,
        }
    }

    /// Reads rows after the window's cursor, on a blocking thread.
    async fn look(&mut self, now_ms: i64) -> Result<(), Error> {
        // What is committed after this look wakes again.
        self.wake.borrow_and_update();
        let limit = self.capacity().saturating_sub(self.window.waiting()).max(1);
        let prefix = rows::prefix(self.workspace, &self.name);
        let after = self.window.cursor().map(|place| rows::key(self.workspace, &self.name, place));
        let shared = Arc::clone(&self.shared);
        let rows = blocking(move || {
            let mut reader = shared.store.reader()?;
            let rows = reader.scan(&Scan { after, ..Scan::prefix(&schema::OUTBOX, prefix, limit) })?;
            rows.iter().map(|row| Ok((rows::place(row)?, waiting(row)?))).collect::<Result<Vec<_>, Error>>()
        })
        .await?;
        self.dirty = false;
        self.looked_ms = now_ms;
        self.window.extend(rows, limit);
        Ok(())
    }

    /// Settles what came back, claims what was picked, and hands that over.
    async fn settle_and_hand_over(&mut self, picked: Vec<Vec<Place>>, now_ms: i64) {
        let finished = std::mem::take(&mut self.finished);
        let shared = Arc::clone(&self.shared);
        let (workspace, name, common) = (self.workspace, self.name.clone(), self.common.clone());
        let (finished, picked, claim) = blocking(move || {
            let claimant = Claimant {
                workspace,
                destination: &name,
                access: settle::access(workspace, &common.purpose, onefold_model::Timestamp(now_ms)),
                channel: common.channel.as_deref(),
                permission: &*shared.permission,
            };
            let claim = settle::settle_and_claim(&*shared.store, &claimant, &finished, &picked);
            (finished, picked, claim)
        })
        .await;
        match claim {
            Ok(claim) => {
                finished.iter().for_each(|finished| self.settled(finished));
                self.hand_over(&picked, claim, now_ms);
            }
            Err(error) => {
                self.finished = finished;
                self.store_failed("settle and claim", &error, now_ms);
            }
        }
    }

    fn settled(&mut self, finished: &Finished) {
        let delivery = &finished.delivery;
        let place = (delivery.at_offset, delivery.place);
        match &finished.verdict {
            Verdict::Delivered { .. } => {
                self.window.remove(place);
                self.progress.lock().delivered += 1;
            }
            Verdict::Dead { cause, .. } => {
                self.window.remove(place);
                self.progress.lock().dead += 1;
                tracing::warn!(
                    workspace = self.workspace.0,
                    destination = self.name,
                    key = delivery.key,
                    cause,
                    "delivery.dead"
                );
            }
            Verdict::Retry { next_ms, .. } => {
                let (profile, created_ms) = (delivery.profile, delivery.created.0);
                self.window.retry(place, Waiting { profile, created_ms, next_ms: *next_ms });
            }
        }
    }

    fn hand_over(&mut self, picked: &[Vec<Place>], claim: Claim, now_ms: i64) {
        let probe = self.breaker.admit(now_ms) != Admission::All;
        picked.iter().for_each(|batch| self.window.begin(batch));
        {
            let mut progress = self.progress.lock();
            progress.skipped += claim.skipped;
            progress.dead += claim.dead;
        }
        claim.dropped.into_iter().for_each(|place| self.window.remove(place));
        for batch in claim.batches {
            if let Some(bucket) = &mut self.bucket {
                bucket.take(batch.len());
            }
            let destination = Arc::clone(&self.destination);
            let most = Duration::from_millis(self.shared.settings.hand_off_ms_max);
            self.under_way.spawn(async move {
                let outcomes = hand_off(&*destination, &batch, most).await;
                Returned { batch, outcomes, probe }
            });
        }
    }

    /// Turns the outcomes of a hand-off into verdicts, and tells the breaker.
    fn take_back(&mut self, returned: Result<Returned, tokio::task::JoinError>) {
        let Returned { batch, outcomes, probe } = match returned {
            Ok(returned) => returned,
            // A hand-off catches its panics and is never aborted while the worker lives.
            Err(error) => {
                tracing::error!(destination = self.name, %error, "delivery.hand_off_lost");
                return;
            }
        };
        let now_ms = self.shared.now_ms();
        let draw = backoff::draw(&*self.shared.rng);
        let waits = |outcome: &Outcome| match outcome {
            Outcome::Retry { after_ms, .. } => Some(after_ms.unwrap_or(0).clamp(0, AFTER_MS_MAX)),
            _ => None,
        };
        let failed = !outcomes.is_empty() && outcomes.iter().all(|outcome| waits(outcome).is_some());
        if failed {
            let after_ms = outcomes.iter().filter_map(waits).max();
            self.breaker.failed(now_ms, after_ms, draw, probe);
        } else {
            self.breaker.succeeded();
        }
        let spared = failed && probe && self.breaker.spares(now_ms);
        let probe_ms = match self.breaker.admit(now_ms) {
            Admission::NotBefore(ms) => ms,
            Admission::All | Admission::Probe => now_ms,
        };
        for (delivery, outcome) in batch.into_iter().zip(outcomes) {
            let verdict = match outcome {
                Outcome::Delivered { detail } => Verdict::Delivered { detail },
                Outcome::Refused { cause, answer } => {
                    self.progress.lock().last_error = Some(cause.clone());
                    Verdict::Dead { attempts: delivery.attempts.saturating_add(1), cause, answer }
                }
                Outcome::Retry { after_ms, cause } => {
                    self.progress.lock().last_error = Some(cause.clone());
                    let after_ms = after_ms.unwrap_or(0).clamp(0, AFTER_MS_MAX);
                    if spared {
                        Verdict::Retry { attempts: delivery.attempts, next_ms: probe_ms.max(now_ms + after_ms) }
                    } else {
                        self.count_attempt(&delivery, now_ms, after_ms, draw, cause)
                    }
                }
            };
            self.finished.push(Finished { delivery, verdict });
        }
    }

    fn count_attempt(&self, delivery: &Delivery, now_ms: i64, after_ms: i64, draw: f64, cause: String) -> Verdict {
        let attempts = delivery.attempts.saturating_add(1);
        if attempts >= self.common.attempts_max.unwrap_or(self.shared.settings.attempts_max) {
            return Verdict::Dead { attempts, cause, answer: None };
        }
        let wait_ms = backoff::full_jitter_ms(attempts, self.shared.settings.backoff_ms_max, draw).max(after_ms);
        Verdict::Retry { attempts, next_ms: now_ms.saturating_add(wait_ms) }
    }

    fn store_failed(&mut self, operation: &'static str, error: &Error, now_ms: i64) {
        tracing::error!(workspace = self.workspace.0, destination = self.name, operation, %error, "delivery.store_failed");
        self.progress.lock().last_error = Some(error.to_string());
        self.store_not_before_ms = now_ms.saturating_add(STORE_RETRY_MS);
    }

    /// Waits for a hand-off that comes back, new rows, a signal, or the time.
    async fn wait(&mut self, now_ms: i64, due_ms: Option<i64>) {
        let sleep_ms = due_ms.map(|due_ms| u64::try_from(due_ms.saturating_sub(now_ms)).unwrap_or(0).max(1));
        tokio::select! {
            Some(returned) = self.under_way.join_next(), if !self.under_way.is_empty() => self.take_back(returned),
            // Once the pipeline is gone, only the time tells of rows.
            Ok(()) = self.wake.changed() => self.dirty = true,
            Ok(()) = self.signal.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(sleep_ms.unwrap_or(0))), if sleep_ms.is_some() => {}
            else => {}
        }
    }
}

/// How many hand-offs go at a time.
pub fn concurrency(common: &Common, limits: Limits) -> usize {
    common.concurrency.unwrap_or(limits.concurrency).min(limits.concurrency_max)
}

fn waiting(row: &onefold_state::Row) -> Result<Waiting, Error> {
    Ok(Waiting {
        profile: row[outbox::PROFILE].as_int()?,
        // An erasure waits for no company.
        created_ms: if row[outbox::KIND].as_text()? == crate::Kind::Erase.name() {
            0
        } else {
            row[outbox::CREATED_MS].as_int()?
        },
        next_ms: row[outbox::NEXT_MS].as_int()?,
    })
}

/// Hands a batch over; gives one outcome for each delivery, whatever the connector does.
async fn hand_off(destination: &dyn Destination, batch: &[Delivery], most: Duration) -> Vec<Outcome> {
    let guarded = AssertUnwindSafe(async { destination.deliver(batch).await }).catch_unwind();
    let mut outcomes = match tokio::time::timeout(most, guarded).await {
        Ok(Ok(outcomes)) => outcomes,
        Ok(Err(_)) => vec![Outcome::retry("the connector failed inside"); batch.len()],
        Err(_) => vec![Outcome::retry(format!("no outcome came in {} ms", most.as_millis())); batch.len()],
    };
    outcomes.resize(batch.len(), Outcome::retry("the connector gave no outcome"));
    outcomes
}

/// Runs work of the store, whose calls block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that shuts down cancels blocking work, and it drops this task as well.
            Err(_) => std::future::pending().await,
        },
    }
}
