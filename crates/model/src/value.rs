//! Values of traits and properties, and how two of them compare.
//!
//! Numbers are exact decimals: read from the JSON text itself, never by way of a float, so that 0.1 + 0.2 is 0.3 and a
//! sum does not depend on the order of its parts.

use std::cmp::Ordering;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A trait's or a property's value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    /// JSON `null`: as the newest value of a trait it says that the trait is gone.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number of up to 28 digits.
    Number(Decimal),
    /// Text.
    Text(String),
    /// Whatever else: an array, an object, or a number too long for a decimal, as its JSON text.
    Json(String),
}

impl Value {
    /// Reads one JSON value.
    pub fn from_json(raw: &RawValue) -> Value {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'n') => Value::Null,
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'"') => match serde_json::from_str::<String>(text) {
                Ok(text) => Value::Text(text),
                Err(_) => Value::Json(text.to_owned()),
            },
            Some(b'-' | b'0'..=b'9') => match decimal(text) {
                Some(number) => Value::Number(number),
                None => Value::Json(text.to_owned()),
            },
            _ => Value::Json(text.to_owned()),
        }
    }

    /// The value as JSON text.
    pub fn to_json(&self) -> String {
        match self {
            Value::Null => "null".to_owned(),
            Value::Bool(b) => b.to_string(),
            Value::Number(n) => n.to_string(),
            Value::Text(text) => serde_json::to_string(text).unwrap_or_default(),
            Value::Json(json) => json.clone(),
        }
    }

    /// How it compares with another of the same type; values of different types, and JSON, do not compare.
    pub fn compare(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Number(a), Value::Number(b)) => Some(a.cmp(b)),
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Json(a), Value::Json(b)) if a == b => Some(Ordering::Equal),
            _ => None,
        }
    }

    /// Its type, as the property registry names it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::Text(_) => "string",
            Value::Json(json) if json.starts_with('[') => "array",
            Value::Json(json) if json.starts_with('{') => "object",
            Value::Json(_) => "number",
        }
    }
}

/// Reads a JSON number exactly; `None` where 28 significant digits and 28 decimal places do not hold it.
pub fn decimal(text: &str) -> Option<Decimal> {
    if text.len() > 40 {
        return None;
    }
    let number = if text.bytes().any(|b| b == b'e' || b == b'E') {
        Decimal::from_scientific(text).ok()?
    } else {
        Decimal::from_str_exact(text).ok()?
    };
    Some(number.normalize())
}

/// The most a summed value may be away from zero: 10¹⁵.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// The decimal places that summed values keep.
pub const AMOUNT_PLACES: u32 = 9;

/// A number as it enters a sum: at most [`AMOUNT_MAX`] away from zero, else it is no amount; rounded half to even to
/// [`AMOUNT_PLACES`] places, which takes the float dust off what JavaScript sends. Every sum of up to ten thousand
/// million amounts of everyday size is then exact, and does not depend on their order.
pub fn amount(number: Decimal) -> Option<Decimal> {
    (number.abs() <= Decimal::from(AMOUNT_MAX)).then(|| number.round_dp(AMOUNT_PLACES).normalize())
}

/// The amount that a JSON value holds: a number, or text that is one (`"19.90"`), as shops send them.
pub fn amount_of(raw: &RawValue) -> Option<Decimal> {
    let text = raw.get();
    let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text).trim();
    amount(decimal(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        Value::from_json(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn reads_every_kind() {
        let check = |json: &str, expect: Value| assert_eq!(value(json), expect, "{json}");
        check("null", Value::Null);
        check("true", Value::Bool(true));
        check("19.90", Value::Number(Decimal::new(199, 1)));
        check("1e3", Value::Number(Decimal::new(1000, 0)));
        check("-0", Value::Number(Decimal::ZERO));
        check(r#""a\u00e9""#, Value::Text("aé".into()));
        check("[1, 2]", Value::Json("[1, 2]".into()));
        check("1e400", Value::Json("1e400".into()));
        check("123456789012345678901234567890", Value::Json("123456789012345678901234567890".into()));
    }

    #[test]
    fn amounts_are_bounded_and_clean() {
        let check = |json: &str, expect: Option<&str>| {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(amount_of(raw).map(|a| a.to_string()).as_deref(), expect, "{json}");
        };
        check("29.330000000000002", Some("29.33"));
        check("\"19.90\"", Some("19.9"));
        check("1e15", Some("1000000000000000"));
        check("1000000000000001", None);
        check("1e400", None);
        check("\"many\"", None);
        check("null", None);
        check("{}", None);
    }

    proptest::proptest! {
        #[test]
        fn a_sum_does_not_depend_on_order(mut parts in proptest::collection::vec(-1e15f64..1e15, 0..50)) {
            let sum = |parts: &[f64]| -> Decimal { parts.iter().filter_map(|p| amount(decimal(&p.to_string())?)).sum() };
            let forward = sum(&parts);
            parts.reverse();
            proptest::prop_assert_eq!(forward, sum(&parts));
        }
    }
}
