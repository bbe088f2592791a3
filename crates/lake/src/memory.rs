//! Tables in memory, for tests: the contract in its plainest form.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use arrow_array::{BooleanArray, RecordBatch, cast::AsArray as _, types::Int64Type};
use onefold_model::WorkspaceId;
use parking_lot::Mutex;

use crate::{AsOf, Error, Lake, Promoted, Rows, Table, Versions, Write};

type Key = (WorkspaceId, Table);

/// Tables in memory.
#[derive(Default)]
pub struct MemoryLake {
    tables: Mutex<BTreeMap<Key, Contents>>,
    published: Mutex<HashMap<WorkspaceId, Published>>,
}

#[derive(Clone)]
struct Published {
    as_of: AsOf,
    tables: BTreeMap<Table, Contents>,
}

#[derive(Clone, Default)]
struct Contents {
    offset: u64,
    rows: Vec<RecordBatch>,
    promoted: Promoted,
}

impl Lake for MemoryLake {
    fn offset(&self, workspace: WorkspaceId, table: Table) -> Result<u64, Error> {
        Ok(self.tables.lock().get(&(workspace, table)).map_or(0, |contents| contents.offset))
    }

    fn write(&self, workspace: WorkspaceId, write: Write, rows: Rows<'_>) -> Result<(), Error> {
        let Write { table, from, to, replace } = write;
        let mut contents = self.tables.lock().get(&(workspace, table)).cloned().unwrap_or_default();
        if contents.offset != from {
            return Err(Error::Moved { table, expected: from, found: contents.offset });
        }
        if replace {
            contents.rows.clear();
        }
        for rows in rows {
            let rows = rows?;
            contents.promoted.choose(table, &rows);
            contents.rows.push(contents.promoted.add_to(table, &rows)?);
        }
        contents.offset = to;
        self.tables.lock().insert((workspace, table), contents);
        Ok(())
    }

    fn publish(&self, workspace: WorkspaceId, as_of: AsOf) -> Result<(), Error> {
        let tables = self.tables.lock();
        let of_workspace = tables.iter().filter(|((of, _), _)| *of == workspace);
        let tables = of_workspace.map(|((_, table), contents)| (*table, contents.clone())).collect();
        self.published.lock().insert(workspace, Published { as_of, tables });
        Ok(())
    }

    fn published(&self, workspace: WorkspaceId) -> Option<AsOf> {
        self.published.lock().get(&workspace).map(|published| published.as_of)
    }

    fn read(
        &self,
        workspace: WorkspaceId,
        table: Table,
        on: &mut dyn FnMut(RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(Published { tables, .. }) = self.published.lock().get(&workspace).cloned() else { return Ok(()) };
        let latest = tables.get(&Table::Profiles).map(|contents| latest(&contents.rows)).unwrap_or_default();
        for rows in tables.get(&table).map(|contents| contents.rows.as_slice()).unwrap_or_default() {
            on(match table.versions() {
                Versions::None => rows.clone(),
                Versions::OfProfile => keep(rows, &latest)?,
            })?;
        }
        Ok(())
    }

    fn erase(&self, workspace: WorkspaceId, nodes: &BTreeSet<i64>) -> Result<u64, Error> {
        let mut tables = self.tables.lock();
        let mut gone = 0;
        let last = tables.get(&(workspace, Table::Profiles)).map(|contents| latest(&contents.rows)).unwrap_or_default();
        for (table, contents) in tables.iter_mut().filter(|((of, _), _)| *of == workspace).map(|((_, t), c)| (*t, c)) {
            for rows in &mut contents.rows {
                match table {
                    Table::Profiles | Table::Identifiers => *rows = keep(rows, &last)?,
                    Table::Events => {
                        let stay: BooleanArray =
                            numbers(rows, "node").iter().map(|node| Some(!nodes.contains(node))).collect();
                        gone += stay.false_count() as u64;
                        let columns: Result<Vec<_>, _> =
                            rows.columns().iter().map(|column| arrow_select::filter::filter(column, &stay)).collect();
                        *rows = RecordBatch::try_new(rows.schema(), columns?)?;
                    }
                    _ => {}
                }
            }
        }
        drop(tables);
        match self.published(workspace) {
            Some(as_of) => self.publish(workspace, as_of).map(|()| gone),
            None => Ok(gone),
        }
    }

    fn maintain(&self, _: WorkspaceId) -> Result<(), Error> {
        Ok(())
    }
}

fn numbers<'a>(rows: &'a RecordBatch, column: &str) -> &'a [i64] {
    rows.column_by_name(column).map(|column| column.as_primitive::<Int64Type>().values().as_ref()).unwrap_or_default()
}

/// The versions that count: of each profile the last, where it is not that there is none any more.
fn latest(profiles: &[RecordBatch]) -> HashSet<(i64, i64)> {
    let mut last: HashMap<i64, (i64, bool)> = HashMap::new();
    for rows in profiles {
        let gone = rows.column_by_name("gone").map(|column| column.as_boolean().clone());
        for (row, (profile, offset)) in numbers(rows, "profile").iter().zip(numbers(rows, "offset")).enumerate() {
            let gone = gone.as_ref().is_some_and(|gone| gone.value(row));
            let version = last.entry(*profile).or_insert((*offset, gone));
            *version = (*version).max((*offset, gone));
        }
    }
    last.into_iter().filter(|(_, (_, gone))| !gone).map(|(profile, (offset, _))| (profile, offset)).collect()
}

fn keep(rows: &RecordBatch, latest: &HashSet<(i64, i64)>) -> Result<RecordBatch, Error> {
    let versions = numbers(rows, "profile").iter().zip(numbers(rows, "offset"));
    let kept: BooleanArray = versions.map(|(profile, offset)| Some(latest.contains(&(*profile, *offset)))).collect();
    let columns: Result<Vec<_>, _> =
        rows.columns().iter().map(|column| arrow_select::filter::filter(column, &kept)).collect();
    Ok(RecordBatch::try_new(rows.schema(), columns?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_keeps_the_contract() {
        crate::conformance::check(&|| std::sync::Arc::new(MemoryLake::default()));
    }
}
