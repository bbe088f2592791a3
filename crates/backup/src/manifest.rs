//! What belongs to a backup, and by whom that is said.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::Error;

/// A backup. It holds no personal data: names of our files, sizes, sums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its id: when it was made, UTC, so that ids sort by time.
    pub id: String,
    /// The version of Onefold that made it.
    pub version: String,
    /// Ends of the log's partitions: what came at or after these offsets is not in it.
    pub log_ends: Vec<u64>,
    /// To whom it is encrypted (`age1…`).
    pub recipient: String,
    /// Its files.
    pub files: Vec<Saved>,
}

/// A file in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of it, hex.
    pub sha256: String,
    /// Its parts, in order.
    pub parts: Vec<Part>,
}

/// A part of a file, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Bytes of the file in it.
    pub plain_bytes: u64,
    /// Bytes that are kept.
    pub bytes: u64,
    /// SHA-256 of what is kept, hex.
    pub sha256: String,
}

impl Manifest {
    /// Bytes of its files.
    pub fn plain_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> u64 {
        self.files.iter().flat_map(|file| &file.parts).map(|part| part.bytes).sum()
    }
}

/// Something as it was signed: its JSON, byte for byte, and an Ed25519 signature (RFC 8032) over that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The JSON.
    pub text: String,
    /// In base64.
    pub signature: String,
    /// In base64.
    pub public_key: String,
}

impl Signed {
    /// Signs.
    pub fn new(what: &impl Serialize, key: &Ed25519KeyPair) -> Signed {
        let text = serde_json::to_string(what).unwrap_or_default();
        Signed {
            signature: STANDARD.encode(key.sign(text.as_bytes())),
            public_key: STANDARD.encode(key.public_key()),
            text,
        }
    }

    /// What was signed, where the signature is good, and by `public_key` if one is given.
    pub fn read<T: DeserializeOwned>(&self, what: &str, public_key: Option<&str>) -> Result<T, Error> {
        if public_key.is_some_and(|expected| expected != self.public_key) {
            return Err(Error::Damaged(format!("{what} was signed by another key, {}", self.public_key)));
        }
        let decoded = STANDARD.decode(&self.public_key).ok().zip(STANDARD.decode(&self.signature).ok());
        let is_good = decoded.is_some_and(|(key, signature)| {
            UnparsedPublicKey::new(&ED25519, key).verify(self.text.as_bytes(), &signature).is_ok()
        });
        if !is_good {
            return Err(Error::Damaged(format!("{what} was changed after it was signed")));
        }
        serde_json::from_str(&self.text).map_err(|error| Error::Damaged(format!("{what} cannot be read: {error}")))
    }
}
