//! Files that were brought to the server to be imported: looked at, mapped, and read into the log in the background.
//!
//! They stand in `uploads` below the data folder, readable by nobody else, until they are imported or dropped, at the most for a
//! day, and not over a restart. Whoever brought a file is the only one who sees it.

use std::{
    fs::{self, File},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use onefold_collect::{Batches, BindError, Events, Mapping, SAMPLE_ROWS, Sample, bind, guess, sample};
use onefold_model::{Timestamp, WorkspaceId, access};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use tempfile::TempPath;
use utoipa::ToSchema;

use crate::{ApiError, App, api::import};

/// The name of their folder.
const FOLDER: &str = "uploads";
/// How long a file waits to be imported.
const KEPT_MS: i64 = 24 * 3_600_000;
/// Files of a workspace that are kept at a time.
const KEPT_MAX: usize = 20;
/// Bytes of events that enter at a time.
const BATCH_BYTES: usize = 2 << 20;
/// Events that a try shows.
const SHOWN: usize = 5;
/// How often a batch is tried that the log does not take.
const TRIES: u32 = 8;

/// How an import goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = UploadStanding)]
pub enum Standing {
    /// The file is there, and nothing of it was imported.
    #[default]
    Waiting,
    /// It is read.
    Running,
    /// All of it is in the log.
    Done,
    /// It could not be read to its end; what was read is in.
    Failed,
}

/// How far an import is.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = UploadProgress)]
pub struct Progress {
    /// How it goes.
    pub standing: Standing,
    /// Bytes of the file that were read.
    pub read_bytes: u64,
    /// Bytes of the file.
    pub total_bytes: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Events in the log. Those of rows that were imported before count once.
    pub accepted: u64,
    /// Rows among the dead letters.
    pub refused: u64,
    /// Events about people who are not let in.
    pub suppressed: u64,
    /// The offset after the last event: wait for it to be applied.
    pub next_offset: u64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// A column of a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UploadColumn)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Some of its values.
    pub examples: Vec<String>,
}

/// A file that was brought, and what its rows seem to be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Upload)]
pub struct View {
    /// Its id.
    pub id: String,
    /// Its name.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// Its columns.
    pub columns: Vec<Column>,
    /// A mapping that is guessed from them, as docs/import.md describes it, in JSON.
    #[schema(value_type = Object)]
    pub mapping: Value,
    /// What must be put in before the mapping can be used.
    pub problems: Vec<String>,
}

/// The first events that a mapping makes of a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UploadTried)]
pub struct Tried {
    /// Events.
    #[schema(value_type = Vec<Object>)]
    pub events: Vec<Box<RawValue>>,
    /// What is wrong with rows among the first.
    pub bad: Vec<String>,
}

/// A file that was brought.
pub(crate) struct Upload {
    pub id: String,
    file: String,
    workspace: WorkspaceId,
    caller: access::Caller,
    at: Timestamp,
    bytes: u64,
    /// Dropped, it is gone.
    path: TempPath,
    progress: Mutex<Progress>,
    stopped: AtomicBool,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Uploads(Mutex<Vec<Arc<Upload>>>);

/// A mapping as JSON, as the API has it.
fn mapping_of(mapping: &Value) -> Result<Mapping, ApiError> {
    let wrong = |why: String| ApiError::bad_request("bad_mapping", why, "see docs/import.md");
    let toml = toml::to_string(mapping).map_err(|error| wrong(error.to_string()))?;
    Mapping::parse(&toml).map_err(|error| wrong(error.to_string()))
}

fn unreadable(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::bad_request("bad_file", error.to_string(), "docs/import.md lists the formats")
}

fn unfit(error: BindError) -> ApiError {
    match error {
        BindError::Mapping(error) => {
            ApiError::bad_request("bad_mapping", error.to_string(), "correct the mapping; see docs/import.md")
        }
        other => unreadable(&other),
    }
}

/// What tells a file's format by its name, and cannot lead anywhere: `.csv.gz`.
fn suffix(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let from = name.find('.').unwrap_or(name.len());
    name[from..].chars().filter(|one| one.is_ascii_alphanumeric() || *one == '.').take(40).collect()
}

fn columns(sample: &Sample) -> Vec<Column> {
    let examples = |cells: &[(onefold_collect::CellKind, String)]| {
        let mut seen: Vec<String> = vec![];
        for (_, text) in cells.iter().filter(|(_, text)| !text.is_empty()) {
            if seen.len() < 3 && !seen.contains(text) {
                seen.push(text.chars().take(80).collect());
            }
        }
        seen
    };
    let column =
        |one: &onefold_collect::reader::SampleColumn| Column { name: one.name.clone(), examples: examples(&one.cells) };
    sample.columns.iter().map(column).collect()
}

impl Upload {
    /// What its rows seem to be.
    pub fn look(&self) -> Result<View, ApiError> {
        let sample = sample(&self.path, &Default::default(), SAMPLE_ROWS).map_err(|error| unreadable(&error))?;
        let found = guess::guess(&sample);
        let mapping = toml::from_str::<Value>(&found.toml).unwrap_or_else(|_| serde_json::json!({}));
        Ok(View {
            id: self.id.clone(),
            file: self.file.clone(),
            bytes: self.bytes,
            columns: columns(&sample),
            mapping,
            problems: found.problems,
        })
    }

    /// The first events that a mapping makes of it.
    pub fn attempt(&self, source: &str, mapping: &Value) -> Result<Tried, ApiError> {
        let (mut rows, mapper) = bind(&self.path, &mapping_of(mapping)?, source, false).map_err(unfit)?;
        let (mut events, mut bad) = (Events::default(), vec![]);
        while events.len() < SHOWN && bad.len() < SHOWN {
            match rows.next() {
                None => break,
                Some(Ok(row)) => {
                    if let Err(why) = mapper.apply(&row, &mut events) {
                        bad.push(why.to_string());
                    }
                }
                Some(Err(error)) => bad.push(error.to_string()),
            }
        }
        let read = |event: &str| RawValue::from_string(event.to_owned());
        let events = events.iter().map(read).collect::<Result<_, _>>();
        Ok(Tried { events: events.map_err(|error| ApiError::internal(error.to_string()))?, bad })
    }

    /// How far its import is.
    pub fn progress(&self) -> Progress {
        self.progress.lock().clone()
    }
}

impl App {
    fn uploads_folder(&self) -> PathBuf {
        self.settings.data_folder.join(FOLDER)
    }

    /// Drops what a process that was killed left.
    pub(crate) fn drop_uploads(&self) -> Result<(), ApiError> {
        match fs::remove_dir_all(self.uploads_folder()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(ApiError::internal(error.to_string())),
            _ => Ok(()),
        }
    }

    /// A new file to write an upload to.
    pub(crate) fn new_upload(&self, name: &str) -> std::io::Result<(File, TempPath)> {
        let folder = self.uploads_folder();
        fs::create_dir_all(&folder)?;
        Ok(tempfile::Builder::new().suffix(&suffix(name)).tempfile_in(&folder)?.into_parts())
    }

    /// Keeps a file that was written.
    pub(crate) fn keep_upload(
        &self,
        access: &access::Access,
        name: String,
        path: TempPath,
    ) -> Result<Arc<Upload>, ApiError> {
        let mut salt = [0_u8; 16];
        self.rng.fill(&mut salt);
        let id = salt.iter().fold("up_".to_owned(), |id, byte| id + &format!("{byte:02x}"));
        let bytes = fs::metadata(&path).map_err(|error| ApiError::internal(error.to_string()))?.len();
        let upload = Arc::new(Upload {
            id,
            file: name,
            workspace: access.workspace,
            caller: access.caller.clone(),
            at: self.clock.now(),
            bytes,
            path,
            progress: Mutex::new(Progress { total_bytes: bytes, ..Progress::default() }),
            stopped: AtomicBool::new(false),
        });
        self.drop_old_uploads();
        let mut all = self.uploads.0.lock();
        if all.iter().filter(|one| one.workspace == access.workspace).count() >= KEPT_MAX {
            let cure = "import or drop one of them first";
            return Err(ApiError::conflict(format!("{KEPT_MAX} files wait already"), cure));
        }
        all.push(upload.clone());
        Ok(upload)
    }

    /// Drops a file once its day is over.
    pub(crate) fn drop_upload_in_time(self: &Arc<Self>) {
        let app = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(KEPT_MS.unsigned_abs())).await;
            if let Some(app) = app.upgrade() {
                app.drop_old_uploads();
            }
        });
    }

    fn drop_old_uploads(&self) {
        let now = self.clock.now();
        let is_kept = |one: &Arc<Upload>| now.0 - one.at.0 < KEPT_MS || one.progress().standing == Standing::Running;
        self.uploads.0.lock().retain(is_kept);
    }

    /// A file of the caller's.
    pub(crate) fn upload(&self, access: &access::Access, id: &str) -> Result<Arc<Upload>, ApiError> {
        self.drop_old_uploads();
        let is_meant =
            |one: &&Arc<Upload>| one.id == id && one.workspace == access.workspace && one.caller == access.caller;
        let found = self.uploads.0.lock().iter().find(is_meant).cloned();
        found.ok_or_else(|| ApiError::not_found("file", id, "files are kept for a day; bring it again"))
    }

    /// Drops a file; an import of it ends where it is.
    pub(crate) fn drop_upload(&self, access: &access::Access, id: &str) -> Result<(), ApiError> {
        let upload = self.upload(access, id)?;
        upload.stopped.store(true, Ordering::Relaxed);
        self.uploads.0.lock().retain(|one| one.id != id);
        Ok(())
    }

    /// Begins to import a file, in the background.
    pub(crate) async fn begin_import(
        self: &Arc<Self>,
        access: access::Access,
        upload: Arc<Upload>,
        source: String,
        mapping: &Value,
        incremental: bool,
    ) -> Result<(), ApiError> {
        self.source_number(access.workspace, &source)?;
        let mapping = mapping_of(mapping)?;
        {
            let mut progress = upload.progress.lock();
            if progress.standing == Standing::Running {
                return Err(ApiError::conflict("the file is being imported", "wait until it is done"));
            }
            *progress = Progress { standing: Standing::Running, total_bytes: upload.bytes, ..Progress::default() };
        }
        let (reading, name) = (upload.clone(), source.clone());
        let opened = self.block(move |_| bind(&reading.path, &mapping, &name, incremental).map_err(unfit));
        let batches = match opened.await {
            Ok(opened) => Batches::new(opened, BATCH_BYTES),
            Err(error) => {
                upload.progress.lock().standing = Standing::Waiting;
                return Err(error);
            }
        };
        let app = self.clone();
        tokio::spawn(async move {
            let ended = app.import_all(&access, &upload, &source, batches).await;
            let mut progress = upload.progress.lock();
            match ended {
                Ok(()) => progress.standing = Standing::Done,
                Err(error) => {
                    progress.standing = Standing::Failed;
                    progress.fault = Some(format!("{} {}", error.message, error.cure));
                }
            }
        });
        Ok(())
    }

    async fn import_all(
        self: &Arc<Self>,
        access: &access::Access,
        upload: &Upload,
        source: &str,
        mut batches: Batches,
    ) -> Result<(), ApiError> {
        let query = Arc::new(import::ImportQuery { source: source.to_owned(), file: upload.file.clone() });
        loop {
            if upload.stopped.load(Ordering::Relaxed) {
                return Err(ApiError::conflict(
                    "it was stopped",
                    "what was read is in; import the file again for the rest",
                ));
            }
            let step = move || (batches.next(), batches);
            let (batch, rest) =
                tokio::task::spawn_blocking(step).await.map_err(|error| ApiError::internal(error.to_string()))?;
            batches = rest;
            let Some(batch) = batch else { return Ok(()) };
            let batch = batch.map_err(|error| unreadable(&error))?;
            let body = bytes::Bytes::from(batch.body);
            let mut attempt = 0;
            let entered = loop {
                match self.enter_rows(access, &query, body.clone()).await {
                    Err(error) if error.is_passing() && attempt + 1 < TRIES => {
                        tokio::time::sleep(std::time::Duration::from_millis(100 << attempt)).await;
                        attempt += 1;
                    }
                    ended => break ended?,
                }
            };
            let mut progress = upload.progress.lock();
            progress.rows += batch.rows;
            progress.accepted += entered.accepted;
            progress.refused += entered.refused;
            progress.suppressed += entered.suppressed;
            progress.next_offset = entered.next_offset;
            progress.read_bytes = batch.progress.read_bytes;
            progress.total_bytes = batch.progress.total_bytes;
        }
    }
}
