"""A secret that is redacted reaches neither the journal nor the wire, by no path and in no part.

Each path records the secret in one place only. What is looked for is every ten characters of it,
plain or in base64, so that a piece left over by a cut counts too; and without the redaction it must
be there, or the path would prove nothing.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from canary import LIMIT, PATHS, SECRET, Announcements, holds, record_input, record_marker
from receiver import Receiver

import staso as st


def _journal(record: Callable[[], None], home: Path, **settings: Any) -> bytes:
    """What is in the files of the journal after ``record``, nobody having read them yet."""
    client = st.init(flush_interval=0.02, max_value_bytes=LIMIT, **settings)
    Announcements.has_come = staticmethod(lambda: client.stats()["announced"] > 0)
    record()
    assert st.flush(10).journalled > 0
    raw = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    st.shutdown(10)
    return raw


def _wire(record: Callable[[], None], receiver: Receiver, **settings: Any) -> bytes:
    """What an older server is sent, and then what one is sent that knows our additions."""
    receiver.capabilities = ""
    told = _sent(record, receiver, **settings)
    receiver.capabilities = "values ns-times events annotations processes"
    return told + _sent(record, receiver, **settings)


def _sent(record: Callable[[], None], receiver: Receiver, **settings: Any) -> bytes:
    """Each path, header and body that a server is sent."""
    received: list[bytes] = []
    take = receiver.take

    def listen(path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        received.extend([path.encode(), str(headers).encode(), body])
        return take(path, headers, body)

    receiver.take = listen  # type: ignore[method-assign]
    Announcements.has_come = staticmethod(
        lambda: any(b"provisional" in part for part in list(received))
    )
    st.init(base_url=receiver.url, flush_interval=0.02, max_value_bytes=LIMIT, **settings)
    if receiver.capabilities:
        # Seen with the answer to a first request.
        st.start_span("first").end()
        assert st.flush(10).ok
    record()
    assert st.shutdown(10).delivered > 0
    receiver.take = take  # type: ignore[method-assign]
    return b"\n".join(received)


@pytest.mark.spec("7.redact", "7.in-rust")
@pytest.mark.parametrize("rule", [re.compile(SECRET), "secret"], ids=["pattern", "built-in"])
@pytest.mark.parametrize(("path", "record"), [*PATHS.items(), ("marker", record_marker)])
def test_a_redacted_secret_reaches_nothing(
    path: str,
    record: Callable[[], None],
    rule: Any,
    receiver: Receiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "home"
    assert holds(_journal(record, home))
    assert holds(_wire(record, receiver))
    # Records of the first run are still in the journal: what follows has a directory of its own.
    monkeypatch.setenv("STASO_HOME", str(tmp_path / "another"))
    assert not holds(_journal(record, tmp_path / "another", redact=[rule]))
    assert not holds(_wire(record, receiver, redact=[rule]))


# No rule knows these by themselves: only the key above them says what they are.
_PLAIN, _NUMBER = "kanarienvogel, zwitschernd", 47_114_711
_UNDER_A_KEY: dict[str, Any] = {
    "text": _PLAIN,
    "number": _NUMBER,
    "float": _NUMBER + 0.5,
    "bytes": _PLAIN.encode(),
    "list": ["beside", _PLAIN, _NUMBER],
    "tuple": (_NUMBER,),
    "set": {_PLAIN},
    "dict": {"deep": [{"down": _PLAIN}]},
    "repr": type("Shown", (), {"__repr__": lambda self: _PLAIN})(),
    "decimal": Decimal(_NUMBER),
}


def _under_a_key(value: Any) -> None:
    @st.tool(metadata={"db.password": value})
    def work(api_key: Any, **more: Any) -> Any:
        return {"Authorization": value}

    work(value, old_token=value)
    record_input([{b"x-secret": value}])()


@pytest.mark.spec("7.redact", "7.in-rust")
@pytest.mark.parametrize("value", _UNDER_A_KEY.values(), ids=_UNDER_A_KEY)
def test_what_a_key_says_is_secret_reaches_nothing_whatever_it_is(
    value: Any, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def record() -> None:
        _under_a_key(value)

    parts = (_PLAIN.encode(), b"47114711", base64.b64encode(_PLAIN.encode()))
    told = _journal(record, tmp_path / "home"), _wire(record, receiver)
    assert all(any(part in raw for part in parts) for raw in told)
    monkeypatch.setenv("STASO_HOME", str(tmp_path / "another"))
    told = (
        _journal(record, tmp_path / "another", redact=["secret"]),
        _wire(record, receiver, redact=["secret"]),
    )
    assert not any(part in raw for part in parts for raw in told)
    assert all(b"[redacted secret]" in raw for raw in told)


@pytest.mark.spec("7.redact", "3.session")
@pytest.mark.parametrize("rule", [re.compile(SECRET), "secret"], ids=["pattern", "built-in"])
@pytest.mark.parametrize("variable", ["STASO_SESSION_ID", "STASO_AGENT_NAME", "STASO_VCS_BRANCH"])
def test_what_the_environment_says_is_redacted_too(
    variable: str, rule: Any, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, SECRET)
    assert holds(_wire(record_input(1), receiver))
    home = tmp_path / "home"
    assert not holds(_journal(record_input(1), home, redact=[rule]))
    assert not holds(_wire(record_input(1), receiver, redact=[rule]))


# What is content, and so goes with its category. Ids, fields and annotations are no content.
_CONTENT = [
    path for path in PATHS if not path.startswith(("field", "annotation", "conversation", "user"))
    and path not in ("baggage", "open span", "open agent", "agent's name", "decorator's name")
]  # fmt: skip
_ALL_OFF = dict.fromkeys(
    [
        f"capture_{c}"
        for c in ("request", "system_prompt", "tool_schema", "tool_arguments", "output")
    ],
    False,
)


@pytest.mark.spec("7.categories")
@pytest.mark.parametrize(
    "path",
    [
        *_CONTENT,
    ],
)
def test_with_every_category_off_no_content_reaches_anything(
    path: str, receiver: Receiver, tmp_path: Path
) -> None:
    assert not holds(_journal(PATHS[path], tmp_path / "home", **_ALL_OFF))
    assert not holds(_wire(PATHS[path], receiver, **_ALL_OFF))


@pytest.mark.spec("7.categories", "7.names")
def test_an_open_span_tells_no_content_that_is_off(receiver: Receiver, tmp_path: Path) -> None:
    def record() -> None:
        @st.trace(name=SECRET)
        def outer(a: str) -> None:
            with st.span("llm call", kind="llm"):
                Announcements.wait()

        outer(SECRET)

    assert holds(_journal(record, tmp_path / "home"))
    told = _wire(record, receiver, capture_request=False)
    assert b'"provisional":true' in told
    assert b"chain span" in told
    assert not holds(told)


@pytest.mark.spec("7.categories", "7.input", "7.errors", "7.told")
@pytest.mark.parametrize("category", ["request", "system_prompt", "tool_schema", "tool_arguments"])
def test_each_category_alone(category: str, receiver: Receiver) -> None:
    def record() -> None:
        for kind in ("llm", "tool", "chain", "agent", "retriever", "custom"):
            with contextlib.suppress(ValueError), st.span(f"a {kind}", kind=kind) as s:
                s.input, s.output = "went in", "came out"
                raise ValueError("went wrong")

    _sent(record, receiver, **{f"capture_{category}": False})
    spans = {span["kind"]: span for span in receiver.finished()}
    told = {kind for kind, span in spans.items() if span.get("input") == "went in"}
    others = {"chain", "agent", "retriever", "custom"}
    expected = {"request": {"tool"}, "tool_arguments": others}.get(category, {"tool", *others})
    assert told == expected
    assert all(span["output"] == "came out" for span in spans.values())
    assert "went wrong" not in json.dumps(receiver.batches)
    assert all(span["capture"][category] == "suppressed" for span in spans.values())


@pytest.mark.spec("7.categories", "3.environment", "7.precedence")
def test_the_argument_beats_the_category_beats_the_older_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def policy(**arguments: Any) -> tuple[bool, ...]:
        capture = st.init(journal=False, **arguments).config.capture_policy
        return (capture.request, capture.system_prompt, capture.tool_arguments)

    assert policy() == (True, True, True)
    assert policy(capture_messages=False) == (False, False, True)
    monkeypatch.setenv("STASO_CAPTURE_MESSAGES", "off")
    assert policy() == (False, False, True)
    monkeypatch.setenv("STASO_CAPTURE_REQUEST", "yes")
    assert policy() == (True, False, True)
    assert policy(capture_request=False) == (False, False, True)
    for word, meaning in {"1": True, "TRUE": True, "on": True, "0": False, "No": False}.items():
        monkeypatch.setenv("STASO_CAPTURE_TOOL_ARGUMENTS", word)
        assert policy()[2] is meaning


REDOS = """
import resource
resource.setrlimit(resource.RLIMIT_CPU, (15, 15))
import staso as st
from staso import testing
n = 300_000
with testing.capture(redact=["email", "card", "secret", "phone"]):
    for text in ("x", "eyJ", "a@", "a.", "a@b.", "1", "1 ", "+1-", "(1", "12 34 ", "bearer ", "sk-",
                 "eyJaaaaaaaa.", "eyJaaaaaaaa", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----",
                 "-----END ", "-----BEGIN A", "\u0661"):
        with st.span("x") as s:
            s.input = text * (n // len(text))
        with st.span("x") as s:
            s.input = "eyJ" * 100 + "." + text * (n // len(text))
"""


@pytest.mark.spec("5.bounded", "7.redact")
def test_the_rules_take_time_in_proportion_to_the_text(run_program: Callable[..., Any]) -> None:
    done = run_program(REDOS)
    assert done.returncode == 0, done.stderr
