//! A tracking plan: each event held against a JSON Schema (drafts 4 to 2020-12).
//!
//! The schema is of the whole event, as Segment's and RudderStack's plans are: `properties`, `traits` and `context` stand in it.

use std::collections::BTreeSet;

use jsonschema::{ValidationError, error::ValidationErrorKind};
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
        let mut named = BTreeSet::new();
        names_in(&self.schema, &mut named);
        Ok(Box::new(move |event, found| {
            let instance = Value::Object(std::mem::take(event));
            let mut wrong = vec![];
            if !validator.is_valid(&instance) {
                let errors = validator.iter_errors(&instance).take(VIOLATIONS_MAX);
                wrong = errors.map(|error| (places(&error), sentence(&error, &named))).collect();
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

/// Every name of a member that a schema speaks of.
fn names_in(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                names.extend(properties.keys().cloned());
            }
            members.values().for_each(|inner| names_in(inner, names));
        }
        Value::Array(items) => items.iter().for_each(|inner| names_in(inner, names)),
        _ => {}
    }
}

/// What is wrong, and where. Values may be anybody's data, and so may names that the schema does not know: what was expected is
/// said, and the rest is a `*`.
fn sentence(error: &ValidationError<'_>, named: &BTreeSet<String>) -> String {
    use ValidationErrorKind::{AdditionalProperties, PropertyNames, UnevaluatedProperties};
    let known = |name: &str| named.contains(name) || name.bytes().all(|byte| byte.is_ascii_digit());
    let path = pointed(error.instance_path().as_str());
    let place: Vec<&str> = path.iter().map(|name| if known(name) { name.as_str() } else { "*" }).collect();
    let what = match error.kind() {
        AdditionalProperties { unexpected } | UnevaluatedProperties { unexpected } => {
            format!("{} members are not in the plan", unexpected.len())
        }
        PropertyNames { .. } => "the name of a member does not fit".to_owned(),
        _ => error.masked().to_string(),
    };
    if place.is_empty() { what } else { format!("{}: {what}", place.join(".")) }
}

/// The values that do not fit, as paths: of an object with members too many these alone, and none of one that lacks some.
fn places(error: &ValidationError<'_>) -> Vec<Vec<String>> {
    use ValidationErrorKind::*;
    let path = pointed(error.instance_path().as_str());
    match error.kind() {
        AdditionalProperties { unexpected } | UnevaluatedProperties { unexpected } => {
            unexpected.iter().map(|name| path.iter().cloned().chain([name.clone()]).collect()).collect()
        }
        Required { .. } | MinProperties { .. } | MaxProperties { .. } | PropertyNames { .. } => vec![],
        _ => vec![path],
    }
}

/// The names in a JSON Pointer (RFC 6901).
fn pointed(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect()
}

/// Whether a path leads to what an event cannot be without, or to all there is.
fn is_kept(path: &[String]) -> bool {
    const OWN: [&str; 9] =
        ["type", "event", "messageId", "userId", "anonymousId", "timestamp", "context", "traits", "properties"];
    match path {
        [] => true,
        [one] => OWN.contains(&one.as_str()),
        _ => false,
    }
}

fn judge(mode: Mode, event: &mut Map<String, Value>, wrong: Vec<(Vec<Vec<String>>, String)>, found: &mut Found) {
    let (places, sentences): (Vec<_>, Vec<String>) = wrong.into_iter().unzip();
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
            for place in places.into_iter().flatten() {
                if !is_kept(&place) && remove(event, &place) {
                    found.changed += 1;
                }
            }
            found.violations = sentences;
        }
    }
}

/// Removes what stands at a path. An item of a list goes with its list.
fn remove(event: &mut Map<String, Value>, names: &[String]) -> bool {
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
