"""What the tests share: a recording, a home of their own, a server that speaks the contract."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from receiver import Receiver

import staso as st
from staso import testing


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Give each test a state directory of its own, and leave no client behind."""
    for name in [name for name in os.environ if name.startswith("STASO_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("TRACEPARENT", raising=False)
    monkeypatch.setenv("STASO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STASO_VCS_COMMIT_SHA", "0" * 40)
    yield
    st.shutdown(0.1)


@pytest.fixture
def recorded() -> Iterator[testing.Recorded]:
    """Record into memory."""
    with testing.capture() as recorded:
        yield recorded


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Stand in for the server, on an ephemeral port of this machine."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def run_program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program in an interpreter of its own."""

    def run(source: str, **environ: str) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "program.py"
        script.write_text(source, encoding="utf-8")
        return subprocess.run(
            [sys.executable, "-W", "error", str(script)],
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
