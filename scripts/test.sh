#!/usr/bin/env bash
# Everything that says whether the project is well: lint, then every test there is, on the real parts.
# A failing suite does not hide the next. The last line is the sum over all runners' own reports.
source "$(dirname "$0")/steps.sh"
need cargo python3 node cc chromium
# What released programs have and `make demo` does without, because it is half of all there is to build.
features=staso-cli/sql
# One set of features and targets for all that is built here: the dependencies of tests add features, too,
# and everything would be built twice.
build=(--lib --bins --tests --examples --features "$features")
export STASO_BUILD="${build[*]}"
mkdir -p "$results"
find "$results" -mindepth 1 -delete

rust_tests() {
  if command -v cargo-nextest >/dev/null; then
    local status=0
    cargo nextest run --workspace --locked --features "$features" || status=$?
    cp "$target/nextest/default/junit.xml" "$results/rust.xml"
    return $status
  fi
  echo "cargo-nextest is not installed; plain cargo test does the same, slower"
  cargo test --workspace --locked --features "$features" --lib --bins --tests --no-fail-fast 2>&1 | tee "$results/rust.log"
}

doc_tests() {
  cargo test --doc --locked -p staso-model -p staso-sdk --no-fail-fast 2>&1 | tee "$results/rust-docs.log"
}

web_tests() {
  (cd web && npx --no-install vitest run --reporter=default --reporter=junit \
    --outputFile.junit="$results/web.xml")
}

journeys() {
  (cd web && PLAYWRIGHT_JUNIT_OUTPUT_FILE="$results/journeys.xml" \
    npx --no-install playwright test --reporter=list,junit)
}

python_tests() {
  "$venv/bin/python" -m pytest -q "$1" --junitxml="$results/$2.xml"
}

# suite NAME CMD...: a step whose failure is counted even where no test case carries it.
suite() {
  local name=$1
  step "$@" && return 0
  local report
  for report in "$results/$name".xml "$results/$name".log; do
    if [ -s "$report" ] && grep -qE '<(failure|error)|[1-9][0-9]* failed' "$report"; then return 0; fi
  done
  : >"$results/$name-did-not-finish.failed"
}

suite lint scripts/lint.sh
suite "server binary" cargo build --locked --workspace "${build[@]}"
suite rust rust_tests
suite rust-docs doc_tests
suite web web_tests
suite python python_tests sdk/python/tests python
suite e2e python_tests tests/e2e e2e
suite journeys journeys

say "the sum"
finish || true
cargo xtask count "$results"
