# The native module as type checkers see it: what the package `staso` builds on, and nothing a user
# imports by this name.
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Literal, TypeAlias, final

from ._internal.kinds import AnnotationDataType, SpanKind, SpanStatus
from ._internal.reports import EnqueueResult

__all__ = [
    "Capture",
    "Engine",
    "Plan",
    "Scope",
    "Span",
    "__version__",
    "annotate",
    "current_entry",
    "current_ids",
    "current_span",
    "generate_agent_id",
    "span",
    "start_span",
    "swap_entry",
    "take_messages",
]

__version__: str

_Entry: TypeAlias = object
_Remote: TypeAlias = tuple[str, str, bool]
_Redaction: TypeAlias = tuple[Callable[[tuple[Any, ...], Any], Any] | None, list[str]]

@final
class Span:
    """One piece of work: a context manager whose block is timed and recorded."""

    name: str
    model: str | None
    provider: str | None
    requested_model: str | None
    reasoning_effort: str | None
    usage_available: bool | None
    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    error_message: str | None
    input: Any
    output: Any
    metadata: dict[str, Any]
    agent_name: str | None
    agent_id: str | None
    agent_version: str | None
    session_id: str | None
    user_id: str | None
    @property
    def kind(self) -> SpanKind: ...
    @kind.setter
    def kind(self, value: str | SpanKind, /) -> None: ...
    @property
    def status(self) -> SpanStatus: ...
    @status.setter
    def status(self, value: str | SpanStatus, /) -> None: ...
    @property
    def trace_id(self) -> str:
        """The trace's id as UUID text; empty before the span starts."""

    @property
    def span_id(self) -> str:
        """The span's id as UUID text, zero-padded on the left; empty before the span starts."""

    @property
    def parent_span_id(self) -> str | None:
        """The parent's id; `None` for a root."""

    @property
    def trace_id_hex(self) -> str:
        """The trace's id as 32 hex digits (W3C)."""

    @property
    def span_id_hex(self) -> str:
        """The span's id as 16 hex digits (W3C)."""

    def annotate(
        self,
        name: str,
        *,
        value: float | str | bool,
        data_type: str | AnnotationDataType = "numeric",
        comment: str | None = None,
    ) -> None:
        """Attach a score or label to this span's trace, scoped to this span."""

    def set_status(self, status: str | SpanStatus, description: str | None = None) -> None:
        """Force the status: ok, error or timeout. The last explicit call wins."""

    def record_exception(self, exception: BaseException) -> None:
        """Mark the span as errored, and record type, message and stack of the exception."""

    def drop(self) -> None:
        """Discard this span; its children are shown under its parent."""

    def end(self) -> EnqueueResult:
        """End the span where no block does. Twice is harmless."""

    def _returned(self, value: object) -> None: ...
    def __enter__(self) -> Span: ...
    def __exit__(
        self,
        _exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        _traceback: TracebackType | None = None,
    ) -> Literal[False]: ...
    def __aenter__(self) -> Awaitable[Span]: ...
    def __aexit__(
        self,
        _exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        _traceback: TracebackType | None = None,
    ) -> Awaitable[Literal[False]]: ...

@final
class Scope:
    @staticmethod
    def enter(
        session_id: str | None, user_id: str | None, remote: _Remote | None
    ) -> Scope | None: ...
    def exit(self) -> None: ...

@final
class Plan:
    def __new__(
        cls,
        name: str,
        kind: str,
        parameters: list[tuple[str, int, Any]],
        skips_first: bool,
        agent_id: str | None,
        attributes: dict[str, Any],
        captures_input: bool,
    ) -> Plan: ...
    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span: ...
    def call(
        self,
        function: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        captures_output: bool,
    ) -> Any: ...

@final
class Engine:
    def __new__(
        cls,
        options: dict[str, Any],
        redact: _Redaction | None,
        remote: _Remote | None,
    ) -> Engine: ...
    def flush(self, timeout: float, at_exit: bool | None) -> str: ...
    def stats(self) -> dict[str, int]: ...
    def config(self) -> str: ...
    def set_root_attributes(self, attributes: dict[str, Any]) -> None: ...

@final
class Capture:
    def __new__(
        cls,
        take: Callable[[str, str, bytes], None],
        start_ns: int | None,
        redact: _Redaction | None,
    ) -> Capture: ...
    def resume(self) -> None: ...
    def restore(self) -> None: ...

def span(name: str, *, kind: str | SpanKind = "chain") -> Span:
    """Open a span around a `with` block."""

def start_span(name: str, *, kind: str | SpanKind = "chain") -> Span:
    """Start a span that `end()` will end, where a block does not fit."""

def current_span() -> Span | None:
    """Give the innermost open span of this thread or task."""

def annotate(
    trace_id: str,
    span_id: str | None,
    name: str,
    value: float | str | bool,
    data_type: str | AnnotationDataType,
    comment: str | None,
) -> None: ...
def generate_agent_id(agent_name: str) -> str:
    """Give the stable id of an agent: the same name, the same id, everywhere."""

def current_entry() -> _Entry | None: ...
def swap_entry(entry: _Entry | None) -> _Entry | None: ...
def current_ids() -> tuple[str, str, bool, list[str | None]] | None: ...
def take_messages() -> list[tuple[str, str]]: ...
