//! Rows a second that one core reads and maps, for CSV and NDJSON rows of about 200 bytes, and message ids a second.
//! Seconds are the thread's own on the processor where the system tells them (Linux), so that others' work on the same
//! machine does not count.
//!
//! `cargo run --release -p onefold-collect --example import_throughput [ROWS]`

use std::{error::Error, fs::File, hint::black_box, io::Write, path::Path, time::Instant};

use onefold_collect::{Digest, Events, Mapping, RowIds, open, sample};

const MAPPING: &str = r#"
kind = "track"
event = "Order Completed"
identifiers = { user_id = "customer_id", email = "email" }
timestamp = "ordered_at"
constants = { currency = "EUR" }
[properties]
order_id = "order_id"
revenue = { column = "amount", type = "number" }
quantity = { column = "quantity", type = "number" }
gift = { column = "gift", type = "boolean" }
product = "product"
coupon = { column = "coupon", null = ["NONE"] }
city = "city"
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |rows| rows.parse())?;
    let folder = std::env::temp_dir().join(format!("onefold-throughput-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (csv, ndjson) = (folder.join("orders.csv"), folder.join("orders.ndjson"));
    write(&csv, &ndjson, rows)?;
    measure("csv", &csv, rows)?;
    measure("ndjson", &ndjson, rows)?;
    std::fs::remove_dir_all(&folder)?;
    message_ids(rows);
    Ok(())
}

fn write(csv: &Path, ndjson: &Path, rows: u64) -> Result<(), Box<dyn Error>> {
    let mut csv = std::io::BufWriter::new(File::create(csv)?);
    let mut ndjson = std::io::BufWriter::new(File::create(ndjson)?);
    writeln!(csv, "order_id,customer_id,email,ordered_at,amount,quantity,gift,product,coupon,city,note")?;
    for i in 0..rows {
        let (customer, cents) = (i * 7919 % 100_003, i * 31 % 20_000);
        let (day, hour) = (i % 28 + 1, i % 24);
        let product = format!("Long-playing record no. {}, \\\"Live\\\" in two parts", i % 977);
        let (coupon, city) = (if i % 3 == 0 { "SPRING24" } else { "NONE" }, ["Köln", "Rome", "Łódź"][i as usize % 3]);
        let (euros, cent) = (cents / 100, cents % 100);
        writeln!(
            csv,
            "A-{i},{customer},person{customer}@mail.example.com,2024-03-{day:02}T{hour:02}:15:00.000Z,{euros}.{cent:02},{},{},\"{}\",{coupon},{city},left with the neighbours of flat 12 please",
            i % 5 + 1,
            i % 2 == 0,
            product.replace("\\\"", "\"\""),
        )?;
        writeln!(
            ndjson,
            "{{\"order_id\":\"A-{i}\",\"customer_id\":{customer},\"email\":\"person{customer}@mail.example.com\",\"ordered_at\":\"2024-03-{day:02}T{hour:02}:15:00.000Z\",\"amount\":{euros}.{cent:02},\"quantity\":{},\"gift\":{},\"product\":\"{product}\",\"coupon\":\"{coupon}\",\"city\":\"{city}\"}}",
            i % 5 + 1,
            i % 2 == 0,
        )?;
    }
    csv.flush()?;
    ndjson.flush()?;
    Ok(())
}

fn measure(name: &str, path: &Path, rows: u64) -> Result<(), Box<dyn Error>> {
    let mapping = Mapping::parse(MAPPING)?;
    let options = mapping.read_options();
    let mapper = mapping.bind(&sample(path, &options, 1000)?, RowIds::new("bench", &Digest([1; 32])))?;
    let mut reader = open(path, &options)?;
    let (mut events, mut made, mut out_bytes) = (Events::default(), 0u64, 0);
    let clock = Stopwatch::start();
    while let Some(row) = reader.next() {
        mapper.apply(&row?, &mut events)?;
        if events.len() == 1000 {
            made += events.len() as u64;
            out_bytes += black_box(events.bytes());
            events.clear();
        }
    }
    made += events.len() as u64;
    let seconds = clock.seconds();
    let bytes = std::fs::metadata(path)?.len();
    println!(
        "{name:7} {made} events of {rows} rows of {} bytes in {seconds:.2} s: {:.0} rows/s, {:.0} MB/s in, {:.0} MB/s out",
        bytes / rows.max(1),
        rows as f64 / seconds,
        bytes as f64 / seconds / 1e6,
        out_bytes as f64 / seconds / 1e6,
    );
    Ok(())
}

fn message_ids(rows: u64) {
    let ids = RowIds::new("bench", &Digest([1; 32]));
    let clock = Stopwatch::start();
    for row in 0..rows {
        black_box(ids.message_id(row, 0));
    }
    println!("ids     {:.0}/s", rows as f64 / clock.seconds());
}

struct Stopwatch {
    wall: Instant,
    cpu_ns: Option<u64>,
}

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    fn start() -> Stopwatch {
        Stopwatch { wall: Instant::now(), cpu_ns: cpu_ns() }
    }

    fn seconds(&self) -> f64 {
        match (self.cpu_ns, cpu_ns()) {
            (Some(from), Some(to)) => (to - from) as f64 / 1e9,
            _ => self.wall.elapsed().as_secs_f64(),
        }
    }
}

/// Nanoseconds that this thread has had the processor (Linux, Documentation/scheduler/sched-stats.rst).
fn cpu_ns() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
}
