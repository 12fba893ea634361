#!/usr/bin/env bash
# Shared by the other scripts: where the project is, which tools it has, how steps are run and told.
# Sourced, never run. It changes into the project's root and defines:
#   say, die           one line to the reader; the same and the end
#   need TOOL...       ends with what is missing and how to get it, all at once
#   step NAME CMD...   runs a command and remembers whether it failed
#   finish             says which steps failed; its status is the script's

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# Pinned tools that no package manager of the machine has. A machine that builds many clones can
# share one directory between them.
tools=${STASO_TOOLS:-$root/.tools}
venv=$root/.venv
target=${CARGO_TARGET_DIR:-$root/target}
results=$target/test-results

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
die() { printf '\n%s\n' "$*" >&2; exit 1; }

# at_least HAVE WANT: whether version HAVE is WANT or newer.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

python_version() { python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# lacks TOOL: prints what is wrong with a tool and how to get it; nothing when all is well.
lacks() {
  local have
  case $1 in
    cargo)
      have=$(rustc --version 2>/dev/null | cut -d' ' -f2) || true
      if ! command -v cargo >/dev/null || [ -z "$have" ]; then
        echo "Rust 1.95 or newer (cargo and rustc): install it with rustup, see https://rustup.rs"
      elif ! at_least "$have" 1.95; then
        echo "Rust 1.95 or newer (here is $have): rustup update stable"
      fi ;;
    python3)
      have=$(python_version) || true
      if [ -z "$have" ]; then
        echo "Python 3.10 or newer: apt install python3 python3-venv"
      elif ! at_least "$have" 3.10; then
        echo "Python 3.10 or newer (here is $have): apt install python3 python3-venv"
      elif ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
        echo "Python's venv and pip: apt install python3-venv"
      fi ;;
    node)
      have=$(node --version 2>/dev/null | tr -d v) || true
      if [ -z "$have" ]; then
        echo "Node 20.19 or newer, with npm: apt install nodejs npm (check its version), or see https://nodejs.org"
      elif ! at_least "$have" 20.19; then
        echo "Node 20.19 or newer (here is $have): see https://nodejs.org"
      elif ! command -v npm >/dev/null; then
        echo "npm: apt install npm"
      fi ;;
    cc) command -v cc >/dev/null || echo "a C compiler (SQLite and zstd are built from source): apt install gcc libc6-dev" ;;
    chromium) command -v chromium >/dev/null || echo "Chromium (the dashboard's journeys run in it): apt install chromium" ;;
    *) echo "scripts/steps.sh knows no tool called $1" ;;
  esac
}

need() {
  local tool message missing=""
  for tool in "$@"; do
    message=$(lacks "$tool")
    [ -z "$message" ] || missing+="  - $message"$'\n'
  done
  [ -z "$missing" ] || die "This needs what is missing here:
$missing
Then run the same command again."
}

failed_steps=()
step() {
  local name=$1 began=$SECONDS
  shift
  say "$name"
  if "$@"; then
    printf -- '-- %s: ok, %d s\n' "$name" $((SECONDS - began))
  else
    failed_steps+=("$name")
    printf -- '-- %s: FAILED, %d s\n' "$name" $((SECONDS - began)) >&2
    return 1
  fi
}

finish() {
  [ ${#failed_steps[@]} -eq 0 ] && return 0
  local name
  printf '\nfailed:\n' >&2
  for name in "${failed_steps[@]}"; do printf '  - %s\n' "$name" >&2; done
  return 1
}
