//! What mapping gives: events' JSON in one buffer that is used again, and a shift of their times.

use onefold_model::{Timestamp, clock::DAY_MS};

/// Events' JSON, one after the other in one buffer.
#[derive(Debug, Default)]
pub struct Events {
    pub(super) bytes: Vec<u8>,
    pub(super) ends: Vec<usize>,
}

impl Events {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of their JSON in all.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets them, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Each event's JSON, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| {
            std::str::from_utf8(&self.bytes[start..end]).expect("events are put together from text only")
        })
    }

    /// Ends the event whose JSON was appended to `bytes`.
    pub(super) fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// Forgets all but the first `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }
}

/// What every event's time is moved by, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shift(pub i64);

impl Shift {
    /// The shift by whole weeks that brings `latest`, the last event of a file, closest to `now` from before: hours and
    /// weekdays stay what they are.
    pub fn to_now(latest: Timestamp, now: Timestamp) -> Shift {
        let week = 7 * DAY_MS;
        Shift(now.0.saturating_sub(latest.0).div_euclid(week).saturating_mul(week))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_to_now_is_whole_weeks_and_never_goes_beyond() {
        let (latest, now) = (Timestamp(1_000), Timestamp(10 * 7 * DAY_MS + 500));
        assert_eq!(Shift::to_now(latest, now), Shift(9 * 7 * DAY_MS));
        assert_eq!(Shift::to_now(now, latest), Shift(-10 * 7 * DAY_MS));
        assert_eq!(Shift::to_now(now, now), Shift(0));
    }
}
