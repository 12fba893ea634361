"""Sentences of the contract that no other file holds: pauses, the order of things, the wheel."""

from __future__ import annotations

import inspect
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from receiver import Receiver

import staso as st
from staso.testing import Recorded

Run = Callable[..., CompletedProcess[str]]


def _until(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


@pytest.mark.spec("1.recorded-held", "1.record-exc")
def test_a_recorded_exception_is_not_taken_for_a_later_one(recorded: Recorded) -> None:
    # A freed exception's place is taken by the next one of its type.
    for _ in range(50):
        with pytest.raises(ValueError, match="second"), st.span("x") as s:
            s.record_exception(ValueError("first"))
            raise ValueError("second")
    for span in recorded.spans:
        told = [event["attributes"]["exception.message"] for event in span.events]
        assert told == ["first", "second"]


@pytest.mark.spec("2.once")
def test_the_signature_is_inspected_once(recorded: Recorded) -> None:
    asked = []

    class Counted:
        @property
        def __signature__(self) -> inspect.Signature:
            asked.append(1)
            return inspect.signature(lambda x, y=2: None)

        def __call__(self, x: int, y: int = 2) -> int:
            return x + y

    call = st.tool(Counted(), name="counted")
    at_decoration = len(asked)
    assert at_decoration >= 1
    assert [call(1), call(1, y=3)] == [3, 4]
    assert len(asked) == at_decoration
    assert [span.input for span in recorded.spans] == [{"x": 1, "y": 2}, {"x": 1, "y": 3}]


@pytest.mark.spec("3.git-late")
@pytest.mark.skipif(os.name != "posix", reason="a shell script stands for git")
def test_a_git_that_hangs_delays_nothing(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.startswith(("STASO_VCS", "GITHUB", "CI", "GITLAB")):
            monkeypatch.delenv(name)
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    said = tmp_path / "said"
    git.write_text(f"#!/bin/sh\necho $$ > {said}.new; mv {said}.new {said}; exec sleep 600\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{git.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    st.init(base_url=receiver.url)
    _until("git to be asked", said.exists)
    pid = int(said.read_text())
    try:
        with st.span("x"):
            pass
        # It still hangs: neither `init` nor the span has waited for it.
        os.kill(pid, 0)
    finally:
        os.kill(pid, signal.SIGKILL)
    assert st.flush(10).ok
    (span,) = receiver.finished()
    assert "vcs.commit.sha" not in (span["attributes"] or {})


@pytest.mark.spec("3.warn-once", "3.guard", "3.names")
def test_what_does_nothing_yet_says_so_once(run_program: Run) -> None:
    done = run_program(
        "import staso as st\n"
        "for _ in range(3):\n"
        "    assert not st.guard('t', {}).decision_available\n"
        "    st.integrations.patch_openai()\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("guard() evaluates no rules yet") == 1
    assert done.stderr.count("does not patch openai yet") == 1
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.spec("5.one-bad-span")
def test_one_bad_span_harms_no_other_of_its_batch(receiver: Receiver) -> None:
    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError

    st.init(base_url=receiver.url, flush_interval=60)
    for name in ("first", "bad", "last"):
        with st.span(name) as s:
            s.input = {"a": 1}
            if name == "bad":
                s.output = s.metadata["bad"] = [Bad(), "\ud800", float("nan")]
                s.input_tokens = Bad()  # type: ignore[assignment]
    assert st.flush(10).ok
    assert len(receiver.batches) == 1
    assert [(span["name"], span["input"]) for span in receiver.finished()] == [
        ("first", {"a": 1}), ("bad", {"a": 1}), ("last", {"a": 1}),
    ]  # fmt: skip


@pytest.mark.spec("5.logged-once")
def test_what_goes_wrong_again_is_logged_once(run_program: Run) -> None:
    done = run_program(
        """
import logging, staso as st
logging.basicConfig(format="%(name)s %(message)s")
st.init(journal=False)
for _ in range(3):
    with st.span("x") as s:
        s.annotate("score", value=float("nan"))
assert st.get_client().stats()["annotations_left_out"] == 3
"""
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["staso"]


PAUSES = {401: "invalid_key", 402: "plan_expired", 403: "forbidden"}


@pytest.mark.spec("5.paused", "5.logged-once", "3.failure-kinds", "3.report-levels")
@pytest.mark.parametrize("status", PAUSES)
def test_a_refused_key_pauses_and_loses_nothing(
    receiver: Receiver, run_program: Run, status: int
) -> None:
    receiver.refuse = [status] * 1000
    done = run_program(
        f"""
import os, staso as st
client = st.init(base_url={receiver.url!r}, api_key="ak_1", flush_interval=0.01)
failures, counts = [], []
for _ in range(4):
    with st.span("x"):
        pass
    report = st.flush(0.2)
    assert not report, report
    failures.append(report.last_failure)
    counts.append(client.stats()["requests"])
assert report.journalled == 4, report
assert failures[0] == {PAUSES[status]!r}, failures
assert len(set(counts)) == 1, counts
os._exit(0)
"""
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert len(receiver.refuse) == 999
    receiver.refuse.clear()
    st.init(base_url=receiver.url, api_key="ak_1", flush_interval=0.01)
    with st.span("of the next process"):
        pass
    receiver.wait_for(5)


@pytest.mark.spec("5.journal-fingerprint")
def test_only_the_same_key_takes_a_segment_over(receiver: Receiver, run_program: Run) -> None:
    receiver.refuse = [503] * 1000
    done = run_program(
        f"import os, staso as st\nst.init(base_url={receiver.url!r}, api_key='ak_one')\n"
        "with st.span('one'): pass\nos._exit(0)"
    )
    assert done.returncode == 0, done.stderr
    receiver.refuse.clear()
    deliver = (
        f"import os, staso as st\nst.init(base_url={receiver.url!r}, api_key=os.environ['KEY'])\n"
        "with st.span('other'): pass\nassert st.flush(20).ok\nassert st.shutdown(20).ok"
    )
    for count in (1, 2, 3):
        assert run_program(deliver, KEY="ak_two").returncode == 0
        assert [span["name"] for span in receiver.finished()] == ["other"] * count
    st.init(base_url=receiver.url, api_key="ak_one", flush_interval=0.01)
    with st.span("again"):
        pass
    assert {span["name"] for span in receiver.wait_for(5)} == {"one", "other", "again"}


@pytest.mark.spec("3.other-user", "3.server-json")
@pytest.mark.parametrize("flaw", ["none", "dead", "of another user"])
def test_only_the_users_own_living_server_counts(
    receiver: Receiver, tmp_path: Path, flaw: str
) -> None:
    receiver.capabilities = "values"
    announcement = tmp_path / "home" / "server.json"
    announcement.parent.mkdir(mode=0o700)
    told = {"url": receiver.url, "pid": os.getpid(), "token": "t", "started_ns": 1}
    if flaw == "dead":
        told["pid"] = (ended := subprocess.Popen(["true"])).pid
        ended.wait()
    announcement.write_text(json.dumps({**told, "capabilities": ["values"]}))
    if flaw == "of another user":
        try:
            os.chown(announcement, os.getuid() + 4321, -1)
        except OSError as error:
            pytest.skip(f"a file cannot be given away here: {error}")
    st.init(flush_interval=0.01)
    with st.span("x"):
        pass
    report = st.flush(10)
    assert report.ok
    assert (report.delivered, report.journalled) == ((1, 0) if flaw == "none" else (0, 1))
    assert len(receiver.finished()) == report.delivered


@pytest.mark.spec("5.journal-stats")
def test_the_statistics_say_whether_segments_are_mapped() -> None:
    stats = st.init().stats()
    assert stats["journal_usable"] == 1
    assert stats["journal_mapped"] in (0, 1)
    assert "journal_mapped" not in st.init(journal=False).stats()


@pytest.mark.spec("5.open-head", "5.open-spans")
def test_an_announcement_tells_the_input_of_a_decorated_function(receiver: Receiver) -> None:
    @st.tool
    def look_up(order: dict[str, int]) -> None:
        order["id"] = 8
        _until("the announcement", lambda: receiver.spans)

    st.init(base_url=receiver.url, flush_interval=0.02)
    look_up({"id": 7})
    assert receiver.spans[0]["input"] == {"order": {"id": 7}}
    assert st.flush(10).ok


@pytest.mark.spec("6.caller", "5.hot-path")
def test_no_call_of_the_program_waits_for_the_server(receiver: Receiver) -> None:
    released = threading.Event()
    take = receiver.take

    def wait_and_take(*request: Any) -> Any:
        released.wait(60)
        return take(*request)

    receiver.take = wait_and_take  # type: ignore[method-assign]
    client = st.init(base_url=receiver.url, batch_size=1, flush_interval=0.01)
    for _ in range(20):
        with st.span("x") as s:
            s.annotate("score", value=1)
        st.annotate(trace_id=s.trace_id, name="later", value=2)
    # Had one of them waited, the server would have taken something by now.
    assert receiver.batches == []
    released.set()
    assert client.flush(30).ok
    assert len([batch for batch in receiver.batches if "annotation" in batch]) == 40


@pytest.mark.spec("6.order", "5.retries")
def test_an_annotation_follows_its_span_and_is_retried(receiver: Receiver) -> None:
    st.init(base_url=receiver.url, flush_interval=0.01)
    with st.span("x") as s:
        s.annotate("score", value=1)
    _until("the annotation", lambda: any("annotation" in batch for batch in receiver.batches))
    assert ["annotation" in batch for batch in receiver.batches] == [False, True]
    receiver.refuse = [503]
    st.annotate(trace_id=s.trace_id, name="later", value=2)
    _until("it again", lambda: len(receiver.batches) == 3)
    assert receiver.refuse == []
    assert receiver.batches[2]["annotation"]["name"] == "later"


@pytest.mark.spec("7.before-cutting")
def test_a_secret_is_hidden_wherever_the_cut_would_fall(receiver: Receiver) -> None:
    secret = "QXJZ-WVUK-QXJZ-WVUK"
    st.init(base_url=receiver.url, redact=[re.compile(secret)], max_value_bytes=256)
    with st.span("x") as s:
        s.output = ["." * place + secret + "." * (2_000 - place) for place in range(2_000)]
    assert st.flush(10).ok
    (span,) = receiver.finished()
    assert len(span["output"]) == 2_000
    assert all("bytes cut" in text for text in span["output"])
    assert not any(letter in text for text in span["output"] for letter in "QXJZWVUK")


@pytest.mark.spec("7.booleans", "3.environment")
def test_booleans_of_the_environment_are_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"1 true yes on TRUE On": True, "0 false no off FALSE Off": False}
    for spellings, meant in words.items():
        for word in spellings.split():
            monkeypatch.setenv("STASO_CAPTURE_OUTPUT", word)
            config = st.init(journal=False).config
            assert config.capture_policy.allows("output") is meant
    for word in ("2", "t", "y", "none", "enabled", "01"):
        monkeypatch.setenv("STASO_CAPTURE_OUTPUT", word)
        with pytest.raises(ValueError, match="STASO_CAPTURE_OUTPUT"):
            st.init()


def _first_lines(listener: socket.socket, heard: list[str]) -> None:
    """Write down the first line of every connection, and hang up."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as lines:
            heard.append(lines.readline().decode(errors="replace"))


@pytest.mark.spec("5.proxies")
def test_the_proxy_of_the_environment_is_asked(run_program: Run) -> None:
    heard: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_first_lines, args=(listener, heard), daemon=True).start()
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
        done = run_program(
            "import staso as st\n"
            "client = st.init(base_url='https://staso.invalid', api_key='ak_1')\n"
            "with st.span('x'): pass\n"
            "while not client.stats()['failed_requests']: st.flush(0.05)\n"
            "st.shutdown(0)\n",
            HTTPS_PROXY=proxy,
            NO_PROXY="",
        )
        listener.shutdown(socket.SHUT_RDWR)
    assert done.returncode == 0, done.stderr
    assert heard[0].startswith("CONNECT staso.invalid:443 ")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a key and a certificate that nobody has signed."""
    path = tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    command += " -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    command += " -addext basicConstraints=critical,CA:FALSE"
    command += f" -keyout {tmp_path / 'key.pem'} -out {path}"
    try:
        subprocess.run(command.split(), check=True, capture_output=True)
    except OSError as error:
        pytest.skip(f"no openssl to make a certificate: {error}")
    path.write_text(path.read_text() + (tmp_path / "key.pem").read_text())
    return path


@pytest.mark.spec("5.certificates")
@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_certificate_of_the_environment_is_trusted(
    certificate: Path, run_program: Run, is_trusted: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    receiver = Receiver()
    receiver.serve_tls(context)
    with receiver:
        done = run_program(
            "import os, staso as st\n"
            "client = st.init(base_url=os.environ['URL'], journal=False)\n"
            "with st.span('x'): pass\n"
            "while not client.stats()['failed_requests'] + client.stats()['delivered']:\n"
            "    st.flush(0.05)\n"
            "print(client.stats()['delivered'])\n"
            "st.shutdown(0)\n",
            URL=receiver.url.replace("http:", "https:"),
            **({"SSL_CERT_FILE": str(certificate)} if is_trusted else {}),
        )
    assert (done.returncode, done.stdout) == (0, f"{int(is_trusted)}\n"), done.stderr
