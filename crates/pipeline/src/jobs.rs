//! Commands, and the work over the whole log or all profiles that some of them start.
//!
//! A new definition may ask for metrics nobody kept so far. Then a **scan** folds the log before it, step by step between
//! new events; folds commute, so the result is as if the metric had always been kept. When it is done the pipeline
//! appends `backfilled` to the log, and where that is applied the definition goes live. **Pages** of work over all
//! profiles (deciding everybody's segments, filling a new destination) are appended to the log one by one in the same
//! way. So a rebuild, which does each at the place of its command, gives the same history.

use std::sync::Arc;

use onefold_log::{Block, Kind, Record};
use onefold_model::{
    NodeId, ProfileId, Timestamp, Value as TraitValue, WorkspaceId,
    command::{Command, CommandRecord, IdentifierRef, Page, PageWork},
    consent::{self, Policy},
    event::EventRecord,
    identity::{Origin, Statement, StatementRef, normalise::normalise},
    profile::{Observed, survivorship::STEWARD},
    segment::MetricId,
};
use onefold_state::{Row, Scan, Txn, Value, schema};
use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use crate::{
    Error, admission,
    definitions::{CONSENT_POLICY, Version, definition_key, time_zone},
    fold::Changed,
    ledger,
    partition::Partition,
    preparations::{self, prepared},
    prepare::Event,
    suppression::Suppressed,
    verdict::{self, Verdict},
};

/// Work that is not finished.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jobs {
    /// Scans of the log, the first at work.
    pub scans: Vec<ScanJob>,
    /// Work over all profiles, the first at work.
    pub pages: Vec<PageJob>,
}

/// Folding the log before `before` into metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanJob {
    /// Whose.
    pub workspace: WorkspaceId,
    /// The next offset.
    pub next: u64,
    /// The end; the definition's own command.
    pub before: u64,
    /// Into which.
    pub metrics: Vec<MetricId>,
}

/// Work over all profiles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageJob {
    /// Whose.
    pub workspace: WorkspaceId,
    /// What.
    pub work: PageWork,
    /// The last profile done.
    pub after: Option<ProfileId>,
}

impl Jobs {
    /// As they stand in the progress row: JSON.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads them.
    pub fn decode(bytes: &[u8]) -> Result<Jobs, Error> {
        serde_json::from_slice(bytes).map_err(|error| Error::unreadable("the pipeline's progress", error))
    }

    /// Whether points of the metric before its definition are still being folded in.
    pub fn is_building(&self, workspace: WorkspaceId, metric: MetricId) -> bool {
        self.scans.iter().any(|job| job.workspace == workspace && job.metrics.contains(&metric))
    }

    fn page(&mut self, workspace: WorkspaceId, work: PageWork) {
        // What has not begun needs no second time.
        if !self.pages.iter().any(|job| job.workspace == workspace && job.work == work && job.after.is_none()) {
            self.pages.push(PageJob { workspace, work, after: None });
        }
    }
}

impl Partition {
    /// Carries out a command. One that does not fit (see [`admission`]) changes nothing, and raises an alarm; the API has
    /// checked it before it took it.
    pub(crate) fn command(&mut self, txn: &mut dyn Txn, record: CommandRecord, offset: u64) -> Result<(), Error> {
        let CommandRecord { workspace, at, caller, command, .. } = record;
        let problems = admission::problems_of(&self.workspaces[&workspace], &command);
        if !problems.is_empty() {
            self.refuse_command(workspace, offset, &problems.join("; "));
            return Ok(());
        }
        match command {
            Command::IdentityRules(rules) => {
                self.put_definition(workspace, "setting", "identity_rules", &rules, offset, &caller);
                let definitions = self.definitions(workspace);
                (definitions.rules, definitions.rules_since) = (Arc::new(rules), offset);
                // How long anonymous people are kept may have changed.
                self.jobs.page(workspace, PageWork::Evaluate);
            }
            Command::ConsentDefault(unstated) => {
                let policy = Policy { unstated, ..Policy::clone(&self.definitions(workspace).policy) };
                self.set_policy(workspace, policy, offset, &caller);
            }
            Command::ConsentPolicy(policy) => self.set_policy(workspace, policy, offset, &caller),
            Command::TimeZone(name) => {
                self.put_definition(workspace, "setting", "time_zone", &name, offset, &caller);
                self.definitions(workspace).time_zone = time_zone(&name)?;
                self.recompile(workspace);
                self.jobs.page(workspace, PageWork::Evaluate);
            }
            Command::Survivorship(rules) => {
                self.put_definition(workspace, "setting", "survivorship", &rules, offset, &caller);
                self.definitions(workspace).survivorship = Arc::new(rules);
                self.jobs.page(workspace, PageWork::Traits);
            }
            Command::Classes(classes) => {
                self.put_definition(workspace, "setting", "classes", &classes, offset, &caller);
                self.definitions(workspace).classes = Arc::new(classes);
            }
            Command::Govern { name, value } => {
                self.put_definition(workspace, "governance", &name, &value, offset, &caller);
                self.definitions(workspace).governance.insert(name, value);
            }
            Command::Prepare { source, preparation, replay } => {
                let preparation = preparation.and_then(|form| serde_json::from_value(form).ok());
                let version = preparations::Version { preparation, from: offset, replay };
                let known = Arc::make_mut(&mut self.definitions(workspace).preparations).set(source, offset, version);
                self.put_definition(workspace, preparations::KIND, &source.to_string(), &known, offset, &caller);
            }
            Command::Override { subject, name, value } => {
                self.override_trait(txn, workspace, &subject, &name, value, offset)?;
            }
            Command::SegmentSet(definition) => {
                let name = definition.name.clone();
                let version = self.next_version(txn, workspace, "segment", &name, offset, at)?;
                let Partition { workspaces, effects, .. } = self;
                let Some(definitions) = workspaces.get_mut(&workspace) else { return Ok(()) };
                match definitions.set_segment(definition, version, effects) {
                    Ok(fresh) => self.defined(workspace, "segment", &name, &caller, fresh, offset),
                    Err(error) => self.refuse_command(workspace, offset, &error.to_string()),
                }
            }
            Command::SegmentRemove(name) => {
                let Partition { workspaces, effects, .. } = self;
                if workspaces.get_mut(&workspace).is_some_and(|w| w.remove_segment(&name, effects)) {
                    self.recompile(workspace);
                    // Members leave page by page.
                    self.jobs.page(workspace, PageWork::Evaluate);
                }
            }
            Command::ComputedSet(definition) => {
                let name = definition.name.clone();
                let version = self.next_version(txn, workspace, "computed", &name, offset, at)?;
                let Partition { workspaces, effects, .. } = self;
                let Some(definitions) = workspaces.get_mut(&workspace) else { return Ok(()) };
                let fresh = definitions.set_computed(definition, version, effects);
                self.defined(workspace, "computed", &name, &caller, fresh, offset);
            }
            Command::ComputedRemove(name) => {
                self.definitions(workspace).computed.remove(&name);
                self.effects.delete(&schema::DEFINITION, definition_key(workspace, "computed", &name));
                self.recompile(workspace);
            }
            Command::Backfilled { before } => self.backfilled(workspace, before),
            Command::Page(page) => self.do_page(txn, workspace, &page, offset)?,
            Command::ObjectTypeSet(object_type) => {
                let name = object_type.name.clone();
                self.put_definition(workspace, "object_type", &name, &object_type, offset, &caller);
                self.definitions(workspace).object_types.insert(name, object_type);
            }
            Command::Subscribe(subscription) => {
                let name = subscription.destination.clone();
                self.put_definition(workspace, "subscription", &name, &subscription, offset, &caller);
                self.definitions(workspace).subscriptions.insert(name.clone(), subscription);
                self.jobs.page(workspace, PageWork::Sync { destination: name });
            }
            Command::Unsubscribe(name) => {
                self.definitions(workspace).subscriptions.remove(&name);
                self.effects.delete(&schema::DEFINITION, definition_key(workspace, "subscription", &name));
            }
            Command::Resync(name) => self.jobs.page(workspace, PageWork::Sync { destination: name }),
            Command::Merge { a, b } => self.merge(txn, workspace, &a, &b, offset)?,
            Command::Unmerge { a, b } => self.unmerge(txn, workspace, &a, b.as_ref(), offset)?,
            Command::Withdraw(statements) => {
                self.effects.tally(workspace, "identity.withdrawn", statements.len() as i64);
                self.restate(txn, workspace, &[], vec![], &statements, offset)?;
            }
            Command::LinkModel { version } => {
                self.put_definition(workspace, "setting", "link_model", &version, offset, &caller);
                self.definitions(workspace).link_model = version;
            }
            Command::Links { model, found, gone } => self.links(txn, workspace, model, found, &gone, offset)?,
            Command::LinkDecide { a, b, decision } => {
                self.decide_link(txn, workspace, [&a, &b], decision, &caller, offset)?;
            }
            Command::Erase { nodes, .. } => self.erase(txn, workspace, &nodes, offset)?,
            Command::Suppression => {
                let list = Suppressed::load(txn, workspace)?;
                self.definitions(workspace).suppressed = Arc::new(list);
                self.effects.redefine(workspace);
            }
            Command::Consent { subject, purpose, channel, state, by, terms } => {
                let since = terms.effective.unwrap_or(at).min(at);
                let expires = terms.expires;
                let row = consent::Row { channel, expires, ..consent::Row::new(since, state, by, purpose, offset) };
                let Some(node) = self.node_of_ref(txn, workspace, &subject)? else { return Ok(()) };
                let by = ledger::By::Operator { subject: &subject, terms: &terms, at, caller: &caller };
                if self.consent_by_operator(workspace, node, row, &by) {
                    let all = self.workspaces[&workspace].survivorship.asks_consent();
                    let changed = Changed { consent: true, all, ..Changed::default() };
                    self.decide_node(workspace, node, &changed, offset);
                }
            }
        }
        Ok(())
    }

    /// What data are used for, and what the law says, from now on.
    fn set_policy(&mut self, workspace: WorkspaceId, policy: Policy, offset: u64, caller: &str) {
        self.put_definition(workspace, "setting", CONSENT_POLICY, &policy, offset, caller);
        let definitions = self.definitions(workspace);
        let laws = |policy: &Policy| (policy.jurisdictions.clone(), policy.residence.clone(), policy.elsewhere.clone());
        // Copies of profiles say which values may be used, and under which law the person lives.
        let copied = definitions.survivorship.asks_consent() || laws(&definitions.policy) != laws(&policy);
        definitions.policy = Arc::new(policy);
        self.jobs.page(workspace, if copied { PageWork::Traits } else { PageWork::Evaluate });
    }

    pub(crate) fn refuse_command(&mut self, workspace: WorkspaceId, offset: u64, why: &str) {
        tracing::warn!(offset, why, "a command does not fit");
        self.effects.tally(workspace, "commands.refused", 1);
        let detail = serde_json::json!({ "why": why }).to_string();
        self.effects.alarm(workspace, offset, self.now.0, "command_refused", detail);
    }

    fn definitions(&mut self, workspace: WorkspaceId) -> &mut crate::definitions::Workspace {
        self.workspaces.get_mut(&workspace).expect("a command's workspace is read before the command")
    }

    /// Compiles anew what is in force. Series that nobody asks for any more go page by page.
    fn recompile(&mut self, workspace: WorkspaceId) {
        let Partition { workspaces, effects, .. } = self;
        if workspaces.get_mut(&workspace).is_some_and(|w| w.recompile(Some(effects))) {
            self.jobs.page(workspace, PageWork::Evaluate);
        }
    }

    /// The version that a definition made now is: one more than any of its name ever was.
    fn next_version(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        kind: &str,
        name: &str,
        offset: u64,
        at: Timestamp,
    ) -> Result<Version, Error> {
        self.write(txn)?;
        let prefix = definition_key(workspace, kind, name);
        let last = txn.scan(&Scan { reverse: true, ..Scan::prefix(&schema::DEFINITION_VERSION, prefix, 1) })?;
        let last = last.first().map_or(Ok(0), |row| row[3].as_int())?;
        Ok(Version { number: last + 1, offset, at })
    }

    /// A segment or computed trait has a new definition: it goes live at once, or when its metrics are folded in.
    fn defined(
        &mut self,
        workspace: WorkspaceId,
        kind: &str,
        name: &str,
        caller: &str,
        fresh: Vec<MetricId>,
        offset: u64,
    ) {
        if fresh.is_empty() && self.jobs.scans.iter().all(|job| job.workspace != workspace) {
            self.definitions(workspace).go_live(offset + 1);
            self.jobs.page(workspace, PageWork::Evaluate);
        } else {
            // Without new metrics there is nothing to read, but it waits for its turn behind those it may build on.
            let next = if fresh.is_empty() { offset } else { 0 };
            self.jobs.scans.push(ScanJob { workspace, next, before: offset, metrics: fresh });
        }
        self.recompile(workspace);
        let definitions = &self.workspaces[&workspace];
        let rows = match kind {
            "segment" => definitions.segments.get(name).map(|d| definitions.definition_rows(kind, name, d, caller)),
            _ => definitions.computed.get(name).map(|d| definitions.definition_rows(kind, name, d, caller)),
        };
        if let Some((_, version)) = rows {
            self.effects.put(&schema::DEFINITION_VERSION, version);
        }
        self.put_all_definitions(workspace);
    }

    /// The rows of segments and computed traits as they stand: some may have gone live.
    fn put_all_definitions(&mut self, workspace: WorkspaceId) {
        let definitions = &self.workspaces[&workspace];
        let segments =
            definitions.segments.iter().map(|(name, d)| definitions.definition_rows("segment", name, d, "").0);
        let computed =
            definitions.computed.iter().map(|(name, d)| definitions.definition_rows("computed", name, d, "").0);
        let rows: Vec<Row> = segments.chain(computed).collect();
        for row in rows {
            self.effects.put(&schema::DEFINITION, row);
        }
    }

    fn put_definition<T: Serialize>(
        &mut self,
        workspace: WorkspaceId,
        kind: &str,
        name: &str,
        value: &T,
        offset: u64,
        caller: &str,
    ) {
        let text = serde_json::to_string(value).unwrap_or_default();
        // Definitions without a life of their own are numbered by the offset that brought them.
        let number = offset as i64;
        let mut row = definition_key(workspace, kind, name);
        let mut version = row.clone();
        row.extend([number, 0, offset as i64, self.now.0, number].map(Value::Int));
        row.push(Value::Text(text.clone()));
        version.extend([number, offset as i64, self.now.0].map(Value::Int));
        version.extend([Value::Text(caller.to_owned()), Value::Text(text)]);
        self.effects.put(&schema::DEFINITION, row);
        self.effects.put(&schema::DEFINITION_VERSION, version);
    }

    fn backfilled(&mut self, workspace: WorkspaceId, before: u64) {
        self.jobs.scans.retain(|job| job.workspace != workspace || job.before >= before);
        if self.definitions(workspace).go_live(before) {
            self.jobs.page(workspace, PageWork::Evaluate);
        }
        self.recompile(workspace);
        self.put_all_definitions(workspace);
    }

    fn do_page(&mut self, txn: &mut dyn Txn, workspace: WorkspaceId, page: &Page, offset: u64) -> Result<(), Error> {
        let at_work = self.jobs.pages.iter().position(|job| job.workspace == workspace && job.work == page.work);
        // A rebuild without people who were erased meanwhile comes further with each page.
        let Some(place) = at_work.filter(|place| self.jobs.pages[*place].after >= page.after) else { return Ok(()) };
        let profiles = self.page(txn, workspace, self.jobs.pages[place].after, page.limit)?;
        match &page.work {
            PageWork::Evaluate | PageWork::Traits => {
                for profile in &profiles {
                    if page.work == PageWork::Traits {
                        self.effects.people.insert((workspace, *profile));
                    }
                    self.drop_series(workspace, *profile);
                    self.decide_all(workspace, *profile, offset);
                }
            }
            PageWork::Sync { destination } => self.sync(workspace, destination, &profiles, offset),
        }
        if profiles.len() < page.limit {
            self.jobs.pages.remove(place);
        } else {
            self.jobs.pages[place].after = profiles.last().copied();
        }
        Ok(())
    }

    fn sync(&mut self, workspace: WorkspaceId, destination: &str, profiles: &[ProfileId], offset: u64) {
        let segments = self.workspaces[&workspace].subscriptions.get(destination).map(|s| s.segments.clone());
        for profile in profiles {
            self.note_permitted(workspace, *profile, self.now.plus(1));
            for segment in segments.iter().flatten() {
                let number = self.workspaces[&workspace].segments.get(segment).map(|s| s.number);
                let inside =
                    |number: u32| self.profiles.peek(profile).is_some_and(|p| p.segments.since(number).is_some());
                if number.is_some_and(inside) {
                    self.send_member(workspace, destination, segment, *profile, true, self.now.plus(1), offset);
                }
            }
        }
    }

    /// Gives a trait a steward's value at an identifier, or takes back what was given there.
    fn override_trait(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        subject: &IdentifierRef,
        name: &str,
        value: Option<TraitValue>,
        offset: u64,
    ) -> Result<(), Error> {
        let Some(node) = self.node_of_ref(txn, workspace, subject)? else { return Ok(()) };
        let Some(own) = self.nodes.get_mut(&node) else { return Ok(()) };
        match value {
            Some(value) => {
                let (at, received_at, tie, source) = (self.now, self.now, offset, STEWARD);
                own.partial.traits.observe(name, Observed { at, received_at, tie, source, offset, value });
            }
            None => {
                own.partial.traits.withdraw_steward(name);
            }
        }
        self.effects.nodes.insert(node);
        self.effects.people.insert((workspace, own.profile));
        // Another law may hold where the person lives now, and with it another value may count.
        let definitions = &self.workspaces[&workspace];
        let consent = definitions.policy.residence.reads(name);
        let all = consent && definitions.survivorship.asks_consent();
        let changed = Changed { traits: smallvec![name.to_owned()], consent, all, ..Changed::default() };
        self.decide_node(workspace, node, &changed, offset);
        Ok(())
    }

    pub(crate) fn node_of_ref(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        identifier: &IdentifierRef,
    ) -> Result<Option<NodeId>, Error> {
        let Some(value) = normalise(&identifier.kind, &identifier.value) else { return Ok(None) };
        let node = self.find(txn, workspace, &identifier.kind, &value)?;
        if let Some(node) = node {
            self.load_nodes(txn, workspace, &[node])?;
        }
        Ok(node)
    }

    fn merge(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        a: &IdentifierRef,
        b: &IdentifierRef,
        offset: u64,
    ) -> Result<(), Error> {
        let (Some(a), Some(b)) = (self.node_of_ref(txn, workspace, a)?, self.node_of_ref(txn, workspace, b)?) else {
            return Ok(());
        };
        if a == b {
            return Ok(());
        }
        // Clustered anew, as what was refused before because the two were apart may join now.
        let said = Statement::Together { nodes: smallvec![a, b], origin: Origin::Command, at: self.now };
        self.restate(txn, workspace, &[a, b], vec![said], &[], offset)?;
        let profile = |node: NodeId| self.nodes.peek(&node).map(|node| node.profile);
        if profile(a) != profile(b) {
            let why = "they would pass the bound on identifiers, or others with them were said to be two people";
            self.refuse_command(workspace, offset, why);
        }
        Ok(())
    }

    fn unmerge(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        a: &IdentifierRef,
        b: Option<&IdentifierRef>,
        offset: u64,
    ) -> Result<(), Error> {
        let Some(a) = self.node_of_ref(txn, workspace, a)? else { return Ok(()) };
        let others: Vec<NodeId> = match b {
            Some(b) => self.node_of_ref(txn, workspace, b)?.into_iter().collect(),
            None => {
                let profile = self.nodes.peek(&a).map(|node| node.profile);
                let whole = profile.and_then(|profile| self.profiles.peek(&profile));
                whole.map(|p| p.nodes.to_vec()).unwrap_or_default()
            }
        };
        let said: Vec<Statement> = others.iter().filter(|b| **b != a).map(|b| Statement::Apart { a, b: *b }).collect();
        if said.is_empty() {
            return Ok(());
        }
        self.effects.tally(workspace, "identity.unmerges", 1);
        let seeds: Vec<NodeId> = others.into_iter().chain([a]).collect();
        self.restate(txn, workspace, &seeds, said, &[], offset)?;
        Ok(())
    }

    /// Takes statements that change what was joined before, and that some count no more, and decides the segments of whom that
    /// changed. Gives where the statements stand; `None` where they were refused.
    pub(crate) fn restate(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        seeds: &[NodeId],
        said: Vec<Statement>,
        withdrawn: &[StatementRef],
        offset: u64,
    ) -> Result<Option<Vec<StatementRef>>, Error> {
        let Some(reclustered) = self.recluster(txn, workspace, seeds, said, withdrawn, offset)? else {
            let why = "more statements hang together here than can be weighed again";
            self.refuse_command(workspace, offset, why);
            return Ok(None);
        };
        reclustered.changed.into_iter().for_each(|profile| self.decide_all(workspace, profile, offset));
        Ok(Some(reclustered.places))
    }

    pub(crate) fn decide_all(&mut self, workspace: WorkspaceId, profile: ProfileId, offset: u64) {
        let changed = Changed { all: true, ..Changed::default() };
        self.decide(workspace, profile, &changed, self.now.plus(1), offset);
    }

    fn decide_node(&mut self, workspace: WorkspaceId, node: NodeId, changed: &Changed, offset: u64) {
        if let Some(profile) = self.nodes.peek(&node).map(|node| node.profile) {
            self.decide(workspace, profile, changed, self.now.plus(1), offset);
        }
    }

    /// Whether a scan must be finished before this record can be applied: a rebuild, or a pipeline whose last commits
    /// were lost, comes upon `backfilled` with its scan not done.
    pub(crate) fn must_wait(&self, record: &Record<'_>) -> bool {
        if record.kind != Kind::Command || record.erased || !self.is_scanning() {
            return false;
        }
        let Ok(CommandRecord { workspace, command: Command::Backfilled { before }, .. }) =
            CommandRecord::decode(record.payload)
        else {
            return false;
        };
        let due = |job: &&ScanJob| job.workspace == workspace && job.before < before;
        self.jobs.scans.iter().filter(due).any(|job| job.next < job.before)
    }

    /// Whether there is log to be folded in.
    pub(crate) fn is_scanning(&self) -> bool {
        self.jobs.scans.iter().any(|job| job.next < job.before)
    }

    /// Where the scan at work goes on; nothing below `start` is left of the log.
    pub(crate) fn scan_from(&mut self, start: u64) -> Option<u64> {
        let job = self.jobs.scans.iter_mut().find(|job| job.next < job.before)?;
        job.next = job.next.max(start).min(job.before);
        Some(job.next)
    }

    /// One step of the first unfinished scan: folds `blocks`, which begin at or before its next offset.
    pub(crate) fn scan_step(&mut self, txn: &mut dyn Txn, blocks: &[Block]) -> Result<(), Error> {
        let Some(place) = self.jobs.scans.iter().position(|job| job.next < job.before) else { return Ok(()) };
        let job = self.jobs.scans[place].clone();
        let end = blocks.last().map_or(job.before, Block::end).min(job.before);
        self.workspace(txn, job.workspace)?;
        let verdicts = verdict::between(txn, self.number, job.next, end)?;
        let definitions = &self.workspaces[&job.workspace];
        let mut accepted = vec![];
        for record in blocks.iter().flat_map(Block::records) {
            let inside = record.offset >= job.next && record.offset < end;
            if !inside || record.erased || record.kind != Kind::Event {
                continue;
            }
            let Some(Verdict::Accepted(node)) = verdicts.get((record.offset - job.next) as usize) else { continue };
            let read = EventRecord::decode(record.payload).ok().filter(|event| event.workspace == job.workspace);
            if let Some(event) = read {
                let outcome = definitions.preparations.apply(record.offset, &event);
                accepted.push((record.offset, event, outcome, *node));
            }
        }
        let mut events = vec![];
        for (offset, event, outcome, node) in &accepted {
            if let Ok(event) = Event::read(*offset, prepared(*event, outcome), &definitions.rules) {
                events.push((event, *node));
            }
        }
        let nodes: Vec<NodeId> = events.iter().map(|(_, node)| *node).collect();
        self.load_nodes(txn, job.workspace, &nodes)?;
        for (event, node) in &events {
            self.fold_again(event, *node, &job.metrics);
        }
        self.jobs.scans[place].next = end;
        self.finish(txn)
    }

    /// The next command that the pipeline itself must append so that its work goes on.
    pub(crate) fn own_command(&self) -> Option<(WorkspaceId, Command)> {
        if let Some(job) = self.jobs.scans.first()
            && job.next >= job.before
        {
            return Some((job.workspace, Command::Backfilled { before: job.before + 1 }));
        }
        let job = self.jobs.pages.first()?;
        let page = Page { work: job.work.clone(), after: job.after, limit: self.settings.page_profiles };
        Some((job.workspace, Command::Page(page)))
    }
}
