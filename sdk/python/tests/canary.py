"""Every path by which a text gets into a record, each as a function that puts a secret there only.

`PATHS` are those functions by name; :func:`holds` tells whether bytes hold any part of the secret.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import staso as st

# A name that Python takes, and a secret to the built-in rules.
SECRET = "sk_kanarienvogel0123456789zwitschert"
_PIECES = [SECRET[at : at + 10].encode() for at in range(len(SECRET) - 9)]
LIMIT = 1024


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


def record_input(value: Any) -> Callable[[], None]:
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


class Announcements:
    """How a test knows that an open span was told: set by who reads the journal or the wire."""

    has_come: Callable[[], bool] = staticmethod(lambda: True)

    @classmethod
    def wait(cls) -> None:
        """Wait until an open span was told."""
        deadline = time.monotonic() + 30
        while not cls.has_come():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def _while_open(named: bool) -> None:
    @st.agent(name=SECRET if named else "agent")
    def agent(argument: str) -> None:
        Announcements.wait()

    with st.conversation(SECRET, user_id=SECRET):
        agent("a" if named else SECRET)


def _long(make: Callable[[str], Any]) -> list[Any]:
    """The secret across each place where a value that is too long may be cut."""
    places = (LIMIT // 2 - 15, LIMIT - 15, 2 * LIMIT - 15, 2 * LIMIT + LIMIT // 2 - 15)
    return [make("x" * place + SECRET + "y" * (3 * LIMIT - place)) for place in places]


def _long_repr(text: str) -> Any:
    return type("Long", (), {"__repr__": lambda self: text})()


def _long_errors() -> None:
    for text in _long(str):
        _fail(ValueError(text))
        _fail(KeyError("k"), cause=ValueError(text))


def record_marker() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError

    Broken.__qualname__ = SECRET
    record_input(Broken())()


PATHS: dict[str, Callable[[], None]] = {
    "name": lambda: st.start_span(f"a {SECRET}").end() and None,
    "long name": lambda: [st.start_span(name).end() for name in _long(str)] and None,
    "input": record_input(SECRET),
    "input deep down": record_input({"a": [{"b": (SECRET,)}]}),
    "key": record_input({SECRET: 1}),
    "key that is no text": record_input({(SECRET, 1): 1}),
    "set": record_input({SECRET}),
    "bytes": record_input({"b": SECRET.encode()}),
    "bytearray": record_input(bytearray(SECRET.encode())),
    "memoryview": record_input(memoryview(SECRET.encode())),
    "repr": record_input([Shown()]),
    "repr of self": lambda: record_input({"self": Shown().method.__self__})(),  # type: ignore[attr-defined]
    "path": record_input(Path(SECRET)),
    "exception as a value": record_input(ValueError(SECRET)),
    "long text": record_input(_long(str)),
    "long bytes": record_input(_long(str.encode)),
    "long repr": record_input(_long(_long_repr)),
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


def holds(raw: bytes) -> bool:
    """Whether any part of the secret can be read, also from base64 (at each alignment)."""
    if any(piece in raw for piece in _PIECES):
        return True
    shifted = (base64.b64encode(b"x" * shift + SECRET.encode())[4:-4] for shift in range(3))
    return any(text[at : at + 12] in raw for text in shifted for at in range(len(text) - 11))
