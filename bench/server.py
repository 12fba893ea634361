"""A real `staso serve` on a directory and port of its own, for one measurement."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import tempfile
import time
import urllib.request
from typing import Any


class Server:
    """Started on entry, ended by SIGTERM on exit; the directory goes with it."""

    def __init__(self, binary: str) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="staso-bench-")
        self._process = subprocess.Popen(
            [binary, "serve", "--port", "0"],
            env={**os.environ, "STASO_HOME": self._home.name},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.url = self._announced()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._home.cleanup()

    def _announced(self) -> str:
        deadline = time.monotonic() + 30
        announcement = pathlib.Path(self._home.name, "server.json")
        while time.monotonic() < deadline:
            if announcement.exists():
                return str(json.loads(announcement.read_text())["url"])
            if self._process.poll() is not None:
                raise SystemExit("the server ended at start; run `staso serve` by hand to see why")
            time.sleep(0.02)
        raise SystemExit("the server did not announce itself within 30 s")

    def get(self, path: str) -> Any:
        """The JSON answer of one GET."""
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.load(answer)

    def stored_spans(self) -> int:
        """How many spans a reader finds, over every page of the trace list."""
        spans, cursor = 0, ""
        while True:
            page = self.get(f"/api/traces?limit=1000{cursor}")
            spans += sum(row["span_count"] for row in page["traces"])
            if not page["next_cursor"]:
                return spans
            cursor = f"&cursor={page['next_cursor']}"

    def span_ids(self, trace_id: str) -> set[str]:
        """The spans of one trace, as a reader gets them."""
        spans = self.get(f"/api/traces/{trace_id}?payloads=false")["spans"]
        return {span["span_id"] for span in spans}

    def cpu_secs(self) -> float:
        """User and system time of the server so far."""
        fields = pathlib.Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Anonymous resident memory, MB."""
        status = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(x for x in status.splitlines() if x.startswith("RssAnon"))
        return int(line.split()[1]) / 1024
