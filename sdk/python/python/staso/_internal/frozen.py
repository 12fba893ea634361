"""Frozen dataclasses without the module ``dataclasses``.

Importing that one costs a bare program over a megabyte of memory, for a handful of classes that
every program has and few look into. Here is what those classes need; whoever does look
(``dataclasses.fields``, ``replace``, ``asdict``) has imported the module and gets its own fields.
Type checkers are shown the real decorator.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` is slower to import than this whole package
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_NOTHING = object()


class field:  # noqa: N801 - named as the real one is
    """A default, and what the field is left out of."""

    def __init__(
        self,
        *,
        default: Any = _NOTHING,
        repr: bool = True,  # noqa: A002 - as above
        compare: bool = True,
    ) -> None:
        self.default, self.repr, self.compare = default, repr, compare


def dataclass(*, frozen: bool) -> Callable[[type], type]:
    """Make a class one whose instances are their fields and never change."""
    if not frozen:
        raise TypeError("what changes is no value")
    return _make


def _make(cls: type) -> type:
    fields = {name: _field_of(cls, name) for name in cls.__annotations__}
    for name, one in fields.items():
        if one.default is not _NOTHING:
            setattr(cls, name, one.default)
    members: dict[str, Any] = {
        "__init__": _initialiser(cls, fields),
        "__repr__": _representation([name for name, one in fields.items() if one.repr]),
        "__setattr__": _refuse(cls, fields, "assign to", object.__setattr__),
        "__delattr__": _refuse(cls, fields, "delete", object.__delattr__),
        "__replace__": _replace,
        "__match_args__": tuple(fields),
    }
    for name in ("__dataclass_fields__", "__dataclass_params__"):
        members[name] = _Looked(cls, fields, name)
    members["__eq__"], members["__hash__"] = _comparison(
        [name for name, one in fields.items() if one.compare]
    )
    for name, member in members.items():
        setattr(cls, name, member)
    return cls


def _field_of(cls: type, name: str) -> field:
    default = cls.__dict__.get(name, _NOTHING)
    return default if isinstance(default, field) else field(default=default)


def _initialiser(cls: type, fields: dict[str, field]) -> Any:
    """Build it from text, as the real one is: it has the fields' own names and costs no loop."""
    defaults = {f"_{name}": one.default for name, one in fields.items()}
    parameters = [
        name if one.default is _NOTHING else f"{name}=_{name}" for name, one in fields.items()
    ]
    body = "; ".join(f"_set(self, {name!r}, {name})" for name in fields)
    scope: dict[str, Any] = {**defaults, "_set": object.__setattr__}
    exec(f"def __init__(self, {', '.join(parameters)}): {body}", scope)
    initialiser = scope["__init__"]
    initialiser.__qualname__ = f"{cls.__qualname__}.__init__"
    initialiser.__module__ = cls.__module__
    initialiser.__annotations__ = {**cls.__annotations__, "return": None}
    return initialiser


def _representation(names: list[str]) -> Any:
    def represent(self: Any) -> str:
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({told})"

    return represent


def _comparison(names: list[str]) -> tuple[Any, Any]:
    def values(one: Any) -> tuple[Any, ...]:
        return tuple(getattr(one, name) for name in names)

    def equal(self: Any, other: object) -> Any:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    def hashed(self: Any) -> int:
        return hash(values(self))

    return equal, hashed


def _refuse(cls: type, fields: dict[str, field], doing: str, do: Any) -> Any:
    """Refuse for the class itself and for its fields; a subclass may have attributes of its own."""

    def refuse(self: Any, name: str, *value: Any) -> None:
        if type(self) is not cls and name not in fields:
            do(self, name, *value)
            return
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot {doing} field {name!r}")

    return refuse


def _replace(self: Any, /, **changes: Any) -> Any:
    """What ``copy.replace`` asks for, from Python 3.13 on."""
    import dataclasses

    return dataclasses.replace(self, **changes)


class _Looked:
    """What ``dataclasses`` itself keeps on a class, made by it on the first look."""

    def __init__(self, cls: type, fields: dict[str, field], name: str) -> None:
        self._cls, self._fields, self._name = cls, fields, name

    def __get__(self, instance: object, owner: type) -> Any:
        import dataclasses

        members: dict[str, Any] = {"__annotations__": {**self._cls.__annotations__}}
        for name, one in self._fields.items():
            if one.default is not _NOTHING:
                members[name] = dataclasses.field(
                    default=one.default, repr=one.repr, compare=one.compare
                )
        made: Any = dataclasses.dataclass(frozen=True)(
            type(self._cls.__name__, (), {**members, "__module__": self._cls.__module__})
        )
        found = made.__dict__[self._name]
        type.__setattr__(self._cls, self._name, found)
        return found
