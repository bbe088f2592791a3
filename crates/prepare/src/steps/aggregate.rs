//! A list becomes a number: how many items, or the sum, mean, least or greatest of a member of theirs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Apply, Compile, number, to_json};
use crate::Place;

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// How many items.
    Count,
    /// Their sum.
    Sum,
    /// Their mean.
    Average,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

/// Of which list what, and where it goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aggregate {
    /// The list; it stays.
    pub of: Place,
    /// How.
    pub measure: Measure,
    /// Which member of the items; absent: the items themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Where the number goes.
    pub into: Place,
}

impl Compile for Aggregate {
    fn compile(&self) -> Result<Apply, String> {
        let Aggregate { of, measure, member, into } = self.clone();
        Ok(Box::new(move |event, found| {
            let Some(Value::Array(items)) = of.get(event) else { return };
            let value = |item: &Value| match &member {
                Some(member) => item.get(member).and_then(number),
                None => number(item),
            };
            let numbers: Vec<f64> = items.iter().filter_map(value).collect();
            let sum: f64 = numbers.iter().sum();
            let result = match measure {
                Measure::Count => items.len() as f64,
                Measure::Sum => sum,
                _ if numbers.is_empty() => return,
                Measure::Average => sum / numbers.len() as f64,
                Measure::Min => numbers.iter().copied().fold(f64::INFINITY, f64::min),
                Measure::Max => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            };
            // The dust that sums of floats leave: nine places are those that amounts keep.
            let result = (result * 1e9).round() / 1e9;
            found.changed += u32::from(into.put(event, to_json(result)));
        }))
    }
}
