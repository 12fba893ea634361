"""How fast this core is right now: a fixed loop that brackets every timed block.

The machines that run this are shared, and a block's CPU time drifts with the load beside it. Each block
is scaled by (reference / observed), so that blocks of one run compare; absolute figures of two
machines still do not.
"""

import time

REFERENCE_NS = 30.0
"""Nanoseconds of one turn of the loop on a quiet core: a constant scale, nothing more."""


def _loop(turns: int) -> int:
    x = 0
    for i in range(turns):
        x += i & 7
    return x


def observe(turns: int = 20_000) -> float:
    """Thread-CPU nanoseconds per turn, the better of two short loops."""
    best = float("inf")
    for _ in range(2):
        began = time.thread_time_ns()
        _loop(turns)
        best = min(best, (time.thread_time_ns() - began) / turns)
    return best
