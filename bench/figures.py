"""Medians with quartiles, ratios and targets: turns raw blocks into rows of a table.

A target is what the project promises; the table states it beside the figure and says whether it is met.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Spread:
    """A median between its quartiles."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Iterable[float]) -> Spread:
        seen = list(values)
        if len(seen) < 2:
            return Spread(seen[0], seen[0], seen[0])
        low, median, high = statistics.quantiles(seen, n=4, method="inclusive")
        return Spread(median, low, high)

    def text(self, digits: int = 2, scale: float = 1.0, unit: str = "") -> str:
        low, median, high = (f"{x / scale:,.{digits}f}" for x in (self.low, self.median, self.high))
        return f"{median}{unit} ({low}–{high})"


@dataclasses.dataclass(frozen=True)
class Target:
    """What is promised of one figure, at most or at least."""

    bound: float
    at_least: bool = False

    def verdict(self, value: float) -> str:
        return "met" if (value >= self.bound if self.at_least else value <= self.bound) else "missed"

    def text(self, unit: str) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:.3g}{unit}"


class Blocks:
    """The raw blocks of one run, looked up by peer, state and row."""

    def __init__(self, found: list[dict[str, Any]]) -> None:
        self._by: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        for block in found:
            self._by.setdefault((block["peer"], block["state"], block["row"]), []).append(block)

    def has(self, peer: str, row: str, state: str = "recording") -> bool:
        return (peer, state, row) in self._by

    def spread(self, peer: str, row: str, field: str = "cpu_ns", state: str = "recording") -> Spread:
        return Spread.of(block[field] for block in self._by[peer, state, row])

    def paired(self, peer: str, row: str, base: str, state: str = "recording", minus: bool = False) -> Spread:
        """`row` against `base` of the same process and round, so that the machine's drift is in neither."""
        bases = {(b["pass"], b["round"]): b["cpu_ns"] for b in self._by[peer, state, base]}
        pairs = [(b["cpu_ns"], bases[b["pass"], b["round"]]) for b in self._by[peer, state, row]]
        return Spread.of(a - b if minus else a / b for a, b in pairs)

    def times_dearer(self, peer: str, row: str) -> float:
        """How many times the CPU of the wheel's row the peer's takes: medians, over processes of one run."""
        return self.spread(peer, row).median / self.spread("staso", row).median


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, its columns aligned for a terminal too."""
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]

    def line(cells: list[str]) -> str:
        first = f"{cells[0]:<{widths[0]}}"
        return "| " + " | ".join([first, *(f"{c:>{w}}" for c, w in zip(cells[1:], widths[1:], strict=True))]) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *(line(row) for row in rows)])
