#!/usr/bin/env bash
# Runs the benchmarks and keeps their figures under bench/results.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p bench/results
bin=target/release/onefold
# Each in an environment of its own: their versions of numpy and pyarrow quarrel.
for peer in duckdb:duckdb==2.0.0 clickhouse:chdb==4.4.0 splink:splink==5.0.0; do
  folder=target/peers/${peer%%:*}
  if [ ! -x "$folder/bin/python" ]; then
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet "${peer#*:}"
  fi
done
"$bin" bench ingest --json | tee bench/results/ingest.json
"$bin" bench pipeline --json | tee bench/results/pipeline.json
"$bin" bench live --json | tee bench/results/live.json
"$bin" bench import --json | tee bench/results/import.json
"$bin" bench segments --json | tee bench/results/segments.json
