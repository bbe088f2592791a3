//! Where backups are kept: a folder, or a bucket of an object store.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use futures_util::TryStreamExt as _;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use ring::signature::Ed25519KeyPair;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::{Error, Identity, Manifest, PART_BYTES, Part, Recipient, Saved, Signed, hex, pack, sha256, unpack};

const BACKUPS: &str = "backups";
const MANIFEST: &str = "manifest.json";

/// A folder or bucket with backups.
#[derive(Debug, Clone)]
pub struct Place {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) folder: Path,
    url: String,
}

/// What a look at a backup found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Parts that were read.
    pub parts: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// What is wrong; nothing: it is whole.
    pub problems: Vec<String>,
}

fn of_file(path: &FilePath) -> impl Fn(std::io::Error) -> Error {
    let name = path.display().to_string();
    move |error| Error::File(name.clone(), error)
}

impl Place {
    /// The place at a URL (`file:///…`, `s3://bucket/…`, `gs://…`, `az://…`) with options of its store. A folder is made where there is none.
    pub fn open(url: &str, options: impl IntoIterator<Item = (String, String)>) -> Result<Place, Error> {
        let wrong =
            |error: &dyn std::fmt::Display| Error::Setting(format!("backups cannot be kept at {url:?}: {error}"));
        let parsed = match Url::parse(url) {
            Ok(parsed) => parsed,
            Err(_) if FilePath::new(url).is_absolute() => {
                Url::from_directory_path(url).map_err(|()| wrong(&"it is no path"))?
            }
            Err(error) => return Err(wrong(&error)),
        };
        if let Ok(path) = parsed.to_file_path() {
            make_private_folder(&path)?;
        }
        let (store, folder) = object_store::parse_url_opts(&parsed, options).map_err(|error| wrong(&error))?;
        Ok(Place { store: Arc::from(store), folder, url: parsed.to_string() })
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn of(&self, id: &str, name: &str) -> Path {
        name.split('/').fold(self.folder.clone().join(BACKUPS).join(id), |path, part| path.join(part))
    }

    fn part(&self, id: &str, file: &str, number: usize) -> Path {
        self.of(id, &format!("{file}/{number:06}.zst.age"))
    }

    /// Writes a backup: the files at these paths under these names. `manifest` has everything but the files; `progress` is told of
    /// each (bytes done, bytes in all).
    pub async fn save(
        &self,
        manifest: Manifest,
        files: &[(String, PathBuf)],
        recipient: &Recipient,
        key: &Ed25519KeyPair,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Manifest, Error> {
        let sizes = files.iter().map(|(_, path)| fs::metadata(path).map(|data| data.len()).map_err(of_file(path)));
        let all: u64 = sizes.sum::<Result<u64, Error>>()?;
        let mut manifest = Manifest { recipient: recipient.to_string(), files: vec![], ..manifest };
        let mut done = 0;
        for (name, path) in files {
            let mut saved = Saved { name: name.clone(), bytes: 0, sha256: String::new(), parts: vec![] };
            let mut sum = Sha256::new();
            loop {
                let (path, recipient, from) = (path.clone(), recipient.clone(), saved.bytes);
                let cut = move || {
                    let plain = read_at(&path, from).map_err(of_file(&path))?;
                    let packed = pack(&recipient, &plain)?;
                    Ok::<_, Error>((plain, packed))
                };
                let (plain, packed) = blocking(cut).await?;
                if plain.is_empty() {
                    break;
                }
                sum.update(&plain);
                let part =
                    Part { plain_bytes: plain.len() as u64, bytes: packed.len() as u64, sha256: sha256(&packed) };
                self.store.put(&self.part(&manifest.id, name, saved.parts.len()), packed.into()).await?;
                saved.bytes += part.plain_bytes;
                saved.parts.push(part);
                done += plain.len() as u64;
                progress(done, all);
            }
            saved.sha256 = hex(&sum.finalize());
            manifest.files.push(saved);
        }
        let signed = serde_json::to_vec(&Signed::new(&manifest, key)).unwrap_or_default();
        self.store.put(&self.of(&manifest.id, MANIFEST), signed.into()).await?;
        Ok(manifest)
    }

    /// Ids of the backups that were finished, the oldest first.
    pub async fn ids(&self) -> Result<Vec<String>, Error> {
        let root = self.folder.clone().join(BACKUPS);
        let listed = self.store.list_with_delimiter(Some(&root)).await?;
        let mut ids = vec![];
        for folder in listed.common_prefixes {
            let Some(id) = folder.filename().map(str::to_owned) else { continue };
            match self.store.head(&self.of(&id, MANIFEST)).await {
                Ok(_) => ids.push(id),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// A backup's manifest, if its signature is good (and by `public_key`, where one is given), and who signed it.
    pub async fn manifest(&self, id: &str, public_key: Option<&str>) -> Result<(Manifest, String), Error> {
        let found = match self.store.get(&self.of(id, MANIFEST)).await {
            Err(object_store::Error::NotFound { .. }) => return Err(Error::Unknown(id.to_owned())),
            found => found?.bytes().await?,
        };
        let unreadable = |error| Error::Damaged(format!("the manifest of {id} cannot be read: {error}"));
        let signed: Signed = serde_json::from_slice(&found).map_err(unreadable)?;
        let manifest: Manifest = signed.read(&format!("the manifest of {id}"), public_key)?;
        match manifest.id == id {
            true => Ok((manifest, signed.public_key)),
            false => Err(Error::Damaged(format!("the manifest of {id} is that of {}", manifest.id))),
        }
    }

    /// Looks whether every part is there as it was written; needs no key to open them.
    pub async fn check(&self, manifest: &Manifest) -> Result<Checked, Error> {
        let mut checked = Checked::default();
        for file in &manifest.files {
            for (number, part) in file.parts.iter().enumerate() {
                match self.part_bytes(manifest, file, number).await {
                    Ok(_) => {
                        checked.parts += 1;
                        checked.bytes += part.bytes;
                    }
                    Err(Error::Damaged(problem)) => checked.problems.push(problem),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(checked)
    }

    async fn part_bytes(&self, manifest: &Manifest, file: &Saved, number: usize) -> Result<Vec<u8>, Error> {
        let said =
            |what: &str| Error::Damaged(format!("part {number} of {} in backup {} {what}", file.name, manifest.id));
        let found = match self.store.get(&self.part(&manifest.id, &file.name, number)).await {
            Err(object_store::Error::NotFound { .. }) => return Err(said("is not there")),
            found => found?.bytes().await?,
        };
        match sha256(&found) == file.parts[number].sha256 {
            true => Ok(found.to_vec()),
            false => Err(said("is not as it was written")),
        }
    }

    /// Puts a backup's files into `folder`, which is made. A file is complete and what it was, or there is an error.
    pub async fn fetch(
        &self,
        manifest: &Manifest,
        identity: &Identity,
        folder: &FilePath,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<(), Error> {
        make_private_folder(folder)?;
        let mut done = 0;
        for file in &manifest.files {
            if FilePath::new(&file.name).file_name() != Some(file.name.as_ref()) {
                return Err(Error::Damaged(format!("a backup's file cannot be called {:?}", file.name)));
            }
            let path = folder.join(&file.name);
            let mut out = private_file(&path).map_err(of_file(&path))?;
            let mut sum = Sha256::new();
            for (number, part) in file.parts.iter().enumerate() {
                let (packed, identity) = (self.part_bytes(manifest, file, number).await?, identity.clone());
                let bytes = usize::try_from(part.plain_bytes).unwrap_or(usize::MAX).min(PART_BYTES);
                let plain = blocking(move || unpack(&identity, &packed, bytes)).await?;
                sum.update(&plain);
                out.write_all(&plain).map_err(of_file(&path))?;
                done += plain.len() as u64;
                progress(done, manifest.plain_bytes());
            }
            out.sync_all().map_err(of_file(&path))?;
            if hex(&sum.finalize()) != file.sha256 {
                return Err(Error::Damaged(format!("{} is not what was saved", file.name)));
            }
        }
        Ok(())
    }

    /// Removes all but the newest `keep` backups, and what was cut short before the newest. Gives the ids that went.
    pub async fn prune(&self, keep: usize) -> Result<Vec<String>, Error> {
        let ids = self.ids().await?;
        let Some(newest) = ids.last().cloned() else { return Ok(vec![]) };
        let kept = &ids[ids.len().saturating_sub(keep.max(1))..];
        let root = self.folder.clone().join(BACKUPS);
        let mut gone = vec![];
        for folder in self.store.list_with_delimiter(Some(&root)).await?.common_prefixes {
            let Some(id) = folder.filename().map(str::to_owned) else { continue };
            if kept.contains(&id) || id > newest {
                continue;
            }
            // The manifest first: from then on it is none.
            match self.store.delete(&self.of(&id, MANIFEST)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let parts: Vec<_> = self.store.list(Some(&folder)).try_collect().await?;
            for part in parts {
                self.store.delete(&part.location).await?;
            }
            gone.push(id);
        }
        gone.sort_unstable();
        Ok(gone)
    }
}

/// The part of a file that begins at `from`.
fn read_at(path: &FilePath, from: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut plain = Vec::new();
    file.take(PART_BYTES as u64).read_to_end(&mut plain)?;
    Ok(plain)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|error| Error::File("a task".into(), std::io::Error::other(error)))?
}

/// A folder that its owner alone may read.
fn make_private_folder(path: &FilePath) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(of_file(path))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(of_file(path))?;
    }
    Ok(())
}

/// A new file that its owner alone may read.
fn private_file(path: &FilePath) -> std::io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}
