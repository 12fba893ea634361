"""Object graphs nobody would write on purpose, built from recipes.

A recipe is plain data (nested tuples of words and scalars) that hypothesis draws, shrinks and
prints; :func:`build` makes the objects. Drawing recipes instead of objects leaves no reference to
an object in hypothesis, so that a test can tell whether the SDK keeps one.
"""

from __future__ import annotations

import array
import asyncio
import collections
import ctypes
import datetime
import decimal
import fractions
import functools
import pathlib
import re
import sys
import threading
import types
import uuid
import weakref
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from hostile_classes import (
    Agreeable,
    Colliding,
    Colour,
    FalseAttrs,
    FalseDataclass,
    FalsePydantic,
    Flags,
    Guarded,
    HostileBytes,
    HostileDict,
    HostileFloat,
    HostileInt,
    HostileList,
    HostileSet,
    HostileStr,
    HostileTuple,
    OfHostileClass,
    Point,
    RaisingClass,
    Record,
    Reprs,
    SaysDict,
    SaysStr,
    Silent,
    Slotted,
    Unhashable,
)
from hypothesis import strategies as some

import staso as st


class Seen:
    """What a graph's objects noticed while they were recorded."""

    def __init__(self) -> None:
        self.above: list[Any] = []
        self.references: list[weakref.ref[Any]] = []
        self.iterators: list[tuple[Iterator[Any], list[Any]]] = []
        self.evaluated: list[str] = []

    def iterator(self, made: Iterator[Any], expected: list[Any]) -> Iterator[Any]:
        """Remember what ``made`` must still give when all is over."""
        self.iterators.append((made, expected))
        return made


class _Struct(ctypes.Structure):
    _fields_ = [("p", ctypes.c_void_p)]


def _lazy(module: str, seen: Seen) -> Any:
    """An object of a library whose objects fetch or compute when they are looked into."""

    def look(self: Any, *_: Any) -> Any:
        seen.evaluated.append(module)
        raise RuntimeError

    names = ("__iter__", "__len__", "__repr__", "__str__", "__bool__", "__getitem__", "__array__")
    return type("Lazy", (), {**dict.fromkeys(names, look), "__module__": module})()


def _released() -> memoryview:
    view = memoryview(b"abc")
    view.release()
    return view


def _dead_proxy() -> Any:
    class Short:
        pass

    return weakref.proxy(Short())


def _closed_coroutine() -> Any:
    async def nothing() -> None: ...

    coroutine = nothing()
    coroutine.close()
    return coroutine


def _raiser(error: type[BaseException]) -> Reprs:
    def show() -> str:
        raise error

    return Reprs(show)


def _opens_a_span() -> str:
    with st.span("in a repr") as s:
        s.output = 1
    return "opened"


# Leaves: a word of a recipe, and what makes the object.
LEAVES: dict[str, Callable[[Seen], Any]] = {
    "silent": lambda _: Silent(),
    "agreeable": lambda _: Agreeable(),
    "says str": lambda _: SaysStr(),
    "says dict": lambda _: SaysDict(),
    "raising class": lambda _: RaisingClass(),
    "repr is no str": lambda _: Reprs(lambda: 5),
    "repr of surrogates": lambda _: Reprs(lambda: "\ud800"),
    "long repr": lambda _: Reprs(lambda: "x" * 3_000_000),
    "repr opens a span": lambda _: Reprs(_opens_a_span),
    "repr exits": lambda _: _raiser(SystemExit),
    "repr is cancelled": lambda _: _raiser(asyncio.CancelledError),
    "repr runs out of memory": lambda _: _raiser(MemoryError),
    "repr stops": lambda _: _raiser(StopIteration),
    "repr leaves a generator": lambda _: _raiser(GeneratorExit),
    "str": lambda _: HostileStr("text"),
    "int": lambda _: HostileInt(5),
    "wide int": lambda _: HostileInt(1 << 20_000),
    "float": lambda _: HostileFloat(1.5),
    "bytes": lambda _: HostileBytes(b"b"),
    "hostile class": lambda _: OfHostileClass,
    "of a hostile class": lambda _: OfHostileClass(),
    "unhashable": lambda _: Unhashable(),
    "half a dataclass": lambda _: Slotted.__new__(Slotted),
    "guarded dataclass": lambda _: Guarded(),
    "false dataclass": lambda _: FalseDataclass(),
    "false attrs": lambda _: FalseAttrs(),
    "false pydantic": lambda _: FalsePydantic(),
    "enum": lambda _: Colour.RED,
    "enum of a list": lambda _: Colour.LIST,
    "flags": lambda _: Flags.A | Flags.B,
    "struct": lambda _: _Struct(),
    "null pointer": lambda _: ctypes.POINTER(ctypes.c_int)(),
    "released view": lambda _: _released(),
    "dead proxy": lambda _: _dead_proxy(),
    "coroutine": lambda _: _closed_coroutine(),
    "lock": lambda _: threading.Lock(),
    "module": lambda _: re,
    "match": lambda _: re.match("a", "a"),
    "frame": lambda _: sys._getframe(),
    "ellipsis": lambda _: ...,
    "object": lambda _: object(),
    "class": lambda _: Record,
    "function": lambda _: build,
    "method": lambda _: [].append,
    "mock": lambda _: mock.MagicMock(),
    "date": lambda _: datetime.date(2026, 1, 2),
    "delta": lambda _: datetime.timedelta(days=10**6),
    "decimal": lambda _: decimal.Decimal("sNaN"),
    "fraction": lambda _: fractions.Fraction(1, 3),
    "uuid": lambda _: uuid.UUID(int=5),
    "path": lambda _: pathlib.Path("a") / "b",
    "range": lambda _: range(10**30),
    "array": lambda _: array.array("d", [1.5]),
    "complex": lambda _: complex("nan"),
    "view": lambda _: memoryview(b"abcdef")[::2],
    "django": lambda seen: _lazy("django.db.models.query", seen),
    "sqlalchemy": lambda seen: _lazy("sqlalchemy.orm.query", seen),
    "dask": lambda seen: _lazy("dask.dataframe", seen),
    "torch": lambda seen: _lazy("torch", seen),
    "generator": lambda seen: seen.iterator((i for i in range(3)), [0, 1, 2]),
    "iterator": lambda seen: seen.iterator(iter([1, 2]), [1, 2]),
    "map": lambda seen: seen.iterator(map(str, [1]), ["1"]),
    "zip": lambda seen: seen.iterator(zip([1], [2], strict=True), [(1, 2)]),
    "dict iterator": lambda seen: seen.iterator(iter({"a": 1}), ["a"]),
    "exception": lambda _: ValueError("why"),
}


def _is(value: Any, *classes: type) -> bool:
    """Whether the real type is one of these; by identity, since classes may be hostile too."""
    return any(type(value) is cls for cls in classes)


def _key(value: Any) -> Any:
    return value if _is(value, str, int, float, bool, bytes, type(None)) else Colliding()


# Containers that can hold themselves: made empty, then filled.
_OPEN: dict[str, tuple[Callable[[], Any], Callable[[Any, list[Any]], Any]]] = {
    "list": (list, list.extend),
    "hostile list": (HostileList, list.extend),
    "deque": (collections.deque, collections.deque.extend),
    "user list": (collections.UserList, lambda made, items: made.data.extend(items)),
    "dict": (dict, lambda made, items: made.update(enumerate(items))),
    "hostile dict": (HostileDict, lambda made, items: dict.update(made, enumerate(items))),
    "ordered": (collections.OrderedDict, lambda made, items: made.update(enumerate(items))),
    "namespace": (types.SimpleNamespace, lambda made, items: made.__dict__.update(a=items)),
    "dataclass": (Record, lambda made, items: made.__dict__.update(a=items)),
    "exception with": (ValueError, lambda made, items: made.__dict__.update(items=items)),
}

# Containers that are made of what they hold.
_CLOSED: dict[str, Callable[[list[Any], Seen], Any]] = {
    "tuple": lambda items, _: tuple(items),
    "hostile tuple": lambda items, _: HostileTuple(items),
    "named tuple": lambda items, _: Point(items, None),
    "proxy": lambda items, _: types.MappingProxyType({"a": items}),
    "keyed": lambda items, _: {_key(item): item for item in items},
    "set": lambda items, _: {Colliding()} | {item for item in items if _is(item, str, int)},
    "hostile set": lambda items, _: HostileSet(i for i in items if _is(i, str)),
    "frozen set": lambda items, _: frozenset(i for i in items if _is(i, bytes)),
    "values": lambda items, _: dict(enumerate(items)).values(),
    "items": lambda items, _: dict(enumerate(items)).items(),
    "lazy": lambda items, seen: seen.iterator((item for item in items), items),
    "partial": lambda items, _: functools.partial(len, items),
    "chain map": lambda items, _: collections.ChainMap({"a": items}),
}

_scalars = some.one_of(
    some.none(), some.booleans(), some.integers(), some.floats(), some.binary(max_size=20),
    some.text(some.characters(exclude_categories=()), max_size=20),
)  # fmt: skip

#: Recipes of graphs: a scalar, the word of a leaf, a way back to a container, a filled container.
recipes: some.SearchStrategy[Any] = some.recursive(
    some.one_of(
        some.tuples(some.just("="), _scalars),
        some.tuples(some.just("leaf"), some.sampled_from(sorted(LEAVES))),
        some.tuples(some.just("back"), some.integers(0, 3)),
    ),
    lambda inner: some.tuples(
        some.sampled_from(sorted(_OPEN) + sorted(_CLOSED)), some.lists(inner, max_size=4)
    ),
    max_leaves=20,
)


def build(recipe: Any, seen: Seen) -> Any:
    """Make the graph of ``recipe``, with weak references in ``seen`` to what allows them."""
    word, argument = recipe
    if word == "=":
        return argument
    if word == "back":
        return seen.above[argument % len(seen.above)] if seen.above else None
    if word == "leaf":
        made = LEAVES[argument](seen)
        if _is(made, Silent, Agreeable, Reprs, Unhashable, mock.MagicMock):
            seen.references.append(weakref.ref(made))
        return made
    if word in _CLOSED:
        return _CLOSED[word]([build(child, seen) for child in argument], seen)
    make, fill = _OPEN[word]
    made = make()
    seen.above.append(made)
    fill(made, [build(child, seen) for child in argument])
    seen.above.pop()
    if _is(made, HostileList, HostileDict, Record):
        seen.references.append(weakref.ref(made))
    return made
