//! One way to write each value, so that equal things are equal.
//!
//! Case, accents, alphabets, punctuation, country codes and forms of dates say nothing about a person. What comes out is
//! ASCII wherever it can be, so that distances count letters; letters that have no Latin counterpart stay as they are.

use unicode_normalization::UnicodeNormalization;

use crate::model::{DateOrder, Kind};

/// What people write where they know nothing.
const NULLS: [&str; 22] = [
    "n/a",
    "na",
    "n.a.",
    "null",
    "nil",
    "none",
    "nan",
    "unknown",
    "unbekannt",
    "desconocido",
    "nieznany",
    "not known",
    "not available",
    "not applicable",
    "missing",
    "undefined",
    "-",
    "--",
    "---",
    "?",
    "x",
    "xxx",
];

/// Whether `value` says that nothing is known: the empty string and nulls in disguise.
pub fn is_null(value: &str) -> bool {
    let value = value.trim();
    if value.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    value.is_empty() || (value.len() <= 14 && NULLS.iter().any(|null| value.eq_ignore_ascii_case(null)))
}

/// `value` as it is compared; empty where nothing is known.
pub fn prepare(kind: Kind, order: DateOrder, value: &str) -> String {
    // An initial is a value of a name.
    let is_initial = matches!(kind, Kind::GivenName | Kind::Surname) && value.trim().len() == 1;
    if is_null(value) && !(is_initial && value.trim().as_bytes()[0].is_ascii_alphabetic()) {
        return String::new();
    }
    match kind {
        Kind::GivenName | Kind::Surname | Kind::Street | Kind::Locality | Kind::Text | Kind::Category => words(value),
        Kind::Date => date(value, order),
        Kind::Email => email(value),
        Kind::Phone => phone(value),
        Kind::HouseNumber | Kind::PostalCode | Kind::Identifier => {
            fold(value).chars().filter(|c| c.is_alphanumeric()).collect()
        }
        Kind::Number => {
            let plain: String = value.chars().filter(|c| !c.is_whitespace() && *c != '_').collect();
            plain
                .replace(',', ".")
                .parse::<f64>()
                .ok()
                .filter(|n| n.is_finite())
                .map_or(String::new(), |n| n.to_string())
        }
    }
}

/// Lower case, without accents, in Latin letters where there is a customary way.
pub fn fold(value: &str) -> String {
    if value.is_ascii() {
        return value.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(value.len());
    // Compatibility forms too: full-width letters and ligatures.
    for c in value.nfc().flat_map(char::to_lowercase) {
        match latin(c) {
            Some(letters) => folded.push_str(letters),
            None => folded.extend(c.nfkd().filter(|c| !unicode_normalization::char::is_combining_mark(*c))),
        }
    }
    folded
}

/// Letters that have no accent to take off: Cyrillic by a passport's rules (ICAO Doc 9303, part 3, table 6-B, where
/// shorter), Greek by ELOT 743, and those of Latin alphabets with strokes.
fn latin(c: char) -> Option<&'static str> {
    Some(match c {
        'а' => "a",
        'б' => "b",
        'в' => "v",
        'г' | 'ґ' => "g",
        'д' => "d",
        'е' | 'э' | 'є' | 'ё' => "e",
        'ж' => "zh",
        'з' => "z",
        'и' | 'й' | 'і' | 'ї' => "i",
        'к' => "k",
        'л' => "l",
        'м' => "m",
        'н' => "n",
        'о' => "o",
        'п' => "p",
        'р' => "r",
        'с' => "s",
        'т' => "t",
        'у' | 'ў' => "u",
        'ф' => "f",
        'х' => "kh",
        'ц' => "ts",
        'ч' => "ch",
        'ш' => "sh",
        'щ' => "shch",
        'ъ' | 'ь' => "",
        'ы' => "y",
        'ю' => "iu",
        'я' => "ia",
        'α' | 'ά' => "a",
        'β' => "v",
        'γ' => "g",
        'δ' => "d",
        'ε' | 'έ' => "e",
        'ζ' => "z",
        'η' | 'ή' | 'ι' | 'ί' => "i",
        'θ' => "th",
        'κ' => "k",
        'λ' => "l",
        'μ' => "m",
        'ν' => "n",
        'ξ' => "x",
        'ο' | 'ό' | 'ω' | 'ώ' => "o",
        'π' => "p",
        'ρ' => "r",
        'σ' | 'ς' => "s",
        'τ' => "t",
        'υ' | 'ύ' => "y",
        'φ' => "f",
        'χ' => "ch",
        'ψ' => "ps",
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ı' => "i",
        '’' | 'ʼ' | '‘' => "'",
        '–' | '—' | '‑' => "-",
        _ => return None,
    })
}

/// Words separated by one space; apostrophes join, all other punctuation separates.
fn words(value: &str) -> String {
    let mut words = String::with_capacity(value.len());
    for c in fold(value).chars() {
        if c.is_alphanumeric() {
            words.push(c);
        } else if !matches!(c, '\'' | '`') && !words.is_empty() && !words.ends_with(' ') {
            words.push(' ');
        }
    }
    words.truncate(words.trim_end().len());
    words
}

/// Lower case, without what stands after a plus sign, which its owner may choose at will.
fn email(value: &str) -> String {
    let value = fold(value.trim());
    let Some((user, domain)) = value.rsplit_once('@') else { return value };
    let user = user.split('+').next().unwrap_or(user);
    let domain = if domain == "googlemail.com" { "gmail.com" } else { domain };
    if user.is_empty() { String::new() } else { format!("{user}@{domain}") }
}

/// The last nine digits: with or without the country's code, or the zero in its place.
fn phone(value: &str) -> String {
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    digits[digits.len().saturating_sub(9)..].to_owned()
}

/// `YYYYMMDD` where it can be read, and else its digits, which may still be one typing error away from another.
fn date(value: &str, order: DateOrder) -> String {
    let folded = fold(value);
    let mut parts: Vec<&str> = folded.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    // The time of day behind a date: `1980-01-31T00:00:00` and `31.01.1980 00:00`.
    if let Some(first) = parts.get(2).filter(|_| parts.len() > 3) {
        let day = first.split('t').next().unwrap_or(first);
        parts[2] = if first.contains('t') && !day.is_empty() { day } else { first };
        parts.truncate(3);
    }
    let number = |part: &str| part.parse::<u32>().ok();
    let read = match parts.as_slice() {
        [all] if all.len() == 8 && all.bytes().all(|b| b.is_ascii_digit()) => {
            let as_written = (number(&all[..4]), number(&all[4..6]), number(&all[6..]));
            if as_written.0.is_some_and(|year| (1850..2100).contains(&year)) || order == DateOrder::YearFirst {
                return (*all).to_owned();
            }
            match order {
                DateOrder::MonthFirst => (number(&all[4..]), number(&all[..2]), number(&all[2..4])),
                _ => (number(&all[4..]), number(&all[2..4]), number(&all[..2])),
            }
        }
        [a, b, c] => match (month(a), month(b)) {
            (Some(month), _) => (number(c), Some(month), number(b)),
            (_, Some(month)) if a.len() >= 4 => (number(a), Some(month), number(c)),
            (_, Some(month)) => (number(c), Some(month), number(a)),
            _ if a.len() >= 4 => (number(a), number(b), number(c)),
            _ => match (number(a), number(b), order) {
                (Some(day), Some(month), _) if day > 12 && month <= 12 => (number(c), Some(month), Some(day)),
                (Some(month), Some(day), _) if day > 12 && month <= 12 => (number(c), Some(month), Some(day)),
                (month, day, DateOrder::MonthFirst) => (number(c), month, day),
                (day, month, _) => (number(c), month, day),
            },
        },
        _ => (None, None, None),
    };
    match read {
        // A digit too many is left to the comparison.
        (Some(year), Some(month), Some(day)) if year < 100_000 && month < 1_000 && day < 1_000 => {
            // Birth dates are in the past more often than not; two digits up to 30 are of this century.
            let year = if year < 31 {
                year + 2000
            } else if year < 100 {
                year + 1900
            } else {
                year
            };
            format!("{year:04}{month:02}{day:02}")
        }
        _ => folded.chars().filter(char::is_ascii_digit).collect(),
    }
}

/// The number of a month by its English, German, Spanish or Polish name.
fn month(part: &str) -> Option<u32> {
    const STARTS: [&[&str]; 12] = [
        &["jan", "ene", "sty"],
        &["feb", "lut"],
        &["mar", "mrz", "maer"],
        &["apr", "abr", "kwi"],
        &["may", "mai", "maj"],
        &["jun", "cze"],
        &["jul", "lip"],
        &["aug", "ago", "sie"],
        &["sep", "wrz"],
        &["oct", "okt", "paz"],
        &["nov", "lis"],
        &["dec", "dez", "dic", "gru"],
    ];
    if part.len() < 3 || !part.starts_with(|c: char| c.is_alphabetic()) {
        return None;
    }
    (1u32..).zip(STARTS).find(|(_, starts)| starts.iter().any(|start| part.starts_with(start))).map(|(month, _)| month)
}

/// How a name sounds, roughly, in any of several European languages: consonants by the group they are mistaken within,
/// vowels only where the name begins. Up to six signs; in the spirit of Soundex (Russell 1918), which keeps fewer.
pub fn sound(name: &[u8]) -> u64 {
    let mut code = 0u64;
    let mut signs = 0;
    let mut before = 0u8;
    for (i, &byte) in name.iter().enumerate() {
        let next = name.get(i + 1).copied().unwrap_or(0);
        let sign = match (byte, next) {
            (b'a' | b'e' | b'i' | b'o' | b'u' | b'y' | b'j', _) if i == 0 => 9,
            (b'h', _) if i == 0 => 10,
            (b'p', b'h') | (b'f' | b'v' | b'w', _) => 1,
            (b'b' | b'p', _) => 2,
            (b'c' | b's' | b'z', b'h') | (b's' | b'z', _) | (b'c', b'e' | b'i' | b'y' | b'z') => 3,
            (b'c' | b'k' | b'q' | b'g' | b'x', _) => 4,
            (b'd' | b't', _) => 5,
            (b'l', _) => 6,
            (b'm' | b'n', _) => 7,
            (b'r', _) => 8,
            (b'h', _) => continue,
            (0x80.., _) => 11 + (byte & 3),
            _ => {
                before = 0;
                continue;
            }
        };
        if sign != before {
            code = code << 4 | u64::from(sign);
            signs += 1;
            if signs == 6 {
                break;
            }
        }
        before = sign;
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, cases: &[(&str, &str)]) {
        for (value, expected) in cases {
            assert_eq!(prepare(kind, DateOrder::DayFirst, value), *expected, "{value}");
        }
    }

    #[test]
    fn names() {
        check(
            Kind::Surname,
            &[
                (" O’Brien ", "obrien"),
                ("MÜLLER", "muller"),
                ("Łukaszewska-Żak", "lukaszewska zak"),
                ("Щербаков", "shcherbakov"),
                ("N/A", ""),
                ("-", ""),
                ("x", "x"),
                ("ﬁsher", "fisher"),
                ("山田", "山田"),
                ("Nu\u{0308}ll", "null"),
                ("null", ""),
            ],
        );
    }

    #[test]
    fn dates() {
        check(
            Kind::Date,
            &[
                ("19840617", "19840617"),
                ("1984-06-17", "19840617"),
                ("1984-06-17T00:00:00Z", "19840617"),
                ("17/06/1984", "19840617"),
                ("06/17/1984", "19840617"),
                ("7.6.84", "19840607"),
                ("17 June 1984", "19840617"),
                ("June 17, 1984", "19840617"),
                ("17061984", "19840617"),
                ("1984061", "1984061"),
                ("unknown", ""),
                ("17 июн", "17"),
            ],
        );
        assert_eq!(prepare(Kind::Date, DateOrder::MonthFirst, "06/07/1984"), "19840607");
    }

    #[test]
    fn contacts_and_places() {
        check(Kind::Email, &[("Ann.Lee+news@GoogleMail.com", "ann.lee@gmail.com"), ("none", ""), ("@x", "")]);
        check(
            Kind::Phone,
            &[
                ("+61 479 548 515", "479548515"),
                ("0479548515", "479548515"),
                ("(02) 8899-2403", "288992403"),
                ("000", ""),
            ],
        );
        check(Kind::Street, &[("12, Main  St.", "12 main st"), ("Straße des 17. Juni", "strasse des 17 juni")]);
        check(Kind::PostalCode, &[("SW1A 1AA", "sw1a1aa"), ("00-950", "00950")]);
        check(Kind::Number, &[("1 234,50", "1234.5"), ("abc", "")]);
    }

    #[test]
    fn sounds() {
        for (a, b) in [
            ("meier", "mayer"),
            ("schmidt", "schmitt"),
            ("philip", "filip"),
            ("kowalski", "kovalsky"),
            ("stephen", "steven"),
        ] {
            assert_eq!(sound(a.as_bytes()), sound(b.as_bytes()), "{a} {b}");
        }
        assert_ne!(sound(b"smith"), sound(b"jones"));
    }
}
