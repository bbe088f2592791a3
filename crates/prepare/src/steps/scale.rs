//! A number is moved and stretched, so that numbers of different kinds compare.

use serde::{Deserialize, Serialize};

use super::{Apply, Compile, number, set, to_json};
use crate::Place;

/// By which figures of the whole; the quality report has them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// 0 at the least, 1 at the greatest; what lies outside is drawn in.
    MinMax {
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
    },
    /// Standard deviations from the mean.
    ZScore {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        deviation: f64,
    },
    /// Interquartile ranges from the median, which outliers do not move.
    Robust {
        /// The median.
        median: f64,
        /// The distance between the quartiles.
        iqr: f64,
    },
}

/// Which number by what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The number.
    pub of: Place,
    /// By what.
    pub by: By,
}

impl Compile for Scale {
    fn compile(&self) -> Result<Apply, String> {
        let (zero, one, bounded) = match self.by {
            By::MinMax { min, max } => (min, max - min, true),
            By::ZScore { mean, deviation } => (mean, deviation, false),
            By::Robust { median, iqr } => (median, iqr, false),
        };
        if one.is_nan() || one <= 0.0 || !zero.is_finite() || !one.is_finite() {
            return Err("what it is divided by is greater than 0".to_owned());
        }
        let of = self.of.clone();
        Ok(Box::new(move |event, found| {
            found.changed += of.change(event, &mut |value| {
                let Some(number) = number(value) else { return false };
                let scaled = (number - zero) / one;
                let scaled = if bounded { scaled.clamp(0.0, 1.0) } else { scaled };
                set(value, to_json((scaled * 1e9).round() / 1e9))
            });
        }))
    }
}
