"""The questions that screens ask, with what is promised of each."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

from serving import Serving

WORKSPACE = "ws_acme"
# The generator's last moment, 2026-06-30T00:00:00Z.
WEEK = "from=2026-06-23&to=2026-06-30"
MONTH = "from=2026-05-31&to=2026-06-30"


@dataclasses.dataclass(frozen=True)
class Question:
    """A path, which may differ each time, and milliseconds promised; 0 where nothing is."""

    name: str
    path: Callable[[random.Random, list[str]], str]
    p50_ms: float = 0.0
    p99_ms: float = 0.0


def _list(name: str, query: Callable[[random.Random], str]) -> Question:
    path = f"/api/traces?workspace={WORKSPACE}&limit=50"
    return Question(f"newest 50 traces, {name}", lambda r, _: f"{path}&{query(r)}", 2, 10)


def _filter(text: str) -> Callable[[random.Random], str]:
    return lambda r: "filter=" + text.format(user=r.randrange(200), session=r.randrange(5000), second=r.randrange(60))


def _of(path: str) -> Callable[[random.Random, list[str]], str]:
    return lambda _r, _known: f"{path}{'&' if '?' in path else '?'}workspace={WORKSPACE}"


QUESTIONS = [
    _list("no filter", lambda _: ""),
    _list("environment", lambda _: "environment=staging"),
    _list("errors", _filter("status:error")),
    _list("agent", _filter("agent:support-assistant")),
    _list("model", _filter("model:openai-model-mini")),
    _list("user", _filter("user:user_{user:05}")),
    _list("conversation", _filter("session:sess_{session:05}")),
    _list("duration", _filter("duration%3E{second}s")),
    _list("tokens", _filter("tokens%3E5000")),
    _list("metadata", _filter("metadata.user_tier:gold")),
    _list("metadata that is nowhere", _filter("metadata.user_tier:platinum")),
    _list("metadata, a beginning", _filter("metadata.request_id:0{second}*")),
    _list("metadata and agent", _filter("metadata.region:eu-west-1%20agent:support-assistant")),
    _list("a part of the name", _filter("name:*ssist*")),
    _list("metadata, by cost", lambda _: "sort=cost&filter=metadata.user_tier:gold"),
    _list("by cost", lambda _: "sort=cost"),
    _list("by tokens", lambda _: "sort=tokens"),
    Question("one trace with payloads, warm", lambda r, known: r.choice(known), 5, 30),
    Question(
        "hourly p50, p95, errors, tokens, cost by model, 7 days",
        _of(f"/api/metrics?measure=duration_p50,duration_p95,errors,tokens,cost&group_by=model&interval=1h&{WEEK}"),
        60,
    ),
    Question("agents by cost, 30 days", _of(f"/api/agents?sort=cost&{MONTH}"), 90),
    Question("conversations", _of("/api/sessions?limit=50"), 30),
    Question("users per day, 30 days", _of(f"/api/metrics?measure=users&interval=1d&{MONTH}"), 30),
    Question("values of agent, all time", _of("/api/facets?field=agent")),
    Question("a phrase that is there", _of("/api/search?q=quarterly%20reconciliation&limit=10"), 500),
    Question("a phrase that is nowhere", _of("/api/search?q=xyzzy%20plugh%20frotz"), 500),
]


def ids(serving: Serving) -> list[str]:
    """Paths of a thousand traces, from all over the list."""
    found, cursor = [], ""
    for _ in range(20):
        page = serving.get(f"/api/traces?workspace={WORKSPACE}&limit=1000{cursor}")
        found += [row["trace_id"] for row in page["traces"]]
        if not page["next_cursor"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    chosen = random.Random(1).sample(found, min(1000, len(found)))
    return [f"/api/traces/{trace_id}?workspace={WORKSPACE}" for trace_id in chosen]
