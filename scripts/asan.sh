#!/bin/sh
# Runs what memcheck.sh runs, in seconds once it is built: an extension made with AddressSanitizer (a nightly
# compiler) in an ordinary interpreter, with the C compiler's libasan loaded first. Fails on any invalid read, write or
# free in the extension. Leaks are not asked for: what the interpreter keeps for ever would drown ours, and
# memcheck.sh tells them.
# `scripts/asan.sh [python]`; the interpreter defaults to .venv/bin/python.
set -eu
cd "$(dirname "$0")/.."
python=$(realpath -s "${1:-.venv/bin/python}")
runtime=$(cc -print-file-name=libasan.so)
[ -e "$runtime" ] || { echo "asan: no libasan (apt install gcc libc6-dev)" >&2; exit 1; }
host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}/asan
# With --target, build scripts and macros stay as they are: they run in processes without the runtime.
RUSTFLAGS="-Zsanitizer=address -Cdebuginfo=1" CARGO_TARGET_DIR=$target PYO3_PYTHON=$python \
    cargo +nightly build --locked --package staso-python --target "$host"
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cp -R sdk/python/python/staso "$home/staso"
cp "$target/$host/debug/lib_core.so" "$home/staso/_core.abi3.so"

# Python allocates with malloc here, so that each object has a guarded place of its own.
ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD=$runtime PYTHONMALLOC=malloc PYTHONHASHSEED=0 \
    PYTHONPATH=$home STASO_HOME=$home/state "$python" scripts/memcheck.py
