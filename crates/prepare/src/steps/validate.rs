//! A tracking plan: each event held against a JSON Schema (drafts 4 to 2020-12).
//!
//! The schema is of the whole event, as Segment's and RudderStack's plans are: `properties`, `traits` and `context` stand in it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Apply, Compile};
use crate::{Found, VIOLATIONS_MAX};

/// What happens to an event that does not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is counted.
    #[default]
    Allow,
    /// It is counted, and says so itself in `context.violations`.
    Flag,
    /// The values that do not fit are dropped.
    Drop,
    /// It is not let in, and becomes a dead letter.
    Block,
}

/// A schema, and what becomes of events that do not fit it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validate {
    /// A JSON Schema of the event.
    pub schema: Value,
    /// What happens to an event that does not fit.
    #[serde(default)]
    pub mode: Mode,
}

impl Compile for Validate {
    fn compile(&self) -> Result<Apply, String> {
        // References are within the schema: nothing is fetched.
        let validator = jsonschema::validator_for(&self.schema).map_err(|error| format!("schema: {error}"))?;
        let mode = self.mode;
        Ok(Box::new(move |event, found| {
            let instance = Value::Object(std::mem::take(event));
            let mut wrong = vec![];
            if !validator.is_valid(&instance) {
                let errors = validator.iter_errors(&instance).take(VIOLATIONS_MAX);
                wrong = errors.map(|error| (error.instance_path().as_str().to_owned(), sentence(&error))).collect();
            }
            if let Value::Object(back) = instance {
                *event = back;
            }
            if !wrong.is_empty() {
                judge(mode, event, wrong, found);
            }
        }))
    }
}

fn sentence(error: &jsonschema::ValidationError<'_>) -> String {
    let place = error.instance_path().as_str().trim_start_matches('/').replace('/', ".");
    // The value itself may be anybody's data: what was expected is said, and where.
    let masked = error.masked().to_string();
    if place.is_empty() { masked } else { format!("{place}: {masked}") }
}

fn judge(mode: Mode, event: &mut Map<String, Value>, wrong: Vec<(String, String)>, found: &mut Found) {
    let (places, sentences): (Vec<String>, Vec<String>) = wrong.into_iter().unzip();
    match mode {
        Mode::Block => found.blocked = sentences,
        Mode::Allow => found.violations = sentences,
        Mode::Flag => {
            let context = event.entry("context").or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(context) = context {
                context.insert("violations".to_owned(), sentences.clone().into());
                found.changed += 1;
            }
            found.violations = sentences;
        }
        Mode::Drop => {
            for place in places {
                // What names the event is its own; without it there is none.
                let own = ["", "/type", "/event", "/messageId", "/userId", "/anonymousId", "/timestamp"];
                if !own.contains(&place.as_str()) && remove(event, &place) {
                    found.changed += 1;
                }
            }
            found.violations = sentences;
        }
    }
}

/// Removes what a JSON Pointer (RFC 6901) points to. An item of a list goes with its list.
fn remove(event: &mut Map<String, Value>, pointer: &str) -> bool {
    let names: Vec<String> =
        pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
    let mut object = event;
    for (depth, name) in names.iter().enumerate() {
        let last = depth + 1 == names.len();
        if last || !object.get(name).is_some_and(Value::is_object) {
            return object.remove(name).is_some();
        }
        match object.get_mut(name) {
            Some(Value::Object(inner)) => object = inner,
            _ => return false,
        }
    }
    false
}
