"""Programs written for the package of that name that came before this one run unchanged.

The tables are facts that such programs rely on: names, keywords, defaults, values, all marked
[compat] in the contract. The programs are of the kinds its users write, in our own words; each runs
as it would have run then, with keywords spelt out and nothing of what came later.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from receiver import Receiver

import staso as st
from staso.testing import Recorded

NAMES = """
init shutdown flush agent tool trace span conversation integrations Client Config CapturePolicy Span
SpanKind SpanStatus get_client guard GuardResult GuardFailureKind GuardFailureMode GuardBlocked
BlockedTool DeliveryFailureKind DeliveryReport EnqueueResult generate_agent_id __version__
"""

# The keyword arguments of every such function, with their defaults.
KEYWORDS: dict[str, dict[str, Any]] = {
    "init": {
        "api_key": None, "agent_name": None, "agent_version": None, "base_url": None,
        "batch_size": 100, "flush_interval": 0.5, "max_queue_size": 10_000, "enabled": True,
        "debug": None, "environment": None, "workspace_slug": None, "capture_messages": None,
        "capture_request": None, "capture_system_prompt": None, "capture_tool_schema": None,
        "capture_tool_arguments": None, "capture_output": None, "capture_git": True,
    },
    "agent": {"tags": None, "metadata": None, "capture_input": True, "capture_output": True},
    "tool": {"tags": None, "metadata": None, "capture_input": True, "capture_output": True},
    "trace": {
        "kind": "chain", "tags": None, "metadata": None,
        "capture_input": True, "capture_output": True,
    },
    "span": {"kind": "chain"},
    "conversation": {"conversation_id": None, "user_id": None},
    "flush": {"timeout": 5.0},
    "shutdown": {"timeout": 5.0},
}  # fmt: skip

FIELDS = """
name kind status model provider requested_model usage_available reasoning_effort input_tokens
output_tokens total_tokens error_message input output metadata agent_name agent_id agent_version
session_id user_id
"""

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.spec("3.names")
def test_every_name_can_be_imported_from_the_package(run_program: Run) -> None:
    names = ", ".join(NAMES.split())
    done = run_program(
        f"from staso import {names}\nfrom staso.annotation import AnnotationDataType, annotate\n"
        "from staso import *\nassert callable(span) and callable(annotate)\n"
        "assert not isinstance(guard, type) and isinstance(GuardResult, type)\n"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.spec("1.signature", "2.signature", "3.signature", "4.conversation")
@pytest.mark.parametrize("name", KEYWORDS)
def test_every_keyword_has_its_default(name: str) -> None:
    parameters = inspect.signature(getattr(st, name)).parameters
    assert {key: parameters[key].default for key in KEYWORDS[name]} == KEYWORDS[name]


@pytest.mark.spec("3.environment")
def test_every_default_passed_by_name_is_what_leaving_it_out_means() -> None:
    left_out = st.init().config
    assert st.init(**KEYWORDS["init"]).config == left_out
    assert (left_out.batch_size, left_out.flush_interval, left_out.max_queue_size) == (
        100, 0.5, 10_000,
    )  # fmt: skip
    assert left_out.capture_policy == st.CapturePolicy(
        request=True, system_prompt=True, tool_schema=True, tool_arguments=True, output=True
    )


@pytest.mark.spec("1.fields")
@pytest.mark.parametrize("name", FIELDS.split())
def test_every_field_can_be_read_and_written(recorded: Recorded, name: str) -> None:
    values: dict[str, Any] = {
        "kind": st.SpanKind.TOOL, "status": st.SpanStatus.ERROR, "metadata": {"a": 1},
        "usage_available": True, "input_tokens": 1, "output_tokens": 2, "total_tokens": 3,
    }  # fmt: skip
    value = values.get(name, f"a {name}")
    with st.span("x", kind=st.SpanKind.LLM) as s:
        s.status = "error"  # of a span that is ok, no error message is told
        getattr(s, name)
        setattr(s, name, value)
        assert getattr(s, name) == value
    told = {**recorded.spans[0].fields, "metadata": recorded.spans[0].metadata}
    assert told[name] == value


@pytest.mark.spec("1.fields", "1.ids")
def test_ids_are_uuid_text(recorded: Recorded) -> None:
    with st.span("outer") as outer, st.span("inner") as inner:
        for text in (inner.trace_id, inner.span_id, inner.parent_span_id):
            assert str(uuid.UUID(text)) == text
        assert (inner.parent_span_id, outer.parent_span_id) == (outer.span_id, None)
    assert (recorded.spans[0].trace_id, recorded.spans[0].span_id) == (
        inner.trace_id,
        inner.span_id,
    )


@pytest.mark.spec("1.fields")
def test_the_model_that_was_asked_for_stays(recorded: Recorded) -> None:
    with st.span("chat", kind=st.SpanKind.LLM) as call, st.span("step") as step:
        assert (call.usage_available, step.usage_available) == (False, None)
        call.model = "small"
        call.model = "small-2026-01"
        assert (call.requested_model, call.model) == ("small", "small-2026-01")


@pytest.mark.spec("1.end")
def test_ending_a_span_by_hand_answers(recorded: Recorded) -> None:
    s = st.span("x")
    s.__enter__()
    first = s.end()
    assert (first.accepted, first.failure_kind, first.retryable) == (True, None, False)
    assert s.end().accepted
    assert len(recorded.spans) == 1
    assert st.EnqueueResult(accepted=False).failure_kind is None


class Desk:
    """A program of decorated methods and functions."""

    @st.tool(name="find-order", tags=["crm"], metadata={"table": "orders"})
    def find(self, order_id: int, *, fresh: bool = False) -> dict[str, Any]:
        return {"id": order_id, "fresh": fresh}

    @st.tool(capture_input=False)
    def pay(self, card: str) -> str:
        return "paid"

    @st.trace(kind=st.SpanKind.LLM, capture_output=False)
    async def phrase(self, text: str) -> str:
        await asyncio.sleep(0)
        return text.title()

    @st.agent(name="desk")
    async def answer(self, question: str) -> str:
        order = self.find(7, fresh=True)
        self.pay("4111")
        return await self.phrase(f"order {order['id']}")


@pytest.mark.spec("2.input", "2.output", "2.metadata", "2.agent-context")
def test_a_program_of_decorators(recorded: Recorded) -> None:
    assert asyncio.run(Desk().answer("where?")) == "Order 7"
    desk, find, pay, phrase = (recorded.named(n) for n in ("desk", "find-order", "pay", "phrase"))
    assert [span.kind for span in (desk, find, pay, phrase)] == ["agent", "tool", "tool", "llm"]
    assert {span.parent_span_id for span in (find, pay, phrase)} == {desk.span_id}
    assert desk.input == {"agent_name": "desk", "question": "where?"}
    assert desk.output == {"result": "Order 7"}
    assert (find.input, find.output) == (
        {"order_id": 7, "fresh": True}, {"result": {"id": 7, "fresh": True}},
    )  # fmt: skip
    assert (find.metadata["tags"], find.metadata["table"]) == (["crm"], "orders")
    assert (find.metadata["tool_name"], "tool_name" in desk.metadata) == ("find-order", False)
    assert (pay.input, pay.output) == (None, {"result": "paid"})
    assert (phrase.input, phrase.output) == ({"text": "order 7"}, None)
    for span in recorded.spans:
        assert {"code.filepath", "code.lineno", "code.function"} <= set(span.metadata)
        assert span.fields["agent_name"] == "desk"
        assert span.fields["agent_id"] == st.generate_agent_id("desk")


@pytest.mark.spec("2.signature")
def test_decorators_bare_called_and_applied_by_hand(recorded: Recorded) -> None:
    def work(x: int) -> int:
        return x + 1

    for decorate in (st.agent, st.tool, st.trace):
        for decorated in (decorate(work), decorate()(work), decorate(name="work")(work)):
            assert decorated(1) == 2
            assert decorated.__name__ == "work"
            assert decorated.__wrapped__ is work
    assert [span.kind for span in recorded.spans] == [
        kind for kind in ("agent", "tool", "chain") for _ in range(3)
    ]


@pytest.mark.spec("6.annotate", "1.annotate")
def test_a_program_of_annotations(recorded: Recorded) -> None:
    from staso.annotation import AnnotationDataType, annotate

    with st.span("answer") as s:
        s.annotate("length", value=12)
        s.annotate("helpful", value=0.5, data_type="numeric", comment="short")
    for data_type, value in (("categorical", "billing"), ("boolean", False)):
        annotate(trace_id=s.trace_id, name="late", value=value, data_type=data_type,
                 span_id=s.span_id, comment=None)  # fmt: skip
    annotate(trace_id=s.trace_id, name="whole", value=1, data_type=AnnotationDataType.NUMERIC)
    told = [(a["name"], a["value"], a["data_type"], a.get("span_id")) for a in recorded.annotations]
    assert told == [
        ("length", 12, "numeric", s.span_id),
        ("helpful", 0.5, "numeric", s.span_id),
        ("late", "billing", "categorical", s.span_id),
        ("late", False, "boolean", s.span_id),
        ("whole", 1, "numeric", None),
    ]
    assert [a["comment"] for a in recorded.annotations if a.get("comment")] == ["short"]
    # Whoever leaves the type out means a number, as whoever says so.
    for value in ("text", True):
        with pytest.raises(ValueError, match="numeric"):
            annotate(trace_id=s.trace_id, name="a", value=value)


@pytest.mark.spec("4.conversation")
def test_a_program_of_conversations(recorded: Recorded) -> None:
    def handle(message: str, **who: str) -> None:
        with st.conversation("chat-1", **who), st.span(message, kind="agent"):
            st.tool(len, name=f"size of {message}")(message)

    handle("first", user_id="u-1")
    handle("second")
    with st.conversation():
        st.span("third").__enter__().end()
    assert {span.fields["session_id"] for span in recorded.spans[:4]} == {"chat-1"}
    assert [span.fields.get("user_id") for span in recorded.spans[:4]] == ["u-1", "u-1", None, None]
    assert uuid.UUID(recorded.named("third").fields["session_id"])
    assert recorded.named("first").trace_id != recorded.named("second").trace_id


@pytest.mark.spec("3.init", "3.client", "3.report")
def test_a_program_that_is_configured_and_looks_at_its_reports(receiver: Receiver) -> None:
    client = st.init(
        api_key="ak_1", agent_name="desk", agent_version="1.2", base_url=receiver.url,
        batch_size=10, flush_interval=0.1, max_queue_size=100, enabled=True, debug=False,
        environment="test", workspace_slug="team", capture_messages=True, capture_git=False,
    )  # fmt: skip
    assert isinstance(client, st.Client)
    assert isinstance(client.config, st.Config)
    with pytest.raises(dataclasses.FrozenInstanceError):
        client.config.agent_name = "other"  # type: ignore[misc]
    for _ in range(25):
        with client.provider.span("step", kind="chain"):
            pass
    report = st.flush(timeout=10.0)
    counts = (report.accepted, report.delivered, report.failed, report.pending, report.rejected)
    assert counts == (25, 25, 0, 0, 0)
    assert report.ok
    assert (report.timed_out, report.last_failure, report.retryable) == (False, None, False)
    assert (report.last_rejection, report.rejection_retryable) == (None, False)
    spans = receiver.finished()
    assert {(span["agent_name"], span["agent_version"]) for span in spans} == {("desk", "1.2")}
    with st.span("last"):
        pass
    second = st.init(api_key="ak_1", base_url=receiver.url)
    assert second.previous_shutdown_report is not None
    assert second.previous_shutdown_report.delivered == 1
    assert st.shutdown(timeout=10.0).ok
    assert st.get_client() is None


@pytest.mark.spec("3.environment", "7.categories")
def test_a_program_that_is_configured_by_its_environment(
    receiver: Receiver, run_program: Run, tmp_path: Path
) -> None:
    done = run_program(
        "import json, staso\nclient = staso.init()\n"
        "with staso.span('chat', kind='chain') as s:\n    s.input, s.output = {'q': 1}, {'a': 1}\n"
        "report = staso.shutdown()\n"
        "config, policy = client.config, client.config.capture_policy\n"
        "print(json.dumps([config.api_key, config.agent_name, config.base_url,\n"
        "    config.environment, config.workspace_slug, config.debug,\n"
        "    policy.request, policy.output, report.ok]))\n",
        STASO_API_KEY="ak_env", STASO_AGENT_NAME="env-agent", STASO_BASE_URL=receiver.url,
        STASO_ENVIRONMENT="ci", STASO_WORKSPACE_SLUG="team", STASO_DEBUG="false",
        STASO_SESSION_ID="whole-run", STASO_CAPTURE_MESSAGES="0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        "ak_env", "env-agent", receiver.url, "ci", "team", False, False, True, True,
    ]  # fmt: skip
    (span,) = receiver.finished()
    assert (span["agent_name"], span["session_id"]) == ("env-agent", "whole-run")
    assert not span.get("input")
    assert span["output"] == {"a": 1}


@pytest.mark.spec("3.guard")
def test_a_program_that_asks_guard_first() -> None:
    def call(tool: str, **mode: bool) -> str:
        result = st.guard(tool, {"amount": 1}, context={"user": "u"}, timeout=1.0, **mode)
        assert isinstance(result, st.GuardResult)
        if result.action == "block":
            raise st.GuardBlocked(tool, result, blocked_tools=[st.BlockedTool(tool, result)])
        return "called"

    assert call("refund") == "called"
    with pytest.raises(st.GuardBlocked) as caught:
        call("refund", fail_closed=True)
    assert caught.value.result.failure_mode is st.GuardFailureMode.FAIL_CLOSED
    assert caught.value.result.decision_available is False
    assert [blocked.tool_name for blocked in caught.value.blocked_tools] == ["refund"]


@pytest.mark.spec("1.record-exc", "3.agent-id")
def test_keywords_of_the_earlier_package(recorded: Recorded) -> None:
    with st.span("x") as s:
        s.record_exception(exception=ValueError("why"))
    assert recorded.spans[0].error_message == "why"
    assert st.generate_agent_id(agent_name="bot") == st.generate_agent_id("bot")


@pytest.mark.spec("3.names", "3.warn-once")
def test_the_modules_of_integrations_import(caplog: pytest.LogCaptureFixture) -> None:
    from staso.integrations.anthropic import patch_anthropic
    from staso.integrations.litellm import patch_litellm
    from staso.integrations.openai import patch_openai

    for patch in (patch_anthropic, patch_litellm, patch_openai):
        assert patch is getattr(st.integrations, patch.__name__)
        patch()
        patch()
    said = [record.getMessage() for record in caplog.records]
    assert len(set(said)) == len(said)


@pytest.mark.spec("1.fields", "1.forced-ok")
def test_an_error_message_of_a_span_that_stays_ok(recorded: Recorded) -> None:
    with st.span("assigned") as s:
        s.error_message = "tried twice"
    with st.span("forced") as s:
        s.error_message = "tried twice"
        s.set_status("ok")
    with st.span("described") as s:
        s.set_status("ok", "tried twice")
    told = [(span.status, span.error_message, span.metadata) for span in recorded.spans]
    assert told[0] == ("ok", "tried twice", {})
    assert [one[:2] for one in told[1:]] == [("ok", None)] * 2
    assert told[2][2] == {"staso.status_description": "tried twice"}
