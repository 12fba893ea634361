"""The client: settings, delivery to a real HTTP server, reports, and what survives."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from receiver import Receiver

import staso as st

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.spec("3.report", "3.git", "6.annotate")
def test_spans_arrive_whole(receiver: Receiver) -> None:
    client = st.init(base_url=receiver.url, agent_name="bot", agent_version="3", environment="test")
    with st.span("outer", kind="agent") as outer:
        outer.input = {"q": "größe"}
        with st.span("inner") as inner:
            inner.output = [1, {"a": None}]
            inner.annotate("score", value=1)
    report = client.flush(10)
    assert report.ok, report
    assert (report.accepted, report.delivered, report.pending) == (3, 3, 0)
    spans = {span["name"]: span for span in receiver.finished()}
    assert spans["outer"]["input"] == {"q": "größe"}
    assert spans["inner"]["output"] == [1, {"a": None}]
    assert spans["inner"]["parent_span_id"] == outer.span_id
    assert spans["outer"]["attributes"]["vcs.commit.sha"] == "0" * 40
    assert "vcs.commit.sha" not in (spans["inner"].get("attributes") or {})
    told = json.dumps(receiver.batches)
    assert '"bot"' in told
    assert st.generate_agent_id("bot") in told
    assert "score" in told
    assert all(receiver.keys)


@pytest.mark.spec("3.report")
def test_reports_count_since_the_last_one(receiver: Receiver) -> None:
    st.init(base_url=receiver.url)
    for expected in (3, 0, 2):
        for _ in range(expected):
            with st.span("x"):
                pass
        report = st.flush(10)
        assert (report.accepted, bool(report)) == (expected, True)
    assert asyncio.run(st.aflush(10)).ok
    assert st.shutdown(10).ok
    assert st.get_client() is None


@pytest.mark.spec("3.init")
def test_init_twice_drains_the_old_client(receiver: Receiver) -> None:
    st.init(base_url=receiver.url)
    with st.span("old"):
        pass
    second = st.init(base_url=receiver.url)
    assert second.previous_shutdown_report is not None
    assert second.previous_shutdown_report.accepted == 1
    receiver.wait_for(1)


@pytest.mark.spec("5.retries")
def test_a_failing_server_is_retried(receiver: Receiver) -> None:
    receiver.refuse = [503, 500]
    st.init(base_url=receiver.url, flush_interval=0.02)
    with st.span("x"):
        pass
    receiver.wait_for(1)
    assert st.flush(10).pending == 0


@pytest.mark.spec("3.local-mode", "3.local-flush", "3.report-levels", "5.journal")
def test_local_mode_needs_nothing_and_answers_at_once(tmp_path: Path) -> None:
    client = st.init()
    assert client.config.base_url is None
    assert client.config.agent_name
    with st.span("x") as s:
        s.metadata["a"] = 1
    report = st.flush(10)
    assert report.ok
    assert (report.journalled, report.pending) == (1, 0)
    files = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert any(b'"x"' in path.read_bytes() for path in files)
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


@pytest.mark.spec("3.enabled", "3.report-disabled")
def test_disabled_writes_and_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STASO_ENABLED", "off")
    client = st.init()
    with st.span("x") as s:
        s.annotate("a", value=1)
        st.annotate(trace_id="1" * 32, name="a", value=1)
    assert s.end() == st.EnqueueResult(False, st.DeliveryFailureKind.DISABLED)
    report = client.flush()
    assert (report.ok, report.accepted) == (True, 0)
    assert report.last_failure is st.DeliveryFailureKind.DISABLED
    assert not (tmp_path / "home").exists()


@pytest.mark.spec("3.no-op", "6.before-init")
def test_before_init_everything_is_a_no_op(run_program: Run) -> None:
    done = run_program(
        """
import staso as st
with st.conversation("c"), st.span("x", kind="tool") as s:
    s.metadata["a"] = 1
    assert s.metadata == {"a": 1}
    s.input = s.output = 2
    s.record_exception(ValueError())
    s.set_status("error", "no")
    s.annotate("a", value=1)
    s.annotate("a", value=1)
    assert st.current_span() is None
st.annotate(trace_id=s.trace_id, span_id=s.span_id, name="q", value=1)
assert st.tool(lambda x: x)(3) == 3
assert st.flush().ok and st.shutdown().ok and st.get_client() is None
st.inject({})
"""
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("annotations are not recorded before") == 1


@pytest.mark.spec(
    "3.init", "3.remote-mode", "3.remote-http", "3.remote-url", "3.bounds", "5.misuse"
)
@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"base_url": "https://staso.example"}, "api_key"),
        ({"base_url": "https://staso.example", "api_key": "changeme"}, "api_key"),
        ({"base_url": "http://staso.example", "api_key": "ak_1"}, "http"),
        ({"base_url": "https://u:p@staso.example", "api_key": "ak_1"}, "base_url"),
        ({"base_url": "https://staso.example/?q=1", "api_key": "ak_1"}, "base_url"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 501}, "batch_size"),
        ({"flush_interval": 0}, "flush_interval"),
        ({"max_queue_size": 0}, "max_queue_size"),
        ({"sample_rate": 2.0}, "sample_rate"),
        ({"batch_size": "many"}, "batch_size"),
        ({"redact": ["nothing"]}, "redact"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        st.init(**settings)
    assert st.get_client() is None


@pytest.mark.spec("3.environment", "7.booleans", "7.precedence")
def test_settings_fall_back_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STASO_AGENT_NAME", "from-env")
    monkeypatch.setenv("STASO_BATCH_SIZE", "7")
    monkeypatch.setenv("STASO_CAPTURE_MESSAGES", "no")
    config = st.init(environment="test").config
    assert (config.agent_name, config.batch_size, config.environment) == ("from-env", 7, "test")
    assert not config.capture_policy.allows("request")
    assert config.capture_policy.allows("output")
    assert st.init(batch_size=100, capture_request=True).config.batch_size == 100
    monkeypatch.setenv("STASO_CAPTURE_OUTPUT", "maybe")
    with pytest.raises(ValueError, match="STASO_CAPTURE_OUTPUT"):
        st.init()


@pytest.mark.spec("3.sampling")
def test_sampling_keeps_whole_traces(receiver: Receiver) -> None:
    st.init(base_url=receiver.url, sample_rate=0.5)
    for _ in range(200):
        with st.span("root"), st.span("child"):
            pass
    assert st.flush(10).ok
    spans = receiver.finished()
    assert 100 < len(spans) < 300
    names = [span["name"] for span in spans]
    assert names.count("root") == names.count("child")


@pytest.mark.spec("5.open-spans")
def test_a_long_span_is_announced_while_it_runs(receiver: Receiver) -> None:
    st.init(base_url=receiver.url, flush_interval=0.02)
    with st.span("long", kind="agent") as s:
        deadline = time.monotonic() + 30
        while not receiver.spans:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        announced = receiver.spans[0]
        assert (announced["span_id"], announced["name"]) == (s.span_id, "long")
        assert receiver.finished() == []
    receiver.wait_for(1)


@pytest.mark.spec("3.no-op", "1.end")
def test_a_retired_client_refuses_what_ends_late(receiver: Receiver) -> None:
    st.init(base_url=receiver.url)
    s = st.start_span("late")
    st.shutdown(10)
    assert s.end() == st.EnqueueResult(False, st.DeliveryFailureKind.SHUTDOWN)


@pytest.mark.spec("3.init")
def test_a_span_open_across_init_is_recorded_by_the_new_client(receiver: Receiver) -> None:
    st.init(base_url=receiver.url)
    with st.span("outer"):
        st.init(base_url=receiver.url)
        with st.span("inner"):
            pass
    assert st.flush(10).ok
    names = {span["name"]: span for span in receiver.finished()}
    assert names["inner"]["parent_span_id"] == names["outer"]["span_id"]


@pytest.mark.spec("4.traceparent")
def test_traceparent_of_the_process_is_the_first_roots_parent(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", f"00-{'a' * 32}-{'b' * 16}-01")
    st.init(base_url=receiver.url)
    with st.span("first") as first, st.span("child"):
        assert first.trace_id_hex == "a" * 32
        assert str(first.parent_span_id).endswith("bbb")
    with st.span("second") as second:
        assert second.parent_span_id is None
        assert second.trace_id_hex != "a" * 32


def test_threads_record_together(receiver: Receiver) -> None:
    st.init(base_url=receiver.url)

    def work(n: int) -> None:
        for i in range(250):
            with st.span(f"{n}-{i}") as s:
                s.metadata["n"] = n

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert st.flush(30).ok
    assert len({span["span_id"] for span in receiver.finished()}) == 1000


KILLED = """
import os, signal, staso as st
st.init(base_url=os.environ["URL"], flush_interval=60)
for i in range(500):
    with st.span(f"span {i}") as s:
        s.metadata["i"] = i
{end}
"""


@pytest.mark.spec("5.journal-survives", "5.journal-later", "3.exit-rest")
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(3)", ""])
def test_what_ended_arrives_however_the_program_ends(
    receiver: Receiver, run_program: Run, end: str
) -> None:
    done = run_program(KILLED.replace("{end}", end), URL=receiver.url)
    assert done.returncode in (-signal.SIGKILL, 3, 0), done.stderr
    st.init(base_url=receiver.url, flush_interval=0.02)
    with st.span("of the next process"):
        pass
    spans = receiver.wait_for(501)
    names = [span["name"] for span in spans if span["name"] != "of the next process"]
    assert len(names) == 500
    assert set(names) == {f"span {i}" for i in range(500)}


FORKED = """
import os, staso as st
st.init(base_url=os.environ["URL"], flush_interval=60)
with st.span("before"):
    pass
parent = st.start_span("parent")
pid = os.fork()
if pid == 0:
    with st.span("child"):
        pass
    parent.end()
    assert st.flush(20).ok
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
parent.end()
assert st.flush(20).ok
"""


@pytest.mark.spec("4.fork", "4.fork-parent")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork(receiver: Receiver, run_program: Run) -> None:
    done = run_program(FORKED, URL=receiver.url)
    assert done.returncode == 0, done.stderr
    names = sorted(span["name"] for span in receiver.wait_for(3))
    assert names == ["before", "child", "parent"]
    spans = {span["name"]: span for span in receiver.finished()}
    assert spans["child"]["parent_span_id"] == spans["parent"]["span_id"]


def test_what_goes_wrong_is_said_on_the_logger(caplog: pytest.LogCaptureFixture) -> None:
    st.guard("tool", {}, fail_closed=True)
    st.guard("tool", {})
    st.integrations.patch_openai()
    st.integrations.patch_openai()
    with caplog.at_level(logging.WARNING, logger="staso"):
        st.init()
        with st.span("x") as s:
            s.annotate("a", value=float("nan"))
    assert len([record for record in caplog.records if "finite" in record.message]) <= 1


@pytest.mark.spec("3.guard")
def test_guard_answers_in_the_callers_failure_mode() -> None:
    open_result, closed = st.guard("t", {}), st.guard("t", {}, fail_closed=True)
    assert not open_result.decision_available
    assert (open_result.failure_mode, closed.failure_mode) == ("fail_open", "fail_closed")
    assert (open_result.action, closed.action) == ("allow", "block")
    assert isinstance(st.GuardBlocked("t", closed), Exception)


@pytest.mark.spec("3.names")
def test_every_exported_name_imports() -> None:
    for name in st.__all__:
        assert getattr(st, name) is not None
    assert st.generate_agent_id("bot") == "".join(st.generate_agent_id("bot"))
    from staso.annotation import AnnotationDataType, annotate

    assert annotate is st.annotate
    assert AnnotationDataType("numeric") is st.AnnotationDataType.NUMERIC
    with pytest.raises(AttributeError):
        st.nothing  # noqa: B018


def test_the_engine_is_heard_without_a_flush(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.refuse = [500] * 3
    st.init(base_url=receiver.url, flush_interval=0.02)
    deadline = time.monotonic() + 30
    while "not delivered" not in caplog.text:
        assert time.monotonic() < deadline
        with st.span("x"):
            time.sleep(0.01)
