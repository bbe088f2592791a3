//! A destination's configuration: what every destination has, and what its connector alone reads.
//!
//! An operator writes one flat JSON object. The members that the delivery loop understands are taken out of it here;
//! the rest goes to the connector, which refuses what it does not know, so that a misspelt member is an error and not
//! a silent default.

use onefold_model::access::Purpose;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// A configuration that cannot work: one sentence of cause, one of cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {cause}. {cure}.")]
pub struct ConfigError {
    /// Which member, or `config` for the whole.
    pub field: String,
    /// What is wrong with it.
    pub cause: String,
    /// What to do.
    pub cure: String,
}

impl ConfigError {
    /// An error of the member `field`.
    pub fn new(field: &str, cause: impl Into<String>, cure: impl Into<String>) -> Self {
        ConfigError { field: field.to_owned(), cause: cause.into(), cure: cure.into() }
    }
}

/// What every destination has.
#[derive(Debug, Clone, PartialEq)]
pub struct Common {
    /// What the data is used for: consent is decided for this purpose.
    pub purpose: Purpose,
    /// The channel it goes by, where consent distinguishes channels.
    pub channel: Option<String>,
    /// At most so many deliveries a second; `None`: as fast as the target takes them.
    pub rate_per_s: Option<f64>,
    /// At most so many hand-offs at a time, in place of the connector's own figure.
    pub concurrency: Option<usize>,
    /// After so many attempts a delivery is dead, in place of [`Settings::attempts_max`](crate::Settings).
    pub attempts_max: Option<u32>,
}

/// The most hand-offs at a time that a configuration may ask for.
pub const CONCURRENCY_MAX: u64 = 256;

/// Parts a destination's configuration into what every destination has and what its connector reads.
pub fn split(config: &str) -> Result<(Common, Value), ConfigError> {
    let whole: Value = serde_json::from_str(config)
        .map_err(|error| ConfigError::new("config", format!("not JSON ({error})"), "Write one JSON object"))?;
    let Value::Object(mut members) = whole else {
        return Err(ConfigError::new("config", "not a JSON object", "Write one JSON object"));
    };
    let purpose = text(&mut members, "purpose")?.ok_or_else(|| {
        ConfigError::new("purpose", "no purpose is named", "Name what the data is used for, as consent names it")
    })?;
    let common = Common {
        purpose: Purpose(purpose),
        channel: text(&mut members, "channel")?,
        rate_per_s: rate(&mut members)?,
        concurrency: whole_number(&mut members, "concurrency", CONCURRENCY_MAX)?.map(|number| number as usize),
        attempts_max: whole_number(&mut members, "attempts_max", 1_000)?.map(|number| number as u32),
    };
    Ok((common, Value::Object(members)))
}

/// Reads a connector's own members into its configuration type, which should deny unknown fields.
pub fn read<T: DeserializeOwned>(config: Value) -> Result<T, ConfigError> {
    serde_json::from_value(config).map_err(|error| {
        ConfigError::new("config", error.to_string(), "Compare it with the connector's form or docs/destinations.md")
    })
}

/// The form of the common members, as JSON Schema properties.
pub fn common_schema() -> Map<String, Value> {
    let Value::Object(properties) = json!({
        "purpose": {"type": "string", "title": "Purpose", "description": "What the data is used for; consent is decided for it"},
        "channel": {"type": "string", "title": "Channel", "description": "The channel, where consent distinguishes channels"},
        "rate_per_s": {"type": "number", "exclusiveMinimum": 0, "title": "Deliveries a second at most"},
        "concurrency": {"type": "integer", "minimum": 1, "maximum": CONCURRENCY_MAX, "title": "Hand-offs at a time at most"},
        "attempts_max": {"type": "integer", "minimum": 1, "maximum": 1000, "title": "Attempts before a delivery is dead"}
    }) else {
        unreachable!("the literal above is an object")
    };
    properties
}

fn text(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, ConfigError> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text)),
        Some(_) => Err(ConfigError::new(name, "not a text with something in it", "Write a name, or leave it out")),
    }
}

fn rate(members: &mut Map<String, Value>) -> Result<Option<f64>, ConfigError> {
    match members.remove("rate_per_s") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(rate) if rate.is_finite() && (0.001..=1e6).contains(&rate) => Ok(Some(rate)),
            _ => Err(ConfigError::new("rate_per_s", "not a number from 0.001 to 1000000", "Write such a number")),
        },
    }
}

fn whole_number(members: &mut Map<String, Value>, name: &str, most: u64) -> Result<Option<u64>, ConfigError> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) if (1..=most).contains(&number) => Ok(Some(number)),
            _ => Err(ConfigError::new(name, format!("not a whole number from 1 to {most}"), "Write such a number")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(config: &str, expect: Expect) {
        let told = match split(config) {
            Ok((common, rest)) => format!(
                "{} {:?} {:?} {:?} {:?} | {rest}",
                common.purpose.0, common.channel, common.rate_per_s, common.concurrency, common.attempts_max
            ),
            Err(error) => error.to_string(),
        };
        expect.assert_eq(&told);
    }

    #[test]
    fn the_common_members_are_taken_out() {
        check(r#"{"purpose":"ads","url":"x"}"#, expect![[r#"ads None None None None | {"url":"x"}"#]]);
        check(
            r#"{"purpose":"ads","channel":"email","rate_per_s":2.5,"concurrency":4,"attempts_max":3}"#,
            expect![[r#"ads Some("email") Some(2.5) Some(4) Some(3) | {}"#]],
        );
        check("{}", expect!["purpose: no purpose is named. Name what the data is used for, as consent names it."]);
        check(
            r#"{"purpose":"a","rate_per_s":0}"#,
            expect!["rate_per_s: not a number from 0.001 to 1000000. Write such a number."],
        );
        check(
            r#"{"purpose":"a","concurrency":0}"#,
            expect!["concurrency: not a whole number from 1 to 256. Write such a number."],
        );
        check("[]", expect!["config: not a JSON object. Write one JSON object."]);
        check(
            "{",
            expect!["config: not JSON (EOF while parsing an object at line 1 column 1). Write one JSON object."],
        );
    }
}
