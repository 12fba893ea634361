"""Threads, tasks, greenlets and sub-interpreters of one process: all they record is stored, in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from counting import RECORD, assert_stored, wait_for_empty_journal
from parts import Server, run_program


def parents(server: Server) -> dict[str, str | None]:
    """The name of each span's parent; every name is given to one span only."""
    spans = server.spans()
    names = {span["span_id"]: span["name"] for span in spans}
    assert len(set(names.values())) == len(spans)
    return {span["name"]: names.get(span["parent_span_id"]) for span in spans}


def traces(server: Server) -> dict[str, set[str]]:
    """The names of the spans in each root's trace."""
    found: dict[str, set[str]] = {}
    spans = server.spans()
    roots = {span["trace_id"]: span["name"] for span in spans if span["parent_span_id"] is None}
    for span in spans:
        found.setdefault(roots[span["trace_id"]], set()).add(span["name"])
    return found


POOLS = """
import asyncio
from concurrent.futures import ThreadPoolExecutor
st.init()

def task(name):
    with st.span(name) as s:
        s.metadata["n"] = int(name)

async def main(pool):
    loop = asyncio.get_running_loop()
    async with st.span("1000") as s:
        s.metadata["n"] = 1000
        names = [str(n) for n in range(600, 1000)]
        await asyncio.gather(*(loop.run_in_executor(pool, task, name) for name in names))

with ThreadPoolExecutor(8) as pool:
    with st.span("599") as s:
        s.metadata["n"] = 599
        list(pool.map(task, [str(n) for n in range(500)]))
    futures = [pool.submit(task, str(n)) for n in range(500, 599)]
    [future.result() for future in futures]
    asyncio.run(main(pool))
"""


@pytest.mark.spec("4.threads")
def test_thread_pools_and_executors(server: Server, home: Path) -> None:
    run_program(RECORD + POOLS, home)
    wait_for_empty_journal(home)
    assert_stored(server, 1001)
    found = parents(server)
    assert {found[str(n)] for n in range(500)} == {"599"}
    assert {found[str(n)] for n in range(500, 599)} == {None}, "a worker kept what an earlier task had"
    assert {found[str(n)] for n in range(600, 1000)} == {"1000"}


OUTLIVING = """
import asyncio
st.init()
parent_ended = asyncio.Event()

async def child(n):
    with st.span(f"early {n}"):
        await parent_ended.wait()
    with st.span(f"late {n}"):
        await asyncio.sleep(0)

async def parent(name):
    with st.span(name):
        tasks = [asyncio.create_task(child(f"{name} {n}")) for n in range(100)]
        await asyncio.sleep(0)
    return tasks

async def main():
    left = await parent("a") + await parent("b")
    with st.span("meanwhile"):
        parent_ended.set()
        await asyncio.gather(*left)

asyncio.run(main())
"""


@pytest.mark.spec("4.tasks")
def test_tasks_that_outlive_their_parent(server: Server, home: Path) -> None:
    run_program(RECORD + OUTLIVING, home)
    wait_for_empty_journal(home)
    found = parents(server)
    assert len(found) == 403
    for parent in "ab":
        children = {f"{when} {parent} {n}" for when in ("early", "late") for n in range(100)}
        assert {found[child] for child in children} == {parent}
        assert traces(server)[parent] == {parent} | children
    assert found["meanwhile"] is None


# The patched sockets, threads and locks are everyone's; the shipping thread is none of Python's.
GREENLETS = """
from gevent import monkey
monkey.patch_all()
import gevent
from gevent.pool import Pool
from gevent.threadpool import ThreadPool

{record}
st.init(flush_interval=0.01)

@st.trace
def step(n):
    gevent.sleep(0)
    return n

def task(n):
    with st.span(f"task {{n}}"):
        gevent.sleep(0)
        with st.span(f"inner {{n}}"):
            gevent.sleep(0)

pool = Pool(50)
with st.span("outside"):
    pool.map(task, range(100))
threads = [threading.Thread(target=task, args=(n,)) for n in range(100, 120)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
native = ThreadPool(4)
native.map(task, range(120, 200))
report = st.flush(60)
assert report.ok and report.delivered == 401, report
"""


# Reading a value runs the program's code, which may wait as any other does; meanwhile others take turns.
WAITING_VALUES = """
from gevent import monkey
monkey.patch_all()
import gevent
from gevent.event import Event

{record}
recorded = Event()
waiting = 0

class Slow:
    def __repr__(self):
        global waiting
        with st.span("inside the reading of a value"):
            waiting += 1
            recorded.wait(60)
        return "slow"

st.init(flush_interval=0.01)

def slow(n):
    with st.span(f"slow {{n}}") as s:
        s.input = Slow()

def quick():
    wait_until("a value to be read", lambda: waiting)
    for n in range(100):
        with st.span(f"quick {{n}}") as s:
            s.input = {{"n": [n, "plain", Slow]}}
            with st.span(f"inner {{n}}"):
                gevent.sleep(0)
    recorded.set()

gevent.joinall([*(gevent.spawn(slow, n) for n in range(3)), gevent.spawn(quick)], raise_error=True)
report = st.flush(60)
assert report.ok and report.delivered == 203, report
"""


@pytest.mark.spec("4.tasks", "5.user-calls")
def test_a_greenlet_that_waits_inside_a_value_silences_no_other(server: Server, home: Path) -> None:
    run_program(WAITING_VALUES.format(record=RECORD), home)
    wait_for_empty_journal(home)
    found = parents(server)
    assert {found[f"inner {n}"] for n in range(100)} == {f"quick {n}" for n in range(100)}
    assert all(found[f"inner {n}"] == f"quick {n}" for n in range(100))
    # What a value's own code does while we read it is not recorded: it would read it again.
    assert "inside the reading of a value" not in found
    slow = [span for span in server.spans() if span["name"].startswith("slow")]
    assert [span["input"]["text"] for span in slow] == ["slow"] * 3


@pytest.mark.spec("4.tasks")
def test_greenlets_of_a_patched_program(server: Server, home: Path) -> None:
    run_program(GREENLETS.format(record=RECORD), home)
    wait_for_empty_journal(home)
    found = parents(server)
    assert len(found) == 401
    assert all(found[f"inner {n}"] == f"task {n}" for n in range(200))
    # A greenlet has a context of its own: it never hangs under what another one has open.
    assert {found[f"task {n}"] for n in range(200)} <= {None, "outside"}
