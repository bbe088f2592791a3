//! Counting a definition that is no segment: by the index, by SQL where the index would be too large, by the log where the
//! tables do not have what is asked.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{Array as _, RecordBatch, cast::AsArray as _, types::Int64Type};
use arrow_cast::cast;
use arrow_schema::DataType;
use axum::{Json, extract::State};
use futures_util::TryStreamExt as _;
use onefold_audience::{AskError, Asked};
use onefold_lake::{
    QueryError,
    segments::{self, NoSql},
};
use onefold_model::{
    Value,
    access::{Access, Mask, Sight},
    segment::{Condition, text},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::segments::{among, bad_segment, parsed};
use crate::{ApiError, App, caller::Caller};

/// A condition, as text or as a tree.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Unparsed {
    /// The condition.
    #[schema(value_type = Object)]
    pub condition: Box<RawValue>,
}

/// A condition in both forms.
#[derive(Debug, Serialize, ToSchema)]
pub struct Parsed {
    /// As text.
    pub text: String,
    /// As a tree.
    #[schema(value_type = Object)]
    pub condition: Condition,
}

/// The text of a condition that is a tree, and the tree of one that is text. What it names need not be there.
#[utoipa::path(post, path = "/api/v1/segments/parse", request_body = Unparsed, responses((status = 200, body = Parsed), (status = 400, body = ApiError)))]
pub async fn parse(_caller: Caller, Json(asked): Json<Unparsed>) -> Result<Json<Parsed>, ApiError> {
    let json = asked.condition.get();
    let condition = match serde_json::from_str::<String>(json) {
        Ok(text) => parsed(&text)?,
        Err(_) => serde_json::from_str(json).map_err(bad_segment)?,
    };
    Ok(Json(Parsed { text: text::print(&condition), condition }))
}

/// A definition to try.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Preview {
    /// The condition as text.
    pub text: String,
    /// Traits by whose values those who are in are counted as well.
    #[serde(default)]
    pub by: Vec<String>,
}

/// What a definition would give.
#[derive(Debug, Serialize, ToSchema)]
pub struct Previewed {
    /// How many would be in.
    pub count: usize,
    /// As of when.
    pub as_of: String,
    /// `index`; `sql` where the index would be too large; `log` where the tables do not have what is asked either: then it took
    /// a pass over the log, and there is no breakdown.
    pub served_by: &'static str,
    /// Some of them.
    pub sample: Vec<String>,
    /// By trait, how many of them have which value, the most frequent first.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by: BTreeMap<String, Vec<Share>>,
}

/// How many have a value.
#[derive(Debug, Serialize, ToSchema)]
pub struct Share {
    /// The value; `null`: none.
    #[schema(value_type = Object)]
    pub value: Box<RawValue>,
    /// How many.
    pub count: usize,
}

impl Share {
    fn of(json: Option<String>, count: usize) -> Share {
        let value = json.and_then(|json| RawValue::from_string(json).ok());
        Share { value: value.unwrap_or_else(|| RawValue::NULL.to_owned()), count }
    }
}

/// Members shown of a preview.
const SAMPLE: usize = 20;
/// Values shown of a trait.
const SHARES: usize = 50;

/// Count a definition without making it a segment. The first time that it reads something new takes a pass over that.
#[utoipa::path(post, path = "/api/v1/segments/preview", request_body = Preview, responses((status = 200, body = Previewed)))]
pub async fn preview(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(Preview { text, by }): Json<Preview>,
) -> Result<Json<Previewed>, ApiError> {
    if let Some(name) = by.iter().find(|name| access.sight.mask_of_field(name) != Mask::Clear) {
        let cure = "leave it out, or ask by another trait";
        return Err(ApiError::forbidden(format!("your role does not see {name:?} as it is"), cure));
    }
    let asked = Arc::new((among(&access, parsed(&text)?)?, by));
    let (access, sight) = (access.unmasked(), access.sight);
    let found = match by_index(&app, &access, asked.clone()).await? {
        Some(found) => found,
        None => match by_sql(&app, &access, &asked.0, &asked.1).await? {
            Some(found) => found,
            None => by_log(&app, access, asked).await?,
        },
    };
    Ok(Json(found.seen(&sight)))
}

impl Previewed {
    /// As a role sees it: a field may hold what its name does not tell.
    fn seen(mut self, sight: &Sight) -> Previewed {
        if sight.is_clear() {
            return self;
        }
        for (name, shares) in &mut self.by {
            let mut seen: Vec<Share> = vec![];
            for share in shares.drain(..) {
                let value = sight.json(name, &share.value).unwrap_or_else(|| RawValue::NULL.to_owned());
                match seen.iter_mut().find(|other| other.value.get() == value.get()) {
                    Some(same) => same.count += share.count,
                    None => seen.push(Share { value, count: share.count }),
                }
            }
            *shares = seen;
        }
        self
    }
}

/// `None` where the index would be too large.
async fn by_index(
    app: &Arc<App>,
    access: &Access,
    asked: Arc<(Condition, Vec<String>)>,
) -> Result<Option<Previewed>, ApiError> {
    let access = access.clone();
    app.read(move |app, reader| {
        let (condition, by) = &*asked;
        let definitions = app.definitions(reader, access.workspace)?;
        let shown = |asked: Asked<'_>| {
            let set = &asked.sets[0];
            let shares = |name: &String| {
                let shares = asked.index.breakdown(name, set).unwrap_or_default().into_iter().take(SHARES);
                let share = |(value, count): (Option<&Value>, usize)| Share::of(value.map(Value::to_json), count);
                (name.clone(), shares.map(share).collect())
            };
            Previewed {
                count: set.len(),
                as_of: asked.as_of.to_string(),
                served_by: "index",
                sample: set.iter().take(SAMPLE).map(|number| asked.index.id(number).to_string()).collect(),
                by: by.iter().map(shares).collect(),
            }
        };
        match app.audiences.ask(&access, &definitions, std::slice::from_ref(condition), by, shown) {
            Ok(previewed) => Ok(Some(previewed)),
            Err(AskError::Compile(error)) => Err(bad_segment(error)),
            Err(AskError::Failed(error)) => Err(error.into()),
            Err(AskError::Full { .. }) => Ok(None),
        }
    })
    .await
}

/// `None` where the tables do not have what is asked, or the question is too long for the engine.
async fn by_sql(
    app: &Arc<App>,
    access: &Access,
    condition: &Condition,
    by: &[String],
) -> Result<Option<Previewed>, ApiError> {
    let workspace = access.workspace;
    let until = access.at.plus(app.settings.lake.budget.time.as_millis() as i64);
    app.block(move |app| app.write_tables(workspace, until)).await?;
    let Some(as_of) = app.tables.lake.published(workspace) else { return Ok(None) };
    let definitions = app.read(move |app, reader| app.definitions(reader, workspace)).await?;
    let members = match segments::members(condition, &*definitions, &definitions.policy, as_of.at) {
        Ok(members) => members,
        Err(NoSql::Compile(error)) => return Err(bad_segment(error)),
        Err(NoSql::NotThere(_)) => return Ok(None),
    };
    let sql = format!("SELECT id, count(*) OVER () AS count FROM ({members}) members LIMIT {SAMPLE}");
    let sample = match rows(app, access, sql).await {
        Ok(rows) => rows,
        Err(QueryError::Wrong { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut shares = BTreeMap::new();
    for name in by {
        let value = format!("canonical(value_of(p.traits, {}))", segments::quoted(name));
        let sql = format!(
            "SELECT {value} AS value, count(*) AS count FROM ({members}) members JOIN profiles p USING (profile) \
             GROUP BY 1 ORDER BY 2 DESC, 1 NULLS FIRST LIMIT {SHARES}"
        );
        let found = rows(app, access, sql).await?.into_iter();
        shares.insert(name.clone(), found.map(|(value, count)| Share::of(value, count)).collect());
    }
    Ok(Some(Previewed {
        count: sample.first().map_or(0, |(_, count)| *count),
        as_of: as_of.at.to_string(),
        served_by: "sql",
        sample: sample.into_iter().filter_map(|(id, _)| id).collect(),
        by: shares,
    }))
}

/// The rows of a query that gives text and a count.
async fn rows(app: &Arc<App>, access: &Access, sql: String) -> Result<Vec<(Option<String>, usize)>, QueryError> {
    let answer = app.tables.engine.query(access.clone(), sql, app.settings.lake.budget).await?;
    let batches: Vec<RecordBatch> = answer.rows.try_collect().await?;
    let mut found = vec![];
    for batch in batches {
        let column = |place: usize, of: &DataType| {
            cast(batch.column(place), of).map_err(|error| QueryError::Engine(error.to_string()))
        };
        let (texts, counts) = (column(0, &DataType::Utf8)?, column(1, &DataType::Int64)?);
        let (texts, counts) = (texts.as_string::<i32>(), counts.as_primitive::<Int64Type>());
        let text = |row: usize| texts.is_valid(row).then(|| texts.value(row).to_owned());
        found.extend((0..batch.num_rows()).map(|row| (text(row), counts.value(row) as usize)));
    }
    Ok(found)
}

async fn by_log(app: &Arc<App>, access: Access, asked: Arc<(Condition, Vec<String>)>) -> Result<Previewed, ApiError> {
    app.read(move |app, reader| {
        let definitions = app.definitions(reader, access.workspace)?;
        let found = onefold_pipeline::preview::preview(reader, &*app.log, &access, &definitions, &asked.0)?;
        let found = found.map_err(bad_segment)?;
        Ok(Previewed {
            count: found.count as usize,
            as_of: found.as_of.to_string(),
            served_by: "log",
            sample: found.sample.iter().map(ToString::to_string).collect(),
            by: BTreeMap::new(),
        })
    })
    .await
}
