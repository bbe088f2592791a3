//! The eight audiences in SQL over the tables of the lake, and how fast these are written.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow_array::{cast::AsArray as _, types::Int64Type};
use futures_util::TryStreamExt as _;
use onefold_lake::{Budget, Lake as _, QueryEngine as _, QueryError, Step, Writer, segments};
use onefold_lake_delta::{DeltaLake, Engine};
use onefold_model::{
    Timestamp,
    access::Access,
    clock::{DAY_MS, SystemClock},
    segment::text,
};
use serde_json::{Value, json};
use url::Url;

use super::segments::{EIGHT, Settings, Shop, median, peer, round, standard};
use crate::Failure;

/// Asks of each audience after a first one; the median counts.
const ASKS: usize = 5;

/// What a query may take.
pub const BUDGET: Budget = Budget { time: Duration::from_secs(600), memory_bytes: 4 << 30, rows_max: usize::MAX };

/// What the eight read, out of the tables: whose an event is, and members of its JSON.
const OF_TABLES: &str = "with ev as (select i.profile as user_id, event, time as ts, properties->>'category' as category, \
     properties->>'revenue' as revenue from events join identifiers i using (node)), \
     pr as (select profile as user_id, traits->>'country' as country, traits->>'plan' as plan, \
     (traits->>'age')::bigint as age, traits->>'email_consent' = 'true' as email_consent from profiles) ";

/// Tables that were written from nothing.
pub struct Tables {
    pub lake: Arc<DeltaLake>,
    records: u64,
    written_s: f64,
    merged_s: f64,
}

impl Tables {
    /// Writes the tables of a shop to an object store.
    pub fn write(shop: &Shop, url: Url, options: Vec<(String, String)>) -> Result<Tables, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string(), "");
        // No reader but this one: what is replaced may go at once, so that a peer finds what counts and nothing else.
        let own = onefold_lake_delta::Settings {
            retention: Duration::ZERO,
            options,
            ..onefold_lake_delta::Settings::new(url)
        };
        let lake = Arc::new(DeltaLake::open(own, Arc::new(SystemClock)).map_err(|e| failed(&e))?);
        let settings = onefold_lake::Settings::default();
        let writer = Writer::new(shop.log.clone(), shop.store.clone(), lake.clone(), settings);
        let began = Instant::now();
        let records = loop {
            match writer.step(&shop.access, &shop.definitions).map_err(|e| failed(&e))? {
                Step::More => {}
                Step::UpToDate(as_of) => break as_of.offset,
            }
        };
        let written_s = began.elapsed().as_secs_f64();
        let began = Instant::now();
        lake.maintain(shop.access.workspace).map_err(|e| failed(&e))?;
        Ok(Tables { lake, records, written_s, merged_s: began.elapsed().as_secs_f64() })
    }
}

/// Asks an engine how many.
pub struct Asker<'a> {
    engine: &'a Engine,
    access: &'a Access,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Asker<'a> {
    pub fn new(engine: &'a Engine, access: &'a Access) -> Result<Asker<'a>, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Asker { engine, access, runtime })
    }

    /// The first column's sum.
    pub fn count(&self, sql: &str) -> Result<usize, Failure> {
        self.count_within(sql, BUDGET.time).map_err(|error| Failure::new(format!("{error}: {sql}"), error.cure()))
    }

    /// The same within a time.
    pub fn count_within(&self, sql: &str, time: Duration) -> Result<usize, QueryError> {
        self.runtime.block_on(async {
            let answer = self.engine.query(self.access.clone(), sql.to_owned(), Budget { time, ..BUDGET }).await?;
            let rows: Vec<arrow_array::RecordBatch> = answer.rows.try_collect().await?;
            let counts = rows.iter().map(|rows| rows.column(0).as_primitive::<Int64Type>().value(0));
            Ok(counts.sum::<i64>() as usize)
        })
    }

    /// Asks once, and then so often that the median counts: how many, and in how many milliseconds.
    pub fn measure(&self, sql: &str) -> Result<(usize, f64), Failure> {
        let mut took = vec![];
        let mut found = 0;
        for _ in 0..=ASKS {
            let began = Instant::now();
            found = self.count(sql)?;
            took.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        Ok((found, median(took.split_off(1))))
    }
}

/// The eight over the tables.
pub fn eight(now: Timestamp) -> impl Iterator<Item = String> {
    EIGHT.lines().map(move |sql| format!("{OF_TABLES}{}", at(sql, now)))
}

/// The eight as definitions of segments, made into SQL.
pub fn defined(shop: &Shop, now: Timestamp) -> Result<Vec<String>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string(), "");
    let members = |text: String| {
        let condition = text::parse(&text).map_err(|e| failed(&e))?;
        let members = segments::members(&condition, &shop.definitions, &shop.definitions.policy, now);
        Ok(format!("SELECT count(*) FROM ({}) members", members.map_err(|e| failed(&e))?))
    };
    standard().into_iter().map(members).collect()
}

/// Asks the tables of a shop, which are in a folder, beside another engine over the same files.
pub fn run(
    settings: &Settings,
    shop: &Shop,
    tables: &Tables,
    engine: &Engine,
    folder: &Path,
) -> Result<Value, Failure> {
    let asker = Asker::new(engine, &shop.access)?;
    let ours = eight(settings.now).map(|sql| asker.measure(&sql)).collect::<Result<Vec<_>, _>>()?;
    let defined = defined(shop, settings.now)?.iter().map(|sql| asker.measure(sql)).collect::<Result<Vec<_>, _>>()?;
    let theirs = peer(settings, &folder.join(shop.access.workspace.0.to_string()), "duckdb", "lake")?;
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
        "written_records_per_s": (tables.records as f64 / tables.written_s).round(),
        "merged_s": round(tables.merged_s),
        "rows": rows,
    }))
}

/// The query as of the instant that is asked about.
fn at(sql: &str, now: Timestamp) -> String {
    let mut parts = sql.split("before(");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (days, rest) = part.split_once(')').unwrap_or((part, ""));
        let then = now.minus(days.parse::<i64>().unwrap_or_default() * DAY_MS);
        text.push_str(&format!("timestamp with time zone '{then}'{rest}"));
    }
    text
}
