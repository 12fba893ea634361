"""Calls of Anthropic: not recorded yet, which is said once."""

from __future__ import annotations

from .._internal.integrating import not_yet

__all__ = ["patch_anthropic"]


def patch_anthropic() -> None:
    """Record calls of Anthropic. Not yet: warns once and changes nothing."""
    not_yet("anthropic")
