//! PostgreSQL: audiences as a table of their members, events as a table of rows.
//!
//! A batch is one transaction. Where a row's own values make it fail, its rows are tried one by one, so that only that
//! row is refused.

mod connection;
mod sql;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_postgres::{Client, Error};

use crate::{
    config::{self, ConfigError},
    connectors::postgres::{
        connection::{Connected, words},
        sql::{Change, Merged, Statements},
    },
    destination::{Connector, Context, Delivery, Destination, Fault, Limits, Outcome},
};

/// The connector; see the module.
pub struct Postgres;

/// The longest that a batch may take.
const BATCH: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: String,
    #[serde(default = "table_default")]
    table: String,
    #[serde(default = "events_table_default")]
    events_table: String,
    #[serde(default = "yes")]
    create: bool,
}

fn table_default() -> String {
    "onefold_audience".into()
}

fn events_table_default() -> String {
    "onefold_event".into()
}

fn yes() -> bool {
    true
}

impl Connector for Postgres {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn config_schema(&self) -> Value {
        json!({"type": "object", "title": "PostgreSQL", "required": ["url"], "properties": {
            "url": {"type": "string", "writeOnly": true, "title": "URL", "description": "postgresql://user:password@host:5432/database"},
            "table": {"type": "string", "default": table_default(), "title": "Table of members"},
            "events_table": {"type": "string", "default": events_table_default(), "title": "Table of events"},
            "create": {"type": "boolean", "default": true, "title": "Make the tables where they are not there"}
        }})
    }

    fn open(&self, config: Value, context: &Context) -> Result<Arc<dyn Destination>, ConfigError> {
        let config: Config = config::read(config)?;
        let audience = sql::table("table", &config.table)?;
        let events = sql::table("events_table", &config.events_table)?;
        if audience == events {
            let cure = "Name two tables";
            return Err(ConfigError::new("events_table", "members and events cannot share a table", cure));
        }
        Ok(Arc::new(Database {
            connector: connection::Connector::new(&config.url, Arc::clone(&context.egress))?,
            statements: Statements::new(&audience, &events),
            create: config.create,
            connected: Mutex::new(None),
        }))
    }
}

struct Database {
    connector: connection::Connector,
    statements: Statements,
    create: bool,
    /// Taken out while it is used, so that a call that is dropped half-way leaves no half-used connection.
    connected: Mutex<Option<Connected>>,
}

/// Why a batch was not written.
enum Failure {
    /// A row's own values.
    Row(String),
    /// The server, the connection, the tables.
    Server(String),
}

impl Failure {
    fn of(error: Error) -> Failure {
        match error.code() {
            Some(code) if sql::blames_the_row(code.code()) => Failure::Row(words(&error)),
            Some(_) | None if is_conversion(&error) => Failure::Row(words(&error)),
            Some(_) | None => Failure::Server(words(&error)),
        }
    }
}

/// Whether the client itself could not write a value in the server's form.
fn is_conversion(error: &Error) -> bool {
    error.code().is_none() && !error.is_closed() && error.to_string().starts_with("error serializing parameter")
}

impl Database {
    async fn open(&self) -> Result<Connected, String> {
        let connected = self.connector.connect().await?;
        if self.create {
            connected.client.batch_execute(&self.statements.create).await.map_err(|error| words(&error))?;
        }
        Ok(connected)
    }

    async fn write(&self, client: &mut Client, changes: &[&Change]) -> Result<(), Failure> {
        let merged = Merged::of(changes.iter().copied());
        let txn = client.transaction().await.map_err(Failure::of)?;
        if !merged.erased.is_empty() {
            let ids: Vec<&str> = merged.erased.iter().copied().collect();
            txn.execute(&self.statements.erase, &[&ids]).await.map_err(Failure::of)?;
            txn.execute(&self.statements.erase_events, &[&ids]).await.map_err(Failure::of)?;
        }
        let (mut entered, mut left) = (Columns::<6>::default(), Columns::<2>::default());
        for ((segment, id), change) in &merged.members {
            match change {
                Some(Change::Enter { identifiers, traits, at, key, .. }) => {
                    entered.push([Some(segment), Some(id), Some(identifiers), Some(traits), at.as_deref(), Some(key)])
                }
                _ => left.push([Some(segment), Some(id)]),
            }
        }
        let mut events = Columns::<3>::default();
        for (key, (profile, event)) in &merged.events {
            events.push([Some(key), Some(profile), Some(event)]);
        }
        if let [Some(a), Some(b), Some(c), Some(d), Some(e), Some(f)] = entered.lists() {
            txn.execute(&self.statements.upsert, &[a, b, c, d, e, f]).await.map_err(Failure::of)?;
        }
        if let [Some(segments), Some(ids)] = left.lists() {
            txn.execute(&self.statements.delete, &[segments, ids]).await.map_err(Failure::of)?;
        }
        if let [Some(keys), Some(profiles), Some(bodies)] = events.lists() {
            txn.execute(&self.statements.insert, &[keys, profiles, bodies]).await.map_err(Failure::of)?;
        }
        txn.commit().await.map_err(Failure::of)
    }

    /// Writes the changes together or, where one of them does not fit, one by one.
    async fn write_all(&self, client: &mut Client, changes: &[&Change]) -> Result<Vec<Outcome>, String> {
        match self.write(client, changes).await {
            Ok(()) => return Ok(vec![delivered(); changes.len()]),
            Err(Failure::Server(cause)) => return Err(cause),
            Err(Failure::Row(cause)) if changes.len() == 1 => return Ok(vec![Outcome::refused(cause)]),
            Err(Failure::Row(_)) => {}
        }
        let mut outcomes = vec![];
        for change in changes {
            outcomes.push(match self.write(client, &[change]).await {
                Ok(()) => delivered(),
                Err(Failure::Row(cause)) => Outcome::refused(cause),
                Err(Failure::Server(cause)) => {
                    // Those before are written; these come again, and change nothing then.
                    outcomes.resize(changes.len(), Outcome::retry(cause));
                    return Ok(outcomes);
                }
            });
        }
        Ok(outcomes)
    }

    async fn deliver_changes(&self, changes: &[&Change]) -> Result<Vec<Outcome>, String> {
        let mut slot = self.connected.lock().await;
        let mut connected = match slot.take().filter(|connected| !connected.client.is_closed()) {
            Some(connected) => connected,
            None => self.open().await?,
        };
        let outcomes = self.write_all(&mut connected.client, changes).await?;
        *slot = Some(connected);
        Ok(outcomes)
    }
}

fn delivered() -> Outcome {
    Outcome::Delivered { detail: "committed".into() }
}

/// Values by column, as `unnest` takes them.
struct Columns<'v, const N: usize>([Vec<Option<&'v str>>; N]);

impl<const N: usize> Default for Columns<'_, N> {
    fn default() -> Self {
        Columns(std::array::from_fn(|_| vec![]))
    }
}

impl<'v, const N: usize> Columns<'v, N> {
    fn push(&mut self, row: [Option<&'v str>; N]) {
        for (column, value) in self.0.iter_mut().zip(row) {
            column.push(value);
        }
    }

    /// The lists, or nothing where there are no rows.
    fn lists(&self) -> [Option<&Vec<Option<&'v str>>>; N] {
        self.0.each_ref().map(|list| (!list.is_empty()).then_some(list))
    }
}

impl Destination for Database {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn limits(&self) -> Limits {
        Limits { batch_max: 200, concurrency: 1, concurrency_max: 1, gather_ms: 0 }
    }

    fn deliver<'a>(&'a self, batch: &'a [Delivery]) -> BoxFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            let read: Vec<Result<Change, &str>> = batch.iter().map(Change::of).collect();
            let changes: Vec<&Change> = read.iter().filter_map(|change| change.as_ref().ok()).collect();
            let mut written = match changes.is_empty() {
                true => vec![],
                false => match tokio::time::timeout(BATCH, self.deliver_changes(&changes)).await {
                    Ok(Ok(outcomes)) => outcomes,
                    Ok(Err(cause)) => vec![Outcome::retry(cause); changes.len()],
                    Err(_) => {
                        let cause = format!("the batch took longer than {} ms", BATCH.as_millis());
                        vec![Outcome::retry(cause); changes.len()]
                    }
                },
            }
            .into_iter();
            let outcome = |change: Result<Change, &str>| match change {
                Ok(_) => written.next().unwrap_or_else(|| Outcome::retry("no outcome")),
                Err(cause) => Outcome::refused(cause),
            };
            read.into_iter().map(outcome).collect()
        })
    }

    fn test(&self) -> BoxFuture<'_, Result<String, Fault>> {
        Box::pin(async move {
            let tried = async {
                let connected = self.open().await?;
                connected.client.batch_execute(&self.statements.check).await.map_err(|error| words(&error))
            };
            let cure = "Check the URL, the server, and the user's rights to both tables";
            match tokio::time::timeout(BATCH, tried).await {
                Ok(Ok(())) => Ok("both tables were read".into()),
                Ok(Err(cause)) => Err(Fault { cause, cure: cure.into() }),
                Err(_) => Err(Fault { cause: "no answer came in time".into(), cure: cure.into() }),
            }
        })
    }
}
