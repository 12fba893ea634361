"""The commit on root spans: found once, from where it is told, and never at the program's cost."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from receiver import Receiver

import staso as st
from staso._internal.git import from_build_info, from_command, from_environment

SHA = "a" * 40
_TOLD = {"vcs.commit.sha": SHA, "vcs.branch": "main", "vcs.repo_url": "https://git.example/o/r"}


@pytest.mark.spec("3.git")
@pytest.mark.parametrize(
    "variables",
    [
        "STASO_VCS_COMMIT_SHA STASO_VCS_BRANCH STASO_VCS_REPO_URL",
        "CI_COMMIT_SHA CI_COMMIT_REF_NAME CI_PROJECT_URL",
        "CIRCLE_SHA1 CIRCLE_BRANCH CIRCLE_REPOSITORY_URL",
        "VERCEL_GIT_COMMIT_SHA VERCEL_GIT_COMMIT_REF VERCEL_GIT_REPO_SLUG",
        "COMMIT_REF BRANCH REPOSITORY_URL",
        "BUILD_SOURCEVERSION BUILD_SOURCEBRANCHNAME BUILD_REPOSITORY_URI",
        "BITBUCKET_COMMIT BITBUCKET_BRANCH BITBUCKET_GIT_HTTP_ORIGIN",
        "CODEBUILD_RESOLVED_SOURCE_VERSION CODEBUILD_WEBHOOK_HEAD_REF CODEBUILD_SOURCE_REPO_URL",
        "RAILWAY_GIT_COMMIT_SHA RAILWAY_GIT_BRANCH RAILWAY_GIT_REPO_NAME",
    ],
)
def test_what_each_ci_tells(variables: str) -> None:
    told = dict(zip(variables.split(), _TOLD.values(), strict=True))
    assert from_environment(told) == _TOLD
    repository = variables.split()[2]
    told[repository] = "https://user:token@git.example/o/r"
    assert from_environment(told) == _TOLD
    assert from_environment({variables.split()[0]: SHA}) == {"vcs.commit.sha": SHA}


@pytest.mark.spec("3.git")
def test_the_environment_of_github_and_heroku_and_the_order() -> None:
    github = {
        "GITHUB_SHA": SHA, "GITHUB_REF_NAME": "main", "GITHUB_SERVER_URL": "https://git.example",
        "GITHUB_REPOSITORY": "o/r",
    }  # fmt: skip
    assert from_environment(github) == _TOLD
    heroku = {"HEROKU_SLUG_COMMIT": SHA, "HEROKU_BRANCH": "main"}
    assert from_environment(heroku)["vcs.branch"] == "main"
    assert from_environment({**github, "STASO_VCS_COMMIT_SHA": "b"})["vcs.commit.sha"] == "b"
    assert from_environment({"BRANCH": "main"}) == {}


def _git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Make a repository with one commit, and a remote whose URL holds a token."""
    directory = tmp_path / "repository"
    directory.mkdir()
    _git(directory, "init", "-q", "-b", "main")
    (directory / "file").write_text("1")
    _git(directory, "add", "file")
    _git(directory, "commit", "-q", "-m", "first")
    _git(directory, "remote", "add", "origin", "https://user:token@git.example/o/r")
    return directory


@pytest.mark.spec("3.git")
def test_what_the_command_tells(repository: Path) -> None:
    told = from_command(str(repository))
    sha = _git(repository, "rev-parse", "HEAD")
    assert told == {**_TOLD, "vcs.commit.sha": sha, "vcs.is_dirty": False}
    (repository / "file").write_text("2")
    assert from_command(str(repository))["vcs.is_dirty"] is True
    assert from_command(str(repository.parent)) == {}


@pytest.mark.spec("3.git")
def test_what_a_build_left_behind(tmp_path: Path) -> None:
    info: dict[str, Any] = {"commit_sha": SHA, "branch": "main", "is_dirty": False}
    (tmp_path / ".staso-build-info").write_text(
        json.dumps({**info, "repo_url": "https://token@git.example/o/r", "other": 1})
    )
    assert from_build_info(str(tmp_path)) == {**_TOLD, "vcs.is_dirty": False}
    (tmp_path / ".staso-build-info").write_text("[1")
    assert from_build_info(str(tmp_path)) == {}
    assert from_build_info(str(tmp_path / "nowhere")) == {}


@pytest.mark.spec("3.git")
def test_root_spans_carry_it_once_it_is_found(
    receiver: Receiver, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(("STASO_VCS", "GITHUB", "CI"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(repository)
    st.init(base_url=receiver.url)
    deadline = time.monotonic() + 30
    while not receiver.finished() or "vcs.commit.sha" not in receiver.finished()[-1]["attributes"]:
        assert time.monotonic() < deadline
        with st.span("root"), st.span("child"):
            pass
        assert st.flush(10).ok
        time.sleep(0.01)
    root = receiver.finished()[-1]
    told = {name: root["attributes"][name] for name in _TOLD}
    assert told == {**_TOLD, "vcs.commit.sha": _git(repository, "rev-parse", "HEAD")}
    children = [span for span in receiver.finished() if span["name"] == "child"]
    assert not any("vcs.commit.sha" in (child.get("attributes") or {}) for child in children)


@pytest.mark.spec("3.git")
def test_it_can_be_off(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STASO_VCS_COMMIT_SHA", SHA)
    st.init(base_url=receiver.url, capture_git=False)
    with st.span("x"):
        pass
    assert st.flush(10).ok
    assert SHA not in json.dumps(receiver.batches)
