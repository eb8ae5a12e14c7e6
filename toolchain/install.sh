#!/usr/bin/env bash
# Brings TinyGo, Envoy and what they need into .tools/ in the versions of Tools.mk. Called by `make tools`.
#
# A tool of exactly the pinned version on PATH is used as it is; TINYGO=/path and ENVOY=/path override. Everything lands
# beside its final place and is renamed, so an interrupted run leaves nothing half installed.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/.tools
mkdir -p "$tools/bin"
tmp=$(mktemp -d "$tools/.install.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

say() { echo "tools: $*" >&2; }
die() { say "$*"; exit 3; }
. toolchain/system.sh
version_of() { # TOOL PATH: the version it says it is, or nothing
  case $1 in
    tinygo) "$2" version 2>/dev/null | sed -n 's/^tinygo version \([^ ]*\).*/\1/p' ;;
    envoy) "$2" --version 2>/dev/null | sed -n 's|.*/\([0-9][0-9.]*\)/[A-Z].*|\1|p' ;;
    wasm-opt) "$2" --version 2>/dev/null | sed -n 's/^wasm-opt version \([0-9]*\).*/\1/p' ;;
  esac
}
link() { # TOOL VERSION PATH: .tools/bin/TOOL runs PATH, for as long as Tools.mk says VERSION
  printf '#!/bin/sh\n# %s\nexec "%s" "$@"\n' "$2" "$3" >"$tmp/link"
  chmod +x "$tmp/link"
  mv "$tmp/link" "$tools/bin/$1"
}
linked() { # TOOL VERSION: .tools/bin/TOOL runs that version and it is still there
  local at
  [ -f "$tools/bin/$1" ] && grep -qxF "# $2" "$tools/bin/$1" || return 1
  at=$(sed -n 's/^exec "\(.*\)" "$@"$/\1/p' "$tools/bin/$1")
  [ -x "$at" ]
}

# use TOOL VERSION OVERRIDE: takes the override, what is linked already, or the tool on PATH; fails when it must be installed.
use() {
  local v
  if [ "$3" -ef "$tools/bin/$1" ]; then
    set -- "$1" "$2" "" # our own link: it must not come to run itself
  fi
  if [ -n "$3" ]; then
    v=$(version_of "$1" "$3") || true
    [ "$v" = "$2" ] || die "$3 is ${v:+$1 $v}${v:-not a runnable $1}, but Tools.mk pins $1 $2. give the path of that version, or unset the variable"
    link "$1" "$2" "$3"
    return
  fi
  linked "$1" "$2" && return
  local at
  at=$(command -v "$1") || return 1
  [ ! "$at" -ef "$tools/bin/$1" ] || return 1
  v=$(version_of "$1" "$at") || true
  if [ "$v" != "$2" ]; then
    say "$at is $1 ${v:-of unknown version}, Tools.mk pins $2: installing $2 into .tools"
    return 1
  fi
  link "$1" "$2" "$at"
}

# with_packages PACKAGE...: installs these, and those that our own TinyGo needs to run and to link, as far as they are not there.
with_packages() {
  local llvm=$LLVM_VERSION packages=("$@")
  compgen -G "/usr/lib/*/libLLVM*$llvm*" >/dev/null || packages+=("libllvm$llvm")
  command -v "clang-$llvm" >/dev/null || packages+=("clang-$llvm")
  command -v "wasm-ld-$llvm" >/dev/null || packages+=("lld-$llvm")
  [ -f /usr/lib/wasm32-wasi/libc.a ] || packages+=(wasi-libc)
  [ -d "/usr/lib/llvm-$llvm/lib/clang/$llvm/lib/wasi" ] || packages+=("libclang-rt-$llvm-dev-wasm32")
  command -v wasm-opt >/dev/null || packages+=(binaryen)
  [ ${#packages[@]} = 0 ] || system ${packages[@]+"${packages[@]}"}
}

# TinyGo is built from its Go module, whose zip lacks the git submodules: the tree it needs at run time is put together from
# the module and Debian's wasi-libc and compiler-rt. The wasip1 target is edited for these and without the features that LLVM 19 lacks.
build_tinygo() {
  local llvm=$LLVM_VERSION packages=() module
  command -v "llvm-config-$llvm" >/dev/null && [ -d "/usr/lib/llvm-$llvm/include/llvm-c" ] || packages+=("llvm-$llvm-dev")
  [ -d "/usr/lib/llvm-$llvm/include/clang-c" ] || packages+=("libclang-$llvm-dev")
  with_packages ${packages[@]+"${packages[@]}"}

  grep -qF "github.com/tinygo-org/tinygo v$TINYGO_VERSION " toolchain/tinygo/go.mod ||
    die "toolchain/tinygo/go.mod does not require v$TINYGO_VERSION, which Tools.mk pins. run: cd toolchain/tinygo && go get github.com/tinygo-org/tinygo@v$TINYGO_VERSION"
  say "building TinyGo $TINYGO_VERSION with LLVM $llvm (about a minute)"
  (cd toolchain/tinygo && go build -trimpath "-tags=llvm$llvm" -o "$tmp/tinygo/bin/tinygo" github.com/tinygo-org/tinygo)
  module=$(cd toolchain/tinygo && go list -m -f '{{.Dir}}' github.com/tinygo-org/tinygo)
  cp -R "$module/src" "$module/targets" "$module/lib" "$tmp/tinygo/"
  chmod -R u+w "$tmp/tinygo"
  mkdir -p "$tmp/tinygo/src/net"
  sed -e '/"libc":/d' -e '/"rtlib":/d' -e '/gc_boehm.c/d' -e 's|asm_tinygowasm.S",|asm_tinygowasm.S"|' \
    -e 's/+bulk-memory-opt,+call-indirect-overlong,//' -e 's|"--no-demangle"|"--no-demangle", "-L/usr/lib/wasm32-wasi", "-lc"|' "$module/targets/wasip1.json" >"$tmp/tinygo/targets/wasip1.json"
  rm -rf "$tools/tinygo-$TINYGO_VERSION"
  mv "$tmp/tinygo" "$tools/tinygo-$TINYGO_VERSION"
  link tinygo "$TINYGO_VERSION" "$tools/tinygo-$TINYGO_VERSION/bin/tinygo"
}

# link_builtins has the tree that was built here link compiler-rt, without which a 128-bit product, which LLVM makes of plain loops,
# is an undefined symbol.
link_builtins() {
  local target=$tools/tinygo-$TINYGO_VERSION/targets/wasip1.json
  local builtins=/usr/lib/llvm-$LLVM_VERSION/lib/clang/$LLVM_VERSION/lib/wasi/libclang_rt.builtins-wasm32.a
  [ -f "$target" ] && ! grep -qF "$builtins" "$target" || return 0
  [ -f "$builtins" ] || system "libclang-rt-$LLVM_VERSION-dev-wasm32"
  sed "s|\"-lc\"|\"-lc\", \"$builtins\"|" "$target" >"$tmp/target"
  mv "$tmp/target" "$target"
}

fetch_envoy() {
  toolchain/envoy.sh "$ENVOY_VERSION"
  link envoy "$ENVOY_VERSION" "$tools/envoy-$ENVOY_VERSION/envoy"
}

command -v go >/dev/null || die "go is missing. install Go 1.26 or newer"
use tinygo "$TINYGO_VERSION" "${TINYGO:-}" || build_tinygo
# Our own may have come out of a cache, to a machine that has none of what it needs.
! grep -qF "\"$tools/" "$tools/bin/tinygo" || with_packages
link_builtins
use envoy "$ENVOY_VERSION" "${ENVOY:-}" || fetch_envoy
command -v wasm-opt >/dev/null || system binaryen
binaryen=$(version_of wasm-opt wasm-opt)
[ "$binaryen" = "$BINARYEN_VERSION" ] ||
  say "wasm-opt is $binaryen, Tools.mk pins $BINARYEN_VERSION: modules may get other bytes than the committed pins"

[ "${1:-}" = -q ] && exit
libc=system
[ -f /usr/lib/wasm32-wasi/libc.a ] && libc=$(sha256sum /usr/lib/wasm32-wasi/libc.a | cut -d' ' -f1)
printf '%-10s %s\n' tinygo "$("$tools/bin/tinygo" version)" envoy "$ENVOY_VERSION" wasm-opt "$binaryen" wasi-libc "$libc"
