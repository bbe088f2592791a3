//! Point 5 of the contract: the order of scans, and the pages of it.

use super::{DIGEST, LABEL, RECEIPT, THING, all, commit, due, ids, key, receipt, thing};
use crate::{Error, Row, Scan, StateStore, Table, Value};

pub(super) fn integers_by_value(store: &dyn StateStore) -> Result<(), Error> {
    let numbers = [i64::MIN, -300, -2, -1, 0, 1, 9, 10, 255, 256, i64::MAX];
    commit(store, |txn| txn.put(&RECEIPT, numbers.iter().rev().map(|id| receipt(*id, "")).collect()))?;
    let found = store.reader()?.scan(&all(&RECEIPT))?;
    let found = found.iter().map(|row| row[0].as_int()).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(found, numbers);
    Ok(())
}

pub(super) fn text_and_bytes_by_bytes(store: &dyn StateStore) -> Result<(), Error> {
    // Languages would put "a" before "B", "ä" beside "a", and "-" nowhere.
    let texts = ["", " ", "-z", "10", "9", "B", "Zoe", "a", "a ", "ab", "zoe", "é", "ä", "ß", "中", "\u{ffff}", "😀"];
    let mut expected: Vec<Value> = texts.iter().map(|text| (*text).into()).collect();
    expected.sort();
    let hashes: [&[u8]; 7] = [&[], &[0], &[0, 0], &[0, 255], &[1], &[127], &[128, 0]];
    commit(store, |txn| {
        txn.put(&LABEL, texts.iter().map(|text| vec![(*text).into(), Value::Bytes(vec![])]).collect())?;
        txn.put(&RECEIPT, texts.iter().zip(0..).map(|(text, id)| receipt(id, text)).collect())?;
        txn.put(&DIGEST, hashes.iter().rev().map(|hash| vec![(*hash).into(), 1_i64.into()]).collect())
    })?;
    let mut reader = store.reader()?;
    let mut column = |scan: Scan, column: usize| -> Result<Vec<Value>, Error> {
        Ok(reader.scan(&scan)?.into_iter().map(|mut row| row.swap_remove(column)).collect())
    };
    assert_eq!(column(all(&LABEL), 0)?, expected);
    assert_eq!(column(Scan { index: Some("by_note"), ..all(&RECEIPT) }, 1)?, expected);
    assert_eq!(column(all(&DIGEST), 0)?, hashes.map(Value::from));
    let after_b = Scan { after: Some(vec!["B".into()]), until: Some("ab".into()), ..all(&LABEL) };
    assert_eq!(column(after_b, 0)?, ["Zoe", "a", "a ", "ab"].map(Value::from));
    Ok(())
}

pub(super) fn null_in_indexes(store: &dyn StateStore) -> Result<(), Error> {
    commit(store, |txn| {
        txn.put(
            &THING,
            vec![
                due(1, 1, Some(50), None),
                due(1, 2, None, Some(2)),
                due(1, 3, Some(-5), Some(-2)),
                due(1, 4, None, None),
                due(1, 5, Some(50), Some(2)),
                due(2, 6, Some(7), None),
            ],
        )
    })?;
    let mut reader = store.reader()?;
    let mut scan = |index, prefix: Row, after: Option<Row>, until: Option<Value>, reverse| {
        let scan = Scan { index: Some(index), after, until, reverse, ..Scan::prefix(&THING, prefix, 10) };
        ids(&reader.scan(&scan)?)
    };
    // The first column of an index: rows without it are not there.
    assert_eq!(scan("by_due", vec![], None, None, false)?, [3, 6, 1, 5]);
    assert_eq!(scan("by_due", vec![], None, None, true)?, [5, 1, 6, 3]);
    assert_eq!(scan("by_due", vec![], None, Some(7_i64.into()), false)?, [3, 6]);
    assert_eq!(scan("by_due", vec![50_i64.into()], None, None, false)?, [1, 5]);
    assert_eq!(scan("by_due", vec![], Some(vec![Value::Null]), None, false)?, [3, 6, 1, 5]);
    assert!(scan("by_due", vec![], Some(vec![Value::Null]), None, true)?.is_empty());
    assert!(scan("by_due", vec![Value::Null], None, None, false)?.is_empty());
    // A later column: null comes first.
    let one = || key(&[1]);
    let at = |group: Value, id: i64| Some(vec![Value::Int(1), group, id.into()]);
    assert_eq!(scan("by_group", one(), None, None, false)?, [1, 4, 3, 2, 5]);
    assert_eq!(scan("by_group", one(), None, None, true)?, [5, 2, 3, 4, 1]);
    assert_eq!(scan("by_group", vec![1_i64.into(), Value::Null], None, None, false)?, [1, 4]);
    assert_eq!(scan("by_group", one(), at(Value::Null, 1), None, false)?, [4, 3, 2, 5]);
    assert_eq!(scan("by_group", one(), Some(vec![1_i64.into(), Value::Null]), None, false)?, [3, 2, 5]);
    assert_eq!(scan("by_group", one(), at(Value::Int(2), 2), None, false)?, [5]);
    assert_eq!(scan("by_group", one(), at(Value::Int(2), 2), None, true)?, [3, 4, 1]);
    assert_eq!(scan("by_group", one(), at(Value::Null, 4), None, true)?, [1]);
    assert_eq!(scan("by_group", one(), None, Some(1_i64.into()), false)?, [1, 4, 3]);
    assert_eq!(scan("by_group", one(), None, Some(Value::Null), false)?, [1, 4]);
    Ok(())
}

pub(super) fn bounds(store: &dyn StateStore) -> Result<(), Error> {
    let written: Vec<Row> = (1..=3).flat_map(|first| (1..=5).map(move |id| thing(first, id, "x"))).collect();
    commit(store, |txn| txn.put(&THING, written))?;
    let mut reader = store.reader()?;
    let mut scan = |scan: Scan| ids(&reader.scan(&scan)?);
    let two = |limit| Scan::prefix(&THING, key(&[2]), limit);
    assert_eq!(scan(two(10))?, [1, 2, 3, 4, 5]);
    assert_eq!(scan(two(3))?, [1, 2, 3]);
    assert!(scan(two(0))?.is_empty());
    assert_eq!(scan(Scan { reverse: true, ..two(2) })?, [5, 4]);
    assert_eq!(scan(Scan { after: Some(key(&[2, 3])), ..two(10) })?, [4, 5]);
    assert_eq!(scan(Scan { after: Some(key(&[2, 3])), reverse: true, ..two(10) })?, [2, 1]);
    assert_eq!(scan(Scan { until: Some(3_i64.into()), ..two(10) })?, [1, 2, 3]);
    assert_eq!(scan(Scan { until: Some(3_i64.into()), reverse: true, ..two(10) })?, [3, 2, 1]);
    assert_eq!(scan(Scan { after: Some(key(&[2, 1])), until: Some(3_i64.into()), ..two(10) })?, [2, 3]);
    assert_eq!(scan(Scan::prefix(&THING, key(&[2, 4]), 10))?, [4]);
    // A position of fewer columns stands behind all that begin like it.
    let whole = || Scan::prefix(&THING, vec![], 6);
    assert_eq!(scan(Scan { after: Some(key(&[2])), ..whole() })?, [1, 2, 3, 4, 5]);
    assert_eq!(scan(Scan { after: Some(key(&[2])), reverse: true, ..whole() })?, [5, 4, 3, 2, 1]);
    assert_eq!(scan(Scan { after: Some(key(&[1, 4])), ..whole() })?, [5, 1, 2, 3, 4, 5]);
    assert_eq!(scan(Scan { until: Some(1_i64.into()), ..whole() })?, [1, 2, 3, 4, 5]);
    Ok(())
}

/// Every order of [`THING`], forwards and backwards, in pages of several sizes: all rows, each once, in order.
pub(super) fn pages(store: &dyn StateStore) -> Result<(), Error> {
    let optional = |number: i64, of: i64| (number % of != 0).then_some(number % of);
    let written: Vec<Row> = (0..60)
        .map(|id| {
            let mut row = due(id % 3, id, optional(id, 4), optional(id, 5));
            row[2] = ["", "a", "A", "ä"][id as usize % 4].into();
            row
        })
        .collect();
    commit(store, |txn| txn.put(&THING, written.clone()))?;
    let mut reader = store.reader()?;
    for index in [None, Some("by_name"), Some("by_due"), Some("by_group")] {
        for (reverse, limit) in [(false, 1), (false, 7), (true, 7), (true, 100)] {
            let mut expected: Vec<&Row> = written.iter().collect();
            if index == Some("by_due") {
                expected.retain(|row| !row[3].is_null());
            }
            expected.sort_by_key(|row| THING.position(index, row));
            if reverse {
                expected.reverse();
            }
            let first = Scan { index, reverse, ..Scan::prefix(&THING, vec![], limit) };
            let found = paged(&mut *reader, &THING, first)?;
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{index:?} reverse {reverse} by {limit}");
        }
    }
    Ok(())
}

fn paged(reader: &mut dyn crate::Reader, table: &'static Table, mut scan: Scan) -> Result<Vec<Row>, Error> {
    let mut found = Vec::new();
    loop {
        let page = reader.scan(&scan)?;
        assert!(page.len() <= scan.limit);
        let Some(last) = page.last() else {
            return Ok(found);
        };
        scan.after = Some(table.position(scan.index, last));
        found.extend(page);
    }
}

pub(super) fn positions_outside_the_prefix(store: &dyn StateStore) -> Result<(), Error> {
    commit(store, |txn| txn.put(&THING, (1..=3).map(|id| thing(2, id, "x")).collect()))?;
    let mut reader = store.reader()?;
    let mut scan = |after: &[i64], reverse| {
        let scan = Scan { after: Some(key(after)), reverse, ..Scan::prefix(&THING, key(&[2]), 10) };
        ids(&reader.scan(&scan)?)
    };
    assert_eq!(scan(&[1, 9], false)?, [1, 2, 3]);
    assert!(scan(&[3, 0], false)?.is_empty());
    assert!(scan(&[2], false)?.is_empty());
    assert_eq!(scan(&[], false)?, [1, 2, 3]);
    assert!(scan(&[1, 9], true)?.is_empty());
    assert_eq!(scan(&[3, 0], true)?, [3, 2, 1]);
    Ok(())
}

pub(super) fn misfits(store: &dyn StateStore) -> Result<(), Error> {
    let mut reader = store.reader()?;
    let mut refused = |scan: Scan| {
        let result = reader.scan(&scan);
        assert!(matches!(result, Err(Error::Shape { .. })), "{scan:?} gave {result:?}");
    };
    refused(Scan { index: Some("by_nothing"), ..all(&THING) });
    refused(Scan::prefix(&THING, vec!["x".into()], 1));
    refused(Scan::prefix(&THING, vec![Value::Null], 1));
    refused(Scan::prefix(&THING, key(&[1, 2, 3]), 1));
    refused(Scan { after: Some(vec!["x".into()]), ..all(&THING) });
    refused(Scan { until: Some("x".into()), ..all(&THING) });
    refused(Scan { until: Some(1_i64.into()), ..Scan::prefix(&THING, key(&[1, 2]), 1) });
    refused(Scan::prefix(&LABEL, vec!["nul \0".into()], 1));
    Ok(())
}
