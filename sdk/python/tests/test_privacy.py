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


@pytest.mark.spec("7.rules")
def test_built_in_rules() -> None:
    from staso._internal.redact import redaction

    check = redaction(["email", "card", "secret", "phone"])
    assert check is not None
    assert check((), "mail a.b+c@example.org now") == "mail [redacted email] now"
    assert check((), "card 4111 1111 1111 1111.") == "card [redacted card]."
    assert check((), 4111111111111111) == "[redacted card]"
    assert check((), "call +49 30 1234 5678") == "call [redacted phone]"
    assert check((), "key sk-abcdefghijklmnop1234") == "key [redacted secret]"
    assert check(("input", "api_key"), "whatever") == "[redacted secret]"
    assert check(("input", "text"), "order 48121 of 2026-01-02") == "order 48121 of 2026-01-02"
    assert check((), 12) == 12


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
