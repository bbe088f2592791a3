//! A server over a log in memory, and the words in which the tests speak to it.

use std::{
    collections::BTreeMap,
    io::Write,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request},
};
use base64::Engine;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use onefold_log::{
    AppendError, Appending, Batch, Block, EventLog, Fault, MemoryLog, Offset, Partition, ReadError, Verified,
};
use onefold_model::{Timestamp, WorkspaceId, clock::ManualClock, event::EventRecord, rng::SeededRng};
use onefold_pipeline::{
    definitions::Workspace,
    suppression::{self, Suppressed},
};
use onefold_server::{
    ingest::{
        DeadLetter, DeadLetters, Ingest, IngestSettings, Limiter, Mapping, Meters, Source, Sources, letters::PutError,
        sources::KeyHash,
    },
    suppression::Doors,
};
use onefold_state::{MemoryStore, StateStore as _, schema};
use parking_lot::Mutex;
use tower::ServiceExt;

/// 2026-11-21T20:30:00Z.
pub const NOW: Timestamp = Timestamp(1_795_293_000_000);

/// What the log does with the next appends.
#[derive(Default)]
pub struct Log {
    kept: Option<MemoryLog>,
    mood: AtomicU8,
}

impl Log {
    pub fn busy(&self) {
        self.mood.store(1, SeqCst);
    }

    pub fn full_disk(&self) {
        self.mood.store(2, SeqCst);
    }

    pub fn well(&self) {
        self.mood.store(0, SeqCst);
    }

    fn kept(&self) -> &MemoryLog {
        self.kept.as_ref().expect("the world made it")
    }
}

impl EventLog for Log {
    fn partitions(&self) -> u32 {
        self.kept().partitions()
    }
    fn append(&self, partition: Partition, batch: Batch) -> Appending<'_> {
        let error = match self.mood.load(SeqCst) {
            0 => return self.kept().append(partition, batch),
            1 => AppendError::Busy { batch, waiting_bytes: 1 },
            _ => AppendError::Unavailable { batch, cause: "disk full".into() },
        };
        Box::pin(std::future::ready(Err(error)))
    }
    fn read(&self, partition: Partition, from: Offset, bytes_max: usize) -> Result<Vec<Block>, ReadError> {
        self.kept().read(partition, from, bytes_max)
    }
    fn start(&self, partition: Partition) -> Result<Offset, ReadError> {
        self.kept().start(partition)
    }
    fn end(&self, partition: Partition) -> Result<Offset, ReadError> {
        self.kept().end(partition)
    }
    fn watch(&self, partition: Partition) -> tokio::sync::watch::Receiver<Offset> {
        self.kept().watch(partition)
    }
    fn trim(&self, partition: Partition, before: Offset) -> Result<(), ReadError> {
        self.kept().trim(partition, before)
    }
    fn erase(&self, partition: Partition, ranges: &[Range<Offset>]) -> Result<u64, ReadError> {
        self.kept().erase(partition, ranges)
    }
    fn verify(&self, partition: Partition, on_fault: &mut dyn FnMut(Fault)) -> Result<Verified, ReadError> {
        self.kept().verify(partition, on_fault)
    }
}

#[derive(Default)]
pub struct Letters {
    pub kept: Mutex<BTreeMap<(u32, u128), DeadLetter>>,
    pub broken: AtomicU8,
}

impl DeadLetters for Letters {
    fn put(&self, letters: Vec<DeadLetter>) -> BoxFuture<'_, Result<(), PutError>> {
        let put = if self.broken.load(SeqCst) > 0 {
            Err(PutError("disk full".into()))
        } else {
            self.kept.lock().extend(letters.into_iter().map(|letter| ((letter.workspace.0, letter.id), letter)));
            Ok(())
        };
        Box::pin(std::future::ready(put))
    }
}

/// A workspace that does not let in whoever has the user id `forgotten`.
fn doors() -> Arc<Doors> {
    let (store, workspace) = (MemoryStore::new(schema::ALL), WorkspaceId(1));
    let mut txn = store.begin_shared().unwrap();
    suppression::make_secret(&mut *txn, workspace, &SeededRng::new(1)).unwrap();
    let hash = Suppressed::load(&mut *txn, workspace).unwrap().digest("user_id", "forgotten").unwrap();
    txn.put(&schema::SUPPRESSED, vec![suppression::row(workspace, &hash, NOW, "test", 0, true)]).unwrap();
    txn.commit().unwrap();
    let definitions = Workspace::load(&mut *store.reader().unwrap(), workspace).unwrap();
    let doors = Doors::default();
    doors.set(workspace, Arc::new(definitions));
    Arc::new(doors)
}

pub struct World {
    pub ingest: Arc<Ingest>,
    pub clock: Arc<ManualClock>,
    pub log: Arc<Log>,
    pub letters: Arc<Letters>,
    router: Router,
}

impl World {
    pub fn new() -> World {
        World::with(IngestSettings::default())
    }

    /// Keys: `k` and `other` (workspace 2) send, `off` is disabled, `hook` takes webhooks, `mapped` maps them.
    pub fn with(settings: IngestSettings) -> World {
        let log = Arc::new(Log { kept: Some(MemoryLog::new(4)), ..Log::default() });
        let (letters, clock) = (Arc::new(Letters::default()), Arc::new(ManualClock::at(NOW)));
        let sources = Arc::new(Sources::new());
        let source = |workspace, id, name: &str, kind: &str| Source {
            workspace: WorkspaceId(workspace),
            id,
            name: name.into(),
            kind: kind.into(),
            enabled: name != "off",
            mapping: None,
            updated_at: NOW,
        };
        let mapping = serde_json::json!({
            "each": "$.events[*]", "event": "$.kind", "userId": "$.who", "timestamp": "$.at", "messageId": "$.id", "properties": "$",
        });
        let mapped =
            Source { mapping: Some(Mapping::parse(&mapping).unwrap()), ..source(1, 4, "mapped", Source::WEBHOOK) };
        sources.replace_all([
            (KeyHash::of("k"), source(1, 1, "web", "http")),
            (KeyHash::of("off"), source(1, 2, "off", "http")),
            (KeyHash::of("hook"), source(1, 3, "hook", Source::WEBHOOK)),
            (KeyHash::of("mapped"), mapped),
            (KeyHash::of("other"), source(2, 1, "web", "http")),
        ]);
        let ingest = Arc::new(Ingest {
            log: log.clone(),
            clock: clock.clone(),
            rng: Arc::new(SeededRng::new(1)),
            settings,
            sources,
            refused: letters.clone(),
            collections: Default::default(),
            doors: doors(),
            limiter: Limiter::default(),
            meters: Meters::default(),
        });
        World { router: onefold_server::ingest::router(ingest.clone()), ingest, clock, log, letters }
    }

    pub async fn send(&self, ask: Ask) -> Answer {
        let mut request = Request::builder().method(ask.method).uri(ask.path);
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        let response = self.router.clone().oneshot(request.body(ask.body).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, body: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// Every event in the log: workspace/source, when it happened, its JSON.
    pub fn landed(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for partition in 0..self.log.partitions() {
            for block in self.log.read(partition, 0, usize::MAX).unwrap() {
                for record in block.records() {
                    let event = EventRecord::decode(record.payload).unwrap();
                    let for_ever = if event.for_ever { " for ever" } else { "" };
                    let (workspace, source) = (event.workspace.0, event.source);
                    lines.push(format!("{workspace}/{source}{for_ever} {} {}", event.timestamp, event.json));
                }
            }
        }
        lines
    }

    /// Every dead letter: workspace/source, its way, its code, its event, its batch.
    pub fn letters(&self) -> Vec<String> {
        let line = |letter: &DeadLetter| {
            let DeadLetter { workspace, source, entry, code, event, batch, .. } = letter;
            format!("{}/{source} {entry:?} {code} {event} {}", workspace.0, batch.as_deref().unwrap_or("-"))
        };
        self.letters.kept.lock().values().map(line).collect()
    }
}

pub struct Ask {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

pub fn ask(method: &str, path: &str) -> Ask {
    Ask { method: method.parse().unwrap(), path: path.into(), headers: vec![], body: Body::empty() }
}

pub fn post(path: &str, body: impl Into<Body>) -> Ask {
    Ask { body: body.into(), ..ask("POST", path) }
}

pub fn get(path: &str) -> Ask {
    ask("GET", path)
}

impl Ask {
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Ask {
        self.headers.push((name, value.into()));
        self
    }

    /// Basic authentication with `credentials` as they stand before base64.
    pub fn basic(self, credentials: &str) -> Ask {
        let encoded = base64::engine::general_purpose::STANDARD.encode(credentials);
        self.header("authorization", format!("Basic {encoded}"))
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("-", |value| value.to_str().unwrap())
    }

    pub fn line(&self) -> String {
        format!("{} {}", self.status, self.body)
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
