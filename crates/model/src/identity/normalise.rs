//! The one form of an identifier's value, so that the same address written twice is one node.

use std::borrow::Cow;

/// Bytes of an identifier's value.
pub const VALUE_BYTES_MAX: usize = 512;

/// The normal form of `value` as an identifier of `kind`, or `None` where it is none.
///
/// * e-mail: trimmed, lower case, one `@` with something on both sides and no space. Providers' own rules (dots, `+tags`)
///   are left alone: two mailboxes must never become one person by a guess.
/// * phone: E.164: `+` and 7 to 15 digits (ITU-T E.164), a leading `00` read as `+`, spaces and punctuation dropped.
///   A national number names nobody without its country, so it is no identifier.
/// * all others: trimmed; case counts.
pub fn normalise<'a>(kind: &str, value: &'a str) -> Option<Cow<'a, str>> {
    let value = value.trim();
    if value.is_empty() || value.len() > VALUE_BYTES_MAX || value.chars().any(char::is_control) {
        return None;
    }
    match kind {
        "email" => email(value),
        "phone" => phone(value),
        _ => Some(Cow::Borrowed(value)),
    }
}

fn email(value: &str) -> Option<Cow<'_, str>> {
    let (local, domain) = value.rsplit_once('@')?;
    let well_formed = !local.is_empty()
        && !domain.is_empty()
        && !local.contains('@')
        && !value.chars().any(char::is_whitespace)
        && domain.split('.').all(|label| !label.is_empty());
    if !well_formed {
        return None;
    }
    let lower = value.chars().all(|c| !c.is_uppercase());
    Some(if lower { Cow::Borrowed(value) } else { Cow::Owned(value.to_lowercase()) })
}

fn phone(value: &str) -> Option<Cow<'_, str>> {
    let international = value.strip_prefix('+').or_else(|| value.strip_prefix("00"))?;
    let mut normal = String::with_capacity(16);
    normal.push('+');
    for c in international.chars() {
        match c {
            '0'..='9' => normal.push(c),
            ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}' => {}
            _ => return None,
        }
    }
    (8..=16).contains(&normal.len()).then(|| if normal == value { Cow::Borrowed(value) } else { Cow::Owned(normal) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_one_form() {
        let check = |kind: &str, value: &str, expect: Option<&str>| {
            assert_eq!(normalise(kind, value).as_deref(), expect, "{value}")
        };
        check("email", " Ada@Example.COM ", Some("ada@example.com"));
        check("email", "ada+tag@example.com", Some("ada+tag@example.com"));
        check("email", "ÄDA@example.com", Some("äda@example.com"));
        check("email", "ada", None);
        check("email", "a@b@c.d", None);
        check("email", "ada @example.com", None);
        check("email", "ada@example..com", None);
        check("phone", "+49 (89) 123-456", Some("+4989123456"));
        check("phone", "0049 89 123456", Some("+4989123456"));
        check("phone", "089 123456", None);
        check("phone", "+12", None);
        check("phone", "+49 call me", None);
        check("user_id", "  U1 ", Some("U1"));
        check("user_id", "a\u{0}b", None);
        check("user_id", "", None);
    }

    proptest::proptest! {
        #[test]
        fn normal_forms_stay(value in "\\PC{0,40}", kind in "email|phone|user_id") {
            if let Some(once) = normalise(&kind, &value) {
                proptest::prop_assert_eq!(normalise(&kind, &once), Some(once.clone()));
            }
        }
    }
}
