"""The demo's agent end to end: everything it promises to show is in the store, also when the server dies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parts import ROOT, Server, payload, run_program, start_program, wait_until

AGENT = ROOT / "examples" / "support_agent.py"
SIX_KINDS = {"agent", "chain", "custom", "llm", "retriever", "tool"}
TURNS = 5


def run_agent(home: Path, tmp_path: Path, tokens_per_second: int) -> dict[str, Any]:
    """Runs the whole conversation; returns what the agent says it recorded."""
    report = tmp_path / "report.json"
    out = run_program(AGENT, home, "--tokens-per-second", str(tokens_per_second), "--report", str(report))
    written = json.loads(report.read_text())
    assert all(f"trace {turn['trace_id']}" in out for turn in written["turns"])
    return written


def finished_traces(server: Server, report: dict[str, Any]) -> list[dict[str, Any]]:
    """The conversation's traces in the order of its turns, once nothing in them is open."""
    assert len(report["turns"]) == TURNS

    def all_done() -> list[dict[str, Any]] | None:
        rows = server.trace_rows()
        done = len(rows) == TURNS and not any(row["open_count"] for row in rows)
        traces = [server.trace(turn["trace_id"]) for turn in report["turns"]] if done else []
        # Annotations travel behind their spans: the last one is the third of the last turn.
        return traces if done and all(len(trace["annotations"]) == 3 for trace in traces) else None

    return wait_until("all turns to be done", all_done)


def children(trace: dict[str, Any], parent: str | None) -> list[dict[str, Any]]:
    return [span for span in trace["spans"] if span["parent_span_id"] == parent]


def is_failed_try(trace: dict[str, Any], span: dict[str, Any]) -> bool:
    """A call of the server that failed and was tried again beside it."""
    siblings = children(trace, span["parent_span_id"])
    succeeded = any(sibling["name"] == "http_get" and sibling["status"] == "ok" for sibling in siblings)
    return span["name"] == "http_get" and span["status"] == "error" and succeeded


def shape(trace: dict[str, Any], parent: str | None = None) -> list[Any]:
    """Names, kinds, states and nesting; the same for two runs over the same files."""
    kept = [span for span in children(trace, parent) if not is_failed_try(trace, span)]
    return sorted([s["name"], s["kind"], s["status"], shape(trace, s["span_id"])] for s in kept)


def assert_intact(traces: list[dict[str, Any]], report: dict[str, Any]) -> None:
    """No span missing its parent, none twice, none left open, each in the conversation."""
    spans = [span for trace in traces for span in trace["spans"]]
    assert len({(span["trace_id"], span["span_id"]) for span in spans}) == len(spans)
    assert not any(span["open"] or span["missing_parent"] or span["repairs"] for span in spans)
    assert {span["session_id"] for span in spans} == {report["conversation_id"]}
    assert all(len(children(trace, None)) == 1 for trace in traces)


def test_the_conversation_is_recorded_whole(server: Server, home: Path, tmp_path: Path) -> None:
    report = run_agent(home, tmp_path, 2_000)
    traces = finished_traces(server, report)
    assert_intact(traces, report)
    spans = [span for trace in traces for span in trace["spans"]]

    assert {span["kind"] for span in spans} == SIX_KINDS
    assert {row["agent_name"] for row in server.trace_rows()} == {"docs-support"}
    for trace in traces:
        notes = {note["name"]: note for note in trace["annotations"]}
        assert set(notes) == {"grounded", "answered", "route"}
        assert 0.0 < notes["grounded"]["value"] <= 1.0
        assert notes["answered"]["value"] is True
    routes = [note["value"] for trace in traces for note in trace["annotations"] if note["name"] == "route"]
    assert routes == ["documents", "tools", "tools", "tools", "documents"]


def test_a_failing_tool_is_retried_and_succeeds(server: Server, home: Path, tmp_path: Path) -> None:
    trace = finished_traces(server, run_agent(home, tmp_path, 2_000))[1]
    failed, succeeded = [span for span in trace["spans"] if span["name"] == "read_file"]
    assert (failed["status"], succeeded["status"]) == ("error", "ok")
    assert "did you mean docs/guides/manual-spans.md?" in failed["error_message"]
    assert payload(failed["input"]) == {"path": "docs/guides/manual-span.md"}
    assert any(event["attributes"]["exception.type"].endswith("FileNotFoundError") for event in failed["events"])
    result = payload(succeeded["output"])["result"]
    assert result["text"].startswith("# Manual spans")
    assert trace["trace"]["status"] == "ok"


def test_model_calls_say_what_they_used(server: Server, home: Path, tmp_path: Path) -> None:
    traces = finished_traces(server, run_agent(home, tmp_path, 2_000))
    calls = [span for trace in traces for span in trace["spans"] if span["kind"] == "llm"]
    assert {call["name"] for call in calls} == {"plan-queries", "answer"}
    assert {call["model"] for call in calls} == {"staso-local-demo (deterministic)"}
    for call in calls:
        assert payload(call["input"])["messages"]
        usage = call["usage"]
        assert usage["total"] == usage["input_total"] + usage["output"] > 0
    # The streamed pieces were joined into the output of the span.
    last = [call for call in calls if call["trace_id"] == traces[-1]["trace"]["trace_id"]][-1]
    assert "[" in json.dumps(payload(last["output"]))


def test_concurrent_retrievals_hang_under_the_step_that_started_them(
    server: Server, home: Path, tmp_path: Path
) -> None:
    for trace in finished_traces(server, run_agent(home, tmp_path, 2_000)):
        (gather,) = [span for span in trace["spans"] if span["name"] == "gather-context"]
        retrievals = [span for span in trace["spans"] if span["kind"] == "retriever"]
        assert retrievals
        assert {span["parent_span_id"] for span in retrievals} == {gather["span_id"]}
        assert all(span["metadata"]["hit_count"] > 0 for span in retrievals)


def test_nothing_is_missing_when_the_server_is_killed_midway(
    tmp_path: Path, home: Path, stopped_server: Server, make_server: Callable[[], Server]
) -> None:
    """Three times in the middle of a run the server is killed and started again."""
    calm_server = make_server().start()
    calm_report = run_agent(calm_server.home, tmp_path, 2_000)
    calm = finished_traces(calm_server, calm_report)

    server = stopped_server.start()
    report_file = tmp_path / "disturbed.json"
    program = start_program(AGENT, home, "--tokens-per-second", "60", "--report", str(report_file))
    seen = 0
    for _ in range(3):
        # The next kill waits for new spans, so that each falls into a batch under way.
        seen = wait_until("more spans", lambda before=seen: (n := len(server.spans())) > before and n)
        assert program.poll() is None, "the run ended before the server was killed"
        server.kill()
        server.start()
    out, err = program.communicate(timeout=120)
    assert program.returncode == 0, out + err

    report = json.loads(report_file.read_text())
    traces = finished_traces(server, report)
    assert_intact(traces, report)
    assert [shape(trace) for trace in traces] == [shape(trace) for trace in calm]
    stored = sum(len(trace["spans"]) + len(trace["annotations"]) for trace in traces)
    assert stored == report["accepted"], Counter(s["name"] for t in traces for s in t["spans"])


def test_the_server_may_stay_away_for_the_whole_run(stopped_server: Server, home: Path, tmp_path: Path) -> None:
    report = run_agent(home, tmp_path, 2_000)
    traces = finished_traces(stopped_server.start(), report)
    assert_intact(traces, report)
    tries = [span for span in traces[3]["spans"] if span["name"] == "http_get"]
    assert len(tries) == 8
    assert {span["status"] for span in tries} == {"error"}
