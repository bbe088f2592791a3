use proptest::prelude::*;

use super::*;

fn at(ms: i64) -> Point {
    Point { at: Timestamp(ms), amount: None, value: None }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Time,
    Amount,
    Value,
}

fn point(kind: Kind, (ms, number): (i64, i64)) -> Point {
    let number = Decimal::new(number, 1);
    let value = if number.is_integer() { Value::Number(number) } else { Value::Text(number.to_string()) };
    Point {
        at: Timestamp(ms),
        amount: matches!(kind, Kind::Amount).then_some(number),
        value: matches!(kind, Kind::Value).then_some(value),
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Time), Just(Kind::Amount), Just(Kind::Value)]
}

fn points(most: usize) -> impl Strategy<Value = (Kind, Vec<Point>)> {
    (kinds(), prop::collection::vec((-20i64..60, -50i64..50), 0..most))
        .prop_map(|(kind, raw)| (kind, raw.into_iter().map(|raw| point(kind, raw)).collect()))
}

fn encoded(series: &Series) -> Vec<u8> {
    let mut bytes = Vec::new();
    series.encode(&mut bytes);
    bytes
}

/// What a store holds of one series: the head and the chunk rows.
#[derive(Default)]
struct Stored {
    head: Vec<u8>,
    chunks: std::collections::BTreeMap<u32, Vec<u8>>,
}

impl Stored {
    /// Stores what changed; gives back how many chunks were written.
    fn store(&mut self, series: &mut Series) -> usize {
        let mut written = 0;
        for (number, bytes) in series.dirty_chunks() {
            match bytes {
                Some(bytes) => {
                    written += 1;
                    self.chunks.insert(number, bytes);
                }
                None => drop(self.chunks.remove(&number)),
            }
        }
        self.head.clear();
        series.encode_head(&mut self.head);
        series.mark_clean();
        written
    }

    fn load(&self) -> Series {
        let mut head = &self.head[..];
        let series = Series::from_chunks(&mut head, self.chunks.iter().map(|(n, b)| (*n, b))).unwrap();
        assert!(head.is_empty());
        series
    }
}

proptest! {
    #[test]
    fn the_order_of_insertion_does_not_matter(
        (_, points) in points(60),
        order in any::<u64>(),
        folds in prop::collection::vec((0usize..60, -20i64..60), 0..3),
    ) {
        let mut plain = Series::default();
        let mut sorted = points.clone();
        sorted.sort();
        sorted.iter().for_each(|p| plain.insert(p.clone()));
        if let Some(last) = folds.iter().map(|(_, at)| *at).max() {
            plain.fold_before(Timestamp(last));
        }

        let mut shuffled = points;
        let rng = crate::rng::SeededRng::new(order);
        for i in (1..shuffled.len()).rev() {
            shuffled.swap(i, rng.below(i as u64 + 1) as usize);
        }
        let mut series = Series::default();
        for (i, point) in shuffled.iter().enumerate() {
            folds.iter().filter(|(when, _)| *when == i).for_each(|(_, at)| series.fold_before(Timestamp(*at)));
            series.insert(point.clone());
        }
        folds.iter().for_each(|(_, at)| series.fold_before(Timestamp(*at)));
        prop_assert_eq!(&series, &plain);
        prop_assert_eq!(encoded(&series), encoded(&plain));

        let (left, right) = shuffled.split_at(shuffled.len() / 2);
        let mut batched = Series::default();
        batched.insert_all(left.to_vec());
        folds.iter().for_each(|(_, at)| batched.fold_before(Timestamp(*at)));
        batched.insert_all(right.to_vec());
        prop_assert_eq!(&batched, &plain);
    }

    #[test]
    fn what_is_encoded_decodes((_, points) in points(60), fold in prop::option::of(-20i64..60)) {
        let mut series = Series::default();
        series.insert_all(points);
        fold.into_iter().for_each(|at| series.fold_before(Timestamp(at)));
        let bytes = encoded(&series);
        let mut input = &bytes[..];
        prop_assert_eq!(&Series::decode(&mut input).unwrap(), &series);
        prop_assert!(input.is_empty());
        for end in 0..bytes.len() {
            prop_assert!(Series::decode(&mut &bytes[..end]).is_err());
        }
    }

    #[test]
    fn hostile_bytes_are_refused_or_read(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        (_, points) in points(10),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let _ = Series::decode(&mut &bytes[..]);
        let mut series = Series::default();
        series.insert_all(points);
        let mut bytes = encoded(&series);
        changes.iter().for_each(|(i, byte)| *i.get_mut(&mut bytes) = *byte);
        if let Ok(mut series) = Series::decode(&mut &bytes[..]) {
            prop_assert!(series.heap_bytes() <= 1024 + 64 * bytes.len());
            series.insert(at(0));
            series.fold_before(Timestamp(1));
        }
    }

    #[test]
    fn ranges_are_those_of_a_plain_loop((kind, points) in points(40), from in -25i64..65, length in 0i64..60) {
        let (from, to) = (Timestamp(from), Timestamp(from + length));
        let inside: Vec<&Point> = points.iter().filter(|p| from <= p.at && p.at < to).collect();
        let mut series = Series::default();
        series.insert_all(points.clone());
        prop_assert_eq!(series.count(from, to), inside.len());
        prop_assert_eq!(series.first(from, to), inside.iter().map(|p| p.at).min());
        prop_assert_eq!(series.last(from, to), inside.iter().map(|p| p.at).max());
        if matches!(kind, Kind::Amount) {
            let amounts = || inside.iter().filter_map(|p| p.amount);
            prop_assert_eq!(series.sum(from, to), amounts().sum::<Decimal>());
            prop_assert_eq!(series.range(from, to), amounts().min().zip(amounts().max()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn chunks_hold_what_the_series_holds(
        kind in kinds(),
        steps in prop::collection::vec((0u8..4, 1usize..3000, any::<u64>()), 1..8),
    ) {
        let mut series = Series::default();
        let mut stored = Stored::default();
        let mut newest = 0i64;
        for (what, count, seed) in steps {
            let rng = crate::rng::SeededRng::new(seed);
            let late = |n: usize| -> Vec<Point> {
                let span = newest as u64 / 4 + 1;
                (0..n).map(|_| point(kind, (rng.below(span) as i64 * 4, rng.below(3) as i64))).collect()
            };
            match what {
                0 => (0..count).for_each(|_| {
                    newest += (seed % 3) as i64;
                    series.insert(point(kind, (newest, 5)));
                }),
                1 => late(count.min(50)).into_iter().for_each(|p| series.insert(p)),
                2 => series.insert_all(late(count)),
                _ => series.fold_before(Timestamp((seed % (newest as u64 + 1)) as i64)),
            }
            stored.store(&mut series);
            let mut loaded = stored.load();
            prop_assert_eq!(&loaded, &series);
            prop_assert_eq!(loaded.dirty_chunks().count(), 0);
            prop_assert_eq!(stored.chunks.len(), if series.is_chunked() { stored.chunks.len() } else { 0 });
            if seed % 2 == 0 {
                std::mem::swap(&mut series, &mut loaded);
            }
        }
    }
}

#[test]
fn a_new_point_of_a_long_series_rewrites_one_chunk() {
    let mut series = Series::default();
    let mut stored = Stored::default();
    (0..CHUNK_POINTS as i64).for_each(|i| series.insert(at(i * 1000)));
    assert_eq!(stored.store(&mut series), 0, "a short series is all in its head");
    assert_eq!(stored.head.len(), 2 + 2 + 1 + 2 * (CHUNK_POINTS - 1));

    (CHUNK_POINTS as i64..1_000_000).for_each(|i| series.insert(at(i * 1000)));
    assert_eq!(stored.store(&mut series), 1_000_000usize.div_ceil(CHUNK_POINTS));
    assert!(stored.head.len() < 10);
    assert!(series.heap_bytes() < 17_000_000, "{}", series.heap_bytes());

    series.insert(at(1_000_000_000));
    assert_eq!(stored.store(&mut series), 1);
    series.insert(at(500_000_500));
    assert_eq!(stored.store(&mut series), 1, "a late point rewrites the chunk it falls into");
    series.insert_all((0..1000).map(|i| at(i * 7)).collect());
    assert_eq!(stored.store(&mut series), 1);
    assert_eq!(stored.load(), series);

    series.fold_before(Timestamp(999_900_000));
    stored.store(&mut series);
    assert!(!series.is_chunked() && stored.chunks.is_empty());
    assert_eq!(stored.load(), series);
    assert_eq!(series.before().count + series.times.len() as u64, 1_001_002);
}

#[test]
fn folding_keeps_what_aggregates_ask() {
    let mut series = Series::default();
    for (ms, n) in [(10, 5), (20, -5), (20, 25), (30, 10)] {
        series.insert(point(Kind::Value, (ms, n * 2)));
    }
    series.fold_before(Timestamp(25));
    series.insert(point(Kind::Value, (5, 70)));
    assert_eq!(series.before().count, 4);
    assert_eq!(series.before().span, Some((Timestamp(5), Timestamp(20))));
    assert_eq!(series.before().edges.as_deref(), Some(&(Value::Number(7.into()), Value::Number(5.into()))));
    assert_eq!(series.times, [Timestamp(30)]);
    assert!(series.worth_folding(Timestamp(31)) && !series.worth_folding(Timestamp(30)));
}

#[test]
fn the_bytes_stay_what_they_are() {
    let mut series = Series::default();
    for (ms, n) in [(1_767_225_600_000, 15), (1_767_225_600_500, 20), (1_767_225_700_000, -3)] {
        series.insert(point(Kind::Amount, (ms, n)));
    }
    series.fold_before(Timestamp(1_767_225_600_001));
    let hex: String = encoded(&series).iter().map(|b| format!("{b:02x}")).collect();
    expect_test::expect!["0482a0d5edee660180a0d5edee660001011e011e011e0102e8a7d5edee66ac890600040105"].assert_eq(&hex);
}
