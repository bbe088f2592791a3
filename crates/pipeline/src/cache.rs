//! What was decoded is kept, within a bound, so that hot profiles are read from the store once.
//!
//! Generations: what is used is marked with the current one; when that is half the bound, what bears an older mark is
//! dropped, and the next one begins. Cheaper than a list of uses, and as good at keeping what is hot. Nothing is dropped
//! within a micro-batch: the batch works on what it loaded. Several caches share a bound, which their owner keeps.

use std::hash::Hash;

use rustc_hash::FxHashMap;

/// Something that is kept.
pub trait Held {
    /// About how many bytes it takes in memory beside its place in the map.
    fn heap_bytes(&self) -> usize;
}

/// A map that counts the bytes of what was used in this generation.
#[derive(Debug)]
pub struct Cache<K, V> {
    map: FxHashMap<K, Kept<V>>,
    generation: u64,
    /// Of the current generation.
    bytes: usize,
}

#[derive(Debug)]
struct Kept<V> {
    generation: u64,
    value: V,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Cache { map: FxHashMap::default(), generation: 0, bytes: 0 }
    }
}

impl<K: Hash + Eq, V: Held> Cache<K, V> {
    /// A place in the map, which is about two thirds full.
    const PLACE_BYTES: usize = size_of::<(K, Kept<V>)>() * 3 / 2;

    /// What is kept under `key`, without counting as a use.
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.map.get(key).map(|kept| &kept.value)
    }

    /// Counts as a use of `key`; says whether it is there.
    pub fn touch(&mut self, key: &K) -> bool {
        let Some(kept) = self.map.get_mut(key) else { return false };
        if kept.generation != self.generation {
            kept.generation = self.generation;
            self.bytes += Self::PLACE_BYTES + kept.value.heap_bytes();
        }
        true
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.map.get_mut(key).map(|kept| &mut kept.value)
    }

    pub fn insert(&mut self, key: K, value: V) {
        self.bytes += Self::PLACE_BYTES + value.heap_bytes();
        self.map.insert(key, Kept { generation: self.generation, value });
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.map.remove(key).map(|kept| kept.value)
    }

    /// Counts growth of something that is kept.
    pub fn grew(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Bytes of what was used in this generation.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Begins the next generation, without what this one did not use.
    pub fn turn(&mut self) {
        self.map.retain(|_, kept| kept.generation == self.generation);
        self.generation += 1;
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Held for &str {
        fn heap_bytes(&self) -> usize {
            self.len()
        }
    }

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let mut cache: Cache<u32, &str> = Cache::default();
        cache.insert(1, "hot");
        cache.insert(2, "cold");
        cache.turn();
        assert_eq!(cache.bytes(), 0);
        assert!(cache.touch(&1));
        assert!(cache.touch(&1));
        assert_eq!(cache.bytes(), Cache::<u32, &str>::PLACE_BYTES + 3);
        cache.insert(3, "new");
        cache.turn();
        assert_eq!((cache.peek(&1), cache.peek(&2), cache.peek(&3)), (Some(&"hot"), None, Some(&"new")));
    }
}
