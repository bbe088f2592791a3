//! What events touch is loaded at once; what the next ones touch, beside those at work.
//!
//! While a part of a micro-batch is applied, a second connection reads what the next part will ask for: identifiers,
//! nodes and profiles that are not in memory. It sees the store as it was when the transaction began. That is what the
//! transaction would read, but for rows that it has changed itself; and what has changed is in memory, or is known to
//! be gone. Only where memory was trimmed within the transaction is that not so: then nothing more is read ahead.

#![expect(clippy::vec_box, reason = "boxed by the thread that reads, as memory holds them")]

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use onefold_model::{NodeId, ProfileId, WorkspaceId};
use onefold_state::{Reader, Row, Txn, schema};
use rustc_hash::FxHashSet;

use crate::{
    Error,
    partition::Partition,
    profile::{Node, Profile},
};

/// Of one workspace, what is asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub workspace: WorkspaceId,
    /// Identifiers by their cache key, with the key of their row.
    pub identifiers: Vec<(u128, Row)>,
    pub nodes: Vec<NodeId>,
    pub profiles: Vec<ProfileId>,
}

impl Wanted {
    /// Nothing of `workspace`.
    pub fn of(workspace: WorkspaceId) -> Wanted {
        Wanted { workspace, identifiers: vec![], nodes: vec![], profiles: vec![] }
    }

    fn is_empty(&self) -> bool {
        self.identifiers.is_empty() && self.nodes.is_empty() && self.profiles.is_empty()
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    identifiers: Vec<(u128, Option<NodeId>)>,
    nodes: Vec<Box<Node>>,
    profiles: Vec<Box<Profile>>,
}

/// Nodes and profiles that the transaction at work has removed: what is read may still have them.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    pub nodes: FxHashSet<NodeId>,
    pub profiles: FxHashSet<ProfileId>,
}

/// The other side of a thread that reads.
pub(crate) struct Ahead {
    ask: SyncSender<Vec<Wanted>>,
    answers: Receiver<Result<Found, Error>>,
    /// Whether something was asked for and has not been taken.
    pending: bool,
}

impl Ahead {
    /// Starts the thread, which reads by `reader` until this is dropped.
    pub fn start<'scope>(
        scope: &'scope std::thread::Scope<'scope, '_>,
        mut reader: Box<dyn Reader + Send + 'scope>,
    ) -> Ahead {
        let (ask, asked) = sync_channel::<Vec<Wanted>>(1);
        let (answer, answers) = sync_channel(1);
        scope.spawn(move || {
            for wanted in asked {
                if answer.send(read(&mut *reader, wanted)).is_err() {
                    return; // Applying has failed.
                }
            }
        });
        Ahead { ask, answers, pending: false }
    }

    /// Asks for what is wanted. What was asked for before must have been taken.
    pub fn ask(&mut self, wanted: Vec<Wanted>) {
        debug_assert!(!self.pending);
        self.pending = self.ask.send(wanted).is_ok();
    }

    /// Waits for what was asked for, if anything was.
    pub fn take(&mut self) -> Result<Option<Found>, Error> {
        if !std::mem::take(&mut self.pending) {
            return Ok(None);
        }
        let stopped = |_| Error::unreadable("the store", "the thread that reads ahead has stopped");
        self.answers.recv().map_err(stopped)?.map(Some)
    }
}

/// Reads what is wanted and what follows from it: of an identifier its node, of a node its profile, of a profile all its
/// nodes.
fn read(store: &mut dyn Reader, wanted: Vec<Wanted>) -> Result<Found, Error> {
    let mut found = Found::default();
    for Wanted { workspace, identifiers, mut nodes, mut profiles } in wanted {
        let (keys, rows): (Vec<u128>, Vec<Row>) = identifiers.into_iter().unzip();
        for (key, row) in keys.into_iter().zip(store.get(&schema::IDENTIFIER, &rows)?) {
            let node = row.map(|row| row[4].as_int()).transpose()?.map(NodeId);
            nodes.extend(node);
            found.identifiers.push((key, node));
        }
        let first = read_nodes(store, workspace, nodes)?;
        let here: FxHashSet<NodeId> = first.iter().map(|node| node.id).collect();
        profiles.extend(first.iter().map(|node| node.profile));
        profiles.sort_unstable();
        profiles.dedup();
        let keys: Vec<Row> = profiles.iter().map(|id| Profile::key(workspace, *id)).collect();
        let mut others = vec![];
        for row in store.get(&schema::PROFILE, &keys)?.into_iter().flatten() {
            let profile = Box::new(Profile::from_row(&row)?);
            others.extend(profile.nodes.iter().copied().filter(|node| !here.contains(node)));
            found.profiles.push(profile);
        }
        found.nodes.extend(first);
        found.nodes.extend(read_nodes(store, workspace, others)?);
    }
    Ok(found)
}

fn read_nodes(
    store: &mut dyn Reader,
    workspace: WorkspaceId,
    mut wanted: Vec<NodeId>,
) -> Result<Vec<Box<Node>>, Error> {
    wanted.sort_unstable();
    wanted.dedup();
    let keys: Vec<Row> = wanted.iter().map(|id| Node::key(workspace, *id)).collect();
    let rows = store.get(&schema::NODE, &keys)?;
    rows.iter().flatten().map(|row| Ok(Box::new(Node::from_row(row, store)?))).collect()
}

impl Partition {
    /// Of what is asked for, and what follows from it, what is not in memory; the rest counts as used.
    pub(crate) fn missing(&mut self, asked: Vec<Wanted>) -> Vec<Wanted> {
        let Partition { nodes: kept, profiles: whole, .. } = self;
        let missing = |wanted: Wanted| {
            let Wanted { workspace, identifiers, nodes: asked, mut profiles } = wanted;
            let mut nodes = vec![];
            for id in asked {
                if kept.touch(&id) {
                    profiles.extend(kept.peek(&id).map(|node| node.profile));
                } else {
                    nodes.push(id);
                }
            }
            profiles.sort_unstable();
            profiles.dedup();
            profiles.retain(|id| {
                let here = whole.touch(id);
                let own = whole.peek(id).into_iter().flat_map(|profile| &profile.nodes);
                nodes.extend(own.filter(|node| !kept.touch(node)));
                !here
            });
            Wanted { workspace, identifiers, nodes, profiles }
        };
        asked.into_iter().map(missing).filter(|wanted| !wanted.is_empty()).collect()
    }

    /// Loads what is wanted and not in memory, by the transaction itself.
    pub(crate) fn load_wanted(&mut self, txn: &mut dyn Txn, asked: Vec<Wanted>) -> Result<(), Error> {
        let found = read(txn, self.missing(asked))?;
        self.take(found);
        Ok(())
    }

    /// Takes what was read into memory, but for what is there already, and may be newer, or has gone.
    pub(crate) fn take(&mut self, found: Found) {
        for (key, node) in found.identifiers {
            if self.identifiers.peek(&key).is_none() {
                self.identifiers.insert(key, node);
            }
        }
        for node in found.nodes {
            if self.nodes.peek(&node.id).is_none() && !self.gone.nodes.contains(&node.id) {
                self.nodes.insert(node.id, node);
            }
        }
        for profile in found.profiles {
            if self.profiles.peek(&profile.id).is_none() && !self.gone.profiles.contains(&profile.id) {
                self.profiles.insert(profile.id, profile);
            }
        }
    }
}
