"""A support agent that answers questions over this repository's own documents, traced with Staso.

    python examples/support_agent.py            # with a Staso server running, or before one is

Everything in it is real: the documents, the BM25 retrieval, the files read, the arithmetic, the
`git` subprocess, the call to the running server, and the tool that fails because the question
misspells a path and succeeds when it is tried again. Only the language model is a stand-in, labelled
as one: a deterministic local process behind an OpenAI-compatible endpoint. Set `OPENAI_BASE_URL`,
`OPENAI_API_KEY` and `OPENAI_MODEL` and the same agent talks to a real model.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import staso as st

from support import documents, tools
from support.model_client import Message, ModelClient, StreamedReply

QUESTIONS = [
    "Where do spans wait when no server is running?",
    "What does docs/guides/manual-span.md say?",
    "The journal keeps 256 MiB: how many spans of 1300 bytes is 256 * 1024 ** 2 / 1300?",
    "Is the server healthy, and which commit is this checkout at?",
    "Does a program have to call flush before it exits?",
]

SYSTEM_PROMPT = (
    "You answer questions about Staso from the passages below and from your tools. "
    "Quote the passages and name their source.\n\n{passages}"
)
PLAN_PROMPT = (
    "Split the question into at most three search queries over documentation. "
    'Answer in JSON: {"queries": ["...", "..."]}'
)
QUERIES_LIMIT = 3
PASSAGES_PER_QUERY = 3
TOOL_ROUNDS_LIMIT = 4
HTTP_ATTEMPTS = 8
RETRY_PAUSE_SECS = 0.25


class SupportAgent:
    """One conversation: the index, the model, and what was said so far."""

    def __init__(self, index: documents.Index, model: ModelClient) -> None:
        self.index = index
        self.model = model
        self.history: list[Message] = []
        self.turns: list[dict[str, str]] = []

    @st.agent(name="docs-support", tags=["demo"])
    async def answer(self, question: str) -> str:
        """One turn: look up, call tools while the model asks for them, answer, check the answer."""
        if span := st.current_span():
            self.turns.append({"trace_id": str(span.trace_id), "question": question})
        passages = await self.gather_context(question)
        system = SYSTEM_PROMPT.format(passages=_numbered(passages))
        messages = [{"role": "system", "content": system}, *self.history, {"role": "user", "content": question}]
        text = ""
        for _ in range(TOOL_ROUNDS_LIMIT):
            text, calls = await self.ask(messages)
            if not calls:
                break
            messages.append({"role": "assistant", "content": text or None, "tool_calls": calls})
            messages.extend(await asyncio.gather(*(self.run_tool(call) for call in calls)))
        self.history += [{"role": "user", "content": question}, {"role": "assistant", "content": text}]
        check_answer(text, passages, [m for m in messages if m["role"] == "tool"])
        return text

    @st.trace(name="gather-context")
    async def gather_context(self, question: str) -> list[documents.Passage]:
        """Asks the model for search queries, runs them side by side, and merges what they found."""
        request = [{"role": "system", "content": PLAN_PROMPT}, {"role": "user", "content": question}]
        reply = await asyncio.to_thread(
            self.model.complete, "plan-queries", request, response_format={"type": "json_object"}
        )
        # A model may answer something else than it was asked for; the question itself is a query too.
        queries = json.loads(reply).get("queries") or [question]
        results = await asyncio.gather(*(self.search(str(query)) for query in queries[:QUERIES_LIMIT]))
        with st.span("merge") as span:
            best: dict[str, documents.Hit] = {}
            for hit in (hit for hits in results for hit in hits):
                if hit.passage.source not in best or best[hit.passage.source].score < hit.score:
                    best[hit.passage.source] = hit
            ranked = sorted(best.values(), key=lambda hit: (-hit.score, hit.passage.source))
            span.output = {"sources": [hit.passage.source for hit in ranked]}
            return [hit.passage for hit in ranked]

    async def search(self, query: str) -> list[documents.Hit]:
        """One search, in a thread, as a retriever span."""
        with st.span("search", kind="retriever") as span:
            span.input = {"query": query}
            span.metadata["passages"] = len(self.index.passages)
            hits = await asyncio.to_thread(self.index.search, query, PASSAGES_PER_QUERY)
            span.metadata["hit_count"] = len(hits)
            span.output = {"hits": [{"source": hit.passage.source, "score": hit.score} for hit in hits]}
            return hits

    async def ask(self, messages: list[Message]) -> tuple[str, list[dict[str, Any]]]:
        """Streams one answer to the terminal; returns it and the tools the model wants called."""
        reply = StreamedReply(self.model, list(messages), tools.SPECIFICATIONS)
        pieces = []
        async for piece in reply.text():
            pieces.append(piece)
            print(piece, end="", flush=True)
        if pieces:
            print()
        return "".join(pieces), reply.tool_calls

    async def run_tool(self, call: dict[str, Any]) -> Message:
        """Runs one tool; a failure is recorded and told to the model, which may try again."""
        name = call["function"]["name"]
        print(f"  · {name} {call['function']['arguments']}", flush=True)
        with st.span(f"call {name}", kind="custom") as span:
            span.metadata["call_id"] = call["id"]
            try:
                value = {"result": await attempt(name, json.loads(call["function"]["arguments"]))}
            except subprocess.TimeoutExpired as error:
                span.set_status("timeout", f"{name} took longer than {error.timeout} s")
                value = {"error": str(error)}
            except Exception as error:
                span.record_exception(error)
                span.set_status("error", f"{name} failed, the model was told: {error}")
                value = {"error": str(error)}
            span.output = value
        if "error" in value:
            print(f"    failed: {value['error']}", flush=True)
        return {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(value)}


async def attempt(name: str, arguments: dict[str, Any]) -> Any:
    """Calls a tool; a server that cannot be reached is tried again, each try a span of its own."""
    for left in reversed(range(HTTP_ATTEMPTS)):
        try:
            return await asyncio.to_thread(tools.FUNCTIONS[name], **arguments)
        except OSError as error:
            # A file that is missing stays missing; a server may be on its way back.
            if not left or isinstance(error, (FileNotFoundError, PermissionError)):
                raise
            await asyncio.sleep(RETRY_PAUSE_SECS)
    raise AssertionError("the last attempt returns or raises")


def check_answer(text: str, passages: list[documents.Passage], results: list[Message]) -> None:
    """Scores the answer: which share of its words stands in what the agent had read."""
    with st.span("check-answer", kind="custom") as span:
        evidence = " ".join([p.text + p.source for p in passages] + [m["content"] for m in results])
        said, known = documents.words(text), set(documents.words(evidence))
        grounded = sum(word in known for word in said) / len(said) if said else 0.0
        span.input = {"answer": text}
        span.output = {"words": len(said), "grounded": round(grounded, 3)}
        span.annotate("grounded", value=round(grounded, 3), comment="share of the answer's words found in its sources")
        st.annotate(trace_id=span.trace_id, name="answered", value=bool(said), data_type="boolean")
        route = "tools" if results else "documents"
        st.annotate(trace_id=span.trace_id, name="route", value=route, data_type="categorical")


def _numbered(passages: list[documents.Passage]) -> str:
    return "\n\n".join(f"[{i}] {p.source}\n{p.text[:1500]}" for i, p in enumerate(passages, 1))


@contextlib.contextmanager
def choose_model(tokens_per_second: float) -> Iterator[ModelClient]:
    """The model the environment names, else the local one in a process of its own."""
    if base_url := os.environ.get("OPENAI_BASE_URL"):
        model = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")
        yield ModelClient(base_url.rstrip("/"), os.environ.get("OPENAI_API_KEY", ""), model, "openai")
        return
    here = Path(__file__).resolve().parent
    command = [sys.executable, "-m", "support.local_model", "--tokens-per-second", str(tokens_per_second)]
    with subprocess.Popen(command, cwd=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError("the local model did not start")
        try:
            yield ModelClient(address, "local", "staso-local-demo (deterministic)", "staso-local-demo")
        finally:
            process.stdin.close()


async def converse(agent: SupportAgent, questions: list[str]) -> None:
    """Asks every question in one conversation."""
    for question in questions:
        print(f"\nyou: {question}\nagent:", flush=True)
        await agent.answer(question)


def main() -> int:
    """Runs the conversation and prints the trace of each turn."""
    parser = argparse.ArgumentParser(description="A traced support agent over this repository's documents.")
    parser.add_argument("--tokens-per-second", type=float, default=60.0, help="pace of the local model")
    parser.add_argument("--report", type=Path, help="write what was recorded to this JSON file")
    parser.add_argument("questions", nargs="*", default=QUESTIONS, help="ask these instead")
    options = parser.parse_args()

    st.init(agent_name="support-agent", agent_version="1", environment="demo")
    conversation_id = str(uuid.uuid4())
    index = documents.Index(documents.load_passages(tools.ROOT))
    print(f"{len(index.passages)} passages indexed", flush=True)
    with choose_model(options.tokens_per_second) as model, st.conversation(conversation_id, user_id="demo"):
        print(f"model: {model.model}", flush=True)
        agent = SupportAgent(index, model)
        asyncio.run(converse(agent, options.questions))
    report = st.shutdown(timeout=10.0)

    print()
    for turn in agent.turns:
        print(f"trace {turn['trace_id']}  {turn['question']}")
    print(f"{report.accepted} records, {report.delivered} delivered, {report.journalled} waiting in the journal")
    if options.report:
        body = {"conversation_id": conversation_id, "turns": agent.turns, "accepted": report.accepted}
        options.report.write_text(json.dumps(body), encoding="utf-8")
    return 0 if report.ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
