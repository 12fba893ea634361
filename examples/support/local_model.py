"""A deterministic stand-in for a language model behind a real OpenAI-compatible HTTP endpoint.

It is NOT a language model: `local_rules.py` decides by fixed rules. It speaks `POST
/v1/chat/completions` (whole and streamed, with tools and usage) and `GET /v1/models`, so that the
agent's client is the one that talks to the real thing. It runs in a process of its own, prints its
address on the first line, and ends when its standard input closes, so that it never outlives the
agent.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.local_rules import Answer, count_tokens, decide

MODEL_NAME = "staso-local-demo (deterministic)"
BODY_LIMIT_BYTES = 16 * 1024 * 1024


class Handler(BaseHTTPRequestHandler):
    """One request; the pace of the stream is the server's `seconds_per_token`."""

    protocol_version = "HTTP/1.1"
    server: ModelServer

    def do_GET(self) -> None:
        """`/v1/models`: the one model there is."""
        if self.path != "/v1/models":
            return self._refuse(404, f"no such path: {self.path}")
        self._json(200, {"object": "list", "data": [{"id": MODEL_NAME, "object": "model", "owned_by": "staso"}]})

    def do_POST(self) -> None:
        """`/v1/chat/completions`, streamed when the request says so."""
        if self.path != "/v1/chat/completions":
            return self._refuse(404, f"no such path: {self.path}")
        size = int(self.headers.get("Content-Length") or 0)
        if size > BODY_LIMIT_BYTES:
            return self._refuse(413, f"the request is over {BODY_LIMIT_BYTES} bytes")
        try:
            request = json.loads(self.rfile.read(size))
            answer = decide(request["messages"], request.get("tools") or [], bool(request.get("response_format")))
        except (ValueError, KeyError, TypeError) as error:
            return self._refuse(400, f"not a chat completion request: {error!r}")
        usage = _usage(request["messages"], answer)
        if request.get("stream"):
            return self._stream(answer, usage)
        time.sleep(self.server.seconds_per_token * min(usage["completion_tokens"], 20))
        return self._json(
            200, _envelope("chat.completion", finish=answer.finish_reason, message=answer.message(), usage=usage)
        )

    def _stream(self, answer: Answer, usage: dict[str, int]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for index, call in enumerate(answer.tool_calls):
            self._event(_envelope("chat.completion.chunk", delta={"tool_calls": [{"index": index, **call}]}))
        for token in answer.pieces():
            time.sleep(self.server.seconds_per_token)
            self._event(_envelope("chat.completion.chunk", delta={"content": token}))
        self._event(_envelope("chat.completion.chunk", finish=answer.finish_reason, delta={}))
        self._event({**_envelope("chat.completion.chunk"), "choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, value: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        self.wfile.flush()

    def _json(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, message: str) -> None:
        self._json(status, {"error": {"message": message, "type": "invalid_request_error"}})

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the terminal belongs to the conversation."""


class ModelServer(ThreadingHTTPServer):
    """Listens on loopback only."""

    daemon_threads = True

    def __init__(self, port: int, tokens_per_second: float) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.seconds_per_token = 1.0 / tokens_per_second


def _envelope(
    kind: str, *, finish: str | None = None, usage: dict[str, int] | None = None, **choice: Any
) -> dict[str, Any]:
    body: dict[str, Any] = {"id": "chatcmpl-local", "object": kind, "created": 0, "model": MODEL_NAME}
    body["choices"] = [{"index": 0, "finish_reason": finish, **choice}]
    if usage:
        body["usage"] = usage
    return body


def _usage(messages: list[dict[str, Any]], answer: Answer) -> dict[str, int]:
    prompt, completion = count_tokens(json.dumps(messages)), count_tokens(json.dumps(answer.message()))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def main() -> None:
    """Serves until standard input closes."""
    parser = argparse.ArgumentParser(description="A deterministic local model, OpenAI-compatible.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tokens-per-second", type=float, default=60.0)
    options = parser.parse_args()
    server = ModelServer(options.port, options.tokens_per_second)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
