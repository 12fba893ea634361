"""What stands for a value that is not plain JSON: the describer the native walker calls.

``describe`` answers one level: a plain object whose items the walker goes on with, or a text. It
looks at real types only (``type(value)``, never ``value.__class__``), asks classes rather than
instances, evaluates nothing lazy or remote, and consumes no iterator.
"""

from __future__ import annotations

import collections
import contextlib
import sys
from collections.abc import Callable
from typing import Any

from .text import clean

# How much of a large table or array is shown.
_ARRAY_ITEMS = 10_000
_DECIMAL_BITS = 4_096
_TABLE_ROWS = 100

# Packages whose objects may fetch, compute or synchronise when looked into: type and shape only.
_REMOTE = frozenset(
    ("django", "sqlalchemy", "dask", "pyspark", "torch", "tensorflow", "jax", "jaxlib", "cupy")
)

Describer = Callable[[Any], Any]


def describe(value: Any) -> Any:
    """Tell what stands for ``value``; the caller turns whatever this raises into a marker.

    Nothing is cut here, however long: the caller cuts, after the redaction has seen the whole.
    """
    cls = type(value)
    mro = type.__dict__["__mro__"].__get__(cls)
    for base in mro:
        describer = _BUILTIN.get(base)
        if describer is not None:
            if describer is _as_tuple and hasattr(cls, "_fields"):
                return dict(zip(cls._fields, _as_tuple(value), strict=False))
            return describer(value)
    for base in mro:
        describer = _NAMED.get(f"{base.__module__}.{base.__qualname__}")
        if describer is not None:
            return describer(value)
    return _by_shape(value, cls)


def _by_shape(value: Any, cls: type) -> Any:
    package = str(cls.__module__).partition(".")[0]
    if package in _REMOTE:
        return _name_and_shape(value, cls)
    if package == "numpy":
        return _numpy(value, cls)
    if package == "pandas":
        return _pandas(value, cls)
    fields = getattr(cls, "__dataclass_fields__", None)
    if isinstance(fields, dict):
        return _attributes(value, fields)
    attrs = getattr(cls, "__attrs_attrs__", None)
    if isinstance(attrs, tuple):
        return _attributes(value, [field.name for field in attrs])
    if hasattr(cls, "__pydantic_fields__") or hasattr(cls, "__fields_set__"):
        return _pydantic(value)
    return repr(value)


def _attributes(value: Any, names: Any) -> dict[str, Any]:
    described = {}
    for name in names:
        try:
            described[name] = object.__getattribute__(value, name)
        except Exception as error:  # noqa: BLE001 - one bad attribute costs only itself
            described[name] = f"<unreadable: {type(error).__qualname__}>"
    return described


def _pydantic(value: Any) -> dict[str, Any]:
    # The instance's own dictionary: no validator, serialiser or computed field runs.
    fields = dict(object.__getattribute__(value, "__dict__"))
    with contextlib.suppress(AttributeError):
        fields.update(object.__getattribute__(value, "__pydantic_extra__") or {})
    return fields


def _name_and_shape(value: Any, cls: type) -> str:
    name = f"{cls.__module__}.{cls.__qualname__}"
    shape = None
    if hasattr(cls, "shape") and str(cls.__module__).partition(".")[0] != "django":
        shape = tuple(int(length) for length in value.shape)
    return f"<{name} shape={shape}>" if shape is not None else f"<{name}>"


def _numpy(value: Any, cls: type) -> Any:
    if not hasattr(cls, "tolist"):
        return repr(value)
    if value.size <= _ARRAY_ITEMS:
        return value.tolist()
    head = value.ravel()[:_TABLE_ROWS].tolist()
    return {"type": "numpy.ndarray", "shape": value.shape, "dtype": str(value.dtype), "head": head}


def _pandas(value: Any, cls: type) -> Any:
    if cls.__qualname__ not in ("DataFrame", "Series"):
        return repr(value)
    head = value.head(_TABLE_ROWS)
    described = {"type": f"pandas.{cls.__qualname__}", "shape": value.shape}
    if cls.__qualname__ == "DataFrame":
        described["columns"] = [str(column) for column in value.columns]
        described["rows"] = head.to_numpy().tolist()
    else:
        described["values"] = head.tolist()
    return described


def _wide_int(value: int) -> str:
    # Only those beyond 64 bits come here. Decimal takes quadratic time: the widest are in base 16.
    return int.__repr__(value) if int.bit_length(value) <= _DECIMAL_BITS else hex(int(value))


def _without_surrogates(value: str) -> str:
    # Only those that UTF-8 cannot carry come here.
    return clean(str.__str__(value))


def _as_tuple(value: Any) -> Any:
    return tuple.__getitem__(value, slice(None))


def _as_exception(value: BaseException) -> str:
    return f"{type(value).__qualname__}: {value}"


def _as_callable(value: Any) -> str:
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", "?")
    module = getattr(value, "__module__", None)
    return (
        f"<{type(value).__name__} {module}.{name}>"
        if module
        else f"<{type(value).__name__} {name}>"
    )


def _as_class(value: type) -> str:
    names = type.__dict__
    module = names["__module__"].__get__(value) if "__module__" in names else value.__module__
    return f"<class {module}.{names['__qualname__'].__get__(value)}>"


# Subclasses of str, int, float, dict, list and bytes never come here: the walker reads what they
# hold by the plain type's own functions.
_BUILTIN: dict[type, Describer] = {
    int: _wide_int,
    str: _without_surrogates,
    tuple: _as_tuple,
    bytearray: lambda value: bytes(memoryview(value)),
    memoryview: memoryview.tobytes,
    set: lambda value: list(set.__iter__(value)),
    frozenset: lambda value: list(frozenset.__iter__(value)),
    complex: repr,
    range: repr,
    type: _as_class,
    type(_as_callable): _as_callable,
    type(len): _as_callable,
    BaseException: _as_exception,
    type(sys): _as_callable,
    type({}.keys()): list,
    type({}.values()): list,
    type({}.items()): list,
    type(type.__dict__): dict,
}

# By name, so that nothing is imported that the program has not imported.
_NAMED: dict[str, Describer] = {
    "enum.Enum": lambda value: object.__getattribute__(value, "_value_"),
    "datetime.datetime": lambda value: value.isoformat(),
    "datetime.date": lambda value: value.isoformat(),
    "datetime.time": lambda value: value.isoformat(),
    "datetime.timedelta": str,
    "uuid.UUID": str,
    "decimal.Decimal": str,
    "fractions.Fraction": str,
    "pathlib.PurePath": str,
    "pathlib._local.PurePath": str,
    "collections.deque": lambda value: list(collections.deque.__iter__(value)),
    "collections.UserDict": lambda value: dict(value.data),
    "collections.UserList": lambda value: list(value.data),
    # Their own repr would call the repr of what they hold, lazy and remote values included.
    "collections.ChainMap": lambda value: list(value.maps),
    "types.SimpleNamespace": lambda value: dict(object.__getattribute__(value, "__dict__")),
    "functools.partial": lambda value: {
        "func": value.func,
        "args": value.args,
        "keywords": value.keywords,
    },
}
