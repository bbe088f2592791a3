//! What ingest counts: plain atomics, so that the hot path pays an addition and `/metrics` reads them when it is asked.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The count since the start.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counters by a code of a fixed list.
#[derive(Debug)]
pub struct ByCode<const N: usize> {
    codes: [&'static str; N],
    counts: [Counter; N],
}

impl<const N: usize> ByCode<N> {
    fn new(codes: [&'static str; N]) -> Self {
        ByCode { codes, counts: std::array::from_fn(|_| Counter::default()) }
    }

    /// Counts one of `code`, which is in the list.
    pub fn add(&self, code: &str) {
        let place = self.codes.iter().position(|c| *c == code);
        debug_assert!(place.is_some(), "{code} has no counter");
        if let Some(place) = place {
            self.counts[place].add(1);
        }
    }

    /// How many of `code`.
    pub fn get(&self, code: &str) -> u64 {
        self.iter().find(|(c, _)| *c == code).map_or(0, |(_, n)| n)
    }

    /// Every code with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.codes.iter().zip(&self.counts).map(|(code, count)| (*code, count.get()))
    }
}

/// The codes of refused events: those of `onefold_model::event::Refusal`.
const REFUSAL_CODES: [&str; 6] =
    ["not_an_object", "too_large", "unknown_type", "no_identifier", "bad_field", "bad_time"];

/// The codes of requests that were not taken at all.
const REQUEST_CODES: [&str; 14] = [
    "body_nil",
    "invalid_json",
    "empty_batch",
    "not_a_batch",
    "refused",
    "no_write_key",
    "invalid_write_key",
    "source_disabled",
    "source_not_webhook",
    "request_too_large",
    "busy",
    "rate_limited",
    "unavailable",
    "body_incomplete",
];

/// Everything that is counted, since the start.
#[derive(Debug)]
pub struct Meters {
    /// Requests that bring events.
    pub requests: Counter,
    /// Bytes of their bodies, as they came.
    pub bytes: Counter,
    /// Events that are in the log.
    pub accepted: Counter,
    /// Events of suppressed people: answered, not stored.
    pub suppressed: Counter,
    /// Events that no purpose declares: answered, not stored.
    pub minimised_events: Counter,
    /// Fields that no purpose declares, taken out of events.
    pub minimised_fields: Counter,
    /// Events among the dead letters, by the refusal's code.
    pub refused: ByCode<6>,
    /// Requests that were answered with an error, by its code; `busy` and `unavailable` are the log's.
    pub failed: ByCode<14>,
}

impl Default for Meters {
    fn default() -> Self {
        Meters {
            requests: Counter::default(),
            bytes: Counter::default(),
            accepted: Counter::default(),
            suppressed: Counter::default(),
            minimised_events: Counter::default(),
            minimised_fields: Counter::default(),
            refused: ByCode::new(REFUSAL_CODES),
            failed: ByCode::new(REQUEST_CODES),
        }
    }
}
