"""One peer in one process. Prints one JSON line per figure, last of all how many spans it recorded.

`rows`: every row once a round, in random order, so that a round sees one state of the machine.
`delivered`: CPU of the whole process until the SDK has delivered, beside `json.dumps` of the payload.
`count`: one row, nothing else, to be run under an instruction counter.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import sys
import time

import yardstick
from rows import PEERS, Peer, Row, python_rows


def timed(row: Row, n: int, peer: Peer) -> dict[str, float]:
    """One block, ns per span scaled by the yardstick. `cpu_ns` of the recording thread, `wall_ns` by the clock. What
    is queued is delivered off the clock, so that no peer looks cheap by throwing spans away."""
    gc.collect()
    before = yardstick.observe()
    wall_began, began = time.perf_counter_ns(), time.thread_time_ns()
    own = row.run(n)
    cpu, wall = time.thread_time_ns() - began, time.perf_counter_ns() - wall_began
    scale = yardstick.REFERENCE_NS / ((before + yardstick.observe()) / 2)
    if row.spans_each:
        peer.drain()
    each = scale / (n * (row.spans_each or 1))
    return {"cpu_ns": round((cpu if own is None else own) * each, 1), "wall_ns": round(wall * each, 1)}


def measure_rows(peer: Peer, rows: dict[str, Row], rounds: int) -> int:
    """Every row, `rounds` times; how many spans that recorded."""
    recorded = 0
    for row in rows.values():
        timed(row, max(row.n // 4, 12), peer)
        recorded += max(row.n // 4, 12) * row.spans_each
    for turn in range(rounds):
        due = [name for name, row in rows.items() if turn % row.every == 0]
        for name in random.sample(due, len(due)):
            figures = timed(rows[name], rows[name].n, peer)
            print(json.dumps({"row": name, "round": turn, **figures}))
            recorded += rows[name].n * rows[name].spans_each
    return recorded


def measure_delivered(peer: Peer, at_once: int, rounds: int) -> int:
    """Rounds of `at_once` typical spans, each until it is delivered. The work of background threads between
    rounds counts too; the main thread's own time outside the loop does not."""
    dumps = python_rows()["json_typical"]
    peer.typical(at_once // 4)
    peer.drain()
    process_began = time.process_time_ns()
    for turn in range(rounds):
        besides = time.thread_time_ns()
        gc.collect()
        before = yardstick.observe()
        began = time.thread_time_ns()
        dumps.run(dumps.n)
        json_ns = (time.thread_time_ns() - began) / dumps.n
        besides = time.thread_time_ns() - besides
        peer.typical(at_once)
        said = peer.drain()
        if said not in (None, at_once):
            raise SystemExit(f"{at_once} spans ended, the SDK reports {said} delivered: the run does not count")
        process_now, aside = time.process_time_ns(), time.thread_time_ns()
        scale = yardstick.REFERENCE_NS / ((before + yardstick.observe()) / 2)
        spent = (process_now - process_began - besides) / at_once
        figures = {"process_ns": round(spent * scale, 1), "json_ns": round(json_ns * scale, 1)}
        print(json.dumps({"row": "delivered", "round": turn, **figures}))
        process_began = process_now + time.thread_time_ns() - aside
    return at_once // 4 + at_once * rounds


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("mode", choices=["rows", "delivered", "count"])
    arguments.add_argument("--peer", choices=list(PEERS), required=True)
    arguments.add_argument("--state", choices=["recording", "disabled", "uninitialised"], default="recording")
    arguments.add_argument("--url", default="")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--row", default="empty")
    arguments.add_argument("--spans", type=int, default=2_000)
    a = arguments.parse_args()
    peer = PEERS[a.peer]()
    peer.start(a.url, a.state)
    rows = {**python_rows(), **(peer.recording() if a.state == "recording" else peer.rows())}
    if a.mode == "rows":
        recorded = measure_rows(peer, rows, a.rounds)
    elif a.mode == "delivered":
        recorded = measure_delivered(peer, a.spans, a.rounds)
    else:
        rows[a.row].run(a.spans)
        peer.drain()
        recorded = a.spans * rows[a.row].spans_each
    print(json.dumps({"recorded": recorded if a.state == "recording" else 0}))
    sys.stdout.flush()
    # Neither exit handlers nor a last flush belong to a figure; everything was delivered above.
    os._exit(0)


if __name__ == "__main__":
    main()
