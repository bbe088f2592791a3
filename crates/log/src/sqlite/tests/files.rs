//! The file: opening it, opening it again, what is no log, and damage.

use expect_test::expect;

use super::*;

#[test]
fn what_was_appended_is_there_when_the_log_is_opened_again() {
    let dir = Dir::new();
    let settings = SqliteLogSettings { segment_bytes: 60, ..plain() };
    for round in 0..6 {
        let log = dir.open(settings.clone());
        assert_eq!(log.end(0).unwrap(), round * 2);
        assert_eq!(append(&log, &[&format!("a{round}")]).start, round * 2);
        assert_eq!(append(&log, &[&format!("b{round}")]).start, round * 2 + 1);
    }
    let log = dir.open(settings.clone());
    log.trim(0, 7).unwrap();
    log.erase(0, &[8..9]).unwrap();
    drop(log);
    let log = dir.open(settings.clone());
    assert_eq!((log.start(0).unwrap(), texts(&log)), (7, ["b3", "", "b4", "a5", "b5"].map(String::from).to_vec()));
    log.trim(0, 12).unwrap();
    drop(log);
    let log = dir.open(settings);
    assert_eq!((log.start(0).unwrap(), log.end(0).unwrap(), *log.watch(0).borrow()), (12, 12, 12));
    assert_eq!(append(&log, &["next"]), 12..13);
    assert_eq!(texts(&log), ["next"]);
}

#[test]
fn a_second_writer_is_refused_until_the_first_is_gone() {
    let dir = Dir::new();
    let log = dir.open(plain());
    let refused = dir.refused(plain());
    assert!(refused.ends_with("log.lock: another process has the log open for writing; stop it first"), "{refused}");
    drop(log);
    dir.open(plain());
}

#[test]
fn a_closed_log_is_one_file() {
    let dir = Dir::new();
    let log = dir.open(plain());
    append(&log, &["a"]);
    texts(&log);
    drop(log);
    let mut names: Vec<_> = fs::read_dir(dir.0.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["log.db", "log.lock"]);
}

#[test]
fn a_reader_works_beside_the_writer_and_changes_nothing() {
    let dir = Dir::new();
    assert!(SqliteLog::open_read_only(&dir.path()).is_err(), "it makes no log");
    let log = dir.open(plain());
    append(&log, &["a"]);
    let reader = SqliteLog::open_read_only(&dir.path()).unwrap();
    append(&log, &["b"]);
    assert_eq!((reader.partitions(), reader.end(0).unwrap(), texts(&reader)), (1, 2, texts(&log)));
    assert_eq!(faults(&reader), (Verified { blocks: 2, records: 2, bytes: 80 }, vec![]));

    let cause = "the log is opened for reading only";
    match block_on(reader.append(0, batch(&["c"]))) {
        Err(AppendError::Unavailable { batch: back, cause: said }) => {
            assert_eq!((back, said), (batch(&["c"]), cause.into()))
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(reader.trim(0, 1).unwrap_err().to_string(), format!("trim: {cause}"));
    assert_eq!(reader.erase(0, &[]).unwrap_err().to_string(), format!("erase: {cause}"));
    drop(log);
    assert_eq!(texts(&reader), ["a", "b"], "also when the writer is gone");
}

#[test]
fn what_is_no_log_of_ours_is_refused_and_left_alone() {
    let check = |prepare: &dyn Fn(&Dir), settings, expect: expect_test::Expect| {
        let dir = Dir::new();
        prepare(&dir);
        let before = fs::read(dir.path()).unwrap();
        expect.assert_eq(&dir.refused(settings));
        assert_eq!(fs::read(dir.path()).unwrap(), before);
    };
    let two = SqliteLogSettings { partitions: 2, ..plain() };
    let opened = |dir: &Dir| drop(dir.open(plain()));
    let other = |dir: &Dir| dir.meddle("CREATE TABLE customer (name TEXT)");
    let later = |dir: &Dir| {
        dir.open(plain());
        dir.meddle("PRAGMA user_version = 2");
    };
    let text = |dir: &Dir| fs::write(dir.path(), "x".repeat(5000)).unwrap();
    check(
        &opened,
        two,
        expect!["open: the log has 1 partitions and 2 are configured; the number is fixed when a log is made"],
    );
    check(&other, plain(), expect!["open: the file is a SQLite database but not a log"]);
    check(
        &later,
        plain(),
        expect!["open: the log is of schema version 2, made by a later release; this one reads up to 1"],
    );
    check(&text, plain(), expect!["open: file is not a database"]);
}

/// Six blocks of two records, 0..12, in segments of two blocks.
fn six_blocks(dir: &Dir) {
    let log = dir.open(SqliteLogSettings { segment_bytes: 100, ..plain() });
    for i in 0..6 {
        append(&log, &[&format!("first of {i}"), &format!("second of {i}")]);
    }
    assert_eq!(faults(&log), (Verified { blocks: 6, records: 12, bytes: 390 }, vec![]));
}

#[test]
fn damage_is_named_and_gone_around() {
    let check = |sql: &str, error: expect_test::Expect, fault: expect_test::Expect| {
        let dir = Dir::new();
        six_blocks(&dir);
        dir.meddle(sql);
        let log = dir.open(plain());
        let good = log.read(0, 0, usize::MAX).unwrap();
        let end = good.last().unwrap().end();
        assert!(
            good.iter()
                .flat_map(Block::records)
                .all(|r| r.payload.ends_with(format!(" of {}", r.offset / 2).as_bytes()))
        );
        error.assert_eq(&log.read(0, end, usize::MAX).unwrap_err().to_string());
        assert_eq!(log.read(0, 10, usize::MAX).unwrap()[0].first, 10, "what comes later is read");
        let (verified, faults) = faults(&log);
        assert!(verified.records >= 8);
        fault.assert_eq(&faults.iter().map(|(offset, what)| format!("{offset}: {what}\n")).collect::<String>());
    };
    check(
        "UPDATE block_0_4 SET body = CAST(substr(body, 1, 60) || 'x' || substr(body, 62) AS BLOB) WHERE first = 4",
        expect![
            "read: the block at partition 0, offset 4 is damaged: the checksum is 0a498185 and was 022a058f when written"
        ],
        expect![[r#"
            4: the checksum is 0a498185 and was 022a058f when written
        "#]],
    );
    check(
        "DELETE FROM block_0_4 WHERE first = 4",
        expect!["read: the block at partition 0, offset 4 is damaged: the next block begins at 6"],
        expect![[r#"
        4: the offsets 4..6 are missing
    "#]],
    );
    check(
        "DELETE FROM block_0_4 WHERE first = 6",
        expect!["read: the block at partition 0, offset 6 is damaged: the next block begins at 8"],
        expect![[r#"
        6: the offsets 6..8 are missing
    "#]],
    );
    check(
        "DELETE FROM segment WHERE first = 4; DROP TABLE block_0_4",
        expect!["read: the block at partition 0, offset 4 is damaged: the next block begins at 8"],
        expect![[r#"
        4: the offsets 4..8 are missing
    "#]],
    );
    check(
        "DROP TABLE block_0_4",
        expect!["read: the block at partition 0, offset 4 is damaged: no such table: block_0_4"],
        expect![[r#"
        4: the blocks after it cannot be listed: no such table: block_0_4
        4: the offsets 4..8 are missing
    "#]],
    );
    check(
        "UPDATE block_0_4 SET first = 5 WHERE first = 4",
        expect!["read: the block at partition 0, offset 4 is damaged: the next block begins at 5"],
        expect![[r#"
        4: the offsets 4..5 are missing
        5: the block has the offsets 4..6 and stands at 5..7
        6: the block overlaps the one before it, which ends at 7
    "#]],
    );
    check(
        "UPDATE block_0_4 SET records = 1 WHERE first = 4",
        expect![
            "read: the block at partition 0, offset 4 is damaged: the block has the offsets 4..6 and stands at 4..5"
        ],
        expect![[r#"
        4: the block has the offsets 4..6 and stands at 4..5
        5: the offsets 5..6 are missing
    "#]],
    );
    check(
        "UPDATE block_0_4 SET body = substr(body, 1, 40) WHERE first = 4",
        expect!["read: the block at partition 0, offset 4 is damaged: the block has 40 bytes, fewer than it needs"],
        expect![[r#"
        4: the block has 40 bytes, fewer than it needs
    "#]],
    );
    check(
        "UPDATE block_0_4 SET body = CAST(body || x'07' AS BLOB) WHERE first = 4",
        expect!["read: the block at partition 0, offset 4 is damaged: there are bytes after the body"],
        expect![[r#"
        4: there are bytes after the body
    "#]],
    );
    check(
        "UPDATE block_0_4 SET body = (SELECT body FROM block_0_8 LIMIT 1) WHERE first = 4",
        expect![
            "read: the block at partition 0, offset 4 is damaged: the block has the offsets 8..10 and stands at 4..6"
        ],
        expect![[r#"
        4: the block has the offsets 8..10 and stands at 4..6
    "#]],
    );
}

#[test]
fn erasing_does_what_it_can_around_damage() {
    let dir = Dir::new();
    six_blocks(&dir);
    dir.meddle("UPDATE block_0_4 SET body = substr(body, 1, 40) WHERE first = 4");
    let log = dir.open(plain());
    let error = log.erase(0, &[3..9]).unwrap_err();
    assert!(matches!(error, ReadError::Damaged { partition: 0, offset: 4, .. }), "{error}");
    let erased = log.read(0, 6, usize::MAX).unwrap();
    let erased: Vec<_> = erased.iter().flat_map(Block::records).map(|record| record.erased).collect();
    assert_eq!(erased, [true, true, true, false, false, false]);
}
