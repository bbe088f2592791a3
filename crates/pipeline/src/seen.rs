//! What a caller sees of a view: values under the mask of their field.

use onefold_model::access::Sight;
use serde_json::value::RawValue;

use crate::{
    evidence::{Evidence, ThenView},
    golden::{Conflict, Conflicts, TraitRecord},
    groups::{GroupMember, GroupOfProfile},
    views::{IdentifierView, Member, ObjectView, ProfileView, TimelineEvent, TraitView},
};

/// Stands where a value must stand and is not seen.
const NOTHING: &str = "•••";

/// Something of people that is shown.
pub trait Seen: Sized {
    /// As it is seen.
    fn mask(&mut self, sight: &Sight);

    /// As it is seen.
    fn seen(mut self, sight: &Sight) -> Self {
        if !sight.is_clear() {
            self.mask(sight);
        }
        self
    }
}

impl<T: Seen> Seen for Vec<T> {
    fn mask(&mut self, sight: &Sight) {
        self.iter_mut().for_each(|one| one.mask(sight));
    }
}

/// What is seen of an identifier written as `kind:value`.
pub fn identifier(sight: &Sight, text: &str) -> String {
    match text.split_once(':') {
        Some((kind, value)) => format!("{kind}:{}", sight.text(kind, value).as_deref().unwrap_or(NOTHING)),
        None => sight.text("", text).as_deref().unwrap_or(NOTHING).to_owned(),
    }
}

fn value(sight: &Sight, name: &str, json: &RawValue) -> Box<RawValue> {
    sight.json(name, json).unwrap_or_else(|| RawValue::NULL.to_owned())
}

impl Seen for IdentifierView {
    fn mask(&mut self, sight: &Sight) {
        self.value = sight.text(&self.kind, &self.value).as_deref().unwrap_or(NOTHING).to_owned();
    }
}

impl Seen for Member {
    fn mask(&mut self, sight: &Sight) {
        self.identifiers.mask(sight);
    }
}

impl Seen for GroupOfProfile {
    fn mask(&mut self, sight: &Sight) {
        self.id = sight.text("group_id", &self.id).as_deref().unwrap_or(NOTHING).to_owned();
    }
}

impl Seen for GroupMember {
    fn mask(&mut self, sight: &Sight) {
        self.identifier.mask(sight);
    }
}

fn record(sight: &Sight, name: &str, record: &mut TraitRecord) {
    record.value = value(sight, name, &record.value);
    record.identifier = identifier(sight, &record.identifier);
}

/// What is seen of a trait; `false`: nothing is.
fn of_trait(sight: &Sight, name: &str, view: &mut TraitView) -> bool {
    let Some(left) = sight.json(name, &view.value) else { return false };
    view.value = left;
    view.conflict.iter_mut().for_each(|one| record(sight, name, one));
    view.history.iter_mut().for_each(|one| one.value = value(sight, name, &one.value));
    true
}

impl Seen for ProfileView {
    fn mask(&mut self, sight: &Sight) {
        self.identifiers.mask(sight);
        self.traits.retain(|name, view| of_trait(sight, name, view));
        self.computed.retain(|name, json| match sight.computed(name, json) {
            Some(left) => {
                *json = left;
                true
            }
            None => false,
        });
        self.groups.mask(sight);
    }
}

impl Seen for TimelineEvent {
    fn mask(&mut self, sight: &Sight) {
        self.event = sight.event(&self.event);
    }
}

impl Seen for Evidence {
    fn mask(&mut self, sight: &Sight) {
        self.identifiers.iter_mut().for_each(|one| *one = identifier(sight, one));
    }
}

impl Seen for ThenView {
    fn mask(&mut self, sight: &Sight) {
        self.identifiers.mask(sight);
        self.traits.retain(|name, view| of_trait(sight, name, view));
        self.others.mask(sight);
    }
}

impl Seen for Conflicts {
    fn mask(&mut self, sight: &Sight) {
        for Conflict { name, value: counts, records, .. } in &mut self.conflicts {
            *counts = value(sight, name, counts);
            records.iter_mut().for_each(|one| record(sight, name, one));
        }
    }
}

impl Seen for ObjectView {
    fn mask(&mut self, sight: &Sight) {
        self.traits.retain(|name, view| of_trait(sight, name, view));
    }
}
