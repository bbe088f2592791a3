#!/usr/bin/env bash
# A cluster on this machine: a store that speaks S3, a scheduler, two executors. Counts the eight audiences by them and by the
# embedded engine, and once more while one executor is killed. Arguments go to `onefold bench cluster`: --users, --events, …
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
mkdir "$folder/bucket"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
ROOT_ACCESS_KEY=demo ROOT_SECRET_KEY=secret tests/engines/bin/versitygw --quiet --port "127.0.0.1:$port" posix "$folder" >"$folder/store.log" 2>&1 &
store=$!
trap 'kill $store; rm -rf "$folder"' EXIT
until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do kill -0 $store; sleep 0.1; done
target/release/onefold bench cluster --url s3://bucket/lake --option "aws_endpoint=http://127.0.0.1:$port" \
  --option aws_allow_http=true --option aws_access_key_id=demo --option aws_secret_access_key=secret \
  --option aws_region=us-east-1 "$@"
