#!/usr/bin/env bash
# usage: toolchain/zizmor.sh VERSION SHA256…
#
# Brings zizmor, the linter of workflows, to .tools/zizmor-VERSION, unless it is there: the binary inside a wheel of the PyPI
# package zizmor, one of those with the given sha256. Python unpacks it and is not needed afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1
[ ! -x ".tools/zizmor-$version" ] || exit 0
die() { echo "tools: $*" >&2; exit 3; }
command -v python3 >/dev/null || die "python3 is needed to fetch zizmor. run: sudo apt-get install -y python3 python3-pip"

mkdir -p .tools
tmp=$(mktemp -d .tools/.zizmor.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
{
  printf 'zizmor==%s' "$version"
  printf ' --hash=sha256:%s' "${@:2}"
} >"$tmp/requirement"
echo "tools: fetching zizmor $version (10 MB)" >&2
PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip download -q --no-deps --no-cache-dir --only-binary=:all: --require-hashes \
  -r "$tmp/requirement" -d "$tmp/wheel" >&2 ||
  die "fetching zizmor $version from PyPI failed. check the network"
python3 -m zipfile -e "$tmp"/wheel/*.whl "$tmp/unpacked"
chmod +x "$tmp/unpacked/zizmor-$version.data/scripts/zizmor"
mv "$tmp/unpacked/zizmor-$version.data/scripts/zizmor" ".tools/zizmor-$version"
