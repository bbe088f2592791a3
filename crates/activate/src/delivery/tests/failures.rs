//! Targets that are down, rows that are bad, crashes.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use onefold_state::{Epoch, Generation, Partition};

use super::*;
use crate::replay;

const HOUR_MS: i64 = 3_600_000;

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_down_for_an_hour_loses_nothing_and_hurts_nobody() {
    for (limits, seed) in [(ONE_BY_ONE, 1), (ONE_BY_ONE, 2), (BATCHES, 3)] {
        let mut house = House { seed, ..House::new() };
        let fake = house.fake("out", limits, |_, at_ms| if at_ms < START_MS + HOUR_MS { down() } else { ok() });
        let other = house.fake("other", limits, |_, _| ok());
        house.put("out", events(0..2_000, 60));
        house.put("other", events(0..2_000, 60));
        let handle = house.start();
        other.until_delivered(2_000).await;
        assert!(other.delivered()[1_999].at_ms < START_MS + 2_000, "the other one is not held up");
        tokio::time::sleep(Duration::from_secs(600)).await;
        let status = handle.status().unwrap().into_iter().find(|status| status.name == "out").unwrap();
        assert!(status.breaker != "closed" && status.waiting == 2_000 && status.last_error.as_deref() == Some("down"));

        fake.until_delivered(2_000).await;
        handle.shutdown().await;
        let delivered = fake.delivered();
        let keys: FxHashSet<&str> = delivered.iter().map(|seen| seen.key.as_str()).collect();
        assert_eq!((keys.len(), delivered.len()), (2_000, 2_000));
        for profile in 0..60 {
            assert!(delivered.iter().filter(|seen| seen.profile == profile).is_sorted_by_key(|seen| seen.at_offset));
        }
        assert_eq!((house.count(&schema::OUTBOX, "out"), house.count(&schema::DELIVERY_DEAD, "out")), (0, 0));
        let back_ms = delivered[1_999].at_ms - START_MS - HOUR_MS;
        assert!(back_ms < 90_000, "all were delivered {back_ms} ms after it was back");
        let probes = fake.seen().len() - delivered.len();
        assert!(probes < 2_000, "{probes} attempts in an hour: the breaker spares a target that is down");
    }
}

/// The one row that waits is every probe; its attempts last for the hour all the same.
#[tokio::test(start_paused = true)]
async fn a_single_row_outlives_an_hour_too() {
    for seed in 0..20 {
        let mut house = House { seed, ..House::new() };
        let fake = house.fake("out", ONE_BY_ONE, |_, at_ms| if at_ms < START_MS + HOUR_MS { down() } else { ok() });
        house.put("out", events(0..1, 1));
        let handle = house.start();
        fake.until_delivered(1).await;
        handle.shutdown().await;
        assert_eq!(house.count(&schema::DELIVERY_DEAD, "out"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_always_fails_is_given_up_and_held_up_its_own_profile_only() {
    let mut house = House::new();
    let fake = house.fake("out", ONE_BY_ONE, |delivery, _| if delivery.at_offset == 0 { down() } else { ok() });
    house.put(
        "out",
        [delivery(0, Kind::Event, 1), delivery(1, Kind::Event, 1)]
            .into_iter()
            .chain((2..100).map(|o| delivery(o, Kind::Event, o))),
    );
    let handle = house.start();
    fake.until_delivered(98).await;
    assert!(fake.delivered()[97].at_ms < START_MS + 1_000);
    fake.until_delivered(99).await;
    handle.shutdown().await;
    assert_eq!(fake.delivered()[98].key, "k1");
    assert!(house.receipts("out")[0].starts_with("0 dead "), "{}", house.receipts("out")[0]);
    assert!(house.receipts("out")[1].starts_with("1 delivered "));
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_and_retry_after_is_kept() {
    let mut house = House::new();
    house.settings.breaker.failures = u32::MAX;
    let fake =
        house.fake("out", ONE_BY_ONE, |_, _| Outcome::Retry { after_ms: Some(2_000_000), cause: "later".into() });
    house.configure("out", "active", r#","attempts_max":4"#);
    house.put("out", events(0..1, 1));
    let handle = house.start();
    fake.until_seen(4).await;
    handle.shutdown().await;
    let at: Vec<i64> = fake.seen().iter().map(|seen| seen.at_ms).collect();
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= 2_000_000), "{at:?}");
    assert_eq!(house.receipts("out"), ["0 dead 4 later"]);
    assert_eq!((house.count(&schema::OUTBOX, "out"), house.count(&schema::DELIVERY_DEAD, "out")), (0, 1));
}

/// With the breaker's help the attempts of one row among healthy ones still spread over a good while.
#[tokio::test(start_paused = true)]
async fn twenty_attempts_are_exponential_with_full_jitter() {
    let mut house = House::new();
    house.settings.breaker.failures = u32::MAX;
    let fake = house.fake("out", ONE_BY_ONE, |_, _| down());
    house.put("out", events(0..1, 1));
    let handle = house.start();
    fake.until_seen(20).await;
    handle.shutdown().await;
    let at: Vec<i64> = fake.seen().iter().map(|seen| seen.at_ms).collect();
    for (failures, pair) in at.windows(2).enumerate() {
        let bound_ms = crate::backoff::bound_ms(failures as u32 + 1, 900_000);
        assert!(pair[1] - pair[0] <= bound_ms + 5, "wait {failures}: {} ms", pair[1] - pair[0]);
    }
    assert_eq!(house.receipts("out"), ["0 dead 20 down"]);
}

/// A store that can be out of reach for writers.
struct Breakable {
    store: MemoryStore,
    broken: AtomicBool,
}

impl StateStore for Breakable {
    fn take_over(&self, partition: Partition) -> Result<Epoch, Error> {
        self.store.take_over(partition)
    }

    fn begin(
        &self,
        partition: Partition,
        epoch: Epoch,
        generation: Option<Generation>,
    ) -> Result<Box<dyn Txn + '_>, Error> {
        self.store.begin(partition, epoch, generation)
    }

    fn begin_shared(&self) -> Result<Box<dyn Txn + '_>, Error> {
        if self.broken.load(SeqCst) {
            return Err(Error::Unavailable { operation: "begin", cause: "broken".into() });
        }
        self.store.begin_shared()
    }

    fn reader(&self) -> Result<Box<dyn Reader + Send + '_>, Error> {
        self.store.reader()
    }

    fn new_generation(&self) -> Result<Generation, Error> {
        self.store.new_generation()
    }

    fn swap(
        &self,
        generation: Generation,
        last: &mut dyn FnMut(&mut dyn Txn) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.store.swap(generation, last)
    }

    fn checkpoint(&self) -> Result<(), Error> {
        self.store.checkpoint()
    }

    fn kind(&self) -> &'static str {
        "breakable"
    }
}

/// A house whose store breaks when the target has taken the first row.
fn breaking_house() -> (House, Arc<Breakable>, Arc<Fake>) {
    let store = Arc::new(Breakable { store: MemoryStore::new(schema::ALL), broken: false.into() });
    let mut house = House::on(store.clone());
    let (breaks, mut first) = (Arc::clone(&store), true);
    let fake = house.fake("out", ONE_BY_ONE, move |_, _| {
        breaks.broken.store(std::mem::take(&mut first), SeqCst);
        ok()
    });
    house.put("out", events(0..1, 1));
    (house, store, fake)
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_hand_off_and_receipt_hands_over_again_with_the_same_key() {
    let (house, store, fake) = breaking_house();
    let handle = house.start();
    fake.until_delivered(1).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop(handle);
    // What the loop would still do at this instant, it does before the store is back.
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((house.count(&schema::OUTBOX, "out"), house.count(&schema::RECEIPT, "out")), (1, 0));
    store.broken.store(false, SeqCst);

    let handle = house.start();
    fake.until_delivered(2).await;
    handle.shutdown().await;
    assert!(fake.delivered().iter().all(|seen| seen.key == "k0"));
    assert_eq!((house.count(&schema::OUTBOX, "out"), house.receipts("out")), (0, vec!["0 delivered 1 ok".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_out_of_reach_is_waited_for_and_nothing_is_handed_over_twice() {
    let (house, store, fake) = breaking_house();
    let handle = house.start();
    fake.until_delivered(1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(handle.status().unwrap()[0].last_error.as_deref().unwrap().contains("broken"));
    store.broken.store(false, SeqCst);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(house.receipts("out"), ["0 delivered 1 ok"]);
    assert_eq!(fake.seen().len(), 1);
    handle.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_erased_while_it_is_handed_over_does_not_come_back() {
    let mut house = House::new();
    let store = Arc::clone(&house.store);
    let fake = house.fake("out", ONE_BY_ONE, move |delivery, _| {
        let mut txn = store.begin_shared().unwrap();
        let key = rows::key(delivery.workspace, "out", (delivery.at_offset, delivery.place));
        txn.delete(&schema::OUTBOX, &[key]).unwrap();
        txn.commit().unwrap();
        if delivery.at_offset == 0 { down() } else { Outcome::refused("no") }
    });
    house.put("out", events(0..1, 1));
    let handle = house.start();
    fake.until_seen(1).await;
    house.put("out", events(1..2, 1));
    fake.until_seen(2).await;
    handle.shutdown().await;
    assert_eq!((house.count(&schema::OUTBOX, "out"), house.count(&schema::DELIVERY_DEAD, "out")), (0, 0));
    assert_eq!(house.receipts("out"), ["1 dead 1 no"]);
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_or_hangs_or_says_too_little_is_tried_again() {
    let mut house = House::new();
    let mut calls = 0;
    let fake = house.fake("out", ONE_BY_ONE, move |_, _| {
        calls += 1;
        assert!(calls > 2, "the first two calls panic");
        ok()
    });
    house.put("out", events(0..1, 1));
    let handle = house.start();
    fake.until_delivered(1).await;
    handle.shutdown().await;
    assert_eq!(house.receipts("out"), ["0 delivered 3 ok"]);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_understood_is_a_dead_letter() {
    let mut house = House::new();
    let fake = house.fake("out", ONE_BY_ONE, |_, _| ok());
    let mut row = rows::outbox_row(&delivery(0, Kind::Event, 1), 0);
    row[rows::outbox::KIND] = "wave".into();
    house.write(|txn| txn.put(&schema::OUTBOX, vec![row.clone()]));
    house.put("out", events(1..2, 2));
    let handle = house.start();
    fake.until_delivered(1).await;
    handle.shutdown().await;
    assert_eq!(house.count(&schema::DELIVERY_DEAD, "out"), 1);
    assert!(house.receipts("out")[0].starts_with("0 dead 0 the outbox row is of a kind"));
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_replayed_and_what_was_overtaken_is_dropped() {
    let mut house = House::new();
    let well = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&well);
    let fake = house.fake("out", ONE_BY_ONE, move |delivery, _| {
        let is_well = is_well.load(SeqCst);
        // The leave of profile 1 gets through, its enter does not.
        if is_well || delivery.at_offset == 1 {
            ok()
        } else {
            Outcome::Refused { cause: "HTTP 422".into(), answer: Some("bad".into()) }
        }
    });
    let rows = [
        (0, Kind::Enter, 1),
        (1, Kind::Leave, 1),
        (2, Kind::Enter, 2),
        (3, Kind::Event, 1),
        (4, Kind::Enter, 3),
        (5, Kind::Leave, 3),
    ];
    house.put("out", rows.map(|(offset, kind, profile)| delivery(offset, kind, profile)));
    let handle = house.start();
    fake.until_seen(6).await;
    fake.until_delivered(1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let at = onefold_model::Timestamp(START_MS);
    let range = replay::Range { workspace: WorkspaceId(1), destination: "out".into(), from: at, to: at.plus(10_000) };
    let plan = replay::plan(&*house.store, &range).unwrap();
    assert_eq!((plan.replayable, plan.superseded, plan.delivered, plan.skipped), (3, 2, 1, 0));
    let sample: Vec<String> = plan.sample.iter().map(|s| format!("{} {} {}", s.key, s.kind, s.reason)).collect();
    assert_eq!(sample, ["k2 enter HTTP 422: bad", "k3 event HTTP 422: bad", "k5 leave HTTP 422: bad"]);
    let nothing = replay::Range { to: at, ..range.clone() };
    assert_eq!(replay::plan(&*house.store, &nothing).unwrap(), replay::Plan::default());
    assert_eq!(replay::replay(&*house.store, &nothing, at).unwrap(), replay::Replayed::default());

    well.store(true, SeqCst);
    let replayed = replay::replay(&*house.store, &range, at).unwrap();
    assert_eq!(replayed, replay::Replayed { replayed: 3, superseded: 2 });
    handle.refresh();
    fake.until_delivered(4).await;
    handle.shutdown().await;
    let mut again: Vec<String> = fake.delivered().into_iter().map(|seen| seen.key).collect();
    // They are of several profiles, which go in parallel.
    again.sort();
    assert_eq!(again, ["k1", "k2", "k3", "k5"]);
    assert_eq!((house.count(&schema::OUTBOX, "out"), house.count(&schema::DELIVERY_DEAD, "out")), (0, 0));
    assert_eq!(
        house.receipts("out"),
        [
            "0 dead 1 HTTP 422",
            "1 delivered 1 ok",
            "2 delivered 1 ok",
            "3 delivered 1 ok",
            "4 dead 1 HTTP 422",
            "5 delivered 1 ok"
        ]
    );
}
