"""The native module, or what stands for it where it cannot run.

A sub-interpreter would share the native module's state with the main one, which ends in a deadlock
when either ends. There, and where the module cannot be loaded, everything works and nothing is
recorded. Imported before anything else that asks for ``staso._core``.
"""

from __future__ import annotations

import sys


def _stand_in(reason: str) -> None:
    """Put another module in the place of the native one, and say so once."""
    from . import nothing

    sys.modules["staso._core"] = nothing
    from .log import warn_once

    warn_once("native", f"staso records nothing here: {reason}")


def _why_not() -> str | None:
    if not _is_main_interpreter():
        return "it does not work in sub-interpreters, only in the main interpreter of a process"
    try:
        from .. import _core
    except ImportError as error:
        return f"its native module cannot be loaded ({error})"
    del _core
    return None


def _is_main_interpreter() -> bool:
    """Ask the module that makes sub-interpreters; where there is none, there are hardly any."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            module = __import__(name)
        except ImportError:
            continue
        return bool(module.get_current() == module.get_main())
    return True


_reason = _why_not()
if _reason is not None:
    _stand_in(_reason)

from .._core import __version__  # noqa: E402 - only now is it known which module that is

__all__ = ["__version__"]
