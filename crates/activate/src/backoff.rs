//! How long to wait before the next attempt.
//!
//! Exponential with full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015): a random
//! time between nothing and the bound spreads the retries of many rows better than a bound with some noise on it.

use onefold_model::Rng;

/// The bound after the first failure, in milliseconds.
pub const FIRST_MS: i64 = 1_000;

/// The time to wait after `failures` failures (from 1), in milliseconds: `draw`, from 0 to 1, of
/// 1 s · 2^(failures − 1), at most `most_ms`.
pub fn full_jitter_ms(failures: u32, most_ms: i64, draw: f64) -> i64 {
    (bound_ms(failures, most_ms) as f64 * draw.clamp(0.0, 1.0)) as i64
}

/// The bound of [`full_jitter_ms`].
pub fn bound_ms(failures: u32, most_ms: i64) -> i64 {
    FIRST_MS.saturating_mul(1_i64 << failures.saturating_sub(1).min(40)).min(most_ms)
}

/// A number drawn evenly from 0 up to 1.
pub fn draw(rng: &dyn Rng) -> f64 {
    let mut bytes = [0; 8];
    rng.fill(&mut bytes);
    // The 53 bits that a double holds exactly.
    (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use onefold_model::rng::SeededRng;
    use proptest::prelude::*;

    #[test]
    fn the_bound_doubles_up_to_the_most() {
        let bounds: Vec<i64> = (0..13).map(|failures| bound_ms(failures, 900_000) / 1_000).collect();
        assert_eq!(bounds, [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    }

    proptest! {
        #[test]
        fn the_wait_is_within_its_bound(failures: u32, seed: u64, most_ms in 0_i64..10_000_000) {
            let wait = full_jitter_ms(failures, most_ms, draw(&SeededRng::new(seed)));
            prop_assert!((0..=bound_ms(failures, most_ms)).contains(&wait));
            prop_assert!(bound_ms(failures, most_ms) <= most_ms);
        }
    }
}
