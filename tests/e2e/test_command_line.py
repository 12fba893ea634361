"""The `staso` command as a person uses it: `show`, `doctor`, and what it says when there is nothing."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

from parts import Server, environment, run_program, server_binary

RECORD = """
import staso as st
st.init()
with st.span("outer", kind="agent") as s:
    with st.span("inner", kind="tool") as t:
        t.set_status("error", "no such train")
print(s.trace_id)
"""


def staso(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(server_binary()), *arguments]
    return subprocess.run(command, env=environment(home), capture_output=True, text=True, timeout=60, check=False)


def test_show_prints_the_tree(server: Server, home: Path) -> None:
    trace_id = run_program(RECORD, home).strip()
    server.wait_for_spans(2)
    shown = staso(home, "show", trace_id)
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    outer = next(i for i, line in enumerate(lines) if "outer" in line and "agent" in line)
    inner = next(i for i, line in enumerate(lines) if "inner" in line and "tool" in line)
    assert outer < inner
    assert lines[outer].index("outer") < lines[inner].index("inner"), "a child is indented below its parent"
    assert "no such train" in shown.stdout


def test_show_of_an_unknown_trace_says_so(server: Server, home: Path) -> None:
    shown = staso(home, "show", "00000000000000000000000000000abc")
    assert shown.returncode != 0
    assert "00000000000000000000000000000abc" in shown.stderr


def test_show_without_a_server_says_what_to_do(home: Path) -> None:
    shown = staso(home, "show", "00000000000000000000000000000abc")
    assert shown.returncode != 0
    assert "staso serve" in shown.stderr


def test_doctor_with_a_server(server: Server, home: Path) -> None:
    said = staso(home, "doctor")
    assert said.returncode == 0, said.stdout + said.stderr
    assert server.url in said.stdout
    assert str(home) in said.stdout


def test_doctor_without_a_server_tells_of_the_waiting_journal(home: Path) -> None:
    run_program(RECORD, home)
    said = staso(home, "doctor")
    assert "staso serve" in said.stdout + said.stderr
    assert str(home) in said.stdout + said.stderr


def wheel_command(home: Path, path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The `staso` that the wheel installs, which looks for the server's binary on `PATH`."""
    command = [str(Path(sysconfig.get_path("scripts")) / "staso"), *arguments]
    env = {**environment(home), "PATH": path}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_the_wheels_command_becomes_the_servers_binary(home: Path) -> None:
    # Its own directory comes first on the path: it must not find itself.
    path = os.pathsep.join([sysconfig.get_path("scripts"), str(server_binary().parent)])
    said = wheel_command(home, path, "--version")
    assert said.returncode == 0, said.stderr
    assert said.stdout == staso(home, "--version").stdout


def test_the_wheels_command_says_how_to_get_the_binary(home: Path) -> None:
    said = wheel_command(home, sysconfig.get_path("scripts"), "serve")
    assert said.returncode == 127
    assert "make build" in said.stderr
