"""The logger ``staso``: each kind of message once, the engine's messages whenever we come by."""

from __future__ import annotations

import contextlib
import sys

from .._core import take_messages

_said: set[str] = set()


def log(level: str, message: str) -> None:
    """Log ``message``; to a program that has not imported ``logging``, as ``logging`` would.

    Nor is it imported here: that takes a megabyte, and done while a program ends by an interrupt it
    makes the interpreter forget by what it ended.
    """
    if "logging" not in sys.modules:
        if level in ("warning", "error") and sys.stderr is not None:
            with contextlib.suppress(Exception):  # closed, or a broken pipe
                sys.stderr.write(f"{message}\n")
        return
    import logging

    logging.getLogger("staso").log(getattr(logging, level.upper()), "%s", message)


def warn_once(kind: str, message: str) -> None:
    """Log ``message`` as a warning, the first time for this ``kind``."""
    if kind not in _said:
        _said.add(kind)
        log("warning", message)


def relay_messages() -> None:
    """Hand what the engine has said since the last call to the logger."""
    for level, message in take_messages():
        log(level, message)
