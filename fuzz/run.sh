#!/usr/bin/env bash
# Fuzzes each target for SECONDS on the stable toolchain: run.sh SECONDS [TARGET…]
#
# cargo-fuzz needs a nightly compiler for the address sanitizer. The decoders are safe Rust, where a panic or too much
# memory is the finding, so the coverage instrumentation that libFuzzer is guided by is enough; it is an LLVM pass
# that the stable compiler has too. Exits with 1 when a target crashed, hung or took more than MEMORY_MB (1024).
# What was found stands in artifacts/TARGET, what was learnt in corpus/TARGET.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:?usage: run.sh SECONDS [TARGET…]}
shift
[ $# -gt 0 ] || mapfile -t targets < <(sed -n '/^\[\[bin\]\]/,/^path/s/^name = "\(.*\)"/\1/p' Cargo.toml)
[ $# -eq 0 ] || targets=("$@")

host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=$PWD/target
# With --target, the flags are not applied to build scripts and macros, which have no libFuzzer to report to.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
for target in "${targets[@]}"; do
    cargo build --quiet --release --target "$host" --bin "$target"
done

failed=0
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    echo "== $target: $seconds s"
    "target/$host/release/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" -max_total_time="$seconds" \
        -rss_limit_mb="${MEMORY_MB:-1024}" -malloc_limit_mb="${MEMORY_MB:-1024}" -timeout=10 -verbosity=0 \
        -print_final_stats=1 2>&1 | grep -v -e '# Uses: ' -e 'ecommended dictionary' || failed=1
done
exit "$failed"
