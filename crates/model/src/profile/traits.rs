//! Traits as registers: per name the values that were said, each with where it came from.
//!
//! A register keeps the [`HISTORY_MAX`] most recent different values, which is its history, and the newest value of each
//! source, of which survivorship rules choose ([`survivorship`](super::survivorship)): event time decides, then receive time,
//! then a hash of the message id. Both are the same in any order of arrival: keeping the newest of each value, or of each
//! source, and the newest of those, loses nothing that could come back.

use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use super::survivorship::STEWARD;
use crate::{Timestamp, Value, event::record::SourceId};

/// How many different values of a trait are kept per node.
pub const HISTORY_MAX: usize = 16;

/// A value is kept while those that count before it have at most so many bytes together: a history of long values is
/// short.
pub const HISTORY_BYTES_MAX: usize = 8 * 1024;

/// Of how many sources the newest value is kept, however old: those that said something last.
pub const SOURCES_MAX: usize = 16;

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
    fn rank(&self) -> (bool, Timestamp, Timestamp, u64) {
        (self.source == STEWARD, self.at, self.received_at, self.tie)
    }

    /// Whether this one counts before `other`: a steward's before all, else the newer.
    pub fn outranks(&self, other: &Observed) -> bool {
        (self.rank(), &self.value, self.source) > (other.rank(), &other.value, other.source)
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
    /// Nothing.
    Same,
    /// Something behind the newest value: of a trait with a rule of its own another may count now.
    Behind,
    /// The same value is the newest, said later: among several nodes this one's may count now.
    Newer,
    /// Another value is the newest.
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

    /// Drops the values of which `goes` says so; gives the names that had any.
    pub fn forget(&mut self, mut goes: impl FnMut(&Observed) -> bool) -> Vec<String> {
        let mut changed = vec![];
        self.registers.retain_mut(|(name, register)| {
            let before = register.len();
            register.retain(|observed| !goes(observed));
            if register.len() < before {
                changed.push(name.to_string());
            }
            !register.is_empty()
        });
        if !changed.is_empty() {
            self.last = None;
        }
        changed
    }

    /// Takes back what stewards gave. Says whether there was anything.
    pub fn withdraw_steward(&mut self, name: &str) -> bool {
        let Ok(place) = self.place(name) else { return false };
        let register = &mut self.registers[place].1;
        let before = register.len();
        register.retain(|observed| observed.source != STEWARD);
        let withdrawn = register.len() < before;
        if register.is_empty() {
            self.registers.remove(place);
            self.last = None;
        }
        withdrawn
    }

    /// What each source said of `name` last at this node, the newest first.
    pub fn records<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Observed> {
        let register = self.place(name).map_or(&[][..], |place| &self.registers[place].1);
        let first_of_source =
            |place: usize| register[..place].iter().all(|earlier| earlier.source != register[place].source);
        (0..register.len()).filter(move |place| first_of_source(*place)).map(|place| &register[place])
    }

    /// The observation of `name` that was said last at this node.
    pub fn get(&self, name: &str) -> Option<&Observed> {
        self.place(name).ok().and_then(|place| self.registers[place].1.first())
    }

    /// Every name with its observations, the newest first.
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

/// Keeps the register sorted, the newest first, each value of a source once. What is cut off stays off in any order of
/// arrival: those that count before a value only become more.
fn observe(register: &mut Register, observed: Observed) -> Noted {
    let same = register.iter().position(|o| o.source == observed.source && o.value == observed.value);
    if let Some(same) = same {
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
    let again = place == 0 && register.first().is_some_and(|newest| newest.value == observed.value);
    register.insert(place, observed);
    if cut(register) == Some(place) {
        return Noted::Same;
    }
    match place {
        0 if again => Noted::Newer,
        0 => Noted::Changed,
        _ => Noted::Behind,
    }
}

/// Drops what is neither of the history nor the newest of a source; gives the first place that something was dropped from.
/// Of a steward's values the newest stays, and takes no room from the others: they must be whole when it is withdrawn.
fn cut(register: &mut Register) -> Option<usize> {
    let own_first = usize::from(register.first().is_some_and(|o| o.source == STEWARD));
    let (mut values, mut sources, mut before, mut kept, mut first) = (0, 0, 0, own_first, None);
    for place in own_first..register.len() {
        let (earlier, own) = (&register[own_first..kept], &register[place]);
        if own.source == STEWARD {
            first = first.or(Some(place));
            continue;
        }
        // Of an earlier one that was dropped neither the value nor the source is asked for: those after it are dropped too.
        let new_value = earlier.iter().all(|o| o.value != own.value);
        let new_source = earlier.iter().all(|o| o.source != own.source);
        let of_history = new_value && values < HISTORY_MAX && before <= HISTORY_BYTES_MAX;
        let of_source = new_source && sources < SOURCES_MAX;
        if new_value {
            values += 1;
            before += bytes(&own.value);
        }
        sources += usize::from(new_source);
        if of_history || of_source {
            register.swap(kept, place);
            kept += 1;
        } else {
            first = first.or(Some(place));
        }
    }
    register.truncate(kept);
    first
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
        assert_eq!(traits.observe("plan", observed(1, 0, "free")), Noted::Behind);
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

    /// Of one source the history is bounded; of each other the newest stays, until there are too many sources.
    #[test]
    fn the_newest_of_each_source_outlives_the_history() {
        let mut traits = Traits::default();
        traits.observe("city", Observed { source: 7, ..observed(1, 0, "Kraków") });
        for n in 0..40 {
            traits.observe("city", observed(10 + n, 0, &format!("c{n}")));
        }
        assert_eq!(traits.iter().next().unwrap().1.len(), HISTORY_MAX + 1);
        assert_eq!(traits.records("city").map(|o| o.source).collect::<Vec<_>>(), [0, 7]);
        for source in 100..120 {
            traits.observe("city", Observed { source, ..observed(100 + i64::from(source), 0, "c39") });
        }
        assert!(traits.records("city").all(|o| o.source != 7), "sixteen others said something later");
    }

    #[test]
    fn a_stewards_value_stays_first_and_leaves_everything_else_whole() {
        let steward = |at: i64, value: &str| Observed { source: STEWARD, ..observed(at, 0, value) };
        let fold = |stewards: bool| {
            let mut traits = Traits::default();
            traits.observe("city", observed(1, 0, "a"));
            if stewards {
                assert_eq!(traits.observe("city", steward(2, "b")), Noted::Changed);
                assert_eq!(traits.observe("city", steward(3, "c")), Noted::Changed);
            }
            for n in 0..30 {
                traits.observe("city", Observed { source: n, ..observed(10 + i64::from(n), 0, &format!("c{n}")) });
            }
            traits
        };
        let mut with = fold(true);
        assert_eq!(with.get("city").map(|o| o.value.to_json()).as_deref(), Some("\"c\""));
        assert!(with.withdraw_steward("city") && !with.withdraw_steward("city"));
        assert_eq!(with, fold(false));
    }

    proptest! {
        #[test]
        fn order_of_arrival_does_not_matter(
            said in proptest::collection::vec((0i64..30, 0u64..3, long_values(), "[a-d]", 0u32..20), 0..120),
            seed: u64,
        ) {
            let mut shuffled = said.clone();
            let rng = crate::rng::SeededRng::new(seed);
            for i in (1..shuffled.len()).rev() {
                shuffled.swap(i, rng.below(i as u64 + 1) as usize);
            }
            let fold = |said: &[(i64, u64, String, String, u32)]| {
                let mut traits = Traits::default();
                for (at, tie, value, name, source) in said {
                    let source = if *source == 19 { STEWARD } else { *source };
                    traits.observe(name, Observed { source, ..observed(*at, *tie, value) });
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
