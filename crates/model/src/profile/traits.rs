//! Traits as registers: per name the values that were said, each with where it came from.
//!
//! The value that counts is the most recent one: event time decides, then receive time, then a hash of the message id.
//! A register keeps the [`HISTORY_MAX`] most recent different values, which is its history; keeping the newest of each
//! value and the newest of those is the same in any order of arrival.

use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use crate::{Timestamp, Value, event::record::SourceId};

/// How many different values of a trait are kept per node.
pub const HISTORY_MAX: usize = 16;

/// A value is kept while those that count before it have at most so many bytes together: a history of long values is
/// short.
pub const HISTORY_BYTES_MAX: usize = 8 * 1024;

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
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Traits {
    /// By name, ascending. Most nodes have few, for which a tree would take ten times the memory.
    registers: Vec<(Box<str>, Register)>,
    /// Where there are [`NAMES_MAX`] names: the one that goes next. Found when it is asked for.
    #[serde(skip)]
    last: Option<(u64, Box<str>)>,
}

type Register = SmallVec<[Observed; 1]>;

/// Equal where the registers are.
impl PartialEq for Traits {
    fn eq(&self, other: &Self) -> bool {
        self.registers == other.registers
    }
}

impl Eq for Traits {}

/// What an observation changed at a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// What counts is the same, said at the same time.
    Same,
    /// The same value counts, said later: among several nodes this one's may count now.
    Newer,
    /// Another value counts.
    Changed,
    /// The name is new and counts; this other one was dropped for it.
    InsteadOf(Box<str>),
}

impl Traits {
    /// Takes a value. Says what that changed.
    pub fn observe(&mut self, name: &str, observed: Observed) -> Noted {
        if let Ok(place) = self.place(name) {
            return observe(&mut self.registers[place].1, observed);
        }
        let mut noted = Noted::Changed;
        if self.registers.len() >= NAMES_MAX {
            let names = || self.registers.iter().map(|(name, _)| (hash(name), name.clone()));
            let Some(last) = self.last.take().or_else(|| names().max()) else { return Noted::Same };
            if (hash(name), name) > (last.0, &last.1) {
                self.last = Some(last);
                return Noted::Same;
            }
            if let Ok(place) = self.place(&last.1) {
                self.registers.remove(place);
            }
            noted = Noted::InsteadOf(last.1);
        }
        let place = self.registers.partition_point(|(other, _)| **other < *name);
        self.registers.insert(place, (name.into(), SmallVec::from_buf([observed])));
        noted
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.registers.binary_search_by(|(other, _)| (**other).cmp(name))
    }

    /// The observation of `name` that counts at this node.
    pub fn get(&self, name: &str) -> Option<&Observed> {
        self.place(name).ok().and_then(|place| self.registers[place].1.first())
    }

    /// Every name with its observations, the one that counts first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Observed])> {
        self.registers.iter().map(|(name, register)| (&**name, &**register))
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.registers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.registers.is_empty()
    }

    /// About how many bytes they take in memory beside this.
    pub fn heap_bytes(&self) -> usize {
        let spilled =
            |register: &Register| if register.spilled() { register.capacity() * size_of::<Observed>() } else { 0 };
        let said = |register: &Register| spilled(register) + register.iter().map(|o| bytes(&o.value)).sum::<usize>();
        let each = self.registers.iter().map(|(name, register)| name.len() + said(register)).sum::<usize>();
        self.registers.capacity() * size_of::<(Box<str>, Register)>() + each
    }
}

/// Keeps the register sorted, the newest first, each value once. What is cut off stays off in any order of arrival: those
/// that count before a value only become more.
fn observe(register: &mut Register, observed: Observed) -> Noted {
    if let Some(same) = register.iter().position(|o| o.value == observed.value) {
        if !observed.outranks(&register[same]) {
            return Noted::Same;
        }
        register.remove(same);
        if same == 0 {
            register.insert(0, observed);
            return Noted::Newer;
        }
    }
    let place = register.iter().position(|o| observed.outranks(o)).unwrap_or(register.len());
    register.insert(place, observed);
    let mut before = 0;
    let fitting = register.iter().take(HISTORY_MAX).take_while(|o| {
        let fits = before <= HISTORY_BYTES_MAX;
        before += bytes(&o.value);
        fits
    });
    let kept = fitting.count();
    register.truncate(kept);
    if place == 0 { Noted::Changed } else { Noted::Same }
}

fn bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) | Value::Json(text) => text.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 16,
    }
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
        assert_eq!(traits.observe("plan", observed(2, 0, "pro")), Noted::Changed);
        assert_eq!(traits.observe("plan", observed(1, 0, "free")), Noted::Same);
        assert_eq!(traits.observe("plan", observed(3, 0, "pro")), Noted::Newer);
        assert_eq!(traits.observe("plan", observed(4, 0, "free")), Noted::Changed);
        let history: Vec<_> = traits.iter().next().unwrap().1.iter().map(|o| (o.at.0, o.value.to_json())).collect();
        assert_eq!(history, [(4, "\"free\"".to_owned()), (3, "\"pro\"".to_owned())]);
    }

    /// Single letters, and values of which two or three fill a history.
    fn long_values() -> impl Strategy<Value = String> {
        ("[a-z]", prop_oneof![4 => Just(1usize), 1 => 2000usize..6000]).prop_map(|(letter, times)| letter.repeat(times))
    }

    proptest! {
        #[test]
        fn order_of_arrival_does_not_matter(
            said in proptest::collection::vec((0i64..30, 0u64..3, long_values(), "[a-d]"), 0..80),
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
