//! The audit log: who read people's data in bulk, changed something, or was refused, as leaves of a Merkle tree with signed heads.
//!
//! What is to be done is written before it is done, and what came of it after; if the one cannot be written, the other does not
//! happen. An entry names no customer: people stand in it by a keyed hash. The entries are in the state store; the key that heads are
//! signed with, and the last head, are files of the data folder, so that whoever has the store alone can neither change an entry nor
//! cut off the last ones without its being seen. Whoever has both keeps a head elsewhere (`onefold audit head`).

mod tree;

use std::{
    collections::HashMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use onefold_model::{
    Timestamp, WorkspaceId,
    access::{Access, Mask},
    rng,
};
use onefold_role::Action;
use onefold_state::{Reader, Row, Scan, Txn, Value, schema};
use parking_lot::Mutex;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use self::tree::{Hash, Tree};
use crate::{ApiError, App};

/// File with the seed of the key that heads are signed with.
pub(crate) const KEY_FILE: &str = "audit.key";
/// File with the last head.
pub(crate) const HEAD_FILE: &str = "audit.head";
/// Entries read at a time.
const AT_ONCE: usize = 5000;
/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;
/// Bulk reads of one caller in an hour from which on it is looked at whether they are unusual.
const UNUSUAL_MIN: u32 = 30;
/// So many times the average hour of the last days is unusual.
const UNUSUAL_TIMES: u64 = 10;
/// The days whose hours are averaged.
const USUAL_DAYS: i64 = 14;

/// What an entry tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something is about to be done.
    Begun,
    /// People are about to be read in bulk.
    Read,
    /// It was done.
    Done,
    /// It was not, by an error.
    Failed,
    /// Whoever asked may not.
    Refused,
    /// Something unusual.
    Alarm,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Begun => "begun",
            Kind::Read => "read",
            Kind::Done => "done",
            Kind::Failed => "failed",
            Kind::Refused => "refused",
            Kind::Alarm => "alarm",
        }
    }
}

/// An entry to be written.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub workspace: WorkspaceId,
    pub caller: String,
    /// An action's name.
    pub action: String,
    pub kind: Kind,
    /// The endpoint.
    pub path: String,
    /// JSON.
    pub details: serde_json::Value,
    /// Identifiers of customers, by the names of the details that a code for them goes into before it is written.
    pub customers: Vec<(String, String)>,
}

/// An entry as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntryView {
    /// Its number: its place in the tree.
    pub number: u64,
    /// When.
    pub at: String,
    /// In which workspace, by its number.
    pub workspace: i64,
    /// Who: `operator`, `user:7`, `key:3`.
    pub caller: String,
    /// The action.
    pub action: String,
    /// `begun`, `read`, `done`, `failed`, `refused`, `alarm`.
    pub kind: String,
    /// The endpoint.
    pub path: String,
    /// What of it, before and after.
    #[schema(value_type = Object)]
    pub details: serde_json::Value,
}

/// A signed head: what the tree was at a size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Head {
    /// How many entries.
    pub size: u64,
    /// The root over them (RFC 6962, SHA-256), in base 64.
    pub root: String,
    /// When it was signed, milliseconds since 1970.
    pub at: i64,
    /// The public key, Ed25519, in base 64.
    pub public_key: String,
    /// The signature over size, root and time, in base 64.
    pub signature: String,
}

impl Head {
    fn signed(tree: &Tree, at: Timestamp, key: &Ed25519KeyPair) -> Head {
        let root = STANDARD.encode(tree.root());
        let signature = STANDARD.encode(key.sign(Head::text(tree.size(), &root, at.0).as_bytes()));
        Head { size: tree.size(), root, at: at.0, public_key: STANDARD.encode(key.public_key()), signature }
    }

    fn text(size: u64, root: &str, at: i64) -> String {
        format!("onefold audit head\n{size}\n{root}\n{at}\n")
    }

    /// Whether this key signed it.
    fn is_signed_by(&self, public_key: &[u8]) -> bool {
        let Ok(signature) = STANDARD.decode(&self.signature) else { return false };
        let text = Head::text(self.size, &self.root, self.at);
        UnparsedPublicKey::new(&ED25519, public_key).verify(text.as_bytes(), &signature).is_ok()
    }
}

/// What a check of the audit log found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Checked {
    /// Entries that were read.
    pub entries: u64,
    /// The root over them, in base 64.
    pub root: String,
    /// What is wrong; nothing: it is whole.
    pub problems: Vec<String>,
}

/// What the audit log keeps in memory.
#[derive(Default)]
pub(crate) struct Audit {
    /// One writes at a time.
    turn: Mutex<()>,
    /// Bulk reads in the hour that is named, by caller.
    reads: Mutex<HashMap<String, (i64, u32)>>,
}

tokio::task_local! {
    /// What the request that is being answered has changed.
    static NOTES: Arc<Mutex<Vec<serde_json::Value>>>;
}

/// Answers, and gives what was noted meanwhile.
pub(crate) async fn noting<T>(answer: impl Future<Output = T>) -> (T, Vec<serde_json::Value>) {
    let notes = Arc::new(Mutex::new(vec![]));
    let answered = NOTES.scope(notes.clone(), answer).await;
    let noted = std::mem::take(&mut *notes.lock());
    (answered, noted)
}

/// Does blocking work whose notes belong to the same request.
pub(crate) fn carried<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let notes = NOTES.try_with(Arc::clone).ok();
    move || match notes {
        Some(notes) => NOTES.sync_scope(notes, work),
        None => work(),
    }
}

/// Notes what was changed, for the entry of the request that is being answered. No value of a customer belongs into it, and no
/// secret.
pub(crate) fn note(what: serde_json::Value) {
    // What the engine does by itself is in no request.
    let _ = NOTES.try_with(|notes| notes.lock().push(what));
}

/// Notes what something was before and is after.
pub(crate) fn changed(what: &str, name: &str, before: &impl Serialize, after: &impl Serialize) {
    note(json!({ "what": what, "name": name, "before": before, "after": after }));
}

/// A configuration without its secrets.
pub(crate) fn without_secrets(config: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["secret", "token", "password", "key", "auth", "header", "credential"].iter().any(|word| name.contains(word))
    };
    match config {
        Json::Object(members) => {
            let member = |(name, value): (&String, &Json)| {
                (name.clone(), if is_secret(name) && !value.is_null() { "•••".into() } else { without_secrets(value) })
            };
            Json::Object(members.iter().map(member).collect())
        }
        Json::Array(all) => all.iter().map(without_secrets).collect(),
        // Who connects may stand before the host.
        Json::String(text) => match (text.split_once("://"), text.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://•••@{host}").into(),
            _ => config.clone(),
        },
        other => other.clone(),
    }
}

/// A query without what it compares with, which may be somebody's address.
pub(crate) fn without_literals(sql: &str) -> String {
    let (mut out, mut quoted) = (String::new(), false);
    for c in sql.chars() {
        if c == '\'' {
            quoted = !quoted;
            out.push('\'');
        } else if !quoted {
            out.push(if c.is_ascii_digit() { '0' } else { c });
        }
    }
    out.chars().take(2000).collect()
}

/// The columns of a row that a leaf is made of.
fn leaf_of(row: &Row) -> Result<Hash, onefold_state::Error> {
    let fields = (
        row[0].as_int()?,
        row[1].as_int()?,
        row[2].as_int()?,
        row[3].as_text()?,
        row[4].as_text()?,
        row[5].as_text()?,
        row[6].as_text()?,
        STANDARD.encode(row[9].as_bytes()?),
    );
    Ok(tree::leaf(&serde_json::to_vec(&fields).unwrap_or_default()))
}

fn digest_of(salt: &[u8], details: &str) -> Vec<u8> {
    Sha256::new().chain_update(salt).chain_update(details.as_bytes()).finalize().to_vec()
}

pub(crate) fn broken(path: &Path, error: &std::io::Error) -> ApiError {
    ApiError::internal(format!("{} cannot be used: {error}", path.display()))
}

/// Makes a file that its owner alone may read.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

impl App {
    fn audit_file(&self, name: &str) -> PathBuf {
        self.settings.data_folder.join(name)
    }

    pub(crate) fn audit_key(&self) -> Result<Ed25519KeyPair, ApiError> {
        let path = self.audit_file(KEY_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let seed = rng::hex(&*self.rng, 32);
                write_secret(&path, &seed).map_err(|error| broken(&path, &error))?;
                seed
            }
            Err(error) => return Err(broken(&path, &error)),
        };
        let text = text.trim().as_bytes();
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let seed: Option<Vec<u8>> =
            text.chunks(2).map(|pair| Some(digit(pair[0])? * 16 + digit(*pair.get(1)?)?)).collect();
        let key = seed.and_then(|seed| Ed25519KeyPair::from_seed_unchecked(&seed).ok());
        key.ok_or_else(|| ApiError::internal(format!("{} is damaged", path.display())))
    }

    /// Writes an entry. Blocks.
    pub(crate) fn record(&self, entry: &Entry) -> Result<(), ApiError> {
        let _turn = self.audit.turn.lock();
        let key = self.audit_key()?;
        let mut txn = self.store.begin_shared()?;
        let head = self.record_in(&mut *txn, entry, &key)?;
        txn.commit()?;
        let (path, new) = (self.audit_file(HEAD_FILE), self.audit_file("audit.head.new"));
        let text = serde_json::to_vec(&head).unwrap_or_default();
        // A head that is lost is an earlier one: the log is longer then, which is no harm.
        fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).map_err(|error| broken(&path, &error))
    }

    fn record_in(&self, txn: &mut dyn Txn, entry: &Entry, key: &Ed25519KeyPair) -> Result<Head, ApiError> {
        let own = vec![Value::Int(0)];
        let mut tree = match txn.get(&schema::AUDIT_TREE, std::slice::from_ref(&own))?.pop().flatten() {
            None => Tree::default(),
            Some(row) => Tree::read(row[1].as_uint()?, row[2].as_bytes()?).ok_or_else(|| {
                ApiError::internal("the tree of the audit log is damaged; `onefold audit verify` says where")
            })?,
        };
        let now = self.clock.now();
        let (mut salt, details) = (vec![0; 16], entry.details.to_string());
        self.rng.fill(&mut salt);
        let mut row: Row = vec![
            Value::uint(tree.size()),
            Value::Int(now.0),
            Value::Int(entry.workspace.0.into()),
            Value::Text(entry.caller.clone()),
            Value::Text(entry.action.clone()),
            Value::Text(entry.kind.name().to_owned()),
            Value::Text(entry.path.clone()),
            // The store holds no text with U+0000 in it.
            Value::Text(details.replace('\0', "")),
        ];
        let digest = digest_of(&salt, row[7].as_text()?);
        row.extend([Value::Bytes(salt), Value::Bytes(digest)]);
        let leaf = leaf_of(&row)?;
        row.push(Value::Bytes(leaf.to_vec()));
        tree.push(leaf);
        txn.put(&schema::AUDIT, vec![row])?;
        let row = vec![own[0].clone(), Value::uint(tree.size()), Value::Bytes(tree.peaks())];
        txn.put(&schema::AUDIT_TREE, vec![row])?;
        Ok(Head::signed(&tree, now, key))
    }

    /// Notes a bulk read; one more than is usual for this caller is an alarm. Blocks.
    pub(crate) fn count_read(&self, entry: &Entry) -> Result<(), ApiError> {
        let now = self.clock.now();
        let hour = now.0 / HOUR_MS;
        let count = {
            let mut reads = self.audit.reads.lock();
            let (of, count) = reads.entry(entry.caller.clone()).or_insert((hour, 0));
            if *of != hour {
                (*of, *count) = (hour, 0);
            }
            *count += 1;
            *count
        };
        if count != UNUSUAL_MIN && !(count > UNUSUAL_MIN && count.is_power_of_two()) {
            return Ok(());
        }
        let since = now.0 - USUAL_DAYS * 24 * HOUR_MS;
        let own = vec![Value::Text(entry.caller.clone())];
        let scan = Scan {
            index: Some("of_caller"),
            after: Some(vec![own[0].clone(), Value::Int(since)]),
            ..Scan::prefix(&schema::AUDIT, own, 200_000)
        };
        let reader = &mut *self.store.reader()?;
        let is_read = |row: &Row| row[5].as_text().is_ok_and(|kind| kind == Kind::Read.name());
        let earlier = reader.scan(&scan)?.into_iter().filter(is_read);
        let usual = (earlier.count() as u64).saturating_sub(count.into()) / (USUAL_DAYS as u64 * 24);
        if u64::from(count) > UNUSUAL_TIMES * usual {
            let details = json!({ "reads_this_hour": count, "usual_in_an_hour": usual });
            tracing::warn!(caller = entry.caller, count, usual, "unusually many reads of people's data");
            self.record(&Entry { kind: Kind::Alarm, details, ..entry.clone() })?;
        }
        Ok(())
    }

    /// Writes down a question over PostgreSQL's protocol. Blocks.
    pub(crate) fn note_sql(&self, access: &Access, sql: &str) -> Result<(), ApiError> {
        let entry = Entry {
            workspace: access.workspace,
            caller: access.caller.name().into_owned(),
            action: Action::SqlAsk.name().to_owned(),
            kind: Kind::Read,
            path: "postgresql".to_owned(),
            details: json!({ "sql": without_literals(sql), "purpose": access.purpose.0 }),
            customers: vec![],
        };
        self.record(&entry)?;
        self.count_read(&entry)
    }

    /// The last head, signed now.
    pub(crate) fn audit_head(&self, reader: &mut dyn Reader) -> Result<Head, ApiError> {
        let row = reader.get(&schema::AUDIT_TREE, &[vec![Value::Int(0)]])?.pop().flatten();
        let tree = match row {
            None => Tree::default(),
            Some(row) => Tree::read(row[1].as_uint()?, row[2].as_bytes()?).ok_or_else(|| {
                ApiError::internal("the tree of the audit log is damaged; `onefold audit verify` says where")
            })?,
        };
        Ok(Head::signed(&tree, self.clock.now(), &self.audit_key()?))
    }

    /// Reads all entries and holds them against the last head, and another that was kept elsewhere. Blocks.
    pub(crate) fn check_audit(&self, reader: &mut dyn Reader, kept: Option<&Head>) -> Result<Checked, ApiError> {
        let mut heads: Vec<(&str, Head)> = vec![];
        let mut problems = vec![];
        let path = self.audit_file(HEAD_FILE);
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(head) => heads.push(("the last head", head)),
                Err(_) => problems.push(format!("{} cannot be read", path.display())),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(broken(&path, &error)),
        }
        heads.extend(kept.map(|head| ("the head that was kept", head.clone())));
        let key = self.audit_key()?;
        heads.retain(|(name, head)| {
            let good = head.is_signed_by(key.public_key().as_ref());
            if !good {
                problems.push(format!("{name}, of {} entries, is not signed by this server's key", head.size));
            }
            good
        });
        let (mut tree, mut after) = (Tree::default(), None);
        loop {
            let rows = reader.scan(&Scan { after: after.take(), ..Scan::prefix(&schema::AUDIT, vec![], AT_ONCE) })?;
            for row in &rows {
                let number = row[0].as_uint()?;
                if number != tree.size() {
                    problems.push(format!("entries {} to {} are missing", tree.size(), number.saturating_sub(1)));
                    // What follows cannot be placed any more.
                    return Ok(Checked { entries: tree.size(), root: STANDARD.encode(tree.root()), problems });
                }
                let leaf = leaf_of(row)?;
                let digest = match (row[7].some(), row[8].some()) {
                    (Some(details), Some(salt)) => digest_of(salt.as_bytes()?, details.as_text()?),
                    // What was erased has left its hash.
                    _ => row[9].as_bytes()?.to_vec(),
                };
                if leaf[..] != *row[10].as_bytes()? || digest != row[9].as_bytes()? {
                    problems.push(format!("entry {number} is not what was written"));
                }
                tree.push(leaf);
                for (name, head) in heads.iter().filter(|(_, head)| head.size == tree.size()) {
                    if STANDARD.encode(tree.root()) != head.root {
                        problems.push(format!("the first {} entries do not give {name}", head.size));
                    }
                }
            }
            match rows.last() {
                Some(last) if rows.len() == AT_ONCE => after = Some(vec![last[0].clone()]),
                _ => break,
            }
        }
        for (name, head) in heads.iter().filter(|(_, head)| head.size > tree.size()) {
            problems.push(format!("entries {} to {} are cut off: {name} has them", tree.size(), head.size - 1));
        }
        Ok(Checked { entries: tree.size(), root: STANDARD.encode(tree.root()), problems })
    }

    /// What stands for a customer in an entry: the same for the same identifier in one workspace.
    pub(crate) fn pseudonym(&self, workspace: WorkspaceId, identifier: &str) -> Result<String, ApiError> {
        let key = self.mask_key(workspace)?;
        Ok(Mask::Hashed.text(&identifier.trim().to_lowercase(), key).unwrap_or_default().into_owned())
    }
}

/// Entries of a workspace, the newest first.
pub(crate) fn list(
    reader: &mut dyn Reader,
    workspace: WorkspaceId,
    before: Option<i64>,
    caller: Option<&str>,
    limit: usize,
) -> Result<Vec<EntryView>, ApiError> {
    let mut views = vec![];
    let mut after = before.map(|number| vec![Value::Int(number)]);
    loop {
        let rows = reader.scan(&Scan {
            after: after.take(),
            reverse: true,
            ..Scan::prefix(&schema::AUDIT, vec![], AT_ONCE)
        })?;
        for row in &rows {
            let own = row[2].as_int()? == i64::from(workspace.0) || row[2].as_int()? == 0;
            if !own || caller.is_some_and(|caller| row[3].as_text().is_ok_and(|own| own != caller)) {
                continue;
            }
            let details = row[7].some().map(Value::as_text).transpose()?;
            views.push(EntryView {
                number: row[0].as_uint()?,
                at: Timestamp(row[1].as_int()?).to_string(),
                workspace: row[2].as_int()?,
                caller: row[3].as_text()?.to_owned(),
                action: row[4].as_text()?.to_owned(),
                kind: row[5].as_text()?.to_owned(),
                path: row[6].as_text()?.to_owned(),
                details: details.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
            });
            if views.len() == limit {
                return Ok(views);
            }
        }
        match rows.last() {
            Some(last) if rows.len() == AT_ONCE => after = Some(vec![last[0].clone()]),
            _ => return Ok(views),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_kept_without_its_secrets() {
        let config = json!({
            "url": "postgres://me:pw@db.example/x", "headers": {"Authorization": "Bearer x"}, "table": "t", "more": [{"api_key": 1}]
        });
        assert_eq!(
            without_secrets(&config),
            json!({ "url": "postgres://•••@db.example/x", "headers": "•••", "table": "t", "more": [{"api_key": "•••"}] })
        );
    }

    #[test]
    fn a_query_is_kept_without_what_it_compares_with() {
        let sql = "SELECT traits->>'email' FROM profiles WHERE traits->>'email' = 'it''s@example.com' LIMIT 4711";
        assert_eq!(without_literals(sql), "SELECT traits->>'' FROM profiles WHERE traits->>'' = '''' LIMIT 0000");
    }
}
