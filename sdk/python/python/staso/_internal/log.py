"""The logger ``staso``: each kind of message once, the engine's messages whenever we come by."""

from __future__ import annotations

from .._core import take_messages

_said: set[str] = set()


def log(level: str, message: str) -> None:
    """Log ``message``. A program that is told nothing imports no ``logging``."""
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
