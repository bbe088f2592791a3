# The commands of the README. Everything is set up by these targets; each may be run on a fresh machine.

SHELL := /bin/bash
.PHONY: demo serve test setup check sdk bench cluster-demo fuzz clean

BIN := target/release/onefold

$(BIN): $(shell find crates data console/src -name '*.rs' -o -name '*.toml' -o -name '*.ts' -o -name '*.tsx' -o -name '*.css' -o -name '*.json') Cargo.toml Cargo.lock config.default.toml
	cargo build --release --locked -p onefold

## Set up, build, run the main job on the shipped real data, print the result, exit.
demo: $(BIN)
	$(BIN) demo

## The same, then keep serving on http://127.0.0.1:8080.
serve: $(BIN)
	$(BIN) demo --keep

## Set up what is missing, run every test.
test: setup
	tests/run.sh

## Install what the tests need and is not there: PostgreSQL, Chromium, the SDKs.
setup:
	tests/setup.sh

## Formatting, lints, licences; part of `make test`.
check:
	cd console && npm run check
	cargo fmt --all --check
	cargo clippy --profile ci --workspace --all-targets --features onefold/cluster --locked -- -D warnings

## Put the stock build of Segment's browser SDK into ./sdk; name that folder in [ingest] sdk_folder to serve it.
sdk: setup
	mkdir -p sdk && cp tests/sdk/node_modules/@segment/analytics-next/dist/umd/*.js sdk/

## Benchmarks; see bench/README.md.
bench: $(BIN)
	bench/run.sh

## SQL by two executors over a store that speaks S3, beside the embedded engine, and with one of them killed. Builds the cluster
## engine as well, which takes as long again.
cluster-demo: setup
	cargo build --release --locked -p onefold --features cluster
	bench/cluster.sh

## Fuzz every decoder for a while: make fuzz SECONDS=60.
fuzz:
	fuzz/run.sh $${SECONDS_EACH:-30}

clean:
	cargo clean
