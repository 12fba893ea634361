"""The page everything grew from: each sentence and both examples, and the table of rules."""

from __future__ import annotations

import contextlib
import types
from typing import Any

import pytest

import staso as st
from staso.testing import Recorded

FIRST_EXAMPLE = """
import staso as st

with st.span("embed-query", kind="retriever") as s:
    s.metadata["query"] = query
    result = embed(query)
    s.metadata["hit_count"] = len(result)
"""

SECOND_EXAMPLE = """
with st.span("call-stripe", kind="tool") as s:
    try:
        charge = stripe.charge(...)
        s.output = {"charge_id": charge.id}
    except stripe.error.CardError as exc:
        s.record_exception(exc)
        s.set_status("error", "card declined")
        raise
"""


class CardError(Exception):
    """Stands for the payment library's error."""


def _stripe(charge: Any) -> types.SimpleNamespace:
    return types.SimpleNamespace(charge=charge, error=types.SimpleNamespace(CardError=CardError))


@pytest.mark.spec("1.page", "1.signature")
def test_first_example(recorded: Recorded) -> None:
    exec(FIRST_EXAMPLE, {"query": "where?", "embed": lambda query: [1, 2, 3]})
    (span,) = recorded.spans
    assert (span.name, span.kind, span.status) == ("embed-query", "retriever", "ok")
    assert span.metadata == {"query": "where?", "hit_count": 3}
    assert span.end_ns >= span.start_ns


@pytest.mark.spec("1.page")
def test_second_example_when_it_works(recorded: Recorded) -> None:
    stripe = _stripe(lambda _: types.SimpleNamespace(id="ch_1"))
    exec(SECOND_EXAMPLE, {"st": st, "stripe": stripe})
    (span,) = recorded.spans
    assert (span.kind, span.status, span.output) == ("tool", "ok", {"charge_id": "ch_1"})
    assert span.events == []


@pytest.mark.spec("1.page", "1.exception-event", "1.record-exc", "1.recorded-once")
def test_second_example_when_it_fails(recorded: Recorded) -> None:
    def charge(_: object) -> None:
        raise CardError("insufficient funds")

    with pytest.raises(CardError):
        exec(SECOND_EXAMPLE, {"st": st, "stripe": _stripe(charge)})
    (span,) = recorded.spans
    assert (span.status, span.error_message) == ("error", "card declined")
    (event,) = span.events
    assert event["attributes"]["exception.message"] == "insufficient funds"
    assert event["attributes"]["exception.type"].endswith("CardError")
    assert "charge" in event["attributes"]["exception.stacktrace"]


@pytest.mark.spec("1.kind")
@pytest.mark.parametrize("kind", ["llm", "tool", "chain", "retriever", "agent", "custom"])
def test_kinds(recorded: Recorded, kind: str) -> None:
    for spelling in (kind, kind.upper(), kind.title(), st.SpanKind(kind)):
        with st.span("x", kind=spelling) as s:
            assert s.kind is st.SpanKind(kind)
    assert [span.kind for span in recorded.spans] == [kind] * 4


@pytest.mark.spec("1.kind", "5.misuse")
@pytest.mark.parametrize("kind", ["", "LLMs", None, 3, b"llm", "tool\ud800"])
def test_another_kind_is_refused_by_the_call_itself(recorded: Recorded, kind: object) -> None:
    with pytest.raises(ValueError, match="llm.*tool.*chain.*retriever.*agent.*custom"):
        st.span("x", kind=kind)  # type: ignore[arg-type]
    assert recorded.spans == []


@pytest.mark.spec("1.kind", "1.signature")
def test_kind_is_chain_by_default(recorded: Recorded) -> None:
    with st.span("x"):
        pass
    assert recorded.spans[0].kind == "chain"


@pytest.mark.spec("1.metadata")
def test_metadata_is_a_real_dict(recorded: Recorded) -> None:
    with st.span("x") as s:
        assert type(s.metadata) is dict
        s.metadata.update(a=1, b=[1, {"c": None}], gone=True)
        assert s.metadata.pop("gone")
        assert "a" in s.metadata
        assert list(s.metadata) == ["a", "b"]
    assert recorded.spans[0].metadata == {"a": 1, "b": [1, {"c": None}]}


@pytest.mark.spec("1.input-output")
@pytest.mark.parametrize("value", [{"a": 1}, [1, 2], "text", 3, 2.5, True, None])
def test_input_and_output_take_any_value(recorded: Recorded, value: object) -> None:
    with st.span("x") as s:
        s.input = value
        s.output = value
    (span,) = recorded.spans
    assert (span.input, span.output) == (value, value)


@pytest.mark.spec("1.input-output")
def test_changes_in_place_before_the_end_count(recorded: Recorded) -> None:
    with st.span("x") as s:
        s.output = {"first": 1}
        s.output["second"] = 2
        s.input = given = []
        given.append("late")
    (span,) = recorded.spans
    assert (span.output, span.input) == ({"first": 1, "second": 2}, ["late"])


@pytest.mark.spec("1.leaves")
def test_exception_is_recorded_and_leaves_unchanged(recorded: Recorded) -> None:
    error = KeyError("k")
    with pytest.raises(KeyError) as caught, st.span("x"):
        raise error
    assert caught.value is error
    (span,) = recorded.spans
    assert (span.status, span.error_message) == ("error", "'k'")
    assert len(span.events) == 1


@pytest.mark.spec("1.conditional")
@pytest.mark.parametrize("leave", ["return", "break", "continue"])
def test_conditional_use_and_early_leaving(recorded: Recorded, leave: str) -> None:
    def run(flag: bool) -> None:
        for _ in range(1):
            with st.span("x") if flag else contextlib.nullcontext():
                if leave == "return":
                    return
                if leave == "break":
                    break
                continue

    run(False)
    assert recorded.spans == []
    run(True)
    assert [span.status for span in recorded.spans] == ["ok"]
    assert st.current_span() is None


@pytest.mark.spec("1.nesting")
def test_decorated_functions_open_manual_spans(recorded: Recorded) -> None:
    @st.tool
    def work(x: int) -> int:
        with st.span("step") as s:
            s.metadata["x"] = x
        return x + 1

    with st.span("outer"):
        assert work(1) == 2
    outer, tool, step = (recorded.named(name) for name in ("outer", "work", "step"))
    assert (step.parent_span_id, tool.parent_span_id) == (tool.span_id, outer.span_id)
    assert outer.parent_span_id is None
    assert {span.trace_id for span in recorded.spans} == {outer.trace_id}


@pytest.mark.spec("1.annotate", "6.annotate")
def test_annotate(recorded: Recorded) -> None:
    with st.span("x") as s:
        s.annotate("quality", value=0.9, comment="good")
        s.annotate("label", value="billing", data_type="categorical")
        s.annotate("resolved", value=True, data_type=st.AnnotationDataType.BOOLEAN)
        assert recorded.annotations == []
    (span,) = recorded.spans
    assert [(a["name"], a["value"], a["data_type"]) for a in recorded.annotations] == [
        ("quality", 0.9, "numeric"),
        ("label", "billing", "categorical"),
        ("resolved", True, "boolean"),
    ]
    assert recorded.annotations[0]["comment"] == "good"
    for annotation in recorded.annotations:
        assert (annotation["trace_id"], annotation["span_id"]) == (span.trace_id, span.span_id)
    assert len({annotation["id"] for annotation in recorded.annotations}) == 3


@pytest.mark.spec("6.refused", "5.misuse")
@pytest.mark.parametrize(
    ("value", "data_type"),
    [(True, "numeric"), ("1", "numeric"), (1, "categorical"), (1, "boolean"), (1, "score")],
)
def test_annotation_mismatch_is_refused(recorded: Recorded, value: object, data_type: str) -> None:
    with st.span("x") as s, pytest.raises(ValueError, match=r"annotation|data_type"):
        s.annotate("a", value=value, data_type=data_type)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name"):
        st.annotate(trace_id="0" * 31 + "1", name="", value=1)
    assert recorded.annotations == []
