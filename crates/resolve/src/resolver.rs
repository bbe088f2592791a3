//! Following what is applied, a workspace at a time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use onefold_link::Waterfall;
use onefold_log::EventLog;
use onefold_model::{NodeId, ProfileId, WorkspaceId, access::Access, command::Command};
use onefold_pipeline::{
    definitions::Workspace,
    feed,
    links::{self, Finding, Link},
    views,
};
use onefold_state::{Reader, StateStore};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Error, Models, kept::Kept, record};

/// Pairs in one command.
const PAIRS: usize = 500;

/// Links that are read at a time.
const PAGE: usize = 10_000;

/// Links behind the pipeline, for all workspaces.
pub struct Resolver {
    log: Arc<dyn EventLog>,
    store: Arc<dyn StateStore>,
    models: Models,
    workspaces: Mutex<BTreeMap<WorkspaceId, Arc<Mutex<Held>>>>,
    stopped: AtomicBool,
}

/// What is known of a workspace.
#[derive(Default)]
enum Held {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It has no model, and what an earlier one found has been taken back.
    Off,
    /// It has one.
    On(Box<Kept>),
}

/// Two records of one profile that a person should look at.
#[derive(Debug)]
pub struct Suspect {
    /// The profile.
    pub profile: ProfileId,
    /// The two.
    pub pair: (NodeId, NodeId),
    /// What there is to look at.
    pub doubt: Doubt,
    /// Why they have their weight.
    pub why: Waterfall,
}

/// Why a person should look at two records of one profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// They speak against each other, as by two birth dates.
    Contradiction,
    /// They are a weak link, and nothing else holds their cluster together.
    Bridge,
}

impl Resolver {
    /// One that has seen nothing yet.
    pub fn new(log: Arc<dyn EventLog>, store: Arc<dyn StateStore>) -> Resolver {
        let models = Models::new(store.clone());
        Resolver { log, store, models, workspaces: Mutex::default(), stopped: AtomicBool::new(false) }
    }

    /// The models.
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// Ends what takes long, which then fails: the server is about to stop.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Forgets everything, and goes on.
    pub fn clear(&self) {
        self.workspaces.lock().clear();
        self.stopped.store(false, Ordering::Relaxed);
    }

    /// Forgets a workspace: what was given did not arrive.
    pub fn forget(&self, workspace: WorkspaceId) {
        self.workspaces.lock().remove(&workspace);
    }

    fn held(&self, workspace: WorkspaceId) -> Arc<Mutex<Held>> {
        self.workspaces.lock().entry(workspace).or_default().clone()
    }

    /// Looks at what is applied since the last time, and gives what is to be said of it: commands for the log. The first time
    /// under a model it looks at everything.
    ///
    /// Who cannot give the commands must [`Resolver::forget`] the workspace.
    pub fn step(&self, access: &Access, definitions: &Workspace) -> Result<Vec<Command>, Error> {
        let held = self.held(access.workspace);
        let mut held = held.lock();
        let stepped = match definitions.link_model {
            None => self.take_back(access, &mut held),
            Some(version) => self.follow(access, definitions, version, &mut held),
        };
        if stepped.is_err() {
            // Half of it may be in.
            *held = Held::Unknown;
        }
        stepped
    }

    /// Without a model nothing that one found stays.
    fn take_back(&self, access: &Access, held: &mut Held) -> Result<Vec<Command>, Error> {
        if matches!(held, Held::Off) {
            return Ok(vec![]);
        }
        *held = Held::Off;
        let mut gone = vec![];
        for_each_link(&mut *self.store.reader()?, access, &mut |link| {
            if link.finding != Finding::Gone {
                gone.push((link.a, link.b));
            }
        })?;
        Ok(gone.chunks(PAIRS).map(|gone| Command::Links { model: 0, found: vec![], gone: gone.to_vec() }).collect())
    }

    fn follow(
        &self,
        access: &Access,
        definitions: &Workspace,
        version: u32,
        held: &mut Held,
    ) -> Result<Vec<Command>, Error> {
        let mut view = self.store.reader()?;
        let reader = &mut *view;
        let partition = access.workspace.partition(self.log.partitions());
        let (next, _) = views::as_of(reader, partition)?;
        let changed = match held {
            Held::On(kept) if kept.version == version => {
                if kept.next_offset >= next {
                    return Ok(vec![]);
                }
                feed::changed(reader, access, partition, kept.next_offset, next)?
            }
            _ => None,
        };
        match (&mut *held, changed) {
            (Held::On(kept), Some(changed)) => {
                let changed: Vec<ProfileId> = changed.into_iter().collect();
                self.catch_up(reader, access, definitions, kept, &changed)?;
            }
            _ => *held = Held::On(Box::new(self.begin(reader, access, definitions, version)?)),
        }
        drop(view);
        let Held::On(kept) = held else { return Ok(vec![]) };
        kept.next_offset = next;
        let difference = kept.difference();
        let found = difference.found.chunks(PAIRS);
        let found = found.map(|found| Command::Links { model: version, found: found.to_vec(), gone: vec![] });
        let gone = difference.gone.chunks(PAIRS);
        let gone = gone.map(|gone| Command::Links { model: version, found: vec![], gone: gone.to_vec() });
        // What is gone first: it may stand in the way of what is found.
        Ok(gone.chain(found).collect())
    }

    /// Everything there is.
    fn begin(
        &self,
        reader: &mut dyn Reader,
        access: &Access,
        definitions: &Workspace,
        version: u32,
    ) -> Result<Kept, Error> {
        let (model, weights, frozen) = self.models.load(access, version)?;
        let mut kept = Kept::new(version, &model, &weights, frozen);
        let mut after = None;
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return Err(Error::Stopping);
            }
            after = feed::next_people(reader, access, definitions, after, access.at, &mut |person| {
                take(&mut kept, &person);
            })?;
            if after.is_none() {
                break;
            }
        }
        let mut refused: FxHashMap<NodeId, FxHashSet<NodeId>> = FxHashMap::default();
        for_each_link(reader, access, &mut |link| {
            if link.is_refused() {
                refused.entry(link.a).or_default().insert(link.b);
                refused.entry(link.b).or_default().insert(link.a);
            }
            if link.finding != Finding::Gone {
                // By another model: said anew, or taken back.
                let is_same = link.model == version;
                kept.was_given(
                    (link.a, link.b),
                    if is_same { link.millibits } else { i64::MIN },
                    is_same && link.finding == Finding::Joined,
                );
            }
        })?;
        refused.into_iter().for_each(|(node, from)| kept.set_apart(node, &from));
        kept.all_affected();
        tracing::info!(records = kept.records(), model = version, "record linkage is up to date");
        Ok(kept)
    }

    fn catch_up(
        &self,
        reader: &mut dyn Reader,
        access: &Access,
        definitions: &Workspace,
        kept: &mut Kept,
        changed: &[ProfileId],
    ) -> Result<(), Error> {
        let mut before: Vec<NodeId> = vec![];
        for id in changed {
            before.extend(kept.people.remove(id).into_iter().flatten());
        }
        let mut now: FxHashSet<NodeId> = FxHashSet::default();
        feed::people(reader, access, definitions, changed, access.at, &mut |_, person| {
            if let Some(person) = person {
                now.extend(person.nodes());
                take(kept, &person);
            }
        })?;
        // Nodes that moved are in another profile that changed.
        before.into_iter().filter(|node| !now.contains(node)).for_each(|node| kept.remove(node));
        for node in now {
            let refused = links::of_node(reader, access, node)?.into_iter().filter(Link::is_refused);
            let from = refused.map(|link| if link.a == node { link.b } else { link.a }).collect();
            kept.set_apart(node, &from);
        }
        Ok(())
    }

    /// Why two records have their weight under the active model; `None` where they are no records.
    pub fn explain(&self, access: &Access, a: NodeId, b: NodeId) -> Option<Waterfall> {
        match &*self.held(access.workspace).lock() {
            Held::On(kept) => kept.explain(a, b),
            Held::Unknown | Held::Off => None,
        }
    }

    /// Records of one profile that speak against each other by at least so many bits, those that do most first; then weak links
    /// that alone hold a cluster together, by at most so many bits more than joining takes. So many of each at most.
    pub fn suspects(&self, access: &Access, bits: f64, limit: usize) -> Vec<Suspect> {
        let (against, bridges) = match &*self.held(access.workspace).lock() {
            Held::On(kept) => (kept.within_people(-bits, limit), kept.bridges(bits, limit)),
            Held::Unknown | Held::Off => (vec![], vec![]),
        };
        let of = |doubt: Doubt| move |(profile, pair, why)| Suspect { profile, pair, doubt, why };
        against.into_iter().map(of(Doubt::Contradiction)).chain(bridges.into_iter().map(of(Doubt::Bridge))).collect()
    }
}

fn take(kept: &mut Kept, person: &feed::Person) {
    for (node, kind, value, traits) in person.records() {
        let values = record::values(kept.columns(), kind, value, &traits);
        kept.put(node, values);
    }
    kept.people.insert(person.id(), person.nodes().iter().copied().collect());
}

fn for_each_link(reader: &mut dyn Reader, access: &Access, on: &mut dyn FnMut(&Link)) -> Result<(), Error> {
    let mut after = None;
    loop {
        let page = links::page(reader, access, after, PAGE)?;
        page.iter().for_each(&mut *on);
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some((last.a, last.b)),
            _ => return Ok(()),
        }
    }
}
