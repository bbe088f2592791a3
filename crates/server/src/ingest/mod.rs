//! Ingest: stock Segment and RudderStack SDKs send here, with only a URL and a write key changed.
//!
//! Both dialects come over one port and a write key does not say which SDK uses it, so every route takes what either
//! dialect sends: the key in any of its places ([`auth`]), gzip or not ([`body`]), any content type, and answers what
//! both understand ([`answer`]). Whatever the route, events go one way: [`land`] judges each on its own, puts what is
//! refused among the dead letters, appends the rest to the log as one batch, and only then is there an answer.
//!
//! The hot path ([`events`]) borrows everything from the body and builds no tree. [`hook`] and [`pixel`] make events out
//! of what is none, and may be slower.

mod answer;
mod arrivals;
mod auth;
mod body;
mod cors;
mod documents;
mod events;
mod hook;
mod land;
pub mod letters;
mod limiter;
pub mod mapping;
pub mod meters;
mod pixel;
pub mod sources;

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, Uri},
    middleware,
    routing::{MethodRouter, get, post},
};
use onefold_log::EventLog;
use onefold_model::{
    Clock, Rng, WorkspaceId,
    event::{EventRecord, Fields, Kind, Limits, Minimised},
};

use crate::{governance::Collections, suppression::Doors};

pub use self::{
    letters::{DeadLetter, DeadLetters, Entry},
    limiter::Limiter,
    mapping::Mapping,
    meters::Meters,
    sources::{Source, Sources},
};

/// What ingest works with.
pub struct Ingest {
    /// Where events go.
    pub log: Arc<dyn EventLog>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where made ids come from.
    pub rng: Arc<dyn Rng>,
    /// Its bounds.
    pub settings: IngestSettings,
    /// Who may send.
    pub sources: Arc<Sources>,
    /// Where refused events go.
    pub refused: Arc<dyn DeadLetters>,
    /// Whose events are answered like any other, counted, and not stored.
    pub doors: Arc<Doors>,
    /// What is collected, where not everything is.
    pub collections: Collections,
    /// What each source has sent of late.
    pub limiter: Limiter,
    /// What is counted.
    pub meters: Meters,
}

/// How ingest behaves.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// Bounds on one event.
    pub limits: Limits,
    /// Bytes of a body, before and after gunzip. RudderStack's limit is 4,000 KiB.
    pub body_bytes_max: usize,
    /// Events of one batch. Segment's published limit is 2,500, and its SDKs exceed it.
    pub batch_events_max: usize,
    /// How long a body may take to arrive.
    pub body_wait_max: Duration,
    /// Events a second that one source may send, on average; it may send those of one second at once. `None`: no limit.
    pub source_events_per_s_max: Option<u32>,
    /// The URL by which SDKs reach this server (`https://events.example.com`), where it differs from the one in the
    /// requests, as behind a proxy. Browser SDKs are told to send there.
    pub public_url: Option<String>,
    /// The folder with the stock build of Segment's browser SDK, to be served to page snippets.
    pub sdk_folder: Option<PathBuf>,
}

impl Default for IngestSettings {
    fn default() -> Self {
        IngestSettings {
            limits: Limits::default(),
            body_bytes_max: 4_000 * 1024,
            batch_events_max: 50_000,
            body_wait_max: Duration::from_secs(30),
            source_events_per_s_max: None,
            public_url: None,
            sdk_folder: None,
        }
    }
}

impl Ingest {
    /// Takes out of an event's record what no purpose declares; whether anything of it enters.
    pub(crate) fn minimise(&self, workspace: WorkspaceId, record: &mut Vec<u8>) -> bool {
        let Some(collection) = self.collections.of(workspace) else { return true };
        let Ok(event) = EventRecord::decode(record) else { return true };
        match collection.minimise(event.json) {
            Minimised::Whole => true,
            Minimised::Nothing => {
                self.meters.minimised_events.add(1);
                false
            }
            Minimised::Less(json, dropped) => {
                self.meters.minimised_fields.add(dropped.into());
                let mut less = Vec::with_capacity(record.len());
                EventRecord { json: &json, ..event }.encode(&mut less);
                *record = less;
                true
            }
        }
    }

    /// The same for what is refused, and kept to be looked at.
    pub(crate) fn minimised(&self, workspace: WorkspaceId, json: String) -> String {
        let Some(collection) = self.collections.of(workspace) else { return json };
        if Fields::read(&json).is_err() {
            // What has no fields has none that are declared.
            return "{}".to_owned();
        }
        match collection.minimise(&json) {
            Minimised::Whole => json,
            Minimised::Nothing => "{}".to_owned(),
            Minimised::Less(json, _) => json,
        }
    }

    /// The scheme, and the host with its port, by which the sender of a request reaches this server.
    pub(crate) fn address(&self, uri: &Uri, headers: &HeaderMap) -> (String, String) {
        documents::address(self.settings.public_url.as_deref(), uri, headers)
    }

    /// The log partition of a workspace.
    fn partition(&self, workspace: WorkspaceId) -> onefold_log::Partition {
        workspace.partition(self.log.partitions())
    }
}

/// Segment's short routes beside the long ones.
const CALLS: [(&[&str], Kind); 7] = [
    (&["/v1/track", "/v1/t"], Kind::Track),
    (&["/v1/identify", "/v1/i"], Kind::Identify),
    (&["/v1/page", "/v1/p"], Kind::Page),
    (&["/v1/screen", "/v1/s"], Kind::Screen),
    (&["/v1/group", "/v1/g"], Kind::Group),
    (&["/v1/alias", "/v1/a"], Kind::Alias),
    (&["/v1/merge"], Kind::Merge),
];

type Routes = Router<Arc<Ingest>>;

/// Every route of both dialects.
pub fn router(state: Arc<Ingest>) -> Router {
    let mut router = Router::new();
    for (paths, kind) in CALLS {
        for path in paths {
            let call = move |State(ingest), request: Request| events::call(ingest, request, kind);
            router = lenient(router, path, post(call));
        }
    }
    router = lenient(router, "/v1/batch", post(events::batch));
    router = lenient(router, "/v1/b", post(events::batch));
    router = lenient(router, "/v1/import", post(events::import));
    router = lenient(router, "/beacon/v1/batch", post(events::beacon));
    router = lenient(router, "/v1/audiencelist", post(hook::audience_list));
    router = lenient(router, "/v1/webhook", get(hook::webhook).post(hook::webhook));
    router = lenient(router, "/v1/hook", get(hook::webhook).post(hook::webhook));
    router = lenient(router, "/v1/hook/{name}", get(hook::webhook).post(hook::webhook));
    router = lenient(router, "/v1/m", post(documents::nothing_measured));
    router = lenient(router, "/rsaMetrics", post(documents::nothing_measured));
    router = lenient(router, "/sourceConfig", get(documents::source_config));
    for (path, kind) in [("/pixel/v1/track", Kind::Track), ("/pixel/v1/page", Kind::Page)] {
        router = lenient(router, path, get(move |State(ingest), request| pixel::pixel(ingest, request, kind)));
    }
    router
        .route("/v1/projects/{write_key}/settings", get(documents::settings))
        .route("/analytics.js/v1/{write_key}/analytics.min.js", get(documents::analytics_js))
        .route("/analytics-next/bundles/{file}", get(documents::analytics_js_bundle))
        .route("/.well-known/gpc.json", get(documents::privacy_control))
        .route("/health", get(documents::health))
        .route("/version", get(documents::version))
        .route("/", get(documents::root))
        .layer(middleware::from_fn(cors::cors))
        .with_state(state)
}

/// `path`, also with a slash at its end, and with two at its front: SDKs append it to whatever URL they are given.
fn lenient(router: Routes, path: &str, methods: MethodRouter<Arc<Ingest>>) -> Routes {
    router
        .route(path, methods.clone())
        .route(&format!("{path}/"), methods.clone())
        .route(&format!("/{path}"), methods.clone())
        .route(&format!("/{path}/"), methods)
}
