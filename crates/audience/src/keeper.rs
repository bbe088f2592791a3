//! An index for each workspace that asks, kept up with the pipeline.
//!
//! It begins empty. The first question that reads something new adds what it reads, and that alone: of the tables, where there
//! are some, and what these do not have yet of the log and the state. From then on it is brought up to what is applied, a view of
//! the store at a time, whether or not somebody asks; so a question finds little to do, and is answered as of what is applied when
//! it is asked.

use std::{
    borrow::Cow,
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
    consent::Policy,
    segment::{CompileError, Condition, MetricId, Program},
};
use onefold_pipeline::{Error, definitions::Workspace, feed, views};
use onefold_state::{Reader, StateStore};
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};

use crate::{Index, Missing, Person, Set, Tables, Wants, fill::Began};

/// The indexes of all workspaces.
pub struct Keeper {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) tables: Option<Tables>,
    /// Bytes of one workspace's index at most.
    pub(crate) bytes_max: usize,
    workspaces: Mutex<BTreeMap<WorkspaceId, Arc<RwLock<Kept>>>>,
    stopped: AtomicBool,
}

/// The index of a workspace.
#[derive(Default)]
pub(crate) struct Kept {
    pub index: Index,
    /// Whether it holds anything yet.
    pub is_filled: bool,
    /// It holds what is applied below this offset.
    pub next_offset: u64,
    /// The instant up to which it is so.
    pub as_of: Timestamp,
    /// The policy of consent by which it was put in.
    pub policy: Arc<Policy>,
    /// Whose consent changes by itself, and when.
    pub due: BTreeSet<(Timestamp, ProfileId)>,
    /// What took more memory than is allowed when it was tried.
    pub too_large: Option<Wants>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The condition does not fit the workspace.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// What it reads would take more memory than is allowed; it can be asked of the tables, or counted from the log.
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
    fn trait_value(&self, name: &str) -> Option<Cow<'_, Value>> {
        feed::Person::trait_value(self, name)
    }
    fn reachable(&self, purpose: &str, channel: Option<&str>) -> bool {
        feed::Person::reachable(self, purpose, channel)
    }
}

impl Keeper {
    /// A keeper of indexes of at most so many bytes each.
    pub fn new(log: Arc<dyn EventLog>, store: Arc<dyn StateStore>, bytes_max: usize) -> Keeper {
        Keeper { log, store, tables: None, bytes_max, workspaces: Mutex::default(), stopped: AtomicBool::new(false) }
    }

    /// The same, which reads what it begins to keep of the tables.
    pub fn with_tables(self, tables: Tables) -> Keeper {
        Keeper { tables: Some(tables), ..self }
    }

    /// Asks several conditions of one moment, and the breakdown of some traits; hands the answer to `with`.
    ///
    /// The first time that something is read, this takes a pass over it, and others wait.
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
        let keeps = |kept: &Kept| kept.is_filled && kept.policy == definitions.policy && kept.index.wants().has(&wants);
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

    /// Forgets a workspace's index: the next question begins anew.
    pub fn forget(&self, workspace: WorkspaceId) {
        self.workspaces.lock().remove(&workspace);
    }

    /// Forgets all indexes, and goes on.
    pub fn clear(&self) {
        self.workspaces.lock().clear();
        self.stopped.store(false, Ordering::Relaxed);
    }

    pub(crate) fn go_on(&self) -> Result<(), Error> {
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

    pub(crate) fn catch_up_or_drop(
        &self,
        kept: &mut Kept,
        access: &Access,
        definitions: &Workspace,
    ) -> Result<(), Error> {
        let done = self.catch_up(&mut *self.store.reader()?, kept, access, definitions, None);
        if done.is_err() || kept.index.heap_bytes() > self.bytes_max {
            // Half of it may be in, or more than is allowed: the next question begins anew.
            *kept = Kept::default();
        }
        done
    }

    /// Brings an index up to what is applied, in one view of the store; and what it `began` to keep as well.
    pub(crate) fn catch_up(
        &self,
        reader: &mut dyn Reader,
        kept: &mut Kept,
        access: &Access,
        definitions: &Workspace,
        began: Option<&Began>,
    ) -> Result<(), Error> {
        let partition = access.workspace.partition(self.log.partitions());
        let (next, as_of) = views::as_of(reader, partition)?;
        if began.is_none() && next <= kept.next_offset && as_of <= kept.as_of {
            return Ok(());
        }
        let told = if kept.is_filled { kept.next_offset } else { u64::MAX };
        let people_from = began.map_or(told, |began| told.min(began.people)).min(next);
        let changed = feed::changed(reader, access, partition, people_from, next)?;
        let Some(mut changed) = changed.filter(|_| kept.policy == definitions.policy) else {
            if began.is_some() {
                return Err(Error::unreadable("the audience index", "more happened than it could follow; ask again"));
            }
            let wants = kept.index.wants().clone();
            *kept = Kept::default();
            // What has become too large is dropped: whoever asks is told.
            return match self.extend(kept, access, definitions, &wants) {
                Err(AskError::Failed(error)) => Err(error),
                _ => Ok(()),
            };
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
        let from = |column: &Option<String>| began.and_then(|began| began.columns.get(column)).copied().unwrap_or(told);
        let first = began.and_then(|began| began.columns.values().min()).copied().unwrap_or(told).min(told);
        if first < next {
            feed::accepted(reader, &*self.log, access, definitions, first..next, usize::MAX, &mut |node, event| {
                index.add_where(node, event, |column| from(column) <= event.offset);
            })?;
        }
        (kept.is_filled, kept.next_offset, kept.as_of) = (true, next, as_of);
        Ok(())
    }
}
