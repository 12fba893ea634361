"""The closed vocabularies, as enums whose members are the words on the wire."""

from __future__ import annotations

from enum import Enum


class _Word(str, Enum):
    """A str enum whose text is its value, on every Python version."""

    def __str__(self) -> str:
        return str.__str__(self)

    def __format__(self, format_spec: str) -> str:
        return str.__format__(self, format_spec)


class SpanKind(_Word):
    """What sort of work a span stands for."""

    LLM = "llm"
    TOOL = "tool"
    CHAIN = "chain"
    RETRIEVER = "retriever"
    AGENT = "agent"
    CUSTOM = "custom"


class SpanStatus(_Word):
    """How a span ended."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"


class AnnotationDataType(_Word):
    """What an annotation's value is."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"


class DeliveryFailureKind(_Word):
    """Why something was not delivered."""

    DISABLED = "disabled"
    SHUTDOWN = "shutdown"
    QUEUE_FULL = "queue_full"
    INVALID_KEY = "invalid_key"
    PLAN_EXPIRED = "plan_expired"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    MALFORMED_RESPONSE = "malformed_response"
    BACKEND_UNAVAILABLE = "backend_unavailable"
    NETWORK_UNAVAILABLE = "network_unavailable"
    TIMEOUT = "timeout"
