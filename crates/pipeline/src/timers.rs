//! Timers: when a profile must be decided again though nothing happens.
//!
//! One due time per profile, kept in its row and indexed there. Memory holds the next of them only.

use std::collections::BTreeSet;

use onefold_model::{NodeId, ProfileId, Timestamp, WorkspaceId};
use onefold_state::{Reader, Row, Scan, Value, schema};

use crate::Error;

/// How many timers memory holds after a refill.
const WINDOW: usize = 20_000;

/// When, who, and in which workspace.
type Timer = (Timestamp, ProfileId, WorkspaceId);

/// The next due times.
#[derive(Debug)]
pub struct Timers {
    due: BTreeSet<Timer>,
    /// All that is due up to here is in memory.
    known_until: Timestamp,
}

impl Timers {
    /// Reads the next due times.
    pub fn load(store: &mut dyn Reader) -> Result<Timers, Error> {
        let mut timers = Timers { due: BTreeSet::new(), known_until: Timestamp::MIN };
        timers.refill(store)?;
        Ok(timers)
    }

    /// Notes that `profile` is due at `at`. Earlier notes stay; whoever takes one checks it against the profile.
    pub fn set(&mut self, workspace: WorkspaceId, profile: ProfileId, at: Timestamp) {
        if at <= self.known_until && at != Timestamp::MAX {
            self.due.insert((at, profile, workspace));
            if self.due.len() > 4 * WINDOW {
                // Far ones are in the store as well.
                let keep_until = self.due.iter().nth(WINDOW).map_or(self.known_until, |(at, ..)| at.minus(1));
                self.due.retain(|(at, ..)| *at <= keep_until);
                self.known_until = keep_until;
            }
        }
    }

    /// The earliest time at which something may be due.
    pub fn next(&self) -> Timestamp {
        self.due.first().map_or(self.known_until, |(at, ..)| *at)
    }

    /// Takes what is due at or before `until`.
    pub fn pop(&mut self, until: Timestamp) -> Option<Timer> {
        self.due.first().filter(|(at, ..)| *at <= until).copied().inspect(|first| {
            self.due.remove(first);
        })
    }

    /// Whether [`refill`](Self::refill) is needed to know all that is due at `until`.
    pub fn must_refill(&self, until: Timestamp) -> bool {
        self.due.is_empty() && self.known_until < until
    }

    /// Reads on from the store, in which every profile's current due time must stand.
    pub fn refill(&mut self, store: &mut dyn Reader) -> Result<(), Error> {
        let after = (self.known_until != Timestamp::MIN).then(|| vec![Value::Int(self.known_until.0), Value::Int(i64::MAX)]);
        let scan = Scan {
            table: &schema::PROFILE,
            index: Some("due"),
            prefix: vec![],
            after,
            until: None,
            reverse: false,
            limit: WINDOW,
        };
        let rows = store.scan(&scan)?;
        for row in &rows {
            self.due.insert(timer(row)?);
        }
        if rows.len() < WINDOW {
            self.known_until = Timestamp::MAX;
        } else if let Some((last, ..)) = self.due.last().copied() {
            // There may be more at the same instant than were read: those are read again next time.
            self.known_until = last.minus(1);
            self.due.retain(|(at, ..)| *at < last);
            if self.due.is_empty() {
                // More than a window at one instant: read them all.
                let rows = store.scan(&Scan { until: Some(Value::Int(last.0)), limit: usize::MAX, ..scan })?;
                for row in &rows {
                    self.due.insert(timer(row)?);
                }
                self.known_until = last;
            }
        }
        Ok(())
    }
}

fn timer(row: &Row) -> Result<Timer, Error> {
    Ok((Timestamp(row[3].as_int()?), ProfileId(NodeId(row[2].as_int()?)), WorkspaceId(row[0].as_int()? as u32)))
}
