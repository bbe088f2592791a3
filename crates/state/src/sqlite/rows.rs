//! Rows in and out of SQLite, for whoever has a connection in a transaction.
//!
//! A batch of keys is one prepared statement run many times, in key order, so that neighbours meet the same pages.

use std::{cell::RefCell, rc::Rc};

use rusqlite::{
    CachedStatement, Connection, OptionalExtension, Statement, ToSql,
    types::{ToSqlOutput, ValueRef},
};

use rustc_hash::FxHashMap;

use crate::{
    Epoch, Generation, Partition, Row, Scan, Table, Value,
    migrate::{Catalog, Meta},
    plan::Plan,
    sql::{self, Dialect::Sqlite},
    sqlite::error::foreign_value,
};

type Result<T> = rusqlite::Result<T>;

impl ToSql for Value {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A statement about rows by their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Verb {
    Get,
    Put,
    PutUnindexed,
    Delete,
}

/// Texts that a thread keeps. Each rebuild brings new ones.
const TEXTS_MAX: usize = 1000;

/// The text of a statement, which is asked for with every few rows and made once.
fn text(verb: Verb, table: &'static Table, generation: Generation) -> Rc<str> {
    type Texts = FxHashMap<(Verb, *const Table, Generation), Rc<str>>;
    thread_local! {
        static TEXTS: RefCell<Texts> = RefCell::default();
    }
    TEXTS.with_borrow_mut(|texts| {
        if texts.len() > TEXTS_MAX {
            texts.clear();
        }
        let make = || match verb {
            Verb::Get => sql::get(Sqlite, table, generation).into(),
            Verb::Put => sql::put(Sqlite, table, generation).into(),
            // Empty where there is no such statement.
            Verb::PutUnindexed => sql::put_unindexed(table, generation).unwrap_or_default().into(),
            Verb::Delete => sql::delete(Sqlite, table, generation).into(),
        };
        texts.entry((verb, std::ptr::from_ref(table), generation)).or_insert_with(make).clone()
    })
}

pub(super) fn get(
    db: &Connection,
    table: &'static Table,
    generation: Generation,
    keys: &[Row],
) -> Result<Vec<Option<Row>>> {
    let mut statement = db.prepare_cached(&text(Verb::Get, table, generation))?;
    let mut found = vec![None; keys.len()];
    let mut one = |place: usize| -> Result<()> {
        bind(&mut statement, &keys[place])?;
        found[place] = statement.raw_query().next()?.map(|row| read(row, table)).transpose()?;
        Ok(())
    };
    if keys.is_sorted() {
        (0..keys.len()).try_for_each(&mut one)?;
    } else {
        let mut places: Vec<usize> = (0..keys.len()).collect();
        places.sort_unstable_by(|left, right| keys[*left].cmp(&keys[*right]));
        places.into_iter().try_for_each(&mut one)?;
    }
    Ok(found)
}

pub(super) fn scan(db: &Connection, generation: Generation, scan: &Scan, plan: &Plan<'_>) -> Result<Vec<Row>> {
    let (text, values) = sql::scan(Sqlite, scan.table, generation, plan);
    let mut statement = db.prepare_cached(&text)?;
    for (place, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(place + 1, value)?;
    }
    statement.raw_bind_parameter(values.len() + 1, i64::try_from(plan.limit).unwrap_or(i64::MAX))?;
    let mut rows = statement.raw_query();
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        page.push(read(row, scan.table)?);
    }
    Ok(page)
}

pub(super) fn count(db: &Connection, table: &Table, generation: Generation, prefix: &[Value]) -> Result<u64> {
    let mut statement = db.prepare_cached(&sql::count(Sqlite, table, generation, prefix.len()))?;
    bind(&mut statement, prefix)?;
    let mut rows = statement.raw_query();
    let count: i64 = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?.get(0)?;
    Ok(count.unsigned_abs())
}

/// Writes `rows`; of two with one key the later stays.
pub(super) fn put(db: &Connection, table: &'static Table, generation: Generation, mut rows: Vec<Row>) -> Result<()> {
    // A stable sort: of two with one key, the later is still the later.
    rows.sort_by(|left, right| left[..table.key].cmp(&right[..table.key]));
    let unindexed = text(Verb::PutUnindexed, table, generation);
    let mut unindexed = (!unindexed.is_empty()).then(|| db.prepare_cached(&unindexed)).transpose()?;
    let mut replace = db.prepare_cached(&text(Verb::Put, table, generation))?;
    for row in &rows {
        if let Some(unindexed) = &mut unindexed {
            bind(unindexed, row)?;
            if unindexed.raw_execute()? > 0 {
                continue;
            }
        }
        bind(&mut replace, row)?;
        replace.raw_execute()?;
    }
    Ok(())
}

pub(super) fn delete(db: &Connection, table: &'static Table, generation: Generation, keys: &[Row]) -> Result<()> {
    let mut statement = db.prepare_cached(&text(Verb::Delete, table, generation))?;
    keys.iter().try_for_each(|key| {
        bind(&mut statement, key)?;
        statement.raw_execute().map(drop)
    })
}

pub(super) fn delete_prefix(db: &Connection, table: &Table, generation: Generation, prefix: &[Value]) -> Result<u64> {
    let mut statement = db.prepare_cached(&sql::delete_prefix(Sqlite, table, generation, prefix.len()))?;
    bind(&mut statement, prefix)?;
    Ok(statement.raw_execute()? as u64)
}

/// The newest epoch of a partition.
pub(super) fn epoch(db: &Connection, partition: Partition) -> Result<Option<Epoch>> {
    let mut statement: CachedStatement<'_> = db.prepare_cached("SELECT epoch FROM epoch WHERE partition = ?1")?;
    let epoch: Option<i64> = statement.query_row([partition], |row| row.get(0)).optional()?;
    Ok(epoch.map(i64::unsigned_abs))
}

pub(super) fn set_epoch(db: &Connection, partition: Partition, epoch: Epoch) -> Result<()> {
    let epoch = i64::try_from(epoch).unwrap_or(i64::MAX);
    db.execute("REPLACE INTO epoch (partition, epoch) VALUES (?1, ?2)", (partition, epoch)).map(drop)
}

pub(super) fn meta(db: &Connection) -> Result<Meta> {
    let mut statement = db.prepare_cached("SELECT key, value FROM meta")?;
    let rows: Vec<(String, i64)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_>>()?;
    Ok(Meta::from_rows(rows))
}

/// The current generation alone, which every reader asks for.
pub(super) fn generation(db: &Connection) -> Result<Generation> {
    let mut statement = db.prepare_cached("SELECT value FROM meta WHERE key = 'generation'")?;
    let generation: Option<i64> = statement.query_row([], |row| row.get(0)).optional()?;
    Ok(generation.map_or(Meta::NEW.generation, i64::unsigned_abs))
}

pub(super) fn set_meta(db: &Connection, meta: Meta) -> Result<()> {
    meta.to_rows()
        .into_iter()
        .try_for_each(|row| db.execute("REPLACE INTO meta (key, value) VALUES (?1, ?2)", row).map(drop))
}

/// What the database has.
pub(super) fn catalog(db: &Connection) -> Result<Catalog> {
    let mut catalog = Catalog::default();
    let text = "SELECT s.type, s.name, c.name FROM sqlite_schema s LEFT JOIN pragma_table_info(s.name) c \
                ON s.type = 'table' WHERE s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let mut statement = db.prepare(text)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        match kind.as_str() {
            "table" => drop(catalog.tables.entry(name).or_default().insert(row.get(2)?)),
            "index" => drop(catalog.indexes.insert(name)),
            "view" => drop(catalog.views.insert(name)),
            _ => {}
        }
    }
    Ok(catalog)
}

/// Runs statements without parameters.
pub(super) fn run(db: &Connection, statements: &[impl AsRef<str>]) -> Result<()> {
    statements.iter().try_for_each(|statement| db.execute_batch(statement.as_ref()))
}

fn bind(statement: &mut Statement<'_>, values: &[Value]) -> Result<()> {
    values.iter().enumerate().try_for_each(|(place, value)| statement.raw_bind_parameter(place + 1, value))
}

fn read(row: &rusqlite::Row<'_>, table: &Table) -> Result<Row> {
    let values = (0..table.columns.len()).map(|place| {
        Ok(match row.get_ref(place)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Int(number),
            ValueRef::Text(text) => Value::Text(String::from_utf8(text.to_vec()).map_err(|_| foreign_value())?),
            ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
            ValueRef::Real(_) => return Err(foreign_value()),
        })
    });
    // Sized at once: `collect` into a `Result` would let the row grow step by step.
    let mut read = Row::with_capacity(table.columns.len());
    for value in values {
        read.push(value?);
    }
    Ok(read)
}
