//! What only a file can do: be older, newer, damaged, closed in the middle, and hold what was erased.

use std::{fs, path::Path, time::Duration};

use onefold_state::{
    Column, Error, Index, Part, Row, Scan, SqliteSettings, SqliteStore, StateStore, Table, Txn, Value,
    conformance::{RECEIPT, TABLES, THING},
};

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, TABLES, SqliteSettings::default()).unwrap()
}

fn refusal(path: &Path) -> String {
    SqliteStore::open(path, TABLES, SqliteSettings::default()).err().unwrap().to_string()
}

fn thing(id: i64, body: Vec<u8>) -> Row {
    vec![1_i64.into(), id.into(), "x".into(), id.into(), Value::Null, body.into()]
}

fn receipt(id: i64) -> Row {
    vec![id.into(), "note".into()]
}

fn commit(mut txn: Box<dyn Txn + '_>, table: &'static Table, rows: Vec<Row>) -> Result<(), Error> {
    txn.put(table, rows)?;
    txn.commit()
}

#[test]
fn what_was_committed_is_there_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(&path);
    let epoch = store.take_over(1).unwrap();
    let generation = store.new_generation().unwrap();
    store.swap(generation, &mut |_| Ok(())).unwrap();
    commit(store.begin(1, epoch, None).unwrap(), &THING, vec![thing(1, vec![1])]).unwrap();
    let building = store.new_generation().unwrap();
    drop(store);

    let store = open(&path);
    assert_eq!(store.reader().unwrap().count(&THING, &[]).unwrap(), 1);
    store.begin(1, epoch, Some(building)).unwrap();
    assert!(store.take_over(1).unwrap() > epoch);
    // An operator finds the table under its plain name.
    let db = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(db.query_row("SELECT count(*) FROM thing WHERE name = 'x'", [], |row| row.get(0)), Ok(1));
}

static OLD_RECEIPT: Table = Table { columns: &[Column::int("id"), Column::text("note")], indexes: &[], ..NEW_RECEIPT };
static OLD_SUM: Table = Table { columns: &[Column::int("id")], indexes: &[], ..NEW_SUM };
static RECEIPT_2: Table = NEW_RECEIPT;
static SUM_2: Table = NEW_SUM;
static EXTRA: Table =
    Table { name: "extra", part: Part::Derived, key: 1, columns: &[Column::text("id")], indexes: &[] };
const NEW_RECEIPT: Table = Table {
    name: "receipt",
    part: Part::Kept,
    key: 1,
    columns: &[Column::int("id"), Column::text("note"), Column::text("by").or_null()],
    indexes: &[Index { name: "by_note", columns: &["note"] }],
};
const NEW_SUM: Table = Table {
    name: "sum",
    part: Part::Derived,
    key: 1,
    columns: &[Column::int("id"), Column::int("due").or_null()],
    indexes: &[Index { name: "by_due", columns: &["due"] }],
};
const OLD: &[&Table] = &[&OLD_RECEIPT, &OLD_SUM];
const NEW: &[&Table] = &[&RECEIPT_2, &SUM_2, &EXTRA];

#[test]
fn an_older_file_gets_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = SqliteStore::open(&path, OLD, SqliteSettings::default()).unwrap();
    let epoch = store.take_over(0).unwrap();
    commit(store.begin_shared().unwrap(), &OLD_RECEIPT, vec![receipt(1)]).unwrap();
    commit(store.begin_shared().unwrap(), &OLD_SUM, vec![vec![1_i64.into()]]).unwrap();
    let building = store.new_generation().unwrap();
    commit(store.begin(0, epoch, Some(building)).unwrap(), &OLD_SUM, vec![vec![2_i64.into()]]).unwrap();
    drop(store);

    let store = SqliteStore::open(&path, NEW, SqliteSettings::default()).unwrap();
    let receipts = store.reader().unwrap().scan(&Scan::prefix(&RECEIPT_2, vec![], 9)).unwrap();
    assert_eq!(receipts, [vec![1_i64.into(), "note".into(), Value::Null]]);
    let mut txn = store.begin(0, epoch, Some(building)).unwrap();
    txn.put(&SUM_2, vec![vec![2_i64.into(), 7_i64.into()]]).unwrap();
    txn.put(&EXTRA, vec![vec!["x".into()]]).unwrap();
    let by_due = Scan { index: Some("by_due"), ..Scan::prefix(&SUM_2, vec![], 9) };
    assert_eq!(txn.scan(&by_due).unwrap(), [[Value::Int(2), Value::Int(7)]]);
    txn.commit().unwrap();
    commit(store.begin_shared().unwrap(), &EXTRA, vec![vec!["y".into()]]).unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(db.query_row("SELECT count(due) + count(*) FROM sum", [], |row| row.get(0)), Ok(1));
    let indexes =
        "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE INDEX%' ORDER BY 1)";
    let names: String = db.query_row(indexes, [], |row| row.get(0)).unwrap();
    assert_eq!(names, "g1_sum__by_due,g2_sum__by_due,receipt__by_note");
}

#[test]
fn a_newer_or_damaged_file_is_refused_with_a_cure() {
    let folder = tempfile::tempdir().unwrap();
    let newer = folder.path().join("newer.db");
    drop(open(&newer));
    let db = rusqlite::Connection::open(&newer).unwrap();
    let version = "UPDATE meta SET value = value + 7 WHERE key = 'version' RETURNING value";
    let version: i64 = db.query_row(version, [], |row| row.get(0)).unwrap();
    drop(db);
    assert_eq!(
        refusal(&newer),
        format!(
            "open the state: it was written by a newer version (schema {version}, and this one knows up to {}). \
             Run that version or a later one, or restore a backup made before the upgrade",
            version - 7
        )
    );

    let foreign = folder.path().join("foreign.db");
    fs::write(&foreign, "not a database at all".repeat(1_000)).unwrap();
    assert_eq!(
        refusal(&foreign),
        "open the state: the file is no SQLite database. Restore it from a backup, or name another file"
    );

    let damaged = folder.path().join("damaged.db");
    drop(open(&damaged));
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[100..8_000].fill(0xa5);
    fs::write(&damaged, bytes).unwrap();
    assert!(refusal(&damaged).ends_with("Restore it from a backup"), "{}", refusal(&damaged));

    let absent = SqliteStore::open(folder.path().join("no/such/state.db"), TABLES, SqliteSettings::default());
    assert!(matches!(absent.err(), Some(Error::Unavailable { .. })));
}

#[test]
fn a_full_disk_keeps_nothing_and_can_be_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    // A bound on the file is to SQLite what a full disk is.
    let settings = SqliteSettings { file_bytes_max: Some(1 << 20), ..SqliteSettings::default() };
    let store = SqliteStore::open(&path, TABLES, settings).unwrap();
    let mut txn = store.begin_shared().unwrap();
    txn.put(&RECEIPT, vec![receipt(1)]).unwrap();
    let full = (0..200).try_for_each(|id| txn.put(&THING, vec![thing(id, vec![7; 20_000])]));
    let full = full.unwrap_err();
    assert!(matches!(full, Error::Full { .. }) && full.is_retryable(), "{full}");
    // The transaction has ended: nothing may take effect on its own now.
    assert!(txn.put(&RECEIPT, vec![receipt(2)]).is_err());
    assert!(txn.commit().is_err());
    assert_eq!(store.reader().unwrap().count(&RECEIPT, &[]).unwrap(), 0);
    commit(store.begin_shared().unwrap(), &RECEIPT, vec![receipt(3)]).unwrap();
    assert_eq!(store.reader().unwrap().count(&RECEIPT, &[]).unwrap(), 1);
}

#[test]
fn who_waits_too_long_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let settings = SqliteSettings { wait: Duration::from_millis(20), readers_max: 1, ..SqliteSettings::default() };
    let store = SqliteStore::open(&path, TABLES, settings).unwrap();
    let unavailable = |result: Option<Error>| matches!(result, Some(error) if error.is_retryable());

    let txn = store.begin_shared().unwrap();
    assert!(unavailable(store.begin_shared().err()));
    drop(txn);
    let reader = store.reader().unwrap();
    assert!(unavailable(store.reader().err()));
    // A checkpoint cannot empty the log under a reader of an older moment.
    commit(store.begin_shared().unwrap(), &RECEIPT, vec![receipt(1)]).unwrap();
    assert!(unavailable(store.checkpoint().err()));
    drop(reader);
    store.checkpoint().unwrap();

    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(unavailable(store.begin_shared().err()));
    other.execute_batch("ROLLBACK").unwrap();
    commit(store.begin_shared().unwrap(), &RECEIPT, vec![receipt(2)]).unwrap();
}

#[test]
fn the_write_ahead_log_is_folded_in_beside_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let settings = SqliteSettings { checkpoint_pages: 64, ..SqliteSettings::default() };
    let store = SqliteStore::open(&path, TABLES, settings).unwrap();
    for id in 0..2_000 {
        commit(store.begin_shared().unwrap(), &THING, vec![thing(id, vec![7; 20_000])]).unwrap();
    }
    let log = fs::metadata(path.with_extension("db-wal")).unwrap().len();
    assert!(log < 5_000_000, "of 40 MB written, {log} bytes stand in the log");
    store.checkpoint().unwrap();
    assert_eq!(fs::metadata(path.with_extension("db-wal")).unwrap().len(), 0);
}

/// Each commit is large enough to wake the thread, which is then busy when the checkpoint is asked for.
#[test]
fn a_checkpoint_waits_for_the_one_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SqliteSettings { checkpoint_pages: 1_500, ..SqliteSettings::default() };
    let store = SqliteStore::open(folder.path().join("state.db"), TABLES, settings).unwrap();
    for round in 0..10 {
        let rows = (0..1_000).map(|id| thing(id, vec![round; 20_000])).collect();
        commit(store.begin_shared().unwrap(), &THING, rows).unwrap();
        store.checkpoint().unwrap();
    }
}

/// Rows move between pages while others come and go, and a page that is left behind must not keep a copy.
#[test]
fn no_file_holds_what_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("state.db"));
    let marked = |id: i64| format!("<secret {id:06}>").into_bytes();
    let body = |id: i64, round: i64| {
        let mut body = marked(id);
        body.resize(40 + ((id * 37 + round * 101) % 900) as usize * (1 + (id % 50 == 0) as usize * 20), b'.');
        body
    };
    let order = |round: i64| (0..3_000).map(move |place| (place * 1_117 + round * 13) % 3_000);
    for round in 0..4 {
        for ids in order(round).collect::<Vec<_>>().chunks(250) {
            commit(store.begin_shared().unwrap(), &THING, ids.iter().map(|id| thing(*id, body(*id, round))).collect())
                .unwrap();
        }
        let mut txn = store.begin_shared().unwrap();
        let gone: Vec<Row> =
            order(round).filter(|id| id % 4 == round).map(|id| vec![1_i64.into(), id.into()]).collect();
        txn.delete(&THING, &gone).unwrap();
        txn.commit().unwrap();
    }
    let mut txn = store.begin_shared().unwrap();
    txn.delete(
        &THING,
        &(0..3_000_i64).filter(|id| id % 3 != 0).map(|id| vec![1_i64.into(), id.into()]).collect::<Vec<_>>(),
    )
    .unwrap();
    txn.commit().unwrap();
    let before = store.reader().unwrap().scan(&Scan::prefix(&THING, vec![], 9_999)).unwrap();
    store.checkpoint().unwrap();
    // What was overwritten was nothing that counts, and what the store remembers of the pages does not bring it back.
    assert_eq!(store.reader().unwrap().scan(&Scan::prefix(&THING, vec![], 9_999)).unwrap(), before);
    commit(store.begin_shared().unwrap(), &THING, before).unwrap();
    store.checkpoint().unwrap();
    let db = rusqlite::Connection::open(folder.path().join("state.db")).unwrap();
    assert_eq!(db.query_row("PRAGMA integrity_check", [], |row| row.get(0)), Ok("ok".to_owned()));

    let kept: Vec<i64> = store
        .reader()
        .unwrap()
        .scan(&Scan::prefix(&THING, vec![], 9_999))
        .unwrap()
        .iter()
        .map(|row| row[1].as_int().unwrap())
        .collect();
    let files: Vec<Vec<u8>> =
        fs::read_dir(folder.path()).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    let found: std::collections::BTreeSet<i64> = files
        .iter()
        .flat_map(|bytes| bytes.windows(15).filter(|window| window.starts_with(b"<secret ") && window[14] == b'>'))
        .map(|window| std::str::from_utf8(&window[8..14]).unwrap().parse().unwrap())
        .collect();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), kept);
}
