//! Dead letters in the state store.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use onefold_state::{Row, StateStore, Value, schema};
use serde::{Deserialize, Serialize};

use crate::ingest::{DeadLetter, DeadLetters, Entry, letters::PutError};

/// Keeps dead letters in the table `dead_letter`, durable when [`DeadLetters::put`] returns.
pub struct KeptLetters {
    /// The store.
    pub store: Arc<dyn StateStore>,
}

/// What stands in a letter's body: enough to try the event again as it came.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LetterBody {
    pub entry: Entry,
    pub event: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
}

/// The row of a letter.
pub(crate) fn row(letter: DeadLetter, line: Option<i64>) -> Row {
    let batch = letter.batch.map(|batch| batch.to_string());
    let body = LetterBody { entry: letter.entry, event: letter.event, batch };
    vec![
        Value::Int(letter.workspace.0.into()),
        Value::Text(format!("{:032x}", letter.id)),
        Value::Int(letter.source.into()),
        Value::Text(letter.code.to_owned()),
        Value::Text(letter.message.replace('\0', "\u{fffd}")),
        Value::Int(letter.received_at.0),
        line.map_or(Value::Null, Value::Int),
        Value::Text("waiting".to_owned()),
        Value::Bytes(serde_json::to_vec(&body).unwrap_or_default()),
    ]
}

impl DeadLetters for KeptLetters {
    fn put(&self, letters: Vec<DeadLetter>) -> BoxFuture<'_, Result<(), PutError>> {
        let store = self.store.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || {
                let mut txn = store.begin_shared()?;
                txn.put(&schema::DEAD_LETTER, letters.into_iter().map(|letter| row(letter, None)).collect())?;
                txn.commit()
            })
            .await
            .map_err(|error| PutError(error.to_string()))?
            .map_err(|error| PutError(error.to_string()))
        })
    }
}
