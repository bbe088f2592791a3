//! Bits of a base64url text, the most significant first, as the IAB's strings are written.

use base64::{
    Engine as _,
    engine::{GeneralPurpose, general_purpose},
};

/// Characters of a string that is read; longer ones are no consent.
pub(super) const TEXT_MAX: usize = 64 << 10;

const BASE64URL: GeneralPurpose = general_purpose::URL_SAFE_NO_PAD;

/// Reads bits; `None` past the end.
pub(super) struct Bits {
    bytes: Vec<u8>,
    next: usize,
    end: usize,
}

impl Bits {
    pub fn of(text: &str) -> Option<Bits> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let text = text.trim_end_matches('=');
        // Writers fill up to whole characters of 6 bits, not to whole bytes.
        let whole = text.len().next_multiple_of(4);
        let filled = format!("{text:A<whole$}");
        Some(Bits { bytes: BASE64URL.decode(filled).ok()?, next: 0, end: text.len() * 6 })
    }

    /// The next `count` bits, at most 64, as a number.
    pub fn number(&mut self, count: usize) -> Option<u64> {
        let mut number = 0;
        for _ in 0..count {
            number = number << 1 | u64::from(self.bit()?);
        }
        Some(number)
    }

    pub fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.next / 8).filter(|_| self.next < self.end)?;
        let bit = byte >> (7 - self.next % 8) & 1 == 1;
        self.next += 1;
        Some(bit)
    }

    /// Bits that are left.
    pub fn left(&self) -> usize {
        self.end.saturating_sub(self.next)
    }

    /// The next `count` bits as a set: the first is 1 (bit 0 of the number).
    pub fn set(&mut self, count: usize) -> Option<u32> {
        let mut set = 0;
        for place in 0..count {
            set |= u32::from(self.bit()?) << place;
        }
        Some(set)
    }
}

/// Writes bits.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    bits: usize,
}

impl Writer {
    pub fn bit(&mut self, bit: bool) {
        if self.bits.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let (true, Some(last)) = (bit, self.bytes.last_mut()) {
            *last |= 1 << (7 - self.bits % 8);
        }
        self.bits += 1;
    }

    pub fn number(&mut self, number: u64, count: usize) {
        (0..count).rev().for_each(|place| self.bit(number >> place & 1 == 1));
    }

    pub fn set(&mut self, set: u32, count: usize) {
        (0..count).for_each(|place| self.bit(set >> place & 1 == 1));
    }

    pub fn text(&self) -> String {
        BASE64URL.encode(&self.bytes)
    }
}
