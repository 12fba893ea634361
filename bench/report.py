"""The tables that `make bench` prints: each figure, its target beside it, and whether it is met.

Where a target is a ratio to what Python itself costs, the ratio is taken within one process and one
round and its median is shown; ratios between SDKs are those of the medians of one interleaved run.
"""

from __future__ import annotations

from typing import Any

from environments import TITLES
from figures import Blocks, Spread, Target, table

ROWS = ["empty", "typical", "heavy", "nested", "decorator", "decorator_async"]
BASES = ["py_class", "contextvar", "json_typical", "json_heavy", "bare_sync", "bare_async"]
THREADS = ["empty_1_thread", "empty_4_threads", "typical_1_thread", "typical_4_threads"]
RATIOS = [
    ("empty span / py_class", "empty", "py_class", "recording", Target(1.8)),
    ("typical span / json.dumps of its payload", "typical", "json_typical", "recording", Target(1 / 5)),
    ("heavy span / json.dumps of its payload", "heavy", "json_heavy", "recording", Target(1 / 6)),
    ("4 threads / 1 thread, empty", "empty_4_threads", "empty_1_thread", "recording", Target(1.2)),
    ("4 threads / 1 thread, typical", "typical_4_threads", "typical_1_thread", "recording", Target(1.2)),
    ("disabled / py_class", "empty", "py_class", "disabled", Target(0.4)),
    ("uninitialised / py_class", "empty", "py_class", "uninitialised", Target(0.4)),
]
ADDED = [
    ("decorator over the bare call", "decorator", "bare_sync", Target(1.0)),
    ("async decorator over the bare call", "decorator_async", "bare_async", Target(2.0)),
]
CHEAPER = [("otel", Target(30, at_least=True)), ("client", Target(60, at_least=True))]


def _micros(spread: Spread) -> str:
    return spread.text(2 if spread.median < 99_500 else 0, 1e3)


def rows_text(found: list[dict[str, Any]]) -> str:
    """Targets first, then what every peer costs by CPU and by the clock."""
    blocks = Blocks(found)
    parts = ["### Against the targets\n", table(["figure", "median (quartiles)", "target", ""], _verdicts(blocks))]
    peers = [peer for peer in TITLES if blocks.has(peer, "empty") or blocks.has(peer, "py_class")]
    for title, field in (("CPU of the recording thread", "cpu_ns"), ("By the clock", "wall_ns")):
        parts.append(f"\n### {title}, µs a span: median (quartiles)\n")
        parts.append(table(["row", *(TITLES[p] for p in peers)], _costs(blocks, peers, field)))
    return "\n".join([*parts, "\n### The same without recording, CPU, µs a span\n", _states(blocks)])


def _verdicts(blocks: Blocks) -> list[list[str]]:
    out = []
    for title, row, base, state, target in RATIOS:
        if blocks.has("staso", row, state):
            ratio = blocks.paired("staso", row, base, state)
            out.append([title, ratio.text(2, unit="×"), target.text("×"), target.verdict(ratio.median)])
    for title, row, base, target in ADDED:
        if blocks.has("staso", row):
            added = blocks.paired("staso", row, base, minus=True)
            verdict = target.verdict(added.median / 1e3)
            out.append([title, added.text(2, 1e3, " µs"), target.text(" µs"), verdict])
    for peer, target in CHEAPER:
        if blocks.has(peer, "empty"):
            times = blocks.times_dearer(peer, "empty")
            out.append(
                [f"empty span, {TITLES[peer]} / staso", f"{times:.1f}×", target.text("×"), target.verdict(times)]
            )
    return out


def _costs(blocks: Blocks, peers: list[str], field: str) -> list[list[str]]:
    def cell(peer: str, row: str) -> str:
        if not blocks.has(peer, row):
            return ""
        text = _micros(blocks.spread(peer, row, field))
        if peer in ("python", "staso") or row not in ROWS or field != "cpu_ns":
            return text
        return f"{text} {blocks.times_dearer(peer, row):.1f}×"

    return [
        [row, *(cell(peer, row) for peer in peers)]
        for row in [*BASES, *ROWS, *THREADS]
        if any(blocks.has(peer, row) for peer in peers)
    ]


def _states(blocks: Blocks) -> str:
    pairs = [(p, s) for p in ("staso", "otel", "client") for s in ("disabled", "uninitialised")]
    seen = [(p, s) for p, s in pairs if blocks.has(p, "empty", s)]
    rows = ["py_class", *(row for row in ROWS if any(blocks.has(p, row, s) for p, s in seen))]
    body = [
        [row, *(_micros(blocks.spread(p, row, state=s)) if blocks.has(p, row, s) else "" for p, s in seen)]
        for row in rows
    ]
    return table(["row", *(f"{TITLES[p]}, {s}" for p, s in seen)], body)


def delivered_text(found: list[dict[str, Any]]) -> str:
    """CPU of the whole process per delivered span, against `json.dumps` of its payload in the same round."""
    target, out = Target(0.6), []
    titles = {("staso", "burst"): f"{TITLES['staso']}, 20,000 at once"}
    for peer, row in dict.fromkeys((f["peer"], f["row"]) for f in sorted(found, key=_by_title)):
        mine = [f for f in found if (f["peer"], f["row"]) == (peer, row)]
        spent = Spread.of(f["process_ns"] for f in mine)
        ratio = Spread.of(f["process_ns"] / f["json_ns"] for f in mine)
        ours = peer == "staso"
        verdict = [target.text("×"), target.verdict(ratio.median)] if ours else ["", ""]
        out.append([titles.get((peer, row), TITLES[peer]), spent.text(2, 1e3), ratio.text(2, unit="×"), *verdict])
    head = ["2,000 typical spans at a time", "µs of CPU", "/ json.dumps of the payload", "target", ""]
    return "### CPU of all threads per delivered span, shipping included\n\n" + table(head, out)


def _by_title(found: dict[str, Any]) -> tuple[int, str]:
    return list(TITLES).index(found["peer"]) if found["peer"] != "staso" else -1, str(found["row"] == "burst")


def instructions_text(counts: dict[str, dict[str, float]]) -> str:
    """Instructions of the recording thread; they do not depend on the load of the machine."""
    per = {row: count["main"] for row, count in counts.items()}
    body = [[row, f"{c['main']:,.0f}", f"{c['others']:,.0f}" if c["others"] > 1 else ""] for row, c in counts.items()]
    parts = [table(["row", "recording thread", "other threads"], body), ""]
    ratios = []
    for title, row, base, state, target in RATIOS:
        row = row if state == "recording" else state
        if row in per and base in per:
            ratios.append(
                [title, f"{per[row] / per[base]:.2f}×", target.text("×"), target.verdict(per[row] / per[base])]
            )
    for title, row, base, _ in ADDED:
        if row in per:
            ratios.append([title, f"{per[row] - per[base]:,.0f} instructions", "", ""])
    parts.append(table(["by instructions", "", "target of the CPU figure", ""], ratios))
    return "### Instructions a span\n\n" + "\n".join(parts)


def footprint_text(found: dict[str, Any]) -> str:
    """What the package weighs: import, memory, size."""
    body = []
    for peer, one in found["peers"].items():
        ours = peer == "staso"
        for title, field, unit, target in (
            ("import over a bare interpreter, CPU", "import_ms", " ms", Target(15)),
            ("resident after init, over a bare interpreter", "resident_mb", " MB", Target(6)),
        ):
            spread = Spread.of(one[field])
            verdict = [target.text(unit), target.verdict(spread.median)] if ours else ["", ""]
            body.append([f"{TITLES[peer]}: {title}", spread.text(1, unit=unit), *verdict])
    if (size := found.get("wheel_mb")) is not None:
        target = Target(2.5)
        body.append(["wheel", f"{size:.2f} MB", target.text(" MB"), target.verdict(size)])
    return "### Footprint\n\n" + table(["figure", "median (quartiles)", "target", ""], body)
