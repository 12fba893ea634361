"""The server's binary, for the command ``staso`` of the package of that name.

It is kept in this package rather than among the scripts, where it would have the name of that
command: which of the two stays there would depend on which is installed last.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["binary_path"]


def binary_path() -> Path:
    """Give the place of the binary."""
    return Path(__file__).parent / ("staso.exe" if os.name == "nt" else "staso")
