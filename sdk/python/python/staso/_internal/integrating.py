"""What an integration says as long as it does nothing."""

from __future__ import annotations

from .log import warn_once


def not_yet(name: str) -> None:
    """Warn once for each provider that its calls are not recorded."""
    warn_once(
        f"integration:{name}",
        f"staso does not patch {name} yet: open a span of kind 'llm' around its calls",
    )
