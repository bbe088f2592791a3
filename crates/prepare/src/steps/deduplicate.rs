//! Records that say the same count once: the message id is made of what they say.
//!
//! Two events of a source with one message id are one, within the dedupe window, and for ever where they were imported.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Apply, Compile};
use crate::Place;

/// By which values two records are the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deduplicate {
    /// Their places; of an event that has none of them the message id stays.
    pub by: Vec<Place>,
}

impl Compile for Deduplicate {
    fn compile(&self) -> Result<Apply, String> {
        if self.by.is_empty() || self.by.iter().any(|place| !place.is_one()) {
            return Err("by names places, each of one value".to_owned());
        }
        let by = self.by.clone();
        Ok(Box::new(move |event, found| {
            let values: Vec<&Value> = by.iter().map(|place| place.get(event).unwrap_or(&Value::Null)).collect();
            if values.iter().all(|value| value.is_null()) {
                return;
            }
            // The same value is the same in whatever order its members came.
            let mut values = values.into_iter().cloned().collect::<Vec<Value>>();
            values.iter_mut().for_each(Value::sort_all_objects);
            let said = serde_json::to_vec(&(event.get("type"), event.get("event"), values)).unwrap_or_default();
            let digest = Sha256::digest(&said);
            let id: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            let other = event.insert("messageId".to_owned(), Value::String(format!("same-{id}")));
            found.changed += u32::from(other.is_some());
        }))
    }
}
