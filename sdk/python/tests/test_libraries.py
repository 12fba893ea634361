"""Values of well-known libraries, the real ones: read, bounded, and never run."""

from __future__ import annotations

from typing import Any

import attrs
import numpy
import pandas
import pydantic
import pydantic.v1
import pytest

import staso as st
from staso.testing import Recorded

ran: list[str] = []


@attrs.define
class Address:
    """Has slots, as `attrs.define` makes them."""

    street: str
    lines: list[Any] = attrs.field(factory=list)

    def __repr__(self) -> str:
        ran.append("attrs repr")
        return "Address"


class Order(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    number: int
    address: Any = None
    parent: Order | None = None

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> int:
        ran.append("computed field")
        return 1

    @pydantic.field_serializer("number")
    def serialize(self, value: int) -> str:
        ran.append("serialiser")
        return "changed"


class OldOrder(pydantic.v1.BaseModel):
    number: int
    inner: Any = None

    def dict(self, **_: Any) -> dict[str, Any]:
        ran.append("dict")
        return {}


class Secret(pydantic.BaseModel):
    password: pydantic.SecretStr


def _kept(recorded: Recorded, value: Any) -> Any:
    ran.clear()

    @st.tool
    def call(argument: Any) -> Any:
        return argument

    assert call(value) is value
    (span,) = recorded.spans
    assert span.output["result"] == span.input["argument"]
    assert ran == []
    return span.input["argument"]


@pytest.mark.spec("5.types")
@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Address("here", [1]), {"street": "here", "lines": [1]}),
        (
            Order(number=5, address=Address("x"), parent=Order(number=6), extra=(1, 2)),  # type: ignore[call-arg]
            {
                "number": 5,
                "address": {"street": "x", "lines": []},
                "parent": {"number": 6, "address": None, "parent": None},
                "extra": [1, 2],
            },
        ),
        (OldOrder(number=5, inner=OldOrder(number=6)), {
            "number": 5, "inner": {"number": 6, "inner": None},
        }),
        (numpy.int64(5), 5),
        (numpy.float32(1.5), 1.5),
        (numpy.bool_(True), True),
        (numpy.str_("text"), "text"),
        (numpy.datetime64("2026-01-02"), "2026-01-02"),
        (numpy.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (numpy.array(["a", None], dtype=object), ["a", None]),
        (numpy.array([numpy.nan, 1.0]), ["NaN", 1.0]),
        (numpy.array(7), 7),
        (pandas.Timestamp("2026-01-02T03:04:05"), "2026-01-02T03:04:05"),
    ],
)  # fmt: skip
def test_values_as_they_are(recorded: Recorded, value: Any, kept: Any) -> None:
    assert _kept(recorded, value) == kept


@pytest.mark.spec("5.types")
def test_a_secret_of_pydantic_stays_hidden(recorded: Recorded) -> None:
    kept = _kept(recorded, Secret(password=pydantic.SecretStr("hunter2")))
    assert "hunter2" not in str(kept)
    assert "password" in kept


@pytest.mark.spec("5.types", "5.size")
def test_a_large_array_is_told_by_shape_and_head(recorded: Recorded) -> None:
    kept = _kept(recorded, numpy.zeros((1000, 1000), dtype="float32"))
    assert (kept["type"], kept["shape"], kept["dtype"]) == (
        "numpy.ndarray",
        [1000, 1000],
        "float32",
    )
    assert 0 < len(kept["head"]) <= 1000


@pytest.mark.spec("5.types", "5.size")
def test_tables_are_told_by_columns_and_head(recorded: Recorded) -> None:
    frame = pandas.DataFrame({"a": range(100_000), "b": ["x"] * 100_000})
    before = frame.copy()
    kept = _kept(recorded, {"frame": frame, "series": frame["a"]})
    assert kept["frame"]["type"] == "pandas.DataFrame"
    assert kept["frame"]["columns"] == ["a", "b"]
    assert kept["frame"]["shape"] == [100_000, 2]
    assert kept["frame"]["rows"][:2] == [[0, "x"], [1, "x"]]
    assert (kept["series"]["type"], kept["series"]["values"][:2]) == ("pandas.Series", [0, 1])
    assert len(kept["frame"]["rows"]) <= 1000
    pandas.testing.assert_frame_equal(frame, before)


@pytest.mark.spec("5.types", "5.never-raises")
def test_odd_values_of_libraries_cost_only_themselves(recorded: Recorded) -> None:
    half = Order.model_construct()
    object.__delattr__(half, "__dict__")
    odd = [
        half,
        object.__new__(Address),
        pydantic.v1.BaseModel.__new__(OldOrder),
        numpy.void(b"abc"),
        numpy.array([(1, 2.5)], dtype=[("a", int), ("b", float)]),
        numpy.ma.masked,
        numpy.errstate(),
        pandas.NaT,
        pandas.NA,
        pandas.Categorical(["a"]),
        pandas.DataFrame({1: [object()]}, index=[None]),
        pandas.Index([1, 2]),
    ]
    kept = _kept(recorded, [*odd, "after"])
    assert (len(kept), kept[-1]) == (len(odd) + 1, "after")
