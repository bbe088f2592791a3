//! Why a pair has its score: a waterfall of parts that add up to it.

use std::fmt;

use crate::{
    compare::{Comparer, UNKNOWN, levels},
    judge::Judge,
    linker::Linker,
    model::Model,
    weights::{CLASSES, Class, Scorer, Weights, log_sum, odds},
};

/// A part of a score.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The column, or what else it is.
    pub label: String,
    /// The values that were compared, as they were prepared; empty where none were.
    pub values: [String; 2],
    /// How they compare, or what the part means.
    pub level: &'static str,
    /// What it adds, bits.
    pub bits: f64,
}

/// A score with its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Waterfall {
    /// The two ids.
    pub ids: [String; 2],
    /// They add up to the score.
    pub steps: Vec<Step>,
    /// Log, base 2, of the odds that both are one person, bits.
    pub score: f64,
    /// The blocking rules that make this pair; none where it is not among those compared.
    pub rules: Vec<String>,
}

impl Waterfall {
    /// The probability that both are one person.
    pub fn probability(&self) -> f64 {
        1.0 / (1.0 + (-self.score).exp2())
    }
}

impl Linker<'_> {
    /// Why the records in these two rows of the table have their score.
    ///
    /// # Panics
    ///
    /// Where the table has no such row.
    pub fn explain(&self, weights: &Weights, a: usize, b: usize) -> Waterfall {
        let ids = [a, b].map(|row| String::from_utf8_lossy(self.table.id(row)).into_owned());
        let place = |row: usize| self.order.iter().position(|of| *of as usize == row).expect("a row of the table");
        let (a, b) = (place(a) as u32, place(b) as u32);
        let scorer = Scorer::new(self.model, weights);
        let made = self.blocks.rules_of(a, b);
        let rules = self.model.rules.iter().enumerate().filter(|(bit, _)| made >> bit & 1 == 1);
        let rules = rules.map(|(_, rule)| rule.to_string()).collect();
        explain(self.model, self.judge(&scorer), [a, b], ids, rules)
    }
}

/// Why two rows have their score.
pub(crate) fn explain(
    model: &Model,
    judge: Judge<'_>,
    rows: [u32; 2],
    ids: [String; 2],
    rules: Vec<String>,
) -> Waterfall {
    let Judge { records, frequencies, scorer, .. } = judge;
    let [a, b] = rows.map(|row| row as usize);
    let (x, y) = (records.row(a), records.row(b));
    let pattern = Comparer::new(model).pattern(records, x, y);
    let lanes = scorer.lanes(frequencies, pattern, x, y);
    let (same, random) = (Class::Same as usize, Class::Random as usize);
    let step = |label: &str, level, bits| Step { label: label.to_owned(), values: Default::default(), level, bits };
    let mut steps =
        vec![step("start", "how often two records are one person", scorer.prior()[same] - scorer.prior()[random])];
    for (i, comparison) in model.comparisons.iter().enumerate() {
        let part = scorer.part(frequencies, pattern, x, y, i);
        let level = match pattern.level(i) {
            UNKNOWN => "says nothing",
            level => levels(comparison.kind)[usize::from(level) - 1].name,
        };
        steps.push(Step {
            label: comparison.column.clone(),
            values: [records.text(a, i), records.text(b, i)],
            level,
            bits: part[same] - part[random],
        });
    }
    let moved = log_sum(&lanes[..2]) - lanes[same];
    let others = lanes[random] - log_sum(&lanes[2..CLASSES]);
    steps.push(step("moved", "one person may have two addresses", moved));
    steps.push(step("household", "two of one household or area have much in common", others));
    Waterfall { ids, steps, score: odds(&lanes), rules }
}

impl fmt::Display for Waterfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = &self.ids;
        writeln!(f, "{a} and {b}: {:+.2} bits, probability {:.6}", self.score, self.probability())?;
        let mut sum = 0.0;
        for step in &self.steps {
            sum += step.bits;
            let values = match &step.values {
                [x, y] if x.is_empty() && y.is_empty() => String::new(),
                [x, y] if x == y => format!("{x:?}: "),
                [x, y] => format!("{x:?}, {y:?}: "),
            };
            writeln!(f, "{:+9.2} {:+9.2}  {:<20} {values}{}", step.bits, sum, step.label, step.level)?;
        }
        if self.rules.is_empty() {
            writeln!(f, "No blocking rule makes this pair.")
        } else {
            writeln!(f, "Made by: {}", self.rules.join("; "))
        }
    }
}
