//! The circuit breaker of a destination.
//!
//! A target that is down is found out by one probe at a time, not by every row that waits for it. While the breaker is
//! open, rows keep their attempts: what an outage costs is waiting, not rows.

use crate::backoff;

/// When the breaker opens and how it probes.
#[derive(Debug, Clone, Copy)]
pub struct BreakerSettings {
    /// Opens after so many failed hand-offs in a row.
    pub failures: u32,
    /// The longest time between two probes, in milliseconds.
    pub probe_ms_max: i64,
    /// A failed probe costs its row no attempt until the breaker has been open so long, in milliseconds. After that it
    /// does, so that a row that alone makes its target fail is given up in the end.
    pub spare_ms: i64,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        BreakerSettings { failures: 5, probe_ms_max: 60_000, spare_ms: 3_600_000 }
    }
}

/// What may be handed over now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Whatever waits.
    All,
    /// One delivery, to see whether the target is back.
    Probe,
    /// Nothing before this time, in milliseconds since 1970.
    NotBefore(i64),
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Breaker {
    settings: BreakerSettings,
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    since_ms: i64,
    probes: u32,
    next_ms: i64,
}

impl Breaker {
    /// A closed one.
    pub fn new(settings: BreakerSettings) -> Breaker {
        Breaker { settings, failures: 0, open: None }
    }

    /// What may be handed over at `now_ms`.
    pub fn admit(&self, now_ms: i64) -> Admission {
        match self.open {
            None => Admission::All,
            Some(open) if now_ms < open.next_ms => Admission::NotBefore(open.next_ms),
            Some(_) => Admission::Probe,
        }
    }

    /// The target answered.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.open = None;
    }

    /// The target did not take anything of a hand-off, at `now_ms`. `after_ms`: it asked to wait so long. `draw` from
    /// 0 to 1 spreads the next probe over the second half of its time.
    pub fn failed(&mut self, now_ms: i64, after_ms: Option<i64>, draw: f64, probe: bool) {
        self.failures = self.failures.saturating_add(1);
        let open = match self.open {
            Some(open) if probe => Open { probes: open.probes.saturating_add(1), ..open },
            // A hand-off that was under way when the breaker opened tells nothing new.
            Some(_) => return,
            None if self.failures >= self.settings.failures => Open { since_ms: now_ms, probes: 1, next_ms: 0 },
            None => return,
        };
        let bound_ms = backoff::bound_ms(open.probes, self.settings.probe_ms_max);
        let wait_ms = (bound_ms / 2 + (bound_ms as f64 / 2.0 * draw) as i64).max(after_ms.unwrap_or(0));
        self.open = Some(Open { next_ms: now_ms.saturating_add(wait_ms), ..open });
    }

    /// Whether a probe that failed at `now_ms` costs its row no attempt.
    pub fn spares(&self, now_ms: i64) -> bool {
        self.open.is_some_and(|open| now_ms - open.since_ms < self.settings.spare_ms)
    }

    /// `closed`, `open` or `half_open`, for people.
    pub fn state(&self, now_ms: i64) -> &'static str {
        match self.admit(now_ms) {
            Admission::All => "closed",
            Admission::Probe => "half_open",
            Admission::NotBefore(_) => "open",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Admission::*;

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(BreakerSettings { failures: 3, ..BreakerSettings::default() });
        (0..3).for_each(|_| breaker.failed(100, None, 1.0, false));
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_not_before() {
        let mut breaker = Breaker::new(BreakerSettings { failures: 3, ..BreakerSettings::default() });
        for _ in 0..2 {
            breaker.failed(100, None, 1.0, false);
            breaker.failed(100, None, 1.0, false);
            assert_eq!(breaker.admit(100), All);
            breaker.succeeded();
        }
        let breaker = opened();
        assert_eq!((breaker.admit(100), breaker.admit(1_099)), (NotBefore(1_100), NotBefore(1_100)));
        assert_eq!(breaker.admit(1_100), Probe);
    }

    #[test]
    fn a_failed_probe_doubles_the_wait_and_a_good_one_closes() {
        let mut breaker = opened();
        breaker.failed(1_100, None, 1.0, true);
        assert_eq!(breaker.admit(1_100), NotBefore(3_100));
        breaker.failed(3_100, Some(50_000), 0.0, true);
        assert_eq!(breaker.admit(3_100), NotBefore(53_100));
        for _ in 0..20 {
            breaker.failed(60_000, None, 1.0, true);
        }
        assert_eq!(breaker.admit(60_000), NotBefore(120_000));
        breaker.succeeded();
        assert_eq!((breaker.admit(60_000), breaker.state(60_000)), (All, "closed"));
    }

    #[test]
    fn what_was_under_way_when_it_opened_changes_nothing() {
        let mut breaker = opened();
        breaker.failed(500, None, 1.0, false);
        assert_eq!(breaker.admit(500), NotBefore(1_100));
    }

    #[test]
    fn attempts_are_spared_for_an_hour() {
        let breaker = opened();
        assert!(breaker.spares(100 + 3_599_999));
        assert!(!breaker.spares(100 + 3_600_000));
        assert!(!Breaker::new(BreakerSettings::default()).spares(0));
    }
}
