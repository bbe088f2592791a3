//! The golden record for people: which records of a profile disagree, and what a steward gave.

use std::{cmp::Ordering, collections::BTreeMap};

use onefold_model::{
    ProfileId,
    access::Access,
    command::IdentifierRef,
    profile::{Observed, survivorship::STEWARD},
};
use onefold_state::{Reader, Scan, Value, schema};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    Error,
    definitions::Workspace,
    profile::{Joined, Node, PERSON, Profile},
    views::{self, raw},
};

/// What a source says of a trait at an identifier.
#[derive(Debug, Serialize, ToSchema)]
pub struct TraitRecord {
    /// The value; `null`: the trait is gone.
    #[schema(value_type = Object)]
    pub value: Box<RawValue>,
    /// The source that says it.
    pub source: String,
    /// Of which identifier: `kind:value`.
    pub identifier: String,
    /// When it was said.
    pub at: String,
}

/// A trait of which the records of a profile say different things.
#[derive(Debug, Serialize, ToSchema)]
pub struct Conflict {
    /// The profile.
    pub id: String,
    /// The trait.
    #[serde(rename = "trait")]
    pub name: String,
    /// The value that counts.
    #[schema(value_type = Object)]
    pub value: Box<RawValue>,
    /// By which rule.
    pub rule: &'static str,
    /// What each record says, the newest first.
    pub records: Vec<TraitRecord>,
}

/// A page of conflicts.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Conflicts {
    /// Some of them, by profile.
    pub conflicts: Vec<Conflict>,
    /// Where to go on; absent: these are the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Profiles that one page looks at, at most.
const LOOKED_AT_MAX: usize = 20_000;

/// Profiles that are read at a time.
const AT_ONCE: usize = 500;

/// What each record says of a trait, the newest first, where they do not all say the same.
pub(crate) fn conflict(
    nodes: &[Node],
    name: &str,
    sources: &BTreeMap<u32, String>,
    facts: &Joined<'_>,
) -> Vec<TraitRecord> {
    let all = || nodes.iter().flat_map(|node| node.partial.traits.records(name).map(move |said| (node, said)));
    let records = || all().filter(|(_, said)| facts.may_count(said));
    let mut values = records().map(|(_, said)| &said.value);
    let first = values.next();
    if values.all(|value| Some(value) == first) {
        return vec![];
    }
    let mut records: Vec<(&Node, &Observed)> = records().collect();
    records.sort_by(|(_, a), (_, b)| if a.outranks(b) { Ordering::Less } else { Ordering::Greater });
    let shown = |(node, said): (&Node, &Observed)| TraitRecord {
        value: raw(said.value.to_json()),
        source: views::name_of(sources, said.source),
        identifier: format!("{}:{}", node.kind, node.value),
        at: said.at.to_string(),
    };
    records.into_iter().map(shown).collect()
}

/// Traits of which the records of a profile say different things, in the order of the profiles after `after`. A page looks at
/// some 20,000 profiles at most, so it may have few conflicts, or none, and yet not be the last.
pub fn conflicts(
    store: &mut dyn Reader,
    access: &Access,
    definitions: &Workspace,
    of: Option<&str>,
    mut after: Option<ProfileId>,
    limit: usize,
) -> Result<Conflicts, Error> {
    let sources = views::sources(store, access)?;
    let prefix = vec![Value::Int(access.workspace.0.into()), PERSON];
    let (mut page, mut looked_at) = (Conflicts::default(), 0);
    while page.conflicts.len() < limit && looked_at < LOOKED_AT_MAX {
        let from = after.map(|id| Profile::key(access.workspace, id));
        let rows = store.scan(&Scan { after: from, ..Scan::prefix(&schema::PROFILE, prefix.clone(), AT_ONCE) })?;
        looked_at += rows.len();
        for row in &rows {
            let profile = Profile::from_row(row)?;
            if page.conflicts.len() >= limit {
                page.next = after.map(|id| id.to_string());
                return Ok(page);
            }
            after = Some(profile.id);
            let nodes = views::nodes_of(store, access, &profile)?;
            let facts = views::joined(definitions, &nodes, access.at);
            for (name, survivor) in facts.traits() {
                if of.is_some_and(|of| of != name) {
                    continue;
                }
                let records = conflict(&nodes, name, &sources, &facts);
                if !records.is_empty() {
                    let (id, value) = (profile.id.to_string(), raw(survivor.value.to_json()));
                    page.conflicts.push(Conflict { id, name: name.to_owned(), value, rule: survivor.rule, records });
                }
            }
        }
        if rows.len() < AT_ONCE {
            return Ok(page);
        }
    }
    page.next = after.map(|id| id.to_string());
    Ok(page)
}

/// The identifiers of a profile at which a steward gave a value of the trait.
pub fn overridden(
    store: &mut dyn Reader,
    access: &Access,
    id: ProfileId,
    name: &str,
) -> Result<Vec<IdentifierRef>, Error> {
    let Some((_, nodes)) = views::load(store, access, id)? else { return Ok(vec![]) };
    let given = |node: &&Node| node.partial.traits.records(name).any(|said| said.source == STEWARD);
    Ok(nodes.iter().filter(given).map(reference).collect())
}

/// A profile's oldest identifier.
pub fn oldest_identifier(
    store: &mut dyn Reader,
    access: &Access,
    id: ProfileId,
) -> Result<Option<IdentifierRef>, Error> {
    Ok(views::load(store, access, id)?.and_then(|(_, nodes)| nodes.first().map(reference)))
}

fn reference(node: &Node) -> IdentifierRef {
    IdentifierRef { kind: node.kind.clone(), value: node.value.clone() }
}
