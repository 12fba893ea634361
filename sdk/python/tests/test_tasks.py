"""Tasks, callbacks, cancellations and streams hang where the program's own structure puts them.

An error about a token of a different context would surface here: pytest turns what is raised where
nobody can catch it into a failure.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

import staso as st
from staso._internal.propagation import patch_threads
from staso.testing import Recorded


def _tree(recorded: Recorded) -> dict[str, str | None]:
    """Each span's name, and its parent's."""
    names = {span.span_id: span.name for span in recorded.spans}
    return {
        span.name: names[span.parent_span_id] if span.parent_span_id else None
        for span in recorded.spans
    }


@pytest.mark.spec("4.tasks")
def test_gathered_tasks_are_siblings(recorded: Recorded) -> None:
    async def step(n: int, depth: int = 2) -> None:
        async with st.span(f"{n}.{depth}"):
            await asyncio.sleep(0)
            if depth:
                await step(n, depth - 1)
            assert str(st.current_span()).startswith(f'<staso.Span "{n}.{depth}"')

    async def run() -> None:
        with st.span("root"):
            await asyncio.gather(*(step(n) for n in range(5)))
            assert "root" in repr(st.current_span())

    asyncio.run(run())
    tree = _tree(recorded)
    assert len(tree) == 16
    for n in range(5):
        assert (tree[f"{n}.2"], tree[f"{n}.1"], tree[f"{n}.0"]) == ("root", f"{n}.2", f"{n}.1")


@pytest.mark.spec("4.tasks", "1.implied-status")
@pytest.mark.skipif(not hasattr(asyncio, "TaskGroup"), reason="asyncio.TaskGroup is of 3.11")
def test_a_task_group_that_fails(recorded: Recorded) -> None:
    async def fails() -> None:
        with st.span("fails"):
            await asyncio.sleep(0)
            raise LookupError("first")

    async def waits() -> None:
        with st.span("waits"), st.span("waits inside"):
            await asyncio.Event().wait()

    async def run() -> None:
        with st.span("root"):
            async with asyncio.TaskGroup() as group:
                group.create_task(waits())
                group.create_task(fails())

    with pytest.raises(Exception, match="unhandled errors in a TaskGroup"):
        asyncio.run(run())
    tree = _tree(recorded)
    assert tree == {"fails": "root", "waits": "root", "waits inside": "waits", "root": None}
    told = {span.name: (span.status, span.events[0]["attributes"]) for span in recorded.spans}
    assert told["waits inside"][0] == told["fails"][0] == told["root"][0] == "error"
    assert told["waits"][1]["exception.type"].endswith("CancelledError")
    assert "exception.stacktrace" not in told["waits"][1]
    assert told["root"][1]["exception.type"] == "ExceptionGroup"


@pytest.mark.spec("1.implied-status")
@pytest.mark.skipif(not hasattr(asyncio, "timeout"), reason="asyncio.timeout is of 3.11")
def test_a_time_out_cancels_inside_and_times_out_outside(recorded: Recorded) -> None:
    async def run() -> None:
        with st.span("outside"):
            async with asyncio.timeout(0.001):
                with st.span("inside"):
                    await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(run())
    assert recorded.named("inside").status == "error"
    assert recorded.named("outside").status == "timeout"


@pytest.mark.spec("4.tasks")
def test_callbacks_belong_to_where_they_were_asked_for(recorded: Recorded) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def work(name: str, *_: Any) -> None:
            with st.span(name):
                pass

        with st.span("asks"):
            loop.call_soon(work, "soon")
            loop.call_later(0, work, "later")
            task = asyncio.create_task(asyncio.sleep(0))
            task.add_done_callback(functools.partial(work, "when done"))
            loop.call_soon_threadsafe(work, "from elsewhere")
        with st.span("another"):
            loop.call_later(0.001, done.set)
            await done.wait()
            await task

    asyncio.run(run())
    tree = _tree(recorded)
    for name in ("soon", "later", "when done", "from elsewhere"):
        assert tree[name] == "asks"


@pytest.mark.spec("4.tasks", "4.threads")
@pytest.mark.parametrize("backend", ["asyncio"])
def test_anyio_tasks_and_threads(recorded: Recorded, backend: str) -> None:
    def in_thread(name: str) -> str | None:
        with st.span(name) as s:
            anyio.from_thread.run(in_loop, f"from {name}")
            return s.parent_span_id

    async def in_loop(name: str) -> None:
        with st.span(name):
            await anyio.sleep(0)

    async def run() -> None:
        with st.span("root") as root:
            async with anyio.create_task_group() as group:
                group.start_soon(in_loop, "a")
                group.start_soon(in_loop, "b")
            assert await anyio.to_thread.run_sync(in_thread, "worker") == root.span_id
        assert await anyio.to_thread.run_sync(in_thread, "worker again") is None
        with st.span("cancels"), anyio.CancelScope() as scope, st.span("cancelled"):
            scope.cancel()
            await anyio.sleep(1)

    anyio.run(run, backend=backend)
    tree = _tree(recorded)
    assert (tree["a"], tree["b"], tree["worker"]) == ("root", "root", "root")
    assert (tree["from worker"], tree["cancelled"]) == ("worker", "cancels")
    assert recorded.named("cancels").status == "ok"
    assert recorded.named("cancelled").status == "error"


@pytest.mark.spec("4.generators", "2.generators")
@pytest.mark.parametrize("leave", ["closed by a task", "collected", "left to the loop"])
def test_an_async_generator_left_half_way(recorded: Recorded, leave: str) -> None:
    @st.trace
    async def words() -> AsyncIterator[str]:
        async with st.span("held across the yield"):
            for word in "abc":
                with st.span(f"inside {word}"):
                    await asyncio.sleep(0)
                yield word

    async def close(stream: Any) -> None:
        with st.span("closer"):
            await stream.aclose()
            assert "closer" in repr(st.current_span())

    kept = []

    async def run() -> None:
        stream = words()
        if leave == "left to the loop":
            kept.append(stream)
        with st.span("consumer"):
            assert await stream.__anext__() == "a"
            assert "consumer" in repr(st.current_span())
        assert st.current_span() is None
        if leave == "closed by a task":
            await asyncio.create_task(close(stream))
        elif leave == "collected":
            del stream
            gc.collect()
            for _ in range(5):
                await asyncio.sleep(0)
        assert st.current_span() is None
        with st.span("after"):
            pass

    asyncio.run(run())
    tree = _tree(recorded)
    assert (tree["words"], tree["held across the yield"]) == ("consumer", "words")
    assert (tree["inside a"], tree["after"]) == ("held across the yield", None)
    assert "inside b" not in tree
    assert recorded.named("words").metadata["staso.stream.items"] == 1
    assert recorded.named("words").status == "ok"


@pytest.mark.spec("4.generators", "2.generators")
def test_a_stream_is_consumed_in_other_threads(recorded: Recorded) -> None:
    patch_threads()

    @st.trace
    def stream() -> Iterator[int]:
        with st.span("held"):
            for n in range(6):
                with st.span(f"step {n}"):
                    pass
                yield n

    items = stream()
    with st.span("first"):
        assert next(items) == 0
    got: queue.Queue[int] = queue.Queue()

    def take() -> None:
        with st.span("taker"):
            got.put(next(items))
            assert "taker" in repr(st.current_span())

    for _ in range(2):
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()

    async def in_executor() -> None:
        loop = asyncio.get_running_loop()
        got.put(await loop.run_in_executor(None, next, items))
        async for n in _as_async(items):
            got.put(n)

    asyncio.run(in_executor())
    assert [got.get() for _ in range(got.qsize())] == [1, 2, 3, 4, 5]
    held = recorded.named("held")
    steps = recorded.children(held)
    assert [step.name for step in steps] == [f"step {n}" for n in range(6)]
    assert held.parent_span_id == recorded.named("stream").span_id
    assert recorded.named("stream").parent_span_id == recorded.named("first").span_id
    assert st.current_span() is None


async def _as_async(items: Iterator[int]) -> AsyncIterator[int]:
    while (item := await asyncio.to_thread(next, items, None)) is not None:
        yield item
