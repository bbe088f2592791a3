//! What the tests of this crate share: a clock on tokio's time, a destination that does as it is told, a receiver of
//! HTTP requests, and builders of rows.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::IntoResponse,
};
use futures_util::future::BoxFuture;
use onefold_model::{Clock, Timestamp, WorkspaceId};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    Arrivals, Connector, Context, Delivery, Destination, Egress, Fault, Kind, Limits, Outcome, arrivals::Refused,
    config::ConfigError,
};

/// A clock that goes with tokio's, so that it stands still and jumps where tokio's does.
pub struct TokioClock(tokio::time::Instant);

/// Where [`TokioClock`] begins.
pub const START_MS: i64 = 1_800_000_000_000;

impl TokioClock {
    pub fn start() -> Arc<TokioClock> {
        Arc::new(TokioClock(tokio::time::Instant::now()))
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp(START_MS).plus(self.0.elapsed().as_millis() as i64)
    }
}

pub fn context(allowed: &[&str], data_folder: &std::path::Path, clock: Arc<dyn Clock>) -> Context {
    let allowed: Vec<String> = allowed.iter().map(|entry| (*entry).to_owned()).collect();
    Context {
        workspace: WorkspaceId(1),
        egress: Arc::new(Egress::new(&allowed).unwrap()),
        data_folder: data_folder.to_owned(),
        exports_allowed: vec![],
        clock,
        arrivals: Arc::new(Landing::default()),
    }
}

pub fn delivery(at_offset: i64, kind: Kind, profile: i64) -> Delivery {
    let id = format!("p_{profile}");
    let body = match kind {
        Kind::Event => json!({"type": "track", "event": "order", "profile": {"id": id}}),
        Kind::Erase => {
            json!({"type": "erase", "profile": {"id": id, "identifiers": []}, "at": "2027-01-15T08:00:00.000Z"})
        }
        Kind::Enter | Kind::Leave => json!({
            "type": "audience", "action": kind.name(), "segment": "vip", "at": "2027-01-15T08:00:00.000Z",
            "profile": {"id": id, "identifiers": [{"kind": "email", "value": format!("{profile}@example.com")}],
                        "traits": {"plan": "pro", "note": "=1+1"}},
        }),
    };
    Delivery {
        workspace: WorkspaceId(1),
        destination: "out".into(),
        at_offset,
        place: 0,
        key: format!("k{at_offset}"),
        kind,
        segment: if matches!(kind, Kind::Event | Kind::Erase) { String::new() } else { "vip".into() },
        profile,
        created: Timestamp(START_MS),
        attempts: 0,
        body: body.to_string().into_bytes(),
    }
}

/// What a target holds after these deliveries: members of audiences, and events by key.
pub fn held<'d>(deliveries: impl IntoIterator<Item = (Kind, &'d str, &'d str, &'d str)>) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    for (kind, key, segment, profile) in deliveries {
        match kind {
            Kind::Event => drop(held.insert(format!("event {key}"))),
            Kind::Enter => drop(held.insert(format!("{segment} {profile}"))),
            Kind::Leave => drop(held.remove(&format!("{segment} {profile}"))),
            Kind::Erase => {}
        }
    }
    held
}

/// A hand-off that a [`Fake`] saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub key: String,
    pub profile: i64,
    pub at_offset: i64,
    pub at_ms: i64,
    pub outcome: Outcome,
}

type Script = Box<dyn FnMut(&Delivery, i64) -> Outcome + Send>;

/// A target that does what its script says.
pub struct Fake {
    clock: Arc<dyn Clock>,
    limits: Limits,
    script: Mutex<Script>,
    seen: watch::Sender<Vec<Seen>>,
}

impl Fake {
    pub fn new(
        clock: Arc<dyn Clock>,
        limits: Limits,
        script: impl FnMut(&Delivery, i64) -> Outcome + Send + 'static,
    ) -> Arc<Fake> {
        Arc::new(Fake { clock, limits, script: Mutex::new(Box::new(script)), seen: watch::Sender::new(vec![]) })
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    pub fn delivered(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| matches!(seen.outcome, Outcome::Delivered { .. })).collect()
    }

    /// Waits until so much was delivered.
    pub async fn until_delivered(&self, count: usize) {
        let delivered = |seen: &Vec<Seen>| {
            seen.iter().filter(|seen| matches!(seen.outcome, Outcome::Delivered { .. })).count() >= count
        };
        self.until(delivered).await;
    }

    /// Waits until so many hand-offs came.
    pub async fn until_seen(&self, count: usize) {
        self.until(|seen| seen.len() >= count).await;
    }

    /// Waits a day of paused time at the most, so that what never comes is a failure and not a hang.
    async fn until(&self, met: impl FnMut(&Vec<Seen>) -> bool) {
        let mut seen = self.seen.subscribe();
        let day = std::time::Duration::from_secs(86_400);
        tokio::time::timeout(day, seen.wait_for(met)).await.expect("it comes within a day").unwrap();
    }
}

pub fn ok() -> Outcome {
    Outcome::Delivered { detail: "ok".into() }
}

pub const ONE_BY_ONE: Limits = Limits { batch_max: 1, concurrency: 8, concurrency_max: 64, gather_ms: 0 };
pub const BATCHES: Limits = Limits { batch_max: 20, concurrency: 2, concurrency_max: 2, gather_ms: 0 };

/// Opens fakes by the member `id` of their configuration.
pub struct FakeConnector(pub HashMap<&'static str, Arc<Fake>>);

struct FakeDestination(Arc<Fake>);

impl Connector for FakeConnector {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn config_schema(&self) -> Value {
        json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]})
    }

    fn open(&self, config: Value, _context: &Context) -> Result<Arc<dyn Destination>, ConfigError> {
        let fake = config["id"].as_str().and_then(|id| self.0.get(id));
        let fake = fake.ok_or_else(|| ConfigError::new("id", "no such fake", "Name one that is there"))?;
        Ok(Arc::new(FakeDestination(Arc::clone(fake))))
    }
}

impl Destination for FakeDestination {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn limits(&self) -> Limits {
        self.0.limits
    }

    fn deliver<'a>(&'a self, batch: &'a [Delivery]) -> BoxFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            // Lets other hand-offs begin, as a target that is elsewhere does.
            tokio::task::yield_now().await;
            let at_ms = self.0.clock.now().0;
            let outcomes: Vec<Outcome> = batch.iter().map(|delivery| (self.0.script.lock())(delivery, at_ms)).collect();
            self.0.seen.send_modify(|seen| {
                seen.extend(batch.iter().zip(&outcomes).map(|(delivery, outcome)| Seen {
                    key: delivery.key.clone(),
                    profile: delivery.profile,
                    at_offset: delivery.at_offset,
                    at_ms,
                    outcome: outcome.clone(),
                }));
            });
            outcomes
        })
    }

    fn test(&self) -> BoxFuture<'_, Result<String, Fault>> {
        Box::pin(async { Ok("it is there".into()) })
    }
}

/// Takes every event of the sources that are not called `nowhere`.
#[derive(Default)]
pub struct Landing {
    taken: Mutex<Vec<String>>,
    refusals: Mutex<VecDeque<Refused>>,
}

impl Landing {
    /// Refuses the next.
    pub fn refuse(&self, refused: Refused) {
        self.refusals.lock().push_back(refused);
    }

    /// The workspace, the source and the event of each that was taken.
    pub fn taken(&self) -> Vec<String> {
        self.taken.lock().clone()
    }
}

impl Arrivals for Landing {
    fn is_open(&self, _: WorkspaceId, source: &str) -> bool {
        source != "nowhere"
    }

    fn land<'a>(
        &'a self,
        workspace: WorkspaceId,
        source: &'a str,
        event: String,
    ) -> BoxFuture<'a, Result<(), Refused>> {
        Box::pin(async move {
            if let Some(refused) = self.refusals.lock().pop_front() {
                return Err(refused);
            }
            self.taken.lock().push(format!("{} {source} {event}", workspace.0));
            Ok(())
        })
    }
}

/// A request that a [`Receiver`] got.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// An HTTP server on the loopback. Without a script it answers 200 to POST, and keeps what is PUT for GET and DELETE.
pub struct Receiver {
    pub url: String,
    state: Arc<Received>,
    task: tokio::task::JoinHandle<()>,
}

type Headers = &'static [(&'static str, &'static str)];

#[derive(Default)]
struct Received {
    requests: Mutex<Vec<Request>>,
    answers: Mutex<VecDeque<(u16, Headers, &'static str)>>,
    objects: Mutex<HashMap<String, Bytes>>,
}

impl Receiver {
    pub async fn start() -> Receiver {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Received::default());
        let app = Router::new().fallback(receive).with_state(Arc::clone(&state));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Receiver { url, state, task }
    }

    /// What to answer next, in order, before answering 200 again.
    pub fn answer(&self, status: u16, headers: Headers) {
        self.state.answers.lock().push_back((status, headers, "told so"));
    }

    /// What to answer next, with this body.
    pub fn answer_with(&self, status: u16, body: &'static str) {
        self.state.answers.lock().push_back((status, &[], body));
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().clone()
    }

    pub fn objects(&self) -> Vec<(String, Bytes)> {
        let mut objects: Vec<_> = self.state.objects.lock().clone().into_iter().collect();
        objects.sort();
        objects
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(
    State(state): State<Arc<Received>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    let path = uri.path().to_owned();
    let query = uri.query().filter(|_| method == Method::GET).map(|query| format!("?{query}")).unwrap_or_default();
    let request = Request { method: method.clone(), path: path.clone() + &query, headers, body: body.clone() };
    state.requests.lock().push(request);
    if let Some((status, headers, body)) = state.answers.lock().pop_front() {
        let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
        for (name, value) in headers {
            response.headers_mut().insert(*name, value.parse().unwrap());
        }
        return response;
    }
    let tags = [("etag", "\"1\""), ("last-modified", "Fri, 15 Jan 2027 08:00:00 GMT")];
    match method {
        Method::PUT => {
            state.objects.lock().insert(path, body);
            (tags, "").into_response()
        }
        // Amazon's store lists (ListObjectsV2).
        Method::GET if uri.query().is_some_and(|query| query.contains("list-type=2")) => {
            let bucket = format!("{path}/");
            let objects = state.objects.lock();
            let listed = objects.iter().filter_map(|(name, body)| Some((name.strip_prefix(&bucket)?, body.len())));
            let listed = listed.map(|(name, size)| {
                format!("<Contents><Key>{name}</Key><LastModified>2027-01-15T08:00:00.000Z</LastModified><ETag>1</ETag><Size>{size}</Size></Contents>")
            });
            let listed: String = listed.collect();
            format!("<ListBucketResult><KeyCount>1</KeyCount>{listed}</ListBucketResult>").into_response()
        }
        Method::GET => match state.objects.lock().get(&path) {
            Some(body) => (tags, body.clone()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        Method::DELETE => {
            state.objects.lock().remove(&path);
            StatusCode::NO_CONTENT.into_response()
        }
        // Amazon's store deletes by a list (DeleteObjects).
        _ if uri.query() == Some("delete") => {
            let text = String::from_utf8(body.to_vec()).unwrap();
            let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
            let mut objects = state.objects.lock();
            let mut deleted = String::from("<DeleteResult>");
            for key in keys {
                objects.remove(&format!("{}/{key}", path.trim_end_matches('/')));
                deleted += &format!("<Deleted><Key>{key}</Key></Deleted>");
            }
            (deleted + "</DeleteResult>").into_response()
        }
        _ => StatusCode::OK.into_response(),
    }
}
