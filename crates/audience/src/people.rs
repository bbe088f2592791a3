//! Who is who: nodes and the profiles they belong to, traits and consent, by dense numbers.
//!
//! A node gets the next number when it is first seen and keeps it. A profile has the number of the node it is named
//! after. So a merge or an unmerge changes where its nodes point, and no event.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use onefold_model::{NodeId, ProfileId, Value};
use rustc_hash::FxHashMap;

use crate::{
    dictionary::{ABSENT, Dictionary},
    set::Set,
};

/// The profile of a node that has none.
pub const NOBODY: u32 = u32::MAX;

/// What a profile looks like to the index.
pub trait Person {
    /// Its nodes.
    fn nodes(&self) -> &[NodeId];
    /// A trait's value.
    fn trait_value(&self, name: &str) -> Option<Cow<'_, Value>>;
    /// Whether it may be reached for a purpose, by a channel where one is named.
    fn reachable(&self, purpose: &str, channel: Option<&str>) -> bool;
}

/// A purpose, and a channel where one is named.
pub type Use = (String, Option<String>);

/// Nodes, profiles, their traits and what they allow.
#[derive(Debug, Default)]
pub struct People {
    ids: Vec<NodeId>,
    numbers: FxHashMap<NodeId, u32>,
    /// By node: the number of its profile.
    heads: Vec<u32>,
    /// By profile: its nodes.
    members: FxHashMap<u32, Box<[u32]>>,
    /// The profiles there are.
    alive: Set,
    traits: BTreeMap<String, Trait>,
    allowed: BTreeMap<Use, Set>,
}

/// A trait's values, by profile.
#[derive(Debug, Default)]
struct Trait {
    codes: Vec<u32>,
    dictionary: Dictionary<Value>,
    /// Who has which value, by code, where there are few.
    sets: Vec<Set>,
}

/// Values of a trait for each of which a set is kept.
const SETS_MAX: usize = 128;

impl Trait {
    fn set(&mut self, number: u32, capacity: usize, value: Option<&Value>) {
        let code = self.dictionary.code(value.cloned());
        if self.codes.len() <= number as usize {
            self.codes.resize(capacity, ABSENT);
        }
        let before = std::mem::replace(&mut self.codes[number as usize], code);
        if self.dictionary.values().len() >= SETS_MAX {
            self.sets = vec![];
            return;
        }
        self.sets.resize_with(self.dictionary.values().len() + 1, Set::default);
        if self.sets[before as usize].has(number) {
            self.sets[before as usize].remove(number);
        }
        self.sets[code as usize].grow(capacity);
        self.sets[code as usize].insert(number);
    }
}

impl People {
    /// Keeps these traits and uses as well, of which nobody has any yet.
    pub fn begin(&mut self, traits: &BTreeSet<String>, uses: &BTreeSet<Use>) {
        self.traits.extend(traits.iter().map(|name| (name.clone(), Trait::default())));
        self.allowed.extend(uses.iter().map(|one| (one.clone(), Set::default())));
    }

    /// Keeps them no longer.
    pub fn end(&mut self, traits: &BTreeSet<String>, uses: &BTreeSet<Use>) {
        self.traits.retain(|name, _| !traits.contains(name));
        self.allowed.retain(|one, _| !uses.contains(one));
    }

    /// Numbers given.
    pub fn capacity(&self) -> usize {
        self.ids.len()
    }

    /// The number of a node.
    pub fn number(&mut self, node: NodeId) -> u32 {
        let People { ids, numbers, heads, alive, .. } = self;
        *numbers.entry(node).or_insert_with(|| {
            ids.push(node);
            heads.push(NOBODY);
            alive.grow(ids.len());
            ids.len() as u32 - 1
        })
    }

    /// Takes a profile as it is now, or that there is none any more.
    pub fn set(&mut self, id: ProfileId, person: Option<&impl Person>) {
        let number = self.number(id.0);
        for node in self.members.remove(&number).unwrap_or_default() {
            // Where another profile has the node by now, it stays there.
            if self.heads[node as usize] == number {
                self.heads[node as usize] = NOBODY;
            }
        }
        let Some(person) = person else {
            self.alive.remove(number);
            return;
        };
        let nodes: Box<[u32]> = person.nodes().iter().map(|node| self.number(*node)).collect();
        self.own(number, nodes);
        self.learn(number, person, |_| true, |_| true);
    }

    /// A profile has these nodes.
    pub fn own(&mut self, number: u32, nodes: Box<[u32]>) {
        self.alive.insert(number);
        for node in &nodes {
            self.heads[*node as usize] = number;
        }
        self.members.insert(number, nodes);
    }

    /// Takes some traits and uses of a profile.
    pub fn learn(
        &mut self,
        number: u32,
        person: &impl Person,
        traits: impl Fn(&String) -> bool,
        uses: impl Fn(&Use) -> bool,
    ) {
        let capacity = self.ids.len();
        for (name, kept) in self.traits.iter_mut().filter(|(name, _)| traits(name)) {
            kept.set(number, capacity, person.trait_value(name).as_deref());
        }
        for (one, allowed) in self.allowed.iter_mut().filter(|(one, _)| uses(one)) {
            allowed.grow(capacity);
            if person.reachable(&one.0, one.1.as_deref()) {
                allowed.insert(number);
            } else {
                allowed.remove(number);
            }
        }
    }

    /// Everybody.
    pub fn alive(&self) -> &Set {
        &self.alive
    }

    /// By node, the number of its profile; [`NOBODY`] where it has none.
    pub fn heads(&self) -> &[u32] {
        &self.heads
    }

    /// Which profile has this number.
    pub fn id(&self, number: u32) -> ProfileId {
        ProfileId(self.ids[number as usize])
    }

    /// The number of a profile.
    pub fn find(&self, id: ProfileId) -> Option<u32> {
        self.numbers.get(&id.0).copied().filter(|number| self.alive.has(*number))
    }

    /// The nodes of a profile.
    pub fn nodes(&self, number: u32) -> &[u32] {
        self.members.get(&number).map_or(&[], |nodes| nodes)
    }

    /// The nodes that belong to nobody.
    pub fn strays(&self) -> Set {
        let mut strays = Set::new(self.ids.len());
        (0..).zip(&self.heads).filter(|(_, head)| **head == NOBODY).for_each(|(node, _)| strays.insert(node));
        strays
    }

    /// Of those `within`, who has a value of the trait that passes; `None` where it is not kept.
    pub fn with_trait(&self, name: &str, within: &Set, mut passes: impl FnMut(Option<&Value>) -> bool) -> Option<Set> {
        let kept = self.traits.get(name)?;
        let values = std::iter::once(None).chain(kept.dictionary.values().iter().map(Some));
        let passing: Vec<bool> = values.map(&mut passes).collect();
        if kept.sets.len() < passing.len() {
            return Some(within.passing(&kept.codes, |code| passing[*code as usize]));
        }
        let mut found = Set::new(self.ids.len());
        kept.sets.iter().zip(passing).filter(|(_, passes)| *passes).for_each(|(set, _)| found.add_all(set));
        found.keep(within);
        Some(found)
    }

    /// How many of those `within` have which value of a trait, the most frequent first; `None` where it is not kept.
    pub fn breakdown(&self, name: &str, within: &Set) -> Option<Vec<(Option<&Value>, usize)>> {
        let kept = self.traits.get(name)?;
        let mut counts = vec![0usize; kept.dictionary.values().len() + 1];
        for number in within.iter() {
            counts[kept.codes.get(number as usize).copied().unwrap_or(ABSENT) as usize] += 1;
        }
        let counted = (ABSENT..).zip(counts).filter(|(_, count)| *count > 0);
        let mut values: Vec<_> = counted.map(|(code, count)| (kept.dictionary.value(code), count)).collect();
        values.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        Some(values)
    }

    /// Who may be reached; `None` where that is not kept.
    pub fn allowed(&self, purpose: &str, channel: Option<&str>) -> Option<&Set> {
        self.allowed.get(&(purpose.to_owned(), channel.map(str::to_owned)))
    }

    /// About how many bytes it takes.
    pub fn heap_bytes(&self) -> usize {
        let each = size_of::<NodeId>() * 3 / 2 + 12 + 4 + size_of::<(u32, Box<[u32]>)>() * 3 / 2 + 16;
        let traits = self.traits.values().map(|t| {
            let sets = t.sets.iter().map(Set::heap_bytes).sum::<usize>();
            t.codes.capacity() * 4 + t.dictionary.heap_bytes() + sets
        });
        let sets = self.allowed.values().map(Set::heap_bytes);
        self.ids.capacity() * each + self.alive.heap_bytes() + traits.chain(sets).sum::<usize>()
    }
}
