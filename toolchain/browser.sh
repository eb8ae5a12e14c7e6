#!/usr/bin/env bash
# Prints the path of a Chromium or Chrome for the test of the playground, and installs Debian's when there is none. BROWSER=/path chooses one.
# Called by `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { echo "tools: $*" >&2; }
die() { say "$*"; exit 3; }
. toolchain/system.sh
find_browser() {
  local name
  for name in ${BROWSER:-chromium chromium-browser google-chrome google-chrome-stable}; do
    command -v "$name" && return
  done
  return 1
}
find_browser || { [ -z "${BROWSER:-}" ] || die "BROWSER=$BROWSER is no program"; system chromium && find_browser; }
