//! Learning what agreement weighs, from records nobody has labelled.
//!
//! `random`, what chance does, is counted: levels between pairs drawn at random, and equality from how often values
//! repeat. The rest is learned by expectation and maximisation (Dempster, Laird, Rubin, JRSS B 39, 1977) over the pairs
//! that the blocking rules make. These agree in what their rule demands; so a field is learned from those pairs only that
//! some rule makes which does not read it. What a pair's class is given its pattern does not depend on how it was found.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::{
    blocking::Blocks,
    compare::{Comparer, EXACT, Pattern, levels},
    dictionary::{MISSING, mix},
    model::{Kind, Model, Shared},
    records::{Frequencies, Records},
    weights::{ALL, CLASSES, Class, LEARNED, Probabilities, Tied, Weights, log_sum, tied},
};

/// Pairs drawn at random.
const RANDOM_PAIRS: usize = 150_000;
/// Pairs of the blocking rules that are learned from, at most about this many.
const PAIRS: usize = 200_000;
/// What is known beforehand weighs as much as this many pairs.
const USUAL_PAIRS: f64 = 20.0;
/// How much what is usual weighs against what is learned, where it must carry the person.
const HELD: f64 = 1.0;
/// Of a handful of records all may be one person; any two still have to be likelier to be two.
const KNOWN_MAX: f64 = 0.5;
const ROUNDS_MAX: usize = 60;
/// Learning ends where no probability changes by more than this part of itself.
const CHANGE_MIN: f64 = 1e-3;
/// No probability is below this.
const FLOOR: f64 = 1e-7;

/// What somebody said of a pair weighs as much as this many pairs of which nobody said anything.
const LABEL_PAIRS: f64 = 10.0;

/// A pattern and the rules that make it, with how many pairs are so.
type Counted = (Pattern, u32, f64);

/// Two rows, and whether somebody said that they are one person.
pub type Label = (u32, u32, bool);

/// Learns the weights of `model`. The outcome depends on the records, their order, `labels` and `seed` alone.
pub fn train(
    model: &Model,
    records: &Records,
    frequencies: &Frequencies,
    blocks: &Blocks,
    labels: &[Label],
    seed: u64,
) -> Weights {
    let mut weights = Weights {
        records: records.len(),
        classes: [0.0; CLASSES],
        comparison: by_chance(model, records, frequencies, seed),
    };
    let all_pairs = (records.len() as f64 * (records.len() as f64 - 1.0) / 2.0).max(1.0);
    let (counted, share) = sample(model, records, blocks, seed);
    let neighbours = neighbours(model, records, frequencies);
    start(model, &mut weights, (records.len() as f64 / all_pairs).min(KNOWN_MAX));
    let usual = weights.comparison.clone();
    let mut comparer = Comparer::new(model);
    let labels: Vec<(Pattern, bool)> = labels
        .iter()
        .map(|(a, b, same)| (comparer.pattern(records, records.row(*a as usize), records.row(*b as usize)), *same))
        .collect();
    for _ in 0..ROUNDS_MAX {
        let before = weights.clone();
        let mut expected = expect(model, &weights, &counted);
        expect_labels(model, &weights, &labels, &mut expected);
        maximise(model, &mut weights, &usual, &expected, share * all_pairs, neighbours, frequencies);
        if change(&before, &weights) < CHANGE_MIN {
            break;
        }
    }
    weights
}

/// The largest change of a probability, relative to it, among those that matter.
fn change(a: &Weights, b: &Weights) -> f64 {
    let of = |weights: &Weights| -> Vec<f64> {
        let fields = weights.comparison.iter().flat_map(|of| of.same.iter().chain(&of.household).chain(&of.moved));
        // The classes as shares of each other: among all pairs, they are tiny.
        let known: f64 = weights.classes[..LEARNED].iter().sum();
        weights.classes[..LEARNED].iter().map(|class| class / known).chain(fields.copied()).collect()
    };
    of(a).iter().zip(of(b)).map(|(a, b)| (a - b).abs() / (a.max(b) + 1e-3)).fold(0.0, f64::max)
}

/// `random` of each comparison.
fn by_chance(model: &Model, records: &Records, frequencies: &Frequencies, seed: u64) -> Vec<Probabilities> {
    let n = records.len() as u64;
    let draws = RANDOM_PAIRS.min(records.len() * records.len());
    let counts = (0..draws.div_ceil(8192))
        .into_par_iter()
        .map(|chunk| {
            let mut comparer = Comparer::new(model);
            let mut counts = vec![[0u32; 16]; model.comparisons.len()];
            for draw in chunk * 8192..draws.min((chunk + 1) * 8192) {
                let random = |salt: u64| (mix(seed ^ mix(draw as u64 * 2 + salt + 1)) % n) as usize;
                let (a, b) = (random(0), random(1));
                if a != b {
                    let pattern = comparer.pattern(records, records.row(a), records.row(b));
                    for (i, counts) in counts.iter_mut().enumerate() {
                        counts[usize::from(pattern.level(i))] += 1;
                    }
                }
            }
            counts
        })
        .reduce(
            || vec![[0; 16]; model.comparisons.len()],
            |mut all, part| {
                all.iter_mut().zip(part).for_each(|(all, part)| all.iter_mut().zip(part).for_each(|(a, p)| *a += p));
                all
            },
        );
    let probabilities = |(i, counts): (usize, [u32; 16])| {
        let levels = levels(model.comparisons[i].kind).len();
        let counts = &counts[1..=levels];
        let total: f64 = counts.iter().map(|count| f64::from(*count)).sum();
        let smooth = |count: &u32| (f64::from(*count) + 1.0 / levels as f64) / (total + 1.0);
        let mut random: Vec<f64> = counts.iter().map(smooth).collect();
        let equal = frequencies.repeats(i).clamp(FLOOR, 1.0 - FLOOR);
        let others: f64 = random[1..].iter().sum();
        random[1..].iter_mut().for_each(|p| *p = (*p / others * (1.0 - equal)).max(FLOOR));
        random[0] = equal;
        Probabilities {
            column: model.comparisons[i].column.clone(),
            same: Vec::new(),
            random,
            moved: Vec::new(),
            household: Vec::new(),
        }
    };
    counts.into_iter().enumerate().map(probabilities).collect()
}

/// Patterns of the pairs that the rules make, and the share of them that was looked at.
fn sample(model: &Model, records: &Records, blocks: &Blocks, seed: u64) -> (Vec<Counted>, f64) {
    let share = (PAIRS as f64 / blocks.pairs().max(1) as f64).min(1.0);
    let limit = if share < 1.0 { (share * u64::MAX as f64) as u64 } else { u64::MAX };
    let mut counts: FxHashMap<(Pattern, u32), u32> = FxHashMap::default();
    for rule in 0..blocks.counts.len() {
        let of_rule = blocks
            .groups(rule)
            .with_min_len(64)
            .fold(
                || (Comparer::new(model), FxHashMap::<(Pattern, u32), u32>::default()),
                |(mut comparer, mut counts), group| {
                    for (i, &a) in group.iter().enumerate() {
                        for &b in &group[..i] {
                            let draw = mix(seed ^ (u64::from(a) << 32 | u64::from(b)));
                            if draw <= limit && blocks.is_new(rule, a, b) {
                                let (x, y) = (records.row(a as usize), records.row(b as usize));
                                let pattern = comparer.pattern(records, x, y);
                                *counts.entry((pattern, blocks.rules_of(a, b))).or_default() += 1;
                            }
                        }
                    }
                    (comparer, counts)
                },
            )
            .map(|(_, counts)| counts)
            .reduce(FxHashMap::default, merge);
        counts = merge(counts, of_rule);
    }
    let mut counted: Vec<Counted> =
        counts.into_iter().map(|((pattern, rules), count)| (pattern, rules, f64::from(count))).collect();
    // Sums of floating-point numbers depend on their order.
    counted.sort_unstable_by_key(|(pattern, rules, _)| (*pattern, *rules));
    (counted, share)
}

fn merge<K: std::hash::Hash + Eq>(mut a: FxHashMap<K, u32>, mut b: FxHashMap<K, u32>) -> FxHashMap<K, u32> {
    if a.len() < b.len() {
        std::mem::swap(&mut a, &mut b);
    }
    for (key, count) in b {
        *a.entry(key).or_default() += count;
    }
    a
}

/// The probability that two records are of one area, beyond what chance makes: how often the two most telling parts of
/// an area repeat together. 0 where there is one part only.
fn neighbours(model: &Model, records: &Records, frequencies: &Frequencies) -> f64 {
    let mut areas: Vec<usize> = (0..model.comparisons.len())
        .filter(|i| model.comparisons[*i].shared == Shared::Area && frequencies.repeats(*i) > 0.0)
        .collect();
    areas.sort_by(|a, b| frequencies.repeats(*a).total_cmp(&frequencies.repeats(*b)));
    let [a, b, ..] = areas.as_slice() else { return 0.0 };
    let mut counts: FxHashMap<(u32, u32), u32> = FxHashMap::default();
    for row in 0..records.len() {
        let row = records.row(row);
        if row[*a] != MISSING && row[*b] != MISSING {
            *counts.entry((row[*a], row[*b])).or_default() += 1;
        }
    }
    let total: f64 = counts.values().map(|count| f64::from(*count)).sum();
    let together: f64 = counts.values().map(|count| f64::from(*count) * (f64::from(*count) - 1.0)).sum();
    together / (total * (total - 1.0)).max(1.0) - frequencies.repeats(*a) * frequencies.repeats(*b)
}

/// Where learning starts: the usual levels, and `pairs` of one person per pair of records.
fn start(model: &Model, weights: &mut Weights, pairs: f64) {
    weights.classes = [0.4 * pairs, 0.1 * pairs, 0.3 * pairs, 0.05 * pairs, 0.01 * pairs, 1e-12, 1.0];
    for (comparison, of) in model.comparisons.iter().zip(&mut weights.comparison) {
        let usual: Vec<f64> = levels(comparison.kind).iter().map(|level| level.usual).collect();
        let mixed = |share: f64| -> Vec<f64> {
            usual.iter().zip(&of.random).map(|(usual, random)| share * usual + (1.0 - share) * random).collect()
        };
        let shares = match (comparison.kind, comparison.shared) {
            (Kind::Date, _) => 0.02,
            (Kind::Surname, _) => 0.7,
            _ => 0.25,
        };
        let (household, moved) = (mixed(shares), mixed(0.25));
        of.same = usual;
        for class in ALL {
            match tied(comparison, class) {
                Tied::Household => of.household.clone_from(&household),
                Tied::Moved => of.moved.clone_from(&moved),
                Tied::Same | Tied::Random => {}
            }
        }
    }
    if !model.comparisons.iter().any(|comparison| comparison.address) {
        weights.classes[Class::SameMoved as usize] = 0.0;
        weights.classes[Class::HouseholdMoved as usize] = 0.0;
    }
    // Without what tells people of a household apart, there is no telling.
    if !model.comparisons.iter().any(|comparison| comparison.shared == Shared::Person) {
        weights.classes[Class::Household as usize] = 0.0;
        weights.classes[Class::HouseholdMoved as usize] = 0.0;
        weights.classes[Class::Namesake as usize] = 0.0;
    }
}

/// How many pairs are expected: of each class, and by comparison, whose probabilities and level.
struct Expected {
    classes: [f64; CLASSES],
    levels: Vec<[[f64; 16]; 4]>,
}

fn expect(model: &Model, weights: &Weights, counted: &[Counted]) -> Expected {
    let width = model.comparisons.len();
    let mut logs = vec![[[0.0f64; CLASSES]; 16]; width];
    let mut whose = vec![[0usize; CLASSES]; width];
    let mut free = vec![0u32; width];
    for (i, comparison) in model.comparisons.iter().enumerate() {
        for class in ALL {
            let tied = tied(comparison, class);
            whose[i][class as usize] = tied as usize;
            for (level, p) in (1..).zip(weights.comparison[i].of(tied)) {
                logs[i][level][class as usize] = p.log2();
            }
        }
        for (bit, rule) in model.rules.iter().enumerate() {
            let reads = rule.on.iter().any(|part| part.columns().contains(&comparison.column.as_str()));
            free[i] |= u32::from(!reads) << bit;
        }
        if free[i] == 0 {
            free[i] = u32::MAX;
        }
    }
    let prior = weights.classes.map(f64::log2);
    let nothing = || Expected { classes: [0.0; CLASSES], levels: vec![[[0.0; 16]; 4]; width] };
    let parts: Vec<Expected> = counted
        .par_chunks(4096)
        .map(|chunk| {
            let mut expected = nothing();
            for (pattern, rules, count) in chunk {
                let mut of_class = prior;
                for (i, logs) in logs.iter().enumerate() {
                    let level = usize::from(pattern.level(i));
                    of_class.iter_mut().zip(logs[level]).for_each(|(class, log)| *class += log);
                }
                let total = log_sum(&of_class);
                let of_class = of_class.map(|log| (log - total).exp2() * count);
                expected.classes.iter_mut().zip(of_class).for_each(|(all, part)| *all += part);
                for i in 0..width {
                    let level = usize::from(pattern.level(i));
                    if level > 0 && rules & free[i] != 0 {
                        for (whose, part) in whose[i].iter().zip(of_class) {
                            expected.levels[i][*whose][level] += part;
                        }
                    }
                }
            }
            expected
        })
        .collect();
    // In the order of the chunks, whichever thread was first.
    parts.into_iter().fold(nothing(), |mut all, part| {
        all.classes.iter_mut().zip(part.classes).for_each(|(all, part)| *all += part);
        for (all, part) in all.levels.iter_mut().flatten().flatten().zip(part.levels.iter().flatten().flatten()) {
            *all += part;
        }
        all
    })
}

/// Adds the pairs of which somebody said what they are. They were chosen because they are hard, so they say nothing of
/// how often pairs are one person.
fn expect_labels(model: &Model, weights: &Weights, labels: &[(Pattern, bool)], expected: &mut Expected) {
    for (pattern, same) in labels {
        let mut of_class = weights.classes.map(f64::log2);
        let others = if *same { 2..CLASSES } else { 0..2 };
        of_class[others].fill(f64::NEG_INFINITY);
        for (i, comparison) in model.comparisons.iter().enumerate() {
            if let Some(level) = usize::from(pattern.level(i)).checked_sub(1) {
                for class in ALL {
                    of_class[class as usize] += weights.comparison[i].of(tied(comparison, class))[level].log2();
                }
            }
        }
        let total = log_sum(&of_class);
        if !total.is_finite() {
            continue;
        }
        for (i, comparison) in model.comparisons.iter().enumerate() {
            let level = usize::from(pattern.level(i));
            for class in ALL.iter().filter(|_| level > 0) {
                let part = (of_class[*class as usize] - total).exp2() * LABEL_PAIRS;
                expected.levels[i][tied(comparison, *class) as usize][level] += part;
            }
        }
    }
}

fn maximise(
    model: &Model,
    weights: &mut Weights,
    usual: &[Probabilities],
    expected: &Expected,
    pairs: f64,
    neighbours: f64,
    frequencies: &Frequencies,
) {
    for class in &ALL[..LEARNED] {
        let class = *class as usize;
        if weights.classes[class] > 0.0 {
            // At least a pair: what was not seen may be met yet.
            weights.classes[class] = (expected.classes[class] + 0.5) / pairs;
        }
    }
    let known: f64 = weights.classes[..LEARNED].iter().sum();
    if known > KNOWN_MAX {
        weights.classes[..LEARNED].iter_mut().for_each(|class| *class *= KNOWN_MAX / known);
    }
    let known = known.min(KNOWN_MAX);
    weights.classes[Class::Area as usize] = (neighbours - known).max(1e-12);
    weights.classes[Class::Random as usize] = 1.0 - known - weights.classes[Class::Area as usize];
    // As much as there are pairs of households to be mistaken.
    let of_two: f64 = weights.classes[2..LEARNED].iter().sum();
    let held = HELD * (of_two / (weights.classes[0] + weights.classes[1])).min(1.0);
    for (i, comparison) in model.comparisons.iter().enumerate() {
        let of = &mut weights.comparison[i];
        for whose in [Tied::Same, Tied::Moved, Tied::Household] {
            let usual = usual[i].of(whose);
            if usual.is_empty() {
                continue;
            }
            let counts = &expected.levels[i][whose as usize][1..=usual.len()];
            let total: f64 = counts.iter().sum::<f64>() + USUAL_PAIRS;
            let learned =
                counts.iter().zip(usual).map(|(count, usual)| ((count + USUAL_PAIRS * usual) / total).max(FLOOR));
            let mut learned: Vec<f64> = learned.collect();
            if whose == Tied::Same && comparison.shared == Shared::Person {
                hold_last(&mut learned, usual, held);
            }
            *of.of_mut(whose) = learned;
        }
        // Values repeat between records of one person too; chance makes the rest.
        let equal = usize::from(EXACT) - 1;
        let repeats = frequencies.repeats(i).clamp(FLOOR, 1.0 - FLOOR);
        let explained: f64 = ALL[..LEARNED]
            .iter()
            .map(|class| weights.classes[*class as usize] * weights.comparison[i].of(tied(comparison, *class))[equal])
            .sum();
        weights.comparison[i].random[equal] = (repeats - explained).max(repeats * 0.02).max(FLOOR);
    }
}

/// Holds the last level, that the values differ, to what is usual. Where many values are missing or wrong, pairs of one
/// household explain themselves as pairs of one person whose given names differ often, as well as by a household; people
/// know better.
fn hold_last(learned: &mut [f64], usual: &[f64], held: f64) {
    let Some((last, others)) = learned.split_last_mut() else { return };
    let kept = (*last + held * usual[others.len()]) / (1.0 + held);
    let scale = (1.0 - kept) / (1.0 - *last).max(FLOOR);
    others.iter_mut().for_each(|p| *p = (*p * scale).max(FLOOR));
    *last = kept;
}
