"""Status, exceptions, fields and lifecycle of a single span."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from typing import Any

import pytest

import staso as st
from staso.testing import Recorded


def _leave(error: BaseException, **kwargs: Any) -> None:
    with st.span("x") as s:
        for name, value in kwargs.items():
            getattr(s, name)(*value)
        raise error


@pytest.mark.spec("1.implied-status", "1.leaves")
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("v"), "error"),
        (KeyboardInterrupt(), "error"),
        (asyncio.CancelledError(), "error"),
        (TimeoutError("slow"), "timeout"),
        (asyncio.TimeoutError("slow"), "timeout"),
        (GeneratorExit(), "ok"),
        (SystemExit(), "ok"),
        (SystemExit(0), "ok"),
        (SystemExit(2), "error"),
        (SystemExit("bye"), "error"),
    ],
)
def test_implied_status(recorded: Recorded, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)) as caught:
        _leave(error)
    assert caught.value is error
    (span,) = recorded.spans
    assert span.status == status
    assert (span.error_message is None) == (status == "ok")
    assert len(span.events) == 1


@pytest.mark.spec("1.set-status", "1.last-call")
def test_forced_status_and_description_survive(recorded: Recorded) -> None:
    with pytest.raises(ValueError, match="v"):
        _leave(ValueError("v"), set_status=("timeout", "took too long"))
    (span,) = recorded.spans
    assert (span.status, span.error_message) == ("timeout", "took too long")


@pytest.mark.spec("1.forced-message")
def test_forced_without_description_takes_the_exceptions_message(recorded: Recorded) -> None:
    with pytest.raises(ValueError, match="v"):
        _leave(ValueError("v"), set_status=("timeout",))
    assert (recorded.spans[0].status, recorded.spans[0].error_message) == ("timeout", "v")


@pytest.mark.spec("1.forced-ok")
def test_forced_ok_keeps_the_event(recorded: Recorded) -> None:
    with pytest.raises(ValueError, match="v"):
        _leave(ValueError("v"), set_status=("ok", "expected"))
    (span,) = recorded.spans
    assert (span.status, span.error_message) == ("ok", None)
    assert len(span.events) == 1
    assert span.metadata == {"staso.status_description": "expected"}


@pytest.mark.spec("1.last-call", "1.record-exc")
def test_the_last_explicit_call_wins(recorded: Recorded) -> None:
    with st.span("x") as s:
        s.set_status("error", "one")
        s.record_exception(TimeoutError("two"))
        assert s.status is st.SpanStatus.ERROR
        assert s.error_message == "two"
        s.status = "timeout"
        s.set_status(st.SpanStatus.OK)
    (span,) = recorded.spans
    assert (span.status, span.error_message, len(span.events)) == ("ok", None, 1)


@pytest.mark.spec("1.set-status", "5.misuse")
@pytest.mark.parametrize("status", ["", "fine", None, 1, "unset"])
def test_another_status_is_refused(recorded: Recorded, status: Any) -> None:
    with st.span("x") as s:
        with pytest.raises(ValueError, match="ok.*error.*timeout"):
            s.set_status(status)
        with pytest.raises(ValueError, match="ok.*error.*timeout"):
            s.status = status
    assert recorded.spans[0].status == "ok"


@pytest.mark.spec("1.recorded-once")
def test_a_recorded_exception_that_leaves_is_told_once(recorded: Recorded) -> None:
    error = ValueError("v")
    with pytest.raises(ValueError, match="v"):
        _leave(error, record_exception=(error,))
    assert len(recorded.spans[0].events) == 1


@pytest.mark.spec("1.recorded-once")
def test_an_exception_recorded_before_another_is_told_once(recorded: Recorded) -> None:
    first, second = ValueError("first"), KeyError("second")
    with pytest.raises(ValueError, match="first"), st.span("x") as s:
        s.record_exception(first)
        s.record_exception(second)
        raise first
    types = [event["attributes"]["exception.type"] for event in recorded.spans[0].events]
    assert types == ["ValueError", "KeyError"]


@pytest.mark.spec("1.stack-once", "1.exception-event")
def test_the_stack_is_told_once_at_the_innermost(recorded: Recorded) -> None:
    with pytest.raises(ValueError, match="v"), st.span("outer"), st.span("inner"):
        raise ValueError("v")
    (inner,) = recorded.named("inner").events
    (outer,) = recorded.named("outer").events
    assert "exception.stacktrace" in inner["attributes"]
    assert outer["attributes"] == {
        "exception.type": "ValueError",
        "exception.message": "v",
    }


@pytest.mark.spec("1.exception-event", "5.never-raises")
def test_causes_are_in_the_stack_even_in_a_circle(recorded: Recorded) -> None:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    with pytest.raises(ValueError, match="first"):
        _leave(first)
    (event,) = recorded.spans[0].events
    stack = event["attributes"]["exception.stacktrace"]
    assert stack.index("KeyError: 'second'") < stack.index("ValueError: first")


@pytest.mark.spec("5.hostile-values")
def test_what_no_utf8_can_carry_is_marked_once(recorded: Recorded) -> None:
    with pytest.raises(ValueError, match="a"):
        _leave(ValueError("a\ud800b"))
    (span,) = recorded.spans
    assert span.error_message == "a\ufffdb"
    assert span.events[0]["attributes"]["exception.message"] == "a\ufffdb"


@pytest.mark.spec("1.fields", "1.model", "1.usage-available")
def test_fields_go_to_the_wire(recorded: Recorded) -> None:
    with st.span("call", kind="llm") as s:
        assert s.usage_available is False
        s.model = "m-1"
        assert s.requested_model == "m-1"
        s.model = "m-1-0613"
        s.provider, s.reasoning_effort = "openai", "high"
        s.usage_available = True
        s.input_tokens, s.output_tokens, s.total_tokens = 3, 4, 7
        s.agent_name, s.agent_id, s.agent_version = "a", "id", "2"
        s.session_id, s.user_id = "c", "u"
        s.name, s.kind = "renamed", "chain"
    fields = recorded.spans[0].fields
    wanted = {
        "name": "renamed", "kind": "chain", "model": "m-1-0613", "requested_model": "m-1",
        "provider": "openai", "reasoning_effort": "high", "usage_available": True,
        "input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "agent_name": "a",
        "agent_id": "id", "agent_version": "2", "session_id": "c", "user_id": "u",
    }  # fmt: skip
    assert {name: fields[name] for name in wanted} == wanted
    with st.span("x") as s:
        assert s.usage_available is None


@pytest.mark.spec("1.fields", "5.never-raises")
def test_odd_field_values_cost_only_themselves(recorded: Recorded) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    with st.span("x") as s:
        s.input_tokens = "many"  # type: ignore[assignment]
        s.output_tokens = 4.0  # type: ignore[assignment]
        s.total_tokens = 10**30
        s.model = Odd()  # type: ignore[assignment]
        s.metadata = None  # type: ignore[assignment]
        s.metadata = 3  # type: ignore[assignment]
        s.metadata = [("a", 1)]  # type: ignore[assignment]
    with st.span(Odd()):  # type: ignore[arg-type]
        pass
    fields = recorded.spans[0].fields
    assert (fields["output_tokens"], fields["model"]) == (
        4,
        "<test_odd_field_values_cost_only_themselves.<locals>.Odd>",
    )
    assert "input_tokens" not in fields
    assert "total_tokens" not in fields
    assert recorded.spans[0].metadata == {"a": 1}
    assert recorded.spans[1].name.startswith("<")


@pytest.mark.spec("1.ids", "1.ids-random", "1.read-only")
def test_ids(recorded: Recorded) -> None:
    state = random.getstate()
    with st.span("a") as outer, st.span("b") as inner:
        assert inner.parent_span_id == outer.span_id
        assert inner.trace_id == outer.trace_id
        assert inner.span_id.startswith("00000000-0000-0000-")
        assert inner.span_id.replace("-", "").endswith(inner.span_id_hex)
        assert inner.trace_id.replace("-", "") == inner.trace_id_hex
        assert (len(inner.trace_id_hex), len(inner.span_id_hex)) == (32, 16)
        with pytest.raises(AttributeError):
            inner.trace_id = "x"  # type: ignore[misc]
    assert random.getstate() == state


@pytest.mark.spec("1.by-hand", "1.current-span", "1.end", "1.end-twice")
def test_start_and_end_by_hand(recorded: Recorded) -> None:
    s = st.start_span("by hand", kind="tool")
    assert st.current_span() is s
    with st.span("child"):
        pass
    assert s.end() == st.EnqueueResult(True)
    assert s.end() == st.EnqueueResult(True)
    assert st.current_span() is None
    assert len(recorded.spans) == 2
    assert recorded.named("child").parent_span_id == s.span_id


@pytest.mark.spec("1.by-hand", "1.current-span", "4.passed-over")
def test_an_end_out_of_order_is_passed_over(recorded: Recorded) -> None:
    outer = st.start_span("outer")
    inner = st.start_span("inner")
    outer.end()
    assert st.current_span() is inner
    inner.end()
    assert st.current_span() is None
    with st.span("later"):
        pass
    assert recorded.named("later").parent_span_id is None


@pytest.mark.spec("1.drop")
def test_drop(recorded: Recorded) -> None:
    with st.span("outer") as outer, st.span("gone") as gone:
        gone.drop()
        with st.span("child"):
            pass
    assert [span.name for span in recorded.spans] == ["child", "outer"]
    (dropped,) = recorded.dropped
    assert (dropped["span_id"], dropped["parent_span_id"]) == (gone.span_id, outer.span_id)


@pytest.mark.spec("1.repr")
def test_repr_is_one_helpful_line(recorded: Recorded) -> None:
    s = st.span("x\ny", kind="tool")
    assert "not started" in repr(s)
    with s:
        assert "open" in repr(s)
        assert s.trace_id_hex in repr(s)
    assert repr(s).endswith(">")
    assert "\n" not in repr(s)


@pytest.mark.spec("5.nothing-held")
def test_nothing_is_held_after_the_end(recorded: Recorded) -> None:
    class Big:
        pass

    big = Big()
    gone = weakref.ref(big)
    with st.span("x") as s:
        s.input = big
        s.output = [big, s]
        s.metadata["big"] = big
    del big
    gc.collect()
    assert gone() is None
    s.metadata["late"] = 1
    s.output = 2
    assert s.metadata == {}


@pytest.mark.spec("5.nothing-held")
def test_a_span_in_a_cycle_is_collected(recorded: Recorded) -> None:
    s = st.span("x")
    gone = weakref.ref(s)
    s.input = [s]
    del s
    gc.collect()
    assert gone() is None


@pytest.mark.spec("1.async-with", "4.conversation")
def test_async_with(recorded: Recorded) -> None:
    async def run() -> None:
        async with st.span("x") as s, st.conversation("c"):
            s.metadata["a"] = 1
            await asyncio.sleep(0)
            with pytest.raises(ValueError, match="v"):
                async with st.span("y"):
                    raise ValueError("v")

    asyncio.run(run())
    assert recorded.named("y").fields["session_id"] == "c"
    assert recorded.named("y").parent_span_id == recorded.named("x").span_id


@pytest.mark.spec("1.end-twice")
def test_a_span_is_recorded_once_however_often_it_is_entered(recorded: Recorded) -> None:
    s = st.span("x")
    with s, s:
        pass
    with s:
        s.metadata["late"] = 1
    assert len(recorded.spans) == 1
    assert st.current_span() is None
