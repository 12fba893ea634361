"""Builds the wheel of the server: it packs a binary that is built already (PEP 517, no dependencies).

The binary is `$STASO_BIN`, else `target/release/staso`, which `make build` builds. The wheel says of itself
what the binary says: its version, and the oldest C library that it runs with.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
import subprocess
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DESCRIPTION = "The server of Staso: the binary that the command staso runs"


def build_wheel(directory: str, config_settings: Any = None, metadata_directory: Any = None) -> str:
    """Pack the wheel; give its name."""
    del config_settings, metadata_directory
    binary = _binary()
    version = _version(binary)
    tag = f"py3-none-{_platform(binary)}"
    info = f"staso_server-{version}.dist-info"
    package = HERE / "staso_server"
    files = {
        "staso_server/__init__.py": (package / "__init__.py").read_bytes(),
        f"staso_server/{binary.name}": binary.read_bytes(),
        f"{info}/METADATA": (
            f"Metadata-Version: 2.1\nName: staso-server\nVersion: {version}\nSummary: {DESCRIPTION}\n"
            "License: Apache-2.0\nRequires-Python: >=3.10\n"
        ).encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: staso\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
        f"{info}/licenses/LICENSE": (ROOT / "LICENSE").read_bytes(),
    }
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    name = f"staso_server-{version}-{tag}.whl"
    with zipfile.ZipFile(Path(directory) / name, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path)
            entry.compress_type = zipfile.ZIP_DEFLATED
            # Installers keep the mark of a program only where it stands on a regular file.
            mode = 0o755 if path == f"staso_server/{binary.name}" else 0o644
            entry.external_attr = (stat.S_IFREG | mode) << 16
            wheel.writestr(entry, content)
    return name


def _binary() -> Path:
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    name = "staso.exe" if os.name == "nt" else "staso"
    binary = Path(os.environ.get("STASO_BIN") or target / "release" / name).resolve()
    if not binary.is_file():
        raise SystemExit(f"there is no binary at {binary}: run make build, or set STASO_BIN")
    return binary


def _version(binary: Path) -> str:
    said = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[-1]


def _platform(binary: Path) -> str:
    """The tag of the platform; on Linux with the newest version of glibc that a symbol asks for."""
    platform = re.sub(r"[-.]", "_", sysconfig.get_platform())
    asked = re.findall(rb"GLIBC_2\.(\d+)\b", binary.read_bytes()) if platform.startswith("linux_") else []
    if not asked:
        return platform
    return platform.replace("linux_", f"manylinux_2_{max(map(int, asked))}_", 1)


def _record(files: dict[str, bytes], itself: str) -> bytes:
    lines = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(content)}")
    return "\n".join([*lines, f"{itself},,", ""]).encode()
