//! An index for each workspace that asks, kept up with the pipeline.
//!
//! It begins empty. The first question that reads something new adds what it reads: a pass over the log for events, over
//! the profiles for traits and consent. From then on it is brought up to what is applied, a view of the store at a time,
//! whether or not somebody asks; so a question finds little to do, and is answered as of what is applied when it is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use onefold_log::EventLog;
use onefold_model::{
    NodeId, ProfileId, Timestamp, Value, WorkspaceId,
    access::Access,
    consent::Unstated,
    segment::{CompileError, Condition, MetricId, Program},
};
use onefold_pipeline::{Error, definitions::Workspace, feed, views};
use onefold_state::{Reader, StateStore};
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};

use crate::{Index, Missing, Person, Set, Wants};

/// Offsets of the log that are read in one view of the store.
const OFFSETS_AT_ONCE: u64 = 100_000;

/// The indexes of all workspaces.
pub struct Keeper {
    log: Arc<dyn EventLog>,
    store: Arc<dyn StateStore>,
    /// Bytes of one workspace's index at most.
    bytes_max: usize,
    workspaces: Mutex<BTreeMap<WorkspaceId, Arc<RwLock<Kept>>>>,
    stopped: AtomicBool,
}

/// The index of a workspace.
#[derive(Default)]
struct Kept {
    index: Index,
    /// Whether it holds anything yet.
    is_filled: bool,
    /// It holds what is applied below this offset.
    next_offset: u64,
    /// The instant up to which it is so.
    as_of: Timestamp,
    /// What a person who said nothing allows, as it was put in.
    unstated: Unstated,
    /// Whose consent changes by itself, and when.
    due: BTreeSet<(Timestamp, ProfileId)>,
    /// What took more memory than is allowed when it was tried.
    too_large: Option<Wants>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The condition does not fit the workspace.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// What it reads would take more memory than is allowed; it can be counted from the log.
    #[error("the index of this workspace would pass {bytes_max} bytes; raise [audience] bytes_max")]
    Full {
        /// The bound.
        bytes_max: usize,
    },
    /// The log or the store failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// An answer, and the index that it is of.
pub struct Asked<'a> {
    /// The index: it says who the members are.
    pub index: &'a Index,
    /// Those for whom each condition holds, in the order asked.
    pub sets: Vec<Set>,
    /// The instant as of which this is so.
    pub as_of: Timestamp,
}

impl Person for feed::Person {
    fn nodes(&self) -> &[NodeId] {
        feed::Person::nodes(self)
    }
    fn trait_value(&self, name: &str) -> Option<&Value> {
        feed::Person::trait_value(self, name)
    }
    fn reachable(&self, purpose: &str, channel: Option<&str>) -> bool {
        feed::Person::reachable(self, purpose, channel)
    }
}

impl Keeper {
    /// A keeper of indexes of at most so many bytes each.
    pub fn new(log: Arc<dyn EventLog>, store: Arc<dyn StateStore>, bytes_max: usize) -> Keeper {
        Keeper { log, store, bytes_max, workspaces: Mutex::default(), stopped: AtomicBool::new(false) }
    }

    /// Asks several conditions of one moment, and the breakdown of some traits; hands the answer to `with`.
    ///
    /// The first time that something is read, this takes a pass over the log or the profiles, and others wait.
    pub fn ask<T>(
        &self,
        access: &Access,
        definitions: &Workspace,
        conditions: &[Condition],
        traits: &[String],
        with: impl FnOnce(Asked<'_>) -> T,
    ) -> Result<T, AskError> {
        let mut wants = Wants { traits: traits.iter().cloned().collect(), ..Wants::default() };
        for condition in conditions {
            Program::compile(condition, definitions, &mut |_| MetricId(0))?;
            wants.add_of(condition, definitions);
        }
        let kept = self.workspaces.lock().entry(access.workspace).or_default().clone();
        let keeps =
            |kept: &Kept| kept.is_filled && kept.unstated == definitions.unstated && kept.index.wants().has(&wants);
        let prepared = |kept: &Kept| conditions.iter().all(|condition| kept.index.is_prepared(condition, definitions));
        let partition = access.workspace.partition(self.log.partitions());
        let (next, _) = views::as_of(&mut *self.store.reader().map_err(Error::from)?, partition)?;
        let mut now = kept.read();
        if now.next_offset < next || !keeps(&now) || !prepared(&now) {
            drop(now);
            let mut writing = kept.write();
            // Another may have asked the same in between.
            if writing.is_filled && writing.next_offset < next {
                self.catch_up_or_drop(&mut writing, access, definitions)?;
            }
            if !keeps(&writing) {
                if writing.too_large.as_ref().is_some_and(|refused| wants.has(refused)) {
                    return Err(AskError::Full { bytes_max: self.bytes_max });
                }
                self.extend(&mut writing, access, definitions, &wants)?;
            }
            conditions.iter().for_each(|condition| writing.index.prepare(condition, definitions));
            now = RwLockWriteGuard::downgrade(writing);
        }
        let ask = |condition| now.index.ask(condition, definitions, now.as_of);
        let sets: Result<Vec<Set>, Missing> = conditions.iter().map(ask).collect();
        let sets = sets.map_err(|missing| Error::unreadable("the audience index", missing))?;
        Ok(with(Asked { index: &now.index, sets, as_of: now.as_of }))
    }

    /// Brings the index of a workspace, where there is one, up to what is applied.
    pub fn follow(&self, access: &Access, definitions: &Workspace) -> Result<(), Error> {
        let Some(kept) = self.kept(access.workspace) else { return Ok(()) };
        self.catch_up_or_drop(&mut kept.write(), access, definitions)
    }

    /// Whether the workspace has an index, which must follow what is applied.
    pub fn is_asked(&self, workspace: WorkspaceId) -> bool {
        self.kept(workspace).is_some()
    }

    /// Ends what takes long, which then fails: the server is about to stop.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Forgets all indexes, and goes on: the next questions begin anew.
    pub fn clear(&self) {
        self.workspaces.lock().clear();
        self.stopped.store(false, Ordering::Relaxed);
    }

    fn go_on(&self) -> Result<(), Error> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Error::unreadable("the audience index", "the server is stopping; ask again when it is back"));
        }
        Ok(())
    }

    fn kept(&self, workspace: WorkspaceId) -> Option<Arc<RwLock<Kept>>> {
        let kept = self.workspaces.lock().get(&workspace).cloned();
        kept.filter(|kept| kept.read().is_filled)
    }

    /// About how many bytes the indexes take.
    pub fn heap_bytes(&self) -> usize {
        let all: Vec<Arc<RwLock<Kept>>> = self.workspaces.lock().values().cloned().collect();
        all.iter().map(|kept| kept.read().index.heap_bytes()).sum()
    }

    /// Makes the index anew, with what is wanted as well.
    fn extend(&self, kept: &mut Kept, access: &Access, definitions: &Workspace, wants: &Wants) -> Result<(), AskError> {
        let mut all = kept.index.wants().clone();
        all.add(wants.clone());
        let mut fresh = Kept { index: Index::new(all), unstated: definitions.unstated, ..Kept::default() };
        self.fill(&mut fresh, access, definitions)?;
        if fresh.index.heap_bytes() > self.bytes_max {
            kept.too_large = Some(wants.clone());
            return Err(AskError::Full { bytes_max: self.bytes_max });
        }
        *kept = Kept { too_large: kept.too_large.take(), ..fresh };
        Ok(())
    }

    /// Puts everything in that is applied, in many views of the store: a long one would hold up its checkpoints. What has
    /// changed since the first of them is put in again at the end, in one view.
    fn fill(&self, kept: &mut Kept, access: &Access, definitions: &Workspace) -> Result<(), Error> {
        let partition = access.workspace.partition(self.log.partitions());
        let (next, as_of) = views::as_of(&mut *self.store.reader()?, partition)?;
        let Kept { index, due, .. } = kept;
        let mut after = None;
        loop {
            self.go_on()?;
            let reader = &mut *self.store.reader()?;
            let last = feed::next_people(reader, access, definitions, after, as_of, &mut |person| {
                if person.reachable_until() < Timestamp::MAX {
                    due.insert((person.reachable_until(), person.id()));
                }
                index.set(person.id(), Some(&person));
            })?;
            if last.is_none() {
                break;
            }
            after = last;
        }
        let mut start = if index.wants().events.is_empty() { next } else { 0 };
        while start < next {
            self.go_on()?;
            let end = next.min(start + OFFSETS_AT_ONCE);
            // Past the bound the rest is left out; whoever asked it to be filled looks at the size.
            if index.heap_bytes() <= self.bytes_max {
                let reader = &mut *self.store.reader()?;
                feed::accepted(reader, &*self.log, access, definitions, start..end, usize::MAX, &mut |node, event| {
                    index.add(node, event);
                })?;
            }
            start = end;
        }
        index.settle();
        (kept.is_filled, kept.next_offset, kept.as_of) = (true, next, as_of);
        self.catch_up(&mut *self.store.reader()?, kept, access, definitions)
    }

    fn catch_up_or_drop(&self, kept: &mut Kept, access: &Access, definitions: &Workspace) -> Result<(), Error> {
        let done = self.catch_up(&mut *self.store.reader()?, kept, access, definitions);
        if done.is_err() || kept.index.heap_bytes() > self.bytes_max {
            // Half of it may be in, or more than is allowed: the next question begins anew.
            *kept = Kept::default();
        }
        done
    }

    fn catch_up(
        &self,
        reader: &mut dyn Reader,
        kept: &mut Kept,
        access: &Access,
        definitions: &Workspace,
    ) -> Result<(), Error> {
        let partition = access.workspace.partition(self.log.partitions());
        let (next, as_of) = views::as_of(reader, partition)?;
        if next <= kept.next_offset && as_of <= kept.as_of {
            return Ok(());
        }
        let changed = feed::changed(reader, access, partition, kept.next_offset, next)?;
        let Some(mut changed) = changed.filter(|_| kept.unstated == definitions.unstated) else {
            let wants = kept.index.wants().clone();
            *kept = Kept { index: Index::new(wants), unstated: definitions.unstated, ..Kept::default() };
            return self.fill(kept, access, definitions);
        };
        while let Some((at, id)) = kept.due.first().copied().filter(|(at, _)| *at <= as_of) {
            kept.due.remove(&(at, id));
            changed.insert(id);
        }
        let Kept { index, due, .. } = kept;
        let changed: Vec<ProfileId> = changed.into_iter().collect();
        feed::people(reader, access, definitions, &changed, as_of, &mut |id, person| {
            if let Some(person) = &person
                && person.reachable_until() < Timestamp::MAX
            {
                due.insert((person.reachable_until(), id));
            }
            index.set(id, person.as_ref());
        })?;
        let offsets = kept.next_offset..next;
        feed::accepted(reader, &*self.log, access, definitions, offsets, usize::MAX, &mut |node, event| {
            index.add(node, event);
        })?;
        (kept.next_offset, kept.as_of) = (next, as_of);
        Ok(())
    }
}
