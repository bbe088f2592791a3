//! The log itself: read, checked, and folded anew.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    Json,
    extract::{Query, State},
    response::Response,
};
use onefold_log::Kind;
use onefold_model::event::{EventRecord, view};
use onefold_pipeline::views;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::ndjson;
use crate::{ApiError, App, caller::Caller};

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RecordsQuery {
    /// From this offset on; 0 if not said.
    #[serde(default)]
    pub from: u64,
    /// About so many bytes of events; 4 MiB if not said. The answer has whole blocks, and ends with a line
    /// `{"next_offset":n}`; where n is what was asked for, there is no more.
    pub bytes: Option<usize>,
}

/// Accepted events as they stand in the log, one JSON object a line.
#[utoipa::path(get, path = "/api/v1/log/records", params(RecordsQuery), responses((status = 200, body = String, content_type = "application/x-ndjson")))]
pub async fn records(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(query): Query<RecordsQuery>,
) -> Result<Response, ApiError> {
    app.read(move |app, reader| {
        let partition = access.workspace.partition(app.log.partitions());
        let sources = views::sources(reader, &access)?;
        let names = app.workspaces();
        let workspace = names.iter().find(|(id, _)| *id == access.workspace).map_or("", |(_, name)| name);
        let from = query.from.max(app.log.start(partition)?);
        let mut out = String::new();
        let mut next = from;
        if from < app.log.end(partition)? {
            let blocks = app.log.read(partition, from, query.bytes.unwrap_or(4 << 20).min(64 << 20))?;
            next = blocks.last().map_or(from, |block| block.end());
            for record in blocks.iter().flat_map(|block| block.records()) {
                if record.offset < from || record.kind != Kind::Event || record.erased {
                    continue;
                }
                let Ok(event) = EventRecord::decode(record.payload) else { continue };
                if event.workspace != access.workspace {
                    continue;
                }
                let source = sources.get(&event.source).cloned().unwrap_or_default();
                let _ = writeln!(
                    out,
                    "{{\"offset\":{},\"workspace\":\"{workspace}\",\"source\":\"{source}\",\"received_at\":\"{}\",\"event\":{}}}",
                    record.offset,
                    event.received_at,
                    view::render(&event)
                );
            }
        }
        let _ = writeln!(out, "{{\"next_offset\":{next}}}");
        Ok(ndjson(out))
    })
    .await
}

/// What a check of the log gave.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerifiedView {
    /// Whether every block is as it was written.
    pub whole: bool,
    /// Blocks read.
    pub blocks: u64,
    /// Records in them.
    pub records: u64,
    /// Compressed bytes read.
    pub bytes: u64,
    /// What is wrong, and where.
    pub faults: Vec<String>,
}

/// Read every block of the log and check it.
#[utoipa::path(post, path = "/api/v1/log/verify", responses((status = 200, body = VerifiedView)))]
pub async fn verify(State(app): State<Arc<App>>) -> Result<Json<VerifiedView>, ApiError> {
    app.block(|app| {
        let mut view = VerifiedView { whole: true, blocks: 0, records: 0, bytes: 0, faults: vec![] };
        for partition in 0..app.log.partitions() {
            let verified = app.log.verify(partition, &mut |fault| {
                view.faults.push(format!("partition {}, offset {}: {}", fault.partition, fault.offset, fault.what));
            })?;
            view.blocks += verified.blocks;
            view.records += verified.records;
            view.bytes += verified.bytes;
        }
        view.whole = view.faults.is_empty();
        Ok(Json(view))
    })
    .await
}

/// What a rebuild did.
#[derive(Debug, Serialize, ToSchema)]
pub struct RebuiltView {
    /// Records folded.
    pub records: u64,
    /// Deliveries that still wait, carried over.
    pub waiting: usize,
}

/// Make derived state anew from the log, beside the old one, and swap. Nothing is sent.
#[utoipa::path(post, path = "/api/v1/rebuild", responses((status = 200, body = RebuiltView)))]
pub async fn rebuild(State(app): State<Arc<App>>) -> Result<Json<RebuiltView>, ApiError> {
    let rebuilt = app.rebuild().await?;
    Ok(Json(RebuiltView { records: rebuilt.records, waiting: rebuilt.waiting }))
}
