//! Plays seeds: `cargo run -p onefold-sim -- --seeds 200 --from 1`.

use std::process::ExitCode;

use clap::Parser;
use onefold_sim::run;

/// Plays seeds and says which break something.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Shows what happens in the story of the first seed, and no more.
    #[arg(long)]
    show: bool,
}

#[expect(clippy::disallowed_methods, reason = "how long it takes is measured here, at the edge")]
fn main() -> ExitCode {
    let Arguments { seeds, from, show } = Arguments::parse();
    if show {
        run::ops(from).iter().for_each(|op| println!("{op:?}"));
        return ExitCode::SUCCESS;
    }
    let began = std::time::Instant::now();
    for seed in from..from.saturating_add(seeds) {
        if let Err(broken) = run::play(&run::ops(seed)) {
            println!("seed {seed} breaks:\n{broken}\n\nwhat is needed for it:\n{}", run::shrunk(run::ops(seed)));
            println!("again: cargo run -p onefold-sim -- --seeds 1 --from {seed}");
            return ExitCode::FAILURE;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{seeds} seeds from {from} hold: {:.1} a second", seeds as f64 / seconds);
    ExitCode::SUCCESS
}
