"""The manual-spans page: both of its examples, pasted into a file and run, seen through the API."""

from __future__ import annotations

from pathlib import Path

import pytest
from parts import Server, payload, run_program

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

# What the page leaves to its reader: a start, a query, something to embed it, a payment library.
BEFORE_FIRST = """
import staso as st
st.init()
query = "where is my order?"
def embed(text):
    return [float(len(word)) for word in text.split()]
"""

BEFORE_SECOND = """
import types
import staso as st
st.init()
class CardError(Exception):
    pass
def charge(amount):
    if declined:
        raise CardError("your card was declined")
    return types.SimpleNamespace(id="ch_1")
stripe = types.SimpleNamespace(charge=charge, error=types.SimpleNamespace(CardError=CardError))
"""


@pytest.mark.spec("1.page")
def test_first_example(server: Server, home: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.py"
    page.write_text(BEFORE_FIRST + FIRST_EXAMPLE)
    run_program(page, home)

    span = server.wait_for_span("embed-query")
    assert span["kind"] == "retriever"
    assert span["status"] == "ok"
    assert span["metadata"]["query"] == "where is my order?"
    assert span["metadata"]["hit_count"] == 4
    assert span["parent_span_id"] is None


@pytest.mark.spec("1.page", "1.record-exc")
def test_second_example_when_the_card_is_declined(server: Server, home: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.py"
    page.write_text(BEFORE_SECOND + "declined = True\n" + SECOND_EXAMPLE)
    run_program(page, home, expect=1)

    span = server.wait_for_span("call-stripe")
    assert span["kind"] == "tool"
    assert span["status"] == "error"
    assert span["error_message"] == "card declined"
    (event,) = [event for event in span["events"] if event["name"] == "exception"]
    assert event["attributes"]["exception.message"] == "your card was declined"
    assert event["attributes"]["exception.type"].endswith("CardError")
    assert "raise CardError" in event["attributes"]["exception.stacktrace"]


@pytest.mark.spec("1.page")
def test_second_example_when_it_is_not(server: Server, home: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.py"
    page.write_text(BEFORE_SECOND + "declined = False\n" + SECOND_EXAMPLE)
    run_program(page, home)

    span = server.wait_for_span("call-stripe")
    assert span["status"] == "ok"
    assert span["error_message"] is None
    assert payload(span["output"]) == {"charge_id": "ch_1"}


@pytest.mark.spec("1.input-output", "1.annotate", "1.set-status", "1.leaves")
def test_methods_of_the_page(server: Server, home: Path) -> None:
    """Input and output changed before the end, an annotation, a forced status, a plain exception."""
    run_program(
        """
import staso as st
st.init()
with st.span("parent", kind="AGENT") as s:
    s.input = {"question": "?"}
    s.output = {"draft": 1}
    s.output["final"] = 2
    s.annotate("grounded", value=0.75, data_type="numeric", comment="three of four")
    try:
        with st.span("late", kind=st.SpanKind.LLM) as late:
            late.set_status("timeout", "no answer in 30 s")
            raise RuntimeError("gave up")
    except RuntimeError:
        pass
    try:
        with st.span("plain"):
            raise KeyError("missing")
    except KeyError:
        pass
""",
        home,
    )
    parent = server.wait_for_span("parent")
    trace = server.trace(parent["trace_id"])
    by_name = {span["name"]: span for span in trace["spans"]}
    assert parent["kind"] == "agent"
    assert payload(parent["input"]) == {"question": "?"}
    assert payload(parent["output"]) == {"draft": 1, "final": 2}
    assert (by_name["late"]["status"], by_name["late"]["error_message"]) == ("timeout", "no answer in 30 s")
    assert by_name["late"]["parent_span_id"] == parent["span_id"]
    assert (by_name["plain"]["kind"], by_name["plain"]["status"]) == ("chain", "error")
    (note,) = trace["annotations"]
    assert (note["name"], note["value"], note["data_type"]) == ("grounded", 0.75, "numeric")
    assert (note["span_id"], note["comment"]) == (parent["span_id"], "three of four")


@pytest.mark.spec("1.nesting")
def test_decorators_and_spans_compose(server: Server, home: Path) -> None:
    run_program(
        """
import asyncio
import staso as st
st.init()

@st.tool
async def look_up(city):
    with st.span("inside-tool", kind="custom"):
        await asyncio.sleep(0)
    return city.upper()

@st.trace(name="planned", kind="retriever")
def plan(n):
    return list(range(n))

@st.agent
async def traveller(cities):
    plan(2)
    with st.span("all"):
        return await asyncio.gather(*(look_up(city) for city in cities))

asyncio.run(traveller(["turin", "trento"]))
""",
        home,
    )
    spans = server.wait_for_spans(7)
    name_of = {span["span_id"]: span["name"] for span in spans}
    edges = sorted((name_of.get(span["parent_span_id"] or "", "-"), span["name"], span["kind"]) for span in spans)
    assert edges == [
        ("-", "traveller", "agent"),
        ("all", "look_up", "tool"),
        ("all", "look_up", "tool"),
        ("look_up", "inside-tool", "custom"),
        ("look_up", "inside-tool", "custom"),
        ("traveller", "all", "chain"),
        ("traveller", "planned", "retriever"),
    ]
    root = next(span for span in spans if span["name"] == "traveller")
    assert payload(root["input"]) == {"agent_name": "traveller", "cities": ["turin", "trento"]}
    assert payload(root["output"]) == {"result": ["TURIN", "TRENTO"]}
    assert {span["agent_name"] for span in spans} == {"traveller"}


@pytest.mark.spec("1.input-output")
def test_a_str_is_shown_as_the_str_it_is(server: Server, home: Path, tmp_path: Path) -> None:
    """`"123"` is text, not the number 123; a dict that holds it is JSON."""
    page = tmp_path / "page.py"
    page.write_text(
        "import staso as st\nst.init()\n"
        "for name, value in [('digits', '123'), ('null', 'null'), ('empty', ''), ('json', '{\"a\":1}')]:\n"
        "    with st.span(name) as s:\n"
        "        s.input = value\n"
        "        s.output = {'text': value}\n"
    )
    run_program(page, home)
    shown = {name: server.wait_for_span(name) for name in ("digits", "null", "empty", "json")}
    assert {name: span["input"] for name, span in shown.items()} == {
        "digits": {"format": "text", "text": "123"},
        "null": {"format": "text", "text": "null"},
        "empty": {"format": "text", "text": ""},
        "json": {"format": "text", "text": '{"a":1}'},
    }
    assert shown["digits"]["output"] == {"format": "json", "text": '{"text":"123"}'}
