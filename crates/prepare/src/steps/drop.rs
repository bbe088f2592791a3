//! Values go: what is redundant, never used, or not to be kept.

use serde::{Deserialize, Serialize};

use super::{Apply, Compile};
use crate::Place;

/// Which values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drop {
    /// Their places; one that ends in `*` empties the object.
    pub of: Vec<Place>,
}

impl Compile for Drop {
    fn compile(&self) -> Result<Apply, String> {
        let own = ["type", "messageId", "event", "userId", "anonymousId", "timestamp"];
        if let Some(place) = self.of.iter().find(|place| own.contains(&place.to_string().as_str())) {
            return Err(format!("{place} is what an event cannot be without"));
        }
        let of = self.of.clone();
        Ok(Box::new(move |event, found| {
            for place in &of {
                if place.is_one() {
                    found.changed += u32::from(place.take(event).is_some());
                } else {
                    found.changed += place.clear(event);
                }
            }
        }))
    }
}
