//! Laws: whatever a target does, nothing is lost, and each profile's deliveries keep their order.

use proptest::prelude::*;

use super::*;

/// What the target does with a row at its n-th attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Will {
    Take,
    TakeAfter(u8),
    Refuse,
}

fn will() -> impl Strategy<Value = Will> {
    prop_oneof![6 => Just(Will::Take), 2 => (1_u8..4).prop_map(Will::TakeAfter), 1 => Just(Will::Refuse)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_row_is_settled_once_and_in_order(
        rows in proptest::collection::vec((0_i64..6, will()), 1..80),
        batches in any::<bool>(),
        window_rows in 4_usize..50,
        seed: u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut house = House { seed, ..House::new() };
            house.settings.window_rows = window_rows;
            let wills: Vec<Will> = rows.iter().map(|row| row.1).collect();
            let mut attempts = vec![0_u8; rows.len()];
            // A row that fails holds back the later rows of its profile within its own batch, as connectors do.
            let mut failed: HashMap<i64, (i64, i64)> = HashMap::new();
            let fake = house.fake("out", if batches { BATCHES } else { ONE_BY_ONE }, move |delivery, at_ms| {
                if let Some((offset, failed_ms)) = failed.get(&delivery.profile)
                    && *offset < delivery.at_offset && *failed_ms == at_ms
                {
                    return down();
                }
                let row = delivery.at_offset as usize;
                attempts[row] += 1;
                match wills[row] {
                    Will::Refuse => Outcome::refused("no"),
                    Will::TakeAfter(failures) if attempts[row] <= failures => {
                        failed.insert(delivery.profile, (delivery.at_offset, at_ms));
                        down()
                    }
                    _ => ok(),
                }
            });
            house.put("out", rows.iter().enumerate().map(|(n, row)| delivery(n as i64, Kind::Event, row.0)));
            let handle = house.start();
            let refused = rows.iter().filter(|row| row.1 == Will::Refuse).count();
            fake.until_delivered(rows.len() - refused).await;
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            handle.shutdown().await;

            assert_eq!(house.count(&schema::OUTBOX, "out"), 0);
            assert_eq!(house.count(&schema::DELIVERY_DEAD, "out"), refused as u64);
            assert_eq!(house.receipts("out").len(), rows.len());
            let settled: Vec<_> =
                fake.seen().into_iter().filter(|seen| !matches!(seen.outcome, Outcome::Retry { .. })).collect();
            assert_eq!(settled.len(), rows.len(), "each was taken or refused once");
            for profile in 0..6 {
                assert!(settled.iter().filter(|seen| seen.profile == profile).is_sorted_by_key(|seen| seen.at_offset));
            }
        });
    }
}
