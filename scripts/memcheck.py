"""What `memcheck.sh` runs under valgrind: every way in which the extension handles memory, a few times.

Object graphs of all sorts through spans and decorators, threads that fill and end one span, streams left
half-way, a real client with its journal, redaction, values that are cut, and a fork.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sdk" / "python" / "tests"))

from hostile import LEAVES, Seen, build  # noqa: E402

import staso as st  # noqa: E402
from staso import testing  # noqa: E402

RECIPES = [
    ("list", [("leaf", word) for word in sorted(LEAVES)]),
    ("dict", [("list", [("back", 0)]), ("hostile dict", [("=", "\ud800")]), ("proxy", [("back", 0)])]),
    ("dataclass", [("named tuple", [("back", 0)]), ("deque", [("=", 1 << 70)]), ("keyed", [("=", b"k")])]),
]


@st.agent(tags=["a"])
def plain(a: Any, *rest: Any, b: Any = None, **more: Any) -> Any:
    """Return its argument."""
    return a


@st.tool
async def coroutine(a: Any) -> Any:
    """Return its argument later."""
    await asyncio.sleep(0)
    return a


@st.trace
def stream(a: Any) -> Iterator[Any]:
    """Yield its argument."""
    while True:
        yield a


@st.trace
async def later(a: Any) -> AsyncIterator[Any]:
    """Yield its argument later."""
    while True:
        yield a


async def _asynchronously(value: Any) -> None:
    await asyncio.gather(coroutine(value), coroutine(a=value))
    items = later(value)
    await items.__anext__()
    await items.aclose()


def record(value: Any) -> None:
    """Put one value wherever a value can go."""
    with st.conversation(value), st.span("outer") as s:
        s.input = s.output = s.metadata["v"] = s.model = value
        s.annotate("a", value=1, comment=value)
        plain(value, value, b=value, c=value)
        next(stream(value))
        asyncio.run(_asynchronously(value))
        try:
            with st.span("inner"):
                raise ValueError(value)
        except ValueError as error:
            s.record_exception(error)
    st.start_span(value).end()


def from_threads() -> None:
    """Fill and end one span from several threads."""
    for _ in range(5):
        s = st.start_span("shared")

        def work(s: st.Span = s) -> None:
            s.metadata["a"] = [s.name, repr(s)]
            s.output = s.metadata
            s.end()

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def everything() -> None:
    """Run each part once."""
    for recipe in RECIPES:
        record(build(recipe, Seen()))
    record(["x" * 5_000, b"y" * 5_000, {"deep": [[[[1]]]] * 3}, 1 << 5_000])
    from_threads()
    with st.extract({"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}), st.span("remote"):
        st.inject({})
    gc.collect()


def main() -> None:
    """Without a client, into memory, redacted, and with a client that is forked."""
    everything()
    with testing.capture():
        everything()
    with testing.capture(redact=lambda path, value: value):
        everything()
    st.init(max_value_bytes=1024, max_span_bytes=100_000, redact=["email", "secret"], capture_git=False)
    everything()
    child = os.fork()
    if child == 0:
        record(1)
        st.flush(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert st.flush(5).accepted > 0
    assert st.shutdown(5).journalled > 0
    print("memcheck: the program ended well")


main()
