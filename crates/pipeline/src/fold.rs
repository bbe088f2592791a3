//! One event: dedupe, identity, fold, and what follows for its person.

use onefold_model::{
    NodeId, Timestamp, Value as TraitValue, WorkspaceId,
    consent::{self, signal},
    event::Kind,
    profile::traits::{NAME_BYTES_MAX, Observed, VALUE_BYTES_MAX},
    segment::MetricId,
};
use onefold_state::{Txn, Value, schema};
use smallvec::SmallVec;

use crate::{
    Error,
    partition::Partition,
    prepare::Event,
    registry::Place,
    verdict::Verdict,
};

/// What an event changed of its person, as far as segments may ask about it.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub metrics: SmallVec<[MetricId; 8]>,
    pub traits: SmallVec<[String; 4]>,
    pub consent: bool,
    /// The profile gained or lost nodes: everything may be different.
    pub all: bool,
}

impl Partition {
    pub(crate) fn apply_event(&mut self, txn: &mut dyn Txn, event: &Event<'_>) -> Result<Verdict, Error> {
        let workspace = event.record.workspace;
        if !self.dedupe.insert(txn, event.key, event.record.received_at, event.record.for_ever)? {
            self.effects.tally(workspace, "events.duplicate", 1);
            return Ok(Verdict::Duplicate);
        }
        self.observe_properties(event);
        if event.kind == Kind::Object {
            self.effects.tally(workspace, "events.accepted", 1);
            self.apply_object(txn, event)?;
            return Ok(Verdict::Object);
        }
        if event.identity.dropped > 0 {
            self.effects.tally(workspace, "identifiers.dropped", event.identity.dropped.into());
        }
        if event.identity.identifiers.is_empty() {
            self.refuse(event);
            return Ok(Verdict::Refused);
        }
        self.effects.tally(workspace, "events.accepted", 1);
        let received = event.record.received_at;
        let nodes = self.nodes_of(workspace, &event.identity.identifiers, event.offset, received);
        let merged = self.together(workspace, &nodes, event.identity.origin, received, event.offset);
        let mut changed = self.fold(event, nodes[0]);
        changed.all |= merged;
        if event.kind == Kind::Group {
            self.apply_group(txn, event, nodes[0])?;
        }
        let Some(profile) = self.nodes.peek(&nodes[0]).map(|node| node.profile) else { return Ok(Verdict::Refused) };
        if let Some(whole) = self.profiles.get_mut(&profile) {
            whole.events += 1;
            whole.last_seen = whole.last_seen.max(received);
            changed.all |= whole.events == 1;
            self.effects.profiles.insert(profile, workspace);
        }
        self.decide(workspace, profile, &changed, self.now.plus(1), event.offset);
        self.forward(event, profile);
        Ok(Verdict::Accepted(nodes[0]))
    }

    /// Folds the event at its node.
    fn fold(&mut self, event: &Event<'_>, id: NodeId) -> Changed {
        let mut changed = Changed::default();
        let (Some(node), Some(workspace)) =
            (self.nodes.get_mut(&id), self.workspaces.get(&event.record.workspace))
        else {
            return changed;
        };
        let before = node.partial.size_bytes();
        node.events += 1;
        node.last_seen = node.last_seen.max(event.record.received_at);
        for (name, raw) in event.person_traits() {
            if name.len() > NAME_BYTES_MAX || raw.get().len() > VALUE_BYTES_MAX {
                self.effects.tally(event.record.workspace, "traits.too_long", 1);
                continue;
            }
            let observed = Observed {
                at: event.record.timestamp,
                received_at: event.record.received_at,
                tie: event.key as u64,
                source: event.record.source,
                offset: event.offset,
                value: TraitValue::from_json(raw),
            };
            if node.partial.traits.observe(&name, observed) {
                changed.traits.push(name.into_owned());
            }
        }
        let metrics = &workspace.metrics;
        let offset = event.offset;
        workspace.matcher.matches(event, &mut |metric, point| {
            if metrics.get(&metric).is_some_and(|kept| kept.live_from <= offset) {
                node.partial.series_mut(metric).insert(point);
                changed.metrics.push(metric);
            }
        });
        if let Some(context) = &event.context {
            for row in signal::rows(context, event.record.timestamp, event.offset) {
                let place = self.effects.next_place();
                // The ledger is kept: a rebuild has it already.
                if !self.silent {
                    self.effects.put(&schema::CONSENT, ledger_row(event, id, &row, place));
                }
                changed.consent |= node.partial.consent(row);
            }
        }
        if let Some(page) = node.partial.remember(event.offset) {
            let key = [i64::from(event.record.workspace.0), 0, id.0, page[0] as i64].map(Value::Int);
            let body = postcard::to_extend(&page, vec![1u8]).expect("a vector takes all that is written to it");
            self.effects.put(&schema::EVENT_PAGE, key.into_iter().chain([Value::Bytes(body)]).collect());
        }
        let after = node.partial.size_bytes();
        self.nodes.grew(after.saturating_sub(before));
        self.effects.nodes.insert(id);
        changed
    }

    /// Folds an old event into the series of metrics that were not kept when it came.
    pub(crate) fn fold_again(&mut self, event: &Event<'_>, id: NodeId, wanted: &[MetricId]) {
        let (Some(node), Some(workspace)) =
            (self.nodes.get_mut(&id), self.workspaces.get(&event.record.workspace))
        else {
            return;
        };
        let mut touched = false;
        let offset = event.offset;
        workspace.matcher.matches(event, &mut |metric, point| {
            let missed = workspace.metrics.get(&metric).is_some_and(|kept| offset < kept.live_from);
            if missed && wanted.contains(&metric) {
                node.partial.series_mut(metric).insert(point);
                touched = true;
            }
        });
        if touched {
            self.effects.nodes.insert(id);
        }
    }

    fn observe_properties(&mut self, event: &Event<'_>) {
        let Some(registry) = self.registries.get_mut(&event.record.workspace) else { return };
        let place = Place { event: &event.name, source: event.record.source, at: event.record.received_at };
        for (name, raw) in event.properties.iter().flat_map(|properties| &properties.0) {
            registry.observe(place, name, raw);
        }
        for (name, raw) in event.person_traits() {
            registry.observe(Place { event: "", ..place }, &name, raw);
        }
    }

    /// Nobody is left whom the event could belong to: it becomes a dead letter.
    fn refuse(&mut self, event: &Event<'_>) {
        let workspace = event.record.workspace;
        self.effects.tally(workspace, "events.refused", 1);
        // Dead letters are kept: a rebuild has them already.
        if self.silent {
            return;
        }
        self.effects.put(
            &schema::DEAD_LETTER,
            vec![
                Value::Int(workspace.0.into()),
                Value::Text(format!("offset-{}", event.offset)),
                Value::Int(event.record.source.into()),
                Value::Text("no_accepted_identifier".to_owned()),
                Value::Text("all its identifiers are blocked or malformed; see the identity rules".to_owned()),
                Value::Int(event.record.received_at.0),
                Value::Null,
                Value::Text("waiting".to_owned()),
                Value::Bytes(event.record.json.as_bytes().to_vec()),
            ],
        );
    }

    /// A consent by an operator.
    pub(crate) fn consent_by_operator(
        &mut self,
        workspace: WorkspaceId,
        id: NodeId,
        row: consent::Row,
        at: Timestamp,
    ) -> bool {
        let place = self.effects.next_place();
        if !self.silent {
            self.effects.put(&schema::CONSENT, ledger_columns(workspace, id, &row, place, at, 0));
        }
        let Some(node) = self.nodes.get_mut(&id) else { return false };
        self.effects.nodes.insert(id);
        node.partial.consent(row)
    }
}

fn ledger_row(event: &Event<'_>, node: NodeId, row: &consent::Row, place: i64) -> Vec<Value> {
    ledger_columns(event.record.workspace, node, row, place, event.record.received_at, event.record.source)
}

fn ledger_columns(
    workspace: WorkspaceId,
    node: NodeId,
    row: &consent::Row,
    place: i64,
    recorded: Timestamp,
    source: u32,
) -> Vec<Value> {
    vec![
        Value::Int(workspace.0.into()),
        Value::Int(row.offset as i64),
        Value::Int(place),
        Value::Int(node.0),
        Value::Text(row.purpose.replace('\0', "\u{fffd}")),
        row.channel.clone().map_or(Value::Null, Value::Text),
        Value::Text(row.state.name().to_owned()),
        Value::Text(row.strength.name().to_owned()),
        Value::Int(row.at.0),
        Value::Int(recorded.0),
        Value::Int(source.into()),
    ]
}
