"""The same spans into other engines, by themselves and without a server: rows as they are, durable batch by batch.

Neither decodes JSON, keeps rollups nor answers over HTTP, so that their figures flatter them.
"""

from __future__ import annotations

import json
import pathlib
import sqlite3
import time
from typing import Any

import duckdb
from spans import rows

COLUMNS = [
    "workspace_id",
    "trace_id",
    "span_id",
    "parent_span_id",
    "name",
    "kind",
    "start_ns",
    "duration_ns",
    "status",
    "model",
    "input_tokens",
    "output_tokens",
    "input",
    "output",
    "attributes",
    "error_message",
    "session_id",
    "user_id",
    "agent_name",
    "tags",
]


def _values(row: dict[str, Any]) -> list[Any]:
    return [json.dumps(row[name]) if name == "tags" else row[name] for name in COLUMNS]


def sqlite_ingest(parts: list[pathlib.Path], home: pathlib.Path, at_once: int) -> dict[str, Any]:
    """A table with the identity as key, write-ahead log, every commit synced."""
    file = home / "baseline.sqlite"
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    key = "PRIMARY KEY (workspace_id, trace_id, span_id)"
    connection.execute(f"CREATE TABLE spans ({', '.join(COLUMNS)}, {key}) WITHOUT ROWID")
    marks = ", ".join("?" * len(COLUMNS))
    spans, began, secs = 0, 0.0, 0.0
    for some in rows(parts, at_once):
        values = [_values(row) for row in some]
        began = time.perf_counter()
        connection.execute("BEGIN")
        connection.executemany(f"INSERT OR REPLACE INTO spans VALUES ({marks})", values)
        connection.execute("COMMIT")
        secs += time.perf_counter() - began
        spans += len(some)
    found = connection.execute("SELECT count(*) FROM spans").fetchone()[0]
    connection.close()
    return _told("SQLite alone", file, spans, found, secs)


def duckdb_ingest(parts: list[pathlib.Path], home: pathlib.Path, at_once: int) -> dict[str, Any]:
    """A table without a key, which is its fastest way; each batch is a transaction."""
    file = home / "baseline.duckdb"
    connection = duckdb.connect(str(file))
    first = str(parts[0])
    connection.execute(f"CREATE TABLE spans AS SELECT {', '.join(COLUMNS)} FROM '{first}' LIMIT 0")
    spans, secs = 0, 0.0
    for part in parts:
        count = connection.execute(f"SELECT count(*) FROM '{part}'").fetchone()
        assert count is not None
        for offset in range(0, count[0], at_once):
            chosen = f"SELECT {', '.join(COLUMNS)} FROM '{part}' LIMIT {at_once} OFFSET {offset}"
            arriving = connection.execute(chosen).fetch_arrow_table()
            began = time.perf_counter()
            connection.execute("INSERT INTO spans SELECT * FROM arriving")
            secs += time.perf_counter() - began
            spans += arriving.num_rows
    found = connection.execute("SELECT count(*) FROM spans").fetchone()
    connection.close()
    return _told("DuckDB alone", file, spans, found[0] if found else 0, secs)


def _told(name: str, file: pathlib.Path, sent: int, found: int, secs: float) -> dict[str, Any]:
    if sent != found:
        raise SystemExit(f"{name}: sent {sent} spans, found {found}: the run does not count")
    told = {"name": name, "spans": sent, "spans_per_s": sent / secs, "bytes_per_span": file.stat().st_size / sent}
    for one in file.parent.glob(f"{file.name}*"):
        one.unlink()
    return told
