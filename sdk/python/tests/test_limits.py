"""Limits: huge values cost little and lose no span, queues are bounded, refusals are counted."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from receiver import Receiver

import staso as st
from staso import testing
from staso.testing import Recorded

Run = Callable[..., CompletedProcess[str]]
MIB = 1 << 20


@pytest.mark.spec("5.size")
def test_a_text_of_64_mib_keeps_head_tail_size_and_hash(recorded: Recorded) -> None:
    text = "head " + "x" * (64 * MIB) + " tail"
    with st.span("x") as s:
        s.input = {"text": text, "after": 1}
        s.metadata["kept"] = True
    (span,) = recorded.spans
    kept = span.input["text"]
    assert kept.startswith("head xxx")
    assert kept.endswith("xxx tail")
    assert f"of {len(text)} bytes cut, sha256 {hashlib.sha256(text.encode()).hexdigest()}" in kept
    assert len(kept) < MIB + 200
    assert (span.input["after"], span.metadata) == (1, {"kept": True})


@pytest.mark.spec("5.size", "5.types")
@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_bytes_beyond_the_limit_keep_head_tail_size_and_hash(
    make: Callable[[bytes], Any], recorded: Recorded
) -> None:
    raw = b"head" + bytes(range(256)) * 10_000 + b"tail"
    with st.span("x") as s:
        s.input = make(raw)
    kept = recorded.spans[0].input
    assert base64.b64decode(kept["$bytes"]) == raw[: MIB // 2]
    assert base64.b64decode(kept["$tail"]) == raw[-(MIB // 2) :]
    assert (kept["length"], kept["sha256"]) == (len(raw), hashlib.sha256(raw).hexdigest())


@pytest.mark.spec("5.size")
def test_a_dict_of_a_million_keys_is_cut_not_dropped(recorded: Recorded) -> None:
    big = {f"key number {n}": n for n in range(1_000_000)}
    with st.span("x") as s:
        s.input = big
        s.output = "small"
        s.metadata["kept"] = True
    (span,) = recorded.spans
    assert span.input.pop("$cut") == "<span too large: more items>"
    assert len(span.input) > 300_000
    assert all(span.input[key] == big[key] for key in list(span.input)[::1000])
    assert (span.output, span.metadata) == ("small", {"kept": True})


MEASURED = """
import gc, re, sys
import staso as st

SIZE = 64 << 20

def status(key):
    return int(re.search(key + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

class Growth:
    def __enter__(self):
        gc.collect()
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        self.all, self.own = status("VmRSS"), status("RssAnon")
        return self
    def peak(self):
        return status("VmHWM") - self.all
    def left(self):
        gc.collect()
        return status("RssAnon") - self.own
    def __exit__(self, *_):
        pass

MADE = {
    "text": lambda: "x" * SIZE,
    "wide text": lambda: "\\u00e9" * (SIZE // 2),
    "bytes": lambda: b"x" * SIZE,
    "bytearray": lambda: bytearray(SIZE),
    "dict": lambda: {f"key {n}": n for n in range(1_000_000)},
    "list": lambda: [{"n": n} for n in range(1_000_000)],
    "set": lambda: set(range(1_000_000)),
    "objects": lambda: [object() for _ in range(1_000_000)],
    "chunks": lambda: ["x" * 16_000] * 1_100,
    "error": lambda: ValueError("x" * SIZE),
}
"""

ONE_VALUE = """
client = st.init(capture_git=False)
with st.span("first") as s:
    s.input = {"a": 1}
value = MADE["{kind}"]()
with Growth() as growth:
    with st.span("x") as s:
        s.input = value
    peak, left = growth.peak(), growth.left()
assert client.stats()["accepted"] == 2
assert peak < 256 + 32, f"peak {peak} MiB"
assert left < 32, f"left {left} MiB"
"""

_on_linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="measures through /proc"
)


@_on_linux
@pytest.mark.spec("5.bounded", "5.size")
@pytest.mark.parametrize(
    "kind",
    [
        "text",
        "wide text",
        *["bytes", "bytearray", "dict", "list", "set", "objects", "error"],
    ],
)
def test_a_value_of_64_mib_costs_little(kind: str, run_program: Run) -> None:
    done = run_program(MEASURED + ONE_VALUE.replace("{kind}", kind))
    assert done.returncode == 0, done.stderr


FLOOD = """
import os
refused = evicted = 0
# Nothing is announced meanwhile: what is counted are spans.
client = st.init(capture_git=False, flush_interval=60, **{settings})
with st.span("first") as s:
    s.input = {"a": 1}
value = MADE["chunks"]()
with Growth() as growth:
    for _ in range(30):
        s = st.start_span("x")
        s.input = value
        refused += not s.end().accepted
    peak = growth.peak()
stats = client.stats()
assert peak < 256 + 32, f"peak {peak} MiB"
assert stats["refused"] == refused, stats
assert stats["accepted"] == 31 - refused
assert stats.get("journal_bytes", 0) <= 256 << 20
evicted = stats.get("journal_evicted", 0)
assert {counted} > 10, stats
report = client.flush(0)
assert (report.accepted, report.rejected, report.failed) == (31 - refused, refused, evicted)
assert report.pending + report.journalled == 31 - refused - evicted
assert (report.last_rejection is None) == (not refused)
os._exit(0)
"""


@_on_linux
@pytest.mark.spec("5.journal-bound", "5.bounded", "5.stats")
@pytest.mark.parametrize(
    ("settings", "counted"),
    [
        ("{}", "evicted"),
        ("dict(base_url='http://127.0.0.1:9')", "refused"),
        ("dict(base_url='http://127.0.0.1:9', journal=False)", "refused"),
    ],
)
def test_a_flood_without_a_server_stays_within_its_bounds(
    settings: str, counted: str, run_program: Run
) -> None:
    program = FLOOD.replace("{settings}", settings).replace("{counted}", counted)
    done = run_program(MEASURED + program)
    assert done.returncode == 0, done.stderr


def _sizes(receiver: Receiver) -> list[tuple[int, int]]:
    """Notes the bytes and the spans of each batch that arrives."""
    sizes: list[tuple[int, int]] = []
    take = receiver.take

    def measure(path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        spans = sum(len(trace["spans"]) for trace in json.loads(body).get("traces", []))
        sizes.append((len(body), spans))
        return take(path, headers, body)

    receiver.take = measure  # type: ignore[method-assign]
    return sizes


@pytest.mark.spec("5.batches")
def test_batches_are_split_by_bytes_and_by_count(receiver: Receiver) -> None:
    sizes = _sizes(receiver)
    st.init(base_url=receiver.url, batch_size=50)
    for _ in range(40):
        with st.span("large") as s:
            s.input = ["x" * 100_000] * 5
    with st.span("huge") as s:
        s.input = ["y" * 500_000] * 30
    for _ in range(120):
        with st.span("small"):
            pass
    report = st.flush(60)
    assert report.ok, report
    assert report.delivered == 161
    assert len(receiver.finished()) == 161
    assert sum(spans for _, spans in sizes) == 161
    assert max(spans for _, spans in sizes) <= 50
    assert max(size for size, spans in sizes if spans > 1) <= 5 * MIB
    assert [spans for size, spans in sizes if size > 10 * MIB] == [1]


def _end(count: int) -> list[st.EnqueueResult]:
    return [st.start_span("x").end() for _ in range(count)]


@pytest.mark.spec("5.stats", "3.queue")
def test_a_full_queue_refuses_the_newest_and_says_so(receiver: Receiver) -> None:
    receiver.refuse = [503] * 10_000
    client = st.init(base_url=receiver.url, journal=False, max_queue_size=20)
    answers = _end(50)
    refused = [answer for answer in answers if not answer.accepted]
    assert answers[:20] == [st.EnqueueResult(True)] * 20
    assert refused == [st.EnqueueResult(False, st.DeliveryFailureKind.QUEUE_FULL, True)] * 30
    assert client.stats()["refused"] == 30
    receiver.refuse.clear()
    report = client.flush(30)
    assert (report.accepted, report.delivered, report.rejected) == (20, 20, 30)
    assert report.last_rejection is st.DeliveryFailureKind.QUEUE_FULL
    assert not report.ok
    assert _end(1)[0].accepted
    assert client.flush(10).ok
    stats = client.stats()
    assert (stats["accepted"], stats["delivered"], stats["refused"]) == (21, 21, 30)
    assert len(receiver.finished()) == 21


@pytest.mark.spec("5.stats", "5.retries", "5.set-aside")
def test_what_the_server_refuses_for_good_is_set_aside_and_counted(
    receiver: Receiver, tmp_path: Path
) -> None:
    receiver.refuse = [400]
    client = st.init(base_url=receiver.url)
    _end(3)
    report = client.flush(10)
    _end(2)
    assert client.flush(10).ok
    assert (report.accepted, report.failed, report.ok) == (3, 3, False)
    stats = client.stats()
    assert (stats["accepted"], stats["given_up"], stats["delivered"]) == (5, 3, 2)
    aside = [path for path in (tmp_path / "home").rglob("*") if "rejected" in path.parts]
    assert any(path.is_file() and path.stat().st_size > 0 for path in aside)
    assert len(receiver.finished()) == 2


@pytest.mark.spec("5.stats", "7.redact", "7.fails-closed")
def test_redactions_that_failed_are_counted() -> None:
    def broken(path: tuple[Any, ...], value: Any) -> Any:
        if value == "secret":
            raise LookupError
        return value

    client = st.init(journal=False, redact=broken)
    with st.span("x") as s:
        s.input = ["secret", "fine", "secret"]
    assert client.stats()["redactions_failed"] == 2


@pytest.mark.spec("5.stats")
def test_what_is_left_out_is_counted() -> None:
    client = st.init(journal=False)
    with st.span("x") as s:
        before = client.stats()
        s.annotate("score", value=float("nan"))
    with st.span("x"):
        pass
    after = client.stats()
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed - {"accepted", "memory_pending", "open_spans"}


@pytest.mark.spec("5.stats")
def test_what_ends_after_the_shutdown_is_counted() -> None:
    client = st.init(journal=False)
    late = st.start_span("late")
    st.shutdown(1)
    assert late.end() == st.EnqueueResult(False, st.DeliveryFailureKind.SHUTDOWN)
    assert client.stats()["refused"] == 1


@pytest.mark.spec("5.stats", "3.report")
def test_a_span_that_was_announced_is_one_span_in_the_report() -> None:
    client = st.init(flush_interval=0.02, capture_git=False)
    with st.span("long"):
        deadline = time.monotonic() + 30
        while client.stats()["announced"] == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    report = client.flush(1)
    assert (report.accepted, report.journalled) == (1, 1)


@pytest.mark.spec("5.types", "5.user-calls")
def test_calls_into_the_programs_code_are_bounded_per_span() -> None:
    calls: list[int] = []

    class Counted:
        def __repr__(self) -> str:
            calls.append(1)
            return "counted"

    with testing.capture() as recorded, st.span("x") as s:
        s.input = [Counted() for _ in range(3000)]
        s.output = [Counted() for _ in range(3000)]
        s.metadata["m"] = [Counted() for _ in range(3000)]
    (span,) = recorded.spans
    assert len(calls) <= 2000
    assert len(span.input) == len(span.output) == len(span.metadata["m"]) == 3000


@pytest.mark.spec("5.size")
def test_many_huge_exceptions_cut_the_record_not_the_span() -> None:
    with testing.capture() as recorded, st.span("x") as s:
        for _ in range(40):
            s.record_exception(ValueError("m" * 1_000_000))
    (span,) = recorded.spans
    assert "more events" in span.events[-1]["attributes"]["exception.message"]
    assert len(json.dumps(span.fields)) < 20 << 20


_MANY_EXCEPTIONS = """
import gc, os
import staso as st

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def record(span, n):
    try:
        raise ValueError(f"the same thing failed again, for the {n}th time")
    except ValueError as error:
        span.record_exception(error)

st.init(max_span_bytes=1 << 20, capture_git=False)
with st.span("warm") as s:
    for n in range(100):
        record(s, n)
gc.collect()
before = resident()
with st.span("many") as s:
    for n in range(100_000):
        record(s, n)
    print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.spec("5.bounded")
def test_an_open_span_holds_no_more_exceptions_than_it_can_tell(run_program: Run) -> None:
    grown = int(run_program(_MANY_EXCEPTIONS).stdout)
    assert grown < 16 * MIB, f"{grown / MIB:.1f} MiB"


@pytest.mark.spec("5.size")
def test_exceptions_beyond_the_size_of_a_span_are_counted(recorded: Recorded) -> None:
    text = "x" * 100_000
    with st.span("x") as s:
        for _ in range(500):
            s.record_exception(ValueError(text))
    events = recorded.spans[0].events
    told = events[-1]["attributes"]["exception.message"]
    assert told == f"<span too large: {500 - len(events) + 1} more events>"
    assert len(events) > 50
