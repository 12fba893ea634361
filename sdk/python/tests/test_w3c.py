"""Traces cross processes in both directions with the OpenTelemetry SDK, the real one."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import baggage, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

import staso as st
from staso.testing import Recorded


def _tracer(sampler: Any) -> trace.Tracer:
    return TracerProvider(sampler=sampler, shutdown_on_exit=False).get_tracer("test")


@pytest.mark.spec("4.inject-extract", "1.ids")
def test_opentelemetry_calls_us(recorded: Recorded) -> None:
    headers: dict[str, str] = {}
    with _tracer(ALWAYS_ON).start_as_current_span("client") as client:
        propagate.inject(headers)
    with st.extract(headers), st.span("server") as server:
        pass
    theirs = client.get_span_context()
    assert server.trace_id_hex == trace.format_trace_id(theirs.trace_id)
    parent = recorded.named("server").parent_span_id
    assert parent is not None
    assert parent.replace("-", "")[16:] == trace.format_span_id(theirs.span_id)


@pytest.mark.spec("4.inject-extract", "1.ids")
def test_we_call_opentelemetry(recorded: Recorded) -> None:
    headers: dict[str, str] = {}
    with st.span("client") as client:
        st.inject(headers)
    remote = propagate.extract(headers)
    with _tracer(ALWAYS_ON).start_as_current_span("server", context=remote) as server:
        theirs = server.get_span_context()
        assert trace.format_trace_id(theirs.trace_id) == client.trace_id_hex
        assert trace.format_span_id(server.parent.span_id) == client.span_id_hex  # type: ignore[attr-defined]
        assert server.parent.is_remote  # type: ignore[attr-defined]
        back: dict[str, str] = {}
        propagate.inject(back)
    with st.extract(back), st.span("back") as s:
        assert s.trace_id == client.trace_id


@pytest.mark.spec("4.inject-extract", "3.sampling", "3.sampled-flag")
def test_the_sampled_flag_crosses_in_both_directions(recorded: Recorded) -> None:
    headers: dict[str, str] = {}
    with _tracer(ALWAYS_OFF).start_as_current_span("client"):
        propagate.inject(headers)
    with st.extract(headers), st.span("not kept"):
        ours: dict[str, str] = {}
        st.inject(ours)
    assert recorded.spans == []
    assert (
        not trace.get_current_span(propagate.extract(ours)).get_span_context().trace_flags.sampled
    )
    with st.span("kept"):
        st.inject(ours)
    assert trace.get_current_span(propagate.extract(ours)).get_span_context().trace_flags.sampled


@pytest.mark.spec("4.inject-extract", "4.conversation", "4.baggage")
def test_baggage_crosses_in_both_directions(recorded: Recorded) -> None:
    # No space: OpenTelemetry writes one as `+`, which by the standard is a plus, and reads both.
    conversation, user = "a,b;c=d%ü+e", "7"
    headers = {"baggage": "tenant=x"}
    with st.conversation(conversation, user_id=user), st.span("client"):
        st.inject(headers, baggage=True)
    context = propagate.extract(headers)
    theirs = baggage.get_all(context)
    assert theirs == {
        "tenant": "x",
        "staso.session_id": conversation,
        "staso.user_id": user,
    }
    onwards: dict[str, str] = {}
    with _tracer(ALWAYS_ON).start_as_current_span("between", context=context) as between:
        propagate.inject(onwards, trace.set_span_in_context(between, context))
    with st.extract(onwards), st.span("server"):
        pass
    fields = recorded.named("server").fields
    assert (fields["session_id"], fields["user_id"]) == (conversation, user)


@pytest.mark.spec("4.inject-extract")
@pytest.mark.parametrize(
    ("header", "is_valid"),
    [
        ("00-" + "a" * 32 + "-" + "b" * 16 + "-01", True),
        ("00-" + "A" * 32 + "-" + "b" * 16 + "-01", None),
        ("cc-" + "a" * 32 + "-" + "b" * 16 + "-01-what-later-versions-add", True),
        ("cc-" + "a" * 32 + "-" + "b" * 16 + "-01.x", False),
        ("00-" + "a" * 32 + "-" + "b" * 16 + "-01-x", False),
        ("ff-" + "a" * 32 + "-" + "b" * 16 + "-01", False),
        ("00-" + "0" * 32 + "-" + "b" * 16 + "-01", False),
        ("00-" + "a" * 32 + "-" + "0" * 16 + "-01", False),
        ("00-" + "a" * 32 + "-" + "b" * 16 + "-ff", True),
        ("00-" + "a" * 32 + "-" + "b" * 16, False),
    ],
)
def test_we_judge_a_header_as_they_do(
    recorded: Recorded, header: str, is_valid: bool | None
) -> None:
    headers = {"traceparent": header}
    theirs = trace.get_current_span(propagate.extract(headers)).get_span_context()
    with st.extract(headers), st.span("x") as s:
        pass
    if is_valid is not None:
        assert theirs.is_valid is is_valid
        assert (s.trace_id_hex == "a" * 32) is is_valid
