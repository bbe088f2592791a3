//! Who entered and left which segment.
//!
//! One row per micro-batch that has any, as for verdicts: they come by the thousand, and are read in order. Version 1: a
//! version byte; then, by postcard, the names of the segments, and each change with the place of its segment's name.

use std::sync::Arc;

use onefold_model::{NodeId, ProfileId, Timestamp, WorkspaceId};
use onefold_state::{Reader, Row, Scan, Value, schema};
use serde::{Deserialize, Serialize};

use crate::Error;

const VERSION: u8 = 1;

/// Somebody entered a segment or left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub workspace: WorkspaceId,
    /// The log offset at which it was decided.
    pub offset: u64,
    /// The segment's name.
    pub segment: Arc<str>,
    /// Who.
    pub profile: ProfileId,
    /// Whether they entered.
    pub entered: bool,
    /// As of when.
    pub at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Body {
    segments: Vec<Arc<str>>,
    changes: Vec<Stored>,
}

/// Workspace, log offset, place of the segment's name, profile, entered, at.
type Stored = (u32, u64, u32, i64, bool, i64);

/// The changes of a micro-batch, as stored.
pub fn encode(changes: &[Change]) -> Vec<u8> {
    let mut segments: Vec<Arc<str>> = changes.iter().map(|change| change.segment.clone()).collect();
    segments.sort_unstable();
    segments.dedup();
    let stored = |change: &Change| {
        let segment = segments.binary_search(&change.segment).unwrap_or_default() as u32;
        (change.workspace.0, change.offset, segment, change.profile.0.0, change.entered, change.at.0)
    };
    let changes = changes.iter().map(stored).collect();
    postcard::to_extend(&Body { segments, changes }, vec![VERSION]).expect("a vector takes all that is written to it")
}

/// Reads the changes of a micro-batch; `None` where they cannot be read.
pub fn decode(bytes: &[u8]) -> Option<Vec<Change>> {
    let (&VERSION, rest) = bytes.split_first()? else { return None };
    let Body { segments, changes } = postcard::from_bytes(rest).ok()?;
    let change = |(workspace, offset, segment, profile, entered, at): Stored| {
        Some(Change {
            workspace: WorkspaceId(workspace),
            offset,
            segment: segments.get(segment as usize)?.clone(),
            profile: ProfileId(NodeId(profile)),
            entered,
            at: Timestamp(at),
        })
    };
    changes.into_iter().map(change).collect()
}

/// All changes of a partition that the store has, in order.
pub fn all(store: &mut dyn Reader, partition: u32) -> Result<Vec<Change>, Error> {
    read(&store.scan(&Scan::prefix(&schema::SEGMENT_CHANGE, vec![Value::Int(partition.into())], usize::MAX))?)
}

/// The changes in these rows.
pub(crate) fn read(rows: &[Row]) -> Result<Vec<Change>, Error> {
    let mut found = vec![];
    for row in rows {
        let changes = decode(row[2].as_bytes()?).ok_or_else(|| {
            Error::unreadable("changes of segments", "a newer Onefold wrote them, or they are damaged")
        })?;
        found.extend(changes);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn changes_read_back(said in proptest::collection::vec((0u32..3, 0u64..1 << 50, "[a-c]{1,2}", any::<i64>(), any::<bool>(), any::<i64>()), 0..50)) {
            let change = |(workspace, offset, segment, profile, entered, at): (u32, u64, String, i64, bool, i64)| Change {
                workspace: WorkspaceId(workspace),
                offset,
                segment: segment.into(),
                profile: ProfileId(NodeId(profile)),
                entered,
                at: Timestamp(at),
            };
            let changes: Vec<Change> = said.into_iter().map(change).collect();
            prop_assert_eq!(decode(&encode(&changes)), Some(changes));
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&[9, 0, 0]), None);
        // A change of a segment that has no name.
        assert_eq!(decode(&[VERSION, 0, 1, 0, 0, 7, 0, 0, 0]), None);
    }
}
