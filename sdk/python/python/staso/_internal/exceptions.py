"""Exceptions as text: type, message and stack, whatever their own methods do."""

from __future__ import annotations

import sys
import traceback

_FRAMES = 100


def describe_exception(
    exc: object, with_stack: bool, max_bytes: int
) -> tuple[str, str, str | None]:
    """Tell type, message and (where asked) stack of an exception, as well as can be."""
    cls = type(exc)
    kind = cls.__qualname__
    if cls.__module__ != "builtins":
        kind = f"{cls.__module__}.{kind}"
    try:
        message = str(exc)
    except Exception:  # noqa: BLE001 - a user's __str__ may do anything
        message = f"<unreadable {kind}>"
    stack = _stack(exc) if with_stack and isinstance(exc, BaseException) else None
    # An exception without words is told by its type. Half of a huge message says as much.
    return _clean(kind), _clean(message or kind), stack and _clean(stack[-max_bytes:])


def _stack(exc: BaseException) -> str | None:
    try:
        return "".join(
            traceback.format_exception(type(exc), exc, exc.__traceback__, limit=-_FRAMES)
        )
    except Exception:  # noqa: BLE001 - formatting calls the user's __str__ and __repr__
        try:
            return "".join(traceback.format_tb(exc.__traceback__, limit=-_FRAMES))
        except Exception:  # noqa: BLE001 - then there is no stack to tell
            return None


def _clean(text: str) -> str:
    """Replace each lone surrogate, which no UTF-8 can carry, by one U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def implied_status(exc: object) -> str:
    """Tell what an exception that leaves a block says about the work in it."""
    if isinstance(exc, GeneratorExit):
        return "ok"
    if isinstance(exc, SystemExit):
        return "ok" if exc.code is None or exc.code == 0 else "error"
    # Until Python 3.11 asyncio's time-out was a class of its own; who raised it has imported it.
    asyncio = sys.modules.get("asyncio.exceptions")
    late = (TimeoutError, asyncio.TimeoutError) if asyncio else TimeoutError
    return "timeout" if isinstance(exc, late) else "error"
