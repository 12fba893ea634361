"""What users write, as the type checkers must see it: checked, never run."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import staso as st

if TYPE_CHECKING:
    from typing_extensions import assert_type


@st.tool
def search(query: str, limit: int = 3) -> list[str]:
    """Stand for a decorated function."""
    return [query] * limit


@st.agent(name="boss", tags=["a"], metadata={"team": "x"})
async def boss(question: str) -> int:
    """Stand for a decorated coroutine."""
    return len(question)


@st.trace(kind="retriever", capture_output=False)
def words(text: str) -> Iterator[str]:
    """Stand for a decorated generator."""
    yield from text.split()


@st.trace
async def stream(text: str) -> AsyncIterator[str]:
    """Stand for a decorated asynchronous generator."""
    yield text


async def uses() -> None:
    """Use everything once."""
    assert_type(search("q", limit=2), list[str])
    assert_type(await boss("q"), int)
    client = st.init(agent_name="x", journal=False, redact=["email"])
    assert_type(client, st.Client)
    with st.span("a", kind=st.SpanKind.TOOL) as span:
        assert_type(span, st.Span)
        span.metadata["k"] = 1
        span.input = {"a": 1}
        span.set_status("ok", "fine")
        span.kind = "llm"
        span.annotate("score", value=1, data_type=st.AnnotationDataType.NUMERIC)
    async with st.span("b") as other, st.conversation("c", user_id="u"):
        assert_type(other, st.Span)
    with st.span("x") if client.config.debug else contextlib.nullcontext() as maybe:
        assert_type(maybe, "st.Span | None")
    started = st.start_span("c")
    assert_type(started.end(), st.EnqueueResult)
    assert_type(st.current_span(), "st.Span | None")
    assert_type(st.flush(), st.DeliveryReport)
    assert_type(await st.aflush(1.0), st.DeliveryReport)
    headers: dict[str, str] = {}
    st.inject(headers)
    with st.extract(headers):
        pass
    assert_type(st.bind(search)("q"), list[str])
    with st.testing.capture() as recorded:
        assert_type(recorded.spans, list[st.testing.RecordedSpan])
