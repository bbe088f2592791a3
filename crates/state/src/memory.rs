//! The store in memory: for tests and the simulation, and as the plainest statement of the contract.
//!
//! The committed state is shared by reference counts. A reader holds the one it began with; a transaction keeps its
//! changes beside it, and its commit copies only those tables that a reader still holds.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;

use crate::{
    Epoch, Error, Generation, Part, Partition, Reader, Row, Scan, StateStore, Table, Txn, Value,
    plan::{Plan, plan},
    table::check_declarations,
};

/// How long a transaction waits for its turn.
const WAIT: Duration = Duration::from_secs(10);

/// See the module.
pub struct MemoryStore {
    tables: &'static [&'static Table],
    /// Held by the one transaction that writes.
    turn: Mutex<()>,
    committed: Mutex<State>,
}

/// Rows by key.
type Rows = BTreeMap<Row, Row>;

/// The name of a table, and its generation where it is derived.
type Place = (&'static str, Option<Generation>);

#[derive(Clone)]
struct State {
    rows: FxHashMap<Place, Arc<Rows>>,
    epochs: FxHashMap<Partition, Epoch>,
    current: Generation,
    building: Option<Generation>,
}

/// Changes by table and key; `None` for what was deleted.
type Changes = FxHashMap<Place, BTreeMap<Row, Option<Row>>>;

impl State {
    fn apply(&mut self, changes: Changes) {
        for (place, changes) in changes {
            let rows = Arc::make_mut(self.rows.entry(place).or_default());
            for (key, change) in changes {
                match change {
                    Some(row) => drop(rows.insert(key, row)),
                    None => drop(rows.remove(&key)),
                }
            }
        }
    }
}

impl MemoryStore {
    /// An empty store of `tables`.
    ///
    /// # Panics
    /// Where the declarations cannot work, see [`check_declarations`].
    pub fn new(tables: &'static [&'static Table]) -> Self {
        if let Err(error) = check_declarations(tables) {
            panic!("{error}");
        }
        let state = State { rows: FxHashMap::default(), epochs: FxHashMap::default(), current: 1, building: None };
        MemoryStore { tables, turn: Mutex::new(()), committed: Mutex::new(state) }
    }

    fn turn(&self, operation: &'static str) -> Result<MutexGuard<'_, ()>, Error> {
        self.turn.try_lock_for(WAIT).ok_or_else(|| Error::Unavailable {
            operation,
            cause: format!("another transaction is open since {} ms", WAIT.as_millis()),
        })
    }

    fn view(&self, generation: Option<Generation>, operation: &'static str) -> Result<View, Error> {
        let state = self.committed.lock().clone();
        let generation = generation.unwrap_or(state.current);
        if generation != state.current && state.building != Some(generation) {
            return Err(unknown_generation(operation, generation));
        }
        Ok(View { tables: self.tables, state, generation, changes: FxHashMap::default() })
    }
}

/// The error of a transaction on a generation that is neither current nor under construction.
pub(crate) fn unknown_generation(operation: &'static str, generation: Generation) -> Error {
    let cause = format!("generation {generation} is not under construction. Begin the rebuild again");
    Error::Unusable { operation, cause }
}

/// A committed state, and changes on top of it.
struct View {
    tables: &'static [&'static Table],
    state: State,
    generation: Generation,
    changes: Changes,
}

impl View {
    fn place(&self, table: &'static Table) -> Result<Place, Error> {
        if !self.tables.iter().any(|declared| declared.name == table.name) {
            return Err(table.misfit("not among the tables of this store".into()));
        }
        Ok((table.name, (table.part == Part::Derived).then_some(self.generation)))
    }

    /// The rows whose key begins with `prefix`, in key order.
    fn rows<'v>(&'v self, place: Place, prefix: &'v [Value]) -> impl Iterator<Item = &'v Row> {
        let from = || prefix.to_vec()..;
        let within = |key: &Row| key.starts_with(prefix);
        let mut changes =
            self.changes.get(&place).into_iter().flat_map(move |changes| changes.range(from())).peekable();
        let mut rows = self.state.rows.get(&place).into_iter().flat_map(move |rows| rows.range(from())).peekable();
        let merged = std::iter::from_fn(move || {
            loop {
                match (rows.peek(), changes.peek()) {
                    (None, None) => return None,
                    (Some((key, _)), Some((changed, _))) if key == changed => drop(rows.next()),
                    (Some((key, _)), Some((changed, _))) if key < changed => return rows.next(),
                    (Some(_), None) => return rows.next(),
                    (_, Some(_)) => match changes.next() {
                        Some((key, Some(row))) => return Some((key, row)),
                        _ => continue,
                    },
                }
            }
        });
        merged.take_while(move |(key, _)| within(key)).map(|(_, row)| row)
    }
}

impl Reader for View {
    fn get(&mut self, table: &'static Table, keys: &[Row]) -> Result<Vec<Option<Row>>, Error> {
        let place = self.place(table)?;
        let (rows, changes) = (self.state.rows.get(&place), self.changes.get(&place));
        let found = keys.iter().map(|key| {
            table.check_key(key)?;
            Ok(match changes.and_then(|changes| changes.get(key)) {
                Some(changed) => changed.clone(),
                None => rows.and_then(|rows| rows.get(key)).cloned(),
            })
        });
        found.collect()
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Row>, Error> {
        let place = self.place(scan.table)?;
        let Some(plan): Option<Plan<'_>> = plan(scan)? else {
            return Ok(Vec::new());
        };
        if scan.index.is_none() && !scan.reverse {
            let rows = self.rows(place, plan.prefix).filter(|row| plan.admits(row));
            return Ok(rows.take(plan.limit).cloned().collect());
        }
        let key_prefix = if scan.index.is_none() { plan.prefix } else { &[] };
        let mut rows: Vec<&Row> = self.rows(place, key_prefix).filter(|row| plan.admits(row)).collect();
        rows.sort_by(|left, right| plan.compare(left, right));
        Ok(rows.into_iter().take(plan.limit).cloned().collect())
    }

    fn count(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error> {
        table.check_prefix(prefix)?;
        Ok(self.rows(self.place(table)?, prefix).count() as u64)
    }
}

/// A transaction: the view it changes, and its turn.
struct MemoryTxn<'s> {
    store: &'s MemoryStore,
    view: View,
    right: Option<(Partition, Epoch)>,
    _turn: MutexGuard<'s, ()>,
}

impl Reader for MemoryTxn<'_> {
    fn get(&mut self, table: &'static Table, keys: &[Row]) -> Result<Vec<Option<Row>>, Error> {
        self.view.get(table, keys)
    }

    fn scan(&mut self, scan: &Scan) -> Result<Vec<Row>, Error> {
        self.view.scan(scan)
    }

    fn count(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error> {
        self.view.count(table, prefix)
    }
}

impl Txn for MemoryTxn<'_> {
    fn put(&mut self, table: &'static Table, rows: Vec<Row>) -> Result<(), Error> {
        let place = self.view.place(table)?;
        rows.iter().try_for_each(|row| table.check_row(row))?;
        let changes = self.view.changes.entry(place).or_default();
        changes.extend(rows.into_iter().map(|row| (row[..table.key].to_vec(), Some(row))));
        Ok(())
    }

    fn delete(&mut self, table: &'static Table, keys: &[Row]) -> Result<(), Error> {
        let place = self.view.place(table)?;
        keys.iter().try_for_each(|key| table.check_key(key))?;
        self.view.changes.entry(place).or_default().extend(keys.iter().map(|key| (key.clone(), None)));
        Ok(())
    }

    fn delete_prefix(&mut self, table: &'static Table, prefix: &[Value]) -> Result<u64, Error> {
        table.check_prefix(prefix)?;
        let rows = self.view.rows(self.view.place(table)?, prefix);
        let keys: Vec<Row> = rows.map(|row| row[..table.key].to_vec()).collect();
        self.delete(table, &keys)?;
        Ok(keys.len() as u64)
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        let MemoryTxn { store, view, right, _turn } = *self;
        let View { state, changes, .. } = view;
        let mut committed = store.committed.lock();
        if let Some((partition, epoch)) = right
            && committed.epochs.get(&partition) != Some(&epoch)
        {
            return Err(Error::Fenced { partition, epoch });
        }
        // Let go of the view's references, so that only readers make a table be copied.
        drop(state);
        committed.apply(changes);
        Ok(())
    }
}

impl StateStore for MemoryStore {
    fn take_over(&self, partition: Partition) -> Result<Epoch, Error> {
        let mut committed = self.committed.lock();
        let epoch = committed.epochs.entry(partition).or_insert(0);
        *epoch += 1;
        Ok(*epoch)
    }

    fn begin(
        &self,
        partition: Partition,
        epoch: Epoch,
        generation: Option<Generation>,
    ) -> Result<Box<dyn Txn + '_>, Error> {
        let turn = self.turn("begin")?;
        if self.committed.lock().epochs.get(&partition) != Some(&epoch) {
            return Err(Error::Fenced { partition, epoch });
        }
        let view = self.view(generation, "begin")?;
        Ok(Box::new(MemoryTxn { store: self, view, right: Some((partition, epoch)), _turn: turn }))
    }

    fn begin_shared(&self) -> Result<Box<dyn Txn + '_>, Error> {
        let turn = self.turn("begin a shared transaction")?;
        let view = self.view(None, "begin a shared transaction")?;
        Ok(Box::new(MemoryTxn { store: self, view, right: None, _turn: turn }))
    }

    fn reader(&self) -> Result<Box<dyn Reader + Send + '_>, Error> {
        Ok(Box::new(self.view(None, "read")?))
    }

    fn reader_at_once(&self) -> Result<Option<Box<dyn Reader + Send + '_>>, Error> {
        self.reader().map(Some)
    }

    fn new_generation(&self) -> Result<Generation, Error> {
        let _turn = self.turn("begin a generation")?;
        let mut committed = self.committed.lock();
        let generation = committed.building.unwrap_or(committed.current) + 1;
        let current = committed.current;
        committed.rows.retain(|(_, of), _| of.is_none_or(|of| of == current));
        committed.building = Some(generation);
        Ok(generation)
    }

    fn swap(
        &self,
        generation: Generation,
        last: &mut dyn FnMut(&mut dyn Txn) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let turn = self.turn("swap generations")?;
        if self.committed.lock().building != Some(generation) {
            return Err(unknown_generation("swap generations", generation));
        }
        let view = self.view(Some(generation), "swap generations")?;
        let mut txn = Box::new(MemoryTxn { store: self, view, right: None, _turn: turn });
        last(&mut *txn)?;
        let changes = std::mem::take(&mut txn.view.changes);
        // Both steps under one lock, so that no reader comes between them.
        let mut committed = self.committed.lock();
        committed.apply(changes);
        committed.rows.retain(|(_, of), _| of.is_none_or(|of| of == generation));
        committed.current = generation;
        committed.building = None;
        Ok(())
    }

    fn checkpoint(&self) -> Result<(), Error> {
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "memory"
    }
}
