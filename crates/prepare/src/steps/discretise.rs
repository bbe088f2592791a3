//! A number becomes the name of its range.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Apply, Compile, number};
use crate::Place;

/// Which number, the bounds of the ranges, and their names. Equal widths and quantiles are bounds as well: the quality report
/// has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discretise {
    /// The number.
    pub of: Place,
    /// Ascending: a number below the first is in the first range, one that is at least the last in the last.
    pub bounds: Vec<f64>,
    /// A name for each range, one more than there are bounds.
    pub labels: Vec<String>,
    /// Where the name goes; absent: in the number's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<Place>,
}

impl Compile for Discretise {
    fn compile(&self) -> Result<Apply, String> {
        if self.bounds.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err("bounds ascend".to_owned());
        }
        if self.labels.len() != self.bounds.len() + 1 {
            return Err(format!("{} bounds make {} ranges; name each", self.bounds.len(), self.bounds.len() + 1));
        }
        let Discretise { of, bounds, labels, into } = self.clone();
        let into = into.unwrap_or_else(|| of.clone());
        Ok(Box::new(move |event, found| {
            let Some(number) = of.get(event).and_then(number) else { return };
            let range = bounds.partition_point(|bound| *bound <= number);
            found.changed += u32::from(into.put(event, Value::String(labels[range].clone())));
        }))
    }
}
