//! What became of each offset.
//!
//! One row per micro-batch. Version 1: a version byte, then per offset a code byte; an accepted event's code is followed
//! by its node, as the zigzag varint of its distance from the offset's own number, which is small for new nodes.

use onefold_model::NodeId;
use onefold_state::{Reader, Scan, Value, schema};

use crate::Error;

const VERSION: u8 = 1;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The event was folded at this node.
    Accepted(NodeId),
    /// The event's message id was seen before.
    Duplicate,
    /// The event belongs to nobody: no identifier is left under the rules.
    Refused,
    /// The event speaks of an object, not of a person.
    Object,
    /// A command.
    Command,
    /// A tick.
    Tick,
    /// The record was erased before it was applied.
    Erased,
    /// The record cannot be read.
    Unreadable,
    /// The event is about somebody who is not let in.
    Suppressed,
}

/// The verdicts of a micro-batch, as stored.
pub fn encode(first_offset: u64, verdicts: &[Verdict]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + verdicts.len() * 4);
    out.push(VERSION);
    for (offset, verdict) in (first_offset..).zip(verdicts) {
        match verdict {
            Verdict::Accepted(node) => {
                out.push(0);
                let distance = NodeId::at(offset, 0).0.wrapping_sub(node.0);
                let mut zigzag = ((distance << 1) ^ (distance >> 63)) as u64;
                while zigzag >= 0x80 {
                    out.push(zigzag as u8 | 0x80);
                    zigzag >>= 7;
                }
                out.push(zigzag as u8);
            }
            Verdict::Duplicate => out.push(1),
            Verdict::Refused => out.push(2),
            Verdict::Object => out.push(3),
            Verdict::Command => out.push(4),
            Verdict::Tick => out.push(5),
            Verdict::Erased => out.push(6),
            Verdict::Unreadable => out.push(7),
            Verdict::Suppressed => out.push(8),
        }
    }
    out
}

/// Reads the verdicts of a micro-batch; `None` where they cannot be read.
pub fn decode(first_offset: u64, bytes: &[u8]) -> Option<Vec<Verdict>> {
    let (version, mut rest) = bytes.split_first()?;
    if *version != VERSION {
        return None;
    }
    let mut verdicts = Vec::new();
    let mut offset = first_offset;
    while let Some((code, tail)) = rest.split_first() {
        rest = tail;
        verdicts.push(match code {
            0 => {
                let mut zigzag = 0u64;
                for shift in (0..64).step_by(7) {
                    let (byte, tail) = rest.split_first()?;
                    rest = tail;
                    zigzag |= u64::from(byte & 0x7f) << shift;
                    if byte & 0x80 == 0 {
                        break;
                    }
                }
                let distance = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
                Verdict::Accepted(NodeId(NodeId::at(offset, 0).0.wrapping_sub(distance)))
            }
            1 => Verdict::Duplicate,
            2 => Verdict::Refused,
            3 => Verdict::Object,
            4 => Verdict::Command,
            5 => Verdict::Tick,
            6 => Verdict::Erased,
            7 => Verdict::Unreadable,
            8 => Verdict::Suppressed,
            _ => return None,
        });
        offset += 1;
    }
    Some(verdicts)
}

/// The first offset of the micro-batch that an applied offset was in.
pub fn batch_of(store: &mut dyn Reader, partition: u32, offset: u64) -> Result<u64, Error> {
    let partition = Value::Int(partition.into());
    let first = Scan {
        reverse: true,
        after: Some(vec![partition.clone(), Value::uint(offset + 1)]),
        ..Scan::prefix(&schema::VERDICT, vec![partition], 1)
    };
    Ok(store.scan(&first)?.first().map_or(Ok(0), |row| row[1].as_uint())?)
}

/// What became of the offsets from `from` to `to`; those of which nothing is known count as unreadable.
pub fn between(store: &mut dyn Reader, partition: u32, from: u64, to: u64) -> Result<Vec<Verdict>, Error> {
    let mut found = vec![Verdict::Unreadable; (to - from) as usize];
    let start = batch_of(store, partition, from)?;
    let partition = Value::Int(partition.into());
    let rest = Scan {
        after: Some(vec![partition.clone(), Value::Int(start as i64 - 1)]),
        until: Some(Value::Int(to as i64 - 1)),
        ..Scan::prefix(&schema::VERDICT, vec![partition], usize::MAX)
    };
    for row in store.scan(&rest)? {
        let first = row[1].as_uint()?;
        let verdicts = decode(first, row[3].as_bytes()?)
            .ok_or_else(|| Error::unreadable("verdicts", "a newer Onefold wrote them, or they are damaged"))?;
        for (offset, verdict) in (first..).zip(verdicts) {
            if (from..to).contains(&offset) {
                found[(offset - from) as usize] = verdict;
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn verdicts_read_back(first in 0u64..1 << 50, codes in proptest::collection::vec((0u8..9, 0i64..i64::MAX), 0..50)) {
            let verdicts: Vec<Verdict> = codes
                .into_iter()
                .map(|(code, node)| match code {
                    0 => Verdict::Accepted(NodeId(node)),
                    1 => Verdict::Duplicate,
                    2 => Verdict::Refused,
                    3 => Verdict::Object,
                    4 => Verdict::Command,
                    5 => Verdict::Tick,
                    6 => Verdict::Erased,
                    7 => Verdict::Unreadable,
                    _ => Verdict::Suppressed,
                })
                .collect();
            prop_assert_eq!(decode(first, &encode(first, &verdicts)), Some(verdicts));
        }
    }
}
