//! Values by code: what many points or people share is kept once.

use std::hash::Hash;

use rustc_hash::FxHashMap;

/// The code of what is absent.
pub const ABSENT: u32 = 0;

/// Values and their codes, from 1 up.
#[derive(Debug, Clone)]
pub struct Dictionary<T> {
    values: Vec<T>,
    codes: FxHashMap<T, u32>,
}

impl<T> Default for Dictionary<T> {
    fn default() -> Self {
        Dictionary { values: vec![], codes: FxHashMap::default() }
    }
}

impl<T: Clone + Eq + Hash> Dictionary<T> {
    /// The code of a value, a new one where it has none.
    pub fn code(&mut self, value: Option<T>) -> u32 {
        let Some(value) = value else { return ABSENT };
        let next = self.values.len() as u32 + 1;
        *self.codes.entry(value).or_insert_with_key(|value| {
            self.values.push(value.clone());
            next
        })
    }

    /// The code of a value that has one.
    pub fn find(&self, value: &T) -> Option<u32> {
        self.codes.get(value).copied()
    }

    /// The value of a code; `None` for [`ABSENT`].
    pub fn value(&self, code: u32) -> Option<&T> {
        self.values.get((code as usize).checked_sub(1)?)
    }

    /// The values, in the order of their codes, from 1 up.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// About how many bytes it takes, each value and its copy taking `each` beside their places.
    pub fn heap_bytes(&self, each: impl Fn(&T) -> usize) -> usize {
        let places = self.values.capacity() * size_of::<T>() + self.codes.capacity() * (size_of::<(T, u32)>() + 1);
        places + 2 * self.values.iter().map(each).sum::<usize>()
    }
}
