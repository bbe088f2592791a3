#!/usr/bin/env bash
# Every test, under the one profile `ci`.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never RUST_BACKTRACE=1

(cd console && npm run check && npm test)
cargo fmt --all --check
cargo clippy --profile ci --workspace --all-targets --features onefold/cluster --locked -- -D warnings
cargo test --profile ci --workspace --features onefold/cluster --locked
if [ "${FUZZ_SECONDS:-20}" != 0 ]; then fuzz/run.sh "${FUZZ_SECONDS:-20}"; fi
