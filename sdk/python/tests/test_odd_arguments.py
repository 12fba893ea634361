"""Options, headers, ids and chunks that nobody would pass on purpose cost only themselves."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hostile_classes import HostileStr, RaisingClass, Reprs, SaysStr

import staso as st
from staso import testing
from staso.testing import Recorded


@pytest.mark.spec("5.never-raises")
def test_a_streams_chunks_may_be_hostile(recorded: Recorded) -> None:
    chunks = [HostileStr("a"), SaysStr(), RaisingClass(), "b"]

    @st.trace
    def stream() -> Iterator[Any]:
        yield from chunks

    assert all(a is b for a, b in zip(stream(), chunks, strict=True))
    (span,) = recorded.spans
    assert span.metadata["staso.stream.items"] == 4
    assert (span.output["result"][0], span.output["result"][3]) == ("a", "b")


@pytest.mark.spec("5.never-raises")
@pytest.mark.parametrize("where", ["name", "model", "error", "user id"])
def test_an_interrupt_inside_a_text_is_given_back(recorded: Recorded, where: str) -> None:
    class SlowError(Exception):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            with st.span(SlowError() if where == "name" else "x") as s:  # type: ignore[arg-type]
                if where == "model":
                    s.model = SlowError()  # type: ignore[assignment]
                if where == "error":
                    s.record_exception(SlowError())
                if where == "user id":
                    s.user_id = SlowError()  # type: ignore[assignment]
            for _ in range(1000):
                pass
    finally:
        signal.signal(signal.SIGINT, before)


class _Hostile:
    """A word for an option that refuses every question."""

    def _refuse(self, *_: Any) -> Any:
        raise RuntimeError

    __str__ = __repr__ = __bool__ = __iter__ = __len__ = _refuse


@pytest.mark.spec("5.never-raises", "2.options")
@pytest.mark.parametrize("decorate", [st.agent, st.tool, st.trace])
@pytest.mark.parametrize(
    "options",
    [
        {"name": "\ud800"},
        {"name": _Hostile()},
        {"tags": 5},
        {"tags": _Hostile()},
        {"tags": ["a", _Hostile()]},
        {"metadata": 5},
        {"metadata": _Hostile()},
        {"metadata": {None: 1, _Hostile(): 2}},
        {"capture_output": _Hostile(), "capture_input": _Hostile()},
    ],
)
def test_odd_options_of_a_decorator_cost_only_themselves(
    recorded: Recorded, decorate: Any, options: dict[str, Any]
) -> None:
    @decorate(**options)
    def work(x: int) -> int:
        return x

    assert work(1) == 1
    (span,) = recorded.spans
    assert span.status == "ok"
    assert span.metadata["code.lineno"] > 0


@pytest.mark.spec("5.never-raises", "4.conversation", "4.inject-extract")
@pytest.mark.parametrize(
    "headers",
    [
        None,
        5,
        [],
        [(b"traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")],
        {"traceparent": 5, "baggage": object()},
        {"traceparent": "\ud800", "baggage": "staso.session_id=%ED%A0%80,=,;,staso.user_id=\ud800"},
        {_Hostile(): 1},
        {"baggage": "staso.session_id=" + "%" * 50},
    ],
)
def test_odd_headers_start_a_new_trace(recorded: Recorded, headers: Any) -> None:
    with st.extract(headers), st.span("x"):
        st.inject(headers)
    assert len(recorded.spans) == 1


@pytest.mark.spec("4.inject-extract")
def test_headers_as_asgi_has_them_are_read(recorded: Recorded) -> None:
    raw = [(b"host", b"x"), (b"traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")]
    with st.extract(raw), st.span("x") as s:  # type: ignore[arg-type]
        assert s.trace_id_hex == "1" * 32


@pytest.mark.spec("4.conversation", "5.never-raises")
def test_ids_of_a_conversation_may_be_anything(recorded: Recorded) -> None:
    for odd in ("\ud800", _Hostile(), b"\xff", 3.5, Reprs(lambda: "\udfff")):
        with st.conversation(odd, user_id=odd), st.span("x"):
            headers: dict[str, str] = {}
            st.inject(headers, baggage=True)
            assert "traceparent" in headers
    assert len(recorded.spans) == 5
    assert recorded.spans[0].fields["session_id"] == "\ufffd"


@pytest.mark.spec("5.never-raises")
def test_a_name_that_is_no_utf8_may_be_collected_into() -> None:
    """Finalizers run wherever Python makes an object: none of them waits for a span that begins."""

    class Circle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            with st.span("cleanup"):
                pass

    with testing.capture() as recorded:
        for _ in range(3_000):
            Circle()
            with st.span("\ud800x"):
                pass
        # Until now it may have collected within our own work only, which records no spans.
        gc.collect()
    names = {span.name for span in recorded.spans}
    assert names >= {"cleanup"}
    assert sum(span.name != "cleanup" for span in recorded.spans) == 3_000
