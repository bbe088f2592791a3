//! Declarations of tables, and what fits into them.
//!
//! A table is a constant, so that every store can make its schema from it and every row can be checked against it
//! before a store sees it: what one store would take and another refuse is refused here, alike for all.

use crate::Error;
pub use crate::value::{Row, Value};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// 64-bit signed integer. Times are milliseconds since 1970-01-01T00:00:00Z.
    Int,
    /// UTF-8 text. PostgreSQL cannot hold U+0000 in text: writers keep such values out of text columns.
    Text,
    /// Bytes.
    Bytes,
}

/// A column.
#[derive(Debug)]
pub struct Column {
    /// Name, snake case.
    pub name: &'static str,
    /// What it holds.
    pub kind: Type,
    /// Whether it may hold nothing. Never in a key.
    pub null: bool,
    /// Whether it is sealed before a store sees it. Only in kept tables, never in a key or an index.
    pub sealed: bool,
}

impl Column {
    /// A 64-bit integer column.
    pub const fn int(name: &'static str) -> Self {
        Column { name, kind: Type::Int, null: false, sealed: false }
    }
    /// A text column.
    pub const fn text(name: &'static str) -> Self {
        Column { name, kind: Type::Text, null: false, sealed: false }
    }
    /// A bytes column.
    pub const fn bytes(name: &'static str) -> Self {
        Column { name, kind: Type::Bytes, null: false, sealed: false }
    }
    /// The same, but it may hold nothing.
    pub const fn or_null(self) -> Self {
        Column { null: true, ..self }
    }
    /// The same, but sealed; see [`SealedStore`](crate::SealedStore).
    pub const fn sealed(self) -> Self {
        Column { sealed: true, ..self }
    }
}

/// A second order in which a table is scanned: by these columns, then by the key columns that are not among these.
/// Rows with null in the first of these columns are left out of the index.
#[derive(Debug)]
pub struct Index {
    /// Name, unique within the table.
    pub name: &'static str,
    /// The columns.
    pub columns: &'static [&'static str],
}

/// Whether a rebuild makes the table anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Made anew from the log by a rebuild.
    Derived,
    /// Never touched by a rebuild.
    Kept,
}

/// A table: its first `key` columns are the primary key.
#[derive(Debug)]
pub struct Table {
    /// Name, snake case, singular.
    pub name: &'static str,
    /// Derived or kept.
    pub part: Part,
    /// How many leading columns are the key.
    pub key: usize,
    /// All columns.
    pub columns: &'static [Column],
    /// Second orders.
    pub indexes: &'static [Index],
}

/// A scan: rows of `table` in key order, or in the order of an index.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Which table.
    pub table: &'static Table,
    /// The index whose order to use; `None`: the key's.
    pub index: Option<&'static str>,
    /// Only rows whose leading columns of that order equal these.
    pub prefix: Row,
    /// Only rows after this position of that order (exclusive): values for the columns of the order, as many as are
    /// given, the prefix included; none given: no bound. For the next page, give [`Table::position`] of the last row
    /// seen.
    pub after: Option<Row>,
    /// Only rows whose first column after the prefix is at most this.
    pub until: Option<Value>,
    /// From the end backwards; `after` then means "before".
    pub reverse: bool,
    /// At most so many rows.
    pub limit: usize,
}

impl Table {
    /// The most bytes of text and bytes that the columns of one key or one index entry may have together. PostgreSQL
    /// refuses index entries above about 2,700 bytes, so every store refuses from here on.
    pub const INDEXED_BYTES_MAX: usize = 2_048;

    /// Where the column stands; `None` where there is none of that name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Whether `row` fits: every column, of its kind, null only where allowed, no U+0000 in text, and nothing longer
    /// in the key or an index than [`INDEXED_BYTES_MAX`](Self::INDEXED_BYTES_MAX).
    pub fn check_row(&self, row: &[Value]) -> Result<(), Error> {
        if row.len() != self.columns.len() {
            return Err(self.misfit(format!("{} values for {} columns", row.len(), self.columns.len())));
        }
        self.check_leading(row)?;
        self.check_indexed(row[..self.key].iter(), "the key")?;
        for index in self.indexes {
            let order = self.order(Some(index.name));
            self.check_indexed(order.iter().map(|column| &row[*column]), index.name)?;
        }
        Ok(())
    }

    /// Whether `key` is a key: the first `self.key` columns and no more.
    pub fn check_key(&self, key: &[Value]) -> Result<(), Error> {
        if key.len() != self.key {
            return Err(self.misfit(format!("{} values for a key of {} columns", key.len(), self.key)));
        }
        self.check_leading(key)
    }

    /// Whether `prefix` is the beginning of a key.
    pub fn check_prefix(&self, prefix: &[Value]) -> Result<(), Error> {
        if prefix.len() > self.key {
            return Err(self.misfit(format!("a prefix of {} values for a key of {} columns", prefix.len(), self.key)));
        }
        self.check_leading(prefix)
    }

    /// The columns of a scan order, by their place in the row and each once: the key's, or the index's and then what
    /// is left of the key.
    ///
    /// # Panics
    /// Where the table has no such index.
    pub fn order(&self, index: Option<&str>) -> Vec<usize> {
        let Some(name) = index else {
            return (0..self.key).collect();
        };
        let index = self.index(name).unwrap_or_else(|| panic!("{} has no index {name}", self.name));
        let mut order = Vec::with_capacity(index.columns.len() + self.key);
        let named = index.columns.iter().map(|column| {
            self.column(column).unwrap_or_else(|| panic!("{}.{name} names an unknown column {column}", self.name))
        });
        for column in named.chain(0..self.key) {
            if !order.contains(&column) {
                order.push(column);
            }
        }
        order
    }

    /// The position of `row` in a scan order, for [`Scan::after`].
    ///
    /// # Panics
    /// Where the table has no such index, or the row does not fit the table.
    pub fn position(&self, index: Option<&str>, row: &Row) -> Row {
        self.order(index).into_iter().map(|column| row[column].clone()).collect()
    }

    pub(crate) fn index(&self, name: &str) -> Option<&'static Index> {
        self.indexes.iter().find(|index| index.name == name)
    }

    pub(crate) fn misfit(&self, cause: String) -> Error {
        Error::Shape { table: self.name, cause }
    }

    /// Whether `value` may stand in the column at `column`.
    pub(crate) fn check_value(&self, column: usize, value: &Value) -> Result<(), Error> {
        let declared = &self.columns[column];
        match value {
            Value::Null if declared.null => Ok(()),
            Value::Text(text) if declared.kind == Type::Text => {
                if memchr::memchr(0, text.as_bytes()).is_some() {
                    return Err(self.misfit(format!("U+0000 in the text of column {}", declared.name)));
                }
                Ok(())
            }
            other if other.kind() == Some(declared.kind) => Ok(()),
            other => Err(self.misfit(format!("{} for column {} of {:?}", other.name(), declared.name, declared.kind))),
        }
    }

    fn check_leading(&self, values: &[Value]) -> Result<(), Error> {
        values.iter().enumerate().try_for_each(|(column, value)| self.check_value(column, value))
    }

    fn check_indexed<'v>(&self, values: impl Iterator<Item = &'v Value>, what: &str) -> Result<(), Error> {
        let bytes: usize = values.map(Value::len).sum();
        if bytes > Self::INDEXED_BYTES_MAX {
            return Err(self.misfit(format!("{bytes} bytes in {what}; at most {} fit", Self::INDEXED_BYTES_MAX)));
        }
        Ok(())
    }
}

/// Whether a store can be made of these declarations: names that do not clash with each other or with the store's own
/// tables, keys that exist and hold no null, indexes of known columns.
pub fn check_declarations(tables: &[&'static Table]) -> Result<(), Error> {
    for (place, table) in tables.iter().enumerate() {
        let repeated = |names: &[&str]| names.iter().enumerate().any(|(place, name)| names[..place].contains(name));
        let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        let indexes: Vec<&str> = table.indexes.iter().map(|index| index.name).collect();
        let fault = if tables[..place].iter().any(|earlier| earlier.name == table.name) {
            "declared twice"
        } else if RESERVED.contains(&table.name) || generation_of(table.name).is_some() {
            "this name is the store's own"
        } else if table.key == 0 || table.key > table.columns.len() {
            "the key has no columns, or more than the table"
        } else if table.columns[..table.key].iter().any(|column| column.null) {
            "a key column may hold null"
        } else if table.columns.iter().enumerate().any(|(place, column)| {
            let indexed = table.indexes.iter().any(|index| index.columns.contains(&column.name));
            column.sealed && (place < table.key || indexed || table.part == Part::Derived || column.kind == Type::Int)
        }) {
            "a sealed column is in a key or an index, derived, or a number"
        } else if repeated(&columns) || repeated(&indexes) {
            "two columns or two indexes have one name"
        } else if table.indexes.iter().map(|index| index.name.len()).max().unwrap_or(0) + table.name.len() > NAMES_MAX {
            "the names of the table and its index are too long for PostgreSQL"
        } else if table.indexes.iter().any(|index| index.columns.is_empty()) {
            "an index has no columns"
        } else if table.indexes.iter().flat_map(|index| index.columns).any(|name| table.column(name).is_none()) {
            "an index names an unknown column"
        } else {
            continue;
        };
        return Err(table.misfit(fault.into()));
    }
    Ok(())
}

/// The longest that the names of a table and an index may be together: PostgreSQL cuts names at 63 bytes, and theirs
/// come with a generation.
const NAMES_MAX: usize = 48;

/// Tables that the stores keep for themselves.
pub(crate) const RESERVED: &[&str] = &["meta", "epoch", "reading"];

/// The generation in the name of a derived table, `g{generation}_{name}`.
pub(crate) fn generation_of(name: &str) -> Option<crate::Generation> {
    name.strip_prefix('g')?.split_once('_')?.0.parse().ok()
}

impl Scan {
    /// All rows of `table` with this key prefix, in key order, at most `limit`.
    pub fn prefix(table: &'static Table, prefix: Row, limit: usize) -> Self {
        Scan { table, index: None, prefix, after: None, until: None, reverse: false, limit }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const THING: Table = Table {
        name: "thing",
        part: Part::Kept,
        key: 2,
        columns: &[Column::int("a"), Column::text("b"), Column::int("c").or_null(), Column::bytes("d")],
        indexes: &[Index { name: "by_c", columns: &["c", "a"] }],
    };

    fn check(result: Result<(), Error>, expect: Expect) {
        expect.assert_eq(&result.map_or_else(|error| error.to_string(), |()| "fits".into()));
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        let row = |a: Value, b: Value, c: Value, d: Value| THING.check_row(&[a, b, c, d]);
        let bytes = || Value::Bytes(Vec::new());
        check(row(1_i64.into(), "x".into(), Value::Null, bytes()), expect!["fits"]);
        check(row("x".into(), "x".into(), Value::Null, bytes()), expect!["thing: text for column a of Int"]);
        check(row(1_i64.into(), Value::Null, Value::Null, bytes()), expect!["thing: null for column b of Text"]);
        check(row(1_i64.into(), "x\0".into(), Value::Null, bytes()), expect!["thing: U+0000 in the text of column b"]);
        check(
            row(1_i64.into(), "x".repeat(2_049).into(), Value::Null, bytes()),
            expect!["thing: 2049 bytes in the key; at most 2048 fit"],
        );
        check(THING.check_row(&[1_i64.into()]), expect!["thing: 1 values for 4 columns"]);
    }

    #[test]
    fn keys_that_do_not_fit_are_refused() {
        check(THING.check_key(&[1_i64.into(), "x".into()]), expect!["fits"]);
        check(THING.check_key(&[1_i64.into()]), expect!["thing: 1 values for a key of 2 columns"]);
        check(THING.check_key(&[1_i64.into(), 2_i64.into()]), expect!["thing: an integer for column b of Text"]);
        check(THING.check_prefix(&[]), expect!["fits"]);
        check(
            THING.check_prefix(&[1_i64.into(), "x".into(), Value::Null]),
            expect!["thing: a prefix of 3 values for a key of 2 columns"],
        );
    }

    #[test]
    fn a_position_has_the_columns_of_the_order_each_once() {
        let row: Row = vec![1_i64.into(), "x".into(), 3_i64.into(), Value::Bytes(vec![])];
        assert_eq!(THING.position(None, &row), [Value::Int(1), "x".into()]);
        assert_eq!(THING.position(Some("by_c"), &row), [Value::Int(3), Value::Int(1), "x".into()]);
    }

    #[test]
    fn declarations_that_cannot_work_are_refused() {
        const NO_KEY: Table = Table { key: 0, ..THING };
        const RESERVED: Table = Table { name: "meta", ..THING };
        const LIKE_DERIVED: Table = Table { name: "g2_thing", ..THING };
        const NULL_KEY: Table = Table { key: 3, ..THING };
        const NO_COLUMN: Table = Table { indexes: &[Index { name: "i", columns: &["z"] }], ..THING };
        check(check_declarations(&[&THING]), expect!["fits"]);
        check(check_declarations(&[&THING, &THING]), expect!["thing: declared twice"]);
        check(check_declarations(&[&NO_KEY]), expect!["thing: the key has no columns, or more than the table"]);
        check(check_declarations(&[&RESERVED]), expect!["meta: this name is the store's own"]);
        check(check_declarations(&[&LIKE_DERIVED]), expect!["g2_thing: this name is the store's own"]);
        check(check_declarations(&[&NULL_KEY]), expect!["thing: a key column may hold null"]);
        check(check_declarations(&[&NO_COLUMN]), expect!["thing: an index names an unknown column"]);
    }
}
