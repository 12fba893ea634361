"""How fast `typical` spans become durable over HTTP, the client on the same machine.

Bodies are made beforehand, so that the client's share of the two cores is little more than the
socket. A run counts only when a reader finds every span afterwards. The `fsync` row is the same
number of bytes written and fdatasync'ed batch by batch by this process on the same disk: what the
machine itself can do.
"""

from __future__ import annotations

import http.client
import json
import os
import tempfile
import threading
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

from payload import INP, META, OUT
from server import Server

SPANS_PER_TRACE = 10


def body(spans: int, now_ns: int) -> bytes:
    """One batch of `typical` spans in traces of ten, in the form the SDK sends."""
    traces = []
    for first in range(0, spans, SPANS_PER_TRACE):
        root = os.urandom(8).hex()
        members: list[dict[str, Any]] = []
        for i in range(min(SPANS_PER_TRACE, spans - first)):
            members.append(
                {
                    "span_id": root if i == 0 else os.urandom(8).hex(),
                    "parent_span_id": None if i == 0 else root,
                    "name": f"step-{i}",
                    "kind": ("agent", "llm", "tool")[min(i, 1 + i % 2)],
                    "start_ns": now_ns + i * 1_000_000,
                    "end_ns": now_ns + i * 1_000_000 + 900_000,
                    "status": "ok",
                    "model": "gpt-4o-mini" if i % 2 else None,
                    "input": INP,
                    "output": OUT,
                    "attributes": META,
                    "agent_name": "bench",
                    "session_id": "bench-session",
                }
            )
        traces.append({"trace_id": uuid.uuid4().hex, "spans": members})
    return json.dumps({"traces": traces}, ensure_ascii=False).encode()


def send(url: str, bodies: list[bytes], acks_ms: list[float]) -> None:
    """Posts the bodies one after another over one connection; raises on any answer but 200."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    for one in bodies:
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
        began = time.perf_counter()
        while True:
            connection.request("POST", "/v1/traces/ingest", one, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 429:
                break
            time.sleep(float(answer.headers["Retry-After"]))
        acks_ms.append((time.perf_counter() - began) * 1e3)
        if answer.status != 200:
            raise SystemExit(f"ingest answered {answer.status}: {text[:300]!r}")


def measure(binary: str, batch: int, batches: int, connections: int) -> dict[str, float]:
    """One run on a fresh data directory."""
    bodies = [body(batch, time.time_ns()) for _ in range(batches)]
    acks_ms: list[float] = []
    with Server(binary) as server:
        send(server.url, [body(batch, time.time_ns())], [])
        cpu = server.cpu_secs()
        began = time.perf_counter()
        senders = [
            threading.Thread(target=send, args=(server.url, bodies[i::connections], acks_ms))
            for i in range(connections)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        wall = time.perf_counter() - began
        cpu = server.cpu_secs() - cpu
        stored, sent = server.stored_spans(), batch * (batches + 1)
        if stored != sent:
            raise SystemExit(f"sent {sent} spans, a reader finds {stored}: the run does not count")
        if missing := unreadable(server, bodies):
            raise SystemExit(f"{missing} acknowledged spans are not in their traces: the run does not count")
        resident = server.resident_mb()
    acks_ms.sort()
    spans, size = batch * batches, sum(map(len, bodies))
    return {
        "spans_per_s": spans / wall,
        "mb_per_s": size / wall / 1e6,
        "server_cpu_us_per_span": cpu / spans * 1e6,
        "ack_p50_ms": acks_ms[len(acks_ms) // 2],
        "ack_p99_ms": acks_ms[min(len(acks_ms) - 1, len(acks_ms) * 99 // 100)],
        "resident_mb": resident,
        "bytes_per_span": size / spans,
        **bare_fsync([len(b) for b in bodies]),
    }


def unreadable(server: Server, bodies: list[bytes]) -> int:
    """How many of the spans sent are missing when each trace is asked for by its id."""
    missing = 0
    for one in bodies:
        for trace in json.loads(one)["traces"]:
            sent = {span["span_id"] for span in trace["spans"]}
            missing += len(sent - server.span_ids(trace["trace_id"]))
    return missing


def bare_fsync(sizes: list[int]) -> dict[str, float]:
    """p50 and p99 of write + fdatasync of as many bytes as each batch has, on the same disk."""
    times_ms = []
    with tempfile.TemporaryFile() as file:
        for size in sizes:
            block = os.urandom(size)
            began = time.perf_counter()
            os.write(file.fileno(), block)
            os.fdatasync(file.fileno())
            times_ms.append((time.perf_counter() - began) * 1e3)
    times_ms.sort()
    return {
        "fsync_p50_ms": times_ms[len(times_ms) // 2],
        "fsync_p99_ms": times_ms[min(len(times_ms) - 1, len(times_ms) * 99 // 100)],
    }
