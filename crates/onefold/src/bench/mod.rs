//! `onefold bench`: figures that others can measure again, on their machine.

mod append;
#[cfg(feature = "cluster")]
mod cluster;
mod import;
mod ingest;
mod link;
mod live;
mod load;
mod null;
mod pipeline;
mod privacy;
mod segments;
mod shop;
mod sql;

use axum::http::Method;
use serde_json::json;

use crate::{Failure, cli, cli::Common, client::Client, output, serve::Server, settings::Settings};

/// Runs a benchmark and prints its figures.
pub async fn run(common: &Common, bench: cli::Bench) -> Result<(), Failure> {
    let figures = match bench {
        cli::Bench::Ingest { seconds } => ingest::run(seconds).await?,
        cli::Bench::Live { seconds } => live::run(seconds).await?,
        cli::Bench::Import { rows } => import::run(rows).await?,
        cli::Bench::Segments { users, events, load, now, peers } => {
            let now = onefold_model::Timestamp::parse(&now)
                .ok_or_else(|| Failure::new(format!("{now:?} is no time"), "write it as 2026-01-01T00:00:00Z"))?;
            let settings = segments::Settings { users, events, load, now, peers };
            apart(move || segments::run(&settings)).await?
        }
        cli::Bench::Link { file, peers } => apart(move || link::run(&link::Settings { file, peers })).await?,
        cli::Bench::Pipeline { events, profiles, privacy } => {
            apart(move || pipeline::run(events, profiles, privacy)).await?
        }
        cli::Bench::Privacy { people, events } => privacy::run(people, events).await?,
        #[cfg(feature = "cluster")]
        cli::Bench::Cluster { users, events, executors, url, option: given } => {
            let option = |text: String| {
                let (name, value) = text.split_once('=').ok_or_else(|| {
                    Failure::new(format!("{text:?} is no option"), "write it as aws_endpoint=http://127.0.0.1:9000")
                })?;
                Ok((name.to_owned(), value.to_owned()))
            };
            let options = given.into_iter().map(option).collect::<Result<Vec<_>, Failure>>()?;
            // 2026-01-01: as of an instant that the shop knows, every run counts the same.
            let now = onefold_model::Timestamp(1_767_225_600_000);
            let settings = cluster::Settings { users, events, executors, url, options, now };
            apart(move || cluster::run(&settings)).await?
        }
    };
    output::print(common, &figures)
}

/// Runs what blocks on a thread of its own.
async fn apart<T: Send + 'static>(what: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(what).await.map_err(|error| Failure::new(error.to_string(), ""))?
}

/// A server on a temporary folder, and the way to its API.
async fn server(folder: &std::path::Path, pipeline: bool) -> Result<(Server, Client, Settings), Failure> {
    let common = Common {
        data: folder.join("onefold-data"),
        config: None,
        format: None,
        json: true,
        workspace: "default".to_owned(),
    };
    let mut settings = Settings::read(&common)?;
    settings.server.listen = "127.0.0.1:0".to_owned();
    settings.pipeline.run = pipeline;
    // Receivers of benchmarks listen on loopback.
    settings.egress.allowed.push("127.0.0.1/32".to_owned());
    let server = Server::start(&settings).await?;
    let client = Client::of_server(&settings.data, "default")
        .await?
        .ok_or_else(|| Failure::new("the server that was just started does not answer", "run it again"))?;
    Ok((server, client, settings))
}

/// Makes a source; gives its write key.
async fn source(client: &Client, name: &str) -> Result<String, Failure> {
    let made = client.send(Method::POST, "/api/v1/sources", &json!({ "name": name })).await?;
    Ok(made["write_key"].as_str().unwrap_or_default().to_owned())
}

/// What this process has used so far, where the system says it: processor time of all its threads in microseconds, and
/// bytes that it had the disk write.
fn used() -> Option<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name, which may hold anything, the fields 14 and 15 of proc(5): ticks of 10 ms.
    let ticks = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().ok());
    let io = std::fs::read_to_string("/proc/self/io").ok()?;
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()?;
    Some((ticks.sum::<Option<u64>>()? * 10_000, written))
}

/// Resident memory of this process in MiB, where the system says it.
fn rss_mib() -> Option<u64> {
    memory_mib("VmRSS:")
}

/// The most that it was.
pub fn memory_mib_max() -> Option<u64> {
    memory_mib("VmHWM:")
}

fn memory_mib(of: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(of))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}
