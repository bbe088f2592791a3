//! A seed's story: what happens, and what must hold meanwhile and at its end.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt::Write,
    sync::Arc,
};

use onefold_log::{Batch, EventLog, Kind, MemoryLog};
use onefold_model::rng::SeededRng;
use onefold_pipeline::{Error, Settings, worker::Step};
use onefold_state::{MemoryStore, StateStore, schema};

use crate::{
    World, dump,
    faulty::{Faults, FaultyLog, FaultyStore},
    followers::Followers,
    oracle::{self, Broken},
    plan::{self, Op},
};

/// Things that happen in a story.
const OPS: usize = 90;

/// Steps after which the pipeline should have come to rest.
const STEPS_MAX: usize = 20_000;

/// A world in which things go wrong.
pub struct Story {
    /// The world, whose log and store have faults.
    pub world: World,
    faults: Arc<Faults>,
    /// What was sent and not acknowledged: it will be sent again.
    waiting: VecDeque<(Kind, Vec<u8>)>,
    /// Calls by the order in which they were sent first.
    sent: Vec<Vec<u8>>,
    acknowledged: BTreeSet<Vec<u8>>,
    followers: Followers,
}

impl Story {
    /// A story that begins, on this log and store.
    pub fn new(log: Arc<dyn EventLog>, store: Arc<dyn StateStore>) -> Story {
        let faults = Arc::new(Faults::default());
        let mut world =
            World::on(Arc::new(FaultyLog::new(log, faults.clone())), Arc::new(FaultyStore::new(store, faults.clone())));
        world.settings = Settings { backfill_bytes_max: 1500, ..world.settings };
        let followers = Followers::of(&world);
        Story { world, faults, waiting: VecDeque::new(), sent: vec![], acknowledged: BTreeSet::new(), followers }
    }

    /// Lets something happen.
    pub fn take(&mut self, op: &Op) -> Result<(), Broken> {
        match op {
            Op::Send(call) => {
                if let Some(record) = self.world.record(call) {
                    self.sent.push(record.clone());
                    self.send(Kind::Event, record);
                }
            }
            Op::Again(back) => {
                if let Some(record) = self.sent.iter().rev().nth(*back).cloned() {
                    self.send(Kind::Event, record);
                }
            }
            Op::Poison(bytes) => self.send(Kind::Event, bytes.clone()),
            Op::Give(command) => {
                let record = self.world.command_record(command.as_ref().clone());
                self.send(Kind::Command, record);
            }
            Op::Move(ms) => self.world.advance(*ms),
            Op::Step(steps) => {
                for _ in 0..*steps {
                    self.step()?;
                }
            }
            Op::Run => {
                self.run()?;
                self.hold(true)?;
            }
            Op::Crash => self.world.crash(),
            Op::Rebuild => {
                if let Err(error) = self.world.rebuild() {
                    self.failed(&error)?;
                }
            }
            Op::Deliver(rows) => {
                let handed = self.world.deliver(*rows);
                let broken = self.faults.aside(|| oracle::not_permitted(&self.world, &handed));
                if !broken.is_empty() {
                    return Err(broken.join("\n"));
                }
            }
            Op::Arm(fault, after) => self.faults.arm(*fault, *after),
        }
        Ok(())
    }

    /// A client sends: what was not acknowledged goes first.
    fn send(&mut self, kind: Kind, record: Vec<u8>) {
        self.waiting.push_back((kind, record));
        while let Some((kind, record)) = self.waiting.front() {
            let mut batch = Batch::new();
            batch.push(*kind, record).expect("records are small");
            let appended = pollster::block_on(self.world.log.append(self.world.partition(), batch));
            if self.faults.died().is_some() {
                self.world.crash();
            }
            if appended.is_err() {
                // A command is given once: an operator looks before giving it again.
                if *kind == Kind::Command {
                    self.waiting.pop_front();
                }
                return;
            }
            self.acknowledged.extend(self.waiting.pop_front().map(|(_, record)| record));
        }
    }

    fn step(&mut self) -> Result<Step, Broken> {
        match self.world.step() {
            Ok(step) => Ok(step),
            Err(error) => self.failed(&error).map(|()| Step::Worked),
        }
    }

    fn failed(&mut self, error: &Error) -> Result<(), Broken> {
        if self.faults.died().is_some() {
            self.world.crash();
            return Ok(());
        }
        if error.is_retryable() { Ok(()) } else { Err(format!("the pipeline stopped: {error}")) }
    }

    fn run(&mut self) -> Result<(), Broken> {
        for _ in 0..STEPS_MAX {
            if self.step()? == Step::Idle {
                return Ok(());
            }
        }
        Err("the pipeline does not come to rest".to_owned())
    }

    /// What must hold now. `settled`: the pipeline has come to rest.
    pub fn hold(&self, settled: bool) -> Result<(), Broken> {
        let mut broken = self.faults.aside(|| oracle::broken(&self.world, settled));
        if settled {
            broken.extend(self.faults.aside(|| self.followers.differ(&self.world)));
        }
        if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
    }

    /// Nothing goes wrong any more; everything is sent, applied, and held against what it must be.
    pub fn end(&mut self) -> Result<(), Broken> {
        self.faults.disarm();
        self.world.crash();
        if let Some((kind, record)) = self.waiting.pop_back() {
            self.send(kind, record);
        }
        self.run()?;
        self.hold(true)?;
        self.acknowledged_is_there()?;
        let live = dump::all(&*self.world.store);
        // Nothing of what went wrong is left: the same log, folded without a fault and cut otherwise, gives the same,
        // what was to be sent included.
        let settings = Settings {
            batch_bytes_max: 900,
            cache_bytes_max: 20_000,
            read_at_once: 1000,
            ..self.world.settings.clone()
        };
        let mut sent = live.clone();
        sent.insert(schema::OUTBOX.name, self.world.outbox_ever());
        same("a replay", &sent, &dump::all(&*self.world.replayed(settings).store))?;
        self.world.rebuild().map_err(|error| format!("the rebuild failed: {error}"))?;
        same("a rebuild", &live, &dump::all(&*self.world.store))
    }

    fn acknowledged_is_there(&self) -> Result<(), Broken> {
        let blocks = self.world.log.read(self.world.partition(), 0, usize::MAX).map_err(|error| error.to_string())?;
        let there: BTreeSet<&[u8]> = blocks.iter().flat_map(|block| block.records()).map(|r| r.payload).collect();
        match self.acknowledged.iter().find(|record| !there.contains(record.as_slice())) {
            Some(record) => Err(format!("acknowledged and not in the log: {}", String::from_utf8_lossy(record))),
            None => Ok(()),
        }
    }
}

fn same(what: &str, left: &dump::Dump, right: &dump::Dump) -> Result<(), Broken> {
    let differences = dump::differences(left, right);
    if differences.is_empty() { Ok(()) } else { Err(format!("{what} differs:\n{}", differences.join("\n"))) }
}

/// What a seed lets happen.
pub fn ops(seed: u64) -> Vec<Op> {
    let rng = SeededRng::new(seed);
    (0..OPS).map(|_| if rng.below(12) == 0 { plan::fault(&rng) } else { plan::op(&rng) }).collect()
}

/// Plays these, in memory.
pub fn play(ops: &[Op]) -> Result<(), Broken> {
    let mut story = Story::new(Arc::new(MemoryLog::new(1)), Arc::new(MemoryStore::new(schema::ALL)));
    for (place, op) in ops.iter().enumerate() {
        story.take(op).map_err(|broken| format!("at {place}: {op:?}\n{broken}"))?;
    }
    story.end().map_err(|broken| format!("at the end\n{broken}"))
}

/// Takes away what is not needed for it to break; gives what is left, a line each, and what breaks.
pub fn shrunk(mut ops: Vec<Op>) -> String {
    let mut size = ops.len() / 2;
    while size > 0 {
        let mut from = 0;
        while from < ops.len() {
            let fewer: Vec<Op> = ops[..from].iter().chain(ops.iter().skip(from + size)).cloned().collect();
            if play(&fewer).is_err() { ops = fewer } else { from += size }
        }
        size /= 2;
    }
    let mut story = String::new();
    for op in &ops {
        let _ = writeln!(story, "  {op:?}");
    }
    story + &play(&ops).err().unwrap_or_default()
}
