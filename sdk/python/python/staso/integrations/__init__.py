"""Provider integrations: the names stand; until they patch anything, they say so once."""

from __future__ import annotations

from .anthropic import patch_anthropic
from .litellm import patch_litellm
from .openai import patch_openai

__all__ = ["patch_anthropic", "patch_litellm", "patch_openai"]
