# shellcheck shell=bash
# Sourced by the scripts that need packages of the system. They define die and say.

# system PACKAGE...: Debian packages by apt-get where that works, otherwise the one command to run.
system() {
  local sudo='' log
  local command="apt-get update && sudo apt-get install -y --no-install-recommends $*"
  command -v apt-get >/dev/null ||
    die "missing from this system: $*. install them with your package manager (on macOS: brew install tinygo binaryen), then run this again"
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || die "missing system packages. run: sudo $command"
    sudo=sudo
  fi
  say "installing with apt-get: $*"
  log=$(mktemp)
  { $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"; } >"$log" 2>&1 ||
    { tail -n 5 "$log" >&2; rm -f "$log"; die "apt-get failed. run: sudo $command"; }
  rm -f "$log"
}
