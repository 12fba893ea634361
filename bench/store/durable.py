"""Durable ingest over HTTP: how much, how dear, and how late the answer is.

Bodies are made before the clock runs. Stretches alternate: in one, several connections send at once, which says how
much the server takes; in the next, one connection sends alone, a bare write and sync of the same bytes beside
each batch, which says how late an answer is and what of that is the disk.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

from serving import Serving
from spans import body, key, rows

BATCH = 500
LONGEST_STRETCH = 20
CONNECTIONS = 4


def quantile(times: list[float], share: float) -> float:
    """The nearest rank."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def ingest(serving: Serving, parts: list[pathlib.Path], expected: int) -> dict[str, float]:
    """Sends everything, and fails where not everything is stored."""
    stretch = max(1, min(LONGEST_STRETCH, expected // BATCH // 4))
    together, alone = Together(serving), Alone(serving)
    spans, payload = 0, 0
    cpu, written, compacted = serving.cpu_secs(), serving.written_bytes(), serving.compacted()
    with tempfile.TemporaryFile(dir=serving.home) as bare:
        for number, some in enumerate(_stretches(parts, stretch)):
            bodies = [body(rows) for rows in some]
            sizes = [len(rows) for rows in some]
            if number % 2 == 0:
                together.send(bodies, sum(sizes))
            else:
                alone.send(bodies, sum(sizes), bare)
            spans, payload = spans + sum(sizes), payload + sum(map(len, bodies))
    # The server has closed a connection that was silent for so long.
    serving.connection.close()
    # A compaction that is not done yet is in the first two and not in what is told apart.
    compaction_secs, compaction_bytes = (n - before for n, before in zip(serving.compacted(), compacted, strict=True))
    cpu = serving.cpu_secs() - cpu - compaction_secs
    written = serving.written_bytes() - written - compaction_bytes
    if (stored := int(serving.get("/api/health")["store"]["spans"])) != spans:
        raise SystemExit(f"sent {spans} spans, {stored} are stored: the run does not count")
    bytes_per_span = payload / spans
    return {
        "spans": spans,
        "payload_bytes_per_span": bytes_per_span,
        "connections": CONNECTIONS,
        "spans_per_s": together.spans / together.secs,
        "mb_per_s": together.spans / together.secs * bytes_per_span / 1e6,
        "spans_per_s_alone": alone.spans / alone.secs,
        "cpu_us_per_span": cpu / spans * 1e6,
        "compaction_us_per_span": compaction_secs / spans * 1e6,
        "ack_p50_ms": statistics.median(alone.acks),
        "ack_p99_ms": quantile(alone.acks, 0.99),
        "sync_p50_ms": statistics.median(alone.syncs),
        "sync_p99_ms": quantile(alone.syncs, 0.99),
        "written_per_payload_byte": written / payload,
        "compacted_per_payload_byte": compaction_bytes / payload,
        "resident_mb": serving.resident_mb(),
    }


class Together:
    """Several connections at once."""

    def __init__(self, serving: Serving) -> None:
        self._clients = [serving.client() for _ in range(CONNECTIONS)]
        self.spans, self.secs = 0, 0.0

    def send(self, bodies: list[bytes], spans: int) -> None:
        """Sends these, each on whichever connection is free."""
        waiting = list(bodies)

        def work(client: Any) -> None:
            while waiting:
                try:
                    one = waiting.pop()
                except IndexError:
                    return
                client.post(one, key())

        began = time.perf_counter()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(work, self._clients))
        self.secs += time.perf_counter() - began
        self.spans += spans


class Alone:
    """One connection, a bare write and sync beside each batch."""

    def __init__(self, serving: Serving) -> None:
        self._client = serving.client()
        self.acks: list[float] = []
        self.syncs: list[float] = []
        self.spans, self.secs = 0, 0.0

    def send(self, bodies: list[bytes], spans: int, bare: BinaryIO) -> None:
        """Sends these one after another."""
        for one in bodies:
            self.syncs.append(_bare_sync(bare, os.urandom(len(one))))
            self.acks.append(self._client.post(one, key()))
            self.secs += self.acks[-1] / 1e3
        self.spans += spans


def _bare_sync(bare: BinaryIO, block: bytes) -> float:
    began = time.perf_counter()
    os.write(bare.fileno(), block)
    os.fdatasync(bare.fileno())
    took = (time.perf_counter() - began) * 1e3
    os.ftruncate(bare.fileno(), 0)
    os.lseek(bare.fileno(), 0, os.SEEK_SET)
    return took


def _stretches(parts: list[pathlib.Path], length: int) -> Iterator[list[list[dict[str, Any]]]]:
    batches = rows(parts, BATCH)
    while some := list(itertools.islice(batches, length)):
        yield some
