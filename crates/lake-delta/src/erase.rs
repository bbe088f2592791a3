//! Takes people out of the tables for good: rows, versions of rows that no longer count, and the files that had them.
//!
//! What describes files (Delta's log, its checkpoints, statistics) holds numbers and times only, so it may stay.

use std::{collections::BTreeSet, sync::Arc};

use arrow_array::{BooleanArray, RecordBatch, cast::AsArray as _, types::Int64Type};
use arrow_select::filter::filter_record_batch;
use bytes::Bytes;
use deltalake_core::{kernel::Action, protocol::DeltaOperation};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::ObjectStoreExt as _;
use onefold_lake::{Error, Table, Versions};
use onefold_model::WorkspaceId;
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

use crate::{
    DeltaLake,
    commit::Open,
    error::{Cause, failed},
    files::Encoded,
    maintain::{act, keep_versions_that_count, vacuum},
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

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 8192;

/// Files that are written anew at a time.
const AT_ONCE: usize = 2;

/// Writes the files that have rows of these nodes anew, without them and otherwise as they are.
async fn drop_rows(open: &mut Open, view: &Arc<View>, nodes: &BTreeSet<i64>) -> Result<u64, Error> {
    let (workspace, table) = (open.workspace(), view.table);
    let failed = failed::<Cause>("erasing from", workspace, table);
    let name = format!("part-{:020}-", open.offset());
    let nodes = Arc::new(nodes.clone());
    let may_have = |file: &&File| {
        let range = file.ranges.get("node");
        range.is_none_or(|(least, greatest)| nodes.range(*least..=*greatest).next().is_some())
    };
    let place = open.place();
    let rewritten = stream::iter(view.files.iter().filter(may_have)).map(async |file: &File| {
        let bytes = place.store.get(&file.path).await?.bytes().await?;
        let nodes = nodes.clone();
        let rest = tokio::task::spawn_blocking(move || rest_of(table, &bytes, &nodes));
        let Some((rows, rest)) = rest.await.map_err(std::io::Error::other)?? else { return Ok(None) };
        let added = match rest {
            Some(rest) => Some(rest.put(place, table, &name, file.day.clone()).await?),
            None => None,
        };
        Ok::<_, Cause>(Some((rows, file.name.clone(), added)))
    });
    let rewritten: Vec<_> = rewritten.buffered(AT_ONCE).try_collect().await.map_err(&failed)?;
    let (mut rows, mut gone, mut added) = (0, vec![], vec![]);
    for (count, name, file) in rewritten.into_iter().flatten() {
        rows += count;
        gone.push(name);
        added.extend(file);
    }
    if gone.is_empty() {
        return Ok(0);
    }
    let mut actions: Vec<Action> = added.into_iter().map(Action::Add).collect();
    actions.extend(open.removals(|name| gone.iter().any(|file| file == name), true));
    let promoted = open.promoted();
    open.commit(actions, promoted, None, DeltaOperation::Delete { predicate: None }).await?;
    Ok(rows)
}

/// How many rows of a file are of these nodes, and the file without them, if anything is left; `None`: it has none of theirs.
fn rest_of(table: Table, file: &Bytes, nodes: &BTreeSet<i64>) -> Result<Option<(u64, Option<Encoded>)>, Cause> {
    let theirs = count(file.clone(), nodes)?;
    if theirs == 0 {
        return Ok(None);
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone())?.with_batch_size(BATCH_ROWS);
    let all = reader.metadata().file_metadata().num_rows() as u64;
    let schema = reader.schema().clone();
    let batches = reader.build()?.map(|batch| without(&batch?, nodes));
    let rest = if all > theirs { Some(Encoded::of(table, &schema, batches)?) } else { None };
    Ok(Some((theirs, rest)))
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
