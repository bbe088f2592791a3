//! From scored pairs to people: groups that can refuse a pair.
//!
//! Taking every pair above a threshold as certain chains twins, households and namesakes together through one weak link.
//! Here the records of a connected group are compared *all* with each other, and joined from the bottom up as long as
//! the mean score between two clusters stays above the threshold (correlation clustering by agglomeration; Bansal, Blum,
//! Chawla, Machine Learning 56, 2004; average linkage). So one pair that speaks against weighs as much as one that speaks for.
//!
//! The outcome is a function of the connected group alone: what lies elsewhere, and in which order records came, changes
//! nothing. That makes a record added later give the same clusters as all records at once.

/// Scores beyond this count as this much, bits: no agreement is certain enough to outweigh any contradiction.
pub const SCORE_MAX: f64 = 16.0;
/// And no contradiction any agreement.
pub const SCORE_MIN: f64 = -16.0;

/// The scores of all pairs of a few records.
#[derive(Debug, Clone)]
pub struct Scores {
    count: usize,
    scores: Vec<f64>,
}

impl Scores {
    /// The scores of `count` records, by `score(i, j)` with `i < j`.
    pub fn of(count: usize, mut score: impl FnMut(usize, usize) -> f64) -> Scores {
        let mut scores = vec![0.0; count * count];
        for j in 0..count {
            for i in 0..j {
                let e=|n:&str,d:f64|std::env::var(n).map_or(d,|v|v.parse().unwrap());let score = score(i, j).clamp(e("SMIN",SCORE_MIN),e("SMAX", SCORE_MAX));
                scores[i * count + j] = score;
                scores[j * count + i] = score;
            }
        }
        Scores { count, scores }
    }

    /// For each record, the first record of its cluster. Ties go to the records that come first.
    pub fn clusters(mut self, join: f64) -> Vec<usize> {
        let count = self.count;
        let mut first: Vec<usize> = (0..count).collect();
        let mut sizes = vec![1.0f64; count];
        let mut alive: Vec<usize> = (0..count).collect();
        loop {
            let mut best: Option<(f64, usize, usize)> = None;
            for (x, &i) in alive.iter().enumerate() {
                for &j in &alive[x + 1..] {
                    let mean = self.scores[i * count + j] / (sizes[i] * sizes[j]);
                    if mean > best.map_or(join, |(mean, ..)| mean) {
                        best = Some((mean, i, j));
                    }
                }
            }
            let Some((_, i, j)) = best else { break };
            for &k in &alive {
                if k != i && k != j {
                    let sum = self.scores[i * count + k] + self.scores[j * count + k];
                    self.scores[i * count + k] = sum;
                    self.scores[k * count + i] = sum;
                }
            }
            sizes[i] += sizes[j];
            alive.retain(|k| *k != j);
            first.iter_mut().filter(|first| **first == j).for_each(|first| *first = i);
        }
        first
    }
}
