"""The interpreters the peers run in: the wheel's own, and one environment for each other package.

They are made on first use under `.venvs/`, where the end-to-end tests keep theirs, from the Python
registry the machine is configured for.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OTEL_VERSION, CLIENT_VERSION = "1.45.2", "0.5.25"
_PYTHON = f"py{sys.version_info[0]}.{sys.version_info[1]}"
_MADE = {
    "otel": (
        f"opentelemetry-{OTEL_VERSION}-{_PYTHON}",
        [f"opentelemetry-sdk=={OTEL_VERSION}", f"opentelemetry-exporter-otlp-proto-http=={OTEL_VERSION}"],
    ),
    "store": (f"store-bench-{_PYTHON}", ["numpy==2.2.6", "pyarrow==21.0.0", "duckdb==1.4.2"]),
    "client": (f"public-client-{CLIENT_VERSION}-{_PYTHON}", [f"staso=={CLIENT_VERSION}"]),
}
TITLES = {
    "python": "Python itself",
    "staso": "staso, this tree",
    "otel": f"opentelemetry-sdk {OTEL_VERSION}",
    "client": f"existing staso {CLIENT_VERSION}",
}


def interpreter(peer: str) -> str:
    """The interpreter that has `peer` installed, made now if it is not there yet."""
    if peer not in _MADE:
        return sys.executable
    directory, packages = _MADE[peer]
    home = ROOT / ".venvs" / directory
    if not (home / "bin" / "python").exists():
        fresh = home.with_name(home.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(fresh)], check=True)
        subprocess.run([str(fresh / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages], check=True)
        fresh.rename(home)
    return str(home / "bin" / "python")


def environment(home: str) -> dict[str, str]:
    """What a measured process sees: no setting of the developer's own, and a home that is thrown away."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "STASO_", "PYTHON"))}
    local = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONHASHSEED": "0"}
    return {**kept, **local, "HOME": home, "STASO_HOME": home}
