//! The index: what conditions read, in columns, and whom each holds for.

use std::collections::BTreeMap;

use onefold_model::{
    NodeId, ProfileId, Timestamp, Value,
    segment::{Condition, EventFields, EventMatch, Lookup},
};

use crate::{
    column::Column,
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

/// What an index was before it began to keep something.
#[derive(Debug)]
pub struct Begun {
    wants: Wants,
    /// The columns that it began, and those that they replaced.
    columns: Vec<(Option<String>, Option<Column>)>,
}

/// The index does not keep what a condition reads: it must be made anew with what [`Index::wants`] says then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the index does not keep {0}")]
pub struct Missing(pub String);

impl Index {
    /// An empty index that keeps what is wanted.
    pub fn new(wants: Wants) -> Index {
        let mut index = Index::default();
        index.begin(&wants);
        index
    }

    /// Keeps what it [lacks](Wants::lacking) as well, and has nothing of it yet.
    pub fn begin(&mut self, lacking: &Wants) -> Begun {
        let wants = self.wants.clone();
        let columns = lacking.events.iter().map(|(name, properties)| {
            let replaced = self.columns.insert(name.clone(), Column::new(properties));
            (name.clone(), replaced)
        });
        let columns = columns.collect();
        self.people.begin(&lacking.traits, &lacking.uses);
        self.wants.add(lacking.clone());
        Begun { wants, columns }
    }

    /// Is as it was before it began to keep something.
    pub fn abandon(&mut self, Begun { wants, columns }: Begun) {
        for (name, replaced) in columns {
            match replaced {
                Some(column) => drop(self.columns.insert(name, column)),
                None => drop(self.columns.remove(&name)),
            }
        }
        let begun = wants.lacking(&self.wants);
        self.people.end(&begun.traits, &begun.uses);
        self.wants = wants;
    }

    /// What it keeps.
    pub fn wants(&self) -> &Wants {
        &self.wants
    }

    /// Adds an accepted event of a node.
    pub fn add(&mut self, node: NodeId, event: &(impl EventFields + ?Sized)) {
        self.add_where(node, event, |_| true);
    }

    /// Adds an accepted event to one column, among many that come in any order: [settle](Self::settle) them at the end.
    pub fn push(&mut self, column: &Option<String>, node: NodeId, event: &(impl EventFields + ?Sized)) {
        let node = self.people.number(node);
        let head = self.people.heads()[node as usize];
        if let Some(column) = self.columns.get_mut(column) {
            column.push(node, head, event);
        }
    }

    /// Adds an accepted event of a node to those columns that are `open`.
    pub fn add_where(
        &mut self,
        node: NodeId,
        event: &(impl EventFields + ?Sized),
        open: impl Fn(&Option<String>) -> bool,
    ) {
        let node = self.people.number(node);
        let Index { columns, people, .. } = self;
        let head = people.heads()[node as usize];
        // Without a copy of the name: there are few columns.
        for (name, column) in columns.iter_mut() {
            if name.as_deref().is_none_or(|name| name == event.name()) && open(name) {
                column.add(node, head, event);
            }
        }
    }

    /// Takes some traits and uses of a profile.
    pub fn learn(&mut self, id: ProfileId, person: &impl Person, of: &Wants) {
        let number = self.people.number(id.0);
        self.people.learn(number, person, |name| of.traits.contains(name), |one| of.uses.contains(one));
    }

    /// A profile has these nodes.
    pub fn own(&mut self, id: ProfileId, nodes: &[NodeId]) {
        let number = self.people.number(id.0);
        let nodes: Box<[u32]> = nodes.iter().map(|node| self.people.number(*node)).collect();
        self.columns.values_mut().for_each(|column| column.joined(number, &nodes));
        self.people.own(number, nodes);
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
