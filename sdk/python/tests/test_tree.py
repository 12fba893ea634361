"""The tree is what the program's own structure says, however it schedules, streams and unwinds.

An error about a token of a different context would surface here: pytest turns what is raised where
nobody can catch it into a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from subprocess import CompletedProcess
from typing import Any

import pytest

import staso as st
from staso._internal.propagation import patch_threads
from staso.testing import Recorded

Run = Callable[..., CompletedProcess[str]]


def _tree(recorded: Recorded) -> dict[str, str | None]:
    """Each span's name, and its parent's."""
    names = {span.span_id: span.name for span in recorded.spans}
    return {
        span.name: names[span.parent_span_id] if span.parent_span_id else None
        for span in recorded.spans
    }


@pytest.mark.spec("1.nesting", "1.leaves")
def test_exits_that_raise_in_their_order(recorded: Recorded) -> None:
    @contextlib.contextmanager
    def replaces(error: Exception) -> Iterator[None]:
        try:
            yield
        except Exception:
            raise error from None

    @contextlib.contextmanager
    def spanned(name: str) -> Iterator[st.Span]:
        with st.span(name) as s:
            yield s

    with contextlib.ExitStack() as stack:
        stack.enter_context(pytest.raises(KeyError, match="outer"))
        stack.enter_context(st.span("outermost"))
        stack.enter_context(replaces(KeyError("outer")))
        stack.enter_context(spanned("generator-based"))
        stack.enter_context(contextlib.suppress(ZeroDivisionError))
        stack.enter_context(st.span("innermost"))
        stack.callback(int, "no number")
    assert _tree(recorded) == {
        "innermost": "generator-based", "generator-based": "outermost", "outermost": None,
    }  # fmt: skip
    types = [span.events[0]["attributes"]["exception.type"] for span in recorded.spans]
    assert types == ["ValueError", "ValueError", "KeyError"]
    stacks = ["exception.stacktrace" in span.events[0]["attributes"] for span in recorded.spans]
    assert stacks == [True, False, True]
    with st.span("swallowed"), contextlib.suppress(ValueError), st.span("raises"):
        raise ValueError
    assert recorded.named("swallowed").status == "ok"
    assert st.current_span() is None


@pytest.mark.spec("4.passed-over")
def test_blocks_left_in_another_order_or_context(recorded: Recorded) -> None:
    first, second, third = (st.span(name) for name in ("first", "second", "third"))
    for block in (first, second, third):
        block.__enter__()
    second.__exit__(None, None, None)
    with st.span("under third"):
        pass
    contextvars.Context().run(third.__exit__, None, None, None)
    with st.span("under first"):
        pass
    first.__exit__(None, None, None)
    with st.span("root again"):
        pass
    tree = _tree(recorded)
    assert (tree["under third"], tree["under first"]) == ("third", "first")
    assert (tree["third"], tree["root again"]) == ("second", None)


@pytest.mark.spec("4.conversation")
def test_conversations_left_in_another_order(recorded: Recorded) -> None:
    def run() -> None:
        outer, inner = st.conversation("outer"), st.conversation("inner")
        outer.__enter__()
        inner.__enter__()
        outer.__exit__(None, None, None)
        with st.span("in inner"):
            pass
        inner.__exit__(None, None, None)
        with st.span("after"):
            pass

    contextvars.copy_context().run(run)
    assert recorded.named("in inner").fields["session_id"] == "inner"
    assert "session_id" not in recorded.named("after").fields


@pytest.mark.spec("4.conversation")
def test_conversations_of_tasks_and_other_contexts(recorded: Recorded) -> None:
    block = st.conversation("left elsewhere")
    contextvars.Context().run(block.__enter__)
    block.__exit__(None, None, None)

    async def run() -> None:
        async with st.conversation("of a task"):
            await asyncio.create_task(asyncio.sleep(0))
            with st.span("in task"):
                pass

    asyncio.run(run())
    with st.span("after"):
        pass
    assert "session_id" not in recorded.named("after").fields
    assert recorded.named("in task").fields["session_id"] == "of a task"


@pytest.mark.spec("4.passed-over")
def test_a_block_closed_by_another_task_is_passed_over(recorded: Recorded) -> None:
    async def close(block: Any) -> None:
        block.__exit__(None, None, None)

    async def run() -> None:
        block = st.span("moved")
        block.__enter__()
        await asyncio.create_task(close(block))
        with st.span("after"):
            pass

    asyncio.run(run())
    assert _tree(recorded)["after"] is None


@pytest.mark.spec("1.stack-once")
def test_an_earlier_siblings_exception_tells_its_stack_once(recorded: Recorded) -> None:
    errors = [ValueError("first"), KeyError("second")]

    def fail(name: str, error: Exception) -> None:
        with contextlib.suppress(type(error)), st.span(name):
            raise error

    with pytest.raises(ValueError, match="first"), st.span("outer"):
        fail("a", errors[0])
        fail("b", errors[1])
        raise errors[0]
    told = [event["attributes"] for span in recorded.spans for event in span.events]
    assert sum("exception.stacktrace" in event for event in told) == 2


RELAY = """
import resource, staso as st
from staso import testing
with testing.capture() as recorded:
    current = st.start_span("s")
    for n in range(60_000):
        following = st.start_span("s")
        current.end()
        current = following
        if n == 10_000:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        recorded.spans.clear()
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    current.end()
    assert st.current_span() is None
assert grown_kib < 5_000, grown_kib
"""


@pytest.mark.spec("5.bounded", "4.passed-over")
def test_a_relay_of_overlapping_spans_is_forgotten(run_program: Run) -> None:
    done = run_program(RELAY)
    assert done.returncode == 0, done.stderr


@pytest.mark.spec("4.threads", "4.threads-off")
@pytest.mark.parametrize("first", ["", "st.init(journal=False)"])
def test_threads_inherit_only_while_that_is_on(run_program: Run, first: str) -> None:
    program = """
import threading, staso as st
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
def parent(*_):
    with st.span("x") as s:
        return s.parent_span_id
def in_thread(**how):
    got = []
    thread = threading.Thread(target=lambda: got.append(parent()), **how)
    thread.start()
    thread.join()
    return got[0]
def everywhere():
    with ThreadPoolExecutor(1) as pool:
        return [in_thread(), in_thread(daemon=True), pool.submit(parent).result()]
{first}
st.init(journal=False, propagate_threads=False)
with st.span("outer"):
    assert everywhere() == [None] * 3, everywhere()
st.init(journal=False)
with st.span("outer") as outer:
    assert everywhere() == [outer.span_id] * 3
    with ThreadPool(1) as pool:
        assert pool.apply(parent) is None
with st.extract({"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}):
    assert in_thread().endswith("2" * 12)
    assert in_thread(daemon=True) is None
"""
    done = run_program(program.replace("{first}", first))
    assert done.returncode == 0, done.stderr


@pytest.mark.spec("4.threads")
def test_a_threads_own_run_and_a_failed_start_leave_nothing(recorded: Recorded) -> None:
    patch_threads()
    ran: list[str | None] = []

    def run() -> None:
        with st.span("in run") as s:
            ran.append(s.parent_span_id)

    thread = threading.Thread()
    thread.run = run  # type: ignore[method-assign]
    with st.span("outer") as outer:
        thread.start()
        thread.join()
        assert ran == [outer.span_id]
        assert thread.run is run
        with pytest.raises(RuntimeError, match="once"):
            thread.start()
        assert thread.run is run


@pytest.mark.spec("4.bind")
def test_bound_functions_run_where_they_were_bound(recorded: Recorded) -> None:
    def work(n: int, *, name: str) -> int:
        """Doc."""
        with st.span(f"{name} {n}"):
            return n

    with st.span("outer"):
        bound = st.bind(work)
    assert (bound.__name__, bound.__doc__) == ("work", "Doc.")
    with st.span("elsewhere"):
        assert bound(1, name="bound") == 1
        assert "elsewhere" in repr(st.current_span())
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(bound, 2, name="bound").result() == 2
    tree = _tree(recorded)
    assert (tree["bound 1"], tree["bound 2"]) == ("outer", "outer")


@pytest.mark.spec("4.time")
def test_the_times_of_a_trace_fit_together(recorded: Recorded) -> None:
    with st.span("root"):
        for n in range(20):
            thread = threading.Thread(target=st.bind(lambda n=n: st.start_span(f"{n}").end()))
            thread.start()
            thread.join()
    root = recorded.named("root")
    times = [root.start_ns]
    for n in range(20):
        times += [recorded.named(f"{n}").start_ns, recorded.named(f"{n}").end_ns]
    assert times == sorted(times)
    assert times[-1] <= root.end_ns
