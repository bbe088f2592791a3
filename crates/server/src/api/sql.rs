//! Questions in SQL about the tables.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch, cast::AsArray as _};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, SchemaRef};
use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use onefold_lake::{Answer, QueryError};
use onefold_model::access::Access;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{ApiError, App, audit, caller::Caller};

/// A question.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SqlQuestion)]
pub struct Question {
    /// One SELECT, in the dialect of PostgreSQL.
    pub sql: String,
    /// Whether all that is applied must be in the tables first. Without it they may be some seconds behind.
    #[serde(default)]
    pub now: bool,
}

/// An answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rows {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, with a value for each column.
    #[schema(value_type = Vec<Vec<Object>>)]
    pub rows: Vec<Vec<Box<RawValue>>>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: i64,
    /// As of when.
    pub as_of: String,
    /// The log offset after the last record that was in the tables.
    pub as_of_offset: u64,
}

/// A column of an answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The type of its values, as SQL calls it.
    #[serde(rename = "type")]
    pub of: String,
}

/// Ask the tables. The answer is JSON; with `Accept: text/csv` CSV, with `Accept: application/vnd.apache.arrow.stream` an
/// Arrow IPC stream.
#[utoipa::path(post, path = "/api/v1/sql", request_body = Question, responses((status = 200, body = Rows), (status = 400, body = ApiError)))]
pub async fn ask(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    headers: HeaderMap,
    Json(question): Json<Question>,
) -> Result<Response, ApiError> {
    let began = app.clock.now();
    audit::note(serde_json::json!({ "sql": audit::without_literals(&question.sql) }));
    let Answer { schema, as_of, rows } = answer(&app, access, question).await?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("text/csv") {
        let mut header = Some(());
        let lines = rows.map(move |batch| csv(&batch?, header.take().is_some()));
        let empty = csv(&RecordBatch::new_empty(schema), true)?;
        return Ok(streamed("text/csv; charset=utf-8", or_if_none(lines.boxed(), empty).await?));
    }
    if accept.contains("application/vnd.apache.arrow.stream") {
        let mut encoder = Encoder::new(&schema)?;
        let parts = rows.map(Some).chain(stream::iter([None])).map(move |batch| encoder.next(batch));
        return Ok(streamed("application/vnd.apache.arrow.stream", parts.boxed()));
    }
    let batches: Vec<RecordBatch> = rows.try_collect().await?;
    let mut found = vec![];
    for batch in &batches {
        found.extend(json_rows(batch)?);
    }
    let columns =
        schema.fields().iter().map(|field| Column { name: field.name().clone(), of: type_name(field.data_type()) });
    Ok(Json(Rows {
        columns: columns.collect(),
        rows: found,
        elapsed_ms: app.clock.now().0 - began.0,
        as_of: as_of.at.to_string(),
        as_of_offset: as_of.offset,
    })
    .into_response())
}

/// Asks the engine, once the tables are there.
async fn answer(app: &Arc<App>, access: Access, question: Question) -> Result<Answer, ApiError> {
    let budget = app.settings.lake.budget;
    if question.now || app.tables.lake.published(access.workspace).is_none() {
        let (workspace, until) = (access.workspace, access.at.plus(budget.time.as_millis() as i64));
        app.block(move |app| app.write_tables(workspace, until)).await?;
    }
    Ok(app.tables.engine.query(access, question.sql, budget).await?)
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> ApiError {
        let cure = error.cure();
        let place = match &error {
            QueryError::Wrong { place: Some((line, column)), .. } => vec![format!("line {line}, column {column}")],
            _ => vec![],
        };
        let code = match &error {
            QueryError::Wrong { .. } | QueryError::Writes => "bad_sql",
            QueryError::Time(_) | QueryError::Memory(_) | QueryError::Rows(_) => "too_much",
            QueryError::Busy | QueryError::Empty | QueryError::Engine(_) => {
                return ApiError::unavailable(error.to_string());
            }
        };
        let message = match place.first() {
            Some(place) => format!("{place}: {error}"),
            None => error.to_string(),
        };
        ApiError::bad_request(code, message, cure).with_problems(place)
    }
}

pub(super) type Parts = stream::BoxStream<'static, Result<Bytes, ApiError>>;

pub(super) fn streamed(of: &'static str, parts: Parts) -> Response {
    let body = Body::from_stream(parts.map_err(|error| std::io::Error::other(error.message)));
    ([(header::CONTENT_TYPE, of)], body).into_response()
}

/// The parts, the first of them waited for, so that an error in it is answered as one; `empty` where there are none.
pub(super) async fn or_if_none(mut parts: Parts, empty: Bytes) -> Result<Parts, ApiError> {
    let first = parts.next().await.transpose()?.unwrap_or(empty);
    Ok(stream::iter([Ok(first)]).chain(parts).boxed())
}

pub(super) fn unprintable(error: impl ToString) -> ApiError {
    ApiError::internal(format!("the answer cannot be written: {}", error.to_string()))
}

pub(super) fn csv(batch: &RecordBatch, header: bool) -> Result<Bytes, ApiError> {
    let mut out = vec![];
    let mut writer = arrow_csv::WriterBuilder::new().with_header(header).build(&mut out);
    writer.write(batch).map_err(unprintable)?;
    drop(writer);
    Ok(out.into())
}

/// Writes an Arrow IPC stream, a batch at a time.
struct Encoder(Option<arrow_ipc::writer::StreamWriter<Vec<u8>>>);

impl Encoder {
    fn new(schema: &SchemaRef) -> Result<Encoder, ApiError> {
        arrow_ipc::writer::StreamWriter::try_new(vec![], schema)
            .map(|writer| Encoder(Some(writer)))
            .map_err(unprintable)
    }

    /// What is to be sent after this batch, or at the end.
    fn next(&mut self, batch: Option<Result<RecordBatch, QueryError>>) -> Result<Bytes, ApiError> {
        let Some(writer) = &mut self.0 else { return Ok(Bytes::new()) };
        match batch {
            Some(batch) => writer.write(&batch?).map_err(unprintable)?,
            None => writer.finish().map_err(unprintable)?,
        }
        Ok(std::mem::take(writer.get_mut()).into())
    }
}

/// Rows as JSON: numbers and truth values as such, everything else as text.
fn json_rows(batch: &RecordBatch) -> Result<Vec<Vec<Box<RawValue>>>, ApiError> {
    let options = FormatOptions::new();
    let columns: Result<Vec<_>, _> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options)).collect();
    let columns = columns.map_err(unprintable)?;
    let value = |row: usize, place: usize| -> Result<Box<RawValue>, ApiError> {
        let column = batch.column(place);
        if column.is_null(row) {
            return Ok(RawValue::NULL.to_owned());
        }
        let json = match column.data_type() {
            DataType::Boolean => column.as_boolean().value(row).to_string(),
            of if of.is_numeric() => {
                let number = columns[place].value(row).to_string();
                // JSON has no infinity and nothing that is not a number.
                if serde_json::from_str::<serde_json::Number>(&number).is_ok() { number } else { format!("{number:?}") }
            }
            _ => serde_json::Value::from(columns[place].value(row).to_string()).to_string(),
        };
        RawValue::from_string(json).map_err(unprintable)
    };
    (0..batch.num_rows()).map(|row| (0..batch.num_columns()).map(|place| value(row, place)).collect()).collect()
}

/// What SQL calls a type.
fn type_name(of: &DataType) -> String {
    match of {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => "integer".to_owned(),
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "bigint".to_owned(),
        DataType::Float16 | DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        DataType::Decimal128(digits, places) | DataType::Decimal256(digits, places) => {
            format!("numeric({digits},{places})")
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Interval(_) | DataType::Duration(_) => "interval".to_owned(),
        other => other.to_string(),
    }
}
