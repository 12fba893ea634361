"""Provider integrations: the names stand; until they patch anything, they say so once."""

from __future__ import annotations

from ._internal.log import warn_once

__all__ = ["patch_anthropic", "patch_litellm", "patch_openai"]


def patch_openai() -> None:
    """Record calls of the OpenAI client. Not yet: warns once and changes nothing."""
    _not_yet("openai")


def patch_anthropic() -> None:
    """Record calls of the Anthropic client. Not yet: warns once and changes nothing."""
    _not_yet("anthropic")


def patch_litellm() -> None:
    """Record calls of LiteLLM. Not yet: warns once and changes nothing."""
    _not_yet("litellm")


def _not_yet(name: str) -> None:
    warn_once(
        f"integration:{name}",
        f"staso does not patch {name} yet: open a span of kind 'llm' around its calls",
    )
