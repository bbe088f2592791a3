//! Outbox rows read, and receipts and dead letters written: the one place that knows the columns' places.

use onefold_model::{Timestamp, WorkspaceId};
use onefold_state::{Error, Row, Value, schema};

use crate::destination::{Delivery, Kind};

/// `at_offset` and `place`: what orders the rows of a destination.
pub(crate) type Place = (i64, i64);

/// The most characters of a detail or reason that are kept.
const DETAIL_CHARS_MAX: usize = 500;

/// The columns of an outbox row that follow the key: where they stand.
pub(crate) mod outbox {
    pub const KEY: usize = 4;
    pub const KIND: usize = 5;
    pub const SEGMENT: usize = 6;
    pub const PROFILE: usize = 7;
    pub const CREATED_MS: usize = 8;
    pub const ATTEMPTS: usize = 9;
    pub const NEXT_MS: usize = 10;
    pub const BODY: usize = 11;
}

/// The first two columns of the outbox's, receipts' and dead letters' keys.
pub(crate) fn prefix(workspace: WorkspaceId, destination: &str) -> Row {
    vec![workspace.0.into(), destination.into()]
}

/// The key of a row of the outbox, the receipts or the dead letters.
pub(crate) fn key(workspace: WorkspaceId, destination: &str, place: Place) -> Row {
    vec![workspace.0.into(), destination.into(), place.0.into(), place.1.into()]
}

/// Where a row of one of these tables stands.
pub(crate) fn place(row: &[Value]) -> Result<Place, Error> {
    Ok((row[2].as_int()?, row[3].as_int()?))
}

/// Reads an outbox row; `Ok(None)` where its `kind` is none that is known.
pub(crate) fn delivery(row: &Row) -> Result<Option<Delivery>, Error> {
    let Some(kind) = Kind::parse(row[outbox::KIND].as_text()?) else { return Ok(None) };
    let (at_offset, place) = place(row)?;
    Ok(Some(Delivery {
        workspace: WorkspaceId(u32::try_from(row[0].as_int()?).unwrap_or(u32::MAX)),
        destination: row[1].as_text()?.to_owned(),
        at_offset,
        place,
        key: row[outbox::KEY].as_text()?.to_owned(),
        kind,
        segment: row[outbox::SEGMENT].as_text()?.to_owned(),
        profile: row[outbox::PROFILE].as_int()?,
        created: Timestamp(row[outbox::CREATED_MS].as_int()?),
        attempts: u32::try_from(row[outbox::ATTEMPTS].as_int()?).unwrap_or(u32::MAX),
        body: row[outbox::BODY].as_bytes()?.to_vec(),
    }))
}

/// The outbox row of a delivery, due at `next_ms`.
pub(crate) fn outbox_row(delivery: &Delivery, next_ms: i64) -> Row {
    let mut row = key(delivery.workspace, &delivery.destination, (delivery.at_offset, delivery.place));
    row.extend([
        delivery.key.as_str().into(),
        delivery.kind.name().into(),
        delivery.segment.as_str().into(),
        delivery.profile.into(),
        delivery.created.0.into(),
        delivery.attempts.into(),
        next_ms.into(),
        delivery.body.as_slice().into(),
    ]);
    debug_assert_eq!(row.len(), schema::OUTBOX.columns.len());
    row
}

/// The receipt for an outbox row, without a sequence yet. `attempts` counts the hand-offs, the last included.
pub(crate) fn receipt(row: &[Value], status: &str, attempts: u32, at: Timestamp, detail: &str) -> Row {
    let mut receipt: Row = row[..=outbox::PROFILE].to_vec();
    receipt.extend([status.into(), attempts.into(), at.0.into(), kept_text(detail).into(), Value::Null]);
    receipt
}

/// The dead letter for an outbox row.
pub(crate) fn dead(row: Row, attempts: u32, at: Timestamp, reason: &str) -> Row {
    let body = row[outbox::BODY].clone();
    let mut dead: Row = row.into_iter().take(outbox::ATTEMPTS).collect();
    dead.extend([attempts.into(), at.0.into(), kept_text(reason).into(), body]);
    dead
}

/// The outbox row that a dead letter was, as if it had never been tried, due at once.
pub(crate) fn revived(mut dead: Row, now: Timestamp) -> Row {
    let body = dead.pop().unwrap_or(Value::Null);
    dead.truncate(outbox::ATTEMPTS);
    dead.extend([0_i64.into(), now.0.into(), body]);
    dead
}

/// Text columns hold no U+0000, and no more than a reader wants.
fn kept_text(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(DETAIL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Delivery {
        Delivery {
            workspace: WorkspaceId(3),
            destination: "crm".into(),
            at_offset: 7,
            place: 1,
            key: "k".into(),
            kind: Kind::Enter,
            segment: "vip".into(),
            profile: 5,
            created: Timestamp(9),
            attempts: 2,
            body: b"{}".to_vec(),
        }
    }

    #[test]
    fn rows_fit_their_tables_and_read_back() {
        let row = outbox_row(&sample(), 11);
        schema::OUTBOX.check_row(&row).unwrap();
        assert_eq!(delivery(&row).unwrap(), Some(sample()));
        assert_eq!(row[outbox::NEXT_MS], Value::Int(11));
        assert_eq!(place(&row).unwrap(), (7, 1));
        schema::RECEIPT.check_row(&receipt(&row, "delivered", 3, Timestamp(12), "HTTP\0 200")).unwrap();
        let dead = dead(row, 3, Timestamp(12), &"x".repeat(1_000));
        schema::DELIVERY_DEAD.check_row(&dead).unwrap();
        let revived = revived(dead, Timestamp(20));
        schema::OUTBOX.check_row(&revived).unwrap();
        assert_eq!(delivery(&revived).unwrap(), Some(Delivery { attempts: 0, ..sample() }));
    }

    #[test]
    fn an_unknown_kind_is_no_delivery() {
        let mut row = outbox_row(&sample(), 0);
        row[outbox::KIND] = "wave".into();
        assert_eq!(delivery(&row).unwrap(), None);
    }
}
