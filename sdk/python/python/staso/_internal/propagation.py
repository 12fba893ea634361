"""Where we are, carried elsewhere: threads, other processes.

Only Staso's own place in the tree travels, never the program's other context variables.
"""

from __future__ import annotations

import functools

from .._core import current_entry, current_ids, swap_entry
from .conversations import Conversation

TYPE_CHECKING = False  # `typing` is slower to import than this whole package
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

_TRACEPARENT = r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
_SESSION, _USER = "staso.session_id", "staso.user_id"


def bind(fn: F) -> F:
    """Make ``fn`` run where we are now, in whatever thread or context it is called."""
    entry = current_entry()
    if entry is None:
        return fn

    @functools.wraps(fn, updated=())
    def bound(*args: Any, **kwargs: Any) -> Any:
        outside = swap_entry(entry)
        try:
            return fn(*args, **kwargs)
        finally:
            swap_entry(outside)

    return bound  # type: ignore[return-value]


def inject(headers: MutableMapping[str, str], baggage: bool = False) -> None:
    """Write where we are into request headers, as W3C ``traceparent``.

    Session and user id go along, as ``baggage``, only where asked for: they must not reach third
    parties by accident.
    """
    ids = current_ids()
    if ids is None:
        return
    trace_id, span_id, is_kept, (session_id, user_id) = ids
    headers["traceparent"] = f"00-{trace_id}-{span_id}-{'01' if is_kept else '00'}"
    if baggage:
        from urllib.parse import quote

        pairs = ((_SESSION, session_id), (_USER, user_id))
        members = [f"{name}={quote(value)}" for name, value in pairs if value is not None]
        if members:
            existing = headers.get("baggage")
            headers["baggage"] = ",".join([existing, *members] if existing else members)


def extract(headers: Mapping[str, str]) -> Conversation:
    """Continue, in a block, the trace that request headers tell of."""
    lower = {str(name).lower(): value for name, value in headers.items()}
    known = _baggage(lower.get("baggage", ""))
    return Conversation(
        known.get(_SESSION), known.get(_USER), remote_parent(lower.get("traceparent"))
    )


def remote_parent(traceparent: str | None) -> tuple[str, str, bool] | None:
    """Read a ``traceparent``: trace id, span id, whether it is kept; ``None`` for no valid one."""
    if not traceparent:
        return None
    import re

    match = re.fullmatch(_TRACEPARENT, traceparent.strip().lower())
    if match is None or match[1] == "ff" or (match[1] == "00" and match[5]):
        return None
    if not match[2].strip("0") or not match[3].strip("0"):
        return None
    return match[2], match[3], bool(int(match[4], 16) & 1)


def _baggage(header: str) -> dict[str, str]:
    from urllib.parse import unquote

    pairs = (member.partition(";")[0].partition("=") for member in header.split(","))
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs if value}


def patch_threads() -> None:
    """Let threads and thread pools inherit where we are, where the interpreter does not."""
    import sys

    if getattr(sys.flags, "thread_inherit_context", False):
        return
    import concurrent.futures.thread as pools
    import threading

    if getattr(threading.Thread.start, "_staso", False):
        return
    _patch_start(threading, pools)
    _patch_submit(pools.ThreadPoolExecutor)


def _patch_submit(executor: Any) -> None:
    submit = executor.submit

    @functools.wraps(submit)
    def bound_submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        return submit(self, bind(fn), *args, **kwargs)

    executor.submit = bound_submit


def _patch_start(threading: Any, pools: Any) -> None:
    start = threading.Thread.start

    @functools.wraps(start)
    def bound_start(self: Any) -> None:
        entry = current_entry()
        if entry is not None and _inherits(self, entry, threading, pools):
            _run_at(self, entry)
        start(self)

    bound_start._staso = True  # type: ignore[attr-defined]
    threading.Thread.start = bound_start


def _inherits(thread: Any, entry: Any, threading: Any, pools: Any) -> bool:
    target = getattr(thread, "_target", None)
    is_worker = target is getattr(pools, "_worker", None) or str(
        getattr(target, "__module__", "")
    ).startswith("multiprocessing.pool")
    from .._core import Span

    is_daemon_outside = thread.daemon and not isinstance(entry, Span)
    return not (is_worker or isinstance(thread, threading.Timer) or is_daemon_outside)


def _run_at(thread: Any, entry: Any) -> None:
    """Put ``entry`` in force for the one run of ``thread``, leaving nothing behind on it."""
    run = thread.run

    def bound_run() -> None:
        swap_entry(entry)
        thread.__dict__.pop("run", None)
        try:
            run()
        finally:
            swap_entry(None)

    thread.run = bound_run
