"""The wheel's command ``staso``: becomes the server's binary, or says how to get it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator

_ADVICE = """\
staso: the server's program is not installed here; this package only records.

Get it in one of these ways, then run the same command again:
  pip install "staso[server]"     from a package index, or from wheels of your own
  make build                      in a clone of the repository; put target/release on your PATH
  STASO_SERVER_BIN=/path/to/staso if you have it already
"""


def main() -> int:
    """Run the server's binary with this command's arguments."""
    binary = find_binary()
    if binary is None:
        print(_advice(), end="", file=sys.stderr)
        return 127
    arguments = [binary, *sys.argv[1:]]
    if os.name == "posix":
        sys.stdout.flush()
        try:
            os.execv(binary, arguments)
        except OSError as error:  # built for another machine, or cut short
            print(f"staso: {binary} does not run: {error.strerror}", file=sys.stderr)
            return 126
    import subprocess

    return subprocess.call(arguments)


def _advice() -> str:
    chosen = os.environ.get("STASO_SERVER_BIN")
    if chosen:
        return (
            f"staso: STASO_SERVER_BIN={chosen} is not the server's program: correct or unset it\n"
        )
    return _ADVICE


def find_binary() -> str | None:
    """Find the server's binary, never this command itself."""
    for candidate in _candidates():
        path = shutil.which(candidate)
        if path is not None and not _is_this_command(path):
            return path
    return None


def _candidates() -> Iterator[str]:
    chosen = os.environ.get("STASO_SERVER_BIN")
    if chosen:
        yield chosen
        return
    try:
        from staso_server import binary_path  # type: ignore[import-not-found, unused-ignore]

        yield str(binary_path())
    except ImportError:
        pass
    name = "staso.exe" if os.name == "nt" else "staso"
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        yield os.path.join(directory or os.curdir, name)


def _is_this_command(path: str) -> bool:
    """Tell a launcher of a Python package from a program: by its first bytes, then by its place."""
    try:
        with open(path, "rb") as file:
            if file.read(2) == b"#!":
                return True
    except OSError:
        return True
    here = os.path.realpath(sys.argv[0])
    return os.path.realpath(path) in (here, here + ".exe")
