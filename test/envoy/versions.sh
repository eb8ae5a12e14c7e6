#!/usr/bin/env bash
# Brings every Envoy of versions.txt to .tools/envoy-<version>/envoy, for `make envoys`.
set -euo pipefail
cd "$(dirname "$0")/../.."

grep -v '^#' test/envoy/versions.txt | while read -r version sums; do
  # shellcheck disable=SC2086 # one argument for each sum
  toolchain/envoy.sh "$version" $sums </dev/null
done
