//! What only a server can do: go away, and serve several programs.

use onefold_state::{
    Error, PostgresSettings, PostgresStore, Row, StateStore,
    conformance::{RECEIPT, TABLES, THING},
    testing::Postgres,
};

fn receipt(id: i64) -> Row {
    vec![id.into(), "note".into()]
}

fn put(store: &PostgresStore, id: i64) -> Result<(), Error> {
    let mut txn = store.begin_shared()?;
    txn.put(&RECEIPT, vec![receipt(id)])?;
    txn.commit()
}

fn settings(server: &Postgres, schema: &str) -> PostgresSettings {
    PostgresSettings { schema: schema.into(), ..PostgresSettings::new(server.url()) }
}

/// Ends all other connections, as a restart of the server does.
fn cut(server: &Postgres) {
    let mut client = ::postgres::Client::connect(&server.url(), ::postgres::NoTls).unwrap();
    client
        .execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'onefold'", &[])
        .unwrap();
}

#[test]
fn a_lost_connection_costs_the_transaction_and_no_more() {
    let server = Postgres::start();
    let store = PostgresStore::connect(TABLES, &settings(&server, "lost")).unwrap();
    put(&store, 1).unwrap();

    let mut txn = store.begin_shared().unwrap();
    txn.put(&RECEIPT, vec![receipt(2)]).unwrap();
    let mut reader = store.reader().unwrap();
    cut(&server);
    let lost = txn.put(&RECEIPT, vec![receipt(3)]).unwrap_err();
    assert!(matches!(lost, Error::Unavailable { .. }), "{lost}");
    assert!(matches!(txn.commit(), Err(Error::Unavailable { .. })));
    assert!(matches!(reader.count(&RECEIPT, &[]), Err(Error::Unavailable { .. })));
    drop(reader);

    // Idle connections are lost as well, and replaced when they are next needed.
    put(&store, 4).unwrap();
    cut(&server);
    put(&store, 5).unwrap();
    cut(&server);
    assert_eq!(store.take_over(0).unwrap(), 1);
    assert_eq!(store.reader().unwrap().count(&RECEIPT, &[]).unwrap(), 3);
    cut(&server);
    assert_eq!(store.reader().unwrap().count(&RECEIPT, &[]).unwrap(), 3);
}

#[test]
fn two_programs_share_one_schema() {
    let server = Postgres::shared();
    let settings = settings(&server, "two");
    let stores: Vec<PostgresStore> = std::thread::scope(|scope| {
        let opening = [(); 4].map(|()| scope.spawn(|| PostgresStore::connect(TABLES, &settings).unwrap()));
        opening.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let [first, second, ..] = stores.as_slice() else { panic!("four were opened") };
    let epoch = first.take_over(0).unwrap();
    first.begin(0, epoch, None).unwrap().commit().unwrap();
    second.take_over(0).unwrap();
    assert!(matches!(first.begin(0, epoch, None).err(), Some(Error::Fenced { partition: 0, .. })));
    let generation = second.new_generation().unwrap();
    let row: Row =
        vec![1_i64.into(), 1_i64.into(), "x".into(), None::<i64>.into(), None::<i64>.into(), vec![1_u8].into()];
    second.swap(generation, &mut |txn| txn.put(&THING, vec![row.clone()])).unwrap();
    assert_eq!(first.reader().unwrap().count(&THING, &[]).unwrap(), 1);
    first.checkpoint().unwrap();
}

#[test]
fn an_address_that_does_not_work_is_told_without_its_password() {
    let connect = |url: &str| PostgresStore::connect(TABLES, &PostgresSettings::new(url)).err().unwrap();
    let unreadable = connect("postgresql://user:hunter2@host:port/db");
    assert!(
        matches!(unreadable, Error::Unusable { .. }) && !unreadable.to_string().contains("hunter2"),
        "{unreadable}"
    );
    let nobody = connect("host=/nowhere/at/all user=u password=hunter2");
    assert!(matches!(nobody, Error::Unavailable { .. }) && !nobody.to_string().contains("hunter2"), "{nobody}");
    assert!(!format!("{:?}", PostgresSettings::new("password=hunter2")).contains("hunter2"));
}
