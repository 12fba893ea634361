#!/usr/bin/env bash
# Builds the wheel with the server's binary, which `pip install "staso[server]"` adds, into target/wheels.
# The binary is the one that scripts/build.sh builds; with STASO_BIN=path it is that one, and nothing is built.
source "$(dirname "$0")/steps.sh"
need python3
[ -n "${STASO_BIN:-}" ] || scripts/build.sh
say "the server's wheel"
out=$target/wheels
mkdir -p "$out"
rm -f "$out"/staso_server-*.whl
CARGO_TARGET_DIR=$target python3 -c '
import sys
sys.path.insert(0, "sdk/python-server")
import backend
print(sys.argv[1] + "/" + backend.build_wheel(sys.argv[1]))' "$out"
