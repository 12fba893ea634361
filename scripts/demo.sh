#!/usr/bin/env bash
# Shows a real agent's run: builds everything, starts the server, runs the example agent through the
# wheel, prints its trace and the dashboard's address, and leaves the server running until Ctrl-C.
source "$(dirname "$0")/steps.sh"
need cargo python3 node cc

scripts/web.sh
say "the server"
cargo build --locked -p staso-cli
scripts/wheel.sh
