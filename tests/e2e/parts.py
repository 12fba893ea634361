"""The real parts, started for a test: the server binary, programs that use the wheel, the query API.

Nothing here stands in for anything: `Server` runs the binary that users run, and `run_program` a fresh
interpreter with the installed wheel.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]

# How long a test waits for something that normally takes well under a second. Generous, because a
# busy machine is not a failure; nothing passes sooner or later for it.
DEADLINE_SECS = 60.0
POLL_SECS = 0.02

T = TypeVar("T")


def server_binary() -> Path:
    """`$STASO_BIN`, else the debug binary of this checkout's target directory."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    binary = Path(os.environ.get("STASO_BIN") or target / "debug" / "staso")
    assert binary.is_file(), f"no server binary at {binary}; run `cargo build -p staso-cli` or set STASO_BIN"
    return binary


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment without settings that would change what a test sees, plus `STASO_HOME`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("STASO_", "OPENAI_", "TRACEPARENT"))}
    kept["PATH"] = f"{server_binary().parent}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "STASO_HOME": str(home), **(extra or {})}


def wait_until(what: str, probe: Callable[[], T], deadline_secs: float = DEADLINE_SECS) -> T:
    """Polls until `probe` answers something true, and returns it."""
    give_up = time.monotonic() + deadline_secs
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < give_up, f"waited {deadline_secs} s for {what}; the last answer was {answer!r}"
        time.sleep(POLL_SECS)


def hex_id(identity: str) -> str:
    """Python shows ids as UUID text, the query API as plain hex."""
    return uuid.UUID(identity).hex


class Server:
    """One `staso serve` process over a state directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home / "server.log"
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, port: int = 0) -> Server:
        """Starts it, on a free port unless told which, and waits until it answers."""
        assert self.process is None or self.process.poll() is not None, "the server runs already"
        with self.log.open("ab") as log:
            command = [str(server_binary()), "serve", "--port", str(port)]
            self.process = subprocess.Popen(command, env=environment(self.home), stdout=log, stderr=log)
        self.url = wait_until("the server to announce itself", self._announced)
        wait_until("the server to be ready", self._is_ready)
        return self

    def _announced(self) -> str | None:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended at once:\n{self.log.read_text()}"
        try:
            announcement = json.loads((self.home / "server.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        # A killed server leaves its announcement behind; only the new one's counts.
        return announcement["url"].rstrip("/") if announcement["pid"] == self.process.pid else None

    def _is_ready(self) -> bool:
        try:
            return self.get("/api/health") is not None
        except (urllib.error.URLError, ConnectionError):
            return False

    def kill(self) -> None:
        """SIGKILL: no shutdown, no goodbye."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=DEADLINE_SECS)

    def get(self, path: str) -> Any:
        """The JSON at a path of the query API."""
        with urllib.request.urlopen(self.url + path, timeout=DEADLINE_SECS) as response:
            return json.loads(response.read() or b"null")

    def trace_rows(self) -> list[dict[str, Any]]:
        """Every trace row, newest first, over all pages."""
        rows: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.get(f"/api/traces?limit=100{cursor}")
            rows += page["traces"]
            if not page["next_cursor"]:
                return rows
            cursor = f"&cursor={page['next_cursor']}"

    def trace(self, trace_id: str) -> dict[str, Any]:
        """One trace with its spans and annotations."""
        return self.get(f"/api/traces/{hex_id(trace_id)}")

    def spans(self) -> list[dict[str, Any]]:
        """Every span of every trace, trees in order."""
        return [span for row in self.trace_rows() for span in self.trace(row["trace_id"])["spans"]]

    def wait_for_spans(self, count: int) -> list[dict[str, Any]]:
        """Waits until `count` spans have ended, and proves that none is stored twice."""
        wait_until(f"{count} ended spans", lambda: self._ended() >= count)
        spans = self.spans()
        assert len(spans) == count, f"{len(spans)} spans instead of {count}"
        assert len({(span["trace_id"], span["span_id"]) for span in spans}) == count
        return spans

    def _ended(self) -> int:
        return sum(row["span_count"] - row["open_count"] for row in self.trace_rows())

    def wait_for_span(self, name: str) -> dict[str, Any]:
        """The first span of that name, once it has ended."""

        def ended() -> dict[str, Any] | None:
            return next((span for span in self.spans() if span["name"] == name and not span["open"]), None)

        return wait_until(f"span {name!r}", ended)


def payload(value: dict[str, str] | None) -> Any:
    """An input or output as the value it was."""
    assert value is not None and value["format"] == "json", value
    return json.loads(value["text"])


def start_program(
    source: str | Path, home: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Starts Python source (or a file) in a fresh interpreter with the installed wheel."""
    command = [sys.executable, *(["-c", source] if isinstance(source, str) else [str(source)]), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment(home, env), stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def run_program(
    source: str | Path, home: Path, *arguments: str, env: Mapping[str, str] | None = None, expect: int = 0
) -> str:
    """Runs it to its end, checks the exit code, and returns what it printed."""
    program = start_program(source, home, *arguments, env=env)
    out, err = program.communicate(timeout=DEADLINE_SECS * 2)
    assert program.returncode == expect, f"exit code {program.returncode}\n{out}\n{err}"
    return out
