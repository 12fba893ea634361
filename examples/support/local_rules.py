"""What the local model answers: fixed rules over the messages it is sent, no randomness, no state.

Asked for JSON it splits the question into search queries. Offered tools it calls those that the
question's wording asks for, and calls again with the path that a failed read suggested. Otherwise it
quotes the sentences of the given passages that share most words with the question.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from support.documents import words

Message = dict[str, Any]

_FILE = re.compile(r"[\w./-]+\.md\b")
_ARITHMETIC = re.compile(r"\(?\d[\d\s.()]*(?:[-+*/%]+[\s\d.()]*\d[\d.)]*\s*)+")
_SUGGESTION = re.compile(r"did you mean ([\w./-]+\.md)\?")
_PASSAGE = re.compile(r"^\[(\d+)\] (\S+#.*)$", re.MULTILINE)
_TOKEN = re.compile(r"\w+|[^\w\s]")
QUOTED_SENTENCES = 2


@dataclass
class Answer:
    """Text, or calls of tools."""

    text: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)

    @property
    def finish_reason(self) -> str:
        """Why the model stopped, in the endpoint's words."""
        return "tool_calls" if self.tool_calls else "stop"

    def message(self) -> Message:
        """As an assistant message."""
        message: Message = {"role": "assistant", "content": self.text or None}
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        return message

    def pieces(self) -> list[str]:
        """The text word by word, as it is streamed."""
        return re.findall(r"\S+\s*", self.text)


def count_tokens(text: str) -> int:
    """Words and punctuation marks: what this model calls a token."""
    return len(_TOKEN.findall(text))


def decide(messages: list[Message], tools: list[dict[str, Any]], wants_json: bool) -> Answer:
    """The answer to a list of messages: the same messages give the same answer."""
    at = max(i for i, message in enumerate(messages) if message["role"] == "user")
    question, turn = messages[at]["content"], messages[at + 1 :]
    if wants_json:
        return Answer(json.dumps({"queries": _queries(question)}))
    offered = {tool["function"]["name"] for tool in tools}
    made = {call["id"]: call["function"] for message in turn for call in message.get("tool_calls") or []}
    results = [
        (made[message["tool_call_id"]]["name"], message["content"]) for message in turn if message["role"] == "tool"
    ]
    calls = _wanted_calls(question, results, {(call["name"], call["arguments"]) for call in made.values()}, offered)
    if calls:
        return Answer(tool_calls=calls)
    context = next((m["content"] for m in reversed(messages) if m["role"] == "system"), "")
    return Answer("\n".join(_from_tools(results) or _quotes(question, context)))


def _queries(question: str) -> list[str]:
    """The question, and each of its clauses that has at least two words worth searching for."""
    clauses = [clause.strip() for clause in re.split(r"[,;:?]|\b(?:and|when|before)\b", question)]
    return [question, *(clause for clause in clauses if len(words(clause)) >= 2 and len(clauses) > 2)][:3]


def _wanted_calls(
    question: str, results: list[tuple[str, str]], made: set[tuple[str, str]], offered: set[str]
) -> list[dict[str, Any]]:
    wanted: list[tuple[str, dict[str, Any]]] = []
    if path := _FILE.search(question):
        wanted.append(("read_file", {"path": path[0]}))
    for _, content in results:
        if suggestion := _SUGGESTION.search(content):
            wanted.append(("read_file", {"path": suggestion[1]}))
    if expression := _ARITHMETIC.search(question):
        wanted.append(("calculator", {"expression": expression[0].strip()}))
    if "healthy" in question:
        wanted.append(("http_get", {"path": "/api/health"}))
    if "commit" in question:
        wanted.append(("git_log", {"count": 1}))
    calls = []
    for name, arguments in wanted:
        text = json.dumps(arguments)
        if name in offered and (name, text) not in made:
            identity = f"call_{len(made) + len(calls) + 1}"
            calls.append({"id": identity, "type": "function", "function": {"name": name, "arguments": text}})
    return calls


def _from_tools(results: list[tuple[str, str]]) -> list[str]:
    """One line per tool, of its last result: a call that was tried again speaks for the failed one."""
    return list({name: _line(name, json.loads(content)) for name, content in results}.values())


def _line(tool: str, value: dict[str, Any]) -> str:
    if "error" in value:
        return f"I could not use {tool}: {value['error']}."
    result = value["result"]
    if tool == "read_file":
        return f"{result['path']} says: {' '.join(result['text'].split()[:40])} …"
    if tool == "calculator":
        return f"That is {result}."
    if tool == "git_log":
        return f"The newest commit is {result[0]}."
    return f"The server answered {result['status']}: {result['body']}"


def _quotes(question: str, context: str) -> list[str]:
    """The best sentences of the passages, each with its source."""
    wanted = set(words(question))
    scored = []
    parts = _PASSAGE.split(context)
    for number, source, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        for sentence in _sentences(text):
            found = words(sentence)
            shared = len(wanted.intersection(found))
            # Long sentences share words by chance, and a passage that ranked lower is less to the point.
            scored.append((-shared / (len(found) + 8) ** 0.5 / int(number) ** 0.25, int(number), sentence, source))
    best = [row for row in sorted(scored) if row[0] < 0][:QUOTED_SENTENCES]
    if not best:
        return ["The documents I was given do not say."]
    return [f"{sentence} [{source}]" for _, _, sentence, source in best]


def _sentences(text: str) -> list[str]:
    """Prose only: code blocks, tables and pictures are not sentences."""
    prose = re.sub(r"```.*?```", " ", text, flags=re.DOTALL).replace("**", "")
    lines = [line for line in prose.splitlines() if not re.match(r"\s*[|<!]", line)]
    flat = re.sub(r"\s+", " ", re.sub(r"(?m)^\s*(?:[-*]|\d+\.)\s+", "\n", "\n".join(lines)).replace("\n\n", ". "))
    found = (sentence.strip(" .:") for sentence in re.split(r"(?<=[.!?])\s+", flat))
    return [sentence + "." for sentence in found if 4 <= len(sentence.split()) <= 60]
