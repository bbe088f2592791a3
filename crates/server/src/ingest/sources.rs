//! Who may send: the directory of sources by write key, in memory, because every request asks it.
//!
//! It knows only hashes of write keys. That makes a look-up safe against timing (what is compared is the hash of what
//! was sent, which the sender does not choose byte by byte), and nothing that shows the directory shows a key.

use std::{collections::HashMap, sync::Arc};

use onefold_model::{Timestamp, WorkspaceId, event::record::SourceId};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};

use super::Mapping;

/// The SHA-256 of a write key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// The hash of `write_key`.
    pub fn of(write_key: &str) -> KeyHash {
        KeyHash(Sha256::digest(write_key.as_bytes()).into())
    }
}

/// A source of events.
#[derive(Debug, Clone)]
pub struct Source {
    /// Whose.
    pub workspace: WorkspaceId,
    /// Which.
    pub id: SourceId,
    /// Its name, one of its kind in the workspace.
    pub name: String,
    /// Its kind; [`Source::WEBHOOK`] takes webhooks too.
    pub kind: String,
    /// Whether it takes events now.
    pub enabled: bool,
    /// How what comes by webhook becomes events; without one each body is one event `webhook`.
    pub mapping: Option<Mapping>,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Source {
    /// The kind of a source that takes webhooks.
    pub const WEBHOOK: &str = "webhook";
}

/// The directory. A source may have several keys, so that a key can be replaced without a gap.
#[derive(Debug, Default)]
pub struct Sources(RwLock<HashMap<KeyHash, Arc<Source>>>);

impl Sources {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// The source with this write key.
    pub fn get_by_key(&self, write_key: &str) -> Option<Arc<Source>> {
        self.0.read().get(&KeyHash::of(write_key)).cloned()
    }

    /// The source of this name.
    pub fn named(&self, workspace: WorkspaceId, name: &str) -> Option<Arc<Source>> {
        self.0.read().values().find(|source| source.workspace == workspace && source.name == name).cloned()
    }

    /// Makes `sources` the whole directory.
    pub fn replace_all(&self, sources: impl IntoIterator<Item = (KeyHash, Source)>) {
        let sources = sources.into_iter().map(|(key, source)| (key, Arc::new(source))).collect();
        *self.0.write() = sources;
    }

    /// Adds `source` under `key`, or puts it in the place of the one there.
    pub fn put(&self, key: KeyHash, source: Source) {
        self.0.write().insert(key, Arc::new(source));
    }

    /// Takes a key away.
    pub fn remove(&self, key: KeyHash) {
        self.0.write().remove(&key);
    }
}
