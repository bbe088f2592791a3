//! A bounded number of connections, lent one at a time.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use crate::Error;

/// At most `max` of `C`, opened when first needed and used again.
pub(crate) struct Pool<C> {
    state: Mutex<State<C>>,
    freed: Condvar,
    max: usize,
    wait: Duration,
}

struct State<C> {
    idle: Vec<C>,
    /// Idle and lent.
    open: usize,
}

/// One of a pool's, given back when it is dropped.
pub(crate) struct Lease<'p, C> {
    pool: &'p Pool<C>,
    item: Option<C>,
}

impl<C> Pool<C> {
    pub fn new(max: usize, wait: Duration) -> Self {
        let state = State { idle: Vec::new(), open: 0 };
        Pool { state: Mutex::new(state), freed: Condvar::new(), max: max.max(1), wait }
    }

    /// Lends one, opening it where none is idle; waits where all are lent, and fails with [`Error::Unavailable`] when
    /// that takes too long.
    pub fn lend(
        &self,
        operation: &'static str,
        open: impl FnOnce() -> Result<C, Error>,
    ) -> Result<Lease<'_, C>, Error> {
        let mut state = self.state.lock();
        let none_free = |state: &mut State<C>| state.idle.is_empty() && state.open >= self.max;
        if self.freed.wait_while_for(&mut state, none_free, self.wait).timed_out() && none_free(&mut state) {
            let cause = format!("all {} connections were in use for {} ms", self.max, self.wait.as_millis());
            return Err(Error::Unavailable { operation, cause });
        }
        if let Some(item) = state.idle.pop() {
            return Ok(Lease { pool: self, item: Some(item) });
        }
        state.open += 1;
        drop(state);
        // From here on, dropping the lease frees its place, also when opening fails.
        let mut lease = Lease { pool: self, item: None };
        lease.item = Some(open()?);
        Ok(lease)
    }

    /// Lends one where one is idle.
    pub fn lend_idle(&self) -> Option<Lease<'_, C>> {
        let item = self.state.lock().idle.pop()?;
        Some(Lease { pool: self, item: Some(item) })
    }

    /// Takes the idle ones out.
    pub fn drain(&self) -> Vec<C> {
        let mut state = self.state.lock();
        state.open -= state.idle.len();
        std::mem::take(&mut state.idle)
    }
}

impl<C> Lease<'_, C> {
    /// Closes it instead of giving it back.
    pub fn discard(mut self) {
        drop(self.item.take());
    }
}

impl<C> Drop for Lease<'_, C> {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        match self.item.take() {
            Some(item) => state.idle.push(item),
            None => state.open -= 1,
        }
        self.pool.freed.notify_one();
    }
}

impl<C> Deref for Lease<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.item.as_ref().expect("a lease holds its item until it is dropped")
    }
}

impl<C> DerefMut for Lease<'_, C> {
    fn deref_mut(&mut self) -> &mut C {
        self.item.as_mut().expect("a lease holds its item until it is dropped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lends_no_more_than_its_bound_and_each_again() {
        let pool = Pool::new(2, Duration::from_millis(1));
        let first = pool.lend("test", || Ok(1)).unwrap();
        let second = pool.lend("test", || Ok(2)).unwrap();
        let error = pool.lend("test", || Ok(3)).err().unwrap();
        assert_eq!(error.to_string(), "test: all 2 connections were in use for 1 ms");
        drop(first);
        assert_eq!(*pool.lend("test", || Ok(3)).unwrap(), 1);
        let idle = pool.lend_idle();
        assert_eq!(idle.as_deref(), Some(&1));
        assert!(pool.lend_idle().is_none());
        drop(idle);
        second.discard();
        assert_eq!(*pool.lend("test", || Ok(3)).unwrap(), 1);
    }

    #[test]
    fn a_failed_opening_frees_its_place() {
        let pool: Pool<u8> = Pool::new(1, Duration::from_millis(1));
        for _ in 0..3 {
            let failed = pool.lend("test", || Err(Error::Full { operation: "test" }));
            assert!(matches!(failed.err(), Some(Error::Full { .. })));
        }
    }

    #[test]
    fn who_waits_gets_what_is_given_back() {
        let pool = Pool::new(1, Duration::from_secs(10));
        let lease = pool.lend("test", || Ok(1)).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| *pool.lend("test", || Ok(2)).unwrap());
            drop(lease);
            assert_eq!(waiting.join().unwrap(), 1);
        });
    }
}
