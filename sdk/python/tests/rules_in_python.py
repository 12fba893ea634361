"""The built-in redaction rules once more, as Python patterns: what holds the native ones.

The patterns say what a rule means; a reader of the native rules may take them as its definition.
"""

from __future__ import annotations

import re

PATTERNS = {
    "email": re.compile(
        r"(?<![A-Za-z0-9._%+'-])[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
    ),
    "card": re.compile(r"(?<![\d.])(?:\d[ -]?){12,18}\d(?!\d)(?!\.\d)"),
    "phone": re.compile(
        r"(?<![\w.])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,4}\)[ .-]?)?"
        r"\d{2,4}(?:[ .-]\d{2,4}){2,3}(?![\w.])"
    ),
    "secret": re.compile(
        r"(?:sk|pk|rk|ak)[-_][A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}"
        r"|xox[abprs]-[A-Za-z0-9-]{10,}"
        r"|AKIA[0-9A-Z]{16}|eyJ[A-Za-z0-9_-]{8,512}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
        r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
        r"|(?i:bearer)\s+[A-Za-z0-9._~+/-]{12,}=*"
    ),
}
SECRET_KEY = re.compile(r"(?i)(?:^|[_.-])(?:api[_-]?key|authorization|passw(?:or)?d|secret|token)$")
MEASURE_KEY = re.compile(r"(?is)(?:^|[_.-])(?ai:first|last|next|per)[_.-](?:.*[_.-])?token$")


def redacted(names: list[str], text: str, key: str | None = None) -> str:
    """What the rules of these names leave of a text that stands under ``key``."""
    if key is not None and is_secret("secret" in names, key, text):
        return "[redacted secret]"
    for name, pattern in PATTERNS.items():
        if name in names:
            text = pattern.sub(lambda match, name=name: _hidden(name, match[0]), text)
    return text


def is_secret(is_asked: bool, key: str, value: object) -> bool:
    """Whether ``value`` is hidden because of its key; yes, no and nothing never are."""
    if not is_asked or not SECRET_KEY.search(key) or value is None or isinstance(value, bool):
        return False
    return not (isinstance(value, int | float) and MEASURE_KEY.search(key))


def _hidden(name: str, found: str) -> str:
    is_hidden = {"card": _is_card, "phone": _is_phone}.get(name, bool)
    return f"[redacted {name}]" if is_hidden(found) else found


def _is_card(found: str) -> bool:
    digits = [int(digit) for digit in found if digit.isdigit()]
    doubled = [digit if at % 2 == 0 else digit * 2 for at, digit in enumerate(reversed(digits))]
    return sum(digit - 9 if digit > 9 else digit for digit in doubled) % 10 == 0


def _is_phone(found: str) -> bool:
    is_date = re.match(r"\d{4}[-.]\d{2}[-.]\d{2}", found) is not None
    return not is_date and sum(character.isdigit() for character in found) >= 8
