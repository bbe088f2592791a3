//! The tables of the lake as [Delta](https://github.com/delta-io/delta/blob/master/PROTOCOL.md) tables, and SQL over them.
//!
//! This is the one crate that compiles DataFusion. Files are written and read by ourselves; the Delta library keeps the
//! tables' log: which files are in, which schema they have, up to which offset they are complete.
//!
//! * [`DeltaLake`] stores: one folder for each workspace, in it one for each table.
//! * [`Engine`] answers, over what the lake has published.

#[cfg(feature = "cluster")]
pub mod cluster;
mod commit;
mod engine;
mod erase;
mod error;
mod files;
mod functions;
mod maintain;
mod read;
mod restrict;
mod rewrite;
mod scan;
mod view;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use arrow_array::RecordBatch;
use futures_util::StreamExt as _;
use object_store::{ObjectStore, path::Path};
use onefold_lake::{AsOf, Error, Lake, Rows, Table, Write};
use onefold_model::{Clock, WorkspaceId};
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Runtime;
use url::Url;

pub use engine::Engine;

use crate::{commit::Open, error::failed, view::View};

/// Where tables are, and how they are kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of all of them: `file:///…`, `s3://bucket/…`, `gs://…`, `az://…`, `memory:///`.
    pub url: Url,
    /// Of the object store, by the names that `object_store` gives them, such as `aws_endpoint`.
    pub options: Vec<(String, String)>,
    /// Threads that answer queries.
    pub threads: usize,
    /// Files of at most so many rows are written.
    pub file_rows_max: usize,
    /// So many small files of a folder are merged into one.
    pub merge_files: usize,
    /// Files that are no longer part of a table are deleted after this time: what reads an older version of it may still
    /// need them.
    pub retention: Duration,
}

impl Settings {
    /// The usual ones for tables at `url`.
    pub fn new(url: Url) -> Settings {
        Settings {
            url,
            options: vec![],
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            file_rows_max: 500_000,
            merge_files: 8,
            retention: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Of a thread. Planning a query recurses as deep as its expressions are nested; what is not used takes no memory.
const STACK_BYTES: usize = 256 << 20;

/// Tables on an object store.
pub struct DeltaLake {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    store: Arc<dyn ObjectStore>,
    folder: Path,
    clock: Arc<dyn Clock>,
    settings: Settings,
    open: Mutex<HashMap<(WorkspaceId, Table), Open>>,
    published: RwLock<HashMap<WorkspaceId, Arc<Published>>>,
}

/// The object store that the settings name, and the folder in it.
fn object_store_of(settings: &Settings) -> Result<(Arc<dyn ObjectStore>, Path), String> {
    let said = |error: object_store::Error| format!("the object store at {} cannot be used: {error}", settings.url);
    let (store, folder) = object_store::parse_url_opts(&settings.url, settings.options.clone()).map_err(said)?;
    Ok((Arc::from(store), folder))
}

/// What readers of a workspace see.
pub(crate) struct Published {
    pub as_of: AsOf,
    pub tables: BTreeMap<Table, Arc<View>>,
}

impl DeltaLake {
    /// The tables at the settings' URL, as they are, or none.
    pub fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<DeltaLake, String> {
        let (store, folder) = object_store_of(&settings)?;
        Self::on(store, folder, settings, clock)
    }

    /// The tables in a folder of an object store.
    pub fn on(
        store: Arc<dyn ObjectStore>,
        folder: Path,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<DeltaLake, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(settings.threads)
            .thread_name("lake")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|error| format!("threads for the lake cannot be started: {error}"))?;
        let (open, published) = (Mutex::default(), RwLock::default());
        Ok(DeltaLake { runtime: Some(runtime), store, folder, clock, settings, open, published })
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is there until the lake is dropped")
    }

    pub(crate) fn seen(&self, workspace: WorkspaceId) -> Option<Arc<Published>> {
        self.published.read().get(&workspace).cloned()
    }

    /// How many files readers see of a table.
    pub fn files(&self, workspace: WorkspaceId, table: Table) -> usize {
        let published = self.seen(workspace);
        published.and_then(|published| Some(published.tables.get(&table)?.files.len())).unwrap_or(0)
    }

    fn show(&self, workspace: WorkspaceId, as_of: AsOf, tables: BTreeMap<Table, Arc<View>>) {
        self.published.write().insert(workspace, Arc::new(Published { as_of, tables }));
    }

    /// Does something with a table that is brought up to date first, and forgets it where that fails: the next one opens
    /// it anew.
    fn with<T>(
        &self,
        doing: &'static str,
        workspace: WorkspaceId,
        table: Table,
        what: impl AsyncFnOnce(&mut Open) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let known = self.open.lock().remove(&(workspace, table));
        self.runtime().block_on(async {
            let mut open = match known {
                Some(open) => open,
                None => Open::new(self, workspace, table).await.map_err(failed(doing, workspace, table))?,
            };
            open.update().await.map_err(failed(doing, workspace, table))?;
            let done = what(&mut open).await;
            if matches!(done, Ok(_) | Err(Error::Moved { .. })) {
                self.open.lock().insert((workspace, table), open);
            }
            done
        })
    }
}

impl Drop for DeltaLake {
    fn drop(&mut self) {
        // It may be dropped on a thread that must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Lake for DeltaLake {
    fn offset(&self, workspace: WorkspaceId, table: Table) -> Result<u64, Error> {
        self.with("opening", workspace, table, async |open| Ok(open.offset()))
    }

    fn write(&self, workspace: WorkspaceId, write: Write, rows: Rows<'_>) -> Result<(), Error> {
        self.with("writing", workspace, write.table, async |open| open.write(write, rows).await)
    }

    fn publish(&self, workspace: WorkspaceId, as_of: AsOf) -> Result<(), Error> {
        let before = self.seen(workspace);
        let mut tables = BTreeMap::new();
        for table in Table::ALL {
            let known = before.as_ref().and_then(|published| published.tables.get(&table));
            let view = self.with("reading the log of", workspace, table, async |open| Ok(open.view(known)))?;
            tables.extend(view.map(|view| (table, view)));
        }
        self.show(workspace, as_of, tables);
        Ok(())
    }

    fn published(&self, workspace: WorkspaceId) -> Option<AsOf> {
        self.seen(workspace).map(|published| published.as_of)
    }

    fn read(
        &self,
        workspace: WorkspaceId,
        table: Table,
        on: &mut dyn FnMut(RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(published) = self.seen(workspace) else { return Ok(()) };
        if !published.tables.contains_key(&table) {
            return Ok(());
        }
        self.runtime().block_on(async {
            let mut rows =
                read::rows_that_count(self, &published, table).await.map_err(failed("reading", workspace, table))?;
            while let Some(batch) = rows.next().await {
                on(batch.map_err(failed("reading", workspace, table))?)?;
            }
            Ok(())
        })
    }

    fn maintain(&self, workspace: WorkspaceId) -> Result<(), Error> {
        maintain::maintain(self, workspace)
    }

    fn erase(&self, workspace: WorkspaceId, nodes: &BTreeSet<i64>) -> Result<u64, Error> {
        erase::erase(self, workspace, nodes)
    }
}
