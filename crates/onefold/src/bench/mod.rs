//! `onefold bench`: figures that others can measure again, on their machine.

mod ingest;
mod load;
mod null;
mod pipeline;

use crate::{Failure, cli, cli::Common, output};

/// Runs a benchmark and prints its figures.
pub async fn run(common: &Common, bench: cli::Bench) -> Result<(), Failure> {
    let figures = match bench {
        cli::Bench::Ingest { seconds } => ingest::run(seconds).await?,
        cli::Bench::Pipeline { events, profiles } => {
            tokio::task::spawn_blocking(move || pipeline::run(events, profiles))
                .await
                .map_err(|error| Failure::new(error.to_string(), ""))??
        }
    };
    output::print(common, &figures)
}
