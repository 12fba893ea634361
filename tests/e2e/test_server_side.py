"""Sentences of the package's contract that need a server: dropped spans, its announcement, whose journal it reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from parts import Server, run_program

DROPPED = """
import staso as st
st.init()
with st.span("outer"):
    with st.span("gone") as gone:
        with st.span("early"):
            pass
        assert st.flush(60).ok
        late = st.start_span("late")
        gone.drop()
    assert st.flush(60).ok
    late.end()
assert st.flush(60).ok
"""


@pytest.mark.spec("1.drop-shown", "1.drop")
def test_children_of_a_dropped_span_are_shown_under_its_parent(server: Server, home: Path) -> None:
    """One child arrives before the span is dropped, the other after."""
    run_program(DROPPED, home)
    server.wait_for_span("outer")
    # In the order of the tree, where depth 1 is right under the only root.
    spans = server.spans()
    shown = [(span["name"], span["depth"], span["missing_parent"]) for span in spans]
    assert shown == [("outer", 0, False), ("early", 1, False), ("late", 1, False)]
    # Asked for alone, a child names the same parent, which can be opened.
    outer, *children = spans
    for child in children:
        assert child["parent_span_id"] == outer["span_id"]
        assert server.get(f"/api/spans/{child['trace_id']}/{child['span_id']}") == child
    # Nothing was wrong with what the client said of the dropped one.
    assert server.get("/api/health")["ingest"]["repaired"] == "0"


SAMPLED = """
import staso as st
st.init(sample_rate=0.25, capture_git=False)
for n in range(400):
    with st.span("root"):
        with st.span("call", kind="llm") as call:
            call.input_tokens, call.output_tokens = 100, 10
assert st.flush(60).ok
"""


@pytest.mark.spec("3.sample-rate")
def test_a_sampled_program_is_listed_as_stored_and_can_be_weighed(server: Server, home: Path) -> None:
    """A row and a facet say what is stored; what stands for the rest is the rate that every span carries."""
    run_program(SAMPLED, home)
    rows = server.trace_rows()
    assert 0 < len(rows) < 400
    assert {(row["span_count"], row["total_tokens"]) for row in rows} == {(2, 110)}
    assert server.get("/api/facets?field=name")["values"] == [{"value": "root", "count": len(rows)}]
    spans = server.spans()
    assert {span["sample_rate"] for span in spans} == {0.25}
    # Six standard deviations of 400 traces that are kept at a quarter.
    weighed = sum(1 / span["sample_rate"] for span in spans if span["parent_span_id"] is None)
    assert abs(weighed - 400) < 6 * (400 * 0.75 / 0.25) ** 0.5


@pytest.mark.spec("3.server-json-mode")
def test_the_announcement_is_the_owners_alone(server: Server) -> None:
    path = server.home / "server.json"
    assert path.stat().st_mode & 0o777 == 0o600
    told = json.loads(path.read_text())
    assert server.process is not None
    assert told["pid"] == server.process.pid
    assert told["url"].startswith("http://127.0.0.1:")
    assert len(told["token"]) >= 32


@pytest.mark.spec("5.journal-local", "3.local-mode")
def test_the_local_server_leaves_the_journal_of_remote_programs_alone(server: Server, home: Path) -> None:
    source = "import os, sys\nimport staso as st\nst.init()\nwith st.span(sys.argv[1]): pass\nos._exit(0)\n"
    remote = {"STASO_BASE_URL": "http://staso.invalid", "STASO_API_KEY": "ak_1", "STASO_ALLOW_HTTP": "1"}
    run_program(source, home, "remote", env=remote)
    left = set((home / "journal").glob("*.seg"))
    assert left
    for place in range(3):
        run_program(source, home, f"local {place}")
        server.wait_for_span(f"local {place}")
    assert {span["name"] for span in server.spans()} == {"local 0", "local 1", "local 2"}
    assert left <= set((home / "journal").glob("*.seg"))
