//! The limit on what one source may send: the generic cell rate algorithm (ITU-T I.371), which is a token bucket kept
//! as one number, the instant at which all that was sent so far would have been sent at the allowed rate.

use std::collections::HashMap;

use onefold_model::{Timestamp, WorkspaceId, event::record::SourceId};
use parking_lot::Mutex;

/// What each source has sent of late. Bounded by the number of sources.
#[derive(Debug, Default)]
pub struct Limiter(Mutex<HashMap<(WorkspaceId, SourceId), i64>>);

impl Limiter {
    /// Takes `events` of `source` at `now`, or gives the seconds until it may send again.
    ///
    /// A batch is taken whole while anything is left of the second's allowance: one that is larger than the allowance
    /// would never be taken otherwise. What it took too much is waited for afterwards.
    pub(super) fn take(
        &self,
        source: (WorkspaceId, SourceId),
        events: usize,
        per_s_max: u32,
        now: Timestamp,
    ) -> Result<(), u64> {
        const SECOND_US: i64 = 1_000_000;
        let now_us = now.0.saturating_mul(1000);
        let cost_us = (events as i64).saturating_mul(SECOND_US) / i64::from(per_s_max.max(1));
        let mut ends = self.0.lock();
        let end_us = ends.entry(source).or_insert(now_us);
        let ahead_us = *end_us - now_us;
        if ahead_us >= SECOND_US {
            return Err(((ahead_us - SECOND_US) / SECOND_US + 1) as u64);
        }
        *end_us = (*end_us).max(now_us).saturating_add(cost_us);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_may_send_its_second_at_once_and_then_its_rate() {
        let limiter = Limiter::default();
        let take = |events, ms| limiter.take((WorkspaceId(1), 1), events, 10, Timestamp(ms));
        assert_eq!(take(9, 0), Ok(()));
        assert_eq!(take(1, 0), Ok(()));
        assert_eq!(take(1, 0), Err(1));
        assert_eq!(take(1, 1), Ok(()));
        assert_eq!(take(1, 1), Err(1));
        assert_eq!(take(1, 101), Ok(()));
        assert_eq!(take(1, 101), Err(1));
        // Another source is not held up.
        assert_eq!(limiter.take((WorkspaceId(2), 1), 1, 10, Timestamp(0)), Ok(()));
    }

    #[test]
    fn a_batch_over_the_allowance_is_taken_and_waited_for() {
        let limiter = Limiter::default();
        let take = |events, ms| limiter.take((WorkspaceId(1), 1), events, 10, Timestamp(ms));
        assert_eq!(take(100, 0), Ok(()));
        assert_eq!(take(1, 0), Err(10));
        assert_eq!(take(1, 8_999), Err(1));
        assert_eq!(take(1, 9_001), Ok(()));
    }
}
