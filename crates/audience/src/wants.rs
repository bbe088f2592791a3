//! What conditions read.

use std::collections::{BTreeMap, BTreeSet};

use onefold_model::{
    Value,
    segment::{Condition, EventMatch, Events, Keeps, Lookup, Measure, Metric, MetricId, Program, Test},
};

use crate::{
    column::{Property, properties_of},
    people::Use,
};

/// What an index keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wants {
    /// By event name (`None`: all events), the properties.
    pub events: BTreeMap<Option<String>, BTreeSet<Property>>,
    /// Traits.
    pub traits: BTreeSet<String>,
    /// Purposes, with the channel where one is named.
    pub uses: BTreeSet<Use>,
}

impl Wants {
    /// Whether all of `other` is wanted.
    pub fn has(&self, other: &Wants) -> bool {
        let kept = |(name, properties): (_, &BTreeSet<Property>)| {
            self.events.get(name).is_some_and(|kept| properties.is_subset(kept))
        };
        other.events.iter().all(kept) && other.traits.is_subset(&self.traits) && other.uses.is_subset(&self.uses)
    }

    /// What must be kept from the beginning so that all of `other` is: columns with all that they are to have.
    pub fn lacking(&self, other: &Wants) -> Wants {
        let lacks = |(name, wanted): (&Option<String>, &BTreeSet<Property>)| {
            let kept = self.events.get(name);
            if kept.is_some_and(|kept| wanted.is_subset(kept)) {
                return None;
            }
            Some((name.clone(), kept.into_iter().flatten().chain(wanted).cloned().collect()))
        };
        Wants {
            events: other.events.iter().filter_map(lacks).collect(),
            traits: other.traits.difference(&self.traits).cloned().collect(),
            uses: other.uses.difference(&self.uses).cloned().collect(),
        }
    }

    /// Wants `other` as well.
    pub fn add(&mut self, other: Wants) {
        for (name, properties) in other.events {
            self.events.entry(name).or_default().extend(properties);
        }
        self.traits.extend(other.traits);
        self.uses.extend(other.uses);
    }

    /// Wants what a condition reads. One that does not compile wants nothing.
    pub fn add_of(&mut self, condition: &Condition, lookup: &dyn Lookup) {
        let mut metrics: Vec<Metric> = vec![];
        let mut number = |metric: Metric| {
            metrics.push(metric);
            MetricId(metrics.len() as u32 - 1)
        };
        let Ok(program) = Program::compile(condition, lookup, &mut number) else { return };
        self.traits.extend(program.inputs().traits.iter().cloned());
        for Metric { event, keeps } in metrics {
            let properties = properties_of(&event).collect::<Vec<_>>();
            let kept = self.events.entry(event.event).or_default();
            kept.extend(properties);
            match keeps {
                Keeps::Time => {}
                Keeps::Amount(path) => drop(kept.insert(Property::Amount(path))),
                Keeps::Value(path) => drop(kept.insert(Property::Value(path))),
            }
        }
        each_leaf(condition, lookup, &mut |leaf| {
            if let Condition::Consent { purpose, channel } = leaf {
                self.uses.insert((purpose.clone(), channel.clone()));
            }
        });
    }
}

/// Calls `on` for each condition that is made of no others, those of other segments included.
pub fn each_leaf(condition: &Condition, lookup: &dyn Lookup, on: &mut impl FnMut(&Condition)) {
    match condition {
        Condition::All(of) | Condition::Any(of) => of.iter().for_each(|part| each_leaf(part, lookup, on)),
        Condition::Not(of) => each_leaf(of, lookup, on),
        Condition::Segment(name) => {
            if let Some(other) = lookup.segment(name) {
                each_leaf(other, lookup, on);
            }
        }
        leaf => on(leaf),
    }
}

/// Of which events a condition asks the first, the last, or whether there is one.
pub fn edges_of(condition: &Condition, lookup: &dyn Lookup, edges: &mut Vec<EventMatch>) {
    each_leaf(condition, lookup, &mut |leaf| {
        if let Condition::Events(Events { measure, event, is, .. }) = leaf {
            let wanted = match measure {
                Measure::First | Measure::Last => true,
                Measure::Count => presence(is).is_some(),
                _ => false,
            };
            if wanted {
                edges.push(event.clone());
            }
        }
    });
}

/// Where a test of a count asks only whether there is anything: whether there must be.
pub fn presence(is: &Test) -> Option<bool> {
    let passes = |count: u32| is.passes(Some(&Value::Number(count.into())));
    match is {
        // Of one bound: what does not change from one to two does not change beyond.
        Test::AtLeast(_) | Test::Greater(_) | Test::Less(_) | Test::AtMost(_) | Test::Equals(_) => {
            (passes(0) != passes(1) && passes(1) == passes(2)).then(|| passes(1))
        }
        _ => None,
    }
}
