#!/usr/bin/env bash
# Writes the files that are made from others; the list is xtask/generated.toml.
source "$(dirname "$0")/steps.sh"
need cargo node cc
scripts/web.sh --only-modules
cargo xtask gen
