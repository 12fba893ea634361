"""The commit that runs: found once, in the background, for root spans to carry."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # `typing` is slower to import than this whole package
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SHA, _BRANCH, _URL, _DIRTY = "vcs.commit.sha", "vcs.branch", "vcs.repo_url", "vcs.is_dirty"

# Where each CI tells commit, branch and repository; a `{NAME}` in a template is another variable.
_CI = (
    ("STASO_VCS_COMMIT_SHA", "STASO_VCS_BRANCH", "STASO_VCS_REPO_URL"),
    ("GITHUB_SHA", "GITHUB_REF_NAME", "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}"),
    ("CI_COMMIT_SHA", "CI_COMMIT_REF_NAME", "CI_PROJECT_URL"),
    ("CIRCLE_SHA1", "CIRCLE_BRANCH", "CIRCLE_REPOSITORY_URL"),
    ("VERCEL_GIT_COMMIT_SHA", "VERCEL_GIT_COMMIT_REF", "VERCEL_GIT_REPO_SLUG"),
    ("COMMIT_REF", "BRANCH", "REPOSITORY_URL"),
    ("BUILD_SOURCEVERSION", "BUILD_SOURCEBRANCHNAME", "BUILD_REPOSITORY_URI"),
    ("BITBUCKET_COMMIT", "BITBUCKET_BRANCH", "BITBUCKET_GIT_HTTP_ORIGIN"),
    (
        "CODEBUILD_RESOLVED_SOURCE_VERSION",
        "CODEBUILD_WEBHOOK_HEAD_REF",
        "CODEBUILD_SOURCE_REPO_URL",
    ),
    ("RAILWAY_GIT_COMMIT_SHA", "RAILWAY_GIT_BRANCH", "RAILWAY_GIT_REPO_NAME"),
    ("HEROKU_SLUG_COMMIT", "HEROKU_BRANCH", ""),
)


def find_in_background(found: Callable[[dict[str, Any]], None]) -> None:
    """Tell ``found`` what there is to tell: at once from the environment, else from a thread."""
    context = from_environment(os.environ)
    if context:
        found(context)
        return
    # Here, not in the thread: an import beside a program that ends by an interrupt makes the
    # interpreter forget by what it ended.
    import subprocess  # noqa: F401  # pyright: ignore[reportUnusedImport]
    import threading

    directory = os.getcwd() if _cwd_exists() else None

    def look() -> None:
        try:
            found(from_command(directory) or from_build_info(directory))
        except Exception:  # noqa: BLE001 - a program without a commit is no fault of anybody's
            return

    thread = threading.Thread(target=look, name="staso-git", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return


def _cwd_exists() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def from_environment(environ: Any) -> dict[str, Any]:
    """Read our own variables, then those of the known CI systems."""
    for sha, branch, url in _CI:
        told = {
            _SHA: environ.get(sha),
            _BRANCH: environ.get(branch),
            _URL: _strip(_expand(url, environ)),
        }
        if told[_SHA]:
            return {name: value for name, value in told.items() if value}
    return {}


def _expand(template: str, environ: Any) -> str | None:
    if "{" not in template:
        value: str | None = environ.get(template)
        return value
    import re

    names = re.findall(r"{(\w+)}", template)
    if not all(environ.get(name) for name in names):
        return None
    return template.format_map(environ)


def from_command(directory: str | None) -> dict[str, Any]:
    """Ask the ``git`` command about the working directory."""
    sha = _git(directory, "rev-parse", "HEAD")
    if not sha:
        return {}
    told = {
        _SHA: sha,
        _BRANCH: _git(directory, "rev-parse", "--abbrev-ref", "HEAD"),
        _URL: _strip(_git(directory, "config", "--get", "remote.origin.url")),
    }
    changes = _git(directory, "status", "--porcelain", "--untracked-files=no")
    context: dict[str, Any] = {name: value for name, value in told.items() if value}
    return context if changes is None else {**context, _DIRTY: bool(changes)}


def _git(directory: str | None, *arguments: str) -> str | None:
    import subprocess

    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            capture_output=True,
            timeout=5,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None


def from_build_info(directory: str | None) -> dict[str, Any]:
    """Read ``.staso-build-info``, which an image's build may have left."""
    import json

    try:
        with open(os.path.join(directory or "", ".staso-build-info"), encoding="utf-8") as file:
            info = json.load(file)
    except (OSError, ValueError):
        return {}
    names = {"commit_sha": _SHA, "branch": _BRANCH, "repo_url": _URL, "is_dirty": _DIRTY}
    if not isinstance(info, dict):
        return {}
    told = {names.get(name, name): value for name, value in info.items()}
    told[_URL] = _strip(told.get(_URL))
    return {name: told[name] for name in names.values() if told.get(name) is not None}


def _strip(url: str | None) -> str | None:
    """Leave out credentials: a token in a remote's URL must not travel."""
    if not url:
        return None
    import re

    return re.sub(r"^(\w+://)[^/@]*@", r"\1", url)
