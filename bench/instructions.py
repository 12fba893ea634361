"""Instructions per span under `valgrind --tool=callgrind`: a figure that the load of the machine does not move.

Each row runs twice, with few spans and with three times as many; the difference is the cost of one span,
without start-up, import and shutdown. The recording thread is counted apart from the shipping one.
"""

from __future__ import annotations

import concurrent.futures
import pathlib
import shutil
import tempfile

import callgrind
import processes

_ROWS = {
    "py_class": ("recording", 5_000),
    "json_typical": ("recording", 1_000),
    "json_heavy": ("recording", 20),
    "bare_sync": ("recording", 5_000),
    "bare_async": ("recording", 5_000),
    "empty": ("recording", 5_000),
    "typical": ("recording", 2_000),
    "heavy": ("recording", 40),
    "decorator": ("recording", 3_000),
    "decorator_async": ("recording", 3_000),
    "disabled": ("disabled", 5_000),
    "uninitialised": ("uninitialised", 5_000),
}
"""Row to (state of the SDK, spans of the smaller run). The last two are empty spans of those states."""


def threads_of(binary: str, row: str, state: str, spans: int, python: str = "") -> list[callgrind.Profile]:
    """The profiles of one run, the recording thread first."""
    with tempfile.TemporaryDirectory(prefix="staso-bench-") as out:
        counter = (
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            "--separate-threads=yes",
            "--separate-recs=2",
            "--fair-sched=yes",
            f"--callgrind-out-file={out}/callgrind.out.%p",
        )
        name = row if row not in ("disabled", "uninitialised") else "empty"
        options = ("--row", name, "--spans", str(spans))
        processes.run(binary, "staso", state, "count", *options, under=counter, python=python)
        return callgrind.read_threads(pathlib.Path(out))


def _pair(binary: str, row: str, state: str, spans: int, python: str = "") -> list[list[callgrind.Profile]]:
    return [threads_of(binary, row, state, count, python) for count in (spans, 3 * spans)]


def need_valgrind() -> None:
    if not shutil.which("valgrind"):
        raise SystemExit("counting instructions needs valgrind: apt install valgrind")


def measure(binary: str) -> dict[str, dict[str, float]]:
    """Instructions a span, by row: of the recording thread (`main`), and of all others together."""
    need_valgrind()

    def one(row: str) -> dict[str, float]:
        state, spans = _ROWS[row]
        few, many = _pair(binary, row, state, spans)
        main = callgrind.per_span(few[0], many[0], 2 * spans).total()
        others = sum(p.total() for p in many[1:]) - sum(p.total() for p in few[1:])
        return {"main": main, "others": others / (2 * spans)}

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(zip(_ROWS, pool.map(one, _ROWS), strict=True))


def profile(binary: str, row: str, python: str, top: int) -> str:
    """The functions, calls and source lines of one row's hot path. `python` has a wheel with symbols."""
    need_valgrind()
    state, spans = _ROWS[row]
    few, many = _pair(binary, row, state, spans, python)
    return f"Row `{row}`: " + callgrind.text(callgrind.per_span(few[0], many[0], 2 * spans), top)
