//! How an index gets what it begins to keep.

use std::collections::BTreeMap;

use onefold_model::{Timestamp, access::Access};
use onefold_pipeline::{Error, definitions::Workspace, feed, views};

use crate::{AskError, Index, Keeper, Tables, Wants, keeper::Kept, tables::Unread};

/// Offsets of the log that are read in one view of the store: a long one would hold up its checkpoints.
const OFFSETS_AT_ONCE: u64 = 100_000;

/// What an index has of that which it began to keep.
pub(crate) struct Began {
    /// By column, all events below this offset.
    pub columns: BTreeMap<Option<String>, u64>,
    /// People as they were at this offset, or later.
    pub people: u64,
}

/// Why an index did not get it. It is then as it was.
enum NotBegun {
    /// The tables cannot be read.
    Tables(Unread),
    /// It would be larger than is allowed.
    Full,
    /// The log or the store failed.
    Failed(Error),
}

impl<T: Into<Error>> From<T> for NotBegun {
    fn from(error: T) -> Self {
        NotBegun::Failed(error.into())
    }
}

impl Keeper {
    /// Keeps what is wanted as well, up to what is applied. Where that fails the index is as it was, or empty.
    pub(crate) fn extend(
        &self,
        kept: &mut Kept,
        access: &Access,
        definitions: &Workspace,
        wanted: &Wants,
    ) -> Result<(), AskError> {
        // A panic leaves an empty one behind, and not one that claims to have what it has half of.
        let mut extended = std::mem::take(kept);
        let done = self.extend_taken(&mut extended, access, definitions, wanted);
        *kept = extended;
        done
    }

    fn extend_taken(
        &self,
        kept: &mut Kept,
        access: &Access,
        definitions: &Workspace,
        wanted: &Wants,
    ) -> Result<(), AskError> {
        let mut wanted = wanted.clone();
        if kept.is_filled && kept.policy != definitions.policy {
            wanted.add(kept.index.wants().clone());
            *kept = Kept { too_large: kept.too_large.take(), ..Kept::default() };
        }
        kept.policy = definitions.policy.clone();
        let lacking = kept.index.wants().lacking(&wanted);
        let mut began = self.begin(kept, access, definitions, &lacking, self.tables.as_ref());
        if let Err(NotBegun::Tables(error)) = &began {
            tracing::warn!(%error, "the audience index cannot read the tables, and reads the log");
            began = self.begin(kept, access, definitions, &lacking, None);
        }
        let began = match began {
            Ok(began) => began,
            Err(NotBegun::Full) => {
                kept.too_large = Some(wanted);
                return Err(AskError::Full { bytes_max: self.bytes_max });
            }
            Err(NotBegun::Tables(error)) => return Err(Error::unreadable("the tables", error).into()),
            Err(NotBegun::Failed(error)) => return Err(error.into()),
        };
        let reader = &mut *self.store.reader().map_err(Error::from)?;
        let caught_up = self.catch_up(reader, kept, access, definitions, Some(&began));
        if caught_up.is_err() {
            *kept = Kept::default();
        } else if kept.index.heap_bytes() > self.bytes_max {
            *kept = Kept { too_large: Some(wanted), ..Kept::default() };
            return Err(AskError::Full { bytes_max: self.bytes_max });
        }
        Ok(caught_up?)
    }

    fn begin(
        &self,
        kept: &mut Kept,
        access: &Access,
        definitions: &Workspace,
        lacking: &Wants,
        tables: Option<&Tables>,
    ) -> Result<Began, NotBegun> {
        let before = kept.index.begin(lacking);
        let filled = self.fill(kept, access, definitions, lacking, tables);
        if filled.is_err() {
            match kept.is_filled {
                true => kept.index.abandon(before),
                false => kept.index = Index::default(),
            }
        }
        filled
    }

    fn fill(
        &self,
        kept: &mut Kept,
        access: &Access,
        definitions: &Workspace,
        lacking: &Wants,
        tables: Option<&Tables>,
    ) -> Result<Began, NotBegun> {
        let mut began = Began { columns: BTreeMap::new(), people: u64::MAX };
        if !kept.is_filled || !lacking.traits.is_empty() || !lacking.uses.is_empty() {
            began.people = self.people(kept, access, definitions, lacking, tables)?;
        }
        let index = &mut kept.index;
        for column in lacking.events.keys() {
            let go_on = || self.go_on().is_ok();
            let read = tables.map(|tables| tables.pass(access, self.bytes_max, &go_on).events(index, column));
            let offset = match read {
                None | Some(Err(Unread::NotThere)) => 0,
                Some(read) => read.map_err(|unread| self.not_begun(unread))?,
            };
            began.columns.insert(column.clone(), offset);
        }
        let Some(mut start) = began.columns.values().min().copied() else { return Ok(began) };
        let partition = access.workspace.partition(self.log.partitions());
        let (next, _) = views::as_of(&mut *self.store.reader()?, partition)?;
        while start < next {
            self.go_on()?;
            let end = next.min(start + OFFSETS_AT_ONCE);
            let reader = &mut *self.store.reader()?;
            feed::accepted(reader, &*self.log, access, definitions, start..end, usize::MAX, &mut |node, event| {
                let column = |name: &Option<String>| name.as_deref().is_none_or(|name| name == event.name);
                for (name, _) in began.columns.iter().filter(|(name, from)| column(name) && **from <= event.offset) {
                    index.push(name, node, event);
                }
            })?;
            if index.heap_bytes() > self.bytes_max {
                return Err(NotBegun::Full);
            }
            start = end;
        }
        index.settle();
        began.columns.values_mut().for_each(|offset| *offset = next.max(*offset));
        Ok(began)
    }

    fn not_begun(&self, unread: Unread) -> NotBegun {
        match (unread, self.go_on()) {
            (Unread::Full, _) => NotBegun::Full,
            (_, Err(stopping)) => NotBegun::Failed(stopping),
            (unread, Ok(())) => NotBegun::Tables(unread),
        }
    }

    /// Puts people in; gives the offset as of which they are, or later.
    fn people(
        &self,
        kept: &mut Kept,
        access: &Access,
        definitions: &Workspace,
        lacking: &Wants,
        tables: Option<&Tables>,
    ) -> Result<u64, NotBegun> {
        let Kept { index, due, is_filled, .. } = kept;
        let whole = !*is_filled;
        let partition = access.workspace.partition(self.log.partitions());
        let (next, as_of) = views::as_of(&mut *self.store.reader()?, partition)?;
        if let Some(tables) = tables {
            let go_on = || self.go_on().is_ok();
            let mut until = |id, at| {
                due.insert((at, id));
            };
            // Where they lag far behind, it is no longer known who has changed since.
            let oldest = next.saturating_sub(feed::KEPT_OFFSETS / 2);
            let pass = tables.pass(access, self.bytes_max, &go_on);
            match pass.people(&definitions.policy, index, lacking, whole, oldest, &mut until) {
                Ok(offset) => return Ok(offset),
                Err(Unread::NotThere) => {}
                Err(unread) => return Err(self.not_begun(unread)),
            }
        }
        let mut after = None;
        loop {
            self.go_on()?;
            let reader = &mut *self.store.reader()?;
            let last = feed::next_people(reader, access, definitions, after, as_of, &mut |person| {
                if person.reachable_until() < Timestamp::MAX {
                    due.insert((person.reachable_until(), person.id()));
                }
                match whole {
                    true => index.set(person.id(), Some(&person)),
                    false => index.learn(person.id(), &person, lacking),
                }
            })?;
            if index.heap_bytes() > self.bytes_max {
                return Err(NotBegun::Full);
            }
            if last.is_none() {
                return Ok(next);
            }
            after = last;
        }
    }
}
