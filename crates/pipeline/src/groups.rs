//! Who belongs to which account or household, and as what.
//!
//! Group calls say it of a node; so a merge or an unmerge of people moves their memberships with them. What was said last
//! counts, of belonging and of the role each for itself, in whatever order it comes.

use onefold_model::{EntityType, NodeId, ProfileId, Timestamp, access::Access, identity::normalise::normalise, json};
use onefold_state::{Reader, Row, Scan, Txn, Value, schema};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Error,
    partition::Partition,
    prepare::Event,
    profile::{Node, PERSON},
    views::{self, IdentifierView},
};

/// Bytes of a role that are kept.
const ROLE_BYTES_MAX: usize = 200;

/// When something was said, and which of two at the same time counts.
type Rank = (Timestamp, Timestamp, u64);

/// What was said last of a node and a group. Stored by postcard behind a version byte.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Membership {
    /// Whether the person left.
    left: Option<(Rank, bool)>,
    /// As what the person belongs to it; empty: as nothing in particular.
    role: Option<(Rank, String)>,
}

const VERSION: u8 = 1;

impl Membership {
    fn decode(row: &Row) -> Result<Membership, Error> {
        match row[5].some() {
            // Written before there were roles.
            None => Ok(Membership::default()),
            Some(body) => match body.as_bytes()?.split_first() {
                Some((&VERSION, rest)) => {
                    postcard::from_bytes(rest).map_err(|error| Error::unreadable("a membership of a group", error))
                }
                _ => Err(Error::unreadable("a membership of a group", "a newer Onefold wrote it; upgrade this one")),
            },
        }
    }

    fn encode(&self) -> Value {
        Value::Bytes(postcard::to_extend(self, vec![VERSION]).expect("a vector takes all that is written to it"))
    }

    fn has_left(&self) -> bool {
        self.left.as_ref().is_some_and(|(_, left)| *left)
    }

    fn role(&self) -> Option<&str> {
        self.role.as_ref().map(|(_, role)| role.as_str()).filter(|role| !role.is_empty())
    }
}

/// Takes what was said where it counts before what is there.
fn take<T: Ord>(known: &mut Option<(Rank, T)>, said: (Rank, T)) {
    if known.as_ref().is_none_or(|known| said > *known) {
        *known = Some(said);
    }
}

impl Partition {
    /// A group call: traits of an account or a household, and that the person belongs to it.
    pub(crate) fn apply_group(&mut self, txn: &mut dyn Txn, event: &Event<'_>, node: NodeId) -> Result<(), Error> {
        let Some(id) = event.fields.group_id.and_then(json::scalar) else { return Ok(()) };
        let kind = event.fields.group_type.and_then(json::scalar);
        let (Some(id), Some((entity, kind))) = (normalise("account", &id), group_type(kind.as_deref())) else {
            self.effects.tally(event.record.workspace, "objects.malformed", 1);
            return Ok(());
        };
        self.fold_object(txn, event, entity, kind, &id)?;
        let record = &event.record;
        let workspace = Value::Int(record.workspace.0.into());
        let key: Row = vec![workspace, Value::Int(entity.0.into()), Value::Text(id.into_owned()), Value::Int(node.0)];
        let known = txn.get(&schema::OBJECT_MEMBER, std::slice::from_ref(&key))?.pop().flatten();
        let mut membership = known.as_ref().map(Membership::decode).transpose()?.unwrap_or_default();
        let rank = (record.timestamp, record.received_at, event.key as u64);
        take(&mut membership.left, (rank, event.fields.left.is_some_and(|left| left.get() == "true")));
        if let Some(role) = event.fields.role.and_then(json::scalar).filter(|role| role.len() <= ROLE_BYTES_MAX) {
            take(&mut membership.role, (rank, role.trim().replace('\0', "\u{fffd}")));
        }
        // Since when: the first that was said, in whatever order it comes.
        let since = known.as_ref().map(|row| row[4].as_int()).transpose()?;
        let since = since.map_or(record.timestamp.0, |since| since.min(record.timestamp.0));
        let row = key.into_iter().chain([Value::Int(since), membership.encode()]).collect();
        txn.put(&schema::OBJECT_MEMBER, vec![row])?;
        Ok(())
    }
}

/// What a group is: an account unless the call says otherwise.
fn group_type(name: Option<&str>) -> Option<(EntityType, &'static str)> {
    match name {
        None | Some("account" | "company" | "organization") => Some((EntityType::ACCOUNT, "account")),
        Some("household") => Some((EntityType::HOUSEHOLD, "household")),
        Some(_) => None,
    }
}

/// An account or a household that a person belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct GroupOfProfile {
    /// `account` or `household`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// What the person is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Since when.
    pub since: String,
}

/// A member of an account or a household.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupMember {
    /// The profile's id.
    pub profile: String,
    /// The identifier of which it was said.
    pub identifier: IdentifierView,
    /// What the person is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Since when.
    pub since: String,
}

/// The accounts and households of these nodes. Where several of them belong to one, what was said last counts.
pub(crate) fn of_nodes(store: &mut dyn Reader, access: &Access, nodes: &[Node]) -> Result<Vec<GroupOfProfile>, Error> {
    let mut groups: std::collections::BTreeMap<(i64, String), (i64, Membership)> = std::collections::BTreeMap::new();
    for node in nodes {
        let own = vec![Value::Int(access.workspace.0.into()), Value::Int(node.id.0)];
        let scan = Scan { index: Some("of_node"), ..Scan::prefix(&schema::OBJECT_MEMBER, own, usize::MAX) };
        for row in store.scan(&scan)? {
            let (since, said) = (row[4].as_int()?, Membership::decode(&row)?);
            let known = groups.entry((row[1].as_int()?, row[2].as_text()?.to_owned())).or_insert((since, said.clone()));
            known.0 = known.0.min(since);
            known.1.left = known.1.left.take().max(said.left);
            known.1.role = known.1.role.take().max(said.role);
        }
    }
    let mut shown = vec![];
    for ((entity, id), (since, membership)) in groups {
        let kind = if entity == i64::from(EntityType::HOUSEHOLD.0) { "household" } else { "account" };
        if !membership.has_left() {
            let role = membership.role().map(str::to_owned);
            shown.push(GroupOfProfile { kind, id, role, since: Timestamp(since).to_string() });
        }
    }
    Ok(shown)
}

/// What was said of a person's nodes and a group: the first of the nodes that it was said of, since when, and what counts.
fn of_group(
    store: &mut dyn Reader,
    access: &Access,
    nodes: &[Node],
    entity: EntityType,
    id: &Value,
) -> Result<Option<(NodeId, Timestamp, Membership)>, Error> {
    let key = |node: &Node| {
        vec![Value::Int(access.workspace.0.into()), Value::Int(entity.0.into()), id.clone(), Value::Int(node.id.0)]
    };
    let rows = store.get(&schema::OBJECT_MEMBER, &nodes.iter().map(key).collect::<Vec<Row>>())?;
    let mut found: Option<(NodeId, Timestamp, Membership)> = None;
    for row in rows.into_iter().flatten() {
        let (node, since, said) = (NodeId(row[3].as_int()?), Timestamp(row[4].as_int()?), Membership::decode(&row)?);
        found = Some(match found {
            None => (node, since, said),
            Some((first, at, known)) => {
                let last = Membership { left: known.left.max(said.left), role: known.role.max(said.role) };
                (first.min(node), at.min(since), last)
            }
        });
    }
    Ok(found)
}

/// The members of an account or a household, in the order of the identifiers of which it was said, a page at a time.
pub fn members(
    store: &mut dyn Reader,
    access: &Access,
    kind: &str,
    id: &str,
    after: Option<NodeId>,
    limit: usize,
) -> Result<Vec<GroupMember>, Error> {
    let (Some((entity, _)), Some(id)) = (group_type(Some(kind)), normalise("account", id)) else { return Ok(vec![]) };
    let workspace = Value::Int(access.workspace.0.into());
    let prefix = vec![workspace.clone(), Value::Int(entity.0.into()), Value::Text(id.into_owned())];
    let after = after.map(|node| prefix.iter().cloned().chain([Value::Int(node.0)]).collect());
    let mut members = vec![];
    let mut after: Option<Row> = after;
    while members.len() < limit {
        let scan = Scan { after: after.take(), ..Scan::prefix(&schema::OBJECT_MEMBER, prefix.clone(), limit) };
        let rows = store.scan(&scan)?;
        for row in &rows {
            let key = vec![workspace.clone(), PERSON, row[3].clone()];
            let Some(node) = store.get(&schema::NODE, &[key])?.pop().flatten() else { continue };
            let node = Node::from_row(&node, store)?;
            // Of a person of several identifiers what was said last of any of them counts, and the first is shown.
            let Some((_, all)) = views::load(store, access, node.profile)? else { continue };
            let said = of_group(store, access, &all, entity, &row[2])?;
            let Some((first, since, membership)) = said.filter(|(first, ..)| *first == node.id) else { continue };
            if membership.has_left() || members.len() == limit {
                continue;
            }
            debug_assert_eq!(first, node.id);
            members.push(GroupMember {
                profile: ProfileId::to_string(&node.profile),
                identifier: views::identifier(&node),
                role: membership.role().map(str::to_owned),
                since: since.to_string(),
            });
        }
        match rows.last() {
            Some(last) if rows.len() == limit => after = Some(last[..schema::OBJECT_MEMBER.key].to_vec()),
            _ => break,
        }
    }
    Ok(members)
}
