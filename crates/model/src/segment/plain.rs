//! Values in JSON definitions as plain JSON values, read from the JSON text itself so that numbers stay exact.

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

use crate::Value;

struct Plain(Value);

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Plain)
    }
}

pub(super) fn serialize<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    let raw = RawValue::from_string(value.to_json()).map_err(|e| S::Error::custom(format!("not a JSON value: {e}")))?;
    raw.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(|raw| Value::from_json(&raw))
}

/// The same for lists of values.
pub(super) mod list {
    use super::{Deserialize, Deserializer, Plain, Serializer, Value};

    pub(in super::super) fn serialize<S: Serializer>(values: &[Value], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|value| Plain(value.clone())))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
        Ok(Vec::<Plain>::deserialize(deserializer)?.into_iter().map(|plain| plain.0).collect())
    }
}
