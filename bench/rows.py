"""The rows: what each peer does `n` times in the timed loop, written as its users would write it.

A peer is `python` (what the language itself costs), `staso` (the wheel of this tree), `client` (the
pure-Python package of the same name, in an environment of its own) or `otel` (opentelemetry-sdk). Every
peer also carries Python's own rows, so that a ratio can be taken within one process and one round.
"""

from __future__ import annotations

import contextvars
import dataclasses
import json
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from payload import HEAVY_IN, HEAVY_OUT, INP, META, OUT

THREADS = 4


@dataclasses.dataclass(frozen=True)
class Row:
    """`run(n)` records `n * spans_each` spans; it returns its CPU time in ns where the calling thread's is not it.
    A row that takes long is measured in every `every`-th round only."""

    run: Callable[[int], int | None]
    n: int
    spans_each: int = 1
    every: int = 1


class PyClass:
    """The least a context manager written in Python can do: the row `py_class`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> PyClass:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def add(x: int, y: int = 1) -> int:
    """The function that is decorated; bare, it is the row `bare_sync`."""
    return x + y


async def add_async(x: int, y: int = 1) -> int:
    """The same as a coroutine: `bare_async`."""
    return x + y


def calling(function: Callable[[int], int]) -> Callable[[int], None]:
    """A loop of plain calls."""

    def run(n: int) -> None:
        for i in range(n):
            function(i)

    return run


def awaiting(function: Callable[[int], Awaitable[int]]) -> Callable[[int], None]:
    """A loop of awaited calls in one task. The event loop is made by the first, untimed run, and only where it is
    needed: under an instruction counter its import takes longer than most rows."""
    loop: Any = None

    async def calls(n: int) -> None:
        for i in range(n):
            await function(i)

    def run(n: int) -> None:
        nonlocal loop
        if loop is None:
            import asyncio

            loop = asyncio.new_event_loop()
        loop.run_until_complete(calls(n))

    return run


def on_threads(one: Callable[[int], object], threads: int) -> Callable[[int], int]:
    """The same work split over threads that start together; the CPU time of all of them."""

    def run(n: int) -> int:
        start, spent = threading.Barrier(threads), []

        def work() -> None:
            start.wait()
            began = time.thread_time_ns()
            one(n // threads)
            spent.append(time.thread_time_ns() - began)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if len(spent) != threads:
            raise SystemExit("a thread of the benchmark failed; its message is above")
        return sum(spent)

    return run


def python_rows() -> dict[str, Row]:
    """What Python itself costs: the rows that targets are stated in."""
    variable: contextvars.ContextVar[int | None] = contextvars.ContextVar("variable", default=None)

    def py_class(n: int) -> None:
        for _ in range(n):
            with PyClass("x"):
                pass

    def contextvar(n: int) -> None:
        for _ in range(n):
            variable.reset(variable.set(1))

    def json_typical(n: int) -> None:
        for _ in range(n):
            json.dumps(META), json.dumps(INP), json.dumps(OUT)

    def json_heavy(n: int) -> None:
        for _ in range(n):
            json.dumps(HEAVY_IN), json.dumps(HEAVY_OUT)

    return {
        "py_class": Row(py_class, 20_000, 0),
        "contextvar": Row(contextvar, 20_000, 0),
        "json_typical": Row(json_typical, 1_000, 0),
        "json_heavy": Row(json_heavy, 40, 0),
        "bare_sync": Row(calling(add), 20_000, 0),
        "bare_async": Row(awaiting(add_async), 20_000, 0),
    }


class Peer:
    """A tracing SDK as its users call it. `recording()` are the rows of a program that is traced."""

    cheap, typical_n, heavy_n = 2_000, 1_000, 60
    """How much one block holds: no peer's queue overflows before it is drained."""

    span: Callable[[str], Any]
    decorate: Callable[[Any], Any]

    def start(self, url: str, state: str) -> None:
        """Sets the SDK up: `recording`, `disabled` (by its own switch) or `uninitialised` (not at all)."""
        raise NotImplementedError

    def drain(self) -> int | None:
        """Delivers everything, or ends the run; how many the SDK says it delivered, where it says."""
        raise NotImplementedError

    def empty(self, n: int) -> None:
        span = self.span
        for _ in range(n):
            with span("x"):
                pass

    def nested(self, n: int) -> None:
        span = self.span
        for _ in range(n):
            with span("a"):
                with span("b"):
                    with span("c"):
                        pass

    def typical(self, n: int) -> None:
        raise NotImplementedError

    def heavy(self, n: int) -> None:
        raise NotImplementedError

    def rows(self) -> dict[str, Row]:
        """The rows that every state has."""
        return {
            "empty": Row(self.empty, self.cheap),
            "typical": Row(self.typical, self.typical_n),
            "decorator": Row(calling(self.decorate(add)), self.cheap),
            "decorator_async": Row(awaiting(self.decorate(add_async)), self.cheap),
        }

    def recording(self) -> dict[str, Row]:
        """And those that only say something of a program that records."""
        return {
            **self.rows(),
            "heavy": Row(self.heavy, self.heavy_n),
            "nested": Row(self.nested, self.cheap // 3, 3),
        }


class StasoCalls(Peer):
    """`import staso as st`: the calls that the wheel and the existing package have in common."""

    def start(self, url: str, state: str) -> None:
        import staso as st

        if state != "uninitialised":
            st.init(
                api_key="ak_any_key_will_do",
                agent_name="bench",
                base_url=url,
                capture_git=False,
                enabled=state == "recording",
            )
        self.span, self.decorate, self._flush = st.span, st.trace, st.flush

    def drain(self) -> int | None:
        self.flush()
        return None

    def flush(self) -> Any:
        """The delivery report, or the end of the run."""
        report = self._flush(timeout=120)
        if not report.ok:
            raise SystemExit(f"the SDK could not deliver, so its figures do not count: {report}")
        return report

    def typical(self, n: int) -> None:
        span = self.span
        for _ in range(n):
            with span("x") as s:
                s.metadata.update(META)
                s.input = INP
                s.output = OUT

    def heavy(self, n: int) -> None:
        span = self.span
        for _ in range(n):
            with span("x") as s:
                s.input = HEAVY_IN
                s.output = HEAVY_OUT


class Staso(StasoCalls):
    """The wheel. Its reports count since the last one, and its journal has room for what the rows on threads
    need to be long enough to contend."""

    def drain(self) -> int | None:
        return int(self.flush().delivered)

    def recording(self) -> dict[str, Row]:
        return {
            **super().recording(),
            "empty_1_thread": Row(on_threads(self.empty, 1), 16_000, every=2),
            "empty_4_threads": Row(on_threads(self.empty, THREADS), 16_000, every=2),
            "typical_1_thread": Row(on_threads(self.typical, 1), 6_000, every=2),
            "typical_4_threads": Row(on_threads(self.typical, THREADS), 6_000, every=2),
        }


class Otel(Peer):
    """opentelemetry-sdk with its OTLP/HTTP exporter: payloads as JSON text attributes, the habit of its
    GenAI users. Its decorator captures neither arguments nor the result."""

    def start(self, url: str, state: str) -> None:
        from opentelemetry import trace

        self._provider = None
        if state == "recording":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor

            self._provider = TracerProvider()
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces")))
            trace.set_tracer_provider(self._provider)
        self.span = trace.get_tracer("bench").start_as_current_span
        self.decorate = self.span("f")

    def drain(self) -> int | None:
        if self._provider and not self._provider.force_flush(120_000):
            raise SystemExit("opentelemetry-sdk could not deliver, so its figures do not count")
        return None

    def typical(self, n: int) -> None:
        span, items = self.span, list(META.items())
        for _ in range(n):
            with span("x") as s:
                for key, value in items:
                    s.set_attribute(key, value)
                s.set_attribute("input.value", json.dumps(INP))
                s.set_attribute("output.value", json.dumps(OUT))

    def heavy(self, n: int) -> None:
        span = self.span
        for _ in range(n):
            with span("x") as s:
                s.set_attribute("input.value", json.dumps(HEAVY_IN))
                s.set_attribute("output.value", json.dumps(HEAVY_OUT))


class Python(Peer):
    """Nothing but the interpreter: shows that Python's rows cost the same without an SDK beside them."""

    def start(self, url: str, state: str) -> None:
        return None

    def drain(self) -> int | None:
        return None

    def rows(self) -> dict[str, Row]:
        return {}

    def recording(self) -> dict[str, Row]:
        return {}


PEERS: dict[str, type[Peer]] = {"python": Python, "staso": Staso, "client": StasoCalls, "otel": Otel}
