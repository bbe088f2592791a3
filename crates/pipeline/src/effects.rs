//! What a micro-batch has decided and not yet written.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use onefold_model::{NodeId, ProfileId, WorkspaceId};
use onefold_state::{Row, Table, Txn, Value, schema};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{Error, changes::Change, ledger, verdict::Verdict};

/// Rows and marks that a transaction is made of.
#[derive(Debug, Default)]
pub struct Effects {
    /// Nodes that changed.
    pub nodes: FxHashSet<NodeId>,
    /// Profiles that changed or went.
    pub profiles: FxHashMap<ProfileId, WorkspaceId>,
    /// Rows put and deleted, by table, in the order in which that was decided: what went may come again.
    pub writes: BTreeMap<&'static str, (&'static Table, Vec<Write>)>,
    /// Series that nobody keeps any more: prefixes of their chunks.
    pub series_gone: Vec<Row>,
    /// Additions to running totals.
    pub tallies: BTreeMap<(WorkspaceId, Cow<'static, str>), i64>,
    /// By segment, its name and how many more members it has.
    pub grown: BTreeMap<(WorkspaceId, u32), (Arc<str>, i64)>,
    /// Who entered and left, in order.
    pub changes: Vec<Change>,
    /// Profiles that came, went, or changed their nodes, traits or consent.
    pub people: BTreeSet<(WorkspaceId, ProfileId)>,
    /// A verdict for each record.
    pub verdicts: Vec<Verdict>,
    /// The log offset of the record at work.
    pub offset: u64,
    /// Numbers the rows that the record at work makes in one table.
    pub place: i64,
    /// Workspaces whose definitions changed, and at which offset.
    redefined: BTreeMap<WorkspaceId, u64>,
    /// Destinations that have something new.
    pub outbox: BTreeSet<String>,
}

/// Rows or keys of one table that are written at once.
#[derive(Debug)]
pub enum Write {
    /// Rows to put.
    Put(Vec<Row>),
    /// Keys to delete.
    Delete(Vec<Row>),
}

impl Effects {
    /// The record at `offset` is at work.
    pub fn begin(&mut self, offset: u64) {
        (self.offset, self.place) = (offset, 0);
    }

    /// The record at work changes what a workspace has defined, if this is a row or a key of a table that says so.
    pub fn note(&mut self, table: &Table, row: &Row) {
        let defines = [&schema::DEFINITION, &schema::METRIC, &schema::ENTITY_TYPE].map(|table| table.name);
        if let (true, Some(Value::Int(workspace))) = (defines.contains(&table.name), row.first()) {
            self.redefined.insert(WorkspaceId(*workspace as u32), self.offset);
        }
    }

    /// The record at work changes what a workspace has defined.
    pub fn redefine(&mut self, workspace: WorkspaceId) {
        self.redefined.insert(workspace, self.offset);
    }

    /// Puts a row when the batch is written.
    pub fn put(&mut self, table: &'static Table, row: Row) {
        self.note(table, &row);
        let writes = &mut self.writes.entry(table.name).or_insert((table, vec![])).1;
        match writes.last_mut() {
            Some(Write::Put(rows)) => rows.push(row),
            _ => writes.push(Write::Put(vec![row])),
        }
    }

    /// Deletes a row when the batch is written.
    pub fn delete(&mut self, table: &'static Table, key: Row) {
        self.note(table, &key);
        let writes = &mut self.writes.entry(table.name).or_insert((table, vec![])).1;
        match writes.last_mut() {
            Some(Write::Delete(keys)) => keys.push(key),
            _ => writes.push(Write::Delete(vec![key])),
        }
    }

    /// Adds to a running total.
    pub fn tally(&mut self, workspace: WorkspaceId, name: impl Into<Cow<'static, str>>, by: i64) {
        *self.tallies.entry((workspace, name.into())).or_default() += by;
    }

    /// The next place among the rows that the record at work makes.
    pub fn next_place(&mut self) -> i64 {
        self.place += 1;
        self.place - 1
    }

    /// Raises something that a person should look at.
    pub fn alarm(&mut self, workspace: WorkspaceId, offset: u64, at_ms: i64, kind: &str, detail: String) {
        let place = self.next_place();
        let key = [i64::from(workspace.0), offset as i64, place].map(Value::Int);
        let rest = [Value::Text(kind.to_owned()), Value::Int(at_ms), Value::Text(detail)];
        self.put(&schema::ALARM, key.into_iter().chain(rest).collect());
    }

    /// Writes the rows and totals; nodes and profiles are written by their owner.
    pub fn write(&mut self, txn: &mut dyn Txn) -> Result<(), Error> {
        for ((workspace, _), (segment, grown)) in std::mem::take(&mut self.grown) {
            self.tally(workspace, format!("segment.{segment}"), grown);
        }
        let names: Vec<Row> =
            self.tallies.keys().map(|(w, name)| vec![Value::Int(w.0.into()), Value::Text(name.to_string())]).collect();
        let totals = txn.get(&schema::TALLY, &names)?;
        let mut rows = Vec::with_capacity(names.len());
        for ((mut key, total), by) in names.into_iter().zip(totals).zip(std::mem::take(&mut self.tallies).into_values())
        {
            let before = total.map_or(Ok(0), |row| row[2].as_int())?;
            key.push(Value::Int(before + by));
            rows.push(key);
        }
        txn.put(&schema::TALLY, rows)?;
        for (table, writes) in std::mem::take(&mut self.writes).into_values() {
            for write in writes {
                match write {
                    Write::Put(mut rows) => {
                        if table.name == schema::CONSENT.name {
                            ledger::link(txn, &mut rows)?;
                        }
                        txn.put(table, rows)?;
                    }
                    Write::Delete(keys) => txn.delete(table, &keys)?,
                }
            }
        }
        let redefined = std::mem::take(&mut self.redefined).into_iter();
        let rows = redefined.map(|(workspace, offset)| vec![Value::Int(workspace.0.into()), Value::Int(offset as i64)]);
        txn.put(&schema::DEFINED, rows.collect())?;
        for prefix in std::mem::take(&mut self.series_gone) {
            txn.delete_prefix(&schema::SERIES_CHUNK, &prefix)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onefold_state::{MemoryStore, StateStore};

    #[test]
    fn of_puts_and_deletes_the_last_counts() {
        let store = MemoryStore::new(schema::ALL);
        let epoch = store.take_over(0).unwrap();
        let key = |name: &str| vec![Value::Int(1), Value::Text(name.to_owned())];
        let row = |name: &str, value: i64| key(name).into_iter().chain([Value::Int(value)]).collect::<Row>();
        let mut effects = Effects::default();
        effects.put(&schema::TALLY, row("a", 1));
        effects.delete(&schema::TALLY, key("a"));
        effects.put(&schema::TALLY, row("a", 2));
        effects.put(&schema::TALLY, row("b", 1));
        effects.delete(&schema::TALLY, key("b"));
        let mut txn = store.begin(0, epoch, None).unwrap();
        effects.write(&mut *txn).unwrap();
        assert_eq!(txn.get(&schema::TALLY, &[key("a"), key("b")]).unwrap(), [Some(row("a", 2)), None]);
    }
}
