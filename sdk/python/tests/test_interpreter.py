"""What the interpreter does around us: finalizers anywhere, threads cut off at exit, deep chains.

Each in a process of its own, because what fails here ends or hangs a process.
"""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]


def _runs_well(run_program: Run, source: str, times: int = 1) -> None:
    for _ in range(times):
        # A hang is told by where it hangs.
        watched = "import faulthandler\nfaulthandler.dump_traceback_later(50, exit=True)\n"
        done = run_program(watched + source)
        assert done.returncode == 0, (done.returncode, done.stderr)


FINALIZERS = """
import gc
import staso as st
from staso import testing

class Garbage:
    def __init__(self):
        self.itself = self
    def __del__(self):
        s = st.current_span()
        if s is not None:
            s.metadata["finalized"] = 1
            s.model = "m"
            repr((s, s.name, s.kind, s.status, s.input, s.output, s.error_message, s.trace_id))
        with st.span("finalizer") as t:
            t.input = 1

gc.set_threshold(1, 1, 1)
with testing.capture() as recorded:
    for n in range(300):
        with st.span("x", kind="tool") as s:
            Garbage()
            s.metadata["a"] = {"b": Garbage()}
            s.input, s.output, s.model, s.name = [Garbage()], Garbage(), Garbage(), "y"
            s.annotate("a", value=1, comment=Garbage())
            try:
                with st.span("raises"):
                    raise ValueError(Garbage())
            except ValueError as error:
                s.record_exception(error)
    gc.collect()
names = [span.name for span in recorded.spans]
assert names.count("y") == names.count("raises") == 300
assert names.count("finalizer") > 300
"""


@pytest.mark.spec("5.never-raises", "5.hot-path")
def test_finalizers_may_use_spans_at_any_moment(run_program: Run) -> None:
    _runs_well(run_program, FINALIZERS)


DAEMONS = """
import sys, threading, time
import staso as st

class Shown:
    def __repr__(self):
        return str(sum(range(2000)))

def work():
    while True:
        with st.span("x") as s:
            s.input = [Shown() for _ in range(20)]

sys.setswitchinterval(1e-6)
st.init(capture_git=False, journal=False)
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
"""


@pytest.mark.spec("5.never-raises", "3.exit")
def test_daemon_threads_may_record_until_the_end(run_program: Run) -> None:
    _runs_well(run_program, DAEMONS, times=3)


NEVER_ENDED = """
import staso as st
st.init(capture_git=False, journal=False)
for _ in range(150_000):
    st.start_span("forgotten")
"""

DEEPLY_NESTED = """
import staso as st
from staso import testing
with testing.capture() as recorded:
    spans = [st.start_span("x") for _ in range(50_000)]
    while spans:
        spans.pop().end()
    assert st.current_span() is None
assert len(recorded.spans) == 50_000
assert recorded.spans[-1].parent_span_id is None
"""


@pytest.mark.spec("5.never-raises")
def test_spans_that_are_never_ended_do_not_break_the_exit(run_program: Run) -> None:
    _runs_well(run_program, NEVER_ENDED)


@pytest.mark.spec("1.nesting")
def test_nesting_has_no_depth_limit(run_program: Run) -> None:
    _runs_well(run_program, DEEPLY_NESTED)


FORKED = """
import os, sys
import staso as st

@st.tool
def work(n):
    return n

st.init(capture_git=False, journal=False)
with st.span("parent") as parent:
    ids = set()
    for n in range(3):
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            with st.span("child") as child:
                work(n)
                assert child.parent_span_id == parent.span_id
                os.write(w, child.span_id.encode())
            os._exit(0)
        os.close(w)
        assert os.waitpid(pid, 0)[1] == 0
        ids.add(os.read(r, 100))
    assert len(ids) == 3
"""


@pytest.mark.spec("4.fork")
def test_forked_children_have_ids_of_their_own(run_program: Run) -> None:
    _runs_well(run_program, FORKED)


SEEDED = """
import random
import staso as st
ids = set()
st.init(capture_git=False, journal=False)
for _ in range(3):
    random.seed(1)
    first = random.random()
    random.seed(1)
    with st.span("x") as s:
        ids.add((s.trace_id, s.span_id))
    assert random.random() == first
assert len(ids) == 3
"""


@pytest.mark.spec("1.ids", "1.ids-random")
def test_a_seeded_program_neither_repeats_ids_nor_is_disturbed(run_program: Run) -> None:
    _runs_well(run_program, SEEDED)
