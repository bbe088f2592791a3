//! Some seeds, at every run of the tests. More: `cargo run -p onefold-sim -- --seeds 2000`.

use onefold_sim::run;

const SEEDS: std::ops::RangeInclusive<u64> = 1..=60;

#[test]
fn seeds_hold() {
    for seed in SEEDS {
        if let Err(broken) = run::play(&run::ops(seed)) {
            panic!("seed {seed} breaks; see it smaller: cargo run -p onefold-sim -- --seeds 1 --from {seed}\n{broken}");
        }
    }
}
