"""Which annotations are valid: checked where they are given."""

from __future__ import annotations

import math

TYPE_CHECKING = False  # `typing` is slower to import than this whole package
if TYPE_CHECKING:
    from typing import Any

_WANTED = {"numeric": "an int or a float", "categorical": "a str", "boolean": "a bool"}


def checked(name: object, value: Any, data_type: object) -> tuple[Any, str] | None:
    """Give value and type as they are recorded; ``None`` for a number that is not finite.

    Raises ``ValueError`` for a missing name, an unknown type, or a value that is not of its type.
    """
    if not isinstance(name, str) or not name:
        raise ValueError("an annotation needs a name: a str")
    word = "numeric" if data_type is None else data_type
    if not isinstance(word, str) or word not in _WANTED:
        raise ValueError(
            f'data_type must be "numeric", "categorical" or "boolean", not {_shown(data_type)}'
        )
    if word != _sort(value):
        raise ValueError(
            f"a {word} annotation needs {_WANTED[word]} as its value, not {_shown(value)}"
        )
    word = str.__str__(word)
    if word != "numeric":
        return value, word
    number = _finite(value)
    if number is None:
        from .log import warn_once

        warn_once("annotation", "an annotation was left out: its number is not finite")
        return None
    return number, word


def _sort(value: object) -> str | None:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "numeric"
    return "categorical" if isinstance(value, str) else None


def _finite(value: float) -> float | None:
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    # An int beyond 64 bits would be kept as text, and text is not a score.
    try:
        number = float(value)
    except Exception:  # noqa: BLE001 - too large, or a number of the program's own making
        return None
    return number if math.isfinite(number) else None


def _shown(value: object) -> str:
    try:
        return repr(value)[:80]
    except Exception:  # noqa: BLE001 - a user's __repr__ may do anything
        return type(value).__qualname__
