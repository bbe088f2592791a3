//! Rows that come, consent, limits, changes of configuration.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_waits_is_delivered_and_receipted() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(folder.path().join("state.db"), schema::ALL, SqliteSettings::default()).unwrap();
    for store in [Arc::new(MemoryStore::new(schema::ALL)) as Arc<dyn StateStore>, Arc::new(sqlite)] {
        for limits in [ONE_BY_ONE, BATCHES] {
            let mut house = House::on(Arc::clone(&store));
            let fake = house.fake("out", limits, |_, _| ok());
            house.put("out", events(0..2_500, 40));
            let handle = house.start();
            fake.until_delivered(2_500).await;
            handle.shutdown().await;
            assert_eq!((house.count(&schema::OUTBOX, "out"), house.count(&schema::RECEIPT, "out")), (0, 2_500));
            assert_eq!(house.receipts("out")[7], "7 delivered 1 ok");
            let reader = &mut *store.reader().unwrap();
            let following = onefold_state::receipts::after(reader, &Value::Int(1), 0, usize::MAX).unwrap();
            let sequences: Vec<i64> = following.iter().map(|row| row[12].as_int().unwrap()).collect();
            assert_eq!(sequences, (1..=2_500).collect::<Vec<_>>(), "who follows sees each once, in order");
            assert_eq!(onefold_state::receipts::last(reader, &Value::Int(1)).unwrap(), 2_500);
            house.write(|txn| txn.delete_prefix(&schema::RECEIPT, &[]).map(drop));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_comes_is_delivered_at_once() {
    let mut house = House::new();
    let fake = house.fake("out", ONE_BY_ONE, |_, _| ok());
    house.put("out", events(0..1, 1));
    let handle = house.start();
    fake.until_delivered(1).await;
    for offset in 1..20 {
        // At another instant each, between two looks of the idle loop.
        tokio::time::advance(Duration::from_millis(37)).await;
        house.put("out", events(offset..offset + 1, 1));
        fake.until_delivered(offset as usize + 1).await;
        let seen = fake.delivered().pop().unwrap();
        let late_ms = seen.at_ms - (START_MS + 37 * offset);
        assert!(late_ms <= 10 * offset, "{late_ms} ms late in sum");
    }
    let status = handle.status().unwrap().remove(0);
    assert_eq!((status.state.as_str(), status.breaker.as_str(), status.last_error), ("active", "closed", None));
    handle.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_consent_denies_is_never_handed_over_and_a_leave_always_is() {
    let mut house = House::new();
    let fake = house.fake("out", BATCHES, |_, _| ok());
    house.denied.lock().insert(1);
    let rows =
        [(0, Kind::Event, 1), (1, Kind::Enter, 1), (2, Kind::Leave, 1), (3, Kind::Enter, 2), (4, Kind::Event, 3)];
    house.put("out", rows.map(|(offset, kind, profile)| delivery(offset, kind, profile)));
    let handle = house.start();
    fake.until_delivered(3).await;
    handle.shutdown().await;
    let keys: Vec<String> = fake.seen().into_iter().map(|seen| seen.key).collect();
    assert_eq!(keys, ["k2", "k3", "k4"]);
    assert_eq!(
        house.receipts("out"),
        [
            "0 skipped 0 denied by row 7",
            "1 skipped 0 denied by row 7",
            "2 delivered 1 ok",
            "3 delivered 1 ok",
            "4 delivered 1 ok"
        ]
    );
    assert_eq!(house.count(&schema::OUTBOX, "out"), 0);
}

/// A withdrawal while a row waits for its retry: the next claim skips it.
#[tokio::test(start_paused = true)]
async fn a_withdrawal_between_two_attempts_ends_them() {
    let mut house = House::new();
    let denied = Arc::clone(&house.denied);
    let fake = house.fake("out", ONE_BY_ONE, move |delivery, _| {
        if delivery.profile == 1 {
            denied.lock().insert(1);
            return down();
        }
        ok()
    });
    house.put("out", [delivery(0, Kind::Event, 1)]);
    let handle = house.start();
    fake.until_seen(1).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(handle.status().unwrap()[0].skipped, 1);
    handle.shutdown().await;
    assert_eq!(house.receipts("out"), ["0 skipped 1 denied by row 7"]);
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_kept() {
    let mut house = House::new();
    let fake = house.fake("out", ONE_BY_ONE, |_, _| ok());
    house.configure("out", "active", r#","rate_per_s":10"#);
    house.put("out", events(0..60, 60));
    let handle = house.start();
    fake.until_delivered(60).await;
    handle.shutdown().await;
    let last_ms = fake.delivered()[59].at_ms - START_MS;
    assert!((5_000..5_200).contains(&last_ms), "one burst of 10 and 50 at 10 a second took {last_ms} ms");
}

#[tokio::test(start_paused = true)]
async fn concurrency_is_kept_and_a_fixed_one_is_not_raised() {
    for (limits, expect) in [(ONE_BY_ONE, 3), (crate::Limits { concurrency_max: 1, ..ONE_BY_ONE }, 1)] {
        let mut house = House::new();
        house.fake("out", limits, |_, _| ok());
        house.configure("out", "active", r#","concurrency":3"#);
        let opened = Registry::of(vec![Box::new(FakeConnector(house.fakes.clone()))])
            .open(
                "fake",
                r#"{"id":"out","purpose":"ads","concurrency":3}"#,
                &context(&[], std::path::Path::new(""), house.clock.clone()),
            )
            .unwrap();
        assert_eq!(worker::concurrency(&opened.common, opened.destination.limits()), expect);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_gathers() {
    let mut house = House::new();
    let limits = crate::Limits { batch_max: 10, concurrency: 1, concurrency_max: 1, gather_ms: 60_000 };
    let fake = house.fake("out", limits, |_, _| ok());
    house.put("out", events(0..25, 25));
    let handle = house.start();
    fake.until_delivered(25).await;
    handle.shutdown().await;
    let at: Vec<i64> = fake.delivered().iter().map(|seen| seen.at_ms - START_MS).collect();
    assert!(at[..20].iter().all(|at_ms| *at_ms < 1_000), "full batches go at once: {at:?}");
    assert!(at[20..].iter().all(|at_ms| (60_000..61_000).contains(at_ms)), "the rest waits: {at:?}");
}

#[tokio::test(start_paused = true)]
async fn destinations_are_paused_changed_and_removed() {
    let mut house = House::new();
    let fake = house.fake("out", ONE_BY_ONE, |_, _| ok());
    house.configure("out", "paused", "");
    house.put("out", events(0..3, 3));
    let handle = house.start();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(fake.seen(), []);
    let status = handle.status().unwrap().remove(0);
    assert_eq!((status.state.as_str(), status.waiting), ("paused", 3));

    house.configure("out", "active", r#","rate_per_s":-1"#);
    handle.refresh();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = handle.status().unwrap().remove(0);
    assert_eq!(status.state, "misconfigured");
    assert!(status.last_error.unwrap().contains("rate_per_s"));

    house.configure("out", "active", "");
    handle.refresh();
    fake.until_delivered(3).await;
    house.configure("out", "active", r#","rate_per_s":1000"#);
    house.put("out", events(3..6, 3));
    handle.refresh();
    fake.until_delivered(6).await;

    house.write(|txn| txn.delete(&schema::DESTINATION, &[vec![1_i64.into(), "out".into()]]));
    handle.refresh();
    tokio::time::sleep(Duration::from_secs(1)).await;
    house.put("out", events(6..7, 3));
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!((handle.status().unwrap().len(), fake.seen().len()), (0, 6));
    handle.shutdown().await;
}

/// A rebuild or an operator may put rows in before those already read.
#[tokio::test(start_paused = true)]
async fn rows_before_the_cursor_are_found() {
    let mut house = House::new();
    let fake = house.fake("out", ONE_BY_ONE, |delivery, _| if delivery.at_offset == 50 { down() } else { ok() });
    house.put("out", [delivery(50, Kind::Event, 1), delivery(51, Kind::Event, 2)]);
    let handle = house.start();
    fake.until_delivered(1).await;
    house.put("out", [delivery(10, Kind::Event, 3)]);
    fake.until_delivered(2).await;
    assert!(fake.delivered()[1].at_ms - START_MS < 31_000);
    house.put("out", [delivery(11, Kind::Event, 4)]);
    let before_ms = fake.delivered()[1].at_ms;
    handle.refresh();
    fake.until_delivered(3).await;
    assert!(fake.delivered()[2].at_ms - before_ms < 100);
    handle.shutdown().await;
}
