"""Times the rows of one peer in one process, and prints one JSON line per row and block.

A peer is `python` (what the language itself costs), `staso` (the wheel in this interpreter) or
`otel` (opentelemetry-sdk with its OTLP/HTTP exporter). The figure is CPU of the calling thread per
span, nanoseconds, scaled by the yardstick; the queue is drained between blocks, off the clock, so
that no peer looks cheap by throwing spans away. `cpu` is the same over all threads of the process.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import sys
import time
from typing import Any, Callable

import yardstick
from payload import HEAVY_IN, HEAVY_OUT, INP, META, OUT

Row = tuple[Callable[[int], None], int]


class PyClass:
    """The least a context manager written in Python can do: the row `py_class`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> PyClass:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def python_rows() -> tuple[dict[str, Row], Callable[[], None]]:
    """What Python itself costs: an empty context manager, and `json.dumps` of the payloads."""

    def empty(n: int) -> None:
        for _ in range(n):
            with PyClass("x"):
                pass

    def typical(n: int) -> None:
        for _ in range(n):
            json.dumps(META), json.dumps(INP), json.dumps(OUT)

    def heavy(n: int) -> None:
        for _ in range(n):
            json.dumps(HEAVY_IN), json.dumps(HEAVY_OUT)

    return {"empty": (empty, 20_000), "typical": (typical, 2_000), "heavy": (heavy, 60)}, lambda: None


def staso_rows(url: str) -> tuple[dict[str, Row], Callable[[], None]]:
    """The wheel, shipping to a real server at `url`."""
    import staso as st

    st.init(base_url=url, agent_name="bench", capture_git=False)

    def empty(n: int) -> None:
        span = st.span
        for _ in range(n):
            with span("x"):
                pass

    def typical(n: int) -> None:
        span = st.span
        for _ in range(n):
            with span("x") as s:
                s.metadata.update(META)
                s.input = INP
                s.output = OUT

    def heavy(n: int) -> None:
        span = st.span
        for _ in range(n):
            with span("x") as s:
                s.input = HEAVY_IN
                s.output = HEAVY_OUT

    def drain() -> None:
        report = st.flush(timeout=120)
        if not report.ok:
            raise SystemExit(f"the SDK could not deliver, so its figures do not count: {report}")

    return {"empty": (empty, 2_000), "typical": (typical, 2_000), "heavy": (heavy, 100)}, drain


def otel_rows(url: str) -> tuple[dict[str, Row], Callable[[], None]]:
    """opentelemetry-sdk: payloads as JSON text attributes, the habit of its GenAI users."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces")))
    start = provider.get_tracer("bench").start_as_current_span
    items: list[tuple[str, Any]] = list(META.items())

    def empty(n: int) -> None:
        for _ in range(n):
            with start("x"):
                pass

    def typical(n: int) -> None:
        for _ in range(n):
            with start("x") as s:
                for key, value in items:
                    s.set_attribute(key, value)
                s.set_attribute("input.value", json.dumps(INP))
                s.set_attribute("output.value", json.dumps(OUT))

    def heavy(n: int) -> None:
        for _ in range(n):
            with start("x") as s:
                s.set_attribute("input.value", json.dumps(HEAVY_IN))
                s.set_attribute("output.value", json.dumps(HEAVY_OUT))

    def drain() -> None:
        if not provider.force_flush(120_000):
            raise SystemExit("opentelemetry-sdk could not deliver, so its figures do not count")

    return {"empty": (empty, 2_000), "typical": (typical, 2_000), "heavy": (heavy, 100)}, drain


def process_cpu_ns() -> int:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return int((usage.ru_utime + usage.ru_stime) * 1e9)


def block(run: Callable[[int], None], spans: int, drain: Callable[[], None]) -> dict[str, float]:
    """One timed block. `ns`: calling thread, per span. `cpu_ns`: all threads, delivery included."""
    gc.collect()
    before = yardstick.observe()
    process_began = process_cpu_ns()
    began = time.thread_time_ns()
    run(spans)
    spent = time.thread_time_ns() - began
    drain()
    process_spent = process_cpu_ns() - process_began
    scale = yardstick.REFERENCE_NS / ((before + yardstick.observe()) / 2)
    return {"ns": spent / spans * scale, "cpu_ns": process_spent / spans * scale}


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--peer", choices=["python", "staso", "otel"], required=True)
    arguments.add_argument("--url", default="")
    arguments.add_argument("--blocks", type=int, default=5)
    a = arguments.parse_args()
    rows, drain = {
        "python": python_rows,
        "staso": lambda: staso_rows(a.url),
        "otel": lambda: otel_rows(a.url),
    }[a.peer]()
    recorded = 0
    for name, (run, spans) in rows.items():
        run(max(spans // 4, 10))
        drain()
        recorded += max(spans // 4, 10)
        for _ in range(a.blocks):
            print(json.dumps({"peer": a.peer, "row": name, **block(run, spans, drain)}))
            recorded += spans
    print(json.dumps({"peer": a.peer, "row": "recorded", "spans": recorded}))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
