//! What a value looks like: e-mail addresses, phone numbers, cards, accounts and national ids, told by their form and their
//! check digits.
//!
//! A detector that is too shy shows what should be masked; one that is too bold masks an order number. Where a scheme has check
//! digits they decide; where it has none, its own punctuation must be there.

use super::Class;

/// What a text looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// An e-mail address.
    Email,
    /// A phone number in international form.
    Phone,
    /// The number of a payment card (ISO/IEC 7812: Luhn).
    Card,
    /// The number of a bank account (ISO 13616: remainder 97).
    Iban,
    /// A number that a state gave a person.
    NationalId,
    /// An address of the Internet Protocol.
    Ip,
}

impl Looks {
    /// The class of such values.
    pub fn class(self) -> Class {
        match self {
            Looks::Email | Looks::Phone => Class::Contact,
            Looks::Card | Looks::Iban => Class::Financial,
            Looks::NationalId => Class::Sensitive,
            Looks::Ip => Class::Identifier,
        }
    }
}

/// What this text looks like, if it looks like something.
pub fn looks(text: &str) -> Option<Looks> {
    let text = text.trim();
    // Longer than an e-mail address may be, nothing here is.
    if text.len() < 6 || text.len() > 254 {
        return None;
    }
    if is_email(text) {
        return Some(Looks::Email);
    }
    if text.len() <= 45 && text.contains(['.', ':']) && text.parse::<std::net::IpAddr>().is_ok() {
        return Some(Looks::Ip);
    }
    if text.len() > 42 {
        return None;
    }
    if is_iban(text) {
        return Some(Looks::Iban);
    }
    if is_national_id(text) {
        return Some(Looks::NationalId);
    }
    if is_phone(text) {
        return Some(Looks::Phone);
    }
    is_card(text).then_some(Looks::Card)
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    !local.is_empty()
        && !local.contains(|c: char| c.is_whitespace() || c.is_control())
        && domain.contains('.')
        && domain.split('.').all(label)
}

fn is_phone(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('+').or_else(|| text.strip_prefix("00")) else { return false };
    let plain = rest.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.' | '/' | '(' | ')'));
    plain && matches!(digits(rest).len(), 8..=15)
}

/// The digits of a text, as numbers.
fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

/// The digits of a text that is nothing but digits, in groups parted by blanks or hyphens or not at all.
fn grouped(text: &str) -> Option<Vec<u32>> {
    let plain = text.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-'));
    let ends = text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(|c: char| c.is_ascii_digit());
    (plain && ends).then(|| digits(text))
}

fn is_card(text: &str) -> bool {
    let Some(digits) = grouped(text) else { return false };
    // Cards of banks begin with 3 to 6 (2 for the newer ones of one scheme, which has 16 digits).
    let begins = matches!((digits.first(), digits.len()), (Some(3..=6), 14..=19) | (Some(2), 16));
    begins && luhn(&digits)
}

/// ISO/IEC 7812-1, Annex B.
fn luhn(digits: &[u32]) -> bool {
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let value = |(place, digit): (usize, &u32)| if place % 2 == 1 { doubled(*digit) } else { *digit };
    digits.iter().rev().enumerate().map(value).sum::<u32>() % 10 == 0
}

fn is_iban(text: &str) -> bool {
    let plain: String = text.chars().filter(|c| *c != ' ').collect();
    let bytes = plain.as_bytes();
    let shape = (15..=34).contains(&bytes.len())
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2..4].iter().all(u8::is_ascii_digit)
        && bytes.iter().all(u8::is_ascii_alphanumeric);
    shape && remainder_97(bytes[4..].iter().chain(&bytes[..4])) == 1
}

/// Of a number in which letters stand for 10 to 35 (ISO 7064, MOD 97-10).
fn remainder_97<'a>(characters: impl Iterator<Item = &'a u8>) -> u32 {
    characters.fold(0, |rest, c| match char::from(*c).to_digit(36) {
        Some(value @ 10..) => (rest * 100 + value) % 97,
        Some(value) => (rest * 10 + value) % 97,
        None => rest,
    })
}

fn is_national_id(text: &str) -> bool {
    is_social_security(text) || is_insurance(text) || is_chinese(text) || is_snils(text) || is_eleven_digits(text)
}

/// United States: three, two and four digits with hyphens, and none of the numbers that are never given.
fn is_social_security(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [area, group, serial] = parts[..] else { return false };
    let number = |part: &str, len: usize| {
        (part.len() == len && part.bytes().all(|c| c.is_ascii_digit())).then(|| part.parse::<u32>().unwrap_or(0))
    };
    let (Some(area), Some(group), Some(serial)) = (number(area, 3), number(group, 2), number(serial, 4)) else {
        return false;
    };
    area != 0 && area != 666 && area < 900 && group != 0 && serial != 0
}

/// United Kingdom, national insurance: two letters, six digits, a letter from A to D.
fn is_insurance(text: &str) -> bool {
    let plain: Vec<u8> = text.bytes().filter(|c| *c != b' ').collect();
    plain.len() == 9
        && plain[..2].iter().all(|c| c.is_ascii_uppercase() && !b"DFIQUV".contains(c))
        && plain[1] != b'O'
        && plain[2..8].iter().all(u8::is_ascii_digit)
        && matches!(plain[8], b'A'..=b'D')
}

/// China, GB 11643-1999: 17 digits with the date of birth, and a check character (ISO 7064, MOD 11-2).
fn is_chinese(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() != 18 || !bytes[..17].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let (month, day) = (&text[10..12], &text[12..14]);
    let sum = bytes[..17].iter().fold(0, |sum, c| (sum + u32::from(c - b'0')) * 2 % 11);
    let check = b"10X98765432"[sum as usize];
    ("01"..="12").contains(&month) && ("01"..="31").contains(&day) && bytes[17].eq_ignore_ascii_case(&check)
}

/// Russia, pension insurance: `123-456-789 01`, with two check digits.
fn is_snils(text: &str) -> bool {
    let shape = text.len() == 14
        && text.char_indices().all(|(place, c)| match place {
            3 | 7 => c == '-',
            11 => c == ' ' || c == '-',
            _ => c.is_ascii_digit(),
        });
    let digits = digits(text);
    if !shape || digits.len() != 11 {
        return false;
    }
    let sum: u32 = digits[..9].iter().zip((1..=9).rev()).map(|(digit, weight)| digit * weight).sum();
    sum % 101 % 100 == digits[9] * 10 + digits[10]
}

/// Poland's PESEL and Germany's tax number: eleven digits, the last of which checks.
fn is_eleven_digits(text: &str) -> bool {
    let plain = text.len() == 11 && text.bytes().all(|c| c.is_ascii_digit());
    plain && (is_pesel(&digits(text)) || is_tax_number(&digits(text)))
}

/// The date of birth, with the century in the month, four digits, and a check digit.
fn is_pesel(digits: &[u32]) -> bool {
    let (month, day) = ((digits[2] * 10 + digits[3]) % 20, digits[4] * 10 + digits[5]);
    let weights = [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1];
    let sum: u32 = digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum();
    (1..=12).contains(&month) && (1..=31).contains(&day) && sum.is_multiple_of(10)
}

/// Of the first ten digits one stands there two or three times and the first is no zero; ISO 7064, MOD 11,10.
fn is_tax_number(digits: &[u32]) -> bool {
    let mut often = [0; 10];
    digits[..10].iter().for_each(|digit| often[*digit as usize] += 1);
    let repeated = often.iter().filter(|count| **count > 1).count() == 1 && often.iter().all(|count| *count <= 3);
    let product = digits[..10].iter().fold(10, |product, digit| match (product + digit) % 10 {
        0 => 20 % 11,
        sum => sum * 2 % 11,
    });
    digits[0] != 0 && repeated && (11 - product) % 10 == digits[10]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples that the schemes' own descriptions give.
    #[test]
    fn what_schemes_give_as_examples_is_known() {
        for (text, of) in [
            ("ada@example.com", Looks::Email),
            ("o'hara+x@mail.example.co.uk", Looks::Email),
            ("+48 22 123 45 67", Looks::Phone),
            ("0049 (30) 1234-567", Looks::Phone),
            ("4111 1111 1111 1111", Looks::Card),
            ("5555555555554444", Looks::Card),
            ("378282246310005", Looks::Card),
            ("GB82 WEST 1234 5698 7654 32", Looks::Iban),
            ("DE89370400440532013000", Looks::Iban),
            ("PL61109010140000071219812874", Looks::Iban),
            ("44051401359", Looks::NationalId),
            ("86095742719", Looks::NationalId),
            ("219-09-9999", Looks::NationalId),
            ("AB 12 34 56 C", Looks::NationalId),
            ("11010519491231002X", Looks::NationalId),
            ("112-233-445 95", Looks::NationalId),
            ("192.0.2.7", Looks::Ip),
            ("2001:db8::1", Looks::Ip),
        ] {
            assert_eq!(looks(text), Some(of), "{text}");
        }
    }

    #[test]
    fn what_only_looks_alike_is_nothing() {
        for text in [
            "",
            "A-1029",
            "2026-11-23",
            "2026-11-23T10:00:00Z",
            "1795293000000",
            "4111111111111112",
            "DE89370400440532013001",
            "44051401358",
            "86095742710",
            "000-12-3456",
            "11010519491231002Y",
            "112-233-445 96",
            "1.2.3",
            "a@b",
            "order 4711",
            "3.14159265358979",
        ] {
            assert_eq!(looks(text), None, "{text}");
        }
    }

    /// A changed digit is seen: that is what check digits are for.
    #[test]
    fn one_wrong_digit_is_seen() {
        for good in ["4111111111111111", "DE89370400440532013000", "44051401359", "86095742719"] {
            for place in 4..good.len() {
                let mut wrong = good.as_bytes().to_vec();
                wrong[place] = if wrong[place] == b'9' { b'0' } else { wrong[place] + 1 };
                let wrong = String::from_utf8(wrong).unwrap();
                assert_ne!(looks(&wrong).map(Looks::class), looks(good).map(Looks::class), "{wrong}");
            }
        }
    }
}
