//! Dead letters: what was refused for its content, to be looked at and tried again.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use onefold_log::{Batch, Kind};
use onefold_model::{
    Timestamp,
    access::Access,
    event::{EventRecord, Fields, Incoming, accept},
};
use onefold_state::{Row, Scan, Value, schema};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Page;
use crate::{ApiError, App, caller::Caller, deadletters::LetterBody, ingest::Entry};

/// A dead letter.
#[derive(Debug, Serialize, ToSchema)]
pub struct LetterView {
    /// Its id.
    pub id: String,
    /// Why it was refused: a stable code.
    pub code: String,
    /// Why it was refused, in a sentence.
    pub reason: String,
    /// When it came.
    pub at: String,
    /// The line of the imported file it stood on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<i64>,
    /// `waiting`, or `retried`.
    pub state: String,
    /// What came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

fn view(access: &Access, row: &Row, whole: bool) -> Result<LetterView, ApiError> {
    Ok(LetterView {
        id: row[1].as_text()?.to_owned(),
        code: row[3].as_text()?.to_owned(),
        // A reason may say the value that was wrong.
        reason: if access.sight.is_clear() { row[4].as_text()?.to_owned() } else { String::new() },
        at: Timestamp(row[5].as_int()?).to_string(),
        line: row[6].some().map(Value::as_int).transpose()?,
        state: row[7].as_text()?.to_owned(),
        event: if whole { Some(seen(access, body(row)?.event)) } else { None },
    })
}

/// What is seen of what came. What is no JSON may be anything.
fn seen(access: &Access, event: String) -> String {
    if access.sight.is_clear() {
        return event;
    }
    RawValue::from_string(event).map_or_else(|_| String::new(), |event| access.sight.event(&event).get().to_owned())
}

/// What came. The pipeline's own letters are the event alone.
pub(crate) fn body(row: &Row) -> Result<LetterBody, ApiError> {
    let bytes = row[8].as_bytes()?;
    Ok(serde_json::from_slice(bytes).unwrap_or_else(|_| LetterBody {
        entry: Entry::Batch,
        event: String::from_utf8_lossy(bytes).into_owned(),
        batch: None,
    }))
}

/// Dead letters, the newest first.
#[utoipa::path(get, path = "/api/v1/dead-letters", params(Page), responses((status = 200, body = [LetterView])))]
pub async fn list(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Query(page): Query<Page>,
) -> Result<Json<Vec<LetterView>>, ApiError> {
    app.read(move |_, reader| {
        let own = vec![Value::Int(access.workspace.0.into())];
        let newest =
            Scan { index: Some("recent"), reverse: true, ..Scan::prefix(&schema::DEAD_LETTER, own, page.limit()) };
        reader.scan(&newest)?.iter().map(|row| view(&access, row, false)).collect::<Result<Vec<_>, _>>().map(Json)
    })
    .await
}

fn key(access: &Access, id: &str) -> Row {
    vec![Value::Int(access.workspace.0.into()), Value::Text(id.to_owned())]
}

/// A dead letter, with what came.
#[utoipa::path(get, path = "/api/v1/dead-letters/{id}", responses((status = 200, body = LetterView)))]
pub async fn show(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Path(id): Path<String>,
) -> Result<Json<LetterView>, ApiError> {
    app.read(move |_, reader| {
        let row = reader.get(&schema::DEAD_LETTER, &[key(&access, &id)])?.pop().flatten();
        let row =
            row.ok_or_else(|| ApiError::not_found("dead letter", &id, "list them with `onefold deadletter list`"))?;
        view(&access, &row, true).map(Json)
    })
    .await
}

/// What a retry gave.
#[derive(Debug, Serialize, ToSchema)]
pub struct Retried {
    /// Entered now.
    pub accepted: u64,
    /// Refused again, for the same or another reason.
    pub refused: u64,
}

/// Try all waiting dead letters again, as they came: after a limit was raised or rules were changed.
#[utoipa::path(post, path = "/api/v1/dead-letters/retry", responses((status = 200, body = Retried)))]
pub async fn retry(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Retried>, ApiError> {
    let theirs = access.clone();
    let _entering = app.ingest.doors.enter().await;
    let (batch, rows, refused) = app.block(move |app| prepare(app, &theirs)).await?;
    let accepted = rows.len() as u64;
    if accepted > 0 {
        app.append(&access, batch).await?;
        app.block(move |app| {
            let mut txn = app.store.begin_shared()?;
            txn.put(&schema::DEAD_LETTER, rows.clone())?;
            Ok(txn.commit()?)
        })
        .await?;
    }
    Ok(Json(Retried { accepted, refused }))
}

fn prepare(app: &App, access: &Access) -> Result<(Batch, Vec<Row>, u64), ApiError> {
    let own = vec![Value::Int(access.workspace.0.into())];
    let rows = app.store.reader()?.scan(&Scan::prefix(&schema::DEAD_LETTER, own, usize::MAX))?;
    let (mut batch, mut retried, mut refused) = (Batch::new(), vec![], 0);
    for mut row in rows {
        if row[7].as_text()? != "waiting" {
            continue;
        }
        let letter = body(&row)?;
        let fields = letter.batch.as_deref().map(Fields::read).transpose().unwrap_or_default().unwrap_or_default();
        let (kind, import) = match letter.entry {
            Entry::Call(kind) => (Some(kind), false),
            Entry::Import => (None, true),
            _ => (None, false),
        };
        let Ok(raw) = serde_json::from_str::<&RawValue>(&letter.event) else {
            refused += 1;
            continue;
        };
        let incoming = Incoming {
            workspace: access.workspace,
            source: row[2].as_int()? as u32,
            raw,
            kind,
            batch: &fields,
            place: 0,
            received_at: app.clock.now(),
            import,
            // The request's head is not kept.
            gpc: false,
        };
        let mut record = vec![];
        match accept(&incoming, &app.settings.ingest.limits, &mut record) {
            Ok(()) if EventRecord::decode(&record).is_ok_and(|record| app.ingest.doors.keeps_out(&record)) => {
                refused += 1
            }
            Ok(()) if !app.ingest.minimise(access.workspace, &mut record) => refused += 1,
            Ok(()) if batch.push(Kind::Event, &record).is_ok() => {
                row[7] = Value::Text("retried".to_owned());
                retried.push(row);
            }
            _ => refused += 1,
        }
    }
    Ok((batch, retried, refused))
}
