//! Values by code: what many points or people share is kept once.

use std::hash::Hash;

use onefold_model::Value;
use rust_decimal::Decimal;
use rustc_hash::FxHashMap;

/// The code of what is absent.
pub const ABSENT: u32 = 0;

/// Something that a dictionary holds.
pub trait Word: Clone + Eq + Hash {
    /// Bytes that it takes beside its place.
    fn heap_bytes(&self) -> usize;
}

impl Word for Value {
    fn heap_bytes(&self) -> usize {
        match self {
            Value::Text(text) | Value::Json(text) => text.capacity(),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
    }
}

impl Word for Decimal {
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// Values and their codes, from 1 up.
#[derive(Debug, Clone)]
pub struct Dictionary<T> {
    values: Vec<T>,
    codes: FxHashMap<T, u32>,
    /// Bytes of the values beside their places.
    bytes: usize,
}

impl<T> Default for Dictionary<T> {
    fn default() -> Self {
        Dictionary { values: vec![], codes: FxHashMap::default(), bytes: 0 }
    }
}

impl<T: Word> Dictionary<T> {
    /// The code of a value, a new one where it has none.
    pub fn code(&mut self, value: Option<T>) -> u32 {
        let Some(value) = value else { return ABSENT };
        let Dictionary { values, codes, bytes } = self;
        *codes.entry(value).or_insert_with_key(|value| {
            *bytes += 2 * value.heap_bytes();
            values.push(value.clone());
            values.len() as u32
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

    /// About how many bytes it takes.
    pub fn heap_bytes(&self) -> usize {
        let places = self.values.capacity() * size_of::<T>() + self.codes.capacity() * (size_of::<(T, u32)>() + 1);
        places + self.bytes
    }
}
