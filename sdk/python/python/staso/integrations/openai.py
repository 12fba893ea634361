"""Calls of OpenAI: not recorded yet, which is said once."""

from __future__ import annotations

from .._internal.integrating import not_yet

__all__ = ["patch_openai"]


def patch_openai() -> None:
    """Record calls of OpenAI. Not yet: warns once and changes nothing."""
    not_yet("openai")
