//! The numbers that name things inside, and how they are written outside.
//!
//! A node's number is the log offset of the event that first named the identifier, times [`NodeId::PER_OFFSET`], plus
//! its place among that event's identifiers. So a rebuild gives every node its old number even where other people's
//! events were erased meanwhile, numbers grow with age (the oldest of a cluster is its smallest), and neighbours in
//! time are neighbours in the store. A profile is called by its oldest node: nothing has to remember redirects.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A workspace: the tenant. Small and given once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkspaceId(pub u32);

impl WorkspaceId {
    /// The log partition that holds the workspace.
    pub fn partition(self, partitions: u32) -> u32 {
        self.0 % partitions
    }
}

/// A kind of entity: person, household, account, or one of the workspace's own object types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntityType(pub u16);

impl EntityType {
    /// A person, the one kind that identity resolution merges.
    pub const PERSON: EntityType = EntityType(0);
    /// People who live together.
    pub const HOUSEHOLD: EntityType = EntityType(1);
    /// A company or team: what `group` calls speak of.
    pub const ACCOUNT: EntityType = EntityType(2);
    /// The first number for a workspace's own object types.
    pub const FIRST_OWN: EntityType = EntityType(16);
}

/// An identifier's node in the identity graph; see the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub i64);

impl NodeId {
    /// How many identifiers of one event can become nodes.
    pub const PER_OFFSET: i64 = 32;

    /// The node first named at `offset` as the event's identifier number `place`.
    pub fn at(offset: u64, place: usize) -> NodeId {
        debug_assert!((place as i64) < Self::PER_OFFSET);
        NodeId(offset as i64 * Self::PER_OFFSET + place as i64)
    }
}

/// A profile: its oldest node. Written `p_` and 13 letters and digits of Crockford's base 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProfileId(pub NodeId);

const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl fmt::Display for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("p_")?;
        let n = self.0.0 as u64;
        for i in (0..13).rev() {
            write!(f, "{}", char::from(CROCKFORD[(n >> (5 * i) & 31) as usize]))?;
        }
        Ok(())
    }
}

impl FromStr for ProfileId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.strip_prefix("p_").filter(|d| d.len() == 13).ok_or(())?;
        let mut n = 0u64;
        for c in digits.bytes() {
            let digit = CROCKFORD.iter().position(|d| *d == c).ok_or(())?;
            n = n.checked_mul(32).ok_or(())? | digit as u64;
        }
        i64::try_from(n).map(|n| ProfileId(NodeId(n))).map_err(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_profile_id_reads_back(n in 0i64..i64::MAX) {
            let id = ProfileId(NodeId(n));
            proptest::prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn older_nodes_have_smaller_numbers() {
        assert!(NodeId::at(7, 31) < NodeId::at(8, 0));
        assert_eq!(ProfileId(NodeId::at(1, 1)).to_string(), "p_0000000000011");
        assert_eq!("p_zzzzzzzzzzzzz".parse::<ProfileId>(), Err(()));
    }
}
