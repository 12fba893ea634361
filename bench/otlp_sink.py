"""An HTTP peer for opentelemetry-sdk's exporter: answers 200, counts the spans it got, keeps nothing.

Prints its port on the first line; `GET /` answers the number of spans so far. It runs in a process of
its own, so none of its time counts.
"""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

_PATH_TO_SPANS = (1, 2, 2)
"""ExportTraceServiceRequest.resource_spans, ResourceSpans.scope_spans, ScopeSpans.spans: their field numbers."""


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """A protobuf integer and where the next byte after it is."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The length-delimited fields of one protobuf message; others are passed over."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            _, at = varint(data, at)
        elif tag & 7 == 2:
            size, at = varint(data, at)
            yield tag >> 3, data[at : at + size]
            at += size
        else:
            at += 8 if tag & 7 == 1 else 4


def spans(data: memoryview, path: tuple[int, ...] = _PATH_TO_SPANS) -> int:
    """How many spans an export request holds."""
    inside = [value for number, value in fields(data) if number == path[0]]
    return len(inside) if len(path) == 1 else sum(spans(value, path[1:]) for value in inside)


class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    counted = 0
    lock = threading.Lock()

    def do_POST(self) -> None:
        got = spans(memoryview(self.rfile.read(int(self.headers.get("Content-Length", 0)))))
        with Sink.lock:
            Sink.counted += got
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(str(Sink.counted).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silence: a line per request would cost more than the request."""


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    print(server.server_address[1], flush=True)
    server.serve_forever()
