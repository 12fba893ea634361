"""The generator's spans as bodies for the native wire, in the order in which they would arrive.

The generator (`gen.py`, named by `--generator`) writes Parquet files; they are read part by part, so that a
set of any size is never in memory.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq


def generate(generator: pathlib.Path, directory: pathlib.Path, shape: str, spans: int) -> list[pathlib.Path]:
    """The parts of a set, made now where they are not there yet."""
    found = sorted((directory / f"{shape}-{spans}").glob("part-*.parquet"))
    if not found:
        directory.mkdir(parents=True, exist_ok=True)
        env = {**os.environ, "BENCH_DATA": str(directory)}
        for command in (["pool"], [shape, str(spans)]):
            subprocess.run([sys.executable, str(generator), *command], check=True, env=env, stdout=sys.stderr)
        found = sorted((directory / f"{shape}-{spans}").glob("part-*.parquet"))
    return found


def rows(parts: list[pathlib.Path], at_once: int) -> Iterator[list[dict[str, Any]]]:
    """The rows of all parts, so many at a time."""
    for part in parts:
        for batch in pq.ParquetFile(part).iter_batches(batch_size=at_once):
            yield batch.to_pylist()


def body(some: list[dict[str, Any]]) -> bytes:
    """One request: the spans of a trace stand together, those of a workspace under its name."""
    traces: dict[bytes, list[dict[str, Any]]] = {}
    for row in some:
        traces.setdefault(row["trace_id"], []).append(row)
    elements = [
        {
            "trace_id": trace_id.hex(),
            "workspace_slug": members[0]["workspace_id"],
            "environment": members[0]["environment"],
            "spans": [_span(row) for row in members],
        }
        for trace_id, members in traces.items()
    ]
    return json.dumps({"traces": elements}, ensure_ascii=False).encode()


def _span(row: dict[str, Any]) -> dict[str, Any]:
    span = {
        "span_id": row["span_id"].hex(),
        "parent_span_id": row["parent_span_id"].hex() if row["parent_span_id"] else None,
        "name": row["name"],
        "kind": row["kind"],
        "start_ns": row["start_ns"],
        "end_ns": row["start_ns"] + row["duration_ns"],
        "status": row["status"],
        "error_message": row["error_message"],
        "attributes": json.loads(row["attributes"] or "{}"),
        "session_id": row["session_id"],
        "user_id": row["user_id"],
        "agent_name": row["agent_name"],
        "agent_version": row["agent_version"],
        "tags": row["tags"] or [],
    }
    if row["model"]:
        span |= {key: row[key] for key in ("model", "provider", "input_tokens", "output_tokens", "total_tokens")}
    # Texts go as they are: the generator's are JSON already, as a client's would be.
    return {**span, **{key: row[key] for key in ("input", "output") if row[key]}}


def key() -> str:
    """An idempotency key."""
    return str(uuid.uuid4())
