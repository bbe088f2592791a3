//! The one transaction of the loop: settles what came back, and claims what goes next.
//!
//! Both in one, because each costs a durable commit. Consent is decided in here, so after a withdrawal has committed
//! nothing of it is claimed.

use onefold_model::{Timestamp, WorkspaceId, access::Access};
use onefold_state::{Error, Reader, Row, StateStore, Txn, schema};
use rustc_hash::FxHashMap;

use crate::{
    delivery::{Permission, Permit},
    destination::{Delivery, Kind},
    rows::{self, Place, outbox},
};

/// Whose rows, and under what.
pub struct Claimant<'a> {
    pub workspace: WorkspaceId,
    pub destination: &'a str,
    pub access: Access,
    pub channel: Option<&'a str>,
    pub permission: &'a dyn Permission,
}

/// A hand-off that came back.
pub struct Finished {
    pub delivery: Delivery,
    pub verdict: Verdict,
}

/// What becomes of its row.
pub enum Verdict {
    Delivered { detail: String },
    Retry { attempts: u32, next_ms: i64 },
    Dead { attempts: u32, cause: String, answer: Option<String> },
}

/// What was claimed.
#[derive(Default)]
pub struct Claim {
    /// Batches to hand over.
    pub batches: Vec<Vec<Delivery>>,
    /// Places that are not to be handed over: gone meanwhile, not permitted, or unreadable.
    pub dropped: Vec<Place>,
    /// How many of them consent did not permit.
    pub skipped: u64,
    /// How many of them are dead letters now.
    pub dead: u64,
}

/// Settles and claims. Nothing of it took effect where this fails.
pub fn settle_and_claim(
    store: &dyn StateStore,
    claimant: &Claimant<'_>,
    finished: &[Finished],
    picked: &[Vec<Place>],
) -> Result<Claim, Error> {
    let mut txn = store.begin_shared()?;
    settle(&mut *txn, claimant, finished)?;
    let claim = claim(&mut *txn, claimant, picked)?;
    txn.commit()?;
    Ok(claim)
}

fn settle(txn: &mut dyn Txn, claimant: &Claimant<'_>, finished: &[Finished]) -> Result<(), Error> {
    let at = claimant.access.at;
    let place = |delivery: &Delivery| (delivery.at_offset, delivery.place);
    let keys: Vec<Row> = finished
        .iter()
        .map(|finished| rows::key(claimant.workspace, claimant.destination, place(&finished.delivery)))
        .collect();
    let there = txn.get(&schema::OUTBOX, &keys)?;
    let (mut done, mut again, mut receipts, mut dead) = (vec![], vec![], vec![], vec![]);
    for ((finished, key), row) in finished.iter().zip(keys).zip(there) {
        // What was erased meanwhile does not come back; only that it was handed over is still said.
        let erased = row.is_none();
        let row = row.unwrap_or_else(|| rows::outbox_row(&Delivery { body: vec![], ..finished.delivery.clone() }, 0));
        match &finished.verdict {
            Verdict::Delivered { detail } => {
                receipts.push(rows::receipt(
                    &row,
                    "delivered",
                    finished.delivery.attempts.saturating_add(1),
                    at,
                    detail,
                ));
                done.push(key);
            }
            Verdict::Retry { .. } if erased => {}
            Verdict::Retry { attempts, next_ms } => {
                let mut row = row;
                row[outbox::ATTEMPTS] = (*attempts).into();
                row[outbox::NEXT_MS] = (*next_ms).into();
                again.push(row);
            }
            Verdict::Dead { attempts, cause, answer } => {
                receipts.push(rows::receipt(&row, "dead", *attempts, at, cause));
                if !erased {
                    let reason = answer.as_ref().map_or(cause.clone(), |answer| format!("{cause}: {answer}"));
                    dead.push(rows::dead(row, *attempts, at, &reason));
                }
                done.push(key);
            }
        }
    }
    write(txn, &done, receipts, dead)?;
    if !again.is_empty() {
        txn.put(&schema::OUTBOX, again)?;
    }
    Ok(())
}

fn claim(txn: &mut dyn Txn, claimant: &Claimant<'_>, picked: &[Vec<Place>]) -> Result<Claim, Error> {
    let mut claim = Claim::default();
    let places: Vec<Place> = picked.iter().flatten().copied().collect();
    if places.is_empty() {
        return Ok(claim);
    }
    let keys: Vec<Row> =
        places.iter().map(|place| rows::key(claimant.workspace, claimant.destination, *place)).collect();
    let mut there = places.iter().copied().zip(txn.get(&schema::OUTBOX, &keys)?).collect::<FxHashMap<_, _>>();
    let (mut done, mut receipts, mut dead) = (vec![], vec![], vec![]);
    let mut candidates: Vec<Vec<(Delivery, Row)>> = vec![];
    for batch in picked {
        let mut candidate = vec![];
        for place in batch {
            let Some(row) = there.remove(place).flatten() else {
                claim.dropped.push(*place);
                continue;
            };
            match rows::delivery(&row)? {
                Some(delivery) => candidate.push((delivery, row)),
                None => {
                    const REASON: &str = "the outbox row is of a kind that this version does not know";
                    claim.dropped.push(*place);
                    claim.dead += 1;
                    done.push(row[..schema::OUTBOX.key].to_vec());
                    receipts.push(rows::receipt(&row, "dead", 0, claimant.access.at, REASON));
                    dead.push(rows::dead(row, 0, claimant.access.at, REASON));
                }
            }
        }
        candidates.push(candidate);
    }

    let permits = permits(txn, claimant, candidates.iter().flatten().map(|(delivery, _)| delivery))?;
    for candidate in candidates {
        let mut batch = vec![];
        for (delivery, row) in candidate {
            // Whoever leaves an audience may always be taken out of it.
            let denial = match delivery.kind {
                Kind::Leave | Kind::Erase => None,
                Kind::Event | Kind::Enter => match permits.get(&delivery.profile) {
                    Some(permit) if permit.allowed => None,
                    Some(permit) => Some(permit.reason.as_str()),
                    None => Some("consent was not decided"),
                },
            };
            match denial {
                None => batch.push(delivery),
                Some(reason) => {
                    claim.dropped.push((delivery.at_offset, delivery.place));
                    claim.skipped += 1;
                    done.push(row[..schema::OUTBOX.key].to_vec());
                    receipts.push(rows::receipt(&row, "skipped", delivery.attempts, claimant.access.at, reason));
                }
            }
        }
        if !batch.is_empty() {
            claim.batches.push(batch);
        }
    }
    write(txn, &done, receipts, dead)?;
    Ok(claim)
}

/// The decision for each profile of which something other than leaving is to be said.
fn permits<'d>(
    txn: &mut dyn Txn,
    claimant: &Claimant<'_>,
    deliveries: impl Iterator<Item = &'d Delivery>,
) -> Result<FxHashMap<i64, Permit>, Error> {
    let mut profiles: Vec<i64> =
        deliveries.filter(|d| !matches!(d.kind, Kind::Leave | Kind::Erase)).map(|d| d.profile).collect();
    profiles.sort_unstable();
    profiles.dedup();
    if profiles.is_empty() {
        return Ok(FxHashMap::default());
    }
    let reader: &mut dyn Reader = txn;
    let permits = claimant.permission.decide(reader, &claimant.access, claimant.channel, &profiles)?;
    Ok(profiles.into_iter().zip(permits).collect())
}

fn write(txn: &mut dyn Txn, done: &[Row], mut receipts: Vec<Row>, dead: Vec<Row>) -> Result<(), Error> {
    if !done.is_empty() {
        txn.delete(&schema::OUTBOX, done)?;
    }
    if let Some(first) = receipts.first() {
        // A transaction has the store for itself, so nobody else gives the same numbers.
        let mut sequence = onefold_state::receipts::last(txn, &first[0])?;
        for receipt in &mut receipts {
            sequence += 1;
            *receipt.last_mut().expect("a receipt has a place for it") = sequence.into();
        }
        txn.put(&schema::RECEIPT, receipts)?;
    }
    if !dead.is_empty() {
        txn.put(&schema::DELIVERY_DEAD, dead)?;
    }
    Ok(())
}

/// The instant at which a claim is made, and for what.
pub fn access(workspace: WorkspaceId, purpose: &onefold_model::access::Purpose, at: Timestamp) -> Access {
    Access {
        caller: onefold_model::access::Caller::Engine,
        workspace,
        purpose: purpose.clone(),
        at,
        sight: onefold_model::access::Sight::all(),
    }
}
