//! One form for values that are written in many.

use std::str::FromStr as _;

use iso_currency::Currency;
use jiff::{civil::DateTime, fmt::strtime};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Apply, Compile, clean::tidy, set, text};
use crate::Place;

/// What a value is, and so which form it gets. One that cannot be read stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum As {
    /// E-mail address: lower case. With `aliases` what providers ignore goes: dots and `+tags` of Gmail, `+tags` of others.
    Email {
        /// Whether such addresses become one.
        #[serde(default)]
        aliases: bool,
    },
    /// Phone number: E.164, a national one by the plan of its country.
    Phone {
        /// ISO 3166-1 alpha-2 of numbers without a country's prefix.
        country: String,
    },
    /// A person's name: `ANNA VON DER HEIDE` becomes `Anna von der Heide`; one in mixed case stays.
    Name,
    /// Latin letters alone, in lower case: for comparison across scripts (`Łódź` `lodz`, `Мария` `mariya`, `王` `wang`).
    Latin,
    /// ISO 3166-1 alpha-2 of a country's code or English name.
    Country,
    /// ISO 4217 of a currency's code or sign.
    Currency,
    /// A postcode: upper case, without spaces; of PL and GB as their posts write it.
    Postcode {
        /// ISO 3166-1 alpha-2.
        country: String,
    },
    /// A day or an instant of this form (strftime) becomes ISO 8601.
    Date {
        /// Forms, the first that fits counts: `%d.%m.%Y`, `%m/%d/%Y %H:%M`.
        formats: Vec<String>,
    },
    /// A number, written with this decimal separator.
    Number {
        /// `.` or `,`.
        decimal: char,
    },
    /// `yes`, `tak`, `да`, `1`, …: true; `no`, `nie`, `нет`, `0`, …: false.
    Boolean,
    /// Upper case.
    Upper,
    /// Lower case.
    Lower,
}

/// Which value as what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalise {
    /// Where; `traits.*` for all traits.
    pub of: Place,
    /// As what.
    #[serde(rename = "as")]
    pub form: As,
}

/// Reads a text; `None`: it cannot be read.
type Read = Box<dyn Fn(&str) -> Option<Value> + Send + Sync>;

impl Compile for Normalise {
    fn compile(&self) -> Result<Apply, String> {
        let read: Read = match self.form.clone() {
            As::Email { aliases } => Box::new(move |text| email(text, aliases).map(Value::String)),
            As::Phone { country } => {
                let country = phonenumber::country::Id::from_str(&country.to_uppercase())
                    .map_err(|_| format!("{country:?} is no ISO 3166-1 alpha-2 code of a country"))?;
                Box::new(move |text| phone(text, country).map(Value::String))
            }
            As::Name => Box::new(|text| Some(Value::String(name(text)))),
            As::Latin => Box::new(|text| Some(Value::String(tidy(&any_ascii::any_ascii(&tidy(text))).to_lowercase()))),
            As::Country => Box::new(|text| country(text).map(Value::from)),
            As::Currency => Box::new(|text| currency(text).map(Value::from)),
            As::Postcode { country } => Box::new(move |text| Some(Value::String(postcode(text, &country)))),
            As::Date { formats } => {
                if formats.is_empty() {
                    return Err("formats names at least one".to_owned());
                }
                Box::new(move |text| formats.iter().find_map(|format| date(text, format)).map(Value::String))
            }
            As::Number { decimal } => {
                if !matches!(decimal, '.' | ',') {
                    return Err("decimal is . or ,".to_owned());
                }
                Box::new(move |text| numeric(text, decimal))
            }
            As::Boolean => Box::new(|text| truth(text).map(Value::Bool)),
            As::Upper => Box::new(|text| Some(Value::String(text.to_uppercase()))),
            As::Lower => Box::new(|text| Some(Value::String(text.to_lowercase()))),
        };
        let of = self.of.clone();
        Ok(Box::new(move |event, found| {
            found.changed += of.change(event, &mut |value| {
                // A list or an object has no such form.
                let Some(normal) = text(value).and_then(|text| read(&text)) else { return false };
                set(value, normal)
            });
        }))
    }
}

fn email(text: &str, aliases: bool) -> Option<String> {
    let text = tidy(text).to_lowercase();
    let (local, domain) = text.rsplit_once('@')?;
    if !aliases {
        return Some(text);
    }
    let local = local.split_once('+').map_or(local, |(local, _)| local);
    let gmail = matches!(domain, "gmail.com" | "googlemail.com");
    let (local, domain) = if gmail { (local.replace('.', ""), "gmail.com") } else { (local.to_owned(), domain) };
    Some(format!("{local}@{domain}"))
}

fn phone(text: &str, country: phonenumber::country::Id) -> Option<String> {
    let number = phonenumber::parse(Some(country), text).ok().filter(phonenumber::is_valid)?;
    Some(number.format().mode(phonenumber::Mode::E164).to_string())
}

/// Words of names that are written small within them.
const PARTICLES: [&str; 22] = [
    "von", "van", "der", "den", "de", "da", "di", "du", "la", "le", "del", "della", "dos", "das", "do", "zu", "zum",
    "zur", "af", "av", "bin", "y",
];

fn name(text: &str) -> String {
    let text = tidy(text);
    let cased = |upper: bool| text.chars().any(|c| if upper { c.is_uppercase() } else { c.is_lowercase() });
    if cased(true) && cased(false) {
        return text;
    }
    let words = text.split(' ').enumerate().map(|(place, word)| {
        let lower = word.to_lowercase();
        if place > 0 && PARTICLES.contains(&lower.as_str()) { lower } else { capitals(&lower) }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The first letter of a word and of its parts in upper case: `anna-maria` `Anna-Maria`, `o'neil` `O'Neil`.
fn capitals(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut first = true;
    for c in word.chars() {
        if first {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        first = matches!(c, '-' | '\'' | '’' | '.');
    }
    out
}

fn country(text: &str) -> Option<&'static str> {
    let text = tidy(text);
    let upper = text.to_uppercase();
    let found = rust_iso3166::from_alpha2(&upper).or_else(|| rust_iso3166::from_alpha3(&upper));
    let by_name = || rust_iso3166::ALL.iter().find(|country| country.name.eq_ignore_ascii_case(&text)).copied();
    // What people say, and the standard says at greater length.
    let said = || match upper.as_str() {
        "UK" | "GREAT BRITAIN" | "ENGLAND" | "SCOTLAND" | "WALES" => Some("GB"),
        "USA" | "UNITED STATES" | "U.S.A." | "U.S." => Some("US"),
        "RUSSIA" | "РОССИЯ" => Some("RU"),
        "DEUTSCHLAND" => Some("DE"),
        "POLSKA" => Some("PL"),
        "CHINA" | "中国" => Some("CN"),
        "SOUTH KOREA" | "KOREA" => Some("KR"),
        "VIETNAM" => Some("VN"),
        "CZECH REPUBLIC" => Some("CZ"),
        "HOLLAND" | "THE NETHERLANDS" | "NETHERLANDS" => Some("NL"),
        "TURKEY" => Some("TR"),
        "TAIWAN" => Some("TW"),
        "IRAN" => Some("IR"),
        _ => None,
    };
    found.or_else(by_name).map(|country| country.alpha2).or_else(said)
}

fn currency(text: &str) -> Option<&'static str> {
    let text = tidy(text);
    // A sign that several countries write is read as most do.
    Some(match text.as_str() {
        "€" => "EUR",
        "$" | "US$" => "USD",
        "£" => "GBP",
        "zł" | "zl" => "PLN",
        "₽" | "руб" | "руб." => "RUB",
        "¥" | "元" | "RMB" => "CNY",
        _ => Currency::from_code(&text.to_uppercase())?.code(),
    })
}

fn postcode(text: &str, country: &str) -> String {
    let compact: String = text.to_uppercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let cut = match country.to_uppercase().as_str() {
        "PL" if compact.len() == 5 => Some((2, '-')),
        "GB" if (5..=7).contains(&compact.len()) => Some((compact.len() - 3, ' ')),
        _ => None,
    };
    match cut.filter(|_| compact.is_ascii()) {
        Some((at, between)) => format!("{}{between}{}", &compact[..at], &compact[at..]),
        None => compact,
    }
}

fn date(text: &str, format: &str) -> Option<String> {
    let parsed = strtime::parse(format, tidy(text)).ok()?;
    if let Ok(zoned) = parsed.to_timestamp() {
        return Some(zoned.to_string());
    }
    match parsed.to_datetime() {
        Ok(at) if at != DateTime::from(at.date()) => Some(at.to_string()),
        _ => parsed.to_date().ok().map(|day| day.to_string()),
    }
}

fn numeric(text: &str, decimal: char) -> Option<Value> {
    let plain: String = text
        .chars()
        .filter(|c| *c == decimal || !(c.is_whitespace() || matches!(c, '\'' | '’' | '.' | ',')))
        .map(|c| if c == decimal { '.' } else { c })
        .collect();
    let plain = plain.strip_prefix('+').unwrap_or(&plain);
    plain.parse::<f64>().ok().filter(|number| number.is_finite()).map(super::to_json)
}

fn truth(text: &str) -> Option<bool> {
    match tidy(text).to_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" | "on" | "ja" | "tak" | "oui" | "si" | "sí" | "да" | "是" => Some(true),
        "false" | "f" | "no" | "n" | "0" | "off" | "nein" | "nie" | "non" | "нет" | "否" => Some(false),
        _ => None,
    }
}
