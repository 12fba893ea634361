#!/usr/bin/env bash
# One wheel, every CPython from 3.10 on that pyenv has or that is on PATH: the Python tests on each, and a
# table of what came of it, which is where the README's list of versions comes from.
#   scripts/matrix.sh [WHEEL]      without a wheel, one is built as scripts/wheel.sh does
source "$(dirname "$0")/steps.sh"

wheel=${1:-}
if [ -z "$wheel" ]; then
  scripts/wheel.sh
  wheel=$(ls "$target"/wheels/staso-*.whl)
fi
wheel=$(realpath "$wheel")
mkdir -p "$results"

# One line for each version: its number, and the interpreter. The first one found of a version counts.
interpreters() {
  local python named
  named=$(compgen -c python3. | grep -xE 'python3\.[0-9]+t?' | sort -u || true)
  for python in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python3 $named; do
    "$python" -c '
import platform, sys
if sys.version_info >= (3, 10) and platform.python_implementation() == "CPython":
    print(platform.python_version() + "t" * ("free-threading" in sys.version), sys.executable)' 2>/dev/null || true
  done | sort -V -u -k1,1
}

# What the tests need; the checkers and the builder run elsewhere.
requirements=$target/matrix-requirements.txt
grep -vE '^(maturin|mypy|pyright|ruff)==' sdk/python/requirements-dev.txt >"$requirements"

# environment HOME PYTHON: the environment of a version, with the requirements and the wheel.
environment() {
  [ -x "$1/bin/python" ] || "$2" -m venv "$1" || return 1
  local pip=("$1/bin/python" -m pip --quiet --disable-pip-version-check install)
  if ! cmp -s "$requirements" "$1/requirements-installed.txt"; then
    "${pip[@]}" -r "$requirements" >"$1/pip.log" 2>&1 || return 1
    cp "$requirements" "$1/requirements-installed.txt"
  fi
  "${pip[@]}" --force-reinstall --no-deps "$wheel" >"$1/pip.log" 2>&1
}

rows=()
failures=0
while read -r version python; do
  say "CPython $version"
  home=$root/.venvs/matrix-$version
  if ! environment "$home" "$python"; then
    reason=$(grep -m 1 '^ERROR: \(No matching\|Could not\|Failed\)' "$home/pip.log" | cut -c 8-80)
    rows+=("$version|skipped|not installable: ${reason:-see $home/pip.log}")
    continue
  fi
  log=$results/matrix-$version.log
  if "$home/bin/python" -m pytest sdk/python/tests 2>&1 | tee "$log"; then
    rows+=("$version|passed|$(tail -n 1 "$log")")
  else
    failures=$((failures + 1))
    rows+=("$version|FAILED|$(tail -n 1 "$log")")
  fi
done < <(interpreters)

say "$(basename "$wheel")"
printf '%-10s %-8s %s\n' CPython tests ""
for row in "${rows[@]}"; do
  IFS='|' read -r version outcome told <<<"$row"
  printf '%-10s %-8s %s\n' "$version" "$outcome" "$told"
done
[ ${#rows[@]} -gt 0 ] || die "No CPython from 3.10 on was found, under pyenv or on PATH."
exit $((failures > 0))
