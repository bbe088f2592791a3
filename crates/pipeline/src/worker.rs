//! The thread of a partition: read, decide, commit, then act.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use onefold_log::{Batch, Block, EventLog, Kind, Record};
use onefold_model::{
    Clock, Timestamp, WorkspaceId,
    access::Caller,
    command::{CommandRecord, encode_tick},
};
use onefold_state::{Epoch, Generation, StateStore, Txn};
use tokio::sync::{Notify, watch};

use crate::{Error, Settings, partition::Partition, preparations};

/// How far the pipeline has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The offset after the last one applied.
    pub next_offset: u64,
    /// Engine time: that of the last record.
    pub now: Timestamp,
    /// Whether work over the log or over all profiles is at hand.
    pub busy: bool,
    /// Set when the pipeline has stopped for good; its cause.
    pub failed: Option<String>,
    /// Grows when a commit put something in an outbox.
    pub outbox: u64,
}

/// A running pipeline of one partition.
#[derive(Debug)]
pub struct Pipeline {
    applied: watch::Receiver<Applied>,
    control: Arc<Control>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Control {
    stop: AtomicBool,
    wake: Notify,
}

impl Pipeline {
    /// Takes the partition over and starts its thread.
    pub fn start(
        log: Arc<dyn EventLog>,
        store: Arc<dyn StateStore>,
        clock: Arc<dyn Clock>,
        number: u32,
        settings: Settings,
    ) -> Result<Pipeline, Error> {
        let mut worker = Worker::open(log, store, clock, number, settings)?;
        let (sender, applied) = watch::channel(worker.applied(None));
        let control = Arc::new(Control::default());
        let theirs = control.clone();
        let thread = std::thread::Builder::new()
            .name(format!("pipeline-{number}"))
            .spawn(move || worker.run(&sender, &theirs))
            .map_err(|error| Error::unreadable("the pipeline's thread", error))?;
        Ok(Pipeline { applied, control, thread: Some(thread) })
    }

    /// How far it has come, and how to be told when it goes on.
    pub fn applied(&self) -> watch::Receiver<Applied> {
        self.applied.clone()
    }

    /// Waits until all before `offset` is applied; an error where the pipeline has failed.
    pub async fn wait_for(&self, offset: u64) -> Result<Applied, String> {
        self.wait(|applied| applied.next_offset >= offset).await
    }

    /// Waits until all before `offset` is applied and the work it started is done.
    pub async fn wait_idle(&self, offset: u64) -> Result<Applied, String> {
        self.wait(|applied| applied.next_offset >= offset && !applied.busy).await
    }

    async fn wait(&self, done: impl Fn(&Applied) -> bool) -> Result<Applied, String> {
        let mut receiver = self.applied.clone();
        let reached = receiver.wait_for(|applied| applied.failed.is_some() || done(applied)).await;
        match reached {
            Ok(applied) => match &applied.failed {
                Some(cause) => Err(cause.clone()),
                None => Ok(applied.clone()),
            },
            Err(_) => Err("the pipeline has stopped".to_owned()),
        }
    }

    /// Lets it look at the clock: timers that are due fire.
    pub fn tick(&self) {
        self.control.wake.notify_one();
    }

    /// Finishes the micro-batch at work and stops.
    pub fn stop(&mut self) {
        self.control.stop.store(true, Ordering::SeqCst);
        self.control.wake.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the pipeline's thread panicked");
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The most that a commit waits for company, in milliseconds; and the records that are waited for no longer.
const COMPANY_MS: u64 = 5;
const BACKLOG: u64 = 2000;

/// Parts of the log, each of [`Settings::batch_bytes_max`], that one transaction takes: some seconds of work.
const PARTS_MAX: usize = 4;

/// Of what was read, the records in `wanted`, as many as have so many bytes; one at least.
fn next_records(blocks: &[Block], wanted: Range<u64>, bytes_max: usize) -> Vec<Record<'_>> {
    let mut bytes = 0;
    let fits = |record: &Record<'_>| {
        let before = bytes;
        bytes += record.payload.len();
        before == 0 || bytes <= bytes_max
    };
    blocks.iter().flat_map(Block::records).filter(|r| wanted.contains(&r.offset)).take_while(fits).collect()
}

/// The work of a partition's thread, a step at a time; the simulation takes the steps itself.
pub struct Worker {
    log: Arc<dyn EventLog>,
    store: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
    number: u32,
    settings: Settings,
    epoch: Epoch,
    partition: Partition,
    /// A transaction failed: what is in memory may not be what is stored.
    stale: bool,
    /// Up to this offset the log may hold a command of our own that is not applied yet.
    awaited: Option<u64>,
    outbox: u64,
    /// How many records the last commit had.
    last_records: u64,
    /// The generation under construction, in a rebuild.
    generation: Option<Generation>,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Records were applied, or work was done; there may be more.
    Worked,
    /// There is nothing to do until the log grows or time passes.
    Idle,
}

impl Worker {
    /// Takes the partition over and reads where it stands.
    pub fn open(
        log: Arc<dyn EventLog>,
        store: Arc<dyn StateStore>,
        clock: Arc<dyn Clock>,
        number: u32,
        settings: Settings,
    ) -> Result<Worker, Error> {
        let epoch = store.take_over(number)?;
        let partition = Partition::load(&mut *store.reader()?, number, log.partitions(), settings.clone())?;
        let awaited = log.end(number)?.checked_sub(1);
        Ok(Worker {
            log,
            store,
            clock,
            number,
            settings,
            epoch,
            partition,
            stale: false,
            awaited,
            outbox: 0,
            last_records: 0,
            generation: None,
        })
    }

    /// Takes the partition over to build a generation anew: it sends nothing and appends nothing. Says as well how many preparations
    /// hold from the beginning there, and did not before.
    pub(crate) fn rebuild(
        log: Arc<dyn EventLog>,
        store: Arc<dyn StateStore>,
        clock: Arc<dyn Clock>,
        number: u32,
        settings: Settings,
        generation: Generation,
    ) -> Result<(Worker, usize), Error> {
        let mut worker = Worker::open(log, store, clock, number, settings)?;
        let partitions = worker.log.partitions();
        let mut txn = worker.store.begin(number, worker.epoch, Some(generation))?;
        let own = |of: WorkspaceId| of.partition(partitions) == number;
        let promoted = preparations::promote(&mut *worker.store.reader()?, &mut *txn, own)?;
        txn.commit()?;
        let mut txn = worker.store.begin(number, worker.epoch, Some(generation))?;
        worker.partition = Partition::load(&mut *txn, number, worker.log.partitions(), worker.settings.clone())?;
        drop(txn);
        (worker.partition.silent, worker.partition.replays) = (true, promoted > 0);
        (worker.awaited, worker.generation) = (None, Some(generation));
        Ok((worker, promoted))
    }

    /// How far it has come.
    pub fn applied(&self, failed: Option<String>) -> Applied {
        Applied {
            next_offset: self.partition.next_offset,
            now: self.partition.now,
            busy: self.partition.own_command().is_some() || !self.partition.jobs.scans.is_empty(),
            failed,
            outbox: self.outbox,
        }
    }

    /// How long to wait before the next commit. A commit writes whole pages of the store, however few rows it has: at
    /// thousands of events a second, commits of a few events each write a hundred times what changed, and the store's
    /// checkpoints then hold up everybody for tenths of a second. A commit of one record waits one millisecond, so that a
    /// lone command is answered at once.
    fn company(&self) -> Duration {
        let waiting = self.log.end(self.number).map_or(0, |end| end.saturating_sub(self.partition.next_offset));
        if waiting > BACKLOG { Duration::ZERO } else { Duration::from_millis(self.last_records.min(COMPANY_MS)) }
    }

    fn run(&mut self, sender: &watch::Sender<Applied>, control: &Control) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let Ok(runtime) = runtime else {
            sender.send_replace(self.applied(Some("the pipeline's thread could not be set up".to_owned())));
            return;
        };
        let pause = |wait: Duration| {
            runtime.block_on(async {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = control.wake.notified() => {}
                }
            });
        };
        let mut grown = self.log.watch(self.number);
        let mut failures = 0u32;
        while !control.stop.load(Ordering::SeqCst) {
            grown.mark_unchanged();
            match self.step() {
                Ok(step) => {
                    failures = 0;
                    sender.send_replace(self.applied(None));
                    let company = self.company();
                    if step == Step::Worked && !company.is_zero() {
                        pause(company);
                    }
                    if step == Step::Idle {
                        runtime.block_on(async {
                            tokio::select! {
                                changed = grown.changed() => if changed.is_err() { control.stop.store(true, Ordering::SeqCst) },
                                () = control.wake.notified() => {}
                            }
                        });
                    }
                }
                Err(error) if error.is_retryable() => {
                    let wait = Duration::from_millis(50 << failures.min(7));
                    failures += 1;
                    tracing::warn!(%error, ?wait, "the pipeline tries again");
                    pause(wait);
                }
                Err(error) => {
                    tracing::error!(%error, "the pipeline has stopped");
                    sender.send_replace(self.applied(Some(error.to_string())));
                    return;
                }
            }
        }
    }

    /// Applies what the log has next, and goes on with work at hand; where the log has nothing, lets due timers fire.
    ///
    /// After an error the next step reads anew where the partition stands: nothing of the failed one is left.
    pub fn step(&mut self) -> Result<Step, Error> {
        if self.stale {
            let reader = &mut *self.store.reader()?;
            self.partition = Partition::load(reader, self.number, self.log.partitions(), self.settings.clone())?;
            self.awaited = self.log.end(self.number)?.checked_sub(1);
            self.stale = false;
        }
        let applied = self.apply_next(u64::MAX)?;
        if self.partition.is_scanning() {
            // Between new events, so that neither waits for the other's end.
            self.scan()?;
            return Ok(Step::Worked);
        }
        let worked = if applied { Step::Worked } else { Step::Idle };
        if self.awaited.is_some_and(|offset| offset >= self.partition.next_offset) {
            return Ok(worked);
        }
        if let Some((workspace, command)) = self.partition.own_command() {
            let caller = Caller::Engine.name().into_owned();
            let record = CommandRecord { v: 1, workspace, at: self.clock.now(), caller, command };
            self.append(Kind::Command, &record.encode())?;
            return Ok(Step::Worked);
        }
        let now = self.clock.now();
        if !applied && now > self.partition.now && self.partition.timers.next() <= now {
            self.append(Kind::Tick, &encode_tick(now))?;
            return Ok(Step::Worked);
        }
        Ok(worked)
    }

    fn append(&mut self, kind: Kind, payload: &[u8]) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.push(kind, payload).map_err(|error| Error::Append(error.to_string()))?;
        let offsets =
            pollster::block_on(self.log.append(self.number, batch)).map_err(|e| Error::Append(e.to_string()))?;
        self.awaited = Some(offsets.start);
        Ok(())
    }

    /// Applies what the log has next before `until`, in one transaction; says whether there was anything.
    ///
    /// A transaction takes what waits when it begins, read a part at a time, while there is room in memory: the more it
    /// has, the fewer times it changes a page of the store.
    pub(crate) fn apply_next(&mut self, until: u64) -> Result<bool, Error> {
        self.last_records = 0;
        let until = self.log.end(self.number)?.min(until);
        if until <= self.partition.next_offset {
            return Ok(false);
        }
        let start = self.log.start(self.number)?;
        if self.partition.next_offset < start {
            tracing::warn!(from = self.partition.next_offset, to = start, "the log was trimmed before it was applied");
            self.partition.next_offset = start;
        }
        let (log, number, bytes_max) = (self.log.clone(), self.number, self.settings.batch_bytes_max);
        let mut blocks = log.read(number, self.partition.next_offset, bytes_max)?;
        let Some(first) = next_records(&blocks, self.partition.next_offset..until, bytes_max).first().copied() else {
            return Ok(false);
        };
        if self.partition.must_wait(&first) {
            self.scan()?;
            return Ok(true);
        }
        let (store, reads_ahead) = (self.store.clone(), self.generation.is_none());
        let at_once = self.settings.read_at_once;
        self.last_records = self.transact(|partition, txn| {
            let mut applied = 0;
            for part in 1.. {
                let records = next_records(&blocks, partition.next_offset..until, bytes_max);
                // The transaction has begun: nobody commits until it ends.
                let ahead = (reads_ahead && records.len() > at_once).then(|| store.reader()).transpose()?;
                let done = partition.apply(txn, ahead, &records)?;
                applied += done;
                let at_end = done < records.len() || partition.next_offset >= until;
                if at_end || part == PARTS_MAX || partition.is_full() {
                    break;
                }
                // Damage further on is met by the step that begins there; what came before it is committed.
                let Ok(more) = log.read(number, partition.next_offset, bytes_max) else { break };
                blocks = more;
            }
            partition.finish(txn)?;
            Ok(applied as u64)
        })?;
        self.outbox += u64::from(!std::mem::take(&mut self.partition.effects.outbox).is_empty());
        Ok(true)
    }

    /// One step of the scan at work.
    fn scan(&mut self) -> Result<(), Error> {
        let start = self.log.start(self.number)?;
        let Some(next) = self.partition.scan_from(start) else { return Ok(()) };
        let blocks = self.log.read(self.number, next, self.settings.backfill_bytes_max)?;
        self.transact(|partition, txn| partition.scan_step(txn, &blocks))
    }

    /// Does `work` in a transaction.
    fn transact<T>(&mut self, work: impl FnOnce(&mut Partition, &mut dyn Txn) -> Result<T, Error>) -> Result<T, Error> {
        self.stale = true;
        let mut txn = self.store.begin(self.number, self.epoch, self.generation)?;
        let done = work(&mut self.partition, &mut *txn)?;
        txn.commit()?;
        self.stale = false;
        self.partition.committed();
        Ok(done)
    }
}
