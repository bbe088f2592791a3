use std::{fs, path::Path, sync::atomic::AtomicU64};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;

fn key(byte: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[byte; 32]).unwrap()
}

fn manifest(id: &str) -> Manifest {
    Manifest { id: id.to_owned(), version: "0".to_owned(), log_ends: vec![7], recipient: String::new(), files: vec![] }
}

async fn save(place: &Place, id: &str, folder: &Path, identity: &Identity) -> Manifest {
    let files = ["a.db", "empty"].map(|name| (name.to_owned(), folder.join(name)));
    place.save(manifest(id), &files, &identity.to_public(), &key(1), &|_, _| {}).await.unwrap()
}

/// A file of two parts, and an empty one.
fn files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..PART_BYTES + 1000).map(|place| (place / 7 % 251) as u8).collect();
    fs::write(folder.path().join("a.db"), bytes).unwrap();
    fs::write(folder.path().join("empty"), b"").unwrap();
    folder
}

#[tokio::test]
async fn what_was_saved_comes_back_byte_for_byte_and_only_with_the_key() {
    let (from, kept, to) = (files(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let place = Place::open(kept.path().to_str().unwrap(), []).unwrap();
    let identity = Identity::generate();
    let saved = save(&place, "20260101T000000Z", from.path(), &identity).await;
    assert_eq!(saved.files[0].parts.len(), 2);
    assert!(saved.bytes() < saved.plain_bytes());
    let (read, signer) = place.manifest("20260101T000000Z", None).await.unwrap();
    assert_eq!((&read, signer.as_str()), (&saved, STANDARD.encode(key(1).public_key()).as_str()));
    let told = AtomicU64::new(0);
    let folder = to.path().join("back");
    let progress = |done, _| told.store(done, std::sync::atomic::Ordering::Relaxed);
    place.fetch(&read, &identity, &folder, &progress).await.unwrap();
    assert_eq!(told.into_inner(), saved.plain_bytes());
    for name in ["a.db", "empty"] {
        assert!(fs::read(folder.join(name)).unwrap() == fs::read(from.path().join(name)).unwrap());
    }
    let other = place.fetch(&read, &Identity::generate(), &to.path().join("other"), &|_, _| {}).await;
    assert!(matches!(other, Err(Error::Damaged(_))));
    assert!(matches!(place.manifest("20260101T000001Z", None).await, Err(Error::Unknown(_))));
}

#[tokio::test]
async fn a_changed_missing_or_foreign_part_and_a_changed_manifest_are_found() {
    let (from, kept) = (files(), tempfile::tempdir().unwrap());
    let place = Place::open(kept.path().to_str().unwrap(), []).unwrap();
    let identity = Identity::generate();
    let saved = save(&place, "1", from.path(), &identity).await;
    assert_eq!(place.check(&saved).await.unwrap(), Checked { parts: 2, bytes: saved.bytes(), problems: vec![] });
    let part = kept.path().join("backups/1/a.db/000000.zst.age");
    let whole = fs::read(&part).unwrap();
    let mut changed = whole.clone();
    changed[300] ^= 1;
    fs::write(&part, changed).unwrap();
    assert_eq!(place.check(&saved).await.unwrap().problems.len(), 1);
    fs::remove_file(&part).unwrap();
    assert!(place.check(&saved).await.unwrap().problems[0].contains("is not there"));
    fs::write(&part, whole).unwrap();
    // Signed by somebody else, and changed.
    assert!(place.manifest("1", Some("other")).await.is_err());
    let path = kept.path().join("backups/1/manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\\\"log_ends\\\":[7]", "\\\"log_ends\\\":[8]")).unwrap();
    assert!(place.manifest("1", None).await.unwrap_err().to_string().contains("changed"));
}

#[tokio::test]
async fn the_newest_stay_and_what_was_cut_short_goes() {
    let (from, kept) = (files(), tempfile::tempdir().unwrap());
    let place = Place::open(kept.path().to_str().unwrap(), []).unwrap();
    let identity = Identity::generate();
    for id in ["1", "2", "3", "4"] {
        save(&place, id, from.path(), &identity).await;
    }
    fs::remove_file(kept.path().join("backups/2/manifest.json")).unwrap();
    assert_eq!(place.ids().await.unwrap(), ["1", "3", "4"]);
    assert_eq!(place.prune(2).await.unwrap(), ["1", "2"]);
    assert_eq!(place.ids().await.unwrap(), ["3", "4"]);
    let left: Vec<_> = walk(kept.path());
    assert!(left.iter().all(|path| path.contains("/3/") || path.contains("/4/")), "{left:?}");
}

fn walk(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path.display().to_string()] }).collect()
}

#[tokio::test]
async fn a_note_is_read_by_the_key_and_only_from_its_signer() {
    let kept = tempfile::tempdir().unwrap();
    let place = Place::open(kept.path().to_str().unwrap(), []).unwrap();
    let identity = Identity::generate();
    assert!(place.notes().await.unwrap().is_empty());
    place.put_note("1-er_1", &["hash"], &identity.to_public(), &key(1)).await.unwrap();
    assert_eq!(place.notes().await.unwrap(), ["1-er_1"]);
    let signer = STANDARD.encode(key(1).public_key());
    let note: Vec<String> = place.read_note("1-er_1", &identity, &signer).await.unwrap();
    assert_eq!(note, ["hash"]);
    assert!(place.read_note::<Vec<String>>("1-er_1", &identity, "other").await.is_err());
    assert!(place.read_note::<Vec<String>>("1-er_1", &Identity::generate(), &signer).await.is_err());
}

#[test]
fn a_place_that_is_none_is_said_so() {
    for url in ["", "backups", "ftp://host/x"] {
        assert!(matches!(Place::open(url, []), Err(Error::Setting(_))), "{url}");
    }
}
