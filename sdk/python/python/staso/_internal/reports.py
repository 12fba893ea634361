"""What became of the spans: the answers of ``flush``, ``shutdown`` and ``Span.end``."""

from __future__ import annotations

from .kinds import DeliveryFailureKind

TYPE_CHECKING = False  # `typing` is slower to import than this whole package
if TYPE_CHECKING:
    from dataclasses import dataclass, field
    from typing import Any
else:
    from .frozen import dataclass, field


@dataclass(frozen=True)
class EnqueueResult:
    """Whether one span was taken."""

    accepted: bool
    failure_kind: DeliveryFailureKind | None = None
    retryable: bool = False


@dataclass(frozen=True)
class DeliveryReport:
    """What became of the spans since the last report; its truth is ``ok``.

    ``accepted delivered failed rejected`` count since the last report; ``pending`` (in memory) and
    ``journalled`` (in the journal, not delivered) are levels.
    """

    accepted: int
    delivered: int
    failed: int
    pending: int
    rejected: int = 0
    timed_out: bool = False
    last_failure: DeliveryFailureKind | None = None
    retryable: bool = False
    last_rejection: DeliveryFailureKind | None = None
    rejection_retryable: bool = False
    journalled: int = 0
    _is_local: bool = field(default=True, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Nothing failed, was refused, waits or timed out.

        What merely stands in the journal is well kept in local mode, in any other not delivered.
        """
        waits = self.pending or (self.journalled and not self._is_local)
        return not (self.failed or self.rejected or self.timed_out or waits)

    def __bool__(self) -> bool:
        """Answer ``ok``."""
        return self.ok


def delivery_report(raw: dict[str, Any]) -> DeliveryReport:
    """Make the engine's numbers a report."""
    values = dict(raw)
    values["_is_local"] = values.pop("is_local")
    for name in ("last_failure", "last_rejection"):
        values[name] = values[name] and DeliveryFailureKind(values[name])
    return DeliveryReport(**values)


def disabled_report() -> DeliveryReport:
    """Report for a program that records nothing."""
    return DeliveryReport(0, 0, 0, 0, last_failure=DeliveryFailureKind.DISABLED)


def enqueue_result(accepted: bool, kind: str | None, retryable: bool) -> EnqueueResult:
    """Make the engine's answer to one span a result."""
    return EnqueueResult(accepted, DeliveryFailureKind(kind) if kind else None, retryable)
