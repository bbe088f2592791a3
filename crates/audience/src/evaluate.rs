//! Whom a condition holds for.
//!
//! Each part is asked only of those who are still in question, the cheap ones first. Counts, sums, first and last events
//! read the columns at the speed of memory. All else gathers the points of those in question and asks the program that
//! decides live segments; so there is one meaning, and no second one to keep in step.

use std::cell::RefCell;

use onefold_model::{
    Timestamp, Value,
    profile::{
        Series,
        computed::{ComputedMeasure, ComputedTrait},
        series,
    },
    segment::{
        Condition, EventMatch, Events, Gathered, Keeps, Lookup, Measure, Metric, Path, Program, Sequence, Test, Window,
    },
};
use rust_decimal::Decimal;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::{
    column::{Column, Filter, Point, billionths},
    index::{Index, Missing},
    people::NOBODY,
    set::Set,
    wants::presence,
};

/// A question at an instant.
#[derive(Clone, Copy)]
pub(crate) struct Evaluation<'a> {
    pub index: &'a Index,
    pub lookup: &'a dyn Lookup,
    pub now: Timestamp,
}

/// No column: no such event was ever seen, or the index does not keep it.
fn missing(event: &EventMatch) -> Missing {
    Missing(match &event.event {
        Some(name) => format!("the events {name:?} with what their filter reads"),
        None => "all events with what their filter reads".to_owned(),
    })
}

impl<'a> Evaluation<'a> {
    /// Of those `within`, for whom the condition holds.
    pub fn holds(self, condition: &Condition, within: &Set) -> Result<Set, Missing> {
        match condition {
            Condition::All(of) => {
                let mut parts: Vec<&Condition> = of.iter().collect();
                parts.sort_by_cached_key(|part| (self.holds_of_most(part), self.cost(part)));
                let mut left = within.clone();
                for part in parts {
                    // Also where nobody is left: what is missing is said in any case.
                    left = self.holds(part, &left)?;
                }
                Ok(left)
            }
            Condition::Any(of) => {
                let mut parts: Vec<&Condition> = of.iter().collect();
                parts.sort_by_cached_key(|part| (self.holds_of_most(part), self.cost(part)));
                let (mut found, mut rest) = (Set::new(self.index.people.capacity()), within.clone());
                for part in parts {
                    let more = self.holds(part, &rest)?;
                    rest.drop_all(&more);
                    found.add_all(&more);
                }
                Ok(found)
            }
            Condition::Not(of) => {
                let mut others = within.clone();
                others.drop_all(&self.holds(of, within)?);
                Ok(others)
            }
            Condition::Segment(name) => match self.lookup.segment(name) {
                Some(other) => self.holds(other, within),
                None => Ok(Set::new(self.index.people.capacity())),
            },
            Condition::Trait { name, is } => {
                let known = if is.is_relative() {
                    // Dates are tested by the program, a value at a time.
                    let program = Program::alone(condition, self.lookup).ok();
                    let passes = |value: Option<&Value>| {
                        let facts = Gathered { of_trait: value.map(|value| (name.as_str(), value)), series: &[] };
                        program.as_ref().is_some_and(|(program, _)| program.evaluate(&facts, self.now).holds)
                    };
                    self.index.people.with_trait(name, within, passes)
                } else {
                    self.index.people.with_trait(name, within, |value| is.passes(value))
                };
                known.ok_or_else(|| Missing(format!("the trait {name}")))
            }
            Condition::Consent { purpose, channel } => {
                let allowed = self.index.people.allowed(purpose, channel.as_deref());
                let allowed = allowed.ok_or_else(|| Missing(format!("consent for {purpose}")))?;
                let mut left = within.clone();
                left.keep(allowed);
                Ok(left)
            }
            Condition::Computed { name, is } => match self.lookup.computed(name).and_then(|c| as_events(c, is)) {
                Some(events) => self.events(condition, &events, within),
                None => self.gathered(condition, within),
            },
            Condition::Events(events) => self.events(condition, events, within),
            Condition::Sequence(sequence) => {
                self.followed(sequence, within).unwrap_or_else(|| self.gathered(condition, within))
            }
        }
    }

    /// Whether it holds for those of whom nothing is known, who are many: what holds for few is asked first.
    fn holds_of_most(self, condition: &Condition) -> bool {
        match condition {
            Condition::All(of) => of.iter().all(|part| self.holds_of_most(part)),
            Condition::Any(of) => of.iter().any(|part| self.holds_of_most(part)),
            Condition::Not(of) => !self.holds_of_most(of),
            Condition::Segment(name) => self.lookup.segment(name).is_some_and(|other| self.holds_of_most(other)),
            Condition::Events(Events { measure: Measure::Count | Measure::Sum(_), is, .. }) => {
                is.passes(Some(&Value::Number(Decimal::ZERO)))
            }
            Condition::Events(Events { is, .. }) => is.passes(None),
            _ => false,
        }
    }

    /// About how many points it reads.
    fn cost(self, condition: &Condition) -> usize {
        match condition {
            Condition::All(of) | Condition::Any(of) => of.iter().map(|part| self.cost(part)).sum(),
            Condition::Not(of) => self.cost(of),
            Condition::Segment(name) => self.lookup.segment(name).map_or(0, |other| self.cost(other)),
            Condition::Consent { .. } => 0,
            Condition::Trait { .. } => 1,
            Condition::Computed { name, .. } => match self.lookup.computed(name) {
                Some(computed) => self.points(&computed.event, &computed.window),
                None => 0,
            },
            Condition::Events(events) => self.points(&events.event, &events.window),
            Condition::Sequence(sequence) => {
                self.points(&sequence.first, &sequence.window) + self.points(&sequence.then, &Window::Ever)
            }
        }
    }

    fn points(self, event: &EventMatch, window: &Window) -> usize {
        let (from, to) = window.at(self.now, self.lookup.time_zone());
        self.index.columns.get(&event.event).map_or(0, |column| column.about(from, to))
    }

    fn column(self, event: &EventMatch) -> Result<&'a Column, Missing> {
        self.index.columns.get(&event.event).ok_or_else(|| missing(event))
    }

    /// A measure over events; `condition` is the same, for the program.
    fn events(self, condition: &Condition, events: &Events, within: &Set) -> Result<Set, Missing> {
        let Events { measure, event, window, is } = events;
        let column = self.column(event)?;
        let (from, to) = window.at(self.now, self.lookup.time_zone());
        match measure {
            Measure::Count => {
                // Where one reads fewer people than points.
                if let (Some(wanted), Some((_, last))) = (presence(is), column.edges(&event.filter))
                    && to == self.now
                    && !column.is_ahead(self.now)
                    && last.len() / 8 < column.about(from, to)
                {
                    let some = within.passing(last, |last| *last > Timestamp::MIN && *last >= from);
                    return Ok(if wanted { some } else { without(within, &some) });
                }
                self.counted(column, event, from, to, is, within)
            }
            Measure::Sum(path) => match bounds(is) {
                Some(bounds) => self.summed(column, event, path, (from, to), bounds, within),
                None => self.gathered(condition, within),
            },
            Measure::First | Measure::Last => {
                let Some((first, last)) = column.edges(&event.filter).filter(|_| !column.is_ahead(self.now)) else {
                    return self.gathered(condition, within);
                };
                let found = if *measure == Measure::First {
                    within.passing(first, |at| *at < Timestamp::MAX && from <= *at && *at < to)
                } else {
                    within.passing(last, |at| *at > Timestamp::MIN && from <= *at && *at < to)
                };
                Ok(if *is == Test::Exists(true) { found } else { without(within, &found) })
            }
            _ => self.gathered(condition, within),
        }
    }

    fn counted(
        self,
        column: &Column,
        event: &EventMatch,
        from: Timestamp,
        to: Timestamp,
        is: &Test,
        within: &Set,
    ) -> Result<Set, Missing> {
        let filter = column.filter(&event.filter).ok_or_else(|| missing(event))?;
        let passes = |count: u32| is.passes(Some(&Value::Number(count.into())));
        let few: Vec<bool> = (0..64).map(passes).collect();
        let passes = |count: u32| few.get(count as usize).copied().unwrap_or_else(|| passes(count));
        let decided = with_numbers(self.index.people.capacity(), |counts| {
            let mut touched = vec![];
            self.scan(column, from, to, &filter, within, |head, _| {
                let count = &mut counts[head as usize];
                if *count == 0 {
                    touched.push(head);
                }
                *count += 1;
            });
            let take = |head: u32| (head, passes(std::mem::take(&mut counts[head as usize])));
            self.decided(within, passes(0), touched.into_iter().map(take))
        });
        Ok(decided)
    }

    fn summed(
        self,
        column: &Column,
        event: &EventMatch,
        path: &Path,
        (from, to): (Timestamp, Timestamp),
        bounds: impl Fn(i128) -> bool,
        within: &Set,
    ) -> Result<Set, Missing> {
        let filter = column.filter(&event.filter).ok_or_else(|| missing(event))?;
        let (codes, worth) = column.billionths(path).ok_or_else(|| missing(event))?;
        let sums = with_numbers(self.index.people.capacity(), |places| {
            let mut sums: Vec<(u32, i128)> = vec![];
            self.scan(column, from, to, &filter, within, |head, place| {
                *of_one(&mut sums, places, head, 0) += worth[codes[place] as usize];
            });
            sums.iter().for_each(|(head, _)| places[*head as usize] = 0);
            sums
        });
        Ok(self.decided(within, bounds(0), sums.into_iter().map(|(head, sum)| (head, bounds(sum)))))
    }

    /// `A then B`, and `A then no B`, at any time after: of the As in the window the one that is best decides, the first
    /// and the last. `None` where it is not so simple: within a time, or where one event may be both.
    fn followed(self, sequence: &Sequence, within: &Set) -> Option<Result<Set, Missing>> {
        let Sequence { first, window, then, follows, within_ms } = sequence;
        let apart = matches!((&first.event, &then.event), (Some(a), Some(b)) if a != b);
        if within_ms.is_some() || !apart {
            return None;
        }
        let scanned = || {
            let (a, b) = (self.column(first)?, self.column(then)?);
            let (first, then) = (
                a.filter(&first.filter).ok_or_else(|| missing(first))?,
                b.filter(&then.filter).ok_or_else(|| missing(then))?,
            );
            let (from, to) = window.at(self.now, self.lookup.time_zone());
            // Of each the A that is best, and whether a B came then or after.
            let each = with_numbers(self.index.people.capacity(), |places| {
                let mut each: Vec<(u32, (Timestamp, bool))> = vec![];
                self.scan(a, from, to, &first, within, |head, place| {
                    let at = a.time(place);
                    let (best, _) = of_one(&mut each, places, head, (at, false));
                    *best = if *follows { at.min(*best) } else { at.max(*best) };
                });
                self.scan(b, from, self.now, &then, within, |head, place| {
                    if let Some(number) = places[head as usize].checked_sub(1) {
                        let (best, met) = &mut each[number as usize].1;
                        *met |= b.time(place) >= *best;
                    }
                });
                each.iter().for_each(|(head, _)| places[*head as usize] = 0);
                each
            });
            Ok(each)
        };
        let decide = |(head, (_, met)): (u32, (Timestamp, bool))| (head, met == *follows);
        Some(scanned().map(|each| self.decided(within, false, each.into_iter().map(decide))))
    }

    /// Calls `on` with the profile and the place of each point in [from, to) that passes, of those `within`.
    fn scan(
        self,
        column: &Column,
        from: Timestamp,
        to: Timestamp,
        filter: &Filter<'_>,
        within: &Set,
        mut on: impl FnMut(u32, usize),
    ) {
        let heads = self.index.people.heads();
        // Whose a point is lies anywhere in memory: a few hundred are looked up at once, without a branch, so that the
        // processor waits for all of them together.
        let mut waiting = [Point { place: 0, node: 0 }; AT_ONCE];
        let mut look = |points: &[Point]| {
            let (mut found, mut count) = ([(0, 0); AT_ONCE], 0);
            for point in points {
                let head = heads[point.node as usize];
                found[count] = (head, point.place);
                count += usize::from(within.has(head));
            }
            found[..count].iter().for_each(|(head, place)| on(*head, *place));
        };
        let mut count = 0;
        column.scan(from, to, filter, |point| {
            waiting[count] = point;
            count += 1;
            if count == AT_ONCE {
                look(&waiting);
                count = 0;
            }
        });
        look(&waiting[..count]);
    }

    /// Those decided for, and of the others `within` all, where `others` is true.
    fn decided(self, within: &Set, others: bool, decided: impl Iterator<Item = (u32, bool)>) -> Set {
        if others {
            let mut found = within.clone();
            decided.filter(|(_, holds)| !holds).for_each(|(head, _)| found.remove(head));
            found
        } else {
            let mut found = Set::new(self.index.people.capacity());
            decided.filter(|(_, holds)| *holds).for_each(|(head, _)| found.insert(head));
            found
        }
    }

    /// Asks the program of those who have points, and once of nobody for all others.
    fn gathered(self, condition: &Condition, within: &Set) -> Result<Set, Missing> {
        let Ok((program, metrics)) = Program::alone(condition, self.lookup) else {
            return Ok(Set::new(self.index.people.capacity()));
        };
        let mut people: FxHashMap<u32, SmallVec<[Series; 3]>> = FxHashMap::default();
        let from = self.needed_from(condition);
        for (place, metric) in metrics.iter().enumerate() {
            self.gather(metric, from, within, |head, point| {
                let of_one = people.entry(head).or_insert_with(|| metrics.iter().map(|_| Series::default()).collect());
                of_one[place].insert(point);
            })?;
        }
        let holds = |series: &[Series]| program.evaluate(&Gathered { of_trait: None, series }, self.now).holds;
        Ok(self.decided(within, holds(&[]), people.iter().map(|(head, series)| (*head, holds(series)))))
    }

    /// From when on the points of a condition are needed.
    fn needed_from(self, condition: &Condition) -> Timestamp {
        let window = match condition {
            // These ask for the first or last of all.
            Condition::Events(Events { measure: Measure::First | Measure::Last, .. }) => None,
            Condition::Events(events) => Some(&events.window),
            Condition::Sequence(sequence) => Some(&sequence.window),
            Condition::Computed { name, .. } => self.lookup.computed(name).map(|computed| &computed.window),
            _ => None,
        };
        window.map_or(Timestamp::MIN, |window| window.at(self.now, self.lookup.time_zone()).0)
    }

    fn gather(
        self,
        Metric { event, keeps }: &Metric,
        from: Timestamp,
        within: &Set,
        mut on: impl FnMut(u32, series::Point),
    ) -> Result<(), Missing> {
        let column = self.column(event)?;
        let filter = column.filter(&event.filter).ok_or_else(|| missing(event))?;
        let heads = self.index.people.heads();
        let mut take = |place: usize, node: u32, amount: Option<Decimal>, value: Option<Value>| {
            let head = heads[node as usize];
            if head != NOBODY && within.has(head) {
                on(head, series::Point { at: column.time(place), amount, value });
            }
        };
        match keeps {
            Keeps::Time => column.scan(from, self.now, &filter, |p| take(p.place, p.node, None, None)),
            Keeps::Amount(path) => {
                let amounts = column.amounts(path).ok_or_else(|| missing(event))?;
                column.scan(from, self.now, &filter, |p| {
                    if let Some(amount) = amounts(p.place) {
                        take(p.place, p.node, Some(amount), None);
                    }
                });
            }
            Keeps::Value(path) => {
                let values = column.values(path).ok_or_else(|| missing(event))?;
                column.scan(from, self.now, &filter, |p| {
                    if let Some(value) = values(p.place) {
                        take(p.place, p.node, None, Some(value.clone()));
                    }
                });
            }
        }
        Ok(())
    }
}

/// Points whose profiles are looked up at once.
const AT_ONCE: usize = 256;

/// What is kept of one person, who begins with `first`. People are many, and those of whom something is kept few: `places`
/// has by person where in `each` it is, from 1 up.
fn of_one<'e, T>(each: &'e mut Vec<(u32, T)>, places: &mut [u32], head: u32, first: T) -> &'e mut T {
    let place = &mut places[head as usize];
    if *place == 0 {
        each.push((head, first));
        *place = each.len() as u32;
    }
    &mut each[*place as usize - 1].1
}

/// Hands out a number for each person, all 0, which must be all 0 again at the end: to make them anew for every question
/// would take longer than most questions.
fn with_numbers<T>(len: usize, work: impl FnOnce(&mut [u32]) -> T) -> T {
    thread_local! {
        static NUMBERS: RefCell<Vec<u32>> = const { RefCell::new(vec![]) };
    }
    // Taken out: after a panic they are not there, rather than not 0.
    let mut numbers = NUMBERS.take();
    if numbers.len() < len {
        numbers.resize(len, 0);
    }
    let done = work(&mut numbers);
    debug_assert!(numbers.iter().all(|number| *number == 0));
    NUMBERS.set(numbers);
    done
}

fn without(set: &Set, others: &Set) -> Set {
    let mut left = set.clone();
    left.drop_all(others);
    left
}

/// A computed trait's test as one of events, where there is one that means the same.
fn as_events(computed: &ComputedTrait, is: &Test) -> Option<Events> {
    let measure = match &computed.measure {
        ComputedMeasure::Count => Measure::Count,
        ComputedMeasure::Sum(path) => Measure::Sum(path.clone()),
        _ => return None,
    };
    Some(Events { measure, event: computed.event.clone(), window: computed.window.clone(), is: is.clone() })
}

/// A test of a sum on billionths; `None` where it is not one of numbers that they hold.
fn bounds(is: &Test) -> Option<impl Fn(i128) -> bool> {
    let number = |value: &Value| if let Value::Number(n) = value { billionths(*n) } else { None };
    let (least, greatest) = match is {
        Test::Equals(n) => (number(n)?, number(n)?),
        Test::Less(n) => (i128::MIN, number(n)?.checked_sub(1)?),
        Test::AtMost(n) => (i128::MIN, number(n)?),
        Test::Greater(n) => (number(n)?.checked_add(1)?, i128::MAX),
        Test::AtLeast(n) => (number(n)?, i128::MAX),
        Test::Between(a, b) => (number(a)?, number(b)?),
        _ => return None,
    };
    Some(move |sum| least <= sum && sum <= greatest)
}
