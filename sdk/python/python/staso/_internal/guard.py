"""Guard: the names stand; until rules are evaluated, every answer says that none was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .kinds import _Word
from .log import warn_once


class GuardFailureKind(_Word):
    """Why there is no decision."""

    NETWORK_UNAVAILABLE = "network_unavailable"
    BACKEND_UNAVAILABLE = "backend_unavailable"
    INVALID_KEY = "invalid_key"
    PLAN_EXPIRED = "plan_expired"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    CAPACITY_EXHAUSTED = "capacity_exhausted"
    IDEMPOTENCY_CONFLICT = "idempotency_conflict"
    MALFORMED_RESPONSE = "malformed_response"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    UNSUPPORTED_ACTION = "unsupported_action"


class GuardFailureMode(_Word):
    """What to do without a decision: go on, or stop."""

    FAIL_OPEN = "fail_open"
    FAIL_CLOSED = "fail_closed"


@dataclass(frozen=True)
class GuardResult:
    """The answer of one evaluation."""

    action: str
    reason: str = ""
    rule_name: str | None = None
    severity: str = "low"
    results: list[Any] = field(default_factory=list)
    latency_ms: float = 0.0
    rules_triggered: list[str] = field(default_factory=list)
    decision_available: bool = True
    failure_kind: GuardFailureKind | None = None
    failure_mode: GuardFailureMode = GuardFailureMode.FAIL_OPEN
    retryable: bool = False
    decision_id: str = ""
    decision_source: str = "sdk"
    evaluation_status: str = "evaluated"


@dataclass(frozen=True)
class BlockedTool:
    """One tool call that was stopped, and why."""

    tool_name: str
    result: GuardResult


class GuardBlocked(Exception):  # noqa: N818 - the name is part of the public contract
    """A tool call was stopped."""

    def __init__(
        self, tool_name: str, result: GuardResult, *, blocked_tools: list[BlockedTool] | None = None
    ) -> None:
        super().__init__(f"{tool_name} was blocked: {result.reason or result.action}")
        self.tool_name = tool_name
        self.result = result
        self.blocked_tools = blocked_tools or [BlockedTool(tool_name, result)]


def guard(
    tool_name: str,
    tool_input: dict[str, Any],
    *,
    context: dict[str, Any] | None = None,
    decision_id: object = None,
    timeout: float = 10.0,
    fail_closed: bool | None = None,
) -> GuardResult:
    """Ask whether a tool may run. No rules are evaluated yet: the answer says so, once aloud."""
    del tool_input, context, timeout
    warn_once("guard", "guard() evaluates no rules yet: it answers in the failure mode asked for")
    mode = GuardFailureMode.FAIL_CLOSED if fail_closed else GuardFailureMode.FAIL_OPEN
    return GuardResult(
        action="block" if fail_closed else "allow",
        reason=f"no decision on {tool_name} is available: rules are not evaluated yet",
        decision_available=False,
        failure_kind=GuardFailureKind.BACKEND_UNAVAILABLE,
        failure_mode=mode,
        decision_id="" if decision_id is None else str(decision_id),
        evaluation_status="unavailable",
    )
