//! The block decoder: any bytes are decoded or refused, and what is decoded can be written again.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use onefold_log::{
    Batch, Codec, Kind,
    block::{self, HEADER_BYTES},
};

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    /// Bytes as they are, and again with the checksum that lets them through to what is behind it.
    Bytes(&'a [u8]),
    /// Records that are written, erased in part and read.
    Records { first: u32, codec: u8, erase: (u32, u8), records: Vec<(u8, &'a [u8])> },
}

fuzz_target!(|input: Input<'_>| match input {
    Input::Bytes(bytes) => {
        decode(bytes);
        decode(&sealed(bytes.to_vec()));
    }
    Input::Records { first, codec, erase, records } => {
        let first = u64::from(first);
        let mut batch = Batch::new();
        for (kind, payload) in &records {
            let kind = [Kind::Event, Kind::Command, Kind::Tick][usize::from(kind % 3)];
            batch.push(kind, payload).expect("inputs are short");
        }
        let codec = codecs()[usize::from(codec % 3)];
        let block = block::decode(&block::encode(first, &[&batch], codec, 1)).expect("what was encoded decodes");
        assert_eq!((block.first, block.len()), (first, batch.len()));
        assert!(block.records().map(|record| (record.kind, record.payload)).eq(batch.records()));

        let start = u64::from(erase.0);
        let range = start..start + u64::from(erase.1);
        if let Some((erased, count)) = block.erase(&[range.clone()]) {
            assert!(count <= u64::from(erase.1));
            let erased = block::decode(&erased.encode(codec, 1)).expect("what was encoded decodes");
            for (old, new) in block.records().zip(erased.records()) {
                let hit = range.contains(&old.offset);
                assert_eq!((new.offset, new.kind, new.erased), (old.offset, old.kind, hit));
                assert_eq!(new.payload, if hit { &[][..] } else { old.payload });
            }
        }
    }
});

fn codecs() -> [Codec; 3] {
    [Codec::Plain, Codec::Lz4, Codec::Zstd]
}

fn decode(bytes: &[u8]) {
    let Ok(block) = block::decode(bytes) else { return };
    assert_eq!(block.records().count(), block.len());
    for codec in codecs() {
        assert_eq!(block::decode(&block.encode(codec, 1)).as_ref(), Ok(&block));
    }
}

/// With the magic, the version, the length and the checksum that the format asks for (`crates/log/src/block.rs`).
fn sealed(mut block: Vec<u8>) -> Vec<u8> {
    if block.len() < HEADER_BYTES {
        return block;
    }
    block[0..5].copy_from_slice(b"OFLB\x01");
    let stored = (block.len() - HEADER_BYTES) as u32;
    block[26..30].copy_from_slice(&stored.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block[..30]);
    hasher.update(&block[HEADER_BYTES..]);
    block[30..34].copy_from_slice(&hasher.finalize().to_le_bytes());
    block
}
