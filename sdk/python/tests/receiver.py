"""A small real HTTP server that speaks the ingest contract and keeps what it is sent."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
import time
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """Answers `POST /v1/traces/ingest` on an ephemeral port, with or without our capabilities."""

    def __init__(self) -> None:
        self.batches: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.refuse: list[int] = []
        self.capabilities = ""
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                encoding = self.headers.get("Content-Encoding")
                if encoding == "gzip":
                    body = gzip.decompress(body)
                self._answer(*receiver.take(self.path, self.headers, body))

            def do_GET(self) -> None:
                self._answer(200, {"status": "ok", "plan_status": "active"})

            def _answer(self, status: int, answer: Any) -> None:
                raw = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                if receiver.capabilities:
                    self.send_header("Staso-Capabilities", receiver.capabilities)
                for name, value in receiver.answer_headers().items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Say nothing of clients that were killed in the middle of a request."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def serve_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS instead; before the first request."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def answer_headers(self) -> dict[str, str]:
        """What else an answer says of itself."""
        return {}

    def take(self, path: str, headers: Message, body: bytes) -> tuple[int, Any]:
        with self._lock:
            if self.refuse:
                return self.refuse.pop(0), {"error": {"code": "refused", "message": "as told"}}
            batch = json.loads(body)
            if path == "/v1/traces/ingest":
                self.batches.append(batch)
                self.keys.append(headers.get("Idempotency-Key", ""))
            else:
                self.batches.append({"annotation": batch, "path": path})
            traces = len(batch.get("traces", []))
            return 200, {
                "accepted": traces,
                "rejected": 0,
                "spans_dropped": 0,
                "receipt_id": headers.get("Idempotency-Key"),
                "spans": sum(len(trace["spans"]) for trace in batch.get("traces", [])),
                "repaired": [],
            }

    @property
    def spans(self) -> list[dict[str, Any]]:
        """Every span received, with its trace's id, JSON text fields read."""
        with self._lock:
            traces = [trace for batch in self.batches for trace in batch.get("traces", [])]
        found = []
        for trace in traces:
            for span in trace["spans"]:
                read = {**span, "trace_id": trace["trace_id"]}
                for name in ("input", "output", "attributes"):
                    if not self.capabilities and isinstance(read.get(name), str) and read[name]:
                        read[name] = json.loads(read[name])
                found.append(read)
        return found

    def finished(self) -> list[dict[str, Any]]:
        """The spans that have ended. As in a server, a span that was sent twice is one."""
        ended = (span for span in self.spans if not _is_open(span))
        return list({(span["trace_id"], span["span_id"]): span for span in ended}.values())

    def wait_for(self, count: int, timeout: float = 30.0) -> list[dict[str, Any]]:
        """Wait until so many finished spans have arrived."""
        deadline = time.monotonic() + timeout
        while len(self.finished()) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(self.finished())} of {count} spans arrived")
            time.sleep(0.02)
        return self.finished()

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _is_open(span: dict[str, Any]) -> bool:
    attributes = span.get("attributes") or {}
    return bool(span.get("provisional") or attributes.get("staso.provisional_root"))
