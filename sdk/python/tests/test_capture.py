"""``testing.capture``: what a program does with clients within the block does not end it."""

from __future__ import annotations

import gc
import weakref

import pytest
from receiver import Receiver

import staso as st
from staso import testing


@pytest.mark.spec("8.capture")
def test_an_init_within_a_capture_does_not_end_it(receiver: Receiver) -> None:
    with testing.capture(deterministic=True) as recorded:
        with st.span("before") as outer:
            client = st.init(base_url=receiver.url, capture_git=False)
            with st.span("within"):
                pass
        assert st.get_client() is client
        st.init(enabled=False)
        st.init(base_url=receiver.url, capture_git=False)
        st.start_span("again").end()
    assert [span.name for span in recorded.spans] == ["within", "before", "again"]
    assert recorded.named("within").parent_span_id == outer.span_id
    ids = {span.span_id for span in recorded.spans}
    assert len(ids) == 3
    # Then the client is in force that came last.
    st.start_span("after").end()
    assert st.flush(10).ok
    assert [span["name"] for span in receiver.finished()] == ["after"]


@pytest.mark.spec("8.capture")
def test_a_shutdown_within_a_capture_does_not_end_it(receiver: Receiver) -> None:
    st.init(base_url=receiver.url, capture_git=False)
    with testing.capture() as recorded:
        st.shutdown(10)
        st.start_span("within").end()
        with testing.capture() as inner:
            st.init(enabled=False)
            st.start_span("inner").end()
        st.start_span("outer").end()
    assert [span.name for span in recorded.spans] == ["within", "outer"]
    assert [span.name for span in inner.spans] == ["inner"]
    assert not receiver.finished()


@pytest.mark.spec("8.capture")
def test_what_was_captured_goes_when_nobody_has_it_any_more() -> None:
    with testing.capture(redact=["email"]) as recorded:
        late = st.start_span("late")
        st.start_span("s").end()
    gone = weakref.ref(recorded)
    late.end()
    assert [span.name for span in recorded.spans] == ["s", "late"]
    del recorded
    gc.collect()
    assert gone() is None
    with testing.capture() as recorded:
        later = st.start_span("later")
    del recorded
    gc.collect()
    assert later.end().accepted
