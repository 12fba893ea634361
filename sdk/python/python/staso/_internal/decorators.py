"""``@agent``, ``@tool`` and ``@trace``: a span for each call of a function.

The signature is looked at once, at decoration; a call then costs one native object that binds the
arguments, times the call and records it. The wrapper is a function of the same flavour (plain,
coroutine, generator, asynchronous generator), so that whoever asks what it is gets the same answer.
"""

# ruff: noqa: F811 - `overload` is known to type checkers only, see below
from __future__ import annotations

import contextlib
import functools
from types import CodeType, FunctionType

from .._core import Plan, generate_agent_id
from .kinds import SpanKind
from .streams import Stream
from .text import text_of

TYPE_CHECKING = False  # `typing` is slower to import than this whole package
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
    from typing import Any, TypeVar, overload

    F = TypeVar("F", bound=Callable[..., Any])
else:

    def overload(fn):  # noqa: ANN001, ANN202 - only where nobody checks types
        return fn


_VAR_POSITIONAL, _KEYWORD_ONLY, _VAR_KEYWORD = 2, 3, 4
_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200
_LAYERS = 100  # decorators on one function; more is an object that has every attribute


@overload
def agent(_fn: F, name: str | None = None) -> F: ...
@overload
def agent(
    _fn: None = None,
    name: str | None = None,
    *,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    capture_input: bool = True,
    capture_output: bool = True,
) -> Callable[[F], F]: ...
def agent(
    _fn: Any = None,
    name: str | None = None,
    *,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    capture_input: bool = True,
    capture_output: bool = True,
) -> Any:
    """Trace a function as an agent; everything nested in a call belongs to it."""
    options = (SpanKind.AGENT, name, tags, metadata, capture_input, capture_output)
    return _decorate(_fn, *options)


@overload
def tool(_fn: F, name: str | None = None) -> F: ...
@overload
def tool(
    _fn: None = None,
    name: str | None = None,
    *,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    capture_input: bool = True,
    capture_output: bool = True,
) -> Callable[[F], F]: ...
def tool(
    _fn: Any = None,
    name: str | None = None,
    *,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    capture_input: bool = True,
    capture_output: bool = True,
) -> Any:
    """Trace a function as a tool an agent calls."""
    options = (SpanKind.TOOL, name, tags, metadata, capture_input, capture_output)
    return _decorate(_fn, *options)


@overload
def trace(_fn: F, name: str | None = None) -> F: ...
@overload
def trace(
    _fn: None = None,
    name: str | None = None,
    *,
    kind: str | SpanKind = SpanKind.CHAIN,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    capture_input: bool = True,
    capture_output: bool = True,
) -> Callable[[F], F]: ...
def trace(
    _fn: Any = None,
    name: str | None = None,
    *,
    kind: str | SpanKind = SpanKind.CHAIN,
    tags: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    capture_input: bool = True,
    capture_output: bool = True,
) -> Any:
    """Trace a function as a step of any kind."""
    return _decorate(_fn, _kind(kind), name, tags, metadata, capture_input, capture_output)


def _kind(kind: str | SpanKind) -> SpanKind:
    try:
        return SpanKind(kind.lower())
    except (ValueError, AttributeError):
        words = ", ".join(f'"{word}"' for word in SpanKind)
        raise ValueError(f"kind must be one of {words} (or a SpanKind), not {kind!r}") from None


def _decorate(fn: Any, kind: SpanKind, name: str | None, *options: Any) -> Any:
    if isinstance(fn, str) and name is None:
        # @tool("search"): a name where the function would stand.
        fn, name = None, fn
    if fn is None:
        return lambda fn: _wrap(fn, kind, name, *options)
    return _wrap(fn, kind, name, *options)


def _wrap(
    fn: Any,
    kind: SpanKind,
    name: str | None,
    tags: Any,
    metadata: Any,
    capture_input: bool,
    capture_output: bool,
    *,
    skips_first: bool | None = None,
) -> Any:
    options = (kind, name, tags, metadata, capture_input, capture_output)
    if isinstance(fn, classmethod):
        return classmethod(_wrap(fn.__func__, *options, skips_first=True))
    if isinstance(fn, staticmethod):
        return staticmethod(_wrap(fn.__func__, *options, skips_first=False))
    parameters = _parameters(fn)
    if skips_first is None:
        skips_first = bool(parameters) and parameters[0][0] in ("self", "cls")
    if skips_first and parameters and parameters[0][1] < _VAR_POSITIONAL:
        parameters = parameters[1:]
    label = (text_of(name) if name is not None else "") or _label(fn)
    capture_input, capture_output = _is_on(capture_input), _is_on(capture_output)
    attributes = _attributes(fn, kind, label, tags, metadata)
    agent_id = generate_agent_id(label) if kind is SpanKind.AGENT else None
    plan = Plan(label, kind, parameters, skips_first, agent_id, attributes, capture_input)
    return _FLAVOURS.get(_flavour(fn), _plain)(fn, plan, capture_output)


def _is_on(flag: object) -> bool:
    """What cannot say whether it is true captures nothing."""
    try:
        return bool(flag)
    except Exception:  # noqa: BLE001 - a user's __bool__ may do anything
        return False


def _label(fn: Any) -> str:
    inner = fn.func if isinstance(fn, functools.partial) else fn
    return _name_of(inner, "__name__") or type(inner).__name__


def _name_of(fn: Any, attribute: str) -> str | None:
    """The function's own word for itself; a stand-in that has every attribute has no such word."""
    try:
        name = getattr(fn, attribute, None)
    except Exception:  # noqa: BLE001 - a callable object's attributes may do anything
        return None
    return text_of(name) if isinstance(name, str) else None


def _code_of(fn: Any) -> CodeType | None:
    """Find the code object behind partials and callable objects, where there is one."""
    try:
        code = _code_behind(fn)
    except Exception:  # noqa: BLE001 - a callable object's attributes may do anything
        return None
    return code if isinstance(code, CodeType) else None


def _code_behind(fn: Any) -> Any:
    while isinstance(fn, functools.partial):
        fn = fn.func
    is_callable_object = not hasattr(fn, "__code__") and not hasattr(fn, "__func__")
    if is_callable_object and not isinstance(fn, type):
        fn = type(fn).__call__
    return getattr(fn, "__code__", None)


def _innermost(fn: Any) -> Any:
    """Find the function under partials and other decorators: where its author would look for it."""
    with contextlib.suppress(Exception):  # a callable object's attributes may do anything
        for _ in range(_LAYERS):
            is_partial = isinstance(fn, functools.partial)
            inner = fn.func if is_partial else getattr(fn, "__wrapped__", None)
            if not callable(inner):
                break
            fn = inner
    return fn


def _flavour(fn: Any) -> int:
    code = _code_of(fn)
    flags = code.co_flags if code is not None else 0
    return flags & (_GENERATOR | _COROUTINE | _ASYNC_GENERATOR)


def _attributes(fn: Any, kind: SpanKind, label: str, tags: Any, metadata: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    code = _code_of(_innermost(fn))
    if code is not None:
        attributes["code.filepath"] = code.co_filename
        attributes["code.lineno"] = code.co_firstlineno
    attributes["code.function"] = _name_of(fn, "__qualname__") or _label(fn)
    if kind is SpanKind.TOOL:
        attributes["tool_name"] = label
    listed = _listed(tags)
    if listed:
        attributes["tags"] = listed
    try:
        attributes.update({} if metadata is None else dict(metadata))
    except Exception as error:  # noqa: BLE001 - a wrong option costs only itself
        from .log import warn_once

        warn_once("metadata", f"metadata={type(metadata).__name__} is no mapping: {error!r:.80}")
    return attributes


def _listed(tags: Any) -> list[Any]:
    if tags is None or isinstance(tags, str):
        return [tags] if tags else []
    try:
        return list(tags)
    except Exception:  # noqa: BLE001 - one tag that is no text is still shown
        return [tags]


def _parameters(fn: Any) -> list[tuple[str, int, Any]]:
    """List ``(name, kind number, default or ...)``, off the code object where that is plain."""
    if isinstance(fn, FunctionType) and not hasattr(fn, "__wrapped__"):
        return _parameters_of_code(fn)
    import inspect

    try:
        signature = inspect.signature(fn)
    except Exception:  # noqa: BLE001 - a callable object's attributes may do anything
        return [("args", _VAR_POSITIONAL, ...), ("kwargs", _VAR_KEYWORD, ...)]
    empty = inspect.Parameter.empty
    return [
        (
            parameter.name,
            int(parameter.kind),
            ... if parameter.default is empty else parameter.default,
        )
        for parameter in signature.parameters.values()
    ]


def _parameters_of_code(fn: FunctionType) -> list[tuple[str, int, Any]]:
    code, names = fn.__code__, fn.__code__.co_varnames
    positional, keyword = code.co_argcount, code.co_kwonlyargcount
    defaults = fn.__defaults__ or ()
    keyword_defaults = fn.__kwdefaults__ or {}
    parameters: list[tuple[str, int, Any]] = []
    for at, name in enumerate(names[:positional]):
        from_end = at - (positional - len(defaults))
        default = defaults[from_end] if from_end >= 0 else ...
        parameters.append((name, int(at >= code.co_posonlyargcount), default))
    at = positional + keyword
    if code.co_flags & 0x04:
        parameters.append((names[at], _VAR_POSITIONAL, ...))
        at += 1
    for name in names[positional : positional + keyword]:
        parameters.append((name, _KEYWORD_ONLY, keyword_defaults.get(name, ...)))
    if code.co_flags & 0x08:
        parameters.append((names[at], _VAR_KEYWORD, ...))
    return parameters


def _plain(fn: Any, plan: Plan, capture_output: bool) -> Any:
    call = plan.call

    @functools.wraps(fn, updated=_updated(fn))
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return call(fn, args, kwargs, capture_output)

    return wrapper


def _coroutine(fn: Any, plan: Plan, capture_output: bool) -> Any:
    begin = plan.begin

    @functools.wraps(fn, updated=_updated(fn))
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with begin(args, kwargs) as span:
            result = await fn(*args, **kwargs)
            if capture_output:
                span._returned(result)
            return result

    return wrapper


def _generator(fn: Any, plan: Plan, capture_output: bool) -> Any:
    begin = plan.begin

    @functools.wraps(fn, updated=_updated(fn))
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        stream = Stream(begin(args, kwargs), capture_output)
        body = fn(*args, **kwargs)
        step: Any = body.send
        argument: Any = None
        while True:
            try:
                item = stream.step(step, argument)
            except StopIteration as stop:
                return stop.value
            step = body.send
            try:
                argument = yield item
            except GeneratorExit:
                stream.close(body)
                raise
            except BaseException as error:  # noqa: BLE001 - whatever is thrown in, the body gets
                step, argument = body.throw, error

    return wrapper


def _async_generator(fn: Any, plan: Plan, capture_output: bool) -> Any:
    begin = plan.begin

    @functools.wraps(fn, updated=_updated(fn))
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        stream = Stream(begin(args, kwargs), capture_output)
        body = fn(*args, **kwargs)
        step: Any = body.asend
        argument: Any = None
        while True:
            try:
                item = await stream.step_async(step, argument)
            except StopAsyncIteration:
                return
            step = body.asend
            try:
                argument = yield item
            except GeneratorExit:
                await stream.close_async(body)
                raise
            except BaseException as error:  # noqa: BLE001 - whatever is thrown in, the body gets
                step, argument = body.athrow, error

    return wrapper


def _updated(fn: Any) -> tuple[str, ...]:
    # A callable object's attributes are its state, not a function's.
    return ("__dict__",) if isinstance(fn, FunctionType) else ()


_FLAVOURS: dict[int, Callable[[Any, Plan, bool], Any]] = {
    0: _plain,
    _COROUTINE: _coroutine,
    _GENERATOR: _generator,
    _ASYNC_GENERATOR: _async_generator,
}
