"""Privacy: categories that are off and texts that are redacted reach neither journal nor wire."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from receiver import Receiver

import staso as st
from staso import testing

CANARY = "canary-7f3a"


def _everything(home: Path, receiver: Receiver) -> bytes:
    files = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    return files + json.dumps(receiver.batches).encode()


def _record_canary_everywhere() -> None:
    class Shown:
        def __repr__(self) -> str:
            return f"Shown({CANARY})"

    @st.tool(name="call", tags=[CANARY], metadata={CANARY: 1})
    def call(argument: str) -> str:
        return argument

    def fill() -> None:
        with (
            st.conversation(f"c {CANARY}", user_id=CANARY),
            st.span(f"name {CANARY}", kind="agent") as s,
        ):
            s.input = {"deep": [{CANARY: CANARY}, Shown()]}
            s.output = CANARY * 2
            s.metadata["k"] = (CANARY, {CANARY})
            s.model = s.agent_name = CANARY
            s.annotate(CANARY, value=CANARY, data_type="categorical", comment=CANARY)
            call(CANARY)
            raise ValueError(CANARY)

    with pytest.raises(ValueError, match=CANARY):
        fill()


@pytest.mark.spec("7.redact", "7.rules")
@pytest.mark.parametrize(
    "redact",
    [
        [re.compile(CANARY)],
        lambda path, value: value.replace(CANARY, "#") if isinstance(value, str) else value,
    ],
)
def test_a_redacted_text_reaches_nothing(receiver: Receiver, tmp_path: Path, redact: Any) -> None:
    st.init(base_url=receiver.url, redact=redact, flush_interval=0.02)
    _record_canary_everywhere()
    assert st.flush(10).ok
    told = _everything(tmp_path / "home", receiver)
    assert len(receiver.finished()) == 2
    assert CANARY.encode() not in told
    st.shutdown(10)
    st.init(base_url=receiver.url)
    _record_canary_everywhere()
    assert st.flush(10).ok
    assert CANARY.encode() in _everything(tmp_path / "home", receiver)


@pytest.mark.spec("7.fails-closed", "5.stats")
def test_redaction_fails_closed_and_is_counted(receiver: Receiver, tmp_path: Path) -> None:
    def broken(path: tuple[Any, ...], value: Any) -> Any:
        raise RuntimeError

    client = st.init(base_url=receiver.url, redact=broken)
    _record_canary_everywhere()
    assert st.flush(10).ok
    told = _everything(tmp_path / "home", receiver)
    assert CANARY.encode() not in told
    assert b"[redaction failed]" in told
    assert client.stats()["redactions_failed"] > 10


@pytest.mark.spec("7.paths")
def test_paths_tell_where_a_value_stands() -> None:
    seen = []

    def look(path: tuple[Any, ...], value: Any) -> Any:
        seen.append((path, value))
        return value

    with testing.capture(redact=look), st.span("n") as s:
        s.input = {"messages": [{"content": "hi", "n": 3}]}
    assert (("input", "messages", 0, "content"), "hi") in seen
    assert (("input", "messages", 0, "n"), 3) in seen
    assert (("name",), "n") in seen


def _left(rules: Any, value: Any, key: str = "text") -> Any:
    """What the rules leave of a value that stands under a key of the input."""
    with testing.capture(redact=rules) as recorded, st.span("x") as s:
        s.input = {key: value}
    return recorded.spans[0].input[key]


@pytest.mark.spec("7.rules")
def test_built_in_rules() -> None:
    rules = ["email", "card", "secret", "phone"]
    assert _left(rules, "mail a.b+c@example.org now") == "mail [redacted email] now"
    assert _left(rules, "card 4111 1111 1111 1111.") == "card [redacted card]."
    assert _left(rules, 4111111111111111) == _left(rules, 4111111111111111.0) == "[redacted card]"
    assert _left(rules, "call +49 30 1234 5678") == "call [redacted phone]"
    assert _left(rules, "key sk-abcdefghijklmnop1234") == "key [redacted secret]"
    assert _left(rules, "whatever", key="api_key") == "[redacted secret]"
    assert _left(rules, "order 48121 of 2026-01-02") == "order 48121 of 2026-01-02"
    # A long number that is no card's stays a number.
    assert [_left(rules, n) for n in (12, 1767225600000, 2.5, True)] == [
        12,
        1767225600000,
        2.5,
        True,
    ]
    assert _left("email", "a@b.org") == "[redacted email]"


@pytest.mark.spec("7.rules", "7.in-rust")
def test_a_list_mixes_built_in_rules_with_those_of_the_program() -> None:
    def shout(path: tuple[Any, ...], value: Any) -> Any:
        return value.upper() if path == ("input", "text") and value != "text" else value

    pattern = re.compile("order-[0-9]+")
    text = "order-12 for a@b.org, 4111 1111 1111 1111"
    hidden = "[redacted] for [redacted email], [redacted card]"
    assert _left(["card", pattern, "email"], text) == hidden
    # Those of the program see the text as it is; the built-in ones see what they leave.
    assert _left([pattern, shout, "email"], text).startswith("[REDACTED] FOR [redacted email]")

    def parts(path: tuple[Any, ...], value: Any) -> Any:
        is_it = path == ("input", "text") and value != "text"
        return {"token": "t", "of": value.split()} if is_it else value

    # A key says what stands under it by the program's own word for it.
    assert _left([re.compile("api"), "secret"], "x", key="[redacted]_key") == "x"
    with testing.capture(redact=[re.compile("api"), "secret"]) as recorded, st.span("x") as s:
        s.input = {"api_key": "x", "b": None}
    assert recorded.spans[0].input == {"[redacted]_key": "[redacted secret]", "b": None}

    left = _left(["email", "secret", parts], "a@b.org x")
    assert left == {"token": "[redacted secret]", "of": ["[redacted email]", "x"]}


NO_PYTHON = """
import sys
import staso as st
from staso._internal.redact import RULES

st.init(journal=False, capture_git=False, redact=list(RULES))
called = []
def look(frame, event, _):
    called.append((event, frame.f_code.co_name))
text = "a@b.org 4111 1111 1111 1111 +49 30 1234 5678 sk-abcdefghijklmnop1234"
with st.span(text) as s:
    s.input = {text: [text, text.encode(), 4111111111111111], "token": text + "\u00e9" * 9_000}
    s.metadata["user"] = s.user_id = s.model = text
    sys.setprofile(look)
sys.setprofile(None)
assert [name for event, name in called if event == "call"] == [], called
"""


@pytest.mark.spec("7.in-rust")
def test_the_built_in_rules_call_no_python(run_program: Any) -> None:
    done = run_program(NO_PYTHON)
    assert done.returncode == 0, done.stderr


def _fields(kind: str, **off: bool) -> dict[str, Any]:
    with Receiver() as receiver:
        st.init(base_url=receiver.url, **off)
        with pytest.raises(ValueError, match="why"), st.span("the name", kind=kind) as s:
            s.input, s.output = {"i": 1}, {"o": 1}
            s.metadata.update({"private": 1, "code.lineno": 2, "staso.x": 3, "input_tokens": 4})
            raise ValueError("why")
        assert st.flush(10).ok
        (span,) = receiver.finished()
        st.shutdown(10)
    return span


@pytest.mark.spec("7.categories", "7.told", "7.input", "7.output", "7.errors", "7.names")
def test_categories_that_are_off() -> None:
    span = _fields("chain", capture_request=False)
    assert span["name"] == "chain span"
    assert span.get("input") in (None, "", {})
    assert span["output"] == {"o": 1}
    told = {name for name in span["attributes"] if not name.startswith("vcs.")}
    assert told == {"code.lineno", "staso.x", "input_tokens"}
    assert span["status"] == "error"
    assert not span.get("error_message")
    assert "why" not in json.dumps(span)
    assert (span["capture"]["request"], span["capture"]["output"]) == ("suppressed", "captured")

    assert _fields("tool", capture_request=False)["name"] == "the name"
    assert _fields("tool", capture_request=False)["input"] == {"i": 1}
    assert _fields("tool", capture_tool_arguments=False).get("input") in (None, "", {})
    assert _fields("llm", capture_tool_schema=False).get("input") in (None, "", {})
    assert _fields("chain", capture_output=False).get("output") in (None, "", {})
    assert _fields("chain")["input"] == {"i": 1}
    assert _fields("chain")["error_message"] == "why"


@pytest.mark.spec("7.redact")
def test_a_redaction_that_comes_while_a_span_is_open_sees_all_of_it(
    tmp_path: Path, receiver: Receiver
) -> None:
    def redact(path: tuple[Any, ...], value: Any) -> Any:
        return value.replace(CANARY, "") if isinstance(value, str) else value

    @st.tool
    def call(argument: str) -> str:
        st.init(base_url=receiver.url, api_key="k", capture_git=False, redact=redact)
        return argument

    st.init(base_url=receiver.url, api_key="k", capture_git=False)
    with st.conversation(f"c {CANARY}", user_id=CANARY):
        call(CANARY)
    assert st.flush(10).ok
    assert CANARY.encode() not in _everything(tmp_path / "home", receiver)
    (span,) = receiver.spans
    assert span["input"] == "[redaction failed]"
