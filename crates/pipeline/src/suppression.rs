//! Who is not let in again: people who were erased, and people who asked to be left alone.
//!
//! The list holds no identifier. It holds HMAC-SHA-256 (RFC 2104) of each under a secret of the workspace, cut to 128 bits, so that
//! it tells of an identifier in hand whether it is meant, and gives none away. Every way in asks it: before an event is
//! appended, and again when one is applied, because a source's preparation may bring an identifier to light that nobody
//! could see before.

use hmac::{Hmac, KeyInit, Mac};
use onefold_model::{Rng, Timestamp, WorkspaceId, identity::Identifier};
use onefold_state::{Reader, Row, Scan, Txn, Value, schema};
use rustc_hash::FxHashMap;
use sha2::Sha256;

use crate::Error;

/// Name of the secret that identifiers are hashed with.
const SECRET: &str = "suppression";

/// Kinds that name a device, which may have several users.
const OF_DEVICES: [&str; 3] = ["anonymous_id", "device_id", "advertising_id"];

/// A keyed hash of an identifier.
pub type Digest = [u8; 16];

/// How long an identifier is kept out.
#[derive(Debug, Clone, Copy)]
struct Kept {
    /// From which log offset on.
    from: u64,
    /// To which: the end of time, unless the person came back.
    until: u64,
    /// What belonged to it before does not count either.
    erased: bool,
}

impl Kept {
    /// Whether an event at this offset is kept out; `None`: one that comes now.
    fn holds(self, offset: Option<u64>, naming: Naming) -> bool {
        match offset {
            None => self.until == u64::MAX,
            Some(offset) if offset < self.from => self.erased && naming == Naming::Owner,
            Some(offset) => offset < self.until,
        }
    }
}

/// What it takes for an event to be about somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// It belongs to them: they are its identifier of the highest priority.
    Owner,
    /// It belongs to them, or names them otherwise than by a device, which may have several users.
    Any,
}

/// The list of a workspace.
#[derive(Clone, Default)]
pub struct Suppressed {
    /// Without a secret nobody was ever suppressed.
    key: Option<Hmac<Sha256>>,
    until: FxHashMap<Digest, Kept>,
}

impl std::fmt::Debug for Suppressed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Suppressed({})", self.until.len())
    }
}

impl Suppressed {
    /// Reads the list of a workspace.
    pub fn load(store: &mut dyn Reader, workspace: WorkspaceId) -> Result<Suppressed, Error> {
        let Some(secret) = secret(store, workspace)? else { return Ok(Suppressed::default()) };
        let mut list = Suppressed { key: Some(keyed(&secret)), until: FxHashMap::default() };
        let own = vec![Value::Int(workspace.0.into())];
        for row in store.scan(&Scan::prefix(&schema::SUPPRESSED, own, usize::MAX))? {
            let digest =
                parse(row[1].as_text()?).ok_or_else(|| Error::unreadable("the suppression list", "no hash"))?;
            let until = row[2].some().map(Value::as_uint).transpose()?.unwrap_or(u64::MAX);
            let kept = Kept { from: row[5].as_uint()?, until, erased: row[6].as_int()? != 0 };
            list.until.insert(digest, kept);
        }
        Ok(list)
    }

    /// How many identifiers it has, lifted ones included.
    pub fn len(&self) -> usize {
        self.until.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.until.is_empty()
    }

    /// The hash of an identifier in its normal form; `None` where the workspace has no secret yet.
    pub fn digest(&self, kind: &str, value: &str) -> Option<Digest> {
        let mut mac = self.key.clone()?;
        mac.update(&(kind.len() as u64).to_le_bytes());
        mac.update(kind.as_bytes());
        mac.update(value.as_bytes());
        mac.finalize().into_bytes()[..16].try_into().ok()
    }

    /// Whether an identifier is kept out now.
    pub fn holds(&self, kind: &str, value: &str) -> bool {
        self.kept(kind, value).is_some_and(|kept| kept.holds(None, Naming::Any))
    }

    fn kept(&self, kind: &str, value: &str) -> Option<Kept> {
        self.digest(kind, value).and_then(|digest| self.until.get(&digest)).copied()
    }

    /// Whether an event that names these identifiers, highest priority first, is about somebody on the list: it belongs to them,
    /// or names them. Who uses a device of theirs is somebody else.
    pub fn covers(&self, identifiers: &[Identifier], offset: u64) -> bool {
        // Hashing is what costs: each identifier is hashed once.
        let is = |(place, one): (usize, &Identifier)| {
            let names = place == 0 || !OF_DEVICES.contains(&one.kind.as_ref());
            let kept = if names { self.kept(&one.kind, &one.value) } else { None };
            let holds = |kept: Kept, naming| kept.holds(Some(offset), naming);
            kept.is_some_and(|kept| holds(kept, Naming::Any) || (place == 0 && holds(kept, Naming::Owner)))
        };
        !self.until.is_empty() && identifiers.iter().enumerate().any(is)
    }
}

/// Whether an event that names these identifiers, highest priority first, is about somebody who `is` meant.
pub(crate) fn about(identifiers: &[Identifier], naming: Naming, is: &dyn Fn(&Identifier) -> bool) -> bool {
    let own = |(place, identifier): (usize, &Identifier)| {
        let counts = place == 0 || (naming == Naming::Any && !OF_DEVICES.contains(&identifier.kind.as_ref()));
        counts && is(identifier)
    };
    identifiers.iter().enumerate().any(own)
}

fn keyed(secret: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret).expect("HMAC takes a key of any length")
}

fn secret(store: &mut dyn Reader, workspace: WorkspaceId) -> Result<Option<Vec<u8>>, Error> {
    let key = vec![Value::Int(workspace.0.into()), Value::Text(SECRET.to_owned())];
    let row = store.get(&schema::SECRET, &[key])?.pop().flatten();
    Ok(row.map(|row| row[2].as_bytes().map(<[u8]>::to_vec)).transpose()?)
}

/// Makes the workspace's secret, where it has none yet.
pub fn make_secret(txn: &mut dyn Txn, workspace: WorkspaceId, rng: &dyn Rng) -> Result<(), Error> {
    if secret(txn, workspace)?.is_none() {
        let mut bytes = vec![0; 32];
        rng.fill(&mut bytes);
        let row = vec![Value::Int(workspace.0.into()), Value::Text(SECRET.to_owned()), Value::Bytes(bytes)];
        txn.put(&schema::SECRET, vec![row])?;
    }
    Ok(())
}

/// A hash as its table has it.
pub fn written(digest: &Digest) -> String {
    format!("{:032x}", u128::from_be_bytes(*digest))
}

/// Reads what [`written`] gives.
pub fn parse(text: &str) -> Option<Digest> {
    (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)).flatten()
}

/// The row that puts an identifier on the list.
pub fn row(workspace: WorkspaceId, digest: &Digest, at: Timestamp, request: &str, from: u64, erased: bool) -> Row {
    vec![
        Value::Int(workspace.0.into()),
        Value::Text(written(digest)),
        Value::Null,
        Value::Int(at.0),
        Value::Text(request.to_owned()),
        Value::uint(from),
        Value::Int(erased.into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(suppressed: &[(&str, &str, Kept)]) -> Suppressed {
        let mut list = Suppressed { key: Some(keyed(b"secret")), until: FxHashMap::default() };
        for (kind, value, kept) in suppressed {
            let digest = list.digest(kind, value).unwrap();
            list.until.insert(digest, *kept);
        }
        list
    }

    fn named(identifiers: &[(&'static str, &str)]) -> Vec<Identifier> {
        identifiers
            .iter()
            .map(|(kind, value)| Identifier { kind: (*kind).into(), value: (*value).to_owned() })
            .collect()
    }

    #[test]
    fn an_event_is_about_whom_it_belongs_to_and_whom_it_names_but_not_about_who_shares_a_device() {
        let erased = Kept { from: 5, until: u64::MAX, erased: true };
        let back = Kept { from: 5, until: 10, erased: true };
        let shy = Kept { from: 5, until: u64::MAX, erased: false };
        let list = list(&[
            ("email", "ada@example.com", erased),
            ("device_id", "d", erased),
            ("user_id", "back", back),
            ("user_id", "shy", shy),
        ]);
        let covers = |identifiers: &[(&'static str, &str)], at| list.covers(&named(identifiers), at);
        assert!(covers(&[("email", "ada@example.com")], 7));
        assert!(covers(&[("user_id", "u"), ("email", "ada@example.com")], 7), "named");
        assert!(!covers(&[("user_id", "u"), ("email", "ada@example.com")], 4), "named before: it is somebody else's");
        assert!(covers(&[("email", "ada@example.com")], 4), "theirs from before");
        assert!(covers(&[("device_id", "d")], 7), "belongs to the device alone");
        assert!(!covers(&[("user_id", "u"), ("device_id", "d")], 7), "somebody else on the device");
        assert!(!covers(&[("user_id", "ada@example.com")], 7), "another kind");
        assert!(!covers(&[], 7));
        assert!(covers(&[("user_id", "back")], 9) && !covers(&[("user_id", "back")], 10), "came back");
        assert!(!list.holds("user_id", "back") && list.holds("user_id", "shy"));
        assert!(covers(&[("user_id", "shy")], 5) && !covers(&[("user_id", "shy")], 4), "what was stays");
        assert!(!Suppressed::default().covers(&named(&[("email", "ada@example.com")]), 7));
    }

    #[test]
    fn a_hash_reads_back_and_needs_the_secret() {
        let digest = list(&[]).digest("email", "ada@example.com").unwrap();
        assert_eq!(parse(&written(&digest)), Some(digest));
        assert_eq!(parse("12"), None);
        let other = Suppressed { key: Some(keyed(b"other")), until: FxHashMap::default() };
        assert_ne!(other.digest("email", "ada@example.com"), Some(digest));
        // A kind and a value do not run into each other.
        assert_ne!(list(&[]).digest("a", "bc"), list(&[]).digest("ab", "c"));
    }
}
