//! A list of names and values becomes an object: `[{"key":"colour","value":"red"}]` `{"colour":"red"}`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Apply, Compile, text};
use crate::Place;

/// Which list, and where its items have their names and values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pivot {
    /// The list.
    pub of: Place,
    /// An item's name; `key` if not said.
    #[serde(default = "key")]
    pub key: String,
    /// An item's value; `value` if not said.
    #[serde(default = "value")]
    pub value: String,
    /// Where the object goes; absent: in the list's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<Place>,
}

fn key() -> String {
    "key".to_owned()
}

fn value() -> String {
    "value".to_owned()
}

impl Compile for Pivot {
    fn compile(&self) -> Result<Apply, String> {
        let Pivot { of, key, value, into } = self.clone();
        let into = into.unwrap_or_else(|| of.clone());
        Ok(Box::new(move |event, found| {
            let Some(Value::Array(items)) = of.get(event) else { return };
            let member =
                |item: &Value| Some((text(item.get(&key)?)?, item.get(&value).cloned().unwrap_or(Value::Null)));
            let object: Map<String, Value> = items.iter().filter_map(member).collect();
            if !object.is_empty() {
                found.changed += u32::from(into.put(event, Value::Object(object)));
            }
        }))
    }
}
