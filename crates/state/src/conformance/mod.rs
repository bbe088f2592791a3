//! The suite that every store passes: one check per promise of the contract on [`StateStore`].
//!
//! A check asserts, so it panics where the promise is broken, and gives the error of a call that should have worked.

mod generations;
mod scans;
mod transactions;

use crate::{Column, Epoch, Error, Index, Part, Partition, Row, Scan, StateStore, Table, Txn, Value};

/// Derived: a key of two columns, nullable columns in indexes, a large column.
pub static THING: Table = Table {
    name: "thing",
    part: Part::Derived,
    key: 2,
    columns: &[
        Column::int("workspace"),
        Column::int("id"),
        Column::text("name"),
        Column::int("due").or_null(),
        Column::int("group").or_null(),
        Column::bytes("body").or_null(),
    ],
    indexes: &[
        Index { name: "by_name", columns: &["workspace", "name"] },
        Index { name: "by_due", columns: &["due"] },
        Index { name: "by_group", columns: &["workspace", "group"] },
    ],
};

/// Derived: keyed by text.
pub static LABEL: Table = Table {
    name: "label",
    part: Part::Derived,
    key: 1,
    columns: &[Column::text("name"), Column::bytes("value")],
    indexes: &[],
};

/// Derived: keyed by bytes, and nothing but the key.
pub static DIGEST: Table = Table {
    name: "digest",
    part: Part::Derived,
    key: 2,
    columns: &[Column::bytes("hash"), Column::int("n")],
    indexes: &[],
};

/// Kept: keyed by one integer.
pub static RECEIPT: Table = Table {
    name: "receipt",
    part: Part::Kept,
    key: 1,
    columns: &[Column::int("id"), Column::text("note")],
    indexes: &[Index { name: "by_note", columns: &["note"] }],
};

/// The tables that the store under test is made of.
pub const TABLES: &[&Table] = &[&THING, &LABEL, &DIGEST, &RECEIPT];

/// A check: it is given an empty store of [`TABLES`].
pub type Check = fn(&dyn StateStore) -> Result<(), Error>;

/// All checks, by name.
pub const CHECKS: &[(&str, Check)] = &[
    ("commit_is_atomic", transactions::commit_is_atomic),
    ("a_put_replaces_and_the_last_of_a_batch_stays", transactions::a_put_replaces),
    ("a_transaction_reads_its_own_writes", transactions::reads_its_own_writes),
    ("a_reader_sees_one_moment", transactions::a_reader_sees_one_moment),
    ("an_old_epoch_is_fenced_at_begin", transactions::fenced_at_begin),
    ("taking_over_fences_an_open_transaction_or_waits_for_it", transactions::fenced_while_open),
    ("partitions_are_fenced_one_by_one", transactions::four_partitions),
    ("transactions_of_threads_are_serialised", transactions::threads_are_serialised),
    ("misshapen_rows_are_refused", transactions::misshapen_rows_are_refused),
    ("large_and_empty_values_come_back", transactions::large_and_empty_values),
    ("prefixes_are_counted_and_deleted", transactions::prefixes),
    ("large_batches_are_one_transaction", transactions::large_batches),
    ("integers_are_ordered_by_value", scans::integers_by_value),
    ("text_and_bytes_are_ordered_by_their_bytes", scans::text_and_bytes_by_bytes),
    ("an_index_leaves_out_null_and_orders_null_first", scans::null_in_indexes),
    ("a_scan_has_prefix_position_and_end", scans::bounds),
    ("pages_lose_and_repeat_nothing", scans::pages),
    ("positions_outside_the_prefix", scans::positions_outside_the_prefix),
    ("a_scan_that_does_not_fit_is_refused", scans::misfits),
    ("a_generation_is_unseen_until_the_swap", generations::unseen_until_the_swap),
    ("an_unfinished_generation_goes", generations::an_unfinished_one_goes),
    ("a_failed_swap_changes_nothing", generations::a_failed_swap_changes_nothing),
    ("a_reader_outlives_a_swap", generations::a_reader_outlives_a_swap),
    ("what_is_not_under_construction_is_refused", generations::unknown_ones_are_refused),
];

/// Runs every check, each on a new store by `make`.
///
/// # Panics
/// Where the store breaks a promise.
pub fn run(mut make: impl FnMut(&str) -> Box<dyn StateStore>) {
    for (name, check) in CHECKS {
        let store = make(name);
        if let Err(error) = check(&*store) {
            panic!("{} breaks {name}: {error}", store.kind());
        }
    }
}

/// A row of [`THING`] without the nullable columns.
fn thing(workspace: i64, id: i64, name: &str) -> Row {
    vec![workspace.into(), id.into(), name.into(), Value::Null, Value::Null, Value::Null]
}

/// A row of [`THING`] with values in its indexed columns.
fn due(workspace: i64, id: i64, due: Option<i64>, group: Option<i64>) -> Row {
    vec![workspace.into(), id.into(), "".into(), due.into(), group.into(), Value::Null]
}

fn receipt(id: i64, note: &str) -> Row {
    vec![id.into(), note.into()]
}

fn key(values: &[i64]) -> Row {
    values.iter().map(|value| Value::Int(*value)).collect()
}

fn all(table: &'static Table) -> Scan {
    Scan::prefix(table, vec![], usize::MAX)
}

/// Commits `write` as the pipeline of partition 0.
fn commit(
    store: &dyn StateStore,
    write: impl FnOnce(&mut dyn Txn) -> Result<(), Error>,
) -> Result<(Partition, Epoch), Error> {
    let epoch = store.take_over(0)?;
    let mut txn = store.begin(0, epoch, None)?;
    write(&mut *txn)?;
    txn.commit()?;
    Ok((0, epoch))
}

/// The committed rows of a table.
fn rows(store: &dyn StateStore, table: &'static Table) -> Result<Vec<Row>, Error> {
    store.reader()?.scan(&all(table))
}

/// The second column of rows of [`THING`]: their ids.
fn ids(rows: &[Row]) -> Result<Vec<i64>, Error> {
    rows.iter().map(|row| row[1].as_int()).collect()
}
