use expect_test::expect;
use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;

const CODECS: [Codec; 3] = [Codec::Plain, Codec::Lz4, Codec::Zstd];

fn batch(records: &[(Kind, &[u8])]) -> Batch {
    let mut batch = Batch::new();
    for (kind, payload) in records {
        batch.push(*kind, payload).unwrap();
    }
    batch
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// Sets the checksum to what the other bytes ask for.
fn resealed(mut block: Vec<u8>) -> Vec<u8> {
    let stored = word(&block, 26) as usize;
    let sum = checksum(&block, stored);
    block[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
    block
}

fn arb_batch() -> impl Strategy<Value = Batch> {
    let kind = prop_oneof![Just(Kind::Event), Just(Kind::Command), Just(Kind::Tick)];
    let payload = prop_oneof![vec(any::<u8>(), 0..40), vec(Just(b'a'), 0..400)];
    vec((kind, payload), 1..8).prop_map(|records| {
        let records: Vec<_> = records.iter().map(|(kind, payload)| (*kind, payload.as_slice())).collect();
        batch(&records)
    })
}

fn arb_codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(&CODECS)
}

#[test]
fn the_format_is_promised() {
    let records = batch(&[(Kind::Event, b"ab"), (Kind::Tick, b"")]);
    let block = encode(7, &[records], Codec::Plain, 1);
    expect!["4f464c420100000000000700000000000000020000000c0000000c000000ad65d635010200000061620300000000"]
        .assert_eq(&hex(&block));
}

/// Blocks that version 1 wrote: every later version reads them.
#[test]
fn old_blocks_are_read() {
    let records = batch(&[(Kind::Command, &[b'x'; 100]), (Kind::Event, b"end")]);
    let old = OLD.map(unhex);
    for (codec, old) in CODECS.into_iter().zip(old) {
        assert_eq!(old[5], codec as u8);
        assert_eq!(decode(&old).unwrap(), Block::from_batch(300, records.clone()), "{codec:?}");
    }
}

#[test]
fn a_body_that_does_not_shrink_is_stored_plain() {
    for codec in CODECS {
        let block = encode(0, &[batch(&[(Kind::Event, b"short")])], codec, 1);
        assert_eq!(block[5], Codec::Plain as u8, "{codec:?}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let good = encode(5, &[batch(&[(Kind::Event, b"payload")])], Codec::Plain, 1);
    let with = |at: usize, bytes: &[u8]| {
        let mut block = good.clone();
        block[at..at + bytes.len()].copy_from_slice(bytes);
        resealed(block)
    };
    let mut padded = good.clone();
    padded.extend_from_slice(&[0, 0, 1]);
    let mut flipped = good.clone();
    flipped[HEADER_BYTES + 6] ^= 1;

    let check = |block: &[u8], expect: expect_test::Expect| expect.assert_eq(&decode(block).unwrap_err().to_string());
    check(b"", expect!["the block has 0 bytes, fewer than it needs"]);
    check(&good[..good.len() - 1], expect!["the block has 45 bytes, fewer than it needs"]);
    check(&with(0, b"OFLC"), expect!["the block does not begin with OFLB"]);
    check(&with(4, &[2]), expect!["the block is of format version 2, which this version does not know"]);
    check(&with(5, &[3]), expect!["the block has the unknown codec 3"]);
    check(&with(6, &[9]), expect!["the block is sealed with key 9, which is not configured"]);
    check(&with(10, &[0xff; 8]), expect!["the block says that it ends beyond the last offset"]);
    check(&with(18, &[2]), expect!["the body has 1 records and the header says 2"]);
    check(&with(22, &[13]), expect!["the body cannot be decompressed: it has 12 bytes and the header says 13"]);
    check(
        &with(22, &[0xff; 4]),
        expect!["the body says it has 4294967295 bytes, more than the 67108864 that a block may have"],
    );
    check(&with(34, &[4]), expect!["a record has the unknown kind byte 0x04"]);
    check(&with(34, &[0x81]), expect!["an erased record has a payload of 7 bytes"]);
    check(&with(35, &[8]), expect!["a record ends after the body does"]);
    check(&padded, expect!["there are bytes after the body"]);
    check(&flipped, expect!["the checksum is 1f1b98cc and was d4474b69 when written"]);
}

#[test]
fn ranges_are_joined() {
    #[expect(clippy::reversed_empty_ranges, reason = "callers may hand in anything")]
    let ranges = [7..9, 2..4, 5..3, 3..3, 4..5, 8..8, 1..3, 8..12];
    assert_eq!(normalized(&ranges), [1..5, 7..12]);
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(first in 0..1u64 << 40, batches in vec(arb_batch(), 1..4), codec in arb_codec()) {
        let block = decode(&encode(first, &batches, codec, 1)).unwrap();
        prop_assert_eq!(block.first, first);
        let read: Vec<_> = block.records().map(|r| (r.offset, r.kind, r.erased, r.payload)).collect();
        let appended = batches.iter().flat_map(Batch::records);
        let appended: Vec<_> = (first..).zip(appended).map(|(offset, (kind, payload))| (offset, kind, false, payload)).collect();
        prop_assert_eq!(block.end(), first + appended.len() as u64);
        prop_assert_eq!(read, appended);
        prop_assert_eq!(decode(&block.encode(codec, 1)).unwrap(), block);
    }

    #[test]
    fn any_changed_byte_is_an_error(batch in arb_batch(), codec in arb_codec(), padding in 0usize..9, at: Index, flip in 1u8..) {
        let mut block = encode(3, &[batch], codec, 1);
        block.resize(block.len() + padding, 0);
        prop_assert!(decode(&block).is_ok());
        let at = at.index(block.len());
        block[at] ^= flip;
        prop_assert!(decode(&block).is_err());
    }

    #[test]
    fn any_cut_is_an_error(batch in arb_batch(), codec in arb_codec(), at: Index) {
        let block = encode(3, &[batch], codec, 1);
        prop_assert!(decode(&block[..at.index(block.len())]).is_err());
    }

    /// What a checksum cannot catch, because whoever wrote the bytes computed it: no panic, no large allocation.
    #[test]
    fn hostile_blocks_do_no_harm(mut block in vec(any::<u8>(), 34..200), version in 0u8..2, codec in 0u8..4, size in 0u32..300) {
        block[0..4].copy_from_slice(&MAGIC);
        block[4..10].copy_from_slice(&[version, codec, 0, 0, 0, 0]);
        block[22..26].copy_from_slice(&size.to_le_bytes());
        let stored = (block.len() - HEADER_BYTES) as u32;
        block[26..30].copy_from_slice(&stored.to_le_bytes());
        if let Ok(block) = decode(&resealed(block)) {
            prop_assert_eq!(block.records().count(), block.len());
        }
    }

    #[test]
    fn erasing_empties_what_was_asked_and_nothing_else(batch in arb_batch(), range in (8u64..20, 0u64..10), codec in arb_codec()) {
        let (start, length) = range;
        let ranges = normalized(&[start..start + length, start..start]);
        let block = Block::from_batch(10, batch);
        let hits = block.records().filter(|record| (start..start + length).contains(&record.offset)).count() as u64;
        let Some((erased, count)) = block.erase(&ranges) else {
            prop_assert_eq!(hits, 0);
            return Ok(());
        };
        prop_assert_eq!(count, hits);
        prop_assert!(erased.erase(&ranges).is_none());
        let erased = decode(&erased.encode(codec, 1)).unwrap();
        prop_assert_eq!(erased.len(), block.len());
        for (old, new) in block.records().zip(erased.records()) {
            let hit = (start..start + length).contains(&old.offset);
            let expected = Record { erased: hit, payload: if hit { &[] } else { old.payload }, ..old };
            prop_assert_eq!(new, expected);
        }
    }
}

/// Plain, LZ4, zstd.
const OLD: [&str; 3] = [
    concat!(
        "4f464c420100000000002c010000000000000200000071000000710000008d16ae270264000000",
        "78787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878",
        "78787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878",
        "7878",
        "0103000000656e64"
    ),
    "4f464c420101000000002c01000000000000020000007100000013000000dfb6f4836f026400000078010050800103000000656e64",
    concat!(
        "4f464c420102000000002c0100000000000002000000710000001d0000003545d5bd",
        "28b52ffd2071a50000700264000000780103000000656e640100200545"
    ),
];
