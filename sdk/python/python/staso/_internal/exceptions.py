"""Exceptions as text: type, message and stack, whatever their own methods do."""

from __future__ import annotations

import os
import sys
import traceback

from .text import clean

_FRAMES = 100
_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep


def describe_exception(exc: object, with_stack: bool) -> tuple[str, str, str | None]:
    """Tell type, message and (where asked) stack of an exception, as well as can be.

    Nothing is cut here: the walker cuts, after the redaction has seen the whole.
    """
    cls = type(exc)
    kind = cls.__qualname__
    if cls.__module__ != "builtins":
        kind = f"{cls.__module__}.{kind}"
    try:
        message = str(exc)
    except Exception:  # noqa: BLE001 - a user's __str__ may do anything
        message = f"<unreadable {kind}>"
    stack = _stack(exc) if with_stack and isinstance(exc, BaseException) else None
    # An exception without words is told by its type.
    return clean(kind), clean(message or kind), stack and clean(stack)


def _stack(exc: BaseException) -> str | None:
    try:
        told = traceback.TracebackException(
            type(exc), exc, exc.__traceback__, limit=-_FRAMES, compact=True
        )
        _leave_out_ours(told)
        return "".join(told.format())
    except Exception:  # noqa: BLE001 - formatting calls the user's __str__ and __repr__
        try:
            return "".join(traceback.format_tb(exc.__traceback__, limit=-_FRAMES))
        except Exception:  # noqa: BLE001 - then there is no stack to tell
            return None


def _leave_out_ours(told: traceback.TracebackException) -> None:
    """Leave out this package's frames, which are between a decorated function and its caller."""
    left: list[traceback.TracebackException | None] = [told]
    while left:
        one = left.pop()
        if one is not None:
            kept = [frame for frame in one.stack if not frame.filename.startswith(_OURS)]
            one.stack = traceback.StackSummary.from_list(kept)
            left += [one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ())]


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
