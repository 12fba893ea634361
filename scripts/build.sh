#!/usr/bin/env bash
# Builds the one binary as it is shipped: release profile, the dashboard embedded, SQL in it.
source "$(dirname "$0")/steps.sh"
need cargo node cc
scripts/web.sh
say "the staso binary"
cargo build --release --locked -p staso-cli --features sql
ls -l "$target/release/staso"
