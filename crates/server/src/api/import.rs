//! Imported rows. The importer reads and maps files; here its events enter, each with the line it stood on.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Query, State},
};
use onefold_log::{Batch, Kind};
use onefold_model::{
    access::Access,
    event::{EventRecord, Fields, Incoming, Limits, accept},
};
use onefold_state::schema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::{
    ApiError, App,
    caller::Caller,
    deadletters,
    ingest::{DeadLetter, Entry},
};

/// Where the rows come from.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImportQuery {
    /// The source's name.
    pub source: String,
    /// The file's name or digest: rows that were refused are kept under it.
    pub file: String,
}

/// One line of the body: an event, or a row that could not be read.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    line: i64,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    raw: Option<String>,
}

/// What became of the rows.
#[derive(Debug, Serialize, ToSchema)]
pub struct Imported {
    /// Events in the log.
    pub accepted: u64,
    /// Among the dead letters.
    pub refused: u64,
    /// About people who are not let in: not kept.
    pub suppressed: u64,
    /// The offset after the last of them: wait for it to be applied, if the profiles are to be asked at once.
    pub next_offset: u64,
}

/// Bytes of one request.
pub const BODY_BYTES_MAX: usize = 32 << 20;

/// Import rows: one JSON object a line, `{"line":12,"event":{…}}` or `{"line":13,"reason":"…","raw":"…"}`.
///
/// An event keeps its own time. Its `messageId` is remembered for ever, so the same row enters once.
#[utoipa::path(post, path = "/api/v1/import", params(ImportQuery), request_body(content = String, content_type = "application/x-ndjson"), responses((status = 200, body = Imported)))]
pub async fn rows(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(query): Query<ImportQuery>,
    body: Bytes,
) -> Result<Json<Imported>, ApiError> {
    app.enter_rows(&access, &Arc::new(query), body).await.map(Json)
}

impl App {
    /// Lets rows in, one JSON object a line.
    pub(crate) async fn enter_rows(
        self: &Arc<Self>,
        access: &Access,
        query: &Arc<ImportQuery>,
        body: Bytes,
    ) -> Result<Imported, ApiError> {
        let entering = self.ingest.doors.enter().await;
        let (theirs, asked) = (access.clone(), query.clone());
        let prepared = self
            .block(move |app| {
                let prepared = prepare(app, &theirs, &asked, &body)?;
                if !prepared.letters.is_empty() {
                    let mut txn = app.store.begin_shared()?;
                    txn.put(&schema::DEAD_LETTER, prepared.letters.clone())?;
                    txn.commit()?;
                }
                Ok(prepared)
            })
            .await?;
        let refused = prepared.letters.len() as u64;
        let (accepted, suppressed) = (prepared.batch.len() as u64, prepared.suppressed);
        let next_offset = match accepted {
            0 => self.log.end(access.workspace.partition(self.log.partitions()))?,
            _ => self.append(access, prepared.batch).await?.end,
        };
        drop(entering);
        self.ingest.meters.accepted.add(accepted);
        self.ingest.meters.suppressed.add(suppressed);
        Ok(Imported { accepted, refused, suppressed, next_offset })
    }
}

struct Prepared {
    batch: Batch,
    suppressed: u64,
    letters: Vec<onefold_state::Row>,
}

fn prepare(app: &App, access: &Access, query: &ImportQuery, body: &[u8]) -> Result<Prepared, ApiError> {
    let source = app.source_number(access.workspace, &query.source)?;
    let received_at = app.clock.now();
    let limits = Limits { message_id_chars_max: 200, ..app.settings.ingest.limits };
    let mut prepared =
        Prepared { batch: Batch::with_capacity(body.len() + body.len() / 8), letters: vec![], suppressed: 0 };
    let doors = &app.ingest.doors;
    let guarded = doors.guards(access.workspace);
    let mut suppressed = 0;
    let mut letter = |line: i64, event: &str, code: &'static str, message: String| {
        let id = onefold_pipeline::dedupe::key(access.workspace, source, &format!("{}:{line}", query.file));
        let letter = DeadLetter {
            id,
            workspace: access.workspace,
            source,
            received_at,
            entry: Entry::Import,
            code,
            message,
            event: app.ingest.minimised(access.workspace, event.to_owned()),
            batch: None,
        };
        prepared.letters.push(deadletters::row(letter, Some(line)));
    };
    let batch_fields = Fields::default();
    for (number, text) in body.split(|b| *b == b'\n').enumerate() {
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let line: Line<'_> = serde_json::from_slice(text).map_err(|error| {
            let cure = "send one JSON object a line: {\"line\":1,\"event\":{…}}";
            ApiError::bad_request("bad_line", format!("line {} of the body: {error}", number + 1), cure)
        })?;
        let Some(raw) = line.event else {
            letter(line.line, &line.raw.unwrap_or_default(), "bad_row", line.reason.unwrap_or_default());
            continue;
        };
        let incoming = Incoming {
            workspace: access.workspace,
            source,
            raw,
            kind: None,
            batch: &batch_fields,
            place: line.line as usize,
            received_at,
            import: true,
            gpc: false,
        };
        let mut refusal = None;
        let mut record = Vec::with_capacity(raw.get().len() + 64);
        if let Err(why) = accept(&incoming, &limits, &mut record) {
            refusal = Some(why);
        }
        let is_kept_out = guarded
            && match refusal {
                None => EventRecord::decode(&record).is_ok_and(|record| doors.keeps_out(&record)),
                Some(_) => doors.keeps_out_json(access.workspace, raw.get()),
            };
        if is_kept_out {
            suppressed += 1;
            continue;
        }
        if refusal.is_none() && !app.ingest.minimise(access.workspace, &mut record) {
            continue;
        }
        match refusal {
            Some(why) => letter(line.line, raw.get(), why.code(), why.to_string()),
            None => prepared.batch.push(Kind::Event, &record).map_err(|error| {
                ApiError::bad_request("too_large", error.to_string(), "send fewer rows in one request")
            })?,
        }
    }
    prepared.suppressed = suppressed;
    Ok(prepared)
}
