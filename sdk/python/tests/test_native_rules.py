"""The built-in redaction rules are native: they hide what their definition in patterns says, no
more and no less.
"""

from __future__ import annotations

import hypothesis.strategies as some
import pytest
from hypothesis import given, settings
from rules_in_python import PATTERNS, is_secret, redacted

import staso as st
from staso import testing

# Pieces that the rules are made of, whole and broken, and what their ends are judged by.
PIECES = [
    *" \n\t.-_@+()=/:,;'\"{}~\u00e9\u0663\uff11\u017f\u00a0\x1c\u2003\U0001f600",
    *"0123456789abcxyzAKBZ",
    *("sk-", "pk_", "ghp_", "gho", "xoxb-", "AKIA", "eyJ", "Bearer ", "bEARER\t", "bearer"),
    *("-----BEGIN ", "-----END ", "RSA ", "PRIVATE KEY-----", "PRIVATE KEY", "-----"),
    *("a@b.c", "x.y+z@ex-ample.org", "@a.b", "a@", "..", "token"),
    *("4111 1111 1111 1111", "4111111111111111", "5500-0000-0000-0004", "0000000"),
    *("+49 30 1234 5678", "+4930", "(030) ", "12 34 56", " 1234", "-12", "123"),
    *("2026-01-02", "2026-01-02 10", "a" * 9, "Zz9_-" * 4, "0A" * 8),
    *("\u0661\u0662\u0663\u0664", "\uff11\uff12\uff13 \uff14\uff15\uff16"),
]
TEXTS = some.lists(some.sampled_from(PIECES), max_size=30).map("".join)
NUMBERS = some.integers(-(10**6), 10**6) | some.floats(-1e6, 1e6)
VALUES = some.recursive(
    NUMBERS | TEXTS | some.binary(max_size=9) | some.booleans() | some.none(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.just("in"), inner),
    max_leaves=5,
)
WORDS = (
    *("first", "per", "time_to_"),
    *("api", "key", "Key", "token", "TOKEN", "\u017fecret", "pass", "w", "word", "d", "x"),
    *("authorization", "to\u212aen", "Authorization", "_", "-", ".", "\n", "sk_live_production"),
)
KEYS = some.lists(some.sampled_from(WORDS), min_size=1, max_size=5).map("".join)
RULES = list(PATTERNS)


@pytest.mark.spec("7.in-rust", "7.rules")
@settings(max_examples=400, deadline=None)
@given(
    some.lists(TEXTS, min_size=1, max_size=20),
    some.lists(some.sampled_from(RULES), min_size=1, unique=True),
)
def test_the_rules_hide_what_their_patterns_say(texts: list[str], names: list[str]) -> None:
    with testing.capture(redact=names) as recorded, st.span("s") as s:
        s.input = texts
        s.output = [text.encode() for text in texts]
    assert recorded.spans[0].input == [redacted(names, text) for text in texts]


@pytest.mark.spec("7.in-rust", "7.rules")
@settings(max_examples=200, deadline=None)
@given(KEYS, TEXTS)
def test_what_a_key_says_is_secret_is_hidden(key: str, text: str) -> None:
    with testing.capture(redact=["secret"]) as recorded, st.span("s") as s:
        s.input = {key: text, "beside": [None, {"x": text}]}
    expected = {
        redacted(["secret"], key): redacted(["secret"], text, key),
        "beside": [None, {"x": redacted(["secret"], text)}],
    }
    assert recorded.spans[0].input == expected


@pytest.mark.spec("7.in-rust", "7.rules")
@settings(max_examples=300, deadline=None)
@given(KEYS, VALUES)
def test_what_is_under_such_a_key_is_hidden_whatever_it_is(key: str, value: object) -> None:
    with testing.capture(redact=["secret"]) as recorded, st.span("s") as s:
        s.input = {"a": 1, key: value, "beside": [1, b"x", 2.5]}
    (told,) = (told for at, told in recorded.spans[0].input.items() if at not in ("a", "beside"))
    if isinstance(value, str):
        assert told == redacted(["secret"], value, key)
    else:
        assert (told == "[redacted secret]") == is_secret(True, key, value)
    assert recorded.spans[0].input["a"] == 1
    assert recorded.spans[0].input["beside"] == [1, {"$bytes": "eA=="}, 2.5]


@pytest.mark.spec("7.rules")
def test_numbers_that_tell_of_tokens_are_told() -> None:
    told = {"time_to_first_token": 0.25, "cost-per-token": 3, "max_tokens": 7, "tokens": [1, 2]}
    with testing.capture(redact=["secret"]) as recorded, st.span("s") as s:
        s.metadata.update(told)
        odd: dict[object, object] = {b"session_token": b"x", "has_token": True, "old_secret": None}
        s.metadata.update(odd)  # type: ignore[arg-type]
    metadata = recorded.spans[0].metadata
    assert {key: metadata[key] for key in told} == told
    assert (metadata["has_token"], metadata["old_secret"]) == (True, None)
    assert metadata['{"$bytes":"c2Vzc2lvbl90b2tlbg=="}'] == "[redacted secret]"
