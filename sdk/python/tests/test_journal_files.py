"""What the journal's files say and how much they may be, as the installed wheel writes them."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

import staso as st

KEY = "a-key-that-nobody-may-read"


@pytest.fixture
def nobody() -> Any:
    """An address where nobody listens, taken so that nobody else can."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.spec("5.journal-header")
def test_the_header_says_whose_a_segment_is_and_never_the_key(tmp_path: Path, nobody: str) -> None:
    st.init(base_url=nobody, api_key=KEY, workspace_slug="the-space", environment="the-stage")
    assert st.start_span("s").end().accepted
    (segment,) = (tmp_path / "home" / "journal").glob("*.seg")
    raw = segment.read_bytes()
    (presence,) = (tmp_path / "home" / "journal").glob("*.live")
    assert int.from_bytes(raw[8:12], "little") >= 1
    assert raw[40:56].hex() == presence.stem.replace("-", "")
    said, _ = json.JSONDecoder().raw_decode(raw[152:4096].decode("utf-8", "replace"))
    fingerprint = hashlib.sha256(f"staso journal key\n{KEY}".encode()).hexdigest()[:16]
    for part in (nobody, "the-space", "the-stage", fingerprint):
        assert part in json.dumps(said)
    assert KEY.encode() not in raw


@pytest.mark.spec("5.journal-bound-rejected", "3.report-ok")
@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="needs blocks without writing them")
def test_what_was_set_aside_counts_towards_the_bound(tmp_path: Path, nobody: str) -> None:
    rejected = tmp_path / "home" / "journal" / "rejected"
    rejected.mkdir(parents=True)
    kept = rejected / "batch.json"
    with kept.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 256 << 20)
    st.init(base_url=nobody, api_key=KEY)
    refused = st.start_span("s").end()
    assert (refused.accepted, refused.failure_kind, refused.retryable) == (
        False,
        st.DeliveryFailureKind.QUEUE_FULL,
        True,
    )
    kept.unlink()

    give_up = time.monotonic() + 60
    while not st.start_span("s").end().accepted:
        assert time.monotonic() < give_up, "the room that was given back is not seen"
        time.sleep(0.01)
