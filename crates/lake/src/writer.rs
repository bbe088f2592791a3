//! Keeps the tables up to date.
//!
//! Each table is written from the offset at which it is to what is applied, by what the pipeline keeps for followers
//! (`onefold_pipeline::feed`): a table never waits for another, and after a crash each goes on from its own offset.
//!
//! People are as of the moment they are read. So while all of them are written in many views of the store, those that
//! change meanwhile are written again before anything is published.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{BooleanBuilder, Int64Builder, StringBuilder},
};
use onefold_log::EventLog;
use onefold_model::{ProfileId, Timestamp, access::Access};
use onefold_pipeline::{definitions::Workspace, feed, views};
use onefold_state::{Reader, Row, StateStore, Value, receipts};

use crate::{
    AsOf, Error, Lake, Table, Write,
    events::{EventRows, micros, name_of, times},
    people::PeopleRows,
};

/// What a writer holds itself to.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Offsets of the log whose rows are in memory at a time, and so in one commit.
    pub offsets_max: u64,
    /// Some bytes of the log for which the same holds.
    pub bytes_max: usize,
    /// A table without new rows notes that it has come further after so many offsets.
    pub idle_offsets: u64,
    /// If more people than this have changed, all are written anew.
    pub changed_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { offsets_max: 250_000, bytes_max: 256 << 20, idle_offsets: 100_000, changed_max: 500_000 }
    }
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is more to do now.
    More,
    /// All that is applied is in the tables, and published.
    UpToDate(AsOf),
}

/// Writes the tables.
pub struct Writer {
    log: Arc<dyn EventLog>,
    store: Arc<dyn StateStore>,
    lake: Arc<dyn Lake>,
    settings: Settings,
}

impl Writer {
    /// One over these parts.
    pub fn new(log: Arc<dyn EventLog>, store: Arc<dyn StateStore>, lake: Arc<dyn Lake>, settings: Settings) -> Writer {
        Writer { log, store, lake, settings }
    }

    /// Brings the tables of a workspace closer to what is applied, by some seconds' work at most.
    pub fn step(&self, access: &Access, definitions: &Workspace) -> Result<Step, Error> {
        let workspace = access.workspace;
        let partition = workspace.partition(self.log.partitions());
        let reader = &mut *self.store.reader()?;
        let (next, at) = views::as_of(reader, partition)?;
        let sources = views::sources(reader, access)?;
        let mut more = false;
        for table in [Table::Events, Table::SegmentMembers, Table::Consents] {
            let from = self.lake.offset(workspace, table)?;
            let mut to = next.min(from + self.settings.offsets_max);
            if from >= to {
                continue;
            }
            let rows = match table {
                Table::Events => {
                    let rows;
                    (rows, to) = self.events(reader, access, definitions, &sources, from..to)?;
                    rows
                }
                Table::SegmentMembers => memberships(&feed::memberships(reader, access, partition, from..to)?)?,
                _ => consents(&feed::consents(reader, access, from..to)?, &sources)?,
            };
            more |= to < next;
            self.write(access, Write { table, from, to, replace: false }, rows, to == next)?;
        }
        let (receipt, are_more) = self.deliveries(reader, access)?;
        let as_of = AsOf { offset: next, at, receipt };
        more |= are_more | self.people(reader, access, definitions, as_of)?;
        if more {
            return Ok(Step::More);
        }
        let is_behind = |published: AsOf| published.offset < next || published.at < at || published.receipt < receipt;
        if self.lake.published(workspace).is_none_or(is_behind) {
            self.lake.publish(workspace, as_of)?;
        }
        Ok(Step::UpToDate(as_of))
    }

    /// The rows of the events at these offsets, as many as are held in memory at a time; and the offset after the last one.
    fn events(
        &self,
        reader: &mut dyn Reader,
        access: &Access,
        definitions: &Workspace,
        sources: &BTreeMap<u32, String>,
        offsets: Range<u64>,
    ) -> Result<(RecordBatch, u64), Error> {
        let mut rows = EventRows::new(sources);
        let (log, bytes_max) = (&*self.log, self.settings.bytes_max);
        let to = feed::accepted(reader, log, access, definitions, offsets, bytes_max, &mut |node, event| {
            rows.push(node, event);
        })?;
        Ok((rows.finish()?, to))
    }

    /// Writes anew what follows from the log: a rebuild has read it by other preparations. Readers see the old tables until all
    /// of it is there.
    pub fn rewrite(&self, access: &Access, definitions: &Workspace) -> Result<(), Error> {
        let workspace = access.workspace;
        let partition = workspace.partition(self.log.partitions());
        let reader = &mut *self.store.reader()?;
        let (next, at) = views::as_of(reader, partition)?;
        let sources = views::sources(reader, access)?;
        for table in [Table::Events, Table::SegmentMembers] {
            let mut from = 0;
            let mut part = || -> Result<Option<RecordBatch>, Error> {
                if from >= next {
                    return Ok(None);
                }
                let mut to = next.min(from + self.settings.offsets_max);
                let rows = if table == Table::Events {
                    let rows;
                    (rows, to) = self.events(reader, access, definitions, &sources, from..to)?;
                    rows
                } else {
                    memberships(&feed::memberships(reader, access, partition, from..to)?)?
                };
                from = to;
                Ok(Some(rows))
            };
            let mut parts = std::iter::from_fn(|| part().transpose());
            let write = Write { table, from: self.lake.offset(workspace, table)?, to: next, replace: true };
            self.lake.write(workspace, write, &mut parts)?;
        }
        let receipt = self.lake.offset(workspace, Table::Deliveries)?;
        let as_of = AsOf { offset: next, at, receipt };
        for table in [Table::Profiles, Table::Identifiers] {
            let write = Write { table, from: self.lake.offset(workspace, table)?, to: next, replace: true };
            self.write_all(access, definitions, as_of, write)?;
        }
        self.lake.publish(workspace, as_of)
    }

    /// Writes what was delivered; the sequence of the last receipt in the table, and whether there are more.
    fn deliveries(&self, reader: &mut dyn Reader, access: &Access) -> Result<(u64, bool), Error> {
        let from = self.lake.offset(access.workspace, Table::Deliveries)?;
        let limit = self.settings.offsets_max as usize;
        let rows = receipts::after(reader, &Value::Int(access.workspace.0.into()), from as i64, limit)?;
        let Some(last) = rows.last() else { return Ok((from, false)) };
        let to = sequence(last)?;
        let write = Write { table: Table::Deliveries, from, to, replace: false };
        self.write(access, write, delivered(&rows)?, false)?;
        Ok((to, rows.len() == limit))
    }

    /// Writes the people who changed; whether all were written, so that some may have changed meanwhile.
    fn people(
        &self,
        reader: &mut dyn Reader,
        access: &Access,
        definitions: &Workspace,
        as_of: AsOf,
    ) -> Result<bool, Error> {
        let [profiles, identifiers] =
            [Table::Profiles, Table::Identifiers].map(|t| self.lake.offset(access.workspace, t));
        let (profiles, identifiers) = (profiles?, identifiers?);
        let (from, to) = (profiles.min(identifiers), as_of.offset);
        if from >= to {
            return Ok(false);
        }
        let partition = access.workspace.partition(self.log.partitions());
        let changed = feed::changed(reader, access, partition, from, to)?;
        let few = changed.filter(|changed| from > 0 && changed.len() <= self.settings.changed_max);
        let write = |table, from, replace| Write { table, from, to, replace };
        let Some(changed) = few else {
            self.write_all(access, definitions, as_of, write(Table::Profiles, profiles, true))?;
            self.write_all(access, definitions, as_of, write(Table::Identifiers, identifiers, true))?;
            return Ok(true);
        };
        let changed: Vec<ProfileId> = changed.into_iter().collect();
        let mut rows = PeopleRows::new(as_of);
        feed::people(reader, access, definitions, &changed, as_of.at, &mut |id, person| {
            rows.push(id, person.as_ref())
        })?;
        let (of_profiles, of_identifiers) = rows.finish()?;
        // Both or neither: the one behind would have the same people written again.
        let may_wait = of_profiles.num_rows() == 0;
        self.write(access, write(Table::Identifiers, identifiers, false), of_identifiers, may_wait)?;
        self.write(access, write(Table::Profiles, profiles, false), of_profiles, may_wait)?;
        Ok(false)
    }

    /// Writes all people, some at a time, each time of a view of their own: a long one would hold up the store.
    fn write_all(&self, access: &Access, definitions: &Workspace, as_of: AsOf, write: Write) -> Result<(), Error> {
        let page = |after| -> Result<_, Error> {
            let reader = &mut *self.store.reader()?;
            let mut rows = PeopleRows::new(as_of);
            let last = feed::next_people(reader, access, definitions, after, as_of.at, &mut |person| {
                rows.push(person.id(), Some(&person));
            })?;
            let (profiles, identifiers) = rows.finish()?;
            Ok((if write.table == Table::Profiles { profiles } else { identifiers }, last))
        };
        let mut after = Some(None);
        let mut pages = std::iter::from_fn(|| match page(after.take()?) {
            Ok((rows, last)) => {
                after = last.map(Some);
                Some(Ok(rows))
            }
            Err(error) => Some(Err(error)),
        });
        self.lake.write(access.workspace, write, &mut pages)
    }

    /// Writes rows; where there are none that is left to a later step, if it `may_wait`. The first time it makes the
    /// table: other engines are to find it, even if it is empty.
    fn write(&self, access: &Access, write: Write, rows: RecordBatch, may_wait: bool) -> Result<(), Error> {
        let is_first = write.from == 0;
        if rows.num_rows() == 0 && may_wait && !is_first && write.to - write.from < self.settings.idle_offsets {
            return Ok(());
        }
        let rows = (rows.num_rows() > 0).then_some(Ok(rows));
        self.lake.write(access.workspace, write, &mut rows.into_iter())
    }
}

fn sequence(receipt: &Row) -> Result<u64, Error> {
    Ok(receipt[12].as_int()? as u64)
}

fn delivered(receipts: &[Row]) -> Result<RecordBatch, Error> {
    let (mut offset, mut profile, mut attempts) = (Int64Builder::new(), Int64Builder::new(), Int64Builder::new());
    let mut texts: [StringBuilder; 6] = Default::default();
    let mut time = times();
    for row in receipts {
        offset.append_value(sequence(row)? as i64);
        // Destination, key, kind, segment, status, detail.
        for (texts, place) in texts.iter_mut().zip([1, 4, 5, 6, 8, 11]) {
            texts.append_value(row[place].as_text()?);
        }
        profile.append_value(row[7].as_int()?);
        attempts.append_value(row[9].as_int()?);
        time.append_value(micros(Timestamp(row[10].as_int()?)));
    }
    let [destination, key, kind, segment, status, detail] =
        texts.each_mut().map(|texts| Arc::new(texts.finish()) as ArrayRef);
    let [offset, profile, attempts] =
        [offset, profile, attempts].map(|mut column| Arc::new(column.finish()) as ArrayRef);
    let time: ArrayRef = Arc::new(time.finish());
    let columns = vec![offset, destination, key, kind, segment, profile, status, attempts, time, detail];
    Ok(RecordBatch::try_new(Table::Deliveries.schema().clone(), columns)?)
}

fn memberships(changes: &[feed::Change]) -> Result<RecordBatch, Error> {
    let (mut segment, mut entered, mut time) = (StringBuilder::new(), BooleanBuilder::new(), times());
    let (mut profile, mut offset) = (Int64Builder::new(), Int64Builder::new());
    for change in changes {
        segment.append_value(&change.segment);
        profile.append_value(change.profile.0.0);
        offset.append_value(change.offset as i64);
        entered.append_value(change.entered);
        time.append_value(micros(change.at));
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(segment.finish()),
        Arc::new(profile.finish()),
        Arc::new(offset.finish()),
        Arc::new(entered.finish()),
        Arc::new(time.finish()),
    ];
    Ok(RecordBatch::try_new(Table::SegmentMembers.schema().clone(), columns)?)
}

fn consents(stated: &[feed::Stated], sources: &BTreeMap<u32, String>) -> Result<RecordBatch, Error> {
    let (mut node, mut offset) = (Int64Builder::new(), Int64Builder::new());
    let mut texts: [StringBuilder; 5] = Default::default();
    let (mut time, mut recorded) = (times(), times());
    for row in stated {
        node.append_value(row.node.0);
        offset.append_value(row.offset as i64);
        let source = if row.source == 0 { "operator".to_owned() } else { name_of(sources, row.source) };
        let values = [Some(&row.purpose), row.channel.as_ref(), Some(&row.state), Some(&row.strength), Some(&source)];
        for (texts, value) in texts.iter_mut().zip(values) {
            texts.append_option(value);
        }
        time.append_value(micros(row.at));
        recorded.append_value(micros(row.recorded));
    }
    let [purpose, channel, state, strength, source] =
        texts.each_mut().map(|texts| Arc::new(texts.finish()) as ArrayRef);
    let (time, recorded): (ArrayRef, ArrayRef) = (Arc::new(time.finish()), Arc::new(recorded.finish()));
    let (node, offset): (ArrayRef, ArrayRef) = (Arc::new(node.finish()), Arc::new(offset.finish()));
    let columns = vec![node, offset, purpose, channel, state, strength, time, recorded, source];
    Ok(RecordBatch::try_new(Table::Consents.schema().clone(), columns)?)
}
