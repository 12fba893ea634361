"""``Client``, ``Config``, ``CapturePolicy``: a running client and its settings, for users."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .._core import Engine, Span, span, start_span
from .log import relay_messages
from .reports import DeliveryReport, delivery_report


@dataclass(frozen=True)
class CapturePolicy:
    """Which categories of content are recorded."""

    request: bool = True
    system_prompt: bool = True
    tool_schema: bool = True
    tool_arguments: bool = True
    output: bool = True

    def allows(self, category: str) -> bool:
        """Whether this category is recorded."""
        if category not in self.__dataclass_fields__:
            words = ", ".join(self.__dataclass_fields__)
            raise ValueError(f"category must be one of {words}, not {category!r}")
        return bool(getattr(self, category))


@dataclass(frozen=True)
class Config:
    """The settings in force: arguments over environment over defaults."""

    api_key: str | None = field(default=None, repr=False)
    agent_name: str | None = None
    agent_id: str | None = None
    agent_version: str | None = None
    base_url: str | None = None
    batch_size: int = 100
    flush_interval: float = 0.5
    max_queue_size: int = 10_000
    enabled: bool = True
    debug: bool = False
    environment: str | None = None
    workspace_slug: str | None = None
    session_id: str | None = None
    capture_policy: CapturePolicy = CapturePolicy()
    capture_git: bool = True
    journal: bool = True
    sample_rate: float = 1.0
    max_value_bytes: int = 1_048_576
    max_span_bytes: int = 16_777_216
    propagate_threads: bool = True

    @property
    def capture_messages(self) -> bool:
        """Whether requests and system prompts are recorded (the older, joint setting)."""
        return self.capture_policy.request and self.capture_policy.system_prompt


class Provider:
    """Opens spans for code that is handed a provider rather than importing ``staso``."""

    span: Callable[..., Span] = staticmethod(span)
    start_span: Callable[..., Span] = staticmethod(start_span)


class Client:
    """A running client; ``staso.init`` makes it."""

    def __init__(self, engine: Engine, previous: DeliveryReport | None = None) -> None:
        self._engine = engine
        settings: dict[str, Any] = json.loads(engine.config())
        settings["capture_policy"] = CapturePolicy(*settings["capture_policy"])
        self.config = Config(**settings)
        self.provider = Provider()
        #: What became of the spans of the client that this one replaced.
        self.previous_shutdown_report = previous

    def flush(self, timeout: float = 5.0) -> DeliveryReport:
        """Ship what was recorded before this call, for at most ``timeout`` seconds."""
        return self._report(self._engine.flush(timeout, None))

    def shutdown(self, timeout: float = 5.0) -> DeliveryReport:
        """Flush, then record nothing more."""
        return self._report(self._engine.flush(timeout, False))

    def stats(self) -> dict[str, int]:
        """Every counter since the start, refusals and evictions included."""
        relay_messages()
        return self._engine.stats()

    def _shutdown_at_exit(self) -> None:
        self._engine.flush(2.0, True)
        relay_messages()

    @staticmethod
    def _report(raw: str) -> DeliveryReport:
        relay_messages()
        return delivery_report(json.loads(raw))

    def __repr__(self) -> str:
        where = self.config.base_url or "the local server"
        return f"<staso.Client to {where}{'' if self.config.enabled else ', disabled'}>"
