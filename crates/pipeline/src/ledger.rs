//! The consent ledger: append-only rows, each chained to the one before it.
//!
//! A row's leaf is SHA-256 over its salt and what it says ([`payload`]); its link is SHA-256 over the link before it and the
//! leaf. So a row that was edited, taken out or moved breaks the chain, and [`verify`] says where; and a row that was
//! erased keeps its leaf, so the chain stays whole while nobody can tell any more what it said. The salt is made of the
//! record that brought the row, message id included, and goes with it.
//!
//! Rows from before there was a chain have no link; the first that has one follows 32 zero bytes.

use onefold_model::{
    NodeId, Timestamp, WorkspaceId, access::Access, command::IdentifierRef, consent, consent::Particulars,
    event::EventRecord,
};
use onefold_state::{Reader, Row, Scan, Txn, Value, schema};
use rustc_hash::FxHashMap;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::{Error, erase::each_row};

/// Columns of the table that a leaf covers: all up to the details.
const SAID: usize = 12;
const SALT: usize = 12;
const LEAF: usize = 13;
const LINK: usize = 14;

/// What the state of an erased row is called.
const ERASED: &str = "erased";

/// Bytes of a salt.
const SALT_BYTES: usize = 16;

type Hash = [u8; 32];

/// By what a row came.
pub(crate) enum By<'a> {
    Event(&'a EventRecord<'a>),
    Operator { subject: &'a IdentifierRef, terms: &'a Particulars, at: Timestamp, caller: &'a str },
}

/// What of a row stands in no column of its own.
#[derive(Serialize)]
struct Details<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    implied_in: Option<&'a str>,
    #[serde(flatten)]
    terms: Option<&'a Particulars>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
}

/// A row of the table, not linked yet.
pub(crate) fn row(workspace: WorkspaceId, node: NodeId, row: &consent::Row, place: i64, by: &By<'_>) -> Row {
    let (recorded, source) = match by {
        By::Event(record) => (record.received_at, record.source),
        By::Operator { at, .. } => (*at, 0),
    };
    let (terms, actor) = match by {
        By::Event(_) => (None, None),
        By::Operator { terms, caller, .. } => (Some(*terms), Some(*caller)),
    };
    let expires = row.expires.filter(|_| terms.is_none());
    let details = Details { expires, implied_in: row.jurisdiction.as_deref(), terms, actor };
    let details = serde_json::to_string(&details).unwrap_or_default();
    let salt = salt(row.offset, place, by);
    let mut columns = vec![
        Value::Int(workspace.0.into()),
        Value::Int(row.offset as i64),
        Value::Int(place),
        Value::Int(node.0),
        Value::Text(row.purpose.replace('\0', "\u{fffd}")),
        row.channel.as_ref().map_or(Value::Null, |channel| Value::Text(channel.replace('\0', "\u{fffd}"))),
        Value::Text(row.state.name().to_owned()),
        Value::Text(row.strength.name().to_owned()),
        Value::Int(row.at.0),
        Value::Int(recorded.0),
        Value::Int(source.into()),
        if details == "{}" { Value::Null } else { Value::Text(details.replace('\0', "\u{fffd}")) },
        Value::Bytes(salt.to_vec()),
    ];
    let leaf = leaf(&columns);
    columns.extend([Value::Bytes(leaf.to_vec()), Value::Null]);
    columns
}

fn salt(offset: u64, place: i64, by: &By<'_>) -> [u8; SALT_BYTES] {
    let mut hash = Sha256::new();
    hash.update(offset.to_le_bytes());
    hash.update(place.to_le_bytes());
    match by {
        By::Event(record) => hash.update(record.json),
        By::Operator { subject, at, .. } => {
            hash.update(at.0.to_le_bytes());
            hash.update(serde_json::to_vec(subject).unwrap_or_default());
        }
    }
    let whole: Hash = hash.finalize().into();
    let mut salt = [0; SALT_BYTES];
    salt.copy_from_slice(&whole[..SALT_BYTES]);
    salt
}

/// What a row says, as a leaf covers it: its columns up to the details, as a JSON array.
fn payload(columns: &[Value]) -> String {
    let said = columns[..SAID].iter().map(|value| match value {
        Value::Int(number) => serde_json::Value::from(*number),
        Value::Text(text) => serde_json::Value::from(text.as_str()),
        Value::Null | Value::Bytes(_) => serde_json::Value::Null,
    });
    serde_json::Value::Array(said.collect()).to_string()
}

fn leaf(columns: &[Value]) -> Hash {
    let salt = columns[SALT].some().and_then(|salt| salt.as_bytes().ok()).unwrap_or_default();
    Sha256::new().chain_update(salt).chain_update(payload(columns)).finalize().into()
}

fn next(link: &Hash, leaf: &[u8]) -> Hash {
    Sha256::new().chain_update(link).chain_update(leaf).finalize().into()
}

fn hash(value: &Value) -> Option<Hash> {
    value.some()?.as_bytes().ok()?.try_into().ok()
}

/// Links rows that are about to be written, in the order in which they were said.
pub(crate) fn link(txn: &mut dyn Txn, rows: &mut [Row]) -> Result<(), Error> {
    let mut heads: FxHashMap<i64, Hash> = FxHashMap::default();
    for row in rows {
        let workspace = row[0].as_int()?;
        let head = match heads.get(&workspace) {
            Some(head) => *head,
            None => {
                let prefix = vec![Value::Int(workspace)];
                let last = txn.scan(&Scan { reverse: true, ..Scan::prefix(&schema::CONSENT, prefix, 1) })?;
                last.first().and_then(|row| hash(&row[LINK])).unwrap_or_default()
            }
        };
        let head = next(&head, row[LEAF].as_bytes()?);
        row[LINK] = Value::Bytes(head.to_vec());
        heads.insert(workspace, head);
    }
    Ok(())
}

/// Erases what the rows of these nodes say; their leaves stay.
pub(crate) fn erase(txn: &mut dyn Txn, workspace: WorkspaceId, nodes: &[NodeId]) -> Result<(), Error> {
    for node in nodes {
        let of_node = vec![Value::Int(workspace.0.into()), Value::Int(node.0)];
        let of_node = Scan { index: Some("of_node"), ..Scan::prefix(&schema::CONSENT, of_node, usize::MAX) };
        let mut rows = txn.scan(&of_node)?;
        for row in &mut rows {
            for column in [4, 7] {
                row[column] = Value::Text(String::new());
            }
            row[6] = Value::Text(ERASED.to_owned());
            row[8] = Value::Int(0);
            for column in [5, 11, SALT] {
                row[column] = Value::Null;
            }
        }
        txn.put(&schema::CONSENT, rows)?;
    }
    Ok(())
}

/// What a look at the whole chain found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Verified {
    /// Rows with a link.
    pub rows: u64,
    /// Of these, rows whose person was erased: what they said is gone, and their place in the chain is not.
    pub erased: u64,
    /// Rows from before there was a chain.
    pub unlinked: u64,
    /// The last link, in hex. Whoever keeps it elsewhere, with the number of rows, sees a ledger that was cut off.
    pub head: String,
    /// What is wrong, in sentences, the first 20; none: the chain is whole.
    pub broken: Vec<String>,
}

/// Looks through the whole ledger of a workspace.
pub fn verify(store: &mut dyn Reader, access: &Access) -> Result<Verified, Error> {
    const BROKEN_MAX: usize = 20;
    let mut found = Verified::default();
    let mut head = Hash::default();
    each_row::<Error>(store, &schema::CONSENT, &[Value::Int(access.workspace.0.into())], &mut |row| {
        let place = format!("offset {}, row {}", row[1].as_int()?, row[2].as_int()?);
        let mut broken = |why: &str| {
            if found.broken.len() < BROKEN_MAX {
                found.broken.push(format!("{place}: {why}"));
            }
        };
        let (Some(own), Some(link)) = (hash(&row[LEAF]), hash(&row[LINK])) else {
            if found.rows > 0 {
                broken("it has no link, and those before it have");
            }
            found.unlinked += 1;
            return Ok(());
        };
        let is_erased = row[SALT].is_null();
        if is_erased && row[6].as_text()? != ERASED {
            broken("its salt is gone, and it was not erased");
        }
        if !is_erased && leaf(&row) != own {
            broken("it says something else than what was written");
        }
        head = next(&head, &own);
        if head != link {
            broken("it does not follow the row before it: one was changed, taken out, or put in");
            head = link;
        }
        found.rows += 1;
        found.erased += u64::from(is_erased);
        Ok(())
    })?;
    found.head = head.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(found)
}
