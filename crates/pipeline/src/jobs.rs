//! Commands, and the work over the whole log or all profiles that some of them start.
//!
//! A new definition may ask for metrics nobody kept so far. Then a **scan** folds the log before it, step by step between
//! new events; folds commute, so the result is as if the metric had always been kept. When it is done the pipeline
//! appends `backfilled` to the log, and where that is applied the definition goes live. **Pages** of work over all
//! profiles (deciding everybody's segments, filling a new destination) are appended to the log one by one in the same
//! way. So a rebuild, which does each at the place of its command, gives the same history.

use onefold_log::{Block, Kind};
use onefold_model::{
    NodeId, ProfileId, WorkspaceId,
    command::{Command, CommandRecord, IdentifierRef, Page, PageWork},
    consent,
    event::EventRecord,
    identity::{Origin, normalise::normalise},
    segment::MetricId,
};
use onefold_state::{Row, Scan, Txn, Value, schema};
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    definitions::time_zone,
    fold::Changed,
    partition::Partition,
    prepare::Event,
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

    fn page(&mut self, workspace: WorkspaceId, work: PageWork) {
        // What has not begun needs no second time.
        if !self.pages.iter().any(|job| job.workspace == workspace && job.work == work && job.after.is_none()) {
            self.pages.push(PageJob { workspace, work, after: None });
        }
    }
}

impl Partition {
    /// Carries out a command. One that does not fit (a definition that does not compile, an identifier that is none)
    /// changes nothing; the API has checked it before it took it.
    pub(crate) fn command(&mut self, txn: &mut dyn Txn, record: CommandRecord, offset: u64) -> Result<(), Error> {
        let CommandRecord { workspace, at, caller, command, .. } = record;
        match command {
            Command::IdentityRules(rules) => {
                self.put_setting(workspace, "identity_rules", &rules, offset, &caller);
                self.definitions(workspace).rules = rules;
            }
            Command::ConsentDefault(unstated) => {
                self.put_setting(workspace, "consent_default", &unstated, offset, &caller);
                self.definitions(workspace).unstated = unstated;
                self.jobs.page(workspace, PageWork::Evaluate);
            }
            Command::TimeZone(name) => {
                if let Ok(zone) = time_zone(&name) {
                    self.put_setting(workspace, "time_zone", &name, offset, &caller);
                    self.definitions(workspace).time_zone = zone;
                    self.recompile(workspace)?;
                    self.jobs.page(workspace, PageWork::Evaluate);
                }
            }
            Command::SegmentSet(definition) => {
                let name = definition.name.clone();
                let Partition { workspaces, effects, .. } = self;
                let Some(definitions) = workspaces.get_mut(&workspace) else { return Ok(()) };
                match definitions.set_segment(definition, offset, at, effects) {
                    Ok(fresh) => self.defined(workspace, "segment", &name, &caller, fresh, offset)?,
                    Err(error) => tracing::warn!(segment = name, %error, "a segment does not compile"),
                }
            }
            Command::SegmentRemove(name) => self.remove_segment(workspace, &name)?,
            Command::ComputedSet(definition) => {
                let name = definition.name.clone();
                let Partition { workspaces, effects, .. } = self;
                let Some(definitions) = workspaces.get_mut(&workspace) else { return Ok(()) };
                let fresh = definitions.set_computed(definition, offset, at, effects);
                self.defined(workspace, "computed", &name, &caller, fresh, offset)?;
            }
            Command::ComputedRemove(name) => {
                self.definitions(workspace).computed.remove(&name);
                self.effects.delete(&schema::DEFINITION, definition_key(workspace, "computed", &name));
                self.recompile(workspace)?;
            }
            Command::Backfilled { before } => self.backfilled(workspace, before)?,
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
            Command::Consent { subject, purpose, channel, state } => {
                let strength = consent::Strength::Operator;
                let row = consent::Row { at, state, strength, purpose, channel, offset };
                let Some(node) = self.node_of_ref(txn, workspace, &subject)? else { return Ok(()) };
                if self.consent_by_operator(workspace, node, row, at) {
                    let changed = Changed { consent: true, ..Changed::default() };
                    self.decide_node(workspace, node, &changed, offset);
                }
            }
        }
        Ok(())
    }

    fn definitions(&mut self, workspace: WorkspaceId) -> &mut crate::definitions::Workspace {
        self.workspaces.get_mut(&workspace).expect("a command's workspace is read before the command")
    }

    fn recompile(&mut self, workspace: WorkspaceId) -> Result<(), Error> {
        let Partition { workspaces, effects, .. } = self;
        workspaces.get_mut(&workspace).map_or(Ok(()), |w| w.recompile(Some(effects)))
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
    ) -> Result<(), Error> {
        if fresh.is_empty() && self.jobs.scans.iter().all(|job| job.workspace != workspace) {
            self.definitions(workspace).go_live(offset + 1);
            self.jobs.page(workspace, PageWork::Evaluate);
        } else {
            // Without new metrics there is nothing to read, but it waits for its turn behind those it may build on.
            let next = if fresh.is_empty() { offset } else { 0 };
            self.jobs.scans.push(ScanJob { workspace, next, before: offset, metrics: fresh });
        }
        self.recompile(workspace)?;
        let definitions = &self.workspaces[&workspace];
        let rows = match kind {
            "segment" => definitions.segments.get(name).map(|d| definitions.definition_rows(kind, name, d, caller)),
            _ => definitions.computed.get(name).map(|d| definitions.definition_rows(kind, name, d, caller)),
        };
        if let Some((row, version)) = rows {
            self.effects.put(&schema::DEFINITION, row);
            self.effects.put(&schema::DEFINITION_VERSION, version);
        }
        self.put_all_definitions(workspace);
        Ok(())
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

    fn remove_segment(&mut self, workspace: WorkspaceId, name: &str) -> Result<(), Error> {
        let Some(removed) = self.definitions(workspace).segments.remove(name) else { return Ok(()) };
        self.effects.delete(&schema::DEFINITION, definition_key(workspace, "segment", name));
        let mut row = definition_key(workspace, "segment.removed", &format!("{}:{name}", removed.number));
        row.extend([removed.version.number, removed.number.into(), removed.version.offset as i64, removed.version.at.0].map(Value::Int));
        row.extend([Value::Null, Value::Text(name.to_owned())]);
        self.effects.put(&schema::DEFINITION, row);
        self.recompile(workspace)?;
        // Members leave page by page.
        self.definitions(workspace).removed.insert(removed.number, name.to_owned());
        self.jobs.page(workspace, PageWork::Evaluate);
        Ok(())
    }

    fn put_setting<T: Serialize>(&mut self, workspace: WorkspaceId, name: &str, value: &T, offset: u64, caller: &str) {
        self.put_definition(workspace, "setting", name, value, offset, caller);
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

    fn backfilled(&mut self, workspace: WorkspaceId, before: u64) -> Result<(), Error> {
        self.jobs.scans.retain(|job| job.workspace != workspace || job.before >= before);
        if self.definitions(workspace).go_live(before).is_empty() {
            // Computed traits alone, or said twice: nobody's segments change.
        } else {
            self.jobs.page(workspace, PageWork::Evaluate);
        }
        self.recompile(workspace)?;
        self.put_all_definitions(workspace);
        Ok(())
    }

    fn do_page(&mut self, txn: &mut dyn Txn, workspace: WorkspaceId, page: &Page, offset: u64) -> Result<(), Error> {
        let at_work = self.jobs.pages.iter().position(|job| job.workspace == workspace && job.work == page.work);
        let Some(place) = at_work.filter(|place| self.jobs.pages[*place].after == page.after) else { return Ok(()) };
        let profiles = self.page(txn, workspace, page.after, page.limit)?;
        match &page.work {
            PageWork::Evaluate => {
                let changed = Changed { all: true, ..Changed::default() };
                for profile in &profiles {
                    self.decide(workspace, *profile, &changed, self.now.plus(1), offset);
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
        if self.silent {
            return;
        }
        let segments = self.workspaces[&workspace].subscriptions.get(destination).map(|s| s.segments.clone());
        for profile in profiles {
            for segment in segments.iter().flatten() {
                let number = self.workspaces[&workspace].segments.get(segment).map(|s| s.number);
                let inside = |number: u32| self.profiles.peek(profile).is_some_and(|p| p.segments.contains(&number));
                if number.is_some_and(inside) {
                    self.send_member(workspace, destination, segment, *profile, true, self.now.plus(1), offset);
                }
            }
        }
    }

    fn node_of_ref(
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
        self.together(workspace, &[a, b], Origin::Command, self.now, offset);
        // What was refused before because the two were apart may join now.
        for profile in self.recluster(txn, workspace, &[a, b], offset)? {
            self.decide_all(workspace, profile, offset);
        }
        self.decide_node(workspace, a, &Changed { all: true, ..Changed::default() }, offset);
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
                whole.map(|p| p.nodes.iter().copied().filter(|n| *n != a).collect()).unwrap_or_default()
            }
        };
        let pairs: Vec<(NodeId, NodeId)> = others.into_iter().filter(|b| *b != a).map(|b| (a, b)).collect();
        self.effects.tally(workspace, "identity.unmerges", 1);
        for profile in self.apart(txn, workspace, &pairs, offset)? {
            self.decide_all(workspace, profile, offset);
        }
        Ok(())
    }

    fn decide_all(&mut self, workspace: WorkspaceId, profile: ProfileId, offset: u64) {
        let changed = Changed { all: true, ..Changed::default() };
        self.decide(workspace, profile, &changed, self.now.plus(1), offset);
    }

    fn decide_node(&mut self, workspace: WorkspaceId, node: NodeId, changed: &Changed, offset: u64) {
        if let Some(profile) = self.nodes.peek(&node).map(|node| node.profile) {
            self.decide(workspace, profile, changed, self.now.plus(1), offset);
        }
    }

    /// The scan that must be finished before this record can be applied: a rebuild comes upon `backfilled` with its
    /// scan not done.
    pub(crate) fn scan_before(&self, record: &CommandRecord) -> bool {
        let Command::Backfilled { before } = &record.command else { return false };
        let due = |job: &&ScanJob| job.workspace == record.workspace && job.before < *before;
        self.jobs.scans.iter().filter(due).any(|job| job.next < job.before)
    }

    /// One step of the first unfinished scan: folds `blocks`, which begin at or before its next offset.
    pub(crate) fn scan_step(&mut self, txn: &mut dyn Txn, blocks: &[Block]) -> Result<(), Error> {
        let Some(place) = self.jobs.scans.iter().position(|job| job.next < job.before) else { return Ok(()) };
        let job = self.jobs.scans[place].clone();
        let end = blocks.last().map_or(job.before, Block::end).min(job.before);
        self.workspace(txn, job.workspace)?;
        let verdicts = self.verdicts(txn, job.next, end)?;
        let mut events = vec![];
        for record in blocks.iter().flat_map(Block::records) {
            let inside = record.offset >= job.next && record.offset < end;
            if !inside || record.erased || record.kind != Kind::Event {
                continue;
            }
            let Some(Verdict::Accepted(node)) = verdicts.get((record.offset - job.next) as usize) else { continue };
            let rules = &self.workspaces[&job.workspace].rules;
            let read = EventRecord::decode(record.payload).ok().filter(|event| event.workspace == job.workspace);
            if let Some(Ok(event)) = read.map(|event| Event::read(record.offset, event, rules)) {
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

    /// What became of the offsets from `from` to `to`.
    fn verdicts(&self, txn: &mut dyn Txn, from: u64, to: u64) -> Result<Vec<Verdict>, Error> {
        let partition = Value::Int(self.number.into());
        let mut found = vec![Verdict::Unreadable; (to - from) as usize];
        let first = Scan {
            reverse: true,
            after: Some(vec![partition.clone(), Value::Int(from as i64 + 1)]),
            ..Scan::prefix(&schema::VERDICT, vec![partition.clone()], 1)
        };
        let start = txn.scan(&first)?.first().map_or(Ok(0), |row| row[1].as_int())?;
        let rest = Scan {
            after: Some(vec![partition.clone(), Value::Int(start - 1)]),
            until: Some(Value::Int(to as i64 - 1)),
            ..Scan::prefix(&schema::VERDICT, vec![partition], usize::MAX)
        };
        for row in txn.scan(&rest)? {
            let first = row[1].as_int()? as u64;
            let verdicts = verdict::decode(first, row[3].as_bytes()?)
                .ok_or_else(|| Error::unreadable("verdicts", "a newer Onefold wrote them, or they are damaged"))?;
            for (offset, verdict) in (first..).zip(verdicts) {
                if (from..to).contains(&offset) {
                    found[(offset - from) as usize] = verdict;
                }
            }
        }
        Ok(found)
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

fn definition_key(workspace: WorkspaceId, kind: &str, name: &str) -> Row {
    vec![Value::Int(workspace.0.into()), Value::Text(kind.to_owned()), Value::Text(name.to_owned())]
}
