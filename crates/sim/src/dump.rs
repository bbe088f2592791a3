//! Derived tables in a form in which two stores can be compared.
//!
//! Row by row, but for what depends on how the log was cut into micro-batches and says nothing: verdicts are laid out one
//! per offset, changes of segments one by one, and message ids and the profiles that changed as one set.

use std::collections::BTreeMap;

use onefold_pipeline::{changes, feed, verdict};
use onefold_state::{Part, Row, Scan, StateStore, Table, Value, schema};

/// Rows by table.
pub type Dump = BTreeMap<&'static str, Vec<Row>>;

/// Every derived table.
///
/// # Panics
/// Where the store fails or a row cannot be read.
pub fn derived(store: &dyn StateStore) -> Dump {
    tables(store, |table| table.part == Part::Derived)
}

/// Every table, kept ones included.
///
/// # Panics
/// Where the store fails or a row cannot be read.
pub fn all(store: &dyn StateStore) -> Dump {
    tables(store, |_| true)
}

fn tables(store: &dyn StateStore, which: impl Fn(&Table) -> bool) -> Dump {
    let mut reader = store.reader().expect("the store is there");
    let mut dump = Dump::new();
    for table in schema::ALL.iter().filter(|table| which(table)) {
        let rows = reader.scan(&Scan::prefix(table, vec![], usize::MAX)).expect("the store is there");
        let rows = match table.name {
            "dedupe_run" => vec![],
            "dedupe_page" => {
                rows.iter().flat_map(ids).collect::<std::collections::BTreeSet<Row>>().into_iter().collect()
            }
            "verdict" => rows.iter().flat_map(verdicts).collect(),
            "segment_change" => rows.iter().flat_map(changes).collect(),
            "profile_change" => {
                rows.iter().flat_map(people).collect::<std::collections::BTreeSet<Row>>().into_iter().collect()
            }
            _ => rows,
        };
        dump.insert(table.name, rows);
    }
    dump
}

fn ids(page: &Row) -> Vec<Row> {
    let ids = page[4].as_bytes().expect("bytes").chunks(16);
    ids.map(|id| vec![page[0].clone(), page[1].clone(), Value::Bytes(id.to_vec())]).collect()
}

fn verdicts(row: &Row) -> Vec<Row> {
    let first = row[1].as_uint().expect("an offset");
    let verdicts = verdict::decode(first, row[3].as_bytes().expect("bytes")).expect("verdicts can be read");
    let each = (first..).zip(verdicts);
    each.map(|(offset, verdict)| vec![row[0].clone(), Value::uint(offset), Value::Text(format!("{verdict:?}"))])
        .collect()
}

fn changes(row: &Row) -> Vec<Row> {
    let changes = changes::decode(row[2].as_bytes().expect("bytes")).expect("changes can be read");
    changes.iter().map(|change| vec![row[0].clone(), Value::Text(format!("{change:?}"))]).collect()
}

fn people(row: &Row) -> Vec<Row> {
    let people = feed::decode(row[2].as_bytes().expect("bytes")).expect("changes can be read");
    let each = people.iter();
    each.map(|(workspace, id)| vec![row[0].clone(), Value::Int(workspace.0.into()), Value::Int(id.0.0)]).collect()
}

/// Where two dumps differ, a line each; at most a few.
pub fn differences(left: &Dump, right: &Dump) -> Vec<String> {
    let mut found = vec![];
    for (table, rows) in left {
        let others = right.get(table).map(Vec::as_slice).unwrap_or_default();
        let place = rows.iter().zip(others).position(|(a, b)| a != b).unwrap_or(rows.len().min(others.len()));
        if rows.len() != others.len() || place < rows.len() {
            let (a, b) = (rows.get(place), others.get(place));
            found.push(format!("{table}: {} and {} rows, at {place}:\n  {a:?}\n  {b:?}", rows.len(), others.len()));
        }
    }
    found
}
