//! Things that are no person: objects of the workspace's own types, and accounts and households (whose members are in
//! [`groups`](crate::groups)).
//!
//! An object has registers like a node; it takes no part in identity resolution.

use onefold_model::{
    EntityType,
    identity::normalise::normalise,
    json::{self, Members},
    profile::{
        Traits,
        traits::{NAME_BYTES_MAX, VALUE_BYTES_MAX},
    },
};
use onefold_state::{Row, Txn, Value, schema};

use crate::{
    Error,
    definitions::Workspace,
    fold::observed,
    partition::Partition,
    prepare::{Event, last_of_each},
    registry::{Place, Scope},
    verdict::Verdict,
};

/// Object types of a workspace, those that came by themselves included.
pub const TYPES_MAX: usize = 1000;

/// Bytes of an object type's name.
pub const TYPE_BYTES_MAX: usize = 100;

impl Partition {
    /// An object call: traits of an object of one of the workspace's own types.
    pub(crate) fn apply_object(&mut self, txn: &mut dyn Txn, event: &Event<'_>) -> Result<Verdict, Error> {
        let kind = event.fields.object_type.and_then(json::scalar);
        let id = event.fields.object_id.and_then(json::scalar);
        let kind =
            kind.as_deref().and_then(|kind| normalise("object_type", kind)).filter(|k| k.len() <= TYPE_BYTES_MAX);
        let id = id.as_deref().and_then(|id| normalise("object", id));
        let (Some(kind), Some(id)) = (kind, id) else {
            self.refuse(
                event.offset,
                &event.came,
                "malformed_object",
                "its objectType or objectId is empty or too long",
            );
            return Ok(Verdict::Refused);
        };
        let Some(entity) = self.entity_type(txn, event, &kind)? else {
            let why = format!("the workspace has {TYPES_MAX} object types; this would be one more");
            self.refuse(event.offset, &event.came, "too_many_object_types", &why);
            return Ok(Verdict::Refused);
        };
        self.effects.tally(event.record.workspace, "events.accepted", 1);
        self.fold_object(txn, event, entity, &kind, &id)?;
        Ok(Verdict::Object)
    }

    /// The number of an object type; one that nobody defined is found by itself.
    fn entity_type(&mut self, txn: &mut dyn Txn, event: &Event<'_>, name: &str) -> Result<Option<EntityType>, Error> {
        let workspace = self.workspace(txn, event.record.workspace)?;
        if let Some(known) = entity_type(workspace, name) {
            return Ok(Some(known));
        }
        if workspace.entity_types.len() >= TYPES_MAX {
            return Ok(None);
        }
        let next = workspace.entity_types.values().map(|t| t.0 + 1).max().unwrap_or(EntityType::FIRST_OWN.0);
        workspace.entity_types.insert(name.to_owned(), EntityType(next));
        let row =
            vec![Value::Int(event.record.workspace.0.into()), Value::Text(name.to_owned()), Value::Int(next.into())];
        self.effects.put(&schema::ENTITY_TYPE, row);
        Ok(Some(EntityType(next)))
    }

    pub(crate) fn fold_object(
        &mut self,
        txn: &mut dyn Txn,
        event: &Event<'_>,
        entity: EntityType,
        kind: &str,
        id: &str,
    ) -> Result<(), Error> {
        let workspace = event.record.workspace;
        let received = event.record.received_at.0;
        let key = vec![Value::Int(workspace.0.into()), Value::Int(entity.0.into()), Value::Text(id.to_owned())];
        let known = txn.get(&schema::OBJECT, std::slice::from_ref(&key))?.pop().flatten();
        let (mut first_seen, mut last_seen, mut traits) = (received, received, Traits::default());
        match &known {
            Some(row) => {
                first_seen = first_seen.min(row[3].as_int()?);
                last_seen = last_seen.max(row[4].as_int()?);
                traits = decode(row)?;
            }
            None => self.effects.tally(workspace, "objects", 1),
        }
        let place = Place { scope: Scope::Object, of: kind, source: event.record.source, at: self.now };
        for (name, raw) in last_of_each(event.traits.iter().flat_map(|Members(members)| members.iter().cloned())) {
            if name.len() > NAME_BYTES_MAX || raw.get().len() > VALUE_BYTES_MAX {
                self.effects.tally(workspace, "traits.too_long", 1);
                continue;
            }
            traits.observe(&name, observed(event, raw));
            if let Some(registry) = self.registries.get_mut(&workspace) {
                registry.observe(place, &name, raw);
            }
        }
        let body = postcard::to_extend(&traits, vec![1u8]).expect("a vector takes all that is written to it");
        let rest = [Value::Int(first_seen), Value::Int(last_seen), Value::Bytes(body)];
        txn.put(&schema::OBJECT, vec![key.into_iter().chain(rest).collect()])?;
        Ok(())
    }
}

fn entity_type(workspace: &Workspace, name: &str) -> Option<EntityType> {
    match name {
        "account" => Some(EntityType::ACCOUNT),
        "household" => Some(EntityType::HOUSEHOLD),
        _ => workspace.entity_types.get(name).copied(),
    }
}

/// The traits of an object's row.
pub(crate) fn decode(row: &Row) -> Result<Traits, Error> {
    match row[5].as_bytes()?.split_first() {
        Some((1, rest)) => postcard::from_bytes(rest).map_err(|error| Error::unreadable("an object", error)),
        _ => Err(Error::unreadable("an object", "a newer Onefold wrote it; upgrade this one")),
    }
}
