"""Runs peers, each in a process of its own against a receiver of its own, and counts what arrived.

The receiver of the wheel and of the existing package is a real `staso serve`; that of
opentelemetry-sdk is a sink that counts spans. A run whose spans were not all found ends everything.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from environments import environment, interpreter
from server import Server

HERE = pathlib.Path(__file__).resolve().parent
Receiver = tuple[str, Callable[[], int]]


@contextlib.contextmanager
def receiver(peer: str, binary: str) -> Iterator[Receiver]:
    """Where `peer` sends to, and how to count the spans a reader finds there."""
    if peer == "python":
        yield "", lambda: 0
    elif peer == "otel":
        with _sink() as url:
            yield url, lambda: int(urllib.request.urlopen(url, timeout=60).read())
    else:
        with Server(binary) as server:
            yield server.url, server.stored_spans


@contextlib.contextmanager
def _sink() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, str(HERE / "otlp_sink.py")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()


def run(
    binary: str,
    peer: str,
    state: str,
    mode: str,
    *options: str,
    under: tuple[str, ...] = (),
    python: str = "",
) -> list[dict[str, Any]]:
    """One process of `peer.py`; its figures, after its spans were found. `under` is a command it runs beneath."""
    command = [*under, python or interpreter(peer), str(HERE / "peer.py"), mode, "--peer", peer, "--state", state]
    with receiver(peer, binary) as (url, stored), tempfile.TemporaryDirectory(prefix="staso-bench-") as home:
        done = subprocess.run(
            [*command, "--url", url, *options], stdout=subprocess.PIPE, text=True, env=environment(home), cwd=home
        )
        if done.returncode != 0:
            raise SystemExit(f"{peer} ({state}, {mode}) failed; its message is above")
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        recorded = lines.pop()["recorded"]
        if (found := stored()) != recorded:
            raise SystemExit(f"{peer} ({state}) recorded {recorded} spans, {found} were found: the run does not count")
    return [{"peer": peer, "state": state, **line} for line in lines]


def interleaved(binary: str, who: list[tuple[str, str]], passes: int, rounds: int) -> list[dict[str, Any]]:
    """The rows of every (peer, state) in `who`, once a pass, in a new random order each time."""
    found = []
    for turn in range(passes):
        for peer, state in random.sample(who, len(who)):
            lines = run(binary, peer, state, "rows", "--rounds", str(rounds))
            found += [{**line, "pass": turn} for line in lines]
            print(f"pass {turn + 1} of {passes}: {peer}, {state}", file=sys.stderr, flush=True)
    return found


def delivered(binary: str, peers: list[str], passes: int, rounds: int) -> list[dict[str, Any]]:
    """CPU per delivered span, interleaved likewise: 2,000 spans at a time, and for the wheel a burst as well."""
    jobs = [(peer, "delivered", 2_000, rounds) for peer in peers] + [("staso", "burst", 20_000, 2)]
    found = []
    for turn in range(passes):
        for peer, row, at_once, times in random.sample(jobs, len(jobs)):
            lines = run(binary, peer, "recording", "delivered", "--spans", str(at_once), "--rounds", str(times))
            found += [{**line, "row": row, "pass": turn} for line in lines]
            print(f"pass {turn + 1} of {passes}: {peer}, {row}", file=sys.stderr, flush=True)
    return found
