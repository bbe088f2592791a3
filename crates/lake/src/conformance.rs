//! What every [`Lake`] must do: one suite, every implementation.

use std::{collections::BTreeSet, sync::Arc};

use arrow_array::{
    Array as _, ArrayRef, BooleanArray, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
    cast::AsArray as _,
    types::{Int32Type, Int64Type},
};
use onefold_model::{Timestamp, WorkspaceId};

use crate::{AsOf, Error, Lake, Table, Write, columns};

const ONE: WorkspaceId = WorkspaceId(1);
const TWO: WorkspaceId = WorkspaceId(2);

/// Holds a lake to its contract. `make` gives a new, empty one.
pub fn check(make: &dyn Fn() -> Arc<dyn Lake>) {
    an_empty_one_has_nothing(&*make());
    rows_are_seen_once_published_and_not_before(&*make());
    a_writer_at_the_wrong_place_writes_nothing(&*make());
    rows_that_fail_leave_nothing(&*make());
    a_write_may_replace_all(&*make());
    the_last_version_of_a_profile_counts(&*make());
    frequent_members_become_columns(&*make());
    maintenance_changes_nothing_that_is_seen(&*make());
    workspaces_are_apart(&*make());
    who_is_erased_is_not_in_any_version(&*make());
}

fn times(count: usize) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(vec![1_000_000; count]).with_timezone("UTC"))
}

fn texts<'a>(of: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(of))
}

/// Rows of profiles: id, whether it is gone, traits.
fn profiles(offset: i64, people: &[(i64, bool, &str)]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(people.iter().map(|(id, ..)| *id))),
        Arc::new(Int64Array::from(vec![offset; people.len()])),
        times(people.len()),
        Arc::new(BooleanArray::from_iter(people.iter().map(|(_, gone, _)| Some(*gone)))),
        texts(people.iter().map(|_| "p")),
        texts(people.iter().map(|(.., traits)| *traits)),
        texts(people.iter().map(|_| "[]")),
        Arc::new(Int32Array::from(vec![0; people.len()])),
    ];
    RecordBatch::try_new(Table::Profiles.schema().clone(), columns).expect("rows of profiles")
}

/// Rows of identifiers: profile, node.
fn identifiers(offset: i64, nodes: &[(i64, i64)]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(nodes.iter().map(|(profile, _)| *profile))),
        Arc::new(Int64Array::from(vec![offset; nodes.len()])),
        Arc::new(Int64Array::from_iter_values(nodes.iter().map(|(_, node)| *node))),
        texts(nodes.iter().map(|_| "email")),
        texts(nodes.iter().map(|_| "anna@example.com")),
    ];
    RecordBatch::try_new(Table::Identifiers.schema().clone(), columns).expect("rows of identifiers")
}

fn write(lake: &dyn Lake, workspace: WorkspaceId, table: Table, from: u64, to: u64, rows: RecordBatch) {
    let write = Write { table, from, to, replace: false };
    lake.write(workspace, write, &mut [Ok(rows)].into_iter()).expect("it is written");
}

fn publish(lake: &dyn Lake, workspace: WorkspaceId, offset: u64) {
    lake.publish(workspace, AsOf { offset, at: Timestamp(1), receipt: 0 }).expect("it is published");
}

/// What is seen of two columns of numbers.
fn seen(lake: &dyn Lake, workspace: WorkspaceId, table: Table, names: [&str; 2]) -> BTreeSet<(i64, i64)> {
    let mut found = BTreeSet::new();
    let mut rows_read = 0;
    lake.read(workspace, table, &mut |rows| {
        let [a, b] = names.map(|name| rows.column_by_name(name).expect(name).as_primitive::<Int64Type>().clone());
        rows_read += rows.num_rows();
        found.extend(a.values().iter().copied().zip(b.values().iter().copied()));
        Ok(())
    })
    .expect("it can be read");
    assert_eq!(rows_read, found.len(), "a row is there twice");
    found
}

fn versions(lake: &dyn Lake) -> BTreeSet<(i64, i64)> {
    seen(lake, ONE, Table::Profiles, ["profile", "offset"])
}

fn an_empty_one_has_nothing(lake: &dyn Lake) {
    for table in Table::ALL {
        assert_eq!(lake.offset(ONE, table).expect("an offset"), 0);
        lake.read(ONE, table, &mut |rows| panic!("{rows:?}")).expect("nothing to read");
    }
    assert_eq!(lake.published(ONE), None);
    lake.maintain(ONE).expect("nothing to do");
}

fn rows_are_seen_once_published_and_not_before(lake: &dyn Lake) {
    write(lake, ONE, Table::Profiles, 0, 10, profiles(10, &[(1, false, "{}")]));
    assert_eq!(lake.offset(ONE, Table::Profiles).expect("an offset"), 10);
    assert!(versions(lake).is_empty());
    publish(lake, ONE, 10);
    assert_eq!(lake.published(ONE), Some(AsOf { offset: 10, at: Timestamp(1), receipt: 0 }));
    write(lake, ONE, Table::Profiles, 10, 20, profiles(20, &[(2, false, "{}")]));
    assert_eq!(versions(lake), BTreeSet::from([(1, 10)]));
    publish(lake, ONE, 20);
    assert_eq!(versions(lake), BTreeSet::from([(1, 10), (2, 20)]));
}

fn a_writer_at_the_wrong_place_writes_nothing(lake: &dyn Lake) {
    write(lake, ONE, Table::Profiles, 0, 10, profiles(10, &[(1, false, "{}")]));
    let again = Write { table: Table::Profiles, from: 0, to: 10, replace: false };
    let error = lake.write(ONE, again, &mut [Ok(profiles(10, &[(1, false, "{}")]))].into_iter());
    assert!(matches!(error, Err(Error::Moved { expected: 0, found: 10, .. })), "{error:?}");
    publish(lake, ONE, 10);
    assert_eq!(versions(lake), BTreeSet::from([(1, 10)]));
}

fn rows_that_fail_leave_nothing(lake: &dyn Lake) {
    let failed = Error::Moved { table: Table::Events, expected: 1, found: 2 };
    let rows = &mut [Ok(profiles(10, &[(1, false, "{}")])), Err(failed)].into_iter();
    lake.write(ONE, Write { table: Table::Profiles, from: 0, to: 10, replace: false }, rows).expect_err("it failed");
    assert_eq!(lake.offset(ONE, Table::Profiles).expect("an offset"), 0);
    write(lake, ONE, Table::Profiles, 0, 5, profiles(5, &[(2, false, "{}")]));
    publish(lake, ONE, 5);
    assert_eq!(versions(lake), BTreeSet::from([(2, 5)]));
}

fn a_write_may_replace_all(lake: &dyn Lake) {
    write(lake, ONE, Table::Profiles, 0, 10, profiles(10, &[(1, false, "{}"), (2, false, "{}")]));
    publish(lake, ONE, 10);
    let all = Write { table: Table::Profiles, from: 10, to: 20, replace: true };
    lake.write(ONE, all, &mut [Ok(profiles(20, &[(3, false, "{}")]))].into_iter()).expect("it is replaced");
    assert_eq!(versions(lake).len(), 2, "what was published stays to be seen");
    publish(lake, ONE, 20);
    assert_eq!(versions(lake), BTreeSet::from([(3, 20)]));
}

fn the_last_version_of_a_profile_counts(lake: &dyn Lake) {
    write(lake, ONE, Table::Profiles, 0, 10, profiles(10, &[(1, false, "{}"), (2, false, "{}"), (3, false, "{}")]));
    write(lake, ONE, Table::Identifiers, 0, 10, identifiers(10, &[(1, 1), (2, 2), (3, 3), (3, 7)]));
    // The second was merged into the first; the third lost an identifier.
    write(lake, ONE, Table::Profiles, 10, 20, profiles(20, &[(1, false, "{}"), (2, true, ""), (3, false, "{}")]));
    write(lake, ONE, Table::Identifiers, 10, 20, identifiers(20, &[(1, 1), (1, 2), (3, 3)]));
    publish(lake, ONE, 20);
    let check = || {
        assert_eq!(versions(lake), BTreeSet::from([(1, 20), (3, 20)]));
        let owners = seen(lake, ONE, Table::Identifiers, ["node", "profile"]);
        assert_eq!(owners, BTreeSet::from([(1, 1), (2, 1), (3, 3)]));
    };
    check();
    lake.maintain(ONE).expect("it is maintained");
    publish(lake, ONE, 20);
    check();
    // It comes back: an unmerge gives it its old id.
    write(lake, ONE, Table::Identifiers, 20, 30, identifiers(30, &[(1, 1), (2, 2)]));
    write(lake, ONE, Table::Profiles, 20, 30, profiles(30, &[(1, false, "{}"), (2, false, "{}")]));
    publish(lake, ONE, 30);
    assert_eq!(versions(lake), BTreeSet::from([(1, 30), (2, 30), (3, 20)]));
    assert_eq!(seen(lake, ONE, Table::Identifiers, ["node", "profile"]), BTreeSet::from([(1, 1), (2, 2), (3, 3)]));
}

fn frequent_members_become_columns(lake: &dyn Lake) {
    let many = |traits: &'static str, from: i64| {
        profiles(from + 50, &(from..from + 50).map(|id| (id, false, traits)).collect::<Vec<_>>())
    };
    write(lake, ONE, Table::Profiles, 0, 50, many(r#"{"age":41}"#, 0));
    write(lake, ONE, Table::Profiles, 50, 100, many(r#"{"age":"old","plan":"pro"}"#, 50));
    publish(lake, ONE, 100);
    let check = |promoted_of_first: i32| {
        let (mut ages, mut plans) = (0, 0);
        lake.read(ONE, Table::Profiles, &mut |rows| {
            let count = |name: &str| rows.column_by_name(name).map_or(0, |column| column.len() - column.null_count());
            let [age, age_number] = columns(Table::Profiles, "age");
            let [plan, _] = columns(Table::Profiles, "plan");
            ages += 1000 * count(&age) + count(&age_number);
            plans += count(&plan);
            let promoted = rows.column_by_name("promoted").expect("promoted").as_primitive::<Int32Type>();
            assert!(promoted.values().iter().all(|count| *count >= promoted_of_first));
            Ok(())
        })
        .expect("it can be read");
        assert_eq!((ages, plans), (100_050, 50));
    };
    check(1);
    lake.maintain(ONE).expect("it is maintained");
    publish(lake, ONE, 100);
    check(1);
}

fn maintenance_changes_nothing_that_is_seen(lake: &dyn Lake) {
    let mut expect = BTreeSet::new();
    for n in 0..40 {
        write(lake, ONE, Table::Profiles, n, n + 1, profiles(n as i64 + 1, &[(n as i64 % 7, n % 5 == 4, "{}")]));
        expect.retain(|(profile, _)| *profile != n as i64 % 7);
        if n % 5 != 4 {
            expect.insert((n as i64 % 7, n as i64 + 1));
        }
        if n % 9 == 8 {
            let before = versions(lake);
            lake.maintain(ONE).expect("it is maintained");
            assert_eq!(versions(lake), before);
            assert_eq!(lake.offset(ONE, Table::Profiles).expect("an offset"), n + 1);
        }
        publish(lake, ONE, n + 1);
        assert_eq!(versions(lake), expect, "after {n}");
        if n % 4 == 3 {
            lake.maintain(ONE).expect("it is maintained");
            assert_eq!(versions(lake), expect, "maintained after {n}");
        }
    }
}

fn workspaces_are_apart(lake: &dyn Lake) {
    write(lake, ONE, Table::Profiles, 0, 10, profiles(10, &[(1, false, "{}")]));
    publish(lake, ONE, 10);
    assert_eq!(lake.offset(TWO, Table::Profiles).expect("an offset"), 0);
    assert_eq!(lake.published(TWO), None);
    write(lake, TWO, Table::Profiles, 0, 3, profiles(3, &[(2, false, "{}")]));
    publish(lake, TWO, 3);
    assert_eq!(seen(lake, TWO, Table::Profiles, ["profile", "offset"]), BTreeSet::from([(2, 3)]));
    assert_eq!(versions(lake), BTreeSet::from([(1, 10)]));
}

/// Rows of events: day, node.
fn events(offset: i64, nodes: &[(i32, i64)]) -> RecordBatch {
    let count = nodes.len();
    let same = |text: &'static str| texts(std::iter::repeat_n(text, count));
    let column = |name: &str| -> ArrayRef {
        match name {
            "day" => Arc::new(Date32Array::from_iter_values(nodes.iter().map(|(day, _)| *day))),
            "offset" => Arc::new(Int64Array::from_iter_values((0..count as i64).map(|place| offset + place))),
            "node" => Arc::new(Int64Array::from_iter_values(nodes.iter().map(|(_, node)| *node))),
            "time" | "received" | "sent" => times(count),
            "promoted" => Arc::new(Int32Array::from(vec![0; count])),
            "context" | "traits" | "properties" => same("{}"),
            _ => same("x"),
        }
    };
    let columns: Vec<ArrayRef> = Table::Events.schema().fields().iter().map(|field| column(field.name())).collect();
    RecordBatch::try_new(Table::Events.schema().clone(), columns).expect("rows of events")
}

fn who_is_erased_is_not_in_any_version(lake: &dyn Lake) {
    write(lake, ONE, Table::Events, 0, 10, events(0, &[(1, 1), (1, 2), (2, 3), (2, 1), (3, 2)]));
    write(lake, ONE, Table::Profiles, 0, 10, profiles(10, &[(1, false, "{}"), (2, false, "{}")]));
    write(lake, ONE, Table::Identifiers, 0, 10, identifiers(10, &[(1, 1), (1, 3), (2, 2)]));
    write(lake, ONE, Table::Events, 10, 20, events(10, &[(3, 3), (4, 2)]));
    write(lake, ONE, Table::Profiles, 10, 20, profiles(20, &[(1, true, "")]));
    write(lake, ONE, Table::Identifiers, 10, 20, identifiers(20, &[]));
    publish(lake, ONE, 20);
    assert_eq!(lake.erase(ONE, &BTreeSet::from([1, 3])).expect("it is erased"), 4);
    let check = || {
        assert_eq!(seen(lake, ONE, Table::Events, ["offset", "node"]), BTreeSet::from([(1, 2), (4, 2), (11, 2)]));
        assert_eq!(versions(lake), BTreeSet::from([(2, 10)]));
        assert_eq!(seen(lake, ONE, Table::Identifiers, ["node", "profile"]), BTreeSet::from([(2, 2)]));
        assert_eq!(lake.offset(ONE, Table::Events).expect("an offset"), 20);
    };
    check();
    assert_eq!(lake.erase(ONE, &BTreeSet::from([1, 3])).expect("once more"), 0);
    check();
    write(lake, ONE, Table::Events, 20, 30, events(20, &[(4, 5)]));
    write(lake, ONE, Table::Profiles, 20, 30, profiles(30, &[(5, false, "{}")]));
    publish(lake, ONE, 30);
    lake.maintain(ONE).expect("it is maintained");
    assert_eq!(seen(lake, ONE, Table::Events, ["offset", "node"]).len(), 4);
    assert_eq!(lake.erase(TWO, &BTreeSet::from([1])).expect("nothing is there"), 0);
}
