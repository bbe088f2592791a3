//! What must hold whatever is done, in whatever order: the log is as its model in memory, what was removed is in no
//! file, and damage never reads as data.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;
use crate::{MemoryLog, block};

const PARTITIONS: u32 = 2;

#[derive(Debug, Clone)]
enum Op {
    /// Payloads of these lengths.
    Append(Partition, Vec<usize>),
    Trim(Partition, Index),
    Erase(Partition, Vec<(Index, u64)>),
    Reopen,
}

fn arb_op() -> impl Strategy<Value = Op> {
    let partition = 0..PARTITIONS;
    let length = prop_oneof![4 => 0..200usize, 2 => 200..6000usize, 1 => 6000..40_000usize];
    let range = (any::<Index>(), 0..4u64);
    prop_oneof![
        8 => (partition.clone(), vec(length, 1..4)).prop_map(|(p, lengths)| Op::Append(p, lengths)),
        1 => (partition.clone(), any::<Index>()).prop_map(|(p, before)| Op::Trim(p, before)),
        2 => (partition, vec(range, 1..4)).prop_map(|(p, ranges)| Op::Erase(p, ranges)),
        1 => Just(Op::Reopen),
    ]
}

/// A payload that says which record it is all over, so that any piece of a page that keeps some of it shows.
fn payload(partition: Partition, offset: Offset, length: usize) -> String {
    needle(partition, offset).repeat(1 + length / 12)
}

fn needle(partition: Partition, offset: Offset) -> String {
    format!("<{partition}:{offset:08}>")
}

type Seen = Vec<(Offset, Kind, bool, Vec<u8>)>;

fn seen(log: &dyn EventLog, partition: Partition) -> Seen {
    let blocks = log.read(partition, log.start(partition).unwrap(), usize::MAX).unwrap();
    let records = blocks.iter().flat_map(Block::records);
    records.map(|record| (record.offset, record.kind, record.erased, record.payload.to_vec())).collect()
}

fn run(ops: &[Op], settings: &SqliteLogSettings) {
    let dir = Dir::new();
    let mut log = Some(dir.open(settings.clone()));
    let model = MemoryLog::new(PARTITIONS);
    let end = |partition| model.end(partition).unwrap();
    for op in ops {
        let both: [&dyn EventLog; 2] = [log.as_ref().unwrap(), &model];
        match op {
            Op::Append(partition, lengths) => {
                let texts =
                    (end(*partition)..).zip(lengths).map(|(offset, length)| payload(*partition, offset, *length));
                let texts: Vec<_> = texts.collect();
                let batch = batch(&texts.iter().map(String::as_str).collect::<Vec<_>>());
                let [a, b] = both.map(|log| block_on(log.append(*partition, batch.clone())).unwrap());
                assert_eq!(a, b);
            }
            Op::Trim(partition, before) => {
                let before = before.index(end(*partition) as usize + 1) as u64;
                both.into_iter().for_each(|log| log.trim(*partition, before).unwrap());
            }
            Op::Erase(partition, ranges) => {
                let at = |index: &Index| index.index(end(*partition) as usize + 1) as u64;
                let ranges: Vec<_> = ranges.iter().map(|(start, length)| at(start)..at(start) + length).collect();
                let [a, b] = both.map(|log| log.erase(*partition, &ranges).unwrap());
                assert_eq!(a, b);
            }
            Op::Reopen => {
                drop(log.take());
                log = Some(dir.open(settings.clone()));
            }
        }
        let log = log.as_ref().unwrap();
        for partition in 0..PARTITIONS {
            assert_eq!(log.start(partition).unwrap(), model.start(partition).unwrap());
            assert_eq!(log.end(partition).unwrap(), end(partition));
            assert_eq!(seen(log, partition), seen(&model, partition));
        }
        if settings.codec == Codec::Plain {
            nothing_removed_is_left(&dir, &model);
        }
    }
    let log = log.unwrap();
    for partition in 0..PARTITIONS {
        let verified = log.verify(partition, &mut |fault| panic!("{fault:?}")).unwrap();
        assert_eq!(verified.records, seen(&model, partition).len() as u64);
    }
}

/// Looks for `<partition:offset>` in every byte of every file.
fn nothing_removed_is_left(dir: &Dir, model: &MemoryLog) {
    let kept: BTreeSet<String> = (0..PARTITIONS)
        .flat_map(|partition| seen(model, partition).into_iter().map(move |record| (partition, record)))
        .filter(|(_, (_, _, erased, _))| !erased)
        .map(|(partition, (offset, ..))| needle(partition, offset))
        .collect();
    for file in fs::read_dir(dir.0.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let is_needle =
            |text: &&[u8]| matches!(text, [b'<', _, b':', digits @ .., b'>'] if digits.iter().all(u8::is_ascii_digit));
        for found in bytes.windows(12).filter(is_needle) {
            let found = String::from_utf8_lossy(found).into_owned();
            assert!(kept.contains(&found), "{found} was removed and is in {}", path.display());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_log_is_as_its_model_and_what_was_removed_is_in_no_file(ops in vec(arb_op(), 1..60), segment_bytes in 1u64..100_000) {
        run(&ops, &SqliteLogSettings { partitions: PARTITIONS, segment_bytes, ..plain() });
    }

    #[test]
    fn the_log_is_as_its_model_when_compressed(ops in vec(arb_op(), 1..60), segment_bytes in 1u64..20_000) {
        for codec in [Codec::Lz4, Codec::Zstd] {
            run(&ops, &SqliteLogSettings { partitions: PARTITIONS, segment_bytes, codec, ..plain() });
        }
    }

    #[test]
    fn a_changed_byte_never_reads_as_data(lengths in vec(0usize..3000, 1..30), at: Index, flip in 1u8..) {
        let dir = Dir::new();
        {
            let log = dir.open(SqliteLogSettings { segment_bytes: 20_000, ..plain() });
            for (offset, length) in (0..).zip(&lengths) {
                append(&log, &[&payload(0, offset, *length)]);
            }
        }
        let mut bytes = fs::read(dir.path()).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        fs::write(dir.path(), bytes).unwrap();
        let Ok(log) = SqliteLog::open(&dir.path(), plain()) else { return Ok(()) };
        for from in 0..lengths.len() as u64 {
            for block in log.read(0, from, 0).unwrap_or_default() {
                for record in block.records() {
                    let appended = payload(0, record.offset, lengths[record.offset as usize]);
                    prop_assert_eq!(record.payload, appended.as_bytes());
                }
            }
        }
        let _ = log.verify(0, &mut |_| ());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// A row that grows moves its neighbours about, which must not leave copies of them for later.
    #[test]
    fn a_rewrite_that_does_not_fit_leaves_nothing_either(
        lengths in vec(0usize..3000, 20..40),
        longer in vec((any::<Index>(), 1usize..6000), 1..8),
    ) {
        let dir = Dir::new();
        let log = dir.open(plain());
        for (offset, length) in (0..).zip(&lengths) {
            append(&log, &[&payload(0, offset, *length)]);
        }
        let mut left: BTreeSet<_> = (0..lengths.len() as u64).collect();
        let writing = log.writing.as_ref().unwrap();
        let gone = |offset, log: &SqliteLog| {
            assert!(!dir.holds(&needle(0, offset)), "{offset} was removed");
            assert_eq!(faults(log).1, []);
        };
        for (at, more) in longer {
            let offset = at.index(lengths.len()) as u64;
            let text = "+".repeat(payload(0, offset, lengths[offset as usize]).len() + more);
            let body = block::encode(offset, &[batch(&[&text])], Codec::Plain, 1);
            writing.rewrite(0, vec![Rewrite { segment: 0, first: offset, body }]).unwrap();
            writing.checkpoint("test").unwrap();
            left.remove(&offset);
            gone(offset, &log);
        }
        for offset in left {
            prop_assert!(dir.holds(&needle(0, offset)));
            prop_assert_eq!(log.erase(0, &[offset..offset + 1]).unwrap(), 1);
            gone(offset, &log);
        }
        prop_assert_eq!(append(&log, &["next"]).start, lengths.len() as u64);
    }
}

#[test]
fn an_erased_payload_is_in_no_file_whatever_the_codec() {
    for codec in [Codec::Plain, Codec::Lz4, Codec::Zstd] {
        let dir = Dir::new();
        let log = dir.open(SqliteLogSettings { codec, ..plain() });
        append(&log, &["unrelated one", "ada@example.com is Ada Lovelace", "unrelated two"]);
        append(&log, &["ada@example.com once more"]);
        assert!(dir.holds("Ada Lovelace"), "a literal of either codec, so looking for it means something");
        assert_eq!(log.erase(0, &[1..2, 3..4]).unwrap(), 2);
        assert!(!dir.holds("Ada Lovelace") && !dir.holds("ada@example"), "{codec:?}");
        assert_eq!(texts(&log), ["unrelated one", "", "unrelated two", ""]);
        assert_eq!(fs::metadata(dir.path().with_extension("db-wal")).unwrap().len(), 0);
    }
}
