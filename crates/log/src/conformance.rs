//! The contract of [`EventLog`] as one suite, which every implementation passes.
//!
//! It is part of the library, so that an implementation elsewhere can be held to it. It panics where the contract is
//! broken. What needs a process to die or a file to be damaged is tested beside the implementation that has one.

#![expect(clippy::single_range_in_vec_init, reason = "erase takes ranges, often one")]

use std::{ops::Range, thread};

use pollster::block_on;

use crate::{AppendError, Batch, Block, EventLog, Kind, Offset, Partition, ReadError, Verified};

/// How many partitions the logs under test have.
pub const PARTITIONS: u32 = 4;

/// Runs the whole suite; `make` gives a new, empty log of [`PARTITIONS`] partitions each time.
///
/// # Panics
///
/// When the contract is broken.
pub fn check(make: impl Fn() -> Box<dyn EventLog>) {
    let cases: &[fn(&dyn EventLog)] = &[
        a_new_log_is_empty,
        what_was_appended_is_read,
        partitions_are_independent,
        an_empty_batch_appends_nothing,
        a_missing_partition_is_an_error,
        reading_is_by_whole_blocks_and_bounded,
        the_watch_holds_the_end,
        an_append_is_not_called_back,
        trimming_drops_whole_blocks,
        erasing_empties_payloads,
        a_flood_is_taken_or_refused,
        many_threads_append,
    ];
    for case in cases {
        case(&*make());
    }
}

fn batch(payloads: &[&str]) -> Batch {
    let mut batch = Batch::new();
    for payload in payloads {
        batch.push(Kind::Event, payload.as_bytes()).expect("test payloads are short");
    }
    batch
}

fn append(log: &dyn EventLog, partition: Partition, payloads: &[&str]) -> Range<Offset> {
    block_on(log.append(partition, batch(payloads))).expect("append")
}

fn blocks(log: &dyn EventLog, partition: Partition, from: Offset) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    loop {
        let from = blocks.last().map_or(from, Block::end);
        let more = log.read(partition, from, 1000).expect("read");
        if more.is_empty() {
            return blocks;
        }
        blocks.extend(more);
    }
}

/// All that is in a partition, as `offset:payload`, with `-` for what was erased.
fn contents(log: &dyn EventLog, partition: Partition) -> Vec<String> {
    let start = log.start(partition).expect("start");
    let blocks = blocks(log, partition, start);
    let records = blocks.iter().flat_map(Block::records).map(|record| {
        let payload = if record.erased { "-".into() } else { String::from_utf8_lossy(record.payload) };
        format!("{}:{payload}", record.offset)
    });
    records.collect()
}

fn whole(log: &dyn EventLog, partition: Partition) -> Verified {
    log.verify(partition, &mut |fault| panic!("{fault:?}")).expect("verify")
}

fn a_new_log_is_empty(log: &dyn EventLog) {
    assert_eq!(log.partitions(), PARTITIONS);
    for partition in 0..PARTITIONS {
        assert_eq!((log.start(partition).expect("start"), log.end(partition).expect("end")), (0, 0));
        assert_eq!(*log.watch(partition).borrow(), 0);
        assert_eq!(log.read(partition, 0, 1000).expect("read"), []);
        assert_eq!(log.read(partition, 5, 1000).expect("read"), []);
        assert_eq!(whole(log, partition), Verified::default());
        assert_eq!(log.erase(partition, &[0..u64::MAX]).expect("erase"), 0);
        log.trim(partition, u64::MAX).expect("trim");
        assert_eq!(log.start(partition).expect("start"), 0);
    }
}

fn what_was_appended_is_read(log: &dyn EventLog) {
    let mut first = Batch::new();
    first.push(Kind::Event, b"signed up").expect("push");
    first.push(Kind::Command, b"").expect("push");
    first.push(Kind::Tick, &[0, 255, 10]).expect("push");
    let mut second = Batch::new();
    second.push_with(Kind::Event, |buffer| buffer.extend_from_slice(&[b'x'; 5000])).expect("push");
    assert_eq!(block_on(log.append(1, first.clone())).expect("append"), 0..3);
    assert_eq!(block_on(log.append(1, second.clone())).expect("append"), 3..4);
    assert_eq!((log.start(1).expect("start"), log.end(1).expect("end")), (0, 4));

    let appended = first.records().chain(second.records());
    let blocks = blocks(log, 1, 0);
    let read = blocks.iter().flat_map(Block::records);
    for ((offset, (kind, payload)), record) in (0..).zip(appended).zip(read) {
        assert_eq!((offset, kind, false, payload), (record.offset, record.kind, record.erased, record.payload));
    }
    assert_eq!(blocks.iter().map(Block::len).sum::<usize>(), 4);
    let verified = whole(log, 1);
    assert_eq!((verified.records, verified.blocks), (4, blocks.len() as u64));
    assert!(verified.bytes > 0);
}

fn partitions_are_independent(log: &dyn EventLog) {
    for partition in 0..PARTITIONS {
        for round in 0..=u64::from(partition) {
            let name = format!("p{partition}");
            assert_eq!(append(log, partition, &[&name, &name]), round * 2..round * 2 + 2);
        }
    }
    log.trim(0, 2).expect("trim");
    log.erase(1, &[0..9]).expect("erase");
    assert_eq!(contents(log, 0), [""; 0]);
    assert_eq!(contents(log, 1), ["0:-", "1:-", "2:-", "3:-"]);
    assert_eq!(contents(log, 2), ["0:p2", "1:p2", "2:p2", "3:p2", "4:p2", "5:p2"]);
    assert_eq!(log.end(3).expect("end"), 8);
}

fn an_empty_batch_appends_nothing(log: &dyn EventLog) {
    assert_eq!(append(log, 0, &[]), 0..0);
    append(log, 0, &["a", "b"]);
    assert_eq!(append(log, 0, &[]), 2..2);
    assert_eq!(contents(log, 0), ["0:a", "1:b"]);
}

fn a_missing_partition_is_an_error(log: &dyn EventLog) {
    let missing = PARTITIONS;
    let append = block_on(log.append(missing, batch(&["a"])));
    assert!(matches!(append, Err(AppendError::NoPartition(partition)) if partition == missing), "{append:?}");
    let errors = [
        log.read(missing, 0, 1).expect_err("read"),
        log.start(missing).expect_err("start"),
        log.end(missing).expect_err("end"),
        log.trim(missing, 0).expect_err("trim"),
        log.erase(missing, &[]).expect_err("erase"),
        log.verify(missing, &mut |_| ()).expect_err("verify"),
    ];
    for error in errors {
        assert!(matches!(error, ReadError::NoPartition(partition) if partition == missing), "{error}");
    }
    assert!(log.watch(missing).has_changed().is_err(), "the watch of a missing partition is closed");
}

fn reading_is_by_whole_blocks_and_bounded(log: &dyn EventLog) {
    let long = "y".repeat(300);
    for _ in 0..5 {
        append(log, 0, &[&long, &long]);
    }
    let read = |from, bytes_max| log.read(0, from, bytes_max).expect("read");
    for from in 0..10 {
        let least = read(from, 0);
        let [block] = &least[..] else { panic!("at least one block, and no more than asked: {}", least.len()) };
        assert!((block.first..block.end()).contains(&from));
        let some = read(from, 1400);
        assert!(some.iter().map(Block::body_bytes).sum::<usize>() <= 1400);
        assert!(some.len() > 1 || some[0].end() == 10, "what fits is given");
        assert_eq!(read(from, 1 << 20).last().map(Block::end), Some(10));
    }
    assert_eq!(read(10, 1 << 20), []);
    assert_eq!(read(u64::MAX, 1 << 20), []);
}

fn the_watch_holds_the_end(log: &dyn EventLog) {
    let mut watch = log.watch(2);
    let mut other = log.watch(1);
    append(log, 2, &["a", "b", "c"]);
    block_on(watch.changed()).expect("changed");
    assert_eq!(*watch.borrow_and_update(), 3);
    append(log, 2, &["d"]);
    block_on(watch.changed()).expect("changed");
    assert_eq!(*watch.borrow_and_update(), 4);
    assert!(!other.has_changed().expect("open"));
    assert_eq!(*other.borrow_and_update(), 0);
    assert_eq!(*log.watch(2).borrow(), 4);
}

fn an_append_is_not_called_back(log: &dyn EventLog) {
    let mut watch = log.watch(0);
    drop(log.append(0, batch(&["a"])));
    block_on(watch.wait_for(|end| *end == 1)).expect("open");
    assert_eq!(append(log, 0, &["b"]), 1..2);
    assert_eq!(contents(log, 0), ["0:a", "1:b"]);
}

fn trimming_drops_whole_blocks(log: &dyn EventLog) {
    for pair in [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]] {
        append(log, 0, &pair);
    }
    let start = |before| {
        log.trim(0, before).expect("trim");
        log.start(0).expect("start")
    };
    assert_eq!([start(0), start(1), start(2), start(1), start(5)], [0, 0, 2, 2, 4]);
    assert_eq!(contents(log, 0), ["4:e", "5:f", "6:g", "7:h"]);
    let error = log.read(0, 3, 1000).expect_err("read");
    assert!(matches!(error, ReadError::Trimmed { offset: 3, start: 4 }), "{error}");
    assert_eq!(log.read(0, 5, 0).expect("read")[0].first, 4);
    assert_eq!(whole(log, 0).records, 4);

    assert_eq!(log.erase(0, &[0..5]).expect("erase"), 1, "what was trimmed is no error and does not count");
    assert_eq!(start(u64::MAX), 8);
    assert_eq!((log.end(0).expect("end"), contents(log, 0)), (8, vec![]));
    assert_eq!(log.read(0, 8, 1000).expect("read"), []);
    assert_eq!(append(log, 0, &["i"]), 8..9);
    assert_eq!(contents(log, 0), ["8:i"]);
    assert_eq!(whole(log, 0).records, 1);
}

fn erasing_empties_payloads(log: &dyn EventLog) {
    append(log, 0, &["a", "b", "c"]);
    append(log, 0, &["d", "e"]);
    append(log, 0, &["f"]);
    let erase = |ranges: &[Range<Offset>]| log.erase(0, ranges).expect("erase");

    assert_eq!(erase(&[]), 0);
    #[expect(clippy::reversed_empty_ranges, reason = "nothing is in it, so nothing is erased")]
    let nothing = [2..2, 4..1, 6..99];
    assert_eq!(erase(&nothing), 0);
    assert_eq!(contents(log, 0), ["0:a", "1:b", "2:c", "3:d", "4:e", "5:f"]);
    assert_eq!(erase(&[4..5, 1..2, 1..2]), 2);
    assert_eq!(contents(log, 0), ["0:a", "1:-", "2:c", "3:d", "4:-", "5:f"]);
    assert_eq!(erase(&[0..4, 1..3]), 3);
    assert_eq!(erase(&[0..5]), 0, "erasing twice is no error");
    assert_eq!(contents(log, 0), ["0:-", "1:-", "2:-", "3:-", "4:-", "5:f"]);
    assert!(blocks(log, 0, 0).iter().flat_map(Block::records).all(|record| record.kind == Kind::Event));
    assert_eq!(whole(log, 0).records, 6);
    assert_eq!(append(log, 0, &["g"]), 6..7);
    assert_eq!(erase(&[0..u64::MAX]), 2);
}

fn a_flood_is_taken_or_refused(log: &dyn EventLog) {
    let batches: Vec<Batch> = (0..2000).map(|i| batch(&[&format!("flood {i}"), &"z".repeat(500)])).collect();
    let answers: Vec<_> = batches.iter().map(|batch| log.append(0, batch.clone())).collect();
    let mut taken = Vec::new();
    for (batch, answer) in batches.iter().zip(answers) {
        match block_on(answer) {
            Ok(offsets) => {
                assert_eq!(offsets, taken.len() as u64..taken.len() as u64 + 2, "in the order of the calls");
                taken.extend(batch.records().map(|(_, payload)| payload.to_vec()));
            }
            Err(AppendError::Busy { batch: back, .. }) => assert_eq!(back, *batch),
            Err(error) => panic!("{error}"),
        }
    }
    let blocks = blocks(log, 0, 0);
    let read: Vec<_> = blocks.iter().flat_map(Block::records).map(|record| record.payload.to_vec()).collect();
    assert_eq!(read, taken);
}

/// Many append while one follows: each sees its own in order, and the follower sees everything once, in order.
fn many_threads_append(log: &dyn EventLog) {
    const THREADS: usize = 16;
    const ROUNDS: usize = 40;
    let name = |thread: usize, round: usize, record: usize| format!("{thread} {round} {record}");
    let records = |round: usize| 1 + round % 3;
    let total: usize = THREADS * (0..ROUNDS).map(records).sum::<usize>();

    let (followed, mut ranges) = thread::scope(|scope| {
        let follower = scope.spawn(move || {
            let (mut watch, mut seen) = (log.watch(3), Vec::new());
            while seen.len() < total {
                let next = seen.len() as u64;
                let end = *block_on(watch.wait_for(|end| *end > next)).expect("open");
                let blocks = log.read(3, next, 4000).expect("read");
                assert!(!blocks.is_empty(), "the watch says {end} and nothing is there at {next}");
                for record in blocks.iter().flat_map(Block::records).filter(|record| record.offset >= next) {
                    assert_eq!(record.offset, seen.len() as u64);
                    seen.push(String::from_utf8(record.payload.to_vec()).expect("names are text"));
                }
            }
            seen
        });
        let appenders: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let rounds = (0..ROUNDS).map(|round| {
                        let names: Vec<_> = (0..records(round)).map(|record| name(thread, round, record)).collect();
                        let names: Vec<_> = names.iter().map(String::as_str).collect();
                        (append(log, 3, &names), thread, round)
                    });
                    rounds.collect::<Vec<_>>()
                })
            })
            .collect();
        let ranges: Vec<_> = appenders.into_iter().flat_map(|t| t.join().expect("an appender panicked")).collect();
        (follower.join().expect("the follower panicked"), ranges)
    });

    assert!(ranges.chunks(ROUNDS).all(|own| own.is_sorted_by_key(|(range, ..)| range.start)), "each caller's in order");
    ranges.sort_by_key(|(range, ..)| range.start);
    let mut end = 0;
    for (range, thread, round) in ranges {
        assert_eq!(range, end..end + records(round) as u64, "offsets have no gap");
        for (record, offset) in range.clone().enumerate() {
            assert_eq!(followed[offset as usize], name(thread, round, record));
        }
        end = range.end;
    }
    assert_eq!((end, log.end(3).expect("end")), (total as u64, total as u64));
    assert_eq!(whole(log, 3).records, total as u64);
}
