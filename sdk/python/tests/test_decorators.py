"""Decorators: what is recorded of a call, and that the function stays what it was."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import staso as st
from staso.testing import Recorded


@pytest.mark.spec(
    "2.bare-or-called",
    "2.kind",
    "2.input",
    "2.output",
    "2.metadata",
    "2.agent-context",
    "2.options",
)
def test_agent_tool_trace(recorded: Recorded) -> None:
    @st.agent(tags=["beta"], metadata={"team": "x"})
    def support(question: str, limit: int = 3) -> None:
        lookup("a")

    @st.tool(name="look-up")
    def lookup(key: str) -> dict[str, str]:
        return {"key": key}

    @st.trace(kind="retriever")
    def fetch() -> int:
        return 1

    support("why?")
    fetch()
    agent, tool, step = (recorded.named(n) for n in ("support", "look-up", "fetch"))
    assert (agent.kind, tool.kind, step.kind) == ("agent", "tool", "retriever")
    assert agent.input == {"agent_name": "support", "question": "why?", "limit": 3}
    assert agent.output == {"result": None}
    assert (tool.input, tool.output) == ({"key": "a"}, {"result": {"key": "a"}})
    assert agent.metadata["tags"] == ["beta"]
    assert agent.metadata["team"] == "x"
    assert tool.metadata["tool_name"] == "look-up"
    assert tool.metadata["code.function"].endswith("lookup")
    assert tool.metadata["code.filepath"] == __file__
    assert tool.metadata["code.lineno"] > 0
    for span in (agent, tool):
        assert span.fields["agent_name"] == "support"
        assert span.fields["agent_id"] == st.generate_agent_id("support")
    assert "agent_name" not in step.fields


@pytest.mark.spec("2.binding")
def test_arguments_are_bound_as_python_binds_them(recorded: Recorded) -> None:
    @st.tool
    def f(a: int, /, b: int, *rest: int, c: int, d: int = 4, **more: int) -> None: ...

    f(1, 2, 3, 4, c=5, e=6)
    f(1, b=2, c=3)
    assert [span.input for span in recorded.spans] == [
        {"a": 1, "b": 2, "rest": [3, 4], "c": 5, "d": 4, "e": 6},
        {"a": 1, "b": 2, "rest": [], "c": 3, "d": 4},
    ]
    with pytest.raises(TypeError, match="missing"):
        f()  # type: ignore[call-arg]
    assert recorded.spans[2].status == "error"


@pytest.mark.spec("2.on-entry")
def test_input_is_captured_on_entry(recorded: Recorded) -> None:
    @st.tool
    def consume(items: list[int]) -> None:
        items.clear()

    consume([1, 2])
    assert recorded.spans[0].input == {"items": [1, 2]}


@pytest.mark.spec("2.callables", "2.binding")
def test_methods_and_other_callables(recorded: Recorded) -> None:
    class Thing:
        @st.tool
        def method(self, x: int) -> int:
            return x

        @st.tool
        @classmethod
        def of_class(cls, x: int) -> int:
            return x

        @classmethod
        @st.tool
        def of_class_inside(cls, x: int) -> int:
            return x

        @st.tool
        @staticmethod
        def static(x: int) -> int:
            return x

    class Callable:
        def __call__(self, x: int) -> int:
            return x

    thing = Thing()
    assert [thing.method(1), Thing.of_class(2), Thing.of_class_inside(3), Thing.static(4)] == [
        1,
        2,
        3,
        4,
    ]
    assert st.tool(functools.partial(thing.method, x=5))() == 5
    assert st.tool(Callable(), name="object")(6) == 6
    assert st.tool(thing.method, name="bound")(7) == 7
    inputs = [span.input["x"] for span in recorded.spans if span.kind == "tool"]
    assert inputs == [1, 2, 3, 4, 5, 5, 6, 7, 7]
    assert all("self" not in span.input and "cls" not in span.input for span in recorded.spans)


@pytest.mark.spec("2.metadata")
def test_the_place_told_is_the_authors_not_a_decorators(recorded: Recorded) -> None:
    def plain(x: int) -> int:
        return x

    async def later(x: int) -> int:
        return x

    cached = functools.lru_cache(plain)
    assert [st.agent(st.tool(plain))(1), st.tool(cached)(1), st.trace(cached, name=5)(1)] == [1] * 3  # type: ignore[call-overload]
    assert asyncio.run(st.tool(functools.partial(st.tool(later), 1))()) == 1
    assert [span.name for span in recorded.spans] == ["plain"] * 3 + ["5"] + ["later"] * 2
    for span in recorded.spans:
        code = later.__code__ if span.name == "later" else plain.__code__
        place = (span.metadata["code.filepath"], span.metadata["code.lineno"])
        assert place == (__file__, code.co_firstlineno)


@pytest.mark.spec("2.capture-off")
def test_capture_can_be_off(recorded: Recorded) -> None:
    @st.tool(capture_input=False, capture_output=False)
    def secret(password: str) -> str:
        return password

    assert secret("hunter2") == "hunter2"
    assert "hunter2" not in str(recorded.spans[0].fields)


@pytest.mark.spec("2.callables")
def test_the_function_stays_what_it_was(recorded: Recorded) -> None:
    @st.tool
    def plain(x: int) -> int:
        """Doc."""
        return x

    @st.tool
    async def coroutine() -> None: ...

    @st.tool
    def generator() -> Iterator[int]:
        yield 1

    @st.tool
    async def asynchronous() -> AsyncIterator[int]:
        yield 1

    assert (plain.__name__, plain.__doc__) == ("plain", "Doc.")
    assert list(inspect.signature(plain).parameters) == ["x"]
    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(asynchronous)


@pytest.mark.spec("5.misuse")
def test_unknown_kind_is_refused_at_decoration() -> None:
    with pytest.raises(ValueError, match="llm.*custom"):
        st.trace(kind="step")


@pytest.mark.spec("2.callables", "1.implied-status")
def test_async_nesting_and_errors(recorded: Recorded) -> None:
    @st.tool
    async def step(n: int) -> int:
        await asyncio.sleep(0)
        if n == 2:
            raise TimeoutError("slow")
        return n

    @st.agent
    async def boss() -> list[Any]:
        return await asyncio.gather(*(step(n) for n in range(4)), return_exceptions=True)

    asyncio.run(boss())
    boss_span = recorded.named("boss")
    steps = recorded.children(boss_span)
    assert sorted(span.status for span in steps) == ["ok", "ok", "ok", "timeout"]


@pytest.mark.spec("2.generators", "2.generator-current", "2.stream-facts", "4.generators")
def test_generator_span_is_current_only_in_its_body(recorded: Recorded) -> None:
    @st.trace
    def words() -> Iterator[str]:
        with st.span("inner"):
            yield "a"
            with st.span("deeper"):
                yield "b"

    got = []
    for word in words():
        assert st.current_span() is None
        with st.span(f"consumer {word}"):
            got.append(word)
    assert got == ["a", "b"]
    outer = recorded.named("words")
    assert outer.output == {"result": "ab"}
    assert outer.metadata["staso.stream.items"] == 2
    assert outer.metadata["staso.stream.first_item_ms"] >= 0
    assert recorded.named("inner").parent_span_id == outer.span_id
    assert recorded.named("deeper").parent_span_id == recorded.named("inner").span_id
    assert recorded.named("consumer a").parent_span_id is None


@pytest.mark.spec("2.generators")
def test_generator_protocol_is_kept(recorded: Recorded) -> None:
    closed = []

    @st.trace
    def echo() -> Any:
        try:
            got = yield 0
            while True:
                try:
                    got = yield got
                except KeyError:
                    got = "caught"
                if got == "stop":
                    return "returned"
        finally:
            closed.append(True)

    g = echo()
    assert [next(g), g.send(1), g.throw(KeyError()), g.send(2)] == [0, 1, "caught", 2]
    with pytest.raises(StopIteration) as stop:
        g.send("stop")
    assert stop.value.value == "returned"
    g = echo()
    next(g)
    g.close()
    g = echo()
    next(g)
    with pytest.raises(ValueError, match="in"):
        g.throw(ValueError("in"))
    next(g := echo())
    del g
    assert [span.status for span in recorded.spans] == ["ok", "ok", "error", "ok"]
    assert len(closed) == 4
    assert st.current_span() is None


@pytest.mark.spec("2.generators", "2.generator-current")
def test_async_generator(recorded: Recorded) -> None:
    @st.trace
    async def numbers(n: int) -> AsyncIterator[int]:
        for i in range(n):
            with st.span(f"step {i}"):
                await asyncio.sleep(0)
                yield i

    async def run() -> list[int]:
        got = []
        async for i in numbers(3):
            assert st.current_span() is None
            got.append(i)
        partly = numbers(3)
        await partly.__anext__()
        await asyncio.create_task(partly.aclose())  # type: ignore[attr-defined]
        return got

    assert asyncio.run(run()) == [0, 1, 2]
    first, second = (span for span in recorded.spans if span.name == "numbers")
    assert first.output == {"result": [0, 1, 2]}
    assert (first.status, second.status) == ("ok", "ok")
    assert first.input == {"n": 3}
    assert second.metadata["staso.stream.items"] == 1
