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

/// The next due times of one partition.
#[derive(Debug)]
pub struct Timers {
    partition: u32,
    partitions: u32,
    due: BTreeSet<Timer>,
    /// All that is due up to here is in memory.
    known_until: Timestamp,
}

impl Timers {
    /// Reads the next due times of the workspaces that `partition`, of so many, holds.
    pub fn load(store: &mut dyn Reader, partition: u32, partitions: u32) -> Result<Timers, Error> {
        let mut timers = Timers { partition, partitions, due: BTreeSet::new(), known_until: Timestamp::MIN };
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

    /// Who is due next, up to `until`: at most `limit` of them.
    pub fn upcoming(&self, until: Timestamp, limit: usize) -> impl Iterator<Item = (WorkspaceId, ProfileId)> {
        let due = self.due.iter().take_while(move |(at, ..)| *at <= until).take(limit);
        due.map(|(_, profile, workspace)| (*workspace, *profile))
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
        while self.due.is_empty() && self.known_until != Timestamp::MAX {
            let rows = self.scan(store, None, WINDOW)?;
            let Some(last) = rows.last().filter(|_| rows.len() == WINDOW).map(timer).transpose()? else {
                self.known_until = Timestamp::MAX;
                return self.take(rows, Timestamp::MAX);
            };
            // Instants are taken whole. There may be more at the last one than were read.
            let (last, first) = (last.0, timer(&rows[0])?.0);
            if first < last {
                self.known_until = last.minus(1);
                self.take(rows, self.known_until)?;
            } else {
                let rows = self.scan(store, Some(last), usize::MAX)?;
                self.known_until = last;
                self.take(rows, last)?;
            }
        }
        Ok(())
    }

    fn scan(&self, store: &mut dyn Reader, until: Option<Timestamp>, limit: usize) -> Result<Vec<Row>, Error> {
        let known = self.known_until;
        Ok(store.scan(&Scan {
            table: &schema::PROFILE,
            index: Some("due"),
            prefix: vec![],
            after: (known != Timestamp::MIN).then(|| vec![Value::Int(known.0), Value::Int(i64::MAX)]),
            until: until.map(|until| Value::Int(until.0)),
            reverse: false,
            limit,
        })?)
    }

    /// Keeps those of our own workspaces that are due at or before `until`.
    fn take(&mut self, rows: Vec<Row>, until: Timestamp) -> Result<(), Error> {
        for row in &rows {
            let (at, profile, workspace) = timer(row)?;
            if at <= until && workspace.partition(self.partitions) == self.partition {
                self.due.insert((at, profile, workspace));
            }
        }
        Ok(())
    }
}

fn timer(row: &Row) -> Result<Timer, Error> {
    Ok((Timestamp(row[3].as_int()?), ProfileId(NodeId(row[2].as_int()?)), WorkspaceId(row[0].as_int()? as u32)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;
    use onefold_state::{MemoryStore, StateStore};
    use smallvec::smallvec;

    fn due(workspace: u32, n: i64, at: i64) -> Profile {
        Profile {
            workspace: WorkspaceId(workspace),
            id: ProfileId(NodeId(n)),
            nodes: smallvec![NodeId(n)],
            apart: vec![],
            segments: crate::profile::Memberships::default(),
            due: Timestamp(at),
            first_seen: Timestamp(0),
            last_seen: Timestamp(0),
            events: 1,
            permitted: smallvec![],
        }
    }

    fn drain(store: &MemoryStore, partition: u32, until: i64) -> Vec<(i64, i64)> {
        let mut reader = store.reader().unwrap();
        let mut timers = Timers::load(&mut *reader, partition, 2).unwrap();
        let mut fired = vec![];
        loop {
            while timers.must_refill(Timestamp(until)) {
                timers.refill(&mut *reader).unwrap();
            }
            let Some((at, profile, _)) = timers.pop(Timestamp(until)) else { return fired };
            fired.push((at.0, profile.0.0));
        }
    }

    /// More than a window in all, more than a window at one instant, and every second profile another partition's.
    #[test]
    fn all_that_is_due_fires_once_in_order_and_others_profiles_never() {
        let store = MemoryStore::new(schema::ALL);
        let epoch = store.take_over(0).unwrap();
        let mut txn = store.begin(0, epoch, None).unwrap();
        let instants = (0..30_000).map(|n| n / 3).chain(vec![20_000; 50_000]).chain(30_000..35_000);
        let profiles: Vec<Profile> = (0..).zip(instants).map(|(n, at)| due(2 + (n % 2) as u32, n, at)).collect();
        txn.put(&schema::PROFILE, profiles.iter().map(Profile::to_row).collect()).unwrap();
        txn.commit().unwrap();
        for until in [5_000, 40_000] {
            let expect: Vec<(i64, i64)> = profiles
                .iter()
                .filter(|p| p.workspace.0 == 2 && p.due.0 <= until)
                .map(|p| (p.due.0, p.id.0.0))
                .collect();
            assert_eq!(drain(&store, 0, until), expect);
        }
    }

    #[test]
    fn what_is_set_fires_however_many_there_are() {
        let store = MemoryStore::new(schema::ALL);
        let mut timers = Timers::load(&mut *store.reader().unwrap(), 0, 1).unwrap();
        for n in 0..5 * WINDOW as i64 {
            timers.set(WorkspaceId(1), ProfileId(NodeId(n)), Timestamp(n));
        }
        assert!(timers.due.len() <= 4 * WINDOW);
        assert_eq!(timers.next(), Timestamp(0));
        assert!(
            timers.known_until < Timestamp(WINDOW as i64),
            "the far ones are read from the store when their time comes"
        );
    }
}
