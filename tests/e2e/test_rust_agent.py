"""The example agent in Rust against a real server: attributes, futures, a conversation and a redaction."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from parts import ROOT, Server, environment, payload, wait_until


@pytest.fixture(scope="module")
def agent() -> Path:
    """The example, built as everything else of the checkout is."""
    command = ["cargo", "build", "--locked", "--package", "staso-sdk", "--example", "agent", "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    (executable,) = [message["executable"] for message in messages if message.get("executable")]
    return Path(executable)


def shape(trace: dict[str, Any], parent: str | None = None) -> list[Any]:
    """Names, kinds, states and nesting, in no order of time."""
    spans = [span for span in trace["spans"] if span["parent_span_id"] == parent]
    return sorted([span["name"], span["kind"], span["status"], shape(trace, span["span_id"])] for span in spans)


def test_a_rust_program_is_recorded_whole(server: Server, home: Path, agent: Path) -> None:
    env = environment(home, {"STASO_VCS_COMMIT_SHA": "c0ffee"})
    done = subprocess.run([str(agent)], env=env, cwd=os.sep, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "there is no order 13" in done.stdout

    def both() -> list[dict[str, Any]] | None:
        rows = [row for row in server.trace_rows() if not row["open_count"]]
        return [server.trace(row["trace_id"]) for row in rows] if len(rows) == 2 else None

    failed, answered = sorted(wait_until("both turns", both), key=lambda trace: len(trace["spans"]))
    plan = ["plan", "chain", "ok", []]
    policy = ["find-policy", "retriever", "ok", []]

    def order(status: str) -> list[Any]:
        return ["look-up", "chain", "ok", [["order", "tool", status, []]]]

    chat = ["chat", "llm", "ok", []]
    assert shape(answered) == [["support", "agent", "ok", [chat, policy, order("ok"), plan]]]
    assert shape(failed) == [["support", "agent", "error", [policy, order("error"), plan]]]

    spans = answered["spans"] + failed["spans"]
    assert {(span["agent_name"], span["session_id"], span["user_id"]) for span in spans} == {
        ("support", "support-4711", "u-17")
    }
    assert not any(span["repairs"] or span["interrupted"] for span in spans)
    root, asked = answered["spans"][0], payload(failed["spans"][0]["input"])
    assert root["metadata"]["vcs.commit.sha"] == "c0ffee"
    assert payload(root["output"]) == {"result": "It was shipped, and arrives within three days."}
    assert asked == {"agent_name": "support", "question": "And order 13? Write to [address]"}
    assert failed["spans"][0]["error_message"] == "there is no order 13"
    assert [(note["name"], note["value"]) for note in answered["annotations"]] == [("grounded", True)]
