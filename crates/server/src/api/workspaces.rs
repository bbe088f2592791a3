//! Workspaces, and how one stands.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Query, State},
};
use onefold_pipeline::views;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    ApiError, App,
    caller::{Caller, Whoever},
};

/// A workspace.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Workspace {
    /// Its name.
    pub name: String,
}

/// The workspaces in which the caller has a role.
#[utoipa::path(get, path = "/api/v1/workspaces", responses((status = 200, body = [Workspace])))]
pub async fn list(State(app): State<Arc<App>>, Whoever(identity): Whoever) -> Result<Json<Vec<Workspace>>, ApiError> {
    app.read(move |app, reader| {
        let mut views = vec![];
        for (workspace, name) in app.workspaces() {
            if app.is_at_home(reader, &identity, workspace)? {
                views.push(Workspace { name });
            }
        }
        Ok(Json(views))
    })
    .await
}

/// Make a workspace.
#[utoipa::path(post, path = "/api/v1/workspaces", request_body = Workspace, responses((status = 200, body = Workspace)))]
pub async fn add(State(app): State<Arc<App>>, Json(new): Json<Workspace>) -> Result<Json<Workspace>, ApiError> {
    let name = new.name.clone();
    app.block(move |app| app.add_workspace(&name)).await?;
    Ok(Json(new))
}

/// How a workspace stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stats {
    /// Its name.
    pub workspace: String,
    /// Engine time: as of when everything is answered.
    pub as_of: String,
    /// Records applied.
    pub applied: u64,
    /// Records in the log and not applied yet.
    pub lag: u64,
    /// Running totals: `events.accepted`, `profiles`, `segment.NAME`, …
    pub totals: BTreeMap<String, i64>,
    /// How deliveries go.
    pub deliveries: Vec<DeliveryStatus>,
}

/// How the deliveries of a destination go.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryStatus {
    /// Its name.
    pub destination: String,
    /// `active`, `paused`, `misconfigured`.
    pub state: String,
    /// Waiting.
    pub waiting: u64,
    /// Given up and kept.
    pub dead_letters: u64,
    /// Circuit breaker: `closed`, `open`, `half_open`.
    pub breaker: String,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Delivered since the start.
    pub delivered: u64,
    /// Not permitted, since the start.
    pub skipped: u64,
}

impl From<onefold_activate::Status> for DeliveryStatus {
    fn from(s: onefold_activate::Status) -> DeliveryStatus {
        DeliveryStatus {
            destination: s.name,
            state: s.state,
            waiting: s.waiting,
            dead_letters: s.dead_letters,
            breaker: s.breaker,
            last_error: s.last_error,
            delivered: s.delivered,
            skipped: s.skipped,
        }
    }
}

/// What to wait for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatsQuery {
    /// Wait until all before this offset is applied, a second at the most.
    pub wait_for: Option<u64>,
}

/// How the workspace stands.
#[utoipa::path(get, path = "/api/v1/stats", params(StatsQuery), responses((status = 200, body = Stats)))]
pub async fn stats(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(query): Query<StatsQuery>,
) -> Result<Json<Stats>, ApiError> {
    if let Some(offset) = query.wait_for {
        let applied = app.wait(access.workspace, offset, false);
        if let Ok(reached) = tokio::time::timeout(std::time::Duration::from_secs(1), applied).await {
            reached?;
        }
    }
    app.read(move |app, reader| {
        let partition = access.workspace.partition(app.log.partitions());
        let (applied, at) = views::as_of(reader, partition)?;
        let name = app.workspaces().into_iter().find(|(id, _)| *id == access.workspace).map(|(_, name)| name);
        let deliveries = app.delivery_status()?.into_iter().filter(|s| s.workspace == access.workspace);
        Ok(Json(Stats {
            workspace: name.unwrap_or_default(),
            as_of: at.to_string(),
            applied,
            lag: app.log.end(partition)?.saturating_sub(applied),
            totals: views::tallies(reader, &access)?,
            deliveries: deliveries.map(DeliveryStatus::from).collect(),
        }))
    })
    .await
}
