"""Values: every type, however hostile, yields a span with the rest of its data."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import signal
import threading
import types
import uuid
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import staso as st
from staso import testing
from staso.testing import Recorded


def _kept(value: Any) -> Any:
    with testing.capture() as recorded, st.span("x") as s:
        s.input = value
        s.metadata["rest"] = "kept"
    (span,) = recorded.spans
    assert span.metadata == {"rest": "kept"}
    return span.input


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Order:
    number: int
    items: list[Any] = dataclasses.field(default_factory=list)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Attributes:
    __attrs_attrs__ = (types.SimpleNamespace(name="a"),)

    def __init__(self) -> None:
        self.a = 1


class Model:
    __pydantic_fields__ = {"a": None}

    def __init__(self) -> None:
        self.a = {"b": 2}


SOME_ID = uuid.uuid4()


@pytest.mark.spec("5.types")
@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (datetime.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.time(3, 4), "03:04:00"),
        (datetime.timedelta(seconds=90), "0:01:30"),
        (SOME_ID, str(SOME_ID)),
        (decimal.Decimal("1.10"), "1.10"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (st.SpanKind.TOOL, "tool"),
        (pathlib.Path("a/b"), "a/b"),
        ({1}, [1]),
        (frozenset({2}), [2]),
        (b"\x00\xff", {"$bytes": "AP8="}),
        (bytearray(b"a"), {"$bytes": "YQ=="}),
        (memoryview(b"a"), {"$bytes": "YQ=="}),
        (1 + 2j, "(1+2j)"),
        (range(3), "range(0, 3)"),
        (Order(1, [Point(1, 2)]), {"number": 1, "items": [{"x": 1, "y": 2}]}),
        (Attributes(), {"a": 1}),
        (Model(), {"a": {"b": 2}}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.deque([1]), [1]),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (types.SimpleNamespace(a=[1]), {"a": [1]}),
        (collections.ChainMap({"a": 1}, {"b": 2}), [{"a": 1}, {"b": 2}]),
        ({"a": 1}.keys(), ["a"]),
        (ValueError("v"), "ValueError: v"),
        (len, "<builtin_function_or_method builtins.len>"),
        (Order, "<class test_values.Order>"),
        (_kept, "<function test_values._kept>"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (-float("inf"), "-Infinity"),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, "9223372036854775808"),
        (True, True),
        ({1: "a", None: "b", True: "c", 2.5: "d", (1, 2): "e"}, None),
        ("\ud800x\udfff", "\ufffdx\ufffd"),
        ('größe 東京 😀 \x00\x1f"\\', 'größe 東京 😀 \x00\x1f"\\'),
        (type("S", (str,), {})("sub"), "sub"),
        (type("D", (dict,), {"items": None})(a=1), {"a": 1}),
        (type("L", (list,), {"__iter__": None})([1]), [1]),
    ],
)
def test_known_types(value: Any, kept: Any) -> None:
    got = _kept(value)
    if kept is None:
        assert got == {"1": "c", "null": "b", "2.5": "d", "[1,2]": "e"}
    else:
        assert got == kept


@pytest.mark.spec("5.hostile-values", "5.bounded")
def test_a_huge_int_is_quick_and_marked() -> None:
    got = _kept(1 << 10_000_000)
    assert got.startswith("0x1000")
    assert "bytes cut" in got


@pytest.mark.spec("5.hostile-values")
def test_cycles_and_depth() -> None:
    cycle: list[Any] = [1]
    cycle.append(cycle)
    assert _kept(cycle) == [1, "<cycle>"]
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = [deep]
    text = json.dumps(_kept(deep))
    assert "<nested too deeply>" in text
    while deep != "bottom":
        deep = deep[0]
    shared = [1]
    assert _kept([shared, shared]) == [[1], [1]]


@pytest.mark.spec("5.types")
def test_no_iterator_is_consumed() -> None:
    generator = (i for i in range(3))
    iterator = iter([1, 2])
    mapped = map(str, [1])
    assert "generator" in _kept(generator)
    _kept([iterator, mapped])
    assert [list(generator), list(iterator), list(mapped)] == [[0, 1, 2], [1, 2], ["1"]]


@pytest.mark.spec("5.hostile-values", "5.never-raises")
def test_hostile_objects_cost_only_themselves() -> None:
    class Hostile:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

        def __repr__(self) -> str:
            raise RecursionError

        __str__ = __iter__ = __len__ = __hash__ = __eq__ = __bool__ = __repr__  # type: ignore[assignment]

    class Liar:
        __class__ = dict  # type: ignore[assignment]

    @dataclasses.dataclass
    class Half:
        good: int = 1

        @property
        def bad(self) -> int:
            raise ValueError

    Half.__dataclass_fields__["bad"] = Half.__dataclass_fields__["good"]
    got = _kept([Hostile(), 1, Liar(), Half()])
    assert got[0].startswith("<unreadable")
    assert got[1] == 1
    assert "Liar" in got[2]
    assert got[3] == {"good": 1, "bad": "<unreadable: ValueError>"}


@pytest.mark.spec("5.never-raises")
def test_a_keyboard_interrupt_inside_a_repr_is_not_lost() -> None:
    class Slow:
        presses = [True]

        def __repr__(self) -> str:
            if self.presses:
                self.presses.pop()
                raise KeyboardInterrupt
            return "slow"

    # A program started in the background of a script inherits an ignored SIGINT, and then there is
    # no interrupt to give back.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with testing.capture() as recorded, pytest.raises(KeyboardInterrupt):
            with st.span("x") as s:
                s.input = [Slow(), 1]
            for _ in range(1000):
                pass
    finally:
        signal.signal(signal.SIGINT, before)
    assert recorded.spans[0].input[1] == 1


@pytest.mark.spec("5.user-calls")
def test_many_described_values_are_bounded() -> None:
    calls = []

    class Counted:
        def __repr__(self) -> str:
            calls.append(1)
            return "counted"

    got = _kept([Counted() for _ in range(5000)])
    assert len(got) == 5000
    assert len(calls) == 2000
    assert got[-1].endswith("Counted>")


@pytest.mark.spec("5.size")
def test_a_long_string_keeps_head_and_tail() -> None:
    text = "é" * 2_000_000
    got = _kept({"text": text, "after": 1})
    assert got["after"] == 1
    assert got["text"].startswith("éé")
    assert got["text"].endswith("éé")
    assert "of 4000000 bytes cut, sha256 " in got["text"]
    assert len(got["text"].encode()) < 1_100_000


@pytest.mark.spec("5.span-size")
def test_a_huge_structure_is_cut_not_dropped() -> None:
    got = _kept({"list": ["x" * 100_000] * 1_000, "after": 1})
    assert "more items" in got["list"][-1]


@pytest.mark.spec("5.changed-by-another-thread")
def test_a_dict_changed_by_another_thread() -> None:
    shared: dict[str, Any] = {str(i): object() for i in range(200)}
    stop = threading.Event()

    def change() -> None:
        at = 0
        while not stop.is_set():
            at += 1
            shared[f"new {at % 500}"] = object()
            shared.pop(f"new {(at * 7) % 500}", None)

    worker = threading.Thread(target=change)
    worker.start()
    try:
        for _ in range(50):
            assert isinstance(_kept(shared), dict)
    finally:
        stop.set()
        worker.join()


class _Weird:
    def __init__(self, what: str) -> None:
        self.what = what

    def __repr__(self) -> str:
        if self.what == "raise":
            raise ValueError
        return "\ud800" if self.what == "surrogate" else "weird"

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        return self is other


_leaves = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(),
    some.floats(),
    some.binary(),
    some.complex_numbers(),
    some.text(some.characters(exclude_categories=())),
    some.datetimes(),
    some.uuids(),
    some.decimals(allow_nan=False),
    some.timedeltas(),
    some.sampled_from([Colour.RED, Level.HIGH, Order, len, Point(1, 2), object()]),
    some.builds(_Weird, some.sampled_from(["raise", "surrogate", "fine"])),
)
_values = some.recursive(
    _leaves,
    lambda inner: (
        some.lists(inner, max_size=4)
        | some.tuples(inner, inner)
        | some.dictionaries(
            _leaves.filter(lambda k: k == k and not isinstance(k, list)), inner, max_size=4
        )
        | some.builds(lambda value: (i for i in [value]), inner)
        | some.builds(Order, some.integers(), some.lists(inner, max_size=2))
    ),
    max_leaves=25,
)


@pytest.mark.spec("5.hostile-values", "2.return-value")
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(_values)
def test_any_value_is_recorded(value: Any) -> None:
    @st.tool
    def decorated(argument: Any) -> Any:
        return argument

    with testing.capture() as recorded:
        assert decorated(value) is value
        with st.span("x") as s:
            s.input = s.output = value
            s.metadata["v"] = value
    first, second = recorded.spans
    assert set(first.output) == {"result"}
    assert json.dumps(second.input) == json.dumps(second.output)


@pytest.mark.spec("1.input-output")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    some.recursive(
        some.none() | some.booleans() | some.integers(-(2**63), 2**63 - 1)
        | some.floats(allow_nan=False, allow_infinity=False) | some.text(),
        lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
        max_leaves=10,
    )
)  # fmt: skip
def test_json_values_read_back_exactly(value: Any) -> None:
    assert json.dumps(_kept(value)) == json.dumps(value)


@pytest.mark.spec("1.metadata", "5.hostile-values")
def test_metadata_keys_of_any_type(recorded: Recorded) -> None:
    with st.span("x") as s:
        s.metadata[1] = 2  # type: ignore[index]
        s.metadata["\ud800"] = 3
    assert recorded.spans[0].metadata == {"1": 2, "\ufffd": 3}
