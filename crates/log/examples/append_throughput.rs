//! How many records a second many concurrent appenders get into a [`SqliteLog`], and how long an append takes.
//!
//! `cargo run --release -p onefold-log --example append_throughput [SECONDS [APPENDERS [BATCH [DIRECTORY]]]]`
//!
//! The records are JSON events of about 800 bytes, no two alike.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures with the real clock")]

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use onefold_log::{AppendError, Batch, Codec, EventLog, Kind, SqliteLog, SqliteLogSettings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize, usual: u64| arguments.get(at).map_or(Ok(usual), |text| text.parse());
    let (seconds, appenders, batch) = (number(0, 10)?, number(1, 64)?, number(2, 100)?);
    let temporary = tempfile::tempdir()?;
    let directory = arguments.get(3).map_or_else(|| temporary.path().to_owned(), PathBuf::from);

    for codec in [Codec::Lz4, Codec::Zstd, Codec::Plain] {
        let path = directory.join(format!("{codec:?}.db"));
        measure(&path, codec, Duration::from_secs(seconds), appenders, batch)?;
    }
    Ok(())
}

fn measure(
    path: &Path,
    codec: Codec,
    time: Duration,
    appenders: u64,
    batch: u64,
) -> Result<(), Box<dyn std::error::Error>> {
    let log = Arc::new(SqliteLog::open(path, SqliteLogSettings { codec, ..SqliteLogSettings::default() })?);
    let batches: Arc<[Batch]> = (0..64).map(|n| events(n * batch..(n + 1) * batch)).collect();
    let record_bytes = batches[0].bytes().len() / batches[0].len();
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;

    let begin = Instant::now();
    let mut tasks = Vec::new();
    for appender in 0..appenders as usize {
        let (log, batches) = (log.clone(), batches.clone());
        tasks.push(runtime.spawn(async move {
            let mut latencies = Vec::new();
            let mut next = appender;
            while begin.elapsed() < time {
                let asked = Instant::now();
                match log.append(0, batches[next % batches.len()].clone()).await {
                    Ok(_) => latencies.push(asked.elapsed()),
                    Err(AppendError::Busy { .. }) => tokio::task::yield_now().await,
                    Err(error) => return Err(error.to_string()),
                }
                next += 7;
            }
            Ok(latencies)
        }));
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(runtime.block_on(task)??);
    }
    let took = begin.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let records = log.end(0)? as f64;
    let verified = log.verify(0, &mut |fault| println!("{fault:?}"))?;
    println!(
        "{codec:?}: {:.0} records/s of {record_bytes} bytes ({:.0} MB/s, stored {:.0} %), \
         append p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms, {:.0} records a block",
        records / took,
        records * record_bytes as f64 / took / 1e6,
        100.0 * verified.bytes as f64 / (records * record_bytes as f64),
        at(0.5),
        at(0.99),
        at(1.0),
        records / verified.blocks as f64,
    );
    Ok(())
}

/// Events as a web shop's tracker sends them.
fn events(numbers: std::ops::Range<u64>) -> Batch {
    let mut batch = Batch::new();
    for number in numbers {
        // Knuth's multiplicative hash: ids that look as random as real ones do.
        let id = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (minute, second, shelf) = (number / 60 % 60, number % 60, id % 997);
        let event = format!(
            r#"{{"type":"track","event":"Product Viewed","messageId":"ajs-next-{id:016x}-{:016x}","anonymousId":"{:016x}{id:016x}","userId":"user-{}","timestamp":"2025-11-21T10:{minute:02}:{second:02}.{:03}Z","sentAt":"2025-11-21T10:{minute:02}:{second:02}.999Z","context":{{"library":{{"name":"analytics.js","version":"2.11.1"}},"ip":"203.0.113.{}","locale":"en-GB","userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36","page":{{"path":"/shelf/{shelf}/product/{}","referrer":"https://www.example.com/shelf/{shelf}","title":"Product {}","url":"https://shop.example.com/shelf/{shelf}/product/{}"}}}},"properties":{{"product_id":"{}","sku":"SKU-{:08}","price":{}.{:02},"currency":"EUR","quantity":{}}},"writeKey":"wk_3f7a"}}"#,
            id.rotate_left(17),
            id.rotate_left(31),
            id % 5_000_000,
            id % 1000,
            id % 254,
            100 + id % 40,
            id % 90_000,
            id % 90_000,
            id % 90_000,
            id % 90_000,
            id % 100_000_000,
            id % 300,
            id % 100,
            1 + id % 4,
        );
        batch.push(Kind::Event, event.as_bytes()).expect("events are short");
    }
    batch
}
