//! The index: what conditions read, in columns, and whom each holds for.

use std::collections::{BTreeMap, BTreeSet};

use onefold_model::{
    NodeId, ProfileId, Timestamp, Value,
    segment::{Condition, EventFields, EventMatch, Lookup},
};

use crate::{
    column::{Column, Property},
    evaluate::Evaluation,
    people::{People, Person},
    set::Set,
    wants::Wants,
};

/// Columns of events, and the people they belong to.
///
/// What is put in is as of one place in the log; what is asked is answered as of an instant at or after it.
#[derive(Debug, Default)]
pub struct Index {
    pub(crate) people: People,
    /// By the events' name; `None`: all events.
    pub(crate) columns: BTreeMap<Option<String>, Column>,
    wants: Wants,
}

/// The index does not keep what a condition reads: it must be made anew with what [`Index::wants`] says then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the index does not keep {0}")]
pub struct Missing(pub String);

impl Index {
    /// An empty index that keeps what is wanted.
    pub fn new(wants: Wants) -> Index {
        let column =
            |(name, properties): (&Option<String>, &BTreeSet<Property>)| (name.clone(), Column::new(properties));
        Index {
            people: People::new(&wants.traits, &wants.uses),
            columns: wants.events.iter().map(column).collect(),
            wants,
        }
    }

    /// What it keeps.
    pub fn wants(&self) -> &Wants {
        &self.wants
    }

    /// Adds an accepted event of a node.
    pub fn add(&mut self, node: NodeId, event: &(impl EventFields + ?Sized)) {
        let node = self.people.number(node);
        let Index { columns, people, .. } = self;
        let head = people.heads()[node as usize];
        // Without a copy of the name: there are few columns.
        for (name, column) in columns.iter_mut() {
            if name.as_deref().is_none_or(|name| name == event.name()) {
                column.add(node, head, event);
            }
        }
    }

    /// Takes a profile as it is now, or that there is none any more.
    pub fn set(&mut self, id: ProfileId, person: Option<&impl Person>) {
        self.people.set(id, person);
        if let Some(number) = self.people.find(id) {
            let nodes = self.people.nodes(number);
            self.columns.values_mut().for_each(|column| column.joined(number, nodes));
        }
    }

    /// Puts late events in their place, so that nobody has to look through them.
    pub fn settle(&mut self) {
        self.columns.values_mut().for_each(Column::settle);
    }

    /// Makes ready for asking this again and again: the first and last events by node, where a condition asks for them. It
    /// may be asked without.
    pub fn prepare(&mut self, condition: &Condition, lookup: &dyn Lookup) {
        let mut edges: Vec<EventMatch> = vec![];
        crate::wants::edges_of(condition, lookup, &mut edges);
        for event in edges {
            if let Some(column) = self.columns.get_mut(&event.event) {
                column.keep_edges(&event.filter, self.people.heads());
            }
        }
    }

    /// Whether [`prepare`](Self::prepare) would change nothing.
    pub fn is_prepared(&self, condition: &Condition, lookup: &dyn Lookup) -> bool {
        let mut edges: Vec<EventMatch> = vec![];
        crate::wants::edges_of(condition, lookup, &mut edges);
        let mut columns = edges.iter().map(|event| (self.columns.get(&event.event), event));
        columns.all(|(column, event)| column.is_none_or(|column| column.edges(&event.filter).is_some()))
    }

    /// Everybody for whom the condition holds at `now`. It must have been checked, as
    /// [`Program::compile`](onefold_model::segment::Program::compile) does.
    pub fn ask(&self, condition: &Condition, lookup: &dyn Lookup, now: Timestamp) -> Result<Set, Missing> {
        let all = self.people.alive();
        Evaluation { index: self, lookup, now }.holds(condition, all)
    }

    /// Everybody.
    pub fn everybody(&self) -> &Set {
        self.people.alive()
    }

    /// The profile of a number in a set.
    pub fn id(&self, number: u32) -> ProfileId {
        self.people.id(number)
    }

    /// Whether a profile is in a set.
    pub fn has(&self, set: &Set, id: ProfileId) -> bool {
        self.people.find(id).is_some_and(|number| set.has(number))
    }

    /// How many of those in a set have which value of a trait, the most frequent first.
    pub fn breakdown(&self, name: &str, set: &Set) -> Result<Vec<(Option<&Value>, usize)>, Missing> {
        self.people.breakdown(name, set).ok_or_else(|| Missing(format!("the trait {name}")))
    }

    /// Of every combination of several sets, how many are in just those: by a bit for each set, the greatest first.
    /// Combinations that nobody is in are left out.
    pub fn overlap(&self, sets: &[Set]) -> Vec<(u64, usize)> {
        let mut of_each: BTreeMap<u64, usize> = BTreeMap::new();
        let mut any = Set::new(self.people.capacity());
        sets.iter().for_each(|set| any.add_all(set));
        for number in any.iter() {
            let bits = sets.iter().enumerate().filter(|(_, set)| set.has(number)).map(|(place, _)| 1u64 << place).sum();
            *of_each.entry(bits).or_default() += 1;
        }
        let mut found: Vec<(u64, usize)> = of_each.into_iter().collect();
        found.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        found
    }

    /// Drops the events of nodes that belong to nobody any more.
    pub fn forget_strays(&mut self) {
        let strays = self.people.strays();
        self.columns.values_mut().for_each(|column| column.forget(&strays));
    }

    /// About how many bytes it takes in memory.
    pub fn heap_bytes(&self) -> usize {
        self.people.heap_bytes() + self.columns.values().map(Column::heap_bytes).sum::<usize>()
    }
}
