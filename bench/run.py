"""`make bench`: what a span costs the program, and how fast the server makes it durable.

Peers run interleaved in random order, several passes, each in a process of its own; the table
shows the median with the quartiles beside it, and the ratios of this one run. Raw blocks and the
machine go to bench/results/ as JSON. See bench/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import time
from typing import Any

import ingest
from server import Server

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS = ROOT / "bench-run"
OTEL = ["opentelemetry-sdk==1.45.2", "opentelemetry-exporter-otlp-proto-http==1.45.2"]


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """(median, first quartile, third quartile)."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return median, q1, q3


def otel_python() -> str:
    """The interpreter of opentelemetry-sdk's own environment, made on first use."""
    python = PEERS / "otel" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS / "otel")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *OTEL], check=True)
    return str(python)


def rows_of(python: str, peer: str, url: str, blocks: int) -> list[dict[str, Any]]:
    """Runs one peer once and reads its blocks."""
    done = subprocess.run(
        [python, str(HERE / "sdk_rows.py"), "--peer", peer, "--url", url, "--blocks", str(blocks)],
        stdout=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "STASO_"))}
        | {"STASO_HOME": str(PEERS / "home")},
    )
    if done.returncode != 0:
        raise SystemExit(f"the peer {peer} failed; its message is above")
    return [json.loads(line) for line in done.stdout.splitlines()]


def sdk(binary: str, passes: int, blocks: int) -> list[dict[str, Any]]:
    """Every block of every peer. Fails unless the server holds each span our SDK recorded."""
    sink = subprocess.Popen([sys.executable, str(HERE / "otlp_sink.py")], stdout=subprocess.PIPE, text=True)
    assert sink.stdout is not None
    try:
        sink_url = f"http://127.0.0.1:{sink.stdout.readline().strip()}"
        found: list[dict[str, Any]] = []
        with Server(binary) as server:
            peers = [
                (sys.executable, "python", ""),
                (sys.executable, "staso", server.url),
                (otel_python(), "otel", sink_url),
            ]
            recorded = 0
            for _ in range(passes):
                for python, peer, url in random.sample(peers, len(peers)):
                    rows = rows_of(python, peer, url, blocks)
                    recorded += sum(r["spans"] for r in rows if r["row"] == "recorded" and peer == "staso")
                    found += [r for r in rows if r["row"] != "recorded"]
            if (stored := server.stored_spans()) != recorded:
                raise SystemExit(f"recorded {recorded} spans, the server holds {stored}: the run does not count")
        return found
    finally:
        sink.kill()
        sink.wait()


def show_sdk(found: list[dict[str, Any]]) -> None:
    """The table of the SDK's rows, with ratios to both baselines."""
    print("\nCPU of the calling thread per span, ns: median (quartiles); every span found in the server")
    print(
        f"{'row':8} {'python itself':>26} {'opentelemetry-sdk':>28} {'staso':>26} {'otel/staso':>11} {'staso/python':>13}"
    )
    for row in ("empty", "typical", "heavy"):
        ns = {
            p: quartiles([r["ns"] for r in found if r["peer"] == p and r["row"] == row])
            for p in ("python", "otel", "staso")
        }
        cells = [f"{m:,.0f} ({a:,.0f}-{b:,.0f})" for m, a, b in (ns["python"], ns["otel"], ns["staso"])]
        print(
            f"{row:8} {cells[0]:>26} {cells[1]:>28} {cells[2]:>26}"
            f" {ns['otel'][0] / ns['staso'][0]:>10.1f}x {ns['staso'][0] / ns['python'][0]:>12.2f}x"
        )
    print("python itself: empty = a class with __enter__/__exit__; typical, heavy = json.dumps of the payload")
    print("\nCPU of all threads per delivered span, shipping included, ns: median")
    for row in ("empty", "typical", "heavy"):
        cpu = {
            p: quartiles([r["cpu_ns"] for r in found if r["peer"] == p and r["row"] == row])[0]
            for p in ("otel", "staso")
        }
        print(
            f"{row:8} opentelemetry-sdk {cpu['otel']:>12,.0f}   staso {cpu['staso']:>12,.0f}   {cpu['otel'] / cpu['staso']:.1f}x"
        )


def show_ingest(runs: list[dict[str, Any]]) -> None:
    """The table of ingest, one row per batch size."""
    print("\nDurable ingest of `typical` spans over HTTP: median (min-max) over runs; every span read back")
    print(
        f"{'batch':>6} {'conns':>6} {'spans/s':>26} {'MB/s':>8} {'server CPU us/span':>20} {'ack p50/p99 ms':>16} {'bare fsync p50/p99':>19} {'RSS MB':>7}"
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


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("what", nargs="?", choices=["all", "sdk", "ingest"], default="all")
    arguments.add_argument("--passes", type=int, default=4, help="interleaved passes over the peers")
    arguments.add_argument("--blocks", type=int, default=5, help="timed blocks per row and pass")
    arguments.add_argument("--spans", type=int, default=50_000, help="spans per ingest run")
    a = arguments.parse_args()
    binary = os.environ.get("STASO_BENCH_SERVER", str(ROOT / "target/release/staso"))
    if not os.path.exists(binary):
        raise SystemExit(f"no server at {binary}: run `make build`, or set STASO_BENCH_SERVER")
    PEERS.mkdir(exist_ok=True)
    result: dict[str, Any] = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()},
    }
    if a.what in ("all", "sdk"):
        result["sdk"] = sdk(binary, a.passes, a.blocks)
        show_sdk(result["sdk"])
    if a.what in ("all", "ingest"):
        result["ingest"] = runs = []
        for _ in range(a.passes):
            for batch, connections in ((100, 1), (100, 4), (500, 2)):
                run = ingest.measure(binary, batch, a.spans // batch, connections)
                runs.append({"batch": batch, "connections": connections, **run})
        show_ingest(runs)
    out = HERE / "results" / f"{result['at'].replace(':', '')}-{a.what}.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=1))
    print(f"\nraw blocks: {out.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
