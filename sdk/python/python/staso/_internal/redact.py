"""Redaction: what ``init(redact=...)`` accepts, made one callable ``(path, value) -> value``.

The native walker calls it for every scalar, key and text of a record before anything is cut or
written; what raises is replaced there by a marker.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

Check = Callable[[tuple[Any, ...], Any], Any]
Redaction = Check | Sequence["str | re.Pattern[str]"]

# Each takes time in proportion to the text, however the text was chosen: a run of letters is tried
# from its start only, and the head of a JWT is bounded.
_RULES: dict[str, str] = {
    "email": r"(?<![A-Za-z0-9._%+'-])[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
    "card": r"(?<![\d.])(?:\d[ -]?){12,18}\d(?!\d)(?!\.\d)",
    "phone": (
        r"(?<![\w.])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,4}\)[ .-]?)?"
        r"\d{2,4}(?:[ .-]\d{2,4}){2,3}(?![\w.])"
    ),
    "secret": (
        r"(?:sk|pk|rk|ak)[-_][A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}"
        r"|AKIA[0-9A-Z]{16}|eyJ[A-Za-z0-9_-]{8,512}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
        r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
        r"|(?i:bearer)\s+[A-Za-z0-9._~+/-]{12,}=*"
    ),
}
_SECRET_KEY = re.compile(
    r"(?i)(?:^|[_.-])(?:api[_-]?key|authorization|passw(?:or)?d|secret|token)$"
)


def redaction(redact: Any) -> Check | None:
    """Check what the program passed and make it one callable."""
    if redact is None:
        return None
    if callable(redact):
        check: Check = redact
        return check
    if isinstance(redact, str | re.Pattern):
        redact = [redact]
    # Cards before phones, whose shorter groups of digits would eat into them.
    order = list(_RULES)
    given = sorted(redact, key=lambda rule: order.index(rule) if rule in order else -1)
    rules = [_rule(rule) for rule in given]
    hides_keys = "secret" in given

    def apply(path: tuple[Any, ...], value: Any) -> Any:
        if not isinstance(value, str):
            return _bytes(rules, value) if isinstance(value, bytes) else _number(rules, value)
        value = str.__str__(value)
        # A key is shown; what stands under a key that says "secret" is not.
        is_key = bool(path) and path[-1] == value
        if hides_keys and not is_key and _is_secret_place(path):
            return "[redacted secret]"
        for pattern, replace in rules:
            value = pattern.sub(replace, value)
        return value

    return apply


def _is_secret_place(path: tuple[Any, ...]) -> bool:
    return len(path) > 1 and isinstance(path[-1], str) and bool(_SECRET_KEY.search(path[-1]))


def _bytes(rules: list[tuple[re.Pattern[str], Any]], value: bytes) -> bytes:
    """Text may stand there as bytes; on the wire those are base64, where nobody would find it."""
    text = bytes.decode(value, "utf-8", "surrogateescape")
    for pattern, replace in rules:
        text = pattern.sub(replace, text)
    return text.encode("utf-8", "surrogateescape")


def _number(rules: list[tuple[re.Pattern[str], Any]], value: Any) -> Any:
    """A card's or phone's digits may stand there as a number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**11:
        text = str(value) if abs(value) < 10**40 else ""
        for pattern, replace in rules:
            if pattern.search(text):
                return pattern.sub(replace, text)
    return value


def _rule(rule: Any) -> tuple[re.Pattern[str], Any]:
    if isinstance(rule, re.Pattern):
        return rule, "[redacted]"
    if rule not in _RULES:
        names = ", ".join(f'"{name}"' for name in _RULES)
        raise ValueError(f"redact: a rule is one of {names} or a compiled pattern, not {rule!r}")
    pattern = re.compile(_RULES[rule])
    checked = {"card": _card, "phone": _phone}
    return pattern, checked.get(rule, f"[redacted {rule}]")


def _card(match: re.Match[str]) -> str:
    """Replace what passes the check digit of card numbers; other long numbers stay."""
    digits = [int(digit) for digit in match[0] if digit.isdigit()]
    doubled = [digit if at % 2 == 0 else digit * 2 for at, digit in enumerate(reversed(digits))]
    is_card = sum(digit - 9 if digit > 9 else digit for digit in doubled) % 10 == 0
    return "[redacted card]" if is_card else match[0]


def _phone(match: re.Match[str]) -> str:
    """Replace what has a phone number's digits and is no date."""
    text = match[0]
    digits = sum(character.isdigit() for character in text)
    is_date = re.match(r"\d{4}[-.]\d{2}[-.]\d{2}", text) is not None
    return text if is_date or digits < 8 else "[redacted phone]"
