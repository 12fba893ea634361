"""``init``, ``flush`` and ``shutdown``: the one client of this process."""

from __future__ import annotations

import atexit
import os
import sys

from .._core import Engine

TYPE_CHECKING = False  # `typing` is slower to import than this whole package
if TYPE_CHECKING:
    from typing import Any

    from .client import Client
    from .redact import Redaction
    from .reports import DeliveryReport


class _Int(int):
    """A default that can be told from the same number passed by the program."""


class _Float(float):
    """A default that can be told from the same number passed by the program."""


_client: Client | None = None


def init(
    *,
    api_key: str | None = None,
    agent_name: str | None = None,
    agent_version: str | None = None,
    base_url: str | None = None,
    batch_size: int = _Int(100),
    flush_interval: float = _Float(0.5),
    max_queue_size: int = _Int(10_000),
    enabled: bool = True,
    debug: bool | None = None,
    environment: str | None = None,
    workspace_slug: str | None = None,
    capture_messages: bool | None = None,
    capture_request: bool | None = None,
    capture_system_prompt: bool | None = None,
    capture_tool_schema: bool | None = None,
    capture_tool_arguments: bool | None = None,
    capture_output: bool | None = None,
    capture_git: bool = True,
    journal: bool | str | os.PathLike[str] | None = None,
    redact: Redaction | None = None,
    sample_rate: float = _Float(1.0),
    max_value_bytes: int = _Int(1_048_576),
    max_span_bytes: int = _Int(16_777_216),
    propagate_threads: bool = True,
) -> Client:
    """Start recording. Nothing is required: without arguments, nothing leaves this machine.

    Every argument falls back to ``STASO_<NAME>`` in the environment. Settings that cannot be meant
    raise ``ValueError``; nothing else here does.
    """
    passed = {name: value for name, value in locals().items() if name != "redact"}
    options = {name: value for name, value in passed.items() if not _is_default(name, value)}
    from .client import Client
    from .redact import redaction

    global _client
    options["script_name"] = _script_name()
    check = redaction(redact)
    previous = _client.shutdown() if _client is not None else None
    _client = None
    engine = Engine(options, check, _environment_parent())
    _client = client = Client(engine, previous)
    if "staso.testing" in sys.modules:
        # What a test captures, it captures until its block ends.
        sys.modules["staso.testing"].resume_captures()
    _settle(client)
    return client


def _is_default(name: str, value: Any) -> bool:
    """Whether the environment may still speak: it was not passed, or is a switch left on."""
    if value is None or isinstance(value, _Int | _Float):
        return True
    return name in ("enabled", "capture_git", "propagate_threads") and value is True


def _settle(client: Client) -> None:
    """Arrange what a client needs of the process around it."""
    if not client.config.enabled:
        return
    if client.config.debug:
        import logging

        logging.getLogger("staso").setLevel(logging.DEBUG)
    if client.config.propagate_threads:
        from .propagation import patch_threads

        patch_threads()
    elif "staso._internal.propagation" in sys.modules:
        # An earlier client may have wanted it.
        sys.modules["staso._internal.propagation"].let_threads_be()
    if client.config.capture_git:
        from .git import find_in_background

        find_in_background(client._engine.set_root_attributes)


def _script_name() -> str:
    script = getattr(sys.modules.get("__main__"), "__file__", None) or sys.argv[0] or "python"
    name = os.path.splitext(os.path.basename(script))[0]
    return name if name not in ("", "-c", "-m") else "python"


def _environment_parent() -> tuple[str, str, bool] | None:
    from .propagation import remote_parent

    return remote_parent(os.environ.get("TRACEPARENT"))


def flush(timeout: float = 5.0) -> DeliveryReport:
    """Ship what was recorded before this call, for at most ``timeout`` seconds."""
    if _client is None:
        from .reports import disabled_report

        return disabled_report()
    return _client.flush(timeout)


async def aflush(timeout: float = 5.0) -> DeliveryReport:
    """Flush without holding up the event loop."""
    import asyncio

    return await asyncio.to_thread(flush, timeout)


def shutdown(timeout: float = 5.0) -> DeliveryReport:
    """Flush, then record nothing more until the next ``init``."""
    global _client
    client, _client = _client, None
    if client is None:
        from .reports import disabled_report

        return disabled_report()
    return client.shutdown(timeout)


def get_client() -> Client | None:
    """Give the client in force; ``None`` before ``init`` and after ``shutdown``."""
    return _client


def _at_exit(*_: Any) -> None:
    global _client
    client, _client = _client, None
    if client is not None:
        client._shutdown_at_exit()


# As early as can be, so that it runs late: what the program's own handlers record is delivered too.
atexit.register(_at_exit)
