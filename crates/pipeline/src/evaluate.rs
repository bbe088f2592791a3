//! Live segments: deciding who is in, at each event and each due time.

use onefold_model::{ProfileId, Timestamp, WorkspaceId, consent::Policy, profile::survivorship::MOST_RECENT};
use onefold_state::Txn;
use smallvec::SmallVec;

use crate::{
    Error,
    changes::Change,
    definitions::{Use, UseId, Workspace},
    fold::Changed,
    partition::Partition,
    profile::{Joined, Profile},
};

/// The policy of a workspace that has none.
static STRICTEST: Policy = Policy::STRICTEST;

impl Partition {
    /// The profile's facts as of `at`.
    pub(crate) fn joined(&self, profile: &Profile, at: Timestamp) -> Joined<'_> {
        let definitions = self.workspaces.get(&profile.workspace);
        Joined {
            nodes: profile.nodes.iter().filter_map(|n| self.node(n)).collect(),
            policy: definitions.map_or(&STRICTEST, |w| &w.policy),
            survivorship: definitions.map_or(&MOST_RECENT, |w| &w.survivorship),
            at,
        }
    }

    /// Decides the segments that what changed may have changed.
    pub(crate) fn decide(
        &mut self,
        workspace: WorkspaceId,
        profile: ProfileId,
        changed: &Changed,
        at: Timestamp,
        offset: u64,
    ) {
        let Some(readers) = self.workspaces.get(&workspace).map(|w| &w.readers) else { return };
        let mut numbers: SmallVec<[u32; 32]> = SmallVec::new();
        if changed.all && !changed.first {
            numbers.extend(readers.live.keys().copied());
        } else {
            if changed.first {
                numbers.extend_from_slice(&readers.of_nobody);
            }
            for metric in &changed.metrics {
                numbers.extend_from_slice(readers.of_metric.get(metric).map_or(&[], Vec::as_slice));
            }
            for name in &changed.traits {
                numbers.extend_from_slice(readers.of_trait.get(name).map_or(&[], Vec::as_slice));
            }
            if changed.consent {
                numbers.extend_from_slice(&readers.of_consent);
            }
            numbers.sort_unstable();
            numbers.dedup();
        }
        let all = changed.all || changed.first;
        let consents = all || changed.consent;
        if consents {
            self.permit(workspace, profile, at, offset);
        }
        self.decide_segments(workspace, profile, &numbers, [all, consents], at, offset);
    }

    /// Decides these segments as of `at`. `all`: these are all that may hold or come to, so the next due time is theirs
    /// alone; else it only moves earlier, and a wake too early decides again. `consents`: what the person allows may have
    /// changed.
    fn decide_segments(
        &mut self,
        workspace: WorkspaceId,
        id: ProfileId,
        numbers: &[u32],
        [all, consents]: [bool; 2],
        at: Timestamp,
        offset: u64,
    ) {
        let (Some(definitions), Some(profile)) = (self.workspaces.get(&workspace), self.profiles.peek(&id)) else {
            return;
        };
        let facts = self.joined(profile, at);
        let mut due = match all {
            true => self.expiry(definitions, profile).min(self.first_expiry(definitions, profile)),
            false => profile.due,
        };
        if consents && definitions.asks_consent() {
            due = due.min(facts.consent_until());
        }
        let mut moves: SmallVec<[(u32, bool); 8]> = SmallVec::new();
        for number in numbers {
            let Some(live) = definitions.readers.live.get(number) else { continue };
            let answer = live.program.evaluate(&facts, at);
            due = due.min(answer.until);
            if answer.holds != profile.segments.since(*number).is_some() {
                moves.push((*number, answer.holds));
            }
        }
        if all {
            // Segments that are no more.
            let ended = profile.segments.iter().filter(|(number, _)| !definitions.readers.live.contains_key(number));
            moves.extend(ended.map(|(number, _)| (number, false)));
        }
        let moved = due != profile.due;
        drop(facts);
        for (number, entered) in moves {
            self.change_membership(workspace, id, number, entered, at, offset);
        }
        if moved && let Some(profile) = self.profiles.get_mut(&id) {
            profile.due = due;
            self.effects.profiles.insert(id, workspace);
            self.timers.set(workspace, id, due);
        }
    }

    /// Tells the destinations whose segments the person is in already whom they may have now, and whom no more.
    fn permit(&mut self, workspace: WorkspaceId, id: ProfileId, at: Timestamp, offset: u64) {
        let Some(permitted) = self.permitted(workspace, id, at) else { return };
        let Some(profile) = self.profiles.get_mut(&id) else { return };
        let before = std::mem::replace(&mut profile.permitted, permitted);
        let (now, segments) = (profile.permitted.clone(), profile.segments.clone());
        self.effects.profiles.insert(id, workspace);
        let Some(definitions) = self.workspaces.get(&workspace) else { return };
        let mut told: Vec<(String, String, bool)> = vec![];
        for subscription in definitions.subscriptions.values() {
            let Some(of) = Use::of(subscription) else { continue };
            let may = now.contains(&of.id);
            if may == before.contains(&of.id) {
                continue;
            }
            let inside = |name: &&String| {
                definitions.segments.get(*name).is_some_and(|segment| segments.since(segment.number).is_some())
            };
            let theirs = subscription.segments.iter().filter(inside);
            told.extend(theirs.map(|segment| (subscription.destination.clone(), segment.clone(), may)));
        }
        for (destination, segment, may) in told {
            self.send_member(workspace, &destination, &segment, id, may, at, offset);
        }
    }

    /// The uses by destinations that the person allows at `at`; `None`: the same as before.
    fn permitted(&self, workspace: WorkspaceId, id: ProfileId, at: Timestamp) -> Option<SmallVec<[UseId; 2]>> {
        let profile = self.profiles.peek(&id)?;
        let uses = self.workspaces.get(&workspace)?.uses();
        if uses.is_empty() && profile.permitted.is_empty() {
            return None;
        }
        let facts = self.joined(profile, at);
        let allowed = |of: &&Use| facts.consent(&of.purpose, of.channel.as_deref()).allowed;
        let permitted: SmallVec<[UseId; 2]> = uses.iter().filter(allowed).map(|of| of.id).collect();
        (permitted != profile.permitted).then_some(permitted)
    }

    /// Notes what the person allows at `at`, where a destination is about to get all that it may have.
    pub(crate) fn note_permitted(&mut self, workspace: WorkspaceId, id: ProfileId, at: Timestamp) {
        let Some(permitted) = self.permitted(workspace, id, at) else { return };
        let Some(profile) = self.profiles.get_mut(&id) else { return };
        profile.permitted = permitted;
        self.effects.profiles.insert(id, workspace);
    }

    /// When a profile with only anonymous identifiers goes if it stays silent; `MAX` where it has others.
    fn expiry(&self, definitions: &Workspace, profile: &Profile) -> Timestamp {
        let mut longest = 0;
        for node in profile.nodes.iter().filter_map(|n| self.nodes.peek(n)) {
            match definitions.rules.anonymous_ms(&node.kind) {
                Some(ms) => longest = longest.max(ms),
                None => return Timestamp::MAX,
            }
        }
        profile.last_seen.plus(longest)
    }

    /// When the first of a profile's values goes by its source's terms.
    fn first_expiry(&self, definitions: &Workspace, profile: &Profile) -> Timestamp {
        let nodes = profile.nodes.iter().filter_map(|n| self.nodes.peek(n));
        let first = nodes.map(|node| definitions.survivorship.first_expiry(&node.partial.traits)).min();
        first.unwrap_or(Timestamp::MAX)
    }

    /// Drops the values of a profile that have expired by `now`.
    fn expire_values(&mut self, workspace: WorkspaceId, id: ProfileId, now: Timestamp) {
        let Partition { nodes, profiles, workspaces, effects, .. } = self;
        let (Some(definitions), Some(profile)) = (workspaces.get(&workspace), profiles.peek(&id)) else { return };
        for id in &profile.nodes {
            let due = nodes.peek(id).is_some_and(|n| definitions.survivorship.first_expiry(&n.partial.traits) <= now);
            let Some(node) = nodes.get_mut(id).filter(|_| due) else { continue };
            let gone = node.partial.traits.forget(|observed| definitions.survivorship.expires(observed) <= now);
            effects.tally(workspace, "traits.expired", gone.len() as i64);
            effects.nodes.insert(*id);
            effects.people.insert((workspace, profile.id));
        }
    }

    /// A profile is due: it has been silent too long, or its segments are decided again, as of `due`.
    pub(crate) fn wake(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        id: ProfileId,
        due: Timestamp,
        offset: u64,
    ) -> Result<(), Error> {
        self.workspace(txn, workspace)?;
        self.load_profiles(txn, workspace, &[id])?;
        let Some(profile) = self.profiles.peek(&id).filter(|profile| profile.due == due) else { return Ok(()) };
        if self.expiry(&self.workspaces[&workspace], profile) <= due {
            return self.expire(txn, id, due, offset);
        }
        self.expire_values(workspace, id, due);
        let changed = Changed { all: true, ..Changed::default() };
        self.decide(workspace, id, &changed, due, offset);
        Ok(())
    }

    /// Somebody enters or leaves a segment.
    pub(crate) fn change_membership(
        &mut self,
        workspace: WorkspaceId,
        id: ProfileId,
        number: u32,
        entered: bool,
        at: Timestamp,
        offset: u64,
    ) {
        let Some(profile) = self.profiles.get_mut(&id) else { return };
        if !profile.segments.change(number, entered, at) {
            return;
        }
        self.effects.profiles.insert(id, workspace);
        let Some(name) = self.workspaces.get(&workspace).and_then(|w| w.segment_name(number)) else { return };
        self.effects.changes.push(Change { workspace, offset, segment: name.clone(), profile: id, entered, at });
        let grown = self.effects.grown.entry((workspace, number)).or_insert_with(|| (name.clone(), 0));
        grown.1 += if entered { 1 } else { -1 };
        self.notify(workspace, &name, id, entered, at, offset);
    }
}
