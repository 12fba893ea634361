#!/usr/bin/env bash
# Measures the SDK and the server side by side and prints tables with spread and targets. Release builds
# only: a figure of a debug build says nothing. `profile` adds a wheel with symbols, the same code otherwise.
source "$(dirname "$0")/steps.sh"
need cargo python3 node cc
scripts/build.sh
scripts/wheel.sh

if [ "${1-}" = profile ]; then
  say "the wheel with symbols"
  symbols=$root/.venvs/symbols
  out=$target/wheels-symbols
  rm -rf "$out"
  CARGO_PROFILE_RELEASE_DEBUG=line-tables-only CARGO_PROFILE_RELEASE_STRIP=none \
    "$venv/bin/maturin" build --release --locked --strip false --manifest-path sdk/python/Cargo.toml --out "$out"
  [ -x "$symbols/bin/python" ] || python3 -m venv "$symbols"
  "$symbols/bin/python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$out"/staso-*.whl
  export STASO_BENCH_SYMBOLS=$symbols/bin/python
fi

say "measuring"
wheels=("$target"/wheels/staso-*.whl)
STASO_BENCH_SERVER="$target/release/staso" STASO_BENCH_WHEEL=${wheels[0]} "$venv/bin/python" bench/run.py "$@"
