//! A value by an expression of the Common Expression Language (CEL, <https://cel.dev>).
//!
//! The event's `properties`, `traits` and `context` stand for themselves, and `event` for all of it. Where the expression fails,
//! as where something it asks is not there, nothing is put.

use cel::{Context, ExecutionError, Program};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Apply, Compile};
use crate::Place;

/// Characters of an expression.
const EXPRESSION_MAX: usize = 2000;

/// An expression, and where its value goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derive {
    /// The expression.
    pub cel: String,
    /// Where its value goes.
    pub into: Place,
}

impl Compile for Derive {
    fn compile(&self) -> Result<Apply, String> {
        if self.cel.len() > EXPRESSION_MAX {
            return Err(format!("cel has at most {EXPRESSION_MAX} characters"));
        }
        if !self.into.is_one() {
            return Err("into names one place".to_owned());
        }
        let program = Program::compile(&self.cel).map_err(|error| format!("cel: {error}"))?;
        if let Err(ExecutionError::UndeclaredReference(name)) = execute(&program, &Map::new()) {
            return Err(format!("cel: {name} is none of event, properties, traits, context"));
        }
        let into = self.into.clone();
        Ok(Box::new(move |event, found| {
            if let Some(value) = execute(&program, event).ok().flatten() {
                found.changed += u32::from(into.put(event, value));
            }
        }))
    }
}

/// The expression's value over an event, where it has one that JSON can hold.
fn execute(program: &Program, event: &Map<String, Value>) -> Result<Option<Value>, ExecutionError> {
    let mut context = Context::default();
    let member = |name: &str| event.get(name).cloned().unwrap_or_else(|| Value::Object(Map::new()));
    let all = Value::Object(event.clone());
    let [properties, traits, around] = ["properties", "traits", "context"].map(member);
    for (name, value) in [("event", all), ("properties", properties), ("traits", traits), ("context", around)] {
        if context.add_variable(name, value).is_err() {
            return Ok(None);
        }
    }
    Ok(program.execute(&context)?.json().ok().filter(|value| !value.is_null()))
}
