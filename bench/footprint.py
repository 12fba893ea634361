"""What having the package costs a program: import time, resident memory, the wheel's size.

Every sample is a fresh process beside a bare one; what the bare one takes is subtracted.
"""

from __future__ import annotations

import pathlib
import random
import subprocess
import tempfile
from typing import Any

import yardstick
from environments import environment, interpreter
from processes import receiver

_IMPORTS = {
    "staso": "import staso",
    "client": "import staso",
    "otel": "import opentelemetry.sdk.trace.export, opentelemetry.exporter.otlp.proto.http.trace_exporter",
}
_PROCESS_CPU = "import time; began = time.process_time_ns(); {}; print(time.process_time_ns() - began)"
_RESIDENT = """
def resident_kb():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
before = resident_kb()
{start}
print(resident_kb() - before, flush=True)
import os; os._exit(0)
"""
_START = {
    "staso": "import staso; staso.init(base_url={url!r}, agent_name='bench'); staso.flush()",
    "client": (
        "import staso\nstaso.init(api_key='ak_any_key_will_do', base_url={url!r}, agent_name='bench'); staso.flush()"
    ),
    "otel": (
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import BatchSpanProcessor\n"
        "from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter\n"
        "exporter = OTLPSpanExporter(endpoint={url!r} + '/v1/traces')\n"
        "provider = TracerProvider(); provider.add_span_processor(BatchSpanProcessor(exporter))\n"
        "provider.force_flush()"
    ),
}


def _printed(python: str, program: str, home: str) -> int:
    done = subprocess.run([python, "-c", program], stdout=subprocess.PIPE, env=environment(home), cwd=home, check=True)
    return int(done.stdout)


def import_ms(peer: str, home: str) -> float:
    """CPU of one import in a fresh interpreter, all threads, scaled; bytecode is cached after the first."""
    before = yardstick.observe()
    spent = _printed(interpreter(peer), _PROCESS_CPU.format(_IMPORTS[peer]), home)
    return spent / 1e6 * yardstick.REFERENCE_NS / ((before + yardstick.observe()) / 2)


def resident_mb(peer: str, url: str, home: str) -> float:
    """What import and `init` add to the resident memory of an interpreter that did nothing else. The flush makes
    sure that the threads `init` starts have run."""
    program = _RESIDENT.format(start=_START[peer].format(url=url))
    return _printed(interpreter(peer), program, home) / 1024


def measure(binary: str, peers: list[str], samples: int, wheel: str) -> dict[str, Any]:
    """`samples` of everything, the peers in random order."""
    found: dict[str, Any] = {"peers": {peer: {"import_ms": [], "resident_mb": []} for peer in peers}}
    with tempfile.TemporaryDirectory(prefix="staso-bench-") as home:
        for peer in peers:
            import_ms(peer, home)
        for _ in range(samples):
            for peer in random.sample(peers, len(peers)):
                found["peers"][peer]["import_ms"].append(import_ms(peer, home))
        for peer in peers:
            with receiver(peer, binary) as (url, _):
                resident = [resident_mb(peer, url, home) for _ in range(max(samples // 4, 3))]
            found["peers"][peer]["resident_mb"] = resident
    if wheel:
        found["wheel_mb"] = pathlib.Path(wheel).stat().st_size / 1e6
    return found
