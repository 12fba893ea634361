"""One program, run by the public client package and by ours: the server must not be able to tell.

What differs by intent is left out by name, with the reason beside it; everything else of every span
and annotation is compared as it is stored.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import staso as st
from parts import Server, environment, payload, wait_until
from test_public_client import public_python  # noqa: F401 - a fixture

PROGRAM = """
import asyncio, sys, uuid
import staso as st
from staso.annotation import AnnotationDataType, annotate

st.init(
    api_key="ak_any_key_will_do", agent_name="clerk", agent_version="1.2", base_url=sys.argv[1], batch_size=10,
    flush_interval=0.2, max_queue_size=1000, enabled=True, debug=False, environment="shop", capture_git=False,
)

class Desk:
    @st.tool(name="find-order", tags=["crm"], metadata={"table": "orders"})
    def find(self, order_id, *, fresh=False):
        return {"id": order_id, "fresh": fresh}

    @st.tool(capture_input=False)
    def pay(self, card):
        return None

    @st.trace(kind=st.SpanKind.LLM, capture_output=False)
    async def phrase(self, text):
        await asyncio.sleep(0)
        return text.title()

    @st.agent(name="desk", metadata={"team": "south"})
    async def answer(self, question, tone="kind"):
        order = self.find(7, fresh=True)
        self.pay("4111")
        with st.span("think", kind="LLM") as s:
            s.input = {"messages": [{"role": "user", "content": question}]}
            s.output = {"role": "assistant", "content": "caff\\u00e8"}
            s.model, s.provider, s.reasoning_effort = "small-1", "example", "low"
            s.input_tokens, s.output_tokens, s.total_tokens = 12, 5, 17
            s.metadata["route"] = {"region": "eu", "tries": [1, 2.5, None, True]}
            s.annotate("grounded", value=0.5, comment="half of it")
            s.annotate("topic", value="delivery", data_type="categorical")
        return await self.phrase(f"order {order['id']}")

@st.tool
def broken(reason):
    raise RuntimeError(reason)

with st.conversation("chat-1", user_id="reader-7"):
    with st.span("root") as root:
        asyncio.run(Desk().answer("where?"))
        try:
            broken("no such train")
        except RuntimeError:
            pass
        with st.span("caught", kind=st.SpanKind.TOOL) as s:
            try:
                raise KeyError("k")
            except KeyError as error:
                s.record_exception(error)
        with st.span("declined") as s:
            s.set_status(st.SpanStatus.ERROR, "card declined")
        with st.span("slow") as s:
            s.set_status(st.SpanStatus.TIMEOUT, "too slow")
annotate(trace_id=root.trace_id, name="helpful", value=True, data_type=AnnotationDataType.BOOLEAN)
annotate(trace_id=root.trace_id, name="length", value=3, span_id=root.span_id)
assert st.flush(timeout=10.0).ok
assert st.shutdown(timeout=10.0).ok
"""

# Ids and clocks of the run itself; annotations are compared apart from their spans.
OF_THE_RUN = {"id", "trace_id", "span_id", "parent_span_id", "start_ns", "end_ns", "duration_ns", "received_ns"}
OF_THE_RUN |= {"created_ns", "annotations"}
# Ours says which process a span is of, keeps exceptions as events, and gives a nested span the id of the
# agent whose name it has, where the public client gives it the id of the program's own.
OURS = {"process_id", "events", "agent_id"}
# Ours leaves out `self`, which says nothing, and fills in defaults.
ARGUMENTS = {"self", "tone"}
# Places differ by the directory and by the class's name; the exception's type is on the event.
METADATA = {"code.filepath", "code.function", "exception.type"}
# The public client says that no usage is known, and sends it.
USAGE = {"available", "contradiction"}


@pytest.fixture
def held(public_python: Path, make_server: Callable[[], Server], tmp_path: Path) -> tuple[Any, Any]:  # noqa: F811
    """What servers hold of the program: run by the public client, and by ours."""
    theirs = stored(public_python, make_server().start(), tmp_path / "theirs")
    return theirs, stored(Path(sys.executable), make_server().start(), tmp_path / "ours")


def test_spans_are_the_same(held: tuple[Any, Any]) -> None:
    theirs, ours = ({span["name"]: _comparable(span) for span in run["spans"]} for run in held)
    assert len(theirs) == len(held[0]["spans"]) == 10
    assert theirs == ours


def test_annotations_are_the_same(held: tuple[Any, Any]) -> None:
    theirs, ours = ({note["name"]: _without(note, OF_THE_RUN) for note in run["annotations"]} for run in held)
    assert set(theirs) == {"grounded", "topic", "helpful", "length"}
    assert theirs == ours


def test_what_is_ours_is_there(held: tuple[Any, Any]) -> None:
    """What was left out of the comparison is not missing."""
    spans = {span["name"]: span for span in held[1]["spans"]}
    assert payload(spans["desk"]["input"]) == {"agent_name": "desk", "question": "where?", "tone": "kind"}
    assert spans["desk"]["metadata"]["code.function"] == "Desk.answer"
    assert [len(spans[name]["events"]) for name in ("broken", "caught", "declined")] == [1, 1, 0]
    assert spans["think"]["usage"]["available"] is True
    assert spans["think"]["agent_id"] == st.generate_agent_id("desk")


def _comparable(span: dict[str, Any]) -> dict[str, Any]:
    kept = _without(span, OF_THE_RUN | OURS)
    for name in ("input", "output"):
        kept[name] = payload(span[name]) if span[name] else None
    if isinstance(kept["input"], dict):
        kept["input"] = _without(kept["input"], ARGUMENTS)
    kept["metadata"] = _without(span["metadata"], METADATA)
    kept["usage"] = span["usage"] and _without(span["usage"], USAGE)
    return kept


def _without(values: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def stored(python: Path, server: Server, directory: Path) -> dict[str, Any]:
    """The program's one trace; each span and annotation says by name which span it belongs to."""
    home = directory / "client-home"
    home.mkdir(parents=True)
    program = directory / "program.py"
    program.write_text(PROGRAM)
    command = [str(python), "-I", str(program), server.url]
    env = {**environment(home), "HOME": str(home)}
    done = subprocess.run(command, env=env, cwd=home, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    trace = wait_until("its annotations", lambda: _whole(server))
    names = {span["span_id"]: span["name"] for span in trace["spans"]}
    for span in trace["spans"]:
        span["parent"] = names.get(span["parent_span_id"])
    for note in trace["annotations"]:
        note["span"] = names.get(note["span_id"])
    return trace


def _whole(server: Server) -> dict[str, Any] | None:
    traces = [server.trace(row["trace_id"]) for row in server.trace_rows()]
    return next((trace for trace in traces if len(trace["annotations"]) == 4), None)
