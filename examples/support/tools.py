"""The agent's tools. Each does real work: reads a file, computes, runs `git`, calls the Staso server.

Each is a plain function made visible by `@st.tool`: arguments, result and exceptions are recorded,
and a failure reaches the caller unchanged. `SPECIFICATIONS` is what the model is told about them.
"""

from __future__ import annotations

import ast
import difflib
import json
import operator
import os
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import staso as st

ROOT = Path(__file__).resolve().parents[2]
READ_LIMIT_CHARS = 4_000
HTTP_TIMEOUT_SECS = 5.0
GIT_TIMEOUT_SECS = 10.0
EXPONENT_LIMIT = 64
# What a person reads; the digits behind are the floating point's, not the question's.
SIGNIFICANT_DIGITS = 10

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


@st.tool
def read_file(path: str) -> dict[str, Any]:
    """Reads a text file of this repository; a wrong path is an error that names the nearest right one."""
    file = (ROOT / path).resolve()
    if not file.is_relative_to(ROOT):
        raise PermissionError(f"{path} is outside the repository")
    if not file.is_file():
        known = [found.relative_to(ROOT).as_posix() for found in (ROOT / "docs").rglob("*.md")]
        near = difflib.get_close_matches(path, sorted(known), n=1, cutoff=0.5)
        raise FileNotFoundError(f"{path} does not exist" + (f"; did you mean {near[0]}?" if near else ""))
    text = file.read_text(encoding="utf-8")
    return {"path": path, "chars": len(text), "text": text[:READ_LIMIT_CHARS]}


@st.tool
def calculator(expression: str) -> float:
    """Computes an arithmetic expression by walking its syntax tree: names and calls are refused."""
    value = _evaluate(ast.parse(expression, mode="eval").body)
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _evaluate(node: ast.AST) -> float:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _evaluate(node.left), _evaluate(node.right)
        # An unbounded power would let one question occupy the machine for hours.
        if isinstance(node.op, ast.Pow) and abs(right) > EXPONENT_LIMIT:
            raise ValueError(f"exponent {right} is above {EXPONENT_LIMIT}")
        return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_evaluate(node.operand))
    raise ValueError(f"{ast.unparse(node)!r} is not arithmetic")


@st.tool
def git_log(count: int = 1) -> list[str]:
    """The newest commits of this checkout, from a `git` subprocess."""
    command = ["git", "log", f"-{int(count)}", "--format=%h %s"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=GIT_TIMEOUT_SECS, check=False)
    if done.returncode:
        raise RuntimeError(f"git ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.splitlines()


@st.tool
def http_get(path: str) -> dict[str, Any]:
    """Gets a path of the running Staso server."""
    with urllib.request.urlopen(server_url() + path, timeout=HTTP_TIMEOUT_SECS) as response:
        body = response.read(READ_LIMIT_CHARS).decode("utf-8", "replace")
        return {"path": path, "status": response.status, "body": body}


def server_url() -> str:
    """Where the Staso server listens: `STASO_BASE_URL`, else what the server wrote to `server.json`.

    Read at each call, because a restarted server may listen elsewhere.
    """
    if configured := os.environ.get("STASO_BASE_URL"):
        return configured.rstrip("/")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "staso"
    announcement = Path(os.environ.get("STASO_HOME") or state) / "server.json"
    if not announcement.is_file():
        raise ConnectionError("no Staso server is running; start one with `staso serve`")
    return json.loads(announcement.read_text(encoding="utf-8"))["url"].rstrip("/")


def _specification(name: str, description: str, **properties: dict[str, str]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "read_file": read_file,
    "calculator": calculator,
    "git_log": git_log,
    "http_get": http_get,
}

SPECIFICATIONS = [
    _specification("read_file", "Read a text file of the repository.", path={"type": "string"}),
    _specification("calculator", "Evaluate an arithmetic expression.", expression={"type": "string"}),
    _specification("git_log", "List the newest commits of the checkout.", count={"type": "integer"}),
    _specification("http_get", "Get a path of the running Staso server.", path={"type": "string"}),
]
