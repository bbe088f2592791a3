//! Several values become one text.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Apply, Compile, text};
use crate::Place;

/// Which values, what stands between them, and where the text goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Combine {
    /// The values, in order; those that are not there or empty are passed over.
    pub of: Vec<Place>,
    /// What stands between them; a space if not said.
    #[serde(default = "space")]
    pub by: String,
    /// Where the text goes.
    pub into: Place,
}

fn space() -> String {
    " ".to_owned()
}

impl Compile for Combine {
    fn compile(&self) -> Result<Apply, String> {
        let Combine { of, by, into } = self.clone();
        Ok(Box::new(move |event, found| {
            let parts: Vec<String> = of.iter().filter_map(|place| text(place.get(event)?)).collect();
            let parts: Vec<&str> = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
            if !parts.is_empty() {
                found.changed += u32::from(into.put(event, Value::String(parts.join(&by))));
            }
        }))
    }
}
