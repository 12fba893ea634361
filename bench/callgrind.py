"""Reads what `valgrind --tool=callgrind` wrote: instructions by function, by call and by source line.

Two runs that differ only in how many spans they record are subtracted, so that start-up, import and
shutdown cancel out and what is left is the cost of one span. Each thread is counted apart; the
hot path is the first one, the thread that runs Python's main program.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections import Counter

_NAME = re.compile(r"^(ob|fl|fi|fe|fn|cob|cfi|cfl|cfn)=(?:\((\d+)\))?\s*(.*)$")
_COST = re.compile(r"^(\+\d+|-\d+|\*|\d+) (\d+)$")
_LEVEL = re.compile(r"'\d+$")
_SHORT = (
    (re.compile(r"^/rustc/[0-9a-f]+/library/"), "rust:"),
    (re.compile(r"^.*/registry/src/[^/]+/"), ""),
    (re.compile(r"^.*/(?=(?:crates|sdk)/)"), ""),
    (re.compile(r"^.*/Python-3[^/]*/(?:\./)?"), "cpython:"),
)


@dataclasses.dataclass
class Profile:
    """Instructions of one thread. `own`: by function; `whole`: with what it calls; `lines`: by source line, where
    inlined code counts for the line it was written on; `calls`: how often one function calls another."""

    own: Counter[str] = dataclasses.field(default_factory=Counter)
    whole: Counter[str] = dataclasses.field(default_factory=Counter)
    lines: Counter[str] = dataclasses.field(default_factory=Counter)
    calls: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)

    def total(self) -> int:
        """All instructions of the thread."""
        return self.own.total()

    def __sub__(self, other: Profile) -> Profile:
        left = Profile(*(counter.copy() for counter in vars(self).values()))
        for mine, theirs in zip(vars(left).values(), vars(other).values(), strict=True):
            mine.subtract(theirs)
        return left


class _Reader:
    """One pass over the lines of a file; a name is written out once and abbreviated after."""

    def __init__(self) -> None:
        self.profile = Profile()
        self._known: dict[str, dict[str, str]] = {"ob": {}, "fl": {}, "fn": {}}
        self._file = self._function = self._callee = ""
        self._line = 0
        self._pending_calls = 0

    def take(self, text: str) -> None:
        if named := _NAME.match(text):
            self._name(named[1], named[2] or "", named[3])
        elif text.startswith("calls="):
            self._pending_calls = int(text[6:].split(" ", 1)[0])
        elif cost := _COST.match(text):
            self._cost(cost[1], int(cost[2]))

    def _name(self, key: str, number: str, name: str) -> None:
        kind = key.removeprefix("c")
        known = self._known["fl" if kind in ("fi", "fe") else kind]
        if number and name:
            known[number] = name
        name = name or known[number]
        if key in ("fl", "fi", "fe"):
            self._file = name
        elif key == "fn":
            self._function = name
        elif key == "cfn":
            self._callee = name

    def _cost(self, position: str, instructions: int) -> None:
        if position != "*":
            self._line = int(position) + (self._line if position[0] in "+-" else 0)
        function = _LEVEL.sub("", self._function)
        outermost = function == self._function
        if calls := self._pending_calls:
            self._pending_calls = 0
            callee = _LEVEL.sub("", self._callee)
            self.profile.calls[function, callee] += calls
            outermost = outermost and callee != function
        else:
            self.profile.own[function] += instructions
            self.profile.lines[f"{_shortened(self._file)}:{self._line}"] += instructions
        # Recursion is recorded as levels of its own, whose sums the outermost one has already.
        if outermost:
            self.profile.whole[function] += instructions


def _shortened(path: str) -> str:
    for pattern, short in _SHORT:
        path, found = pattern.subn(short, path)
        if found:
            break
    return path


def read(path: pathlib.Path) -> Profile:
    """The profile in one output file."""
    reader = _Reader()
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            reader.take(line.rstrip("\n"))
    return reader.profile


def read_threads(directory: pathlib.Path) -> list[Profile]:
    """The profiles of a run with `--separate-threads=yes`, the main thread first."""
    files = sorted(directory.glob("callgrind.out.*-*"), key=lambda p: int(p.name.rsplit("-", 1)[1]))
    return [read(path) for path in files]


def text(one: Profile, top: int) -> str:
    """The profile of one span as tables: what to read before and after a change of the hot path."""
    total = one.total()
    out = [f"{total:,.0f} instructions a span on the recording thread"]

    def table(title: str, rows: list[tuple[str, float]]) -> None:
        out.append(f"\n{title}\n")
        out.extend(f"{count:10,.1f} {100 * count / total:5.1f}%  {name}" for name, count in rows)

    table("In the function itself:", one.own.most_common(top))
    table("With what it calls:", one.whole.most_common(top))
    table("By source line, inlined code on the line it was written:", one.lines.most_common(top))
    calls = sorted(one.calls.items(), key=lambda item: -item[1])[:top]
    out.append("\nCalls a span:\n")
    out.extend(f"{count:10,.2f}  {caller} -> {callee}" for (caller, callee), count in calls)
    return "\n".join(out) + "\n"


def per_span(few: Profile, many: Profile, spans: int) -> Profile:
    """What one span costs, from two runs of which the second recorded `spans` more."""
    difference = many - few
    return Profile(*(Counter({k: v / spans for k, v in c.items() if v}) for c in vars(difference).values()))
