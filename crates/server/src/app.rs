//! The parts of a running Onefold, and how they are put together.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use onefold_activate::{Context, Deliverer, Egress, Handle, Registry};
use onefold_audience::Keeper;
use onefold_log::EventLog;
use onefold_model::{
    Clock, Rng, Timestamp, WorkspaceId,
    access::{Access, Caller, Purpose, Sight},
    rng,
};
use onefold_pipeline::{Pipeline, definitions::Workspace};
use onefold_resolve::Resolver;
use onefold_state::{Reader, Row, Scan, StateStore, Value, schema};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::{
    audit::{self, Audit},
    backup::BackupSettings,
    caller::Decided,
    deadletters::KeptLetters,
    error::ApiError,
    governance::Collections,
    ingest::{Ingest, IngestSettings, Limiter, Mapping, Meters, Source, Sources, sources::KeyHash},
    lake::{LakeComponents, LakeSettings, Tables},
    people::Tries,
    permission::ConsentOfProfile,
    requests::{Entered, MailSettings, OpenDsrSettings, UnderWay},
    uploads::Uploads,
};

/// What the parts are made of: components, handed in.
pub struct Components {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The state.
    pub store: Arc<dyn StateStore>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Randomness for keys and ids.
    pub rng: Arc<dyn Rng>,
    /// The tables.
    pub lake: LakeComponents,
}

/// How the parts behave: values.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// The data folder; destinations' files go below it.
    pub data_folder: PathBuf,
    /// The operator's token.
    pub token: String,
    /// Ingest.
    pub ingest: IngestSettings,
    /// The pipeline.
    pub pipeline: onefold_pipeline::Settings,
    /// Deliveries.
    pub delivery: onefold_activate::Settings,
    /// Bytes of memory that a workspace's audience index may take.
    pub audience_bytes_max: usize,
    /// The tables.
    pub lake: LakeSettings,
    /// Private addresses and hosts that destinations may reach.
    pub egress_allowed: Vec<String>,
    /// Folders outside the data folder that destinations may write to.
    pub exports_allowed: Vec<PathBuf>,
    /// Whether the pipeline and the deliveries run.
    pub process: bool,
    /// How mail about requests is sent; `None`: not at all.
    pub mail: Option<MailSettings>,
    /// By what answers and callbacks of OpenDSR are signed; `None`: by nothing.
    pub opendsr: Option<OpenDsrSettings>,
    /// How backups are made; `None`: not at all.
    pub backup: Option<BackupSettings>,
}

/// The least time between two steps of the audience indexes.
const FOLLOW_EVERY: std::time::Duration = std::time::Duration::from_millis(100);

/// The offset that last changed a workspace's definitions, and these.
type Compiled = (Option<i64>, Arc<Workspace>);

/// A running Onefold.
pub struct App {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) settings: AppSettings,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) audiences: Keeper,
    pub(crate) tables: Tables,
    pub(crate) resolver: Resolver,
    /// Of each workspace one looks at a time, and gives what it finds before the next looks: the log's end after what was given.
    pub(crate) linking: Mutex<HashMap<WorkspaceId, Arc<tokio::sync::Mutex<u64>>>>,
    /// One model is trained at a time.
    pub(crate) training: tokio::sync::Mutex<()>,
    /// Wakes who tells controllers of their requests.
    pub(crate) telling: Arc<tokio::sync::Notify>,
    /// Requests that were entered on the page.
    pub(crate) entered: Entered,
    /// One backup is made at a time.
    pub(crate) backing_up: tokio::sync::Mutex<()>,
    /// One erasure is carried out at a time.
    pub(crate) erasing: tokio::sync::Mutex<()>,
    /// Requests under privacy law that are being carried out.
    pub(crate) under_way: UnderWay,
    /// One says at a time what a field holds.
    pub(crate) classifying: tokio::sync::Mutex<()>,
    /// Wrong tries to sign in.
    pub(crate) tries: Tries,
    /// What roles may do.
    pub(crate) decided: Decided,
    pub(crate) audit: Audit,
    /// Files that wait to be imported.
    pub(crate) uploads: Uploads,
    pipelines: RwLock<Vec<Pipeline>>,
    deliveries: Mutex<Option<Handle>>,
    committed: watch::Sender<u64>,
    workspaces: RwLock<Vec<(WorkspaceId, String)>>,
    /// Compiled definitions, with the offset that last changed them.
    definitions: RwLock<HashMap<WorkspaceId, Compiled>>,
    next_source: AtomicU32,
    started_at: Timestamp,
}

impl App {
    /// Puts the parts together and starts them, on the current tokio runtime. Blocks on the store; call it where
    /// blocking is allowed.
    pub fn start(components: Components, settings: AppSettings) -> Result<Arc<App>, ApiError> {
        let Components { log, store, clock, rng, lake } = components;
        let egress = Egress::new(&settings.egress_allowed)
            .map_err(|error| ApiError::bad_request("bad_setting", error.to_string(), "correct [egress] allowed"))?;
        let ingest = Arc::new(Ingest {
            log: log.clone(),
            clock: clock.clone(),
            rng: rng.clone(),
            settings: settings.ingest.clone(),
            sources: Arc::new(Sources::new()),
            refused: Arc::new(KeptLetters { store: store.clone() }),
            doors: Arc::default(),
            collections: Collections::default(),
            limiter: Limiter::default(),
            meters: Meters::default(),
        });
        let app = Arc::new(App {
            ingest,
            registry: Arc::new(Registry::standard()),
            egress: Arc::new(egress),
            audiences: Keeper::new(log.clone(), store.clone(), settings.audience_bytes_max)
                .with_tables(onefold_audience::Tables::new(lake.engine.clone(), settings.lake.of_whole_tables())),
            tables: Tables::new(lake, log.clone(), store.clone()),
            resolver: Resolver::new(log.clone(), store.clone()),
            linking: Mutex::default(),
            training: tokio::sync::Mutex::new(()),
            telling: Arc::default(),
            entered: Entered::default(),
            backing_up: tokio::sync::Mutex::new(()),
            erasing: tokio::sync::Mutex::new(()),
            under_way: UnderWay::default(),
            classifying: tokio::sync::Mutex::new(()),
            tries: Tries::default(),
            decided: Decided::default(),
            audit: Audit::default(),
            uploads: Uploads::default(),
            pipelines: RwLock::new(vec![]),
            deliveries: Mutex::new(None),
            committed: watch::channel(0).0,
            workspaces: RwLock::new(vec![]),
            definitions: RwLock::default(),
            next_source: AtomicU32::new(1),
            started_at: clock.now(),
            log,
            store,
            clock,
            rng,
            settings,
        });
        app.drop_uploads()?;
        app.read_workspaces()?;
        if app.workspaces.read().is_empty() {
            app.add_workspace("default")?;
        }
        app.read_sources()?;
        for (workspace, _) in app.workspaces() {
            let definitions = app.definitions(&mut *app.store.reader()?, workspace)?;
            app.ingest.doors.set(workspace, definitions);
            app.open_collection(workspace)?;
        }
        app.start_pipelines()?;
        app.start_deliveries();
        if app.settings.process {
            app.go_on_erasing();
            app.follow_with_tables();
            app.keep_retaining();
        }
        app.keep_telling_controllers();
        // A backup that was cut short left copies.
        app.drop_copies()?;
        app.keep_backing_up();
        Ok(app)
    }

    /// Erasures that were cut short go on.
    fn go_on_erasing(self: &Arc<Self>) {
        let app = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = app.resume_erasures().await {
                tracing::error!(
                    ?error,
                    "an erasure that was cut short could not be finished; it is tried again at the next start"
                );
            }
        });
    }

    fn start_pipelines(self: &Arc<Self>) -> Result<(), ApiError> {
        let mut pipelines = vec![];
        for number in (0..self.log.partitions()).filter(|_| self.settings.process) {
            let settings = self.settings.pipeline.clone();
            let pipeline = Pipeline::start(self.log.clone(), self.store.clone(), self.clock.clone(), number, settings)?;
            let mut applied = pipeline.applied();
            let app = Arc::downgrade(self);
            // Deliveries wake when a commit has put something in an outbox.
            tokio::spawn(async move {
                let mut seen = 0;
                while applied.changed().await.is_ok() {
                    let outbox = applied.borrow_and_update().outbox;
                    let Some(app) = app.upgrade() else { return };
                    if outbox != seen {
                        seen = outbox;
                        app.committed.send_modify(|n| *n += 1);
                    }
                }
            });
            self.follow_with_audiences(number, pipeline.applied());
            self.follow_with_links(number, pipeline.applied());
            pipelines.push(pipeline);
        }
        *self.pipelines.write() = pipelines;
        Ok(())
    }

    /// Brings the audience indexes of a partition's workspaces up to what is applied, until the pipeline stops.
    fn follow_with_audiences(self: &Arc<Self>, number: u32, mut applied: watch::Receiver<onefold_pipeline::Applied>) {
        let app = Arc::downgrade(self);
        tokio::spawn(async move {
            while applied.changed().await.is_ok() {
                applied.mark_unchanged();
                let Some(app) = app.upgrade() else { return };
                let followed = tokio::task::spawn_blocking(move || app.follow(number)).await;
                if let Ok(Err(error)) = followed {
                    tracing::warn!(?error, "an audience index could not follow; it is made anew when it is asked");
                }
                tokio::time::sleep(FOLLOW_EVERY).await;
            }
        });
    }

    fn follow(&self, partition: u32) -> Result<(), ApiError> {
        for (workspace, _) in self.workspaces() {
            if workspace.partition(self.log.partitions()) == partition && self.audiences.is_asked(workspace) {
                let definitions = self.definitions(&mut *self.store.reader()?, workspace)?;
                self.audiences.follow(&self.operator(workspace), &definitions)?;
            }
        }
        Ok(())
    }

    fn start_deliveries(self: &Arc<Self>) {
        if !self.settings.process {
            return;
        }
        let context = self.context(WorkspaceId(0));
        let deliverer = Deliverer {
            store: self.store.clone(),
            registry: self.registry.clone(),
            context,
            rng: self.rng.clone(),
            settings: self.settings.delivery.clone(),
            permission: Arc::new(ConsentOfProfile),
        };
        *self.deliveries.lock() = Some(deliverer.start(self.committed.subscribe()));
    }

    /// What connectors are given of the house.
    pub(crate) fn context(&self, workspace: WorkspaceId) -> Context {
        Context {
            workspace,
            egress: self.egress.clone(),
            data_folder: self.settings.data_folder.clone(),
            exports_allowed: self.settings.exports_allowed.clone(),
            clock: self.clock.clone(),
            arrivals: self.ingest.clone(),
        }
    }

    /// Lets the pipelines look at the clock; called a few times a second.
    pub fn tick(&self) {
        self.pipelines.read().iter().for_each(Pipeline::tick);
    }

    /// Finishes what is at work and stops. Blocks until the pipelines have stopped.
    pub async fn stop(&self) {
        self.tables.stop();
        self.stop_processing().await;
    }

    async fn stop_processing(&self) {
        self.audiences.stop();
        self.resolver.stop();
        let deliveries = self.deliveries.lock().take();
        if let Some(deliveries) = deliveries {
            deliveries.shutdown().await;
        }
        let pipelines = std::mem::take(&mut *self.pipelines.write());
        // Dropping a pipeline waits for its thread.
        let _ = tokio::task::spawn_blocking(move || drop(pipelines)).await;
    }

    /// Stops pipelines and deliveries, rebuilds derived state from the log, and starts them again.
    pub async fn rebuild(self: &Arc<Self>) -> Result<onefold_pipeline::rebuild::Rebuilt, ApiError> {
        let _erasing = self.erasing.lock().await;
        self.stop_processing().await;
        let app = self.clone();
        let rebuilt = tokio::task::spawn_blocking(move || {
            let rebuilt = onefold_pipeline::rebuild::rebuild(
                &app.log,
                &app.store,
                &app.clock,
                &app.settings.pipeline,
                &mut |done, total| tracing::debug!(done, total, "rebuild"),
            );
            app.audiences.clear();
            app.definitions.write().clear();
            app.resolver.clear();
            // Whether or not it could be rebuilt, what there is goes on.
            app.start_pipelines()?;
            app.renew_tables()?;
            Ok(rebuilt?)
        })
        .await
        .map_err(|error| ApiError::internal(error.to_string()))?;
        self.start_deliveries();
        rebuilt
    }

    /// What keeps the server from being ready, if something does.
    pub fn fault(&self) -> Option<String> {
        self.pipelines.read().iter().find_map(|pipeline| pipeline.applied().borrow().failed.clone())
    }

    /// Tells the deliveries that destinations changed.
    pub(crate) fn refresh_deliveries(&self) {
        if let Some(handle) = self.deliveries.lock().as_ref() {
            handle.refresh();
        }
    }

    /// How the deliveries go. Blocks.
    pub(crate) fn delivery_status(&self) -> Result<Vec<onefold_activate::Status>, ApiError> {
        Ok(self.deliveries.lock().as_ref().map(Handle::status).transpose()?.unwrap_or_default())
    }

    /// The pipeline's place for a workspace, to wait on.
    pub(crate) fn applied(&self, workspace: WorkspaceId) -> Option<watch::Receiver<onefold_pipeline::Applied>> {
        let number = workspace.partition(self.log.partitions());
        self.pipelines.read().get(number as usize).map(Pipeline::applied)
    }

    /// Waits until all before `offset` is applied, and, with `idle`, until the work that started is done.
    pub(crate) async fn wait(&self, workspace: WorkspaceId, offset: u64, idle: bool) -> Result<(), ApiError> {
        let Some(mut applied) = self.applied(workspace) else {
            return Err(ApiError::unavailable("the pipeline is stopped"));
        };
        let reached = applied
            .wait_for(|a| a.failed.is_some() || (a.next_offset >= offset && !(idle && a.busy)))
            .await
            .map_err(|_| ApiError::unavailable("the pipeline has stopped"))?;
        match &reached.failed {
            Some(cause) => Err(ApiError::internal(cause.clone())),
            None => Ok(()),
        }
    }

    /// Reads the store away from the async threads.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&App, &mut dyn Reader) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let app = self.clone();
        tokio::task::spawn_blocking(move || read(&app, &mut *app.store.reader()?))
            .await
            .map_err(|error| ApiError::internal(error.to_string()))?
    }

    /// Reads a few rows: here, where the store can at once, because handing that little to another thread and back takes
    /// half as long again; else as [`App::read`] does.
    pub(crate) async fn look<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&App, &mut dyn Reader) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        if let Some(mut reader) = self.store.reader_at_once()? {
            return read(self, &mut *reader);
        }
        self.read(read).await
    }

    /// Does blocking work away from the async threads.
    pub(crate) async fn block<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&App) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let app = self.clone();
        let work = audit::carried(move || work(&app));
        tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::internal(error.to_string()))?
    }

    /// The workspace's definitions as the reader sees them, compiled once until they change.
    pub(crate) fn definitions(
        &self,
        reader: &mut dyn Reader,
        workspace: WorkspaceId,
    ) -> Result<Arc<Workspace>, ApiError> {
        let defined_at = Workspace::defined_at(reader, workspace)?;
        if let Some((at, known)) = self.definitions.read().get(&workspace)
            && *at == defined_at
        {
            return Ok(known.clone());
        }
        let loaded = Arc::new(Workspace::load(reader, workspace)?);
        self.definitions.write().insert(workspace, (defined_at, loaded.clone()));
        Ok(loaded)
    }

    /// The access of the operator to a workspace.
    pub(crate) fn operator(&self, workspace: WorkspaceId) -> Access {
        Access {
            caller: Caller::Operator,
            workspace,
            purpose: Purpose::administration(),
            at: self.clock.now(),
            sight: Sight::all(),
        }
    }

    /// Since when it runs.
    pub(crate) fn started_at(&self) -> Timestamp {
        self.started_at
    }

    // Workspaces and sources: kept in the store, and in memory because every request asks for them.

    fn read_workspaces(&self) -> Result<(), ApiError> {
        let rows = self.store.reader()?.scan(&Scan::prefix(&schema::WORKSPACES, vec![], usize::MAX))?;
        let mut workspaces = vec![];
        for row in rows {
            workspaces.push((WorkspaceId(row[0].as_int()? as u32), row[1].as_text()?.to_owned()));
        }
        *self.workspaces.write() = workspaces;
        Ok(())
    }

    /// The workspaces, by number.
    pub fn workspaces(&self) -> Vec<(WorkspaceId, String)> {
        self.workspaces.read().clone()
    }

    /// The workspace of this name.
    pub fn workspace(&self, name: &str) -> Option<WorkspaceId> {
        self.workspaces.read().iter().find(|(_, n)| n == name).map(|(id, _)| *id)
    }

    /// Makes a workspace. Blocks.
    pub fn add_workspace(&self, name: &str) -> Result<WorkspaceId, ApiError> {
        check_name("workspace", name)?;
        let mut workspaces = self.workspaces.write();
        if workspaces.iter().any(|(_, n)| n == name) {
            return Err(ApiError::conflict(format!("there is a workspace {name:?} already"), "choose another name"));
        }
        let id = WorkspaceId(workspaces.iter().map(|(id, _)| id.0 + 1).max().unwrap_or(1));
        let row = vec![Value::Int(id.0.into()), Value::Text(name.to_owned()), Value::Int(self.clock.now().0)];
        let mut txn = self.store.begin_shared()?;
        txn.put(&schema::WORKSPACES, vec![row])?;
        txn.commit()?;
        workspaces.push((id, name.to_owned()));
        Ok(id)
    }

    fn read_sources(&self) -> Result<(), ApiError> {
        let rows = self.store.reader()?.scan(&Scan::prefix(&schema::SOURCE, vec![], usize::MAX))?;
        let mut sources = vec![];
        let mut next = 1;
        for row in &rows {
            let (key, source) = source_of(row)?;
            next = next.max(source.id + 1);
            sources.push((key, source));
        }
        self.ingest.sources.replace_all(sources);
        self.next_source.store(next, Ordering::SeqCst);
        Ok(())
    }

    /// Makes a source and gives its write key, which is shown this once. Blocks.
    pub(crate) fn add_source(
        &self,
        workspace: WorkspaceId,
        name: &str,
        kind: &str,
        config: &str,
    ) -> Result<(Source, String), ApiError> {
        check_name("source", name)?;
        let mut txn = self.store.begin_shared()?;
        let own = vec![Value::Int(workspace.0.into())];
        for row in txn.scan(&Scan::prefix(&schema::SOURCE, own, usize::MAX))? {
            if row[2].as_text()? == name {
                let cure = "choose another name, or go on using that one";
                return Err(ApiError::conflict(format!("there is a source {name:?} already"), cure));
            }
        }
        let id = self.next_source.fetch_add(1, Ordering::SeqCst);
        let write_key = rng::hex(&*self.rng, 16);
        let key = KeyHash::of(&write_key);
        let row: Row = vec![
            Value::Int(workspace.0.into()),
            Value::Int(id.into()),
            Value::Text(name.to_owned()),
            Value::Text(kind.to_owned()),
            Value::Bytes(key.0.to_vec()),
            Value::Text(write_key[write_key.len() - 4..].to_owned()),
            Value::Int(1),
            Value::Int(self.clock.now().0),
            Value::Text(config.to_owned()),
        ];
        let (_, source) = source_of(&row)?;
        txn.put(&schema::SOURCE, vec![row])?;
        txn.commit()?;
        self.ingest.sources.put(key, source.clone());
        Ok((source, write_key))
    }

    /// The number of the source with this name.
    pub(crate) fn source_number(&self, workspace: WorkspaceId, name: &str) -> Result<u32, ApiError> {
        let rows = self.store.reader()?.scan(&Scan::prefix(
            &schema::SOURCE,
            vec![Value::Int(workspace.0.into())],
            usize::MAX,
        ))?;
        let row = rows.iter().find(|row| row[2].as_text().is_ok_and(|n| n == name));
        let row = row.ok_or_else(|| ApiError::not_found("source", name, "make it with `onefold source add`"))?;
        Ok(row[1].as_int()? as u32)
    }

    /// Changes a source's row and memory. Blocks.
    pub(crate) fn change_source(
        &self,
        workspace: WorkspaceId,
        name: &str,
        change: &dyn Fn(&mut Row),
    ) -> Result<Source, ApiError> {
        let mut txn = self.store.begin_shared()?;
        let rows = txn.scan(&Scan::prefix(&schema::SOURCE, vec![Value::Int(workspace.0.into())], usize::MAX))?;
        let Some(mut row) = rows.into_iter().find(|row| row[2].as_text().is_ok_and(|n| n == name)) else {
            return Err(ApiError::not_found("source", name, "list them with `onefold source list`"));
        };
        let (old, _) = source_of(&row)?;
        change(&mut row);
        let (key, source) = source_of(&row)?;
        txn.put(&schema::SOURCE, vec![row])?;
        txn.commit()?;
        if old != key {
            self.ingest.sources.remove(old);
        }
        self.ingest.sources.put(key, source.clone());
        Ok(source)
    }
}

fn source_of(row: &Row) -> Result<(KeyHash, Source), ApiError> {
    let hash: [u8; 32] = row[4].as_bytes()?.try_into().map_err(|_| ApiError::internal("a key's hash is damaged"))?;
    let config = row[8].as_text()?;
    let mapping = serde_json::from_str::<serde_json::Value>(config)
        .ok()
        .and_then(|config| config.get("mapping").map(Mapping::parse))
        .transpose()
        .map_err(|error| ApiError::bad_request("bad_mapping", error.to_string(), "see docs/ingest.md"))?;
    let source = Source {
        workspace: WorkspaceId(row[0].as_int()? as u32),
        id: row[1].as_int()? as u32,
        name: row[2].as_text()?.to_owned(),
        kind: row[3].as_text()?.to_owned(),
        enabled: row[6].as_int()? != 0,
        mapping,
        updated_at: Timestamp(row[7].as_int()?),
    };
    Ok((KeyHash(hash), source))
}

/// Names of workspaces, sources and destinations: they stand in URLs and on command lines.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), ApiError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > 60 || !name.chars().all(plain) || name.starts_with('.') {
        let cure = "use 1 to 60 letters, digits, _, - or .";
        return Err(ApiError::bad_request("bad_name", format!("{name:?} cannot be the name of a {what}"), cure));
    }
    Ok(())
}
