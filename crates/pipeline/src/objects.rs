//! Things that are no person: accounts (from group calls) and objects of the workspace's own types.
//!
//! An object has registers like a node; it takes no part in identity resolution.

use onefold_model::{
    EntityType, NodeId, Value as TraitValue,
    json::{self, Members},
    profile::{Traits, traits::Observed},
};
use onefold_state::{Row, Txn, Value, schema};

use crate::{Error, partition::Partition, prepare::Event};

impl Partition {
    /// A group call: traits of an account, and the person's membership of it.
    pub(crate) fn apply_group(&mut self, txn: &mut dyn Txn, event: &Event<'_>, node: NodeId) -> Result<(), Error> {
        let Some(id) = event.fields.group_id.and_then(json::scalar) else { return Ok(()) };
        self.fold_object(txn, event, EntityType::ACCOUNT, &id)?;
        let workspace = Value::Int(event.record.workspace.0.into());
        let entity = Value::Int(EntityType::ACCOUNT.0.into());
        let key: Row = vec![workspace, entity, Value::Text(id.into_owned()), Value::Int(node.0)];
        if txn.get(&schema::OBJECT_MEMBER, std::slice::from_ref(&key))?[0].is_none() {
            let row = key.into_iter().chain([Value::Int(event.record.timestamp.0)]).collect();
            txn.put(&schema::OBJECT_MEMBER, vec![row])?;
        }
        Ok(())
    }

    /// An object call: traits of an object of one of the workspace's own types.
    pub(crate) fn apply_object(&mut self, txn: &mut dyn Txn, event: &Event<'_>) -> Result<(), Error> {
        let (Some(kind), Some(id)) =
            (event.fields.object_type.and_then(json::scalar), event.fields.object_id.and_then(json::scalar))
        else {
            return Ok(());
        };
        let entity = self.entity_type(txn, event, &kind)?;
        self.fold_object(txn, event, entity, &id)
    }

    /// The number of an object type; one that nobody defined is found by itself.
    fn entity_type(&mut self, txn: &mut dyn Txn, event: &Event<'_>, name: &str) -> Result<EntityType, Error> {
        match name {
            "account" => return Ok(EntityType::ACCOUNT),
            "household" => return Ok(EntityType::HOUSEHOLD),
            _ => {}
        }
        let workspace = self.workspace(txn, event.record.workspace)?;
        if let Some(known) = workspace.entity_types.get(name) {
            return Ok(*known);
        }
        let next = workspace.entity_types.values().map(|t| t.0 + 1).max().unwrap_or(EntityType::FIRST_OWN.0);
        workspace.entity_types.insert(name.to_owned(), EntityType(next));
        let row = vec![
            Value::Int(event.record.workspace.0.into()),
            Value::Text(name.to_owned()),
            Value::Int(next.into()),
        ];
        txn.put(&schema::ENTITY_TYPE, vec![row])?;
        Ok(EntityType(next))
    }

    fn fold_object(
        &mut self,
        txn: &mut dyn Txn,
        event: &Event<'_>,
        entity: EntityType,
        id: &str,
    ) -> Result<(), Error> {
        let workspace = Value::Int(event.record.workspace.0.into());
        let key = vec![workspace, Value::Int(entity.0.into()), Value::Text(id.to_owned())];
        let known = txn.get(&schema::OBJECT, std::slice::from_ref(&key))?.pop().flatten();
        let (mut first_seen, mut traits) = (event.record.received_at.0, Traits::default());
        match &known {
            Some(row) => {
                first_seen = row[3].as_int()?;
                traits = decode(row)?;
            }
            None => self.effects.tally(event.record.workspace, "objects", 1),
        }
        for (name, raw) in event.traits.iter().flat_map(|Members(members)| members) {
            traits.observe(
                name,
                Observed {
                    at: event.record.timestamp,
                    received_at: event.record.received_at,
                    tie: event.key as u64,
                    source: event.record.source,
                    offset: event.offset,
                    value: TraitValue::from_json(raw),
                },
            );
        }
        let body = postcard::to_extend(&traits, vec![1u8]).expect("a vector takes all that is written to it");
        let rest = [Value::Int(first_seen), Value::Int(event.record.received_at.0), Value::Bytes(body)];
        txn.put(&schema::OBJECT, vec![key.into_iter().chain(rest).collect()])?;
        Ok(())
    }
}

/// The traits of an object's row.
pub(crate) fn decode(row: &Row) -> Result<Traits, Error> {
    match row[5].as_bytes()?.split_first() {
        Some((1, rest)) => postcard::from_bytes(rest).map_err(|error| Error::unreadable("an object", error)),
        _ => Err(Error::unreadable("an object", "a newer Onefold wrote it; upgrade this one")),
    }
}
