"""However a program ends, what it recorded before is stored, each span once."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from counting import RECORD, assert_stored, segments, stored_numbers, wait_for_empty_journal
from parts import Server, run_program, start_program

# No core files: what dies here dies on purpose.
INIT = RECORD + "import ctypes, resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\nst.init()\n"

ENDS = {
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "SIGTERM handled": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); os.kill(os.getpid(), signal.SIGTERM)",
        3,
    ),
    # A shell starts what it sends to the background with the interrupt ignored; this program listens to it.
    "SIGINT": (
        "signal.signal(signal.SIGINT, signal.default_int_handler)\nsignal.raise_signal(signal.SIGINT)",
        -signal.SIGINT,
    ),
    "os._exit": ("os._exit(7)", 7),
    "abort": ("ctypes.CDLL(None).abort()", -signal.SIGABRT),
    "crash": ("ctypes.string_at(0)", -signal.SIGSEGV),
    "exec": ("os.execv('/bin/true', ['true'])", 0),
    "uncaught": ("raise RuntimeError", 1),
    "daemon thread": ("threading.Thread(target=time.sleep, args=(600,), daemon=True).start()", 0),
}


@pytest.mark.spec("5.journal-survives")
@pytest.mark.parametrize("end", ["SIGKILL", "SIGTERM", "os._exit", "abort"])
def test_ten_thousand_spans_right_before_the_end(server: Server, home: Path, end: str) -> None:
    source, code = ENDS[end]
    run_program(f"{INIT}record(0, 10_000)\n{source}\n", home, expect=code)
    wait_for_empty_journal(home)
    assert_stored(server, 10_000)


@pytest.mark.spec("5.journal-survives", "3.exit-rest")
def test_programs_that_end_in_every_way_while_a_server_runs(server: Server, home: Path) -> None:
    for place, (source, code) in enumerate(ENDS.values()):
        run_program(f"{INIT}record({place * 500}, 500)\n{source}\n", home, expect=code)
    wait_for_empty_journal(home)
    assert_stored(server, len(ENDS) * 500)


@pytest.mark.spec("5.journal-survives", "3.local-late-server")
def test_programs_that_end_in_every_way_before_a_server_runs(stopped_server: Server, home: Path) -> None:
    for place, (source, code) in enumerate(ENDS.values()):
        run_program(f"{INIT}record({place * 500}, 500)\n{source}\n", home, expect=code)
    server = stopped_server.start()
    wait_for_empty_journal(home)
    assert_stored(server, len(ENDS) * 500)


# Each thread says a number only after that span has ended. A batch goes out every few milliseconds,
# so that the end falls into a request, whose batch the server then also finds in the journal.
WITHOUT_END = """
st.init(flush_interval=0.002, batch_size=50)

def work(first):
    for start in range(first, first + 100_000, 100):
        record(start, 100)
        os.write(1, b"%d\\n" % (start + 99))

for first in range(0, 400_000, 100_000):
    threading.Thread(target=work, args=(first,), daemon=True).start()
sys.stdin.read()
"""


@pytest.mark.spec("5.journal-survives", "5.journal")
@pytest.mark.parametrize("after", [1, 7, 40])
def test_a_program_killed_in_the_middle_loses_nothing_that_had_ended(server: Server, home: Path, after: int) -> None:
    program = start_program(RECORD + WITHOUT_END, home)
    assert program.stdout is not None
    said = [program.stdout.readline() for _ in range(after)]
    program.kill()
    said += program.stdout.read().splitlines()
    program.communicate()
    ended = {int(number) for number in map(str.strip, said) if re.fullmatch(r"\d*99", number)}
    wait_for_empty_journal(home)
    numbers = stored_numbers(server)
    assert len(numbers) == len(set(numbers)), "a span is stored twice"
    missing = {n for last in ended for n in range(last - 99, last + 1)} - set(numbers)
    assert not missing, f"{len(missing)} of {len(ended) * 100} spans that had ended are missing"


@pytest.mark.spec("5.journal-deleted")
def test_a_clean_end_leaves_nothing_to_pick_up(server: Server, home: Path) -> None:
    """What is delivered is gone from the journal when the program is."""
    run_program(f"{INIT}record(0, 1000)\nassert st.flush(60).ok\n", home)
    assert segments(home) == []
    assert_stored(server, 1000)
    assert server.get("/api/health")["ingest"]["journal_batches"] in (0, "0")


@pytest.mark.spec("3.exit")
def test_what_the_programs_own_exit_handlers_record_is_stored(server: Server, home: Path) -> None:
    """Also of those that were there before `init`, and of threads that are still at work."""
    source = """
import atexit
atexit.register(record, 0, 10)
threading.Thread(target=lambda: (threading.main_thread().join(), record(10, 10))).start()
st.init()
atexit.register(record, 20, 10)
record(30, 10)
"""
    run_program(RECORD + source, home)
    wait_for_empty_journal(home)
    assert_stored(server, 40)
