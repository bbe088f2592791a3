//! How events enter, whatever the route: judged each on its own, the refused ones kept, the others appended as one batch.
//!
//! The order is the promise: dead letters are durable first, then the log has the batch, then there is an answer. What
//! fails in between is answered with 429 or 503, the sender sends again, and the letters' ids and the events' message
//! ids make the second time the same as the first.

use onefold_log::{AppendError, Batch, Kind as RecordKind};
use onefold_model::{
    Timestamp,
    event::{EventRecord, Fields, Incoming, Refusal, accept},
    json,
};
use serde_json::value::RawValue;

use super::{
    DeadLetter, Entry, Ingest, Source,
    answer::Error,
    letters::{letter_id, shared, without_write_key},
};

/// What the events of one request may come to when what their batch says is merged into each, in bodies of the largest
/// size: it keeps a small body from becoming a large batch.
const MERGED_BODIES_MAX: usize = 4;

/// The events of one request.
pub(super) struct Delivery<'a> {
    pub source: &'a Source,
    pub entry: Entry,
    /// What the batch says for all.
    pub own: Fields<'a>,
    pub events: Events<'a>,
    /// The write key that the batch's first event names, where nothing else names one: then no event may name another.
    pub key_of_events: Option<&'a str>,
    /// Whether the request said `Sec-GPC: 1`.
    pub gpc: bool,
}

/// Each event as it is judged.
pub(super) enum Events<'a> {
    /// As they came.
    AsCame(&'a [&'a RawValue]),
    /// Each made out of what came.
    Made(&'a [(Box<RawValue>, &'a RawValue)]),
}

impl<'a> Events<'a> {
    fn len(&self) -> usize {
        match self {
            Events::AsCame(events) => events.len(),
            Events::Made(events) => events.len(),
        }
    }

    /// Each with what came.
    fn iter(&self) -> impl Iterator<Item = (&'a RawValue, &'a RawValue)> {
        let (came, made): (&[&RawValue], &[(Box<RawValue>, &RawValue)]) = match *self {
            Events::AsCame(events) => (events, &[]),
            Events::Made(events) => (&[], events),
        };
        came.iter().map(|event| (*event, *event)).chain(made.iter().map(|(event, came)| (&**event, *came)))
    }
}

/// What a request's events came to.
pub(super) struct Landed {
    /// How many there were.
    pub events: usize,
    /// The refused ones, by place.
    pub refused: Vec<(usize, Refusal)>,
}

/// Takes the events of one request. When this gives `Ok`, all of them are durable: in the log or among the dead letters.
pub(super) async fn take(ingest: &Ingest, delivery: Delivery<'_>) -> Result<Landed, Error> {
    let now = ingest.clock.now();
    let (source, events) = (delivery.source, delivery.events.len());
    if let Some(per_s_max) = ingest.settings.source_events_per_s_max {
        let taken = ingest.limiter.take((source.workspace, source.id), events, per_s_max, now);
        taken.map_err(|retry_after_s| Error::RateLimited { per_s_max, retry_after_s })?;
    }
    let _entering = ingest.doors.enter().await;
    let judged = judge(ingest, &delivery, now)?;
    if !judged.letters.is_empty() {
        ingest.refused.put(judged.letters).await.map_err(|error| {
            tracing::error!(workspace = source.workspace.0, source = source.id, %error, "dead letters were not kept");
            Error::Unavailable
        })?;
    }
    let accepted = judged.batch.len();
    if accepted > 0 {
        match ingest.log.append(ingest.partition(source.workspace), judged.batch).await {
            Ok(_) => {}
            Err(AppendError::Busy { .. }) => return Err(Error::Busy),
            Err(error) => {
                tracing::error!(workspace = source.workspace.0, source = source.id, %error, "events were not appended");
                return Err(Error::Unavailable);
            }
        }
    }
    ingest.meters.accepted.add(accepted as u64);
    ingest.meters.suppressed.add(judged.suppressed);
    for (_, refusal) in &judged.refused {
        ingest.meters.refused.add(refusal.code());
    }
    Ok(Landed { events, refused: judged.refused })
}

struct Judged {
    batch: Batch,
    suppressed: u64,
    refused: Vec<(usize, Refusal)>,
    letters: Vec<DeadLetter>,
}

fn judge(ingest: &Ingest, delivery: &Delivery<'_>, received_at: Timestamp) -> Result<Judged, Error> {
    let limits = &ingest.settings.limits;
    let Delivery { source, entry, own, events, key_of_events, gpc } = delivery;
    let bytes = |raw: Option<&RawValue>| raw.map_or(0, |raw| raw.get().len());
    let shared_bytes = bytes(own.context) + bytes(own.integrations);
    let merged_bytes: usize = events.iter().map(|(event, _)| event.get().len() + shared_bytes).sum();
    let merged_bytes_max = ingest.settings.body_bytes_max * MERGED_BODIES_MAX;
    if merged_bytes > merged_bytes_max {
        return Err(Error::RequestTooLarge { limit: merged_bytes_max });
    }

    let mut judged = Judged {
        // 64: the record's header and frame, and a little that may be put in.
        batch: Batch::with_capacity(merged_bytes + events.len() * 64),
        suppressed: 0,
        refused: Vec::new(),
        letters: Vec::new(),
    };
    let shared_json = std::cell::OnceCell::new();
    let guarded = ingest.doors.guards(source.workspace);
    let own_is_kept_out = guarded && shared(own).is_some_and(|own| ingest.doors.keeps_out_json(source.workspace, &own));
    // The record is written here and copied into the batch once it is known to enter; the batch takes no record back.
    let mut record = Vec::with_capacity(2048);
    for (place, (event, came)) in events.iter().enumerate() {
        record.clear();
        let incoming = Incoming {
            workspace: source.workspace,
            source: source.id,
            raw: event,
            kind: if let Entry::Call(kind) = entry { Some(*kind) } else { None },
            batch: own,
            place,
            received_at,
            import: *entry == Entry::Import,
            gpc: *gpc,
        };
        let verdict = match event.get().len() + shared_bytes {
            bytes if bytes > limits.event_bytes_max => Err(Refusal::TooLarge { bytes, limit: limits.event_bytes_max }),
            _ => check_key(event, *key_of_events).and_then(|()| accept(&incoming, limits, &mut record)),
        };
        match verdict {
            Ok(()) if guarded && is_suppressed(ingest, &record) => judged.suppressed += 1,
            Ok(()) if !ingest.minimise(source.workspace, &mut record) => {}
            Err(_) if own_is_kept_out => judged.suppressed += 1,
            Err(_) if guarded && ingest.doors.keeps_out_json(source.workspace, event.get()) => judged.suppressed += 1,
            Ok(()) => judged.batch.push(RecordKind::Event, &record).map_err(|error| {
                tracing::warn!(%error, "a batch of events is larger than the log takes");
                Error::RequestTooLarge { limit: merged_bytes_max }
            })?,
            Err(refusal) => {
                judged.letters.push(DeadLetter {
                    id: letter_id(source.workspace, source.id, came, place),
                    workspace: source.workspace,
                    source: source.id,
                    received_at,
                    entry: *entry,
                    code: refusal.code(),
                    message: refusal.to_string(),
                    event: ingest.minimised(source.workspace, without_write_key(came)),
                    batch: shared_json
                        .get_or_init(|| {
                            shared(own).map(|shared| ingest.minimised(source.workspace, shared.to_string()).into())
                        })
                        .clone(),
                });
                judged.refused.push((place, refusal));
            }
        }
    }
    Ok(judged)
}

fn is_suppressed(ingest: &Ingest, record: &[u8]) -> bool {
    EventRecord::decode(record).is_ok_and(|record| ingest.doors.keeps_out(&record))
}

/// An event that names another write key than the one that let its batch in belongs to another source, or to nobody.
fn check_key(event: &RawValue, key_of_events: Option<&str>) -> Result<(), Refusal> {
    match key_of_events {
        Some(key) if write_key(event).is_some_and(|own| own != key) => Err(Refusal::BadField {
            field: "writeKey",
            problem: "differs from that of the batch's first event; send each source's events in a batch of their own"
                .into(),
        }),
        _ => Ok(()),
    }
}

/// The write key that an event names.
pub(super) fn write_key(event: &RawValue) -> Option<String> {
    let fields = Fields::read(event.get()).ok()?;
    let key = json::text(fields.write_key?)?;
    (!key.is_empty()).then(|| key.into_owned())
}
