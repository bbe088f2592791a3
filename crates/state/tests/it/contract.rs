//! Every store passes the suite.

use onefold_state::{
    MemoryStore, PostgresSettings, PostgresStore, SqliteSettings, SqliteStore, conformance, schema, testing::Postgres,
};

#[test]
fn memory() {
    conformance::run(|_| Box::new(MemoryStore::new(conformance::TABLES)));
}

#[test]
fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    conformance::run(|name| {
        let path = folder.path().join(format!("{name}.db"));
        Box::new(SqliteStore::open(path, conformance::TABLES, SqliteSettings::default()).unwrap())
    });
}

#[test]
fn postgres() {
    let server = Postgres::shared();
    conformance::run(|name| {
        let settings = PostgresSettings { schema: name.into(), ..PostgresSettings::new(server.url()) };
        Box::new(PostgresStore::connect(conformance::TABLES, &settings).unwrap())
    });
}

#[test]
fn the_real_tables_can_be_made_and_opened_again() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Postgres::shared());
    for _ in 0..2 {
        SqliteStore::open(folder.path().join("state.db"), schema::ALL, SqliteSettings::default()).unwrap();
        PostgresStore::connect(schema::ALL, &PostgresSettings::new(server.url())).unwrap();
    }
}
