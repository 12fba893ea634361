#!/usr/bin/env bash
# Formats every source the project has: Rust, Python and the dashboard.
source "$(dirname "$0")/steps.sh"
need cargo python3 node
cargo fmt --all
[ -x "$venv/bin/ruff" ] || scripts/wheel.sh
(cd sdk/python && "$venv/bin/ruff" format . && "$venv/bin/ruff" check --fix .)
scripts/web.sh --only-modules
npm --prefix web run --silent format
