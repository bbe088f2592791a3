//! Point 6 of the contract: generations of the derived tables.

use super::{RECEIPT, THING, all, commit, key, receipt, rows, thing};
use crate::{Error, StateStore};

pub(super) fn unseen_until_the_swap(store: &dyn StateStore) -> Result<(), Error> {
    let (partition, epoch) = commit(store, |txn| {
        txn.put(&THING, vec![thing(1, 1, "old"), thing(1, 2, "old")])?;
        txn.put(&RECEIPT, vec![receipt(1, "kept")])
    })?;
    let generation = store.new_generation()?;
    let mut txn = store.begin(partition, epoch, Some(generation))?;
    assert!(txn.scan(&all(&THING))?.is_empty(), "a new generation is not empty");
    assert_eq!(txn.scan(&all(&RECEIPT))?, [receipt(1, "kept")]);
    txn.put(&THING, vec![thing(1, 1, "new")])?;
    txn.commit()?;

    // The pipeline goes on with the current one meanwhile.
    assert_eq!(rows(store, &THING)?, [thing(1, 1, "old"), thing(1, 2, "old")]);
    let mut txn = store.begin(partition, epoch, None)?;
    txn.put(&THING, vec![thing(1, 3, "old")])?;
    txn.put(&RECEIPT, vec![receipt(2, "kept")])?;
    txn.commit()?;
    let mut txn = store.begin(partition, epoch, Some(generation))?;
    assert_eq!(txn.scan(&all(&THING))?, [thing(1, 1, "new")]);
    drop(txn);

    store.swap(generation, &mut |txn| {
        assert_eq!(txn.get(&THING, &[key(&[1, 1])])?, [Some(thing(1, 1, "new"))]);
        txn.put(&THING, vec![thing(1, 9, "last")])?;
        txn.put(&RECEIPT, vec![receipt(3, "last")])
    })?;
    assert_eq!(rows(store, &THING)?, [thing(1, 1, "new"), thing(1, 9, "last")]);
    assert_eq!(rows(store, &RECEIPT)?, [receipt(1, "kept"), receipt(2, "kept"), receipt(3, "last")]);

    // The same epoch goes on, on the new one; and another generation can follow.
    let mut txn = store.begin(partition, epoch, None)?;
    txn.put(&THING, vec![thing(1, 2, "after")])?;
    txn.commit()?;
    assert_eq!(store.reader()?.count(&THING, &[])?, 3);
    let next = store.new_generation()?;
    assert!(next > generation);
    store.swap(next, &mut |_| Ok(()))?;
    assert!(rows(store, &THING)?.is_empty());
    assert_eq!(store.reader()?.count(&RECEIPT, &[])?, 3);
    Ok(())
}

pub(super) fn an_unfinished_one_goes(store: &dyn StateStore) -> Result<(), Error> {
    let (partition, epoch) = commit(store, |txn| txn.put(&THING, vec![thing(1, 1, "current")]))?;
    let abandoned = store.new_generation()?;
    let mut txn = store.begin(partition, epoch, Some(abandoned))?;
    txn.put(&THING, vec![thing(1, 1, "abandoned")])?;
    txn.commit()?;
    let second = store.new_generation()?;
    assert_ne!(second, abandoned);
    let begun = store.begin(partition, epoch, Some(abandoned));
    assert!(matches!(begun.err(), Some(Error::Unusable { .. })));
    assert!(matches!(store.swap(abandoned, &mut |_| Ok(())), Err(Error::Unusable { .. })));
    assert!(store.begin(partition, epoch, Some(second))?.scan(&all(&THING))?.is_empty());
    assert_eq!(rows(store, &THING)?, [thing(1, 1, "current")]);
    Ok(())
}

pub(super) fn a_failed_swap_changes_nothing(store: &dyn StateStore) -> Result<(), Error> {
    commit(store, |txn| txn.put(&THING, vec![thing(1, 1, "current")]))?;
    let generation = store.new_generation()?;
    let failed = store.swap(generation, &mut |txn| {
        txn.put(&THING, vec![thing(1, 1, "new")])?;
        txn.put(&RECEIPT, vec![receipt(1, "new")])?;
        Err(Error::Full { operation: "the last step" })
    });
    assert!(matches!(failed, Err(Error::Full { operation: "the last step" })));
    assert_eq!(rows(store, &THING)?, [thing(1, 1, "current")]);
    assert!(rows(store, &RECEIPT)?.is_empty());
    store.swap(generation, &mut |_| Ok(()))?;
    assert!(rows(store, &THING)?.is_empty());
    Ok(())
}

pub(super) fn a_reader_outlives_a_swap(store: &dyn StateStore) -> Result<(), Error> {
    commit(store, |txn| txn.put(&THING, vec![thing(1, 1, "old")]))?;
    let generation = store.new_generation()?;
    let mut reader = store.reader()?;
    store.swap(generation, &mut |txn| txn.put(&THING, vec![thing(1, 1, "new")]))?;
    assert_eq!(reader.scan(&all(&THING))?, [thing(1, 1, "old")]);
    assert_eq!(rows(store, &THING)?, [thing(1, 1, "new")]);
    drop(reader);
    store.checkpoint()?;
    assert_eq!(rows(store, &THING)?, [thing(1, 1, "new")]);
    Ok(())
}

pub(super) fn unknown_ones_are_refused(store: &dyn StateStore) -> Result<(), Error> {
    let (partition, epoch) = commit(store, |_| Ok(()))?;
    assert!(matches!(store.begin(partition, epoch, Some(99)).err(), Some(Error::Unusable { .. })));
    let mut called = false;
    let swapped = store.swap(99, &mut |_| {
        called = true;
        Ok(())
    });
    assert!(matches!(swapped, Err(Error::Unusable { .. })));
    assert!(!called);
    Ok(())
}
