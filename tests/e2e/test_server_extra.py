"""`pip install "staso[server]"`: the wheel that records and the one with the binary, in a fresh environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from parts import ROOT, environment, server_binary


def client_wheel() -> Path:
    """`$STASO_WHEEL`, else the one that scripts/wheel.sh built."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    chosen = os.environ.get("STASO_WHEEL")
    found = [Path(chosen)] if chosen else sorted((target / "wheels").glob("staso-*.whl"))
    assert found, f"no wheel in {target / 'wheels'}; run scripts/wheel.sh or set STASO_WHEEL"
    return found[0].resolve()


def run(*command: object, **environ: str) -> subprocess.CompletedProcess[str]:
    arguments = [str(part) for part in command]
    return subprocess.run(arguments, env=environ, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.spec("9.server-extra", "9.no-server")
def test_the_extra_brings_the_binary(home: Path, tmp_path: Path) -> None:
    wheels, fresh = tmp_path / "wheels", tmp_path / "fresh"
    wheels.mkdir()
    (wheels / client_wheel().name).symlink_to(client_wheel())
    build = "import sys; sys.path.insert(0, sys.argv[1]); import backend; backend.build_wheel(sys.argv[2])"
    bare = {"PATH": os.defpath, "HOME": str(tmp_path), "STASO_HOME": str(home)}
    built = run(sys.executable, "-c", build, ROOT / "sdk/python-server", wheels, STASO_BIN=str(server_binary()), **bare)
    assert built.returncode == 0, built.stderr
    made = run(sys.executable, "-m", "venv", fresh, **bare)
    assert made.returncode == 0, made.stderr
    python, staso = fresh / "bin" / "python", fresh / "bin" / "staso"
    install = (python, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", wheels)

    # The wheel that records holds no server, and its command says how to get one.
    installed = run(*install, "staso", **bare)
    assert installed.returncode == 0, installed.stderr
    missing = run(staso, "--version", **bare)
    assert missing.returncode == 127
    assert 'pip install "staso[server]"' in missing.stderr

    installed = run(*install, "staso[server]", **bare)
    assert installed.returncode == 0, installed.stderr
    said = run(staso, "--version", **bare)
    assert (said.returncode, said.stdout) == (0, run(server_binary(), "--version", **environment(home)).stdout)
    doctor = run(staso, "doctor", **bare)
    assert str(home) in doctor.stdout + doctor.stderr
    assert "staso serve" in doctor.stdout + doctor.stderr
