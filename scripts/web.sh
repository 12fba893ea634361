#!/usr/bin/env bash
# Builds the dashboard into web/dist, which the server embeds. Does nothing where nothing changed.
source "$(dirname "$0")/steps.sh"
need node

# newer_than STAMP PATH...: whether a file below PATH is newer than STAMP, or STAMP is missing.
newer_than() {
  local stamp=$1
  shift
  [ ! -e "$stamp" ] || [ -n "$(find "$@" -type f -newer "$stamp" -print -quit)" ]
}

installed=web/node_modules/.package-lock.json
if newer_than "$installed" web/package.json web/package-lock.json; then
  say "the dashboard's packages"
  npm --prefix web ci --ignore-scripts --no-audit --no-fund
  touch "$installed"
fi

[ "${1:-}" = --only-modules ] && exit 0

if newer_than web/dist/index.html web/src web/index.html web/package-lock.json web/vite.config.ts web/public; then
  say "the dashboard"
  npm --prefix web run build
fi
