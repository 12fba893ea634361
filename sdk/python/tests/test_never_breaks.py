"""Whatever a program records, its own run is what it would have been without us.

Random object graphs go through spans and every flavour of decorator: nothing is raised, no return
value altered, no iterator consumed, nothing lazy evaluated, nothing held once the span has ended.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from subprocess import CompletedProcess
from typing import Any

import pytest
from hostile import LEAVES, Seen, build, recipes
from hypothesis import HealthCheck, example, given, settings

import staso as st
from staso import testing
from staso.testing import Recorded

Run = Callable[..., CompletedProcess[str]]
slowly = settings(
    max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
every_leaf = [("list", [("leaf", word) for word in sorted(LEAVES)])]


def _own(recorded: Recorded) -> list[testing.RecordedSpan]:
    """The spans, without those that the values themselves open while they are read."""
    return [span for span in recorded.spans if span.name != "in a repr"]


def _assert_unharmed(seen: Seen) -> None:
    for iterator, expected in seen.iterators:
        left = list(iterator)
        assert len(left) == len(expected)
        assert all(a is b or a == b for a, b in zip(left, expected, strict=True))


@pytest.mark.spec("5.never-raises", "5.types", "1.input-output", "5.types-lazy")
@slowly
@given(recipes)
@example(every_leaf[0])
def test_any_graph_through_a_span(recipe: Any) -> None:
    seen = Seen()
    value = build(recipe, seen)
    with testing.capture() as recorded, st.span("x") as s:
        s.input = s.output = s.metadata["value"] = value
        s.metadata["rest"] = "kept"
        assert s.input is value
        assert s.output is value
    (span,) = _own(recorded)
    assert span.metadata["rest"] == "kept"
    assert json.dumps(span.input) == json.dumps(span.output)
    assert seen.evaluated == []
    _assert_unharmed(seen)


@pytest.mark.spec("5.never-raises", "1.fields", "4.conversation")
@slowly
@given(recipes)
@example(every_leaf[0])
def test_any_graph_where_a_text_belongs(recipe: Any) -> None:
    seen = Seen()
    value = build(recipe, seen)
    with testing.capture() as recorded, st.conversation(value, user_id=value):
        with st.span("x", kind="llm") as s:
            s.error_message = s.provider = s.agent_name = s.session_id = value
            s.model = s.input_tokens = s.usage_available = s.reasoning_effort = value
            s.annotate("score", value=1, comment=value)
            s.record_exception(ValueError(value))
            s.set_status("timeout", value)
        with st.span(value):
            pass
    first, second = _own(recorded)
    assert isinstance(second.name, str)
    assert len(first.events) == 1
    assert len(recorded.annotations) == 1
    _assert_unharmed(seen)


@pytest.mark.spec("5.never-raises", "2.return-value", "2.generators")
@slowly
@given(recipes)
@example(every_leaf[0])
def test_any_graph_through_every_decorator(recipe: Any) -> None:
    @st.tool
    def plain(a: Any, *rest: Any, b: Any = None, **more: Any) -> Any:
        return a

    @st.agent
    async def coroutine(a: Any) -> Any:
        return a

    @st.trace
    def generator(a: Any) -> Iterator[Any]:
        got = yield a
        assert got is a
        return a

    @st.trace
    async def asynchronous(a: Any) -> AsyncIterator[Any]:
        yield a
        yield a

    @st.tool
    def raising(a: Any) -> Any:
        raise LookupError(a)

    seen = Seen()
    value = build(recipe, seen)

    async def run() -> None:
        assert await coroutine(value) is value
        async for item in asynchronous(value):
            assert item is value

    with testing.capture() as recorded:
        assert plain(value, value, b=value, c=value) is value
        steps = generator(value)
        assert next(steps) is value
        with pytest.raises(StopIteration) as stop:
            steps.send(value)
        assert stop.value.value is value
        with pytest.raises(LookupError) as caught:
            raising(value)
        assert caught.value.args[0] is value
        asyncio.run(run())
    spans = _own(recorded)
    assert [span.status for span in spans] == ["ok", "ok", "error", "ok", "ok"]
    assert set(spans[0].input) == {"a", "rest", "b", "c"}
    assert all("result" in span.output for span in spans if span.status == "ok")
    _assert_unharmed(seen)


@pytest.mark.spec("5.nothing-held")
@settings(slowly, max_examples=25)
@given(recipes)
@example(every_leaf[0])
def test_nothing_is_held_once_a_span_has_ended(recipe: Any) -> None:
    @st.tool
    def decorated(a: Any) -> Any:
        return a

    @st.trace
    def stream(a: Any) -> Iterator[Any]:
        yield a

    seen = Seen()
    value = build(recipe, seen)
    with testing.capture():
        with st.span("x") as s:
            s.input = s.output = value
            s.metadata["value"] = value
            s.model = value
            s.annotate("score", value=1, comment=value)
        decorated(value)
        for item in stream(value):
            del item
        references = seen.references
        del value, seen
        gc.collect()
        assert [reference() for reference in references if reference() is not None] == []
        assert s.trace_id


@pytest.mark.spec("5.nothing-held")
@pytest.mark.parametrize("leave", ["raise", "record", "drop", "refuse", "unsampled"])
def test_nothing_is_held_however_a_span_ends(leave: str) -> None:
    class Big:
        pass

    class Error(Exception):
        pass

    big, error = Big(), Error()
    gone = [weakref.ref(big), weakref.ref(error)]
    remote = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-{'00' if leave == 'unsampled' else '01'}"}
    with testing.capture(), st.extract(remote):
        try:
            with st.span("outer"), st.span("x") as s:
                s.input = s.metadata["big"] = error.big = big  # type: ignore[attr-defined]
                if leave == "record":
                    s.record_exception(error)
                if leave == "drop":
                    s.drop()
                if leave == "refuse":
                    st.shutdown(0)
                if leave == "raise":
                    raise error
        except Error:
            pass
        with st.span("another"):
            del big, error
            gc.collect()
            assert [reference() for reference in gone] == [None, None]


@pytest.mark.spec("5.changed-by-another-thread")
def test_containers_changed_by_another_thread_while_they_are_read() -> None:
    class Item:
        def __repr__(self) -> str:
            # Gives the other thread a chance at each item.
            return "".join(["i"] * 3)

    shared: dict[str, Any] = {
        "list": [Item() for _ in range(50)],
        "dict": {i: Item() for i in range(50)},
        "set": {Item() for _ in range(50)},
    }
    stop = threading.Event()

    def change() -> None:
        at = 0
        while not stop.is_set():
            at += 1
            shared["list"][:] = [Item() for _ in range(at % 60)]
            shared["dict"][at % 90] = Item()
            shared["dict"].pop((at * 7) % 90, None)
            shared["set"].add(Item())
            if at % 50 == 0:
                shared["set"].clear()
                shared["dict"].clear()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    worker = threading.Thread(target=change)
    worker.start()
    try:
        with testing.capture() as recorded:
            for _ in range(150):
                with st.span("x") as s:
                    s.input = s.metadata["shared"] = shared
                    s.output = list(shared["list"])
    finally:
        stop.set()
        worker.join()
        sys.setswitchinterval(interval)
    assert len(recorded.spans) == 150
    assert all(set(span.input) == set(shared) for span in recorded.spans)


@pytest.mark.spec("1.end")
def test_a_span_may_be_ended_and_filled_by_many_threads_at_once() -> None:
    with testing.capture() as recorded:
        for _ in range(100):
            s = st.start_span("x")
            barrier = threading.Barrier(4)

            def work(s: st.Span = s, barrier: threading.Barrier = barrier) -> None:
                barrier.wait()
                s.metadata["a"] = [s.name]
                s.output = s.metadata
                s.annotate("a", value=1)
                assert s.end().accepted
                assert "x" in repr(s)

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert len(recorded.spans) == 100
    assert len(recorded.annotations) == 400


REENTRANT = """
import staso as st
from staso import testing

class Shown:
    def __repr__(self):
        with st.span("in repr") as s:
            s.input = s.output = self
        return "shown"

@st.tool
def redact(path, value):
    return value

with testing.capture() as recorded, st.span("x") as s:
    s.input = Shown()
assert recorded.named("x").input == "shown"
with testing.capture(redact=redact) as recorded, st.span("y") as s:
    s.input = 1
assert recorded.named("y").input == 1
"""


@pytest.mark.spec("5.bounded")
def test_spans_opened_by_the_values_of_a_span_end(run_program: Run) -> None:
    # In a process of its own with a limit on its CPU time: what fails here fails to end.
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (3, 3))\n"
    done = run_program(limit + REENTRANT)
    assert done.returncode == 0, done.stderr
