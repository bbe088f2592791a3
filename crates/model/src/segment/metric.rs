//! What a profile must remember so that conditions can be answered: metrics.
//!
//! Segments and computed traits compile to metrics; equal ones are one. The pipeline keeps, per node of the identity
//! graph, one [`crate::profile::Series`] for each metric somebody needs, and nothing for the others.

use serde::{Deserialize, Serialize};

use super::ast::{EventMatch, Path};
use crate::Timestamp;

/// A metric's number, given by the pipeline, once for equal metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MetricId(pub u32);

/// A series of points that is kept per node: which events, what of each. It is stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Metric {
    /// Which events.
    pub event: EventMatch,
    /// What of each.
    pub keeps: Keeps,
}

/// What a point of a series holds beside its time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Keeps {
    /// Nothing: for counts, first, last and sequences.
    Time,
    /// An amount: for sum, average, min and max. Events without it are no points.
    Amount(Path),
    /// A value: for distinct, most frequent, first and last value, list. Events without it are no points.
    Value(Path),
}

/// How far back points are needed one by one; older ones may be folded into one aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Horizon {
    /// Only aggregates over all time are asked.
    None,
    /// So many milliseconds before now.
    Ms(i64),
    /// From this instant on.
    Since(Timestamp),
    /// All of them.
    Forever,
}

impl Horizon {
    /// The instant before which the points may be folded away at `now`. A metric that several read is folded before
    /// the least of theirs.
    pub fn start(self, now: Timestamp) -> Timestamp {
        match self {
            Horizon::None => now,
            Horizon::Ms(ms) => now.minus(ms),
            Horizon::Since(at) => at.min(now),
            Horizon::Forever => Timestamp::MIN,
        }
    }
}
