"""The stacks of recorded exceptions show the program's frames, and none of this package's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import staso as st
from staso import testing


def _fails() -> None:
    try:
        raise KeyError("cause")
    except KeyError as cause:
        raise ValueError("why") from cause


@st.tool
def _tool() -> None:
    _fails()


@st.agent
def _agent() -> None:
    _tool()


@st.trace
async def _awaited() -> None:
    _agent()


@st.trace
def _stream() -> Iterator[int]:
    yield 1
    _agent()


@st.trace
def _grouped() -> None:
    try:
        _tool()
    except ValueError as error:
        group = getattr(__import__("builtins"), "ExceptionGroup", None)
        if group is None:
            raise
        raise group("several", [error]) from None


@pytest.mark.spec("1.exception-event", "1.stack-once")
@pytest.mark.parametrize(
    "run",
    [_tool, _agent, lambda: asyncio.run(_awaited()), lambda: list(_stream()), _grouped],
    ids=["tool", "agent", "awaited", "stream", "group"],
)
def test_a_stack_has_none_of_our_frames(run: Callable[[], Any], recorded: testing.Recorded) -> None:
    with pytest.raises(Exception, match="why|several"):
        run()
    told = [event["attributes"] for span in recorded.spans for event in span.events]
    stacks = [event["exception.stacktrace"] for event in told if "exception.stacktrace" in event]
    assert stacks
    for stack in stacks:
        assert "staso/_internal" not in stack
        assert "in _fails" in stack
        assert "KeyError: 'cause'" in stack
        assert stack.rstrip().endswith(("ValueError: why", "------------------------------------"))
    first = next(line for line in stacks[0].splitlines() if line.startswith("  File"))
    assert "_fails" in first, "the innermost cause comes first, at the program's own frame"
    assert "in _tool" in stacks[0]
