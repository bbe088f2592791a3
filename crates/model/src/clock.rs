//! Time: milliseconds since the Unix epoch, and where they come from.
//!
//! The system's clock and sleep are banned by `clippy.toml`; this file is the clock's one home. Everything takes a
//! [`Clock`], so that a test or the simulation says what time it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instant: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// Milliseconds in an hour.
pub const HOUR_MS: i64 = 3_600_000;
/// Milliseconds in a day of 24 hours.
pub const DAY_MS: i64 = 86_400_000;

impl Timestamp {
    /// The first instant an event may carry: 1900-01-01T00:00:00Z. What is earlier is a fault of its sender.
    pub const EARLIEST: Timestamp = Timestamp(-2_208_988_800_000);
    /// The last instant there is, for open ends.
    pub const MAX: Timestamp = Timestamp(i64::MAX);
    /// The first instant there is, for open ends.
    pub const MIN: Timestamp = Timestamp(i64::MIN);

    /// Later by `ms` milliseconds, stopping at the ends.
    pub fn plus(self, ms: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }

    /// Earlier by `ms` milliseconds, stopping at the ends.
    pub fn minus(self, ms: i64) -> Timestamp {
        Timestamp(self.0.saturating_sub(ms))
    }

    /// The UTC day: days since 1970-01-01, rounded down.
    pub fn day(self) -> i64 {
        self.0.div_euclid(DAY_MS)
    }

    /// Reads an ISO 8601 date or date-time (`2026-01-02`, `2026-01-02T03:04:05.678Z`, with an offset, or without, then
    /// UTC), as the SDKs write them and as people do in definitions.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let text = text.trim();
        parse_utc(text.as_bytes()).or_else(|| parse_any(text))
    }
}

/// The one shape that nearly every SDK sends: `YYYY-MM-DDTHH:MM:SS.mmmZ`.
fn parse_utc(t: &[u8]) -> Option<Timestamp> {
    if t.len() != 24 || t[4] != b'-' || t[7] != b'-' || t[10] != b'T' || t[13] != b':' || t[16] != b':' {
        return None;
    }
    if t[19] != b'.' || t[23] != b'Z' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        t[range].iter().try_fold(0i64, |n, c| c.is_ascii_digit().then(|| n * 10 + i64::from(c - b'0')))
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second, ms) = (number(11..13)?, number(14..16)?, number(17..19)?, number(20..23)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if day < 1 || day > days_in_month || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days from civil, Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y - era * 400;
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(Timestamp(days * DAY_MS + hour * 3_600_000 + minute * 60_000 + second * 1000 + ms))
}

fn parse_any(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(at.as_millisecond()));
    }
    let civil = match text.parse::<jiff::civil::DateTime>() {
        Ok(at) => at,
        Err(_) => text.parse::<jiff::civil::Date>().ok()?.to_datetime(jiff::civil::Time::midnight()),
    };
    Some(Timestamp(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond()))
}

impl fmt::Display for Timestamp {
    /// `2026-01-02T03:04:05.678Z`, as the SDKs write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) if self.0 > 0 => f.write_str("9999-12-30T22:00:00.999Z"),
            Err(_) => f.write_str("-009999-01-02T01:59:59.000Z"),
        }
    }
}

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// The current instant.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one home of the system's clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands where it is put, for tests and the simulation.
#[derive(Debug, Default)]
pub struct ManualClock(std::sync::atomic::AtomicI64);

impl ManualClock {
    /// A clock that stands at `at`.
    pub fn at(at: Timestamp) -> Self {
        ManualClock(at.0.into())
    }

    /// Puts it to `at`.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.0, std::sync::atomic::Ordering::SeqCst);
    }

    /// Moves it on.
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_sdks_and_people_write() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(Timestamp::parse(text).map(|t| t.to_string()).as_deref(), expect, "{text}");
        };
        check("2026-11-21T20:30:40.123Z", Some("2026-11-21T20:30:40.123Z"));
        check("2024-02-29T00:00:00.000Z", Some("2024-02-29T00:00:00.000Z"));
        check("2023-02-29T00:00:00.000Z", None);
        check("2026-11-21T20:30:40Z", Some("2026-11-21T20:30:40.000Z"));
        check("2026-11-21T20:30:40.123456789Z", Some("2026-11-21T20:30:40.123Z"));
        check("2026-11-21T20:30:40+02:00", Some("2026-11-21T18:30:40.000Z"));
        check("2026-11-21 20:30:40", Some("2026-11-21T20:30:40.000Z"));
        check("2026-11-21", Some("2026-11-21T00:00:00.000Z"));
        check(" 2026-11-21 ", Some("2026-11-21T00:00:00.000Z"));
        check("9999-12-31T23:59:59.999Z", Some("9999-12-30T22:00:00.999Z"));
        check("0000-01-01T00:00:00.000Z", Some("0000-01-01T00:00:00.000Z"));
        check("yesterday", None);
        check("", None);
        check("20", None);
    }

    proptest::proptest! {
        #[test]
        fn the_fast_path_reads_what_jiff_writes(ms in -62_000_000_000_000i64..253_000_000_000_000) {
            let text = Timestamp(ms).to_string();
            proptest::prop_assert_eq!(parse_utc(text.as_bytes()), Some(Timestamp(ms)));
            proptest::prop_assert_eq!(parse_any(&text), Some(Timestamp(ms)));
        }
    }
}
