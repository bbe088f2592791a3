//! What waits for a destination, as far as it is looked ahead, and what of it may be handed over.
//!
//! Planning is pure: rows and a time in, batches and the next time out. The window holds places and times, never
//! payloads; those are read in the transaction that claims.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::rows::Place;

/// A row that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub profile: i64,
    pub created_ms: i64,
    pub next_ms: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Window {
    rows: BTreeMap<Place, Waiting>,
    in_flight: BTreeMap<Place, i64>,
    /// Rows up to here have been read.
    cursor: Option<Place>,
    /// Whether the last look ended at its limit, so that more is there.
    more: bool,
}

/// What a plan is made under.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// So many batches.
    pub batches: usize,
    /// Of so many rows at most each.
    pub batch_max: usize,
    /// And so many rows at most altogether.
    pub rows: usize,
    /// A batch waits until it is full or its oldest row waits so long.
    pub gather_ms: i64,
    /// One row only, to see whether the target is back.
    pub probe: bool,
}

/// What may be handed over.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Batches; no profile is in two of them.
    pub batches: Vec<Vec<Place>>,
    /// When to plan again, where time alone makes more rows due.
    pub due_ms: Option<i64>,
}

impl Window {
    /// How many rows are known and not under way.
    pub fn waiting(&self) -> usize {
        self.rows.len()
    }

    /// After which place to look for more.
    pub fn cursor(&self) -> Option<Place> {
        self.cursor
    }

    /// Whether a look will find more, unless it was taken away.
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// Forgets what waits, to look from the beginning: for rows that were put in before the cursor, or changed.
    pub fn restart(&mut self) {
        self.rows.clear();
        self.cursor = None;
        self.more = true;
    }

    /// Takes in the rows that a look after [`cursor`](Self::cursor) gave, in order; `limit` was its limit.
    pub fn extend(&mut self, rows: Vec<(Place, Waiting)>, limit: usize) {
        self.more = rows.len() >= limit;
        for (place, waiting) in rows {
            self.cursor = Some(place);
            if !self.in_flight.contains_key(&place) {
                self.rows.insert(place, waiting);
            }
        }
    }

    /// These are handed over.
    pub fn begin(&mut self, places: &[Place]) {
        for place in places {
            if let Some(waiting) = self.rows.remove(place) {
                self.in_flight.insert(*place, waiting.profile);
            }
        }
    }

    /// This one is settled, or was not there any more.
    pub fn remove(&mut self, place: Place) {
        self.rows.remove(&place);
        self.in_flight.remove(&place);
        if self.rows.is_empty() && self.in_flight.is_empty() && !self.more {
            // All is read and done: what comes is after this, and what was put in before it is found as well.
            self.cursor = None;
        }
    }

    /// This one is to be tried again.
    pub fn retry(&mut self, place: Place, waiting: Waiting) {
        self.in_flight.remove(&place);
        // A look from the beginning has not come as far yet; it will find the row with its new time.
        if self.cursor.is_some_and(|cursor| place <= cursor) {
            self.rows.insert(place, waiting);
        }
    }

    /// What may be handed over at `now_ms`: of each profile the oldest rows first, none while an older one of the
    /// same profile is under way or waits for its time.
    pub fn plan(&self, now_ms: i64, room: Room) -> Plan {
        if room.probe {
            return self.plan_probe(now_ms);
        }
        let mut plan = Plan::default();
        let mut blocked: FxHashSet<i64> = self.in_flight.values().copied().collect();
        let mut batch_of: FxHashMap<i64, usize> = FxHashMap::default();
        let mut open: Option<usize> = None;
        let (mut oldest_ms, mut taken, mut due_ms) = (i64::MAX, 0, i64::MAX);
        for (place, row) in &self.rows {
            if taken >= room.rows {
                break;
            }
            if blocked.contains(&row.profile) {
                continue;
            }
            if row.next_ms > now_ms {
                blocked.insert(row.profile);
                due_ms = due_ms.min(row.next_ms);
                continue;
            }
            let index = match (batch_of.get(&row.profile), open) {
                (Some(index), _) => *index,
                (None, Some(index)) => index,
                (None, None) if plan.batches.len() < room.batches => {
                    plan.batches.push(vec![]);
                    plan.batches.len() - 1
                }
                (None, None) => {
                    // Rows of profiles that have a batch with room may still follow, but only when some has room.
                    if plan.batches.iter().all(|batch| batch.len() >= room.batch_max) {
                        break;
                    }
                    blocked.insert(row.profile);
                    continue;
                }
            };
            if plan.batches[index].len() >= room.batch_max {
                blocked.insert(row.profile);
                continue;
            }
            plan.batches[index].push(*place);
            batch_of.insert(row.profile, index);
            open = (plan.batches[index].len() < room.batch_max).then_some(index);
            oldest_ms = oldest_ms.min(row.created_ms);
            taken += 1;
        }
        let full = plan.batches.iter().any(|batch| batch.len() >= room.batch_max);
        let gathered_ms = oldest_ms.saturating_add(room.gather_ms);
        if room.gather_ms > 0 && !full && !plan.batches.is_empty() && gathered_ms > now_ms {
            plan.batches.clear();
            due_ms = due_ms.min(gathered_ms);
        }
        plan.due_ms = (due_ms < i64::MAX).then_some(due_ms);
        plan
    }

    /// The row that waits longest for its turn, so that one row that always fails is not every probe.
    fn plan_probe(&self, now_ms: i64) -> Plan {
        if !self.in_flight.is_empty() {
            return Plan::default();
        }
        let mut seen: FxHashSet<i64> = FxHashSet::default();
        let first_of_profiles = self.rows.iter().filter(|(_, row)| seen.insert(row.profile));
        match first_of_profiles.min_by_key(|(place, row)| (row.next_ms, **place)) {
            Some((place, row)) if row.next_ms <= now_ms => Plan { batches: vec![vec![*place]], due_ms: None },
            Some((_, row)) => Plan { batches: vec![], due_ms: Some(row.next_ms) },
            None => Plan::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A window of rows `(profile, next_ms)`, placed 0, 1, 2, … and created at 100.
    fn window(rows: &[(i64, i64)]) -> Window {
        let mut window = Window::default();
        let rows = rows.iter().enumerate().map(|(place, (profile, next_ms))| {
            ((place as i64, 0), Waiting { profile: *profile, created_ms: 100, next_ms: *next_ms })
        });
        window.extend(rows.collect(), usize::MAX);
        window
    }

    const ROOM: Room = Room { batches: 2, batch_max: 2, rows: 100, gather_ms: 0, probe: false };

    fn check(window: &Window, room: Room, expect: &[&[i64]], due_ms: Option<i64>) {
        let plan = window.plan(1_000, room);
        let batches: Vec<Vec<i64>> = plan.batches.iter().map(|b| b.iter().map(|place| place.0).collect()).collect();
        assert_eq!((batches, plan.due_ms), (expect.iter().map(|b| b.to_vec()).collect(), due_ms));
    }

    #[test]
    fn a_row_that_waits_holds_back_its_profile_only() {
        check(&window(&[(1, 5_000), (2, 0), (1, 0), (3, 0)]), ROOM, &[&[1, 3]], Some(5_000));
    }

    #[test]
    fn a_profile_is_in_one_batch() {
        check(&window(&[(1, 0), (2, 0), (1, 0), (3, 0), (1, 0)]), ROOM, &[&[0, 1], &[3]], None);
        check(&window(&[(1, 0), (1, 0), (1, 0), (2, 0)]), ROOM, &[&[0, 1], &[3]], None);
        let single = Room { batches: 3, batch_max: 1, ..ROOM };
        check(&window(&[(1, 0), (1, 0), (2, 0), (3, 0), (4, 0)]), single, &[&[0], &[2], &[3]], None);
        check(&window(&[(1, 0), (2, 0), (3, 0)]), Room { rows: 1, ..ROOM }, &[&[0]], None);
        check(&window(&[(1, 0)]), Room { batches: 0, ..ROOM }, &[], None);
    }

    #[test]
    fn what_is_under_way_holds_back_its_profile() {
        let mut window = window(&[(1, 0), (1, 0), (2, 0)]);
        window.begin(&[(0, 0)]);
        check(&window, ROOM, &[&[2]], None);
        window.retry((0, 0), Waiting { profile: 1, created_ms: 0, next_ms: 2_000 });
        check(&window, ROOM, &[&[2]], Some(2_000));
        window.remove((0, 0));
        check(&window, ROOM, &[&[1, 2]], None);
    }

    #[test]
    fn a_batch_gathers_until_it_is_full_or_old() {
        let gather = |gather_ms| Room { gather_ms, ..ROOM };
        check(&window(&[(1, 0)]), gather(5_000), &[], Some(5_100));
        check(&window(&[(1, 0)]), gather(900), &[&[0]], None);
        check(&window(&[(1, 0), (2, 0)]), gather(5_000), &[&[0, 1]], None);
    }

    #[test]
    fn a_probe_is_the_one_that_waits_longest() {
        let probe = Room { probe: true, ..ROOM };
        check(&window(&[(1, 900), (1, 0), (2, 500)]), probe, &[&[2]], None);
        check(&window(&[(1, 3_000), (2, 2_000)]), probe, &[], Some(2_000));
        check(&window(&[]), probe, &[], None);
    }

    #[test]
    fn it_looks_from_the_beginning_when_all_is_done() {
        let mut window = window(&[(1, 0), (2, 0)]);
        assert_eq!(window.cursor(), Some((1, 0)));
        window.begin(&[(0, 0), (1, 0)]);
        window.remove((0, 0));
        assert_eq!(window.cursor(), Some((1, 0)));
        window.remove((1, 0));
        assert_eq!(window.cursor(), None);
    }

    #[test]
    fn a_restart_keeps_what_is_under_way() {
        let mut window = window(&[(1, 0), (1, 0)]);
        window.begin(&[(0, 0)]);
        window.restart();
        assert_eq!((window.waiting(), window.in_flight.len(), window.has_more()), (0, 1, true));
        let row = Waiting { profile: 1, created_ms: 0, next_ms: 0 };
        window.extend(vec![((0, 0), row), ((1, 0), row)], 10);
        assert_eq!((window.waiting(), window.in_flight.len()), (1, 1));
        check(&window, ROOM, &[], None);
    }

    proptest! {
        /// Whatever waits and whatever the room: order per profile, no profile in two batches, the room is kept, and
        /// nothing is left out that could have gone when there is room for all.
        #[test]
        fn plans_keep_order(
            rows in proptest::collection::vec((0_i64..6, prop_oneof![3 => Just(0_i64), 1 => Just(9_000)]), 0..40),
            (batches, batch_max, most) in (0_usize..6, 1_usize..6, 0_usize..50),
            under_way in 0_usize..5,
        ) {
            let mut window = window(&rows);
            let begun: Vec<Place> = (0..under_way.min(rows.len())).map(|n| (n as i64, 0)).collect();
            window.begin(&begun);
            let plan = window.plan(1_000, Room { batches, batch_max, rows: most, gather_ms: 0, probe: false });
            prop_assert!(plan.batches.len() <= batches);
            prop_assert!(plan.batches.iter().all(|batch| !batch.is_empty() && batch.len() <= batch_max));
            prop_assert!(plan.batches.iter().map(Vec::len).sum::<usize>() <= most);
            let mut batch_of = FxHashMap::default();
            for (index, batch) in plan.batches.iter().enumerate() {
                prop_assert!(batch.is_sorted());
                for (place, _) in batch {
                    let (profile, next_ms) = rows[*place as usize];
                    prop_assert_eq!(*batch_of.entry(profile).or_insert(index), index);
                    prop_assert_eq!(next_ms, 0);
                    // Every older row of the profile is in the same batch, before it.
                    for older in (0..*place).filter(|older| rows[*older as usize].0 == profile) {
                        prop_assert!(batch.contains(&(older, 0)), "row {} before {}", older, place);
                    }
                }
            }
            if batches > 0 && most > 0 && plan.batches.is_empty() {
                let first_due = |profile: i64| rows.iter().position(|row| row.0 == profile)
                    .is_some_and(|first| first >= begun.len() && rows[first].1 == 0);
                prop_assert!(!rows.iter().any(|row| first_due(row.0)));
            }
        }
    }
}
