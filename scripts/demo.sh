#!/usr/bin/env bash
# Shows a real agent's run: builds everything, starts the server, runs the example agent through the
# wheel, prints a trace of it and the dashboard's address, and leaves the server running until Ctrl-C.
#   scripts/demo.sh            the whole thing
#   scripts/demo.sh --once     the same, but ends after the trace is shown
# A server that this user already runs is used as it is. Traces stay in the state directory
# (STASO_HOME, else ~/.local/state/staso), so `staso serve` shows them again later.
source "$(dirname "$0")/steps.sh"
need cargo python3 node cc

once=false
[ "${1:-}" = --once ] && once=true

scripts/web.sh
say "the server binary"
cargo build --locked --workspace --bins
scripts/wheel.sh

staso=$target/debug/staso
home=${STASO_HOME:-${XDG_STATE_HOME:-$HOME/.local/state}/staso}
work=$(mktemp -d)
server_pid=

# announced FIELD: what server.json says, if the server it speaks of is alive.
announced() {
  python3 - "$home/server.json" "$1" <<'PYTHON'
import json, os, sys
try:
    with open(sys.argv[1], encoding="utf-8") as file:
        info = json.load(file)
    os.kill(info["pid"], 0)
    print(info[sys.argv[2]])
except (OSError, ValueError, KeyError):
    pass
PYTHON
}

# shellcheck disable=SC2317  # called by the trap
leave() {
  trap - EXIT INT TERM
  if [ -n "$server_pid" ] && kill -TERM "$server_pid" 2>/dev/null; then
    wait "$server_pid" 2>/dev/null || true
    echo "the server has stopped; \`${staso#"$root"/} serve\` shows these traces again"
  fi
  rm -rf "$work"
}
trap leave EXIT
trap 'exit 0' INT TERM

start_server() {
  "$staso" serve >"$work/server.log" 2>&1 &
  server_pid=$!
  # 30 s is many times what an empty directory needs to open.
  for _ in $(seq 300); do
    [ "$(announced pid)" = "$server_pid" ] && return 0
    kill -0 "$server_pid" 2>/dev/null || break
    sleep 0.1
  done
  cat "$work/server.log" >&2
  die "The server did not start; what it said is above."
}

if [ -n "$(announced url)" ]; then
  say "a server is already running at $(announced url)"
else
  say "starting the server"
  start_server
fi
url=$(announced url)
echo "dashboard: $url"

say "the agent"
agent_status=0
"$venv/bin/python" examples/support_agent.py --report "$work/report.json" || agent_status=$?
[ "$agent_status" -eq 0 ] || echo "the agent ended with status $agent_status"

if [ -n "$server_pid" ] && ! kill -0 "$server_pid" 2>/dev/null; then
  server_pid=
fi
url=$(announced url)
if [ -z "$url" ]; then
  cat >&2 <<TEXT

The server ended before the agent did. What the agent recorded is in its journal: start the server again
with \`${staso#"$root"/} serve\` and it is all there.
TEXT
  exit 1
fi

# A server that was killed and started again by hand in the meantime serves as well.
# Of the conversation's turns, the one with the most to see.
turns=$(python3 -c 'import json, sys; print(*(t["trace_id"] for t in json.load(open(sys.argv[1]))["turns"]))' "$work/report.json")
best=
for turn in $turns; do
  "$staso" show "$turn" >"$work/$turn"
  if [ -z "$best" ] || [ "$(wc -l <"$work/$turn")" -gt "$(wc -l <"$work/$best")" ]; then best=$turn; fi
done
say "staso show $best"
if [ -t 1 ]; then "$staso" show "$best"; else cat "$work/$best"; fi

say "look at it: $url"
$once && exit "$agent_status"
if [ -n "$server_pid" ]; then
  echo "the server runs until Ctrl-C"
  wait "$server_pid" || true
  server_pid=
  die "The server has ended. Start it again with \`${staso#"$root"/} serve\`; nothing is lost."
fi
