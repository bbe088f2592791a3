//! An address line becomes its parts: `ul. Długa 5/7` street `ul. Długa`, number `5`, unit `7`.
//!
//! Two customs: the number behind the street (most of Europe), or before it (English, French).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Apply, Compile, clean::tidy};
use crate::Place;

/// Which line, and the object that its parts go into.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The line; it stays.
    pub of: Place,
    /// The object that gets `street`, `number` and `unit`.
    pub into: Place,
}

impl Compile for Address {
    fn compile(&self) -> Result<Apply, String> {
        let within = |name: &str| Place::try_from(format!("{}.{name}", self.into));
        let (street, number, unit) = (within("street")?, within("number")?, within("unit")?);
        let of = self.of.clone();
        Ok(Box::new(move |event, found| {
            let Some(Value::String(line)) = of.get(event) else { return };
            let Some(parts) = parts(&tidy(line)) else { return };
            for (place, part) in [(&street, Some(parts.0)), (&number, Some(parts.1)), (&unit, parts.2)] {
                if let Some(part) = part {
                    found.changed += u32::from(place.put(event, Value::String(part)));
                }
            }
        }))
    }
}

/// Street, number, unit.
fn parts(line: &str) -> Option<(String, String, Option<String>)> {
    let is_number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let words: Vec<&str> = line.split(' ').collect();
    let (first, last) = (*words.first()?, *words.last()?);
    let trimmed = |words: &[&str]| words.join(" ").trim_end_matches(',').to_owned();
    let (street, number) = if words.len() < 2 {
        return None;
    } else if is_number(first) && !is_number(last) {
        (trimmed(&words[1..]), first.trim_end_matches(','))
    } else if is_number(last) {
        (trimmed(&words[..words.len() - 1]), last)
    } else {
        return None;
    };
    let (number, unit) = number.split_once('/').map_or((number, None), |(number, unit)| (number, Some(unit)));
    let unit = unit.filter(|unit| !unit.is_empty()).map(str::to_owned);
    Some((street, number.to_uppercase(), unit))
}
