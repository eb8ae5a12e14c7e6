#!/usr/bin/env bash
# Shows the whole way on this machine: build, publish, promote, render, run, and two changes picked up live. Called by
# `make demo`. It works in a temporary copy of the tree and calls only the commands that you would call.
#
# samples: filters/addheader filters/jwtfetch manifests/overlays/dev/addheader-config.yaml manifests/overlays/staging
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
gone=$("$here/scripts/samples" scripts/demo.sh)
[ -z "$gone" ] || { echo "$gone"; exit; }
copy=$(mktemp -d "${TMPDIR:-/tmp}/wasmfleet-demo.XXXXXX")
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
  rm -rf "$copy"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

bold=; plain=
[ -t 1 ] && bold=$'\e[1m' plain=$'\e[0m'
step() { printf '\n%s== %s%s\n' "$bold" "$1" "$plain"; shift; [ $# = 0 ] || printf '   %s\n' "$@"; }
do_() { printf '%s$ %s%s\n' "$bold" "$*" "$plain"; "$@"; }
fail() { echo "demo: $*" >&2; [ ! -f run.log ] || tail -n 20 run.log >&2; exit 1; }

# until_seen WHAT COMMAND...: repeats the command for at most 15 s until its output contains WHAT, and prints that output.
until_seen() {
  local what=$1 out i
  shift
  for ((i = 0; i < 150; i++)); do
    if out=$("$@" 2>&1) && grep -qF -- "$what" <<<"$out"; then
      sed 's/^/   /' <<<"$out"
      return
    fi
    sleep 0.1
  done
  fail "waited 15 s for '$what', last seen: ${out:-nothing}"
}

step "A copy of the tree, so that yours stays as it is" "$copy"
cd "$here"
git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - 2>/dev/null | tar -xf - -C "$copy"
[ ! -d build ] || cp -Rp build "$copy/"
[ ! -d bin ] || cp -Rp bin "$copy/"
ln -s "$here/.tools" "$copy/.tools"
cd "$copy"
git init -q . && git add -A && git -c user.name=demo -c user.email=demo@localhost commit -qm demo
make() { command make --no-print-directory "$@"; }

step "A registry" "go-containerregistry's own, on a free port of this machine. Yours would be ghcr.io or the like."
"$CRANE" registry serve --address 127.0.0.1:0 >registry.log 2>&1 &
pids+=($!)
until_seen "serving on port" cat registry.log
export REPO="127.0.0.1:$(sed -n 's/.*serving on port //p' registry.log)/demo" VERSION=v1

step "Build: Go source to a Wasm module, by TinyGo"
do_ make build

step "Publish: each module becomes an OCI image" "What is printed is the reference that pins it: the digest decides, the tag is for people."
do_ make publish

step "Promote: dev pins exactly these digests"
do_ make promote TO=dev

step "Render: base + overlay + pins become the manifests that Argo CD would sync"
do_ make render ENV=dev
grep -H 'url:' manifests/rendered/dev/*wasmplugin*

step "Run: a real Envoy with the rendered configuration" "The modules come from the registry, by digest; behind it an echo service and a token service."
command make --no-print-directory run ENV=dev >url 2>run.log & # not the function: the signal at the end is for make
pids+=($!)
until_seen "http://" cat url
url=$(cat url)
do_ curl -s -i "$url/hello" | tee answer
grep -qi '^hello: world' answer || fail "no header hello: world"
echo "   ^ addheader put hello: world on the response."
until_seen '"Bearer ' curl -s "$url/hello" >answer
grep -io '"authorization":.*"Bearer [^"]\{12\}' answer | sed 's/$/…"/; s/^/   /' || fail "no token reached the echo service"
echo "   ^ jwtfetch gave the request a token on its way to the upstream; the client never sees it."

step "A value changes: edit the overlay, render, done" "Envoy keeps running; no request fails."
do_ sed -i.bak 's/value: .*/value: changed in dev/' manifests/overlays/dev/addheader-config.yaml
do_ make render ENV=dev
until_seen "hello: changed in dev" curl -s -o /dev/null -D - "$url/hello"

step "The code changes: edit the filter, build, publish, promote, render" "The new digest reaches the running Envoy."
do_ sed -i.bak 's/ctx.config.value)/ctx.config.value+", twice")/' filters/addheader/plugin.go
grep -q 'twice' filters/addheader/plugin.go || fail "the edit of filters/addheader/plugin.go did not apply"
do_ make publish FILTER=addheader VERSION=v2
do_ make promote TO=dev
do_ make render ENV=dev
until_seen "hello: changed in dev, twice" curl -s -o /dev/null -D - "$url/hello"

step "Promote to staging: a diff of digests, for review"
do_ make promote TO=staging PROMOTEFLAGS=--allow-loopback
git --no-pager diff --stat manifests/overlays/staging
git --no-pager diff -U0 manifests/overlays/staging | grep '^[-+] ' || fail "promoting to staging changed nothing"

step "Done: every response was checked. Cleaning up."
