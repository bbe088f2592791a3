//! What is left of a value under a mask.

use std::{borrow::Cow, hash::Hasher as _};

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::detect::{Looks, looks};

/// How much of a value is shown. The later ones show less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// All of it.
    Clear,
    /// Enough to know it again: `a•••@example.com`, `•••67`.
    Partial,
    /// What many have in common: the domain, the year, the order of magnitude.
    Generalised,
    /// A code, the same for the same value in one workspace: counts and joins work, and nobody reads it.
    Hashed,
    /// Nothing.
    Hidden,
}

/// Stands for what is left out.
const DOTS: &str = "•••";

impl Mask {
    /// The mask of this name.
    pub fn from_name(name: &str) -> Option<Mask> {
        Some(match name {
            "clear" => Mask::Clear,
            "partial" => Mask::Partial,
            "generalised" => Mask::Generalised,
            "hashed" => Mask::Hashed,
            "hidden" => Mask::Hidden,
            _ => return None,
        })
    }

    /// What is left of a text; `None`: nothing. `key` is the workspace's own, for hashes.
    pub fn text<'a>(self, text: &'a str, key: (u64, u64)) -> Option<Cow<'a, str>> {
        match self {
            Mask::Clear => Some(Cow::Borrowed(text)),
            Mask::Partial => Some(Cow::Owned(partial(text))),
            Mask::Generalised => generalised(text).map(Cow::Owned),
            Mask::Hashed => Some(Cow::Owned(hashed(text, key))),
            Mask::Hidden => None,
        }
    }

    /// What is left of a JSON number or truth value, as JSON.
    pub fn scalar<'a>(self, json: &'a str, key: (u64, u64)) -> Option<Cow<'a, str>> {
        match self {
            Mask::Clear => Some(Cow::Borrowed(json)),
            Mask::Generalised => magnitude(json).map(Cow::Owned),
            Mask::Hashed => Some(Cow::Owned(format!("\"{}\"", hashed(json, key)))),
            Mask::Partial | Mask::Hidden => None,
        }
    }
}

fn partial(text: &str) -> String {
    let tail = |count: usize| {
        let characters: Vec<char> = text.trim().chars().collect();
        characters[characters.len().saturating_sub(count)..].iter().collect::<String>()
    };
    match looks(text) {
        Some(Looks::Email) => {
            let (local, domain) = text.rsplit_once('@').unwrap_or((text, ""));
            format!("{}{DOTS}@{domain}", local.chars().next().unwrap_or('•'))
        }
        Some(Looks::Phone) => format!("{DOTS}{}", tail(2)),
        Some(Looks::Card | Looks::Iban) => format!("{DOTS}{}", tail(4)),
        Some(Looks::NationalId | Looks::Ip) => DOTS.to_owned(),
        // Of what is short, the first letter would be most of it.
        None if text.chars().count() < 4 => DOTS.to_owned(),
        None => format!("{}{DOTS}", text.chars().next().unwrap_or('•')),
    }
}

fn generalised(text: &str) -> Option<String> {
    if looks(text) == Some(Looks::Email) {
        return text.rsplit_once('@').map(|(_, domain)| format!("@{domain}"));
    }
    let bytes = text.as_bytes();
    let is_date =
        bytes.len() >= 10 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-' && bytes[7] == b'-';
    is_date.then(|| text[..4].to_owned()).or_else(|| (text.len() < 16).then(|| magnitude(text)).flatten())
}

/// The first digit of a number and as many zeros as it has digits after it: 4711 is 4000, 0.37 is 0.
fn magnitude(number: &str) -> Option<String> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number),
    };
    let whole = digits.split_once('.').map_or(digits, |(whole, _)| whole);
    if whole.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit() || c == b'.') {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    match whole.get(..1) {
        None => Some("0".to_owned()),
        Some(first) => Some(format!("{sign}{first}{}", "0".repeat(whole.len() - 1))),
    }
}

/// SipHash-2-4 of 128 bits under the workspace's key, in hex.
fn hashed(text: &str, (a, b): (u64, u64)) -> String {
    let mut hasher = SipHasher24::new_with_keys(a, b);
    hasher.write(text.as_bytes());
    format!("{:032x}", hasher.finish128().as_u128())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (u64, u64) = (7, 8);

    #[test]
    fn each_mask_leaves_what_it_says() {
        let left = |mask: Mask, text: &str| mask.text(text, KEY).map(Cow::into_owned);
        let partial = |text: &str| left(Mask::Partial, text).unwrap();
        assert_eq!(partial("ada@example.com"), "a•••@example.com");
        assert_eq!(partial("+48 22 123 45 67"), "•••67");
        assert_eq!(partial("4111 1111 1111 1111"), "•••1111");
        assert_eq!(partial("44051401359"), "•••");
        assert_eq!(partial("Żółć"), "Ż•••");
        assert_eq!(partial("Ada"), "•••");
        let general = |text: &str| left(Mask::Generalised, text);
        assert_eq!(general("ada@example.com").as_deref(), Some("@example.com"));
        assert_eq!(general("1984-02-29").as_deref(), Some("1984"));
        assert_eq!(general("47.11").as_deref(), Some("40"));
        assert_eq!(general("Ada Lovelace"), None);
        assert_eq!(left(Mask::Hidden, "x"), None);
        let scalar = |mask: Mask, json: &str| mask.scalar(json, KEY).map(Cow::into_owned);
        assert_eq!(scalar(Mask::Generalised, "-4711").as_deref(), Some("-4000"));
        assert_eq!(scalar(Mask::Generalised, "0.37").as_deref(), Some("0"));
        assert_eq!(scalar(Mask::Generalised, "1e9"), None);
        assert_eq!(scalar(Mask::Partial, "4711"), None);
        assert_eq!(scalar(Mask::Clear, "1e400").as_deref(), Some("1e400"));
    }

    #[test]
    fn hashes_are_alike_for_the_same_value_and_key_only() {
        let of = |text: &str, key| Mask::Hashed.text(text, key).unwrap().into_owned();
        assert_eq!(of("ada@example.com", KEY), of("ada@example.com", KEY));
        assert_ne!(of("ada@example.com", KEY), of("bob@example.com", KEY));
        assert_ne!(of("ada@example.com", KEY), of("ada@example.com", (7, 9)));
        assert!(!of("ada@example.com", KEY).contains("ada"));
    }
}
