"""What the store costs: ingest, size, and every kind of read, at a size of one's choice.

`make bench-store` calls it. Everything goes over HTTP from one client on the same machine, so that the times
of reads include the client's own few tenths of a millisecond. A run counts only when every span is found.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import random
import statistics
import sys
import tempfile
import time
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from baselines import duckdb_ingest, sqlite_ingest  # noqa: E402
from durable import BATCH, ingest, quantile  # noqa: E402
from figures import Target, table  # noqa: E402
from reads import QUESTIONS, Question, ids  # noqa: E402
from serving import Serving  # noqa: E402
from spans import generate  # noqa: E402


def ask(serving: Serving, question: Question, samples: int, known: list[str]) -> dict[str, Any]:
    """One question, again and again. The first answer is told apart: later ones find sums that are kept."""
    times, first, shown = [], 0.0, 0
    for n in range(samples + 3):
        path = question.path(random.Random(n), known)
        began = time.perf_counter()
        shown = len(serving.read(path))
        took = (time.perf_counter() - began) * 1e3
        if n == 0:
            first = took
        if n >= 3:
            times.append(took)
    return {
        "name": question.name,
        "first_ms": first,
        "p50_ms": statistics.median(times),
        "p99_ms": quantile(times, 0.99),
        "answer_bytes": shown,
        "target_p50_ms": question.p50_ms,
        "target_p99_ms": question.p99_ms,
    }


def cold(serving: Serving, known: list[str], samples: int) -> dict[str, Any]:
    """One trace by its id, each time from a server that has just started, with nothing cached."""
    times = []
    for n in range(samples):
        serving.stop()
        serving.forget_pages()
        serving.start()
        began = time.perf_counter()
        serving.read(random.Random(n).choice(known))
        times.append((time.perf_counter() - began) * 1e3)
    return {
        "name": "one trace with payloads, cold",
        "first_ms": times[0],
        "p50_ms": statistics.median(times),
        "p99_ms": quantile(times, 0.99),
        "answer_bytes": 0,
        "target_p50_ms": 5.0,
        "target_p99_ms": 30.0,
    }


def measure(arguments: argparse.Namespace, home: pathlib.Path) -> dict[str, Any]:
    """Everything, on one directory."""
    shape = "narrow" if arguments.narrow else "full"
    parts = generate(arguments.generator, arguments.data, shape, arguments.spans)
    serving = Serving(arguments.binary, home)
    idle = serving.resident_mb()
    found: dict[str, Any] = {"ingest": None, "baselines": []}
    if int(serving.get("/api/health")["store"]["spans"]) == 0:
        found["ingest"] = ingest(serving, parts, arguments.spans)
        some = parts[: max(1, len(parts) // 10)]
        found["baselines"] = [sqlite_ingest(some, home, BATCH), duckdb_ingest(some, home, BATCH)]
    serving.kill()
    log = serving.disk_bytes("wal")
    serving.start()
    found["replay"] = {"log_mb": log / 1e6, "secs": serving.opened_secs, "mb_per_s": log / 1e6 / serving.opened_secs}
    serving.stop()
    serving.start()
    spans = int(serving.get("/api/health")["store"]["spans"])
    found["disk"] = {
        "bytes_per_span": serving.disk_bytes() / spans,
        "segments": serving.disk_bytes("segments") / spans,
        "catalog": sum(f.stat().st_size for f in (home / "data").glob("catalog.db*")) / spans,
        "log": serving.disk_bytes("wal") / spans,
        "open_secs": serving.opened_secs,
    }
    known = ids(serving)
    found["reads"] = [ask(serving, question, arguments.samples, known) for question in QUESTIONS]
    found["reads"].append(cold(serving, known, min(arguments.samples, 15)))
    found["memory"] = {"idle_mb": idle, "after_reads_mb": serving.resident_mb()}
    serving.stop()
    return found


def told(found: dict[str, Any]) -> str:
    """The tables, each figure beside its target."""
    parts = []
    if one := found["ingest"]:
        per = {line["name"]: line for line in found["baselines"]}
        lines = [
            (
                f"durable ingest, batches of 500, {one['connections']} connections",
                one["spans_per_s"] / 1e3,
                " thousand spans/s",
                Target(15, at_least=True),
            ),
            ("the same, one connection", one["spans_per_s_alone"] / 1e3, " thousand spans/s", None),
            ("payload", one["mb_per_s"], " MB/s", Target(100, at_least=True)),
            ("server CPU per span without compaction", one["cpu_us_per_span"], " µs", Target(90)),
            ("compaction's CPU per span", one["compaction_us_per_span"], " µs", None),
            (
                "ack p99 / p99 of a bare write + sync, one connection",
                one["ack_p99_ms"] / one["sync_p99_ms"],
                "×",
                Target(5),
            ),
            ("written / payload bytes without compaction", one["written_per_payload_byte"], "×", Target(0.6)),
            ("written by compaction / payload bytes", one["compacted_per_payload_byte"], "×", None),
            ("resident, ingest", one["resident_mb"], " MB", Target(512)),
        ]
        body = [
            [name, f"{value:,.2f}{unit}", t.text(unit) if t else "", t.verdict(value) if t else ""]
            for name, value, unit, t in lines
        ]
        body += [
            [f"{name}, durable ingest", f"{line['spans_per_s']:,.0f} spans/s", "", ""] for name, line in per.items()
        ]
        parts.append(table(["ingest", "figure", "target", ""], body))
    disk, replay, memory = found["disk"], found["replay"], found["memory"]
    lines = [
        ("disk per span", disk["bytes_per_span"] / 1e3, " KB", Target(1.3)),
        ("open", disk["open_secs"], " s", Target(1)),
        (f"replay of {replay['log_mb']:,.0f} MB of log", replay["mb_per_s"], " MB/s", Target(200, at_least=True)),
        ("resident, idle", memory["idle_mb"], " MB", Target(60)),
        ("resident, after all reads", memory["after_reads_mb"], " MB", Target(512)),
    ]
    body = [[name, f"{value:,.2f}{unit}", t.text(unit), t.verdict(value)] for name, value, unit, t in lines]
    parts.append(table(["at rest", "figure", "target", ""], body))
    reads = []
    for line in found["reads"]:
        wanted = [
            Target(line[f"target_{which}_ms"]) if line[f"target_{which}_ms"] else None for which in ("p50", "p99")
        ]
        met = all(t is None or t.verdict(line[f"{w}_ms"]) == "met" for t, w in zip(wanted, ("p50", "p99"), strict=True))
        verdict = ("met" if met else "missed") if any(wanted) else ""
        targets = " / ".join(t.text("") if t else "–" for t in wanted)
        figures = f"{line['p50_ms']:,.1f} / {line['p99_ms']:,.1f}"
        reads.append([line["name"], f"{line['first_ms']:,.1f}", figures, targets, verdict])
    parts.append(table(["reads at the client, ms", "first", "p50 / p99", "target", ""], reads))
    return "\n\n".join(parts)


def main() -> None:
    """Measures, tells, and keeps the figures."""
    root = HERE.parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=os.environ.get("STASO_BENCH_SERVER", str(root / "target/release/staso")))
    parser.add_argument("--generator", type=pathlib.Path, default=root.parent / "shared/bench/store/gen.py")
    parser.add_argument("--data", type=pathlib.Path, default=root / "bench-data", help="where the generator writes")
    parser.add_argument("--keep", type=pathlib.Path, help="a state directory that stays; loaded where it is empty")
    parser.add_argument("--spans", type=int, default=20_000)
    parser.add_argument("--narrow", action="store_true", help="spans without payloads")
    parser.add_argument("--samples", type=int, default=60, help="requests of each question")
    arguments = parser.parse_args()
    if not arguments.generator.exists():
        raise SystemExit(f"there is no {arguments.generator}: name the generator of spans with --generator")
    load = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="staso-bench-") as scratch:
        home = arguments.keep or pathlib.Path(scratch)
        home.mkdir(parents=True, exist_ok=True)
        found = measure(arguments, home)
    at = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H%M%SZ")
    found |= {"at": at, "spans": arguments.spans, "narrow": arguments.narrow, "load": load}
    path = HERE.parent / "results" / f"{at}-store.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(told(found))
    print(f"\nload average at the beginning {load[0]:.1f}; all figures: {path}")


if __name__ == "__main__":
    main()
