//! A text becomes several.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Apply, Compile};
use crate::Place;

/// Of which text, where it is cut, and where its parts go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The text; it stays.
    pub of: Place,
    /// What stands between its parts.
    pub by: String,
    /// Where they go; the last gets all that is left.
    pub into: Vec<Place>,
}

impl Compile for Split {
    fn compile(&self) -> Result<Apply, String> {
        if self.by.is_empty() || self.into.is_empty() {
            return Err("by and into each name something".to_owned());
        }
        let Split { of, by, into } = self.clone();
        Ok(Box::new(move |event, found| {
            let Some(Value::String(text)) = of.get(event) else { return };
            let parts: Vec<String> = text.splitn(into.len(), &by).map(|part| part.trim().to_owned()).collect();
            for (place, part) in into.iter().zip(parts) {
                found.changed += u32::from(place.put(event, Value::String(part)));
            }
        }))
    }
}
