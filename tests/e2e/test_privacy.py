"""A secret given in every field there is: under a redaction it reaches neither the journal nor the server's store.

The paths are those of the package's own tests; here the parts are real: a program, its journal on disk, a
server that takes it up, what that keeps on disk and what it answers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from counting import wait_for_empty_journal
from parts import ROOT, Server, run_program, wait_until

CANARY = ROOT / "sdk" / "python" / "tests"

PROGRAM = """
import re, sys
sys.path.insert(0, sys.argv[1])
from canary import LIMIT, PATHS, SECRET, Announcements, record_marker
import staso as st

redact = {"pattern": [re.compile(SECRET)], "built-in": ["secret"], "none": None}[sys.argv[2]]
client = st.init(redact=redact, max_value_bytes=LIMIT, flush_interval=0.05, capture_git=False)
Announcements.has_come = staticmethod(lambda: client.stats()["announced"] > 0)
for record in [*PATHS.values(), record_marker]:
    record()
assert st.flush(30).ok and client.stats()["redactions_failed"] == 0
print(client.stats()["accepted"])
"""


def record_everywhere(home: Path, rule: str) -> int:
    """Runs the program; tells how many spans and scores it recorded."""
    return int(run_program(PROGRAM, home, str(CANARY), rule, env={"TRACEPARENT": ""}))


def holds(raw: bytes) -> bool:
    sys.path.insert(0, str(CANARY))
    try:
        import canary
    finally:
        sys.path.remove(str(CANARY))
    return canary.holds(raw)


def on_disk(home: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file())


def answered(server: Server) -> bytes:
    """Every trace as the server shows it, with all of its values."""
    rows = server.trace_rows()
    return json.dumps([rows, [server.trace(row["trace_id"]) for row in rows]], ensure_ascii=False).encode()


@pytest.mark.spec("7.redact", "7.in-rust")
@pytest.mark.parametrize("rule", ["built-in", "pattern", "none"])
def test_a_secret_in_every_field_reaches_neither_journal_nor_server(
    stopped_server: Server, home: Path, rule: str
) -> None:
    is_told = rule == "none"
    # First into the journal of a program that is alone, then to a server while the program runs.
    recorded = record_everywhere(home, rule)
    assert recorded > 60
    assert holds(on_disk(home)) == is_told
    server = stopped_server.start()
    recorded += record_everywhere(home, rule)
    wait_for_empty_journal(home)
    stored = wait_until("what was recorded to be stored", lambda: _count(server) >= recorded and answered(server))
    assert holds(stored) == is_told
    assert (b"[redacted" in stored) != is_told
    server.kill()
    assert holds(on_disk(home)) == is_told


def _count(server: Server) -> int:
    traces = [server.trace(row["trace_id"]) for row in server.trace_rows()]
    return sum(len(trace["spans"]) + len(trace["annotations"]) for trace in traces)
