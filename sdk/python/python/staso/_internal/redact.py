"""Redaction: what ``init(redact=...)`` accepts, made what the native module takes.

The built-in rules are native. Patterns and callables of the program's own become one callable
``(path, value) -> value``, which the native walker calls for every scalar, key and text of a
record: before those rules, and before anything is cut or written. What raises is replaced there by
a marker.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

Check = Callable[[tuple[Any, ...], Any], Any]
Redaction = Check | Sequence["str | re.Pattern[str] | Check"]

#: The built-in rules, as the native module names them.
RULES = ("email", "card", "phone", "secret")


def redaction(redact: Any) -> tuple[Check | None, list[str]] | None:
    """Check what the program passed: its own part as one callable, and the names of the rules."""
    if redact is None:
        return None
    if callable(redact) or isinstance(redact, str | re.Pattern):
        redact = [redact]
    given = list(redact)
    named = [rule for rule in given if isinstance(rule, str)]
    own = [_check(rule) for rule in given if not isinstance(rule, str)]
    for name in named:
        if name not in RULES:
            raise _wrong(name)
    if len(own) < 2:
        return (own[0] if own else None), named

    def check(path: tuple[Any, ...], value: Any) -> Any:
        for one in own:
            value = one(path, value)
        return value

    return check, named


def _check(rule: Any) -> Check:
    if isinstance(rule, re.Pattern):
        return _pattern(rule)
    if callable(rule):
        check: Check = rule
        return check
    raise _wrong(rule)


def _wrong(rule: object) -> ValueError:
    names = ", ".join(f'"{name}"' for name in RULES)
    return ValueError(
        f"redact: a rule is one of {names}, a compiled pattern or a callable, not {rule!r}"
    )


def _pattern(pattern: re.Pattern[str]) -> Check:
    def apply(path: tuple[Any, ...], value: Any) -> Any:
        del path
        if isinstance(value, str):
            return pattern.sub("[redacted]", str.__str__(value))
        if isinstance(value, bytes):
            # Text may stand there as bytes; on the wire those are base64, which nobody would read.
            text = bytes.decode(value, "utf-8", "surrogateescape")
            return pattern.sub("[redacted]", text).encode("utf-8", "surrogateescape")
        return _number(pattern, value)

    return apply


def _number(pattern: re.Pattern[str], value: Any) -> Any:
    """The digits looked for may stand there as a number."""
    whole = value
    if isinstance(value, float) and value.is_integer():
        whole = int(value)
    if isinstance(whole, int) and not isinstance(whole, bool) and 10**11 < abs(whole) < 10**40:
        text = int.__repr__(whole)
        if pattern.search(text):
            return pattern.sub("[redacted]", text)
    return value
