#!/usr/bin/env bash
# Every check that reads code without running the tests. All of them run, then the failed are named.
source "$(dirname "$0")/steps.sh"
need cargo python3 node cc

in_python() { (cd sdk/python && "$@"); }

# The checkers read what these make: the embedded dashboard, the installed wheel, the pinned tools.
scripts/tools.sh
scripts/web.sh
scripts/wheel.sh

step "rustfmt" cargo fmt --all --check || true
step "clippy" cargo clippy --quiet --workspace --all-targets --locked --features staso-cli/sql -- -D warnings || true
step "cargo-deny" "$tools/bin/cargo-deny" --log-level error check licenses bans sources || true
step "tidy" cargo xtask tidy || true
step "generated files" cargo xtask tidy --generated || true
step "ruff" in_python "$venv/bin/ruff" check . || true
step "ruff format" in_python "$venv/bin/ruff" format --check . || true
step "ruff, outside the package" "$venv/bin/ruff" check . || true
step "mypy" in_python "$venv/bin/mypy" || true
step "stubtest" in_python "$venv/bin/stubtest" staso._core || true
step "pyright" in_python "$venv/bin/pyright" || true
step "biome" npm --prefix web run --silent lint || true
step "tsc" npm --prefix web run --silent typecheck || true

finish
