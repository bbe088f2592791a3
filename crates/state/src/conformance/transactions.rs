//! Points 1 to 4 and 7 of the contract: what a transaction is.

use std::sync::mpsc;

use super::{DIGEST, LABEL, RECEIPT, THING, all, commit, key, receipt, rows, thing};
use crate::{Error, Row, Scan, StateStore, Value};

pub(super) fn commit_is_atomic(store: &dyn StateStore) -> Result<(), Error> {
    let epoch = store.take_over(0)?;
    let mut txn = store.begin(0, epoch, None)?;
    txn.put(&THING, vec![thing(1, 1, "a")])?;
    txn.put(&RECEIPT, vec![receipt(1, "a")])?;
    assert!(rows(store, &THING)?.is_empty(), "seen before the commit");
    txn.commit()?;
    assert_eq!(rows(store, &THING)?, [thing(1, 1, "a")]);
    assert_eq!(rows(store, &RECEIPT)?, [receipt(1, "a")]);

    for shared in [false, true] {
        let mut dropped = if shared { store.begin_shared()? } else { store.begin(0, epoch, None)? };
        dropped.put(&THING, vec![thing(1, 1, "b"), thing(1, 2, "b")])?;
        dropped.delete(&RECEIPT, &[key(&[1])])?;
        drop(dropped);
        assert_eq!(rows(store, &THING)?, [thing(1, 1, "a")], "a dropped transaction left something");
        assert_eq!(rows(store, &RECEIPT)?, [receipt(1, "a")]);
    }
    Ok(())
}

pub(super) fn a_put_replaces(store: &dyn StateStore) -> Result<(), Error> {
    commit(store, |txn| txn.put(&THING, vec![thing(1, 1, "a"), thing(1, 2, "b"), thing(1, 1, "c")]))?;
    assert_eq!(rows(store, &THING)?, [thing(1, 1, "c"), thing(1, 2, "b")]);
    commit(store, |txn| {
        let mut full = thing(1, 2, "d");
        full[3] = Value::Int(5);
        txn.put(&THING, vec![full])?;
        txn.put(&THING, vec![thing(1, 2, "e")])?;
        txn.put(&DIGEST, vec![vec![vec![1_u8].into(), 1_i64.into()], vec![vec![1_u8].into(), 1_i64.into()]])
    })?;
    assert_eq!(rows(store, &THING)?, [thing(1, 1, "c"), thing(1, 2, "e")]);
    assert_eq!(rows(store, &DIGEST)?.len(), 1);
    let by_due = Scan { index: Some("by_due"), ..all(&THING) };
    assert!(store.reader()?.scan(&by_due)?.is_empty(), "an index still has what was replaced");
    // Where no indexed value changes, the others do.
    let mut changed = thing(1, 2, "e");
    changed[5] = Value::Bytes(vec![7]);
    commit(store, |txn| txn.put(&THING, vec![changed.clone()]))?;
    assert_eq!(rows(store, &THING)?, [thing(1, 1, "c"), changed]);
    Ok(())
}

pub(super) fn reads_its_own_writes(store: &dyn StateStore) -> Result<(), Error> {
    commit(store, |txn| txn.put(&THING, vec![thing(1, 1, "a"), thing(1, 2, "b"), thing(1, 3, "c")]))?;
    let mut txn = store.begin_shared()?;
    txn.put(&THING, vec![thing(1, 2, "z"), thing(1, 4, "a"), thing(0, 9, "n")])?;
    txn.delete(&THING, &[key(&[1, 1]), key(&[7, 7])])?;
    let asked = [key(&[1, 4]), key(&[1, 1]), key(&[1, 2]), key(&[1, 4])];
    let got = txn.get(&THING, &asked)?;
    assert_eq!(got, [Some(thing(1, 4, "a")), None, Some(thing(1, 2, "z")), Some(thing(1, 4, "a"))]);
    assert!(txn.get(&THING, &[])?.is_empty());
    let expected = [thing(0, 9, "n"), thing(1, 2, "z"), thing(1, 3, "c"), thing(1, 4, "a")];
    assert_eq!(txn.scan(&all(&THING))?, expected);
    let by_name = Scan { index: Some("by_name"), ..Scan::prefix(&THING, key(&[1]), 2) };
    assert_eq!(txn.scan(&by_name)?, [thing(1, 4, "a"), thing(1, 3, "c")]);
    assert_eq!(txn.count(&THING, &key(&[1]))?, 3);
    assert_eq!(txn.delete_prefix(&THING, &key(&[1]))?, 3);
    txn.put(&THING, vec![thing(1, 1, "again")])?;
    txn.commit()?;
    assert_eq!(rows(store, &THING)?, [thing(0, 9, "n"), thing(1, 1, "again")]);
    Ok(())
}

pub(super) fn a_reader_sees_one_moment(store: &dyn StateStore) -> Result<(), Error> {
    commit(store, |txn| txn.put(&THING, vec![thing(1, 1, "a")]))?;
    let mut reader = store.reader()?;
    commit(store, |txn| {
        txn.put(&THING, vec![thing(1, 1, "b"), thing(1, 2, "b")])?;
        txn.put(&RECEIPT, vec![receipt(1, "b")])
    })?;
    assert_eq!(reader.get(&THING, &[key(&[1, 1]), key(&[1, 2])])?, [Some(thing(1, 1, "a")), None]);
    assert_eq!(reader.scan(&all(&THING))?, [thing(1, 1, "a")]);
    assert_eq!(reader.count(&RECEIPT, &[])?, 0);
    assert_eq!(store.reader()?.count(&RECEIPT, &[])?, 1);
    if let Some(mut reader) = store.reader_at_once()? {
        assert_eq!(reader.count(&RECEIPT, &[])?, 1);
    }
    Ok(())
}

pub(super) fn fenced_at_begin(store: &dyn StateStore) -> Result<(), Error> {
    let fenced = |epoch| matches!(store.begin(2, epoch, None).err(), Some(Error::Fenced { partition: 2, .. }));
    assert!(fenced(0), "a partition that nobody took over was begun");
    let first = store.take_over(2)?;
    store.begin(2, first, None)?.commit()?;
    let second = store.take_over(2)?;
    assert!(second > first);
    assert!(fenced(first));
    assert!(fenced(second + 1));
    let mut txn = store.begin(2, second, None)?;
    txn.put(&RECEIPT, vec![receipt(1, "second")])?;
    txn.commit()
}

pub(super) fn fenced_while_open(store: &dyn StateStore) -> Result<(), Error> {
    let old = store.take_over(0)?;
    let mut txn = store.begin(0, old, None)?;
    txn.put(&RECEIPT, vec![receipt(1, "old")])?;
    let (sender, taken) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || sender.send(store.take_over(0)));
        // Either the store fences the open transaction off, and gives the new epoch while it is open; or it lets it
        // end first.
        let new = taken.recv_timeout(std::time::Duration::from_millis(200));
        let committed = txn.commit();
        let (fenced, new) = match new {
            Ok(new) => (true, new?),
            Err(_) => (false, taken.recv().expect("the thread sends once")?),
        };
        match committed {
            Err(Error::Fenced { partition: 0, .. }) => {
                assert!(rows(store, &RECEIPT)?.is_empty(), "a fenced commit left something")
            }
            Ok(()) => {
                assert!(!fenced, "an old epoch was committed after the new one was given");
                assert_eq!(rows(store, &RECEIPT)?, [receipt(1, "old")]);
            }
            Err(other) => return Err(other),
        }
        assert!(matches!(store.begin(0, old, None).err(), Some(Error::Fenced { .. })));
        store.begin(0, new, None)?.commit()
    })
}

pub(super) fn four_partitions(store: &dyn StateStore) -> Result<(), Error> {
    let epochs = (0..4).map(|partition| store.take_over(partition)).collect::<Result<Vec<_>, _>>()?;
    store.take_over(3)?;
    std::thread::scope(|scope| {
        let write = |partition: u32| {
            let epoch = epochs[partition as usize];
            for step in 0..10 {
                let mut txn = store.begin(partition, epoch, None)?;
                let rows = (0..20).map(|id| thing(i64::from(partition), step * 20 + id, "x"));
                txn.put(&THING, rows.collect())?;
                txn.commit()?;
            }
            Ok::<(), Error>(())
        };
        let threads: Vec<_> = (0..4).map(|partition| scope.spawn(move || write(partition))).collect();
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no check panicked")).collect();
        assert!(ended[..3].iter().all(Result::is_ok), "{ended:?}");
        assert!(matches!(ended[3], Err(Error::Fenced { partition: 3, .. })));
        Ok::<(), Error>(())
    })?;
    let mut reader = store.reader()?;
    for (partition, expected) in [(0, 200), (1, 200), (2, 200), (3, 0)] {
        assert_eq!(reader.count(&THING, &key(&[partition]))?, expected);
    }
    Ok(())
}

/// Several threads add to one number by reading and writing it: an addition that did not see another's is lost.
pub(super) fn threads_are_serialised(store: &dyn StateStore) -> Result<(), Error> {
    const EACH: usize = 25;
    let epoch = store.take_over(0)?;
    commit_count(store, 0)?;
    std::thread::scope(|scope| {
        let add = |shared: bool| {
            for _ in 0..EACH {
                let mut txn = if shared { store.begin_shared()? } else { store.begin(0, epoch, None)? };
                let found = txn.get(&RECEIPT, &[key(&[7])])?.remove(0).expect("the number was put");
                let number: usize = found[1].as_text()?.parse().expect("a number was put");
                txn.put(&RECEIPT, vec![receipt(7, &(number + 1).to_string())])?;
                txn.put(&THING, vec![thing(1, number as i64, "")])?;
                txn.commit()?;
            }
            Ok::<(), Error>(())
        };
        let threads = [false, true, true].map(|shared| scope.spawn(move || add(shared)));
        let reader = scope.spawn(|| {
            // The number and the rows are written together, so every reader finds as many as the number says.
            for _ in 0..EACH {
                let mut reader = store.reader()?;
                let found = reader.get(&RECEIPT, &[key(&[7])])?.remove(0).expect("the number was put");
                assert_eq!(found[1].as_text()?, reader.count(&THING, &[])?.to_string());
            }
            Ok::<(), Error>(())
        });
        threads.into_iter().chain([reader]).try_for_each(|thread| thread.join().expect("no check panicked"))
    })?;
    assert_eq!(rows(store, &RECEIPT)?, [receipt(7, &(3 * EACH).to_string())]);
    Ok(())
}

fn commit_count(store: &dyn StateStore, count: usize) -> Result<(), Error> {
    let mut txn = store.begin_shared()?;
    txn.put(&RECEIPT, vec![receipt(7, &count.to_string())])?;
    txn.commit()
}

pub(super) fn misshapen_rows_are_refused(store: &dyn StateStore) -> Result<(), Error> {
    let refused = |result: Result<(), Error>| assert!(matches!(result, Err(Error::Shape { .. })), "{result:?}");
    let mut txn = store.begin_shared()?;
    refused(txn.put(&RECEIPT, vec![receipt(1, "fits"), vec![1_i64.into()]]));
    refused(txn.put(&RECEIPT, vec![vec![1_i64.into(), Value::Null]]));
    refused(txn.put(&RECEIPT, vec![receipt(1, "nul \0")]));
    refused(txn.put(&LABEL, vec![vec!["x".repeat(3_000).into(), Value::Bytes(vec![])]]));
    refused(txn.get(&THING, &[key(&[1])]).map(drop));
    refused(txn.delete(&THING, &[key(&[1])]));
    refused(txn.count(&THING, &["x".into()]).map(drop));
    refused(txn.delete_prefix(&THING, &key(&[1, 2, 3])).map(drop));
    // A refusal leaves nothing behind, and does not spoil the transaction.
    txn.put(&RECEIPT, vec![receipt(2, "good")])?;
    txn.commit()?;
    assert_eq!(rows(store, &RECEIPT)?, [receipt(2, "good")]);
    Ok(())
}

pub(super) fn large_and_empty_values(store: &dyn StateStore) -> Result<(), Error> {
    let large: Vec<u8> = (0..5_000_000_u32).map(|place| (place % 251) as u8).collect();
    let mut with_body = thing(1, 1, &"ü".repeat(900));
    with_body[5] = Value::Bytes(large);
    let mut empty_body = thing(1, 2, "");
    empty_body[5] = Value::Bytes(Vec::new());
    let written = vec![with_body, empty_body, thing(1, 3, "null body")];
    commit(store, |txn| {
        txn.put(&THING, written.clone())?;
        txn.put(&LABEL, vec![vec!["".into(), Value::Bytes(vec![])]])?;
        txn.put(&DIGEST, vec![vec![Value::Bytes(vec![]), i64::MIN.into()]])
    })?;
    assert_eq!(rows(store, &THING)?, written);
    let mut reader = store.reader()?;
    let got = reader.get(&THING, &[key(&[1, 2]), key(&[1, 1])])?;
    assert_eq!(got, [Some(written[1].clone()), Some(written[0].clone())]);
    assert_eq!(reader.get(&LABEL, &[vec!["".into()]])?, [Some(vec!["".into(), Value::Bytes(vec![])])]);
    assert_eq!(reader.count(&DIGEST, &[Value::Bytes(vec![])])?, 1);
    Ok(())
}

pub(super) fn prefixes(store: &dyn StateStore) -> Result<(), Error> {
    let written: Vec<Row> = [1, 2, 12].iter().flat_map(|first| (0..3).map(|id| thing(*first, id, "x"))).collect();
    commit(store, |txn| txn.put(&THING, written))?;
    let mut txn = store.begin_shared()?;
    assert_eq!(txn.count(&THING, &[])?, 9);
    assert_eq!(txn.count(&THING, &key(&[2]))?, 3);
    assert_eq!(txn.count(&THING, &key(&[2, 1]))?, 1);
    assert_eq!(txn.count(&THING, &key(&[3]))?, 0);
    assert_eq!(txn.delete_prefix(&THING, &key(&[3]))?, 0);
    assert_eq!(txn.delete_prefix(&THING, &key(&[1, 2]))?, 1);
    assert_eq!(txn.delete_prefix(&THING, &key(&[1]))?, 2);
    assert_eq!(txn.count(&THING, &[])?, 6);
    txn.commit()?;
    let mut txn = store.begin_shared()?;
    assert_eq!(txn.delete_prefix(&THING, &[])?, 6);
    txn.commit()?;
    assert!(rows(store, &THING)?.is_empty());
    Ok(())
}

pub(super) fn large_batches(store: &dyn StateStore) -> Result<(), Error> {
    const COUNT: i64 = 20_000;
    let written: Vec<Row> = (0..COUNT).rev().map(|id| thing(1, id, "x")).collect();
    let mut keys: Vec<Row> = (0..COUNT).map(|id| key(&[1, id * 7 % (COUNT + 1)])).collect();
    commit(store, |txn| txn.put(&THING, written))?;
    let mut txn = store.begin_shared()?;
    for (asked, found) in keys.iter().zip(txn.get(&THING, &keys)?) {
        let expected = (asked[1] != Value::Int(COUNT)).then_some(&asked[..]);
        assert_eq!(found.as_deref().map(|row| &row[..2]), expected);
    }
    keys.truncate(15_000);
    keys.push(keys[0].clone());
    txn.delete(&THING, &keys)?;
    txn.commit()?;
    let gone = keys[..15_000].iter().filter(|key| key[1] != Value::Int(COUNT)).count() as u64;
    assert_eq!(store.reader()?.count(&THING, &[])?, COUNT as u64 - gone);
    Ok(())
}
