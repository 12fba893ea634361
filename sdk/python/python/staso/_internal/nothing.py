"""What stands for the native module where it cannot run: everything works, nothing is recorded.

The names and signatures are those of ``_core.pyi``; wrong words are refused as everywhere.
"""

from __future__ import annotations

from .kinds import SpanKind, SpanStatus

TYPE_CHECKING = False  # `typing` is slower to import than this whole package
if TYPE_CHECKING:
    from enum import Enum
    from typing import Any, Literal, TypeVar

    from .reports import EnqueueResult

    Word = TypeVar("Word", bound=Enum)


def _version() -> str:
    """Read the installed version off its directory: `importlib.metadata` imports half a library."""
    import os

    place = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        found = [name for name in os.listdir(place) if name.startswith("staso-")]
    except OSError:
        found = []
    suffix = ".dist-info"
    versions = [name[len("staso-") : -len(suffix)] for name in found if name.endswith(suffix)]
    return versions[0] if versions else "0"


__version__ = _version()


def _word(words: type[Word], what: str, given: object) -> Word:
    try:
        return words(given.lower() if isinstance(given, str) else given)
    except ValueError:
        known = ", ".join(f'"{word.value}"' for word in words)
        raise ValueError(
            f"{what} must be one of {known} (or a {words.__name__}), not {given!r}"
        ) from None


class _Block:
    """A block that does nothing, plain or asynchronous."""

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> Literal[False]:
        return False

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> Literal[False]:
        return False


class Span(_Block):
    """A span that holds what it is told until nobody needs it."""

    trace_id = span_id = trace_id_hex = span_id_hex = ""
    parent_span_id: str | None = None

    def __init__(self, name: str = "", kind: str | SpanKind = SpanKind.CHAIN) -> None:
        self.name = name
        self._kind = _word(SpanKind, "kind", kind)
        self._status = SpanStatus.OK
        self.metadata: dict[str, Any] = {}
        self.input: Any = None
        self.output: Any = None
        self.usage_available: bool | None = False if self._kind is SpanKind.LLM else None
        self.model: str | None = None
        self.provider: str | None = None
        self.requested_model: str | None = None
        self.reasoning_effort: str | None = None
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.total_tokens: int | None = None
        self.error_message: str | None = None
        self.agent_name: str | None = None
        self.agent_id: str | None = None
        self.agent_version: str | None = None
        self.session_id: str | None = None
        self.user_id: str | None = None

    @property
    def kind(self) -> SpanKind:
        """What sort of work it stands for."""
        return self._kind

    @kind.setter
    def kind(self, value: str | SpanKind) -> None:
        self._kind = _word(SpanKind, "kind", value)

    @property
    def status(self) -> SpanStatus:
        """How it ended."""
        return self._status

    @status.setter
    def status(self, value: str | SpanStatus) -> None:
        self._status = _word(SpanStatus, "status", value)

    def set_status(self, status: str | SpanStatus, description: str | None = None) -> None:
        """Force the status."""
        self.status = _word(SpanStatus, "status", status)
        self.error_message = description

    def record_exception(self, exception: BaseException) -> None:
        """Mark the span as errored."""
        self._status = SpanStatus.ERROR
        del exception

    def annotate(self, name: str, **_: Any) -> None:
        """Drop the annotation."""

    def drop(self) -> None:
        """Do nothing: nothing would have been recorded."""

    def end(self) -> EnqueueResult:
        """Answer that nothing is recorded."""
        from .reports import enqueue_result

        return enqueue_result(False, "disabled", False)

    def _returned(self, value: object) -> None:
        """Forget what a decorated function returned."""

    def __repr__(self) -> str:
        return f"<staso.Span {self.name!r} {self._kind}, not recorded>"


class Scope:
    """A scope that nothing is in."""

    @staticmethod
    def enter(session_id: str | None, user_id: str | None, remote: Any) -> None:
        """Begin none."""
        del session_id, user_id, remote


class Plan:
    """What a decorator knows of its function."""

    def __init__(self, name: str, kind: str, *_: Any) -> None:
        self._name = name
        self._kind = kind

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span:
        """Give the span of one call."""
        del args, kwargs
        return Span(self._name, self._kind)

    def call(
        self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], captures_output: bool
    ) -> Any:
        """Call the function within such a span."""
        with self.begin(args, kwargs) as span:
            result = function(*args, **kwargs)
            if captures_output:
                span._returned(result)
            return result


class Engine:
    """A client that is switched off."""

    def __init__(self, options: dict[str, Any], redact: Any, remote: Any) -> None:
        del options, redact, remote

    def flush(self, timeout: float, at_exit: bool | None) -> str:
        """Report that nothing is recorded."""
        del timeout, at_exit
        return (
            '{"accepted": 0, "delivered": 0, "failed": 0, "pending": 0,'
            ' "last_failure": "disabled", "last_rejection": null, "is_local": true}'
        )

    def stats(self) -> dict[str, int]:
        """Count nothing."""
        return {}

    def config(self) -> str:
        """Give the defaults, switched off."""
        return '{"enabled": false, "capture_policy": [true, true, true, true, true]}'

    def set_root_attributes(self, attributes: dict[str, Any]) -> None:
        """Forget them."""


class Capture:
    """A capture that captures nothing."""

    def __init__(self, *_: Any) -> None:
        return

    def resume(self) -> None:
        """Come back into no force."""

    def restore(self) -> None:
        """Put nothing back."""


def span(name: str, *, kind: str | SpanKind = SpanKind.CHAIN) -> Span:
    """Open a span around a ``with`` block."""
    return Span(name, kind)


start_span = span


def annotate(*_: Any) -> None:
    """Drop the annotation."""


def generate_agent_id(agent_name: str) -> str:
    """Give the stable id of an agent: the same name, the same id, everywhere."""
    import importlib
    import uuid

    namespace = uuid.UUID("a1b2c3d4-e5f6-7890-abcd-ef1234567890")
    try:
        # `uuid.uuid5` takes it from `hashlib`, which looks for modules that a sub-interpreter is
        # refused. CPython 3.12.1 does not survive that, nor a first call by keywords.
        sha1 = importlib.import_module("_sha1").sha1
    except ImportError:
        return str(uuid.uuid5(namespace, agent_name))
    digest: bytes = sha1(namespace.bytes + agent_name.encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def current_span() -> None:
    """There is none."""


def current_entry() -> None:
    """There is none."""


def swap_entry(entry: object) -> None:
    """Nothing is in force, before and after."""
    del entry


def current_ids() -> None:
    """Nothing is open."""


def take_messages() -> list[tuple[str, str]]:
    """Nothing is said."""
    return []
