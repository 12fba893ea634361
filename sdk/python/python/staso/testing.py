"""For testing your own code: what it records, as plain objects.

    with staso.testing.capture() as recorded:
        answer("where is my order?")
    assert [span.name for span in recorded.spans] == ["search", "answer"]

No journal, no network, and no ``init`` needed. One capture at a time; a client that was in force
comes back afterwards. An ``init`` within the block makes a client that comes into force after it:
until then the capture goes on.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._core import Capture
from ._internal.redact import redaction

if TYPE_CHECKING:
    from ._internal.redact import Redaction

__all__ = ["Recorded", "RecordedSpan", "capture"]

# Where a repeatable clock starts: the first second of 2026, Unix nanoseconds.
_EPOCH_NS = 1_767_225_600_000_000_000


@dataclass(frozen=True)
class RecordedSpan:
    """One finished span."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: str
    status: str
    start_ns: int
    end_ns: int
    error_message: str | None
    input: Any
    output: Any
    metadata: dict[str, Any]
    events: list[dict[str, Any]]
    fields: dict[str, Any] = field(repr=False)
    """Everything on the wire, by its name there."""


@dataclass
class Recorded:
    """What was recorded so far, in the order in which it ended."""

    spans: list[RecordedSpan] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)

    def named(self, name: str) -> RecordedSpan:
        """Give the one span of that name."""
        found = [span for span in self.spans if span.name == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} spans are named {name!r}, not one")
        return found[0]

    def children(self, span: RecordedSpan) -> list[RecordedSpan]:
        """Give the spans directly under ``span``."""
        return [child for child in self.spans if child.parent_span_id == span.span_id]


@contextmanager
def capture(*, deterministic: bool = False, redact: Redaction | None = None) -> Generator[Recorded]:
    """Record into memory; ``deterministic``: ids count up, each look at the clock takes 1 ms."""
    recorded = Recorded()
    # What stands in for a client is kept for ever, because a span may end at any later time. What
    # was recorded goes when the test lets it go.
    kept = weakref.ref(recorded)

    def take(kind: str, trace_id: str, raw: bytes) -> None:
        recorded = kept()
        if recorded is None:
            return
        record = {"trace_id": trace_id, **json.loads(raw)}
        if kind == "annotation":
            recorded.annotations.append(record)
        elif record.get("dropped"):
            recorded.dropped.append(record)
        else:
            recorded.spans.append(_span(record))

    standing_in = Capture(take, _EPOCH_NS if deterministic else None, redaction(redact))
    _captures.append(standing_in)
    try:
        yield recorded
    finally:
        _captures.remove(standing_in)
        standing_in.restore()


# The captures whose blocks have not ended, the innermost last.
_captures: list[Capture] = []


def resume_captures() -> None:
    """Put the captures back into force, the innermost before the others; for ``init``."""
    for capture in _captures:
        capture.resume()


def _span(record: dict[str, Any]) -> RecordedSpan:
    return RecordedSpan(
        trace_id=record["trace_id"],
        span_id=record["span_id"],
        parent_span_id=record["parent_span_id"],
        name=record["name"],
        kind=record["kind"],
        status=record["status"],
        start_ns=record["start_ns"],
        end_ns=record["end_ns"],
        error_message=record.get("error_message"),
        input=record.get("input"),
        output=record.get("output"),
        metadata=record.get("attributes", {}),
        events=record.get("events", []),
        fields=record,
    )
