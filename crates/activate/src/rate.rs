//! The rate limit of a destination: a token bucket over the clock that is handed in.

/// A bucket that fills with `rate_per_s` tokens a second and holds those of one second, but at least one.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate_per_ms: f64,
    most: f64,
    tokens: f64,
    at_ms: i64,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate_per_s: f64, now_ms: i64) -> Bucket {
        let most = rate_per_s.max(1.0);
        Bucket { rate_per_ms: rate_per_s / 1_000.0, most, tokens: most, at_ms: now_ms }
    }

    /// How many tokens there are at `now_ms`. A clock that goes back adds none.
    pub fn available(&mut self, now_ms: i64) -> usize {
        let passed_ms = now_ms.saturating_sub(self.at_ms).max(0);
        self.tokens = (self.tokens + passed_ms as f64 * self.rate_per_ms).min(self.most);
        self.at_ms = now_ms;
        self.tokens as usize
    }

    /// Takes `count` tokens, which [`available`](Self::available) said are there.
    pub fn take(&mut self, count: usize) {
        self.tokens -= count as f64;
    }

    /// When the next token is there, in milliseconds since 1970.
    pub fn next_ms(&self) -> i64 {
        let missing = (1.0 - self.tokens).max(0.0);
        self.at_ms.saturating_add((missing / self.rate_per_ms).ceil() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_window_gets_more_than_its_rate_and_one_burst(
            rate_per_s in 0.5_f64..2_000.0,
            steps in proptest::collection::vec(0_i64..3_000, 1..100),
        ) {
            let mut bucket = Bucket::new(rate_per_s, 0);
            let (mut now_ms, mut taken) = (0, 0);
            for step in steps {
                now_ms += step;
                let count = bucket.available(now_ms);
                bucket.take(count);
                taken += count;
                prop_assert!(taken as f64 <= rate_per_s.max(1.0) + rate_per_s * now_ms as f64 / 1_000.0 + 1e-6);
                let next_ms = bucket.next_ms();
                prop_assert!(next_ms >= now_ms);
                prop_assert!(bucket.clone().available(next_ms + 1) >= 1);
            }
        }
    }
}
