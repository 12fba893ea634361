"""The logger ``staso``: each kind of message once, the engine's messages whenever we come by."""

from __future__ import annotations

import logging

from .._core import take_messages

logger = logging.getLogger("staso")

_said: set[str] = set()


def warn_once(kind: str, message: str) -> None:
    """Log ``message`` as a warning, the first time for this ``kind``."""
    if kind not in _said:
        _said.add(kind)
        logger.warning(message)


def relay_messages() -> None:
    """Hand what the engine has said since the last call to the logger."""
    for level, message in take_messages():
        logger.log(getattr(logging, level.upper()), "%s", message)
