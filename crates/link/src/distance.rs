//! How far two strings are apart: optimal string alignment, Jaro and Jaro–Winkler, a machine word at a time.
//!
//! Millions of pairs are compared, most of which differ altogether: a [`Sketch`] of each value settles those by two
//! numbers, before a byte of either string is read.

/// Longer strings are compared by their first bytes only: one machine word.
const BYTES_MAX: usize = 64;

/// Tables reused from one comparison to the next. One for each thread.
pub struct Scratch {
    /// For each byte, where it stands in the pattern. All zero between comparisons.
    positions: Box<[u64; 256]>,
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch { positions: Box::new([0; 256]) }
    }
}

fn clipped(text: &[u8]) -> &[u8] {
    &text[..text.len().min(BYTES_MAX)]
}

/// Without the bytes that both begin or both end with, which change neither distance.
fn differing<'a>(mut a: &'a [u8], mut b: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let prefix = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    (a, b) = (&a[prefix..], &b[prefix..]);
    let suffix = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    (&a[..a.len() - suffix], &b[..b.len() - suffix])
}

impl Scratch {
    fn learn(&mut self, pattern: &[u8]) {
        for (i, &byte) in pattern.iter().enumerate() {
            self.positions[usize::from(byte)] |= 1 << i;
        }
    }

    fn forget(&mut self, pattern: &[u8]) {
        for &byte in pattern {
            self.positions[usize::from(byte)] = 0;
        }
    }

    /// Insertions, deletions, substitutions and swaps of neighbours from one to the other, no part being edited twice:
    /// Damerau–Levenshtein in its restricted form, by Hyyrö's bit-vectors (A Bit-Vector Algorithm for Computing
    /// Levenshtein and Damerau Edit Distances, 2003, figure 8). Of the first 64 bytes.
    pub fn edits(&mut self, a: &[u8], b: &[u8]) -> usize {
        let (a, b) = differing(clipped(a), clipped(b));
        let (a, b) = if a.len() <= b.len() { (a, b) } else { (b, a) };
        match (a.len(), b.len()) {
            (0, distance) => return distance,
            (1, 1) => return 1,
            (2, 2) if a[0] == b[1] && a[1] == b[0] => return 1,
            _ => {}
        }
        self.learn(a);
        let last = 1u64 << (a.len() - 1);
        let (mut up, mut down, mut diagonal, mut before) = (!0u64, 0u64, 0u64, 0u64);
        let mut distance = a.len();
        for &byte in b {
            let here = self.positions[usize::from(byte)];
            let swapped = ((!diagonal & here) << 1) & before;
            diagonal = ((here & up).wrapping_add(up) ^ up) | here | down | swapped;
            let right_up = down | !(diagonal | up);
            let right_down = diagonal & up;
            distance += usize::from(right_up & last != 0);
            distance -= usize::from(right_down & last != 0);
            let right_up = right_up << 1 | 1;
            up = right_down << 1 | !(diagonal | right_up);
            down = right_up & diagonal;
            before = here;
        }
        self.forget(a);
        distance
    }

    /// Jaro's similarity, from 0 to 1 (Jaro, JASA 84, 1989). Of the first 64 bytes.
    ///
    /// By the definition, which of two strings comes first can make a difference; here the lesser one always does.
    pub fn jaro(&mut self, a: &[u8], b: &[u8]) -> f64 {
        let (a, b) = (clipped(a.min(b)), clipped(a.max(b)));
        if a.is_empty() || b.is_empty() {
            return f64::from(u8::from(a.len() == b.len()));
        }
        let reach = (a.len().max(b.len()) / 2).saturating_sub(1);
        self.learn(a);
        let (mut used, mut matched_in_b) = (0u64, 0u64);
        for (j, &byte) in b.iter().enumerate() {
            let (from, to) = (j.saturating_sub(reach), (j + reach + 1).min(BYTES_MAX));
            let window = if from >= BYTES_MAX { 0 } else { (!0u64 >> (BYTES_MAX - (to - from))) << from };
            let free = self.positions[usize::from(byte)] & window & !used;
            // The lowest one, as in the definition; none leaves both as they are.
            used |= free & free.wrapping_neg();
            matched_in_b |= u64::from(free != 0) << j;
        }
        self.forget(a);
        let matches = used.count_ones();
        if matches == 0 {
            return 0.0;
        }
        let mut out_of_place = 0u32;
        while used != 0 {
            let (i, j) = (used.trailing_zeros() as usize, matched_in_b.trailing_zeros() as usize);
            out_of_place += u32::from(a[i] != b[j]);
            used &= used - 1;
            matched_in_b &= matched_in_b - 1;
        }
        let m = f64::from(matches);
        (m / a.len() as f64 + m / b.len() as f64 + (m - f64::from(out_of_place / 2)) / m) / 3.0
    }

    /// Jaro's similarity with Winkler's bonus of a tenth for each of up to four bytes of common beginning (Winkler,
    /// String Comparator Metrics, 1990), where it is above 0.7.
    pub fn jaro_winkler(&mut self, a: &[u8], b: &[u8]) -> f64 {
        let jaro = self.jaro(a, b);
        if jaro <= 0.7 {
            return jaro;
        }
        let prefix = a.iter().zip(b).take(4).take_while(|(a, b)| a == b).count();
        jaro + prefix as f64 * 0.1 * (1.0 - jaro)
    }
}

/// What is known of a string without reading it: its length, its first three bytes, and which of 32 groups of bytes it
/// has any of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sketch(u64);

const GROUPS: u64 = 0xffff_ffff;
const FIRST_BYTES: u32 = 40;

impl Sketch {
    /// The sketch of `text`.
    pub fn of(text: &[u8]) -> Sketch {
        let text = clipped(text);
        let groups = text.iter().fold(0u64, |groups, byte| groups | 1 << (byte & 31));
        let first = (0..3).rev().fold(0u64, |first, i| first << 8 | u64::from(text.get(i).copied().unwrap_or(0)));
        Sketch(first << FIRST_BYTES | (text.len() as u64) << 32 | groups)
    }

    /// Bytes, at most 64.
    pub fn len(self) -> u32 {
        (self.0 >> 32) as u32 & 0xff
    }

    /// Groups that the other string has nothing of.
    fn without(self, other: Sketch) -> u32 {
        (self.0 & !other.0 & GROUPS).count_ones()
    }

    /// No fewer edits than this lie between the two strings.
    pub fn edits_min(self, other: Sketch) -> u32 {
        // An edit takes away the last byte of one group and brings the first of another, at most.
        self.len().abs_diff(other.len()).max(self.without(other)).max(other.without(self))
    }

    /// Jaro and Winkler's similarity is no higher than this, where it is above 0.7.
    pub fn jaro_winkler_max(self, other: Sketch) -> f64 {
        let (a, b) = (f64::from(self.len()), f64::from(other.len()));
        if self.len() == 0 || other.len() == 0 {
            return 1.0;
        }
        let matches = (a - f64::from(self.without(other))).min(b - f64::from(other.without(self))).max(0.0);
        let jaro = (matches / a + matches / b + 1.0) / 3.0;
        let differ = (self.0 ^ other.0) >> FIRST_BYTES;
        let prefix = if differ == 0 { 4 } else { differ.trailing_zeros() / 8 };
        jaro + f64::from(prefix) * 0.1 * (1.0 - jaro)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Optimal string alignment by its recurrence.
    fn edits_by_table(a: &[u8], b: &[u8]) -> usize {
        let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                table[i][j] = if i == 0 || j == 0 {
                    i + j
                } else {
                    let substituted = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let mut least = substituted.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        least = least.min(table[i - 2][j - 2] + 1);
                    }
                    least
                };
            }
        }
        table[a.len()][b.len()]
    }

    /// Jaro's similarity by its definition.
    fn jaro_by_definition(a: &[u8], b: &[u8]) -> f64 {
        let (a, b) = (a.min(b), a.max(b));
        if a.is_empty() || b.is_empty() {
            return f64::from(u8::from(a.len() == b.len()));
        }
        let reach = (a.len().max(b.len()) / 2).saturating_sub(1);
        let (mut of_a, mut of_b) = (vec![false; a.len()], vec![false; b.len()]);
        for j in 0..b.len() {
            for i in j.saturating_sub(reach)..(j + reach + 1).min(a.len()) {
                if !of_a[i] && a[i] == b[j] {
                    (of_a[i], of_b[j]) = (true, true);
                    break;
                }
            }
        }
        let chosen = |text: &[u8], flags: &[bool]| -> Vec<u8> {
            text.iter().zip(flags).filter(|(_, flag)| **flag).map(|(byte, _)| *byte).collect()
        };
        let (x, y) = (chosen(a, &of_a), chosen(b, &of_b));
        if x.is_empty() {
            return 0.0;
        }
        let m = x.len() as f64;
        let out_of_place = x.iter().zip(&y).filter(|(x, y)| x != y).count() / 2;
        (m / a.len() as f64 + m / b.len() as f64 + (m - out_of_place as f64) / m) / 3.0
    }

    #[test]
    fn known_distances() {
        let mut scratch = Scratch::default();
        let cases = [
            ("", "", 0),
            ("a", "", 1),
            ("ca", "abc", 3),
            ("stret", "street", 1),
            ("smiht", "smith", 1),
            ("kitten", "sitting", 3),
        ];
        for (a, b, distance) in cases {
            assert_eq!(scratch.edits(a.as_bytes(), b.as_bytes()), distance, "{a} {b}");
        }
        // From Winkler 1990, table 1.
        for (a, b, similarity) in [("martha", "marhta", 0.961), ("dwayne", "duane", 0.84), ("dixon", "dicksonx", 0.813)]
        {
            assert!((scratch.jaro_winkler(a.as_bytes(), b.as_bytes()) - similarity).abs() < 1e-3, "{a} {b}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn as_by_definition(a in "[a-d]{0,12}|[a-z]{0,64}|[a-cа-г]{0,20}", b in "[a-d]{0,12}|[a-z]{0,64}|[a-cа-г]{0,20}") {
            let mut scratch = Scratch::default();
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let edits = scratch.edits(a, b);
            prop_assert_eq!(edits, edits_by_table(a, b));
            prop_assert_eq!(edits, scratch.edits(b, a));
            let jaro = scratch.jaro(a, b);
            prop_assert!((jaro - jaro_by_definition(a, b)).abs() < 1e-12);
            prop_assert_eq!(jaro, scratch.jaro(b, a));
            let (x, y) = (Sketch::of(a), Sketch::of(b));
            prop_assert!(x.edits_min(y) as usize <= edits);
            prop_assert!(x.jaro_winkler_max(y) >= scratch.jaro_winkler(a, b) - 1e-12);
            prop_assert!(scratch.positions.iter().all(|bits| *bits == 0));
        }

        #[test]
        fn sketches_of_strings_that_are_alike(a in "[a-e]{3,20}", cut in 0usize..20, more in "[a-e]{0,2}", less in 0usize..3) {
            let mut scratch = Scratch::default();
            let cut = cut.min(a.len());
            let b = format!("{}{more}{}", &a[..cut], &a[(cut + less).min(a.len())..]);
            let (a, b) = (a.as_bytes(), b.as_bytes());
            prop_assert_eq!(scratch.edits(a, b), edits_by_table(a, b));
            let (x, y) = (Sketch::of(a), Sketch::of(b));
            prop_assert!(x.edits_min(y) as usize <= scratch.edits(a, b));
            prop_assert!(b.is_empty() || x.jaro_winkler_max(y) >= scratch.jaro_winkler(a, b) - 1e-12);
        }
    }
}
