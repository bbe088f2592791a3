//! The SQL of a declared table, for SQLite and for PostgreSQL.
//!
//! Pure text, so that what the stores send can be read in one place and is held by snapshots. Column and table names
//! are quoted, because a column may be called `order` or `group`.

use crate::{Column, Generation, Index, Part, Table, Type, Value, plan::Plan};

/// Which SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

use Dialect::{Postgres, Sqlite};

/// What the table is called in the database: derived tables carry their generation.
pub(crate) fn physical(table: &Table, generation: Generation) -> String {
    match table.part {
        Part::Derived => format!("g{generation}_{}", table.name),
        Part::Kept => table.name.to_owned(),
    }
}

/// Creates the table, without its indexes.
///
/// SQLite: a table whose key is not one integer is `WITHOUT ROWID`, one tree instead of a tree of rows and a tree of
/// keys: replacing rows of 600 bytes was 1.8 to 2.3 times as fast (`examples/throughput.rs`). Text is compared by its
/// bytes in both: SQLite's default, PostgreSQL's `COLLATE "C"`.
pub(crate) fn create_table(dialect: Dialect, table: &Table, generation: Generation) -> String {
    let columns: Vec<String> =
        table.columns.iter().map(|column| format!("  {}", declaration(dialect, column))).collect();
    let options = match dialect {
        Postgres => "",
        Sqlite if table.key == 1 && table.columns[0].kind == Type::Int => " STRICT",
        Sqlite => " STRICT, WITHOUT ROWID",
    };
    format!(
        "CREATE TABLE {} (\n{},\n  PRIMARY KEY ({})\n){options}",
        quoted(&physical(table, generation)),
        columns.join(",\n"),
        names(&table.columns[..table.key]),
    )
}

/// Adds a column, which may hold null, to a table that lacks it.
pub(crate) fn add_column(dialect: Dialect, table: &Table, generation: Generation, column: &Column) -> String {
    format!("ALTER TABLE {} ADD COLUMN {}", quoted(&physical(table, generation)), declaration(dialect, column))
}

/// What the index is called in the database.
pub(crate) fn index_name(table: &Table, generation: Generation, index: &Index) -> String {
    format!("{}__{}", physical(table, generation), index.name)
}

/// Creates an index: its columns, then the rest of the key, so that its order is total.
pub(crate) fn create_index(dialect: Dialect, table: &Table, generation: Generation, index: &Index) -> String {
    let order = table.order(Some(index.name));
    let first = &table.columns[order[0]];
    let columns: Vec<String> = order
        .iter()
        .map(|column| &table.columns[*column])
        .enumerate()
        .map(|(place, column)| match dialect {
            Postgres if place > 0 && column.null => format!("{} NULLS FIRST", quoted(column.name)),
            _ => quoted(column.name),
        })
        .collect();
    let partial = if first.null { format!(" WHERE {} IS NOT NULL", quoted(first.name)) } else { String::new() };
    format!(
        "CREATE INDEX {} ON {} ({}){partial}",
        quoted(&index_name(table, generation, index)),
        quoted(&physical(table, generation)),
        columns.join(", "),
    )
}

/// Makes the view by which operators find the current generation of a derived table.
pub(crate) fn create_view(table: &Table, generation: Generation) -> String {
    format!(
        "CREATE VIEW {} AS SELECT {} FROM {}",
        quoted(table.name),
        names(table.columns),
        quoted(&physical(table, generation)),
    )
}

/// Drops the view made by [`create_view`], where it is there.
pub(crate) fn drop_view(table: &Table) -> String {
    format!("DROP VIEW IF EXISTS {}", quoted(table.name))
}

/// Reads rows by their keys. SQLite: one key, one parameter per key column. PostgreSQL: many keys, one array per key
/// column; a row begins with the place of its key, from 1.
pub(crate) fn get(dialect: Dialect, table: &Table, generation: Generation) -> String {
    let from = quoted(&physical(table, generation));
    match dialect {
        Sqlite => {
            format!("SELECT {} FROM {from} WHERE {}", names(table.columns), equal(&table.columns[..table.key], 1))
        }
        Postgres => {
            let columns: Vec<String> =
                table.columns.iter().map(|column| format!("t.{}", quoted(column.name))).collect();
            format!(
                "SELECT k.place, {} FROM unnest({}) WITH ORDINALITY AS k({}, place) JOIN {from} t ON {}",
                columns.join(", "),
                arrays(&table.columns[..table.key]),
                numbered(table.key, "k"),
                joined(table),
            )
        }
    }
}

/// Inserts or replaces rows. SQLite: one row, one parameter per column. PostgreSQL: many rows with distinct keys, one
/// array per column.
pub(crate) fn put(dialect: Dialect, table: &Table, generation: Generation) -> String {
    let into = quoted(&physical(table, generation));
    match dialect {
        Sqlite => {
            let values: Vec<String> = (1..=table.columns.len()).map(|place| format!("?{place}")).collect();
            format!("REPLACE INTO {into} ({}) VALUES ({})", names(table.columns), values.join(", "))
        }
        Postgres => {
            let set: Vec<String> = table.columns[table.key..]
                .iter()
                .map(|column| format!("{0} = EXCLUDED.{0}", quoted(column.name)))
                .collect();
            let action = if set.is_empty() { "NOTHING".into() } else { format!("UPDATE SET {}", set.join(", ")) };
            format!(
                "INSERT INTO {into} ({}) SELECT * FROM unnest({}) ON CONFLICT ({}) DO {action}",
                names(table.columns),
                arrays(table.columns),
                names(&table.columns[..table.key]),
            )
        }
    }
}

/// SQLite: changes one row that is there and whose indexed values stay; parameters as for [`put`]. `None` where the table
/// has no index of such values, or nothing else to change. `REPLACE` takes a row's entries out of all indexes and puts
/// them in again, and so writes a page of each.
pub(crate) fn put_unindexed(table: &Table, generation: Generation) -> Option<String> {
    let is_indexed = |column: &Column| table.indexes.iter().any(|index| index.columns.contains(&column.name));
    let own = table.columns.iter().enumerate().skip(table.key);
    let (indexed, others): (Vec<_>, Vec<_>) = own.partition(|(_, column)| is_indexed(column));
    if indexed.is_empty() || others.is_empty() {
        return None;
    }
    let stated = |columns: Vec<(usize, &Column)>, verb: &str, between: &str| {
        let stated = columns.iter().map(|(place, column)| format!("{} {verb} ?{}", quoted(column.name), place + 1));
        stated.collect::<Vec<_>>().join(between)
    };
    Some(format!(
        "UPDATE {} SET {} WHERE {} AND {}",
        quoted(&physical(table, generation)),
        stated(others, "=", ", "),
        equal(&table.columns[..table.key], 1),
        stated(indexed, "IS", " AND "),
    ))
}

/// Deletes rows by their keys; parameters as for [`get`].
pub(crate) fn delete(dialect: Dialect, table: &Table, generation: Generation) -> String {
    let from = quoted(&physical(table, generation));
    match dialect {
        Sqlite => format!("DELETE FROM {from} WHERE {}", equal(&table.columns[..table.key], 1)),
        Postgres => format!(
            "DELETE FROM {from} t USING unnest({}) AS k({}) WHERE {}",
            arrays(&table.columns[..table.key]),
            numbered(table.key, "k"),
            joined(table),
        ),
    }
}

/// Deletes the rows with a key prefix of `length` columns, one parameter each.
pub(crate) fn delete_prefix(dialect: Dialect, table: &Table, generation: Generation, length: usize) -> String {
    format!("DELETE FROM {}{}", quoted(&physical(table, generation)), prefixed(dialect, table, length))
}

/// Counts the rows with a key prefix of `length` columns, one parameter each.
pub(crate) fn count(dialect: Dialect, table: &Table, generation: Generation, length: usize) -> String {
    format!("SELECT count(*) FROM {}{}", quoted(&physical(table, generation)), prefixed(dialect, table, length))
}

/// Reads a page of rows in order. Gives the text, and the values of its parameters; the limit is the one after these.
///
/// The page begins behind a position by comparing row values, `(a, b) > (1, 2)`, which both databases answer from the
/// index; where a column of it may hold null, that comparison has no answer, and it is written out.
pub(crate) fn scan<'p>(
    dialect: Dialect,
    table: &Table,
    generation: Generation,
    plan: &Plan<'p>,
) -> (String, Vec<&'p Value>) {
    let mut parameters = Parameters { dialect, values: Vec::new() };
    let mut conditions = Vec::new();
    let column = |place: usize| &table.columns[plan.order[place]];
    // The first column of an index may be declared to hold null, but the index has no such row.
    let may_be_null = |place: usize| column(place).null && !(place == 0 && plan.skips_null);
    let rest = plan.prefix.len();

    if plan.skips_null {
        conditions.push(format!("{} IS NOT NULL", quoted(column(0).name)));
    }
    for (place, value) in plan.prefix.iter().enumerate() {
        conditions.push(parameters.equal(column(place), value));
    }
    if let Some(after) = plan.after {
        let places = rest..rest + after.len();
        let operator = if plan.reverse { "<" } else { ">" };
        if places.clone().any(may_be_null) {
            let ways: Vec<String> = places
                .clone()
                .map(|place| {
                    let mut all: Vec<String> =
                        (rest..place).map(|equal| parameters.equal(column(equal), &after[equal - rest])).collect();
                    let name = quoted(column(place).name);
                    all.push(match (&after[place - rest], plan.reverse) {
                        (Value::Null, false) => format!("{name} IS NOT NULL"),
                        (Value::Null, true) => "1 = 0".into(),
                        (value, true) if may_be_null(place) => {
                            format!("({name} < {} OR {name} IS NULL)", parameters.add(value))
                        }
                        (value, _) => format!("{name} {operator} {}", parameters.add(value)),
                    });
                    all.join(" AND ")
                })
                .collect();
            conditions.push(format!("({})", ways.join(" OR ")));
        } else {
            let columns: Vec<String> = places.map(|place| quoted(column(place).name)).collect();
            let values: Vec<String> = after.iter().map(|value| parameters.add(value)).collect();
            conditions.push(match columns.as_slice() {
                [one] => format!("{one} {operator} {}", values[0]),
                more => format!("({}) {operator} ({})", more.join(", "), values.join(", ")),
            });
        }
    }
    if let Some(until) = plan.until {
        let name = quoted(column(rest).name);
        conditions.push(match until {
            Value::Null => format!("{name} IS NULL"),
            value if may_be_null(rest) => format!("({name} <= {} OR {name} IS NULL)", parameters.add(value)),
            value => format!("{name} <= {}", parameters.add(value)),
        });
    }

    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let order: Vec<String> = (rest..plan.order.len())
        .map(|place| {
            let direction = if plan.reverse { " DESC" } else { "" };
            let nulls = match (dialect, may_be_null(place), plan.reverse) {
                (Sqlite, ..) | (_, false, _) => "",
                (Postgres, true, false) => " NULLS FIRST",
                (Postgres, true, true) => " NULLS LAST",
            };
            format!("{}{direction}{nulls}", quoted(column(place).name))
        })
        .collect();
    let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {}", order.join(", ")) };
    // Without statistics SQLite takes the key where that happens to give the order, and reads the whole workspace.
    let index = plan.index.and_then(|name| table.index(name)).filter(|_| dialect == Sqlite);
    let indexed =
        index.map(|index| format!(" INDEXED BY {}", quoted(&index_name(table, generation, index)))).unwrap_or_default();
    let text = format!(
        "SELECT {} FROM {}{indexed}{filter}{order} LIMIT {}",
        names(table.columns),
        quoted(&physical(table, generation)),
        parameter(dialect, parameters.values.len() + 1),
    );
    (text, parameters.values)
}

/// `"name"`.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

struct Parameters<'v> {
    dialect: Dialect,
    values: Vec<&'v Value>,
}

impl<'v> Parameters<'v> {
    fn add(&mut self, value: &'v Value) -> String {
        self.values.push(value);
        parameter(self.dialect, self.values.len())
    }

    fn equal(&mut self, column: &Column, value: &'v Value) -> String {
        match value {
            Value::Null => format!("{} IS NULL", quoted(column.name)),
            value => format!("{} = {}", quoted(column.name), self.add(value)),
        }
    }
}

fn parameter(dialect: Dialect, place: usize) -> String {
    match dialect {
        Sqlite => format!("?{place}"),
        Postgres => format!("${place}"),
    }
}

fn declaration(dialect: Dialect, column: &Column) -> String {
    let kind = match (dialect, column.kind) {
        (Sqlite, Type::Int) => "INTEGER",
        (Sqlite, Type::Text) => "TEXT",
        (Sqlite, Type::Bytes) => "BLOB",
        (Postgres, Type::Int) => "bigint",
        (Postgres, Type::Text) => "text COLLATE \"C\"",
        (Postgres, Type::Bytes) => "bytea",
    };
    format!("{} {kind}{}", quoted(column.name), if column.null { "" } else { " NOT NULL" })
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| quoted(column.name)).collect::<Vec<_>>().join(", ")
}

fn equal(columns: &[Column], from: usize) -> String {
    let equal =
        columns.iter().enumerate().map(|(place, column)| format!("{} = ?{}", quoted(column.name), place + from));
    equal.collect::<Vec<_>>().join(" AND ")
}

fn prefixed(dialect: Dialect, table: &Table, length: usize) -> String {
    let equal = table.columns[..length]
        .iter()
        .enumerate()
        .map(|(place, column)| format!("{} = {}", quoted(column.name), parameter(dialect, place + 1)));
    let equal: Vec<String> = equal.collect();
    if equal.is_empty() { String::new() } else { format!(" WHERE {}", equal.join(" AND ")) }
}

fn arrays(columns: &[Column]) -> String {
    let arrays = columns.iter().enumerate().map(|(place, column)| {
        let kind = match column.kind {
            Type::Int => "bigint",
            Type::Text => "text",
            Type::Bytes => "bytea",
        };
        format!("${}::{kind}[]", place + 1)
    });
    arrays.collect::<Vec<_>>().join(", ")
}

fn numbered(count: usize, prefix: &str) -> String {
    (1..=count).map(|place| format!("{prefix}{place}")).collect::<Vec<_>>().join(", ")
}

fn joined(table: &Table) -> String {
    let equal = table.columns[..table.key]
        .iter()
        .enumerate()
        .map(|(place, column)| format!("t.{} = k.k{}", quoted(column.name), place + 1));
    equal.collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
#[path = "sql_tests.rs"]
mod tests;
