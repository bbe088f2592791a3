//! Some values become others: codes their names, spellings one spelling.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Apply, Compile, set, text};
use crate::Place;

/// Which values become which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// Where.
    pub of: Place,
    /// The values as text, whatever their case, and what each becomes.
    pub values: BTreeMap<String, Value>,
    /// What all others become; absent: they stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<Value>,
}

impl Compile for Replace {
    fn compile(&self) -> Result<Apply, String> {
        let values: BTreeMap<String, Value> =
            self.values.iter().map(|(from, to)| (from.to_lowercase(), to.clone())).collect();
        let (of, others) = (self.of.clone(), self.others.clone());
        Ok(Box::new(move |event, found| {
            found.changed += of.change(event, &mut |value| {
                let Some(known) = text(value) else { return false };
                match values.get(&known.to_lowercase()).or(others.as_ref()) {
                    Some(to) => set(value, to.clone()),
                    None => false,
                }
            });
        }))
    }
}
