//! What a micro-batch has decided and not yet written.

use std::collections::{BTreeMap, BTreeSet};

use onefold_model::{NodeId, ProfileId, WorkspaceId};
use onefold_state::{Row, Table, Txn, Value, schema};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{Error, verdict::Verdict};

/// Rows and marks that a transaction is made of.
#[derive(Debug, Default)]
pub struct Effects {
    /// Nodes that changed.
    pub nodes: FxHashSet<NodeId>,
    /// Profiles that changed or went.
    pub profiles: FxHashMap<ProfileId, WorkspaceId>,
    /// Rows to put, by table.
    pub puts: BTreeMap<&'static str, (Tables, Vec<Row>)>,
    /// Keys to delete, by table.
    pub deletes: BTreeMap<&'static str, (Tables, Vec<Row>)>,
    /// Additions to running totals.
    pub tallies: BTreeMap<(WorkspaceId, String), i64>,
    /// Who enters or leaves a segment's list of members: the last word counts.
    pub members: BTreeMap<(WorkspaceId, String, ProfileId), Option<i64>>,
    /// A verdict for each record.
    pub verdicts: Vec<Verdict>,
    /// Numbers the rows that one record makes in one table.
    pub place: i64,
    /// Destinations that have something new.
    pub outbox: BTreeSet<String>,
}

/// A table (`&'static Table` has no order, its name has).
#[derive(Debug, Clone, Copy)]
pub struct Tables(pub &'static Table);

impl Effects {
    /// Puts a row when the batch is written.
    pub fn put(&mut self, table: &'static Table, row: Row) {
        self.puts.entry(table.name).or_insert((Tables(table), vec![])).1.push(row);
    }

    /// Deletes a row when the batch is written, after all puts.
    pub fn delete(&mut self, table: &'static Table, key: Row) {
        self.deletes.entry(table.name).or_insert((Tables(table), vec![])).1.push(key);
    }

    /// Adds to a running total.
    pub fn tally(&mut self, workspace: WorkspaceId, name: &str, by: i64) {
        match self.tallies.get_mut(&(workspace, name.to_owned())) {
            Some(total) => *total += by,
            None => {
                self.tallies.insert((workspace, name.to_owned()), by);
            }
        }
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

    /// Writes the rows, members and totals; nodes and profiles are written by their owner.
    pub fn write(&mut self, txn: &mut dyn Txn) -> Result<(), Error> {
        for ((workspace, segment, profile), since) in std::mem::take(&mut self.members) {
            let mut row = vec![Value::Int(workspace.0.into()), Value::Text(segment), Value::Int(profile.0.0)];
            match since {
                Some(since) => {
                    row.push(Value::Int(since));
                    self.put(&schema::SEGMENT_MEMBER, row);
                }
                None => self.delete(&schema::SEGMENT_MEMBER, row),
            }
        }
        let names: Vec<Row> =
            self.tallies.keys().map(|(w, name)| vec![Value::Int(w.0.into()), Value::Text(name.clone())]).collect();
        let totals = txn.get(&schema::TALLY, &names)?;
        let mut rows = Vec::with_capacity(names.len());
        for ((mut key, total), by) in names.into_iter().zip(totals).zip(std::mem::take(&mut self.tallies).into_values()) {
            let before = total.map_or(Ok(0), |row| row[2].as_int())?;
            key.push(Value::Int(before + by));
            rows.push(key);
        }
        txn.put(&schema::TALLY, rows)?;
        for (table, rows) in std::mem::take(&mut self.puts).into_values() {
            txn.put(table.0, rows)?;
        }
        for (table, keys) in std::mem::take(&mut self.deletes).into_values() {
            txn.delete(table.0, &keys)?;
        }
        Ok(())
    }
}
