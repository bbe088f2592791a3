//! The writer: groups, bounds, a full disk, and the end.

use super::*;

/// Keeps the writer from writing until it is dropped.
struct Held(Option<mpsc::Sender<()>>);

fn hold(log: &SqliteLog) -> Held {
    let (release, released) = mpsc::channel();
    let (holding, held) = mpsc::channel();
    log.writing.as_ref().unwrap().queue.task(Box::new(move |_| {
        holding.send(()).unwrap();
        let _ = released.recv();
    }));
    held.recv().unwrap();
    Held(Some(release))
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.take();
    }
}

fn sizes(log: &SqliteLog, partition: Partition) -> Vec<usize> {
    log.read(partition, 0, usize::MAX).unwrap().iter().map(Block::len).collect()
}

#[test]
fn what_waits_becomes_one_block_a_partition() {
    let dir = Dir::new();
    let log = dir.open(SqliteLogSettings { partitions: 2, ..plain() });
    let held = hold(&log);
    let answers: Vec<_> = (0..30).map(|i| log.append(i % 2, batch(&["a", "b"]))).collect();
    drop(held);
    for (i, answer) in (0..).zip(answers) {
        assert_eq!(block_on(answer).unwrap(), i / 2 * 2..i / 2 * 2 + 2);
    }
    assert_eq!((sizes(&log, 0), sizes(&log, 1)), (vec![30], vec![30]));
}

#[test]
fn a_group_is_bounded_and_a_batch_is_never_split() {
    let dir = Dir::new();
    let log = dir.open(SqliteLogSettings { group_bytes_max: 100, ..plain() });
    let long = "x".repeat(300);
    let held = hold(&log);
    let batches = [batch(&["a"; 10]), batch(&["b"; 6]), batch(&["c"; 6]), batch(&[long.as_str(); 7]), batch(&["d"])];
    let answers = batches.map(|batch| log.append(0, batch));
    drop(held);
    let ends = answers.map(|answer| block_on(answer).unwrap().end);
    assert_eq!((ends, sizes(&log, 0)), ([10, 16, 22, 29, 30], vec![16, 6, 7, 1]));
}

#[test]
fn more_than_may_wait_is_refused_and_handed_back() {
    let dir = Dir::new();
    let log = dir.open(SqliteLogSettings { waiting_bytes_max: 1000, ..plain() });
    let held = hold(&log);
    let long = batch(&[&"x".repeat(395)]);
    let mut taken: Vec<_> = (0..2).map(|_| log.append(0, long.clone())).collect();
    match block_on(log.append(0, long.clone())) {
        Err(AppendError::Busy { batch, waiting_bytes: 800 }) => assert_eq!(batch, long),
        other => panic!("{other:?}"),
    }
    taken.push(log.append(0, batch(&[&"y".repeat(195)])));
    drop(held);
    let ends: Vec<_> = taken.into_iter().map(|answer| block_on(answer).unwrap().end).collect();
    assert_eq!(ends, [1, 2, 3]);
    // What is above the bound alone goes when nothing else waits.
    let huge = batch(&[&"z".repeat(2000)]);
    assert_eq!(block_on(log.append(0, huge)).unwrap(), 3..4);
}

#[test]
fn a_full_disk_refuses_the_whole_group_and_passes() {
    let dir = Dir::new();
    let log = dir.open(SqliteLogSettings { partitions: 2, ..plain() });
    append(&log, &["before"]);
    let pages = |sql: &'static str| log.writing.as_ref().unwrap().run("test", move |c| c.execute_batch(sql)).unwrap();

    pages("PRAGMA max_page_count = 12");
    let held = hold(&log);
    let batches = [(0, batch(&["small"])), (1, batch(&[&"x".repeat(500_000)])), (0, batch(&["after"]))];
    let answers: Vec<_> = batches.iter().map(|(partition, batch)| log.append(*partition, batch.clone())).collect();
    drop(held);
    for ((_, given), answer) in batches.iter().zip(answers) {
        match block_on(answer) {
            Err(AppendError::Unavailable { batch, cause }) => {
                assert_eq!(batch, *given);
                assert!(cause.contains("full"), "{cause}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((log.end(0).unwrap(), log.end(1).unwrap(), texts(&log)), (1, 0, vec!["before".to_owned()]));
    assert_eq!(append(&log, &["small"]), 1..2, "what fits is still taken");

    pages("PRAGMA max_page_count = 4294967294");
    for (partition, batch) in batches {
        block_on(log.append(partition, batch)).unwrap();
    }
    assert_eq!((log.end(0).unwrap(), log.end(1).unwrap()), (4, 1));
    assert_eq!(faults(&log).1, []);
}

#[test]
fn dropping_the_log_writes_what_waits() {
    let dir = Dir::new();
    let log = dir.open(plain());
    let held = hold(&log);
    for i in 0..10 {
        drop(log.append(0, batch(&[&format!("late {i}")])));
    }
    let closing = std::thread::spawn(move || drop(log));
    drop(held);
    closing.join().unwrap();
    let log = dir.open(plain());
    assert_eq!(texts(&log), (0..10).map(|i| format!("late {i}")).collect::<Vec<_>>());
}

#[test]
fn a_writer_that_died_hands_everything_back() {
    let dir = Dir::new();
    let log = dir.open(plain());
    append(&log, &["kept"]);
    let held = hold(&log);
    log.writing.as_ref().unwrap().queue.task(Box::new(|_| panic!("the writer dies, as this test wants it to")));
    let waiting = log.append(0, batch(&["waiting"]));
    drop(held);
    let handed_back = |answer, text: &str| match answer {
        Err(AppendError::Unavailable { batch: back, .. }) => assert_eq!(back, batch(&[text])),
        other => panic!("{other:?}"),
    };
    handed_back(block_on(waiting), "waiting");
    handed_back(block_on(log.append(0, batch(&["later"]))), "later");
    assert!(log.trim(0, 1).is_err());
    assert_eq!(texts(&log), ["kept"]);
}
