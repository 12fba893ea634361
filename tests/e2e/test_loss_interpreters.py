"""Sub-interpreters: `staso` is a no-op there, says so once, and harms neither them nor the main one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import staso as st
from counting import RECORD, assert_stored, wait_for_empty_journal
from parts import DEADLINE_SECS, Server, environment

MODULE = next((name for name in ("_interpreters", "_xxsubinterpreters") if importlib.util.find_spec(name)), None)

# Without asyncio: importing it in a sub-interpreter is enough to crash some versions of CPython.
INSIDE = f"""
VERSION, AGENT_ID = {st.__version__!r}, {st.generate_agent_id("bot")!r}
"""
INSIDE += """
import staso as st

def awaited(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value

client = st.init(agent_name="inside")
assert not client.config.enabled and not st.get_client().config.enabled

@st.agent
def agent(question):
    return question

@st.tool
async def tool(question):
    return question

@st.trace
def pieces():
    yield from "ab"

with st.conversation("c"), st.span("inside", kind="tool") as s:
    s.metadata["a"] = 1
    s.input = s.output = [s.metadata]
    s.annotate("score", value=1)
    s.set_status("error", "no")
    s.record_exception(ValueError("x"))
    assert agent(1) == awaited(tool(1)) == 1 and "".join(pieces()) == "ab"
    assert st.current_span() is None
    headers = {}
    st.inject(headers)
    assert headers == {} and s.metadata == {"a": 1} and repr(s)
st.annotate(trace_id=s.trace_id, name="score", value=1)
assert s.end() == st.EnqueueResult(False, st.DeliveryFailureKind.DISABLED)
for wrong in (lambda: st.span("x", kind="nonsense"), lambda: s.set_status("nonsense")):
    try:
        wrong()
    except ValueError:
        continue
    raise AssertionError("a wrong word was taken")
report = st.flush()
assert report.ok and report.accepted == 0 and st.shutdown().ok
assert st.generate_agent_id("bot") == AGENT_ID and st.__version__ == VERSION, st.__version__
with st.testing.capture() as recorded, st.span("x"):
    pass
assert recorded.spans == []
"""

PROGRAM = f"""
import sys
import {MODULE} as interpreters

def run_inside():
    run = getattr(interpreters, "exec", None) or interpreters.run_string
    interpreter = interpreters.create()
    failure = run(interpreter, sys.argv[1])
    assert failure is None, failure
    interpreters.destroy(interpreter)

if sys.argv[2] == "first":
    run_inside()
{RECORD}
st.init()
record(0, 200)
run_inside()
record(200, 200)
run_inside()
"""


@pytest.mark.spec("9.unsupported")
@pytest.mark.skipif(MODULE is None, reason="this Python makes no sub-interpreters")
@pytest.mark.parametrize("order", ["first", "second"])
def test_a_sub_interpreter_records_nothing_and_harms_nothing(server: Server, home: Path, order: str) -> None:
    # Another deadline than that of other programs: what went wrong here once was an end that never came.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, INSIDE, order],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("staso records nothing here") == (3 if order == "first" else 2), "once in each"
    wait_for_empty_journal(home)
    assert_stored(server, 400)


@pytest.mark.spec("9.unsupported")
def test_a_missing_native_module_is_no_fault_of_the_programs(home: Path) -> None:
    program = "import sys\nsys.modules['staso._core'] = None\n" + INSIDE
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(home), capture_output=True, text=True, timeout=DEADLINE_SECS
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("its native module cannot be loaded") == 1
    assert list(home.iterdir()) == []
