"""What a value becomes on the wire, seen by a server that speaks the contract."""

from __future__ import annotations

import json
from typing import Any

import pytest
from receiver import Receiver

import staso as st


@pytest.mark.spec("1.input-output")
def test_a_str_stays_a_str_on_the_wire(receiver: Receiver) -> None:
    st.init(base_url=receiver.url)
    for text in ["123", "true", "null", "", '{"a": 1}', "words"]:
        with st.span("x") as s:
            s.input = s.output = text
    with st.span("x") as s:
        s.input = s.output = {"text": "123"}
    assert st.flush(10).ok
    inputs = [span["input"] for span in receiver.finished()]
    assert inputs == ["123", "true", "null", "", '{"a": 1}', "words", {"text": "123"}]


@pytest.mark.spec("1.usage-available")
def test_tokens_of_a_model_call_say_that_usage_is_known(receiver: Receiver) -> None:
    st.init(base_url=receiver.url)
    with st.span("known", kind="llm") as s:
        s.input_tokens = 10
    with st.span("unknown", kind="llm"):
        pass
    assert st.flush(10).ok
    known, unknown = receiver.finished()
    assert (known["usage_available"], unknown["usage_available"]) == (True, False)


@pytest.mark.spec("6.annotate")
def test_a_number_beyond_64_bits_is_still_a_score(receiver: Receiver) -> None:
    st.init(base_url=receiver.url)
    with st.span("x") as s:
        s.annotate("big", value=2**70)
        s.annotate("small", value=2**53 + 1)
    assert st.flush(10).ok
    found = [batch["annotation"] for batch in receiver.batches if "annotation" in batch]
    values = {annotation["name"]: annotation["value"] for annotation in found}
    assert values == {"big": float(2**70), "small": 2**53 + 1}


@pytest.mark.spec("5.span-size", "5.size")
def test_a_span_larger_than_the_limit_is_cut_not_dropped(receiver: Receiver) -> None:
    st.init(base_url=receiver.url, max_span_bytes=20_000, max_value_bytes=1_000)
    branch: list[Any] = [1]
    for _ in range(64):
        branch = [branch, branch]
    with st.span("x") as s:
        s.input = branch
        s.output = "y" * 5_000
    assert st.flush(10).ok
    (span,) = receiver.finished()
    assert "too large" in json.dumps(span["input"])
    assert "of 5000 bytes cut" in span["output"]
