"""Any value as text that UTF-8 can carry, whatever the value's own methods do; and fresh ids."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # `typing` is slower to import than this whole package
if TYPE_CHECKING:
    from typing import Any


def text_of(value: Any) -> str:
    """Give the value itself, or its ``str()``, or its type's name where that raises."""
    cls = type(value)
    try:
        text = str.__str__(value) if issubclass(cls, str) else str(value)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a user's __str__ may do anything, and we never raise
        text = f"<{type.__dict__['__name__'].__get__(cls)}>"
    return clean(text)


def clean(text: str) -> str:
    """Replace each lone surrogate, which no UTF-8 can carry, by one U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def fresh_uuid() -> str:
    """Give a random UUID, from the system's source: a program may have seeded Python's."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) % 4]
    return "-".join(
        (digits[:8], digits[8:12], f"4{digits[13:16]}", f"{variant}{digits[17:20]}", digits[20:])
    )
