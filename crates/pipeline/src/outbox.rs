//! The outbox: what is to leave, written with the decision that made it.

use onefold_model::{ProfileId, Timestamp, WorkspaceId, command::Subscription, event::view};
use onefold_state::{Value, schema};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    definitions::Workspace,
    partition::Partition,
    prepare::Event,
    profile::{Joined, Profile},
};

/// What a destination gets when somebody enters or leaves a segment.
#[derive(Debug, Serialize)]
struct Audience<'a> {
    r#type: &'static str,
    action: &'static str,
    segment: &'a str,
    profile: Person<'a>,
    at: String,
}

#[derive(Debug, Serialize)]
struct Person<'a> {
    id: String,
    identifiers: Vec<IdentifierOut<'a>>,
    traits: std::collections::BTreeMap<&'a str, Box<RawValue>>,
}

#[derive(Debug, Serialize)]
struct IdentifierOut<'a> {
    kind: &'a str,
    value: &'a str,
}

fn person<'a>(profile: &Profile, facts: &Joined<'a>) -> Person<'a> {
    let mut nodes = facts.nodes.clone();
    nodes.sort_by_key(|node| node.id);
    Person {
        id: profile.id.to_string(),
        identifiers: nodes.iter().map(|node| IdentifierOut { kind: &node.kind, value: &node.value }).collect(),
        traits: facts
            .traits()
            .into_iter()
            .filter_map(|(name, survivor)| Some((name, RawValue::from_string(survivor.value.to_json()).ok()?)))
            .collect(),
    }
}

fn purpose_of<'d>(definitions: &'d Workspace, destination: &str) -> Option<&'d str> {
    definitions.subscriptions.get(destination).and_then(|to| to.purpose.as_deref())
}

/// An event without the sensitive fields that the purpose does not name.
fn without_sensitive(event: &str, definitions: &Workspace, purpose: Option<&str>) -> Vec<u8> {
    let Ok(mut json) = serde_json::from_str::<serde_json::Value>(event) else { return event.as_bytes().to_vec() };
    let mut is_whole = true;
    for place in ["/properties", "/traits", "/context/traits"] {
        if let Some(members) = json.pointer_mut(place).and_then(serde_json::Value::as_object_mut) {
            is_whole &= !retain(members, "", definitions, purpose);
        }
    }
    if is_whole { event.as_bytes().to_vec() } else { json.to_string().into_bytes() }
}

/// Takes out what is sensitive, at any depth; whether there was something.
fn retain(
    members: &mut serde_json::Map<String, serde_json::Value>,
    within: &str,
    definitions: &Workspace,
    purpose: Option<&str>,
) -> bool {
    let mut found = false;
    members.retain(|name, value| {
        let path = if within.is_empty() { name.clone() } else { format!("{within}.{name}") };
        if definitions.withholds(&path, purpose) {
            found = true;
            return false;
        }
        if let Some(inner) = value.as_object_mut() {
            found |= retain(inner, &path, definitions, purpose);
        }
        true
    });
    found
}

impl Partition {
    /// Tells the destinations of a segment that somebody entered or left.
    pub(crate) fn notify(
        &mut self,
        workspace: WorkspaceId,
        segment: &str,
        id: ProfileId,
        entered: bool,
        at: Timestamp,
        offset: u64,
    ) {
        let Some(definitions) = self.workspaces.get(&workspace) else { return };
        let takers = |s: &&Subscription| s.segments.iter().any(|name| name == segment);
        let destinations: Vec<String> =
            definitions.subscriptions.values().filter(takers).map(|s| s.destination.clone()).collect();
        for destination in destinations {
            self.send_member(workspace, &destination, segment, id, entered, at, offset);
        }
    }

    /// Puts one member, or one who left, in a destination's outbox.
    #[expect(clippy::too_many_arguments, reason = "it is the outbox row, column by column")]
    pub(crate) fn send_member(
        &mut self,
        workspace: WorkspaceId,
        destination: &str,
        segment: &str,
        id: ProfileId,
        entered: bool,
        at: Timestamp,
        offset: u64,
    ) {
        let Some(profile) = self.profiles.peek(&id) else { return };
        let action = if entered { "enter" } else { "leave" };
        if self.silent {
            return self.send(workspace, destination, action, segment, id, vec![], offset);
        }
        let facts = self.joined(profile, at);
        let mut person = person(profile, &facts);
        if let Some(definitions) = self.workspaces.get(&workspace) {
            let purpose = purpose_of(definitions, destination);
            person.traits.retain(|name, _| !definitions.withholds(name, purpose));
        }
        let message = Audience { r#type: "audience", action, segment, profile: person, at: at.to_string() };
        let body = serde_json::to_vec(&message).unwrap_or_default();
        drop(facts);
        self.send(workspace, destination, action, segment, id, body, offset);
    }

    /// Gives the event to the destinations that asked for events of its name.
    pub(crate) fn forward(&mut self, event: &Event<'_>, id: ProfileId) {
        let workspace = event.record.workspace;
        let Some(definitions) = self.workspaces.get(&workspace) else { return };
        let takers = |s: &&Subscription| s.events.iter().any(|name| name == "*" || *name == event.name);
        let destinations: Vec<String> =
            definitions.subscriptions.values().filter(takers).map(|s| s.destination.clone()).collect();
        if destinations.is_empty() {
            return;
        }
        let mut body = String::new();
        if !self.silent {
            body = view::render(&event.record);
            body.pop();
            body.push_str(&format!(",\"profile\":{{\"id\":\"{id}\"}}}}"));
        }
        let bodies: Vec<Vec<u8>> = match self.workspaces.get(&workspace) {
            Some(definitions) if !self.silent => {
                let theirs = |name: &String| without_sensitive(&body, definitions, purpose_of(definitions, name));
                destinations.iter().map(theirs).collect()
            }
            _ => vec![vec![]; destinations.len()],
        };
        for (destination, body) in destinations.iter().zip(bodies) {
            self.send(workspace, destination, "event", "", id, body, event.offset);
        }
    }

    /// Puts a row in the outbox. A rebuild counts it and leaves it out: it was sent when it was decided.
    #[expect(clippy::too_many_arguments, reason = "it is the outbox row, column by column")]
    pub(crate) fn send(
        &mut self,
        workspace: WorkspaceId,
        destination: &str,
        kind: &str,
        segment: &str,
        profile: ProfileId,
        body: Vec<u8>,
        offset: u64,
    ) {
        let place = self.effects.next_place();
        self.effects.tally(workspace, "outbox.written", 1);
        if self.silent {
            return;
        }
        let key = crate::dedupe::key(workspace, 0, &format!("{destination}/{offset}/{place}"));
        let row = vec![
            Value::Int(workspace.0.into()),
            Value::Text(destination.to_owned()),
            Value::Int(offset as i64),
            Value::Int(place),
            Value::Text(format!("msg_{key:032x}")),
            Value::Text(kind.to_owned()),
            Value::Text(segment.to_owned()),
            Value::Int(profile.0.0),
            Value::Int(self.now.0),
            Value::Int(0),
            Value::Int(self.now.0),
            Value::Bytes(body),
        ];
        self.effects.put(&schema::OUTBOX, row);
        self.effects.outbox.insert(destination.to_owned());
    }
}
