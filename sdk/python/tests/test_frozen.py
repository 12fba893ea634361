"""Our frozen classes are what ``dataclasses`` would have made of them."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from typing import Any

import pytest

import staso as st
from staso._internal import frozen


def shape(of: Any, field: Any) -> type:
    @of(frozen=True)
    class Shape:
        name: str
        size: int = 2
        hidden: float = field(default=0.5, repr=False)
        aside: list[int] | None = field(default=None, compare=False)

        def doubled(self) -> int:
            return self.size * 2

    return Shape


def test_a_frozen_class_is_what_the_real_decorator_makes() -> None:
    ours, real = (shape(m.dataclass, m.field) for m in (frozen, dataclasses))
    assert str(inspect.signature(ours)) == str(inspect.signature(real))
    assert ours.__match_args__ == real.__match_args__  # type: ignore[attr-defined]
    for given in (("a",), ("a", 3), ("a", 2, 1.5), ("b", 2, 0.5, [1])):
        one, other = ours(*given), real(*given)
        assert repr(one) == repr(other)
        assert one.__dict__ == other.__dict__
        assert one.doubled() == other.doubled()
        assert dataclasses.asdict(one) == dataclasses.asdict(other)
        assert dataclasses.astuple(one) == dataclasses.astuple(other)
    assert ours("a", aside=[1]) == ours("a", aside=[2]) != ours("b")
    assert hash(ours("a")) == hash(ours("a", aside=[1]))
    assert ours("a") != real("a")
    with pytest.raises(TypeError):
        ours()
    for refused in (lambda one: setattr(one, "name", 1), lambda one: delattr(one, "size")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            refused(ours("a"))


def test_whoever_looks_finds_real_fields() -> None:
    ours, real = (shape(m.dataclass, m.field) for m in (frozen, dataclasses))
    assert dataclasses.is_dataclass(ours)

    def told(cls: Any) -> list[Any]:
        fields = dataclasses.fields(cls)
        return [(one.name, one.type, one.default, one.repr, one.compare) for one in fields]

    assert told(ours) == told(real) == told(ours("a"))
    assert dataclasses.replace(ours("a"), size=5) == ours("a", 5)


def test_a_frozen_class_can_be_built_upon() -> None:
    for m in (frozen, dataclasses):
        base: Any = shape(m.dataclass, m.field)

        class Plain(base):  # type: ignore[misc]
            pass

        plain = Plain("a")
        plain.note = "its own"
        del plain.note
        for refused in (lambda one: setattr(one, "name", 1), lambda one: delattr(one, "size")):
            with pytest.raises(dataclasses.FrozenInstanceError):
                refused(plain)

        @dataclasses.dataclass(frozen=True)
        class More(base):  # type: ignore[misc]
            more: int = 3

        assert [one.name for one in dataclasses.fields(More)] == [*base.__match_args__, "more"]
        assert More("a", more=4).__dict__ == {**base("a").__dict__, "more": 4}
        with pytest.raises(TypeError):
            dataclasses.dataclass(type("Thawed", (base,), {"__annotations__": {"more": int}}))


@pytest.mark.skipif(not hasattr(copy, "replace"), reason="copy.replace is of Python 3.13")
def test_copy_replace() -> None:
    ours = shape(frozen.dataclass, frozen.field)
    assert copy.replace(ours("a"), size=5) == ours("a", 5)  # type: ignore[attr-defined]


def test_values_can_be_copied_and_sent() -> None:
    report = st.DeliveryReport(1, 1, 0, 0, last_failure=st.DeliveryFailureKind.TIMEOUT)
    for copied in (copy.copy(report), copy.deepcopy(report), pickle.loads(pickle.dumps(report))):
        assert copied == report
        assert copied.last_failure is st.DeliveryFailureKind.TIMEOUT
