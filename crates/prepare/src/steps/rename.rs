//! A value moves to another place.

use serde::{Deserialize, Serialize};

use super::{Apply, Compile};
use crate::Place;

/// From where to where. What stands there already stays, and then nothing moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// Where it stands.
    pub from: Place,
    /// Where it is to stand.
    pub to: Place,
}

impl Compile for Rename {
    fn compile(&self) -> Result<Apply, String> {
        if !self.from.is_one() || !self.to.is_one() {
            return Err("from and to each name one place".to_owned());
        }
        let Rename { from, to } = self.clone();
        Ok(Box::new(move |event, found| {
            if to.get(event).is_none_or(serde_json::Value::is_null)
                && let Some(value) = from.take(event)
            {
                to.put(event, value);
                found.changed += 1;
            }
        }))
    }
}
