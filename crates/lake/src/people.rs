//! Rows of people and of their identifiers.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{BooleanBuilder, Int32Builder, Int64Builder, StringBuilder},
};
use arrow_schema::ArrowError;
use onefold_model::ProfileId;
use onefold_pipeline::feed::Person;

use crate::{
    AsOf, Table,
    events::{micros, times},
};

/// Versions of people, to become rows of both tables.
pub struct PeopleRows {
    as_of: AsOf,
    profile: Int64Builder,
    gone: BooleanBuilder,
    id: StringBuilder,
    traits: StringBuilder,
    consents: StringBuilder,
    identifiers: Identifiers,
}

#[derive(Default)]
struct Identifiers {
    profile: Int64Builder,
    node: Int64Builder,
    kind: StringBuilder,
    value: StringBuilder,
}

impl PeopleRows {
    /// None yet. `as_of`: what the versions are called by.
    pub fn new(as_of: AsOf) -> PeopleRows {
        PeopleRows {
            as_of,
            profile: Int64Builder::new(),
            gone: BooleanBuilder::new(),
            id: StringBuilder::new(),
            traits: StringBuilder::new(),
            consents: StringBuilder::new(),
            identifiers: Identifiers::default(),
        }
    }

    /// Adds what a person is now, or that there is none of this id any more.
    pub fn push(&mut self, id: ProfileId, person: Option<&Person>) {
        self.profile.append_value(id.0.0);
        self.gone.append_value(person.is_none());
        self.id.append_value(id.to_string());
        self.traits.append_option(person.map(Person::traits_json));
        self.consents.append_option(person.and_then(Person::consents_json));
        for (node, kind, value) in person.into_iter().flat_map(Person::identifiers) {
            self.identifiers.profile.append_value(id.0.0);
            self.identifiers.node.append_value(node.0);
            self.identifiers.kind.append_value(kind);
            self.identifiers.value.append_value(value);
        }
    }

    /// How many versions there are.
    pub fn len(&self) -> usize {
        arrow_array::builder::ArrayBuilder::len(&self.profile)
    }

    /// The rows of [`Table::Profiles`] and of [`Table::Identifiers`].
    pub fn finish(mut self) -> Result<(RecordBatch, RecordBatch), ArrowError> {
        let same = |value: i64, rows: usize| {
            let mut column = Int64Builder::with_capacity(rows);
            column.append_value_n(value, rows);
            Arc::new(column.finish()) as ArrayRef
        };
        let (offset, rows) = (self.as_of.offset as i64, self.len());
        let mut time = times();
        time.append_value_n(micros(self.as_of.at), rows);
        let mut promoted = Int32Builder::new();
        promoted.append_value_n(0, rows);
        let profiles: Vec<ArrayRef> = vec![
            Arc::new(self.profile.finish()),
            same(offset, rows),
            Arc::new(time.finish()),
            Arc::new(self.gone.finish()),
            Arc::new(self.id.finish()),
            Arc::new(self.traits.finish()),
            Arc::new(self.consents.finish()),
            Arc::new(promoted.finish()),
        ];
        let its = &mut self.identifiers;
        let profile = its.profile.finish();
        let offsets = same(offset, arrow_array::Array::len(&profile));
        let identifiers: Vec<ArrayRef> = vec![
            Arc::new(profile),
            offsets,
            Arc::new(its.node.finish()),
            Arc::new(its.kind.finish()),
            Arc::new(its.value.finish()),
        ];
        Ok((
            RecordBatch::try_new(Table::Profiles.schema().clone(), profiles)?,
            RecordBatch::try_new(Table::Identifiers.schema().clone(), identifiers)?,
        ))
    }
}
