//! How fast SQLite is: one million rows of 600 bytes, in transactions of 5,000.
//!
//! `cargo run --release -p onefold-state --example throughput [rows] [name=value …]`, where a name is one of
//! `page_bytes`, `cache_mib`, `mmap_mib`, `checkpoint_pages`, `secure_delete`.
#![allow(clippy::disallowed_methods, reason = "it measures, at the edge")]

use std::{error::Error, path::Path, time::Instant};

use onefold_state::{Column, Part, Row, SqliteSettings, SqliteStore, StateStore, Table, Value};

static PROFILE: Table = Table {
    name: "profile",
    part: Part::Derived,
    key: 3,
    columns: &[Column::int("workspace"), Column::int("entity"), Column::int("id"), Column::bytes("body")],
    indexes: &[],
};

const TABLES: &[&Table] = &[&PROFILE];
const BATCH: usize = 5_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).peekable();
    let rows = arguments.next_if(|argument| !argument.contains('=')).map_or(Ok(1_000_000), |rows| rows.parse())?;
    let mut settings = SqliteSettings::default();
    for argument in arguments {
        let (name, value) = argument.split_once('=').ok_or("an argument is name=value")?;
        match name {
            "page_bytes" => settings.page_bytes = value.parse()?,
            "cache_mib" => settings.cache_bytes = value.parse::<u64>()? << 20,
            "mmap_mib" => settings.mmap_bytes = value.parse::<u64>()? << 20,
            "checkpoint_pages" => settings.checkpoint_pages = value.parse()?,
            "secure_delete" => settings.secure_delete = value.parse()?,
            other => return Err(format!("unknown setting {other}").into()),
        }
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("state.db");
    let store = SqliteStore::open(&path, TABLES, settings)?;
    let epoch = store.take_over(0)?;
    // Every pass writes other bytes: SQLite does not write a page that is replaced by itself.
    let row = |id: usize, pass: usize| -> Row {
        let body: Vec<u8> = (0..560).map(|place| ((place + id) * (31 + 2 * pass) % 251) as u8).collect();
        vec![Value::Int(1), Value::Int(1), Value::uint(id as u64), body.into()]
    };
    let key = |id: usize| -> Row { vec![Value::Int(1), Value::Int(1), Value::uint(id as u64)] };
    // A full cycle through all ids that jumps far, the same in every run.
    let scattered = |place: usize| place * 7_919_111 % rows;

    let put = |label: &str, pass: usize, ids: &dyn Fn(usize) -> usize, count: usize| -> Result<(), Box<dyn Error>> {
        let (mut spent, mut slowest) = (0.0, 0.0_f64);
        for start in (0..count).step_by(BATCH) {
            let batch: Vec<Row> = (start..(start + BATCH).min(count)).map(|place| row(ids(place), pass)).collect();
            let begun = Instant::now();
            let mut txn = store.begin(0, epoch, None)?;
            txn.put(&PROFILE, batch)?;
            txn.commit()?;
            let took = begun.elapsed().as_secs_f64();
            spent += took;
            slowest = slowest.max(took);
        }
        report(label, count, spent, slowest, &path)
    };
    let get = |label: &str, ids: &dyn Fn(usize) -> usize, count: usize| -> Result<(), Box<dyn Error>> {
        let (mut spent, mut slowest) = (0.0, 0.0_f64);
        let mut txn = store.begin(0, epoch, None)?;
        for start in (0..count).step_by(BATCH) {
            let batch: Vec<Row> = (start..(start + BATCH).min(count)).map(|place| key(ids(place))).collect();
            let begun = Instant::now();
            let found = txn.get(&PROFILE, &batch)?;
            let took = begun.elapsed().as_secs_f64();
            assert!(found.iter().all(Option::is_some));
            spent += took;
            slowest = slowest.max(took);
        }
        report(label, count, spent, slowest, &path)
    };

    put("puts, new, in key order", 0, &|place| place, rows)?;
    get("gets, scattered over all", &scattered, rows)?;
    get("gets, of 50,000 warm rows", &|place| scattered(place) % 50_000.min(rows), rows)?;
    put("puts, replacing, in key order", 1, &|place| place, rows)?;
    put("puts, replacing, scattered over all", 2, &scattered, rows / 4)?;
    let begun = Instant::now();
    store.checkpoint()?;
    println!("checkpoint, all pages looked at {:>16.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

fn report(label: &str, count: usize, spent: f64, slowest: f64, path: &Path) -> Result<(), Box<dyn Error>> {
    let mib = |path: &Path| Ok::<_, std::io::Error>(std::fs::metadata(path)?.len() >> 20);
    println!(
        "{label:<38} {:>9.0}/s  slowest batch {:>6.1} ms  file {} MiB, log {} MiB",
        count as f64 / spent,
        slowest * 1e3,
        mib(path)?,
        mib(&path.with_extension("db-wal"))?,
    );
    Ok(())
}
