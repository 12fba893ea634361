#!/usr/bin/env bash
# Measures the store at a size of one's choice, every read and write over HTTP, beside engines without a
# server: release build only. What it prints says which figure is met.
source "$(dirname "$0")/steps.sh"
need cargo python3 node cc
scripts/build.sh

say "measuring"
python=$(cd bench && python3 -c 'import environments; print(environments.interpreter("store"))')
STASO_BENCH_SERVER="$target/release/staso" "$python" bench/store/run.py "$@"
