"""The wheel as it is installed: what it needs and holds, how it is imported."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.spec("9.import-light")
def test_import_is_light() -> None:
    program = "import sys, staso; print(*(m for m in sys.argv[1:] if m in sys.modules))"
    heavy = ["asyncio", "inspect", "dataclasses", "logging", "typing", "uuid", "json", "traceback"]
    command = [
        sys.executable,
        "-S",
        "-c",
        f"import sys; sys.path[:] = {sys.path!r}; {program}",
        *heavy,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []


@pytest.mark.spec("9.import-light")
def test_a_client_needs_little_of_the_library(tmp_path: Path) -> None:
    program = (
        "import sys, staso; staso.init(journal=sys.argv[1], capture_git=False); "
        "report = staso.flush(); assert report.ok and repr(report); "
        "print(*(m for m in sys.argv[2:] if m in sys.modules))"
    )
    heavy = ["asyncio", "inspect", "dataclasses", "subprocess", "typing", "uuid", "logging"]
    heavy.append("concurrent.futures.thread")
    assert bare(program, str(tmp_path), *heavy).split() == []


@pytest.mark.spec("4.threads", "4.threads-off")
def test_a_pool_that_is_imported_later_inherits_all_the_same(tmp_path: Path) -> None:
    program = """
import staso
staso.init(journal=sys.argv[1], capture_git=False)
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(1) as pool, staso.span("outer") as outer:
    for _ in range(2):
        assert pool.submit(staso.current_span).result() is outer
    assert [*pool.map(lambda _: staso.current_span(), range(2))] == [outer] * 2
assert staso.shutdown().accepted == 1
staso.init(journal=sys.argv[1], capture_git=False, propagate_threads=False)
with ThreadPoolExecutor(1) as pool, staso.span("outer"):
    assert pool.submit(staso.current_span).result() is None
print("inherited")
"""
    assert bare(program, str(tmp_path)) == "inherited\n"


@pytest.mark.spec("4.threads")
def test_a_loader_of_many_modules_is_left_as_it_was(tmp_path: Path) -> None:
    program = """
import staso
from importlib.machinery import ModuleSpec
class Loader:
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name in ("concurrent.futures.thread", "plain") else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        if module.__name__ != "plain":
            import plain
            module.ThreadPoolExecutor = type("Pool", (), {"submit": lambda self, fn: fn()})
sys.meta_path.insert(0, Loader())
staso.init(journal=sys.argv[1], capture_git=False)
import concurrent.futures.thread as pools
assert hasattr(pools.ThreadPoolExecutor.submit, "__wrapped__") and "plain" in sys.modules
class Broken:
    def write(self, text):
        raise BrokenPipeError
sys.stderr, kept = Broken(), sys.stderr
from staso._internal.log import warn_once
warn_once("a kind", "said to nobody")
sys.stderr = kept
print("imported")
"""
    assert bare(program, str(tmp_path)) == "imported\n"


def bare(program: str, *arguments: str) -> str:
    """Run a program without what the development tools of this environment load at start."""
    setup = f"import sys; sys.path[:] = {sys.path!r}; "
    command = [sys.executable, "-S", "-c", setup + program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.spec("9.no-server")
def test_the_command_finds_the_server_but_never_itself(tmp_path: Path) -> None:
    launcher = tmp_path / "one" / "staso"
    server = tmp_path / "two" / "staso"
    for path in (launcher, server):
        path.parent.mkdir()
    launcher.write_text("#!/usr/bin/env python3\nraise SystemExit('itself')\n")
    server.symlink_to("/bin/echo")
    launcher.chmod(0o755)
    command = [sys.executable, "-m", "staso", "serve"]

    def run(path: str, **chosen: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "PATH": path, **chosen}
        return subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=60, check=False
        )

    found = run(f"{launcher.parent}:{server.parent}")
    assert (found.returncode, found.stdout) == (0, "serve\n")
    missing = run(str(launcher.parent))
    assert missing.returncode == 127
    assert "make build" in missing.stderr
    mistaken = run(str(server.parent), STASO_SERVER_BIN="/no/such/program")
    assert mistaken.returncode == 127
    assert "STASO_SERVER_BIN=/no/such/program" in mistaken.stderr
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    refused = run(str(server.parent), STASO_SERVER_BIN=str(broken))
    assert refused.returncode == 126
    assert refused.stderr.count("\n") == 1


@pytest.mark.spec("9.dependencies", "9.typed")
def test_the_wheel_needs_nothing_and_is_typed() -> None:
    required = importlib.metadata.requires("staso") or []
    assert [one for one in required if "extra ==" not in one] == []
    package = importlib.resources.files("staso")
    assert package.joinpath("py.typed").is_file()
    assert "class Span" in package.joinpath("_core.pyi").read_text(encoding="utf-8")


@pytest.mark.spec("9.no-server")
def test_the_wheel_holds_no_server() -> None:
    files = importlib.metadata.files("staso") or []
    native = [file for file in files if file.suffix in (".so", ".pyd", ".dll", ".dylib", ".exe")]
    assert len(native) == 1, native
    assert b"/api/live" not in Path(str(native[0].locate())).read_bytes()
