//! Segments: defined, counted, listed, explained, laid over each other.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
    response::Response,
};
use onefold_audience::{AskError, Asked};
use onefold_model::{
    Timestamp,
    access::Access,
    command::Command,
    segment::{Condition, Definition, Explanation},
};
use onefold_pipeline::{
    definitions::Workspace,
    seen::Seen as _,
    views::{self, SegmentView},
};
use onefold_state::Reader;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Page, lines, ndjson, profiles::find};
use crate::{
    ApiError, App,
    caller::Caller,
    governance::{
        approvals::Matter,
        sensitive::{behind, check_use},
    },
};

/// How many are in a segment.
#[derive(Debug, Serialize, ToSchema)]
pub struct Count {
    /// The segment.
    pub segment: String,
    /// How many are in.
    pub count: i64,
    /// As of when.
    pub as_of: String,
}

pub(super) fn known(definitions: &Workspace, name: &str) -> Result<(), ApiError> {
    match definitions.segments.contains_key(name) {
        true => Ok(()),
        false => Err(ApiError::not_found("segment", name, "list them with `onefold segment list`")),
    }
}

/// The workspace's segments.
#[utoipa::path(get, path = "/api/v1/segments", responses((status = 200, body = [SegmentView])))]
pub async fn list(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Vec<SegmentView>>, ApiError> {
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        app.segments(reader, &access, &definitions).map(Json)
    })
    .await
}

/// Define a segment, or define it anew. Answers when it is live: events before it are folded in and everybody is decided.
#[utoipa::path(put, path = "/api/v1/segments", request_body = Object, responses((status = 200, body = SegmentView), (status = 400, body = ApiError)))]
pub async fn set(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    body: axum::body::Bytes,
) -> Result<Json<SegmentView>, ApiError> {
    let definition: Definition = serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request("bad_segment", error.to_string(), "see docs/segments.md for the language")
    })?;
    let name = definition.name.clone();
    let (theirs, wanted) = (access.clone(), definition.clone());
    let (sensitive, behind) = app
        .read(move |app, reader| {
            let definitions = app.definitions(reader, theirs.workspace)?;
            check_sight(&theirs, &wanted.condition)?;
            validate(&definitions, &wanted)?;
            let fields = wanted.condition.fields_through(&*definitions);
            let sensitive = check_use(&definitions, &fields, wanted.purpose.as_deref())?;
            Ok((sensitive, behind(&definitions, &wanted.condition)))
        })
        .await?;
    if !sensitive.is_empty() {
        let fields = Vec::from_iter(sensitive).join(", ");
        let summary = format!("the segment {name:?}, which asks about {fields}");
        app.approved(&access, Matter::SensitiveUse, 1, summary, &(&definition, behind)).await?;
    }
    app.command(&access, Command::SegmentSet(definition), true).await?;
    one(&app, access, name).await
}

/// What is wrong with a definition, all of it.
fn validate(definitions: &Workspace, definition: &Definition) -> Result<(), ApiError> {
    let problems: Vec<String> =
        definition.problems(definitions).into_iter().map(|problem| problem.to_string()).collect();
    match problems.is_empty() {
        true => Ok(()),
        false => {
            let cure = "correct the places named; docs/segments.md has the language";
            Err(ApiError::bad_request("bad_segment", problems.join("; "), cure).with_problems(problems))
        }
    }
}

async fn one(app: &Arc<App>, access: Access, name: String) -> Result<Json<SegmentView>, ApiError> {
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        known(&definitions, &name)?;
        let all = app.segments(reader, &access, &definitions)?;
        let cure = "it was removed just now; define it anew";
        all.into_iter()
            .find(|view| view.name == name)
            .map(Json)
            .ok_or_else(|| ApiError::not_found("segment", &name, cure))
    })
    .await
}

/// A segment.
#[utoipa::path(get, path = "/api/v1/segments/{name}", responses((status = 200, body = SegmentView)))]
pub async fn show(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
) -> Result<Json<SegmentView>, ApiError> {
    one(&app, access, name).await
}

/// End a segment: all members leave.
#[utoipa::path(delete, path = "/api/v1/segments/{name}", responses((status = 200, body = super::Done)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
) -> Result<Json<super::Done>, ApiError> {
    let Json(_) = one(&app, access.clone(), name.clone()).await?;
    app.command(&access, Command::SegmentRemove(name), true).await?;
    Ok(super::done())
}

/// How many are in a segment.
#[utoipa::path(get, path = "/api/v1/segments/{name}/count", responses((status = 200, body = Count)))]
pub async fn count(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
) -> Result<Json<Count>, ApiError> {
    app.read(move |app, reader| {
        let at = as_of(app, reader, &access)?;
        if views::segment_number(reader, &access, &name)?.is_none() {
            return Err(ApiError::not_found("segment", &name, "list them with `onefold segment list`"));
        }
        let count = match access.sees_everybody() {
            true => views::tally(reader, &access, &format!("segment.{name}"))?,
            false => {
                let definitions = app.definitions(reader, access.workspace)?;
                app.counts(&access, &definitions, vec![Condition::Segment(name.clone())])?[0]
            }
        };
        Ok(Json(Count { segment: name, count, as_of: at.to_string() }))
    })
    .await
}

fn as_of(app: &App, reader: &mut dyn Reader, access: &Access) -> Result<Timestamp, ApiError> {
    Ok(views::as_of(reader, access.workspace.partition(app.log.partitions()))?.1)
}

/// Who is in a segment, one JSON object a line, in the order of their ids.
#[utoipa::path(get, path = "/api/v1/segments/{name}/members", params(Page), responses((status = 200, body = views::Member, content_type = "application/x-ndjson")))]
pub async fn members(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Result<Response, ApiError> {
    app.read(move |_, reader| {
        let after = page.after.as_deref().and_then(|after| after.parse().ok());
        let members = views::members(reader, &access, &name, after, page.limit())?;
        let members =
            members.ok_or_else(|| ApiError::not_found("segment", &name, "list them with `onefold segment list`"))?;
        Ok(ndjson(lines(&members.seen(&access.sight))))
    })
    .await
}

/// Whom to explain.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExplainQuery {
    /// Any identifier of the person.
    pub identifier: String,
}

/// Why a person is in a segment, or is not.
#[utoipa::path(get, path = "/api/v1/segments/{name}/explain", params(ExplainQuery), responses((status = 200, body = Object)))]
pub async fn explain(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
    Query(query): Query<ExplainQuery>,
) -> Result<Json<Explanation>, ApiError> {
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        known(&definitions, &name)?;
        // Why somebody is in says what their values are, and those of the segments that it names.
        let mut named = vec![name.clone()];
        while let Some(name) = named.pop() {
            let Some(segment) = definitions.segments.get(&name) else { continue };
            for condition in std::iter::once(&segment.newest).chain(segment.in_force.as_ref().map(|(_, one)| one)) {
                check_sight(&access, &condition.condition)?;
                named_in(&condition.condition, &mut named);
            }
        }
        let id = find(reader, &access, &query.identifier)?;
        let partition = access.workspace.partition(app.log.partitions());
        views::explain(reader, &access, &definitions, partition, &name, id)?
            .map(Json)
            .ok_or_else(|| ApiError::unavailable(format!("the segment {name:?} is still being built")))
    })
    .await
}

/// Refuses a condition about a field that the caller does not see: by asking often enough, one would read it.
pub(super) fn check_sight(access: &Access, condition: &Condition) -> Result<(), ApiError> {
    match access.sight.hidden_in(condition) {
        None => Ok(()),
        Some(field) => {
            let cure = "ask about other fields, or ask a steward what it holds (`onefold field list`)";
            Err(ApiError::forbidden(
                format!("your role does not see {field:?} as it is, so it cannot ask about it"),
                cure,
            ))
        }
    }
}

/// The segments that a condition names.
fn named_in(condition: &Condition, names: &mut Vec<String>) {
    match condition {
        Condition::All(all) | Condition::Any(all) => all.iter().for_each(|one| named_in(one, names)),
        Condition::Not(one) => named_in(one, names),
        Condition::Segment(name) => names.push(name.clone()),
        _ => {}
    }
}

/// The condition, of those whom the caller sees.
pub(super) fn among(access: &Access, condition: Condition) -> Result<Condition, ApiError> {
    check_sight(access, &condition)?;
    Ok(access.among(condition))
}

impl App {
    /// The segments, with how many of those whom the caller sees are in.
    fn segments(
        &self,
        reader: &mut dyn Reader,
        access: &Access,
        definitions: &Workspace,
    ) -> Result<Vec<SegmentView>, ApiError> {
        let mut views = views::segments(reader, access, definitions)?;
        if !access.sees_everybody() {
            let conditions = views.iter().map(|view| Condition::Segment(view.name.clone())).collect();
            let counts = self.counts(access, definitions, conditions)?;
            views.iter_mut().zip(counts).for_each(|(view, count)| view.count = count);
        }
        Ok(views)
    }

    /// How many of those whom the caller sees each condition holds for.
    fn counts(
        &self,
        access: &Access,
        definitions: &Workspace,
        conditions: Vec<Condition>,
    ) -> Result<Vec<i64>, ApiError> {
        let conditions: Vec<Condition> = conditions.into_iter().map(|condition| access.among(condition)).collect();
        let counted = |asked: Asked<'_>| asked.sets.iter().map(|set| set.len() as i64).collect();
        self.audiences.ask(access, definitions, &conditions, &[], counted).map_err(|error| match error {
            AskError::Compile(error) => bad_segment(error),
            AskError::Failed(error) => error.into(),
            full @ AskError::Full { .. } => ApiError::unavailable(full.to_string()),
        })
    }
}

pub(super) fn parsed(text: &str) -> Result<Condition, ApiError> {
    onefold_model::segment::text::parse(text).map_err(bad_segment)
}

pub(super) fn bad_segment(error: impl ToString) -> ApiError {
    ApiError::bad_request("bad_segment", error.to_string(), "see docs/segments.md")
}

/// Whose overlap is asked.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Overlap {
    /// Names of segments, and conditions as text; 2 to 10.
    pub segments: Vec<String>,
}

/// How several segments overlap.
#[derive(Debug, Serialize, ToSchema)]
pub struct Overlapped {
    /// As of when.
    pub as_of: String,
    /// How many are in each, in the order asked.
    pub counts: Vec<usize>,
    /// How many are in just these and in no other, the most first. Combinations that nobody is in are left out.
    pub overlaps: Vec<Combination>,
}

/// Those who are in some segments and in none of the others.
#[derive(Debug, Serialize, ToSchema)]
pub struct Combination {
    /// The places of the segments they are in, from 0.
    pub of: Vec<usize>,
    /// How many.
    pub count: usize,
}

/// Segments that are laid over each other at once.
const OVERLAP_MAX: usize = 10;

/// How segments and conditions overlap, as an UpSet plot shows it.
#[utoipa::path(post, path = "/api/v1/segments/overlap", request_body = Overlap, responses((status = 200, body = Overlapped)))]
pub async fn overlap(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(Overlap { segments }): Json<Overlap>,
) -> Result<Json<Overlapped>, ApiError> {
    if !(2..=OVERLAP_MAX).contains(&segments.len()) {
        let cause = format!("{} segments are asked for", segments.len());
        return Err(ApiError::bad_request("bad_request", cause, "name 2 to 10 segments or conditions"));
    }
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        let condition = |text: &String| match definitions.segments.contains_key(text) {
            true => Ok(Condition::Segment(text.clone())),
            false => parsed(text),
        };
        let condition = |text: &String| among(&access, condition(text)?);
        let conditions: Vec<Condition> = segments.iter().map(condition).collect::<Result<_, _>>()?;
        let shown = |asked: Asked<'_>| {
            let places = |bits: u64| (0..segments.len()).filter(|place| bits >> place & 1 == 1).collect();
            let overlaps = asked.index.overlap(&asked.sets).into_iter();
            Overlapped {
                as_of: asked.as_of.to_string(),
                counts: asked.sets.iter().map(onefold_audience::Set::len).collect(),
                overlaps: overlaps.map(|(bits, count)| Combination { of: places(bits), count }).collect(),
            }
        };
        match app.audiences.ask(&access, &definitions, &conditions, &[], shown) {
            Ok(overlapped) => Ok(Json(overlapped)),
            Err(AskError::Compile(error)) => Err(bad_segment(error)),
            Err(AskError::Failed(error)) => Err(error.into()),
            Err(error @ AskError::Full { .. }) => Err(ApiError::unavailable(error.to_string())),
        }
    })
    .await
}
