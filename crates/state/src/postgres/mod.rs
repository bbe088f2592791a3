//! The store of several machines: PostgreSQL, spoken to without TLS.
//!
//! (Connections are plain for now: put the database on the same machine or on a private network, or a TLS tunnel
//! between.)
//!
//! **Turns.** A transaction of a partition locks the table `meta` in `ROW SHARE` mode, which such transactions share;
//! any other locks it in `EXCLUSIVE` mode. So shared transactions are serialised with the pipelines, partitions run
//! beside each other, and nobody starves, because table locks queue. All statements of a transaction run after its lock
//! was granted and under `READ COMMITTED`, so they see all that was committed before.
//!
//! **Fencing.** The row of a partition in `epoch` is locked from `begin` to the end, and taking over changes that row:
//! it waits for the transaction that is open, and every later one reads the new epoch.
//!
//! **Readers** are `REPEATABLE READ` snapshots. PostgreSQL's snapshots do not cover dropped tables, so a reader also
//! locks the empty table `reading`, and the tables of an old generation are dropped only when that lock can be had
//! alone: after the swap, or, where a reader stays long, at a later occasion.
//!
//! **Plans.** Everything this store asks is meant to go through an index, so its sessions tell the planner so, instead
//! of trusting statistics that are old while a rebuild fills new tables.

mod batch;
mod error;
mod session;
mod txn;

use std::time::Duration;

use crate::{
    Epoch, Error, Generation, Partition, Reader, StateStore, Synchronous, Table, Txn,
    memory::unknown_generation,
    migrate::{self, MIGRATIONS, Meta},
    pool::{Lease, Pool},
    postgres::{
        session::{Connector, Session, Turn},
        txn::{PostgresReader, PostgresTxn},
    },
    sql::{self, Dialect},
    table::{check_declarations, generation_of},
};

/// Where PostgreSQL is, and how [`PostgresStore`] uses it.
#[derive(Clone)]
pub struct PostgresSettings {
    /// `postgresql://user:password@host/database`, or `host=… user=…`.
    pub url: String,
    /// The schema that holds the tables; made where it is not there.
    pub schema: String,
    /// Durability of the pipeline's commits.
    pub synchronous: Synchronous,
    /// How many transactions may be open at a time, at least one more than there are partitions.
    pub writers_max: usize,
    /// How many readers may be open at a time.
    pub readers_max: usize,
    /// How long a transaction waits for its turn, a reader for a connection, and a connection for the server.
    pub wait: Duration,
}

impl PostgresSettings {
    /// The defaults for this server.
    pub fn new(url: impl Into<String>) -> Self {
        PostgresSettings {
            url: url.into(),
            schema: "onefold".into(),
            synchronous: Synchronous::Normal,
            writers_max: 8,
            readers_max: 16,
            wait: Duration::from_secs(10),
        }
    }
}

impl std::fmt::Debug for PostgresSettings {
    /// Without the URL, which may hold a password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PostgresSettings").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// See the module.
pub struct PostgresStore {
    tables: &'static [&'static Table],
    synchronous: Synchronous,
    connector: Connector,
    writers: Pool<Session>,
    readers: Pool<Session>,
}

impl PostgresStore {
    /// Connects, and brings the schema to `tables`.
    ///
    /// # Errors
    /// [`Error::Unusable`] where the URL cannot be read, the schema is of a newer version or lacks what cannot be
    /// added; [`Error::Unavailable`] where the server cannot be reached; [`Error::Shape`] where the declarations cannot
    /// work.
    pub fn connect(tables: &'static [&'static Table], settings: &PostgresSettings) -> Result<Self, Error> {
        check_declarations(tables)?;
        let store = PostgresStore {
            tables,
            synchronous: settings.synchronous,
            connector: Connector::new(settings)?,
            writers: Pool::new(settings.writers_max, settings.wait),
            readers: Pool::new(settings.readers_max, settings.wait),
        };
        let operation = "open the state";
        let upgrade = |session: &mut Session| session.upgrade(operation, &settings.schema, tables, MIGRATIONS);
        store.begun(&store.writers, operation, upgrade).map(drop)?;
        Ok(store)
    }

    /// A session of `pool` on which `begin` was done. Where the connection turns out to be lost, the idle ones are too:
    /// they are closed, and it is tried once more on a new one.
    fn begun<'p, T>(
        &self,
        pool: &'p Pool<Session>,
        operation: &'static str,
        begin: impl Fn(&mut Session) -> Result<T, Error>,
    ) -> Result<(Lease<'p, Session>, T), Error> {
        let mut tried_again = false;
        loop {
            let mut session = pool.lend(operation, || self.connector.open(operation))?;
            let error = match begin(&mut session) {
                Ok(begun) => return Ok((session, begun)),
                Err(error) => error,
            };
            let lost = session.is_closed();
            session::end(session);
            if !lost || tried_again {
                return Err(error);
            }
            tracing::info!(%error, "state.reconnect");
            drop(pool.drain());
            tried_again = true;
        }
    }

    fn transaction(
        &self,
        operation: &'static str,
        turn: Turn,
        generation: Option<Generation>,
    ) -> Result<(PostgresTxn<'_>, Meta), Error> {
        let begin = |session: &mut Session| session.begin(operation, turn, self.synchronous);
        let (session, meta) = self.begun(&self.writers, operation, begin)?;
        let generation = generation.unwrap_or(meta.generation);
        let txn = PostgresTxn::new(session, generation);
        if !meta.generations().contains(&generation) {
            return Err(unknown_generation(operation, generation));
        }
        Ok((txn, meta))
    }

    /// The names of the tables in the database.
    fn tables_now(&self, operation: &'static str) -> Result<Vec<String>, Error> {
        let (_, catalog) = self.begun(&self.writers, operation, |session| session.catalog(operation))?;
        Ok(catalog.tables.into_keys().collect())
    }

    /// Drops the tables of all generations but the current one and the one under construction, unless readers use
    /// them: then that is left to the next call.
    fn drop_stale(&self) -> Result<(), Error> {
        let operation = "drop old generations";
        let (mut txn, meta) = self.transaction(operation, Turn::Alone, None)?;
        let names = txn.session().catalog(operation)?.tables.into_keys();
        let statements = migrate::drop_others(names, &meta.generations());
        if statements.is_empty() {
            return Ok(());
        }
        match txn
            .session()
            .run(operation, "SET LOCAL lock_timeout = '200ms'; LOCK TABLE reading IN ACCESS EXCLUSIVE MODE")
        {
            Ok(()) => {}
            Err(Error::Unavailable { .. }) => {
                tracing::info!(tables = statements.len(), "generation.still_read");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        txn.session().run(operation, &statements.join(";\n"))?;
        Box::new(txn).commit()
    }
}

impl Drop for PostgresStore {
    /// Closes the idle connections on a thread of their own, because the driver may not do it within an async runtime.
    fn drop(&mut self) {
        let (writers, readers) = (self.writers.drain(), self.readers.drain());
        let closing = std::thread::spawn(move || drop((writers, readers)));
        if closing.join().is_err() {
            tracing::warn!("state.connections_not_closed");
        }
    }
}

impl StateStore for PostgresStore {
    fn take_over(&self, partition: Partition) -> Result<Epoch, Error> {
        let operation = "take over a partition";
        let (_, epoch) = self.begun(&self.writers, operation, |session| session.take_over(operation, partition))?;
        tracing::info!(partition, epoch, "partition.taken_over");
        Ok(epoch)
    }

    fn begin(
        &self,
        partition: Partition,
        epoch: Epoch,
        generation: Option<Generation>,
    ) -> Result<Box<dyn Txn + '_>, Error> {
        let (txn, _) = self.transaction("begin", Turn::Partition { partition, epoch }, generation)?;
        Ok(Box::new(txn))
    }

    fn begin_shared(&self) -> Result<Box<dyn Txn + '_>, Error> {
        let (txn, _) = self.transaction("begin a shared transaction", Turn::Alone, None)?;
        Ok(Box::new(txn))
    }

    fn reader(&self) -> Result<Box<dyn Reader + Send + '_>, Error> {
        let operation = "read the state";
        let (session, generation) = self.begun(&self.readers, operation, |session| session.begin_reading(operation))?;
        Ok(Box::new(PostgresReader::new(session, generation)))
    }

    fn new_generation(&self) -> Result<Generation, Error> {
        let operation = "begin a generation";
        let (mut txn, meta) = self.transaction(operation, Turn::Alone, None)?;
        let generation = meta.next();
        // Nobody reads the one that was left unfinished, so it can go at once; older ones may still be read.
        let unfinished = |name: &String| meta.building.is_some() && generation_of(name) == meta.building;
        let names = txn.session().catalog(operation)?.tables.into_keys().filter(unfinished);
        let mut statements = migrate::drop_others(names, &[]);
        statements.extend(migrate::create_generation(Dialect::Postgres, self.tables, generation));
        txn.session().run(operation, &statements.join(";\n"))?;
        txn.session().set_meta(operation, Meta { building: Some(generation), ..meta })?;
        Box::new(txn).commit()?;
        tracing::info!(generation, "generation.begun");
        self.drop_stale()?;
        Ok(generation)
    }

    fn swap(
        &self,
        generation: Generation,
        last: &mut dyn FnMut(&mut dyn Txn) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let operation = "swap generations";
        let (mut txn, meta) = self.transaction(operation, Turn::Alone, Some(generation))?;
        if meta.building != Some(generation) {
            return Err(unknown_generation(operation, generation));
        }
        last(&mut txn)?;
        txn.session().run(operation, &migrate::views(self.tables, generation).join(";\n"))?;
        txn.session().set_meta(operation, Meta { generation, building: None, ..meta })?;
        Box::new(txn).commit()?;
        tracing::info!(generation, "generation.swapped");
        if let Err(error) = self.drop_stale() {
            // The swap is done; what is left is dropped at the next occasion.
            tracing::warn!(%error, "generation.not_dropped");
        }
        Ok(())
    }

    fn checkpoint(&self) -> Result<(), Error> {
        self.drop_stale()?;
        let operation = "checkpoint";
        let tables: Vec<String> = self.tables_now(operation)?.iter().map(|name| sql::quoted(name)).collect();
        let vacuum = format!("VACUUM {}", tables.join(", "));
        self.begun(&self.writers, operation, |session| session.run(operation, &vacuum)).map(drop)
    }

    fn kind(&self) -> &'static str {
        "postgres"
    }
}
