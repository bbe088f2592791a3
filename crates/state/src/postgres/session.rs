//! One connection to PostgreSQL, and the statements prepared on it.

use std::time::Duration;

use ::postgres::{Client, Config, NoTls, Row, Statement, types::ToSql};
use rustc_hash::FxHashMap;

use crate::{
    Column, Epoch, Error, Generation, Part, Partition, Synchronous, Table,
    migrate::{self, Catalog, EPOCH, META, Meta, Migration},
    pool::Lease,
    postgres::{PostgresSettings, error::failed},
    sql::{self, Dialect},
};

/// A transaction that says nothing for so long is ended by the server, so that one that hangs keeps nobody waiting.
const IDLE: Duration = Duration::from_secs(60);

/// Whose turn a transaction takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Turn {
    /// The pipeline's, beside those of other partitions.
    Partition { partition: Partition, epoch: Epoch },
    /// Nobody else's at the same time.
    Alone,
}

/// Opens connections.
pub(super) struct Connector {
    config: Config,
    /// What is set on each.
    settings: String,
}

impl Connector {
    pub fn new(settings: &PostgresSettings) -> Result<Self, Error> {
        let mut config: Config = settings.url.parse().map_err(|error| Error::Unusable {
            operation: "open the state",
            // The driver's words do not repeat the URL, which may hold a password.
            cause: format!("the address of PostgreSQL cannot be read ({error}). Write postgresql://user@host/database"),
        })?;
        config.application_name("onefold").connect_timeout(settings.wait).tcp_user_timeout(settings.wait * 3);
        let settings = format!(
            "SET search_path = {}; SET lock_timeout = {}; SET client_min_messages = warning; \
             SET plan_cache_mode = force_generic_plan; \
             SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off",
            sql::quoted(&settings.schema),
            settings.wait.as_millis(),
        );
        Ok(Connector { config, settings })
    }

    pub fn open(&self, operation: &'static str) -> Result<Session, Error> {
        let mut client = self.config.connect(NoTls).map_err(failed(operation))?;
        client.batch_execute(&self.settings).map_err(failed(operation))?;
        Ok(Session { client, statements: FxHashMap::default(), generation: 0 })
    }
}

/// A connection.
pub(super) struct Session {
    client: Client,
    statements: FxHashMap<String, Statement>,
    /// Whose tables the prepared statements name.
    generation: Generation,
}

/// Ends what is open on a session and gives it back, or closes it where that fails.
pub(super) fn end(mut session: Lease<'_, Session>) {
    if session.is_closed() || session.client.batch_execute("ROLLBACK").is_err() {
        session.discard();
    }
}

impl Session {
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs statements without parameters.
    pub fn run(&mut self, operation: &'static str, text: &str) -> Result<(), Error> {
        self.client.batch_execute(text).map_err(failed(operation))
    }

    pub fn query(
        &mut self,
        operation: &'static str,
        text: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let statement = self.prepared(operation, text)?;
        self.client.query(&statement, parameters).map_err(failed(operation))
    }

    /// Gives how many rows it changed.
    pub fn execute(
        &mut self,
        operation: &'static str,
        text: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error> {
        let statement = self.prepared(operation, text)?;
        self.client.execute(&statement, parameters).map_err(failed(operation))
    }

    /// Forgets the statements on the tables of another generation.
    pub fn use_generation(&mut self, generation: Generation) {
        if self.generation != generation {
            self.statements.clear();
            self.generation = generation;
        }
    }

    /// Begins a transaction that writes, and waits for its turn.
    pub fn begin(&mut self, operation: &'static str, turn: Turn, synchronous: Synchronous) -> Result<Meta, Error> {
        let (lock, commit) = match (turn, synchronous) {
            (Turn::Partition { .. }, Synchronous::Normal) => ("ROW SHARE", "off"),
            (Turn::Partition { .. }, Synchronous::Full) => ("ROW SHARE", "on"),
            (Turn::Alone, _) => ("EXCLUSIVE", "on"),
        };
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = {commit}; \
             SET LOCAL idle_in_transaction_session_timeout = {}; LOCK TABLE meta IN {lock} MODE",
            IDLE.as_millis(),
        );
        self.run(operation, &begin)?;
        if let Turn::Partition { partition, epoch } = turn {
            let text = "SELECT epoch FROM epoch WHERE partition = $1 FOR UPDATE";
            let rows = self.query(operation, text, &[&i64::from(partition)])?;
            let newest = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose().map_err(failed(operation))?;
            if newest.map(i64::unsigned_abs) != Some(epoch) {
                return Err(Error::Fenced { partition, epoch });
            }
        }
        self.meta(operation)
    }

    /// Begins a transaction that reads one moment, and gives the generation that was current in it.
    pub fn begin_reading(&mut self, operation: &'static str) -> Result<Generation, Error> {
        // Locking takes no snapshot, so the moment is fixed when the lock is there.
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE reading IN ACCESS SHARE MODE";
        self.run(operation, begin)?;
        Ok(self.meta(operation)?.generation)
    }

    pub fn take_over(&mut self, operation: &'static str, partition: Partition) -> Result<Epoch, Error> {
        let text = "INSERT INTO epoch (partition, epoch) VALUES ($1, 1) \
                    ON CONFLICT (partition) DO UPDATE SET epoch = epoch.epoch + 1 RETURNING epoch";
        let rows = self.query(operation, text, &[&i64::from(partition)])?;
        let epoch = rows.first().map_or(Ok(0), |row| row.try_get::<_, i64>(0)).map_err(failed(operation))?;
        Ok(epoch.unsigned_abs())
    }

    pub fn meta(&mut self, operation: &'static str) -> Result<Meta, Error> {
        let rows = self.query(operation, "SELECT key, value FROM meta", &[])?;
        let pairs = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        Ok(Meta::from_rows(pairs.collect::<Result<Vec<_>, _>>().map_err(failed(operation))?))
    }

    pub fn set_meta(&mut self, operation: &'static str, meta: Meta) -> Result<(), Error> {
        let text =
            "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value";
        meta.to_rows().into_iter().try_for_each(|(key, value)| self.execute(operation, text, &[&key, &value]).map(drop))
    }

    /// What the schema has.
    pub fn catalog(&mut self, operation: &'static str) -> Result<Catalog, Error> {
        let text = "SELECT c.relkind::text, c.relname::text, a.attname::text FROM pg_class c LEFT JOIN pg_attribute a \
                    ON a.attrelid = c.oid AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped \
                    WHERE c.relnamespace = current_schema()::regnamespace";
        let mut catalog = Catalog::default();
        for row in self.query(operation, text, &[])? {
            let cells = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
            let (kind, name, column): (String, String, Option<String>) = cells().map_err(failed(operation))?;
            match kind.as_str() {
                "r" => catalog.tables.entry(name).or_default().extend(column),
                "i" => drop(catalog.indexes.insert(name)),
                "v" => drop(catalog.views.insert(name)),
                _ => {}
            }
        }
        Ok(catalog)
    }

    /// Brings the schema to what is declared.
    pub fn upgrade(
        &mut self,
        operation: &'static str,
        schema: &str,
        tables: &[&Table],
        migrations: &[Migration],
    ) -> Result<(), Error> {
        self.run(operation, "BEGIN ISOLATION LEVEL READ COMMITTED")?;
        // Two programs may be opened at once, and `IF NOT EXISTS` alone does not keep them apart.
        self.query(operation, "SELECT pg_advisory_xact_lock(hashtextextended('onefold ' || $1, 0))", &[&schema])?;
        self.run(operation, &format!("CREATE SCHEMA IF NOT EXISTS {}", sql::quoted(schema)))?;
        if self.catalog(operation)?.tables.contains_key(META.name) {
            self.run(operation, "LOCK TABLE meta IN EXCLUSIVE MODE")?;
        } else {
            let own = [&META, &EPOCH, &READING].map(|table| sql::create_table(Dialect::Postgres, table, 0));
            self.run(operation, &own.join(";\n"))?;
        }
        let meta = self.meta(operation)?;
        let (due, version) = migrate::migrations_after(meta.version, migrations)?;
        self.run(operation, &due.join(";\n"))?;
        let catalog = self.catalog(operation)?;
        let additions = migrate::additions(Dialect::Postgres, tables, &catalog, meta)?;
        self.run(operation, &additions.join(";\n"))?;
        self.set_meta(operation, Meta { version, ..meta })?;
        self.run(operation, "COMMIT")
    }

    fn prepared(&mut self, operation: &'static str, text: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.statements.get(text) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(text).map_err(failed(operation))?;
        self.statements.insert(text.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// Empty: readers lock it, see the module above.
static READING: Table =
    Table { name: "reading", part: Part::Kept, key: 1, columns: &[Column::int("id")], indexes: &[] };
