#!/usr/bin/env bash
# Installs what the tests need and the machine has not: from the system's packages and the language registries only.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

missing=()
if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && ! command -v initdb >/dev/null; then missing+=(postgresql); fi
command -v chromium >/dev/null || missing+=(chromium)
command -v go >/dev/null || missing+=(golang-go)
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}"
  as_root apt-get update -qq
  # A server that the package starts by itself is not needed: the tests start their own.
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# What Node needs in a folder: the SDKs, and what the console is made of.
for folder in tests/sdk console; do
  if [ ! -d "$folder/node_modules" ] || [ "$folder/package-lock.json" -nt "$folder/node_modules/.package-lock.json" ]; then
    echo "installing for Node: $folder"
    (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error)
  fi
done

# What Python needs in a folder: the SDKs, the engines that read our tables.
for folder in tests/sdk tests/engines; do
  if [ ! -d "$folder/.venv" ] || [ "$folder/requirements.txt" -nt "$folder/.venv/bin/activate" ]; then
    echo "installing for Python: $(paste -sd' ' "$folder/requirements.txt")"
    python3 -m venv "$folder/.venv"
    "$folder/.venv/bin/pip" install --quiet --disable-pip-version-check -r "$folder/requirements.txt"
    touch "$folder/.venv/bin/activate"
  fi
done

# A real server of S3's protocol, for the lake.
if [ ! -x tests/engines/bin/versitygw ]; then
  echo "building an S3 server"
  GOBIN="$PWD/tests/engines/bin" go install github.com/versity/versitygw/cmd/versitygw@v1.8.0
fi
