"""A client for any OpenAI-compatible `/v1/chat/completions`, on the standard library.

`OPENAI_BASE_URL`, `OPENAI_API_KEY` and `OPENAI_MODEL` choose the model; without them the agent
starts the local one (`local_model.py`). Each call is one `llm` span with its messages, model and
token counts as the endpoint reported them.
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http.client import HTTPResponse
from typing import Any

import staso as st

TIMEOUT_SECS = 60.0

Message = dict[str, Any]


@dataclass(frozen=True)
class ModelClient:
    """Where the model is and what it is called."""

    base_url: str
    api_key: str
    model: str
    provider: str

    def complete(self, name: str, messages: list[Message], **options: Any) -> str:
        """One answer in one piece; returns its text."""
        request = {"model": self.model, "messages": messages, **options}
        with st.span(name, kind="llm") as span:
            self._describe(span, request)
            with self._post(request) as response:
                answer = json.load(response)
            message = answer["choices"][0]["message"]
            span.output = message
            record_usage(span, answer)
            return message.get("content") or ""

    def _post(self, request: dict[str, Any]) -> HTTPResponse:
        http = urllib.request.Request(
            f"{self.base_url}/chat/completions",
            data=json.dumps(request).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.api_key}"},
        )
        try:
            return urllib.request.urlopen(http, timeout=TIMEOUT_SECS)
        except urllib.error.HTTPError as error:
            # The reason stands in the body; without it the trace would say only "400".
            detail = error.read(2_000).decode("utf-8", "replace")
            raise RuntimeError(f"the model answered {error.code}: {detail}") from error

    def _describe(self, span: st.Span, request: dict[str, Any]) -> None:
        span.input = request
        span.provider = self.provider
        span.requested_model = self.model


@dataclass
class StreamedReply:
    """One streamed answer: iterate `text()`, then read `tool_calls`."""

    client: ModelClient
    messages: list[Message]
    tools: list[dict[str, Any]]
    tool_calls: list[dict[str, Any]] = field(default_factory=list)

    # The span opens with the first chunk asked for and closes when the stream is exhausted.
    @st.trace(name="answer", kind="llm", capture_input=False)
    async def text(self) -> AsyncIterator[str]:
        """The answer's pieces as they arrive."""
        client, span = self.client, st.current_span()
        request = {
            "model": client.model,
            "messages": self.messages,
            "tools": self.tools,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if span is not None:
            client._describe(span, request)
        with await asyncio.to_thread(client._post, request) as response:
            async for chunk in _events(response):
                for piece in self._take(chunk):
                    yield piece
                if span is not None:
                    record_usage(span, chunk)
        if self.tool_calls and span is not None:
            span.metadata["tool_calls"] = [call["function"]["name"] for call in self.tool_calls]

    def _take(self, chunk: dict[str, Any]) -> list[str]:
        """Keeps the tool calls of a chunk and returns its text."""
        pieces = []
        for choice in chunk.get("choices", []):
            delta = choice.get("delta", {})
            if delta.get("content"):
                pieces.append(delta["content"])
            for part in delta.get("tool_calls") or []:
                self._merge(part)
        return pieces

    def _merge(self, part: dict[str, Any]) -> None:
        """A tool call may arrive in parts: the first names it, later ones append to its arguments."""
        if part["index"] >= len(self.tool_calls):
            self.tool_calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call = self.tool_calls[part["index"]]
        call["id"] = part.get("id") or call["id"]
        call["function"]["name"] += part["function"].get("name") or ""
        call["function"]["arguments"] += part["function"].get("arguments") or ""


async def _events(response: HTTPResponse) -> AsyncIterator[dict[str, Any]]:
    """The JSON of each server-sent event until `[DONE]`; reading waits in a thread, not in the loop."""
    while line := await asyncio.to_thread(response.readline):
        data = line.decode("utf-8").strip().removeprefix("data:").strip()
        if data == "[DONE]":
            return
        if data:
            yield json.loads(data)


def record_usage(span: st.Span, answer: dict[str, Any]) -> None:
    """Copies model and token counts as reported; a chunk without usage changes nothing."""
    if answer.get("model"):
        span.model = answer["model"]
    usage = answer.get("usage")
    if usage:
        span.usage_available = True
        span.input_tokens = usage["prompt_tokens"]
        span.output_tokens = usage["completion_tokens"]
        span.total_tokens = usage["total_tokens"]
