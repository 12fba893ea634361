"""``python -m staso``: the command ``staso``, where no directory of commands is on the path."""

from __future__ import annotations

import sys

from ._cli import main

if __name__ == "__main__":
    sys.exit(main())
