//! Windows as intervals of time: where they stand at an instant, and when an event enters and leaves them.
//!
//! Both ends of every window only ever move forward, so that an event enters once and leaves once. For calendar days
//! that takes care: a day begins at the first instant that the time zone's clocks call it so, and is over when the next
//! one has begun, also where clocks are put back over midnight.

use jiff::{ToSpan, civil::Date, tz::TimeZone};

use super::{ast::Window, metric::Horizon};
use crate::{Timestamp, clock::DAY_MS};

impl Window {
    /// The interval [start, end) at `now`. The end is at most `now`.
    pub fn at(&self, now: Timestamp, zone: &TimeZone) -> (Timestamp, Timestamp) {
        match *self {
            Window::Ever => (Timestamp::MIN, now),
            Window::WithinMs(ms) => (now.minus(ms), now),
            Window::BeforeMs(ms) => (Timestamp::MIN, now.minus(ms)),
            Window::CalendarDays(days) => (days_start(now, days, zone), now),
            Window::Between(from, to) => (from, to.min(now)),
        }
    }

    /// The first instant at which an event of the time `at` is inside; [`Timestamp::MAX`] if it never is.
    pub fn enters(&self, at: Timestamp) -> Timestamp {
        match *self {
            Window::Ever | Window::WithinMs(_) | Window::CalendarDays(_) => at.plus(1),
            Window::BeforeMs(ms) => at.plus(ms).plus(1),
            Window::Between(from, to) if from <= at && at < to => at.plus(1),
            Window::Between(..) => Timestamp::MAX,
        }
    }

    /// The first instant at which an event of the time `at`, which has entered, is outside again;
    /// [`Timestamp::MAX`] if it stays.
    pub fn leaves(&self, at: Timestamp, zone: &TimeZone) -> Timestamp {
        match *self {
            Window::Ever | Window::BeforeMs(_) | Window::Between(..) => Timestamp::MAX,
            Window::WithinMs(ms) => at.plus(ms).plus(1),
            Window::CalendarDays(days) => days_end(at, days, zone),
        }
    }

    /// Whether events leave it by time alone.
    pub(crate) fn slides(&self) -> bool {
        matches!(self, Window::WithinMs(_) | Window::CalendarDays(_))
    }

    /// Whether it reaches back to the beginning, so that events folded away belong to it.
    pub(crate) fn reaches_back(&self) -> bool {
        matches!(self, Window::Ever | Window::BeforeMs(_))
    }

    /// How far back it needs events one by one, where those before are needed only as an aggregate, if at all.
    pub(crate) fn horizon(&self) -> Horizon {
        match *self {
            Window::Ever => Horizon::None,
            Window::WithinMs(ms) | Window::BeforeMs(ms) => Horizon::Ms(ms),
            // Two days more than 24 hours each: where a zone crossed the date line, a day took 48.
            Window::CalendarDays(days) => Horizon::Ms((i64::from(days) + 2) * DAY_MS),
            Window::Between(from, _) => Horizon::Since(from),
        }
    }

    /// How far back it needs events one by one, where an aggregate of those before is no help.
    pub(crate) fn horizon_of_each(&self) -> Horizon {
        if self.reaches_back() { Horizon::Forever } else { self.horizon() }
    }
}

/// The start of the day `days − 1` days before today.
fn days_start(now: Timestamp, days: u32, zone: &TimeZone) -> Timestamp {
    let back = i64::from(days) - 1;
    if *zone == TimeZone::UTC {
        return Timestamp((now.day().saturating_sub(back)).saturating_mul(DAY_MS));
    }
    let day = day_of(now, zone).and_then(|day| day.checked_sub(back.days()).ok());
    day.and_then(|day| start_of(day, zone)).unwrap_or(Timestamp::MIN)
}

/// The start of the day `days` days after the day of `at`.
fn days_end(at: Timestamp, days: u32, zone: &TimeZone) -> Timestamp {
    if *zone == TimeZone::UTC {
        return Timestamp((at.day().saturating_add(days.into())).saturating_mul(DAY_MS));
    }
    let day = day_of(at, zone).and_then(|day| day.checked_add(i64::from(days).days()).ok());
    day.and_then(|day| start_of(day, zone)).unwrap_or(Timestamp::MAX)
}

/// The latest day that has begun at `at`.
fn day_of(at: Timestamp, zone: &TimeZone) -> Option<Date> {
    let day = zone.to_datetime(jiff::Timestamp::from_millisecond(at.0).ok()?).date();
    let next = day.tomorrow().ok()?;
    Some(if start_of(next, zone)? <= at { next } else { day })
}

/// The first instant of a day. A day that the zone left out begins with the next one.
fn start_of(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    let start = day.to_zoned(zone.clone()).and_then(|z| z.start_of_day()).ok()?;
    Some(Timestamp(start.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn days_follow_the_zone() {
        let check = |name: &str, now: &str, days, expect: &str| {
            let (start, end) = Window::CalendarDays(days).at(at(now), &zone(name));
            assert_eq!((start.to_string(), end), (expect.to_owned(), at(now)), "{name} {now} {days}");
        };
        check("UTC", "2026-03-01T12:00:00Z", 1, "2026-03-01T00:00:00.000Z");
        check("UTC", "2026-03-01T00:00:00Z", 2, "2026-02-28T00:00:00.000Z");
        check("Europe/Berlin", "2026-03-29T22:30:00Z", 1, "2026-03-29T22:00:00.000Z");
        check("Europe/Berlin", "2026-03-29T21:30:00Z", 1, "2026-03-28T23:00:00.000Z");
        check("Europe/Berlin", "2026-03-29T21:30:00Z", 30, "2026-02-27T23:00:00.000Z");
        // Midnight does not exist on that day.
        check("America/Sao_Paulo", "2018-11-04T12:00:00Z", 1, "2018-11-04T03:00:00.000Z");
        // One minute after midnight clocks went back to 23:01: the day has begun all the same.
        check("America/St_Johns", "2010-11-07T02:30:30Z", 1, "2010-11-07T02:30:00.000Z");
        check("America/St_Johns", "2010-11-07T02:45:00Z", 1, "2010-11-07T02:30:00.000Z");
        // Samoa left out the 30th.
        check("Pacific/Apia", "2011-12-31T12:00:00Z", 1, "2011-12-31T10:00:00.000Z");
        check("Pacific/Apia", "2011-12-31T09:00:00Z", 2, "2011-12-30T10:00:00.000Z");
    }

    fn windows() -> impl Strategy<Value = Window> {
        let hours = |h: i64| h * 3_600_000;
        prop_oneof![
            Just(Window::Ever),
            (1i64..100).prop_map(move |h| Window::WithinMs(hours(h))),
            (1i64..100).prop_map(move |h| Window::BeforeMs(hours(h))),
            (1u32..5).prop_map(Window::CalendarDays),
            (-100i64..100, 1i64..100).prop_map(move |(a, b)| Window::Between(
                Timestamp(1_289_000_000_000 + hours(a)),
                Timestamp(1_289_000_000_000 + hours(a + b))
            )),
        ]
    }

    proptest! {
        #[test]
        fn events_enter_and_leave_when_it_says(
            window in windows(),
            name in prop::sample::select(vec!["UTC", "America/St_Johns", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kolkata"]),
            event in -400i64..400,
            offset in -1i64..2,
            instants in prop::collection::vec((-400i64..400, -1i64..2), 1..20),
        ) {
            let zone = zone(name);
            // Around a change of clocks in St. John's; 30 minutes a step, and a millisecond to each side.
            let instant = |half_hours: i64, ms: i64| Timestamp(1_289_097_000_000 + half_hours * 1_800_000 + ms);
            let event = instant(event, offset);
            let (enters, leaves) = (window.enters(event), window.leaves(event, &zone));
            let edges = [enters, enters.minus(1), leaves, leaves.minus(1)];
            for now in instants.into_iter().map(|(h, ms)| instant(h, ms)).chain(edges) {
                if now < Timestamp::MAX.minus(DAY_MS) {
                    let (start, end) = window.at(now, &zone);
                    prop_assert_eq!(start <= event && event < end, enters <= now && now < leaves, "at {}", now);
                }
            }
        }
    }
}
