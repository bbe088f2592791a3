//! How the house governs what it holds: what is collected for what, who answers for a field, what takes a second person, how long
//! things are kept. Settings of a workspace on which no fold depends; each is a definition with versions, like the others.

pub mod approvals;
pub mod catalog;
pub mod reports;
pub mod retention;
pub(crate) mod sensitive;

use std::{collections::HashMap, sync::Arc};

use onefold_model::{WorkspaceId, access::Access, command::Command, event::Collection};
use onefold_pipeline::definitions::Workspace;
use parking_lot::RwLock;
use serde::{Serialize, de::DeserializeOwned};

pub use self::{approvals::Approvals, catalog::Catalog, retention::Retention};
use crate::{ApiError, App, forms::Forms};

/// A setting of this kind.
pub(crate) trait Governed: DeserializeOwned + Serialize + Default {
    /// What it is called.
    const NAME: &'static str;

    /// What is wrong with it, in sentences.
    fn problems(&self, definitions: &Workspace) -> Vec<String>;
}

/// Names of all of them.
pub const NAMES: [&str; 5] = ["collection", "approvals", "catalog", "retention", "forms"];

impl Governed for Collection {
    const NAME: &'static str = "collection";

    fn problems(&self, definitions: &Workspace) -> Vec<String> {
        let known = &definitions.policy.purposes;
        let unknown = self.purposes.keys().filter(|name| !known.is_empty() && !known.contains_key(*name));
        let mut problems: Vec<String> =
            unknown.map(|name| format!("the consent policy has no purpose {name:?}")).collect();
        if !self.is_everything() && self.purposes.is_empty() {
            problems.push("nothing is declared, so nothing would enter".to_owned());
        }
        problems
    }
}

/// The setting as it is in force; what is unset is its default.
pub(crate) fn governed<T: Governed>(definitions: &Workspace) -> Result<T, ApiError> {
    let Some(value) = definitions.governance.get(T::NAME) else { return Ok(T::default()) };
    serde_json::from_value(value.clone())
        .map_err(|error| ApiError::internal(format!("{} cannot be read any more: {error}", T::NAME)))
}

/// What is collected, by workspace, where not everything is.
#[derive(Default)]
pub struct Collections(RwLock<HashMap<WorkspaceId, Arc<Collection>>>);

impl Collections {
    /// Of a workspace; `None`: everything.
    pub fn of(&self, workspace: WorkspaceId) -> Option<Arc<Collection>> {
        self.0.read().get(&workspace).cloned()
    }

    fn set(&self, workspace: WorkspaceId, collection: Collection) {
        match collection.is_everything() {
            true => drop(self.0.write().remove(&workspace)),
            false => drop(self.0.write().insert(workspace, Arc::new(collection))),
        }
    }
}

fn parsed<T: Governed>(value: &serde_json::Value, definitions: &Workspace) -> Result<(), ApiError> {
    let cure = "correct the places named; docs/governance.md has the shape";
    let read: T = serde_json::from_value(value.clone())
        .map_err(|error| ApiError::bad_request("bad_setting", format!("{}: {error}", T::NAME), cure))?;
    let problems = read.problems(definitions);
    match problems.is_empty() {
        true => Ok(()),
        false => Err(ApiError::bad_request("bad_setting", problems.join("; "), cure).with_problems(problems)),
    }
}

fn unknown(name: &str) -> ApiError {
    ApiError::not_found("setting", name, format!("there are {}", NAMES.join(", ")))
}

impl App {
    /// A setting as it stands.
    pub(crate) fn show_governed(&self, definitions: &Workspace, name: &str) -> Result<serde_json::Value, ApiError> {
        fn value<T: Governed>(definitions: &Workspace) -> Result<serde_json::Value, ApiError> {
            let value = serde_json::to_value(governed::<T>(definitions)?);
            value.map_err(|error| ApiError::internal(error.to_string()))
        }
        match name {
            Collection::NAME => value::<Collection>(definitions),
            Approvals::NAME => value::<Approvals>(definitions),
            Catalog::NAME => value::<Catalog>(definitions),
            Retention::NAME => value::<Retention>(definitions),
            Forms::NAME => value::<Forms>(definitions),
            other => Err(unknown(other)),
        }
    }

    /// Sets one, from now on.
    pub(crate) async fn govern(
        self: &Arc<Self>,
        access: &Access,
        name: String,
        value: serde_json::Value,
    ) -> Result<(), ApiError> {
        let workspace = access.workspace;
        let (given, named) = (value.clone(), name.clone());
        self.read(move |app, reader| {
            let definitions = app.definitions(reader, workspace)?;
            match named.as_str() {
                Collection::NAME => parsed::<Collection>(&given, &definitions),
                Approvals::NAME => parsed::<Approvals>(&given, &definitions),
                Catalog::NAME => parsed::<Catalog>(&given, &definitions),
                Retention::NAME => parsed::<Retention>(&given, &definitions),
                Forms::NAME => parsed::<Forms>(&given, &definitions),
                other => Err(unknown(other)),
            }
        })
        .await?;
        if name == Approvals::NAME {
            let summary = "a change of what needs an approval".to_owned();
            self.approved(access, approvals::Matter::Rules, 1, summary, &value).await?;
        }
        if name == Retention::NAME {
            // However many it takes: as many as there are.
            let summary = "a change of how long people are kept".to_owned();
            self.approved(access, approvals::Matter::Erasures, u64::MAX, summary, &("retention", &value)).await?;
        }
        if name == Forms::NAME {
            self.open_forms(access).await?;
        }
        self.command(access, Command::Govern { name, value }, false).await?;
        self.block(move |app| app.open_collection(workspace)).await
    }

    /// Lets ingest know what is collected.
    pub(crate) fn open_collection(&self, workspace: WorkspaceId) -> Result<(), ApiError> {
        let definitions = self.definitions(&mut *self.store.reader()?, workspace)?;
        self.ingest.collections.set(workspace, governed(&definitions)?);
        Ok(())
    }
}
