//! What people and programs read: profiles, timelines, segments.
//!
//! Every function takes [`Access`]: it names the workspace that is read, and is where masks and row filters apply.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use onefold_log::{EventLog, ReadError};
use onefold_model::{
    EntityType, NodeId, ProfileId, Timestamp,
    access::Access,
    consent,
    event::EventRecord,
    identity::normalise::normalise,
    profile::{
        Observed, Survivor, Survivorship, Traits,
        survivorship::{MOST_RECENT, Party, STEWARD, Terms},
    },
    segment::{Definition, Explanation},
};
use onefold_state::{Reader, Row, Scan, Value, schema};
use serde::Serialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;
use utoipa::ToSchema;

use crate::{
    Error,
    definitions::Workspace,
    golden::{self, TraitRecord},
    groups::{self, GroupOfProfile},
    profile::{Joined, Node, PERSON, Profile},
};

/// A profile as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProfileView {
    /// Its id.
    pub id: String,
    /// Its identifiers, the oldest first.
    pub identifiers: Vec<IdentifierView>,
    /// Its traits, by name.
    pub traits: BTreeMap<String, TraitView>,
    /// Its computed traits, by name.
    #[schema(value_type = Object)]
    pub computed: BTreeMap<String, Box<RawValue>>,
    /// The accounts and households it belongs to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupOfProfile>,
    /// The segments it is in.
    pub segments: Vec<SegmentOfProfile>,
    /// What it allows, by purpose and `purpose/channel`.
    #[schema(value_type = Object)]
    pub consent: BTreeMap<String, consent::Decision>,
    /// How many events it has.
    pub events: u64,
    /// When it was first and last heard of.
    pub first_seen: String,
    /// When it was last heard of.
    pub last_seen: String,
    /// As of which instant computed traits and consent are shown.
    pub as_of: String,
}

/// An identifier as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct IdentifierView {
    /// `user_id`, `email`, …
    pub kind: String,
    /// Its normal form.
    pub value: String,
    /// When it was first named.
    pub first_seen: String,
    /// Events that belong to it.
    pub events: u64,
}

/// A trait as it is shown, with where its value comes from.
#[derive(Debug, Serialize, ToSchema)]
pub struct TraitView {
    /// The value that counts.
    #[schema(value_type = Object)]
    pub value: Box<RawValue>,
    /// The source that said it.
    pub source: String,
    /// When it was said.
    pub at: String,
    /// The log offset of the event that said it.
    pub offset: u64,
    /// The survivorship rule by which it counts; `steward` where one gave it.
    pub rule: &'static str,
    /// On which terms the value is here, where its source brings others' data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<TermsView>,
    /// Where records disagree: what each says, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conflict: Vec<TraitRecord>,
    /// Other values that were said, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<TraitHistory>,
}

impl TraitView {
    /// Without what else was said.
    pub(crate) fn of(survivor: &Survivor<'_>, sources: &BTreeMap<u32, String>) -> TraitView {
        let Survivor { value, of, rule } = survivor;
        TraitView {
            value: raw(value.to_json()),
            source: name_of(sources, of.source),
            at: of.at.to_string(),
            offset: of.offset,
            rule,
            terms: None,
            conflict: vec![],
            history: vec![],
        }
    }
}

/// On which terms a value is here.
#[derive(Debug, Serialize, ToSchema)]
pub struct TermsView {
    /// `second` or `third`.
    #[schema(value_type = String)]
    pub party: Party,
    /// The contract or licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// When the value goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The purpose that the person's consent must allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

fn terms(rules: &Survivorship, observed: &Observed) -> Option<TermsView> {
    let Terms { party, contract, purpose, .. } = rules.parties.get(&observed.source)?.clone();
    let expires = Some(rules.expires(observed)).filter(|at| *at != Timestamp::MAX).map(|at| at.to_string());
    Some(TermsView { party, contract, expires, purpose })
}

/// How a source is called: a steward has no name among the sources.
pub(crate) fn name_of(sources: &BTreeMap<u32, String>, number: u32) -> String {
    match sources.get(&number) {
        Some(name) => name.clone(),
        None if number == STEWARD => "steward".to_owned(),
        None => format!("source {number}"),
    }
}

/// A value a trait had.
#[derive(Debug, Serialize, ToSchema)]
pub struct TraitHistory {
    /// The value.
    #[schema(value_type = Object)]
    pub value: Box<RawValue>,
    /// The source that said it.
    pub source: String,
    /// When it was said last.
    pub at: String,
}

/// A segment that a profile is in.
#[derive(Debug, Serialize, ToSchema)]
pub struct SegmentOfProfile {
    /// Its name.
    pub name: String,
    /// Since when.
    pub since: String,
}

/// A member of a segment.
#[derive(Debug, Serialize, ToSchema)]
pub struct Member {
    /// The profile's id.
    pub id: String,
    /// Its identifiers, the oldest first.
    pub identifiers: Vec<IdentifierView>,
    /// Since when it is in.
    pub since: String,
}

/// Where the partition of a workspace stands: what is asked "now" is answered as of this instant.
pub fn as_of(store: &mut dyn Reader, partition: u32) -> Result<(u64, Timestamp), Error> {
    let row = store.get(&schema::PROGRESS, &[vec![Value::Int(partition.into())]])?.pop().flatten();
    Ok(match row {
        None => (0, Timestamp(0)),
        Some(row) => (row[1].as_int()? as u64, Timestamp(row[2].as_int()?).plus(1)),
    })
}

fn workspace(access: &Access) -> Value {
    Value::Int(access.workspace.0.into())
}

/// Finds a profile by its id, by `kind:value`, or by a value alone: as an e-mail address, a phone number, a user id,
/// then as an identifier of any kind.
pub fn find(store: &mut dyn Reader, access: &Access, text: &str) -> Result<Option<ProfileId>, Error> {
    if let Ok(id) = text.parse::<ProfileId>() {
        // The name of a profile that was merged still leads to the one that has its nodes.
        let node = store.get(&schema::NODE, &[Node::key(access.workspace, id.0)])?.pop().flatten();
        return node.map(|row| Ok(ProfileId(NodeId(row[5].as_int()?)))).transpose();
    }
    if let Some((kind, value)) = text.split_once(':')
        && let Some(found) = find_among(store, access, &[(kind.to_owned(), value.to_owned())])?
    {
        return Ok(Some(found));
    }
    let common = ["email", "phone", "user_id", "anonymous_id"].map(|kind| (kind.to_owned(), text.to_owned()));
    if let Some(found) = find_among(store, access, &common)? {
        return Ok(Some(found));
    }
    let others: Vec<(String, String)> = kinds(store, access)?.into_iter().map(|kind| (kind, text.to_owned())).collect();
    find_among(store, access, &others)
}

fn find_among(store: &mut dyn Reader, access: &Access, tried: &[(String, String)]) -> Result<Option<ProfileId>, Error> {
    let keys: Vec<Row> = tried
        .iter()
        .filter_map(|(kind, value)| Some((kind, normalise(kind, value)?)))
        .map(|(kind, value)| {
            vec![workspace(access), PERSON, Value::Text(kind.clone()), Value::Text(value.into_owned())]
        })
        .collect();
    for row in store.get(&schema::IDENTIFIER, &keys)?.into_iter().flatten() {
        let key = Node::key(access.workspace, NodeId(row[4].as_int()?));
        if let Some(node) = store.get(&schema::NODE, &[key])?.pop().flatten() {
            return Ok(Some(ProfileId(NodeId(node[5].as_int()?))));
        }
    }
    Ok(None)
}

/// The node of an identifier in its normal form.
pub fn node(store: &mut dyn Reader, access: &Access, kind: &str, value: &str) -> Result<Option<NodeId>, Error> {
    let key = vec![workspace(access), PERSON, Value::Text(kind.to_owned()), Value::Text(value.to_owned())];
    let row = store.get(&schema::IDENTIFIER, &[key])?.pop().flatten();
    Ok(row.map(|row| row[4].as_int()).transpose()?.map(NodeId))
}

/// A node by its name, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// `kind:value`.
    pub identifier: String,
    /// The profile that it belongs to.
    pub profile: ProfileId,
}

/// The names of nodes, in their order; `None` of those that are gone.
pub fn named(store: &mut dyn Reader, access: &Access, nodes: &[NodeId]) -> Result<Vec<Option<Named>>, Error> {
    let keys: Vec<Row> = nodes.iter().map(|node| Node::key(access.workspace, *node)).collect();
    let named = |row: Row| {
        let identifier = format!("{}:{}", row[3].as_text()?, row[4].as_text()?);
        Ok(Named { identifier, profile: ProfileId(NodeId(row[5].as_int()?)) })
    };
    store.get(&schema::NODE, &keys)?.into_iter().map(|row| row.map(named).transpose()).collect()
}

/// The kinds of identifier that the workspace has.
pub fn kinds(store: &mut dyn Reader, access: &Access) -> Result<Vec<String>, Error> {
    let mut kinds: Vec<String> = vec![];
    let mut after = None;
    loop {
        let scan = Scan { after, ..Scan::prefix(&schema::IDENTIFIER, vec![workspace(access), PERSON], 1) };
        let Some(row) = store.scan(&scan)?.pop() else { return Ok(kinds) };
        let kind = row[2].as_text()?.to_owned();
        // The last text there is of this kind: the next row is of the next kind.
        after = Some(vec![workspace(access), PERSON, Value::Text(kind.clone()), Value::Text("\u{10ffff}".repeat(130))]);
        kinds.push(kind);
    }
}

pub(crate) fn load(
    store: &mut dyn Reader,
    access: &Access,
    id: ProfileId,
) -> Result<Option<(Profile, Vec<Node>)>, Error> {
    let Some(row) = store.get(&schema::PROFILE, &[Profile::key(access.workspace, id)])?.pop().flatten() else {
        return Ok(None);
    };
    let profile = Profile::from_row(&row)?;
    let nodes = nodes_of(store, access, &profile)?;
    Ok(Some((profile, nodes)))
}

pub(crate) fn nodes_of(store: &mut dyn Reader, access: &Access, profile: &Profile) -> Result<Vec<Node>, Error> {
    let keys: Vec<Row> = profile.nodes.iter().map(|n| Node::key(access.workspace, *n)).collect();
    let rows = store.get(&schema::NODE, &keys)?;
    rows.iter().flatten().map(|row| Node::from_row(row, store)).collect()
}

pub(crate) fn joined<'a>(definitions: &'a Workspace, nodes: &'a [Node], at: Timestamp) -> Joined<'a> {
    let (policy, survivorship) = (&*definitions.policy, &*definitions.survivorship);
    Joined { nodes: nodes.iter().collect::<SmallVec<_>>(), policy, survivorship, at }
}

pub(crate) fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The names of the workspace's sources, by number.
pub fn sources(store: &mut dyn Reader, access: &Access) -> Result<BTreeMap<u32, String>, Error> {
    let rows = store.scan(&Scan::prefix(&schema::SOURCE, vec![workspace(access)], usize::MAX))?;
    rows.iter().map(name_of_source).collect()
}

/// The names of the sources that said something of these nodes.
fn names_of_sources(store: &mut dyn Reader, access: &Access, nodes: &[Node]) -> Result<BTreeMap<u32, String>, Error> {
    let said = nodes.iter().flat_map(|node| node.partial.traits.iter()).flat_map(|(_, observed)| observed);
    let numbers: BTreeSet<u32> = said.map(|observed| observed.source).collect();
    let keys: Vec<Row> = numbers.iter().map(|number| vec![workspace(access), Value::Int((*number).into())]).collect();
    store.get(&schema::SOURCE, &keys)?.iter().flatten().map(name_of_source).collect()
}

fn name_of_source(row: &Row) -> Result<(u32, String), Error> {
    Ok((row[1].as_int()? as u32, row[2].as_text()?.to_owned()))
}

/// A profile as it is shown; `None` where there is none of this id.
pub fn profile(
    store: &mut dyn Reader,
    access: &Access,
    definitions: &Workspace,
    partition: u32,
    id: ProfileId,
) -> Result<Option<ProfileView>, Error> {
    let (_, at) = as_of(store, partition)?;
    let Some((profile, nodes)) = load(store, access, id)? else { return Ok(None) };
    let sources = names_of_sources(store, access, &nodes)?;
    let facts = joined(definitions, &nodes, at);
    let mut traits = BTreeMap::new();
    for (name, survivor) in facts.traits() {
        let all = nodes.iter().flat_map(|n| n.partial.traits.iter().filter(|(n, _)| *n == name)).flat_map(|(_, o)| o);
        let mut history: Vec<&Observed> =
            all.filter(|other| other.value != *survivor.value && facts.may_count(other)).collect();
        history.sort_by(|a, b| if a.outranks(b) { Ordering::Less } else { Ordering::Greater });
        let mut seen = vec![];
        history.retain(|o| {
            !seen.contains(&&o.value) && {
                seen.push(&o.value);
                true
            }
        });
        let history = history
            .into_iter()
            .map(|o| TraitHistory {
                value: raw(o.value.to_json()),
                source: name_of(&sources, o.source),
                at: o.at.to_string(),
            })
            .collect();
        let conflict = golden::conflict(&nodes, name, &sources, &facts);
        let terms = terms(&definitions.survivorship, survivor.of);
        let view = TraitView { terms, conflict, history, ..TraitView::of(&survivor, &sources) };
        traits.insert(name.to_owned(), view);
    }
    let mut computed = BTreeMap::new();
    for (name, versioned) in &definitions.computed {
        let Some(program) = &versioned.program else { continue };
        if let (Some(value), _) = program.evaluate(&facts, at, &definitions.time_zone) {
            computed.insert(name.clone(), raw(value.to_json()));
        }
    }
    let mut consent = BTreeMap::new();
    for purpose in definitions.policy.purposes.keys() {
        consent.insert(purpose.clone(), facts.consent(purpose, None));
    }
    for row in facts.voices().flatten() {
        let name = row.channel.as_ref().map_or(row.purpose.clone(), |channel| format!("{}/{channel}", row.purpose));
        consent.entry(name).or_insert_with(|| facts.consent(&row.purpose, row.channel.as_deref()));
    }
    let named = |(number, since): (u32, Timestamp)| {
        Some(SegmentOfProfile { name: definitions.segment_name(number)?.to_string(), since: since.to_string() })
    };
    let mut segments: Vec<SegmentOfProfile> = profile.segments.iter().filter_map(named).collect();
    segments.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(Some(ProfileView {
        id: profile.id.to_string(),
        identifiers: identifiers(&nodes),
        traits,
        computed,
        groups: groups::of_nodes(store, access, &nodes)?,
        segments,
        consent,
        events: profile.events,
        first_seen: profile.first_seen.to_string(),
        last_seen: profile.last_seen.to_string(),
        as_of: at.to_string(),
    }))
}

/// Each trait as it was said last.
pub(crate) fn newest(traits: &Traits, sources: &BTreeMap<u32, String>) -> BTreeMap<String, TraitView> {
    let survivor = |name: &str| MOST_RECENT.survivor(std::iter::once(traits), name, Timestamp::MAX, &|_| true);
    traits.iter().filter_map(|(name, _)| Some((name.to_owned(), TraitView::of(&survivor(name)?, sources)))).collect()
}

pub(crate) fn identifier(node: &Node) -> IdentifierView {
    IdentifierView {
        kind: node.kind.clone(),
        value: node.value.clone(),
        first_seen: node.first_seen.to_string(),
        events: node.events,
    }
}

pub(crate) fn identifiers(nodes: &[Node]) -> Vec<IdentifierView> {
    nodes.iter().map(identifier).collect()
}

/// Whom a caller sees: those in one of some segments, who allow a purpose.
pub struct Seeing<'a> {
    segments: Option<Vec<u32>>,
    purpose: Option<(&'a str, consent::Policy)>,
}

impl<'a> Seeing<'a> {
    /// What the access says of it.
    pub fn of(store: &mut dyn Reader, access: &'a Access) -> Result<Seeing<'a>, Error> {
        let mut segments = None;
        if let Some(only) = access.sight.only() {
            let mut numbers = vec![];
            for name in only {
                // A segment that was removed has no members.
                numbers.extend(segment_number(store, access, name)?);
            }
            segments = Some(numbers);
        }
        let purpose = match access.purpose.is_administration() {
            true => None,
            false => Some((access.purpose.0.as_str(), Workspace::policy(store, access.workspace)?)),
        };
        Ok(Seeing { segments, purpose })
    }

    fn sees(&self, store: &mut dyn Reader, access: &Access, profile: &Profile) -> Result<bool, Error> {
        let is_in = |numbers: &Vec<u32>| numbers.iter().any(|number| profile.segments.since(*number).is_some());
        if !self.segments.as_ref().is_none_or(is_in) {
            return Ok(false);
        }
        let Some((purpose, policy)) = &self.purpose else { return Ok(true) };
        Ok(consent(store, access, policy, profile.id, purpose, None)?.is_some_and(|decision| decision.allowed))
    }
}

/// Whether the caller sees this person.
pub fn is_seen(store: &mut dyn Reader, access: &Access, id: ProfileId) -> Result<bool, Error> {
    if access.sees_everybody() {
        return Ok(true);
    }
    let seeing = Seeing::of(store, access)?;
    let row = store.get(&schema::PROFILE, &[Profile::key(access.workspace, id)])?.pop().flatten();
    let profile = row.as_ref().map(Profile::from_row).transpose()?;
    profile.map_or(Ok(false), |profile| seeing.sees(store, access, &profile))
}

/// Profiles in the order of their ids, a page at a time: of those whom the caller sees.
pub fn profiles(
    store: &mut dyn Reader,
    access: &Access,
    after: Option<ProfileId>,
    limit: usize,
) -> Result<Vec<Member>, Error> {
    among(store, access, after, limit, &|profile| Some(profile.first_seen))
}

/// A page of those whom the caller sees and for whom `since` has a time.
fn among(
    store: &mut dyn Reader,
    access: &Access,
    after: Option<ProfileId>,
    limit: usize,
    since: &dyn Fn(&Profile) -> Option<Timestamp>,
) -> Result<Vec<Member>, Error> {
    let seeing = Seeing::of(store, access)?;
    let mut after = after.map(|id| Profile::key(access.workspace, id));
    let mut members = vec![];
    loop {
        let prefix = vec![workspace(access), PERSON];
        let rows = store.scan(&Scan { after, ..Scan::prefix(&schema::PROFILE, prefix, SCANNED_AT_ONCE) })?;
        for row in &rows {
            if members.len() == limit {
                return Ok(members);
            }
            let profile = Profile::from_row(row)?;
            if let Some(since) = since(&profile)
                && seeing.sees(store, access, &profile)?
            {
                members.push(member(store, access, &profile, since)?);
            }
        }
        match rows.last() {
            Some(last) if rows.len() == SCANNED_AT_ONCE => after = Some(last[..schema::PROFILE.key].to_vec()),
            _ => return Ok(members),
        }
    }
}

fn member(store: &mut dyn Reader, access: &Access, profile: &Profile, since: Timestamp) -> Result<Member, Error> {
    let nodes = nodes_of(store, access, profile)?;
    Ok(Member { id: profile.id.to_string(), identifiers: identifiers(&nodes), since: since.to_string() })
}

/// The number of the segment of this name, where there is one.
pub fn segment_number(store: &mut dyn Reader, access: &Access, name: &str) -> Result<Option<u32>, Error> {
    let key = vec![workspace(access), Value::Text("segment".to_owned()), Value::Text(name.to_owned())];
    let row = store.get(&schema::DEFINITION, &[key])?.pop().flatten();
    row.map(|row| Ok(row[4].as_int()? as u32)).transpose()
}

/// Profiles read at once when those of a segment are looked for.
const SCANNED_AT_ONCE: usize = 1000;

/// Members of a segment whom the caller sees, in the order of their ids, a page at a time; `None` where there is no segment of this name.
pub fn members(
    store: &mut dyn Reader,
    access: &Access,
    segment: &str,
    after: Option<ProfileId>,
    limit: usize,
) -> Result<Option<Vec<Member>>, Error> {
    let Some(number) = segment_number(store, access, segment)? else { return Ok(None) };
    among(store, access, after, limit, &|profile| profile.segments.since(number)).map(Some)
}

/// Who is in which segment, by its number: all of the workspace.
pub fn memberships(store: &mut dyn Reader, access: &Access) -> Result<Vec<(u32, ProfileId)>, Error> {
    let rows = store.scan(&Scan::prefix(&schema::PROFILE, vec![workspace(access), PERSON], usize::MAX))?;
    let mut found = vec![];
    for row in &rows {
        let profile = Profile::from_row(row)?;
        found.extend(profile.segments.iter().map(|(number, _)| (number, profile.id)));
    }
    Ok(found)
}

/// Whether a profile may be reached for `purpose`; `None` where there is no such profile.
pub fn consent(
    store: &mut dyn Reader,
    access: &Access,
    policy: &consent::Policy,
    id: ProfileId,
    purpose: &str,
    channel: Option<&str>,
) -> Result<Option<consent::Decision>, Error> {
    let loaded = load(store, access, id)?;
    Ok(loaded.map(|(_, nodes)| {
        let nodes = nodes.iter().collect::<SmallVec<_>>();
        let facts = Joined { nodes, policy, survivorship: &MOST_RECENT, at: access.at };
        facts.consent(purpose, channel)
    }))
}

/// A running total of the workspace.
pub fn tally(store: &mut dyn Reader, access: &Access, name: &str) -> Result<i64, Error> {
    let row = store.get(&schema::TALLY, &[vec![workspace(access), Value::Text(name.to_owned())]])?.pop().flatten();
    Ok(row.map_or(Ok(0), |row| row[2].as_int())?)
}

/// All running totals of the workspace.
pub fn tallies(store: &mut dyn Reader, access: &Access) -> Result<BTreeMap<String, i64>, Error> {
    let rows = store.scan(&Scan::prefix(&schema::TALLY, vec![workspace(access)], usize::MAX))?;
    rows.iter().map(|row| Ok((row[1].as_text()?.to_owned(), row[2].as_int()?))).collect()
}

/// Why a profile is in a segment or is not; `None` where the segment is not live or the profile is not there.
pub fn explain(
    store: &mut dyn Reader,
    access: &Access,
    definitions: &Workspace,
    partition: u32,
    segment: &str,
    id: ProfileId,
) -> Result<Option<Explanation>, Error> {
    let Some(program) = definitions.segments.get(segment).and_then(|segment| segment.program.as_ref()) else {
        return Ok(None);
    };
    let (_, at) = as_of(store, partition)?;
    let loaded = load(store, access, id)?;
    Ok(loaded.map(|(_, nodes)| program.explain(&joined(definitions, &nodes, at), at)))
}

/// A segment as it is shown in lists.
#[derive(Debug, Serialize, ToSchema)]
pub struct SegmentView {
    /// Its name.
    pub name: String,
    /// How many are in.
    pub count: i64,
    /// `live`, `building` (first fold under way), or `updating` (the earlier version still counts).
    pub state: &'static str,
    /// Version of the definition.
    pub version: i64,
    /// The definition.
    #[schema(value_type = Object)]
    pub definition: Definition,
    /// The same as text.
    pub text: String,
}

/// The workspace's segments.
pub fn segments(store: &mut dyn Reader, access: &Access, definitions: &Workspace) -> Result<Vec<SegmentView>, Error> {
    let mut views = vec![];
    for (name, segment) in &definitions.segments {
        let state = match &segment.in_force {
            None => "building",
            Some((version, _)) if *version != segment.version.number => "updating",
            Some(_) => "live",
        };
        views.push(SegmentView {
            name: name.clone(),
            count: tally(store, access, &format!("segment.{name}"))?,
            state,
            version: segment.version.number,
            definition: segment.newest.clone(),
            text: onefold_model::segment::text::print(&segment.newest.condition),
        });
    }
    Ok(views)
}

/// An object as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct ObjectView {
    /// Its id.
    pub id: String,
    /// Its traits, by name.
    pub traits: BTreeMap<String, TraitView>,
    /// When it was first heard of.
    pub first_seen: String,
    /// When it was last heard of.
    pub last_seen: String,
}

/// The number of an entity type; the outer `None`: there is none of this name, the inner: no object of it has come yet.
fn entity_type(definitions: &Workspace, kind: &str) -> Option<Option<EntityType>> {
    match kind {
        "account" => Some(Some(EntityType::ACCOUNT)),
        "household" => Some(Some(EntityType::HOUSEHOLD)),
        own => match definitions.entity_types.get(own) {
            Some(entity) => Some(Some(*entity)),
            None if definitions.object_types.contains_key(own) => Some(None),
            None => None,
        },
    }
}

/// Objects of a type in the order of their ids, a page at a time; `None` where there is no such type.
pub fn objects(
    store: &mut dyn Reader,
    access: &Access,
    definitions: &Workspace,
    kind: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Option<Vec<ObjectView>>, Error> {
    let Some(entity) = entity_type(definitions, kind) else { return Ok(None) };
    let Some(entity) = entity else { return Ok(Some(vec![])) };
    let prefix = vec![workspace(access), Value::Int(entity.0.into())];
    let after = after.map(|id| prefix.iter().cloned().chain([Value::Text(id.to_owned())]).collect());
    let sources = sources(store, access)?;
    let rows = store.scan(&Scan { after, ..Scan::prefix(&schema::OBJECT, prefix, limit) })?;
    Ok(Some(rows.iter().map(|row| object_view(row, access, definitions, &sources)).collect::<Result<_, _>>()?))
}

/// An object; `None` where there is none of this id.
pub fn object(
    store: &mut dyn Reader,
    access: &Access,
    definitions: &Workspace,
    kind: &str,
    id: &str,
) -> Result<Option<ObjectView>, Error> {
    let (Some(Some(entity)), Some(id)) = (entity_type(definitions, kind), normalise("object", id)) else {
        return Ok(None);
    };
    let key = vec![workspace(access), Value::Int(entity.0.into()), Value::Text(id.into_owned())];
    let Some(row) = store.get(&schema::OBJECT, &[key])?.pop().flatten() else { return Ok(None) };
    Ok(Some(object_view(&row, access, definitions, &sources(store, access)?)?))
}

/// What is known of an object, but for values that have expired, and those that somebody's consent would decide about: an object
/// gives none.
fn object_view(
    row: &Row,
    access: &Access,
    definitions: &Workspace,
    sources: &BTreeMap<u32, String>,
) -> Result<ObjectView, Error> {
    let mut traits = crate::objects::decode(row)?;
    traits.forget(|observed| !definitions.survivorship.may_count(observed, access.at, &|_| false));
    Ok(ObjectView {
        id: row[2].as_text()?.to_owned(),
        traits: newest(&traits, sources),
        first_seen: Timestamp(row[3].as_int()?).to_string(),
        last_seen: Timestamp(row[4].as_int()?).to_string(),
    })
}

/// An event of a timeline.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineEvent {
    /// Its log offset.
    pub offset: u64,
    /// The source that sent it.
    pub source: String,
    /// The event.
    #[schema(value_type = Object)]
    pub event: Box<RawValue>,
}

/// The newest events of a profile before `before`, as their sources' preparations make them, the newest first.
pub fn timeline(
    store: &mut dyn Reader,
    log: &dyn EventLog,
    access: &Access,
    definitions: &Workspace,
    id: ProfileId,
    before: u64,
    limit: usize,
) -> Result<Vec<TimelineEvent>, Error> {
    let Some((_, nodes)) = load(store, access, id)? else { return Ok(vec![]) };
    let offsets = offsets(store, access, &nodes, before, limit)?;
    let sources = sources(store, access)?;
    let partition = access.workspace.partition(log.partitions());
    let mut events = vec![];
    let mut block: Option<onefold_log::Block> = None;
    for offset in offsets {
        if block.as_ref().is_none_or(|b| !(b.first..b.end()).contains(&offset)) {
            block = match log.read(partition, offset, 1) {
                Ok(blocks) => blocks.into_iter().next(),
                Err(ReadError::Trimmed { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
        }
        let Some(record) = block.iter().flat_map(|b| b.records()).find(|r| r.offset == offset && !r.erased) else {
            continue;
        };
        let Ok(event) = EventRecord::decode(record.payload) else { continue };
        let source = name_of(&sources, event.source);
        let event = raw(definitions.preparations.render(offset, event));
        events.push(TimelineEvent { offset, source, event });
    }
    Ok(events)
}

/// Log offsets of the newest events of these nodes before `before`, the newest first.
pub(crate) fn offsets(
    store: &mut dyn Reader,
    access: &Access,
    nodes: &[Node],
    before: u64,
    limit: usize,
) -> Result<Vec<u64>, Error> {
    let mut offsets: Vec<u64> = vec![];
    for node in nodes {
        offsets.extend(node.partial.recent.iter().filter(|offset| **offset < before));
        // Pages are read from the newest; one more page than is needed never matters.
        let own = Node::key(access.workspace, node.id);
        let mut after = Some(own.iter().cloned().chain([Value::Int(before as i64)]).collect::<Row>());
        let mut found = node.partial.recent.iter().filter(|offset| **offset < before).count();
        while found < limit {
            let scan = Scan { after, reverse: true, ..Scan::prefix(&schema::EVENT_PAGE, own.clone(), 1) };
            let Some(row) = store.scan(&scan)?.pop() else { break };
            let page: Vec<u64> = postcard::from_bytes(row[4].as_bytes()?.get(1..).unwrap_or_default())
                .map_err(|error| Error::unreadable("a page of events", error))?;
            found += page.iter().filter(|offset| **offset < before).count();
            offsets.extend(page.into_iter().filter(|offset| *offset < before));
            after = Some(own.iter().cloned().chain([row[3].clone()]).collect());
        }
    }
    offsets.sort_unstable_by_key(|offset| std::cmp::Reverse(*offset));
    offsets.truncate(limit);
    Ok(offsets)
}
