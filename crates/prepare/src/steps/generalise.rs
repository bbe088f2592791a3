//! A value becomes less exact: a postcode its first characters, a day its month, a number its band.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Apply, Compile, number, set, text, to_json};
use crate::Place;

/// To what.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum To {
    /// So many first characters.
    Prefix(usize),
    /// The day's month: `2026-11`.
    Month,
    /// The day's year: `2026`.
    Year,
    /// The band of so many that a number is in, as text: `30-39`.
    Band(u32),
    /// A number of so many decimal places.
    Places(u8),
}

/// Which value to what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generalise {
    /// Which value.
    pub of: Place,
    /// To what.
    pub to: To,
}

impl Compile for Generalise {
    fn compile(&self) -> Result<Apply, String> {
        if self.to == To::Band(0) {
            return Err("a band has at least one number".to_owned());
        }
        let Generalise { of, to } = self.clone();
        Ok(Box::new(move |event, found| {
            found.changed += of.change(event, &mut |value| match general(value, to) {
                Some(general) => set(value, general),
                None => false,
            });
        }))
    }
}

fn general(value: &Value, to: To) -> Option<Value> {
    Some(match to {
        To::Prefix(characters) => Value::String(text(value)?.chars().take(characters).collect()),
        To::Month => Value::String(day(value)?.strftime("%Y-%m").to_string()),
        To::Year => Value::String(day(value)?.strftime("%Y").to_string()),
        To::Band(width) => {
            let width = i64::from(width);
            let from = (number(value)?.floor() as i64).div_euclid(width).checked_mul(width)?;
            let to = from.checked_add(width - 1)?;
            Value::String(if width == 1 { from.to_string() } else { format!("{from}-{to}") })
        }
        To::Places(places) => {
            let factor = 10f64.powi(places.min(9).into());
            to_json((number(value)? * factor).round() / factor)
        }
    })
}

fn day(value: &Value) -> Option<Date> {
    value.as_str()?.get(..10)?.parse().ok()
}
