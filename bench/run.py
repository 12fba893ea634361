"""`make bench`: what a span costs the program, and how fast the server makes it durable.

Peers run interleaved in random order, several passes, each in a process of its own; the tables show
medians with quartiles, the ratios of this one run, and the targets beside them. Raw blocks and the machine
go to bench/results/ as JSON. See bench/README.md for the sub-commands.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

import footprint
import ingest
import instructions
import processes
import report
from environments import CLIENT_VERSION, OTEL_VERSION, ROOT

HERE = pathlib.Path(__file__).resolve().parent
QUICK = [
    ("python", "recording"),
    ("staso", "recording"),
    ("staso", "disabled"),
    ("staso", "uninitialised"),
    ("otel", "recording"),
]
EVERYONE = [
    *QUICK,
    ("otel", "uninitialised"),
    ("client", "recording"),
    ("client", "disabled"),
    ("client", "uninitialised"),
]
ALL = ["peers", "delivered", "instructions", "footprint", "ingest"]


def machine() -> dict[str, Any]:
    """What the figures were taken on, and of which source."""
    cpu = next((x for x in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")), ":")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return {
        "cores": os.cpu_count(),
        "cpu": cpu.split(":", 1)[1].strip(),
        "load": os.getloadavg(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "peers": {"opentelemetry-sdk": OTEL_VERSION, "existing staso": CLIENT_VERSION},
    }


def show_ingest(runs: list[dict[str, Any]]) -> None:
    """The table of ingest, one row per batch size."""
    print("\nDurable ingest of `typical` spans over HTTP: median (min-max) over runs; every span read back")
    print(
        f"{'batch':>6} {'conns':>6} {'spans/s':>26} {'MB/s':>8} {'server CPU us/span':>20}"
        f" {'ack p50/p99 ms':>16} {'bare fsync p50/p99':>19} {'RSS MB':>7}"
    )
    for batch, connections in sorted({(r["batch"], r["connections"]) for r in runs}):
        mine = [r for r in runs if (r["batch"], r["connections"]) == (batch, connections)]

        def median(key: str, mine: list[dict[str, Any]] = mine) -> float:
            return statistics.median(r[key] for r in mine)

        rates = [r["spans_per_s"] for r in mine]
        rate = f"{median('spans_per_s'):,.0f} ({min(rates):,.0f}-{max(rates):,.0f})"
        acks = f"{median('ack_p50_ms'):.1f}/{median('ack_p99_ms'):.1f}"
        bare = f"{median('fsync_p50_ms'):.1f}/{median('fsync_p99_ms'):.1f}"
        print(
            f"{batch:>6} {connections:>6} {rate:>26} {median('mb_per_s'):>8.1f}"
            f" {median('server_cpu_us_per_span'):>20.1f} {acks:>16} {bare:>19} {median('resident_mb'):>7.0f}"
        )


def measure_ingest(binary: str, passes: int, spans: int) -> list[dict[str, Any]]:
    """Every combination of batch and connections, once a pass, on a fresh directory each."""
    runs = []
    for _ in range(passes):
        for batch, connections in ((100, 1), (100, 4), (500, 2)):
            run = ingest.measure(binary, batch, spans // batch, connections)
            runs.append({"batch": batch, "connections": connections, **run})
    return runs


def sections(a: argparse.Namespace, binary: str) -> dict[str, tuple[Callable[[], Any], Callable[[Any], None]]]:
    """Sub-command to how it is measured and how it is shown."""
    wheel = os.environ.get("STASO_BENCH_WHEEL", "")

    def text(of: Callable[[Any], str]) -> Callable[[Any], None]:
        return lambda found: print("\n" + of(found))

    return {
        "sdk": (lambda: processes.interleaved(binary, QUICK, a.passes, a.rounds), text(report.rows_text)),
        "peers": (lambda: processes.interleaved(binary, EVERYONE, a.passes, a.rounds), text(report.rows_text)),
        "delivered": (
            lambda: processes.delivered(binary, ["staso", "otel", "client"], a.passes, a.rounds),
            text(report.delivered_text),
        ),
        "instructions": (lambda: instructions.measure(binary), text(report.instructions_text)),
        "footprint": (
            lambda: footprint.measure(binary, ["staso", "otel", "client"], a.samples, wheel),
            text(report.footprint_text),
        ),
        "ingest": (lambda: measure_ingest(binary, a.passes, a.spans), show_ingest),
    }


def keep(name: str, text: str) -> None:
    """Writes one result beside the earlier ones."""
    out = HERE / "results" / name
    out.parent.mkdir(exist_ok=True)
    out.write_text(text)
    print(f"\nkept: {out.relative_to(ROOT)}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("what", nargs="?", choices=["all", "sdk", *ALL, "profile"], default="all")
    arguments.add_argument("--passes", type=int, default=3, help="interleaved passes over the peers")
    arguments.add_argument("--rounds", type=int, default=5, help="rounds of timed blocks per process")
    arguments.add_argument("--samples", type=int, default=24, help="fresh processes per figure of the footprint")
    arguments.add_argument("--spans", type=int, default=50_000, help="spans per ingest run")
    arguments.add_argument("--row", default="empty", help="the row to profile")
    arguments.add_argument("--top", type=int, default=60, help="how much of a profile is kept")
    a = arguments.parse_args()
    binary = os.environ.get("STASO_BENCH_SERVER", str(ROOT / "target/release/staso"))
    if not os.path.exists(binary):
        raise SystemExit(f"no server at {binary}: run `make build`, or set STASO_BENCH_SERVER")
    at = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime())
    if a.what == "profile":
        text = instructions.profile(binary, a.row, os.environ["STASO_BENCH_SYMBOLS"], a.top)
        print("\n".join(text.splitlines()[:28]))
        return keep(f"{at}-profile-{a.row}.txt", text)
    known = sections(a, binary)
    result: dict[str, Any] = {"at": at, "machine": machine()}
    try:
        for name in ALL if a.what == "all" else [a.what]:
            measure, show = known[name]
            began = time.monotonic()
            result[name] = measure()
            show(result[name])
            print(f"\n{name}: {time.monotonic() - began:.0f} s", flush=True)
    finally:
        # What was measured before a part failed is worth keeping; the part that failed is not in the file.
        keep(f"{at}-{a.what}.json", json.dumps(result, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
