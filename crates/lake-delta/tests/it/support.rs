//! Lakes for tests.

use std::{path::Path, sync::Arc, time::Duration};

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use futures_util::TryStreamExt as _;
use object_store::{ObjectStore, local::LocalFileSystem};
use onefold_lake::{Budget, Lake, QueryEngine as _, QueryError, Step, Writer};
use onefold_lake_delta::{DeltaLake, Engine, Settings};
use onefold_model::{Timestamp, clock::ManualClock};
use onefold_sim::World;
use url::Url;

/// Enough for every test that is not about it.
pub const BUDGET: Budget = Budget { time: Duration::from_secs(60), memory_bytes: 1 << 28, rows_max: 10_000 };

/// Settings with which little is much.
pub fn settings(folder: &Path) -> Settings {
    let url = Url::from_directory_path(folder).expect("an absolute path");
    Settings { merge_files: 3, retention: Duration::ZERO, threads: 2, ..Settings::new(url) }
}

/// A lake in a folder, with a clock that stands.
pub fn in_folder(folder: &Path) -> Arc<DeltaLake> {
    through(folder, Arc::new(LocalFileSystem::new()))
}

/// The same through a store that may have faults.
pub fn through(folder: &Path, store: Arc<dyn ObjectStore>) -> Arc<DeltaLake> {
    let clock = Arc::new(ManualClock::at(Timestamp(4_000_000_000_000)));
    let inside = object_store::path::Path::from_absolute_path(folder).expect("an absolute path");
    Arc::new(DeltaLake::on(store, inside, settings(folder), clock).expect("a lake"))
}

/// Writes all that is applied.
pub fn write(world: &World, lake: &Arc<dyn Lake>) {
    let settings = onefold_lake::Settings { offsets_max: 7, ..onefold_lake::Settings::default() };
    let writer = Writer::new(world.log.clone(), world.store.clone(), lake.clone(), settings);
    while writer.step(&world.access(), &world.definitions()).expect("it is written") == Step::More {}
}

/// Rows as lines of text, sorted.
pub fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::new().with_null("-");
    let mut lines = vec![];
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).expect("it can be shown")).collect();
        for row in 0..batch.num_rows() {
            lines.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" | "));
        }
    }
    lines.sort();
    lines
}

/// Asks.
pub fn ask(world: &World, engine: &Engine, sql: &str, budget: Budget) -> Result<Vec<String>, QueryError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let answer = engine.query(world.access(), sql.to_owned(), budget).await?;
        let batches: Vec<RecordBatch> = answer.rows.try_collect().await?;
        Ok(lines(&batches))
    })
}
