"""What ``async with`` awaits where there is nothing to wait for."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` is slower to import than this whole package
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")


async def ready(value: T) -> T:
    """Give ``value`` at once, without a turn of the event loop."""
    return value
