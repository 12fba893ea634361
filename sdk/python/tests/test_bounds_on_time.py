"""What is done no sooner than so often: a slow machine makes it rarer, never wrong."""

from __future__ import annotations

import ctypes
import json
import os
import struct
import time
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from receiver import Receiver

import staso as st


def _wait_until(what: str, probe: Callable[[], bool], deadline_secs: float = 60) -> None:
    give_up = time.monotonic() + deadline_secs
    while not probe():
        assert time.monotonic() < give_up, what
        time.sleep(0.01)


class _Busy(Receiver):
    """Refuses the first requests, and says when to come again."""

    def __init__(self, refusals: list[int], retry_after: str) -> None:
        super().__init__()
        self.refusals, self.retry_after = refusals, retry_after
        self.asked_at: list[float] = []

    def answer_headers(self) -> dict[str, str]:
        return {"Retry-After": self.retry_after} if self.refusals else {}

    def take(self, path: str, headers: Message, body: bytes) -> tuple[int, Any]:
        self.asked_at.append(time.monotonic())
        if len(self.asked_at) <= len(self.refusals):
            return self.refusals[len(self.asked_at) - 1], {"error": {"code": "busy"}}
        self.refusals = []
        return super().take(path, headers, body)


@pytest.mark.spec("5.retry-after")
@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_names_a_time_is_not_asked_before_it(status: int) -> None:
    # Left to itself the client would come again after less than half a second.
    busy = _Busy([status], "2")
    with busy:
        st.init(base_url=busy.url, flush_interval=0.01)
        st.start_span("s").end()
        _wait_until("the first request", lambda: len(busy.asked_at) == 1)
        # Nor does a flush shorten what the server asked for.
        assert st.flush(0.2).timed_out
        _wait_until("the second request", lambda: len(busy.asked_at) == 2)
        busy.wait_for(1)
    assert busy.asked_at[1] - busy.asked_at[0] >= 1.9


_IN_OPEN = 0x20


class _Opened:
    """Counts how often a file is opened, by anybody."""

    def __init__(self, path: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK)
        watched = self._libc.inotify_add_watch(self._descriptor, bytes(path), _IN_OPEN)
        assert self._descriptor >= 0, os.strerror(ctypes.get_errno())
        assert watched >= 0, os.strerror(ctypes.get_errno())
        self.count = 0

    def look(self) -> int:
        try:
            while events := os.read(self._descriptor, 1 << 16):
                at = 0
                while at < len(events):
                    (name_len,) = struct.unpack_from("I", events, at + 12)
                    at += 16 + name_len
                    self.count += 1
        except BlockingIOError:
            pass
        return self.count

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def announcement(tmp_path: Path) -> Iterator[_Opened]:
    """A server that died without taking its announcement back."""
    home = tmp_path / "home"
    home.mkdir()
    path = home / "server.json"
    path.write_text(json.dumps({"url": "http://127.0.0.1:9", "pid": 2**31 - 2, "token": "t"}))
    opened = _Opened(path)
    yield opened
    opened.close()


@pytest.mark.spec("3.server-json-seldom")
def test_an_announcement_is_looked_at_once_a_second_at_most(announcement: _Opened) -> None:
    began = time.monotonic()
    st.init(flush_interval=0.001)
    spans = 0
    while announcement.look() < 4:
        assert time.monotonic() - began < 60
        st.start_span("s").end()
        spans += 1
        time.sleep(0.001)
    # Each look but the first has a second of its own before it.
    assert time.monotonic() - began >= 2.9
    assert spans > 100


@pytest.mark.spec("5.heartbeat")
def test_a_process_with_open_spans_says_that_it_lives_every_15_s(receiver: Receiver) -> None:
    receiver.capabilities = "values ns-times events annotations processes"
    signs: list[float] = []
    take = receiver.take

    def listen(path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        answer = take(path, headers, body)
        if any("alive_ns" in process for process in receiver.batches[-1].get("processes", [])):
            signs.append(time.monotonic())
        return answer

    receiver.take = listen  # type: ignore[method-assign]
    st.init(base_url=receiver.url, flush_interval=0.05)
    with st.span("open"):
        _wait_until("a second sign of life", lambda: len(signs) >= 2)
    assert signs[1] - signs[0] >= 14.5
