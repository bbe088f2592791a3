//! Reading receipts in the order in which they came.

use crate::{Error, Reader, Row, Scan, Value, schema};

/// The sequence of a workspace's newest receipt; zero where there is none.
pub fn last(reader: &mut (impl Reader + ?Sized), workspace: &Value) -> Result<i64, Error> {
    let following = Scan::prefix(&schema::RECEIPT, vec![workspace.clone()], 1);
    let newest = reader.scan(&Scan { index: Some("following"), reverse: true, ..following })?;
    match newest.first().and_then(|row| row.last()) {
        None | Some(Value::Null) => Ok(0),
        Some(sequence) => sequence.as_int(),
    }
}

/// The receipts of a workspace after a sequence, in order, so many at most.
pub fn after(
    reader: &mut (impl Reader + ?Sized),
    workspace: &Value,
    sequence: i64,
    limit: usize,
) -> Result<Vec<Row>, Error> {
    let following = Scan::prefix(&schema::RECEIPT, vec![workspace.clone()], limit);
    let after = Some(vec![workspace.clone(), sequence.into()]);
    reader.scan(&Scan { index: Some("following"), after, ..following })
}
