#!/usr/bin/env bash
# Removes what the other scripts built, and nothing a person wrote or recorded.
source "$(dirname "$0")/steps.sh"
rm -rf "$target" "$venv" "$root/.tools" web/dist web/node_modules web/test-results web/playwright-report
