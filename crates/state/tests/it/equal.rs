//! Random operations: a store on disk answers as the one in memory does.

use onefold_state::{
    MemoryStore, PostgresSettings, PostgresStore, Row, Scan, SqliteSettings, SqliteStore, StateStore, Table, Txn,
    Value,
    conformance::{DIGEST, LABEL, RECEIPT, TABLES, THING},
    testing::Postgres,
};
use proptest::{collection::vec, option, prelude::*, sample::select, test_runner::TestRunner};

#[derive(Debug, Clone)]
enum Op {
    Put(&'static Table, Vec<Row>),
    Delete(&'static Table, Vec<Row>),
    DeletePrefix(&'static Table, Row),
    Get(&'static Table, Vec<Row>),
    Count(&'static Table, Row),
    Scan(Scan),
}

#[derive(Debug, Clone)]
enum Step {
    /// Whether on the generation under construction, and whether it is committed.
    Transaction {
        building: bool,
        commits: bool,
        ops: Vec<Op>,
    },
    NewGeneration,
    Swap,
}

/// Few values, so that keys meet.
fn value(kind: onefold_state::Type) -> BoxedStrategy<Value> {
    match kind {
        onefold_state::Type::Int => select(vec![i64::MIN, -1, 0, 1, 2, i64::MAX]).prop_map(Value::Int).boxed(),
        onefold_state::Type::Text => select(vec!["", "a", "B", "ä", "zz"]).prop_map(Value::from).boxed(),
        onefold_state::Type::Bytes => {
            select(vec![vec![], vec![0], vec![0, 1], vec![255]]).prop_map(Value::Bytes).boxed()
        }
    }
}

fn column(table: &'static Table, column: usize) -> BoxedStrategy<Value> {
    let declared = &table.columns[column];
    match declared.null {
        true => option::of(value(declared.kind)).prop_map(|value| value.unwrap_or(Value::Null)).boxed(),
        false => value(declared.kind),
    }
}

fn row(table: &'static Table, columns: impl IntoIterator<Item = usize>) -> BoxedStrategy<Row> {
    columns.into_iter().map(|place| column(table, place)).collect::<Vec<_>>().boxed()
}

fn maybe<T: Clone + std::fmt::Debug + 'static>(strategy: Option<BoxedStrategy<T>>) -> BoxedStrategy<Option<T>> {
    strategy.map_or_else(|| Just(None).boxed(), |strategy| strategy.prop_map(Some).boxed())
}

fn scan(table: &'static Table) -> BoxedStrategy<Scan> {
    let indexes: Vec<Option<&'static str>> =
        std::iter::once(None).chain(table.indexes.iter().map(|index| Some(index.name))).collect();
    (select(indexes), 0..3_usize, option::of(0..4_usize), any::<bool>(), any::<bool>(), 0..6_usize)
        .prop_flat_map(move |(index, prefix, after, until, reverse, limit)| {
            let order = table.order(index);
            let prefix = prefix.min(order.len() - 1);
            let after = after.map(|columns| row(table, order[..columns.min(order.len())].to_vec()));
            let until = until.then(|| column(table, order[prefix]));
            (row(table, order[..prefix].to_vec()), maybe(after), maybe(until))
                .prop_map(move |(prefix, after, until)| Scan { table, index, prefix, after, until, reverse, limit })
        })
        .boxed()
}

fn op() -> impl Strategy<Value = Op> {
    select(vec![&THING, &LABEL, &DIGEST, &RECEIPT]).prop_flat_map(|table| {
        let rows = || vec(row(table, 0..table.columns.len()), 0..12);
        let keys = || vec(row(table, 0..table.key), 0..6);
        let prefix = || (0..=table.key).prop_flat_map(move |length| row(table, 0..length));
        prop_oneof![
            4 => rows().prop_map(move |rows| Op::Put(table, rows)),
            1 => keys().prop_map(move |keys| Op::Delete(table, keys)),
            1 => prefix().prop_map(move |prefix| Op::DeletePrefix(table, prefix)),
            1 => keys().prop_map(move |keys| Op::Get(table, keys)),
            1 => prefix().prop_map(move |prefix| Op::Count(table, prefix)),
            6 => scan(table).prop_map(Op::Scan),
        ]
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<bool>(), prop::bool::weighted(0.8), vec(op(), 1..10))
            .prop_map(|(building, commits, ops)| Step::Transaction { building, commits, ops }),
        1 => Just(Step::NewGeneration),
        1 => Just(Step::Swap),
    ]
}

/// What a store answers to the steps, one line each.
fn answers(store: &dyn StateStore, steps: &[Step]) -> Vec<String> {
    let epoch = store.take_over(0).unwrap();
    let mut building = None;
    let mut answers = Vec::new();
    for step in steps {
        match step {
            Step::Transaction { building: on, commits, ops } => {
                let mut txn = store.begin(0, epoch, building.filter(|_| *on)).unwrap();
                answers.extend(ops.iter().map(|op| answer(&mut *txn, op)));
                if *commits {
                    txn.commit().unwrap();
                }
            }
            Step::NewGeneration => building = Some(store.new_generation().unwrap()),
            Step::Swap => {
                if let Some(generation) = building.take() {
                    store.swap(generation, &mut |_| Ok(())).unwrap();
                }
            }
        }
        let mut reader = store.reader().unwrap();
        let all = TABLES.iter().map(|table| reader.scan(&Scan::prefix(table, vec![], 1_000)).unwrap());
        answers.push(format!("{:?}", all.collect::<Vec<_>>()));
    }
    answers
}

fn answer(txn: &mut dyn Txn, op: &Op) -> String {
    match op {
        Op::Put(table, rows) => format!("{:?}", txn.put(table, rows.clone())),
        Op::Delete(table, keys) => format!("{:?}", txn.delete(table, keys)),
        Op::DeletePrefix(table, prefix) => format!("{:?}", txn.delete_prefix(table, prefix)),
        Op::Get(table, keys) => format!("{:?}", txn.get(table, keys)),
        Op::Count(table, prefix) => format!("{:?}", txn.count(table, prefix)),
        Op::Scan(scan) => format!("{:?}", txn.scan(scan)),
    }
}

fn equal(cases: u32, mut make: impl FnMut(usize) -> Box<dyn StateStore>) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let number = std::cell::Cell::new(0);
    let make = std::cell::RefCell::new(&mut make);
    let property = |steps: Vec<Step>| {
        number.set(number.get() + 1);
        let store = (make.borrow_mut())(number.get());
        let (expected, found) = (answers(&MemoryStore::new(TABLES), &steps), answers(&*store, &steps));
        prop_assert_eq!(expected, found);
        Ok(())
    };
    if let Err(error) = TestRunner::new(config).run(&vec(step(), 1..12), property) {
        panic!("{error}");
    }
}

#[test]
fn sqlite_answers_as_memory() {
    let folder = tempfile::tempdir().unwrap();
    equal(128, |number| {
        let path = folder.path().join(format!("{number}.db"));
        Box::new(SqliteStore::open(path, TABLES, SqliteSettings::default()).unwrap())
    });
}

#[test]
fn postgres_answers_as_memory() {
    let server = Postgres::shared();
    equal(48, |number| {
        let settings = PostgresSettings { schema: format!("case_{number}"), ..PostgresSettings::new(server.url()) };
        Box::new(PostgresStore::connect(TABLES, &settings).unwrap())
    });
}
