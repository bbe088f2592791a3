//! What was decoded is kept, within a bound, so that hot profiles are read from the store once.
//!
//! Two generations: what is used moves to the young one; when that is half the bound, it becomes the old one and the old
//! one is dropped. Cheaper than a list of uses, and as good at keeping what is hot. Nothing is dropped within a
//! micro-batch: the batch works on what it loaded.

use std::hash::Hash;

use rustc_hash::FxHashMap;

/// A map with a bound, in bytes as its user counts them.
#[derive(Debug)]
pub struct Cache<K, V> {
    young: FxHashMap<K, V>,
    old: FxHashMap<K, V>,
    young_bytes: usize,
    bytes_max: usize,
}

impl<K: Hash + Eq + Clone, V> Cache<K, V> {
    pub fn new(bytes_max: usize) -> Self {
        Cache { young: FxHashMap::default(), old: FxHashMap::default(), young_bytes: 0, bytes_max }
    }

    /// What is kept under `key`, without counting as a use.
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Moves `key` among the young; says whether it is there.
    pub fn touch(&mut self, key: &K, bytes: impl Fn(&V) -> usize) -> bool {
        if self.young.contains_key(key) {
            return true;
        }
        match self.old.remove(key) {
            Some(value) => {
                self.young_bytes += bytes(&value);
                self.young.insert(key.clone(), value);
                true
            }
            None => false,
        }
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.young.get_mut(key) {
            Some(value) => Some(value),
            None => self.old.get_mut(key),
        }
    }

    pub fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.old.remove(&key);
        self.young_bytes += bytes;
        self.young.insert(key, value);
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    /// Counts growth of something that is kept.
    pub fn grew(&mut self, bytes: usize) {
        self.young_bytes += bytes;
    }

    /// Between micro-batches: drops what was not used for long.
    pub fn trim(&mut self) {
        if self.young_bytes > self.bytes_max / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
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
