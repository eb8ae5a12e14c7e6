#!/usr/bin/env bash
# Builds the peers of the benchmark into build/, each from its source in peers/ and only when that is newer. Our own filter is
# built by `make build`. A peer that cannot be built is a failure: a table with a hole in it compares nothing.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p build

say() { echo "bench: $*" >&2; }
die() { say "$*"; exit 3; }
. ../toolchain/system.sh
fresh() { # OUT SOURCE...: OUT is newer than all of them
  local out=$1 source
  shift
  [ -f "$out" ] || return 1
  for source; do [ "$out" -nt "$source" ] || return 1; done
}

# The flags of the SDK's examples, on the target that replaced theirs. Debug sections are left out of every peer: sizes compare.
build_sdkexample() {
  [ -x ../.tools/bin/tinygo ] || die 'no TinyGo in .tools. run "make tools"'
  ../.tools/bin/tinygo build -target=wasip1 -buildmode=c-shared -scheduler=none -no-debug -o build/sdkexample.new ./peers/sdkexample
}

build_gowasip1() {
  GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags='-s -w' -o build/gowasip1.new ./peers/gowasip1
}

build_floor() { wasm-as peers/floor/floor.wat -o build/floor.new; }

# rustup's toolchain of the pinned version where there is rustup and it has, or can fetch, the standard library for wasm. Otherwise
# Debian's compiler builds that library from the source that Debian packages: RUSTC_BOOTSTRAP, because a stable compiler refuses
# -Zbuild-std without it.
build_rust() {
  local target=wasm32-unknown-unknown rust
  local args=(build --quiet --locked --release --target "$target" --target-dir "$PWD/build/rust-target" --manifest-path peers/rust/Cargo.toml)
  rust=$(sed -n 's/^channel = "\(.*\)"/\1/p' peers/rust/rust-toolchain.toml)
  if rust_std "$rust" "$target"; then
    rustup run "$rust" cargo "${args[@]}"
    rustup run "$rust" rustc --version >build/rust.version
  else
    debian_rust
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-19 \
      /usr/bin/cargo "${args[@]}" -Zbuild-std=std,panic_abort
    /usr/bin/rustc --version >build/rust.version
  fi
  cp "build/rust-target/$target/release/addheader.wasm" build/rust.new
}

rust_std() { # VERSION TARGET: rustup has the standard library of that version for that target, or brings it
  command -v rustup >/dev/null || return 1
  has_core "$1" "$2" && return
  say "installing Rust $1 for $2 with rustup"
  rustup --quiet toolchain install "$1" --profile minimal --target "$2" >&2 && has_core "$1" "$2" && return
  say "rustup could not, taking Debian's Rust"
  return 1
}

# An installation that was cut short leaves the folder, empty.
has_core() { compgen -G "$(rustup run "$1" rustc --print sysroot 2>/dev/null)/lib/rustlib/$2/lib/libcore-*.rlib" >/dev/null; }

debian_rust() {
  local packages=()
  [ -x /usr/bin/rustc ] || packages+=(rustc-web)
  [ -x /usr/bin/cargo ] || packages+=(cargo-web)
  compgen -G '/usr/src/rustc-*/library/std/Cargo.toml' >/dev/null || packages+=(rust-web-src libstd-rust-web-dev)
  command -v wasm-ld-19 >/dev/null || packages+=(lld-19)
  [ ${#packages[@]} = 0 ] || system "${packages[@]}"
}

# What `make build` does to our filters: exports of unused callbacks go, then what only they reached.
build_rustpruned() {
  # What Rust 1.95 compiles to by default: with --all-features binaryen would write what V8 does not read.
  local features=(--enable-bulk-memory --enable-mutable-globals --enable-nontrapping-float-to-int --enable-sign-ext --enable-reference-types --enable-multivalue)
  wasm-metadce "${features[@]}" --graph-file peers/rust/exports.json build/rust.wasm -o build/rustpruned.dce >/dev/null
  wasm-opt "${features[@]}" -Oz build/rustpruned.dce -o build/rustpruned.new
  rm build/rustpruned.dce
}

# peer NAME SOURCE...: build/NAME.wasm, by build_NAME.
peer() {
  local name=$1
  shift
  ! fresh "build/$name.wasm" build.sh "$@" || return 0
  say "building $name"
  "build_$name"
  mv "build/$name.new" "build/$name.wasm"
}

command -v go >/dev/null || die "go is missing. install Go 1.26 or newer"
command -v wasm-as >/dev/null && command -v wasm-metadce >/dev/null || system binaryen
command -v valgrind >/dev/null || system valgrind # counts instructions in a test
[ $# -gt 0 ] || set -- floor sdkexample gowasip1 rust rustpruned
for name; do
  case $name in
    floor) peer floor peers/floor/floor.wat ;;
    sdkexample) peer sdkexample peers/sdkexample/main.go go.mod ../Tools.mk ;;
    gowasip1) peer gowasip1 peers/gowasip1/main.go go.mod ;;
    rust) peer rust peers/rust/src/lib.rs peers/rust/Cargo.toml peers/rust/Cargo.lock peers/rust/rust-toolchain.toml ;;
    rustpruned) peer rustpruned build/rust.wasm peers/rust/exports.json ;;
    *) die "unknown peer $name" ;;
  esac
done
