#!/usr/bin/env bash
# Makes .venv with the development tools of sdk/python, builds the wheel and installs it there.
# One profile only, release: what the tests see is what users get.
source "$(dirname "$0")/steps.sh"
need cargo python3 cc

requirements=sdk/python/requirements-dev.txt
if [ ! -x "$venv/bin/python" ]; then
  say "a virtual environment in .venv"
  python3 -m venv "$venv"
fi
if ! cmp -s "$requirements" "$venv/requirements-installed.txt"; then
  say "the Python tools"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" "$venv/requirements-installed.txt"
fi

say "the wheel"
out=$target/wheels
mkdir -p "$out"
rm -f "$out"/staso-*.whl
"$venv/bin/maturin" build --release --locked --manifest-path sdk/python/Cargo.toml --out "$out"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$out"/staso-*.whl
