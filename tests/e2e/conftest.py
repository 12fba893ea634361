"""Fixtures: a state directory per test and servers that are gone when the test is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from parts import Server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty state directory."""
    directory = tmp_path / "home"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def stopped_server(home: Path) -> Iterator[Server]:
    """A server that has not been started yet; killed at the end if it runs by then."""
    server = Server(home)
    yield server
    if server.process is not None and server.process.poll() is None:
        server.kill()


@pytest.fixture
def server(stopped_server: Server) -> Server:
    """A running server."""
    return stopped_server.start()


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[[], Server]]:
    """Makes further servers, each with a state directory of its own."""
    made: list[Server] = []

    def make() -> Server:
        directory = tmp_path / f"home-{len(made) + 2}"
        directory.mkdir(mode=0o700)
        made.append(Server(directory))
        return made[-1]

    yield make
    for server in made:
        if server.process is not None and server.process.poll() is None:
            server.kill()
