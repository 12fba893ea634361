"""Where we are, carried elsewhere: threads, other processes.

Only Staso's own place in the tree travels, never the program's other context variables.
"""

from __future__ import annotations

import contextlib
import functools
import sys

from .._core import current_entry, current_ids, swap_entry
from .conversations import Conversation
from .text import clean

TYPE_CHECKING = False  # `typing` is slower to import than this whole package
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

_TRACEPARENT = r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
_SESSION, _USER = "staso.session_id", "staso.user_id"
_POOLS = "concurrent.futures.thread"


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
    try:
        _write(headers, ids, baggage)
    except Exception as error:  # noqa: BLE001 - what can take no headers costs only the link
        _warn_of("inject", error)


def _write(headers: MutableMapping[str, str], ids: Any, baggage: bool) -> None:
    trace_id, span_id, is_kept, (session_id, user_id) = ids
    headers["traceparent"] = f"00-{trace_id}-{span_id}-{'01' if is_kept else '00'}"
    if baggage:
        from urllib.parse import quote

        pairs = ((_SESSION, session_id), (_USER, user_id))
        members = [f"{name}={quote(value)}" for name, value in pairs if value is not None]
        if members:
            existing = headers.get("baggage")
            headers["baggage"] = ",".join([existing, *members] if existing else members)


def extract(headers: Mapping[str, str] | Iterable[tuple[bytes, bytes]]) -> Conversation:
    """Continue, in a block, the trace that request headers tell of."""
    lower: dict[str, str] = {}
    try:
        lower = _lower(headers)
    except Exception as error:  # noqa: BLE001 - what are no headers tells of no trace
        _warn_of("extract", error)
    known = _baggage(lower.get("baggage", ""))
    return Conversation(
        known.get(_SESSION), known.get(_USER), remote_parent(lower.get("traceparent"))
    )


def _lower(headers: Any) -> dict[str, str]:
    """Read a mapping, or pairs as ASGI has them; of a name that comes twice, both values."""
    lower: dict[str, str] = {}
    for name, value in headers.items() if hasattr(headers, "items") else headers or ():
        if not (isinstance(name, str | bytes) and isinstance(value, str | bytes)):
            continue
        key, text = (
            part.decode("latin-1") if isinstance(part, bytes) else part for part in (name, value)
        )
        key = key.lower()
        lower[key] = f"{lower[key]},{text}" if key in lower else text
    return lower


def _warn_of(doing: str, error: Exception) -> None:
    from .log import warn_once

    warn_once(doing, f"{doing}() was handed no headers: {type(error).__name__}")


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
    return {name.strip(): clean(unquote(value.strip())) for name, _, value in pairs if value}


_threads_inherit = False


def let_threads_be() -> None:
    """Start threads afresh from now on. The patches stay: others may stand on top of them."""
    global _threads_inherit
    _threads_inherit = False


def patch_threads() -> None:
    """Let threads and thread pools inherit where we are, where the interpreter does not."""
    global _threads_inherit
    _threads_inherit = True
    if getattr(sys.flags, "thread_inherit_context", False):
        return
    import threading

    if getattr(threading.Thread.start, "_staso", False):
        return
    _patch_start(threading)
    if _POOLS in sys.modules:
        # Another thread may be in the middle of importing it; this waits for that.
        import concurrent.futures.thread as pools

        _patch_submit(pools)
    else:
        # Imported for nothing, it would cost a program without pools a megabyte.
        sys.meta_path.insert(0, _Awaited(_POOLS, _patch_submit))


class _Awaited:
    """Finds nothing itself; shows a module to ``then`` once it is imported.

    Whatever goes wrong here, the import is as it would be without us.
    """

    def __init__(self, name: str, then: Callable[[Any], None]) -> None:
        self._name, self._then, self._is_over = name, then, False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        # It stays in the list: another thread that looks through it would pass over the next.
        if name != self._name or self._is_over:
            return None
        with contextlib.suppress(Exception):
            others = [finder for finder in sys.meta_path if finder is not self]
            found = (finder.find_spec(name, path, target) for finder in others)
            spec = next((spec for spec in found if spec is not None), None)
            if spec is not None and spec.loader is not None:
                self._look_after(spec.loader)
                return spec
        return None

    def _look_after(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            # A loader may serve other modules, too.
            if getattr(module, "__name__", None) == self._name and not self._is_over:
                self._is_over = True
                with contextlib.suppress(Exception):
                    self._then(module)

        loader.exec_module = exec_module


def _patch_submit(pools: Any) -> None:
    executor = pools.ThreadPoolExecutor
    submit = executor.submit

    @functools.wraps(submit)
    def bound_submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        return submit(self, bind(fn) if _threads_inherit else fn, *args, **kwargs)

    executor.submit = bound_submit


def _patch_start(threading: Any) -> None:
    start = threading.Thread.start

    @functools.wraps(start)
    def bound_start(self: Any) -> None:
        entry = current_entry() if _threads_inherit else None
        undo = None
        if entry is not None:
            try:
                undo = _run_at(self, entry) if _inherits(self, entry, threading) else None
            except Exception:  # noqa: BLE001 - a thread that cannot inherit still starts
                undo = None
        try:
            start(self)
        except BaseException:
            if undo is not None:
                undo()
            raise

    bound_start._staso = True  # type: ignore[attr-defined]
    threading.Thread.start = bound_start


def _inherits(thread: Any, entry: Any, threading: Any) -> bool:
    target = getattr(thread, "_target", None)
    worker = getattr(sys.modules.get(_POOLS), "_worker", None)
    is_worker = (worker is not None and target is worker) or str(
        getattr(target, "__module__", "")
    ).startswith("multiprocessing.pool")
    from .._core import Span

    is_daemon_outside = thread.daemon and not isinstance(entry, Span)
    return not (is_worker or isinstance(thread, threading.Timer) or is_daemon_outside)


def _run_at(thread: Any, entry: Any) -> Callable[[], None]:
    """Put ``entry`` in force for the one run of ``thread``; answers what takes that back."""
    run = thread.run
    own = {name: value for name, value in thread.__dict__.items() if name == "run"}

    def undo() -> None:
        thread.__dict__.pop("run", None)
        thread.__dict__.update(own)

    def bound_run() -> None:
        swap_entry(entry)
        undo()
        try:
            run()
        finally:
            swap_entry(None)

    thread.run = bound_run
    return undo
