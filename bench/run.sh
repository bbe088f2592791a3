#!/usr/bin/env bash
# Runs the benchmarks and keeps their figures under bench/results.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p bench/results
bin=target/release/onefold
"$bin" bench ingest --json | tee bench/results/ingest.json
"$bin" bench pipeline --json | tee bench/results/pipeline.json
"$bin" bench live --json | tee bench/results/live.json
"$bin" bench import --json | tee bench/results/import.json
