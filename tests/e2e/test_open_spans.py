"""Open spans: running while their process lives, closed as interrupted when it does not."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parts import Server, payload, run_program, start_program, wait_until

# Two spans that stay open, announced with what was known when they began.
AGENT = """
import sys
import staso as st
st.init()

@st.tool
def look_up(order: int):
    print("open", flush=True)
    sys.stdin.readline()

with st.span("answer", kind="agent"):
    look_up(7)
"""


def open_count(server: Server) -> int:
    return sum(row["open_count"] for row in server.trace_rows())


def start_agent(server: Server, home: Path, spans: int = 2, **env: str) -> subprocess.Popen[str]:
    """Starts the agent and waits until the dashboard would show its spans as running."""
    program = start_program(AGENT, home, env=env)
    assert program.stdout is not None
    assert program.stdout.readline() == "open\n"
    wait_until("the running spans", lambda: open_count(server) == spans)
    return program


def kill(program: subprocess.Popen[str]) -> None:
    program.kill()
    program.communicate()
    assert program.returncode == -signal.SIGKILL


def by_name(server: Server) -> dict[str, dict[str, Any]]:
    return {span["name"]: span for span in server.spans()}


def assert_interrupted(span: dict[str, Any]) -> None:
    assert not span["open"] and span["interrupted"], span
    assert span["status"] == "error" and "interrupted" in span["error_message"]
    assert span["metadata"]["staso.interrupted"] is True
    assert int(span["end_ns"]) >= int(span["start_ns"])


@pytest.mark.spec("5.interrupted", "5.open-head")
def test_the_spans_of_a_killed_program_are_closed_with_what_they_had(server: Server, home: Path) -> None:
    program = start_agent(server, home)
    (row,) = server.trace_rows()
    assert (row["state"], row["end_ns"]) == ("running", None)
    kill(program)
    wait_until("the closing", lambda: open_count(server) == 0)
    spans = by_name(server)
    assert_interrupted(spans["answer"])
    assert_interrupted(spans["look_up"])
    assert payload(spans["look_up"]["input"]) == {"order": 7}
    (row,) = server.trace_rows()
    assert (row["state"], row["status"], row["error_count"]) == ("interrupted", "error", 2)
    # It is stored, not only shown: another server on the same data says the same.
    assert server.stop() == 0
    again = by_name(server.start())
    assert again == spans


@pytest.mark.spec("5.interrupted")
def test_a_program_killed_while_no_server_ran_is_closed_by_the_next_one(server: Server, home: Path) -> None:
    program = start_agent(server, home)
    server.kill()
    kill(program)
    died_ns = time.time_ns()
    server.start()
    wait_until("the closing", lambda: open_count(server) == 0)
    for span in by_name(server).values():
        assert_interrupted(span)
        assert int(span["end_ns"]) <= died_ns, "dated by the program's life, not by the server's start"


@pytest.mark.spec("5.interrupted")
def test_the_live_stream_tells_of_the_closing(server: Server, home: Path) -> None:
    program = start_agent(server, home)
    (row,) = server.trace_rows()
    with urllib.request.urlopen(server.url + "/api/live", timeout=60) as stream:
        assert stream.readline() == b"event: hello\n"
        kill(program)
        wait_until("the change", lambda: stream.readline().startswith(b"event: trace"))
        data = stream.readline() + stream.readline()
        assert row["trace_id"].encode() in data, data
    wait_until("the closing", lambda: open_count(server) == 0)


@pytest.mark.spec("5.interrupted")
def test_a_dead_process_among_living_ones_closes_only_its_own_spans(server: Server, home: Path) -> None:
    """A parent and its worker process in one trace; the worker is killed, the parent ends in order."""
    source = """
import os, subprocess, sys
import staso as st
st.init()
WORKER = '''
import sys
import staso as st
st.init()
with st.span("worker"):
    print("open", flush=True)
    sys.stdin.readline()
'''
with st.span("parent", kind="agent"):
    headers = {}
    st.inject(headers)
    env = {**os.environ, "TRACEPARENT": headers["traceparent"]}
    worker = subprocess.Popen([sys.executable, "-c", WORKER], env=env, stdin=subprocess.PIPE)
    sys.stdin.readline()
    worker.kill()
    worker.wait()
    print("killed", flush=True)
    sys.stdin.readline()
"""
    program = start_program(source, home)
    assert program.stdout is not None and program.stdin is not None
    assert program.stdout.readline() == "open\n"
    wait_until("both running", lambda: open_count(server) == 2)
    program.stdin.write("kill\n")
    program.stdin.flush()
    assert program.stdout.readline() == "killed\n"
    wait_until("the closing", lambda: open_count(server) == 1)
    spans = by_name(server)
    assert_interrupted(spans["worker"])
    assert spans["worker"]["trace_id"] == spans["parent"]["trace_id"]
    assert spans["worker"]["depth"] == 1 and spans["worker"]["parent_span_id"] == spans["parent"]["span_id"]
    assert spans["parent"]["open"] and not spans["parent"]["interrupted"]
    (row,) = server.trace_rows()
    assert row["state"] == "running"

    program.communicate("\n")
    assert program.returncode == 0
    parent = server.wait_for_span("parent")
    assert (parent["status"], parent["interrupted"]) == ("ok", False)


@pytest.mark.spec("5.goodbye", "5.interrupted")
def test_a_span_that_was_never_ended_is_closed_by_a_clean_exit(server: Server, home: Path) -> None:
    source = """
import sys
import staso as st
st.init()
s = st.start_span("forgotten")
sys.stdin.readline()
"""
    program = start_program(source, home)
    wait_until("the running span", lambda: open_count(server) == 1)
    program.communicate("\n")
    assert program.returncode == 0
    wait_until("the closing", lambda: open_count(server) == 0)
    assert_interrupted(by_name(server)["forgotten"])


@pytest.mark.spec("5.goodbye")
def test_a_goodbye_is_remembered_by_the_next_server(server: Server, home: Path) -> None:
    """What the journal of a process that said goodbye brings late does not come back to life."""
    program = start_agent(server, home)
    (span,) = [span for span in server.spans() if span["name"] == "answer"]
    kill(program)
    wait_until("the closing", lambda: open_count(server) == 0)
    assert server.stop() == 0
    server.start()
    late = {
        "span_id": "00f067aa0ba902b7",
        "name": "late",
        "start_ns": int(span["start_ns"]),
        "provisional": True,
        "process_id": span["process_id"],
    }
    trace = {"trace_id": span["trace_id"], "workspace_slug": "late", "spans": [late]}
    body = json.dumps({"traces": [trace]}).encode()
    request = urllib.request.Request(
        server.url + "/v1/traces/ingest", body, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        assert json.load(response)["accepted"] == 1
    (row,) = server.get("/api/traces?workspace=late")["traces"]
    assert (row["state"], row["open_count"]) == ("interrupted", 0)


@pytest.mark.spec("5.interrupted", "5.journal-later")
def test_a_remote_program_that_falls_silent_is_given_up_and_its_own_end_still_wins(
    make_server: Callable[[], Server], home: Path
) -> None:
    """A program whose state directory the server does not see: no lock tells of its death, only silence.
    Its last words, kept in its own journal, are delivered by the next program, days later perhaps."""
    server = make_server()
    (server.home / "staso.toml").write_text("lost_after_secs = 1\n")
    server.start()
    source = """
import sys
import staso as st
st.init()
s = st.start_span("remote")
print("open", flush=True)
sys.stdin.readline()
s.output = {"said": "my own end"}
s.end()
print("ended", flush=True)
sys.stdin.readline()
"""
    program = start_program(source, home, env={"STASO_BASE_URL": server.url})
    assert program.stdout is not None and program.stdin is not None
    assert program.stdout.readline() == "open\n"
    wait_until("the announcement", lambda: server.spans())
    port = int(server.url.rpartition(":")[2])
    server.kill()
    program.stdin.write("\n")
    program.stdin.flush()
    assert program.stdout.readline() == "ended\n"
    kill(program)

    server.start(port)
    wait_until("the closing", lambda: open_count(server) == 0)
    assert_interrupted(by_name(server)["remote"])

    next_program = "import staso as st\nst.init()\nwith st.span('next'): pass\nst.flush()\n"
    run_program(next_program, home, env={"STASO_BASE_URL": server.url})
    wait_until("its own end", lambda: by_name(server)["remote"]["status"] == "ok")
    span = by_name(server)["remote"]
    assert payload(span["output"]) == {"said": "my own end"}
    assert not span["interrupted"] and "staso.interrupted" not in span["metadata"]
    assert {row["state"] for row in server.trace_rows()} == {"done"}
