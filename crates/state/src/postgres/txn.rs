//! Readers and transactions of PostgreSQL.

use ::postgres::types::ToSql;

use crate::{
    Error, Generation, Reader, Row, Scan, Table, Txn, Value,
    plan::plan,
    pool::Lease,
    postgres::{
        batch,
        session::{self, Session},
    },
    sql::{self, Dialect::Postgres},
};

const READ: &str = "read the state";
const WRITE: &str = "write the state";

/// A session that stands in a transaction, and ends it when it is dropped.
struct Open<'s> {
    /// Until it is dropped.
    session: Option<Lease<'s, Session>>,
    generation: Generation,
}

impl<'s> Open<'s> {
    fn new(mut session: Lease<'s, Session>, generation: Generation) -> Self {
        session.use_generation(generation);
        Open { session: Some(session), generation }
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("a session is there until it is dropped")
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session::end(session);
        }
    }
}

impl Reader for Open<'_> {
    fn get(&mut self, table: &'static Table, keys: &[Row]) -> Result<Vec<Option<Row>>, Error> {
        keys.iter().try_for_each(|key| table.check_key(key))?;
        let text = sql::get(Postgres, table, self.generation);
        let mut found = vec![None; keys.len()];
        let all: Vec<&Row> = keys.iter().collect();
        let mut start = 0;
        for part in batch::statements(&all) {
            let arrays = batch::arrays(part, table.key);
            for row in self.session().query(READ, &text, &batch::parameters(&arrays))? {
                let place: i64 = row.try_get(0).map_err(super::error::failed(READ))?;
                let place = start + usize::try_from(place - 1).unwrap_or(usize::MAX);
                if let Some(slot) = found.get_mut(place) {
                    *slot = Some(batch::read(READ, &row, table, 1)?);
                }
            }
            start += part.len();
        }
        Ok(found)
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Row>, Error> {
        let Some(plan) = plan(scan)? else {
            return Ok(Vec::new());
        };
        let (text, values) = sql::scan(Postgres, scan.table, self.generation, &plan);
        let limit = i64::try_from(plan.limit).unwrap_or(i64::MAX);
        let mut parameters = batch::parameters(&values);
        parameters.push(&limit);
        let rows = self.session().query(READ, &text, &parameters)?;
        rows.iter().map(|row| batch::read(READ, row, scan.table, 0)).collect()
    }

    fn count(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error> {
        table.check_prefix(prefix)?;
        let text = sql::count(Postgres, table, self.generation, prefix.len());
        let rows = self.session().query(READ, &text, &batch::parameters(prefix))?;
        let count = rows.first().map_or(Ok(0), |row| row.try_get::<_, i64>(0)).map_err(super::error::failed(READ))?;
        Ok(count.unsigned_abs())
    }
}

/// A snapshot.
pub(super) struct PostgresReader<'s>(Open<'s>);

impl<'s> PostgresReader<'s> {
    /// On a session that has begun to read.
    pub fn new(session: Lease<'s, Session>, generation: Generation) -> Self {
        PostgresReader(Open::new(session, generation))
    }
}

/// A transaction that writes.
pub(super) struct PostgresTxn<'s> {
    open: Open<'s>,
    /// A statement failed. PostgreSQL would answer a commit now by rolling back, and call that a success.
    broken: bool,
}

impl<'s> PostgresTxn<'s> {
    /// On a session whose transaction has begun.
    pub fn new(session: Lease<'s, Session>, generation: Generation) -> Self {
        PostgresTxn { open: Open::new(session, generation), broken: false }
    }

    pub fn session(&mut self) -> &mut Session {
        self.open.session()
    }

    fn write<T>(&mut self, write: impl FnOnce(&mut Session) -> Result<T, Error>) -> Result<T, Error> {
        self.check_open(WRITE)?;
        let written = write(self.open.session());
        self.broken |= written.is_err();
        written
    }

    fn read<T>(&mut self, read: impl FnOnce(&mut Open<'s>) -> Result<T, Error>) -> Result<T, Error> {
        self.check_open(READ)?;
        let found = read(&mut self.open);
        self.broken |= matches!(&found, Err(error) if !matches!(error, Error::Shape { .. }));
        found
    }

    fn check_open(&self, operation: &'static str) -> Result<(), Error> {
        if self.broken {
            let cause = "an earlier statement of the transaction failed. Begin it again".into();
            return Err(Error::Unavailable { operation, cause });
        }
        Ok(())
    }
}

impl Txn for PostgresTxn<'_> {
    fn put(&mut self, table: &'static Table, rows: Vec<Row>) -> Result<(), Error> {
        rows.iter().try_for_each(|row| table.check_row(row))?;
        let text = sql::put(Postgres, table, self.open.generation);
        let distinct = batch::last_of_each(&rows, table.key);
        self.write(|session| {
            batch::statements(&distinct).into_iter().try_for_each(|part| {
                let arrays = batch::arrays(part, table.columns.len());
                session.execute(WRITE, &text, &batch::parameters(&arrays)).map(drop)
            })
        })
    }

    fn delete(&mut self, table: &'static Table, keys: &[Row]) -> Result<(), Error> {
        keys.iter().try_for_each(|key| table.check_key(key))?;
        let text = sql::delete(Postgres, table, self.open.generation);
        let distinct = batch::last_of_each(keys, table.key);
        self.write(|session| {
            batch::statements(&distinct).into_iter().try_for_each(|part| {
                let arrays = batch::arrays(part, table.key);
                session.execute(WRITE, &text, &batch::parameters(&arrays)).map(drop)
            })
        })
    }

    fn delete_prefix(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error> {
        table.check_prefix(prefix)?;
        let text = sql::delete_prefix(Postgres, table, self.open.generation, prefix.len());
        let parameters: Vec<&(dyn ToSql + Sync)> = batch::parameters(prefix);
        self.write(|session| session.execute(WRITE, &text, &parameters))
    }

    fn commit(mut self: Box<Self>) -> Result<(), Error> {
        self.check_open("commit")?;
        self.session().run("commit", "COMMIT")
    }
}

impl Reader for PostgresTxn<'_> {
    fn get(&mut self, table: &'static Table, keys: &[Row]) -> Result<Vec<Option<Row>>, Error> {
        self.read(|open| open.get(table, keys))
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Row>, Error> {
        self.read(|open| open.scan(scan))
    }

    fn count(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error> {
        self.read(|open| open.count(table, prefix))
    }
}

impl Reader for PostgresReader<'_> {
    fn get(&mut self, table: &'static Table, keys: &[Row]) -> Result<Vec<Option<Row>>, Error> {
        self.0.get(table, keys)
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Row>, Error> {
        self.0.scan(scan)
    }

    fn count(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error> {
        self.0.count(table, prefix)
    }
}
