//! Import of a CSV file, as `onefold import` does it against a running server.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use std::{fmt::Write as _, io::Write as _, time::Instant};

use onefold_collect::Mapping;
use onefold_model::rng::SeededRng;
use serde_json::{Value, json};

use crate::{
    Failure,
    commands::{ImportJob, wait_applied},
};

const MAPPING: &str = r#"
kind = "track"
event = "Order Completed"
identifiers = { user_id = "customer", email = "e_mail" }
timestamp = { column = "ordered_at" }

[properties]
revenue = { column = "amount", type = "number" }
category = { column = "category" }
country = { column = "country" }
"#;

/// Runs it: orders of a tenth as many customers, over two years.
pub async fn run(rows: u64) -> Result<Value, Failure> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("orders.csv");
    write(&file, rows)?;
    let (server, client, _) = super::server(folder.path(), true).await?;
    super::source(&client, "orders").await?;
    let mapping = Mapping::parse(MAPPING).map_err(|error| Failure::new(error.to_string(), ""))?;
    let job = ImportJob {
        client: &client,
        source: "orders",
        file: &file,
        mapping: &mapping,
        shift_to_now: false,
        incremental: false,
        progress: false,
    };
    let started = Instant::now();
    let (report, end) = job.run().await?;
    let durable = started.elapsed().as_secs_f64();
    wait_applied(&client, end, false).await?;
    let applied = started.elapsed().as_secs_f64();
    client.close().await?;
    server.stop().await;
    Ok(json!({
        "rows": report.rows,
        "refused": report.refused,
        "durable_rows_per_s": (report.rows as f64 / durable).round(),
        "profile_rows_per_s": (report.rows as f64 / applied).round(),
    }))
}

fn write(file: &std::path::Path, rows: u64) -> Result<(), Failure> {
    let rng = SeededRng::new(9);
    let mut out = std::io::BufWriter::new(std::fs::File::create(file)?);
    writeln!(out, "customer,e_mail,ordered_at,amount,category,country")?;
    let mut line = String::new();
    for _ in 0..rows {
        let customer = rng.below(rows / 10 + 1);
        line.clear();
        let _ = write!(
            line,
            "c-{customer},person{customer}@example.com,2025-{:02}-{:02}T{:02}:{:02}:00Z,{}.{:02},cat{:02},DE",
            rng.below(12) + 1,
            rng.below(28) + 1,
            rng.below(24),
            rng.below(60),
            rng.below(300),
            rng.below(100),
            rng.below(40)
        );
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}
