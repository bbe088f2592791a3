//! Passwords and second factors.
//!
//! Passwords: Argon2id with the parameters that OWASP recommends (19 MiB, two passes). Second factors: TOTP (RFC 6238: SHA-1, six
//! digits, thirty seconds, as every authenticator app has it), a step before or after the present one, and no code twice.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use onefold_model::Timestamp;
use totp_rs::{Builder, Totp};

use crate::ApiError;

/// Characters of a password, at least: NIST SP 800-63B-4, 3.1.1.2, for a password that is the only factor has 15, with a second one 8.
const CHARACTERS_MIN: usize = 12;
/// Bytes of a password, at most: more is no better, and hashing it takes time.
const BYTES_MAX: usize = 1024;

/// A hash of nothing that anybody knows: whoever names no account waits as long as who does.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5aGFzdGhpc3NhbHQ$X2oPxkHSVVvCgj8NXeBtZo0Vyp3AMcYbOvJtkVcOhrk";

/// Hashes a password that its owner chose; refuses one that is too easy.
pub(crate) fn set(password: &str, email: &str) -> Result<String, ApiError> {
    let weak =
        |message: &str| Err(ApiError::bad_request("weak_password", message, "a sentence is good: four words or more"));
    let count = password.chars().count();
    if count < CHARACTERS_MIN {
        return weak(&format!("the password has {count} characters; it must have {CHARACTERS_MIN} at least"));
    }
    if password.len() > BYTES_MAX {
        return weak(&format!("the password has more than {BYTES_MAX} bytes"));
    }
    let first = password.chars().next();
    if password.chars().all(|c| Some(c) == first) || password.to_lowercase().contains(&email.to_lowercase()) {
        return weak("the password is one character again and again, or has the e-mail address in it");
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| ApiError::internal(error.to_string()))
}

/// Whether this is the password; with no hash it takes as long and is not.
pub(crate) fn is_good(password: &str, hash: Option<&str>) -> bool {
    let known = hash.unwrap_or(NOBODY);
    let checked = PasswordHash::new(known).is_ok_and(|parsed| {
        password.len() <= BYTES_MAX && Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
    });
    checked && hash.is_some()
}

/// The second factor of an account.
pub(crate) struct Factor(Totp);

impl Factor {
    /// Of this secret.
    pub fn new(secret: &[u8], email: &str) -> Result<Factor, ApiError> {
        // A colon would end the issuer in the URL.
        let label = email.replace(':', "");
        let built =
            Builder::new().with_secret(secret.to_vec()).with_account_name(label).with_issuer(Some("Onefold")).build();
        built.map(Factor).map_err(|error| ApiError::internal(error.to_string()))
    }

    /// What an authenticator app reads, as a URL.
    pub fn url(&self) -> Result<String, ApiError> {
        self.0.to_url().map_err(|error| ApiError::internal(error.to_string()))
    }

    /// The secret for typing.
    pub fn secret(&self) -> String {
        self.0.secret().to_base32()
    }

    /// The step of this code, if it is one of these minutes and later than `after`.
    pub fn step(&self, code: &str, now: Timestamp, after: i64) -> Option<i64> {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let seconds = u64::try_from(now.0 / 1000).ok()?;
        let step = i64::try_from(self.0.check(&code, seconds)?).ok()?;
        (step > after).then_some(step)
    }

    /// The code of an instant, for tests.
    #[cfg(test)]
    fn code(&self, now: Timestamp) -> String {
        self.0.generate(u64::try_from(now.0 / 1000).unwrap()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_and_no_other_is() {
        let hash = set("correct horse battery", "ada@example.com").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(is_good("correct horse battery", Some(&hash)));
        assert!(!is_good("correct horse batterx", Some(&hash)));
        assert!(!is_good("correct horse battery", None));
        assert!(PasswordHash::new(NOBODY).is_ok());
    }

    #[test]
    fn easy_passwords_are_refused() {
        for easy in ["short", "aaaaaaaaaaaaaaaa", "ada@example.com1"] {
            assert!(set(easy, "Ada@example.com").is_err(), "{easy}");
        }
    }

    #[test]
    fn a_code_counts_once_and_for_a_minute_and_a_half() {
        let factor = Factor::new(b"12345678901234567890", "ada@example.com").unwrap();
        // RFC 6238, Appendix B, with the last six of its eight digits.
        assert_eq!(factor.code(Timestamp(59_000)), "287082");
        let now = Timestamp(1_795_293_000_000);
        let code = factor.code(now);
        let step = factor.step(&code, now, 0).unwrap();
        assert_eq!(factor.step(&code, now.plus(29_000), 0), Some(step));
        assert_eq!(factor.step(&code, now, step), None);
        assert_eq!(factor.step(&code, now.plus(90_000), 0), None);
        assert_eq!(factor.step("", now, 0), None);
        assert!(factor.url().unwrap().starts_with("otpauth://totp/Onefold:"), "{}", factor.url().unwrap());
    }
}
