//! Which file it was, and the message ids of its rows.
//!
//! A row's id must be the same whenever the same file is imported into the same source, and no other's: so it hashes
//! the source, the file's content and the row's number. All but the number are hashed once; what is left per row is one
//! SHA-256 block.
//!
//! For exports that grow or overlap, a row can instead be known by its own content, and which of its equals it is in its
//! file: the third of three equal rows is the same row in tomorrow's file, and a fourth is a new one.

use std::{
    cell::RefCell,
    collections::HashMap,
    io::{self, Read},
};

use sha2::{Digest as _, Sha256};

use crate::Row;

/// SHA-256 (FIPS 180-4) of a file's bytes as they are stored, compressed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Reads `file` to its end.
    pub fn of(file: &mut dyn Read) -> io::Result<Digest> {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(Digest(hash.finalize().into())),
                Ok(n) => hash.update(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl std::fmt::Display for Digest {
    /// Lower-case hexadecimal, as `sha256sum` prints it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Makes the message ids of one file's rows.
#[derive(Debug, Clone)]
pub struct RowIds {
    key: [u8; 32],
    /// Set where rows are known by their content.
    seen: Option<RefCell<Seen>>,
}

/// The rows of a file so far, by 128 bits of the SHA-256 of their content.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// How many there were of each.
    counts: HashMap<[u8; 16], u64>,
    /// The row at work: its number, content, and how many of its equals came before it.
    current: Option<(u64, [u8; 16], u64)>,
}

/// A message id: `row-` and 32 hexadecimal digits.
pub type MessageId = [u8; 36];

impl RowIds {
    /// For the rows of the file with `digest`, imported into `source` (its name).
    pub fn new(source: &str, digest: &Digest) -> RowIds {
        let mut hash = Sha256::new();
        hash.update(source.as_bytes());
        // No name holds it, so no name and digest read as another's.
        hash.update([0]);
        hash.update(digest.0);
        RowIds { key: hash.finalize().into(), seen: None }
    }

    /// For rows that are known by their content, imported into `source`. Takes some 40 bytes of memory a row.
    pub fn by_content(source: &str) -> RowIds {
        let mut hash = Sha256::new();
        hash.update(source.as_bytes());
        // One byte, where another file's key has its digest.
        hash.update([0, 1]);
        RowIds { key: hash.finalize().into(), seen: Some(RefCell::default()) }
    }

    /// The id of event `event_index` (from 0) of `row`. Rows are asked for in their order.
    pub fn of_row(&self, row: &Row<'_>, event_index: usize) -> MessageId {
        let Some(seen) = &self.seen else { return self.message_id(row.number, event_index) };
        let mut seen = seen.borrow_mut();
        let (content, equals) = match seen.current {
            Some((number, content, equals)) if number == row.number => (content, equals),
            _ => {
                let content = row.content();
                let count = seen.counts.entry(content).or_default();
                let equals = *count;
                *count += 1;
                seen.current = Some((row.number, content, equals));
                (content, equals)
            }
        };
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(content);
        hash.update(equals.to_be_bytes());
        hash.update(u32::try_from(event_index).unwrap_or(u32::MAX).to_be_bytes());
        id(&hash.finalize())
    }

    /// The id of event `event_index` (from 0) of row `row` ([`Row::number`](crate::Row::number)): the first 128 bits of
    /// SHA-256(SHA-256(source, 0, digest), row, event index), the numbers big-endian in 64 and 32 bits.
    pub fn message_id(&self, row: u64, event_index: usize) -> MessageId {
        let mut block = [0; 44];
        block[..32].copy_from_slice(&self.key);
        block[32..40].copy_from_slice(&row.to_be_bytes());
        block[40..].copy_from_slice(&u32::try_from(event_index).unwrap_or(u32::MAX).to_be_bytes());
        id(&Sha256::digest(block))
    }
}

fn id(hash: &[u8]) -> MessageId {
    let mut id = *b"row-00000000000000000000000000000000";
    for (pair, byte) in id[4..].chunks_exact_mut(2).zip(hash) {
        pair.copy_from_slice(&[hex(byte >> 4), hex(byte & 15)]);
    }
    id
}

fn hex(nibble: u8) -> u8 {
    b"0123456789abcdef"[usize::from(nibble)]
}

/// The id of one event of one row; for many rows of a file, keep a [`RowIds`].
pub fn row_message_id(source: &str, digest: &Digest, row: u64, event_index: usize) -> String {
    RowIds::new(source, digest).message_id(row, event_index).iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_what_sha256sum_prints() {
        let digest = Digest::of(&mut &b"abc"[..]).unwrap();
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    /// Promised: an import repeated by a later version finds the rows that an earlier one brought.
    #[test]
    fn ids_stay_as_they_are() {
        let digest = Digest::of(&mut &b"abc"[..]).unwrap();
        assert_eq!(row_message_id("shop", &digest, 1, 0), "row-6a716e1ec8feb1f7fe69334f48745d30");
    }

    #[test]
    fn a_row_known_by_its_content_is_the_same_in_another_file_and_its_equals_are_others() {
        let row = |number: u64, raw: &'static [u8]| Row {
            number,
            line: number,
            raw,
            data: crate::Data::Cells(crate::Cells::of_text("", &[])),
        };
        let ids = |rows: &[&'static [u8]]| -> Vec<MessageId> {
            let ids = RowIds::by_content("shop");
            (1..).zip(rows).flat_map(|(n, raw)| [0, 1].map(|event| ids.of_row(&row(n, raw), event))).collect()
        };
        let today = ids(&[b"a", b"b", b"a"]);
        let tomorrow = ids(&[b"b", b"a", b"a", b"a"]);
        assert_eq!((&today[..2], &today[4..]), (&tomorrow[2..4], &tomorrow[4..6]));
        assert_eq!(today[2..4], tomorrow[..2]);
        assert!(!today.contains(&tomorrow[6]) && !today.contains(&tomorrow[7]));
        assert_eq!(today.iter().collect::<std::collections::HashSet<_>>().len(), 6);
        assert_ne!(RowIds::by_content("crm").of_row(&row(1, b"a"), 0), today[0]);
    }

    #[test]
    fn source_file_row_and_event_each_make_another_id() {
        let (a, b) = (Digest([1; 32]), Digest([2; 32]));
        let ids = [
            row_message_id("s", &a, 1, 0),
            row_message_id("t", &a, 1, 0),
            row_message_id("s", &b, 1, 0),
            row_message_id("s", &a, 2, 0),
            row_message_id("s", &a, 1, 1),
        ];
        for (i, id) in ids.iter().enumerate() {
            assert!(!ids[..i].contains(id));
        }
        assert_eq!(ids[0], row_message_id("s", &a, 1, 0));
    }
}
