//! Traits as registers: per name the values that were said, each with where it came from.
//!
//! The value that counts is the most recent one: event time decides, then receive time, then a hash of the message id.
//! A register keeps the [`HISTORY_MAX`] most recent different values, which is its history; keeping the newest of each
//! value and the newest of those is the same in any order of arrival.

use std::{collections::BTreeMap, hash::Hasher};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use crate::{Timestamp, Value, event::record::SourceId};

/// How many different values of a trait are kept per node.
pub const HISTORY_MAX: usize = 16;

/// How many traits are kept per node. Past it the names with the smallest hashes stay, whatever came first.
pub const NAMES_MAX: usize = 1000;

/// Bytes of a trait's value that are kept; longer ones stay in the log only.
pub const VALUE_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a trait's name.
pub const NAME_BYTES_MAX: usize = 200;

/// A value that was said, the last time it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// When it was true.
    pub at: Timestamp,
    /// When it came.
    pub received_at: Timestamp,
    /// Decides between two of the same times: a hash of the message id.
    pub tie: u64,
    /// By which source.
    pub source: SourceId,
    /// In which log record.
    pub offset: u64,
    /// The value; `Null` says that the trait is gone.
    pub value: Value,
}

impl Observed {
    fn rank(&self) -> (Timestamp, Timestamp, u64) {
        (self.at, self.received_at, self.tie)
    }

    /// Whether this one counts before `other`.
    pub fn outranks(&self, other: &Observed) -> bool {
        (self.rank(), &self.value) > (other.rank(), &other.value)
    }
}

/// The registers of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traits(BTreeMap<Box<str>, SmallVec<[Observed; 1]>>);

impl Traits {
    /// Takes a value. Says whether the value that counts at this node changed.
    pub fn observe(&mut self, name: &str, observed: Observed) -> bool {
        if let Some(register) = self.0.get_mut(name) {
            return observe(register, observed);
        }
        self.0.insert(name.into(), SmallVec::from_buf([observed]));
        if self.0.len() > NAMES_MAX {
            let last = self.0.keys().max_by_key(|name| (hash(name), name.len())).cloned();
            if let Some(last) = last {
                self.0.remove(&last);
                return *last != *name;
            }
        }
        true
    }

    /// The observation of `name` that counts at this node.
    pub fn get(&self, name: &str) -> Option<&Observed> {
        self.0.get(name).and_then(|register| register.first())
    }

    /// Every name with its observations, the one that counts first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Observed])> {
        self.0.iter().map(|(name, register)| (&**name, &**register))
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Keeps the register sorted, the newest first, each value once.
fn observe(register: &mut SmallVec<[Observed; 1]>, observed: Observed) -> bool {
    if let Some(same) = register.iter().position(|o| o.value == observed.value) {
        if !observed.outranks(&register[same]) {
            return false;
        }
        register.remove(same);
    }
    let place = register.iter().position(|o| observed.outranks(o)).unwrap_or(register.len());
    let changed = place == 0 && register.first().is_none_or(|o| o.value != observed.value);
    if place < HISTORY_MAX {
        register.insert(place, observed);
        register.truncate(HISTORY_MAX);
    }
    changed
}

fn hash(name: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x7472_6169, 0x745f_6e61);
    hasher.write(name.as_bytes());
    hasher.finish()
}

/// The observation of `name` that counts over several nodes.
pub fn joined<'a>(nodes: impl Iterator<Item = &'a Traits>, name: &str) -> Option<&'a Observed> {
    nodes.filter_map(|traits| traits.get(name)).reduce(|a, b| if b.outranks(a) { b } else { a })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn observed(at: i64, tie: u64, value: &str) -> Observed {
        let at = Timestamp(at);
        Observed { at, received_at: at, tie, source: 0, offset: 0, value: Value::Text(value.into()) }
    }

    #[test]
    fn the_newest_counts_and_the_rest_is_history() {
        let mut traits = Traits::default();
        assert!(traits.observe("plan", observed(2, 0, "pro")));
        assert!(!traits.observe("plan", observed(1, 0, "free")));
        assert!(!traits.observe("plan", observed(3, 0, "pro")));
        assert!(traits.observe("plan", observed(4, 0, "free")));
        let history: Vec<_> = traits.iter().next().unwrap().1.iter().map(|o| (o.at.0, o.value.to_json())).collect();
        assert_eq!(history, [(4, "\"free\"".to_owned()), (3, "\"pro\"".to_owned())]);
    }

    proptest! {
        #[test]
        fn order_of_arrival_does_not_matter(
            said in proptest::collection::vec((0i64..30, 0u64..3, "[a-z]", "[a-d]"), 0..80),
            seed: u64,
        ) {
            let mut shuffled = said.clone();
            let rng = crate::rng::SeededRng::new(seed);
            for i in (1..shuffled.len()).rev() {
                shuffled.swap(i, rng.below(i as u64 + 1) as usize);
            }
            let fold = |said: &[(i64, u64, String, String)]| {
                let mut traits = Traits::default();
                for (at, tie, value, name) in said {
                    traits.observe(name, observed(*at, *tie, value));
                }
                traits
            };
            prop_assert_eq!(fold(&said), fold(&shuffled));
        }
    }

    #[test]
    fn a_million_names_leave_a_bounded_number_whatever_came_first() {
        let names: Vec<String> = (0..5000).map(|n| format!("t{n}")).collect();
        let fold = |names: &mut dyn Iterator<Item = &String>| {
            let mut traits = Traits::default();
            for name in names {
                traits.observe(name, observed(1, 0, "x"));
            }
            traits
        };
        let forward = fold(&mut names.iter());
        assert_eq!(forward.len(), NAMES_MAX);
        assert_eq!(forward, fold(&mut names.iter().rev()));
    }
}
