//! Backups, and what they are kept in.
//!
//! A backup is some files at one moment. Each is cut into parts, and each part compressed (zstd) and encrypted to a public key
//! ([age](https://age-encryption.org/v1)), so that whoever makes backups cannot read them, and `age` itself can open them. Below the
//! folder or bucket of a [`Place`]:
//!
//! ```text
//! backups/20261123T144205Z/state.db/000000.zst.age      a part
//! backups/20261123T144205Z/manifest.json                what belongs to it, with SHA-256 of each part, signed; written last
//! erased/1-er_0123456789abcdef.json.age                 who was erased after some backup, as keyed hashes, signed
//! ```
//!
//! A backup without a manifest was cut short and is none. The crate knows nothing of what stands in the files.

mod manifest;
mod notes;
mod place;

pub use manifest::{Manifest, Part, Saved, Signed};
pub use place::{Checked, Place};

pub use age::x25519::{Identity, Recipient};

/// Bytes of a file that become one part.
const PART_BYTES: usize = 32 << 20;

/// zstd's level: pages of a database become a third, at some 300 MB/s.
const LEVEL: i32 = 3;

/// Why a backup could not be made, read or trusted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL, the key or the options say nothing that can be used.
    #[error("{0}")]
    Setting(String),
    /// The object store.
    #[error("the backups' store: {0}")]
    Store(#[from] object_store::Error),
    /// A file here.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// There is no such backup.
    #[error("there is no backup {0}")]
    Unknown(String),
    /// It is not what was written, or not for this key.
    #[error("{0}")]
    Damaged(String),
}

/// Compresses and encrypts.
fn pack(recipient: &Recipient, plain: &[u8]) -> Result<Vec<u8>, Error> {
    let packed = zstd::bulk::compress(plain, LEVEL).map_err(|error| Error::File("compression".into(), error))?;
    age::encrypt(recipient, &packed).map_err(|error| Error::Setting(format!("a backup cannot be encrypted: {error}")))
}

/// The other way. Gives at most `bytes_max`.
fn unpack(identity: &Identity, packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, Error> {
    let damaged =
        |error: &dyn std::fmt::Display| Error::Damaged(format!("a part cannot be opened with this key: {error}"));
    let packed = age::decrypt(identity, packed).map_err(|error| damaged(&error))?;
    zstd::bulk::decompress(&packed, bytes_max).map_err(|error| damaged(&error))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex(&sha2::Sha256::digest(bytes))
}

#[cfg(test)]
mod tests;
