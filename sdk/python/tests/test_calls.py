"""Calls in every shape: what is answered directly and what is handed on look the same.

The usual shapes of `span(...)`, of the two ends of a block and of a decorated function are
answered without a look at signatures; a program must not be able to tell.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import pickle
import traceback
import weakref

import pytest

import staso as st
from staso import testing


def test_every_shape_of_a_span_call() -> None:
    with testing.capture() as recorded:
        for span in (
            st.span("x"),
            st.span(name="x"),
            st.span("x", kind="LLM"),
            st.span("x", **{"".join(("ki", "nd")): st.SpanKind.LLM}),
            st.span(kind="llm", name="x"),
        ):
            with span as inside:
                assert inside is span
    assert [(span.name, span.kind) for span in recorded.spans] == [("x", "chain")] * 2 + [
        ("x", "llm")
    ] * 3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: st.span(), TypeError, "missing 1 required positional argument: 'name'"),
        (lambda: st.span("x", "y"), TypeError, "takes 1 positional arguments but 2"),
        (lambda: st.span("x", colour=1), TypeError, "unexpected keyword argument 'colour'"),
        (lambda: st.span("x", kind="no"), ValueError, '"llm", "tool", "chain"'),
        (lambda: st.span("x").__enter__(1), TypeError, "takes no arguments"),
        (lambda: st.span("x").__exit__(1, 2, 3, 4), TypeError, "0 to 3 positional arguments"),
        (lambda: st.Span.__enter__(5), TypeError, "doesn't apply to a 'int' object"),
        (lambda: st.Span.__dict__["__exit__"](5), TypeError, "doesn't apply to a 'int' object"),
    ],
)
def test_a_call_that_is_wrong_says_so(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_the_ends_of_a_block_are_methods_as_any() -> None:
    with testing.capture() as recorded:
        first, second = st.span("first"), st.span("second")
        enter_first, enter_second, exit_first = first.__enter__, second.__enter__, first.__exit__
        assert enter_first() is first
        assert enter_second() is second
        st.Span.__exit__(second, None, None, None)
        assert exit_first(exc=ValueError("late")) is False
        st.span("never").__exit__()
        with contextlib.ExitStack() as stack:
            stack.enter_context(st.span("stacked"))
    assert [span.name for span in recorded.spans] == ["second", "first", "stacked"]
    assert recorded.spans[1].status == "error"
    assert exit_first.__name__ == "__exit__"
    assert exit_first.__self__ is first
    assert repr(exit_first).startswith("<built-in method __exit__ of staso.Span object")
    assert str(inspect.signature(st.span)) == "(name, *, kind='chain')"
    assert pickle.loads(pickle.dumps(st.span)) is st.span


def test_ends_that_are_bound_again_belong_to_their_own_span() -> None:
    for _ in range(3):
        with testing.capture() as recorded:
            spans = [st.span(str(number)) for number in range(10)]
            ends = [span.__exit__ for span in spans]
            for span in spans:
                assert span.__enter__() is span
            gc.collect()
            assert [end.__self__ for end in ends] == spans
            for end in reversed(ends):
                assert end(None, None, None) is False
            del ends, end
            with st.span("after"):
                gc.collect()
        assert [span.name for span in recorded.spans] == [*"9876543210", "after"]


def test_a_bound_end_in_a_cycle_is_freed() -> None:
    class Watched:
        pass

    watched = Watched()
    span = st.span("x")
    span.metadata["self"], span.metadata["watched"] = span.__exit__, watched
    gone = weakref.ref(watched)
    del span, watched
    gc.collect()
    assert gone() is None


def test_looking_an_end_up_holds_nothing() -> None:
    class Watched:
        pass

    span = st.span("x")
    span.input = watched = Watched()
    gone = weakref.ref(watched)
    assert hasattr(span, "__enter__")
    del span, watched
    assert gone() is None


def test_a_decorated_function_raises_what_it_raised() -> None:
    @st.trace
    def fails() -> None:
        raise error

    error = ValueError("boom")
    with testing.capture() as recorded, pytest.raises(ValueError, match="boom") as caught:
        fails()
    assert caught.value is error
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names[-2:] == ["wrapper", "fails"]
    assert recorded.spans[0].status == "error"
    assert "in fails" in recorded.spans[0].events[0]["attributes"]["exception.stacktrace"]
