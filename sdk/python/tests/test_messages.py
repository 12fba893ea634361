"""What is said on the logger ``staso`` when something is refused: once, with the next step."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]

LOGGED = 'import logging, staso as st\nlogging.basicConfig(format="%(name)s %(message)s")\n'

FULL = """
client = st.init(base_url="http://127.0.0.1:9", journal=False, capture_git=False, max_queue_size=2,
                 flush_interval=60)
taken = [st.start_span("x").end().accepted for _ in range(20)]
assert not all(taken)
assert client.stats()["refused"] == taken.count(False)
"""

FAILING = """
def broken(path, value):
    raise RuntimeError("not for the log: it may quote the value")
client = st.init(journal=False, capture_git=False, redact=broken)
for _ in range(3):
    with st.span("x") as s:
        s.input = "secret"
assert client.stats()["redactions_failed"] > 3
"""


@pytest.mark.spec("5.logged-refused")
@pytest.mark.parametrize(
    ("program", "said", "step"),
    [
        (FULL, "the queue in memory is full", "raise max_queue_size"),
        (FAILING, "a redaction failed", "redactions_failed"),
    ],
)
def test_what_is_refused_is_said_once(run_program: Run, program: str, said: str, step: str) -> None:
    done = run_program(LOGGED + program)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if said in line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("staso ")
    assert step in lines[0]
    assert "quote" not in done.stderr
    assert "secret" not in done.stderr
