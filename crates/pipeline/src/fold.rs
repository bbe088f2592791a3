//! One event: dedupe, identity, fold, and what follows for its person.

use onefold_model::{
    NodeId, Timestamp, Value as TraitValue, WorkspaceId,
    consent::{self, Strength, signal},
    event::{EventRecord, Kind},
    profile::traits::{NAME_BYTES_MAX, Noted, Observed, VALUE_BYTES_MAX},
    segment::MetricId,
};
use onefold_prepare::Outcome;
use onefold_state::{Txn, Value, schema};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::{
    Error, ledger,
    partition::Partition,
    prepare::Event,
    registry::{Place, Scope},
    verdict::Verdict,
};

/// What an event changed of its person, as far as segments may ask about it.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub metrics: SmallVec<[MetricId; 8]>,
    pub traits: SmallVec<[String; 4]>,
    /// Traits whose value was said again: of a profile of several nodes another value may count now.
    pub newer: SmallVec<[String; 4]>,
    pub consent: bool,
    /// What was said of consent.
    pub said: Vec<consent::Row>,
    /// The profile gained or lost nodes: everything may be different.
    pub all: bool,
    /// Nothing was known of the profile before: all else is as for nobody.
    pub first: bool,
}

impl Partition {
    pub(crate) fn apply_event(&mut self, txn: &mut dyn Txn, event: &Event<'_>) -> Result<Verdict, Error> {
        let workspace = event.record.workspace;
        // Before its id is remembered: under other rules the same event may be sent again.
        if event.identity.identifiers.is_empty() && event.kind != Kind::Object {
            self.effects.tally(workspace, "identifiers.dropped", event.identity.dropped.into());
            let why = "all its identifiers are blocked or malformed; see the identity rules";
            self.refuse(event.offset, &event.came, "no_accepted_identifier", why);
            return Ok(Verdict::Refused);
        }
        // Engine time, which never goes back: whether an id is remembered must not depend on how the log was cut.
        if !self.dedupe.insert(txn, event.key, event.may_be_known, self.now, event.record.for_ever)? {
            self.effects.tally(workspace, "events.duplicate", 1);
            return Ok(Verdict::Duplicate);
        }
        if let Some(outcome) = event.outcome {
            self.count_steps(workspace, event.record.source, outcome);
            if !outcome.violations.is_empty() {
                self.against_the_plan(txn, &event.record, &outcome.violations)?;
            }
        }
        if event.kind == Kind::Object {
            return self.apply_object(txn, event);
        }
        if event.identity.dropped > 0 {
            self.effects.tally(workspace, "identifiers.dropped", event.identity.dropped.into());
        }
        self.effects.tally(workspace, "events.accepted", 1);
        self.observe_properties(event);
        let received = event.record.received_at;
        let nodes = self.nodes_of(event);
        let merged = self.together(workspace, &nodes, event.identity.origin, received, event.offset);
        let mut changed = self.fold(event, nodes[0]);
        changed.consent |= self.defer(&changed.said, nodes[0], &nodes[1..]);
        changed.all |= merged;
        // A value may count by a purpose that the person now allows, or does not any more.
        changed.all |= changed.consent && self.workspaces[&workspace].survivorship.asks_consent();
        if event.kind == Kind::Group {
            self.apply_group(txn, event, nodes[0])?;
        }
        let Some(profile) = self.nodes.peek(&nodes[0]).map(|node| node.profile) else { return Ok(Verdict::Refused) };
        if let Some(whole) = self.profiles.get_mut(&profile) {
            whole.events += 1;
            whole.last_seen = whole.last_seen.max(received);
            changed.first = whole.events == 1;
            if whole.nodes.len() > 1 {
                changed.traits.append(&mut changed.newer);
            }
            self.effects.profiles.insert(profile, workspace);
            if !changed.traits.is_empty() || changed.consent {
                self.effects.people.insert((workspace, profile));
            }
        }
        // Others that the event named first, and that did not come to this profile, have no event; they may expire.
        for node in &nodes[1..] {
            self.begin_expiry(workspace, *node, event.offset);
        }
        self.decide(workspace, profile, &changed, self.now.plus(1), event.offset);
        self.forward(event, profile);
        Ok(Verdict::Accepted(nodes[0]))
    }

    /// Counts what each step of a preparation changed, by source and the step's place.
    fn count_steps(&mut self, workspace: WorkspaceId, source: u32, outcome: &Outcome) {
        for (place, values) in &outcome.changed {
            self.effects.tally(workspace, format!("prepared.{source}.{place}"), (*values).into());
        }
    }

    /// Counts an event that goes against its source's tracking plan, and raises an alarm at the first of a day.
    pub(crate) fn against_the_plan(
        &mut self,
        txn: &mut dyn Txn,
        record: &EventRecord<'_>,
        violations: &[String],
    ) -> Result<(), Error> {
        let (workspace, source, day) = (record.workspace, record.source, self.now.day());
        let name = format!("violations.{source}.{day}");
        let key = vec![Value::Int(workspace.0.into()), Value::Text(name.clone())];
        let pending = self.effects.tallies.contains_key(&(workspace, name.clone().into()));
        if !pending && txn.get(&schema::TALLY, &[key])?.pop().flatten().is_none() {
            let detail = serde_json::json!({ "source": source, "why": violations.join("; ") }).to_string();
            self.effects.alarm(workspace, self.effects.offset, self.now.0, "tracking_plan", detail);
        }
        self.effects.tally(workspace, name, 1);
        self.effects.tally(workspace, format!("violations.{source}"), 1);
        Ok(())
    }

    /// A profile that an event named and that got none has its segments and its end decided as well.
    fn begin_expiry(&mut self, workspace: WorkspaceId, node: NodeId, offset: u64) {
        let Some(profile) = self.nodes.peek(&node).map(|node| node.profile) else { return };
        if self.profiles.peek(&profile).is_some_and(|p| p.events == 0 && p.due == Timestamp::MAX) {
            self.decide_all(workspace, profile, offset);
        }
    }

    /// Folds the event at its node.
    fn fold(&mut self, event: &Event<'_>, id: NodeId) -> Changed {
        let mut changed = Changed::default();
        let Partition { nodes, workspaces, jobs, effects, silent, now, .. } = self;
        let (Some(node), Some(workspace)) = (nodes.get_mut(&id), workspaces.get(&event.record.workspace)) else {
            return changed;
        };
        let mut grown = 0;
        node.events += 1;
        node.last_seen = node.last_seen.max(event.record.received_at);
        let survivorship = &workspace.survivorship;
        // Values that go by time move the profile's due time.
        changed.all |= !event.person.is_empty() && survivorship.has_expiry(event.record.source);
        for (name, raw) in &event.person {
            if name.len() > NAME_BYTES_MAX || raw.get().len() > VALUE_BYTES_MAX {
                effects.tally(event.record.workspace, "traits.too_long", 1);
                continue;
            }
            match node.partial.traits.observe(name, observed(event, raw)) {
                Noted::Same => continue,
                // What is not the newest value counts only under a rule that says so.
                Noted::Behind | Noted::Newer if !survivorship.is_most_recent(name) => {
                    changed.traits.push(name.clone().into_owned());
                }
                Noted::Behind => {}
                Noted::Newer => changed.newer.push(name.clone().into_owned()),
                Noted::Changed => changed.traits.push(name.clone().into_owned()),
                Noted::InsteadOf(other) => changed.traits.extend([name.clone().into_owned(), other.into_string()]),
            }
            grown += name.len() + raw.get().len() + 120;
        }
        let metrics = &workspace.metrics;
        let offset = event.offset;
        workspace.matcher.matches(event, &mut |metric, point| {
            let Some(kept) = metrics.get(&metric).filter(|kept| kept.live_from <= offset) else { return };
            let series = node.partial.series_mut(metric);
            grown += 32 + point.value.as_ref().map_or(0, |value| 24 + value_bytes(value));
            series.insert(point);
            // What no window reaches any more is folded away; not before all points are there, so that a rebuild folds
            // at the same places.
            let start = kept.horizon.start(*now);
            if series.worth_folding(start) && !jobs.is_building(event.record.workspace, metric) {
                series.fold_before(start);
            }
            changed.metrics.push(metric);
        });
        let policy = &workspace.policy;
        let (at, gpc) = (event.record.timestamp, event.record.gpc);
        let said = signal::rows(event.context.as_ref(), gpc, policy, at, event.offset);
        for row in said.into_iter().chain(policy.implied(&event.name, at, event.offset)) {
            let place = effects.next_place();
            // The ledger is kept: a rebuild has it already.
            if !*silent {
                let by = ledger::By::Event(&event.came);
                effects.put(&schema::CONSENT, ledger::row(event.record.workspace, id, &row, place, &by));
            }
            changed.consent |= node.partial.consent(row.clone());
            changed.said.push(row);
            grown += 128;
        }
        // Another law may hold where the person lives now.
        let moved = |names: &[String]| names.iter().any(|name| policy.residence.reads(name));
        changed.consent |= moved(&changed.traits) || moved(&changed.newer);
        if let Some(page) = node.partial.remember(event.offset) {
            let key = [i64::from(event.record.workspace.0), 0, id.0, page[0] as i64].map(Value::Int);
            let body = postcard::to_extend(&page, vec![1u8]).expect("a vector takes all that is written to it");
            effects.put(&schema::EVENT_PAGE, key.into_iter().chain([Value::Bytes(body)]).collect());
        }
        nodes.grew(grown + 8);
        effects.nodes.insert(id);
        changed
    }

    /// Folds an old event into the series of metrics that were not kept when it came.
    pub(crate) fn fold_again(&mut self, event: &Event<'_>, id: NodeId, wanted: &[MetricId]) {
        let (Some(node), Some(workspace)) = (self.nodes.get_mut(&id), self.workspaces.get(&event.record.workspace))
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
        let place = Place { scope: Scope::Property, of: &event.name, source: event.record.source, at: self.now };
        for (name, raw) in event.properties.iter().flat_map(|properties| &properties.0) {
            registry.observe(place, name, raw);
        }
        for (name, raw) in &event.person {
            registry.observe(Place { scope: Scope::Trait, of: "", ..place }, name, raw);
        }
    }

    /// What no one can use becomes a dead letter.
    pub(crate) fn refuse(&mut self, offset: u64, record: &EventRecord<'_>, code: &str, reason: &str) {
        let workspace = record.workspace;
        self.effects.tally(workspace, "events.refused", 1);
        // Dead letters are kept: a rebuild has them already, but for those that other preparations make.
        if self.silent && !self.replays {
            return;
        }
        self.effects.put(
            &schema::DEAD_LETTER,
            vec![
                Value::Int(workspace.0.into()),
                Value::Text(format!("offset-{offset}")),
                Value::Int(record.source.into()),
                Value::Text(code.to_owned()),
                Value::Text(reason.replace('\0', "\u{fffd}")),
                Value::Int(record.received_at.0),
                Value::Null,
                Value::Text("waiting".to_owned()),
                Value::Bytes(record.json.as_bytes().to_vec()),
            ],
        );
    }

    /// A consent by an operator.
    pub(crate) fn consent_by_operator(
        &mut self,
        workspace: WorkspaceId,
        id: NodeId,
        row: consent::Row,
        by: &ledger::By<'_>,
    ) -> bool {
        let place = self.effects.next_place();
        if !self.silent {
            self.effects.put(&schema::CONSENT, ledger::row(workspace, id, &row, place, by));
        }
        let Some(node) = self.nodes.get_mut(&id) else { return false };
        let profile = node.profile;
        let changed = node.partial.consent(row.clone());
        self.effects.nodes.insert(id);
        self.effects.people.insert((workspace, profile));
        // It is said of the person, whatever their other identifiers said.
        let others = self.profiles.peek(&profile).map(|profile| profile.nodes.clone()).unwrap_or_default();
        let others: SmallVec<[NodeId; 4]> = others.into_iter().filter(|node| *node != id).collect();
        self.defer(&[row], id, &others) || changed
    }

    /// Notes at other identifiers of a person that `speaker` spoke for them. Says whether that changed anything.
    fn defer(&mut self, said: &[consent::Row], speaker: NodeId, others: &[NodeId]) -> bool {
        let mut changed = false;
        // What is taken for an agreement takes nothing back.
        let said: SmallVec<[&consent::Row; 4]> = said.iter().filter(|row| row.strength > Strength::Implied).collect();
        for id in others.iter().filter(|_| !said.is_empty()) {
            let Some(node) = self.nodes.get_mut(id) else { continue };
            for row in &said {
                let row = consent::Row { deferred_to: Some(speaker), ..consent::Row::clone(row) };
                changed |= node.partial.consent(row);
            }
            self.effects.nodes.insert(*id);
        }
        changed
    }
}

/// A trait's value as an event says it.
pub(crate) fn observed(event: &Event<'_>, raw: &RawValue) -> Observed {
    Observed {
        at: event.record.timestamp,
        received_at: event.record.received_at,
        tie: event.key as u64,
        source: event.record.source,
        offset: event.offset,
        value: TraitValue::from_json(raw),
    }
}

fn value_bytes(value: &TraitValue) -> usize {
    match value {
        TraitValue::Text(text) | TraitValue::Json(text) => text.len(),
        TraitValue::Null | TraitValue::Bool(_) | TraitValue::Number(_) => 0,
    }
}
