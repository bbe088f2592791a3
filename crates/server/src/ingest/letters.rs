//! Dead letters: events that were refused for their content, kept durably before the request is answered.

use std::{fmt, hash::Hasher, sync::Arc};

use futures_util::future::BoxFuture;
use onefold_model::{
    Timestamp, WorkspaceId,
    event::{Fields, Kind, record::SourceId},
    json::{self, Members},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use siphasher::sip128::{Hasher128, SipHasher13};

/// By which way an event came; with it a dead letter can be tried again as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// In a batch.
    Batch,
    /// In a batch of the import route that says no `sentAt`: history, not something that was just sent.
    Import,
    /// Alone, by the route of its kind.
    Call(Kind),
    /// By the route for audience lists, which makes a track call of it: `event` is what came.
    AudienceList,
    /// By webhook: `event` is what came, before the source's mapping.
    Webhook,
}

/// An event that was refused.
#[derive(Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The same for the same event sent again, so that a retried request overwrites its letters.
    pub id: u128,
    /// Whose.
    pub workspace: WorkspaceId,
    /// By which source.
    pub source: SourceId,
    /// When it came.
    pub received_at: Timestamp,
    /// By which way.
    pub entry: Entry,
    /// Why it was refused: a code that is stable.
    pub code: &'static str,
    /// Why it was refused, for people.
    pub message: String,
    /// Its JSON as it came, but for the write key.
    pub event: String,
    /// What its batch says for all its events, as a JSON object, where it says something.
    pub batch: Option<Arc<str>>,
}

impl fmt::Debug for DeadLetter {
    /// Without the content, which is personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeadLetter { id, workspace, source, code, .. } = self;
        write!(f, "DeadLetter {{ id: {id:032x}, workspace: {workspace:?}, source: {source}, code: {code} }}")
    }
}

/// The dead letters could not be kept. A retry can help.
#[derive(Debug, thiserror::Error)]
#[error("put dead letters: {0}")]
pub struct PutError(pub String);

/// Where dead letters are kept.
///
/// # Contract
///
/// When the future of [`put`](Self::put) gives `Ok`, every letter survives `kill -9` and power loss. A letter takes the
/// place of one with the same workspace and id.
pub trait DeadLetters: Send + Sync {
    /// Keeps `letters`.
    fn put(&self, letters: Vec<DeadLetter>) -> BoxFuture<'_, Result<(), PutError>>;
}

/// The id of the letter for `event`, which stood at `place` of its request: by its message id where it has one, else
/// by its bytes.
pub(super) fn letter_id(workspace: WorkspaceId, source: SourceId, event: &RawValue, place: usize) -> u128 {
    let message_id = Members::of(event).and_then(|members| members.get("messageId")).and_then(json::text);
    let mut hasher = SipHasher13::new_with_keys(0x6f6e_6566_6f6c_6431, 0x6c65_7474_6572_7331);
    hasher.write_u32(workspace.0);
    hasher.write_u32(source);
    hasher.write_u64(place as u64);
    match message_id {
        Some(id) => hasher.write(id.as_bytes()),
        None => hasher.write(event.get().as_bytes()),
    }
    hasher.finish128().as_u128()
}

/// The event's JSON as it came, but for `writeKey`, a credential.
pub(super) fn without_write_key(event: &RawValue) -> String {
    match Members::of(event) {
        Some(members) if members.get("writeKey").is_some() => object(
            members.0.iter().map(|(name, value)| (name.as_ref(), *value)).filter(|(name, _)| *name != "writeKey"),
        ),
        _ => event.get().to_owned(),
    }
}

/// What a batch says for all its events, as an object.
pub(super) fn shared(own: &Fields<'_>) -> Option<Arc<str>> {
    let members = [("sentAt", own.sent_at), ("context", own.context), ("integrations", own.integrations)];
    let members = members.into_iter().filter_map(|(name, value)| Some((name, value?)));
    members.clone().next()?;
    Some(object(members).into())
}

fn object<'a>(members: impl Iterator<Item = (&'a str, &'a RawValue)>) -> String {
    let mut out = String::from("{");
    for (name, value) in members {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&serde_json::to_string(name).unwrap_or_default());
        out.push(':');
        out.push_str(value.get());
    }
    out.push('}');
    out
}
