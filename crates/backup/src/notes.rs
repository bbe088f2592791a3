//! Notes beside the backups: what has to be done again when one of them is put back.

use futures_util::TryStreamExt as _;
use object_store::{ObjectStoreExt as _, path::Path};
use ring::signature::Ed25519KeyPair;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Identity, Place, Recipient, Signed, pack, unpack};

const ERASED: &str = "erased";

/// Bytes of a note at most, when it is read.
const NOTE_BYTES_MAX: usize = 256 << 20;

impl Place {
    fn note(&self, name: &str) -> Path {
        self.folder.clone().join(ERASED).join(format!("{name}.json.age"))
    }

    /// Writes a note, signed and encrypted. One of the same name is written over.
    pub async fn put_note(
        &self,
        name: &str,
        note: &impl Serialize,
        recipient: &Recipient,
        key: &Ed25519KeyPair,
    ) -> Result<(), Error> {
        let signed = serde_json::to_vec(&Signed::new(note, key)).unwrap_or_default();
        self.store.put(&self.note(name), pack(recipient, &signed)?.into()).await?;
        Ok(())
    }

    /// Names of the notes.
    pub async fn notes(&self) -> Result<Vec<String>, Error> {
        let all: Vec<_> = self.store.list(Some(&self.folder.clone().join(ERASED))).try_collect().await?;
        let name = |path: &Path| path.filename()?.strip_suffix(".json.age").map(str::to_owned);
        Ok(all.iter().filter_map(|one| name(&one.location)).collect())
    }

    /// A note, if `public_key` signed it.
    pub async fn read_note<T: DeserializeOwned>(
        &self,
        name: &str,
        identity: &Identity,
        public_key: &str,
    ) -> Result<T, Error> {
        let packed = self.store.get(&self.note(name)).await?.bytes().await?;
        let text = unpack(identity, &packed, NOTE_BYTES_MAX)?;
        let what = format!("the note {name}");
        let signed: Signed =
            serde_json::from_slice(&text).map_err(|error| Error::Damaged(format!("{what} cannot be read: {error}")))?;
        signed.read(&what, Some(public_key))
    }
}
