"""Trace what your agents do: ``import staso as st``.

``st.init()`` needs nothing: without a URL, spans go to a journal on this machine and to the local
server (``staso serve``) whenever it runs. Nothing here ever raises into your program or waits for
the network.
"""

from __future__ import annotations

from ._internal.native import __version__  # before anything else asks for the native module

# isort: split
from ._core import (
    Span,
    current_span,
    generate_agent_id,
    span,
    start_span,
)
from ._internal.conversations import Conversation, conversation
from ._internal.decorators import agent, tool, trace
from ._internal.kinds import AnnotationDataType, DeliveryFailureKind, SpanKind, SpanStatus
from ._internal.lifecycle import aflush, flush, get_client, init, shutdown
from ._internal.propagation import bind, extract, inject
from .annotation import annotate

TYPE_CHECKING = False  # `typing` is slower to import than this whole package
if TYPE_CHECKING:
    from typing import Any

    from . import integrations, testing
    from ._internal.client import CapturePolicy, Client, Config
    from ._internal.guard import (
        BlockedTool,
        GuardBlocked,
        GuardFailureKind,
        GuardFailureMode,
        GuardResult,
        guard,
    )
    from ._internal.reports import DeliveryReport, EnqueueResult

__all__ = [
    "AnnotationDataType",
    "BlockedTool",
    "CapturePolicy",
    "Client",
    "Config",
    "Conversation",
    "DeliveryFailureKind",
    "DeliveryReport",
    "EnqueueResult",
    "GuardBlocked",
    "GuardFailureKind",
    "GuardFailureMode",
    "GuardResult",
    "Span",
    "SpanKind",
    "SpanStatus",
    "__version__",
    "aflush",
    "agent",
    "annotate",
    "bind",
    "conversation",
    "current_span",
    "extract",
    "flush",
    "generate_agent_id",
    "get_client",
    "guard",
    "init",
    "inject",
    "integrations",
    "shutdown",
    "span",
    "start_span",
    "testing",
    "tool",
    "trace",
]

# What few programs name is imported when it is named: `import staso` stays under 15 ms.
_LAZY = {
    "CapturePolicy": "staso._internal.client",
    "Client": "staso._internal.client",
    "Config": "staso._internal.client",
    "DeliveryReport": "staso._internal.reports",
    "EnqueueResult": "staso._internal.reports",
    "BlockedTool": "staso._internal.guard",
    "GuardBlocked": "staso._internal.guard",
    "GuardFailureKind": "staso._internal.guard",
    "GuardFailureMode": "staso._internal.guard",
    "GuardResult": "staso._internal.guard",
    "guard": "staso._internal.guard",
}


def __getattr__(name: str) -> Any:
    """Import what is named for the first time."""
    import importlib

    if name in ("integrations", "testing"):
        return importlib.import_module(f"staso.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module 'staso' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List what can be used, lazy names included."""
    return __all__
