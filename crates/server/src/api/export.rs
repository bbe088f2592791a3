//! All members of an audience as a stream, and how the size of a segment went. Both are asked of the tables, so that they are of
//! one moment, whatever their size, and hold up nobody.

use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, RecordBatch, StringArray, cast::AsArray as _, types::Int64Type};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, header},
    response::Response,
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use onefold_lake::{
    Answer,
    segments::{self, NoSql, quoted},
};
use onefold_model::{
    access::{Access, Mask, Sight},
    segment::Condition,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    segments::{among, bad_segment, known, parsed},
    sql::{csv, or_if_none, streamed, unprintable},
};
use crate::{
    ApiError, App, audit,
    caller::Caller,
    governance::{
        approvals::Matter,
        sensitive::{behind, check_use},
    },
};

/// Whose members, and what of them.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Export {
    /// The name of a segment, or a condition as text.
    pub segment: String,
    /// Traits that stand beside each member's id.
    #[serde(default)]
    pub traits: Vec<String>,
}

/// All members of a segment or of a condition, as of when it is asked, one JSON object a line; with `Accept: text/csv` CSV. A
/// trait that somebody does not have is `null`.
#[utoipa::path(post, path = "/api/v1/segments/export", request_body = Export, responses((status = 200, body = Object, content_type = "application/x-ndjson"), (status = 400, body = ApiError)))]
pub async fn export(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    headers: HeaderMap,
    Json(Export { segment, traits }): Json<Export>,
) -> Result<Response, ApiError> {
    let workspace = access.workspace;
    let definitions = app.read(move |app, reader| app.definitions(reader, workspace)).await?;
    let twice = (0..traits.len()).find(|place| traits[..*place].contains(&traits[*place]) || traits[*place] == "id");
    if let Some(place) = twice {
        let cause = format!("{:?} would be two columns of one name", traits[place]);
        return Err(ApiError::bad_request("bad_request", cause, "name each trait once; the id is always there"));
    }
    let wait = app.settings.lake.budget.time;
    let turn = tokio::time::timeout(wait, app.tables.exports.clone().acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        return Err(ApiError::unavailable("another export is under way; try again when it has ended"));
    };
    let condition = match definitions.segments.contains_key(&segment) {
        true => Condition::Segment(segment),
        false => parsed(&segment)?,
    };
    let purpose = (!access.purpose.is_administration()).then_some(access.purpose.0.as_str());
    let mut fields = condition.fields_through(&*definitions);
    // What is hidden is not exported.
    fields.extend(traits.iter().filter(|name| access.sight.mask_of_field(name) != Mask::Hidden).cloned());
    let sensitive = check_use(&definitions, &fields, purpose)?;
    if !sensitive.is_empty() {
        let summary = format!("an export with {}", Vec::from_iter(sensitive).join(", "));
        let what = (&condition, &traits, purpose, behind(&definitions, &condition));
        app.approved(&access, Matter::SensitiveUse, 1, summary, &what).await?;
    }
    let named = matches!(&condition, Condition::Segment(_)).then_some(&condition);
    audit::note(serde_json::json!({ "segment": named, "traits": traits }));
    let condition = among(&access, condition)?;
    let (access, sight) = (access.unmasked(), access.sight);
    write(&app, &access).await?;
    let at = app.tables.lake.published(workspace).map_or(access.at, |published| published.at);
    let members = segments::members(&condition, &*definitions, &definitions.policy, at).map_err(no_sql)?;
    let is_csv = headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/csv"));
    // In CSV a value is its text, in JSON itself.
    let column = |(place, name): (usize, &String)| match is_csv {
        true => format!(", p.traits->>{} AS t{place}", quoted(name)),
        false => format!(", value_of(p.traits, {}) AS t{place}", quoted(name)),
    };
    let columns: String = traits.iter().enumerate().map(column).collect();
    let sql = format!("SELECT p.id{columns} FROM ({members}) m JOIN profiles p USING (profile)");
    let Answer { schema, rows, .. } = app.tables.engine.query(access, sql, app.settings.lake.of_whole_tables()).await?;
    let rows = rows.map(move |batch| {
        // It ends with the stream.
        let _turn = &turn;
        batch
    });
    let names: Vec<String> = std::iter::once("id".to_owned()).chain(traits).collect();
    if is_csv {
        let empty = csv(&renamed(RecordBatch::new_empty(schema), &names)?, true)?;
        let mut header = Some(());
        let lines =
            rows.map(move |batch| csv(&seen(renamed(batch?, &names)?, &sight, false)?, header.take().is_some()));
        return Ok(streamed("text/csv; charset=utf-8", or_if_none(lines.boxed(), empty).await?));
    }
    let quoted: Vec<String> = names.iter().map(|name| serde_json::Value::from(name.as_str()).to_string()).collect();
    let lines = rows.map(move |batch| objects(&seen(renamed(batch?, &names)?, &sight, true)?, &quoted));
    Ok(streamed("application/x-ndjson", or_if_none(lines.boxed(), Bytes::new()).await?))
}

/// Waits until what is applied is in the tables.
pub(super) async fn write(app: &Arc<App>, access: &Access) -> Result<(), ApiError> {
    let (workspace, budget) = (access.workspace, app.settings.lake.budget);
    let until = access.at.plus(budget.time.as_millis() as i64);
    app.block(move |app| app.write_tables(workspace, until)).await
}

pub(super) fn no_sql(error: NoSql) -> ApiError {
    match error {
        NoSql::Compile(error) => bad_segment(error),
        NoSql::NotThere(_) => {
            let cure =
                "`onefold segment members` reads those of a segment page by page; make a condition a segment for that";
            ApiError::bad_request("bad_segment", error.to_string(), cure)
        }
    }
}

/// The same columns, called by these names.
fn renamed(batch: RecordBatch, names: &[String]) -> Result<RecordBatch, ApiError> {
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(names).map(|(field, name)| field.as_ref().clone().with_name(name));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, batch.columns().to_vec()).map_err(unprintable)
}

/// The same with each value as it is seen; the first column is the id. `json`: values are JSON, else text.
fn seen(batch: RecordBatch, sight: &Sight, json: bool) -> Result<RecordBatch, ApiError> {
    if sight.is_clear() {
        return Ok(batch);
    }
    let mut columns = vec![batch.column(0).clone()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()).skip(1) {
        let texts = cast(column, &DataType::Utf8).map_err(unprintable)?;
        let left = texts.as_string::<i32>().iter().map(|text| {
            let text = text?;
            match json {
                true => Some(sight.json(field.name(), serde_json::from_str(text).ok()?)?.get().to_owned()),
                false => sight.text(field.name(), text).map(std::borrow::Cow::into_owned),
            }
        });
        columns.push(Arc::new(left.collect::<StringArray>()));
    }
    let fields = batch
        .schema()
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true))
        .collect::<Vec<_>>();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(unprintable)
}

/// An id as text and values as JSON, as an object a line, whose members have these names, written as JSON.
fn objects(batch: &RecordBatch, names: &[String]) -> Result<Bytes, ApiError> {
    let texts = |column: &ArrayRef| cast(column, &DataType::Utf8).map_err(unprintable);
    let columns = batch.columns().iter().map(texts).collect::<Result<Vec<_>, _>>()?;
    let mut lines = String::new();
    for row in 0..batch.num_rows() {
        for (place, (name, column)) in names.iter().zip(&columns).enumerate() {
            let column = column.as_string::<i32>();
            let value = match place {
                0 => serde_json::Value::from(column.value(row)).to_string(),
                // Between the tokens of JSON a line break is as good as a blank.
                _ if column.is_valid(row) => column.value(row).replace(['\n', '\r'], " "),
                _ => "null".to_owned(),
            };
            lines.push_str(&format!("{}{name}:{value}", if place == 0 { '{' } else { ',' }));
        }
        lines.push_str("}\n");
    }
    Ok(lines.into())
}

/// How far back.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Back {
    /// So many days that had a change; 90 if not said.
    pub days: Option<u32>,
}

/// A day in a segment's life.
#[derive(Debug, Serialize, ToSchema)]
pub struct Day {
    /// In the workspace's time zone.
    pub day: String,
    /// How often somebody entered on it.
    pub entered: i64,
    /// How often somebody left.
    pub left: i64,
    /// How many were in at its end.
    pub size: i64,
}

/// How many were in a segment at the end of each day on which somebody entered or left, the newest last. On the days between
/// them it stayed as it was.
#[utoipa::path(get, path = "/api/v1/segments/{name}/history", params(Back), responses((status = 200, body = [Day])))]
pub async fn history(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(name): Path<String>,
    Query(Back { days }): Query<Back>,
) -> Result<Json<Vec<Day>>, ApiError> {
    let (workspace, asked) = (access.workspace, name.clone());
    let definitions = app.read(move |app, reader| app.definitions(reader, workspace)).await?;
    known(&definitions, &asked)?;
    write(&app, &access).await?;
    let zone = definitions.time_zone.iana_name().unwrap_or("UTC");
    let sql = format!(
        "SELECT day, entered, left, size FROM (\
           SELECT day, entered, left, CAST(sum(entered - left) OVER (ORDER BY day) AS bigint) AS size FROM (\
             SELECT to_char(arrow_cast(time, 'Timestamp(Microsecond, Some(\"{zone}\"))'), '%Y-%m-%d') AS day, \
               count(*) FILTER (WHERE entered) AS entered, count(*) FILTER (WHERE NOT entered) AS left \
             FROM segment_members_history WHERE segment = {} GROUP BY 1) changes) sizes \
         ORDER BY day DESC LIMIT {}",
        quoted(&name),
        days.unwrap_or(90)
    );
    let answer = app.tables.engine.query(access, sql, app.settings.lake.budget).await?;
    let batches: Vec<RecordBatch> = answer.rows.try_collect().await?;
    let mut found = vec![];
    for batch in &batches {
        let days = cast(batch.column(0), &DataType::Utf8).map_err(unprintable)?;
        let number = |place: usize, row: usize| batch.column(place).as_primitive::<Int64Type>().value(row);
        found.extend((0..batch.num_rows()).map(|row| Day {
            day: days.as_string::<i32>().value(row).to_owned(),
            entered: number(1, row),
            left: number(2, row),
            size: number(3, row),
        }));
    }
    found.reverse();
    Ok(Json(found))
}
