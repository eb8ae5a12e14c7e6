#!/usr/bin/env bash
# usage: test/envoy/versions.sh [--list]
#
# Brings every Envoy of versions.txt to .tools/envoy-<version>/envoy, for `make envoys`; with --list, only prints the versions.
set -euo pipefail
cd "$(dirname "$0")/../.."

grep -v '^#' test/envoy/versions.txt | while read -r version sums; do
  if [ "${1:-}" = --list ]; then
    echo "$version"
    continue
  fi
  # shellcheck disable=SC2086 # one argument for each sum
  toolchain/envoy.sh "$version" $sums </dev/null
done
