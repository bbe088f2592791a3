//! The steps, one a file.

mod address;
mod aggregate;
mod clean;
mod combine;
mod deduplicate;
mod derive;
mod discretise;
mod drop;
mod generalise;
mod normalise;
mod pivot;
mod rename;
mod replace;
mod scale;
mod split;
pub mod validate;

pub use self::clean::is_null_in_disguise;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Found;

/// What a step does to an event.
pub type Apply = Box<dyn Fn(&mut Map<String, Value>, &mut Found) + Send + Sync>;

/// A step's settings, which may be wrong in themselves.
pub trait Compile {
    /// Makes it ready; else what is wrong, in a sentence.
    fn compile(&self) -> Result<Apply, String>;
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $module:ident :: $settings:ident, $text:literal;)*) => {
        /// What is done to an event.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "step", rename_all = "snake_case")]
        pub enum Step {
            $($(#[$doc])* $name($module::$settings),)*
        }

        impl Step {
            /// Its name, as it stands in `step`.
            pub fn name(&self) -> &'static str {
                match self { $(Step::$name(_) => $text,)* }
            }
        }

        impl Compile for Step {
            fn compile(&self) -> Result<Apply, String> {
                match self { $(Step::$name(settings) => settings.compile(),)* }
            }
        }
    };
}

// A macro, because each name would otherwise stand four times and could drift apart.
steps! {
    /// Held against a JSON Schema.
    Validate = validate::Validate, "validate";
    /// White space, Unicode form, and nulls in disguise.
    Clean = clean::Clean, "clean";
    /// One form for e-mail addresses, phone numbers, names, countries, currencies, dates, numbers, ….
    Normalise = normalise::Normalise, "normalise";
    /// A value moves to another place.
    Rename = rename::Rename, "rename";
    /// Values go.
    Drop = drop::Drop, "drop";
    /// Some values become others.
    Replace = replace::Replace, "replace";
    /// A text becomes several.
    Split = split::Split, "split";
    /// Several values become one text.
    Combine = combine::Combine, "combine";
    /// An address becomes its parts.
    Address = address::Address, "address";
    /// A list of names and values becomes an object.
    Pivot = pivot::Pivot, "pivot";
    /// A list becomes a number.
    Aggregate = aggregate::Aggregate, "aggregate";
    /// A number becomes the name of its range.
    Discretise = discretise::Discretise, "discretise";
    /// A value becomes less exact.
    Generalise = generalise::Generalise, "generalise";
    /// A number is moved and stretched.
    Scale = scale::Scale, "scale";
    /// A value by an expression.
    Derive = derive::Derive, "derive";
    /// Records that say the same count once.
    Deduplicate = deduplicate::Deduplicate, "deduplicate";
}

/// A number, be it written as text.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// A number as JSON writes it: a whole one without a point.
fn to_json(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return Value::from(number as i64);
    }
    serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// A text, number or truth as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Replaces a value; says whether it is another.
fn set(place: &mut Value, value: Value) -> bool {
    let other = *place != value;
    *place = value;
    other
}
