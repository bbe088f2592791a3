//! Signatures of the Standard Webhooks specification, symmetric scheme `v1`
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::ConfigError;

/// A signing secret: 24 to 64 bytes, written `whsec_` and base64.
pub struct Secret(Vec<u8>);

impl Secret {
    /// Reads a secret as it is written.
    pub fn parse(text: &str) -> Result<Secret, ConfigError> {
        let wrong =
            |cause: &str| ConfigError::new("secret", cause, "Write whsec_ followed by 24 to 64 random bytes in base64");
        let encoded = text.strip_prefix("whsec_").ok_or_else(|| wrong("does not begin with whsec_"))?;
        let bytes = STANDARD.decode(encoded).map_err(|_| wrong("not base64 after whsec_"))?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(wrong("not 24 to 64 bytes long"));
        }
        Ok(Secret(bytes))
    }

    /// The value of `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_that_are_none() {
        let check = |text: &str, expect: &str| assert_eq!(Secret::parse(text).err().unwrap().cause, expect);
        check("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "does not begin with whsec_");
        check("whsec_?", "not base64 after whsec_");
        check("whsec_c2hvcnQ=", "not 24 to 64 bytes long");
    }
}
