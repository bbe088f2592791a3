//! The eight audiences in SQL over the tables of the lake, and how fast these are written.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow_array::{cast::AsArray as _, types::Int64Type};
use futures_util::TryStreamExt as _;
use onefold_lake::{Budget, Lake as _, QueryEngine as _, QueryError, Step, Writer};
use onefold_lake_delta::{DeltaLake, Engine};
use onefold_log::EventLog;
use onefold_model::{
    access::Access,
    clock::{DAY_MS, SystemClock},
    segment::text,
};
use onefold_pipeline::definitions::Workspace;
use onefold_state::StateStore;
use serde_json::{Value, json};
use url::Url;

use super::segments::{EIGHT, Settings, median, peer, round, standard};
use crate::Failure;

/// Asks of each audience after a first one; the median counts.
const ASKS: usize = 5;

/// What the eight read, out of the tables: whose an event is, and members of its JSON.
const OF_TABLES: &str = "with ev as (select i.profile as user_id, event, time as ts, properties->>'category' as category, \
     properties->>'revenue' as revenue from events join identifiers i using (node)), \
     pr as (select profile as user_id, traits->>'country' as country, traits->>'plan' as plan, \
     (traits->>'age')::bigint as age, traits->>'email_consent' = 'true' as email_consent from profiles) ";

/// Writes the tables of a workspace from nothing, and asks them.
pub fn run(
    settings: &Settings,
    log: &Arc<dyn EventLog>,
    store: &Arc<dyn StateStore>,
    access: &Access,
    definitions: &Workspace,
    folder: &Path,
) -> Result<Value, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string(), "");
    std::fs::create_dir_all(folder)?;
    let url = Url::from_directory_path(folder).map_err(|()| Failure::new("the folder is no URL", ""))?;
    // No reader but this one: what is replaced may go at once, so that the peer finds what counts and nothing else.
    let own = onefold_lake_delta::Settings { retention: Duration::ZERO, ..onefold_lake_delta::Settings::new(url) };
    let lake = Arc::new(DeltaLake::open(own, Arc::new(SystemClock)).map_err(|e| failed(&e))?);
    let writer = Writer::new(log.clone(), store.clone(), lake.clone(), onefold_lake::Settings::default());
    let began = Instant::now();
    let as_of = loop {
        match writer.step(access, definitions).map_err(|e| failed(&e))? {
            Step::More => {}
            Step::UpToDate(as_of) => break as_of,
        }
    };
    let written_s = began.elapsed().as_secs_f64();
    let began = Instant::now();
    lake.maintain(access.workspace).map_err(|e| failed(&e))?;
    let merged_s = began.elapsed().as_secs_f64();

    let engine = Engine::new(lake);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let count = |sql: &str| -> Result<usize, QueryError> {
        let budget = Budget { time: Duration::from_secs(600), memory_bytes: 4 << 30, rows_max: 1 };
        runtime.block_on(async {
            let answer = engine.query(access.clone(), sql.to_owned(), budget).await?;
            let rows: Vec<arrow_array::RecordBatch> = answer.rows.try_collect().await?;
            let counts = rows.iter().map(|rows| rows.column(0).as_primitive::<Int64Type>().value(0));
            Ok(counts.sum::<i64>() as usize)
        })
    };
    let ask = |sql: &str| -> Result<(usize, f64), Failure> {
        let mut took = vec![];
        let mut found = 0;
        for _ in 0..=ASKS {
            let began = Instant::now();
            found = count(sql).map_err(|error| Failure::new(format!("{error}: {sql}"), error.cure()))?;
            took.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        Ok((found, median(took.split_off(1))))
    };
    let ours: Result<Vec<_>, Failure> =
        EIGHT.lines().map(|sql| ask(&format!("{OF_TABLES}{}", at(sql, settings)))).collect();
    // The same as definitions of segments, made into SQL.
    let of_definition = |text: String| {
        let condition = text::parse(&text).map_err(|e| failed(&e))?;
        let members = onefold_lake::segments::members(&condition, definitions, definitions.unstated, settings.now);
        ask(&format!("SELECT count(*) FROM ({}) members", members.map_err(|e| failed(&e))?))
    };
    let defined: Result<Vec<_>, Failure> = standard().into_iter().map(of_definition).collect();
    let (ours, defined) = (ours?, defined?);
    let theirs = peer(settings, &folder.join(access.workspace.0.to_string()), "duckdb", "lake")?;
    let mut rows = vec![];
    for (place, (count, ms)) in ours.iter().enumerate() {
        let duckdb = theirs.as_ref().and_then(|theirs| theirs.get(place).copied());
        rows.push(json!({
            "audience": place + 1,
            "count": count,
            "onefold_ms": round(*ms),
            "definition_ms": round(defined[place].1),
            "duckdb_ms": duckdb.map(|(_, ms)| ms),
            "ratio": duckdb.map(|(_, theirs)| round(ms / theirs)),
            "equal": duckdb.map(|(theirs, _)| theirs == *count && defined[place].0 == *count),
        }));
    }
    Ok(json!({
        "written_records_per_s": (as_of.offset as f64 / written_s).round(),
        "merged_s": round(merged_s),
        "rows": rows,
    }))
}

/// The query as of the instant that is asked about.
fn at(sql: &str, settings: &Settings) -> String {
    let mut parts = sql.split("before(");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (days, rest) = part.split_once(')').unwrap_or((part, ""));
        let then = settings.now.minus(days.parse::<i64>().unwrap_or_default() * DAY_MS);
        text.push_str(&format!("timestamp with time zone '{then}'{rest}"));
    }
    text
}
