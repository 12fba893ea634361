"""A secret that is redacted reaches neither the journal's bytes nor the wire's, by no path and in no part.

Each path records the secret in one place only. What is looked for is every ten characters of it, plain or in
base64, so that a piece left over by a cut counts too; and without the redaction it must be there, or the path
would prove nothing.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from receiver import Receiver

import staso as st

SECRET = "kanarienvogel0123456789zwitschert"
_PIECES = [SECRET[at : at + 10].encode() for at in range(len(SECRET) - 9)]
_LIMIT = 1024


class Shown:
    """Has the secret in its repr, and nowhere else."""

    def __repr__(self) -> str:
        return f"Shown({SECRET})"

    @st.tool
    def method(self, x: int) -> int:
        return x


def _fail(error: BaseException, cause: BaseException | None = None) -> None:
    with contextlib.suppress(type(error)), st.span("x"):
        raise error from cause


def _input(value: Any) -> Callable[[], None]:
    def record() -> None:
        with st.span("x") as s:
            s.input = value

    return record


def _field(name: str) -> Callable[[], None]:
    def record() -> None:
        with st.span("x") as s:
            setattr(s, name, SECRET)

    return record


def _annotate(**how: Any) -> Callable[[], None]:
    def record() -> None:
        with st.span("x") as s:
            s.annotate(**{"name": "score", "value": 1, **how})
        st.annotate(trace_id=s.trace_id, **{"name": "score", "value": 1, **how})

    return record


def _call(decorate: Any, *args: Any, **kwargs: Any) -> Callable[[], None]:
    def record() -> None:
        @decorate
        def work(a: Any = 1, *rest: Any, b: Any = 2, **more: Any) -> int:
            return 1

        work(*args, **kwargs)

    return record


def _returned(value: Any) -> Callable[[], None]:
    return lambda: st.tool(lambda: value)() and None


def _status(status: str) -> Callable[[], None]:
    def record() -> None:
        with st.span("x") as s:
            s.set_status(status, SECRET)

    return record


def _in_a_conversation(**ids: Any) -> Callable[[], None]:
    def record() -> None:
        with st.conversation(ids.get("id", "c"), user_id=ids.get("user")), st.span("x"):
            pass

    return record


def _baggage() -> None:
    headers = {"baggage": f"staso.session_id={SECRET}"}
    with st.extract(headers), st.span("x"):
        pass


def _stack() -> None:
    source = f"def {SECRET}():\n    raise ValueError\n"
    names: dict[str, Any] = {}
    exec(compile(source, f"{SECRET}.py", "exec"), names)
    with contextlib.suppress(ValueError), st.span("x"):
        names[SECRET]()


def _type_of_error() -> None:
    _fail(type(SECRET, (Exception,), {})())


def _stream() -> None:
    @st.trace
    def chunks() -> Iterator[str]:
        yield from SECRET

    assert "".join(chunks()) == SECRET


def _async_stream() -> None:
    @st.trace
    async def chunks() -> AsyncIterator[Any]:
        yield SECRET
        yield 1

    async def run() -> None:
        async for _ in chunks():
            pass

    asyncio.run(run())


def _while_open(named: bool) -> None:
    client = st.get_client()
    assert client is not None
    before = client.stats()["announced"]

    @st.agent(name=SECRET if named else "agent")
    def agent(argument: str) -> None:
        deadline = time.monotonic() + 30
        while client.stats()["announced"] <= before:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    with st.conversation(SECRET, user_id=SECRET):
        agent("a" if named else SECRET)


def _long(make: Callable[[str], Any]) -> list[Any]:
    """The secret across each place where a value that is too long may be cut."""
    places = (_LIMIT // 2 - 15, _LIMIT - 15, 2 * _LIMIT - 15, 2 * _LIMIT + _LIMIT // 2 - 15)
    return [make("x" * place + SECRET + "y" * (3 * _LIMIT - place)) for place in places]


def _long_repr(text: str) -> Any:
    return type("Long", (), {"__repr__": lambda self: text})()


def _long_errors() -> None:
    for text in _long(str):
        _fail(ValueError(text))
        _fail(KeyError("k"), cause=ValueError(text))


def _marker() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError

    Broken.__qualname__ = SECRET
    _input(Broken())()


PATHS: dict[str, Callable[[], None]] = {
    "name": lambda: st.start_span(f"a {SECRET}").end() and None,
    "long name": lambda: [st.start_span(name).end() for name in _long(str)] and None,
    "input": _input(SECRET),
    "input deep down": _input({"a": [{"b": (SECRET,)}]}),
    "key": _input({SECRET: 1}),
    "key that is no text": _input({(SECRET, 1): 1}),
    "set": _input({SECRET}),
    "bytes": _input({"b": SECRET.encode()}),
    "bytearray": _input(bytearray(SECRET.encode())),
    "memoryview": _input(memoryview(SECRET.encode())),
    "repr": _input([Shown()]),
    "repr of self": lambda: _input({"self": Shown().method.__self__})(),  # type: ignore[attr-defined]
    "path": _input(Path(SECRET)),
    "exception as a value": _input(ValueError(SECRET)),
    "long text": _input(_long(str)),
    "long bytes": _input(_long(str.encode)),
    "long repr": _input(_long(_long_repr)),
    "output": _returned({"a": SECRET}),
    "metadata key": lambda: st.tool(metadata={SECRET: 1})(int)() and None,
    "metadata value": lambda: st.tool(metadata={"a": [SECRET]})(int)() and None,
    "tags": lambda: st.tool(tags=[SECRET])(int)() and None,
    "decorator's name": lambda: st.tool(name=SECRET)(int)() and None,
    "agent's name": lambda: st.agent(name=SECRET)(int)() and None,
    "argument": _call(st.tool, SECRET),
    "more arguments": _call(st.agent, 1, 2, SECRET),
    "argument by name": _call(st.trace, b=SECRET),
    "other argument": _call(st.tool, **{SECRET: SECRET}),
    "error message": lambda: _fail(ValueError(SECRET)),
    "cause": lambda: _fail(ValueError("a"), cause=KeyError(SECRET)),
    "type of an error": _type_of_error,
    "stack": _stack,
    "long error": _long_errors,
    "status of an error": _status("error"),
    "status that is ok": _status("ok"),
    "annotation's name": _annotate(name=SECRET),
    "annotation's value": _annotate(value=SECRET, data_type="categorical"),
    "annotation's comment": _annotate(comment=SECRET),
    "conversation": _in_a_conversation(id=SECRET),
    "user": _in_a_conversation(user=SECRET),
    "baggage": _baggage,
    "stream": _stream,
    "asynchronous stream": _async_stream,
    "open span": lambda: _while_open(named=False),
    "open agent": lambda: _while_open(named=True),
    **{f"field {name}": _field(name) for name in (
        "provider", "model", "requested_model", "reasoning_effort", "error_message",
        "agent_name", "agent_id", "agent_version", "session_id", "user_id",
    )},
}  # fmt: skip


def _holds(raw: bytes) -> bool:
    """Whether any part of the secret can be read, also after decoding base64 (at each alignment)."""
    if any(piece in raw for piece in _PIECES):
        return True
    shifted = (base64.b64encode(b"x" * shift + SECRET.encode())[4:-4] for shift in range(3))
    return any(text[at : at + 12] in raw for text in shifted for at in range(len(text) - 11))


def _journal(record: Callable[[], None], home: Path, **settings: Any) -> bytes:
    """What is in the files of the journal after ``record``, nobody having read them yet."""
    st.init(flush_interval=0.02, max_value_bytes=_LIMIT, **settings)
    record()
    assert st.flush(10).journalled > 0
    raw = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    st.shutdown(10)
    return raw


def _wire(record: Callable[[], None], receiver: Receiver, **settings: Any) -> bytes:
    """What an older server is sent, and then what one is sent that understands everything of ours."""
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
    st.init(base_url=receiver.url, flush_interval=0.02, max_value_bytes=_LIMIT, **settings)
    if receiver.capabilities:
        # Seen with the answer to a first request.
        st.start_span("first").end()
        assert st.flush(10).ok
    record()
    assert st.shutdown(10).delivered > 0
    receiver.take = take  # type: ignore[method-assign]
    return b"\n".join(received)


def _marks() -> list[Any]:
    unreadable = "the marker of an unreadable value names its class unredacted"
    return [
        *PATHS.items(),
        pytest.param("marker", _marker, marks=pytest.mark.xfail(strict=True, reason=unreadable)),
    ]


@pytest.mark.spec("7.redact")
@pytest.mark.parametrize(("path", "record"), _marks())
def test_a_redacted_secret_reaches_nothing(
    path: str,
    record: Callable[[], None],
    receiver: Receiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "home"
    assert _holds(_journal(record, home))
    assert _holds(_wire(record, receiver))
    # Records of the first run are still in the journal: what follows has a directory of its own.
    monkeypatch.setenv("STASO_HOME", str(tmp_path / "another"))
    rule = re.compile(SECRET)
    assert not _holds(_journal(record, tmp_path / "another", redact=[rule]))
    assert not _holds(_wire(record, receiver, redact=[rule]))


@pytest.mark.spec("7.redact")
@pytest.mark.parametrize("variable", ["STASO_SESSION_ID", "STASO_AGENT_NAME", "STASO_VCS_BRANCH"])
def test_what_the_environment_says_is_redacted_too(
    variable: str, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, SECRET)
    assert _holds(_wire(_input(1), receiver))
    home = tmp_path / "home"
    assert not _holds(_journal(_input(1), home, redact=[re.compile(SECRET)]))
    assert not _holds(_wire(_input(1), receiver, redact=[re.compile(SECRET)]))


# What is content, and so goes with its category. Ids, fields and annotations are no content.
_CONTENT = [
    path for path in PATHS if not path.startswith(("field", "annotation", "conversation", "user"))
    and path not in ("baggage", "open span", "open agent", "agent's name", "decorator's name")
]  # fmt: skip
_ALL_OFF = dict.fromkeys(
    [f"capture_{c}" for c in ("request", "system_prompt", "tool_schema", "tool_arguments", "output")],
    False,
)


@pytest.mark.spec("7.categories")
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=pytest.mark.xfail(strict=True, reason="told as staso.status_*"))
        if path == "status that is ok"
        else path
        for path in _CONTENT
    ],
)
def test_with_every_category_off_no_content_reaches_anything(
    path: str, receiver: Receiver, tmp_path: Path
) -> None:
    assert not _holds(_journal(PATHS[path], tmp_path / "home", **_ALL_OFF))
    assert not _holds(_wire(PATHS[path], receiver, **_ALL_OFF))


@pytest.mark.spec("7.categories")
def test_an_open_span_tells_no_content_that_is_off(receiver: Receiver, tmp_path: Path) -> None:
    def record() -> None:
        client = st.get_client()
        assert client is not None

        @st.trace(name=SECRET)
        def outer(a: str) -> None:
            with st.span("llm call", kind="llm"):
                deadline = time.monotonic() + 30
                while client.stats()["announced"] < 2:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)

        outer(SECRET)

    assert _holds(_journal(record, tmp_path / "home"))
    told = _wire(record, receiver, capture_request=False)
    assert b'"provisional":true' in told
    assert b"chain span" in told
    # A function's name is where its code is, which is not content.
    assert not _holds(told.replace(b'"tool_name"', b""))


@pytest.mark.spec("7.categories")
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


@pytest.mark.spec("7.categories", "3.environment")
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
from staso._internal.redact import redaction
check = redaction(["email", "card", "secret", "phone"])
n = 300_000
for text in ("x", "eyJ", "a@", "a.", "1", "1 ", "+1-", "(1", "bearer ", "-----BEGIN ", "sk-", "eyJaaaaaaaa."):
    check((), text * (n // len(text)))
"""


@pytest.mark.spec("5.bounded", "7.redact")
def test_the_rules_take_time_in_proportion_to_the_text(run_program: Callable[..., Any]) -> None:
    done = run_program(REDOS)
    assert done.returncode == 0, done.stderr
