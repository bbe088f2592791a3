//! Times as people's files write them.

use jiff::{
    civil,
    fmt::strtime::{self, BrokenDownTime},
    tz::TimeZone,
};
use onefold_model::Timestamp;

use crate::row::Cell;

/// How a column writes its times, and in which zone those without an offset are.
#[derive(Debug, Clone)]
pub(crate) struct TimeReader {
    format: TimeFormat,
    /// `None`: UTC.
    zone: Option<TimeZone>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TimeFormat {
    /// ISO 8601, or a whole number of seconds, milliseconds, microseconds or nanoseconds told by its digits.
    Auto,
    /// A number of so many nanoseconds since 1970-01-01T00:00:00Z.
    Epoch(i64),
    /// POSIX `strptime` as jiff reads it.
    Pattern(String),
}

impl TimeReader {
    /// `format`: `iso`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, or a pattern with `%`; `None`: told by the value.
    /// `zone`: a name of the IANA time zone database. The error is a sentence.
    pub(crate) fn new(format: Option<&str>, zone: Option<&str>) -> Result<TimeReader, String> {
        let format = match format {
            None | Some("iso") => TimeFormat::Auto,
            Some("epoch_s") => TimeFormat::Epoch(1_000_000_000),
            Some("epoch_ms") => TimeFormat::Epoch(1_000_000),
            Some("epoch_us") => TimeFormat::Epoch(1000),
            Some("epoch_ns") => TimeFormat::Epoch(1),
            Some(pattern) => {
                let example = civil::date(2001, 2, 3).at(4, 5, 6, 0).to_zoned(TimeZone::UTC);
                let readable = example.is_ok_and(|at| BrokenDownTime::from(&at).to_string(pattern).is_ok());
                if !pattern.contains('%') || !readable {
                    return Err(format!(
                        "time format {pattern:?} is none of iso, epoch_s, epoch_ms, epoch_us, epoch_ns and no pattern such as %Y-%m-%d %H:%M:%S"
                    ));
                }
                TimeFormat::Pattern(pattern.to_owned())
            }
        };
        let zone = match zone {
            None | Some("UTC" | "Z") => None,
            Some(name) => Some(TimeZone::get(name).map_err(|_| {
                format!("timezone {name:?} is not known; name one of the IANA database, such as Europe/Berlin")
            })?),
        };
        Ok(TimeReader { format, zone })
    }

    /// The instant that `cell` names, `None` where it names none. What is a time in its file already is ISO 8601,
    /// whatever the format.
    pub(crate) fn time_of(&self, cell: &Cell<'_>) -> Option<Timestamp> {
        let format = if matches!(cell, Cell::Time(_)) { &TimeFormat::Auto } else { &self.format };
        self.read(format, cell.scalar()?.trim())
    }

    /// The form in which `cell` stands in a trait: `YYYY-MM-DD` where it names a day and no time of day, else the instant
    /// in UTC.
    pub(crate) fn date_of(&self, cell: &Cell<'_>) -> Option<String> {
        let format = if matches!(cell, Cell::Time(_)) { &TimeFormat::Auto } else { &self.format };
        let text = cell.scalar()?.trim();
        match day(format, text) {
            Some(day) => Some(day.to_string()),
            None => self.read(format, text).map(|at| at.to_string()),
        }
    }

    fn read(&self, format: &TimeFormat, text: &str) -> Option<Timestamp> {
        match format {
            TimeFormat::Auto => match &self.zone {
                None => epoch_by_digits(text).or_else(|| Timestamp::parse(text)),
                Some(zone) => epoch_by_digits(text).or_else(|| iso_in(text, zone)),
            },
            TimeFormat::Epoch(unit_ns) => epoch(text, *unit_ns),
            TimeFormat::Pattern(pattern) => {
                let time = strtime::parse(pattern, text).ok()?;
                if time.offset().is_some() || time.timestamp().is_some() {
                    return Some(Timestamp(time.to_timestamp().ok()?.as_millisecond()));
                }
                if time.iana_time_zone().is_some() {
                    return Some(Timestamp(time.to_zoned().ok()?.timestamp().as_millisecond()));
                }
                self.in_zone(civil_of(&time)?)
            }
        }
    }

    fn in_zone(&self, at: civil::DateTime) -> Option<Timestamp> {
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        Some(Timestamp(at.to_zoned(zone).ok()?.timestamp().as_millisecond()))
    }
}

/// The day that `text` names, if it names no time of day.
fn day(format: &TimeFormat, text: &str) -> Option<civil::Date> {
    match format {
        TimeFormat::Auto if text.len() <= 10 && epoch_by_digits(text).is_none() => text.parse().ok(),
        TimeFormat::Pattern(pattern) => {
            let time = strtime::parse(pattern, text).ok()?;
            let is_day = time.hour().is_none() && time.timestamp().is_none();
            if is_day { time.to_date().ok() } else { None }
        }
        TimeFormat::Auto | TimeFormat::Epoch(_) => None,
    }
}

fn civil_of(time: &BrokenDownTime) -> Option<civil::DateTime> {
    let date = time.to_date().ok()?;
    let clock = if time.hour().is_some() { time.to_time().ok()? } else { civil::Time::midnight() };
    Some(date.to_datetime(clock))
}

fn iso_in(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(at.as_millisecond()));
    }
    let at = match text.parse::<civil::DateTime>() {
        Ok(at) => at,
        Err(_) => text.parse::<civil::Date>().ok()?.to_datetime(civil::Time::midnight()),
    };
    Some(Timestamp(at.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond()))
}

/// A whole number of 10 (seconds), 13, 16 or 19 digits: from 2001 to 2286 no two units have equally many.
fn epoch_by_digits(text: &str) -> Option<Timestamp> {
    let unit_ns = match text.len() {
        10 => 1_000_000_000,
        13 => 1_000_000,
        16 => 1000,
        19 => 1,
        _ => return None,
    };
    text.bytes().all(|b| b.is_ascii_digit()).then(|| epoch(text, unit_ns))?
}

/// A number of units, with decimals or without, in milliseconds rounded down.
fn epoch(text: &str, unit_ns: i64) -> Option<Timestamp> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut ns = i128::from(whole.parse::<i64>().ok()?) * i128::from(unit_ns);
    let digits = &part[..part.len().min(9)];
    if !digits.is_empty() {
        let part_ns = digits.parse::<i128>().ok()? * i128::from(unit_ns) / 10i128.pow(digits.len() as u32);
        ns += if whole.starts_with('-') { -part_ns } else { part_ns };
    }
    i64::try_from(ns.div_euclid(1_000_000)).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_cell(text: &str) -> Cell<'_> {
        Cell::Text(text.into())
    }

    #[test]
    fn what_is_a_time_in_the_file_needs_no_format() {
        let reader = TimeReader::new(Some("%d/%m/%Y"), None).unwrap();
        assert_eq!(
            reader.time_of(&Cell::Time("2026-01-02T03:04:05Z")).unwrap().to_string(),
            "2026-01-02T03:04:05.000Z"
        );
        assert_eq!(reader.date_of(&Cell::Time("2026-01-02")).unwrap(), "2026-01-02");
    }

    #[test]
    fn reads_every_form() {
        let check = |format: Option<&str>, zone: Option<&str>, text: &str, expect: Option<&str>| {
            let at = TimeReader::new(format, zone).unwrap().time_of(&text_cell(text)).map(|at| at.to_string());
            assert_eq!(at.as_deref(), expect, "{text} {format:?} {zone:?}");
        };
        check(None, None, "2026-01-02", Some("2026-01-02T00:00:00.000Z"));
        check(None, None, " 2026-01-02 03:04 ", Some("2026-01-02T03:04:00.000Z"));
        check(None, None, "20260102", Some("2026-01-02T00:00:00.000Z"));
        check(None, None, "1767225600", Some("2026-01-01T00:00:00.000Z"));
        check(None, None, "1767225600123", Some("2026-01-01T00:00:00.123Z"));
        check(None, None, "1767225600123456", Some("2026-01-01T00:00:00.123Z"));
        check(None, None, "1767225600123456789", Some("2026-01-01T00:00:00.123Z"));
        check(None, None, "01/02/2026", None);
        check(None, None, "", None);
        check(None, Some("Europe/Berlin"), "2026-07-02 12:00:00", Some("2026-07-02T10:00:00.000Z"));
        check(None, Some("Europe/Berlin"), "2026-07-02", Some("2026-07-01T22:00:00.000Z"));
        check(None, Some("Europe/Berlin"), "2026-07-02T12:00:00Z", Some("2026-07-02T12:00:00.000Z"));
        check(Some("epoch_s"), None, "1767225600.25", Some("2026-01-01T00:00:00.250Z"));
        check(Some("epoch_s"), None, "-1.5", Some("1969-12-31T23:59:58.500Z"));
        check(Some("epoch_ms"), None, "0", Some("1970-01-01T00:00:00.000Z"));
        check(Some("epoch_ms"), None, "x", None);
        check(Some("%Y%m%d"), None, "19970101", Some("1997-01-01T00:00:00.000Z"));
        check(Some("%d.%m.%Y %H:%M"), Some("Europe/Berlin"), "02.07.2026 12:00", Some("2026-07-02T10:00:00.000Z"));
        check(Some("%m/%d/%Y %I:%M %p"), None, "7/2/2026 1:30 PM", Some("2026-07-02T13:30:00.000Z"));
        check(Some("%Y-%m-%dT%H:%M:%S%z"), None, "2026-07-02T12:00:00+0200", Some("2026-07-02T10:00:00.000Z"));
        check(Some("%Y%m%d"), None, "19971301", None);
    }

    #[test]
    fn a_day_stays_a_day() {
        let check = |format: Option<&str>, text: &str, expect: Option<&str>| {
            assert_eq!(TimeReader::new(format, None).unwrap().date_of(&text_cell(text)).as_deref(), expect, "{text}");
        };
        check(None, "1984-06-17", Some("1984-06-17"));
        check(None, "19840617", Some("1984-06-17"));
        check(None, "2026-01-02T03:04:05Z", Some("2026-01-02T03:04:05.000Z"));
        check(None, "1767225600", Some("2026-01-01T00:00:00.000Z"));
        check(Some("%d/%m/%Y"), "17/06/1984", Some("1984-06-17"));
        check(Some("%d/%m/%Y %H:%M"), "17/06/1984 10:00", Some("1984-06-17T10:00:00.000Z"));
        check(None, "soon", None);
    }

    #[test]
    fn what_is_no_format_or_zone_is_said() {
        assert!(TimeReader::new(Some("YYYY"), None).unwrap_err().contains("pattern"));
        assert!(TimeReader::new(Some("%Q!%"), None).is_err());
        assert!(TimeReader::new(None, Some("Mars/Olympus")).unwrap_err().contains("IANA"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,30}") {
            for format in [None, Some("epoch_s"), Some("%Y%m%d")] {
                let reader = TimeReader::new(format, Some("Europe/Berlin")).unwrap();
                let _ = (reader.time_of(&text_cell(&text)), reader.date_of(&text_cell(&text)));
            }
        }
    }
}
