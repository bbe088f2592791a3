//! Preparation: what is done to a source's events before they are used, tried on those that came, and set.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State},
};
use onefold_model::{access::Access, command::Command};
use onefold_pipeline::{
    preparations::{self, Trial},
    views,
};
use onefold_prepare::{Preparation, quality::Report};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::sources;
use crate::{ApiError, App, caller::Caller};

/// A source's preparation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PreparationShown)]
pub struct Shown {
    /// Its steps and what they are for; `null`: nothing is done.
    #[schema(value_type = Object)]
    pub preparation: Option<Preparation>,
    /// From which log offset on it holds.
    pub from: u64,
    /// It is to hold from the beginning, and waits for derived state to be rebuilt.
    pub waits_for_rebuild: bool,
    /// How many values each step has changed, in events that were taken, over all versions so far.
    pub changed: Vec<StepCount>,
    /// Events that went against a tracking plan, let in or not.
    pub violations: i64,
}

/// What a step has changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepCount {
    /// Its name.
    pub step: &'static str,
    /// Values changed.
    pub values: i64,
}

/// A preparation to be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// The steps; see docs/preparation.md.
    #[schema(value_type = Vec<Object>)]
    pub steps: Box<RawValue>,
    /// Whether it is to be done to all that came before as well, once derived state is rebuilt.
    #[serde(default)]
    pub replay: bool,
}

/// A preparation to be tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PreparationTry)]
pub struct Try {
    /// The steps; absent: those that are set.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub steps: Option<Box<RawValue>>,
    /// On so many of the source's newest events; 1,000 if not said, 100,000 at the most.
    #[serde(default)]
    pub events: Option<usize>,
}

fn read(steps: &RawValue, description: Option<&str>) -> Result<Preparation, ApiError> {
    let bad = |problems: Vec<String>| {
        let cure = "correct the places named; docs/preparation.md has the steps";
        ApiError::bad_request("bad_preparation", problems.join("; "), cure).with_problems(problems)
    };
    let steps = serde_json::from_str(steps.get()).map_err(|error| bad(vec![error.to_string()]))?;
    let preparation = Preparation { description: description.unwrap_or_default().to_owned(), steps };
    preparation.compile().map_err(bad)?;
    Ok(preparation)
}

/// What is done to a source's events, and what each step has changed.
#[utoipa::path(get, path = "/api/v1/sources/{name}/preparation", responses((status = 200, body = Shown), (status = 404, body = ApiError)))]
pub async fn show(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
) -> Result<Json<Shown>, ApiError> {
    app.read(move |app, reader| {
        let source = sources::number(reader, &access, &name)?;
        let definitions = app.definitions(reader, access.workspace)?;
        let newest = definitions.preparations.newest(source).cloned();
        let tallies: BTreeMap<String, i64> = views::tallies(reader, &access)?;
        let count = |name: String| tallies.get(&name).copied().unwrap_or_default();
        let preparation = newest.as_ref().and_then(|version| version.preparation.clone());
        let steps = preparation.as_ref().map(Preparation::step_names).unwrap_or_default();
        let step = |(place, step)| StepCount { step, values: count(format!("prepared.{source}.{place}")) };
        Ok(Json(Shown {
            changed: steps.into_iter().enumerate().map(step).collect(),
            violations: count(format!("violations.{source}")),
            from: newest.as_ref().map_or(0, |version| version.from),
            waits_for_rebuild: newest.is_some_and(|version| version.replay && version.from > 0),
            preparation,
        }))
    })
    .await
}

/// Set what is done to a source's events, from now on.
#[utoipa::path(put, path = "/api/v1/sources/{name}/preparation", request_body = Set, responses((status = 200, body = super::Done), (status = 404, body = ApiError)))]
pub async fn set(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
    Json(asked): Json<Set>,
) -> Result<Json<super::Done>, ApiError> {
    let preparation = read(&asked.steps, asked.description.as_deref())?;
    change(&app, access, name, Some(preparation), asked.replay).await
}

/// Do nothing to a source's events any more, from now on.
#[utoipa::path(delete, path = "/api/v1/sources/{name}/preparation", responses((status = 200, body = super::Done), (status = 404, body = ApiError)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
) -> Result<Json<super::Done>, ApiError> {
    change(&app, access, name, None, false).await
}

async fn change(
    app: &Arc<App>,
    access: Access,
    name: String,
    preparation: Option<Preparation>,
    replay: bool,
) -> Result<Json<super::Done>, ApiError> {
    let theirs = access.clone();
    let source = app.read(move |_, reader| sources::number(reader, &theirs, &name)).await?;
    let preparation = preparation.and_then(|preparation| serde_json::to_value(preparation).ok());
    app.command(&access, Command::Prepare { source, preparation, replay }, true).await?;
    Ok(super::done())
}

/// Try a preparation on a source's newest events: what each step would change, with examples. Changes nothing.
#[utoipa::path(post, path = "/api/v1/sources/{name}/preparation/try", request_body = Try, responses((status = 200, body = Trial), (status = 404, body = ApiError)))]
pub async fn try_it(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
    Json(asked): Json<Try>,
) -> Result<Json<Trial>, ApiError> {
    let given = asked.steps.as_deref().map(|steps| read(steps, None)).transpose()?;
    app.read(move |app, reader| {
        let source = sources::number(reader, &access, &name)?;
        let definitions = app.definitions(reader, access.workspace)?;
        let known = || definitions.preparations.newest(source).and_then(|version| version.preparation.clone());
        let preparation = given.or_else(known).unwrap_or_default();
        let events = asked.events.unwrap_or(1000).clamp(1, 100_000);
        Ok(Json(preparations::try_on(&*app.log, &access, source, &preparation, events)?))
    })
    .await
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct QualityQuery {
    /// So many of the source's newest; 10,000 if not said, 100,000 at the most.
    pub events: Option<usize>,
}

/// How good a source's newest events are, as its preparation leaves them: completeness, validity, uniqueness, volume, drift, and
/// what a steward would look at. Figures alone, no values.
#[utoipa::path(get, path = "/api/v1/sources/{name}/quality", params(QualityQuery), responses((status = 200, body = Report), (status = 404, body = ApiError)))]
pub async fn quality(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
    Query(query): Query<QualityQuery>,
) -> Result<Json<Report>, ApiError> {
    app.read(move |app, reader| {
        let source = sources::number(reader, &access, &name)?;
        let definitions = app.definitions(reader, access.workspace)?;
        let events = query.events.unwrap_or(10_000).clamp(1, 100_000);
        Ok(Json(preparations::quality(&*app.log, &access, &definitions, source, events)?))
    })
    .await
}
