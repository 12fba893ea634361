"""A proxy in front of a real server that injects faults and then lets through.

Programs are given its address. Each request takes the next planned fault, or is forwarded; `always`
holds for every request until `heal`. A fault is a status to answer with, or one of the words below.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from parts import DEADLINE_SECS, Server

GARBAGE = "200 with a page that is no receipt"
WRONG_RECEIPT = "200 with a receipt of something else"
NOISE = "bytes that are not HTTP"
HANG = "no answer, ever"
HANG_IN_ANSWER = "the head of an answer, and then nothing"
HANG_UP = "the connection ends before an answer"
LOST_ANSWER = "the server takes it, but its answer never arrives"
TORN_ANSWER = "the server takes it, and half of its answer arrives"

Fault = int | str

_PAGE = b"<html><body>Welcome to this network</body></html>"


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    proxy: FaultProxy

    def handle_error(self, *_: object) -> None:
        """Says nothing of clients that were killed in the middle of a request."""


class FaultProxy:
    """Listens on an ephemeral port, which stays its own while it is down."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.planned: deque[Fault | None] = deque()
        self.always: Fault | None = None
        self.max_body_bytes: int | None = None
        self.injected = 0
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._port = 0
        self._listener: _Listener | None = None
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def up(self) -> None:
        """Listens (again)."""
        self._listener = _Listener(("127.0.0.1", self._port), _Handler)
        self._listener.proxy = self
        self._port = self._listener.server_port
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Nobody listens."""
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None

    def plan(self, *faults: Fault | None) -> None:
        """Faults of the next requests, in order; `None` lets one through."""
        with self._lock:
            self.planned.extend(faults)

    def heal(self) -> None:
        """No more faults; whoever hangs is let go."""
        with self._lock:
            self.planned.clear()
            self.always = None
        self._released.set()

    def next_fault(self, body: bytes) -> Fault | None:
        """What happens to the request that has just been read."""
        if self._listener is None:
            # A connection from before: its other end went down with the listener.
            return HANG_UP
        with self._lock:
            fault = self.planned.popleft() if self.planned else self.always
            if fault is None and self.max_body_bytes is not None and len(body) > self.max_body_bytes:
                fault = 413
            self.injected += fault is not None
            return fault

    def hang(self) -> None:
        """Until `heal`."""
        self._released.wait(DEADLINE_SECS * 2)

    def forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Status, headers and body that the real server answers."""
        address = urlsplit(self.server.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=DEADLINE_SECS)
        with contextlib.closing(connection):
            connection.request(handler.command, handler.path, body, dict(handler.headers.items()))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body of an answer leave together.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.proxy.next_fault(body)
        if isinstance(fault, int):
            self._answer(fault, [("Retry-After", "1")] if fault == 429 else [], b'{"error":{"code":"injected"}}')
        elif fault in (None, LOST_ANSWER, TORN_ANSWER):
            self._forward(body, fault)
        else:
            self._break(str(fault))

    do_GET = do_POST

    def _forward(self, body: bytes, fault: Fault | None) -> None:
        try:
            status, headers, answer = self.server.proxy.forward(self, body)
        except (OSError, http.client.HTTPException):
            # As a gateway does whose server is away.
            return self._answer(502, [], b"")
        if fault == LOST_ANSWER:
            return self._hang_up()
        kept = [pair for pair in headers if pair[0].lower() in ("content-type", "retry-after", "staso-capabilities")]
        return self._answer(status, kept, answer, len(answer) // 2 if fault == TORN_ANSWER else None)

    def _break(self, fault: str) -> None:
        if fault == GARBAGE:
            return self._answer(200, [("Content-Type", "text/html")], _PAGE)
        if fault == WRONG_RECEIPT:
            return self._answer(200, [], b'{"accepted": 0, "rejected": 1, "receipt_id": "of another batch"}')
        if fault == NOISE:
            self.wfile.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n\x00\xff")
        elif fault == HANG:
            self.server.proxy.hang()
        elif fault == HANG_IN_ANSWER:
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.flush()
            self.server.proxy.hang()
        else:
            assert fault == HANG_UP, fault
        return self._hang_up()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])
        if cut is not None:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def fault_proxy(server: Server) -> Iterator[FaultProxy]:
    """A proxy in front of `server` that is gone when the test is."""
    proxy = FaultProxy(server)
    try:
        yield proxy
    finally:
        proxy.heal()
        proxy.down()
