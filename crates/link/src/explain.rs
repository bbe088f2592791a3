//! Why a pair has its score: a waterfall of parts that add up to it.

use std::fmt;

use crate::{
    compare::{Comparer, UNKNOWN, levels},
    linker::Linker,
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
        let place = |row: usize| self.order.iter().position(|of| *of as usize == row);
        let (a, b) = (place(a).expect("a row of the table"), place(b).expect("a row of the table"));
        let scorer = Scorer::new(self.model, weights);
        let (x, y) = (self.records.row(a), self.records.row(b));
        let pattern = Comparer::new(self.model).pattern(&self.records, x, y);
        let lanes = scorer.lanes(&self.frequencies, pattern, x, y);
        let (same, random) = (Class::Same as usize, Class::Random as usize);
        let step = |label: &str, level, bits| Step { label: label.to_owned(), values: Default::default(), level, bits };
        let mut steps =
            vec![step("start", "how often two records are one person", scorer.prior()[same] - scorer.prior()[random])];
        for (i, comparison) in self.model.comparisons.iter().enumerate() {
            let part = scorer.part(&self.frequencies, pattern, x, y, i);
            let level = match pattern.level(i) {
                UNKNOWN => "says nothing",
                level => levels(comparison.kind)[usize::from(level) - 1].name,
            };
            steps.push(Step {
                label: comparison.column.clone(),
                values: [self.records.text(a, i), self.records.text(b, i)],
                level,
                bits: part[same] - part[random],
            });
        }
        let moved = log_sum(&lanes[..2]) - lanes[same];
        let others = lanes[random] - log_sum(&lanes[2..CLASSES]);
        steps.push(step("moved", "one person may have two addresses", moved));
        steps.push(step("household", "two of one household or area have much in common", others));
        let made = self.blocks.rules_of(a as u32, b as u32);
        let rules = self.model.rules.iter().enumerate().filter(|(bit, _)| made >> bit & 1 == 1);
        Waterfall { ids, steps, score: odds(&lanes), rules: rules.map(|(_, rule)| rule.to_string()).collect() }
    }
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
