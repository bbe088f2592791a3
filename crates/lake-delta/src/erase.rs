//! Takes people out of the tables for good: rows, versions of rows that no longer count, and the files that had them.
//!
//! What describes files (Delta's log, its checkpoints, statistics) holds numbers and times only, so it may stay.

use std::{collections::BTreeSet, sync::Arc};

use arrow_array::{BooleanArray, RecordBatch, cast::AsArray as _, types::Int64Type};
use arrow_select::filter::filter_record_batch;
use bytes::Bytes;
use deltalake_core::{kernel::Action, protocol::DeltaOperation};
use object_store::ObjectStoreExt as _;
use onefold_lake::{Error, Table, Versions};
use onefold_model::WorkspaceId;
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

use crate::{
    DeltaLake,
    commit::Open,
    error::{Cause, failed},
    files::Files,
    maintain::{act, keep_versions_that_count, vacuum},
    read,
    view::{File, View},
};

/// Takes the people of these nodes out, as of what is published; gives how many rows of events went.
pub fn erase(lake: &DeltaLake, workspace: WorkspaceId, nodes: &BTreeSet<i64>) -> Result<u64, Error> {
    let Some(published) = lake.seen(workspace) else { return Ok(0) };
    let mut tables = published.tables.clone();
    let mut rows = 0;
    // First what needs the versions that say somebody has gone.
    for table in [Table::Identifiers, Table::Profiles, Table::Events] {
        let Some(view) = tables.get(&table).cloned() else { continue };
        let acted = act(lake, workspace, &mut tables, table, async |open| match table.versions() {
            Versions::OfProfile => keep_versions_that_count(lake, &published, open, table).await,
            Versions::None => {
                rows = drop_rows(open, &view, nodes).await?;
                Ok(())
            }
        })?;
        if !acted {
            let (expected, found) = (published.as_of.offset, 0);
            return Err(Error::Moved { table, expected, found });
        }
    }
    // Nobody reads the files that went from here on.
    lake.show(workspace, published.as_of, tables.clone());
    for table in [Table::Identifiers, Table::Profiles, Table::Events] {
        act(lake, workspace, &mut tables, table, async |open| {
            vacuum(lake, open, chrono::Duration::zero()).await.map_err(failed("erasing", workspace, table))
        })?;
    }
    lake.show(workspace, published.as_of, tables);
    Ok(rows)
}

/// Writes the files that have rows of these nodes anew, without them.
async fn drop_rows(open: &mut Open, view: &Arc<View>, nodes: &BTreeSet<i64>) -> Result<u64, Error> {
    let (workspace, table) = (open.workspace(), view.table);
    let failed = failed::<Cause>("erasing from", workspace, table);
    let (mut rows, mut gone, mut added) = (0, vec![], vec![]);
    let mut promoted = open.promoted();
    let may_have = |file: &&File| {
        let range = file.ranges.get("node");
        range.is_none_or(|(least, greatest)| nodes.range(*least..=*greatest).next().is_some())
    };
    for file in view.files.iter().filter(may_have) {
        let bytes = open.place().store.get(&file.path).await.map_err(|error| failed(error.into()))?;
        let bytes = bytes.bytes().await.map_err(|error| failed(error.into()))?;
        let theirs = count(bytes.clone(), nodes).map_err(&failed)?;
        if theirs == 0 {
            continue;
        }
        rows += theirs;
        gone.push(file.name.clone());
        let name = format!("part-{:020}-", open.offset());
        let mut files = Files::new(open.place(), table, name, promoted);
        let batches = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|reader| reader.build());
        for batch in batches.map_err(|error| failed(error.into()))? {
            let batch = batch.map_err(|error| failed(error.into()))?;
            let batch = without(&batch, nodes).map_err(&failed)?;
            let batch = read::with_day(table, file.day.as_deref(), &batch).map_err(|error| failed(error.into()))?;
            files.push(batch).await.map_err(&failed)?;
        }
        let written = files.finish().await.map_err(&failed)?;
        added.extend(written.0);
        promoted = written.1;
    }
    if gone.is_empty() {
        return Ok(0);
    }
    let mut actions: Vec<Action> = added.into_iter().map(Action::Add).collect();
    actions.extend(open.removals(|name| gone.iter().any(|file| file == name), true));
    open.commit(actions, promoted, None, DeltaOperation::Delete { predicate: None }).await?;
    Ok(rows)
}

/// How many rows of a file are of these nodes; only that column is decoded.
fn count(file: Bytes, nodes: &BTreeSet<i64>) -> Result<u64, Cause> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let mask = ProjectionMask::columns(reader.parquet_schema(), ["node"]);
    let mut rows = 0;
    for batch in reader.with_projection(mask).with_batch_size(65_536).build()? {
        let batch = batch?;
        let Some(column) = batch.column_by_name("node") else { continue };
        let values = column.as_primitive::<Int64Type>().values();
        rows += values.iter().filter(|node| nodes.contains(node)).count() as u64;
    }
    Ok(rows)
}

fn without(rows: &RecordBatch, nodes: &BTreeSet<i64>) -> Result<RecordBatch, Cause> {
    let Some(column) = rows.column_by_name("node") else { return Ok(rows.clone()) };
    let stay: BooleanArray =
        column.as_primitive::<Int64Type>().values().iter().map(|node| Some(!nodes.contains(node))).collect();
    Ok(filter_record_batch(rows, &stay)?)
}
