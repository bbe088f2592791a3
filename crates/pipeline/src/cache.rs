//! What was decoded is kept, within a bound, so that hot profiles are read from the store once.
//!
//! Generations: what is used is marked with the current one; when that is half the bound, what bears an older mark is
//! dropped, and the next one begins. Cheaper than a list of uses, and as good at keeping what is hot. Nothing is dropped
//! within a micro-batch: the batch works on what it loaded.

use std::hash::Hash;

use rustc_hash::FxHashMap;

/// A map with a bound, in bytes as its user counts them.
#[derive(Debug)]
pub struct Cache<K, V> {
    map: FxHashMap<K, Kept<V>>,
    generation: u64,
    /// Of the current generation.
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Kept<V> {
    generation: u64,
    value: V,
}

impl<K: Hash + Eq, V> Cache<K, V> {
    pub fn new(bytes_max: usize) -> Self {
        Cache { map: FxHashMap::default(), generation: 0, bytes: 0, bytes_max }
    }

    /// What is kept under `key`, without counting as a use.
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.map.get(key).map(|kept| &kept.value)
    }

    /// Counts as a use of `key`; says whether it is there.
    pub fn touch(&mut self, key: &K, bytes: impl Fn(&V) -> usize) -> bool {
        let Some(kept) = self.map.get_mut(key) else { return false };
        if kept.generation != self.generation {
            kept.generation = self.generation;
            self.bytes += bytes(&kept.value);
        }
        true
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.map.get_mut(key).map(|kept| &mut kept.value)
    }

    pub fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.bytes += bytes;
        self.map.insert(key, Kept { generation: self.generation, value });
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.map.remove(key).map(|kept| kept.value)
    }

    /// Counts growth of something that is kept.
    pub fn grew(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Between micro-batches: drops what was not used for long.
    pub fn trim(&mut self) {
        if self.bytes > self.bytes_max / 2 {
            self.map.retain(|_, kept| kept.generation == self.generation);
            self.generation += 1;
            self.bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let mut cache: Cache<u32, &str> = Cache::new(4);
        cache.insert(1, "hot", 1);
        cache.insert(2, "cold", 1);
        cache.insert(3, "cold", 1);
        cache.trim();
        assert!(cache.touch(&1, |_| 1));
        cache.insert(4, "new", 1);
        cache.insert(5, "new", 1);
        cache.trim();
        assert_eq!(cache.peek(&1), Some(&"hot"));
        assert_eq!(cache.peek(&2), None);
    }
}
