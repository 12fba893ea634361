#!/usr/bin/env bash
# Installs the pinned tools that `make lint` needs and no package manager has, once, into .tools
# (or $STASO_TOOLS). Built without optimisation: that is 2 minutes instead of 8, and it runs once.
source "$(dirname "$0")/steps.sh"

deny_version=0.20.2
need cargo

if ! "$tools/bin/cargo-deny" --version 2>/dev/null | grep -qx "cargo-deny $deny_version"; then
  say "cargo-deny $deny_version into $tools (about 2 minutes, once)"
  CARGO_TARGET_DIR=$tools/build CARGO_PROFILE_DEV_DEBUG=0 \
    cargo install --quiet --locked --debug --no-default-features --force \
    --root "$tools" "cargo-deny@$deny_version"
  rm -rf "$tools/build"
fi
