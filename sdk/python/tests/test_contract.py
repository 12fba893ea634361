"""The contract's plain sentences: signatures, names, settings, reports, what nobody notices."""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from receiver import Receiver

import staso as st
from staso import testing
from staso.testing import Recorded

Run = Callable[..., CompletedProcess[str]]

SIGNATURES = {
    "span": "(name, *, kind='chain')",
    "start_span": "(name, *, kind='chain')",
    "agent": "(_fn=None, name=None, *, tags=None, metadata=None, capture_input=True,"
    " capture_output=True)",
    "tool": "(_fn=None, name=None, *, tags=None, metadata=None, capture_input=True,"
    " capture_output=True)",
    "trace": "(_fn=None, name=None, *, kind='chain', tags=None, metadata=None, capture_input=True,"
    " capture_output=True)",
    "init": "(*, api_key=None, agent_name=None, agent_version=None, base_url=None, batch_size=100,"
    " flush_interval=0.5, max_queue_size=10000, enabled=True, debug=None, environment=None,"
    " workspace_slug=None, capture_messages=None, capture_request=None, capture_system_prompt=None,"
    " capture_tool_schema=None, capture_tool_arguments=None, capture_output=None, capture_git=True,"
    " journal=None, redact=None, sample_rate=1.0, max_value_bytes=1048576, max_span_bytes=16777216,"
    " propagate_threads=True)",
    "flush": "(timeout=5.0)",
    "aflush": "(timeout=5.0)",
    "shutdown": "(timeout=5.0)",
    "get_client": "()",
    "conversation": "(conversation_id=None, *, user_id=None)",
    "inject": "(headers, baggage=False)",
    "extract": "(headers)",
    "bind": "(fn)",
    "annotate": "(*, trace_id, name, value, data_type='numeric', span_id=None, comment=None)",
    "generate_agent_id": "(agent_name)",
}  # fmt: skip


@pytest.mark.spec("1.signature", "2.signature", "3.signature", "6.signature")
@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name: str) -> None:
    signature = inspect.signature(getattr(st, name))
    told = []
    for parameter in signature.parameters.values():
        default = parameter.default
        if isinstance(default, st.SpanKind):
            default = str(default)
        told.append(parameter.replace(annotation=parameter.empty, default=default))
    assert str(inspect.Signature(told)) == SIGNATURES[name]


EXPORTED = """
init shutdown flush agent tool trace span conversation integrations Client Config CapturePolicy Span
SpanKind SpanStatus get_client guard GuardResult GuardFailureKind GuardFailureMode GuardBlocked
BlockedTool DeliveryFailureKind DeliveryReport EnqueueResult generate_agent_id __version__ annotate
current_span start_span aflush bind inject extract testing
"""


@pytest.mark.spec("3.names", "3.failure-kinds")
def test_every_name_of_the_contract_is_exported() -> None:
    for name in EXPORTED.split():
        assert name in st.__all__
        assert name in dir(st)
        assert getattr(st, name) is not None
    assert isinstance(st.SpanKind.LLM, str)
    assert {str(kind) for kind in st.SpanKind} == {
        "llm", "tool", "chain", "retriever", "agent", "custom",
    }  # fmt: skip
    kinds = "disabled shutdown queue_full invalid_key plan_expired forbidden rate_limited"
    kinds += " malformed_response backend_unavailable network_unavailable timeout"
    assert [str(kind) for kind in st.DeliveryFailureKind] == kinds.split()


@pytest.mark.spec("3.agent-id")
def test_the_id_of_an_agent() -> None:
    namespace = uuid.UUID("a1b2c3d4-e5f6-7890-abcd-ef1234567890")
    for name in ("support", "größe", ""):
        assert st.generate_agent_id(name) == str(uuid.uuid5(namespace, name))


@pytest.mark.spec("3.report", "1.end", "3.report-ok", "3.config")
def test_reports_and_settings_are_frozen_values() -> None:
    names = "accepted delivered failed pending rejected timed_out last_failure retryable"
    names += " last_rejection rejection_retryable journalled"
    report = st.DeliveryReport(accepted=2, delivered=2, failed=0, pending=0)
    assert [f.name for f in dataclasses.fields(report) if f.repr] == names.split()
    assert report.ok
    assert bool(report)
    for change in ({"failed": 1}, {"pending": 1}, {"rejected": 1}, {"timed_out": True}):
        assert not dataclasses.replace(report, **change)
    assert dataclasses.replace(report, journalled=1).ok
    assert not dataclasses.replace(report, journalled=1, _is_local=False).ok
    assert st.EnqueueResult(True) == st.EnqueueResult(True, None, False)
    config = st.init(journal=False).config
    for frozen, name in ((report, "ok"), (st.EnqueueResult(True), "accepted"), (config, "debug"),
                         (config.capture_policy, "output")):  # fmt: skip
        with pytest.raises(AttributeError):
            setattr(frozen, name, False)
    categories = [field.name for field in dataclasses.fields(st.CapturePolicy)]
    assert categories == ["request", "system_prompt", "tool_schema", "tool_arguments", "output"]
    assert all(st.CapturePolicy().allows(category) for category in categories)
    with pytest.raises(ValueError, match="category"):
        st.CapturePolicy().allows("input")


@pytest.mark.spec("3.client")
def test_a_client_has_what_programs_use() -> None:
    client = st.init(journal=False)
    assert st.get_client() is client
    assert client.previous_shutdown_report is None
    with client.provider.span("x", kind="tool") as s:
        assert s.kind is st.SpanKind.TOOL
    assert client.stats()["accepted"] == 1
    assert client.flush(0.1).accepted == 1
    assert isinstance(client.shutdown(0.1), st.DeliveryReport)


SETTINGS = {
    "API_KEY": ("api_key", "ak_x", "ak_x"),
    "AGENT_NAME": ("agent_name", "a", "a"),
    "AGENT_VERSION": ("agent_version", "2", "2"),
    "BASE_URL": ("base_url", "http://127.0.0.1:9", "http://127.0.0.1:9"),
    "BATCH_SIZE": ("batch_size", "500", 500),
    "FLUSH_INTERVAL": ("flush_interval", "0.25", 0.25),
    "MAX_QUEUE_SIZE": ("max_queue_size", "7", 7),
    "ENABLED": ("enabled", "no", False),
    "DEBUG": ("debug", "yes", True),
    "ENVIRONMENT": ("environment", "e", "e"),
    "WORKSPACE_SLUG": ("workspace_slug", "w", "w"),
    "SESSION_ID": ("session_id", "s", "s"),
    "CAPTURE_GIT": ("capture_git", "off", False),
    "JOURNAL": ("journal", "0", False),
    "SAMPLE_RATE": ("sample_rate", "0.5", 0.5),
    "MAX_VALUE_BYTES": ("max_value_bytes", "1000", 1000),
    "MAX_SPAN_BYTES": ("max_span_bytes", "20000", 20000),
    "PROPAGATE_THREADS": ("propagate_threads", "False", False),
}


@pytest.mark.spec("3.environment")
@pytest.mark.parametrize("variable", SETTINGS)
def test_each_setting_has_its_variable(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, text, value = SETTINGS[variable]
    before = getattr(st.init().config, name)
    assert before != value
    monkeypatch.setenv(f"STASO_{variable}", text)
    assert getattr(st.init().config, name) == value
    st.shutdown(0)


@pytest.mark.spec("3.environment", "3.init")
@pytest.mark.parametrize("name", ["ENABLED", "DEBUG", "BATCH_SIZE", "SAMPLE_RATE", "CAPTURE_GIT"])
def test_a_variable_that_cannot_be_meant_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"STASO_{name}", "perhaps")
    with pytest.raises(ValueError, match=f"STASO_{name}"):
        st.init()


@pytest.mark.spec("3.local-mode", "3.agent-name")
def test_nothing_leaves_the_machine_unless_a_url_says_so(run_program: Run) -> None:
    done = run_program(
        "import staso as st\nconfig = st.init(api_key='ak_x').config\n"
        "assert config.base_url is None, config\nassert config.agent_name == 'program'\n"
        "assert 'ak_x' not in repr(config)"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.spec("3.remote-mode", "3.remote-http", "3.remote-url")
def test_remote_mode_wants_a_real_key_and_a_safe_url(monkeypatch: pytest.MonkeyPatch) -> None:
    placeholders = "change-me changeme your-api-key your_api_key replace-me placeholder"
    for key in placeholders.split():
        with pytest.raises(ValueError, match="api_key"):
            st.init(base_url="https://staso.example", api_key=key)
    for url in ("https://staso.example/#x", "ftp://staso.example", "staso.example", "https://"):
        with pytest.raises(ValueError, match="base_url"):
            st.init(base_url=url, api_key="ak_x")
    with pytest.raises(ValueError, match="http"):
        st.init(base_url="http://staso.example", api_key="ak_x")
    monkeypatch.setenv("STASO_ALLOW_HTTP", "1")
    client = st.init(base_url="http://staso.invalid", api_key="ak_x", journal=False)
    assert client.config.base_url == "http://staso.invalid"
    st.shutdown(0)


@pytest.mark.spec("3.sampling", "3.sample-rate")
def test_kept_spans_carry_the_rate_and_their_trace_decides(receiver: Receiver) -> None:
    receiver.capabilities = "values"
    client = st.init(base_url=receiver.url, sample_rate=0.25)
    kept = {}
    for _ in range(400):
        s = st.start_span("x")
        accepted = client.stats()["accepted"]
        assert s.end().accepted
        kept[s.trace_id_hex] = client.stats()["accepted"] > accepted
    # By the trace's id alone (W3C: its last 7 bytes), so that every process decides the same.
    threshold = (1 - 0.25) * 2**56
    assert kept == {trace: int(trace[-14:], 16) >= threshold for trace in kept}
    assert st.flush(10).ok
    assert len(receiver.finished()) == sum(kept.values())
    while len(receiver.finished()) == sum(kept.values()):
        st.start_span("one more").end()
        assert st.flush(10).ok
    assert receiver.finished()[-1]["sample_rate"] == 0.25


@pytest.mark.spec("3.exit", "5.hot-path")
def test_the_programs_signals_and_threads_stay_as_they_are() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    threads = set(threading.enumerate())
    hooks = (sys.excepthook, sys.unraisablehook, threading.excepthook)
    st.init()
    with st.span("x"):
        pass
    st.flush(1)
    assert {number: signal.getsignal(number) for number in before} == before
    assert set(threading.enumerate()) <= threads, "those of other tests may have ended meanwhile"
    assert hooks == (sys.excepthook, sys.unraisablehook, threading.excepthook)


@pytest.mark.spec("5.journal")
def test_the_key_is_not_in_the_journal(receiver: Receiver, tmp_path: Path) -> None:
    receiver.refuse = [503] * 1000
    st.init(base_url=receiver.url, api_key="ak_the_key_itself", workspace_slug="the-workspace")
    with st.span("x"):
        pass
    st.flush(0)
    files = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    told = b"".join(path.read_bytes() for path in files)
    assert b"the-workspace" in told
    assert b"ak_the_key_itself" not in told
    directories = {path.parent for path in files}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    assert all(path.stat().st_mode & 0o777 == 0o700 for path in directories)


@pytest.mark.spec("5.journal", "5.journal-memory")
def test_without_a_place_for_the_journal_memory_does(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    occupied = tmp_path / "a file"
    occupied.write_text("")
    monkeypatch.setenv("STASO_HOME", str(occupied / "home"))
    with caplog.at_level(logging.WARNING, logger="staso"):
        client = st.init(base_url=receiver.url)
        for _ in range(3):
            with st.span("x"):
                pass
        assert client.flush(10).ok
    assert len(receiver.finished()) == 3
    assert sum("memory only" in record.message for record in caplog.records) == 1


@pytest.mark.spec("5.open-spans")
def test_short_spans_cost_one_record(receiver: Receiver) -> None:
    client = st.init(base_url=receiver.url, flush_interval=30)
    for _ in range(50):
        with st.span("x"):
            pass
    assert client.flush(10).ok
    stats = client.stats()
    assert (stats["announced"], stats["accepted"], stats["delivered"]) == (0, 50, 50)
    assert len(receiver.spans) == 50


@pytest.mark.spec("5.capabilities")
def test_our_additions_wait_for_a_server_that_knows_them(receiver: Receiver) -> None:
    def send() -> dict[str, Any]:
        with st.span("x") as s:
            s.input = {"a": 1}
            s.annotate("score", value=1)
            s.record_exception(ValueError("v"))
        assert st.flush(10).ok
        return [span for b in receiver.batches for t in b.get("traces", []) for span in t["spans"]][
            -1
        ]

    st.init(base_url=receiver.url)
    older = send()
    assert json.loads(older["input"]) == {"a": 1}
    assert isinstance(older["attributes"], str)
    assert "events" not in older
    receiver.capabilities = "values ns-times events annotations"
    send()
    newer = send()
    assert newer["input"] == {"a": 1}
    assert newer["events"][0]["attributes"]["exception.message"] == "v"
    assert isinstance(newer["start_ns"], int)


@pytest.mark.spec("1.ids", "6.annotate", "1.ids-forms")
def test_ids_are_read_in_every_form(recorded: Recorded) -> None:
    with st.span("x") as s:
        pass
    traces = (s.trace_id, s.trace_id_hex, s.trace_id.upper(), uuid.UUID(s.trace_id))
    spans = (s.span_id, s.span_id_hex, s.span_id.replace("-", ""), uuid.UUID(s.span_id))
    for trace, span in zip(traces, spans, strict=True):
        st.annotate(trace_id=trace, span_id=span, name="n", value=1)  # type: ignore[arg-type]
    told = {(a["trace_id"], a["span_id"]) for a in recorded.annotations}
    assert told == {(s.trace_id, s.span_id)}
    assert len(recorded.annotations) == 4
    for bad in ("", "x", "1" * 31, "g" * 32):
        with pytest.raises(ValueError, match="trace_id"):
            st.annotate(trace_id=bad, name="n", value=1)


@pytest.mark.spec("1.fields", "1.read-only")
@pytest.mark.parametrize("name", ["trace_id", "span_id", "parent_span_id"])
def test_ids_cannot_be_assigned(recorded: Recorded, name: str) -> None:
    with st.span("x") as s, pytest.raises(AttributeError):
        setattr(s, name, "1" * 32)


@pytest.mark.spec("2.generators", "2.stream-facts")
def test_a_stream_never_begun_is_no_span_and_a_long_one_is_bounded(recorded: Recorded) -> None:
    @st.trace
    def stream(pieces: int, piece: str) -> Iterator[str]:
        for _ in range(pieces):
            yield piece

    stream(3, "never begun")
    assert recorded.spans == []
    assert sum(len(piece) for piece in stream(300, "x" * 10_000)) == 3_000_000
    (span,) = recorded.spans
    assert span.metadata["staso.stream.items"] == 300
    assert 900_000 < len(span.output["result"]) <= 1_100_000


@pytest.mark.spec("7.categories", "7.names")
def test_the_operational_keys_stay(receiver: Receiver) -> None:
    kept = "exception.type code.x tool_name provider response_id stop_reason input_tokens"
    kept += " cache_read_token_count service_tier time_to_first_token vcs.x guard_x staso.x codex.x"
    st.init(base_url=receiver.url, capture_request=False, capture_git=False)
    with st.span("x") as s:
        s.metadata.update(dict.fromkeys([*kept.split(), "private", "codec.x", "guardian"], 1))
    assert st.flush(10).ok
    (span,) = receiver.finished()
    assert set(span["attributes"]) == set(kept.split())


@pytest.mark.spec("8.capture", "8.deterministic")
def test_capture_repeats_itself_on_request_and_touches_nothing(tmp_path: Path) -> None:
    def run() -> list[dict[str, Any]]:
        with testing.capture(deterministic=True) as recorded, st.span("a"), st.span("b") as s:
            s.metadata["x"] = 1
            s.annotate("score", value=1)
        return [dataclasses.asdict(span) for span in recorded.spans]

    first = run()
    assert first == run()
    assert [span["name"] for span in first] == ["b", "a"]
    assert first[0]["start_ns"] < first[0]["end_ns"] < first[1]["end_ns"]
    assert not (tmp_path / "home").exists()
    client = st.init(journal=False)
    run()
    with st.span("recorded by the client again"):
        pass
    assert client.stats()["accepted"] == 1
    assert os.environ["STASO_HOME"] == str(tmp_path / "home")
