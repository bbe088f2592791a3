//! Who is not let in, asked at every door: ingest, imports, retried dead letters, answers of look-ups.
//!
//! An erasure must know the offset after which nothing about a person can come any more. So whoever appends events holds
//! [`Doors::enter`] from before it asks until the log has them, and an erasure waits at [`Doors::shut`] until all who asked
//! before have gone through.

use std::{collections::HashMap, sync::Arc};

use onefold_model::{WorkspaceId, event::EventRecord};
use onefold_pipeline::{
    definitions::Workspace,
    erase,
    suppression::{Naming, Suppressed},
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{RwLock as Turnstile, RwLockReadGuard};

/// A workspace's list, and how its events are read.
struct Door {
    list: Arc<Suppressed>,
    definitions: Arc<Workspace>,
}

/// See the module.
#[derive(Default)]
pub struct Doors {
    /// Workspaces that keep somebody out.
    doors: RwLock<HashMap<WorkspaceId, Door>>,
    entering: Turnstile<()>,
    /// One reads and sets a list at a time: an older one must not come after a newer.
    pub turn: Mutex<()>,
}

impl Doors {
    /// Held from before the question to after the append.
    pub async fn enter(&self) -> RwLockReadGuard<'_, ()> {
        self.entering.read().await
    }

    /// Waits until all who are entering have entered.
    pub async fn shut(&self) {
        drop(self.entering.write().await);
    }

    /// The list of a workspace as it is now.
    pub fn set(&self, workspace: WorkspaceId, definitions: Arc<Workspace>) {
        let list = definitions.suppressed.clone();
        match list.is_empty() {
            true => drop(self.doors.write().remove(&workspace)),
            false => drop(self.doors.write().insert(workspace, Door { list, definitions })),
        }
    }

    /// Whether a workspace keeps somebody out.
    pub fn guards(&self, workspace: WorkspaceId) -> bool {
        self.doors.read().contains_key(&workspace)
    }

    /// Whether an event is about somebody who is not let in.
    pub fn keeps_out(&self, event: &EventRecord<'_>) -> bool {
        let doors = self.doors.read();
        let Some(Door { list, definitions }) = doors.get(&event.workspace) else { return false };
        erase::event_is_about(definitions, None, event, Naming::Any, &|one| list.holds(&one.kind, &one.value))
    }

    /// The same for what is no event yet, or will be none.
    pub fn keeps_out_json(&self, workspace: WorkspaceId, json: &str) -> bool {
        let doors = self.doors.read();
        let Some(Door { list, definitions }) = doors.get(&workspace) else { return false };
        erase::json_is_about(json, &definitions.rules, Naming::Any, &|one| list.holds(&one.kind, &one.value))
    }
}
