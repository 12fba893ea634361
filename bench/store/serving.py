"""A real `staso serve` on a directory that stays, started and stopped as the measurement needs it."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import signal
import subprocess
import time
from typing import Any
from urllib.parse import urlsplit


class Client:
    """One connection that sends batches."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=600)

    def post(self, body: bytes, key: str) -> float:
        """Sends one batch until it is taken; milliseconds of the request that took it."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        while True:
            began = time.perf_counter()
            self._connection.request("POST", "/v1/traces/ingest", body, headers)
            answer = self._connection.getresponse()
            text = answer.read()
            if answer.status == 200:
                return (time.perf_counter() - began) * 1e3
            if answer.status not in (429, 503):
                raise SystemExit(f"ingest answered {answer.status}: {text[:300]!r}")
            time.sleep(float(answer.headers["Retry-After"]))


class Serving:
    """One server at a time on one directory."""

    def __init__(self, binary: str, home: pathlib.Path) -> None:
        self._binary, self.home = binary, home
        self.opened_secs = 0.0
        self.start()

    def start(self) -> None:
        """Starts it, and notes how long it took until it listened."""
        (self.home / "server.json").unlink(missing_ok=True)
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [self._binary, "serve", "--port", "0"],
            env={**os.environ, "STASO_HOME": str(self.home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not (self.home / "server.json").exists():
            if self._process.poll() is not None:
                raise SystemExit("the server ended at start; run `staso serve` by hand to see why")
            time.sleep(0.002)
        self.opened_secs = time.perf_counter() - began
        url = json.loads((self.home / "server.json").read_text())["url"]
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=600)

    def stop(self) -> None:
        """Ends it in order: everything in memory goes to segments only where a flush is due."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """No last words; the next start replays its log."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        self._process.send_signal(how)
        self._process.wait(120)
        self.connection.close()

    def read(self, path: str) -> bytes:
        """The answer of one GET over the one connection, as it came."""
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path} answered {answer.status}: {text[:300]!r}")
        return text

    def get(self, path: str) -> Any:
        """The JSON answer of one GET."""
        return json.loads(self.read(path))

    def client(self) -> Client:
        """A further connection."""
        return Client(self.connection.host, self.connection.port)

    def cpu_secs(self) -> float:
        """User and system time of the server so far."""
        fields = pathlib.Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def compacted(self) -> tuple[float, float]:
        """Processor seconds of compactions so far, and the bytes that they wrote."""
        lines = self.read("/metrics").decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        cpu, written = ("staso_store_compaction_cpu_milliseconds", "staso_store_compaction_written_bytes")
        return float(values[cpu]) / 1e3, float(values[written])

    def written_bytes(self) -> int:
        """Bytes it had the disk write so far."""
        lines = pathlib.Path(f"/proc/{self._process.pid}/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("write_bytes")).split()[1])

    def resident_mb(self) -> float:
        """Anonymous resident memory, MB."""
        status = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        return int(next(x for x in status.splitlines() if x.startswith("RssAnon")).split()[1]) / 1024

    def disk_bytes(self, below: str = "") -> int:
        """Bytes of the data directory, or of a part of it."""
        files = (self.home / "data" / below).rglob("*") if below else (self.home / "data").rglob("*")
        return sum(file.stat().st_size for file in files if file.is_file())

    def forget_pages(self) -> None:
        """Has the kernel drop what it has cached of the data directory."""
        for file in (self.home / "data").rglob("*"):
            if file.is_file():
                handle = os.open(file, os.O_RDONLY)
                os.fsync(handle)
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(handle)
