"""A disk that is full, limited or read-only: the program lives, and everything it recorded is stored.

A small file system is mounted where that is permitted; a limit on the size of files, which asks nobody,
takes the journal's room away everywhere.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting import RECORD, assert_stored, stored_numbers, wait_for_empty_journal
from fault_proxy import FaultProxy, fault_proxy
from parts import Server, run_program, start_program, wait_until

# The program records what each line it reads asks for, and says how it stands.
ON_REQUEST = (
    RECORD
    + """
st.init(flush_interval=0.01, batch_size=500)
recorded = 0
for line in sys.stdin:
    record(recorded, int(line))
    recorded += int(line)
    stats = st.get_client().stats()
    print(*(stats.get(f"journal_{name}", 0) for name in ("usable", "mapped", "pending")), recorded, flush=True)
report = st.flush(60)
print(report.ok, report.accepted, report.rejected, flush=True)
"""
)


ALL_TAKEN_OVER = """
import glob
wait_until("the spans of others", lambda: len(glob.glob(os.environ["STASO_HOME"] + "/journal/*.seg")) < 2)
assert st.flush(60).ok
"""


def named(proxy: FaultProxy) -> dict[str, str]:
    return {"STASO_BASE_URL": proxy.url}


def mount(place: Path, options: str) -> None:
    """A file system in memory, which promises blocks as a disk does; skips where none is permitted."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")


def unmount(place: Path) -> None:
    subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=60)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir(mode=0o700)
    mount(place, "size=4m,mode=700")
    yield place
    unmount(place)


def fill(disk: Path) -> Path:
    """Takes every block that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    file.write(b"\xff" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return filler


def ask(program: subprocess.Popen[str], count: int) -> list[str]:
    """Lets it record; answers whether the journal is usable, is mapped, what waits in it, and what it recorded."""
    assert program.stdin is not None and program.stdout is not None
    program.stdin.write(f"{count}\n")
    program.stdin.flush()
    answer = program.stdout.readline().split()
    assert answer, f"the program is dead: {program.wait(60)}"
    return answer


def end(program: subprocess.Popen[str]) -> list[str]:
    """Lets it end; answers its last report: ok, accepted, rejected."""
    assert program.stdin is not None and program.stdout is not None
    program.stdin.close()
    report = program.stdout.readline().split()
    assert program.wait(60) == 0
    return report


@pytest.mark.spec("5.journal-mapped", "5.journal-stats")
def test_a_disk_that_fills_up_under_a_mapped_segment(server: Server, small_disk: Path) -> None:
    """No SIGBUS; what finds no block goes to the server from memory, and to the journal when there is room."""
    with start_program(ON_REQUEST, small_disk, env={"STASO_BASE_URL": server.url}) as program:
        usable, is_mapped, *_ = ask(program, 1000)
        assert (usable, is_mapped) == ("1", "1")
        filler = fill(small_disk)
        # More than the segment had blocks for.
        for _ in range(4):
            ask(program, 1000)
        filler.unlink()
        ask(program, 1000)
        ok, accepted, rejected = end(program)
    assert (ok, accepted, rejected) == ("True", "6000", "0")
    assert_stored(server, 6000)


@pytest.mark.spec("5.journal-mapped")
def test_a_full_disk_before_the_first_span(server: Server, small_disk: Path) -> None:
    fill(small_disk)
    with start_program(ON_REQUEST, small_disk, env={"STASO_BASE_URL": server.url}) as program:
        usable, *_ = ask(program, 2000)
        assert usable == "0"
        assert end(program) == ["True", "2000", "0"]
    assert_stored(server, 2000)


@pytest.mark.spec("5.journal-later")
def test_the_journal_is_used_again_when_the_disk_has_room(server: Server, small_disk: Path) -> None:
    """A disk is full for a moment, the program is killed later: its server was away all the time."""
    with fault_proxy(server) as proxy:
        proxy.down()
        with start_program(ON_REQUEST, small_disk, env={"STASO_BASE_URL": proxy.url}) as program:
            ask(program, 100)
            filler = fill(small_disk)
            wait_until("the journal to be full", lambda: ask(program, 500)[0] == "0")
            filler.unlink()
            wait_until("the journal to be used", lambda: ask(program, 10)[0] == "1")
            recorded = int(ask(program, 2000)[3])
            program.kill()
        proxy.up()
        run_program(RECORD + "st.init()\nrecord(1_000_000, 1)\n" + ALL_TAKEN_OVER, small_disk, env=named(proxy))
    numbers = stored_numbers(server)
    assert len(numbers) == len(set(numbers))
    missing = {*range(100), *range(recorded - 2000, recorded)} - set(numbers)
    assert not missing, f"{len(missing)} spans that ended while the journal had room are missing"


def limited(limit_bytes: int) -> str:
    """A program whose files cannot grow beyond this, as on a disk with a quota."""
    limit = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))\n"
    return ON_REQUEST.replace("st.init(", limit + "st.init(")


# What the system does to a program that writes beyond the limit, which Python keeps away from its own.
ENDED_BY_THE_SIGNAL = "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"


@pytest.mark.spec("5.journal-mapped")
@pytest.mark.parametrize("before", ["", ENDED_BY_THE_SIGNAL], ids=["refused", "ended by a signal"])
@pytest.mark.parametrize("limit_bytes", [0, 4096, 600_000])
def test_files_that_cannot_grow(server: Server, home: Path, limit_bytes: int, before: str) -> None:
    """Not at all, not beyond a segment's first blocks, not beyond some of its room."""
    with start_program(limited(limit_bytes).replace("st.init(", before + "st.init("), home) as program:
        for _ in range(4):
            ask(program, 750)
        assert end(program) == ["True", "3000", "0"]
    wait_for_empty_journal(home)
    assert_stored(server, 3000)


NO_FILE_MAY_BE_WRITTEN = """
import resource
st.init(flush_interval=60, batch_size=100)
record(0, 3000)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
report = st.flush(60)
assert report.ok and report.delivered == 3000, report
record(3000, 1000)
report = st.flush(60)
assert report.ok and report.delivered == 1000, report
print(st.get_client().stats()["requests"])
"""


@pytest.mark.spec("5.journal-mapped", "5.never-raises")
def test_a_journal_that_may_not_be_written_any_more_is_still_shipped(server: Server, home: Path) -> None:
    """How far it was delivered cannot be noted, which is said once; nothing waits for that or is sent twice."""
    source = RECORD + ENDED_BY_THE_SIGNAL + NO_FILE_MAY_BE_WRITTEN
    with start_program(source, home, env={"STASO_BASE_URL": server.url}) as program:
        out, said = program.communicate(timeout=120)
    assert program.returncode == 0, said
    assert said.count("cannot note how far") == 1, said
    assert int(out) < 60, "a batch is sent once"
    assert_stored(server, 4000)


@pytest.mark.spec("5.journal-survives")
def test_killed_with_files_that_cannot_grow(server: Server, home: Path) -> None:
    """What is in the journal by then is stored, whatever became of the rest."""
    source = limited(300_000).replace("flush_interval=0.01", "flush_interval=60")
    with start_program(source, home) as program:
        pending = int(ask(program, 300)[2])
        assert pending > 100
        program.kill()
    wait_for_empty_journal(home)
    numbers = stored_numbers(server)
    assert len(numbers) == len(set(numbers)) >= pending


@pytest.mark.spec("5.journal-memory")
def test_a_program_without_a_descriptor_to_spare(server: Server, home: Path) -> None:
    """Neither a segment can be made nor a connection; when both can, everything arrives."""
    source = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
st.init(flush_interval=0.01)
held = []
try:
    while True:
        held.append(open("/dev/null"))
except OSError:
    record(0, 3000)
for file in held:
    file.close()
record(3000, 1000)
report = st.flush(60)
assert report.ok and report.delivered == 4000, report
"""
    run_program(RECORD + source, home)
    wait_for_empty_journal(home)
    assert_stored(server, 4000)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A directory that this user may not write to."""
    place = tmp_path / "read-only"
    place.mkdir(mode=0o700)
    if os.geteuid() == 0:
        # Root may write anywhere but on a file system that takes no writing.
        mount(place, "ro")
        yield place
        unmount(place)
    else:
        place.chmod(0o500)
        yield place


@pytest.mark.spec("5.journal-memory")
def test_a_read_only_state_directory(server: Server, read_only: Path) -> None:
    """Spans are kept in memory, which is said once, and delivered."""
    with start_program(ON_REQUEST, read_only, env={"STASO_BASE_URL": server.url}) as program:
        for _ in range(3):
            assert ask(program, 1000)[0] == "0"
        assert end(program) == ["True", "3000", "0"]
        assert program.stderr is not None
        said = program.stderr.read()
    assert said.count("memory only") == 1, said
    assert list(read_only.iterdir()) == []
    assert_stored(server, 3000)


TELLING_ALL = "import logging\nlogging.basicConfig(level=logging.INFO)\n"


@pytest.fixture
def barred(tmp_path: Path) -> Path:
    """A state directory that cannot be made while a file bears the name of the one above it."""
    bar = tmp_path / "bar"
    bar.write_text("in the way")
    return bar / "home"


@pytest.mark.spec("5.journal-memory", "5.journal-survives")
def test_a_directory_that_can_be_made_later(barred: Path) -> None:
    """The journal is taken up, keeps what memory held, and says so once: a kill loses nothing of it."""
    with start_program(TELLING_ALL + ON_REQUEST, barred) as program:
        for _ in range(3):
            assert ask(program, 100)[0] == "0"
        barred.parent.unlink()
        wait_until("the journal to be taken up", lambda: ask(program, 10)[0] == "1")

        def everything() -> int:
            *_, pending, recorded = ask(program, 1)
            return int(recorded) if pending == recorded else 0

        recorded = wait_until("the journal to have everything", everything)
        program.kill()
        assert program.stderr is not None
        said = program.stderr.read()
    assert (said.count("memory only"), said.count("survive this process again")) == (1, 1), said
    server = Server(barred)
    try:
        server.start()
        wait_for_empty_journal(barred)
        assert_stored(server, recorded)
    finally:
        server.kill()


@pytest.mark.spec("5.journal-memory", "5.journal-survives")
def test_a_directory_that_can_be_made_at_the_very_end(barred: Path) -> None:
    """A program's last look at the directory is at its end, however short before that another was."""
    source = """
st.init()
record(0, 300)
st.flush(1)
os.unlink(os.path.dirname(os.environ["STASO_HOME"]))
"""
    run_program(RECORD + source, barred)
    server = Server(barred)
    try:
        server.start()
        wait_for_empty_journal(barred)
        assert_stored(server, 300)
    finally:
        server.kill()


@pytest.mark.spec("5.journal-memory", "3.report-ok")
def test_a_flush_counts_once_what_went_from_memory_to_the_journal(server: Server, barred: Path) -> None:
    """Its server was away: some was being sent from memory when the directory could be made."""
    with fault_proxy(server) as proxy:
        proxy.down()
        with start_program(ON_REQUEST, barred, env=named(proxy)) as program:
            wait_until(
                "memory to be sent from", lambda: ask(program, 100)[0] == "0" and int(ask(program, 600)[3]) > 2000
            )
            barred.parent.unlink()
            wait_until("the journal to be taken up", lambda: ask(program, 10)[0] == "1")
            recorded = ask(program, 500)[3]
            proxy.up()
            assert end(program) == ["True", recorded, "0"]
    assert_stored(server, int(recorded))


@pytest.mark.spec("3.queue", "5.journal-memory", "3.report-ok")
def test_read_only_and_no_server_refuses_what_memory_cannot_hold(read_only: Path) -> None:
    """The program goes on, and the report tells the truth."""
    source = ON_REQUEST.replace("st.init(", "st.init(max_queue_size=1000, ")
    with start_program(source, read_only) as program:
        ask(program, 1500)
        assert end(program) == ["False", "1000", "500"]
