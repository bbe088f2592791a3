//! A table, and commits to it.

use std::sync::Arc;

use deltalake_core::{
    DeltaTable, DeltaTableError,
    kernel::{
        Action, MetadataExt as _, StructType, Transaction,
        engine::arrow_conversion::TryIntoKernel as _,
        transaction::{CommitBuilder, CommitProperties},
    },
    logstore::{StorageConfig, default_logstore},
    operations::create::CreateBuilder,
    protocol::{DeltaOperation, SaveMode},
};
use object_store::prefix::PrefixStore;
use onefold_lake::{Error, Promoted, Rows, Table, Versions, Write};
use onefold_model::{Timestamp, WorkspaceId};
use url::Url;

use crate::{
    DeltaLake,
    error::{Cause, failed},
    files::{BASE, Files, Place},
    view::View,
};

/// Who a table's offset is noted as.
const APP: &str = "onefold";

/// What is told to Delta about every table: it keeps its log short by itself.
const CONFIGURATION: [(&str, &str); 3] = [
    ("delta.checkpointInterval", "50"),
    ("delta.logRetentionDuration", "interval 1 days"),
    ("delta.enableExpiredLogCleanup", "true"),
];

/// A table as it was when it was last looked at.
pub struct Open {
    table: Table,
    workspace: WorkspaceId,
    place: Place,
    delta: DeltaTable,
    offset: u64,
    /// When its folder was last cleared up.
    pub cleared: Option<Timestamp>,
}

impl Open {
    /// The table in its folder, whether it is there yet or not.
    pub async fn new(lake: &DeltaLake, workspace: WorkspaceId, table: Table) -> Result<Open, DeltaTableError> {
        let folder = lake.folder.clone().join(workspace.0.to_string()).join(table.name());
        let url = within(&lake.settings.url, &format!("{}/{table}", workspace.0));
        let prefixed = Arc::new(PrefixStore::new(lake.store.clone(), folder.clone()));
        let log = default_logstore(prefixed, lake.store.clone(), &url, &StorageConfig::default());
        let place = Place {
            store: lake.store.clone(),
            folder,
            local: url.to_file_path().ok().filter(|_| url.scheme() == "file"),
            rows_max: lake.settings.file_rows_max,
            clock: lake.clock.clone(),
        };
        Ok(Open { table, workspace, place, delta: DeltaTable::new(log), offset: 0, cleared: None })
    }

    /// Takes in what others have committed.
    pub async fn update(&mut self) -> Result<(), DeltaTableError> {
        if !self.is_there() && !self.delta.verify_deltatable_existence().await? {
            return Ok(());
        }
        self.delta.update_state().await?;
        self.check_columns()?;
        let log = self.delta.log_store();
        let noted = self.delta.snapshot()?.transaction_version(&*log, APP).await?;
        self.offset = noted.map_or(0, |offset| offset as u64);
        Ok(())
    }

    /// Refuses a table that another version of ours made with other columns.
    fn check_columns(&self) -> Result<(), DeltaTableError> {
        let own = self.table.schema();
        let there = self.delta.snapshot()?.schema();
        let same =
            there.fields().map(|field| field.name()).take(own.fields().len()).eq(own.fields().iter().map(|f| f.name()));
        if same {
            return Ok(());
        }
        Err(DeltaTableError::Generic(
            "another version of Onefold made it with other columns; stop the server, delete the folder of the tables \
             (`lake` in the data folder, or [lake] url) and start it: they are made anew from the log"
                .to_owned(),
        ))
    }

    fn is_there(&self) -> bool {
        self.delta.state.is_some()
    }

    /// Up to which offset it is complete.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The members that it has columns for.
    pub fn promoted(&self) -> Promoted {
        let Some(state) = &self.delta.state else { return Promoted::default() };
        Promoted::of(self.table, state.schema().fields().map(|field| field.name().as_str()))
    }

    /// What readers may see of it now; `known` if that is what they see already.
    pub fn view(&self, known: Option<&Arc<View>>) -> Option<Arc<View>> {
        let state = self.delta.state.as_ref()?;
        match known {
            Some(known) if known.version == state.version() => Some(known.clone()),
            _ => Some(Arc::new(View::of(self.table, &self.place.folder, state, self.promoted()))),
        }
    }

    async fn create(&mut self) -> Result<(), DeltaTableError> {
        let schema: StructType = self.table.schema().as_ref().try_into_kernel()?;
        let made = CreateBuilder::new()
            .with_log_store(self.delta.log_store())
            .with_table_name(self.table.name())
            .with_columns(schema.fields().cloned())
            .with_partition_columns(self.table.partitioned_by())
            // Tried again it would be a second version, which sets back the schema of the first.
            .with_commit_properties(CommitProperties::default().with_max_retries(0))
            .with_configuration(CONFIGURATION.map(|(key, value)| (key.to_owned(), Some(value.to_owned()))))
            .await;
        match made {
            Ok(delta) => self.delta = delta,
            // Another writer has made it.
            Err(_) if self.delta.verify_deltatable_existence().await? => self.update().await?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes rows, and moves the offset, in one commit.
    pub async fn write(&mut self, write: Write, rows: Rows<'_>) -> Result<(), Error> {
        let (workspace, table) = (self.workspace, self.table);
        if !self.is_there() {
            self.create().await.map_err(failed("making", workspace, table))?;
        }
        if self.offset != write.from {
            return Err(Error::Moved { table, expected: write.from, found: self.offset });
        }
        let kind = if write.replace && table.versions() == Versions::OfProfile { BASE } else { "part-" };
        let name = format!("{kind}{:020}-", write.to);
        let mut files = Files::new(&self.place, table, name, self.promoted());
        for rows in rows {
            files.push(rows?).await.map_err(failed("writing", workspace, table))?;
        }
        let (added, promoted) = files.finish().await.map_err(failed("writing", workspace, table))?;
        let mut actions: Vec<Action> = added.into_iter().map(Action::Add).collect();
        if write.replace {
            actions.extend(self.removals(|_| true, true));
        }
        let mode = if write.replace { SaveMode::Overwrite } else { SaveMode::Append };
        let operation = DeltaOperation::Write { mode, partition_by: None, predicate: None };
        self.commit(actions, promoted, Some(write.to), operation).await
    }

    /// Actions that take files out of the table.
    pub fn removals(&self, which: impl Fn(&str) -> bool, data_change: bool) -> Vec<Action> {
        let Some(state) = &self.delta.state else { return vec![] };
        let files = state.log_data();
        files
            .iter()
            .filter(|file| which(&file.path()))
            .map(|file| Action::Remove(file.remove_action(data_change)))
            .collect()
    }

    /// Commits, where nobody else has in between.
    pub async fn commit(
        &mut self,
        mut actions: Vec<Action>,
        promoted: Promoted,
        offset: Option<u64>,
        operation: DeltaOperation,
    ) -> Result<(), Error> {
        let (workspace, table, expected) = (self.workspace, self.table, self.offset);
        match self.try_commit(&mut actions, promoted, offset, operation).await {
            Ok(()) => Ok(()),
            Err(error) => {
                // Whose commit came first decides whether this one is still wanted.
                self.update().await.map_err(failed("reading the log of", workspace, table))?;
                match self.offset == expected {
                    true => Err(failed("committing to", workspace, table)(error)),
                    false => Err(Error::Moved { table, expected, found: self.offset }),
                }
            }
        }
    }

    async fn try_commit(
        &mut self,
        actions: &mut Vec<Action>,
        promoted: Promoted,
        offset: Option<u64>,
        operation: DeltaOperation,
    ) -> Result<(), Cause> {
        let state = self.delta.snapshot()?;
        if promoted != self.promoted() {
            let schema: StructType =
                promoted.schema(self.table).as_ref().try_into_kernel().map_err(DeltaTableError::from)?;
            actions
                .push(Action::Metadata(state.metadata().clone().with_schema(&schema).map_err(DeltaTableError::from)?));
        }
        let mut properties = CommitProperties::default();
        if let Some(offset) = offset {
            properties = properties.with_application_transaction(Transaction::new(APP, offset as i64));
        }
        let log = self.delta.log_store();
        let done = CommitBuilder::from(properties)
            .with_actions(std::mem::take(actions))
            .build(Some(state), log, operation)
            .await?;
        self.place.make_durable(&format!("_delta_log/{:020}.json", done.version()))?;
        self.delta.state = Some(done.snapshot());
        self.offset = offset.unwrap_or(self.offset);
        Ok(())
    }

    /// Its place.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The table of the Delta library.
    pub fn delta(&self) -> &DeltaTable {
        &self.delta
    }

    /// Whose it is.
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// Whether it is as this view has it.
    pub fn is_at(&self, view: &View) -> bool {
        self.delta.state.as_ref().is_some_and(|state| state.version() == view.version)
    }
}

/// The URL of a folder inside another.
fn within(url: &Url, inside: &str) -> Url {
    let mut url = url.clone();
    let path = format!("{}/{inside}/", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}
