//! Destinations: what leaves the house, and what became of it.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use onefold_activate::replay;
use onefold_model::{
    Timestamp, WorkspaceId,
    access::Access,
    command::{Command, Subscription},
    profile::survivorship::Party,
    segment::Condition,
};
use onefold_pipeline::views;
use onefold_state::{Reader, Row, Scan, Value, schema};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Page, workspaces::DeliveryStatus};
use crate::{
    ApiError, App,
    app::check_name,
    audit,
    caller::Caller,
    governance::{
        approvals::Matter,
        catalog::fields_in,
        sensitive::{behind, check_use},
    },
};

/// A destination as it is defined.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DestinationSet {
    /// Its name.
    pub name: String,
    /// The connector: `webhook`, `file`, `postgres`, `lookup`.
    pub kind: String,
    /// Segments whose members it gets.
    #[serde(default)]
    pub segments: Vec<String>,
    /// Names of events it gets; `*` for all.
    #[serde(default)]
    pub events: Vec<String>,
    /// The connector's configuration, with `purpose`; see docs/destinations.md.
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
    /// `active` if not said, or `paused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// A destination as it is shown: without secrets.
#[derive(Debug, Serialize, ToSchema)]
pub struct DestinationView {
    /// Its name.
    pub name: String,
    /// The connector.
    pub kind: String,
    /// `active` or `paused`.
    pub state: String,
    /// Segments whose members it gets.
    pub segments: Vec<String>,
    /// Names of events it gets.
    pub events: Vec<String>,
    /// The purpose consent is asked for.
    pub purpose: String,
    /// Its configuration, without secrets: those are given anew when it is set up otherwise.
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
    /// How its deliveries go.
    pub deliveries: Option<DeliveryStatus>,
}

fn key(workspace: WorkspaceId, name: &str) -> Row {
    vec![Value::Int(workspace.0.into()), Value::Text(name.to_owned())]
}

fn row_of(reader: &mut dyn Reader, workspace: WorkspaceId, name: &str) -> Result<Row, ApiError> {
    let row = reader.get(&schema::DESTINATION, &[key(workspace, name)])?.pop().flatten();
    row.ok_or_else(|| ApiError::not_found("destination", name, "list them with `onefold destination list`"))
}

/// The workspace's destinations.
#[utoipa::path(get, path = "/api/v1/destinations", responses((status = 200, body = [DestinationView])))]
pub async fn list(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Vec<DestinationView>>, ApiError> {
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        let own = vec![Value::Int(access.workspace.0.into())];
        let mut statuses = app.delivery_status()?;
        let mut views = vec![];
        for row in reader.scan(&Scan::prefix(&schema::DESTINATION, own, usize::MAX))? {
            let name = row[1].as_text()?.to_owned();
            let subscription = definitions.subscriptions.get(&name);
            let place = statuses.iter().position(|s| s.workspace == access.workspace && s.name == name);
            views.push(DestinationView {
                kind: row[2].as_text()?.to_owned(),
                state: row[3].as_text()?.to_owned(),
                segments: subscription.map(|s| s.segments.clone()).unwrap_or_default(),
                events: subscription.map(|s| s.events.clone()).unwrap_or_default(),
                purpose: subscription.and_then(|s| s.purpose.clone()).unwrap_or_default(),
                config: shown(app, &row)?,
                deliveries: place.map(|place| statuses.swap_remove(place)).map(DeliveryStatus::from),
                name,
            });
        }
        Ok(Json(views))
    })
    .await
}

/// Set up a destination, or change it. It gets the current members of its segments at once.
#[utoipa::path(put, path = "/api/v1/destinations", request_body = DestinationSet, responses((status = 200, body = super::Done), (status = 400, body = ApiError)))]
pub async fn set(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(wanted): Json<DestinationSet>,
) -> Result<Json<super::Done>, ApiError> {
    check_name("destination", &wanted.name)?;
    let state = wanted.state.clone().unwrap_or_else(|| "active".to_owned());
    if !matches!(state.as_str(), "active" | "paused") {
        return Err(ApiError::bad_request("bad_state", format!("{state:?} is no state"), "give active or paused"));
    }
    let config = wanted.config.to_string();
    let opened = app.registry.open(&wanted.kind, &config, &app.context(access.workspace)).map_err(|error| {
        ApiError::bad_request("bad_destination", format!("{}: {}", error.field, error.cause), error.cure)
    })?;
    if let Some(source) =
        wanted.config.get("source").and_then(serde_json::Value::as_str).filter(|_| wanted.kind == LOOKUP)
    {
        check_terms(&app, &access, source).await?;
    }
    let subscription = Subscription {
        destination: wanted.name.clone(),
        segments: wanted.segments.clone(),
        events: wanted.events.clone(),
        purpose: Some(opened.common.purpose.0.clone()),
        channel: opened.common.channel.clone(),
    };
    let (workspace, name) = (access.workspace, wanted.name.clone());
    let (definitions, before) = app
        .read(move |app, reader| Ok((app.definitions(reader, workspace)?, row_of(reader, workspace, &name).ok())))
        .await?;
    let mut fields = fields_in(&wanted.config);
    let segments: Vec<Condition> = wanted.segments.iter().map(|name| Condition::Segment(name.clone())).collect();
    fields.extend(segments.iter().flat_map(|segment| segment.fields_through(&*definitions)));
    check_use(&definitions, &fields, subscription.purpose.as_deref())?;
    let is_same = before
        .is_some_and(|row| row[2] == Value::Text(wanted.kind.clone()) && row[5] == Value::Text(config.clone()))
        && definitions.subscriptions.get(&wanted.name) == Some(&subscription);
    if !is_same {
        let summary = format!("data to the destination {:?} ({})", wanted.name, wanted.kind);
        let config: serde_json::Value = serde_json::from_str(&config).unwrap_or_default();
        let behind: Vec<_> = segments.iter().map(|segment| behind(&definitions, segment)).collect();
        let what = (&wanted.name, &wanted.kind, &config, &wanted.segments, &wanted.events, behind);
        app.approved(&access, Matter::NewDestinations, 1, summary, &what).await?;
    }
    let theirs = access.clone();
    app.block(move |app| {
        let mut txn = app.store.begin_shared()?;
        for segment in &wanted.segments {
            if views::segment_number(&mut *txn, &theirs, segment)?.is_none() {
                return Err(ApiError::not_found("segment", segment, "make it with `onefold segment set`"));
            }
        }
        let mut row = key(theirs.workspace, &wanted.name);
        let before = txn.get(&schema::DESTINATION, std::slice::from_ref(&row))?.pop().flatten();
        let before = before.map(|row| view_for_audit(&row)).transpose()?;
        row.extend([Value::Text(wanted.kind), Value::Text(state), Value::Int(app.clock.now().0), Value::Text(config)]);
        audit::changed("destination", &wanted.name, &before, &view_for_audit(&row)?);
        txn.put(&schema::DESTINATION, vec![row])?;
        Ok(txn.commit()?)
    })
    .await?;
    app.command(&access, Command::Subscribe(subscription), true).await?;
    app.refresh_deliveries();
    Ok(super::done())
}

/// The configuration of a destination without what its kind says is secret, and what looks so.
fn shown(app: &App, row: &Row) -> Result<serde_json::Value, ApiError> {
    let schema = app.registry.config_schema(row[2].as_text()?).unwrap_or_default();
    let mut config: serde_json::Value = serde_json::from_str(row[5].as_text()?).unwrap_or_default();
    if let Some(members) = config.as_object_mut() {
        members.retain(|name, _| schema["properties"][name]["writeOnly"] != true);
    }
    Ok(audit::without_secrets(&config))
}

/// A destination without its secrets.
fn view_for_audit(row: &Row) -> Result<serde_json::Value, ApiError> {
    let config: serde_json::Value = serde_json::from_str(row[5].as_text()?).unwrap_or_default();
    let config = audit::without_secrets(&config);
    Ok(serde_json::json!({ "kind": row[2].as_text()?, "state": row[3].as_text()?, "config": config }))
}

/// The kind that brings answers in.
const LOOKUP: &str = "lookup";

/// What others say of a person comes in on terms, so that it fills gaps and goes in time.
async fn check_terms(app: &Arc<App>, access: &Access, source: &str) -> Result<(), ApiError> {
    let workspace = access.workspace;
    let definitions = app.read(move |app, reader| app.definitions(reader, workspace)).await?;
    let id = app.ingest.sources.named(workspace, source).map(|source| source.id);
    let terms = id.and_then(|id| definitions.survivorship.parties.get(&id));
    match terms.is_some_and(|terms| terms.party != Party::First) {
        true => Ok(()),
        false => Err(ApiError::bad_request(
            "no_terms",
            format!("the answers would enter by {source:?} as our own data, before all others'"),
            format!(
                r#"say whose they are: `onefold settings set` with {{"survivorship": {{"parties": {{{source:?}: {{"party": "third", "expires_days": 90, "purpose": "…"}}}}}}}}"#
            ),
        )),
    }
}

/// End a destination. What still waits is dropped.
#[utoipa::path(delete, path = "/api/v1/destinations/{name}", responses((status = 200, body = super::Done)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
) -> Result<Json<super::Done>, ApiError> {
    let (theirs, gone) = (access.clone(), name.clone());
    app.read(move |_, reader| row_of(reader, theirs.workspace, &gone)).await?;
    app.command(&access, Command::Unsubscribe(name.clone()), false).await?;
    app.block(move |app| {
        let mut txn = app.store.begin_shared()?;
        txn.delete(&schema::DESTINATION, &[key(access.workspace, &name)])?;
        txn.delete_prefix(&schema::OUTBOX, &key(access.workspace, &name))?;
        Ok(txn.commit()?)
    })
    .await?;
    app.refresh_deliveries();
    Ok(super::done())
}

/// A kind of destination.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectorView {
    /// Its name.
    pub kind: String,
    /// The form of its configuration, as JSON Schema.
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
}

/// The kinds of destination there are, with the forms of their configuration.
#[utoipa::path(get, path = "/api/v1/connectors", responses((status = 200, body = [ConnectorView])))]
pub async fn connectors(State(app): State<Arc<App>>) -> Json<Vec<ConnectorView>> {
    let kinds = app.registry.kinds().into_iter();
    let views = kinds.map(|kind| ConnectorView {
        kind: kind.to_owned(),
        config: app.registry.config_schema(kind).unwrap_or_default(),
    });
    Json(views.collect())
}

/// What a try gave.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tested {
    /// What was done, in a sentence.
    pub result: String,
}

/// Try a destination, without anybody's data.
#[utoipa::path(post, path = "/api/v1/destinations/{name}/test", responses((status = 200, body = Tested), (status = 400, body = ApiError)))]
pub async fn test(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
) -> Result<Json<Tested>, ApiError> {
    let workspace = access.workspace;
    let row = app.read(move |_, reader| row_of(reader, workspace, &name)).await?;
    let opened = app.registry.open(row[2].as_text()?, row[5].as_text()?, &app.context(workspace)).map_err(|error| {
        ApiError::bad_request("bad_destination", format!("{}: {}", error.field, error.cause), error.cure)
    })?;
    match opened.destination.test().await {
        Ok(result) => Ok(Json(Tested { result })),
        Err(fault) => Err(ApiError::bad_request("destination_fault", fault.to_string(), fault.cure)),
    }
}

/// Send all current members of a destination's segments again.
#[utoipa::path(post, path = "/api/v1/destinations/{name}/sync", responses((status = 200, body = super::Done)))]
pub async fn sync(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
) -> Result<Json<super::Done>, ApiError> {
    let (theirs, wanted) = (access.clone(), name.clone());
    app.read(move |_, reader| row_of(reader, theirs.workspace, &wanted)).await?;
    app.command(&access, Command::Resync(name), true).await?;
    Ok(super::done())
}

/// What became of a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceiptView {
    /// Its idempotency key.
    pub key: String,
    /// `event`, `enter`, `leave`.
    pub kind: String,
    /// The segment, or empty.
    pub segment: String,
    /// `delivered`, `skipped`, `dead`.
    pub status: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When.
    pub at: String,
    /// What the target said, or why not.
    pub detail: String,
}

/// What became of a destination's deliveries, the newest first.
#[utoipa::path(get, path = "/api/v1/destinations/{name}/receipts", params(Page), responses((status = 200, body = [ReceiptView])))]
pub async fn receipts(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Vec<ReceiptView>>, ApiError> {
    app.read(move |_, reader| {
        row_of(reader, access.workspace, &name)?;
        let prefix = key(access.workspace, &name);
        let newest =
            Scan { index: Some("recent"), reverse: true, ..Scan::prefix(&schema::RECEIPT, prefix, page.limit()) };
        let view = |row: Row| {
            Ok(ReceiptView {
                key: row[4].as_text()?.to_owned(),
                kind: row[5].as_text()?.to_owned(),
                segment: row[6].as_text()?.to_owned(),
                status: row[8].as_text()?.to_owned(),
                attempts: row[9].as_int()?,
                at: Timestamp(row[10].as_int()?).to_string(),
                // What a target answers may have any value in it.
                detail: if access.sight.is_clear() { row[11].as_text()?.to_owned() } else { String::new() },
            })
        };
        reader.scan(&newest)?.into_iter().map(view).collect::<Result<Vec<_>, ApiError>>().map(Json)
    })
    .await
}

/// Which dead deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReplayQuery {
    /// Given up from this instant on, ISO 8601.
    pub from: String,
    /// Up to this one.
    pub to: String,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a replay did or would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct Replayed {
    /// Whether it only said so.
    pub dry_run: bool,
    /// Put back to be delivered.
    pub replayed: u64,
    /// Dropped, because something later was said about the same person and segment.
    pub superseded: u64,
}

/// Put dead deliveries back to be delivered.
#[utoipa::path(post, path = "/api/v1/destinations/{name}/replay", params(ReplayQuery), responses((status = 200, body = Replayed)))]
pub async fn replay(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
    Query(query): Query<ReplayQuery>,
) -> Result<Json<Replayed>, ApiError> {
    let (from, to) = (super::instant(&query.from)?, super::instant(&query.to)?);
    let answer = app
        .block(move |app| {
            row_of(&mut *app.store.reader()?, access.workspace, &name)?;
            let range = replay::Range { workspace: access.workspace, destination: name, from, to };
            let (replayed, superseded) = if query.dry_run {
                let plan = replay::plan(&*app.store, &range)?;
                (plan.replayable, plan.superseded)
            } else {
                let done = replay::replay(&*app.store, &range, app.clock.now())?;
                (done.replayed, done.superseded)
            };
            Ok(Json(Replayed { dry_run: query.dry_run, replayed, superseded }))
        })
        .await?;
    app.refresh_deliveries();
    Ok(answer)
}
