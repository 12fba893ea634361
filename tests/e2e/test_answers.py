"""Answers of the query API as a dashboard gets them from the real binary."""

from __future__ import annotations

import gzip
import json
import urllib.request
from pathlib import Path

from parts import Server, run_program


def test_a_large_skeleton_shrinks_for_who_accepts_that(server: Server, home: Path) -> None:
    source = """
import staso as st
st.init()
with st.span("root", kind="agent"):
    for i in range(2000):
        with st.span("step"):
            pass
"""
    run_program(source, home)
    server.wait_for_spans(2001)
    (row,) = server.trace_rows()
    url = f"{server.url}/api/traces/{row['trace_id']}/skeleton"
    with urllib.request.urlopen(url, timeout=60) as response:
        assert response.headers["Content-Encoding"] is None
        plain = response.read()
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        packed = response.read()
    assert gzip.decompress(packed) == plain
    assert len(packed) * 3 < len(plain), f"{len(packed)} of {len(plain)} bytes"


def test_a_span_by_itself_knows_its_place(server: Server, home: Path) -> None:
    source = """
import staso as st
st.init()
with st.span("a"), st.span("b"), st.span("gone") as gone, st.span("c"):
    gone.drop()
"""
    run_program(source, home)
    server.wait_for_spans(3)
    for span in server.spans():
        alone = server.get(f"/api/spans/{span['trace_id']}/{span['span_id']}")
        assert alone == span
    places = {span["name"]: (span["depth"], span["missing_parent"]) for span in server.spans()}
    assert places == {"a": (0, False), "b": (1, False), "c": (2, False)}


def test_a_root_without_a_time_has_its_traces(server: Server) -> None:
    span = {"span_id": "00f067aa0ba902b7", "parent_span_id": None, "name": "root", "duration_ms": 5}
    trace = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "timestamp": "2025-01-01T00:00:00Z", "spans": [span]}
    body = json.dumps({"traces": [trace]}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.url + "/v1/traces/ingest", body, headers, method="POST")
    with urllib.request.urlopen(request, timeout=60) as response:
        assert json.load(response)["repaired"] == []
    (row,) = server.trace_rows()
    assert row["start_ns"] == "1735689600000000000"
