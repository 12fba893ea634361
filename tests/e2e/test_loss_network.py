"""Whatever the way to the server does, what a program recorded is stored in the end, each span once.

Programs are given the address of a proxy that injects faults in front of a real server. Their segments
are for that address only: the server behind it does not help itself to the journal here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from counting import RECORD, assert_stored, segments, stored_spans, wait_for_empty_journal
from fault_proxy import (
    GARBAGE,
    HANG,
    HANG_IN_ANSWER,
    HANG_UP,
    LOST_ANSWER,
    NOISE,
    TORN_ANSWER,
    WRONG_RECEIPT,
    Fault,
    FaultProxy,
    fault_proxy,
)
from parts import Server, run_program, start_program, wait_until

INIT = RECORD + "st.init(flush_interval=0.005)\n"

# The first is a span with an exception: an event, which only the newer form of the wire carries.
RECORD_AND_FLUSH = """
with st.span("failed") as failed:
    failed.metadata["n"] = 0
    failed.record_exception(ValueError("of the program"))
record(1, 300)
report = st.flush(60)
assert report.ok and report.delivered == 301, report
"""

# What the next program of the same destination does: it takes over what others left.
TAKE_OVER = """
import glob
record({first}, 100)
wait_until("the spans of others", lambda: len(glob.glob(os.environ["STASO_HOME"] + "/journal/*.seg")) < 2)
assert st.flush(60).ok
"""


def named(proxy: FaultProxy) -> dict[str, str]:
    return {"STASO_BASE_URL": proxy.url}


PASSING = [500, 503, 429, 408, 302, GARBAGE, WRONG_RECEIPT, NOISE, HANG_UP, LOST_ANSWER, TORN_ANSWER]


@pytest.mark.spec("5.retries")
@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_a_fault_that_passes_costs_nothing(server: Server, home: Path, fault: Fault) -> None:
    with fault_proxy(server) as proxy:
        # The first one hits the question what the server understands, the others hit batches. A page
        # without capabilities is what older servers answer: it cannot be told from a fault there.
        question = None if fault in (GARBAGE, WRONG_RECEIPT) else fault
        proxy.plan(question, None, fault, None, fault, fault)
        run_program(INIT + RECORD_AND_FLUSH, home, env=named(proxy))
        assert proxy.injected == (4 if question else 3)
    assert segments(home) == []
    assert_stored(server, 301)
    failed = server.wait_for_span("failed")
    assert [event["name"] for event in failed["events"]] == ["exception"], "sent in the older form"


FOR_EVER = {
    500: "backend_unavailable",
    429: "rate_limited",
    401: "invalid_key",
    GARBAGE: "malformed_response",
    NOISE: "malformed_response",
    HANG_UP: "network_unavailable",
    HANG: None,  # the flush is over before the request is
    HANG_IN_ANSWER: None,
}


@pytest.mark.spec("3.exit-rest", "3.failure-kinds", "5.journal-outage", "5.paused")
@pytest.mark.parametrize("fault", FOR_EVER, ids=str)
def test_a_fault_that_lasts_until_the_program_has_ended(server: Server, home: Path, fault: Fault) -> None:
    told = (
        RECORD
        + "st.init()\nrecord({}, 200)\nreport = st.flush(0.5)\nprint(report.ok, report.journalled, report.last_failure)\n"
    )
    with fault_proxy(server) as proxy:
        proxy.always = fault
        for first in (0, 200):
            ok, journalled, failure = run_program(told.format(first), home, env=named(proxy)).split()
            assert (ok, int(journalled)) == ("False", 200)
            assert failure == (FOR_EVER[fault] or "None")
        assert stored_spans(server) == 0
        proxy.heal()
        run_program(INIT + TAKE_OVER.format(first=400), home, env=named(proxy))
    wait_for_empty_journal(home)
    assert_stored(server, 500)


@pytest.mark.spec("5.journal-outage", "5.retries")
def test_a_server_that_is_away_for_longer_than_every_timeout(server: Server, home: Path) -> None:
    """Nobody listens, then no request is ever answered, then the server behind the gateway is dead."""
    program_source = """
stats = lambda: st.get_client().stats()
for first, _ in enumerate(sys.stdin):
    record(first * 300, 300)
    before = stats()["failed_requests"]
    assert not st.flush(0.2).ok
    wait_until("an attempt to fail", lambda: stats()["failed_requests"] > before)
    print("failed", flush=True)
print("waits", flush=True)
# Nobody asks for anything: it is delivered because the server is back.
wait_until("everything to be delivered", lambda: stats()["delivered"] == 900)
os._exit(0)
"""
    with fault_proxy(server) as proxy:
        proxy.down()
        with start_program(INIT + program_source, home, env=named(proxy)) as program:
            assert program.stdin is not None and program.stdout is not None
            for phase in ("refused", "hanging", "dead"):
                if phase == "hanging":
                    proxy.always = HANG
                    proxy.up()
                elif phase == "dead":
                    proxy.heal()
                    server.kill()
                program.stdin.write("\n")
                program.stdin.flush()
                assert program.stdout.readline() == "failed\n", phase
            program.stdin.close()
            assert program.stdout.readline() == "waits\n"
            server.start()
            assert program.wait(60) == 0
    assert_stored(server, 900)


@pytest.mark.spec("5.journal-later")
def test_programs_too_short_to_take_anything_over_at_leisure_still_do(server: Server, home: Path) -> None:
    """A job that runs a moment at a time, and nothing else on the machine: an outage must not stay for ever."""
    with fault_proxy(server) as proxy:
        proxy.down()
        run_program(INIT + "record(0, 1000)\n", home, env=named(proxy))
        proxy.up()
        runs = 0
        while segments(home):
            run_program(RECORD + f"st.init()\nrecord({1000 + runs}, 1)\n", home, env=named(proxy))
            runs += 1
            assert runs < 10, f"{len(segments(home))} segments are left"
    assert_stored(server, 1000 + runs)


DYING = """
st.init(flush_interval=0.002, batch_size=20)
for place, _ in enumerate(sys.stdin):
    record(place * 4000, 4000)
report = st.flush(60)
assert report.ok, report
"""


@pytest.mark.spec("5.retries")
@pytest.mark.parametrize("way", ["named", "local"])
def test_a_server_that_dies_in_the_middle(server: Server, home: Path, way: str) -> None:
    with fault_proxy(server) as proxy:
        program = start_program(RECORD + DYING, home, env=named(proxy) if way == "named" else {})
        assert program.stdin is not None
        for _ in range(3):
            before = stored_spans(server)
            program.stdin.write("\n")
            program.stdin.flush()
            wait_until("some of it to arrive", lambda before=before: stored_spans(server) > before)
            server.kill()
            server.start()
        out, err = program.communicate()
        assert program.returncode == 0, out + err
        wait_for_empty_journal(home)
    assert_stored(server, 12_000)


@pytest.mark.spec("5.journal-keys")
def test_what_the_server_took_without_being_heard_is_not_stored_twice(server: Server, home: Path) -> None:
    """Killed between the server's commit and its answer: the next process repeats the batch's key."""
    source = INIT + "record(0, 1000)\nprint('recorded', flush=True)\nsys.stdin.read()\n"
    with fault_proxy(server) as proxy:
        proxy.plan(None)  # the question what the server understands
        proxy.always = LOST_ANSWER
        with start_program(source, home, env=named(proxy)) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == "recorded\n"
            wait_until("the first batch to be stored", lambda: stored_spans(server) > 0)
            program.kill()
        proxy.heal()
        run_program(INIT + TAKE_OVER.format(first=1000), home, env=named(proxy))
    wait_for_empty_journal(home)
    assert_stored(server, 1100)
    assert int(server.get("/api/health")["ingest"]["repeated"]) > 0


@pytest.mark.spec("5.split")
def test_a_server_that_takes_little_at_once_gets_it_in_pieces(server: Server, home: Path) -> None:
    with fault_proxy(server) as proxy:
        proxy.max_body_bytes = 6_000
        run_program(INIT + "record(0, 1000)\nassert st.flush(60).ok\n", home, env=named(proxy))
        assert proxy.injected > 0
    assert segments(home) == []
    assert_stored(server, 1000)


def set_aside(home: Path) -> list[dict[str, Any]]:
    """The spans in `rejected/`, announcements left out."""
    import json

    bodies = [json.loads(path.read_text()) for path in (home / "journal" / "rejected").glob("*.json")]
    spans = [span for body in bodies for trace in body["traces"] for span in trace["spans"]]
    return [span for span in spans if not span.get("provisional")]


@pytest.mark.spec("5.split", "5.set-aside", "5.one-bad-span")
def test_one_span_that_is_too_large_costs_no_other(server: Server, home: Path) -> None:
    source = """
record(0, 200)
with st.span("large") as large:
    large.input = "x" * 50_000
record(200, 200)
report = st.flush(60)
assert (report.delivered, report.failed) == (400, 1), report
"""
    with fault_proxy(server) as proxy:
        proxy.max_body_bytes = 20_000
        run_program(INIT + source, home, env=named(proxy))
    assert_stored(server, 400)
    assert [(span["name"], len(span["input"])) for span in set_aside(home)] == [("large", 50_000)]


@pytest.mark.spec("5.set-aside")
def test_what_is_too_large_for_ever_is_kept_for_a_person(server: Server, home: Path) -> None:
    source = "record(0, 100)\nreport = st.flush(60)\nassert report.failed == 100 and not report.ok, report\n"
    with fault_proxy(server) as proxy:
        proxy.plan(None)
        proxy.always = 413
        run_program(INIT + source, home, env=named(proxy))
    assert stored_spans(server) == 0
    assert sorted(span["attributes"]["n"] for span in set_aside(home)) == list(range(100))


@pytest.mark.spec("5.journal-keys", "5.retries")
def test_several_programs_over_a_connection_that_loses_answers(server: Server, home: Path) -> None:
    with fault_proxy(server) as proxy:
        proxy.plan(*[None, LOST_ANSWER, None, TORN_ANSWER, None, HANG_UP] * 5)
        source = INIT + "record(int(sys.argv[1]), 1000)\nassert st.flush(60).ok\n"
        programs = [start_program(source, home, str(n * 1000), env=named(proxy)) for n in range(3)]
        for program in programs:
            out, err = program.communicate(timeout=120)
            assert program.returncode == 0, out + err
    wait_for_empty_journal(home)
    assert_stored(server, 3000)
