//! Keeps tables cheap to read: few files, few versions that do not count, nothing that no table names.
//!
//! It works on what is published while nothing newer is written, on the writer's own thread. A commit changes no row that
//! counts, and no offset.

use std::{collections::BTreeMap, sync::Arc};

use deltalake_core::{kernel::Action, operations::vacuum, protocol::DeltaOperation};
use futures_util::StreamExt as _;
use object_store::ObjectStoreExt as _;
use onefold_lake::{Error, Table, Versions};
use onefold_model::{Timestamp, WorkspaceId};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{
    DeltaLake, Published,
    commit::Open,
    error::{Cause, failed},
    files::{BASE, Files},
    read,
    view::{File, View},
};

/// Versions that may wait for the next time, whatever there is in base files…
const NEWER_ROWS: usize = 20_000;
/// …and as the share of a table, as a divisor.
const NEWER_SHARE: usize = 4;

/// The folder of a table is looked through at most so often.
const HOUR_MS: u128 = 60 * 60 * 1000;

/// Does what is worth it for the tables of a workspace.
pub fn maintain(lake: &DeltaLake, workspace: WorkspaceId) -> Result<(), Error> {
    let Some(published) = lake.seen(workspace) else { return Ok(()) };
    let mut tables = published.tables.clone();
    let due = |view: &Arc<View>| view.table.versions() == Versions::OfProfile && has_many_versions(lake, view);
    if tables.values().any(due) {
        // First what needs the versions that say somebody has gone; without it, not these.
        for table in [Table::Identifiers, Table::Profiles] {
            let acted = act(lake, workspace, &mut tables, table, async |open| {
                keep_versions_that_count(lake, &published, open, table).await
            })?;
            if !acted {
                break;
            }
        }
    }
    let views: Vec<Arc<View>> =
        tables.values().filter(|view| view.table.versions() == Versions::None).cloned().collect();
    for view in views {
        for files in small_files(lake, &view) {
            act(lake, workspace, &mut tables, view.table, async |open| merge(open, view.table, &files).await)?;
        }
    }
    for table in Table::ALL {
        act(lake, workspace, &mut tables, table, async |open| {
            clear_up(lake, open).await.map_err(failed("clearing up", workspace, table))
        })?;
    }
    lake.show(workspace, published.as_of, tables);
    Ok(())
}

/// Does something with a table if it is as readers see it, and lets them see what it has become; whether it was.
pub fn act(
    lake: &DeltaLake,
    workspace: WorkspaceId,
    tables: &mut BTreeMap<Table, Arc<View>>,
    table: Table,
    what: impl AsyncFnOnce(&mut Open) -> Result<(), Error>,
) -> Result<bool, Error> {
    let Some(view) = tables.get_mut(&table) else { return Ok(false) };
    lake.with("maintaining", workspace, table, async |open| {
        let is_at = open.is_at(view);
        if is_at {
            what(open).await?;
            *view = open.view(Some(view)).unwrap_or_else(|| view.clone());
        }
        Ok(is_at)
    })
}

fn has_many_versions(lake: &DeltaLake, view: &View) -> bool {
    let newer: Vec<&File> = view.files.iter().filter(|file| file.base().is_none()).collect();
    let rows = |files: &mut dyn Iterator<Item = &File>| files.map(|file| file.rows).sum::<usize>();
    let (new, all) = (rows(&mut newer.iter().copied()), rows(&mut view.files.iter()));
    newer.len() >= lake.settings.merge_files.max(2) || new > NEWER_ROWS.max(all / NEWER_SHARE)
}

/// Replaces a table by the rows of it that count.
pub async fn keep_versions_that_count(
    lake: &DeltaLake,
    published: &Published,
    open: &mut Open,
    table: Table,
) -> Result<(), Error> {
    let failed = failed::<Cause>("merging versions of", open.workspace(), table);
    let name = format!("{BASE}{:020}-", open.offset());
    let mut rows = read::rows_that_count(lake, published, table).await.map_err(&failed)?;
    let (added, promoted) = {
        let mut files = Files::new(open.place(), table, name, open.promoted());
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| failed(error.into()))?;
            files
                .push(read::own_columns(table, &batch).map_err(|error| failed(error.into()))?)
                .await
                .map_err(&failed)?;
        }
        files.finish().await.map_err(&failed)?
    };
    let mut actions: Vec<Action> = added.into_iter().map(|add| Action::Add(unchanged(add))).collect();
    actions.extend(open.removals(|_| true, false));
    open.commit(actions, promoted, None, merged()).await
}

/// Groups of files that are better one.
fn small_files(lake: &DeltaLake, view: &View) -> Vec<Vec<File>> {
    let small = lake.settings.file_rows_max / 2;
    let mut of_day: BTreeMap<Option<&str>, Vec<File>> = BTreeMap::new();
    let mut groups = vec![];
    for file in view.files.iter().filter(|file| file.rows < small) {
        let group = of_day.entry(file.day.as_deref()).or_default();
        let rows: usize = group.iter().map(|file| file.rows).sum();
        if rows + file.rows > lake.settings.file_rows_max {
            groups.push(std::mem::take(group));
        }
        group.push(file.clone());
    }
    groups.extend(of_day.into_values());
    groups.retain(|files| files.len() >= lake.settings.merge_files);
    groups
}

async fn merge(open: &mut Open, table: Table, files: &[File]) -> Result<(), Error> {
    let failed = failed::<Cause>("merging files of", open.workspace(), table);
    let (added, promoted) = {
        let name = format!("part-{:020}-", open.offset());
        let mut merged = Files::new(open.place(), table, name, open.promoted());
        for file in files {
            let bytes = open.place().store.get(&file.path).await.map_err(|error| failed(error.into()))?;
            let bytes = bytes.bytes().await.map_err(|error| failed(error.into()))?;
            let batches = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|reader| reader.build());
            for batch in batches.map_err(|error| failed(error.into()))? {
                let batch = batch.map_err(|error| failed(error.into()))?;
                let batch = read::with_day(table, file.day.as_deref(), &batch).map_err(|error| failed(error.into()))?;
                merged.push(batch).await.map_err(&failed)?;
            }
        }
        merged.finish().await.map_err(&failed)?
    };
    let mut actions: Vec<Action> = added.into_iter().map(|add| Action::Add(unchanged(add))).collect();
    actions.extend(open.removals(|name| files.iter().any(|file| file.name == name), false));
    open.commit(actions, promoted, None, merged()).await
}

fn unchanged(add: deltalake_core::kernel::Add) -> deltalake_core::kernel::Add {
    deltalake_core::kernel::Add { data_change: false, ..add }
}

fn merged() -> DeltaOperation {
    DeltaOperation::Optimize { predicate: None, target_size: 0 }
}

/// Deletes files that no version of the table within the retention names, those of writes that were never committed
/// included; at most as often as the retention or an hour.
async fn clear_up(lake: &DeltaLake, open: &mut Open) -> Result<(), Cause> {
    let (now, retention) = (lake.clock.now(), lake.settings.retention);
    let pause_ms = retention.as_millis().min(HOUR_MS) as i64;
    if open.cleared.is_some_and(|cleared| now < cleared.plus(pause_ms)) {
        return Ok(());
    }
    let retention = chrono::Duration::from_std(retention).unwrap_or(chrono::Duration::MAX);
    vacuum(lake, open, retention).await?;
    open.cleared = Some(now);
    Ok(())
}

/// Deletes files that no version of the table within the retention names.
pub async fn vacuum(lake: &DeltaLake, open: &mut Open, retention: chrono::Duration) -> Result<(), Cause> {
    #[derive(Debug)]
    struct Now(Timestamp);
    impl vacuum::Clock for Now {
        fn current_timestamp_millis(&self) -> i64 {
            self.0.0
        }
    }
    let now = Arc::new(Now(lake.clock.now()));
    let vacuum = open.delta().clone().vacuum().with_mode(vacuum::VacuumMode::Full).with_retention_period(retention);
    vacuum.with_enforce_retention_duration(false).with_clock(now).await?;
    open.update().await?;
    Ok(())
}
