//! White space, Unicode form, and nulls in disguise.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use super::{Apply, Compile};
use crate::Place;

/// What stands for nothing in files of all kinds, in lower case.
const NULLS: [&str; 19] = [
    "",
    "-",
    "--",
    ".",
    "?",
    "n/a",
    "n.a.",
    "na",
    "#n/a",
    "null",
    "nil",
    "none",
    "nan",
    "undefined",
    "unknown",
    "brak",
    "нет данных",
    "未知",
    "无",
];

/// Texts are trimmed, spaces within them become one, control characters go, and the Unicode form is NFC (UAX #15).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clean {
    /// Which values; `traits.*` for all traits.
    pub of: Vec<Place>,
    /// Texts that become `null`, whatever their case; absent: those that stand for nothing in most files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nulls: Option<Vec<String>>,
}

impl Compile for Clean {
    fn compile(&self) -> Result<Apply, String> {
        let nulls: Vec<String> = match &self.nulls {
            Some(nulls) => nulls.iter().map(|null| tidy(null).to_lowercase()).collect(),
            None => NULLS.iter().map(|null| (*null).to_owned()).collect(),
        };
        let of = self.of.clone();
        Ok(Box::new(move |event, found| {
            let mut clean = |value: &mut Value| {
                let Value::String(text) = value else { return false };
                let tidied = tidy(text);
                if nulls.contains(&tidied.to_lowercase()) {
                    *value = Value::Null;
                    return true;
                }
                let other = tidied != *text;
                *text = tidied;
                other
            };
            found.changed += of.iter().map(|place| place.change(event, &mut clean)).sum::<u32>();
        }))
    }
}

/// Whether a value is text that stands for nothing in files of all kinds.
pub fn is_null_in_disguise(value: &Value) -> bool {
    value.as_str().is_some_and(|text| NULLS.contains(&tidy(text).to_lowercase().as_str()))
}

/// One space between words, none around them, no control characters, NFC.
pub(super) fn tidy(text: &str) -> String {
    let composed: String = if is_nfc(text) { text.to_owned() } else { text.nfc().collect() };
    let visible = |c: char| !c.is_control() && !matches!(c, '\u{200b}' | '\u{feff}' | '\u{ad}');
    let words = composed.split_whitespace().map(|word| word.chars().filter(|c| visible(*c)).collect::<String>());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
