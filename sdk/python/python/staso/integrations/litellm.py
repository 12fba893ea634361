"""Calls of LiteLLM: not recorded yet, which is said once."""

from __future__ import annotations

from .._internal.integrating import not_yet

__all__ = ["patch_litellm"]


def patch_litellm() -> None:
    """Record calls of LiteLLM. Not yet: warns once and changes nothing."""
    not_yet("litellm")
