"""Where spans hang: threads, pools, tasks, conversations, other processes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import threading
import uuid
from collections.abc import Iterator

import pytest

import staso as st
from staso._internal.propagation import patch_threads
from staso.testing import Recorded


def _named(recorded: Recorded, name: str) -> str | None:
    return recorded.named(name).parent_span_id


@pytest.mark.spec("4.tasks")
def test_a_task_that_outlives_its_parent_keeps_it(recorded: Recorded) -> None:
    async def late(released: asyncio.Event) -> None:
        await released.wait()
        with st.span("late"):
            pass

    async def run() -> None:
        released = asyncio.Event()
        with st.span("parent"):
            task = asyncio.create_task(late(released))
            await asyncio.sleep(0)
        with st.span("sibling"):
            released.set()
            await task

    asyncio.run(run())
    assert _named(recorded, "late") == recorded.named("parent").span_id
    assert _named(recorded, "sibling") is None


@pytest.mark.spec("4.passed-over")
def test_a_span_ended_elsewhere_is_passed_over_where_it_was_opened(recorded: Recorded) -> None:
    s = st.start_span("started here")
    worker = threading.Thread(target=s.end)
    worker.start()
    worker.join()
    with st.span("after"):
        pass
    assert _named(recorded, "after") is None


@pytest.mark.spec("4.passed-over")
def test_a_callback_may_end_a_span(recorded: Recorded) -> None:
    async def run() -> None:
        s = st.start_span("started here")
        done = asyncio.Event()
        asyncio.get_running_loop().call_soon(lambda: (s.end(), done.set()))
        await done.wait()
        with st.span("after"):
            pass

    asyncio.run(run())
    assert _named(recorded, "after") is None


@pytest.mark.spec("4.bind")
def test_threads_start_afresh_unless_bound(recorded: Recorded) -> None:
    def work(name: str) -> None:
        with st.span(name):
            pass

    with st.span("outer"):
        for target in (work, st.bind(work)):
            thread = contextvars.Context().run(
                threading.Thread, target=target, args=(f"{target is work}",)
            )
            contextvars.Context().run(thread.start)
            thread.join()
    assert _named(recorded, "True") is None
    assert _named(recorded, "False") == recorded.named("outer").span_id


@pytest.mark.spec("4.threads", "4.threads-aside")
def test_pools_bind_per_task_and_threads_inherit(recorded: Recorded) -> None:
    patch_threads()

    def work(name: str) -> str | None:
        with st.span(name) as s:
            return s.parent_span_id

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with st.span("one") as one:
            assert pool.submit(work, "a").result() == one.span_id
            assert list(pool.map(work, ["b"])) == [one.span_id]
            thread = threading.Thread(target=work, args=("c",))
            thread.start()
            thread.join()
            assert _named(recorded, "c") == one.span_id
            timer = threading.Timer(0, work, args=("d",))
            timer.start()
            timer.join()
            assert _named(recorded, "d") is None
        assert pool.submit(work, "e").result() is None
    assert "run" not in thread.__dict__

    async def run() -> str | None:
        with st.span("two") as two:
            loop = asyncio.get_running_loop()
            assert await loop.run_in_executor(None, work, "f") == two.span_id
            return await asyncio.to_thread(work, "g")

    assert asyncio.run(run()) == recorded.named("two").span_id


@pytest.mark.spec("4.conversation")
def test_conversations(recorded: Recorded) -> None:
    some_id = uuid.uuid4()
    with st.span("outside"), st.conversation(some_id, user_id=7):
        with st.span("in"), st.conversation("inner"), st.span("innermost"):
            pass
        with st.span("in again"):
            pass
    with st.conversation() as fresh, st.span("fresh"):
        assert uuid.UUID(fresh.session_id)
    assert "session_id" not in recorded.named("outside").fields
    for name, session in [("in", str(some_id)), ("innermost", "inner"), ("in again", str(some_id))]:
        fields = recorded.named(name).fields
        assert (fields["session_id"], fields["user_id"]) == (session, "7")
    assert _named(recorded, "in") == recorded.named("outside").span_id
    assert recorded.named("fresh").fields["session_id"] == fresh.session_id
    assert st.current_span() is None


@pytest.mark.spec("4.inject-extract", "4.baggage")
def test_inject_and_extract(recorded: Recorded) -> None:
    headers: dict[str, str] = {}
    st.inject(headers)
    assert headers == {}
    with st.conversation("c d", user_id="ü"), st.span("client") as client:
        st.inject(headers)
        assert headers == {"traceparent": f"00-{client.trace_id_hex}-{client.span_id_hex}-01"}
        st.inject(headers, baggage=True)
    with (
        st.extract({name.title(): value for name, value in headers.items()}),
        st.span("server") as s,
    ):
        assert (s.trace_id, s.parent_span_id) == (client.trace_id, client.span_id)
        assert (s.session_id, s.user_id) == ("c d", "ü")


@pytest.mark.spec("4.inject-extract")
@pytest.mark.parametrize(
    "header",
    [
        "",
        "garbage",
        "ff-" + "1" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "0" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "1" * 16 + "-01-more",
        "00-" + "1" * 31 + "g-" + "1" * 16 + "-01",
    ],
)
def test_a_bad_traceparent_starts_a_new_trace(recorded: Recorded, header: str) -> None:
    with st.extract({"traceparent": header}), st.span("x") as s:
        assert s.parent_span_id is None


@pytest.mark.spec("3.sampled-flag")
def test_not_sampled_is_honoured(recorded: Recorded) -> None:
    with st.extract({"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-00"}), st.span("x") as s:
        s.metadata["a"] = 1
        assert s.trace_id_hex == "1" * 32
        headers: dict[str, str] = {}
        st.inject(headers)
        assert headers["traceparent"].endswith("-00")
    assert recorded.spans == []


@pytest.mark.spec("4.bare-generator")
def test_a_bare_span_across_a_yield_never_raises(recorded: Recorded) -> None:
    def body() -> Iterator[int]:
        with st.span("in generator"):
            yield 1
            yield 2

    first, second = body(), body()
    next(first)
    next(second)
    first.close()
    with st.span("between"):
        pass
    second.close()
    assert st.current_span() is None
    with st.span("after"):
        pass
    assert _named(recorded, "after") is None

    left_to_a_thread = body()
    next(left_to_a_thread)
    closer = threading.Thread(target=left_to_a_thread.close)
    closer.start()
    closer.join()
    with st.span("after a thread closed it"):
        pass
    assert _named(recorded, "after a thread closed it") is None

    g = body()
    contextvars.copy_context().run(next, g)
    contextvars.copy_context().run(g.close)
    assert st.current_span() is None


@pytest.mark.spec("4.own-only")
def test_other_context_variables_stay_where_they_are(recorded: Recorded) -> None:
    mine = contextvars.ContextVar("mine", default="unset")
    patch_threads()
    with st.span("x"):
        mine.set("set")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            assert pool.submit(mine.get).result() == "unset"
