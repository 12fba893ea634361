"""Counting spans end to end: programs that number what they record, and what of it is stored.

A span counts as sent once its block has ended. Sent must equal stored, each number once, when
nothing is left in the journal that could still arrive.
"""

from __future__ import annotations

from pathlib import Path

from parts import Server, wait_until

# `record(first, count)`: spans with the numbers from `first` on, a trace for each 500.
RECORD = """
import os, signal, sys, threading, time
import staso as st

def record(first, count):
    end = first + count
    for start in range(first, end, 500):
        with st.span("many") as many:
            many.metadata["n"] = start
            for n in range(start + 1, min(start + 500, end)):
                with st.span("one") as one:
                    one.metadata["n"] = n

def wait_until(what, probe):
    give_up = time.monotonic() + 60
    while not probe():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)
"""


def stored_numbers(server: Server) -> list[int]:
    """The number of every span that has ended, in order; a number stored twice stands here twice.

    One that was closed in a dead program's stead has not ended, and may have no number yet.
    """
    ended = (span for span in server.spans() if not span["open"] and not span["interrupted"])
    return sorted(span["metadata"]["n"] for span in ended)


def segments(home: Path) -> list[Path]:
    """What is still in the journal."""
    return sorted((home / "journal").glob("*.seg"))


def wait_for_empty_journal(home: Path) -> None:
    """Waits until nothing can arrive any more; for programs that have ended."""
    wait_until("the journal to be empty", lambda: not segments(home))


def stored_spans(server: Server) -> int:
    """How many spans the server holds, open ones included."""
    return int(server.get("/api/health")["store"]["spans"])


def ended_spans(server: Server) -> int:
    """How many of them have ended."""
    return sum(row["span_count"] - row["open_count"] for row in server.trace_rows())


def assert_stored(server: Server, count: int) -> None:
    """The numbers below `count` are stored, each once, and nothing else."""
    wait_until(f"{count} spans", lambda: stored_spans(server) >= count)
    wait_until("the last of them to end", lambda: ended_spans(server) >= count)
    assert stored_numbers(server) == list(range(count))
