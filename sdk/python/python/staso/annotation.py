"""Scores and labels on traces and spans."""

from __future__ import annotations

from . import _core
from ._internal.kinds import AnnotationDataType
from ._internal.text import text_of

__all__ = ["AnnotationDataType", "annotate"]


def annotate(
    *,
    trace_id: str,
    name: str,
    value: float | str | bool,
    data_type: str | AnnotationDataType = "numeric",
    span_id: str | None = None,
    comment: str | None = None,
) -> None:
    """Attach a score or label to a trace, or to one span of it."""
    span_text = None if span_id is None else text_of(span_id)
    _core.annotate(text_of(trace_id), span_text, name, value, data_type, comment)
