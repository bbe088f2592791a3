//! Backups of the data folder, made while it runs, and what has to be done when one is put back.
//!
//! A backup is the state as it was at one moment and the log as it was a little later, so that the log has everything that the state
//! was made of. What is derived from these two (the tables) is not in it. Whoever is erased after a backup was made is still in
//! it, encrypted; of every erasure a note with keyed hashes is put beside the backups, and by these notes a restored folder
//! forgets those people before it is used again.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc, time::Duration};

use onefold_backup::{Identity, Manifest, Place, Recipient};
use onefold_model::{Timestamp, WorkspaceId};
use onefold_pipeline::{rebuild, suppression};
use onefold_state::{Scan, StateStore, Value, schema};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ApiError, App, audit, erasure};

/// How backups are made: values, and where they go.
#[derive(Debug, Clone)]
pub struct BackupSettings {
    /// Where they are kept.
    pub place: Place,
    /// To whom they are encrypted.
    pub recipient: Recipient,
    /// How often; `None`: only when asked.
    pub every: Option<Duration>,
    /// How many are kept.
    pub keep: usize,
    /// The file with the key that secrets are sealed with.
    pub seal_key: PathBuf,
}

/// The file of that key in a backup.
pub const SEAL_KEY: &str = "seal.key";

/// Where files stand until they are saved.
const COPIES: &str = "backup.tmp";

/// An erasure waits so long for the place of the backups.
const NOTE_WAIT: Duration = Duration::from_secs(30);

/// Copies by their names in the backup, and the ends of the log's partitions.
type Copied = (Vec<(String, PathBuf)>, Vec<u64>);

/// Two looks whether a backup is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A backup.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupView {
    /// Its id: when it was made, UTC.
    pub id: String,
    /// Where it is.
    pub at: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes that it takes, compressed and encrypted.
    pub kept_bytes: u64,
    /// Ends of the log's partitions: everything before them is in it.
    pub log_ends: Vec<u64>,
    /// To whom it is encrypted.
    pub recipient: String,
    /// Who signed it: give this to `onefold restore --signed-by`.
    pub public_key: String,
    /// Older backups that were removed, as there are enough.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

/// Who was erased, without saying who.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Erased {
    pub workspace: u32,
    pub request: String,
    pub at: i64,
    /// Keyed hashes of identifiers, as on the suppression list.
    pub hashes: Vec<String>,
    /// Nodes: log offsets of events, times the number of identifiers that one may name.
    pub nodes: Vec<i64>,
}

impl From<onefold_backup::Error> for ApiError {
    fn from(error: onefold_backup::Error) -> ApiError {
        let cure = "look whether the place of the backups can be reached and written, and at [backup] in the settings";
        match error {
            onefold_backup::Error::Unknown(id) => {
                ApiError::not_found("backup", &id, "list them with `onefold backup list`")
            }
            onefold_backup::Error::Store(_) => ApiError::unavailable(error.to_string()).with_cure(cure),
            _ => ApiError::bad_request("backup", error.to_string(), cure),
        }
    }
}

fn view(manifest: &Manifest, place: &Place, public_key: String) -> BackupView {
    BackupView {
        id: manifest.id.clone(),
        at: place.url().to_owned(),
        bytes: manifest.plain_bytes(),
        kept_bytes: manifest.bytes(),
        log_ends: manifest.log_ends.clone(),
        recipient: manifest.recipient.clone(),
        public_key,
        removed: vec![],
    }
}

/// An instant as an id: `20261123T144205.123Z`.
fn id_of(at: Timestamp) -> String {
    at.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect()
}

impl App {
    fn backups(&self) -> Result<&BackupSettings, ApiError> {
        self.settings.backup.as_ref().ok_or_else(|| {
            let cure = "make a key with `onefold backup key`, and set [backup] to and recipient; see docs/operate.md";
            ApiError::bad_request("no_backups", "nothing says where backups go", cure)
        })
    }

    /// Makes a backup.
    pub(crate) async fn back_up(self: &Arc<Self>) -> Result<BackupView, ApiError> {
        let settings = self.backups()?.clone();
        let _turn = self.backing_up.lock().await;
        let (files, log_ends) = {
            // Nobody is half erased in it, and no rebuild is half done.
            let _erasing = self.erasing.lock().await;
            self.block(|app| app.copy_files()).await?
        };
        let id = id_of(self.clock.now());
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let manifest = Manifest { id, version, log_ends, recipient: String::new(), files: vec![] };
        let key = self.block(|app| app.audit_key()).await?;
        let progress = |done, all| tracing::debug!(done, all, "backup");
        let saved = settings.place.save(manifest, &files, &settings.recipient, &key, &progress).await;
        self.block(|app| app.drop_copies()).await?;
        let saved = saved?;
        self.note_all_erased(&settings).await?;
        let removed = settings.place.prune(settings.keep).await?;
        let public_key = settings.place.manifest(&saved.id, None).await?.1;
        tracing::info!(id = saved.id, bytes = saved.bytes(), "backup.saved");
        Ok(BackupView { removed, ..view(&saved, &settings.place, public_key) })
    }

    /// The backups that there are, the newest first.
    pub(crate) async fn list_backups(&self) -> Result<Vec<BackupView>, ApiError> {
        let settings = self.backups()?;
        let mut views = vec![];
        for id in settings.place.ids().await?.into_iter().rev() {
            let (manifest, public_key) = settings.place.manifest(&id, None).await?;
            views.push(view(&manifest, &settings.place, public_key));
        }
        Ok(views)
    }

    fn copies(&self) -> PathBuf {
        self.settings.data_folder.join(COPIES)
    }

    /// Removes what a backup left here.
    pub(crate) fn drop_copies(&self) -> Result<(), ApiError> {
        let folder = self.copies();
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(audit::broken(&folder, &error)),
            _ => Ok(()),
        }
    }

    /// Copies everything that a backup has, each file as it is at one moment. Blocks.
    fn copy_files(&self) -> Result<Copied, ApiError> {
        self.drop_copies()?;
        let folder = self.copies();
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            builder.mode(0o700);
        }
        builder.create(&folder).map_err(|error| audit::broken(&folder, &error))?;
        // Hashes of whoever is erased later are by this secret: without it here they would find nobody.
        let mut txn = self.store.begin_shared()?;
        for (workspace, _) in self.workspaces() {
            suppression::make_secret(&mut *txn, workspace, &*self.rng)?;
        }
        txn.commit()?;
        let mut files = vec![];
        // The head before what it is the head of: a longer audit log is no harm.
        self.audit_key()?;
        let beside = [audit::KEY_FILE, audit::HEAD_FILE].map(|name| (name, self.settings.data_folder.join(name)));
        let sealing = self.backups()?.seal_key.clone();
        for (name, from) in beside.into_iter().chain([(SEAL_KEY, sealing)]) {
            let to = folder.join(name);
            match fs::copy(&from, &to) {
                Ok(_) => files.push((name.to_owned(), to)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(audit::broken(&from, &error)),
            }
        }
        let state = folder.join("state.db");
        self.store.copy_to(&state).map_err(|error| {
            let cure = "back up the state with its own tools, and restore both to one moment";
            ApiError::bad_request("no_copy", error.to_string(), cure)
        })?;
        let ends = (0..self.log.partitions()).map(|number| self.log.end(number)).collect::<Result<Vec<u64>, _>>()?;
        let log = folder.join("log.db");
        self.log.copy_to(&log)?;
        files.extend([("state.db".to_owned(), state), ("log.db".to_owned(), log)]);
        Ok((files, ends))
    }

    /// Puts a note beside the backups that people were erased; says how many backups there are that may have them.
    pub(crate) async fn note_erased(self: &Arc<Self>, erased: Erased) -> Result<u64, ApiError> {
        let Some(settings) = self.settings.backup.clone() else { return Ok(0) };
        let key = self.block(|app| app.audit_key()).await?;
        let name = format!("{}-{}", erased.workspace, erased.request);
        let told = async {
            settings.place.put_note(&name, &erased, &settings.recipient, &key).await?;
            Ok::<_, ApiError>(settings.place.ids().await?.len() as u64)
        };
        let late = |_| ApiError::unavailable(format!("{} does not answer", settings.place.url()));
        tokio::time::timeout(NOTE_WAIT, told).await.map_err(late)?
    }

    /// The same for all erasures whose note is not there, for instance because the place could not be reached then.
    async fn note_all_erased(self: &Arc<Self>, settings: &BackupSettings) -> Result<(), ApiError> {
        let known: Vec<String> = settings.place.notes().await?;
        let all = self.block(|app| {
            let mut all = vec![];
            for (workspace, _) in app.workspaces() {
                all.extend(erasure::erased(&mut *app.store.reader()?, workspace)?);
            }
            Ok(all)
        });
        for erased in all.await? {
            if !known.contains(&format!("{}-{}", erased.workspace, erased.request)) {
                self.note_erased(erased).await?;
            }
        }
        Ok(())
    }

    /// Makes backups as often as the settings say, until the app is dropped.
    pub(crate) fn keep_backing_up(self: &Arc<Self>) {
        let Some(BackupSettings { every: Some(every), place, .. }) = self.settings.backup.clone() else { return };
        let app = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY.min(every)).await;
                let Some(app) = app.upgrade() else { return };
                let due = id_of(Timestamp(app.clock.now().0 - i64::try_from(every.as_millis()).unwrap_or(i64::MAX)));
                let made = match place.ids().await {
                    Ok(ids) if ids.last().is_some_and(|newest| *newest > due) => continue,
                    Ok(_) => app.back_up().await.map(drop),
                    Err(error) => Err(error.into()),
                };
                if let Err(error) = made {
                    tracing::error!(
                        error = error.message,
                        cure = error.cure,
                        "no backup could be made; it is tried again"
                    );
                }
            }
        });
    }
}

/// What was done to a folder that was put back.
#[derive(Debug, Default, Serialize)]
pub struct PutBack {
    /// Erasures since the backup, which are carried out again.
    pub erasures: u64,
    /// Destinations that were paused, as `workspace/name`: what they were sent since the backup is not known here.
    pub paused: Vec<String>,
}

/// Prepares a state that was put back: whoever was erased since the backup was made is kept out and put down to be erased at the
/// start, destinations are paused, nobody is signed in, and the tables are to be made anew.
pub async fn put_back(
    store: &dyn StateStore,
    place: &Place,
    manifest: &Manifest,
    identity: &Identity,
    public_key: &str,
    now: Timestamp,
) -> Result<PutBack, ApiError> {
    let mut notes: BTreeMap<u32, Vec<Erased>> = BTreeMap::new();
    for name in place.notes().await? {
        let erased: Erased = place.read_note(&name, identity, public_key).await?;
        notes.entry(erased.workspace).or_default().push(erased);
    }
    let mut done = PutBack::default();
    let mut txn = store.begin_shared()?;
    for (workspace, notes) in notes {
        let workspace = WorkspaceId(workspace);
        let from = manifest.log_ends.get(workspace.partition(manifest.log_ends.len() as u32) as usize).copied();
        done.erasures += erasure::again(&mut *txn, workspace, &manifest.id, notes, from.unwrap_or(0), now)?;
    }
    let mut destinations = txn.scan(&Scan::prefix(&schema::DESTINATION, vec![], usize::MAX))?;
    destinations.retain(|row| row[3] != Value::Text("paused".to_owned()));
    for row in &mut destinations {
        row[3] = Value::Text("paused".to_owned());
        done.paused.push(format!("{}/{}", row[0].as_int()?, row[1].as_text()?));
    }
    txn.put(&schema::DESTINATION, destinations)?;
    for table in [&schema::SESSION, &schema::INVITE] {
        txn.delete_prefix(table, &[])?;
    }
    rebuild::copies_become_stale(&mut *txn)?;
    txn.commit()?;
    Ok(done)
}
