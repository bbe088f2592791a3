//! The stored form of series: any bytes are decoded or refused, and what is decoded can be added to and written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use onefold_model::{
    Timestamp,
    profile::series::{Point, Series},
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut series) = Series::decode(&mut &bytes[..]) else { return };
    assert!(series.heap_bytes() <= 1024 + 64 * bytes.len());
    let mut again = Vec::new();
    series.encode(&mut again);
    assert_eq!(Series::decode(&mut &again[..]).as_ref(), Ok(&series));
    series.insert(Point { at: Timestamp(0), amount: None, value: None });
    series.fold_before(Timestamp(1));
    let _ = series.sum(Timestamp::MIN, Timestamp::MAX);
});
