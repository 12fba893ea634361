"""Forks, pools and several programs: each process's spans are stored, each once, whichever way it was made."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from counting import RECORD, assert_stored, ended_spans, stored_numbers, stored_spans, wait_for_empty_journal
from parts import Server, environment, hex_id, run_program, start_program, wait_until


def run_file(tmp_path: Path, source: str, home: Path, *arguments: str) -> str:
    """Runs source as a file: spawned children import it again."""
    program = tmp_path / "program.py"
    program.write_text(RECORD + source)
    return run_program(program, home, *arguments)


# Children are forked while other threads record: any lock may be held at that moment.
FORKS = """
st.init(flush_interval=0.01)

def work(first):
    for n in range(first, first + 1500, 50):
        record(n, 50)

def child(first, end):
    record(first, 100)
    if end == "exit":
        sys.exit(0)
    if end == "exec":
        os.execv(sys.executable, [sys.executable, __file__, str(first + 100)])
    if end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "fork again":
        if (grandchild := os.fork()) == 0:
            record(first + 100, 100)
            os._exit(0)
        os.waitpid(grandchild, 0)
    os._exit(0)

if len(sys.argv) > 1:
    record(int(sys.argv[1]), 100)
    sys.exit(0)
threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 6000, 1500)]
for thread in threads:
    thread.start()
children = []
for place in range(20):
    pid = os.fork()
    if pid == 0:
        child(6000 + place * 200, ["exit", "exec", "killed", "_exit", "fork again"][place % 5])
    children.append(pid)
for thread in threads:
    thread.join()
for place, pid in enumerate(children):
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert ended == (-signal.SIGKILL if place % 5 == 2 else 0), (place, ended)
"""


@pytest.mark.spec("4.fork", "4.fork-locks")
def test_forks_while_threads_record(server: Server, home: Path, tmp_path: Path) -> None:
    run_file(tmp_path, FORKS, home)
    wait_for_empty_journal(home)
    expected = set(range(6000))
    for place in range(20):
        first = 6000 + place * 200
        # The child that executes and the one that forks again record twice as much.
        expected |= set(range(first, first + (200 if place % 5 in (1, 4) else 100)))
    wait_until("all of them", lambda: ended_spans(server) >= len(expected))
    assert stored_numbers(server) == sorted(expected)


MULTIPROCESSING = """
import multiprocessing as mp
from concurrent.futures import ProcessPoolExecutor
st.init()

def task(first):
    record(first, 50)
    return first

if __name__ == "__main__":
    context = mp.get_context(sys.argv[1])
    record(0, 100)
    processes = [context.Process(target=task, args=(first,)) for first in range(100, 300, 50)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    with context.Pool(2, maxtasksperchild=2) as pool:  # ended by SIGTERM
        assert pool.map(task, range(300, 600, 50), chunksize=1) == list(range(300, 600, 50))
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        assert list(executor.map(task, range(600, 1000, 50))) == list(range(600, 1000, 50))
"""


@pytest.mark.spec("4.fork")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(server: Server, home: Path, tmp_path: Path, method: str) -> None:
    run_file(tmp_path, MULTIPROCESSING, home, method)
    wait_for_empty_journal(home)
    assert_stored(server, 1000)


# As celery's workers: started by the parent's fork after `init`, replaced after some tasks, killed.
PREFORK = """
from billiard.pool import Pool
st.init()

def task(first):
    with st.span("parent of the task"):
        record(first, 50)
    return os.getpid()

record(0, 100)
pool = Pool(3, maxtasksperchild=3)
workers = set(pool.map(task, range(100, 1100, 50), chunksize=1))
assert len(workers) >= 6, workers
pool.terminate()
pool.join()
"""


@pytest.mark.spec("4.fork")
def test_a_prefork_pool(server: Server, home: Path, tmp_path: Path) -> None:
    run_file(tmp_path, PREFORK, home)
    wait_for_empty_journal(home)
    wait_until("all of them", lambda: ended_spans(server) >= 1120)
    spans = server.spans()
    parents = {span["span_id"] for span in spans if span["name"] == "parent of the task"}
    assert len(parents) == 20 and len(spans) == 1120
    assert sorted(span["metadata"]["n"] for span in spans if "n" in span["metadata"]) == list(range(1100))
    assert sum(span["parent_span_id"] in parents for span in spans) == 20


WEB_APPLICATION = (
    RECORD
    + """
st.init()
record(0, 10)

def app(environ, start_response):
    first = int(environ["PATH_INFO"].strip("/"))
    record(first, 10)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
)


@pytest.mark.spec("4.fork")
def test_gunicorn_with_preload(server: Server, home: Path, tmp_path: Path) -> None:
    """Workers are forked from a master that has recorded; one is killed, the others end politely."""
    (tmp_path / "application.py").write_text(WEB_APPLICATION)
    log = tmp_path / "gunicorn.log"
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "3", "--bind", "127.0.0.1:0"]
    with log.open("wb") as output:
        master = subprocess.Popen(
            [*command, "application:app"], cwd=tmp_path, env=environment(home), stdout=output, stderr=output
        )
    try:
        address = wait_until("its address", lambda: re.search(r"Listening at: (http://\S+)", log.read_text()))[1]
        workers = set()
        for first in range(10, 510, 10):
            with urllib.request.urlopen(f"{address}/{first}", timeout=60) as response:
                workers.add(int(response.read()))
        assert os.getpid() not in workers and master.pid not in workers
        os.kill(workers.pop(), signal.SIGKILL)
        with urllib.request.urlopen(f"{address}/510", timeout=60) as response:
            response.read()
        master.send_signal(signal.SIGTERM)
        assert master.wait(60) == 0, log.read_text()
    finally:
        if master.poll() is None:
            master.kill()
            master.wait()
    wait_for_empty_journal(home)
    assert_stored(server, 520)


@pytest.mark.spec("5.journal")
def test_a_burst_of_forty_thousand(server: Server, home: Path) -> None:
    source = """
st.init()
record(0, 40_000)
report = st.flush(120)
assert report.ok and report.delivered == 40_000, report
assert st.get_client().stats()["journal_evicted"] == 0
"""
    run_program(RECORD + source, home)
    wait_for_empty_journal(home)
    # Sent were 40,000 ids, and a row is one id: that many rows are each of them once.
    assert (stored_spans(server), ended_spans(server)) == (40_000, 40_000)


@pytest.mark.spec("5.journal-later")
@pytest.mark.parametrize("is_served", [True, False], ids=["with a server", "before a server"])
def test_programs_that_share_a_state_directory(stopped_server: Server, home: Path, is_served: bool) -> None:
    """At the same time; one is killed, one ends while the others still record."""
    if is_served:
        stopped_server.start()
    source = RECORD + "st.init()\nrecord(int(sys.argv[1]), 1000)\nprint('recorded', flush=True)\nsys.stdin.read()\n"
    programs = [start_program(source, home, str(place * 1000)) for place in range(4)]
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "recorded\n"
    programs[0].kill()
    for program in programs:
        program.communicate("")
    if not is_served:
        stopped_server.start()
    wait_for_empty_journal(home)
    assert_stored(stopped_server, 4000)


TRACEPARENT = """
import subprocess
st.init()
with st.span("outer") as outer:
    outer.metadata["n"] = 0
    headers = {}
    st.inject(headers)
    child = "import staso as st; st.init(); s = st.start_span('inner'); s.metadata['n'] = 1; s.end()"
    subprocess.run([sys.executable, "-c", child], env={**os.environ, "TRACEPARENT": headers["traceparent"]}, check=True)
print(outer.trace_id)
"""


@pytest.mark.spec("4.traceparent")
def test_a_subprocess_that_continues_the_trace(server: Server, home: Path) -> None:
    trace_id = run_program(RECORD + TRACEPARENT, home).strip()
    wait_for_empty_journal(home)
    assert_stored(server, 2)
    assert {span["trace_id"] for span in server.spans()} == {hex_id(trace_id)}
