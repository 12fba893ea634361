"""What stands for a value that is not plain JSON: the describer the native walker calls.

``describe`` answers one level: a plain object whose items the walker goes on with, or a text. It
looks at real types only (``type(value)``, never ``value.__class__``), asks classes rather than
instances, evaluates nothing lazy or remote, and consumes no iterator.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

# How much of a large table or array is shown.
_ARRAY_ITEMS = 10_000
_DECIMAL_BITS = 4_096
_TABLE_ROWS = 100

# Packages whose objects may fetch, compute or synchronise when looked into: type and shape only.
_REMOTE = frozenset(
    ("django", "sqlalchemy", "dask", "pyspark", "torch", "tensorflow", "jax", "jaxlib", "cupy")
)

Describer = Callable[[Any, int], Any]


def describe(value: Any, max_bytes: int) -> Any:
    """Tell what stands for ``value``; the caller turns whatever this raises into a marker."""
    cls = type(value)
    mro = type.__dict__["__mro__"].__get__(cls)
    for base in mro:
        describer = _BUILTIN.get(base)
        if describer is not None:
            if describer is _as_tuple and hasattr(cls, "_fields"):
                return dict(zip(cls._fields, tuple(value), strict=False))
            return describer(value, max_bytes)
    for base in mro:
        describer = _NAMED.get(f"{base.__module__}.{base.__qualname__}")
        if describer is not None:
            return describer(value, max_bytes)
    return _by_shape(value, cls, max_bytes)


def _by_shape(value: Any, cls: type, max_bytes: int) -> Any:
    package = str(cls.__module__).partition(".")[0]
    if package in _REMOTE:
        return _name_and_shape(value, cls)
    if package == "numpy":
        return _numpy(value, cls, max_bytes)
    if package == "pandas":
        return _pandas(value, cls, max_bytes)
    fields = getattr(cls, "__dataclass_fields__", None)
    if isinstance(fields, dict):
        return _attributes(value, fields)
    attrs = getattr(cls, "__attrs_attrs__", None)
    if isinstance(attrs, tuple):
        return _attributes(value, [field.name for field in attrs])
    if hasattr(cls, "__pydantic_fields__") or hasattr(cls, "__fields_set__"):
        return _pydantic(value)
    return _text(repr(value), max_bytes)


def _text(text: str, max_bytes: int) -> str:
    # The walker cuts at the limit; far beyond it nothing need even be copied.
    return text if len(text) <= 2 * max_bytes else text[: 2 * max_bytes]


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


def _numpy(value: Any, cls: type, max_bytes: int) -> Any:
    if not hasattr(cls, "tolist"):
        return _text(repr(value), max_bytes)
    if value.size <= _ARRAY_ITEMS:
        return value.tolist()
    head = value.ravel()[:_TABLE_ROWS].tolist()
    return {"type": "numpy.ndarray", "shape": value.shape, "dtype": str(value.dtype), "head": head}


def _pandas(value: Any, cls: type, max_bytes: int) -> Any:
    if cls.__qualname__ not in ("DataFrame", "Series"):
        return _text(repr(value), max_bytes)
    head = value.head(_TABLE_ROWS)
    described = {"type": f"pandas.{cls.__qualname__}", "shape": value.shape}
    if cls.__qualname__ == "DataFrame":
        described["columns"] = [str(column) for column in value.columns]
        described["rows"] = head.to_numpy().tolist()
    else:
        described["values"] = head.tolist()
    return described


def _wide_int(value: Any, max_bytes: int) -> str:
    # Only those beyond 64 bits come here. Decimal takes quadratic time: the widest are in base 16.
    text = int.__repr__(value) if int.bit_length(value) <= _DECIMAL_BITS else hex(int(value))
    return _text(text, max_bytes)


def _without_surrogates(value: Any, max_bytes: int) -> str:
    # Only those that UTF-8 cannot carry come here: each lone surrogate becomes one U+FFFD.
    return str.encode(value, "utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _as_str(value: Any, max_bytes: int) -> str:
    return _text(str(value), max_bytes)


def _as_repr(value: Any, max_bytes: int) -> str:
    return _text(repr(value), max_bytes)


def _as_tuple(value: Any, max_bytes: int) -> Any:  # noqa: ARG001 - one signature for all
    return tuple.__getitem__(value, slice(None))


def _as_memory(value: memoryview, max_bytes: int) -> Any:
    if value.nbytes <= max_bytes:
        return value.tobytes()
    return f"<memoryview of {value.nbytes} bytes>"


def _as_exception(value: BaseException, max_bytes: int) -> str:
    return _text(f"{type(value).__qualname__}: {value}", max_bytes)


def _as_callable(value: Any, max_bytes: int) -> str:  # noqa: ARG001 - one signature for all
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", "?")
    module = getattr(value, "__module__", None)
    return (
        f"<{type(value).__name__} {module}.{name}>"
        if module
        else f"<{type(value).__name__} {name}>"
    )


def _as_class(value: type, max_bytes: int) -> str:  # noqa: ARG001 - one signature for all
    names = type.__dict__
    module = names["__module__"].__get__(value) if "__module__" in names else value.__module__
    return f"<class {module}.{names['__qualname__'].__get__(value)}>"


def _plain(convert: Callable[[Any], Any]) -> Describer:
    return lambda value, _max_bytes: convert(value)


# Subclasses of str, int, float, dict, list and bytes never come here: the walker reads what they
# hold by the plain type's own functions.
_BUILTIN: dict[type, Describer] = {
    int: _wide_int,
    str: _without_surrogates,
    tuple: _as_tuple,
    bytearray: _plain(bytes),
    memoryview: _as_memory,
    set: _plain(lambda value: list(set.__iter__(value))),
    frozenset: _plain(lambda value: list(frozenset.__iter__(value))),
    complex: _as_repr,
    range: _as_repr,
    type: _as_class,
    type(_as_str): _as_callable,
    type(len): _as_callable,
    BaseException: _as_exception,
    type(sys): _as_callable,
    type({}.keys()): _plain(list),
    type({}.values()): _plain(list),
    type({}.items()): _plain(list),
    type(type.__dict__): _plain(dict),
}

# By name, so that nothing is imported that the program has not imported.
_NAMED: dict[str, Describer] = {
    "enum.Enum": _plain(lambda value: object.__getattribute__(value, "_value_")),
    "datetime.datetime": _plain(lambda value: value.isoformat()),
    "datetime.date": _plain(lambda value: value.isoformat()),
    "datetime.time": _plain(lambda value: value.isoformat()),
    "datetime.timedelta": _as_str,
    "uuid.UUID": _as_str,
    "decimal.Decimal": _as_str,
    "fractions.Fraction": _as_str,
    "pathlib.PurePath": _as_str,
    "pathlib._local.PurePath": _as_str,
    "collections.deque": _plain(list),
    "collections.UserDict": _plain(lambda value: dict(value.data)),
    "collections.UserList": _plain(lambda value: list(value.data)),
    "functools.partial": _as_repr,
}
