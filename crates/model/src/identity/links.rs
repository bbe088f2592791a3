//! Links: what record linkage found about two nodes, and what a steward decided about them.
//!
//! A link is a guess with a weight. It comes as a command, so that the log says when it was made and by which model, and
//! a rebuild needs no model. A decision about two nodes stands until it is withdrawn, whatever a model finds.

use serde::{Deserialize, Serialize};

use crate::NodeId;

/// Two nodes that a model compared. `a` is the lesser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// One.
    pub a: NodeId,
    /// The other.
    pub b: NodeId,
    /// Log, base 2, of the odds that they are one person, in thousandths of a bit.
    pub millibits: i64,
    /// Whether they are joined; if not, somebody should look at them.
    pub joined: bool,
    /// The parts that the weight is made of, by name, in thousandths of a bit. They name no values.
    pub parts: Vec<(String, i64)>,
}

/// What a steward decided about two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// They are one person.
    Accept,
    /// The link does not join them. Other evidence may.
    Reject,
    /// They are two people, whatever else is said.
    Never,
}

impl Decision {
    /// As it stands in tables and URLs.
    pub fn name(self) -> &'static str {
        match self {
            Decision::Accept => "accept",
            Decision::Reject => "reject",
            Decision::Never => "never",
        }
    }
}

/// A statement, by the log offset that brought it and its place among what that brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StatementRef(pub u64, pub u32);

impl std::fmt::Display for StatementRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl std::str::FromStr for StatementRef {
    type Err = String;

    fn from_str(text: &str) -> Result<StatementRef, String> {
        let parts = text.split_once('.').and_then(|(offset, place)| Some((offset.parse().ok()?, place.parse().ok()?)));
        let (offset, place) = parts.ok_or_else(|| format!("{text:?} is no evidence; it looks like 1234.0"))?;
        Ok(StatementRef(offset, place))
    }
}
