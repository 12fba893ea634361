#!/usr/bin/env bash
# Measures the SDK and the server side by side and prints a table with spread. Release builds only:
# a figure of a debug build says nothing.
source "$(dirname "$0")/steps.sh"
need cargo python3 node cc
scripts/build.sh
scripts/wheel.sh
say "measuring"
STASO_BENCH_SERVER="$target/release/staso" "$venv/bin/python" bench/run.py "$@"
