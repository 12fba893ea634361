"""Every code block of the README and the guides does what the page says.

`python` blocks run, each in a fresh process beside a running server, and must leave a trace behind;
`python unrecorded` blocks must leave none. `bash runnable` blocks run as they stand, beside the files that
`python file=NAME` blocks of their page hold. A `text printed` block is all that the block before it prints;
in it, `…` stands for the rest of a line, or for any lines. `rust` blocks are doc tests of the crate that
includes their page. A block of any other kind is not code to paste, except `sh` blocks, which may only hold
the commands listed here: those that other tests run, or that never end.
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
import staso as st
from counting import segments
from parts import ROOT, Server, environment, run_program, server_binary, wait_until

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "guides").rglob("*.md")),
    *sorted((ROOT / "docs" / "reference").rglob("*.md")),
]
# `staso serve` runs in every test here; the others are run by whoever runs these tests.
PREFORK_COMMAND = "gunicorn --preload --workers 2 app:app"
COMMANDS_NOT_RUN_HERE = {"make demo", "make test", "make bench", "staso serve", PREFORK_COMMAND}
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file_name(self) -> str | None:
        """What a reader saves this block as."""
        return self.language.partition("file=")[2] or None


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for fence in _FENCE.finditer(text):
            line = text.count("\n", 0, fence.start()) + 1
            found.append(Block(page, line, fence[1].strip(), fence[2]))
    return found


def of(language: str) -> list[Block]:
    return [block for block in blocks() if block.language == language]


def printed_by(block: Block) -> str | None:
    """What the page says that this block prints."""
    every = blocks()
    following = every[every.index(block) + 1 :][:1]
    told = [after for after in following if after.page == block.page and after.language == "text printed"]
    return told[0].text if told else None


def assert_printed(block: Block, out: str) -> None:
    told = printed_by(block)
    if told is None:
        return
    lines = ["(?:.*\n)*?" if line == "…" else f"{re.escape(line).replace('…', '.*')}\n" for line in told.splitlines()]
    assert re.fullmatch("".join(lines), out), f"{block} prints\n{out}\nand the page says\n{told}"


def save_files_of(page: Path, directory: Path) -> None:
    for block in blocks():
        if block.page == page and block.file_name:
            (directory / block.file_name).write_text(block.text)


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_python_block(block: Block, server: Server, home: Path, tmp_path: Path) -> None:
    program = tmp_path / "page.py"
    program.write_text(block.text)
    assert_printed(block, run_program(program, home))
    rows = wait_until("its trace", lambda: [row for row in server.trace_rows() if not row["open_count"]])
    assert not any(row["repaired_count"] for row in rows)


@pytest.mark.parametrize("block", of("python unrecorded"), ids=str)
def test_python_block_that_leaves_no_trace(block: Block, home: Path, tmp_path: Path) -> None:
    program = tmp_path / "page.py"
    program.write_text(block.text)
    assert_printed(block, run_program(program, home))
    assert segments(home) == []


@pytest.mark.parametrize("block", of("bash runnable"), ids=str)
def test_bash_block(block: Block, server: Server, home: Path, tmp_path: Path) -> None:
    run_program("import staso as st\nst.init()\nwith st.span('x'): pass\n", home)
    server.wait_for_spans(1)
    env = environment(home, {"STASO_URL": server.url})
    # `staso` is the server's command, `python` the interpreter with the wheel.
    env["PATH"] = os.pathsep.join([str(server_binary().parent), str(Path(sys.executable).parent), env["PATH"]])
    directory = tmp_path / "page"
    directory.mkdir()
    save_files_of(block.page, directory)
    command = ["bash", "-euo", "pipefail", "-c", block.text]
    done = subprocess.run(command, env=env, cwd=directory, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
    assert_printed(block, done.stdout)


def test_prefork_command(server: Server, home: Path, tmp_path: Path) -> None:
    """The web server of the guide, by the command that stands there, on a free port."""
    save_files_of(ROOT / "docs" / "guides" / "servers.md", tmp_path)
    command = [sys.executable, "-m", *PREFORK_COMMAND.split(), "--bind", "127.0.0.1:0"]
    log = tmp_path / "gunicorn.log"
    with log.open("wb") as out:
        master = subprocess.Popen(command, cwd=tmp_path, env=environment(home), stdout=out, stderr=out)
    try:
        address = wait_until("its address", lambda: re.search(r"Listening at: (http://\S+)", log.read_text()))[1]
        traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
        headers = {"X-Chat": "chat-1", "traceparent": traceparent}
        request = urllib.request.Request(f"{address}/hello", headers=headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            assert response.read() == b"/HELLO"
        span = server.wait_for_span("answer")
    finally:
        master.terminate()
        assert master.wait(60) == 0, log.read_text()
    assert (span["trace_id"], span["parent_span_id"]) == ("a" * 32, "b" * 16)
    assert (span["session_id"], span["agent_name"]) == ("chat-1", "answer")


@pytest.mark.parametrize("block", of("sh"), ids=str)
def test_sh_block_holds_only_known_commands(block: Block) -> None:
    commands = {line.strip() for line in block.text.splitlines() if line.strip()}
    assert commands <= COMMANDS_NOT_RUN_HERE, f"{block}: use `bash runnable` so that it is run"


def test_every_other_block_is_text() -> None:
    allowed = {"python", "python unrecorded", "bash runnable", "sh", "text", "text printed"}
    others = [block for block in blocks() if block.language not in allowed and not block.file_name]
    assert [str(block) for block in others if not _is_doc_test(block)] == []


def _is_doc_test(block: Block) -> bool:
    crate = (ROOT / "crates" / "staso-sdk" / "src" / "lib.rs").read_text()
    included = f'#[doc = include_str!("../../../{block.page.relative_to(ROOT)}")]' in crate
    return included and block.language in {"rust", "rust,no_run"}


def test_what_is_printed_follows_what_prints_it() -> None:
    prints = {"python", "python unrecorded", "bash runnable"}
    pairs = zip(blocks(), blocks()[1:], strict=False)
    strays = [after for before, after in pairs if after.language == "text printed" and before.language not in prints]
    assert strays == []


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"`?make ([a-z]+)`?", page.read_text(encoding="utf-8")):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name} speaks of `make {target}`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert os.path.exists(page.parent / target), f"{page.name} links to {target}"


def _settings(heading: str) -> dict[str, tuple[str, str]]:
    """The rows of a table of the configuration page: name, then environment and default."""
    text = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.+?) \|", section, re.MULTILINE)
    return {name: (environment_name, default.strip("`")) for name, environment_name, default in rows}


@pytest.mark.spec("3.registry")
def test_settings_of_the_package_are_as_the_page_says() -> None:
    parameters = inspect.signature(st.init).parameters
    settings = _settings("The Python package")
    assert settings
    for name, (variable, default) in settings.items():
        assert variable == f"STASO_{name.upper()}"
        actual = parameters[name].default
        # Where the page's default is words, the argument says None and the value is found at run time.
        assert actual is None or str(actual).replace("_", "") == default, name


def test_settings_of_the_server_are_as_the_page_says(home: Path) -> None:
    command = [str(server_binary()), "config", "show", "--origins"]
    said = subprocess.run(command, env=environment(home), capture_output=True, text=True, timeout=60, check=True)
    actual = {line.split()[0]: line.split()[1:-1] for line in said.stdout.splitlines()}
    settings = _settings("The server")
    assert set(settings) == set(actual)
    for name, (variable, default) in settings.items():
        assert variable == f"STASO_{name.upper()}"
        assert actual[name] == ([default] if default[0].isdigit() else []), name


def test_variables_of_the_page_are_read(home: Path) -> None:
    """Each kind of setting, set by its variable, reaches the server."""
    for name, (variable, default) in _settings("The server").items():
        if not default.isdigit():
            continue
        wanted = str(abs(int(default) - 1))
        command = [str(server_binary()), "config", "show", "--origins"]
        env = environment(home, {variable: wanted})
        said = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
        (line,) = [line.split() for line in said.stdout.splitlines() if line.split()[0] == name]
        assert line[1] == wanted
