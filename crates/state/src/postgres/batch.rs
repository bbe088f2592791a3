//! Many rows in one statement.
//!
//! A batch travels as one array per column, so that its text, and with it the prepared statement, does not depend on
//! how many rows there are.

use std::error::Error as StdError;

use ::postgres::types::{IsNull, ToSql, Type as PgType, private::BytesMut, to_sql_checked};

use crate::{Error, Row, Table, Type, Value, postgres::error::failed};

/// At most so many rows in a statement.
const ROWS_MAX: usize = 8_192;
/// A statement ends after so many bytes of text and bytes.
const BYTES_MAX: usize = 16 << 20;

impl ToSql for Value {
    fn to_sql(&self, of: &PgType, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(number) => number.to_sql(of, out),
            Value::Text(text) => text.to_sql(of, out),
            Value::Bytes(bytes) => bytes.to_sql(of, out),
        }
    }

    fn accepts(of: &PgType) -> bool {
        matches!(*of, PgType::INT8 | PgType::TEXT | PgType::BYTEA)
    }

    to_sql_checked!();
}

/// The first `columns` values of `rows`, as one array each.
pub(super) fn arrays<'r>(rows: &[&'r Row], columns: usize) -> Vec<Vec<&'r Value>> {
    (0..columns).map(|column| rows.iter().map(|row| &row[column]).collect()).collect()
}

/// As parameters.
pub(super) fn parameters<P: ToSql + Sync>(values: &[P]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

/// Parts of `rows` that each fit into a statement.
pub(super) fn statements<'r, 'b>(rows: &'b [&'r Row]) -> Vec<&'b [&'r Row]> {
    let (mut parts, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (place, row) in rows.iter().enumerate() {
        bytes += row.iter().map(Value::len).sum::<usize>();
        if bytes >= BYTES_MAX || place + 1 - start == ROWS_MAX || place + 1 == rows.len() {
            parts.push(&rows[start..=place]);
            (start, bytes) = (place + 1, 0);
        }
    }
    parts
}

/// Sorts rows by their key, and of several with one key keeps the last.
pub(super) fn last_of_each(rows: &[Row], key: usize) -> Vec<&Row> {
    let mut sorted: Vec<&Row> = rows.iter().rev().collect();
    // Stable, on rows from last to first: of equals, the last comes first, and is the one that stays.
    sorted.sort_by(|left, right| left[..key].cmp(&right[..key]));
    sorted.dedup_by(|later, earlier| later[..key] == earlier[..key]);
    sorted
}

/// Reads a row whose columns begin at `from`.
pub(super) fn read(operation: &'static str, row: &::postgres::Row, table: &Table, from: usize) -> Result<Row, Error> {
    let mut read = Row::with_capacity(table.columns.len());
    for (place, column) in table.columns.iter().enumerate() {
        let value = match column.kind {
            Type::Int => row.try_get::<_, Option<i64>>(from + place).map(Value::from),
            Type::Text => row.try_get::<_, Option<String>>(from + place).map(Value::from),
            Type::Bytes => row.try_get::<_, Option<Vec<u8>>>(from + place).map(Value::from),
        };
        read.push(value.map_err(failed(operation))?);
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: i64, bytes: usize) -> Row {
        vec![Value::Int(key), Value::Bytes(vec![0; bytes])]
    }

    #[test]
    fn of_one_key_the_last_row_stays() {
        let rows = [row(2, 1), row(1, 2), row(2, 3), row(1, 4)];
        assert_eq!(last_of_each(&rows, 1), [&rows[3], &rows[2]]);
    }

    #[test]
    fn parts_are_bounded_and_lose_nothing() {
        let sizes = |rows: &[Row]| -> Vec<usize> {
            statements(&rows.iter().collect::<Vec<_>>()).iter().map(|part| part.len()).collect()
        };
        assert_eq!(sizes(&[]), [0_usize; 0]);
        assert_eq!(sizes(&vec![row(1, 0); ROWS_MAX + 1]), [ROWS_MAX, 1]);
        assert_eq!(sizes(&[row(1, BYTES_MAX), row(1, 1), row(1, BYTES_MAX - 1), row(1, 1)]), [1, 2, 1]);
    }
}
