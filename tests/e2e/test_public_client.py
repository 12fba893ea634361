"""The public client package, unmodified, against our server: what existing programs do keeps working.

It lives in a virtual environment of its own, made once under `.venvs/`. Where the Python registry is
out of reach and the environment has not been made yet, these tests fail and say so: passing without
having run would be worse.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from parts import ROOT, Server, environment, payload, wait_until

VERSION = "0.5.25"
OLDEST_PYTHON = (3, 11)
ENVIRONMENT = ROOT / ".venvs" / f"public-client-{VERSION}-py{sys.version_info[0]}.{sys.version_info[1]}"

PROGRAM = """
import asyncio, dataclasses, json, sys
import staso as st
from staso.annotation import annotate

st.init(api_key="ak_any_key_will_do", agent_name="public-client", base_url=sys.argv[1])

@st.tool
def add(a, b):
    return a + b

@st.tool(name="broken")
def broken(reason):
    raise RuntimeError(reason)

@st.trace(kind="retriever")
async def look_up(query):
    await asyncio.sleep(0)
    return ["a passage about " + query]

@st.agent(name="traveller", tags=["e2e"])
async def traveller(question):
    found = await look_up(question)
    try:
        broken("no such train")
    except RuntimeError:
        pass
    with st.span("think", kind="llm") as s:
        s.model, s.provider = "gpt-4o-mini", "openai"
        s.input = {"messages": [{"role": "user", "content": question}]}
        s.output = {"role": "assistant", "content": "caffè \\u2603"}
        s.input_tokens, s.output_tokens = 12, 5
        s.metadata["route"] = "eu"
        s.annotate("grounded", value=0.5, comment="half of it")
    return add(20, 22)

with st.conversation("c-public", user_id="reader-7"):
    with st.span("root", kind="chain") as root:
        asyncio.run(traveller("turin"))
annotate(trace_id=root.trace_id, name="helpful", value=True, data_type="boolean")
flushed = st.flush()
stopped = st.shutdown()
print(json.dumps({
    "trace_id": str(root.trace_id),
    "version": st.__version__,
    "reports": [dict(dataclasses.asdict(r), ok=r.ok) for r in (flushed, stopped)],
}, default=str))
"""


@pytest.fixture(scope="session")
def public_python() -> Path:
    """The interpreter of the environment that has the public client and nothing of ours."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        fresh = ENVIRONMENT.with_name(ENVIRONMENT.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        _run([_interpreter(), "-m", "venv", str(fresh)], "a virtual environment could not be made")
        pip = [str(fresh / "bin" / "python"), "-m", "pip", "install", "--quiet", f"staso=={VERSION}"]
        _run(pip, f"staso=={VERSION} could not be installed; is the Python registry in reach?")
        fresh.rename(ENVIRONMENT)
    return python


def _interpreter() -> str:
    """One that the public client accepts; ours goes further back than it does."""
    if sys.version_info >= OLDEST_PYTHON:
        return sys.executable
    for name in ("python3", "python3.13", "python3.12", "python3.11"):
        works = f"import sys; sys.exit(sys.version_info < {OLDEST_PYTHON})"
        found = shutil.which(name)
        if found and subprocess.run([found, "-c", works], capture_output=True, check=False).returncode == 0:
            return found
    pytest.fail(f"staso=={VERSION} needs Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or newer, and none was found")


def _run(command: list[str], problem: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{problem}\n{' '.join(command)}\n{done.stderr}", pytrace=False)


@pytest.fixture
def recorded(public_python: Path, server: Server, tmp_path: Path) -> dict[str, Any]:
    """What the public client printed after it recorded one trace."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    home = tmp_path / "client-home"
    home.mkdir()
    done = subprocess.run(
        [str(public_python), "-I", str(program), server.url],
        env={**environment(home), "HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_its_reports_are_ok(recorded: dict[str, Any]) -> None:
    assert recorded["version"] == VERSION
    for report in recorded["reports"]:
        assert report["ok"], report
        assert (report["failed"], report["rejected"], report["pending"]) == (0, 0, 0)
    assert recorded["reports"][0]["delivered"] > 0


def test_its_spans_are_found(recorded: dict[str, Any], server: Server) -> None:
    trace = server.trace(recorded["trace_id"])
    by_name = {span["name"]: span for span in trace["spans"]}
    name_of = {span["span_id"]: span["name"] for span in trace["spans"]}
    edges = {(name_of.get(span["parent_span_id"] or "", "-"), span["name"], span["kind"]) for span in trace["spans"]}
    assert edges == {
        ("-", "root", "chain"),
        ("root", "traveller", "agent"),
        ("traveller", "look_up", "retriever"),
        ("traveller", "broken", "tool"),
        ("traveller", "think", "llm"),
        ("traveller", "add", "tool"),
    }
    assert not any(span["open"] or span["missing_parent"] for span in trace["spans"])
    assert {span["session_id"] for span in trace["spans"]} == {"c-public"}
    assert {span["user_id"] for span in trace["spans"]} == {"reader-7"}

    broken, think = by_name["broken"], by_name["think"]
    assert (broken["status"], broken["error_message"]) == ("error", "no such train")
    assert (think["model"], think["provider"]) == ("gpt-4o-mini", "openai")
    assert (think["usage"]["input_total"], think["usage"]["output"]) == (12, 5)
    assert think["metadata"]["route"] == "eu"
    assert payload(think["output"]) == {"role": "assistant", "content": "caffè ☃"}
    assert payload(by_name["add"]["input"]) == {"a": 20, "b": 22}
    assert payload(by_name["add"]["output"]) == {"result": 42}


def test_its_annotations_are_found(recorded: dict[str, Any], server: Server) -> None:
    trace = wait_until("both annotations", lambda: _with_annotations(server, recorded["trace_id"], 2))
    notes = {note["name"]: note for note in trace["annotations"]}
    think = next(span for span in trace["spans"] if span["name"] == "think")
    assert (notes["grounded"]["value"], notes["grounded"]["span_id"]) == (0.5, think["span_id"])
    assert notes["grounded"]["comment"] == "half of it"
    assert (notes["helpful"]["value"], notes["helpful"]["data_type"]) == (True, "boolean")


def _with_annotations(server: Server, trace_id: str, count: int) -> dict[str, Any] | None:
    trace = server.trace(trace_id)
    return trace if len(trace["annotations"]) == count else None
