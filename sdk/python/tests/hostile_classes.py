"""Classes whose instances refuse, lie about or get wrong whatever they are asked."""

from __future__ import annotations

import dataclasses
import enum
import sys
from collections.abc import Callable
from typing import Any, NamedTuple


class Silent:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RecursionError

    __str__ = __len__ = __bool__ = __iter__ = __hash__ = __eq__ = __call__ = __repr__  # type: ignore[assignment]
    __format__ = __dir__ = __contains__ = __getitem__ = __reduce__ = __int__ = __repr__  # type: ignore[assignment]


class Agreeable:
    """Has every attribute, and each is itself."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self

    def __len__(self) -> int:
        return sys.maxsize


class SaysStr:
    __class__ = str  # type: ignore[assignment]


class SaysDict:
    __class__ = dict  # type: ignore[assignment]


class RaisingClass:
    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise RuntimeError


class Reprs:
    """Its repr is a function that is given at birth."""

    def __init__(self, show: Callable[[], Any]) -> None:
        self.show = show

    def __repr__(self) -> Any:
        return self.show()


class HostileStr(str):
    __slots__ = ()

    def _refuse(self, *_: Any) -> Any:
        raise RuntimeError

    __len__ = __iter__ = __repr__ = __str__ = __getitem__ = __bool__ = encode = _refuse  # type: ignore[assignment]
    __add__ = __contains__ = join = lower = upper = __eq__ = _refuse  # type: ignore[assignment]
    __hash__ = str.__hash__


class HostileInt(int):
    def _refuse(self, *_: Any) -> Any:
        raise RuntimeError

    __int__ = __index__ = __repr__ = __str__ = __float__ = __bool__ = bit_length = _refuse  # type: ignore[assignment]


class HostileFloat(float):
    def _refuse(self, *_: Any) -> Any:
        raise RuntimeError

    __float__ = __int__ = __repr__ = __str__ = __bool__ = __eq__ = _refuse  # type: ignore[assignment]
    __hash__ = float.__hash__


class HostileBytes(bytes):
    def _refuse(self, *_: Any) -> Any:
        raise RuntimeError

    __len__ = __iter__ = __repr__ = __bytes__ = __getitem__ = decode = _refuse  # type: ignore[assignment]


class HostileDict(dict):  # type: ignore[type-arg]
    def _refuse(self, *_: Any) -> Any:
        raise RuntimeError

    __len__ = __iter__ = __repr__ = __getitem__ = keys = values = items = get = copy = _refuse  # type: ignore[assignment]


class HostileList(list):  # type: ignore[type-arg]
    def _refuse(self, *_: Any) -> Any:
        raise RuntimeError

    __len__ = __iter__ = __repr__ = __getitem__ = __contains__ = _refuse  # type: ignore[assignment]


class HostileTuple(tuple):  # type: ignore[type-arg]
    __slots__ = ()
    _fields = 5

    def _refuse(self, *_: Any) -> Any:
        raise RuntimeError

    __len__ = __iter__ = __repr__ = __getitem__ = _refuse  # type: ignore[assignment]


class HostileSet(set):  # type: ignore[type-arg]
    def _refuse(self, *_: Any) -> Any:
        raise RuntimeError

    __len__ = __iter__ = __repr__ = __contains__ = pop = _refuse  # type: ignore[assignment]


class HostileMeta(type):
    def _refuse(cls, *_: Any) -> Any:
        raise RuntimeError

    __getattribute__ = __hash__ = __eq__ = __repr__ = __instancecheck__ = __subclasscheck__ = (
        _refuse  # type: ignore[assignment]
    )


class OfHostileClass(metaclass=HostileMeta):
    pass


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError


class Colliding:
    """Raises when it is compared, which a dict that holds it does on a look-up."""

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        raise RuntimeError


class Point(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass
class Record:
    a: Any = None
    b: Any = None


@dataclasses.dataclass
class Slotted:
    __slots__ = ("a", "never_set")
    a: Any
    never_set: Any


@dataclasses.dataclass
class Guarded:
    a: Any = None

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class FalseDataclass:
    __dataclass_fields__ = 5


class FalseAttrs:
    __attrs_attrs__ = ("no field", None)


class FalsePydantic:
    __slots__ = ()
    __pydantic_fields__ = {"a": None}


class Colour(enum.Enum):
    RED = "red"
    LIST = [1]


class Flags(enum.IntFlag):
    A = 1
    B = 2
