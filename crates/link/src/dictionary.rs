//! Distinct strings by number.
//!
//! A million records have few distinct surnames: what is prepared, compared and counted is the distinct value, and a
//! record is a row of numbers. The bytes lie in one piece, so that a million values cost no million allocations.

use std::hash::Hasher;

use rustc_hash::FxHasher;

/// The empty string's code, in every dictionary.
pub const MISSING: u32 = 0;

/// Distinct strings, numbered as they come.
#[derive(Debug, Clone)]
pub struct Dictionary {
    bytes: Vec<u8>,
    /// Where each string ends in `bytes`.
    ends: Vec<usize>,
    /// Open addressing with linear probing: part of the hash, and one more than the code; 0 where nothing is.
    slots: Vec<(u32, u32)>,
}

impl Default for Dictionary {
    fn default() -> Self {
        let mut dictionary = Dictionary { bytes: Vec::new(), ends: Vec::new(), slots: vec![(0, 0); 16] };
        dictionary.intern(b"");
        dictionary
    }
}

/// A hash of `text` that does not change between runs.
pub fn hash(text: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(text);
    // FxHash leaves its entropy to the high bits of a product; mixed once more, all bits may be used.
    mix(hasher.finish())
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the outcome depends on every bit of `z`.
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Dictionary {
    /// Distinct strings in it, the empty one included.
    #[expect(clippy::len_without_is_empty, reason = "the empty string is always there")]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The string of `code`.
    pub fn get(&self, code: u32) -> &[u8] {
        let code = code as usize;
        let start = if code == 0 { 0 } else { self.ends[code - 1] };
        &self.bytes[start..self.ends[code]]
    }

    /// The string of `code`, as text.
    pub fn text(&self, code: u32) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.get(code))
    }

    /// All strings in the order of their codes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len() as u32).map(|code| self.get(code))
    }

    /// The code of `text`, where it is in there.
    pub fn code(&self, text: &[u8]) -> Option<u32> {
        let hash = hash(text);
        let found = self.slots[self.place(hash, text)].1;
        (found != 0).then(|| found - 1)
    }

    /// The code of `text`, which is added where it is new.
    pub fn intern(&mut self, text: &[u8]) -> u32 {
        let hash = hash(text);
        let place = self.place(hash, text);
        if self.slots[place].1 != 0 {
            return self.slots[place].1 - 1;
        }
        let code = u32::try_from(self.ends.len()).expect("fewer than four thousand million distinct values");
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        self.slots[place] = ((hash >> 32) as u32, code + 1);
        if self.ends.len() * 8 > self.slots.len() * 5 {
            self.grow();
        }
        code
    }

    /// Where `text` stands in `slots`, or would stand.
    fn place(&self, hash: u64, text: &[u8]) -> usize {
        let (mask, tag) = (self.slots.len() - 1, (hash >> 32) as u32);
        let mut place = hash as usize & mask;
        loop {
            let (other, code) = self.slots[place];
            if code == 0 || (other == tag && self.get(code - 1) == text) {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        let mut slots = vec![(0, 0); mask + 1];
        for code in 0..self.ends.len() as u32 {
            let hash = hash(self.get(code));
            let mut place = hash as usize & mask;
            while slots[place].1 != 0 {
                place = (place + 1) & mask;
            }
            slots[place] = ((hash >> 32) as u32, code + 1);
        }
        self.slots = slots;
    }

    /// The same strings under other codes: the one that had `order[i]` has `i`, and `renumbered` says so the other way
    /// round. The empty string keeps its code.
    pub fn reordered(&self, order: &[u32], renumbered: &[u32]) -> Dictionary {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut ends = Vec::with_capacity(self.ends.len());
        for &code in order {
            bytes.extend_from_slice(self.get(code));
            ends.push(bytes.len());
        }
        let renumber =
            |&(tag, code): &(u32, u32)| if code == 0 { (tag, 0) } else { (tag, renumbered[code as usize - 1] + 1) };
        Dictionary { bytes, ends, slots: self.slots.iter().map(renumber).collect() }
    }

    /// Gives back what was set aside for growth.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_keeps_its_code() {
        let mut dictionary = Dictionary::default();
        let codes: Vec<u32> = (0..1000).map(|i| dictionary.intern(format!("value {}", i % 500).as_bytes())).collect();
        assert_eq!(dictionary.len(), 501);
        assert_eq!(codes[..500], codes[500..]);
        assert_eq!(dictionary.text(codes[7]), "value 7");
        assert_eq!(dictionary.code(b"value 499"), Some(codes[499]));
        assert_eq!(dictionary.code(b"value 500"), None);
        assert_eq!(dictionary.intern(b""), MISSING);
    }
}
