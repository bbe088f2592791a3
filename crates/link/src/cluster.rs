//! From scored pairs to people: groups that can refuse a pair.
//!
//! Taking every pair above a threshold as certain chains twins, households and namesakes together through one weak link.
//! Here the records of a connected group are compared *all* with each other, and joined from the bottom up as long as
//! what two clusters have in common speaks for one person (correlation clustering by agglomeration; Bansal, Blum, Chawla,
//! Machine Learning 56, 2004). So a pair that speaks against weighs as much as one that speaks for.
//!
//! Two clusters are compared as two records are, field by field: the mean of a field over those pairs of their records
//! that both have it. A mean of the pairs' scores would let records that lack a birth date talk away that all others
//! contradict each other in it.
//!
//! The outcome is a function of the connected group alone: what lies elsewhere, and in which order records came, changes
//! nothing. That makes a record added later give the same clusters as all records at once.

use crate::weights::{Lanes, odds};

/// How each two of a few records, or of their clusters, compare in each field.
pub struct Evidence {
    count: usize,
    width: usize,
    prior: Lanes,
    /// For each pair and field, the sum over pairs of records that both have it, and how many these are.
    fields: Vec<(Lanes, f64)>,
    /// For each pair, whether the two must not be one; empty where none is.
    forbidden: Vec<bool>,
}

impl Evidence {
    /// Of `count` records compared in `width` fields. `compare(i, j, fields)` with `i < j` fills what each field adds to the
    /// classes, and 1 where both records have it.
    pub fn of(
        count: usize,
        width: usize,
        prior: Lanes,
        mut compare: impl FnMut(usize, usize, &mut [(Lanes, f64)]),
    ) -> Evidence {
        let mut fields = vec![(Lanes::default(), 0.0); count * count.saturating_sub(1) / 2 * width];
        let mut pairs = fields.chunks_exact_mut(width);
        for j in 0..count {
            for (i, pair) in (0..j).zip(&mut pairs) {
                compare(i, j, pair);
            }
        }
        Evidence { count, width, prior, fields, forbidden: Vec::new() }
    }

    /// Keeps these apart, and so the clusters that they are in.
    pub fn forbid(&mut self, forbidden: impl Fn(usize, usize) -> bool) {
        let pairs = (0..self.count).flat_map(|j| (0..j).map(move |i| (i, j)));
        self.forbidden = pairs.map(|(i, j)| forbidden(i, j)).collect();
    }

    /// The place of a pair.
    fn place(i: usize, j: usize) -> usize {
        let (i, j) = (i.min(j), i.max(j));
        j * (j - 1) / 2 + i
    }

    fn score(&self, i: usize, j: usize) -> f64 {
        if self.forbidden.get(Self::place(i, j)).copied().unwrap_or(false) {
            return f64::NEG_INFINITY;
        }
        let start = Self::place(i, j) * self.width;
        let mut lanes = self.prior;
        for (sum, count) in &self.fields[start..start + self.width] {
            if *count > 0.0 {
                lanes.iter_mut().zip(sum).for_each(|(lane, sum)| *lane += sum / count);
            }
        }
        odds(&lanes)
    }

    /// Adds what `j` has in common with `k` to what `i` has.
    fn add(&mut self, i: usize, j: usize, k: usize) {
        let (to, from) = (Self::place(i, k), Self::place(j, k));
        if let Some(forbidden) = self.forbidden.get(from).copied() {
            self.forbidden[to] |= forbidden;
        }
        let (to, from) = (to * self.width, from * self.width);
        for field in 0..self.width {
            let (sum, count) = self.fields[from + field];
            let (to, all) = &mut self.fields[to + field];
            to.iter_mut().zip(sum).for_each(|(to, sum)| *to += sum);
            *all += count;
        }
    }

    /// For each record, the first record of its cluster. Clusters are joined while that scores above `join` bits, the
    /// best first. Ties go to the records that come first.
    pub fn clusters(mut self, join: f64) -> Vec<usize> {
        let count = self.count;
        let mut first: Vec<usize> = (0..count).collect();
        let mut alive = first.clone();
        let mut scores = vec![f64::NEG_INFINITY; count * count];
        for j in 0..count {
            (0..j).for_each(|i| scores[i * count + j] = self.score(i, j));
        }
        // For each record, its best partner among those after it.
        let best_of = |scores: &[f64], alive: &[usize], i: usize| -> (f64, usize) {
            let later = alive.iter().copied().filter(|j| *j > i);
            later.fold((f64::NEG_INFINITY, 0), |best, j| {
                if scores[i * count + j] > best.0 { (scores[i * count + j], j) } else { best }
            })
        };
        let mut best: Vec<(f64, usize)> = (0..count).map(|i| best_of(&scores, &alive, i)).collect();
        loop {
            let mut most = (join, 0, 0);
            for &i in &alive {
                if best[i].0 > most.0 {
                    most = (best[i].0, i, best[i].1);
                }
            }
            let (_, i, j) = most;
            if i == j {
                return first;
            }
            alive.retain(|k| *k != j);
            first.iter_mut().filter(|first| **first == j).for_each(|first| *first = i);
            for &k in alive.iter().filter(|k| **k != i) {
                self.add(i, j, k);
                scores[i.min(k) * count + i.max(k)] = self.score(i, k);
            }
            for &k in &alive {
                if k == i || best[k].1 == j || best[k].1 == i || (k < i && scores[k * count + i] > best[k].0) {
                    best[k] = best_of(&scores, &alive, k);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{CLASSES, Class};

    /// Records with a name each and a birth date or none, compared by hand: names that agree speak for one person by 6
    /// bits, birth dates by 10 or against by 8.
    fn clusters(records: &[(char, Option<u32>)], join: f64) -> Vec<usize> {
        let mut prior = [f64::NEG_INFINITY; 8];
        (prior[Class::Same as usize], prior[CLASSES - 1]) = (0.0, 0.0);
        let bits = |bits: f64| {
            let mut lanes = Lanes::default();
            lanes[Class::Same as usize] = bits;
            (lanes, 1.0)
        };
        let evidence = Evidence::of(records.len(), 2, prior, |i, j, fields| {
            let ((name, birth), (other_name, other_birth)) = (records[i], records[j]);
            fields[0] = bits(if name == other_name { 6.0 } else { -6.0 });
            if let (Some(birth), Some(other)) = (birth, other_birth) {
                fields[1] = bits(if birth == other { 10.0 } else { -8.0 });
            }
        });
        evidence.clusters(join)
    }

    #[test]
    fn what_is_missing_does_not_talk_a_contradiction_away() {
        // The mean over the pairs' scores of {1950, 1950, none} and {1980, 1980} would be +0.7 bits.
        let records = [('a', Some(1950)), ('a', Some(1980)), ('a', Some(1950)), ('a', None), ('a', Some(1980))];
        assert_eq!(clusters(&records, 0.0), [0, 1, 0, 0, 1]);
    }

    #[test]
    fn a_threshold_is_passed_and_not_met() {
        assert_eq!(clusters(&[('a', None), ('a', None)], 6.0), [0, 1]);
        assert_eq!(clusters(&[('a', None), ('a', None)], 5.9), [0, 0]);
        // Evidence is a mean: three who agree are no more certain than two.
        assert_eq!(clusters(&[('a', None), ('a', None), ('a', None)], 6.0), [0, 1, 2]);
        assert_eq!(clusters(&[('a', None), ('b', None), ('a', None), ('b', None)], 0.0), [0, 1, 0, 1]);
        assert_eq!(clusters(&[('a', Some(1950)), ('a', Some(1950)), ('a', None)], 7.0), [0, 0, 2]);
        assert_eq!(clusters(&[], 0.0), Vec::<usize>::new());
    }
}
